//! Calls of all shapes through the whole path.

mod shared;

use std::time::Duration;

use polywire::{Channel, Code, Compression, Server, Status};
use shared::{EchoClient, EchoRequest, in_memory, on_tcp, say};

#[tokio::test]
async fn all_four_shapes_are_answered() {
    let (_server, address) = on_tcp(Server::new()).await;
    let echo = EchoClient::new(Channel::to(&address).unwrap());

    assert_eq!(echo.unary(say("hello")).await.unwrap().text, "hello");

    let mut replies = echo.expand(EchoRequest { times: 3, ..say("a") }).await.unwrap();
    let mut texts = Vec::new();
    while let Some(reply) = replies.next().await.unwrap() {
        texts.push(reply.text);
    }
    assert_eq!(texts, ["a"; 3]);
    assert_eq!(replies.leading().await.get("x-kind"), Some("expand"));
    assert_eq!(replies.trailing().unwrap().get("x-times"), Some("3"));

    let (mut requests, reply) = echo.collect().await.unwrap();
    for text in ["one ", "two ", "three"] {
        requests.send(say(text)).await.unwrap();
    }
    requests.close();
    assert_eq!(reply.await.unwrap().text, "one two three");

    let (mut requests, mut replies) = echo.chat().await.unwrap();
    for text in ["ping", "pong"] {
        requests.send(say(text)).await.unwrap();
        assert_eq!(replies.next().await.unwrap().unwrap().text, text);
    }
    requests.close();
    assert_eq!(replies.next().await.unwrap(), None);
}

#[tokio::test]
async fn many_calls_at_once_share_one_connection() {
    let (server, echo) = in_memory(Server::new());
    let calls = (0..200).map(|i| {
        let echo = echo.clone();
        tokio::spawn(async move {
            let text = format!("call {i}");
            assert_eq!(echo.unary(say(&text)).await.unwrap().text, text);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(server.connections_accepted(), 1);
    assert_eq!(server.calls_open(), 0);
    assert_eq!(server.calls_started(), 200);
}

#[tokio::test]
async fn metadata_travels_both_ways() {
    let (_server, echo) = in_memory(Server::new());
    let response = echo.unary(say("x")).metadata("x-echo", "value").with_metadata().await.unwrap();
    assert_eq!(response.leading.get("x-echo"), Some("value"));
    assert_eq!(response.trailing.binary("x-echo-bin"), Some(&b"value"[..]));
    let error = echo.unary(say("x")).metadata("Not Valid", "value").await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}

#[tokio::test]
async fn a_call_that_fails_brings_its_metadata_all_the_same() {
    let (_server, echo) = in_memory(Server::new());
    let outcome = echo.unary(EchoRequest { code: 5, ..say("no") }).metadata("x-echo", "value").outcome().await;
    assert_eq!(outcome.result, Err(Status::not_found("no")));
    assert_eq!(outcome.leading.get("x-echo"), Some("value"));
    assert_eq!(outcome.trailing.binary("x-echo-bin"), Some(&b"value"[..]));

    let mut replies = echo.expand(EchoRequest { code: 9, ..say("a") }).await.unwrap();
    assert_eq!(replies.next().await.unwrap_err(), Status::failed_precondition("as asked"));
    assert_eq!(replies.leading().await.get("x-kind"), Some("expand"));
    assert_eq!(replies.trailing().unwrap().get("x-times"), Some("0"));
}

#[tokio::test]
async fn a_status_of_the_handler_reaches_the_caller_with_its_message() {
    let (_server, echo) = in_memory(Server::new());
    let error = echo.unary(EchoRequest { code: 5, ..say("no \u{e9}\n") }).await.unwrap_err();
    assert_eq!(error, Status::not_found("no \u{e9}\n"));
    let mut replies = echo.expand(EchoRequest { times: 2, code: 9, ..say("a") }).await.unwrap();
    assert!(replies.next().await.unwrap().is_some());
    assert!(replies.next().await.unwrap().is_some());
    assert_eq!(replies.next().await.unwrap_err(), Status::failed_precondition("as asked"));
}

#[tokio::test]
async fn a_panicking_handler_gives_internal_and_the_server_lives() {
    let (_server, echo) = in_memory(Server::new());
    let error = echo.unary(EchoRequest { panic: true, ..say("") }).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert_eq!(echo.unary(say("alive")).await.unwrap().text, "alive");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_slow_call_on_both_sides() {
    let (server, echo) = in_memory(Server::new());
    let slow = EchoRequest { wait_ms: 60_000, ..say("late") };
    let error = echo.unary(&slow).timeout(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    while server.calls_open() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(echo.unary(&slow).timeout(Duration::from_secs(120)).await.unwrap().text, "late");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_stops_the_handler() {
    let (server, echo) = in_memory(Server::new());
    let call = {
        let echo = echo.clone();
        tokio::spawn(async move { echo.unary(EchoRequest { wait_ms: 3_600_000, ..say("") }).await })
    };
    while server.calls_open() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    call.abort();
    while server.calls_open() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn large_messages_pass_the_windows_in_every_compression() {
    let text = "polywire ".repeat(130_000);
    for compression in Compression::ALL {
        let (_server, echo) = in_memory(Server::new().compress(compression));
        assert_eq!(echo.unary(say(&text)).compress(compression).await.unwrap().text, text, "{compression}");
        let (mut requests, mut replies) = echo.chat().compress(compression).await.unwrap();
        for _ in 0..3 {
            requests.send(say(&text)).await.unwrap();
            assert_eq!(replies.next().await.unwrap().unwrap().text, text, "{compression}");
        }
    }
}

#[tokio::test]
async fn a_method_nobody_has_is_unimplemented() {
    let bound = Server::new().start().unwrap();
    let channel = Channel::in_memory(&bound.handle()).build().unwrap();
    let error = EchoClient::new(channel).unary(say("")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("polywire.test.v1.Echo"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_is_unavailable_and_waiting_for_ready_waits() {
    let echo = EchoClient::new(Channel::to("127.0.0.1:1").unwrap());
    assert_eq!(echo.unary(say("")).await.unwrap_err().code(), Code::Unavailable);
    let waiting = echo.unary(say("")).wait_for_ready(true).timeout(Duration::from_secs(5));
    assert_eq!(waiting.await.unwrap_err().code(), Code::DeadlineExceeded);
}
