//! What all protocols over HTTP write into header fields in the same way: metadata, binary values, text with escapes.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use polywire_core::{Metadata, Status};

use crate::wire::Headers;

/// Base64 as gRPC and Connect want it in fields: sent without padding, accepted with and without.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of a base64 text.
pub(crate) fn decode_base64(value: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(value).ok()
}

/// The text of a field, if it is UTF-8.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// The media type of a `content-type` without its parameters.
pub(crate) fn media_type(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Metadata as extra fields of a block; `None` when there are none.
pub(crate) fn metadata_extra(metadata: &Metadata) -> Option<Headers> {
    (!metadata.is_empty()).then(|| {
        let mut extra = Headers::new();
        write_metadata(&mut extra, b"", metadata);
        extra
    })
}

/// Metadata as fields, each name behind a prefix.
pub(crate) fn write_metadata(headers: &mut Headers, prefix: &[u8], metadata: &Metadata) {
    let mut name = prefix.to_vec();
    for (key, value) in metadata {
        name.truncate(prefix.len());
        name.extend_from_slice(key.as_bytes());
        if key.ends_with("-bin") {
            headers.push(&name, BASE64.encode(value.as_bytes()));
        } else if is_sensitive(key) {
            headers.push_sensitive(&name, value.as_bytes());
        } else {
            headers.push(&name, value.as_bytes());
        }
    }
}

/// Whether a value is a secret that no compression of headers may remember.
pub(crate) fn is_sensitive(key: &str) -> bool {
    matches!(key, "authorization" | "proxy-authorization" | "cookie" | "set-cookie")
}

/// Puts a field that belongs to the application into its metadata; those of HTTP and of the protocols are passed over.
pub(crate) fn read_metadata(metadata: &mut Metadata, name: &[u8], value: &[u8]) -> Result<(), Status> {
    if is_reserved(name) {
        return Ok(());
    }
    let Some(key) = text(name) else { return Ok(()) };
    if !key.ends_with("-bin") {
        metadata.append_unchecked(key, value);
        return Ok(());
    }
    for part in value.split(|&byte| byte == b',') {
        let bytes = decode_base64(part.trim_ascii())
            .ok_or_else(|| Status::internal(format!("the value of metadata {key:?} is not base64")))?;
        metadata.append_unchecked(key, &bytes);
    }
    Ok(())
}

/// Whether a field belongs to HTTP or to a protocol rather than to the application.
fn is_reserved(name: &[u8]) -> bool {
    match name {
        [b':', ..] => true,
        [b'g', b'r', b'p', b'c', b'-', ..] => !GRPC_FOR_APPLICATION.contains(&name),
        [b'c', b'o', b'n', b'n', b'e', b'c', b't', b'-', ..] => true,
        _ => matches!(
            name,
            b"accept-encoding"
                | b"connection"
                | b"content-encoding"
                | b"content-length"
                | b"content-type"
                | b"expect"
                | b"host"
                | b"keep-alive"
                | b"te"
                | b"transfer-encoding"
                | b"upgrade"
        ),
    }
}

/// Keys under the reserved prefix that applications and their tools read all the same.
const GRPC_FOR_APPLICATION: [&[u8]; 4] =
    [b"grpc-previous-rpc-attempts", b"grpc-retry-pushback-ms", b"grpc-tags-bin", b"grpc-trace-bin"];

/// Bytes outside 0x20–0x7E, and the percent sign, as `%XX`.
pub(crate) fn percent_encode(text: &str) -> String {
    escape(text, |byte| matches!(byte, 0x20..=0x7e) && byte != b'%')
}

/// Everything but RFC 3986's unreserved characters as `%XX`, for a value in a query.
pub(crate) fn query_encode(text: &str) -> String {
    escape(text, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}

fn escape(text: &str, stays: impl Fn(u8) -> bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// Undoes [`percent_encode`] and [`query_encode`]; a bad escape stays as it is, so that a message is never lost.
pub(crate) fn percent_decode(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        if *byte == b'%'
            && let [high, low, tail @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push((high << 4 | low) as u8);
            rest = tail;
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    out
}

/// Bytes as text; what is not UTF-8 is replaced.
pub(crate) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_message_survives_any_text() {
        for text in ["", "plain", "100%", "\t\r\n line", "Ünïcödé \u{1f600}", "%41%zz"] {
            assert_eq!(percent_decode(percent_encode(text).as_bytes()), text.as_bytes());
            assert_eq!(percent_decode(query_encode(text).as_bytes()), text.as_bytes());
        }
        assert_eq!(percent_decode(b"%zz%4"), b"%zz%4");
    }

    #[test]
    fn fields_of_http_and_of_the_protocols_are_no_metadata() {
        for name in ["connect-timeout-ms", "grpc-timeout", "host", "te", ":path", "content-encoding"] {
            let mut metadata = Metadata::new();
            read_metadata(&mut metadata, name.as_bytes(), b"1").unwrap();
            assert!(metadata.is_empty(), "{name}");
        }
        let mut metadata = Metadata::new();
        read_metadata(&mut metadata, b"grpc-trace-bin", b"AAE").unwrap();
        assert_eq!(metadata.len(), 1);
    }
}
