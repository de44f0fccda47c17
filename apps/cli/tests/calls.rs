//! `polywire call` against a running server.

mod shared;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::Command,
    time::{Duration, Instant},
};

use shared::{
    finished, polywire, server, server_with_old_reflection, server_with_rest, server_with_tls,
    server_without_reflection, start, with_input,
};

const UNARY: &str = "polywire.test.v1.Echo/Unary";

#[test]
fn all_four_shapes_are_called() {
    let server = server();
    let address = server.address.as_str();
    polywire(&["call", address, UNARY, "-d", r#"{"text": "hello"}"#]).exits(0).prints("{\n  \"text\": \"hello\"\n}\n");
    polywire(&["call", address, "polywire.test.v1.Echo.Expand", "-d", r#"{"text": "a", "times": 2}"#])
        .exits(0)
        .prints("{\n  \"text\": \"a\"\n}\n{\n  \"text\": \"a\"\n}\n");
    with_input(
        &["call", address, "polywire.test.v1.Echo/Collect", "-d", "@"],
        "{\"text\":\"one \"}{\"text\":\"two \"}\n{\"text\":\"three\"}",
    )
    .exits(0)
    .prints("{\n  \"text\": \"one two three\"\n}\n");
    polywire(&["call", address, "polywire.test.v1.Echo/Chat", "-d", r#"{"text":"x"} {"text":"y"}"#])
        .exits(0)
        .prints("{\n  \"text\": \"x\"\n}\n{\n  \"text\": \"y\"\n}\n");
}

#[test]
fn a_word_in_front_of_the_address_chooses_the_wire() {
    let server = server();
    for (word, how) in [
        ("native://", "native over native"),
        ("ws://", "native over websocket"),
        ("connect+http://", "connect over http/1.1"),
        ("connect+h2c://", "connect over http/2"),
        ("grpc-web+http://", "grpc-web over http/1.1"),
        ("grpc-web+h2c://", "grpc-web over http/2"),
        ("grpc-web-text+http://", "over http/1.1"),
    ] {
        let address = format!("{word}{}", server.address);
        let ran = polywire(&["call", &address, UNARY, "-d", r#"{"text": "hello"}"#, "-v"]).exits(0);
        ran.prints("{\n  \"text\": \"hello\"\n}\n").says(&[how]);
        polywire(&["call", &address, "Echo/Chat", "-d", r#"{"text":"x"} {"text":"y"}"#])
            .exits(0)
            .prints("{\n  \"text\": \"x\"\n}\n{\n  \"text\": \"y\"\n}\n");
    }
}

#[test]
fn a_word_in_front_of_the_address_chooses_the_wire_under_tls_too() {
    let (server, certificate) = server_with_tls();
    let certificate = certificate.path().to_str().unwrap();
    for (word, how) in [
        ("https://", "TLS 1.3, ALPN h2, grpc over http/2"),
        ("native+tls://", "TLS 1.3, ALPN polywire/1, native over native"),
        ("wss://", "TLS 1.3, ALPN http/1.1, native over websocket"),
        ("connect+https://", "TLS 1.3, ALPN h2, connect over http/2"),
        ("grpc-web+https://", "TLS 1.3, ALPN h2, grpc-web over http/2"),
    ] {
        let address = format!("{word}{}", server.address);
        let arguments = ["call", &address, UNARY, "-d", r#"{"text": "hello"}"#, "-v", "--cacert", certificate];
        polywire(&arguments).exits(0).prints("{\n  \"text\": \"hello\"\n}\n").says(&[how]);
    }
}

#[test]
fn rest_is_called_by_the_rules_that_the_server_tells_by_grpc() {
    let server = server_with_rest();
    let request = r#"{"name": "things/a b", "size": "7", "inner": {"size": 2}, "made_of": ["wood", "iron"]}"#;
    let answer = "{\n  \"name\": \"things/a b\",\n  \"size\": \"7\",\n  \"inner\": {\n    \"size\": \"2\"\n  },\n  \
                  \"madeOf\": [\n    \"wood\",\n    \"iron\"\n  ]\n}\n";
    for (word, how) in [("rest+http://", "rest over http/1.1"), ("rest+h2c://", "rest over http/2")] {
        let address = format!("{word}{}", server.address);
        let call = |method: &str, data: &str| polywire(&["call", &address, method, "-d", data, "-v"]);
        call("polywire.test.v1.Shelf/Get", request).exits(0).prints(answer).says(&[
            how,
            "* descriptors from reflection v1, by gRPC because REST cannot carry the questions\n",
            "> GET /v1/things/a%20b?size=7&inner.size=2&madeOf=wood&madeOf=iron (polywire.test.v1.Shelf/Get, unary)\n",
        ]);
        call("Shelf/Get", r#"{"size": "7"}"#)
            .exits(0)
            .prints("{\n  \"size\": \"7\"\n}\n")
            .says(&["> POST /v1/things ("]);
        call("Shelf/Get", r#"{"name": "things/none"}"#)
            .exits(69)
            .says(&["error: NOT_FOUND (5): there is no such thing\n", "detail: no.such.Type"]);
        call("Shelf/List", r#"{"name": "a", "size": 2}"#)
            .exits(0)
            .prints("{\n  \"name\": \"a\",\n  \"size\": \"2\"\n}\n{\n  \"name\": \"a\",\n  \"size\": \"2\"\n}\n")
            .says(&["> GET /v1/things?name=a&size=2 (", "received 2 messages"]);
        call("Shelf/Fill", r#"{"name": "a", "size": 1} {"name": "b", "size": 2}"#)
            .exits(0)
            .prints("{\n  \"name\": \"ab\",\n  \"size\": \"3\"\n}\n")
            .says(&["> POST /v1/things:fill ("]);
        call("Shelf/Hide", "{}").exits(1).says(&["error: polywire.test.v1.Shelf/Hide has no HTTP rule"]);
    }
    let address = format!("rest+http://{}", server.address);
    polywire(&["list", &address]).exits(0);
    polywire(&["call", &address, "Shelf/Get", "-d", request, "--proto", "polywire/test/v1/shelf.proto", "-v"])
        .exits(0)
        .prints(answer)
        .says(&["* descriptors from files\n"]);
    polywire(&["call", &address, "Shelf/Get", "--compress", "gzip"]).exits(2);
}

#[test]
fn without_data_one_empty_request_is_sent_or_none() {
    let server = server();
    polywire(&["call", &server.address, UNARY]).exits(0).prints("{}\n");
    polywire(&["call", &server.address, UNARY, "--emit-defaults"]).exits(0).prints("{\n  \"text\": \"\"\n}\n");
    polywire(&["call", &server.address, "Echo/Chat"]).exits(0).prints("");
}

#[test]
fn a_bidirectional_call_answers_while_requests_are_still_coming() {
    let server = server();
    let mut child = start(&["call", &server.address, "Echo/Chat", "-d", "@", "--format", "json"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for text in ["ping", "pong"] {
        writeln!(stdin, "{{\"text\": \"{text}\"}}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"event\":\"response\",\"message\":{{\"text\":\"{text}\"}},\"bytes\":6}}\n"));
    }
    drop(stdin);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(
        line.starts_with(
            r#"{"event":"status","code":0,"name":"OK","message":"","requests":2,"responses":2,"duration_ms":"#
        ),
        "{line}"
    );
    finished(child).exits(0);
}

#[test]
fn an_interrupt_cancels_the_call() {
    let server = server();
    let mut child = start(&["call", &server.address, "Echo/Chat", "-d", "@"]);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{{}}").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(server.handle.calls_open() > 0);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    finished(child).exits(65).says(&["error: CANCELLED (1): interrupted"]);
    drop(stdin);
    let begin = Instant::now();
    while server.handle.calls_open() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(10), "the server still runs the call");
        std::thread::yield_now();
    }
}

#[test]
fn the_exit_code_tells_the_status() {
    let server = server();
    for code in [1, 2, 5, 14, 16] {
        let request = format!("{{\"code\": {code}, \"text\": \"because\"}}");
        polywire(&["call", &server.address, UNARY, "-d", &request]).exits(64 + code).prints("").says(&["because"]);
    }
    polywire(&["call", &server.address, "Echo/Expand", "-d", r#"{"text": "a", "times": 1, "code": 9}"#])
        .exits(73)
        .prints("{\n  \"text\": \"a\"\n}\n");
}

#[test]
fn details_of_a_status_are_shown() {
    let server = server();
    polywire(&["call", &server.address, UNARY, "-d", r#"{"code": 5, "text": "no order 17"}"#]).exits(69).says(&[
        "error: NOT_FOUND (5): no order 17\n",
        "detail: google.rpc.ErrorInfo {\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"TEST\"}\n",
        "detail: no.such.Type {\"@type\":\"type.googleapis.com/no.such.Type\",\"@value\":\"CAE=\"}\n",
    ]);
    let ran =
        polywire(&["call", &server.address, UNARY, "-d", r#"{"code": 5, "text": "x"}"#, "--format", "json"]).exits(69);
    assert!(ran.stderr.is_empty(), "{ran:?}");
    assert!(ran.stdout.contains(r#""code":5,"name":"NOT_FOUND","message":"x","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TEST"},"#), "{ran:?}");
}

#[test]
fn metadata_is_sent_and_shown() {
    let server = server();
    let headers = ["-H", "X-Tenant: acme", "-H", "x-trace-bin: AAH/"];
    let ran = polywire(&[&["call", &server.address, UNARY, "-v"][..], &headers].concat()).exits(0).prints("{}\n");
    ran.says(&[
        "* connected to localhost:",
        "* descriptors from reflection v1\n",
        "> POST /polywire.test.v1.Echo/Unary (unary)\n> x-tenant: acme\n> x-trace-bin: AAH/\n> message 1: 0 bytes\n",
        "< x-tenant: acme\n< message 1: 0 bytes\n< trailer x-trace-bin: AAH/\n< status OK (0) after ",
        "* sent 1 message (0 bytes), received 1 message (0 bytes)\n",
    ]);
    let ran = polywire(&[&["call", &server.address, UNARY, "--format", "json"][..], &headers].concat()).exits(0);
    assert!(ran.stdout.starts_with("{\"event\":\"headers\",\"metadata\":{\"x-tenant\":[\"acme\"]}}\n{\"event\":\"response\",\"message\":{},\"bytes\":0}\n"), "{ran:?}");
    assert!(ran.stdout.contains("\"metadata\":{\"x-trace-bin\":[\"AAH/\"]}"), "{ran:?}");
}

#[test]
fn a_timeout_ends_a_slow_call() {
    let server = server();
    polywire(&["call", &server.address, UNARY, "-d", r#"{"waitMs": 600000}"#, "--timeout", "200ms"])
        .exits(68)
        .says(&["error: DEADLINE_EXCEEDED (4)", "hint: allow more with --timeout"]);
}

#[test]
fn requests_are_compressed_when_asked() {
    let server = server();
    let request = format!("{{\"text\": \"{}\"}}", "polywire ".repeat(500));
    for compression in ["gzip", "deflate", "zstd", "br", "snappy"] {
        let ran = polywire(&["call", &server.address, UNARY, "-d", &request, "--compress", compression, "-v"]).exits(0);
        ran.says(&[
            "> message 1: 4503 bytes, ",
            &format!(" as {compression}\n"),
            &format!(" bytes, {compression}), received"),
        ]);
    }
    polywire(&["call", &server.address, UNARY, "--compress", "lzma"]).exits(2).says(&["known are identity, gzip"]);
}

#[test]
fn messages_beyond_the_limit_are_refused() {
    let server = server();
    polywire(&[
        "call",
        &server.address,
        UNARY,
        "-d",
        r#"{"text": "0123456789", "times": 100}"#,
        "--max-message-bytes",
        "500",
    ])
    .exits(72)
    .says(&["error: RESOURCE_EXHAUSTED (8)"]);
}

#[test]
fn an_unknown_method_names_its_neighbours() {
    let server = server();
    polywire(&["call", &server.address, "polywire.test.v1.Echo/Unari"]).exits(1).says(&[
        "error: service polywire.test.v1.Echo has no method \"Unari\"\nhint: did you mean polywire.test.v1.Echo/Unary?\n",
    ]);
    polywire(&["call", &server.address, "polywire.test.Echo/Chat"]).exits(1).says(&[
        "error: no service \"polywire.test.Echo\" is known here\nhint: did you mean polywire.test.v1.Echo/Chat?\n",
    ]);
}

#[test]
fn wrong_json_is_shown_with_its_place() {
    let server = server();
    let begin = "error: the request (-d) is not a polywire.test.v1.EchoRequest: ";
    for (request, error) in [
        ("{\"tex\": 1}", "`polywire.test.v1.EchoRequest` has no field `tex`; did you mean `text`?"),
        ("{\n  \"times\": -1}", "times (line 2, column "),
        ("{\"text\": ", "text (line 1, column "),
        ("[]", "line 1, column "),
    ] {
        polywire(&["call", &server.address, UNARY, "-d", request]).exits(1).prints("").says(&[begin, error]);
    }
    polywire(&["call", &server.address, UNARY, "-d", "{\"tex\": 1}", "--allow-unknown-fields"]).exits(0);
    polywire(&["call", &server.address, UNARY, "-d", "{}{}"]).exits(1).says(&["takes one message"]);
    with_input(&["call", &server.address, "Echo/Collect", "-d", "@"], "{} {\"text\": 7}")
        .exits(1)
        .says(&["the request (standard input, message 2) is not a "]);
    assert_eq!(server.handle.calls_open(), 0);
}

#[test]
fn a_server_without_reflection_is_called_by_files() {
    let server = server_without_reflection();
    polywire(&["call", &server.address, UNARY])
        .exits(1)
        .says(&["error: no reflection on this server\nhint: pass --proto FILE or --descriptor-set FILE\n"]);
    polywire(&["call", &server.address, UNARY, "--proto", "polywire/test/v1/echo.proto", "-d", r#"{"text":"x"}"#])
        .exits(0)
        .prints("{\n  \"text\": \"x\"\n}\n");
    polywire(&["call", &server.address, UNARY, "--no-reflection"]).exits(2);
}

#[test]
fn a_server_with_old_reflection_is_understood() {
    let server = server_with_old_reflection();
    polywire(&["call", &server.address, UNARY, "-v"]).exits(0).says(&["* descriptors from reflection v1alpha\n"]);
}

#[test]
fn what_is_in_the_way_of_a_connection_is_explained() {
    polywire(&["call", "localhost:1", UNARY]).exits(78).says(&[
        "error: UNAVAILABLE (14): cannot connect to localhost:1: ",
        "hint: is the server running? nothing listens on localhost:1\n",
    ]);
    let plain = server();
    polywire(&["call", &plain.address, UNARY, "--tls"])
        .exits(78)
        .says(&["the peer does not speak TLS", "speaks plaintext: add --plaintext\n"]);
    let (secure, certificate) = server_with_tls();
    polywire(&["call", &secure.address, UNARY]).exits(78).says(&["speaks TLS: add --tls\n"]);
    polywire(&["call", &secure.address, UNARY, "--tls"]).exits(78).says(&["not trusted", "hint: --cacert FILE"]);
    let certificate = certificate.path().to_str().unwrap();
    polywire(&["call", &secure.address, UNARY, "--cacert", certificate]).exits(0).prints("{}\n");
    polywire(&["call", &secure.address, UNARY, "--cacert", certificate, "--servername", "example.com"]).exits(78);
    polywire(&["call", &secure.address, UNARY, "--insecure"]).exits(0);
}

#[test]
fn what_grpcurls_users_type_is_understood() {
    let server = server();
    polywire(&["-plaintext", "-max-time", "10", "-d", r#"{"text":"x"}"#, &server.address, UNARY])
        .exits(0)
        .prints("{\n  \"text\": \"x\"\n}\n");
    polywire(&["-plaintext", &server.address, "list"]).exits(0).prints(
        "grpc.reflection.v1.ServerReflection\ngrpc.reflection.v1alpha.ServerReflection\npolywire.test.v1.Echo\n",
    );
}
