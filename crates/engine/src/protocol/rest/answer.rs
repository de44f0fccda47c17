//! An answer: from the messages of a call to the body of an HTTP response.

use base64::Engine as _;
use bytes::Bytes;
use polywire_core::{
    Code, Compression, Detail, Metadata, MethodKind, Status,
    http_rule::{Cardinality, Field, FieldKind, HttpRule},
};

use super::{bindings, json};
use crate::{protocol::fields, wire::Headers};

/// Writes the detail of a status as a JSON object that has `@type`; `None` for a type it does not know.
pub type DetailJson = fn(&Detail) -> Option<String>;

/// What is to be sent: the head if it is time for it, and a piece of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The headers of the response, `:status` first.
    pub head: Option<Headers>,
    /// A piece of the body; may be empty.
    pub body: Bytes,
}

/// How one call is answered.
///
/// The caller tells it what the call says, in order: leading metadata, messages, the end; each returns what goes out.
#[derive(Debug)]
pub struct Answer {
    rule: &'static HttpRule,
    shape: Shape,
    detail_json: Option<DetailJson>,
    stage: Stage,
    /// What was said before the head could be written.
    leading: Metadata,
    /// The field of each message that is its event id.
    event_id_field: Option<String>,
    event: u64,
}

/// What the body of a response looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One JSON value.
    One,
    /// A JSON value on each line.
    Lines,
    /// One JSON array.
    Array,
    /// Server-sent events.
    Events,
    /// Bytes of any type (`google.api.HttpBody`).
    Raw,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Head,
    /// The one message waits for the status.
    Holding(Bytes, Compression),
    /// The head was sent, and no message.
    Started,
    /// Messages were sent.
    Streaming,
    /// Nothing more follows.
    Over,
}

/// Leading metadata by which a handler says which field of its messages is the id of an event. It is not sent.
const EVENT_ID_FIELD: &str = "event-id-field";

impl Shape {
    pub(super) fn choose(rule: &HttpRule, kind: MethodKind, accept: &str) -> Self {
        if rule.answers_raw() {
            return Self::Raw;
        }
        if !kind.server_streams() {
            return Self::One;
        }
        // The first type we know wins; who names none gets lines.
        accept
            .split(',')
            .find_map(|item| match item.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "text/event-stream" => Some(Self::Events),
                "application/json" => Some(Self::Array),
                "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                    Some(Self::Lines)
                }
                _ => None,
            })
            .unwrap_or(Self::Lines)
    }

    /// Whether a message is the body as it is, so that it may be compressed.
    pub(super) fn passes_whole(self, rule: &HttpRule) -> bool {
        self == Self::One && rule.response_body.is_none()
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Array | Self::One => "application/json",
            Self::Events => "text/event-stream",
            Self::Lines => "application/x-ndjson",
            Self::Raw => "application/octet-stream",
        }
    }
}

impl Answer {
    pub(super) fn new(
        rule: &'static HttpRule,
        shape: Shape,
        last_event: Option<u64>,
        detail_json: Option<DetailJson>,
    ) -> Self {
        Self {
            rule,
            shape,
            detail_json,
            stage: Stage::Head,
            leading: Metadata::new(),
            event_id_field: None,
            event: last_event.unwrap_or(0),
        }
    }

    /// Leading metadata that goes out with whatever comes next.
    pub fn extend_leading(&mut self, leading: &Metadata) {
        self.leading.extend(leading);
    }

    /// Leading metadata. A streaming answer begins with it.
    pub fn leading(&mut self, leading: &Metadata) -> Output {
        if self.stage != Stage::Head {
            return Output::default();
        }
        self.extend_leading(leading);
        match self.shape {
            // The status of the call decides that of the response; the first message decides the content type.
            Shape::One | Shape::Raw => Output::default(),
            Shape::Array | Shape::Events | Shape::Lines => Output { head: Some(self.start()), body: Bytes::new() },
        }
    }

    /// One message, as JSON. It is compressed only if the head of the request said what is accepted.
    ///
    /// # Errors
    /// When it is not what the rule needs; the call ends with this status.
    pub fn message(&mut self, message: Bytes, compression: Compression) -> Result<Output, Status> {
        if self.shape == Shape::Raw {
            return self.raw_message(&message);
        }
        let message = match self.rule.response_body {
            None => message,
            Some(field) => part(&message, field)?,
        };
        if self.shape == Shape::One {
            if self.stage == Stage::Head {
                self.stage = Stage::Holding(message, compression);
            }
            return Ok(Output::default());
        }
        let head = (self.stage == Stage::Head).then(|| self.start());
        let first = self.stage == Stage::Started;
        self.stage = Stage::Streaming;
        let message = without_line_ends(message);
        let mut body = Vec::with_capacity(message.len() + 16);
        match self.shape {
            Shape::Array => body.extend_from_slice(if first { b"[" } else { b",\n" }),
            Shape::Events => {
                body.extend_from_slice(b"id: ");
                body.extend_from_slice(self.next_event_id(&message).as_bytes());
                body.extend_from_slice(b"\ndata: ");
            }
            Shape::Lines | Shape::One | Shape::Raw => {}
        }
        body.extend_from_slice(&message);
        match self.shape {
            Shape::Events => body.extend_from_slice(b"\n\n"),
            Shape::Lines => body.push(b'\n'),
            Shape::Array | Shape::One | Shape::Raw => {}
        }
        Ok(Output { head, body: body.into() })
    }

    /// The end of the call. The response ends with this output.
    pub fn end(&mut self, status: &Status, trailing: &Metadata) -> Output {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let begun = match stage {
            Stage::Over => return Output::default(),
            Stage::Head | Stage::Holding(..) if !status.is_ok() => {
                let mut output = error_output(http_status(status.code()), status, self.detail_json);
                if let Some(head) = &mut output.head {
                    write_metadata(head, &std::mem::take(&mut self.leading), "");
                    write_metadata(head, trailing, TRAILER_PREFIX);
                }
                return output;
            }
            Stage::Holding(message, compression) => {
                let mut head = self.start();
                if compression != Compression::Identity {
                    head.push("content-encoding", compression.name());
                    head.push("vary", "accept-encoding");
                }
                write_metadata(&mut head, trailing, TRAILER_PREFIX);
                self.stage = Stage::Over;
                return Output { head: Some(head), body: message };
            }
            Stage::Head if self.shape == Shape::One => {
                let status = Status::internal("the method ended without a response");
                return error_output(500, &status, self.detail_json);
            }
            Stage::Head => None,
            Stage::Started => Some(false),
            Stage::Streaming => Some(true),
        };
        let mut head = begun.is_none().then(|| self.start());
        self.stage = Stage::Over;
        if let Some(head) = &mut head {
            write_metadata(head, trailing, TRAILER_PREFIX);
        }
        Output { head, body: self.last_piece(status, begun == Some(true)).into() }
    }

    /// Whether anything was sent, so that the status of the response is decided.
    pub fn is_begun(&self) -> bool {
        matches!(self.stage, Stage::Started | Stage::Streaming | Stage::Over)
    }

    /// Whether a broken stream can say so only by being cut off.
    pub fn ends_in_silence(&self) -> bool {
        self.shape == Shape::Raw
    }

    fn last_piece(&self, status: &Status, has_messages: bool) -> Vec<u8> {
        let mut body = Vec::new();
        let error = || {
            let mut error = b"{\"error\":".to_vec();
            write_status(&mut error, status, self.detail_json);
            error.push(b'}');
            error
        };
        match self.shape {
            Shape::Array => {
                if !has_messages {
                    body.push(b'[');
                }
                if !status.is_ok() {
                    body.extend_from_slice(if has_messages { b",\n" } else { b"" });
                    body.extend_from_slice(&error());
                }
                body.extend_from_slice(b"]\n");
            }
            Shape::Events if status.is_ok() => body.extend_from_slice(b"event: end\ndata: {}\n\n"),
            Shape::Events => {
                body.extend_from_slice(b"event: error\ndata: ");
                write_status(&mut body, status, self.detail_json);
                body.extend_from_slice(b"\n\n");
            }
            Shape::Lines if !status.is_ok() => {
                body.extend_from_slice(&error());
                body.push(b'\n');
            }
            Shape::Lines | Shape::One | Shape::Raw => {}
        }
        body
    }

    /// One `google.api.HttpBody`. The first says the content type; all say what the body goes on with.
    fn raw_message(&mut self, message: &[u8]) -> Result<Output, Status> {
        let not_raw = || Status::internal("the response is not a google.api.HttpBody as JSON");
        let part = match self.rule.response_body {
            None => None,
            Some(field) => Some(part(message, field)?),
        };
        let (mut content_type, mut body) = (None, Vec::new());
        let message = json::value(part.as_deref().unwrap_or(message)).map_err(|_| not_raw())?;
        for entry in json::entries(message).ok_or_else(not_raw)? {
            let (key, value) = entry.map_err(|_| not_raw())?;
            match key.as_ref() {
                "contentType" | "content_type" => content_type = json::text(value),
                "data" => {
                    body = json::text(value).and_then(|text| bindings::decode_base64(&text)).ok_or_else(not_raw)?;
                }
                _ => {}
            }
        }
        let head = (self.stage == Stage::Head).then(|| {
            let content_type = content_type.as_deref().filter(|name| is_field_value(name) && !name.is_empty());
            self.start_with(content_type.unwrap_or(Shape::Raw.content_type()))
        });
        self.stage = Stage::Streaming;
        Ok(Output { head, body: body.into() })
    }

    fn start(&mut self) -> Headers {
        self.start_with(self.shape.content_type())
    }

    fn start_with(&mut self, content_type: &str) -> Headers {
        self.stage = Stage::Started;
        let leading = std::mem::take(&mut self.leading);
        self.event_id_field = leading.get(EVENT_ID_FIELD).map(str::to_owned);
        let mut head = Headers::new();
        head.push(":status", "200");
        head.push("content-type", content_type);
        if self.shape == Shape::Events {
            // Proxies that gather a response before they pass it on would stop the stream.
            head.push("cache-control", "no-cache");
            head.push("x-accel-buffering", "no");
        }
        write_metadata(&mut head, &leading, "");
        head
    }

    /// The id of the next event: the field that the handler has named, or one more than the last.
    fn next_event_id(&mut self, message: &[u8]) -> String {
        self.event = self.event.wrapping_add(1);
        let named = self.event_id_field.as_deref().and_then(|name| {
            let (_, raw) = json::entries(message)?.map_while(Result::ok).find(|(key, _)| key == name)?;
            match json::text(raw) {
                Some(text) => Some(text.into_owned()),
                None => std::str::from_utf8(raw).ok().map(str::to_owned),
            }
        });
        named.filter(|id| !id.contains(['\n', '\r', '\0'])).unwrap_or_else(|| self.event.to_string())
    }
}

/// The HTTP status that stands for a code.
pub fn http_status(code: Code) -> u16 {
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
        Code::Internal | Code::Unknown | Code::DataLoss => 500,
    }
}

/// A response that is nothing but an error.
pub(super) fn error_output(http_status: u16, status: &Status, detail_json: Option<DetailJson>) -> Output {
    let mut head = Headers::new();
    head.push(":status", http_status.to_string());
    head.push("content-type", "application/json");
    let mut body = Vec::new();
    write_status(&mut body, status, detail_json);
    body.push(b'\n');
    Output { head: Some(head), body: body.into() }
}

/// A status as the JSON of `google.rpc.Status`.
fn write_status(out: &mut Vec<u8>, status: &Status, detail_json: Option<DetailJson>) {
    out.extend_from_slice(b"{\"code\":");
    out.extend_from_slice(status.code().number().to_string().as_bytes());
    out.extend_from_slice(b",\"message\":");
    json::write_text(out, status.message());
    out.extend_from_slice(b",\"details\":[");
    for (index, detail) in status.details().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let known = detail_json.and_then(|write| write(detail));
        // What a hook writes goes into one line, whatever it is.
        match known.filter(|text| json::value(text.as_bytes()).is_ok()) {
            Some(text) => out.extend_from_slice(&without_line_ends(text.into())),
            None => {
                out.extend_from_slice(b"{\"@type\":");
                json::write_text(out, &detail.type_url);
                out.extend_from_slice(b",\"value\":\"");
                out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(&detail.value).as_bytes());
                out.extend_from_slice(b"\"}");
            }
        }
    }
    out.extend_from_slice(b"]}");
}

/// What the trailing metadata of an answer without trailers has in front of its names.
const TRAILER_PREFIX: &str = "grpc-trailer-";

fn write_metadata(head: &mut Headers, metadata: &Metadata, prefix: &str) {
    for (key, value) in metadata.iter().filter(|(key, _)| *key != EVENT_ID_FIELD) {
        let name = format!("{prefix}{key}");
        if key.ends_with("-bin") {
            head.push(name, base64::engine::general_purpose::STANDARD_NO_PAD.encode(value.as_bytes()));
        } else if fields::is_sensitive(key) {
            head.push_sensitive(name, value.as_bytes());
        } else {
            head.push(name, value.as_bytes());
        }
    }
}

/// The field of a response that is the body.
fn part(message: &[u8], field: &'static Field) -> Result<Bytes, Status> {
    let broken = || Status::internal("the response is not a JSON object");
    for entry in json::entries(json::value(message).map_err(|_| broken())?).ok_or_else(broken)? {
        let (key, value) = entry.map_err(|_| broken())?;
        if key == field.json_name || key == field.name {
            return Ok(Bytes::copy_from_slice(value));
        }
    }
    // JSON leaves out what has its default.
    Ok(Bytes::from_static(match (field.cardinality, field.kind) {
        (Cardinality::Repeated, _) => b"[]",
        (Cardinality::Map, _) | (_, FieldKind::Message(_)) => b"{}",
        (_, FieldKind::Bool) => b"false",
        (_, FieldKind::Int32 | FieldKind::Uint32 | FieldKind::Float | FieldKind::Double | FieldKind::Enum(_)) => b"0",
        (_, FieldKind::Int64 | FieldKind::Uint64) => b"\"0\"",
        (_, FieldKind::String | FieldKind::Bytes) => b"\"\"",
        (_, FieldKind::Duration | FieldKind::Timestamp | FieldKind::FieldMask | FieldKind::Json) => b"null",
    }))
}

/// JSON on one line. Line ends in it can only be space between values: in texts they are escaped.
fn without_line_ends(message: Bytes) -> Bytes {
    if !message.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return message;
    }
    message.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect::<Vec<_>>().into()
}

/// Whether a text may stand in a header (RFC 9110 §5.5, without what is not ASCII).
fn is_field_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text
}
