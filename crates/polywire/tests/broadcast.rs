//! Many streams that get the same, and consumers that are too slow for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use polywire::{
    Broadcast, Call, Channel, Code, Codec, Compression, Receiver, Sender, Server, ServerHandle, SharedMessage,
    SlowConsumer, Status,
};
use shared::{EchoClient, EchoReply, EchoRequest, EchoRequestView, EchoServer, EchoService, say, until};

/// Broadcasts to whoever calls `Expand`; the text of the request says what happens to the slow.
struct Station {
    broadcast: Broadcast<EchoReply>,
    dropped: AtomicU64,
    last: Mutex<Option<SharedMessage<EchoReply>>>,
}

impl EchoService for Station {
    async fn unary(&self, _call: &mut Call, _request: EchoRequestView<'_>) -> Result<EchoReply, Status> {
        Ok(EchoReply::default())
    }

    async fn expand(
        &self,
        call: &mut Call,
        request: EchoRequestView<'_>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        if request.code > 0 {
            call.set_response_compression(COMPRESSIONS[request.code as usize]);
        }
        match request.text {
            "drop" => out.when_slow(SlowConsumer::DropOldest),
            "disconnect" => out.when_slow(SlowConsumer::Disconnect),
            _ => {}
        }
        out.flush_leading();
        if request.times > 0 {
            // Not a broadcast: this handler's own messages, all at once.
            for number in 0..request.times {
                out.send(reply(number as usize)).await?;
                // The connection's task gets its turn.
                tokio::task::yield_now().await;
            }
            self.dropped.store(out.dropped(), Ordering::Relaxed);
            return Ok(());
        }
        let mut subscription = self.broadcast.subscribe(out)?;
        let end = (&mut subscription).await;
        self.dropped.store(subscription.dropped(), Ordering::Relaxed);
        end
    }

    async fn collect(&self, _call: &mut Call, _requests: Receiver<EchoRequest>) -> Result<EchoReply, Status> {
        Ok(EchoReply::default())
    }

    /// Sends one shared message to all, each at its own pace.
    async fn chat(
        &self,
        _call: &mut Call,
        mut requests: Receiver<EchoRequest>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        let Some(message) = self.last.lock().unwrap().take() else { return Err(Status::not_found("nothing to say")) };
        while requests.next().await?.is_some() {
            out.send_shared(&message).await?;
        }
        Ok(())
    }
}

/// What the code of a request asks for.
const COMPRESSIONS: [Compression; 3] = [Compression::Identity, Compression::Zstd, Compression::Gzip];

const TEXT_BYTES: usize = 10_000;

fn reply(number: usize) -> EchoReply {
    EchoReply { text: format!("{number:0TEXT_BYTES$}"), ..Default::default() }
}

fn number(reply: &EchoReply) -> usize {
    assert_eq!(reply.text.len(), TEXT_BYTES);
    reply.text.parse().unwrap()
}

fn station() -> (ServerHandle, Broadcast<EchoReply>, Arc<Station>) {
    let broadcast = Broadcast::new();
    let station = Station { broadcast: broadcast.clone(), dropped: AtomicU64::new(0), last: Mutex::new(None) };
    let station = Arc::new(station);
    let bound = Server::new().add(EchoServer::new(Arc::clone(&station))).start().unwrap();
    let handle = bound.handle();
    tokio::spawn(bound.serve());
    (handle, broadcast, station)
}

/// A caller with a connection of its own.
fn caller(server: &ServerHandle) -> EchoClient {
    EchoClient::new(Channel::in_memory(server).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn all_who_subscribe_get_all_messages_in_order_each_in_its_own_form() {
    let (server, broadcast, _) = station();
    let forms = [(Codec::Proto, 0), (Codec::Proto, 1), (Codec::Json, 2), (Codec::Json, 0), (Codec::Proto, 1)];
    let mut streams = Vec::new();
    for (codec, compression) in forms {
        let channel = Channel::in_memory(&server).codec(codec).build().unwrap();
        let request = EchoRequest { code: compression, ..say("") };
        let echo = EchoClient::new(channel);
        streams.push((echo.expand(request).await.unwrap(), echo));
    }
    until(|| broadcast.subscribers() == forms.len()).await;
    for sent in 0..100 {
        assert_eq!(broadcast.send(&reply(sent)), Ok(forms.len()));
        for (stream, _) in &mut streams {
            assert_eq!(number(&stream.next().await.unwrap().unwrap()), sent);
        }
    }
    broadcast.close();
    for (stream, _) in &mut streams {
        assert_eq!(stream.next().await, Ok(None));
    }
    until(|| server.calls_open() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_loses_the_oldest_messages_and_holds_up_nobody() {
    let (server, broadcast, station) = station();
    let (one, other) = (caller(&server), caller(&server));
    let mut quick = one.expand(say("drop")).await.unwrap();
    let mut slow = other.expand(say("drop")).await.unwrap();
    until(|| broadcast.subscribers() == 2).await;
    let sent = 1000;
    for sent in 0..sent {
        assert_eq!(broadcast.send(&reply(sent)), Ok(2));
        assert_eq!(number(&quick.next().await.unwrap().unwrap()), sent);
    }
    drop(quick);
    until(|| broadcast.subscribers() == 1).await;
    broadcast.close();
    let mut numbers = Vec::new();
    while let Some(reply) = slow.next().await.unwrap() {
        numbers.push(number(&reply));
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert_eq!(numbers.first(), Some(&0), "what was on its way is not dropped");
    assert_eq!(numbers.last(), Some(&(sent - 1)), "the newest is kept");
    until(|| server.calls_open() == 0).await;
    assert_eq!(station.dropped.load(Ordering::Relaxed) as usize, sent - numbers.len());
    assert!(numbers.len() < sent / 2, "{} of {sent} messages waited for somebody who did not read", numbers.len());
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_that_must_not_miss_anything_is_told_so() {
    for text in ["disconnect", "wait"] {
        let (server, broadcast, _) = station();
        let echo = caller(&server);
        let mut slow = echo.expand(say(text)).await.unwrap();
        until(|| broadcast.subscribers() == 1).await;
        let mut sent = 0;
        while broadcast.send(&reply(sent)) == Ok(1) {
            sent += 1;
            assert!(sent < 1000, "nobody is disconnected");
            tokio::task::yield_now().await;
        }
        assert_eq!(broadcast.subscribers(), 0);
        let mut received = 0;
        let error = loop {
            match slow.next().await {
                Ok(Some(reply)) => {
                    assert_eq!(number(&reply), received, "without a gap up to the end");
                    received += 1;
                }
                Ok(None) => panic!("it ended well"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
        assert!(error.message().contains("too slow"), "{error}");
        until(|| server.calls_open() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_no_longer_subscribes() {
    let (server, broadcast, _) = station();
    let echo = caller(&server);
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(echo.expand(say("")).await.unwrap());
    }
    until(|| broadcast.subscribers() == 5).await;
    drop(streams);
    until(|| broadcast.subscribers() == 0).await;
    assert_eq!(broadcast.send(&reply(0)), Ok(0));
    assert_eq!(server.calls_open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handlers_own_sender_drops_the_oldest_and_never_waits() {
    let (server, _, station) = station();
    let request = EchoRequest { times: 1000, ..say("drop") };
    let echo = caller(&server);
    let mut replies = echo.expand(request).await.unwrap();
    // The handler ends although nobody has read.
    until(|| station.dropped.load(Ordering::Relaxed) > 0).await;
    let mut numbers = Vec::new();
    while let Some(reply) = replies.next().await.unwrap() {
        numbers.push(number(&reply));
    }
    assert!(numbers.is_sorted());
    assert_eq!((numbers[0], numbers.last()), (0, Some(&999)));
    assert_eq!(numbers.len() + station.dropped.load(Ordering::Relaxed) as usize, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_handlers_own_sender_ends_the_call_of_a_slow_consumer() {
    let (server, ..) = station();
    let request = EchoRequest { times: 1000, ..say("disconnect") };
    let echo = caller(&server);
    let mut replies = echo.expand(request).await.unwrap();
    let mut received = 0;
    until(|| server.calls_started() == 1 && server.calls_open() == 0).await;
    let error = loop {
        match replies.next().await {
            Ok(Some(reply)) => {
                assert_eq!(number(&reply), received);
                received += 1;
            }
            Ok(None) => panic!("it ended well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shared_message_waits_for_a_slow_consumer_as_any_other() {
    let (server, _, station) = station();
    *station.last.lock().unwrap() = Some(SharedMessage::new(reply(7)));
    let echo = caller(&server);
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    let count = 500;
    let asking = tokio::spawn(async move {
        for _ in 0..count {
            requests.send(say("")).await.unwrap();
        }
    });
    let mut received = 0;
    while let Some(reply) = replies.next().await.unwrap() {
        assert_eq!(number(&reply), 7);
        received += 1;
    }
    asking.await.unwrap();
    assert_eq!(received, count);
}
