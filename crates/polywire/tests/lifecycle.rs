//! Connections and servers come and go; calls notice as little as possible.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::time::Duration;

use polywire::{
    Channel, ChannelState, Code, Limits, Server,
    limits::{Keepalive, PingPolicy},
};
use shared::{EchoClient, EchoRequest, EchoServer, Echoer, in_memory, on_tcp, say};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_calls_in_progress_finish() {
    let (server, echo) = in_memory(Server::new());
    let unary = {
        let echo = echo.clone();
        tokio::spawn(async move { echo.unary(EchoRequest { wait_ms: 3000, ..say("done") }).await })
    };
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    requests.send(say("before")).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap().text, "before");
    until(|| server.calls_open() == 2).await;
    let drain = {
        let server = server.clone();
        tokio::spawn(async move { server.drain(Duration::from_secs(60)).await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = echo.unary(say("late")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    requests.send(say("during")).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap().text, "during");
    assert_eq!(unary.await.unwrap().unwrap().text, "done");
    assert!(!drain.is_finished());
    requests.close();
    assert_eq!(replies.next().await.unwrap(), None);
    drain.await.unwrap();
    assert_eq!((server.calls_open(), server.connections_open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn calls_that_outlast_the_drain_are_unavailable() {
    let (server, echo) = in_memory(Server::new());
    let (_requests, mut replies) = echo.chat().await.unwrap();
    until(|| server.calls_open() == 1).await;
    let before = tokio::time::Instant::now();
    server.drain(Duration::from_secs(5)).await;
    assert!(before.elapsed() >= Duration::from_secs(5));
    assert_eq!(replies.next().await.unwrap_err().code(), Code::Unavailable);
    until(|| server.connections_open() == 0).await;
    assert_eq!(server.calls_open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_given_up_and_made_again() {
    let limits = Limits { idle_timeout: Some(Duration::from_secs(60)), ..Limits::default() };
    let (server, echo) = in_memory(Server::new().limits(limits));
    echo.unary(say("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(server.connections_open(), 1);
    echo.unary(say("a")).await.unwrap();
    assert_eq!(server.connections_accepted(), 1);
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert_eq!((server.connections_open(), echo.channel().state()), (0, ChannelState::Idle));
    assert_eq!(echo.unary(say("again")).await.unwrap().text, "again");
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_replaced_without_a_call_failing() {
    let limits = Limits { age_max: Some(Duration::from_secs(10)), ..Limits::default() };
    let (server, echo) = in_memory(Server::new().limits(limits));
    for _ in 0..600 {
        assert_eq!(echo.unary(EchoRequest { wait_ms: 50, ..say("a") }).await.unwrap().text, "a");
    }
    assert!((3..=5).contains(&server.connections_accepted()), "{}", server.connections_accepted());
    until(|| server.connections_open() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_outlive_the_age_of_its_connection_by_the_grace() {
    let (age, grace) = (Some(Duration::from_secs(10)), Some(Duration::from_secs(5)));
    let (server, echo) =
        in_memory(Server::new().limits(Limits { age_max: age, age_grace: grace, ..Limits::default() }));
    let (_requests, mut replies) = echo.chat().await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(replies.next().await.unwrap_err().code(), Code::Unavailable);
    assert!((13..18).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    until(|| server.connections_open() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pings_too_often_is_told_and_slows_down() {
    let keepalive =
        Some(Keepalive { interval: Duration::from_secs(10), timeout: Duration::from_secs(20), without_calls: true });
    let policy = Some(PingPolicy { interval_min: Duration::from_secs(300), without_calls: true, strikes_max: 2 });
    let (server, _) = in_memory(Server::new().limits(Limits { ping_policy: policy, ..Limits::default() }));
    let limits = Limits { keepalive, ..Limits::default() };
    let echo = EchoClient::new(Channel::in_memory(&server).limits(limits).build().unwrap());
    let (_requests, mut replies) = echo.chat().await.unwrap();
    let error = replies.next().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert_eq!(echo.unary(say("a")).await.unwrap().text, "a");
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_by_keepalive() {
    let (_server, address) = on_tcp(Server::new()).await;
    // Passes bytes on until it is told to stop, then holds them back without closing anything.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = listener.local_addr().unwrap().to_string();
    let (silence, mut silent) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = tokio::net::TcpStream::connect(address).await.unwrap();
        let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
        let there = async {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = near_in.read(&mut bytes).await {
                far_out.write_all(&bytes[..len]).await.unwrap();
            }
        };
        let back = async {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = far_in.read(&mut bytes).await {
                near_out.write_all(&bytes[..len]).await.unwrap();
            }
        };
        tokio::select! {
            _ = silent.wait_for(|silent| *silent) => {}
            _ = async { tokio::join!(there, back) } => {}
        }
        std::future::pending::<()>().await;
    });
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(50));
    let limits = Limits { keepalive: Some(Keepalive { interval, timeout, without_calls: false }), ..Limits::default() };
    let echo = EchoClient::new(Channel::builder(through).unwrap().limits(limits).build().unwrap());
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    requests.send(say("a")).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap().text, "a");
    silence.send(true).unwrap();
    assert_eq!(replies.next().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_channel_finds_its_server_again_after_a_restart() {
    let (server, address) = on_tcp(Server::new()).await;
    let channel = Channel::to(&address).unwrap();
    let echo = EchoClient::new(channel.clone());
    assert_eq!(echo.unary(say("a")).await.unwrap().text, "a");
    server.close();
    until(|| server.connections_open() == 0 && channel.connections_open() == 0).await;
    assert_eq!(echo.unary(say("b")).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(channel.state(), ChannelState::TransientFailure);
    let bound = Server::new().add(EchoServer::new(Echoer)).bind(&address).await.unwrap();
    tokio::spawn(bound.serve());
    // The backoff holds for calls that do not wait; those that do come through.
    let waited = echo.unary(say("c")).wait_for_ready(true).timeout(Duration::from_secs(60));
    assert_eq!(waited.await.unwrap().text, "c");
    assert_eq!(channel.state(), ChannelState::Ready);
    assert_eq!(echo.unary(say("d")).await.unwrap().text, "d");
}

#[tokio::test(start_paused = true)]
async fn attempts_to_connect_come_at_growing_intervals() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let echo = EchoClient::new(Channel::to(address).unwrap());
    let mut failures = 0;
    let before = tokio::time::Instant::now();
    let mut last = String::new();
    while before.elapsed() < Duration::from_secs(60) {
        let error = echo.unary(say("")).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable);
        let state = format!("{:?}", echo.channel().state());
        failures += usize::from(last == "Connecting" && state != last);
        last = state;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(failures < 10, "{failures} attempts in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_channel_ends_its_connections_when_its_calls_have_ended() {
    let (server, echo) = in_memory(Server::new());
    let (mut requests, mut replies) = echo.chat().await.unwrap();
    requests.send(say("a")).await.unwrap();
    assert!(replies.next().await.unwrap().is_some());
    drop(echo);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.connections_open(), 1);
    requests.send(say("b")).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap().text, "b");
    requests.close();
    assert_eq!(replies.next().await.unwrap(), None);
    until(|| server.connections_open() == 0).await;
}
