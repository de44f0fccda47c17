//! gRPC-Web: gRPC for clients that cannot see trailers, such as browsers.
//!
//! Follows PROTOCOL-WEB of the gRPC project: the status comes as a last envelope whose flag has bit 7 set and which holds a
//! block of HTTP/1 fields. In the text form everything is base64, in pieces that may each end with padding.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use polywire_core::{Codec, Metadata, Status};

use super::{RequestOptions, grpc};
use crate::wire::Headers;

/// What every content type of the binary form begins with.
pub(crate) const KIND: &[u8] = b"application/grpc-web";

/// What every content type of the text form begins with.
pub(crate) const KIND_TEXT: &[u8] = b"application/grpc-web-text";

/// The flag of the envelope that holds the trailers.
pub(crate) const FLAG_TRAILERS: u8 = 0x80;

/// The codec and form (`true`: text) that a content type names.
pub(crate) fn codec_of(content_type: &[u8]) -> Option<(Codec, bool)> {
    grpc::codec_behind(content_type, KIND)
        .map(|codec| (codec, false))
        .or_else(|| grpc::codec_behind(content_type, KIND_TEXT).map(|codec| (codec, true)))
}

/// The content type of messages in a codec.
pub(crate) fn content_type(codec: Codec, text: bool) -> &'static [u8] {
    match (codec, text) {
        (Codec::Proto, false) => b"application/grpc-web+proto",
        (Codec::Json, false) => b"application/grpc-web+json",
        (Codec::Proto, true) => b"application/grpc-web-text+proto",
        (Codec::Json, true) => b"application/grpc-web-text+json",
    }
}

/// The fixed part of a request.
pub(crate) fn request_fixed(options: &RequestOptions) -> Headers {
    let mut headers = Headers::new();
    grpc::write_target(&mut headers, options);
    headers.push(b"content-type", content_type(options.codec, options.text));
    headers.push(b"accept", content_type(options.codec, options.text));
    headers.push(b"x-grpc-web", b"1");
    grpc::write_compressions(&mut headers, options);
    headers
}

/// The end of a response's body: the status in its envelope.
pub(crate) fn end_of_body(status: &Status, trailing: &Metadata) -> Bytes {
    let mut fields = Headers::new();
    grpc::write_status(&mut fields, status, trailing);
    let mut body = BytesMut::new();
    body.put_u8(FLAG_TRAILERS);
    body.put_u32(0);
    for (name, value) in fields.iter() {
        body.extend_from_slice(name);
        body.extend_from_slice(b": ");
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    let len = (body.len() - 5) as u32;
    body[1..5].copy_from_slice(&len.to_be_bytes());
    body.freeze()
}

/// Reads what stood in the last envelope.
pub(crate) fn parse_end(block: &[u8]) -> (Status, Metadata) {
    let mut fields = Headers::new();
    for line in block.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        fields.push(line[..colon].trim_ascii().to_ascii_lowercase(), line[colon + 1..].trim_ascii());
    }
    grpc::parse_trailers(&fields, KIND)
}

/// A piece of the text form.
pub(crate) fn to_text(bytes: &[u8]) -> Bytes {
    STANDARD.encode(bytes).into()
}

/// Undoes the base64 of a body that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct TextReader {
    /// Characters that are no whole group of four yet.
    rest: Vec<u8>,
}

impl TextReader {
    /// The bytes of all groups that are complete; `None` when this is not base64.
    pub(crate) fn next(&mut self, chunk: &[u8]) -> Option<Bytes> {
        self.rest.extend(chunk.iter().copied().filter(|byte| !byte.is_ascii_whitespace()));
        let whole = self.rest.len() / 4 * 4;
        let mut out = BytesMut::with_capacity(whole / 4 * 3);
        let mut start = 0;
        // Padding may stand inside the stream: every run up to it is decoded for itself.
        while start < whole {
            let end = self.rest[start..whole]
                .chunks(4)
                .position(|group| group[3] == b'=')
                .map_or(whole, |group| start + (group + 1) * 4);
            out.extend_from_slice(&STANDARD.decode(&self.rest[start..end]).ok()?);
            start = end;
        }
        self.rest.drain(..whole);
        Some(out.freeze())
    }

    /// Whether the body may end here.
    pub(crate) fn is_complete(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_last_envelope() {
        let mut trailing = Metadata::new();
        trailing.append("x-a", "1: 2").unwrap();
        let body = end_of_body(&Status::not_found("no\nsuch"), &trailing);
        assert_eq!(body[0], FLAG_TRAILERS);
        assert_eq!(parse_end(&body[5..]), (Status::not_found("no\nsuch"), trailing));
    }

    #[test]
    fn text_is_read_however_it_is_cut_and_padded() {
        let text = [to_text(b"a"), to_text(b"bcd"), to_text(b"ef")].concat();
        for size in 1..=text.len() {
            let mut reader = TextReader::default();
            let read: Vec<u8> = text.chunks(size).flat_map(|chunk| reader.next(chunk).unwrap().to_vec()).collect();
            assert_eq!(read, b"abcdef", "cut every {size} bytes");
            assert!(reader.is_complete());
        }
        assert_eq!(TextReader::default().next(b"????"), None);
    }
}
