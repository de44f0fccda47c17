//! `google.rpc.Status`, which `grpc-status-details-bin` carries: three fields, written by hand so that the engine needs no
//! Protobuf library.
//!
//! ```text
//! message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
//! message Any    { string type_url = 1; bytes value = 2; }
//! ```

use bytes::Bytes;
use polywire_core::{Detail, Status};

/// Most details that are read from one status; what follows is passed over.
const DETAILS_MAX: usize = 64;

/// The status as a `google.rpc.Status`.
pub(super) fn encode(status: &Status) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, 1 << 3);
    put_varint(&mut out, u64::from(status.code().number()));
    if !status.message().is_empty() {
        put_bytes(&mut out, 2, status.message().as_bytes());
    }
    for detail in status.details() {
        let mut any = Vec::with_capacity(detail.type_url.len() + detail.value.len() + 8);
        put_bytes(&mut any, 1, detail.type_url.as_bytes());
        if !detail.value.is_empty() {
            put_bytes(&mut any, 2, &detail.value);
        }
        put_bytes(&mut out, 3, &any);
    }
    out
}

/// The details of a `google.rpc.Status`; what is malformed ends the list without an error, because the status itself has come
/// by `grpc-status` and must not be lost.
pub(super) fn decode_details(bytes: &[u8]) -> Vec<Detail> {
    let mut details = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next() {
        if number == 3 && details.len() < DETAILS_MAX {
            let mut detail = Detail { type_url: String::new(), value: Bytes::new() };
            let mut any = Fields(value);
            while let Some((number, value)) = any.next() {
                match number {
                    1 => detail.type_url = String::from_utf8_lossy(value).into_owned(),
                    2 => detail.value = Bytes::copy_from_slice(value),
                    _ => {}
                }
            }
            details.push(detail);
        }
    }
    details
}

/// The fields of a message; the value of a field that is not length-delimited is empty.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<(u64, &'a [u8])> {
        if self.0.is_empty() {
            return None;
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => {
                self.varint()?;
                &[][..]
            }
            1 => self.split(8).map(|_| &[][..])?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                self.split(len)?
            }
            5 => self.split(4).map(|_| &[][..])?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn split(&mut self, len: usize) -> Option<&'a [u8]> {
        let (value, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(value)
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use polywire_core::Code;

    use super::*;

    #[test]
    fn details_survive_the_way_there_and_back() {
        let status = Status::new(Code::NotFound, "no order")
            .with_detail(Detail { type_url: "type.googleapis.com/a.B".into(), value: Bytes::from_static(&[8, 1]) })
            .with_detail(Detail { type_url: "type.googleapis.com/a.C".into(), value: Bytes::from(vec![0; 300]) });
        assert_eq!(decode_details(&encode(&status)), status.details());
    }

    #[test]
    fn garbage_yields_what_was_readable_and_no_panic() {
        let status = Status::unknown("x").with_detail(Detail { type_url: "t".into(), value: Bytes::new() });
        let mut bytes = encode(&status);
        bytes.extend_from_slice(&[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decode_details(&bytes).len(), 1);
        assert!(decode_details(&[0xff; 20]).is_empty());
    }
}
