//! The Connect protocol: a call as an ordinary HTTP request where it can be one, envelopes where it streams.
//!
//! Follows the protocol reference of the Connect project. A unary call is a POST (or, without side effects, a GET) whose body
//! is the bare message and whose HTTP status says how it ended; a streaming call is always 200, and its status comes as JSON
//! in a last envelope.

use std::time::Duration;

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{BufMut, Bytes, BytesMut};
use polywire_core::{
    Code, Codec, Compression, CompressionSet, Detail, Message, Metadata, Protocol, RequestHead, Status,
};
use serde_json::{Map, Value, json};

use super::{
    RequestOptions, ResponseHead,
    code_names::{code_from_name, code_name},
    fields::{
        BASE64, decode_base64, lossy, media_type, percent_decode, query_encode, read_metadata, text, write_metadata,
    },
    grpc::{status_of_http, unknown_compression},
};
use crate::wire::Headers;

/// The flag of the envelope that ends a stream.
pub(crate) const FLAG_END: u8 = 0x02;

/// Longest timeout that ten digits of milliseconds say.
const TIMEOUT_MS_MAX: u128 = 9_999_999_999;

/// Most details that are read from one error.
const DETAILS_MAX: usize = 64;

/// Base64 for URLs: sent without padding, accepted with and without.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The codec of a unary call's content type.
pub(crate) fn unary_codec(content_type: &[u8]) -> Option<Codec> {
    let kind = media_type(content_type);
    if kind.eq_ignore_ascii_case(b"application/proto") {
        Some(Codec::Proto)
    } else if kind.eq_ignore_ascii_case(b"application/json") {
        Some(Codec::Json)
    } else {
        None
    }
}

/// The codec of a streaming call's content type.
pub(crate) fn streaming_codec(content_type: &[u8]) -> Option<Codec> {
    let kind = media_type(content_type);
    if kind.eq_ignore_ascii_case(b"application/connect+proto") {
        Some(Codec::Proto)
    } else if kind.eq_ignore_ascii_case(b"application/connect+json") {
        Some(Codec::Json)
    } else {
        None
    }
}

fn unary_content_type(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::Json => b"application/json",
        Codec::Proto => b"application/proto",
    }
}

/// The content type of a streaming call's messages.
pub(crate) fn streaming_content_type(codec: Codec) -> &'static [u8] {
    match codec {
        Codec::Json => b"application/connect+json",
        Codec::Proto => b"application/connect+proto",
    }
}

/// Reads the headers of a request by POST.
pub(crate) fn parse_request(
    headers: &Headers,
    codec: Codec,
    streaming: bool,
    accepted: CompressionSet,
) -> Result<RequestHead, Status> {
    let (encoding, accept): (&[u8], &[u8]) = if streaming {
        (b"connect-content-encoding", b"connect-accept-encoding")
    } else {
        (b"content-encoding", b"accept-encoding")
    };
    let mut head = RequestHead { codec, protocol: Protocol::Connect, ..RequestHead::default() };
    for (name, value) in headers.iter() {
        match name {
            b":path" => {
                let path = value.split(|&byte| byte == b'?').next().unwrap_or_default();
                head.path = text(path).ok_or_else(|| malformed(":path"))?.to_owned();
            }
            b":authority" => head.authority = text(value).ok_or_else(|| malformed(":authority"))?.to_owned(),
            b"connect-timeout-ms" => head.timeout = Some(parse_timeout(value)?),
            b"connect-protocol-version" if value != b"1" => {
                let version = String::from_utf8_lossy(value);
                let text = format!("connect-protocol-version must be \"1\", it is {version:?}");
                return Err(Status::invalid_argument(text));
            }
            name if name == encoding => head.compression = parse_compression(name, value, accepted)?,
            name if name == accept => head.accepts = CompressionSet::from_list(text(value).unwrap_or_default()),
            _ => read_metadata(&mut head.metadata, name, value)?,
        }
    }
    Ok(head)
}

/// Whether a GET is a call, by its query.
pub(crate) fn is_get(headers: &Headers) -> bool {
    let (_, query) = split_path(headers);
    let mut names = parameters(query).map(|(name, _)| name);
    names.any(|name| matches!(name, b"connect" | b"encoding" | b"message"))
}

/// Reads a request by GET into its head and its one message.
///
/// The error comes with the codec that was asked for, as far as it could be read.
pub(crate) fn parse_get(headers: &Headers, accepted: CompressionSet) -> Result<(RequestHead, Message), Status> {
    let (path, query) = split_path(headers);
    let (mut codec, mut message, mut is_base64, mut compression) = (None, None, false, Compression::Identity);
    for (name, value) in parameters(query) {
        let value = percent_decode(&plus_to_space(value));
        match name {
            b"encoding" => {
                codec = Some(match value.as_slice() {
                    b"json" => Codec::Json,
                    b"proto" => Codec::Proto,
                    other => {
                        let name = String::from_utf8_lossy(other);
                        let text = format!("encoding {name:?} is not supported here; these are: json, proto");
                        return Err(Status::invalid_argument(text));
                    }
                });
            }
            b"message" => message = Some(value),
            b"base64" => is_base64 = value == b"1",
            b"compression" => compression = parse_compression(b"compression", &value, accepted)?,
            b"connect" if value != b"v1" => {
                let version = lossy(value);
                return Err(Status::invalid_argument(format!("connect must be \"v1\", it is {version:?}")));
            }
            _ => {}
        }
    }
    let codec = codec.ok_or_else(|| missing("encoding"))?;
    let mut message = message.ok_or_else(|| missing("message"))?;
    if is_base64 {
        message = BASE64_URL
            .decode(&message)
            .or_else(|_| BASE64.decode(&message))
            .map_err(|_| Status::invalid_argument("the parameter `message` is not base64"))?;
    }
    let mut head = parse_request(headers, codec, false, accepted)?;
    head.path = text(path).ok_or_else(|| malformed(":path"))?.to_owned();
    head.query = lossy(query.to_vec());
    head.get = true;
    head.unary = true;
    head.compression = compression;
    let compression = if message.is_empty() { Compression::Identity } else { compression };
    Ok((head, Message { bytes: message.into(), compression }))
}

fn split_path(headers: &Headers) -> (&[u8], &[u8]) {
    let path = headers.find(b":path").unwrap_or_default();
    match path.iter().position(|&byte| byte == b'?') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (path, b""),
    }
}

fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        (&pair[..at], pair.get(at + 1..).unwrap_or_default())
    })
}

fn plus_to_space(value: &[u8]) -> Vec<u8> {
    value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect()
}

fn parse_compression(field: &[u8], value: &[u8], accepted: CompressionSet) -> Result<Compression, Status> {
    if value.is_empty() {
        return Ok(Compression::Identity);
    }
    text(value)
        .and_then(Compression::from_name)
        .filter(|&compression| accepted.contains(compression))
        .ok_or_else(|| unknown_compression(&String::from_utf8_lossy(field), value, accepted))
}

fn parse_timeout(value: &[u8]) -> Result<Duration, Status> {
    let digits = !value.is_empty() && value.len() <= 10 && value.iter().all(u8::is_ascii_digit);
    let number = digits.then(|| text(value)?.parse().ok()).flatten();
    let number = number.ok_or_else(|| {
        Status::invalid_argument("connect-timeout-ms is malformed: it is at most ten digits of milliseconds")
    })?;
    Ok(Duration::from_millis(number))
}

fn malformed(name: &'static str) -> Status {
    Status::invalid_argument(format!("{name} is malformed"))
}

fn missing(name: &'static str) -> Status {
    Status::invalid_argument(format!("the query has no parameter `{name}`"))
}

/// The HTTP status of a unary call that ended so.
pub(crate) const fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unauthenticated => 401,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

/// The headers of a unary response. The body is the message, or the error that [`error_body`] writes.
pub(crate) fn unary_response(
    http_status: u16,
    codec: Codec,
    compression: Compression,
    accepts: CompressionSet,
    body_bytes: usize,
    leading: &Metadata,
    trailing: &Metadata,
) -> Headers {
    let mut headers = Headers::new();
    headers.push(b":status", http_status.to_string());
    headers.push(b"content-type", unary_content_type(codec));
    if compression != Compression::Identity {
        headers.push(b"content-encoding", compression.name());
    }
    if accepts != CompressionSet::NONE {
        headers.push(b"accept-encoding", accepts.to_string());
    }
    headers.push(b"content-length", body_bytes.to_string());
    write_metadata(&mut headers, b"", leading);
    write_metadata(&mut headers, b"trailer-", trailing);
    headers
}

/// An error as JSON.
pub(crate) fn error_body(status: &Status) -> Bytes {
    error_value(status).to_string().into()
}

fn error_value(status: &Status) -> Value {
    let mut error = Map::new();
    error.insert("code".into(), code_name(status.code()).into());
    if !status.message().is_empty() {
        error.insert("message".into(), status.message().into());
    }
    if !status.details().is_empty() {
        let details = status.details().iter().map(|detail| {
            let name = detail.type_url.rsplit('/').next().unwrap_or_default();
            json!({ "type": name, "value": BASE64.encode(&detail.value) })
        });
        error.insert("details".into(), details.collect());
    }
    Value::Object(error)
}

/// The headers of a streaming response.
pub(crate) fn streaming_response(codec: Codec, compression: Compression, accepts: CompressionSet) -> Headers {
    let mut headers = Headers::new();
    headers.push(b":status", b"200");
    headers.push(b"content-type", streaming_content_type(codec));
    if compression != Compression::Identity {
        headers.push(b"connect-content-encoding", compression.name());
    }
    if accepts != CompressionSet::NONE {
        headers.push(b"connect-accept-encoding", accepts.to_string());
    }
    headers
}

/// The end of a streaming response: the status in its envelope.
pub(crate) fn end_of_stream(status: &Status, trailing: &Metadata) -> Bytes {
    let mut end = Map::new();
    if !status.is_ok() {
        end.insert("error".into(), error_value(status));
    }
    if !trailing.is_empty() {
        let mut metadata = Map::new();
        for (key, value) in trailing {
            let value = if key.ends_with("-bin") {
                BASE64.encode(value.as_bytes())
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            let values = metadata.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(value.into());
            }
        }
        end.insert("metadata".into(), Value::Object(metadata));
    }
    let end = Value::Object(end).to_string();
    let mut body = BytesMut::with_capacity(5 + end.len());
    body.put_u8(FLAG_END);
    body.put_u32(end.len() as u32);
    body.extend_from_slice(end.as_bytes());
    body.freeze()
}

/// The fixed part of a unary request by POST.
pub(crate) fn unary_request_fixed(options: &RequestOptions) -> Headers {
    let mut headers = Headers::new();
    super::grpc::write_target(&mut headers, options);
    headers.push(b"content-type", unary_content_type(options.codec));
    write_common(&mut headers, options, b"accept-encoding");
    headers
}

/// The fixed part of a streaming request.
pub(crate) fn streaming_request_fixed(options: &RequestOptions) -> Headers {
    let mut headers = Headers::new();
    super::grpc::write_target(&mut headers, options);
    headers.push(b"content-type", streaming_content_type(options.codec));
    if options.compression != Compression::Identity {
        headers.push(b"connect-content-encoding", options.compression.name());
    }
    write_common(&mut headers, options, b"connect-accept-encoding");
    // Without this an HTTP library in between might compress the whole body once more.
    headers.push(b"accept-encoding", b"identity");
    headers
}

fn write_common(headers: &mut Headers, options: &RequestOptions, accept: &[u8]) {
    headers.push(b"user-agent", options.user_agent.as_bytes());
    headers.push(b"connect-protocol-version", b"1");
    if options.accepts != CompressionSet::NONE {
        headers.push(accept, options.accepts.to_string());
    }
}

/// The variable part of a request; `None` when there is nothing to say.
pub(crate) fn request_extra(timeout: Option<Duration>, metadata: &Metadata) -> Option<Headers> {
    if timeout.is_none() && metadata.is_empty() {
        return None;
    }
    let mut extra = Headers::new();
    if let Some(timeout) = timeout {
        let millis = timeout.as_nanos().div_ceil(1_000_000).min(TIMEOUT_MS_MAX);
        extra.push(b"connect-timeout-ms", millis.to_string());
    }
    write_metadata(&mut extra, b"", metadata);
    Some(extra)
}

/// All headers of a request by GET: the message stands in the path.
pub(crate) fn request_by_get(options: &RequestOptions, message: &[u8], compression: Compression) -> Headers {
    let mut path = format!("{}?connect=v1&encoding={}", options.path, options.codec.name());
    if compression != Compression::Identity {
        path.push_str("&compression=");
        path.push_str(compression.name());
    }
    match std::str::from_utf8(message) {
        Ok(text) if options.codec == Codec::Json && compression == Compression::Identity => {
            path.push_str("&message=");
            path.push_str(&query_encode(text));
        }
        _ => {
            path.push_str("&base64=1&message=");
            path.push_str(&BASE64_URL.encode(message));
        }
    }
    let mut headers = Headers::new();
    headers.push(b":method", b"GET");
    headers.push(b":scheme", options.scheme.as_bytes());
    headers.push(b":path", path);
    headers.push(b":authority", options.authority.as_bytes());
    headers.push(b"user-agent", options.user_agent.as_bytes());
    if options.accepts != CompressionSet::NONE {
        headers.push(b"accept-encoding", options.accepts.to_string());
    }
    headers
}

/// What the headers of a unary response say.
#[derive(Debug)]
pub(crate) enum UnaryResponse {
    /// The body is the message.
    Message { head: ResponseHead, trailing: Metadata },
    /// The body is an error as JSON; without one that can be read, this status holds.
    Error { head: ResponseHead, trailing: Metadata, fallback: Status },
}

/// Reads the headers of a unary response; `accepted` is what was offered for its compression.
pub(crate) fn parse_unary_response(
    headers: &Headers,
    codec: Codec,
    accepted: CompressionSet,
) -> Result<UnaryResponse, Status> {
    let mut head = ResponseHead::default();
    let mut trailing = Metadata::new();
    for (name, value) in headers.iter() {
        match name {
            b"content-encoding" => head.compression = parse_response_compression(value, accepted)?,
            b"accept-encoding" => head.accepts = Some(CompressionSet::from_list(text(value).unwrap_or_default())),
            _ => match name.strip_prefix(b"trailer-") {
                Some(name) => read_metadata(&mut trailing, name, value)?,
                None => read_metadata(&mut head.metadata, name, value)?,
            },
        }
    }
    let status = headers.find(b":status").unwrap_or(b"200");
    let content_type = headers.find(b"content-type").unwrap_or_default();
    if status != b"200" {
        let fallback = status_of_http(status);
        return match unary_codec(content_type) {
            Some(Codec::Json) => Ok(UnaryResponse::Error { head, trailing, fallback }),
            _ => Err(fallback),
        };
    }
    if unary_codec(content_type) != Some(codec) {
        return Err(unexpected_content_type(content_type, streaming_codec(content_type).is_some()));
    }
    Ok(UnaryResponse::Message { head, trailing })
}

/// Reads the headers of a streaming response.
pub(crate) fn parse_streaming_response(
    headers: &Headers,
    codec: Codec,
    accepted: CompressionSet,
) -> Result<ResponseHead, Status> {
    let status = headers.find(b":status").unwrap_or(b"200");
    if status != b"200" {
        return Err(status_of_http(status));
    }
    let content_type = headers.find(b"content-type").unwrap_or_default();
    if streaming_codec(content_type) != Some(codec) {
        return Err(unexpected_content_type(content_type, unary_codec(content_type).is_some()));
    }
    let mut head = ResponseHead::default();
    for (name, value) in headers.iter() {
        match name {
            b"connect-content-encoding" => head.compression = parse_response_compression(value, accepted)?,
            b"connect-accept-encoding" => {
                head.accepts = Some(CompressionSet::from_list(text(value).unwrap_or_default()));
            }
            _ => read_metadata(&mut head.metadata, name, value)?,
        }
    }
    Ok(head)
}

fn parse_response_compression(value: &[u8], accepted: CompressionSet) -> Result<Compression, Status> {
    if value.is_empty() {
        return Ok(Compression::Identity);
    }
    let known = text(value).and_then(Compression::from_name).filter(|&compression| accepted.contains(compression));
    known.ok_or_else(|| {
        let name = String::from_utf8_lossy(value);
        Status::internal(format!("the server compressed with {name:?}, which was not offered"))
    })
}

fn unexpected_content_type(content_type: &[u8], is_connect: bool) -> Status {
    let found = String::from_utf8_lossy(content_type);
    let text = format!("the answer has an unexpected content-type: {found:?}");
    if is_connect || content_type.starts_with(b"application/connect+") || unary_codec(content_type).is_some() {
        Status::internal(text)
    } else {
        Status::unknown(text)
    }
}

/// Reads an error's body; `fallback` holds where it says nothing.
pub(crate) fn parse_error(body: &[u8], fallback: Status) -> Status {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(error)) => status_of(&error, fallback.code()),
        _ => fallback,
    }
}

/// Reads the last envelope of a stream.
pub(crate) fn parse_end(body: &[u8]) -> (Status, Metadata) {
    let malformed =
        |why: &str| (Status::internal(format!("the end of the stream is malformed: {why}")), Metadata::new());
    let Ok(Value::Object(end)) = serde_json::from_slice::<Value>(body) else {
        return malformed("it is not a JSON object");
    };
    let mut trailing = Metadata::new();
    match end.get("metadata") {
        None | Some(Value::Null) => {}
        Some(Value::Object(entries)) => {
            for (key, values) in entries {
                let key = key.to_ascii_lowercase();
                let Value::Array(values) = values else { return malformed("metadata is not lists of text") };
                for value in values {
                    let Value::String(value) = value else { return malformed("metadata is not lists of text") };
                    if let Err(status) = read_metadata(&mut trailing, key.as_bytes(), value.as_bytes()) {
                        return (status, Metadata::new());
                    }
                }
            }
        }
        Some(_) => return malformed("metadata is not an object"),
    }
    let status = match end.get("error") {
        None | Some(Value::Null) => Status::ok(),
        Some(Value::Object(error)) => status_of(error, Code::Unknown),
        Some(_) => return malformed("error is not an object"),
    };
    (status, trailing)
}

/// The status that an error object says; `fallback` is its code when it names none that is known.
fn status_of(error: &Map<String, Value>, fallback: Code) -> Status {
    let code = match error.get("code") {
        Some(Value::String(name)) => code_from_name(name).filter(|&code| code != Code::Ok),
        _ => None,
    };
    let message = match error.get("message") {
        Some(Value::String(message)) => message.clone(),
        _ => String::new(),
    };
    let mut status = Status::new(code.unwrap_or(fallback), message);
    if let Some(Value::Array(details)) = error.get("details") {
        for detail in details.iter().take(DETAILS_MAX) {
            let (Some(Value::String(name)), Some(Value::String(value))) = (detail.get("type"), detail.get("value"))
            else {
                continue;
            };
            let Some(value) = decode_base64(value.as_bytes()) else { continue };
            let type_url = if name.contains('/') { name.clone() } else { format!("type.googleapis.com/{name}") };
            status = status.with_detail(Detail { type_url, value: value.into() });
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> RequestOptions {
        RequestOptions { path: "/a.B/C".into(), codec: Codec::Json, ..RequestOptions::default() }
    }

    #[test]
    fn a_get_carries_its_message_in_the_query() {
        for (codec, message, compression) in [
            (Codec::Json, &br#"{"a":"b c+&"}"#[..], Compression::Identity),
            (Codec::Proto, &[0, 255, 1], Compression::Identity),
            (Codec::Proto, &[], Compression::Identity),
            (Codec::Json, &[7, 8], Compression::Gzip),
        ] {
            let headers = request_by_get(&RequestOptions { codec, ..options() }, message, compression);
            assert!(is_get(&headers));
            let (head, read) = parse_get(&headers, CompressionSet::ALL).unwrap();
            assert_eq!((head.path.as_str(), head.codec), ("/a.B/C", codec));
            assert_eq!((&read.bytes[..], read.compression), (message, compression));
        }
    }

    #[test]
    fn an_error_survives_the_way_there_and_back() {
        let status = Status::not_found("no such \u{e9} \"x\"")
            .with_detail(Detail { type_url: "type.googleapis.com/a.B".into(), value: Bytes::from_static(b"\x08\x01") });
        assert_eq!(parse_error(&error_body(&status), Status::unknown("?")), status);
        let mut trailing = Metadata::new();
        trailing.append_bin("x-bin", &[1, 2, 3]).unwrap();
        trailing.append("x-a", "1").unwrap();
        trailing.append("x-a", "2").unwrap();
        let end = end_of_stream(&status, &trailing);
        let (read, metadata) = parse_end(&end[5..]);
        assert_eq!(read, status);
        assert_eq!(metadata.all("x-a").count(), 2);
        assert_eq!(metadata.len(), 3);
    }

    #[test]
    fn an_end_that_is_malformed_is_internal() {
        for bad in ["", "[]", "{\"error\":3}", "{\"metadata\":3}", "{\"metadata\":{\"a\":\"b\"}}"] {
            assert_eq!(parse_end(bad.as_bytes()).0.code(), Code::Internal, "{bad}");
        }
    }

    #[test]
    fn an_end_whose_error_has_no_code_is_unknown_with_its_message() {
        for code in ["", "\"code\":null,", "\"code\":\"nope\",", "\"code\":\"ok\",", "\"code\":5,"] {
            let end = format!("{{\"error\":{{{code}\"message\":\"m\"}}}}");
            assert_eq!(parse_end(end.as_bytes()).0, Status::unknown("m"), "{end}");
        }
        assert!(parse_end(b"{\"error\":null}").0.is_ok());
    }

    #[test]
    fn an_error_without_a_code_has_that_of_its_http_status() {
        let status = parse_error(b"{\"message\":\"m\"}", status_of_http(b"503"));
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "m"));
        assert_eq!(parse_error(b"<html>", status_of_http(b"404")).code(), Code::Unimplemented);
    }

    #[test]
    fn timeouts_are_milliseconds_of_at_most_ten_digits() {
        assert_eq!(parse_timeout(b"9999999999"), Ok(Duration::from_millis(9_999_999_999)));
        for bad in ["", "-1", "1.5", "12345678901", "1s"] {
            assert!(parse_timeout(bad.as_bytes()).is_err(), "{bad}");
        }
        let extra = request_extra(Some(Duration::from_micros(1500)), &Metadata::new()).unwrap();
        assert_eq!(extra.find(b"connect-timeout-ms"), Some(&b"2"[..]));
    }
}
