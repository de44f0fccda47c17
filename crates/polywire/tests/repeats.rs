//! Calls that a server has not looked at are made once more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use polywire::{
    Call, Channel, ChannelBuilder, Code, CompressionSet, Interceptor, Limits, Metadata, Next, Reply, Status,
};
use polywire_engine::{
    Config, Connection, Event, Transmit,
    drain::{Due, drain},
    envelope::envelope,
};
use shared::{EchoClient, say};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a server does that is not willing.
#[derive(Clone, Copy)]
enum Unwilling {
    /// Refuses so many calls.
    Refuses(usize),
    /// Lets so many connections go at their first call, which it refuses.
    Leaves(usize),
    /// Does so with the first, and says nothing on others.
    FallsSilent,
}

/// A server that answers a call with its first request.
struct Server {
    address: String,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Server {
    async fn new(unwilling: Unwilling) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (connections, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = Self { address, connections: Arc::clone(&connections), calls: Arc::clone(&calls) };
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((transport, _)) = listener.accept().await {
                let before = connections.fetch_add(1, Ordering::Relaxed);
                let unwilling = match unwilling {
                    Unwilling::FallsSilent if before > 0 => {
                        silent.push(transport);
                        continue;
                    }
                    Unwilling::FallsSilent => Unwilling::Leaves(1),
                    Unwilling::Leaves(connections) if before >= connections => Unwilling::Refuses(0),
                    other => other,
                };
                tokio::spawn(serve(transport, unwilling, Arc::clone(&calls)));
            }
        });
        server
    }

    fn channel(&self, scheme: &str) -> ChannelBuilder {
        Channel::builder(format!("{scheme}://{}", self.address)).unwrap()
    }

    fn echo(&self, scheme: &str) -> EchoClient {
        EchoClient::new(self.channel(scheme).build().unwrap())
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn serve(mut transport: TcpStream, unwilling: Unwilling, calls: Arc<AtomicUsize>) {
    let config = Config::new(Limits::default(), CompressionSet::NONE);
    let mut connection = Connection::accept(None, &config, Instant::now(), 1);
    let mut out = Transmit::default();
    loop {
        let hear = |connection: &mut Connection, event| match event {
            Event::Started { key, .. } => {
                let before = calls.fetch_add(1, Ordering::Relaxed);
                match unwilling {
                    Unwilling::Refuses(refused) if before < refused => connection.refuse(key),
                    Unwilling::Refuses(_) => {}
                    Unwilling::Leaves(_) | Unwilling::FallsSilent => connection.refuse(key),
                }
                if let Unwilling::Leaves(_) = unwilling {
                    connection.drain(Instant::now(), "good bye");
                }
            }
            Event::Message { key, message, .. } => {
                let nothing = Metadata::new();
                connection.respond(key, &nothing, envelope(false, &message.bytes), &nothing);
            }
            _ => {}
        };
        match drain(&mut connection, Instant::now(), &mut out, hear) {
            Due::Write => {
                for chunk in out.chunks() {
                    if transport.write_all(chunk).await.is_err() {
                        return;
                    }
                }
                out.clear();
                continue;
            }
            Due::Close => return,
            Due::Wait(_) => {}
        }
        let mut buffer = vec![0; 16 * 1024];
        match transport.read(&mut buffer).await {
            Ok(read) if read > 0 => connection.handle_bytes(Instant::now(), Bytes::copy_from_slice(&buffer[..read])),
            _ => connection.handle_eof(Instant::now()),
        }
    }
}

const SCHEMES: [&str; 4] = ["http", "native", "ws", "connect+h2c"];

#[tokio::test]
async fn a_refused_call_is_made_once_more() {
    for scheme in SCHEMES {
        let server = Server::new(Unwilling::Refuses(1)).await;
        let reply = server.echo(scheme).unary(say("hello")).await.unwrap();
        assert_eq!((&*reply.text, server.calls()), ("hello", 2), "{scheme}");

        let server = Server::new(Unwilling::Refuses(1)).await;
        let echo = server.echo(scheme);
        let mut replies = echo.expand(say("hello")).await.unwrap();
        assert_eq!(replies.next().await.unwrap().unwrap().text, "hello", "{scheme}");
        assert!(replies.next().await.unwrap().is_none());
        assert_eq!(server.calls(), 2, "{scheme}");
    }
}

#[tokio::test]
async fn a_call_is_not_made_a_third_time() {
    for scheme in SCHEMES {
        let server = Server::new(Unwilling::Refuses(usize::MAX)).await;
        let error = server.echo(scheme).unary(say("hello")).await.unwrap_err();
        assert_eq!((error.code(), server.calls()), (Code::Unavailable, 2), "{scheme}: {error}");
    }
}

#[tokio::test]
async fn requests_that_are_streamed_are_not_kept() {
    for scheme in ["http", "native", "ws"] {
        let server = Server::new(Unwilling::Refuses(1)).await;
        let (mut sender, reply) = server.echo(scheme).collect().await.unwrap();
        let _ = sender.send(&say("hello")).await;
        drop(sender);
        let error = reply.await.unwrap_err();
        assert_eq!((error.code(), server.calls()), (Code::Unavailable, 1), "{scheme}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_asked_on_a_new_connection() {
    for scheme in SCHEMES {
        let server = Server::new(Unwilling::Leaves(1)).await;
        let reply = server.echo(scheme).unary(say("hello")).await.unwrap();
        assert_eq!((&*reply.text, server.calls()), ("hello", 2), "{scheme}");
        assert_eq!(server.connections.load(Ordering::Relaxed), 2, "{scheme}");
    }
}

/// Counts the calls that pass.
struct Through(Arc<AtomicUsize>);

impl Interceptor for Through {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        next.run(call).await
    }
}

#[tokio::test]
async fn interceptors_see_one_call() {
    let server = Server::new(Unwilling::Refuses(1)).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let echo = EchoClient::new(server.channel("http").intercept(Through(Arc::clone(&seen))).build().unwrap());
    let reply = echo.unary(say("hello")).await.unwrap();
    assert_eq!((&*reply.text, server.calls(), seen.load(Ordering::Relaxed)), ("hello", 2, 1));
}

#[tokio::test]
async fn a_call_that_waits_for_its_second_connection_keeps_its_deadline() {
    for scheme in ["http", "native"] {
        let server = Server::new(Unwilling::FallsSilent).await;
        let error = server.echo(scheme).unary(say("hello")).timeout(Duration::from_millis(200)).await.unwrap_err();
        assert_eq!((error.code(), server.calls()), (Code::DeadlineExceeded, 1), "{scheme}: {error}");
        assert!(error.message().contains("waited"), "{scheme}: {error}");
    }
}
