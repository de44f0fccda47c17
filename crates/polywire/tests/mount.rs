//! A server mounted in an application of axum's.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod shared;

use std::time::Duration;

use axum::{Router, routing::get};
use polywire::{Channel, Code, Server, ServerHandle};
use shared::{EchoClient, EchoRequest, EchoServer, Echoer, say, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// An application with a page of its own, its address, and the handle of the server inside.
async fn application() -> (ServerHandle, String) {
    let bound = Server::new().add(EchoServer::new(Echoer)).start().unwrap();
    let handle = bound.handle();
    let app = Router::new().route("/page", get(async || "a page")).fallback_service(bound.into_service());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async { axum::serve(listener, app).await });
    (handle, address)
}

fn client(target: &str) -> EchoClient {
    EchoClient::new(Channel::to(target).unwrap())
}

/// An answer of HTTP/1.1, as text.
async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn expect_all_that_halves_can(echo: &EchoClient) {
    assert_eq!(echo.unary(say("hello")).await.unwrap().text, "hello");

    let status = echo.unary(EchoRequest { code: 5, ..say("nothing there") }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "nothing there"));

    // A handler that has to wait.
    assert_eq!(echo.unary(EchoRequest { wait_ms: 5, ..say("later") }).await.unwrap().text, "later");

    let mut replies = echo.expand(EchoRequest { times: 3, ..say("a") }).await.unwrap();
    let mut texts = Vec::new();
    while let Some(reply) = replies.next().await.unwrap() {
        texts.push(reply.text);
    }
    assert_eq!(texts, ["a"; 3]);
    assert_eq!(replies.leading().await.get("x-kind"), Some("expand"));
    assert_eq!(replies.trailing().unwrap().get("x-times"), Some("3"));

    // More than all buffers on the way hold.
    let mut replies = echo.expand(EchoRequest { times: 300, ..say(&"b".repeat(20_000)) }).await.unwrap();
    let mut bytes = 0;
    while let Some(reply) = replies.next().await.unwrap() {
        bytes += reply.text.len();
    }
    assert_eq!(bytes, 6_000_000);

    let (mut requests, reply) = echo.collect().await.unwrap();
    for _ in 0..150 {
        requests.send(say(&"c".repeat(20_000))).await.unwrap();
    }
    requests.close();
    assert_eq!(reply.await.unwrap().text.len(), 3_000_000);
}

#[tokio::test]
async fn all_four_shapes_are_answered_by_grpc() {
    let (server, address) = application().await;
    let echo = client(&format!("http://{address}"));
    expect_all_that_halves_can(&echo).await;

    let (mut requests, mut replies) = echo.chat().await.unwrap();
    for text in ["ping", "pong"] {
        requests.send(say(text)).await.unwrap();
        assert_eq!(replies.next().await.unwrap().unwrap().text, text);
    }
    requests.close();
    assert_eq!(replies.next().await.unwrap(), None);
    until(|| server.calls_open() == 0 && server.connections_open() == 0).await;
}

#[tokio::test]
async fn calls_are_answered_by_the_other_protocols_of_http() {
    let (server, address) = application().await;
    for scheme in ["connect+http", "connect+h2c", "grpc-web+http", "grpc-web+h2c"] {
        expect_all_that_halves_can(&client(&format!("{scheme}://{address}"))).await;
    }
    until(|| server.calls_open() == 0 && server.connections_open() == 0).await;
}

#[tokio::test]
async fn the_application_answers_its_own_pages() {
    let (_server, address) = application().await;
    let answer = raw(&address, "GET /page HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("a page"), "{answer}");
    let answer = raw(&address, "GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn connect_is_plain_http() {
    let (_server, address) = application().await;
    let request = "POST /polywire.test.v1.Echo/Unary HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                   content-type: application/json\r\ncontent-length: 13\r\n\r\n{\"text\":\"hi\"}";
    let answer = raw(&address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"text\":\"hi\"}"), "{answer}");
    assert!(answer.contains("content-type: application/json"), "{answer}");
}

#[tokio::test]
async fn a_request_for_a_websocket_gets_an_answer() {
    let (_server, address) = application().await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let answer = raw(&address, request).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_nobody_wants_ends_its_call() {
    let (server, address) = application().await;
    for scheme in ["http", "connect+http"] {
        let echo = client(&format!("{scheme}://{address}"));
        let mut replies = echo.expand(EchoRequest { times: u32::MAX, ..say(&"d".repeat(1000)) }).await.unwrap();
        assert!(replies.next().await.unwrap().is_some());
        assert_eq!(server.calls_open(), 1);
        drop(replies);
        until(|| server.calls_open() == 0).await;
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_whose_answer_is_not_read() {
    let (server, address) = application().await;
    let timeout = Duration::from_millis(200);
    // The caller itself keeps no time.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let body = format!("{{\"text\":\"{}\",\"times\":4000000}}", "e".repeat(1000));
    let head = format!(
        "POST /polywire.test.v1.Echo/Expand HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+json\r\n\
         connect-timeout-ms: {}\r\ncontent-length: {}\r\n\r\n",
        timeout.as_millis(),
        body.len() + 5
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[0, 0, 0, (body.len() >> 8) as u8, body.len() as u8]).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    until(|| server.calls_started() == 1 && server.calls_open() == 0).await;
    drop(stream);
}

#[tokio::test]
async fn a_server_that_drains_takes_no_calls() {
    let (server, address) = application().await;
    let echo = client(&format!("http://{address}"));
    assert!(echo.unary(say("before")).await.is_ok());
    server.drain(Duration::from_secs(10)).await;
    let status = echo.unary(say("behind")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}
