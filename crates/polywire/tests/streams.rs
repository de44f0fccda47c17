//! Streams that do not go to their end in order.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use polywire::{Call, Channel, Code, Receiver, Sender, Server, ServerHandle, Status, current_deadline};
use shared::{EchoClient, EchoReply, EchoRequest, EchoRequestView, EchoServer, EchoService, in_memory, say};

/// Streams without end, counts what it gets rid of, and says when it is stopped.
#[derive(Default)]
struct Fountain {
    sent: AtomicUsize,
    received: AtomicUsize,
    stopped: AtomicBool,
}

/// Sets its flag when it goes.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl EchoService for Fountain {
    async fn unary(&self, _call: &mut Call, _request: EchoRequestView<'_>) -> Result<EchoReply, Status> {
        let left = current_deadline().map(|deadline| deadline - tokio::time::Instant::now().into_std());
        Ok(EchoReply { text: format!("{:?}", left.map(|left| left.as_secs())), ..Default::default() })
    }

    async fn expand(
        &self,
        _call: &mut Call,
        request: EchoRequestView<'_>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        let _stopped = Stopped(&self.stopped);
        let reply = EchoReply { text: request.text.to_owned(), ..Default::default() };
        loop {
            out.send(&reply).await?;
            self.sent.fetch_add(1, Ordering::Relaxed);
            assert!(!request.panic || self.sent.load(Ordering::Relaxed) < 3, "asked to");
        }
    }

    async fn collect(&self, _call: &mut Call, mut requests: Receiver<EchoRequest>) -> Result<EchoReply, Status> {
        let _stopped = Stopped(&self.stopped);
        let first = requests.next().await?;
        self.received.fetch_add(1, Ordering::Relaxed);
        if first.is_some_and(|first| first.times > 0) {
            return Ok(EchoReply { text: "enough".to_owned(), ..Default::default() });
        }
        std::future::pending().await
    }

    async fn chat(
        &self,
        _call: &mut Call,
        mut requests: Receiver<EchoRequest>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        let mut heard = 0;
        while requests.next().await?.is_some() {
            heard += 1;
        }
        out.send(EchoReply { text: heard.to_string(), ..Default::default() }).await
    }
}

fn fountain() -> (ServerHandle, EchoClient, Arc<Fountain>) {
    let fountain = Arc::new(Fountain::default());
    let bound = Server::new().add(EchoServer::new(Arc::clone(&fountain))).start().unwrap();
    let handle = bound.handle();
    tokio::spawn(bound.serve());
    let channel = Channel::in_memory(&handle).build().unwrap();
    (handle, EchoClient::new(channel), fountain)
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_stops_the_writer() {
    let (server, echo, fountain) = fountain();
    let text = "a".repeat(10_000);
    let mut replies = echo.expand(say(&text)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let bytes = fountain.sent.load(Ordering::Relaxed) * text.len();
    assert!((500_000..4_000_000).contains(&bytes), "{bytes} bytes were sent to nobody");
    // Others are not held up by it.
    assert_eq!(echo.unary(say("")).await.unwrap().text, "None");
    for _ in 0..1000 {
        assert_eq!(replies.next().await.unwrap().unwrap().text.len(), text.len());
    }
    drop(replies);
    until(|| server.calls_open() == 0).await;
    assert!(fountain.stopped.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_read_stops_the_client() {
    let (server, echo, fountain) = fountain();
    let (mut requests, reply) = echo.collect().await.unwrap();
    let text = say(&"a".repeat(10_000));
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(5), requests.send(&text)).await.is_ok() {
        sent += 10_000;
        assert!(sent < 4_000_000, "nothing stops the client");
    }
    assert_eq!(fountain.received.load(Ordering::Relaxed), 1);
    drop(reply);
    until(|| server.calls_open() == 0).await;
    assert!(fountain.stopped.load(Ordering::Relaxed));
    assert!(requests.send(&text).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_streaming_handler_is_internal_behind_what_was_sent() {
    let (server, echo, _) = fountain();
    let mut replies = echo.expand(EchoRequest { panic: true, ..say("a") }).await.unwrap();
    let mut count = 0;
    let error = loop {
        match replies.next().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("the stream ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!((count, error.code()), (3, Code::Internal));
    until(|| server.calls_open() == 0).await;
    assert_eq!(echo.unary(say("")).await.unwrap().text, "None");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_drops_its_stream_stops_the_handler() {
    let (server, echo, fountain) = fountain();
    let mut replies = echo.expand(say("a")).await.unwrap();
    assert!(replies.next().await.unwrap().is_some());
    drop(replies);
    until(|| fountain.stopped.load(Ordering::Relaxed)).await;
    until(|| server.calls_open() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_may_answer_before_the_client_has_sent_everything() {
    let (server, echo, _) = fountain();
    let (mut requests, reply) = echo.collect().await.unwrap();
    requests.send(EchoRequest { times: 1, ..say("") }).await.unwrap();
    assert_eq!(reply.await.unwrap().text, "enough");
    assert_eq!(requests.send(say("more")).await.unwrap_err().code(), Code::Cancelled);
    drop(requests);
    until(|| server.calls_open() == 0).await;
    assert_eq!(echo.unary(say("")).await.unwrap().text, "None");
    assert_eq!(server.connections_accepted(), 1);
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_still_gets_answers() {
    let (_server, echo, _) = fountain();
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    for _ in 0..3 {
        requests.send(say("a")).await.unwrap();
    }
    requests.close();
    assert_eq!(replies.next().await.unwrap().unwrap().text, "3");
    assert_eq!(replies.next().await.unwrap(), None);
    // Also when nothing was sent at all.
    let (requests, mut replies) = echo.chat().await.unwrap();
    drop(requests);
    assert_eq!(replies.next().await.unwrap().unwrap().text, "0");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream_that_is_in_full_flow() {
    let (server, echo, fountain) = fountain();
    let mut replies = echo.expand(say(&"a".repeat(10_000))).timeout(Duration::from_secs(2)).await.unwrap();
    let error = loop {
        match replies.next().await {
            Ok(Some(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Ok(None) => panic!("the stream ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::DeadlineExceeded);
    until(|| server.calls_open() == 0).await;
    assert!(fountain.stopped.load(Ordering::Relaxed));
}

/// Passes a call on to another server.
struct Relay(EchoClient);

impl EchoService for Relay {
    async fn unary(&self, _call: &mut Call, request: EchoRequestView<'_>) -> Result<EchoReply, Status> {
        // The deadline still holds behind a wait, when the handler has moved to a task of its own.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        self.0.unary(EchoRequest { wait_ms: request.wait_ms, ..say("") }).await
    }

    async fn expand(&self, _: &mut Call, _: EchoRequestView<'_>, _: Sender<EchoReply>) -> Result<(), Status> {
        Ok(())
    }

    async fn collect(&self, _: &mut Call, _: Receiver<EchoRequest>) -> Result<EchoReply, Status> {
        Ok(EchoReply::default())
    }

    async fn chat(&self, _: &mut Call, _: Receiver<EchoRequest>, _: Sender<EchoReply>) -> Result<(), Status> {
        Ok(())
    }
}

fn relay(to: EchoClient) -> EchoClient {
    let bound = Server::new().add(EchoServer::new(Relay(to))).start().unwrap();
    let channel = Channel::in_memory(&bound.handle()).build().unwrap();
    tokio::spawn(bound.serve());
    EchoClient::new(channel)
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_holds_for_the_calls_its_handler_makes() {
    let (_server, far, _) = fountain();
    let near = relay(far);
    assert_eq!(near.unary(say("")).await.unwrap().text, "None");
    let reply = near.unary(say("")).timeout(Duration::from_secs(10)).await.unwrap();
    assert_eq!(reply.text, "Some(8)");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_cancels_the_calls_its_handler_made() {
    let (server, far) = in_memory(Server::new());
    let near = relay(far);
    let call = tokio::spawn(async move { near.unary(EchoRequest { wait_ms: 3_600_000, ..say("") }).await });
    until(|| server.calls_open() == 1).await;
    call.abort();
    until(|| server.calls_open() == 0).await;
}
