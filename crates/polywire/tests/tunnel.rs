//! WebSockets in streams of HTTP/2 (RFC 8441).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire::{Protocol, Server, Wire};
use polywire_engine::{
    Limits, Transmit,
    drain::{Due, drain},
    wire::{Headers, Role, StreamEvent, StreamKey, http2},
};
use shared::{on_tcp, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A client that speaks HTTP/2 and nothing above it.
struct Client {
    transport: TcpStream,
    connection: http2::Connection,
    events: Vec<StreamEvent>,
}

impl Client {
    async fn connect(address: &str) -> Self {
        let transport = TcpStream::connect(address).await.unwrap();
        let limits = Arc::new(Limits::default());
        let connection = http2::Connection::new(Role::Client, &limits, Instant::now(), 1);
        let mut client = Self { transport, connection, events: Vec::new() };
        client.until(|event| matches!(event, StreamEvent::Settled).then_some(())).await;
        client
    }

    /// Asks for a WebSocket with the text form.
    fn ask(&mut self) -> StreamKey {
        let request: Headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "shop.example"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "polywire.json"),
        ]
        .into_iter()
        .collect();
        self.connection.open(Instant::now(), &Arc::new(request), None, false).unwrap()
    }

    /// The status of the answer to it.
    async fn answer(&mut self, of: StreamKey) -> String {
        self.until(|event| match event {
            StreamEvent::Headers { key, headers, .. } if *key == of => {
                Some(String::from_utf8_lossy(headers.find(":status").unwrap()).into_owned())
            }
            _ => None,
        })
        .await
    }

    /// Sends a text message, masked by zeros.
    fn say(&mut self, key: StreamKey, text: &str) {
        let mut bytes = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        bytes.extend_from_slice(text.as_bytes());
        assert!(self.connection.send_data(key, bytes.into(), false));
    }

    /// Moves bytes until an event is the one that is wanted.
    async fn until<T>(&mut self, wanted: impl Fn(&StreamEvent) -> Option<T>) -> T {
        let mut out = Transmit::default();
        loop {
            while drain(&mut self.connection, Instant::now(), &mut out, |_, event| self.events.push(event))
                == Due::Write
            {
                for chunk in out.chunks() {
                    self.transport.write_all(chunk).await.unwrap();
                }
                out.clear();
            }
            if let Some(at) = self.events.iter().position(|event| wanted(event).is_some()) {
                return wanted(&self.events.swap_remove(at)).unwrap();
            }
            let mut buffer = vec![0; 16 * 1024];
            let read = self.transport.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the server has closed: {:?}", self.events);
            buffer.truncate(read);
            self.connection.handle_bytes(Instant::now(), Bytes::from(buffer));
        }
    }
}

#[tokio::test]
async fn a_websocket_in_a_stream_is_no_call_and_those_inside_are() {
    let (handle, address) = on_tcp(Server::new().calls_max(1)).await;
    let mut client = Client::connect(&address).await;
    let (first, second) = (client.ask(), client.ask());
    assert_eq!(client.answer(first).await, "200");
    assert_eq!(client.answer(second).await, "200");
    assert_eq!((handle.calls_open(), handle.calls_started()), (0, 0));
    for (calls, key) in [(1, first), (2, second)] {
        client.say(key, r#"{"call":"polywire.test.v1.Echo/Unary","message":{"text":"hello"}}"#);
        let ended = |event: &StreamEvent| match event {
            StreamEvent::Data { key: of, data, .. } => {
                (*of == key && data.windows(4).any(|four| four == br#""ok""#)).then_some(())
            }
            _ => None,
        };
        client.until(ended).await;
        assert_eq!((handle.calls_open(), handle.calls_started()), (0, calls));
    }
    assert_eq!(handle.calls_started_by(Wire::WebSocket, Protocol::Text), 2);
}

#[tokio::test]
async fn a_websocket_above_the_connections_of_a_server_is_refused_before_it_begins() {
    // One is the client's.
    let (handle, address) = on_tcp(Server::new().connections_max(2)).await;
    let mut client = Client::connect(&address).await;
    let (first, second) = (client.ask(), client.ask());
    assert_eq!(client.answer(first).await, "200");
    assert_eq!(client.answer(second).await, "503");
    // Both ends are told: the stream is over.
    let over = |event: &StreamEvent| match event {
        StreamEvent::Data { key, end, .. } => (*key == second && *end).then_some(()),
        _ => None,
    };
    client.until(over).await;
    assert_eq!(handle.connections_open(), 2);
    // Room again.
    client.connection.reset(first, polywire_engine::wire::Reason::NO_ERROR);
    let third = client.ask();
    let asked = client.answer(third).await;
    if asked == "503" {
        // The WebSocket had not ended when it was asked for.
        until(|| handle.connections_open() == 1).await;
        let fourth = client.ask();
        assert_eq!(client.answer(fourth).await, "200");
    }
}
