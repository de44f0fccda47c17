//! The client's side: a message as an HTTP request by its rule, and what comes back.

use std::borrow::Cow;

use bytes::Bytes;
use polywire_core::{
    Code, Detail, Metadata, MethodKind, PathTemplate, Segment, Status, Variable,
    http_rule::{Body, Cardinality, Field, FieldKind, HttpRule, MessageFields},
};

use super::{
    assemble::http_body,
    bindings::decode_base64,
    json,
    percent::{self, Slashes},
};
use crate::{
    protocol::{RequestOptions, fields},
    wire::Headers,
};

/// A message as the parts of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// The rule that was used.
    pub rule: &'static HttpRule,
    /// The path, with its query.
    pub path: String,
    /// The type of the body; `None` when there is no body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl ClientRequest {
    /// The verb: that of the rule, and POST where any will do.
    pub fn verb(&self) -> &'static str {
        match self.rule.verb {
            "*" => "POST",
            verb => verb,
        }
    }
}

/// Deepest message that is taken apart into query parameters.
const DEPTH_MAX: usize = 16;

/// Most details that are read from one status.
const DETAILS_MAX: usize = 64;

/// Reads the JSON object that stands for a detail of a status; `None` for a type it does not know.
pub type ReadDetail = fn(&[u8]) -> Option<Detail>;

/// Writes a message (JSON) by the first of a method's rules that it fits.
///
/// # Errors
/// When it fits none: the reason of the first.
pub fn client_request(rules: &'static [HttpRule], kind: MethodKind, message: &[u8]) -> Result<ClientRequest, Status> {
    let mut first_error = None;
    for rule in rules {
        let written = if kind.client_streams() { of_stream(rule) } else { by_rule(rule, message) };
        match written {
            Ok(request) => return Ok(request),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| {
        Status::unimplemented("this method has no HTTP rule (google.api.http), so it cannot be called as REST")
    }))
}

/// A message of the answer, from a whole body or a line of it, as the JSON of the response.
///
/// # Errors
/// When it is the error that ends a stream.
pub fn answer_message(
    rule: &HttpRule,
    content_type: &str,
    body: &Bytes,
    read_detail: Option<ReadDetail>,
) -> Result<Bytes, Status> {
    let wrapped = |name: &str, value: &[u8]| {
        let mut out = Vec::with_capacity(name.len() + value.len() + 8);
        out.push(b'{');
        json::write_text(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value);
        out.push(b'}');
        Bytes::from(out)
    };
    if rule.answers_raw() {
        let raw = http_body(body, content_type);
        return Ok(rule.response_body.map_or_else(|| Bytes::from(raw.clone()), |field| wrapped(field.json_name, &raw)));
    }
    if let Some(status) = error_in_stream(body, read_detail) {
        return Err(status);
    }
    Ok(match rule.response_body {
        None => body.clone(),
        Some(field) => wrapped(field.json_name, body),
    })
}

/// What the headers of an answer say.
#[derive(Debug, Default)]
pub(crate) struct AnswerHead {
    pub(crate) http_status: u16,
    pub(crate) content_type: String,
    pub(crate) leading: Metadata,
    pub(crate) trailing: Metadata,
}

/// Reads the headers of an answer.
pub(crate) fn answer_head(headers: &Headers) -> Result<AnswerHead, Status> {
    let mut head = AnswerHead::default();
    for (name, value) in headers.iter() {
        match name {
            b":status" => {
                head.http_status = fields::text(value).and_then(|text| text.parse().ok()).unwrap_or_default();
            }
            b"content-type" => head.content_type = fields::text(value).unwrap_or_default().to_owned(),
            b"content-encoding" if value != b"identity" => {
                return Err(Status::internal("the server compressed its answer, which nobody asked for"));
            }
            _ => {
                if let Some(key) = name.strip_prefix(b"grpc-trailer-") {
                    fields::read_metadata(&mut head.trailing, key, value)?;
                } else {
                    let key = name.strip_prefix(b"grpc-metadata-").unwrap_or(name);
                    fields::read_metadata(&mut head.leading, key, value)?;
                }
            }
        }
    }
    Ok(head)
}

/// The headers of a request. What the caller adds follows.
pub(crate) fn request_headers(options: &RequestOptions, request: &ClientRequest) -> Headers {
    let mut headers = Headers::new();
    headers.push(":method", request.verb());
    headers.push(":scheme", options.scheme);
    headers.push(":path", &request.path);
    headers.push(":authority", &options.authority);
    headers.push(
        "accept",
        match (request.rule.answers_raw(), options.kind.server_streams()) {
            (true, _) => "*/*",
            (false, true) => "application/x-ndjson",
            (false, false) => "application/json",
        },
    );
    if let Some(content_type) = &request.content_type {
        headers.push("content-type", content_type);
    }
    headers.push("user-agent", &options.user_agent);
    if request.content_type.is_some() && !options.kind.client_streams() {
        headers.push("content-length", request.body.len().to_string());
    }
    headers
}

/// The status that a response says whose HTTP status is not 200.
pub fn answer_status(http_status: u16, body: &[u8], read_detail: Option<ReadDetail>) -> Status {
    if let Some(status) = json::value(body).ok().and_then(|raw| read_status(raw, read_detail)) {
        return status;
    }
    let code = match http_status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        405 | 501 => Code::Unimplemented,
        409 => Code::Aborted,
        429 => Code::ResourceExhausted,
        499 => Code::Cancelled,
        500 => Code::Internal,
        502 | 503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Unknown,
    };
    Status::new(code, format!("the server answered with HTTP status {http_status}"))
}

/// A request whose body will be lines. Nothing is known of them when it begins, so nothing of them can stand in the path.
fn of_stream(rule: &'static HttpRule) -> Result<ClientRequest, Status> {
    if rule.body != Body::All || rule.asks_raw() {
        return Err(Status::unimplemented(
            "the client streams, which a client of REST can only do when the body is `*`",
        ));
    }
    let request = by_rule(rule, b"{}")?;
    Ok(ClientRequest { content_type: Some("application/x-ndjson".to_owned()), body: Bytes::new(), ..request })
}

fn by_rule(rule: &'static HttpRule, message: &[u8]) -> Result<ClientRequest, Status> {
    let template = PathTemplate::parse(rule.template)
        .map_err(|error| Status::internal(format!("the HTTP rule {} {}: {error}", rule.verb, rule.template)))?;
    let message =
        json::value(message).map_err(|error| Status::internal(format!("the request is not JSON: {error}")))?;
    let mut path = String::with_capacity(rule.template.len() + 32);
    let mut at = 0;
    while let Some(segment) = template.segments().get(at) {
        path.push('/');
        if let Some(variable) = template.variables().iter().find(|variable| variable.segments().start == at) {
            let text = text_of(rule.request, message, variable.field_path())?;
            check_fit(&template, variable, &text)?;
            let slashes = if variable.is_single() { Slashes::Decoded } else { Slashes::Kept };
            percent::encode(&mut path, &text, slashes);
            at = variable.segments().end;
            continue;
        }
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::One | Segment::Rest => {
                return Err(Status::unimplemented(format!(
                    "the path {} has a place that no field fills",
                    rule.template
                )));
            }
        }
        at += 1;
    }
    if path.is_empty() {
        path.push('/');
    }
    if let Some(verb) = template.verb() {
        path.push(':');
        path.push_str(verb);
    }

    let bound: Vec<&[String]> = template.variables().iter().map(Variable::field_path).collect();
    let mut rest = Vec::with_capacity(message.len());
    without(rule.request, message, &bound, &mut rest)?;
    let (body, in_query) = match rule.body {
        Body::All => (Some(Cow::Borrowed(&rest[..])), &b"{}"[..]),
        Body::Field(field) => (find(field, &rest)?.map(Cow::Borrowed), &rest[..]),
        Body::None => (None, &rest[..]),
    };
    let skip = match rule.body {
        Body::Field(field) => Some(field),
        Body::All | Body::None => None,
    };
    let mut query = String::new();
    write_query(rule.request, in_query, "", skip, DEPTH_MAX, &mut query)?;
    if !query.is_empty() {
        path.push('?');
        path.push_str(&query);
    }
    let (content_type, body) = match body {
        None => (None, Bytes::new()),
        Some(body) if rule.asks_raw() => raw_body(&body)?,
        Some(body) => (Some("application/json".to_owned()), Bytes::from(body.into_owned())),
    };
    Ok(ClientRequest { rule, path, content_type, body })
}

/// The text of a field for the path.
fn text_of(message: &'static MessageFields, object: &[u8], path: &[String]) -> Result<String, Status> {
    let (mut message, mut object) = (message, Some(object));
    let mut kind = FieldKind::Json;
    for name in path {
        let field = message.find(name).ok_or_else(|| Status::internal(format!("no field {name} for the path")))?;
        object = match object {
            Some(object) => find(field, object)?,
            None => None,
        };
        kind = field.kind;
        if let FieldKind::Message(inner) = field.kind {
            message = inner;
        }
    }
    let text = match (object, kind) {
        (Some(raw), _) => scalar(raw),
        // JSON leaves out what has its default.
        (None, FieldKind::Bool) => Some(Cow::Borrowed("false")),
        (
            None,
            FieldKind::Bytes | FieldKind::Duration | FieldKind::FieldMask | FieldKind::String | FieldKind::Timestamp,
        ) => None,
        (None, _) => Some(Cow::Borrowed("0")),
    };
    match text {
        Some(text) => Ok(text.into_owned()),
        None => {
            Err(Status::invalid_argument(format!("the field {} is a part of the path and is not set", path.join("."))))
        }
    }
}

/// Whether the text of a variable makes the segments that the template has there.
fn check_fit(template: &PathTemplate, variable: &Variable, text: &str) -> Result<(), Status> {
    let segments = &template.segments()[variable.segments()];
    let fits = if variable.is_single() {
        !text.is_empty() && !matches!(&segments[0], Segment::Literal(literal) if literal != text)
    } else {
        let mut parts = text.split('/');
        segments.iter().all(|segment| match segment {
            Segment::Literal(literal) => parts.next() == Some(literal),
            Segment::One => parts.next().is_some_and(|part| !part.is_empty()),
            Segment::Rest => {
                parts.by_ref().for_each(drop);
                true
            }
        }) && parts.next().is_none()
    };
    if fits {
        return Ok(());
    }
    let pattern: Vec<_> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::One => "*",
            Segment::Rest => "**",
        })
        .collect();
    Err(Status::invalid_argument(format!(
        "the field {} is a part of the path and has to look like {:?}, not {text:?}",
        variable.field_path().join("."),
        pattern.join("/")
    )))
}

/// The value of a field in an object, if it is there and not null.
fn find<'a>(field: &Field, object: &'a [u8]) -> Result<Option<&'a [u8]>, Status> {
    let Some(entries) = json::entries(object) else { return Ok(None) };
    for entry in entries {
        let (key, value) = entry.map_err(|error| Status::internal(format!("the request is not JSON: {error}")))?;
        if key == field.json_name || key == field.name {
            return Ok((value != b"null").then_some(value));
        }
    }
    Ok(None)
}

/// An object without the fields of these paths.
fn without(message: &MessageFields, object: &[u8], bound: &[&[String]], out: &mut Vec<u8>) -> Result<(), Status> {
    let Some(entries) = json::entries(object).filter(|_| !bound.is_empty()) else {
        out.extend_from_slice(object);
        return Ok(());
    };
    out.push(b'{');
    let start = out.len();
    for entry in entries {
        let (key, value) = entry.map_err(|error| Status::internal(format!("the request is not JSON: {error}")))?;
        let field = message.find(&key);
        let here = |path: &&&[String]| field.is_some_and(|field| path[0] == field.name || path[0] == field.json_name);
        let deeper: Vec<&[String]> = bound.iter().filter(here).map(|path| &path[1..]).collect();
        if deeper.iter().any(|path| path.is_empty()) {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        json::write_text(out, &key);
        out.push(b':');
        match field.map(|field| field.kind) {
            Some(FieldKind::Message(inner)) => without(inner, value, &deeper, out)?,
            _ => out.extend_from_slice(value),
        }
    }
    out.push(b'}');
    Ok(())
}

/// The fields of an object as query parameters.
fn write_query(
    message: &MessageFields,
    object: &[u8],
    above: &str,
    skip: Option<&Field>,
    depth: usize,
    query: &mut String,
) -> Result<(), Status> {
    let no_text = |name: &str| {
        Status::unimplemented(format!(
            "the field {name} cannot be said in a query, and the HTTP rule has no body for it"
        ))
    };
    let Some(entries) = json::entries(object) else { return Ok(()) };
    for entry in entries {
        let (key, value) = entry.map_err(|error| Status::internal(format!("the request is not JSON: {error}")))?;
        let Some(field) = message.find(&key) else { continue };
        if value == b"null" || skip.is_some_and(|skip| skip.name == field.name) {
            continue;
        }
        let name = if above.is_empty() { field.json_name.to_owned() } else { format!("{above}.{}", field.json_name) };
        match (field.cardinality, field.kind) {
            (Cardinality::One, FieldKind::Message(inner)) if depth > 1 => {
                write_query(inner, value, &name, None, depth - 1, query)?;
            }
            (Cardinality::Repeated, kind) if kind.is_text() => {
                for element in json::elements(value).ok_or_else(|| no_text(&name))? {
                    write_parameter(query, &name, &scalar(element).ok_or_else(|| no_text(&name))?);
                }
            }
            (Cardinality::One, kind) if kind.is_text() => {
                write_parameter(query, &name, &scalar(value).ok_or_else(|| no_text(&name))?);
            }
            // What is empty need not be said.
            (Cardinality::Map, _) if value == b"{}" => {}
            (Cardinality::Repeated, _) if value == b"[]" => {}
            _ => return Err(no_text(&name)),
        }
    }
    Ok(())
}

fn write_parameter(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    percent::encode(query, value, Slashes::Decoded);
}

/// The text of a JSON value that is neither object nor array nor null.
fn scalar(raw: &[u8]) -> Option<Cow<'_, str>> {
    match raw.first()? {
        b'"' => json::text(raw),
        b'{' | b'[' | b'n' => None,
        _ => std::str::from_utf8(raw).ok().map(Cow::Borrowed),
    }
}

/// `google.api.HttpBody` as what it stands for.
fn raw_body(object: &[u8]) -> Result<(Option<String>, Bytes), Status> {
    let broken = || Status::internal("the body is not a google.api.HttpBody as JSON");
    let (mut content_type, mut body) = ("application/octet-stream".to_owned(), Vec::new());
    for entry in json::entries(object).ok_or_else(broken)? {
        let (key, value) = entry.map_err(|_| broken())?;
        match key.as_ref() {
            "contentType" | "content_type" => content_type = json::text(value).ok_or_else(broken)?.into_owned(),
            "data" => body = json::text(value).and_then(|text| decode_base64(&text)).ok_or_else(broken)?,
            _ => {}
        }
    }
    Ok((Some(content_type), body.into()))
}

/// The error that stands in a stream: an object with nothing in it but `error`, which is a status.
fn error_in_stream(line: &[u8], read_detail: Option<ReadDetail>) -> Option<Status> {
    let mut entries = json::entries(line)?;
    let (key, value) = entries.next()?.ok()?;
    if key != "error" || entries.next().is_some() {
        return None;
    }
    read_status(value, read_detail)
}

/// A `google.rpc.Status`; others have it below `error`.
fn read_status(raw: &[u8], read_detail: Option<ReadDetail>) -> Option<Status> {
    let (mut code, mut message, mut details) = (None, Cow::Borrowed(""), Vec::new());
    for entry in json::entries(raw)? {
        let (key, value) = entry.ok()?;
        match key.as_ref() {
            "code" => code = std::str::from_utf8(value).ok()?.parse().ok(),
            "message" => message = json::text(value)?,
            "details" => details = json::elements(value)?,
            _ => {}
        }
    }
    let code: u32 = code?;
    if !(1..17).contains(&code) {
        return None;
    }
    let status = Status::new(Code::from_number(code), message.into_owned());
    let known = |raw| read_detail.and_then(|read| read(raw));
    let details = details.into_iter().take(DETAILS_MAX).filter_map(|raw| known(raw).or_else(|| base64_detail(raw)));
    Some(details.fold(status, Status::with_detail))
}

/// A detail whose value is base64, as those are written whose type the server does not know.
fn base64_detail(raw: &[u8]) -> Option<Detail> {
    let (mut type_url, mut bytes) = (None, None);
    for entry in json::entries(raw)? {
        let (key, value) = entry.ok()?;
        match key.as_ref() {
            "@type" => type_url = json::text(value).map(Cow::into_owned),
            "value" => bytes = json::text(value).and_then(|text| decode_base64(&text)),
            _ => return None,
        }
    }
    Some(Detail { type_url: type_url?, value: bytes?.into() })
}
