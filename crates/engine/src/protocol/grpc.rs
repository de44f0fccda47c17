//! gRPC over HTTP/2: how a call is written on a stream.
//!
//! Follows PROTOCOL-HTTP2 of the gRPC project. The only file that knows how gRPC spells a method, a timeout or a status.

use std::time::Duration;

use base64::Engine as _;
use polywire_core::{Code, Codec, Compression, CompressionSet, Metadata, Protocol, RequestHead, Status};

use super::{
    RequestOptions, ResponseHead,
    fields::{
        BASE64, decode_base64, lossy, media_type, percent_decode, percent_encode, read_metadata, text, write_metadata,
    },
    rich_status,
};
use crate::wire::{Headers, Reason};

/// What every content type of gRPC begins with.
pub(crate) const KIND: &[u8] = b"application/grpc";

/// The codec that a content type of gRPC names: `application/grpc`, optionally with a codec and parameters; `None` for
/// everything else.
pub(crate) fn codec_of(content_type: &[u8]) -> Option<Codec> {
    codec_behind(content_type, KIND)
}

/// The codec of a content type that is `kind`, `kind+proto` or `kind+json`.
pub(crate) fn codec_behind(content_type: &[u8], kind: &[u8]) -> Option<Codec> {
    let (start, rest) = media_type(content_type).split_at_checked(kind.len())?;
    if !start.eq_ignore_ascii_case(kind) {
        return None;
    }
    match rest {
        b"" => Some(Codec::Proto),
        rest if rest.eq_ignore_ascii_case(b"+proto") => Some(Codec::Proto),
        rest if rest.eq_ignore_ascii_case(b"+json") => Some(Codec::Json),
        _ => None,
    }
}

/// Reads the headers of a request, of gRPC or gRPC-Web.
///
/// An error is the status with which the call ends.
pub(crate) fn parse_request(
    headers: &Headers,
    codec: Codec,
    protocol: Protocol,
    accepted: CompressionSet,
) -> Result<RequestHead, Status> {
    let mut head = RequestHead { codec, protocol, ..RequestHead::default() };
    for (name, value) in headers.iter() {
        match name {
            b":path" => head.path = text(value).ok_or_else(|| malformed(":path"))?.to_owned(),
            b":authority" => head.authority = text(value).ok_or_else(|| malformed(":authority"))?.to_owned(),
            b"grpc-timeout" => head.timeout = Some(parse_timeout(value).ok_or_else(|| malformed("grpc-timeout"))?),
            b"grpc-encoding" => {
                head.compression = text(value)
                    .and_then(Compression::from_name)
                    .filter(|&compression| accepted.contains(compression))
                    .ok_or_else(|| unknown_compression("grpc-encoding", value, accepted))?;
            }
            b"grpc-accept-encoding" => head.accepts = CompressionSet::from_list(text(value).unwrap_or_default()),
            _ => read_metadata(&mut head.metadata, name, value)?,
        }
    }
    Ok(head)
}

/// The fixed part of a request as gRPC writes it.
pub(crate) fn request_fixed(options: &RequestOptions) -> Headers {
    let mut headers = Headers::new();
    write_target(&mut headers, options);
    headers.push(b"te", b"trailers");
    headers.push(b"content-type", content_type(options.codec));
    write_compressions(&mut headers, options);
    headers
}

/// What every request begins with, whatever its protocol.
pub(crate) fn write_target(headers: &mut Headers, options: &RequestOptions) {
    headers.push(b":method", b"POST");
    headers.push(b":scheme", options.scheme.as_bytes());
    headers.push(b":path", options.path.as_bytes());
    headers.push(b":authority", options.authority.as_bytes());
}

/// Who calls, and how messages are compressed each way.
pub(crate) fn write_compressions(headers: &mut Headers, options: &RequestOptions) {
    headers.push(b"user-agent", options.user_agent.as_bytes());
    if options.compression != Compression::Identity {
        headers.push(b"grpc-encoding", options.compression.name().as_bytes());
    }
    if options.accepts != CompressionSet::NONE {
        headers.push(b"grpc-accept-encoding", options.accepts.to_string().as_bytes());
    }
}

/// The variable part of a request; `None` when there is nothing to say.
pub(crate) fn request_extra(timeout: Option<Duration>, metadata: &Metadata) -> Option<Headers> {
    if timeout.is_none() && metadata.is_empty() {
        return None;
    }
    let mut extra = Headers::new();
    if let Some(timeout) = timeout {
        extra.push(b"grpc-timeout", format_timeout(timeout).as_bytes());
    }
    write_metadata(&mut extra, b"", metadata);
    Some(extra)
}

/// The headers of a response, of gRPC or gRPC-Web.
pub(crate) fn response_fixed(content_type: &[u8], compression: Compression, accepts: CompressionSet) -> Headers {
    let mut headers = Headers::new();
    headers.push(b":status", b"200");
    headers.push(b"content-type", content_type);
    if compression != Compression::Identity {
        headers.push(b"grpc-encoding", compression.name().as_bytes());
    }
    if accepts != CompressionSet::NONE {
        headers.push(b"grpc-accept-encoding", accepts.to_string().as_bytes());
    }
    headers
}

/// A status as fields of a block: the trailers, or the end of a Trailers-Only block.
pub(crate) fn write_status(fields: &mut Headers, status: &Status, trailing: &Metadata) {
    fields.push(b"grpc-status", status.code().number().to_string().as_bytes());
    if !status.message().is_empty() {
        fields.push(b"grpc-message", percent_encode(status.message()).as_bytes());
    }
    if !status.details().is_empty() {
        let details = BASE64.encode(rich_status::encode(status));
        fields.push(b"grpc-status-details-bin", details.as_bytes());
    }
    write_metadata(fields, b"", trailing);
}

/// Reads the headers of a response that is not Trailers-Only.
///
/// An error is the status with which the call ends: the answer was not gRPC.
pub(crate) fn parse_response(headers: &Headers, kind: &'static [u8]) -> Result<ResponseHead, Status> {
    check_http(headers, kind)?;
    let mut head = ResponseHead::default();
    for (name, value) in headers.iter() {
        match name {
            b"grpc-encoding" => {
                head.compression = text(value).and_then(Compression::from_name).ok_or_else(|| {
                    Status::internal(format!(
                        "the server compressed with {:?}, which was not offered",
                        String::from_utf8_lossy(value)
                    ))
                })?;
            }
            b"grpc-accept-encoding" => {
                head.accepts = Some(CompressionSet::from_list(text(value).unwrap_or_default()));
            }
            _ => read_metadata(&mut head.metadata, name, value)?,
        }
    }
    Ok(head)
}

/// Reads trailers, or a Trailers-Only block, into the status of the call and its trailing metadata.
pub(crate) fn parse_trailers(headers: &Headers, kind: &'static [u8]) -> (Status, Metadata) {
    let mut metadata = Metadata::new();
    let mut code = None;
    let mut message = String::new();
    let mut details = Vec::new();
    for (name, value) in headers.iter() {
        match name {
            b"grpc-status" => code = Some(text(value).and_then(|text| text.parse().ok())),
            b"grpc-message" => message = lossy(percent_decode(value)),
            b"grpc-status-details-bin" => details = decode_base64(value).unwrap_or_default(),
            _ => {
                // A value that cannot be read must not hide the status.
                let _ = read_metadata(&mut metadata, name, value);
            }
        }
    }
    let Some(code) = code else {
        let status = check_http(headers, kind).err().unwrap_or_else(|| {
            Status::unknown("the server ended the stream without grpc-status: it is not a gRPC server, or broke off")
        });
        return (status, metadata);
    };
    let Some(code) = code else {
        return (Status::unknown("grpc-status is not a number"), metadata);
    };
    let status = Status::new(Code::from_number(code), message);
    let status = rich_status::decode_details(&details).into_iter().fold(status, Status::with_detail);
    (status, metadata)
}

/// The status of a call whose stream was reset.
pub(crate) fn status_of_reset(reason: Reason, by_peer: bool) -> Status {
    let who = if by_peer { "the peer" } else { "this side" };
    let code = match reason {
        Reason::CANCEL => Code::Cancelled,
        Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        Reason::REFUSED_STREAM => Code::Unavailable,
        _ => Code::Internal,
    };
    Status::new(code, format!("the stream was reset by {who}: {reason}"))
}

/// The reason with which a client resets a stream it no longer wants.
pub(crate) const CANCEL: Reason = Reason::CANCEL;

/// The content type of gRPC's messages in a codec.
pub(crate) fn content_type(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::Json => b"application/grpc+json",
        Codec::Proto => b"application/grpc",
    }
}

/// Refuses an answer that is not gRPC, with the status the table of the gRPC project gives it.
fn check_http(headers: &Headers, kind: &[u8]) -> Result<(), Status> {
    let status = headers.find(b":status").unwrap_or(b"200");
    let content_type = headers.find(b"content-type").unwrap_or_default();
    if status == b"200" {
        if codec_behind(content_type, kind).is_some() || headers.find(b":status").is_none() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(content_type);
        return Err(Status::unknown(format!("the answer is not gRPC: its content-type is {found:?}")));
    }
    Err(status_of_http(status))
}

/// The status of a call that was answered by HTTP alone.
pub(crate) fn status_of_http(status: &[u8]) -> Status {
    let code = match status {
        b"400" => Code::Internal,
        b"401" => Code::Unauthenticated,
        b"403" => Code::PermissionDenied,
        b"404" => Code::Unimplemented,
        b"429" | b"502" | b"503" | b"504" => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("the server answered with HTTP status {}", String::from_utf8_lossy(status)))
}

fn malformed(name: &'static str) -> Status {
    Status::internal(format!("{name} is malformed"))
}

/// What is said about a compression that is not accepted here.
pub(crate) fn unknown_compression(field: &str, value: &[u8], accepted: CompressionSet) -> Status {
    let name = String::from_utf8_lossy(value);
    Status::unimplemented(format!("{field} {name:?} is not supported here; these are: {accepted}"))
}

/// `TimeoutValue TimeoutUnit`: at most eight digits and one of `H M S m u n`.
pub(crate) fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (&unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The timeout in the finest unit that eight digits hold, rounded up so that it never becomes shorter.
fn format_timeout(timeout: Duration) -> String {
    const DIGITS_MAX: u128 = 99_999_999;
    let nanos = timeout.as_nanos();
    for (unit, nanos_each) in [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', 1_000_000_000), ('M', 60_000_000_000)] {
        let number = nanos.div_ceil(nanos_each);
        if number <= DIGITS_MAX {
            return format!("{number}{unit}");
        }
    }
    format!("{}H", nanos.div_ceil(3_600_000_000_000).min(DIGITS_MAX))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use polywire_core::Detail;

    use super::*;

    fn request(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        headers.push(b":method", b"POST");
        headers.push(b":path", b"/a.B/C");
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    #[test]
    fn timeouts_of_every_unit_are_read_and_bad_ones_refused() {
        for (text, nanos) in
            [("1H", 3_600_000_000_000), ("2M", 120_000_000_000), ("3S", 3_000_000_000), ("4m", 4_000_000)]
        {
            assert_eq!(parse_timeout(text.as_bytes()), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(parse_timeout(b"99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "1", "123456789S", "-1S", "1 S", "1s", "1.5S"] {
            assert_eq!(parse_timeout(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_written_timeout_is_never_shorter_and_hardly_longer() {
        for nanos in [0, 1, 99_999_999, 100_000_000, 123_456_789_012, 9_999_999_999_999_999, u64::MAX] {
            let timeout = Duration::from_nanos(nanos);
            let read = parse_timeout(format_timeout(timeout).as_bytes()).unwrap();
            assert!(read >= timeout, "{timeout:?} became {read:?}");
            assert!(read.as_nanos() - timeout.as_nanos() <= timeout.as_nanos() / 50_000, "{timeout:?} became {read:?}");
        }
    }

    #[test]
    fn a_request_is_read_into_its_head() {
        let headers = request(&[
            (":authority", "host"),
            ("content-type", "application/grpc+json; charset=utf-8"),
            ("grpc-timeout", "5S"),
            ("grpc-encoding", "gzip"),
            ("grpc-accept-encoding", "gzip, zstd,lzma"),
            ("x-a", "1"),
            ("x-b-bin", "AAE=,Ag"),
            ("te", "trailers"),
        ]);
        let head = parse_request(&headers, Codec::Json, Protocol::Grpc, CompressionSet::ALL).unwrap();
        assert_eq!((head.path.as_str(), head.authority.as_str(), head.codec), ("/a.B/C", "host", Codec::Json));
        assert_eq!((head.timeout, head.compression), (Some(Duration::from_secs(5)), Compression::Gzip));
        assert!(head.accepts.contains(Compression::Zstd) && !head.accepts.contains(Compression::Brotli));
        let bins: Vec<_> = head.metadata.all("x-b-bin").map(|value| value.as_bytes().to_vec()).collect();
        assert_eq!(bins, [vec![0, 1], vec![2]]);
        assert_eq!((head.metadata.get("x-a"), head.metadata.len()), (Some("1"), 3));
    }

    #[test]
    fn content_types_name_their_codec() {
        assert_eq!(codec_of(b"application/grpc"), Some(Codec::Proto));
        assert_eq!(codec_of(b"Application/gRPC+json; charset=utf-8"), Some(Codec::Json));
        for other in ["", "text/plain", "application/grpcx", "application/grpc-web", "application/grpc+xml"] {
            assert_eq!(codec_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused_with_a_status() {
        for (name, value, code) in [
            ("grpc-timeout", "soon", Code::Internal),
            ("grpc-encoding", "lzma", Code::Unimplemented),
            ("x-bin", "*", Code::Internal),
        ] {
            let headers = request(&[("content-type", "application/grpc"), (name, value)]);
            let refused = parse_request(&headers, Codec::Proto, Protocol::Grpc, CompressionSet::ALL);
            assert_eq!(refused.unwrap_err().code(), code, "{name}");
        }
    }

    #[test]
    fn a_status_with_details_survives_the_way_there_and_back() {
        let status = Status::not_found("no such \u{e9}")
            .with_detail(Detail { type_url: "type.googleapis.com/a.B".into(), value: Bytes::from_static(b"\x08\x01") });
        let mut trailing = Metadata::new();
        trailing.append_bin("x-bin", &[1, 2, 3]).unwrap();
        let mut fields = Headers::new();
        write_status(&mut fields, &status, &trailing);
        let (read, metadata) = parse_trailers(&fields, KIND);
        assert_eq!((read, metadata), (status, trailing));
    }

    #[test]
    fn an_answer_that_is_not_grpc_gets_the_code_of_its_http_status() {
        for (status, code) in [
            ("401", Code::Unauthenticated),
            ("404", Code::Unimplemented),
            ("503", Code::Unavailable),
            ("431", Code::Unknown),
            ("302", Code::Unknown),
        ] {
            let mut headers = Headers::new();
            headers.push(b":status", status.as_bytes());
            headers.push(b"content-type", b"text/html");
            assert_eq!(parse_response(&headers, KIND).unwrap_err().code(), code, "{status}");
            assert_eq!(parse_trailers(&headers, KIND).0.code(), code, "{status}");
        }
    }
}
