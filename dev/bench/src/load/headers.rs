//! The head of our requests as bytes made once, and the judgement of the heads that come back.

use std::{io, sync::Arc};

use polywire_engine::wire::{
    Headers,
    http2::hpack::{Decoder, TABLE_BYTES_DEFAULT},
};

/// What we announce as SETTINGS_MAX_HEADER_LIST_SIZE.
pub(crate) const HEADER_LIST_BYTES_MAX: u32 = 16_384;

/// Indexes of RFC 7541's static table.
const METHOD_POST: u8 = 3;
const SCHEME_HTTP: u8 = 6;

/// The header block of a request, for a connection's first call and for all others.
///
/// Every connection carries one method, so the block needs five places in the dynamic table:
/// the first call puts them there, the others are seven bytes.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    /// Puts the fields into the peer's table.
    pub(crate) first: Vec<u8>,
    /// Names them by their places.
    pub(crate) again: Vec<u8>,
}

impl RequestHead {
    /// The head of a gRPC request to `method` of the benchmark's service.
    pub(crate) fn new(method: &str) -> Self {
        let fields = [
            (":path", format!("/bench.v1.Bench/{method}")),
            (":authority", "bench.example".to_owned()),
            ("content-type", "application/grpc".to_owned()),
            ("te", "trailers".to_owned()),
            ("user-agent", "polywire-bench".to_owned()),
        ];
        let indexed = |index: u8| 0x80 | index;
        let mut first = vec![indexed(METHOD_POST), indexed(SCHEME_HTTP)];
        let mut again = first.clone();
        for (place, (name, value)) in fields.iter().enumerate() {
            // Literal with incremental indexing, new name; no string reaches the 127 bytes that
            // would need a second byte of length.
            first.push(0x40);
            for text in [*name, value] {
                first.push(u8::try_from(text.len()).expect("short strings"));
                first.extend_from_slice(text.as_bytes());
            }
            // The newest entry is number 62.
            let age = u8::try_from(fields.len() - 1 - place).expect("five fields");
            again.push(indexed(62 + age));
        }
        Self { first, again }
    }
}

/// What a header block of an answer means.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The answer begins: 200 and gRPC.
    Begins,
    /// The answer ends with status OK.
    EndsWell,
}

/// Decodes the header blocks of one connection and refuses those that are not success.
///
/// The decoder answers a block that it knows with the same `Arc`; so a known answer costs a
/// comparison of pointers. The generator has to stay cheaper than the server.
pub(crate) struct Answers {
    decoder: Decoder,
    begins: Option<Arc<Headers>>,
    ends_well: Option<Arc<Headers>>,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new(TABLE_BYTES_DEFAULT), begins: None, ends_well: None }
    }

    /// What `block` says.
    ///
    /// # Errors
    ///
    /// When it does not decode, or says anything but success.
    pub(crate) fn judge(&mut self, block: &[u8]) -> io::Result<Verdict> {
        let headers = self
            .decoder
            .decode(block, HEADER_LIST_BYTES_MAX)
            .map_err(|error| io::Error::other(format!("a header block does not decode: {error:?}")))?;
        let is = |known: &Option<Arc<Headers>>| known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &headers));
        if is(&self.ends_well) {
            return Ok(Verdict::EndsWell);
        }
        if is(&self.begins) {
            return Ok(Verdict::Begins);
        }
        let verdict = judge_fields(&headers)?;
        match verdict {
            Verdict::Begins => self.begins = Some(headers),
            Verdict::EndsWell => self.ends_well = Some(headers),
        }
        Ok(verdict)
    }
}

/// Looks at each field that decides.
#[cold]
fn judge_fields(headers: &Headers) -> io::Result<Verdict> {
    let is = |name: &str, value: &str| headers.find(name).is_some_and(|found| found == value.as_bytes());
    // Trailers-Only would be an error: every right answer has a message.
    if headers.find(":status").is_none() && is("grpc-status", "0") {
        return Ok(Verdict::EndsWell);
    }
    if is(":status", "200")
        && headers.find("grpc-status").is_none()
        && headers.find("content-type").is_some_and(|value| value.starts_with(b"application/grpc"))
        && (headers.find("grpc-encoding").is_none() || is("grpc-encoding", "identity"))
    {
        return Ok(Verdict::Begins);
    }
    let lossy = String::from_utf8_lossy;
    let shown: Vec<_> = headers.iter().map(|(name, value)| format!("{}: {}", lossy(name), lossy(value))).collect();
    Err(io::Error::other(format!("not a successful answer: {}", shown.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_request_head_decode_to_the_same_fields() {
        let head = RequestHead::new("Echo");
        let mut decoder = Decoder::new(TABLE_BYTES_DEFAULT);
        let first = decoder.decode(&head.first, HEADER_LIST_BYTES_MAX).expect("decodes");
        let again = decoder.decode(&head.again, HEADER_LIST_BYTES_MAX).expect("decodes");
        assert_eq!(first.find(":path"), Some(&b"/bench.v1.Bench/Echo"[..]));
        assert!(first.iter().eq(again.iter()));
    }

    #[test]
    fn an_answer_with_another_status_is_refused() {
        let mut answers = Answers::new();
        let mut block = vec![0x00, 11];
        block.extend_from_slice(b"grpc-status");
        block.extend_from_slice(&[2, b'1', b'3']);
        assert!(answers.judge(&block).is_err());
    }
}
