//! Bounds: of calls, messages and metadata, and what compression does about messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use polywire::{Call, Channel, Code, Compression, CompressionSet, Interceptor, Limits, Next, Reply, Server, Status};
use shared::{EchoClient, EchoRequest, in_memory, say};

#[tokio::test(start_paused = true)]
async fn one_call_too_many_is_resource_exhausted_and_the_count_goes_back() {
    let (server, echo) = in_memory(Server::new().calls_max(2));
    let slow = EchoRequest { wait_ms: 1000, ..say("a") };
    for _ in 0..3 {
        let (first, second, third) = tokio::join!(
            echo.unary(&slow).into_future(),
            echo.unary(&slow).into_future(),
            echo.unary(&slow).into_future()
        );
        let failed = [first, second, third].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert_eq!(failed.iter().map(Status::code).collect::<Vec<_>>(), [Code::ResourceExhausted]);
        assert_eq!(server.calls_open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_in_any_way_are_counted_out() {
    let (server, echo) = in_memory(Server::new());
    let _ = echo.unary(EchoRequest { panic: true, ..say("") }).await;
    let _ = echo.unary(EchoRequest { code: 3, ..say("") }).await;
    let _ = echo.unary(EchoRequest { wait_ms: 5000, ..say("") }).timeout(Duration::from_secs(1)).await;
    drop(echo.expand(EchoRequest { times: 100_000, ..say("abc") }).await.unwrap());
    drop(echo.collect().await.unwrap());
    drop(echo.chat().await.unwrap());
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    requests.send(EchoRequest { code: 3, ..say("") }).await.unwrap();
    assert!(replies.next().await.is_err());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(server.calls_open(), 0);
    let (_requests, _replies) = echo.chat().await.unwrap();
    let waiting = echo.unary(EchoRequest { wait_ms: 5000, ..say("") });
    let (error, ()) = tokio::join!(waiting.into_future(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(server.calls_open(), 2);
        server.close();
    });
    assert_eq!(error.unwrap_err().code(), Code::Unavailable);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((server.calls_open(), server.connections_open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_a_connection_takes_open_further_connections() {
    let (server, echo) = in_memory(Server::new().limits(Limits { streams_max: 2, ..Limits::default() }));
    let calls = (0..8).map(|_| {
        let echo = echo.clone();
        tokio::spawn(async move { echo.unary(EchoRequest { wait_ms: 1000, ..say("a") }).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap().text, "a");
    }
    assert_eq!(server.connections_accepted(), 4);
}

#[tokio::test]
async fn calls_beyond_all_connections_wait_for_room() {
    let (server, _) = in_memory(Server::new().limits(Limits { streams_max: 2, ..Limits::default() }));
    let echo = EchoClient::new(Channel::in_memory(&server).connections_max(2).build().unwrap());
    let calls = (0..50).map(|_| {
        let echo = echo.clone();
        tokio::spawn(async move { echo.unary(EchoRequest { wait_ms: 1, ..say("a") }).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap().text, "a");
    }
    assert!(server.connections_accepted() <= 2);
}

/// Does nothing but be there.
struct Pass;

impl Interceptor for Pass {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        next.run(call).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_dropped_at_any_moment_leave_nothing_behind() {
    let limits = Limits { streams_max: 8, ..Limits::default() };
    let (server, _) = in_memory(Server::new().limits(limits));
    let channel = || Channel::in_memory(&server).connections_max(2);
    for echo in [channel(), channel().intercept(Pass)].map(|channel| EchoClient::new(channel.build().unwrap())) {
        let calls = (0..400_u64).map(|i| {
            let echo = echo.clone();
            tokio::spawn(async move {
                let patience = Duration::from_micros(i * 37 % 4000);
                let call = async {
                    match i % 4 {
                        0 => drop(echo.unary(EchoRequest { wait_ms: 2, ..say("a") }).await),
                        1 => {
                            let mut replies = echo.expand(EchoRequest { times: 300, ..say("a") }).await.unwrap();
                            while let Ok(Some(_)) = replies.next().await {}
                        }
                        2 => {
                            let (mut requests, reply) = echo.collect().await.unwrap();
                            let _ = requests.send(say("a")).await;
                            drop(requests);
                            let _ = reply.await;
                        }
                        _ => {
                            let (mut requests, mut replies) = echo.chat().await.unwrap();
                            while requests.send(say("a")).await.is_ok() && replies.next().await.is_ok() {}
                        }
                    }
                };
                let _ = tokio::time::timeout(patience, call).await;
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
        // All the room of both connections is there again.
        let mut streams = Vec::new();
        for _ in 0..16 {
            let (mut requests, mut replies) = echo.chat().timeout(Duration::from_secs(20)).await.unwrap();
            requests.send(say("a")).await.unwrap();
            assert_eq!(replies.next().await.unwrap().unwrap().text, "a");
            streams.push((requests, replies));
        }
        assert_eq!(server.calls_open(), 16);
        drop(streams);
        for _ in 0..10_000 {
            if server.calls_open() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(server.calls_open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_had_to_wait_leaves_no_timer_behind() {
    let (server, _) = in_memory(Server::new().limits(Limits { streams_max: 1, ..Limits::default() }));
    let echo = EchoClient::new(Channel::in_memory(&server).connections_max(1).build().unwrap());
    echo.unary(say("a")).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let calls = (0..100).map(|_| {
        let echo = echo.clone();
        tokio::spawn(async move { echo.unary(say("a")).timeout(Duration::from_secs(3600)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap().text, "a");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(tasks() <= before, "{} tasks more", tasks() - before);
}

fn short_messages() -> Limits {
    Limits { message_bytes_max: 1000, ..Limits::default() }
}

#[tokio::test]
async fn a_request_above_the_limit_is_resource_exhausted() {
    let (server, echo) = in_memory(Server::new().limits(short_messages()));
    let long = say(&"a".repeat(2000));
    assert_eq!(echo.unary(&long).await.unwrap_err().code(), Code::ResourceExhausted);
    // Short as it travels, too long when it is decompressed.
    assert_eq!(echo.unary(&long).compress(Compression::Gzip).await.unwrap_err().code(), Code::ResourceExhausted);
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    requests.send(say("a")).await.unwrap();
    assert!(replies.next().await.unwrap().is_some());
    requests.send(&long).await.unwrap();
    assert_eq!(replies.next().await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(server.calls_open(), 0);
    assert_eq!(echo.unary(say("a")).await.unwrap().text, "a");
}

#[tokio::test]
async fn a_response_above_the_limit_is_resource_exhausted() {
    let (server, _) = in_memory(Server::new().compress(Compression::Zstd));
    for accepts in [CompressionSet::NONE, CompressionSet::ALL] {
        let channel = Channel::in_memory(&server).limits(short_messages()).accept_compressions(accepts);
        let echo = EchoClient::new(channel.build().unwrap());
        let long = EchoRequest { times: 2000, ..say("a") };
        assert_eq!(echo.unary(&long).await.unwrap_err().code(), Code::ResourceExhausted);
        let mut replies = echo.expand(EchoRequest { times: 1, ..say(&"a".repeat(1500)) }).await.unwrap();
        assert_eq!(replies.next().await.unwrap_err().code(), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn metadata_above_the_limit_ends_the_call_and_not_the_connection() {
    let (server, echo) = in_memory(Server::new());
    let long = "a".repeat(20_000);
    let error = echo.unary(say("a")).metadata("x-long", &long).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    // What the server echoes is under its own limit, but above that of this client.
    let limits = Limits { header_list_bytes_max: 1024, ..Limits::default() };
    let picky = EchoClient::new(Channel::in_memory(&server).limits(limits).build().unwrap());
    let error = picky.unary(say("a")).metadata("x-echo", &long[..2000]).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert_eq!(picky.unary(say("a")).await.unwrap().text, "a");
    assert_eq!(server.connections_accepted(), 2);
}

/// Writes down how each request is compressed.
#[derive(Clone, Default)]
struct HowCompressed(Arc<Mutex<Vec<Compression>>>);

impl Interceptor for HowCompressed {
    async fn intercept(&self, call: &mut Call, mut next: Next<'_>) -> Result<Reply, Status> {
        let seen = Arc::clone(&self.0);
        next.exchange_mut().requests.inspect(move |message| {
            seen.lock().unwrap().push(message.compression);
            Ok(())
        });
        next.run(call).await
    }
}

#[tokio::test]
async fn each_message_is_compressed_only_when_it_is_long_and_wanted() {
    let seen = HowCompressed::default();
    let (_server, echo) = in_memory(Server::new().intercept(seen.clone()));
    let long = say(&"a".repeat(1000));
    let (mut requests, reply) = echo.collect().compress(Compression::Gzip).await.unwrap();
    requests.send(&long).await.unwrap();
    requests.send(say("short")).await.unwrap();
    requests.send_uncompressed(&long).await.unwrap();
    requests.close();
    assert_eq!(reply.await.unwrap().text.len(), 2005);
    assert_eq!(*seen.0.lock().unwrap(), [Compression::Gzip, Compression::Identity, Compression::Identity]);
}

#[tokio::test]
async fn a_compression_the_server_does_not_take_is_unimplemented() {
    let accepts = CompressionSet::NONE.with(Compression::Gzip);
    let (_server, echo) = in_memory(Server::new().accept_compressions(accepts));
    let error = echo.unary(say("a")).compress(Compression::Zstd).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("gzip"), "{error}");
    assert_eq!(echo.unary(say("a")).compress(Compression::Gzip).await.unwrap().text, "a");
}
