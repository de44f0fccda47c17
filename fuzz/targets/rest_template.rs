//! REST: templates, paths, queries and bodies of anybody's making, and the way of a request there and back.
//!
//! The input is lines: a path template, a verb, a path with its query, and the body.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use polywire_core::{
    Compression, CompressionSet, HttpRule, Metadata, Method, MethodKind, PathTemplate, Status,
    http_rule::{Body, Cardinality, EnumValue, Field, FieldKind, MessageFields},
};
use polywire_engine::{
    Limits,
    protocol::rest::{Lines, Request, Routes, answer_message, answer_status, client_request},
    wire::Headers,
};

static KINDS: [EnumValue; 2] = [EnumValue { name: "NONE", number: 0 }, EnumValue { name: "ROUND", number: 1 }];

const fn field(name: &'static str, kind: FieldKind, cardinality: Cardinality) -> Field {
    Field { name, json_name: name, kind, cardinality }
}

static THING: MessageFields = MessageFields {
    name: "a.Thing",
    fields: &[
        field("a", FieldKind::String, Cardinality::One),
        field("b", FieldKind::Message(&THING), Cardinality::One),
        field("c", FieldKind::Int64, Cardinality::One),
        field("d", FieldKind::Double, Cardinality::One),
        field("e", FieldKind::Enum(&KINDS), Cardinality::Repeated),
        field("f", FieldKind::Bytes, Cardinality::One),
        field("g", FieldKind::FieldMask, Cardinality::One),
        field("h", FieldKind::Timestamp, Cardinality::One),
        field("i", FieldKind::Duration, Cardinality::One),
        field("j", FieldKind::Bool, Cardinality::One),
        field("k", FieldKind::Message(&THING), Cardinality::Repeated),
        field("l", FieldKind::String, Cardinality::Map),
        field("m", FieldKind::Json, Cardinality::One),
    ],
};

const fn rule(verb: &'static str, template: &'static str, body: Body) -> HttpRule {
    HttpRule { verb, template, body, response_body: None, request: &THING, response: "a.Thing" }
}

static GET: [HttpRule; 4] = [
    rule("GET", "/v1/{a=things/*}", Body::None),
    rule("GET", "/v1/{b.a}/{b.b.c}/{a=**}:do", Body::None),
    rule("GET", "/v1/things", Body::None),
    rule("*", "/{f}/*/{g}", Body::None),
];
static SEND: [HttpRule; 3] = [
    rule("POST", "/v1/things", Body::All),
    rule("PATCH", "/v1/{b.a=things/*}", Body::Field(&THING.fields[1])),
    rule("PUT", "/v1/{b.b.a}:do", Body::All),
];
static WATCH: [HttpRule; 1] =
    [HttpRule { response_body: Some(&THING.fields[1]), ..rule("GET", "/v1/things:watch", Body::None) }];
static DOWNLOAD: [HttpRule; 1] =
    [HttpRule { response: "google.api.HttpBody", ..rule("GET", "/v1/things:raw", Body::None) }];

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |&byte| byte == b'\n');
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).ok();
    let (Some(template), Some(verb), Some(path)) = (text(), text(), text()) else { return };
    let body = Bytes::copy_from_slice(parts.next().unwrap_or_default());

    if let Ok(template) = PathTemplate::parse(template) {
        let again = PathTemplate::parse(&template.to_string()).expect("the long form is a template");
        assert_eq!(again, template);
    }

    let methods = [
        Method::new("/a.Things/Get", MethodKind::Unary).with_http(&GET),
        Method::new("/a.Things/Send", MethodKind::Unary).with_http(&SEND),
        Method::new("/a.Things/Watch", MethodKind::ServerStreaming).with_http(&WATCH),
        Method::new("/a.Things/Download", MethodKind::ServerStreaming).with_http(&DOWNLOAD),
    ];
    let routes = Routes::new(&methods).expect("these rules do not conflict");
    let mut headers = Headers::new();
    headers.push(":method", verb);
    headers.push(":path", path);
    headers.push("accept", template);
    if let Ok(request) = Request::read(&headers, &routes, &Limits::default(), CompressionSet::ALL) {
        if let Ok(message) = request.message(body.clone()) {
            // What was put together can be taken apart: it is an object, and a client finds a way to send it or says why not.
            for rules in [&GET[..], &SEND] {
                if let Ok(sent) = client_request(rules, MethodKind::Unary, &message) {
                    let mut headers = Headers::new();
                    headers.push(":method", sent.rule.verb);
                    headers.push(":path", &sent.path);
                    let read = Request::read(&headers, &routes, &Limits::default(), CompressionSet::ALL);
                    // A verb of `*` says nothing, and a query may be longer than a server reads.
                    if let Ok(read) = read {
                        let _ = read.message(sent.body);
                    }
                }
            }
        }
        let mut answer = request.answer(None);
        let _ = answer.leading(&Metadata::new());
        let _ = answer.message(body.clone(), Compression::Identity);
        let end = answer.end(&Status::aborted(path.to_owned()), &Metadata::new());
        assert!(!answer_status(409, &end.body, None).is_ok());
    }

    let _ = answer_message(&WATCH[0], "a/b", &body, None);
    let _ = answer_message(&DOWNLOAD[0], "a/b", &body, None);
    let mut lines = Lines::new(1 << 10);
    for chunk in body.chunks(7) {
        lines.push(chunk);
        while let Ok(Some(line)) = lines.next() {
            assert!(!line.is_empty() && line.len() <= 1 << 10);
        }
    }
    lines.finish();
});
