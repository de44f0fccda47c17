//! One port: which wires and protocols it speaks, and what it says to the rest.

mod shared;

use std::net::SocketAddr;

use flate2::{Decompress, FlushDecompress};
use polywire::{Call, Channel, Code, CorsPolicy, Protocol, Server, Status, Wire, http};
use shared::{
    EchoClient, EchoReply, EchoRequest, EchoRequestView, EchoServer, Echoer, RestEchoClient, RestEchoServer,
    RestEchoService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const WIRES: [(&str, Wire, Protocol); 11] = [
    ("connect+h2c", Wire::Http2, Protocol::Connect),
    ("connect+http", Wire::Http1, Protocol::Connect),
    ("grpc-web+h2c", Wire::Http2, Protocol::GrpcWeb),
    ("grpc-web+http", Wire::Http1, Protocol::GrpcWeb),
    ("grpc-web-text+h2c", Wire::Http2, Protocol::GrpcWeb),
    ("grpc-web-text+http", Wire::Http1, Protocol::GrpcWeb),
    ("http", Wire::Http2, Protocol::Grpc),
    ("native", Wire::Native, Protocol::Native),
    ("rest+h2c", Wire::Http2, Protocol::Rest),
    ("rest+http", Wire::Http1, Protocol::Rest),
    ("ws", Wire::WebSocket, Protocol::Native),
];

/// Echo has no rules for REST.
impl RestEchoService for Echoer {
    async fn say(&self, _call: &mut Call, request: EchoRequestView<'_>) -> Result<EchoReply, Status> {
        Ok(EchoReply { text: request.text.to_owned(), ..Default::default() })
    }
}

/// Has a text said back over a wire.
async fn say(scheme: &str, address: SocketAddr, text: &str) -> Result<String, Status> {
    let channel = Channel::to(format!("{scheme}://{address}")).unwrap();
    let request = EchoRequest { text: text.to_owned(), ..Default::default() };
    let reply = match scheme.starts_with("rest+") {
        true => RestEchoClient::new(channel).say(request).await,
        false => EchoClient::new(channel).unary(request).await,
    };
    reply.map(|reply| reply.text)
}

/// Has a text said back over a WebSocket by the JSON text form; what comes first, if it is text.
async fn say_as_text(address: SocketAddr, text: &str) -> Option<String> {
    let mut transport = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    transport.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(transport.read_u8().await.unwrap().into());
    }
    if !head.starts_with("HTTP/1.1 101") {
        return None;
    }
    let call = format!(r#"{{"call":"polywire.test.v1.Echo/Unary","message":{{"text":"{text}"}}}}"#);
    // A masked frame (with zeros), short enough for one byte of length.
    let len = u8::try_from(call.len()).unwrap();
    assert!(len < 126);
    let frame = [&[0x81, 0x80 | len, 0, 0, 0, 0], call.as_bytes()].concat();
    transport.write_all(&frame).await.unwrap();
    let (first, len) = (transport.read_u8().await.unwrap(), transport.read_u8().await.unwrap());
    let mut answer = vec![0; len.into()];
    transport.read_exact(&mut answer).await.unwrap();
    (first == 0x81).then(|| String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn every_wire_reaches_the_same_handler_and_is_counted() {
    let server = Server::new().add(EchoServer::new(Echoer)).add(RestEchoServer::new(Echoer));
    let bound = server.bind("127.0.0.1:0").await.unwrap();
    let (address, handle) = (bound.address().unwrap(), bound.handle());
    tokio::spawn(bound.serve());
    for (scheme, wire, protocol) in WIRES {
        let before = handle.calls_started_by(wire, protocol);
        assert_eq!(say(scheme, address, "hello").await.unwrap(), "hello", "{scheme}");
        assert_eq!(handle.calls_started_by(wire, protocol), before + 1, "{scheme}");
    }
    assert_eq!(say_as_text(address, "hello").await.unwrap(), r#"{"id":0,"message":{"text":"hello"}}"#);
    assert_eq!(handle.calls_started_by(Wire::WebSocket, Protocol::Text), 1);
}

#[tokio::test]
async fn base64_carries_streams_and_errors_too() {
    let bound = Server::new().add(EchoServer::new(Echoer)).bind("127.0.0.1:0").await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.serve());
    for scheme in ["grpc-web-text+h2c", "grpc-web-text+http"] {
        let echo = EchoClient::new(Channel::to(format!("{scheme}://{address}")).unwrap());
        let request = EchoRequest { text: "a piece".into(), times: 50, ..Default::default() };
        let mut replies = echo.expand(&request).await.unwrap();
        let mut count = 0;
        while let Some(reply) = replies.next().await.unwrap() {
            assert_eq!(reply.text, "a piece");
            count += 1;
        }
        assert_eq!(count, 50, "{scheme}");
        let (mut sender, reply) = echo.collect().await.unwrap();
        for text in ["one", "two"] {
            sender.send(&EchoRequest { text: text.into(), ..Default::default() }).await.unwrap();
        }
        sender.close();
        assert_eq!(reply.await.unwrap().text, "onetwo", "{scheme}");
        let refused = echo.unary(EchoRequest { text: "no".into(), code: 9, ..Default::default() }).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "no"), "{scheme}");
    }
}

#[tokio::test]
async fn what_is_counted_can_be_read_by_prometheus() {
    let server = Server::new()
        .add(EchoServer::new(Echoer))
        .add(RestEchoServer::new(Echoer))
        .with_metrics(|| "cups_total 3\n".to_owned());
    let bound = server.bind("127.0.0.1:0").await.unwrap();
    let (address, handle) = (bound.address().unwrap(), bound.handle());
    tokio::spawn(bound.serve());
    for (scheme, ..) in WIRES {
        say(scheme, address, "").await.unwrap();
    }
    shared::until(|| handle.connections_open() == 0).await;
    let mut transport = TcpStream::connect(address).await.unwrap();
    transport.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    transport.read_to_string(&mut answer).await.unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in [
        "# TYPE polywire_calls_started_total counter",
        r#"polywire_calls_started_total{wire="http/1.1",protocol="connect"} 1"#,
        r#"polywire_calls_started_total{wire="http/2",protocol="grpc"} 1"#,
        r#"polywire_calls_started_total{wire="http/2",protocol="rest"} 1"#,
        r#"polywire_calls_started_total{wire="native",protocol="native"} 1"#,
        r#"polywire_calls_started_total{wire="websocket",protocol="native"} 1"#,
        "polywire_http_requests_total 1",
        "polywire_calls_open 1",
        r#"polywire_calls_started_total{wire="websocket",protocol="text"} 0"#,
        &format!("polywire_connections_accepted_total {}", WIRES.len() + 1),
        "polywire_connections_open 1",
        "cups_total 3",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
    }
    // Each metric once, with its help and type before it.
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    assert!(handle.metrics().contains("polywire_calls_open 0\n"), "the request is over");
}

#[tokio::test]
async fn what_is_switched_off_is_refused_and_the_rest_goes_on() {
    let server = Server::new()
        .add(EchoServer::new(Echoer))
        .add(RestEchoServer::new(Echoer))
        .without_wire(Wire::Native)
        .without_wire(Wire::WebSocket)
        .without_protocol(Protocol::GrpcWeb)
        .without_protocol(Protocol::Rest);
    let bound = server.bind("127.0.0.1:0").await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.serve());
    for (scheme, wire, protocol) in WIRES {
        let off =
            matches!(wire, Wire::Native | Wire::WebSocket) || matches!(protocol, Protocol::GrpcWeb | Protocol::Rest);
        let reply = say(scheme, address, "hello").await;
        assert_eq!(reply.is_err(), off, "{scheme}: {reply:?}");
    }
    assert_eq!(say_as_text(address, "hello").await, None);
}

#[tokio::test]
async fn a_websocket_may_be_left_with_one_of_its_forms() {
    for off in [Protocol::Text, Protocol::Native] {
        let bound = Server::new().add(EchoServer::new(Echoer)).without_protocol(off).bind("127.0.0.1:0").await.unwrap();
        let address = bound.address().unwrap();
        tokio::spawn(bound.serve());
        assert_eq!(say_as_text(address, "hello").await.is_none(), off == Protocol::Text);
        assert_eq!(say("ws", address, "hello").await.is_err(), off == Protocol::Native);
    }
}

/// What a page sends whose requests can hold nothing but text.
#[tokio::test]
async fn grpc_web_as_text_is_base64_both_ways() {
    let bound = Server::new().add(EchoServer::new(Echoer)).bind("127.0.0.1:0").await.unwrap();
    let (address, handle) = (bound.address().unwrap(), bound.handle());
    tokio::spawn(bound.serve());
    // An envelope of seven bytes: `text: "hello"`; whole, and in two pieces that are padded each.
    for body in ["AAAAAAcKBWhlbGxv", "AAAAAAc=CgVoZWxsbw=="] {
        let len = body.len();
        let request = format!(
            "POST /polywire.test.v1.Echo/Unary HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len}\r\n\
             content-type: application/grpc-web-text+proto\r\naccept: application/grpc-web-text+proto\r\n\r\n{body}"
        );
        let mut transport = TcpStream::connect(address).await.unwrap();
        transport.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        transport.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: application/grpc-web-text+proto"), "{head}");
        let body = from_base64(&without_chunks(head, body));
        let (message, end) = body.split_at(12);
        assert_eq!(message, b"\0\0\0\0\x07\n\x05hello");
        assert_eq!(end[0], 0x80, "the trailers: {end:?}");
        assert!(end[5..].starts_with(b"grpc-status: 0\r\n") || end[5..].starts_with(b"grpc-status:0\r\n"), "{end:?}");
    }
    assert_eq!(handle.calls_started_by(Wire::Http1, Protocol::GrpcWeb), 2);
}

/// A body without the lengths of its chunks, if it has some.
fn without_chunks(head: &str, mut body: &str) -> String {
    if !head.contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let mut whole = String::new();
    while let Some((len, rest)) = body.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).unwrap();
        if len == 0 {
            break;
        }
        whole.push_str(&rest[..len]);
        body = &rest[len + 2..];
    }
    whole
}

/// The bytes of base64 in which padding may stand anywhere.
fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks(4).flat_map(|group| {
        let digits = group.iter().filter_map(|digit| DIGITS.iter().position(|other| other == digit));
        let (count, value) = digits.fold((0, 0), |(count, value), digit| (count + 1, value << 6 | digit as u32));
        let bytes = (value << (6 * (4 - count))).to_be_bytes();
        bytes[1..count as usize].to_vec()
    });
    groups.collect()
}

#[tokio::test]
async fn where_one_wire_is_left_whatever_comes_is_taken_for_it() {
    let server = Server::new().without_wire(Wire::Native).without_wire(Wire::Http1);
    let bound = server.bind("127.0.0.1:0").await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.serve());
    let mut transport = TcpStream::connect(address).await.unwrap();
    transport.write_all(b"this is no preface of HTTP/2\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    transport.read_to_end(&mut answer).await.unwrap();
    // RFC 9113 §3.4: SETTINGS come first, and a GOAWAY with PROTOCOL_ERROR ends it.
    assert_eq!(answer[3], 4, "{answer:?}");
    assert!(answer.ends_with(b"\0\0\0\x01bad preface"), "{answer:?}");
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_call_even_with_what_a_form_could_send() {
    let bound = Server::new().add(EchoServer::new(Echoer)).bind("127.0.0.1:0").await.unwrap();
    let (address, handle) = (bound.address().unwrap(), bound.handle());
    tokio::spawn(bound.serve());
    for (origin, status, calls) in
        [("https://other.example", "HTTP/1.1 403", 0), ("http://shop.example", "HTTP/1.1 200", 1)]
    {
        let request = format!(
            "POST /polywire.test.v1.Echo/Unary HTTP/1.1\r\nhost: shop.example\r\norigin: {origin}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        let mut transport = TcpStream::connect(address).await.unwrap();
        transport.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        transport.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(status), "{answer:?}");
        assert_eq!(handle.calls_started(), calls);
    }
}

/// Connect: a streaming content type for a unary method, with a deadline, by a request that never ends.
#[tokio::test]
async fn a_request_that_does_not_fit_is_answered_although_it_never_ends() {
    let bound = Server::new().add(EchoServer::new(Echoer)).bind("127.0.0.1:0").await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.serve());
    let request = "POST /polywire.test.v1.Echo/Unary HTTP/1.1\r\nhost: x\r\nconnect-timeout-ms: 50\r\n\
                   content-type: application/connect+json\r\ncontent-length: 100\r\n\r\n{";
    let mut transport = TcpStream::connect(address).await.unwrap();
    transport.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    transport.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 415");
}

#[tokio::test]
async fn ordinary_requests_are_answered_beside_the_services() {
    let server = Server::new()
        .add(EchoServer::new(Echoer))
        .route("/up", async |request: http::Request| http::Response::text(format!("{}\n", request.method())))
        .cors(CorsPolicy::origins(["https://page.example"]).unwrap());
    let bound = server.bind("127.0.0.1:0").await.unwrap();
    let address = bound.address().unwrap();
    tokio::spawn(bound.serve());
    for (request, says) in [
        ("GET /up HTTP/1.1\r\nhost: x\r\n\r\n", &["HTTP/1.1 200", "\r\ndate: ", " GMT\r\n", "\r\n\r\nGET\n"][..]),
        ("HEAD /up HTTP/1.1\r\nhost: x\r\n\r\n", &["HTTP/1.1 200", "content-length: 5"]),
        ("GET /down HTTP/1.1\r\nhost: x\r\n\r\n", &["HTTP/1.1 404"]),
        (
            "GET /up HTTP/1.1\r\nhost: x\r\norigin: https://page.example\r\n\r\n",
            &["HTTP/1.1 200", "access-control-allow-origin: https://page.example"],
        ),
        (
            "OPTIONS /up HTTP/1.1\r\nhost: x\r\norigin: https://other.example\r\naccess-control-request-method: POST\r\n\r\n",
            &["HTTP/1.1 403"],
        ),
        ("\x16\x03\x01\x02\x00\x01", &["HTTP/1.1 400", "no TLS"]),
        ("what is this\r\n\r\n", &["HTTP/1.1 400"]),
    ] {
        let request = request.replacen("host: x", "host: x\r\nconnection: close", 1);
        let mut transport = TcpStream::connect(address).await.unwrap();
        transport.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        transport.read_to_string(&mut answer).await.unwrap();
        for text in says {
            assert!(answer.contains(text), "{request:?} got {answer:?}");
        }
    }
}

/// What a browser offers and sends, over a socket.
#[tokio::test]
async fn a_page_has_its_messages_compressed_if_the_server_was_told_to() {
    for on in [false, true] {
        let server = Server::new().add(EchoServer::new(Echoer)).websocket_compression(on);
        let bound = server.bind("127.0.0.1:0").await.unwrap();
        let address = bound.address().unwrap();
        tokio::spawn(bound.serve());
        let mut transport = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
                       sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
        transport.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(transport.read_u8().await.unwrap().into());
        }
        let chosen =
            "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
        assert_eq!(head.contains(chosen), on, "{head}");

        // In one frame, masked with zeros; as the server agreed to it, the first bit after FIN says that it is compressed.
        let text: String = (0..1_000).map(|i| format!("hello {i} ")).collect();
        let call = format!(r#"{{"call":"polywire.test.v1.Echo/Unary","message":{{"text":"{text}"}}}}"#);
        let (mut payload, mut first) = (call.into_bytes(), 0x81);
        if on {
            let mut encoder = flate2::Compress::new(flate2::Compression::default(), false);
            let mut compressed = Vec::with_capacity(payload.len());
            encoder.compress_vec(&payload, &mut compressed, flate2::FlushCompress::Sync).unwrap();
            compressed.truncate(compressed.len() - 4);
            (payload, first) = (compressed, 0xc1);
        }
        let len = payload.len() as u16;
        let frame = [&[first, 0x80 | 126], &len.to_be_bytes()[..], &[0; 4], &payload].concat();
        transport.write_all(&frame).await.unwrap();
        let answered = transport.read_u8().await.unwrap();
        assert_eq!(answered, first);
        let len = match transport.read_u8().await.unwrap() {
            126 => transport.read_u16().await.unwrap().into(),
            len => usize::from(len),
        };
        let mut answer = vec![0; len];
        transport.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer.len() < text.len() / 2, on, "{} bytes", answer.len());
        if on {
            let mut whole = Vec::with_capacity(2 * text.len());
            Decompress::new(false).decompress_vec(&answer, &mut whole, FlushDecompress::Sync).unwrap();
            answer = whole;
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains(&text), "{answer}");
    }
}

#[tokio::test]
async fn a_client_and_a_server_compress_when_both_want_to() {
    let text = "hello ".repeat(10_000);
    for (client, server) in [(false, false), (true, false), (false, true), (true, true)] {
        let bound = Server::new().add(EchoServer::new(Echoer)).websocket_compression(server);
        let bound = bound.bind("127.0.0.1:0").await.unwrap();
        let address = bound.address().unwrap();
        tokio::spawn(bound.serve());
        let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = between.local_addr().unwrap().port();
        let carried = tokio::spawn(async move {
            let (mut near, _) = between.accept().await.unwrap();
            let mut far = TcpStream::connect(address).await.unwrap();
            tokio::io::copy_bidirectional(&mut near, &mut far).await.unwrap()
        });
        let builder = Channel::builder(format!("ws://127.0.0.1:{port}")).unwrap().websocket_compression(client);
        let echo = EchoClient::new(builder.build().unwrap());
        for _ in 0..3 {
            let reply = echo.unary(EchoRequest { text: text.clone(), ..Default::default() }).await.unwrap();
            assert_eq!(reply.text, text);
        }
        drop(echo);
        let (there, back) = carried.await.unwrap();
        let plain = 3 * text.len() as u64;
        for carried in [there, back] {
            assert_eq!(carried < plain / 10, client && server, "{client} {server}: {carried} bytes");
        }
    }
}
