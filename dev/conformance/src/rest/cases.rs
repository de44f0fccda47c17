//! What is asked and what has to come back, in the order of what `google/api/http.proto` and the JSON mapping of
//! Protobuf say.

/// One request and its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// What is promised.
    pub(super) about: &'static str,
    pub(super) verb: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: &'static [&'static str],
    pub(super) body: Option<&'static str>,
    pub(super) status: u16,
    /// Which method answers; empty when none is called.
    pub(super) method: &'static str,
    pub(super) wanted: Wanted,
    /// A header of the response.
    pub(super) header: Option<(&'static str, &'static str)>,
}

/// What the body of a response has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// This text.
    Exactly(&'static str),
    /// Something with this in it.
    With(&'static str),
}

const fn get(about: &'static str, method: &'static str, path: &'static str, body: &'static str) -> Case {
    Case {
        about,
        verb: "GET",
        path,
        headers: &[],
        body: None,
        status: 200,
        method,
        wanted: Wanted::Exactly(body),
        header: None,
    }
}

const fn refused(about: &'static str, path: &'static str, part: &'static str) -> Case {
    Case { status: 400, wanted: Wanted::With(part), ..get(about, "", path, "") }
}

const fn send(
    about: &'static str,
    method: &'static str,
    verb: &'static str,
    path: &'static str,
    body: &'static str,
    wanted: &'static str,
) -> Case {
    Case { verb, body: Some(body), headers: &[JSON], ..get(about, method, path, wanted) }
}

const fn create(about: &'static str, body: &'static str, wanted: &'static str) -> Case {
    send(about, "Create", "POST", "/v1/messages", body, wanted)
}

const fn bad_body(about: &'static str, body: &'static str, part: &'static str) -> Case {
    Case { status: 400, wanted: Wanted::With(part), ..create(about, body, "") }.without_method()
}

impl Case {
    const fn without_method(mut self) -> Self {
        self.method = "";
        self
    }

    const fn asking(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }

    const fn answers(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    const fn by(mut self, verb: &'static str) -> Self {
        self.verb = verb;
        self
    }

    const fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}

const JSON: &str = "content-type: application/json";

pub(super) const CASES: &[Case] = &[
    // Paths.
    get("a variable with a pattern takes the segments", "Get", "/v1/messages/123456", r#"{"name":"messages/123456"}"#),
    get("a variable without one takes one segment", "Find", "/v1/find/123456", r#"{"messageId":"123456"}"#),
    get(
        "an additional binding reaches the same method",
        "Get",
        "/v1/users/me/messages/123456",
        r#"{"messageId":"123456","userId":"me"}"#,
    ),
    get(
        "a variable may be a field of a field, and ** takes the rest",
        "Deep",
        "/v1/deep/x/a/b/c",
        r#"{"name":"a/b/c","sub":{"subfield":"x"}}"#,
    ),
    get("** may take nothing", "Deep", "/v1/deep/x", r#"{"sub":{"subfield":"x"}}"#),
    get("one segment is decoded completely", "Find", "/v1/find/a%20b%2Fc%C3%A9%25", "{\"messageId\":\"a b/c\u{e9}%\"}"),
    get("several segments keep %2F", "Deep", "/v1/deep/x/a%20b%2Fc/d", r#"{"name":"a b%2Fc/d","sub":{"subfield":"x"}}"#),
    get("a plus in a path is a plus", "Find", "/v1/find/a+b", r#"{"messageId":"a+b"}"#),
    get("a colon that is no verb is text", "Get", "/v1/messages/a:b", r#"{"name":"messages/a:b"}"#),
    get("literals may be escaped", "Get", "/v1/%6Dessages/1", r#"{"name":"messages/1"}"#),
    get(
        "variables are typed: enums by name, numbers, booleans, bytes, times",
        "Typed",
        "/v1/typed/ROUND/-7/true/AQI/2026-01-02T03:04:05Z",
        r#"{"kind":"ROUND","flag":true,"raw":"AQI=","at":"2026-01-02T03:04:05Z","small":-7}"#,
    ),
    get(
        "an enum may be given by number",
        "Typed",
        "/v1/typed/2/0/false/AA/2026-01-02T03:04:05.5Z",
        r#"{"kind":"SQUARE","raw":"AA==","at":"2026-01-02T03:04:05.500Z"}"#,
    ),
    refused("a variable of the wrong type is named", "/v1/typed/ROUND/x/true/AQI/2026-01-02T03:04:05Z", "small"),
    refused("a bad escape is refused", "/v1/find/%zz", "message_id"),
    send("a custom verb", "Archive", "POST", "/v1/messages/1:archive", "{}", r#"{"name":"messages/1"}"#),
    get("a path that belongs to nothing", "", "/v1/nothing", "").without_method().answers(404).with_body(""),
    get("an empty segment matches no variable", "", "/v1/find/", "").answers(404).with_body(""),
    get("a method without a rule is not reached", "", "/v1/hidden", "").answers(404).with_body(""),
    get("a path under another verb says which", "", "/v1/find/1", "")
        .by("DELETE")
        .answers(405)
        .with_header("allow", "GET")
        .with_body(r#""code":12"#),
    get("any verb", "AnyVerb", "/v1/any/x", r#"{"name":"x"}"#).by("OPTIONSX"),
    get("a verb of one's own", "Purge", "/v1/messages?flag=true", r#"{"flag":true}"#).by("PURGE"),
    // Queries.
    get(
        "what the path does not bind comes from the query",
        "Find",
        "/v1/find/123456?revision=2&sub.subfield=foo",
        r#"{"messageId":"123456","revision":"2","sub":{"subfield":"foo"}}"#,
    ),
    get("a list is a parameter repeated", "Find", "/v1/find/1?tags=a&tags=b", r#"{"messageId":"1","tags":["a","b"]}"#),
    get("a list of enums", "Find", "/v1/find/1?kinds=ROUND&kinds=2", r#"{"messageId":"1","kinds":["ROUND","SQUARE"]}"#),
    get("a plus is a space", "Find", "/v1/find/1?name=a+b%2B", r#"{"name":"a b+","messageId":"1"}"#),
    get("names as in JSON or as in the .proto file", "Find", "/v1/find/1?userId=a", r#"{"messageId":"1","userId":"a"}"#),
    get("names as in the .proto file", "Find", "/v1/find/1?user_id=a", r#"{"messageId":"1","userId":"a"}"#),
    get(
        "a field of a field of a field",
        "Find",
        "/v1/find/1?message.message.sub.subfield=x&message.flag=true",
        r#"{"messageId":"1","message":{"flag":true,"message":{"sub":{"subfield":"x"}}}}"#,
    ),
    get(
        "times, lengths, masks, wrappers",
        "Find",
        "/v1/find/1?at=2026-01-02T03:04:05Z&hold=1.5s&updateMask=a,b.c_d&boxed=7",
        r#"{"messageId":"1","at":"2026-01-02T03:04:05Z","hold":"1.500s","updateMask":"a,b.cD","boxed":"7"}"#,
    ),
    get(
        "numbers",
        "Find",
        "/v1/find/1?ratio=0.5&ratio_short=-1.5e3&big=18446744073709551615&small=-2147483648",
        r#"{"messageId":"1","ratio":0.5,"small":-2147483648,"big":"18446744073709551615","ratioShort":-1500.0}"#,
    ),
    get("numbers that are none", "Find", "/v1/find/1?ratio=NaN", r#"{"messageId":"1","ratio":"NaN"}"#),
    get("a field with presence keeps its default", "Find", "/v1/find/1?note=", r#"{"messageId":"1","note":""}"#),
    get("a choice", "Find", "/v1/find/1?left=x", r#"{"messageId":"1","left":"x"}"#),
    refused("both of a choice", "/v1/find/1?left=x&right=y", "code"),
    refused("a parameter that no field has", "/v1/find/1?revison=2", r#"did you mean \"revision\"?"#),
    refused("a parameter of the wrong type", "/v1/find/1?revision=x", r#"\"revision\" is not a whole number of 64 bits"#),
    refused("an enum value that is none", "/v1/find/1?kind=RUOND", "did you mean ROUND?"),
    refused("one value given twice", "/v1/find/1?name=a&name=b", "given twice"),
    refused("a map in a query", "/v1/find/1?labels=a", "is a map"),
    refused("a list of messages in a query", "/v1/find/1?subs.subfield=a", "list of messages"),
    refused("a whole message in a query", "/v1/find/1?sub=a", "name its fields, as in sub.subfield"),
    refused("a struct in a query", "/v1/find/1?extra=1", "no text form"),
    refused("what the path has said already", "/v1/find/1?message_id=2", "said by the path already"),
    refused("a bad escape in a query", "/v1/find/1?name=%f", r#"\"name\" is not escaped UTF-8"#),
    // Bodies.
    create("the body is the whole message", r#"{"name":"a","sub":{"subfield":"b"}}"#, r#"{"name":"a","sub":{"subfield":"b"}}"#),
    create("an empty body is an empty message", "", "{}"),
    create("space around it", " \n{ } \n", "{}"),
    create("names as in the .proto file, in a body", r#"{"message_id":"1"}"#, r#"{"messageId":"1"}"#),
    create("null is nothing", r#"{"name":null,"sub":null,"tags":null}"#, "{}"),
    create("64 bits as a string or a number", r#"{"revision":9007199254740991,"big":"5"}"#, r#"{"revision":"9007199254740991","big":"5"}"#),
    create("numbers as strings", r#"{"small":"-5","ratio":"0.5"}"#, r#"{"ratio":0.5,"small":-5}"#),
    create("a whole number may be written as a fraction", r#"{"small":1.0}"#, r#"{"small":1}"#),
    create("enums by name or number", r#"{"kind":1,"kinds":["SQUARE",1]}"#, r#"{"kind":"ROUND","kinds":["SQUARE","ROUND"]}"#),
    create("an enum value nobody knows keeps its number", r#"{"kind":7}"#, r#"{"kind":7}"#),
    create("defaults are left out", r#"{"name":"","small":0,"flag":false,"kind":"KIND_UNSPECIFIED","tags":[]}"#, "{}"),
    create("bytes of either alphabet, padded or not", r#"{"raw":"-_8"}"#, r#"{"raw":"+/8="}"#),
    create(
        "times and lengths",
        r#"{"at":"2026-01-02T05:04:05.123456789+02:00","hold":"-3s"}"#,
        r#"{"at":"2026-01-02T03:04:05.123456789Z","hold":"-3s"}"#,
    ),
    create("wrappers", r#"{"boxed":"0"}"#, r#"{"boxed":"0"}"#),
    create("maps and structs", r#"{"labels":{"a":"b"},"extra":{"x":[1,null,"y"]}}"#, r#"{"labels":{"a":"b"},"extra":{"x":[1.0,null,"y"]}}"#),
    create("numbers beyond numbers", r#"{"ratio":"-Infinity","ratioShort":"NaN"}"#, r#"{"ratio":"-Infinity","ratioShort":"NaN"}"#),
    create("text with escapes", r#"{"name":"\u00e9\ud83d\ude00\n\""}"#, "{\"name\":\"\u{e9}\u{1f600}\\n\\\"\"}"),
    bad_body("a body that is not JSON", "{", r#""code":3"#),
    bad_body("a body of another kind", "[]", r#""code":3"#),
    bad_body("a number that is too large", r#"{"small":2147483648}"#, r#""code":3"#),
    bad_body("a fraction where a whole number is wanted", r#"{"small":1.5}"#, r#""code":3"#),
    bad_body("a time that is none", r#"{"at":"2026-13-01T00:00:00Z"}"#, r#""code":3"#),
    bad_body("both of a choice in a body", r#"{"left":"a","right":"b"}"#, r#""code":3"#),
    bad_body("an enum name nobody knows", r#"{"kind":"RUOND"}"#, r#""code":3"#),
    bad_body("nesting without end", DEEP, r#""code":3"#),
    create("no query beside a whole body", "{}", "").at("/v1/messages?name=a").answers(400).without_method().with_body("JSON body"),
    create("forms are no JSON", "{}", "")
        .asking(&["content-type: application/x-www-form-urlencoded"])
        .answers(415)
        .without_method()
        .with_body("content-type: application/json"),
    create("other types of JSON", "{}", "{}").asking(&["content-type: application/merge-patch+json; charset=utf-8"]),
    send(
        "path and body together",
        "Replace",
        "PUT",
        "/v1/messages/1",
        r#"{"name":"a"}"#,
        r#"{"name":"a","messageId":"1"}"#,
    ),
    send(
        "the path goes before the body",
        "Replace",
        "PUT",
        "/v1/messages/1",
        r#"{"message_id":"2","name":"a"}"#,
        r#"{"name":"a","messageId":"1"}"#,
    ),
    send(
        "the body is one field, the rest is the query",
        "Update",
        "PATCH",
        "/v1/messages/1?revision=2&updateMask=name",
        r#"{"name":"a"}"#,
        r#"{"messageId":"1","revision":"2","updateMask":"name","message":{"name":"a"}}"#,
    ),
    send(
        "a PATCH without a mask means what it mentions",
        "Update",
        "PATCH",
        "/v1/messages/1",
        r#"{"name":"a","sub":{"subfield":"b"},"message_id":""}"#,
        r#"{"messageId":"1","updateMask":"name,sub.subfield,messageId","message":{"name":"a","sub":{"subfield":"b"}}}"#,
    ),
    send("a field of the body in the query", "", "PATCH", "/v1/messages/1?message.name=a", "{}", "")
        .answers(400)
        .with_body("which is the JSON body"),
    get("a body where none belongs", "", "/v1/find/1", "").sending("{}").answers(400).with_body("takes no body"),
    get("a DELETE answers with an empty message", "Remove", "/v1/messages/1", "{}").by("DELETE"),
    // Responses.
    get("a field of the response is the body", "Tags", "/v1/messages/1/tags?tags=a&tags=b", r#"["a","b"]"#),
    get("an empty field of the response", "Tags", "/v1/messages/1/tags", "[]"),
    get("the type of a response", "Find", "/v1/find/1", r#"{"messageId":"1"}"#).with_header("content-type", "application/json"),
    get("metadata by its name", "Find", "/v1/find/1", r#"{"messageId":"1"}"#)
        .asking(&["x-say: hello"])
        .with_header("x-said", "hello"),
    get("metadata as gateways name it", "Find", "/v1/find/1", r#"{"messageId":"1"}"#)
        .asking(&["grpc-metadata-x-say: hello"])
        .with_header("x-said", "hello"),
    get("a timeout that cannot be read", "", "/v1/find/1", "").asking(&["grpc-timeout: soon"]).answers(400).with_body("grpc-timeout"),
    // Errors.
    failed("CANCELLED", "/v1/fail/1", 499, 1),
    failed("UNKNOWN", "/v1/fail/2", 500, 2),
    failed("INVALID_ARGUMENT", "/v1/fail/3", 400, 3),
    failed("DEADLINE_EXCEEDED", "/v1/fail/4", 504, 4),
    failed("NOT_FOUND", "/v1/fail/5", 404, 5),
    failed("ALREADY_EXISTS", "/v1/fail/6", 409, 6),
    failed("PERMISSION_DENIED", "/v1/fail/7", 403, 7),
    failed("RESOURCE_EXHAUSTED", "/v1/fail/8", 429, 8),
    failed("FAILED_PRECONDITION", "/v1/fail/9", 400, 9),
    failed("ABORTED", "/v1/fail/10", 409, 10),
    failed("OUT_OF_RANGE", "/v1/fail/11", 400, 11),
    failed("UNIMPLEMENTED", "/v1/fail/12", 501, 12),
    failed("INTERNAL", "/v1/fail/13", 500, 13),
    failed("UNAVAILABLE", "/v1/fail/14", 503, 14),
    failed("DATA_LOSS", "/v1/fail/15", 500, 15),
    failed("UNAUTHENTICATED", "/v1/fail/16", 401, 16),
    // Streams.
    get("a stream is a message on each line", "Watch", "/v1/messages:watch?small=2", "{\"small\":1}\n{\"small\":2}\n")
        .with_header("content-type", "application/x-ndjson"),
    get("a stream of nothing", "Watch", "/v1/messages:watch", ""),
    get("a stream as an array", "Watch", "/v1/messages:watch?small=2", "[{\"small\":1},\n{\"small\":2}]\n")
        .asking(&["accept: application/json"])
        .with_header("content-type", "application/json"),
    get("an array of nothing", "Watch", "/v1/messages:watch", "[]\n").asking(&["accept: application/json"]),
    get(
        "a stream as events",
        "Watch",
        "/v1/messages:watch?small=2",
        "id: 1\ndata: {\"small\":1}\n\nid: 2\ndata: {\"small\":2}\n\nevent: end\ndata: {}\n\n",
    )
    .asking(&["accept: text/event-stream"])
    .with_header("content-type", "text/event-stream"),
    get(
        "events are counted on",
        "Watch",
        "/v1/messages:watch?small=1",
        "id: 8\ndata: {\"small\":1}\n\nevent: end\ndata: {}\n\n",
    )
    .asking(&["accept: text/event-stream", "last-event-id: 7"]),
    get(
        "a stream that breaks says so on a line",
        "Watch",
        "/v1/messages:watch?small=1&code=10",
        "{\"small\":1}\n{\"error\":{\"code\":10,\"message\":\"as you wish\",\"details\":[]}}\n",
    ),
    get(
        "a stream that breaks says so in the array",
        "Watch",
        "/v1/messages:watch?small=1&code=10",
        "[{\"small\":1},\n{\"error\":{\"code\":10,\"message\":\"as you wish\",\"details\":[]}}]\n",
    )
    .asking(&["accept: application/json"]),
    get(
        "a stream that breaks says so by an event",
        "Watch",
        "/v1/messages:watch?small=1&code=10",
        "id: 1\ndata: {\"small\":1}\n\nevent: error\ndata: {\"code\":10,\"message\":\"as you wish\",\"details\":[]}\n\n",
    )
    .asking(&["accept: text/event-stream"]),
    get("a stream that fails at once is an error", "Watch", "/v1/messages:watch?code=5", "")
        .answers(404)
        .with_body(r#"{"code":5,"message":"as you wish","details":[]}"#),
    send(
        "a client streams lines",
        "Import",
        "POST",
        "/v1/messages:import",
        "{\"name\":\"a\"}\n\n {\"name\":\"b\"}\r\n{\"name\":\"c\"}",
        r#"{"tags":["a","b","c"]}"#,
    )
    .asking(&["content-type: application/x-ndjson"]),
    send("a client streams nothing", "Import", "POST", "/v1/messages:import", "", "{}")
        .asking(&["content-type: application/x-ndjson"]),
    send("a line that is not JSON", "", "POST", "/v1/messages:import", "{}\n{", "")
        .asking(&["content-type: application/x-ndjson"])
        .answers(400)
        .with_body(r#""code":3"#),
    send(
        "both stream lines",
        "Chat",
        "POST",
        "/v1/messages:chat",
        "{\"name\":\"a\"}\n{\"name\":\"b\"}\n",
        "{\"name\":\"a\"}\n{\"name\":\"b\"}\n",
    )
    .asking(&["content-type: application/x-ndjson"]),
    // Bodies of any type.
    send(
        "a field of any type is the body",
        "Upload",
        "PUT",
        "/v1/files/a/b",
        "\u{1}\u{2}",
        r#"{"name":"files/a/b","file":{"contentType":"image/png","data":"AQI="}}"#,
    )
    .asking(&["content-type: image/png"]),
    send("bodies of any type both ways", "Convert", "POST", "/v1/files:convert", "a,b", "a,b")
        .asking(&["content-type: text/csv"])
        .with_header("content-type", "text/csv"),
    get("a stream of bytes", "Download", "/v1/files/xyz", "files/xyz").with_header("content-type", "text/x-letters"),
];

const fn failed(about: &'static str, path: &'static str, status: u16, code: u32) -> Case {
    // Not all in one text: constants cannot be put together.
    let body = match code {
        1 => r#"{"code":1,"#,
        2 => r#"{"code":2,"#,
        3 => r#"{"code":3,"#,
        4 => r#"{"code":4,"#,
        5 => r#"{"code":5,"#,
        6 => r#"{"code":6,"#,
        7 => r#"{"code":7,"#,
        8 => r#"{"code":8,"#,
        9 => r#"{"code":9,"#,
        10 => r#"{"code":10,"#,
        11 => r#"{"code":11,"#,
        12 => r#"{"code":12,"#,
        13 => r#"{"code":13,"#,
        14 => r#"{"code":14,"#,
        15 => r#"{"code":15,"#,
        _ => r#"{"code":16,"#,
    };
    get(about, "Fail", path, "").answers(status).with_body(body)
}

impl Case {
    const fn with_body(mut self, part: &'static str) -> Self {
        self.wanted = Wanted::With(part);
        self
    }

    const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    const fn sending(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self.headers = &[JSON];
        self
    }
}

/// More nesting than any message has.
const DEEP: &str = concat!(
    r#"{"extra":{"a":"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    "}}"
);
