//! Requests and answers of one service, table by table.

use bytes::Bytes;
use polywire_core::{
    Code, Compression, CompressionSet, Detail, Metadata, Method, MethodKind, Status,
    http_rule::{Body, Cardinality, EnumValue, Field, FieldKind, HttpRule, MessageFields},
};

use super::*;
use crate::{Limits, wire::Headers};

const fn field(name: &'static str, json_name: &'static str, kind: FieldKind) -> Field {
    Field { name, json_name, kind, cardinality: Cardinality::One }
}

const fn repeated(name: &'static str, kind: FieldKind) -> Field {
    Field { name, json_name: name, kind, cardinality: Cardinality::Repeated }
}

static COLORS: [EnumValue; 2] = [EnumValue { name: "RED", number: 0 }, EnumValue { name: "GREEN", number: 1 }];

/// A message that contains itself.
static THING: MessageFields = MessageFields {
    name: "a.v1.Thing",
    fields: &[
        field("name", "name", FieldKind::String),
        field("page_size", "pageSize", FieldKind::Int32),
        field("big", "big", FieldKind::Int64),
        field("unsigned", "unsigned", FieldKind::Uint32),
        field("huge", "huge", FieldKind::Uint64),
        field("on", "on", FieldKind::Bool),
        field("ratio", "ratio", FieldKind::Double),
        field("single", "single", FieldKind::Float),
        field("raw", "raw", FieldKind::Bytes),
        field("color", "color", FieldKind::Enum(&COLORS)),
        field("at", "at", FieldKind::Timestamp),
        field("hold", "hold", FieldKind::Duration),
        field("update_mask", "updateMask", FieldKind::FieldMask),
        field("thing", "thing", FieldKind::Message(&THING)),
        field("value", "value", FieldKind::Json),
        repeated("tags", FieldKind::String),
        repeated("colors", FieldKind::Enum(&COLORS)),
        repeated("things", FieldKind::Message(&THING)),
        Field { name: "labels", json_name: "labels", kind: FieldKind::String, cardinality: Cardinality::Map },
        field("file", "file", FieldKind::Message(&HTTP_BODY)),
    ],
};

static HTTP_BODY: MessageFields = MessageFields {
    name: "google.api.HttpBody",
    fields: &[field("content_type", "contentType", FieldKind::String), field("data", "data", FieldKind::Bytes)],
};

const fn rule(verb: &'static str, template: &'static str, body: Body) -> HttpRule {
    HttpRule { verb, template, body, response_body: None, request: &THING, response: "a.v1.Thing" }
}

const THING_FIELD: Body = Body::Field(&THING.fields[13]);
const FILE_FIELD: Body = Body::Field(&THING.fields[19]);

static GET: [HttpRule; 2] =
    [rule("GET", "/v1/{name=things/*}", Body::None), rule("GET", "/v1/rest/{name=**}", Body::None)];
static LIST: [HttpRule; 1] = [rule("GET", "/v1/things", Body::None)];
static CREATE: [HttpRule; 1] = [rule("POST", "/v1/things", Body::All)];
static MOVE: [HttpRule; 1] = [rule("POST", "/v1/{thing.name=things/*}:move", Body::All)];
static PATCH: [HttpRule; 1] = [rule("PATCH", "/v1/{thing.name=things/*}", THING_FIELD)];
static UPLOAD: [HttpRule; 2] = [
    rule("PUT", "/v1/{name=things/*}/file", FILE_FIELD),
    HttpRule { request: &HTTP_BODY, ..rule("PUT", "/v1/file", Body::All) },
];
static DOWNLOAD: [HttpRule; 1] = [HttpRule { response: "google.api.HttpBody", ..rule("GET", "/v1/file", Body::None) }];
static TAGS: [HttpRule; 1] =
    [HttpRule { response_body: Some(&THING.fields[15]), ..rule("GET", "/v1/{name=things/*}/tags", Body::None) }];
static WATCH: [HttpRule; 1] = [rule("GET", "/v1/things:watch", Body::None)];
static IMPORT: [HttpRule; 1] = [rule("POST", "/v1/things:import", Body::All)];
static COLOR: [HttpRule; 1] = [rule("GET", "/v1/colors/{color}/{on}", Body::None)];

fn routes() -> Routes {
    let methods = [
        Method::new("/a.v1.Things/Get", MethodKind::Unary).with_http(&GET),
        Method::new("/a.v1.Things/List", MethodKind::Unary).with_http(&LIST),
        Method::new("/a.v1.Things/Create", MethodKind::Unary).with_http(&CREATE),
        Method::new("/a.v1.Things/Move", MethodKind::Unary).with_http(&MOVE),
        Method::new("/a.v1.Things/Patch", MethodKind::Unary).with_http(&PATCH),
        Method::new("/a.v1.Things/Upload", MethodKind::Unary).with_http(&UPLOAD),
        Method::new("/a.v1.Things/Download", MethodKind::ServerStreaming).with_http(&DOWNLOAD),
        Method::new("/a.v1.Things/Tags", MethodKind::Unary).with_http(&TAGS),
        Method::new("/a.v1.Things/Watch", MethodKind::ServerStreaming).with_http(&WATCH),
        Method::new("/a.v1.Things/Import", MethodKind::ClientStreaming).with_http(&IMPORT),
        Method::new("/a.v1.Things/Color", MethodKind::Unary).with_http(&COLOR),
    ];
    Routes::new(&methods).unwrap()
}

fn read(verb: &str, path: &str, fields: &[(&str, &str)]) -> Result<Request, Refusal> {
    let mut headers = Headers::new();
    for (name, value) in [(":method", verb), (":path", path), (":authority", "shop")].iter().chain(fields) {
        headers.push(name, value);
    }
    Request::read(&headers, &routes(), &Limits::default(), CompressionSet::ALL)
}

fn message(verb: &str, path: &str, body: &str) -> Result<String, Status> {
    let request = read(verb, path, &[]).map_err(|refusal| refusal.status)?;
    let message = request.message(Bytes::copy_from_slice(body.as_bytes()))?;
    Ok(String::from_utf8(message.to_vec()).unwrap())
}

#[test]
fn path_and_query_become_typed_fields() {
    for (path, expected) in [
        ("/v1/things/7", r#"{"name":"things/7"}"#),
        ("/v1/things/a%20%2Fb", r#"{"name":"things/a %2Fb"}"#),
        ("/v1/rest/a/b%2Fc%20d", r#"{"name":"a/b%2Fc d"}"#),
        ("/v1/rest", r#"{"name":""}"#),
        ("/v1/colors/GREEN/true", r#"{"color":"GREEN","on":true}"#),
        ("/v1/colors/1/false", r#"{"color":1,"on":false}"#),
        ("/v1/things", "{}"),
        ("/v1/things?", "{}"),
        ("/v1/things?name=a+b%2B%22%C3%A9&&", "{\"name\":\"a b+\\\"\u{e9}\"}"),
        ("/v1/things?page_size=-5&big=-9007199254740993", r#"{"pageSize":-5,"big":"-9007199254740993"}"#),
        ("/v1/things?pageSize=5&huge=18446744073709551615", r#"{"pageSize":5,"huge":"18446744073709551615"}"#),
        ("/v1/things?unsigned=4294967295", r#"{"unsigned":4294967295}"#),
        ("/v1/things?ratio=.5&single=-1e3", r#"{"ratio":5e-1,"single":-1e3}"#),
        ("/v1/things?ratio=NaN&single=-Infinity", r#"{"ratio":"NaN","single":"-Infinity"}"#),
        ("/v1/things?raw=-_8", r#"{"raw":"+/8="}"#),
        ("/v1/things?raw=%2B/8=", r#"{"raw":"+/8="}"#),
        ("/v1/things?raw=+/8", r#"{"raw":"+/8="}"#),
        ("/v1/things?at=2026-01-02T15:04:05Z&hold=1.5s", r#"{"at":"2026-01-02T15:04:05Z","hold":"1.5s"}"#),
        ("/v1/things?update_mask=a.page_size,name", r#"{"updateMask":"a.pageSize,name"}"#),
        ("/v1/things?tags=a&tags=b&tags=", r#"{"tags":["a","b",""]}"#),
        ("/v1/things?colors=RED&colors=7", r#"{"colors":["RED",7]}"#),
        (
            "/v1/things?thing.thing.page_size=1&thing.name=x&thing.thing.big=2",
            r#"{"thing":{"thing":{"pageSize":1,"big":"2"},"name":"x"}}"#,
        ),
    ] {
        assert_eq!(message("GET", path, "").as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_cannot_be_bound_is_refused_by_name() {
    for (path, part) in [
        ("/v1/things?pagesize=5x", "\"pagesize\": Thing has no such field; did you mean \"pageSize\"?"),
        ("/v1/things?xyzzy=1", "its fields are name, pageSize"),
        ("/v1/things?thing.nmae=1", "\"thing.nmae\": Thing has no such field \"nmae\"; did you mean \"name\"?"),
        ("/v1/things?page_size=x", "\"page_size\" is not a whole number of 32 bits: \"x\""),
        ("/v1/things?page_size=2147483648", "32 bits"),
        ("/v1/things?unsigned=-1", "zero or more"),
        ("/v1/things?big=1.0", "64 bits"),
        ("/v1/things?on=1", "true or false"),
        ("/v1/things?on", "true or false"),
        ("/v1/things?ratio=inf", "a number"),
        ("/v1/things?ratio=1e999", "a number"),
        ("/v1/things?single=1e39", "a number"),
        ("/v1/things?raw=%%", "not escaped UTF-8"),
        ("/v1/things?raw=*", "base64"),
        ("/v1/things?color=GREN", "did you mean GREEN?"),
        ("/v1/things?color=PURPLE", "one of RED, GREEN"),
        ("/v1/things?at=yesterday", "RFC 3339"),
        ("/v1/things?hold=5", "seconds"),
        ("/v1/things?name=a&name=b", "given twice"),
        ("/v1/things?name=%ff", "\"name\" is not escaped UTF-8"),
        ("/v1/things?%ff=a", "not escaped UTF-8"),
        ("/v1/things?thing=a", "name its fields, as in thing.name"),
        ("/v1/things?name.a=a", "goes on behind name"),
        ("/v1/things?things.name=a", "list of messages"),
        ("/v1/things?labels=a", "is a map"),
        ("/v1/things?value=1", "no text form"),
        ("/v1/things?.=1", "no such field"),
        ("/v1/things/7?name=a", "said by the path already"),
        ("/v1/things/%zz", "the path variable \"name\" is not escaped UTF-8"),
        ("/v1/colors/GREEN/yes", "the path variable \"on\" is not true or false"),
    ] {
        let refusal = read("GET", path, &[]).unwrap_err();
        assert_eq!((refusal.http_status, refusal.status.code()), (400, Code::InvalidArgument), "{path}");
        assert!(refusal.status.message().contains(part), "{path}: {}", refusal.status.message());
    }
    for (verb, path, part) in [
        ("POST", "/v1/things?name=a", "all fields come in the JSON body"),
        ("PATCH", "/v1/things/7?thing.page_size=1", "is a part of thing, which is the JSON body"),
    ] {
        let refusal = read(verb, path, &[]).unwrap_err();
        assert!(refusal.status.message().contains(part), "{path}: {}", refusal.status.message());
    }
}

#[test]
fn a_query_may_neither_be_long_nor_deep_without_end() {
    let tags = |n: usize| format!("/v1/things?{}", vec!["tags=a"; n].join("&"));
    assert!(read("GET", &tags(256), &[]).is_ok());
    assert!(read("GET", &tags(257), &[]).unwrap_err().status.message().contains("query_parameters_max"));
    let deep = |n: usize| format!("/v1/things?{}name=a", "thing.".repeat(n));
    assert!(read("GET", &deep(15), &[]).is_ok());
    assert!(read("GET", &deep(16), &[]).unwrap_err().status.message().contains("query_depth_max"));
}

#[test]
fn a_body_is_the_message_or_a_field_of_it() {
    for (verb, path, body, expected) in [
        ("POST", "/v1/things", r#"{"name":"x"}"#, r#"{"name":"x"}"#),
        ("POST", "/v1/things", " ", "{}"),
        ("POST", "/v1/things", "", "{}"),
        // What the path says goes before what the body says, however it is spelled there.
        (
            "POST",
            "/v1/things/7:move",
            r#" {"page_size": 1, "thing": {"name": "x", "big": "2"}, "on": true} "#,
            r#"{"page_size":1,"thing":{"big":"2","name":"things/7"},"on":true}"#,
        ),
        ("POST", "/v1/things/7:move", r#"{"thing":null}"#, r#"{"thing":{"name":"things/7"}}"#),
        ("POST", "/v1/things/7:move", "{}", r#"{"thing":{"name":"things/7"}}"#),
        ("POST", "/v1/things/7:move", "", r#"{"thing":{"name":"things/7"}}"#),
        (
            "PATCH",
            "/v1/things/7?on=true",
            r#"{"page_size":1,"thing":{"name":"x","tags":[]},"raw":"","thing2":3}"#,
            concat!(
                r#"{"on":true,"thing":{"page_size":1,"thing":{"name":"x","tags":[]},"raw":"","thing2":3,"name":"things/7"},"#,
                r#""updateMask":"pageSize,thing.name,thing.tags,raw"}"#
            ),
        ),
        (
            "PATCH",
            "/v1/things/7?updateMask=page_size",
            r#"{"pageSize":1}"#,
            r#"{"updateMask":"pageSize","thing":{"pageSize":1,"name":"things/7"}}"#,
        ),
        ("PATCH", "/v1/things/7", "", r#"{"thing":{"name":"things/7"}}"#),
    ] {
        assert_eq!(message(verb, path, body).as_deref(), Ok(expected), "{verb} {path} {body}");
    }
    for (verb, path, body, part) in [
        ("GET", "/v1/things", "{}", "takes no body"),
        ("POST", "/v1/things", "{", "the body is not JSON: a string is wanted at byte 2"),
        ("POST", "/v1/things/7:move", "[]", "not a JSON object, which a Thing is"),
        ("POST", "/v1/things/7:move", r#"{"thing":5}"#, "not a JSON object"),
        ("PATCH", "/v1/things/7", "[", "not JSON"),
    ] {
        // What is passed on whole is checked by the codec.
        let Err(status) = message(verb, path, body) else {
            assert_eq!(path, "/v1/things");
            continue;
        };
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(part), "{path}: {}", status.message());
    }
}

#[test]
fn a_body_of_any_type_travels_as_base64() {
    let upload = |path| {
        let request = read("PUT", path, &[("content-type", "image/png")]).unwrap();
        let message = request.message(Bytes::from_static(&[0xff, 0, 1])).unwrap();
        String::from_utf8(message.to_vec()).unwrap()
    };
    assert_eq!(upload("/v1/things/7/file"), r#"{"name":"things/7","file":{"contentType":"image/png","data":"/wAB"}}"#);
    assert_eq!(upload("/v1/file"), r#"{"contentType":"image/png","data":"/wAB"}"#);
}

#[test]
fn what_belongs_to_no_method_is_refused_over_http() {
    let refusal = read("GET", "/v2/things", &[]).unwrap_err();
    assert_eq!((refusal.http_status, refusal.status.code()), (404, Code::NotFound));
    let refusal = read("DELETE", "/v1/things?name=a", &[]).unwrap_err();
    assert_eq!((refusal.http_status, refusal.status.code()), (405, Code::Unimplemented));
    let output = refusal.output(None);
    assert_eq!(output.head.unwrap().find("allow"), Some(&b"GET, POST"[..]));
    assert_eq!(
        output.body,
        "{\"code\":12,\"message\":\"/v1/things is reached by GET or POST, not by DELETE\",\"details\":[]}\n"
    );
    for (content_type, fits) in [
        ("application/json", true),
        ("application/json; charset=utf-8", true),
        ("Application/JSON", true),
        ("application/merge-patch+json", true),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
        ("application/x-ndjson", false),
    ] {
        let result = read("POST", "/v1/things", &[("content-type", content_type)]);
        assert_eq!(result.as_ref().err().map(|refusal| refusal.http_status), (!fits).then_some(415), "{content_type}");
        if let Err(refusal) = result {
            assert!(refusal.status.message().contains("\"content-type: application/json\""));
        }
    }
    assert_eq!(
        read("POST", "/v1/things:import", &[("content-type", "application/x-ndjson")]).unwrap().reading,
        Reading::Lines
    );
}

#[test]
fn the_head_says_method_timeout_and_metadata() {
    let request = read(
        "GET",
        "/v1/things/7",
        &[
            ("grpc-metadata-x-user", "me"),
            ("x-trace", "1"),
            ("last-event-id", "41"),
            ("grpc-metadata-x-bin", "/wA"),
            ("x-timeout-ms", "1500"),
            ("accept", "*/*"),
            ("accept-encoding", "gzip, br;q=0, deflate;q=0.5"),
        ],
    )
    .unwrap();
    let head = &request.head;
    assert_eq!((head.path.as_str(), head.authority.as_str()), ("/a.v1.Things/Get", "shop"));
    assert_eq!(head.timeout, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(head.metadata.get("x-user"), Some("me"));
    assert_eq!(head.metadata.get("x-trace"), Some("1"));
    assert_eq!(head.metadata.get("last-event-id"), Some("41"));
    assert_eq!(head.metadata.binary("x-bin"), Some(&[0xff, 0][..]));
    assert_eq!(head.metadata.len(), 4, "{:?}", head.metadata);
    let accepts = CompressionSet::NONE.with(Compression::Gzip).with(Compression::Deflate);
    assert_eq!(head.accepts, accepts);
    assert_eq!(
        read("GET", "/v1/things/7", &[("grpc-timeout", "2S")]).unwrap().head.timeout,
        Some(std::time::Duration::from_secs(2))
    );
    assert!(read("GET", "/v1/things/7", &[("grpc-timeout", "2")]).is_err());
    assert!(read("GET", "/v1/things/7", &[("x-timeout-ms", "-2")]).is_err());
}

#[test]
fn a_compressed_body_is_taken_where_nothing_has_to_be_put_into_it() {
    let gzip = [("content-encoding", "gzip")];
    let mut request = read("POST", "/v1/things", &gzip).unwrap();
    assert_eq!(std::mem::take(&mut request.head).compression, Compression::Gzip);
    assert_eq!(request.message(Bytes::from_static(b"\x1f\x8b")).unwrap(), &b"\x1f\x8b"[..]);
    assert_eq!(request.message(Bytes::new()).unwrap(), "{}");
    assert_eq!(read("POST", "/v1/things/7:move", &gzip).unwrap_err().http_status, 415);
    assert_eq!(read("POST", "/v1/things", &[("content-encoding", "lzma")]).unwrap_err().http_status, 415);
}

/// The status, the content type, and the body of an answer.
fn answered(answer: &mut Answer, messages: &[&str], status: &Status) -> (String, String, String) {
    let mut outputs = Vec::new();
    for message in messages {
        outputs.push(answer.message(Bytes::copy_from_slice(message.as_bytes()), Compression::Identity).unwrap());
    }
    outputs.push(answer.end(status, &Metadata::new()));
    let heads: Vec<_> = outputs.iter().filter_map(|output| output.head.as_ref()).collect();
    assert_eq!(heads.len(), 1);
    assert!(outputs[0].body.is_empty() || outputs[0].head.is_some());
    let text = |name: &str| String::from_utf8(heads[0].find(name).unwrap().to_vec()).unwrap();
    let body: Vec<u8> = outputs.iter().flat_map(|output| output.body.to_vec()).collect();
    (text(":status"), text("content-type"), String::from_utf8(body).unwrap())
}

fn answer(verb: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    read(verb, path, fields).unwrap().answer(None)
}

#[test]
fn one_response_is_the_body_or_a_field_of_it() {
    let ok = Status::ok();
    let unary = |path, message| answered(&mut answer("GET", path, &[]), &[message], &ok).2;
    assert_eq!(unary("/v1/things/7", r#"{"name":"x"}"#), r#"{"name":"x"}"#);
    assert_eq!(unary("/v1/things/7/tags", r#"{"name":"x","tags":["a"]}"#), r#"["a"]"#);
    assert_eq!(unary("/v1/things/7/tags", "{}"), "[]");
    let (status, content_type, _) = answered(&mut answer("GET", "/v1/things/7", &[]), &["{}"], &ok);
    assert_eq!((status.as_str(), content_type.as_str()), ("200", "application/json"));
}

#[test]
fn an_error_is_a_google_rpc_status() {
    let status = Status::not_found("no \"x\"")
        .with_detail(Detail { type_url: "t/a.B".into(), value: Bytes::from_static(&[8, 1]) })
        .with_detail(Detail { type_url: "t/a.C".into(), value: Bytes::new() });
    let hook: DetailJson =
        |detail| (detail.type_url == "t/a.C").then(|| "{\"@type\":\"t/a.C\",\n\"known\":true}".to_owned());
    // A response that a failing handler has left behind is not sent.
    let mut answer = read("GET", "/v1/things/7", &[]).unwrap().answer(Some(hook));
    let (http, content_type, body) = answered(&mut answer, &["{}"], &status);
    assert_eq!((http.as_str(), content_type.as_str()), ("404", "application/json"));
    assert_eq!(
        body,
        concat!(
            r#"{"code":5,"message":"no \"x\"","details":[{"@type":"t/a.B","value":"CAE="},"#,
            r#"{"@type":"t/a.C", "known":true}]}"#,
            "\n"
        )
    );
}

#[test]
fn every_code_has_its_http_status() {
    let expected = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    assert_eq!(Code::ALL.map(http_status), expected);
}

#[test]
fn a_stream_is_written_as_the_caller_accepts_it() {
    let two = ["{\"a\":1}", "{\n\"a\":\r\n2}"];
    let broken = Status::aborted("x");
    let error = r#"{"code":10,"message":"x","details":[]}"#;
    for (accept, content_type, whole, cut, empty) in [
        (
            "",
            "application/x-ndjson",
            "{\"a\":1}\n{ \"a\":  2}\n".to_owned(),
            format!("{{\"a\":1}}\n{{ \"a\":  2}}\n{{\"error\":{error}}}\n"),
            "",
        ),
        (
            "text/html, application/json;q=0.9",
            "application/json",
            "[{\"a\":1},\n{ \"a\":  2}]\n".to_owned(),
            format!("[{{\"a\":1}},\n{{ \"a\":  2}},\n{{\"error\":{error}}}]\n"),
            "[]\n",
        ),
        (
            "text/event-stream",
            "text/event-stream",
            "id: 1\ndata: {\"a\":1}\n\nid: 2\ndata: { \"a\":  2}\n\nevent: end\ndata: {}\n\n".to_owned(),
            format!("id: 1\ndata: {{\"a\":1}}\n\nid: 2\ndata: {{ \"a\":  2}}\n\nevent: error\ndata: {error}\n\n"),
            "event: end\ndata: {}\n\n",
        ),
    ] {
        let play = |messages: &[&str], status: &Status| {
            let mut answer = answer("GET", "/v1/things:watch", &[("accept", accept)]);
            let head = answer.leading(&Metadata::new());
            let head = head.head.expect("a stream begins at once");
            assert_eq!(head.find("content-type"), Some(content_type.as_bytes()));
            let mut body = Vec::new();
            for message in messages {
                let message = Bytes::copy_from_slice(message.as_bytes());
                body.extend_from_slice(&answer.message(message, Compression::Identity).unwrap().body);
            }
            body.extend_from_slice(&answer.end(status, &Metadata::new()).body);
            assert_eq!(answer.end(status, &Metadata::new()), Output::default());
            String::from_utf8(body).unwrap()
        };
        assert_eq!(play(&two, &Status::ok()), whole);
        assert_eq!(play(&two, &broken), cut);
        assert_eq!(play(&[], &Status::ok()), empty);
        // Before anything was sent the status of the response can still say it.
        let (http, _, body) = answered(&mut answer("GET", "/v1/things:watch", &[("accept", accept)]), &[], &broken);
        assert_eq!((http.as_str(), body), ("409", format!("{error}\n")));
    }
}

#[test]
fn events_are_counted_on_or_named_by_the_handler() {
    let events = |fields: &[(&str, &str)], named: bool| {
        let mut answer = answer("GET", "/v1/things:watch", fields);
        let mut leading = Metadata::new();
        if named {
            leading.append("event-id-field", "sequence").unwrap();
        }
        assert_eq!(answer.leading(&leading).head.unwrap().find("event-id-field"), None);
        let messages = ["{\"sequence\":\"70\"}", "{\"sequence\":71}", "{\"sequence\":\"a\\nb\"}", "{}"];
        messages
            .map(|message| {
                let output = answer.message(Bytes::from_static(message.as_bytes()), Compression::Identity).unwrap();
                let body = String::from_utf8(output.body.to_vec()).unwrap();
                body.lines().next().unwrap().to_owned()
            })
            .join(" ")
    };
    let accept = ("accept", "text/event-stream");
    assert_eq!(events(&[accept], false), "id: 1 id: 2 id: 3 id: 4");
    assert_eq!(events(&[accept, ("last-event-id", "41")], false), "id: 42 id: 43 id: 44 id: 45");
    assert_eq!(events(&[accept], true), "id: 70 id: 71 id: 3 id: 4");
}

#[test]
fn a_raw_stream_has_the_type_of_its_first_message() {
    let mut answer = answer("GET", "/v1/file", &[]);
    let mut leading = Metadata::new();
    leading.append("etag", "7").unwrap();
    assert_eq!(answer.leading(&leading), Output::default());
    let first =
        answer.message(Bytes::from_static(br#"{"contentType":"text/csv","data":"YSxi"}"#), Compression::Identity);
    let first = first.unwrap();
    let head = first.head.unwrap();
    assert_eq!((head.find("content-type"), head.find("etag")), (Some(&b"text/csv"[..]), Some(&b"7"[..])));
    assert_eq!(first.body, "a,b");
    let second = answer.message(Bytes::from_static(br#"{"data":"Cg=="}"#), Compression::Identity).unwrap();
    assert_eq!((second.head, second.body), (None, Bytes::from_static(b"\n")));
    assert_eq!(answer.end(&Status::ok(), &Metadata::new()), Output::default());
    assert!(answer.message(Bytes::from_static(b"7"), Compression::Identity).is_err());
}

#[test]
fn metadata_of_the_answer_is_in_its_headers() {
    let mut answer = answer("GET", "/v1/things/7", &[("accept-encoding", "gzip")]);
    let (mut leading, mut trailing) = (Metadata::new(), Metadata::new());
    leading.append("location", "/v1/things/8").unwrap();
    leading.append_bin("x-bin", &[0xff]).unwrap();
    trailing.append("cost", "3").unwrap();
    assert_eq!(answer.leading(&leading), Output::default());
    assert_eq!(answer.message(Bytes::from_static(b"zip"), Compression::Gzip).unwrap(), Output::default());
    let Output { head, body } = answer.end(&Status::ok(), &trailing);
    let head = head.unwrap();
    for (name, value) in [
        (":status", "200"),
        ("content-encoding", "gzip"),
        ("location", "/v1/things/8"),
        ("x-bin", "/w"),
        ("grpc-trailer-cost", "3"),
    ] {
        assert_eq!(head.find(name), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(body, "zip");
}

#[test]
fn what_a_client_writes_the_server_reads_back() {
    for (rules, message, path, body) in [
        (&GET[..], r#"{"name":"things/a b%2Fc"}"#, "/v1/things/a%20b%252Fc", ""),
        (&GET, r#"{"name":"other/x"}"#, "/v1/rest/other/x", ""),
        (&LIST, r#"{"name":"a&b=c"}"#, "/v1/things?name=a%26b%3Dc", ""),
        (
            &LIST,
            r#"{"pageSize":5,"big":"7","thing":{"thing":{"on":true}},"colors":["RED","GREEN"],"raw":"+/8="}"#,
            "/v1/things?pageSize=5&big=7&thing.thing.on=true&colors=RED&colors=GREEN&raw=%2B%2F8%3D",
            "",
        ),
        (&COLOR, r#"{"color":"GREEN","on":true}"#, "/v1/colors/GREEN/true", ""),
        (&CREATE, r#"{"name":"x","thing":{"name":"y"}}"#, "/v1/things", r#"{"name":"x","thing":{"name":"y"}}"#),
        (&MOVE, r#"{"thing":{"big":"1","name":"things/7"}}"#, "/v1/things/7:move", r#"{"thing":{"big":"1"}}"#),
        (
            &PATCH,
            r#"{"on":true,"updateMask":"big","thing":{"big":"1","name":"things/7"}}"#,
            "/v1/things/7?on=true&updateMask=big",
            r#"{"big":"1"}"#,
        ),
        (&UPLOAD, r#"{"name":"things/7","file":{"contentType":"a/b","data":"YQ=="}}"#, "/v1/things/7/file", "a"),
    ] {
        let request = client_request(rules, MethodKind::Unary, message.as_bytes()).unwrap();
        assert_eq!((request.path.as_str(), &request.body[..]), (path, body.as_bytes()));
        let content_type = request.content_type.as_deref().unwrap_or_default();
        let read = read(request.rule.verb, &request.path, &[("content-type", content_type)]).unwrap();
        assert_eq!(read.message(request.body).unwrap(), message.as_bytes());
    }
}

#[test]
fn what_does_not_fit_the_rule_is_said_before_it_is_sent() {
    for (rules, message, part) in [
        (&GET[..1], r#"{"name":"orders/7"}"#, "the field name is a part of the path and has to look like \"things/*\""),
        (&GET[..1], r#"{"name":"things/7/8"}"#, "has to look like"),
        (&GET[..1], r#"{"name":"things/"}"#, "has to look like"),
        (&GET[..1], "{}", "is not set"),
        (&LIST, r#"{"things":[{}]}"#, "cannot be said in a query"),
        (&LIST, r#"{"labels":{"a":"b"}}"#, "cannot be said in a query"),
        (&[], "{}", "no HTTP rule"),
    ] {
        let error = client_request(rules, MethodKind::Unary, message.as_bytes()).unwrap_err();
        assert!(error.message().contains(part), "{message}: {error}");
    }
    assert_eq!(client_request(&COLOR, MethodKind::Unary, b"{}").unwrap().path, "/v1/colors/0/false");
    assert_eq!(
        client_request(&LIST, MethodKind::Unary, br#"{"things":[],"labels":{},"name":null}"#).unwrap().path,
        "/v1/things"
    );
}

#[test]
fn an_answer_of_a_server_reads_back() {
    let status =
        Status::not_found("no \"x\"").with_detail(Detail { type_url: "a.B".into(), value: Bytes::from_static(&[8]) });
    let output = answer("GET", "/v1/things/7", &[]).end(&status, &Metadata::new());
    assert_eq!(answer_status(404, &output.body, None), status);
    assert_eq!(answer_status(503, b"<html>", None).code(), Code::Unavailable);
    assert_eq!(answer_status(503, br#"{"code":99}"#, None).code(), Code::Unavailable);

    let line = Bytes::from_static(br#"{"error":{"code":10,"message":"x","details":[]}}"#);
    assert_eq!(answer_message(&WATCH[0], "", &line, None), Err(Status::aborted("x")));
    for line in [r#"{"error":{"code":10},"more":1}"#, r#"{"error":"x"}"#, "{}"] {
        let line = Bytes::from_static(line.as_bytes());
        assert_eq!(answer_message(&WATCH[0], "", &line, None), Ok(line));
    }
    assert_eq!(answer_message(&TAGS[0], "", &Bytes::from_static(b"[1]"), None).unwrap(), r#"{"tags":[1]}"#);
    let raw = answer_message(&DOWNLOAD[0], "a/b", &Bytes::from_static(b"a"), None).unwrap();
    assert_eq!(raw, r#"{"contentType":"a/b","data":"YQ=="}"#);
}

#[test]
fn details_are_read_by_those_who_know_their_type_and_from_base64_otherwise() {
    let known = Detail { type_url: "t/known".into(), value: Bytes::from_static(&[1]) };
    let read = |raw: &[u8]| {
        let known = Detail { type_url: "t/known".into(), value: Bytes::from_static(&[1]) };
        raw.starts_with(br#"{"@type":"t/known""#).then_some(known)
    };
    let unknown = Detail { type_url: "t/other".into(), value: Bytes::from_static(&[8]) };
    let body = br#"{"code":5,"message":"x","details":[{"@type":"t/known","n":1},{"@type":"t/other","value":"CA=="},
        {"@type":"t/other","n":1}]}"#;
    let both = Status::not_found("x").with_detail(known).with_detail(unknown.clone());
    assert_eq!(answer_status(404, body, Some(read)), both);
    assert_eq!(answer_status(404, body, None), Status::not_found("x").with_detail(unknown));
    let line = [&br#"{"error":"#[..], body, b"}"].concat().into();
    assert_eq!(answer_message(&WATCH[0], "", &line, Some(read)), Err(both));
}
