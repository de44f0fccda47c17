//! gRPC over HTTP/2: how a call is written on a stream.
//!
//! Follows PROTOCOL-HTTP2 of the gRPC project. The only file that knows how gRPC spells a method, a timeout or a status.

use std::{sync::Arc, time::Duration};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use polywire_core::{Code, Codec, Compression, CompressionSet, Metadata, Protocol, RequestHead, Status, Wire};

use super::{RequestOptions, ResponseHead, rich_status};
use crate::wire::{Headers, Reason};

/// Base64 as gRPC wants it: sent without padding, accepted with and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a server answers to a request that is not a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not gRPC at all: an HTTP status and a text for the person who reads it.
    Http { status: u16, text: &'static str },
    /// gRPC, but not understood.
    Status(Status),
}

/// Reads the headers of a request.
pub(crate) fn parse_request(headers: &Headers, accepted: CompressionSet) -> Result<RequestHead, Refusal> {
    let content_type = headers.find(b"content-type").unwrap_or_default();
    let Some(codec) = parse_content_type(content_type) else {
        return Err(Refusal::Http {
            status: 415,
            text: "This port speaks gRPC: POST /package.Service/Method with content-type application/grpc.\n",
        });
    };
    if headers.find(b":method") != Some(b"POST") {
        return Err(Refusal::Http { status: 405, text: "A gRPC call is made by POST.\n" });
    }
    let mut head = RequestHead { codec, protocol: Protocol::Grpc, wire: Wire::Http2, ..RequestHead::default() };
    for (name, value) in headers.iter() {
        match name {
            b":path" => head.path = ascii(value).ok_or_else(|| malformed(":path"))?.to_owned(),
            b":authority" => head.authority = ascii(value).ok_or_else(|| malformed(":authority"))?.to_owned(),
            b"grpc-timeout" => head.timeout = Some(parse_timeout(value).ok_or_else(|| malformed("grpc-timeout"))?),
            b"grpc-encoding" => {
                head.compression = ascii(value)
                    .and_then(Compression::from_name)
                    .filter(|&compression| accepted.contains(compression))
                    .ok_or_else(|| Refusal::Status(unknown_compression(value, accepted)))?;
            }
            b"grpc-accept-encoding" => head.accepts = CompressionSet::from_list(ascii(value).unwrap_or_default()),
            _ => read_metadata(&mut head.metadata, name, value).map_err(Refusal::Status)?,
        }
    }
    Ok(head)
}

/// The fixed part of a request as gRPC writes it.
pub(crate) fn request_fixed(options: &RequestOptions) -> Headers {
    let mut headers = Headers::new();
    headers.push(b":method", b"POST");
    headers.push(b":scheme", options.scheme.as_bytes());
    headers.push(b":path", options.path.as_bytes());
    headers.push(b":authority", options.authority.as_bytes());
    headers.push(b"te", b"trailers");
    headers.push(b"content-type", content_type(options.codec));
    headers.push(b"user-agent", options.user_agent.as_bytes());
    if options.compression != Compression::Identity {
        headers.push(b"grpc-encoding", options.compression.name().as_bytes());
    }
    if options.accepts != CompressionSet::NONE {
        headers.push(b"grpc-accept-encoding", options.accepts.to_string().as_bytes());
    }
    headers
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
    write_metadata(&mut extra, metadata);
    Some(extra)
}

/// The blocks a server sends again and again, made once.
#[derive(Debug)]
pub(crate) struct Templates {
    /// By codec, then by compression.
    heads: [[Arc<Headers>; 6]; 2],
    trailers_ok: Arc<Headers>,
    nothing: Arc<Headers>,
}

impl Templates {
    pub(crate) fn new(accepted: CompressionSet) -> Self {
        let head = |codec: Codec, compression: Compression| {
            let mut headers = Headers::new();
            headers.push(b":status", b"200");
            headers.push(b"content-type", content_type(codec));
            if compression != Compression::Identity {
                headers.push(b"grpc-encoding", compression.name().as_bytes());
            }
            if accepted != CompressionSet::NONE {
                headers.push(b"grpc-accept-encoding", accepted.to_string().as_bytes());
            }
            Arc::new(headers)
        };
        let mut trailers_ok = Headers::new();
        trailers_ok.push(b"grpc-status", b"0");
        Self {
            heads: [Codec::Proto, Codec::Json]
                .map(|codec| Compression::ALL.map(|compression| head(codec, compression))),
            trailers_ok: Arc::new(trailers_ok),
            nothing: Arc::default(),
        }
    }

    /// The fixed part of a response's headers.
    pub(crate) fn head(&self, codec: Codec, compression: Compression) -> &Arc<Headers> {
        &self.heads[usize::from(codec == Codec::Json)][compression as usize]
    }

    /// The fixed part of a block that has none.
    pub(crate) fn nothing(&self) -> &Arc<Headers> {
        &self.nothing
    }

    /// The trailers of success without metadata.
    pub(crate) fn trailers_ok(&self) -> &Arc<Headers> {
        &self.trailers_ok
    }
}

/// Metadata as extra fields of a block; `None` when there are none.
pub(crate) fn metadata_extra(metadata: &Metadata) -> Option<Headers> {
    (!metadata.is_empty()).then(|| {
        let mut extra = Headers::new();
        write_metadata(&mut extra, metadata);
        extra
    })
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
    write_metadata(fields, trailing);
}

/// Reads the headers of a response that is not Trailers-Only.
///
/// An error is the status with which the call ends: the answer was not gRPC.
pub(crate) fn parse_response(headers: &Headers) -> Result<ResponseHead, Status> {
    check_http(headers)?;
    let mut head = ResponseHead::default();
    for (name, value) in headers.iter() {
        match name {
            b"grpc-encoding" => {
                head.compression = ascii(value).and_then(Compression::from_name).ok_or_else(|| {
                    Status::internal(format!(
                        "the server compressed with {:?}, which was not offered",
                        String::from_utf8_lossy(value)
                    ))
                })?;
            }
            b"grpc-accept-encoding" => {
                head.accepts = Some(CompressionSet::from_list(ascii(value).unwrap_or_default()));
            }
            _ => read_metadata(&mut head.metadata, name, value)?,
        }
    }
    Ok(head)
}

/// Reads trailers, or a Trailers-Only block, into the status of the call and its trailing metadata.
pub(crate) fn parse_trailers(headers: &Headers) -> (Status, Metadata) {
    let mut metadata = Metadata::new();
    let mut code = None;
    let mut message = String::new();
    let mut details = Vec::new();
    for (name, value) in headers.iter() {
        match name {
            b"grpc-status" => code = Some(ascii(value).and_then(|text| text.parse().ok())),
            b"grpc-message" => message = percent_decode(value),
            b"grpc-status-details-bin" => details = decode_base64(value).unwrap_or_default(),
            _ => {
                // A value that cannot be read must not hide the status.
                let _ = read_metadata(&mut metadata, name, value);
            }
        }
    }
    let Some(code) = code else {
        let status = check_http(headers).err().unwrap_or_else(|| {
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

fn content_type(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::Json => b"application/grpc+json",
        Codec::Proto => b"application/grpc",
    }
}

/// `application/grpc`, optionally with a codec, optionally with parameters; `None` for everything else.
fn parse_content_type(value: &[u8]) -> Option<Codec> {
    let kind = value.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/grpc") || kind.eq_ignore_ascii_case(b"application/grpc+proto") {
        Some(Codec::Proto)
    } else if kind.eq_ignore_ascii_case(b"application/grpc+json") {
        Some(Codec::Json)
    } else {
        None
    }
}

/// Refuses an answer that is not gRPC, with the status the table of the gRPC project gives it.
fn check_http(headers: &Headers) -> Result<(), Status> {
    let status = headers.find(b":status").unwrap_or(b"200");
    let content_type = headers.find(b"content-type").unwrap_or_default();
    if status == b"200" {
        if parse_content_type(content_type).is_some() || headers.find(b":status").is_none() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(content_type);
        return Err(Status::unknown(format!("the answer is not gRPC: its content-type is {found:?}")));
    }
    let code = match status {
        b"400" => Code::Internal,
        b"401" => Code::Unauthenticated,
        b"403" => Code::PermissionDenied,
        b"404" => Code::Unimplemented,
        b"429" | b"502" | b"503" | b"504" => Code::Unavailable,
        _ => Code::Unknown,
    };
    Err(Status::new(code, format!("the server answered with HTTP status {}", String::from_utf8_lossy(status))))
}

fn malformed(name: &'static str) -> Refusal {
    Refusal::Status(Status::internal(format!("{name} is malformed")))
}

fn unknown_compression(value: &[u8], accepted: CompressionSet) -> Status {
    let name = String::from_utf8_lossy(value);
    Status::unimplemented(format!("grpc-encoding {name:?} is not supported here; these are: {accepted}"))
}

fn ascii(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// Puts a field that belongs to the application into its metadata; the protocol's own are passed over.
fn read_metadata(metadata: &mut Metadata, name: &[u8], value: &[u8]) -> Result<(), Status> {
    if name.starts_with(b":") || (name.starts_with(b"grpc-") && !GRPC_FOR_APPLICATION.contains(&name)) {
        return Ok(());
    }
    if matches!(name, b"content-type" | b"te" | b"content-length" | b"connection" | b"transfer-encoding") {
        return Ok(());
    }
    let Some(key) = ascii(name) else { return Ok(()) };
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

/// Keys under the reserved prefix that applications and their tools read all the same.
const GRPC_FOR_APPLICATION: [&[u8]; 4] =
    [b"grpc-previous-rpc-attempts", b"grpc-retry-pushback-ms", b"grpc-tags-bin", b"grpc-trace-bin"];

fn write_metadata(headers: &mut Headers, metadata: &Metadata) {
    for (key, value) in metadata {
        let sensitive = matches!(key, "authorization" | "proxy-authorization" | "cookie" | "set-cookie");
        if key.ends_with("-bin") {
            headers.push(key.as_bytes(), BASE64.encode(value.as_bytes()).as_bytes());
        } else if sensitive {
            headers.push_sensitive(key.as_bytes(), value.as_bytes());
        } else {
            headers.push(key.as_bytes(), value.as_bytes());
        }
    }
}

fn decode_base64(value: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(value).ok()
}

/// `TimeoutValue TimeoutUnit`: at most eight digits and one of `H M S m u n`.
fn parse_timeout(value: &[u8]) -> Option<Duration> {
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

/// Bytes outside 0x20–0x7E, and the percent sign, as `%XX`.
fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, 0x20..=0x7e) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// Undoes [`percent_encode`]; a bad escape stays as it is, so that a message is never lost.
fn percent_decode(text: &[u8]) -> String {
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
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
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
    fn a_status_message_survives_any_text() {
        for text in ["", "plain", "100%", "\t\r\n line", "Ünïcödé \u{1f600}", "%41%zz"] {
            assert_eq!(percent_decode(percent_encode(text).as_bytes()), text);
        }
        assert_eq!(percent_decode(b"%zz%4"), "%zz%4");
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
        let head = parse_request(&headers, CompressionSet::ALL).unwrap();
        assert_eq!((head.path.as_str(), head.authority.as_str(), head.codec), ("/a.B/C", "host", Codec::Json));
        assert_eq!((head.timeout, head.compression), (Some(Duration::from_secs(5)), Compression::Gzip));
        assert!(head.accepts.contains(Compression::Zstd) && !head.accepts.contains(Compression::Brotli));
        let bins: Vec<_> = head.metadata.all("x-b-bin").map(|value| value.as_bytes().to_vec()).collect();
        assert_eq!(bins, [vec![0, 1], vec![2]]);
        assert_eq!((head.metadata.get("x-a"), head.metadata.len()), (Some("1"), 3));
    }

    #[test]
    fn what_is_not_grpc_is_refused_as_http_and_what_is_malformed_as_a_status() {
        for content_type in ["", "text/plain", "application/grpcx", "application/grpc-web"] {
            let refusal = parse_request(&request(&[("content-type", content_type)]), CompressionSet::ALL).unwrap_err();
            assert!(matches!(refusal, Refusal::Http { status: 415, .. }), "{content_type}");
        }
        for (name, value, code) in [
            ("grpc-timeout", "soon", Code::Internal),
            ("grpc-encoding", "lzma", Code::Unimplemented),
            ("x-bin", "*", Code::Internal),
        ] {
            let headers = request(&[("content-type", "application/grpc"), (name, value)]);
            let Err(Refusal::Status(status)) = parse_request(&headers, CompressionSet::ALL) else { panic!("{name}") };
            assert_eq!(status.code(), code, "{name}");
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
        let (read, metadata) = parse_trailers(&fields);
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
            assert_eq!(parse_response(&headers).unwrap_err().code(), code, "{status}");
            assert_eq!(parse_trailers(&headers).0.code(), code, "{status}");
        }
    }
}
