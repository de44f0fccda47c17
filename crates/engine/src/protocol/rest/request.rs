//! A request: from its headers to the messages of its call.

use std::time::Duration;

use bytes::Bytes;
use polywire_core::{
    Codec, Compression, CompressionSet, MethodKind, Protocol, RequestHead, Status,
    http_rule::{Body, HttpRule},
};

use super::{
    answer::{Answer, DetailJson, Shape},
    assemble,
    bindings::Bindings,
    routes::{NoRoute, Routes},
};
use crate::{
    limits::Limits,
    protocol::{fields::read_metadata, grpc},
    wire::Headers,
};

/// A request that belongs to a rule.
#[derive(Debug)]
pub struct Request {
    /// What the call begins with. The path is that of the method, the codec JSON.
    pub head: RequestHead,
    /// How the body becomes messages.
    pub reading: Reading,
    rule: &'static HttpRule,
    bindings: Bindings,
    content_type: String,
    /// How the body is compressed. The head says it too, but the head may have been taken.
    compression: Compression,
    kind: MethodKind,
    /// The number of `last-event-id`, when that is one.
    last_event: Option<u64>,
    answer: Shape,
}

/// How the body of a request becomes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The whole body is one message, be it empty.
    Whole,
    /// Each line is a message ([`Lines`](super::Lines)).
    Lines,
    /// Each piece that arrives is a message (`google.api.HttpBody`).
    Chunks,
}

/// Why a request is answered without a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub http_status: u16,
    /// What is said in the body.
    pub status: Status,
    /// The verbs that would do, for `allow`.
    pub allow: Vec<&'static str>,
}

impl Request {
    /// Reads the headers of a request. `accepted` are the compressions that messages may come with.
    ///
    /// # Errors
    /// When it belongs to no rule, or what it says cannot be understood.
    pub fn read(
        headers: &Headers,
        routes: &Routes,
        limits: &Limits,
        accepted: CompressionSet,
    ) -> Result<Self, Refusal> {
        let text = |name: &str| headers.find(name).and_then(|value| std::str::from_utf8(value).ok());
        let target = text(":path").ok_or_else(|| bad(Status::invalid_argument("the path is not ASCII")))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let verb = text(":method").unwrap_or_default();
        let route = routes.find(verb, path).map_err(|error| no_route(verb, path, error))?;
        let rule = route.rule;
        let mut bindings = Bindings::of_path(route, path).map_err(bad)?;
        bindings.add_query(rule, query, limits).map_err(bad)?;

        let content_type = text("content-type").unwrap_or_default();
        let reading = match (rule.body, route.kind.client_streams()) {
            (Body::None, _) | (_, false) => Reading::Whole,
            (_, true) if rule.asks_raw() => Reading::Chunks,
            (_, true) => Reading::Lines,
        };
        if rule.body != Body::None && !rule.asks_raw() && !is_json(content_type, reading) {
            return Err(Refusal {
                http_status: 415,
                status: Status::invalid_argument(format!(
                    "the content type {content_type:?} is not JSON: send the header \"content-type: {}\"",
                    if reading == Reading::Lines { "application/x-ndjson" } else { "application/json" }
                )),
                allow: Vec::new(),
            });
        }

        let mut head = RequestHead {
            path: route.method.clone(),
            codec: Codec::Json,
            protocol: Protocol::Rest,
            ..RequestHead::default()
        };
        let mut accept_encoding = CompressionSet::NONE;
        for (name, value) in headers.iter() {
            match name {
                b":authority" => {
                    head.authority = std::str::from_utf8(value).map_err(|_| bad(malformed(name)))?.to_owned();
                }
                b"grpc-timeout" => head.timeout = Some(grpc::parse_timeout(value).ok_or_else(|| bad(malformed(name)))?),
                b"x-timeout-ms" => {
                    head.timeout = Some(parse_millis(value).ok_or_else(|| bad(malformed(name)))?);
                }
                b"content-encoding" => {
                    let compression = std::str::from_utf8(value).ok().and_then(Compression::from_name);
                    head.compression = compression
                        .filter(|&compression| accepted.contains(compression))
                        .ok_or_else(|| unsupported_encoding("cannot be read here", accepted))?;
                }
                b"accept-encoding" => accept_encoding = accepted_encodings(value),
                b"accept" | b"content-length" | b"host" => {}
                _ => match name.strip_prefix(PREFIX) {
                    Some(b"") => {}
                    Some(key) => read_metadata(&mut head.metadata, key, value).map_err(bad)?,
                    None => read_metadata(&mut head.metadata, name, value).map_err(bad)?,
                },
            }
        }
        let request = Self {
            reading,
            rule,
            content_type: content_type.to_owned(),
            compression: head.compression,
            kind: route.kind,
            last_event: text("last-event-id").and_then(|id| id.parse().ok()),
            answer: Shape::choose(rule, route.kind, text("accept").unwrap_or_default()),
            bindings,
            head,
        };
        if request.head.compression != Compression::Identity && !request.takes_compressed() {
            return Err(unsupported_encoding(
                "cannot be read for this request, of which the path or the query is a part",
                CompressionSet::NONE,
            ));
        }
        let mut request = request;
        if request.answer.passes_whole(rule) {
            request.head.accepts = accept_encoding;
        }
        Ok(request)
    }

    /// The message of a piece of the body: the whole, a line or a chunk, as [`reading`](Self::reading) says.
    ///
    /// # Errors
    /// When it is not JSON, or not the JSON that the rule asks for.
    pub fn message(&self, body: Bytes) -> Result<Bytes, Status> {
        let compressed = self.compression != Compression::Identity && !body.is_empty();
        if self.takes_compressed() && (compressed || is_object(&body)) {
            // The codec looks at it; nothing has to be put into it.
            return Ok(body);
        }
        let message = assemble::message(self.rule, &self.bindings, &body, &self.content_type)?;
        Ok(message.into())
    }

    /// How the answer is written.
    pub fn answer(&self, detail_json: Option<DetailJson>) -> Answer {
        Answer::new(self.rule, self.answer, self.last_event, detail_json)
    }

    /// The shape of the method.
    pub fn kind(&self) -> MethodKind {
        self.kind
    }

    /// Whether the body is the message as it is.
    fn takes_compressed(&self) -> bool {
        self.reading == Reading::Whole
            && self.rule.body == Body::All
            && !self.rule.asks_raw()
            && self.bindings.is_empty()
    }
}

impl Refusal {
    /// The response.
    pub fn output(&self, detail_json: Option<DetailJson>) -> super::Output {
        let mut output = super::answer::error_output(self.http_status, &self.status, detail_json);
        if let (Some(head), false) = (&mut output.head, self.allow.is_empty()) {
            head.push("allow", self.allow.join(", "));
        }
        output
    }
}

/// What gateways put in front of the names of metadata.
const PREFIX: &[u8] = b"grpc-metadata-";

fn bad(status: Status) -> Refusal {
    Refusal { http_status: super::http_status(status.code()), status, allow: Vec::new() }
}

fn malformed(name: &[u8]) -> Status {
    Status::invalid_argument(format!("the header {} is malformed", String::from_utf8_lossy(name)))
}

fn no_route(verb: &str, path: &str, error: NoRoute) -> Refusal {
    match error {
        NoRoute::Path => Refusal {
            http_status: 404,
            status: Status::not_found(format!("no method is reached by {verb} {path}")),
            allow: Vec::new(),
        },
        NoRoute::Verb(allow) => Refusal {
            http_status: 405,
            status: Status::unimplemented(format!("{path} is reached by {}, not by {verb}", allow.join(" or "))),
            allow,
        },
    }
}

fn unsupported_encoding(why: &str, accepted: CompressionSet) -> Refusal {
    Refusal {
        http_status: 415,
        status: Status::unimplemented(format!(
            "this content-encoding {why}; accepted: {}",
            accepted.to_string().replace(',', ", ")
        )),
        allow: Vec::new(),
    }
}

/// A body without a type is taken for JSON; one that a form would send is not, because forms need no permission to cross
/// origins.
fn is_json(content_type: &str, reading: Reading) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let lines = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
    essence.is_empty()
        || essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
        || (reading == Reading::Lines && lines.contains(&essence.as_str()))
}

fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
}

fn parse_millis(value: &[u8]) -> Option<Duration> {
    let digits = std::str::from_utf8(value).ok()?;
    // Ten digits are four months, more than anybody waits.
    if digits.is_empty() || digits.len() > 10 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Duration::from_millis)
}

/// The codings of `accept-encoding` that are not refused by `q=0` (RFC 9110 §12.5.3).
fn accepted_encodings(value: &[u8]) -> CompressionSet {
    let mut set = CompressionSet::NONE;
    for item in std::str::from_utf8(value).unwrap_or_default().split(',') {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        if let (Some(compression), false) = (Compression::from_name(name.trim()), refused) {
            set = set.with(compression);
        }
    }
    set
}
