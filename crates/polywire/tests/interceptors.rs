//! Interceptors: one type on both sides, for all four shapes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use polywire::{
    Call, Channel, Code, Interceptor, Next, Reply, Server, ServerHandle, Status, codegen::buffa::Message as _,
    current_deadline,
};
use shared::{EchoClient, EchoReply, EchoRequest, EchoServer, Echoer, in_memory, say};

/// A server and a client, each with interceptors of its own.
fn between(server: Server, client: impl Interceptor) -> (ServerHandle, EchoClient) {
    let bound = server.add(EchoServer::new(Echoer)).start().unwrap();
    let handle = bound.handle();
    tokio::spawn(bound.serve());
    let channel = Channel::in_memory(&handle).intercept(client).build().unwrap();
    (handle, EchoClient::new(channel))
}

/// The code with which a call of each shape ends.
async fn codes(echo: &EchoClient) -> [Code; 4] {
    fn code<T>(result: Result<T, Status>) -> Code {
        result.err().map_or(Code::Ok, |status| status.code())
    }
    let mut expanded = echo.expand(&say("a")).await.unwrap();
    let (sender, collected) = echo.collect().await.unwrap();
    sender.close();
    let (sender, mut chat) = echo.chat().await.unwrap();
    sender.close();
    [code(echo.unary(say("a")).await), code(expanded.next().await), code(collected.await), code(chat.next().await)]
}

/// Counts the messages each way and writes down how calls end.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Vec<String>>>);

impl Interceptor for Counting {
    async fn intercept(&self, call: &mut Call, mut next: Next<'_>) -> Result<Reply, Status> {
        let counts = Arc::new([const { AtomicUsize::new(0) }; 2]);
        let exchange = next.exchange_mut();
        let seen = Arc::clone(&counts);
        exchange.requests.inspect(move |_| {
            seen[0].fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let seen = Arc::clone(&counts);
        exchange.responses.inspect(move |_| {
            seen[1].fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let result = next.run(call).await;
        let [requests, responses] = [0, 1].map(|i: usize| counts[i].load(Ordering::Relaxed));
        let code = result.as_ref().map_or_else(Status::code, |_| Code::Ok);
        self.0.lock().unwrap().push(format!("{} {requests} {responses} {code}", call.method().name()));
        result
    }
}

#[tokio::test]
async fn messages_of_all_shapes_are_seen_on_both_sides() {
    let (on_server, on_client) = (Counting::default(), Counting::default());
    let (_server, echo) = between(Server::new().intercept(on_server.clone()), on_client.clone());
    echo.unary(say("a")).await.unwrap();
    echo.unary(EchoRequest { code: 5, ..say("a") }).await.unwrap_err();
    let mut replies = echo.expand(EchoRequest { times: 3, ..say("a") }).await.unwrap();
    while replies.next().await.unwrap().is_some() {}
    let (mut requests, reply) = echo.collect().await.unwrap();
    for _ in 0..4 {
        requests.send(say("a")).await.unwrap();
    }
    requests.close();
    reply.await.unwrap();
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    for _ in 0..2 {
        requests.send(say("a")).await.unwrap();
        assert!(replies.next().await.unwrap().is_some());
    }
    requests.close();
    assert_eq!(replies.next().await.unwrap(), None);
    let seen = ["Unary 1 1 OK", "Unary 1 0 NOT_FOUND", "Expand 1 3 OK", "Collect 4 1 OK", "Chat 2 2 OK"];
    assert_eq!(*on_client.0.lock().unwrap(), seen);
    assert_eq!(*on_server.0.lock().unwrap(), seen);
}

/// Refuses everything.
struct Refuse;

impl Interceptor for Refuse {
    async fn intercept(&self, _call: &mut Call, _next: Next<'_>) -> Result<Reply, Status> {
        Err(Status::permission_denied("no"))
    }
}

#[tokio::test]
async fn a_refusal_on_the_client_ends_every_shape_and_nothing_travels() {
    let (server, echo) = between(Server::new(), Refuse);
    assert_eq!(codes(&echo).await, [Code::PermissionDenied; 4]);
    assert_eq!((server.calls_started(), server.connections_accepted()), (0, 0));
}

#[tokio::test]
async fn a_refusal_on_the_server_ends_every_shape() {
    let (server, echo) = in_memory(Server::new().intercept(Refuse));
    assert_eq!(codes(&echo).await, [Code::PermissionDenied; 4]);
    assert_eq!(server.calls_open(), 0);
}

/// Panics at every call.
struct Panic;

impl Interceptor for Panic {
    async fn intercept(&self, _call: &mut Call, _next: Next<'_>) -> Result<Reply, Status> {
        panic!("in an interceptor")
    }
}

#[tokio::test]
async fn a_panicking_interceptor_gives_internal_on_either_side() {
    let (_server, echo) = between(Server::new(), Panic);
    assert_eq!(codes(&echo).await, [Code::Internal; 4]);
    let (server, echo) = in_memory(Server::new().intercept(Panic));
    assert_eq!(codes(&echo).await, [Code::Internal; 4]);
    assert_eq!(server.calls_open(), 0);
}

/// Answers in place of the server.
struct Answer;

impl Interceptor for Answer {
    async fn intercept(&self, call: &mut Call, _next: Next<'_>) -> Result<Reply, Status> {
        call.append_leading("x-cache", "hit").unwrap();
        call.trailing_mut().append("x-age", "7").unwrap();
        Ok(Reply::message(&EchoReply { text: "cached".to_owned(), ..Default::default() }.encode_to_vec()))
    }
}

#[tokio::test]
async fn an_interceptor_of_a_client_can_answer_itself() {
    let (server, echo) = between(Server::new(), Answer);
    let response = echo.unary(say("a")).with_metadata().await.unwrap();
    assert_eq!(response.message.text, "cached");
    assert_eq!((response.leading.get("x-cache"), response.trailing.get("x-age")), (Some("hit"), Some("7")));
    let (_requests, reply) = echo.collect().await.unwrap();
    assert_eq!(reply.await.unwrap().text, "cached");
    let mut replies = echo.expand(&say("a")).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap().text, "cached");
    assert_eq!(replies.next().await.unwrap(), None);
    assert_eq!(server.calls_started(), 0);
}

/// Sends metadata along, and reads and changes what comes back.
struct Change;

impl Interceptor for Change {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        call.metadata_mut().append("x-echo", "from the interceptor").unwrap();
        match next.run(call).await {
            Err(status) if status.code() == Code::NotFound => Err(Status::aborted(status.message().to_owned())),
            Ok(Reply::Message(_)) if call.leading().get("x-echo").is_none() => Err(Status::data_loss("no metadata")),
            other => other,
        }
    }
}

#[tokio::test]
async fn metadata_and_status_pass_through_the_chain_of_a_client() {
    let (_server, echo) = between(Server::new(), Change);
    let response = echo.unary(say("a")).with_metadata().await.unwrap();
    assert_eq!(response.leading.get("x-echo"), Some("from the interceptor"));
    assert_eq!(response.trailing.binary("x-echo-bin"), Some(&b"from the interceptor"[..]));
    assert_eq!(echo.unary(EchoRequest { code: 5, ..say("a") }).await.unwrap_err(), Status::aborted("a"));
    let mut replies = echo.expand(EchoRequest { code: 5, times: 1, ..say("a") }).await.unwrap();
    assert!(replies.next().await.unwrap().is_some());
    assert_eq!(replies.next().await.unwrap_err().code(), Code::Aborted);
    assert_eq!(replies.leading().await.get("x-kind"), Some("expand"));
    assert_eq!(replies.trailing().unwrap().get("x-times"), Some("1"));
}

/// Lets one message pass in each direction that it watches.
#[derive(Clone, Copy)]
struct OnlyOne {
    requests: bool,
    responses: bool,
}

impl Interceptor for OnlyOne {
    async fn intercept(&self, call: &mut Call, mut next: Next<'_>) -> Result<Reply, Status> {
        fn once() -> impl FnMut() -> Result<(), Status> {
            let mut seen = 0;
            move || {
                seen += 1;
                if seen > 1 { Err(Status::out_of_range("one is enough")) } else { Ok(()) }
            }
        }
        let (mut request, mut response) = (once(), once());
        if self.requests {
            next.exchange_mut().requests.inspect(move |_| request());
        }
        if self.responses {
            next.exchange_mut().responses.inspect(move |_| response());
        }
        next.run(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_an_interceptor_refuses_ends_the_call_on_either_side() {
    for (requests, responses) in [(true, false), (false, true)] {
        let only = OnlyOne { requests, responses };
        for (server, echo) in [between(Server::new(), only), in_memory(Server::new().intercept(only))] {
            let (mut requests, mut replies) = echo.chat().await.unwrap();
            requests.send(say("a")).await.unwrap();
            assert!(replies.next().await.unwrap().is_some());
            let _ = requests.send(say("b")).await;
            assert_eq!(replies.next().await.unwrap_err(), Status::out_of_range("one is enough"));
            while server.calls_open() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Waits for ever, and says when it is told to stop.
#[derive(Clone, Default)]
struct Hang(Arc<AtomicBool>);

impl Interceptor for Hang {
    async fn intercept(&self, _call: &mut Call, _next: Next<'_>) -> Result<Reply, Status> {
        struct Stopped<'a>(&'a AtomicBool);
        impl Drop for Stopped<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stopped = Stopped(&self.0);
        assert!(current_deadline().is_some(), "the deadline holds for calls an interceptor makes");
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_is_stopped_by_the_deadline_and_when_the_caller_goes() {
    for (_server, echo, hang) in [Hang::default(), Hang::default()].map(|hang| {
        let (server, echo) = between(Server::new(), hang.clone());
        (server, echo, hang)
    }) {
        let error = echo.unary(say("a")).timeout(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        hang.0.store(false, Ordering::Relaxed);
        let replies = echo.expand(&say("a")).timeout(Duration::from_secs(3600)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!hang.0.load(Ordering::Relaxed));
        drop(replies);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(hang.0.load(Ordering::Relaxed));
    }
}

/// Gives every call a second at most.
struct OneSecond;

impl Interceptor for OneSecond {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        let second = tokio::time::Instant::now().into_std() + Duration::from_secs(1);
        call.set_deadline(Some(call.deadline().map_or(second, |deadline| deadline.min(second))));
        next.run(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_interceptor_can_shorten_the_deadline_on_either_side() {
    for (_server, echo) in [between(Server::new(), OneSecond), in_memory(Server::new().intercept(OneSecond))] {
        let before = tokio::time::Instant::now();
        let slow = EchoRequest { wait_ms: 60_000, ..say("") };
        let error = echo.unary(&slow).timeout(Duration::from_secs(120)).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        assert!(before.elapsed() < Duration::from_secs(2));
    }
}
