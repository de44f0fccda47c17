//! Fields: what a call says beside its messages, as tags with values.

use std::time::Duration;

use bytes::Bytes;
use polywire_core::{Code, Codec, Compression, CompressionSet, Detail, Metadata, Status};

use super::NativeRule;
use super::frame::{VARINT_MAX, put_varint, take_bytes, take_varint, varint_size};

/// Tags of the fields of a call.
pub(super) mod tag {
    pub(crate) const TIMEOUT: u64 = 1;
    pub(crate) const LEADING: u64 = 2;
    pub(crate) const CODEC: u64 = 3;
    pub(crate) const COMPRESSION: u64 = 4;
    pub(crate) const ACCEPTS: u64 = 5;
    pub(crate) const AUTHORITY: u64 = 6;
    pub(crate) const CODE: u64 = 7;
    pub(crate) const STATUS_MESSAGE: u64 = 8;
    pub(crate) const DETAIL: u64 = 9;
    pub(crate) const TRAILING: u64 = 10;
    pub(crate) const UNPROCESSED: u64 = 11;
}

/// Takes fields apart: tag and value, in their order.
#[derive(Copy, Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Fields(bytes)
    }

    /// Takes the fields from the front of a payload: their total length, then they.
    pub(super) fn take(payload: &mut &'a [u8]) -> Result<&'a [u8], NativeRule> {
        let len = take_varint(payload)?;
        take_bytes(payload, len)
    }

    fn read(&mut self) -> Result<(u64, &'a [u8]), NativeRule> {
        let tag = take_varint(&mut self.0)?;
        let len = take_varint(&mut self.0)?;
        Ok((tag, take_bytes(&mut self.0, len)?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, &'a [u8]), NativeRule>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// A value that is one varint.
pub(super) fn number(mut value: &[u8]) -> Result<u64, NativeRule> {
    let number = take_varint(&mut value)?;
    if value.is_empty() { Ok(number) } else { Err(NativeRule::Malformed) }
}

/// The timeout, if it stands first, and the fields behind it: those are often the same from call to call.
pub(super) fn split_timeout(fields: &[u8]) -> Result<(Option<u64>, &[u8]), NativeRule> {
    if fields.first() != Some(&(tag::TIMEOUT as u8)) {
        return Ok((None, fields));
    }
    let mut rest = Fields(fields);
    let (_, value) = rest.read()?;
    Ok((Some(number(value)?), rest.0))
}

/// A timeout in microseconds, rounded up so that it never becomes shorter.
pub(super) fn micros(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX).min(VARINT_MAX)
}

pub(super) fn put_number(out: &mut Vec<u8>, tag: u64, value: u64) {
    put_varint(out, tag);
    out.push(varint_size(value) as u8);
    put_varint(out, value);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u64, value: &[u8]) {
    put_varint(out, tag);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A key (or a type) with its value: the rest of the field is the value.
fn put_pair(out: &mut Vec<u8>, tag: u64, key: &[u8], value: &[u8]) {
    put_varint(out, tag);
    put_varint(out, (varint_size(key.len() as u64) + key.len() + value.len()) as u64);
    put_varint(out, key.len() as u64);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

fn pair(mut value: &[u8]) -> Result<(&[u8], &[u8]), NativeRule> {
    let len = take_varint(&mut value)?;
    let key = take_bytes(&mut value, len)?;
    Ok((key, value))
}

/// Metadata, one field for each entry.
pub(super) fn put_metadata(out: &mut Vec<u8>, tag: u64, metadata: &Metadata) {
    for (key, value) in metadata {
        put_pair(out, tag, key.as_bytes(), value.as_bytes());
    }
}

/// Puts an entry into `metadata`. The inner error is that of an entry that may not travel: it ends its call.
pub(super) fn read_entry(metadata: &mut Metadata, value: &[u8]) -> Result<Result<(), Status>, NativeRule> {
    let (key, value) = pair(value)?;
    let Some(key) = std::str::from_utf8(key).ok().filter(|key| is_key(key)) else {
        let text = format!("{:?} is not a key of metadata", String::from_utf8_lossy(key));
        return Ok(Err(Status::internal(text)));
    };
    if key.starts_with("grpc-") && !GRPC_FOR_APPLICATION.contains(&key) {
        // Reserved: what gRPC would take for its own must not pass through a gateway.
        return Ok(Ok(()));
    }
    if !key.ends_with("-bin") && !value.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        let text = format!("the value of metadata {key:?} is not printable ASCII: use a key that ends in -bin");
        return Ok(Err(Status::internal(text)));
    }
    metadata.append_unchecked(key, value);
    Ok(Ok(()))
}

/// Keys under the reserved prefix that applications and their tools read all the same.
const GRPC_FOR_APPLICATION: [&str; 4] =
    ["grpc-previous-rpc-attempts", "grpc-retry-pushback-ms", "grpc-tags-bin", "grpc-trace-bin"];

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.'))
}

/// A codec as its number.
pub(super) fn codec_number(codec: Codec) -> u64 {
    u64::from(codec == Codec::Json)
}

pub(super) fn codec(number: u64) -> Option<Codec> {
    match number {
        0 => Some(Codec::Proto),
        1 => Some(Codec::Json),
        _ => None,
    }
}

pub(super) fn compression(number: u64) -> Option<Compression> {
    Compression::ALL.get(usize::try_from(number).ok()?).copied()
}

/// A set of compressions as bits: bit n for number n.
pub(super) fn bits_of(set: CompressionSet) -> u64 {
    set.iter().fold(0, |bits, compression| bits | 1 << compression as u64)
}

pub(super) fn set_of(bits: u64) -> CompressionSet {
    let named = Compression::ALL.into_iter().filter(|&compression| bits & 1 << compression as u64 != 0);
    named.fold(CompressionSet::NONE, CompressionSet::with)
}

/// What the server's fields said.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) leading: Metadata,
    pub(super) trailing: Metadata,
    pub(super) compression: Option<u64>,
    code: Option<u64>,
    message: String,
    details: Vec<Detail>,
    pub(super) unprocessed: bool,
    /// An entry that may not travel.
    fault: Option<Status>,
}

impl Answer {
    pub(super) fn read(fields: &[u8]) -> Result<Answer, NativeRule> {
        let mut answer = Answer::default();
        for field in Fields::new(fields) {
            let (tag, value) = field?;
            match tag {
                tag::LEADING | tag::TRAILING => {
                    let metadata = if tag == tag::LEADING { &mut answer.leading } else { &mut answer.trailing };
                    if let Err(status) = read_entry(metadata, value)? {
                        answer.fault = Some(status);
                    }
                }
                tag::COMPRESSION => answer.compression = Some(number(value)?),
                tag::CODE => answer.code = Some(number(value)?),
                tag::STATUS_MESSAGE => answer.message = String::from_utf8_lossy(value).into_owned(),
                tag::DETAIL if answer.details.len() < DETAILS_MAX => {
                    let (type_url, value) = pair(value)?;
                    let type_url = String::from_utf8_lossy(type_url).into_owned();
                    answer.details.push(Detail { type_url, value: Bytes::copy_from_slice(value) });
                }
                tag::UNPROCESSED => answer.unprocessed = true,
                _ => {}
            }
        }
        Ok(answer)
    }

    /// What ends the call although the server did not say so.
    pub(super) fn fault(&mut self) -> Option<Status> {
        self.fault.take()
    }

    /// The status with which the server ended the call.
    pub(super) fn status(&mut self) -> Status {
        let code = self.code.map_or(Code::Ok, |code| Code::from_number(u32::try_from(code).unwrap_or(u32::MAX)));
        if code == Code::Ok && self.message.is_empty() && self.details.is_empty() {
            return Status::ok();
        }
        let status = Status::new(code, std::mem::take(&mut self.message));
        std::mem::take(&mut self.details).into_iter().fold(status, Status::with_detail)
    }
}

/// The status and trailing metadata of an END.
pub(super) fn put_status(out: &mut Vec<u8>, status: &Status, trailing: &Metadata) {
    if !status.is_ok() {
        put_number(out, tag::CODE, status.code().number().into());
    }
    if !status.message().is_empty() {
        put_bytes(out, tag::STATUS_MESSAGE, status.message().as_bytes());
    }
    for detail in status.details() {
        put_pair(out, tag::DETAIL, detail.type_url.as_bytes(), &detail.value);
    }
    put_metadata(out, tag::TRAILING, trailing);
}

/// Most details that are read from one status; what follows is passed over.
const DETAILS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let mut trailing = Metadata::new();
        trailing.append("a", "one").unwrap();
        trailing.append_bin("b-bin", &[0, 255, 7]).unwrap();
        trailing.append("a", "").unwrap();
        let status = Status::not_found("no order ä")
            .with_detail(Detail { type_url: "type.googleapis.com/a.B".into(), value: Bytes::from_static(&[8, 1]) });
        let mut bytes = Vec::new();
        put_status(&mut bytes, &status, &trailing);
        let mut answer = Answer::read(&bytes).unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.trailing, trailing);
        for cut in 1..bytes.len() {
            let _ = Answer::read(&bytes[..cut]);
        }
    }

    #[test]
    fn a_timeout_is_never_shortened() {
        assert_eq!(micros(Duration::from_nanos(1)), 1);
        assert_eq!(micros(Duration::from_nanos(1001)), 2);
        assert_eq!(micros(Duration::MAX), VARINT_MAX);
    }

    #[test]
    fn an_entry_that_may_not_travel_costs_its_call_only() {
        let mut metadata = Metadata::new();
        for (key, value) in [("", "x"), ("Upper", "x"), ("a b", "x"), ("line", "a\nb"), (":path", "/")] {
            let mut bytes = Vec::new();
            put_pair(&mut bytes, tag::LEADING, key.as_bytes(), value.as_bytes());
            let (_, value) = Fields::new(&bytes).next().unwrap().unwrap();
            assert!(read_entry(&mut metadata, value).unwrap().is_err(), "{key}");
        }
        assert!(metadata.is_empty());
    }

    #[test]
    fn sets_and_bits_agree() {
        assert_eq!(bits_of(CompressionSet::ALL), 0b11_1111);
        assert_eq!(bits_of(CompressionSet::NONE), 1);
        assert_eq!(set_of(0b1010), CompressionSet::NONE.with(Compression::Gzip).with(Compression::Zstd));
        assert_eq!(set_of(u64::MAX), CompressionSet::ALL);
    }
}
