//! A connection that goes on as a WebSocket.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use bytes::Bytes;
use polywire_core::{CompressionSet, Metadata, Status};
use polywire_engine::{
    Beginning, CallKey, Config, Connection, Event, Limits, Transmit,
    drain::{Due, drain},
    envelope::envelope,
};

struct Server {
    now: Instant,
    connection: Connection,
    events: Vec<Event>,
}

impl Server {
    #[allow(clippy::disallowed_methods)] // one base for all times
    fn new() -> Self {
        let now = Instant::now();
        let config = Config::new(Limits::default(), CompressionSet::NONE);
        let connection = Connection::accept(Some(Beginning::Http1), &config, now, 1);
        Self { now, connection, events: Vec::new() }
    }

    /// What it says to these bytes.
    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.connection.handle_bytes(self.now, Bytes::copy_from_slice(bytes));
        self.settle()
    }

    fn settle(&mut self) -> Vec<u8> {
        let (mut said, mut out) = (Vec::new(), Transmit::default());
        while drain(&mut self.connection, self.now, &mut out, |_, event| self.events.push(event)) == Due::Write {
            said.extend(out.chunks().flatten());
            out.clear();
        }
        said
    }

    /// The one call that has begun.
    fn started(&mut self) -> CallKey {
        let mut keys = self.events.drain(..).filter_map(|event| match event {
            Event::Started { key, .. } => Some(key),
            _ => None,
        });
        let key = keys.next().unwrap();
        assert!(keys.next().is_none());
        key
    }
}

const CALL: &[u8] = b"POST /a.B/C HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn upgrade(subprotocol: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {subprotocol}\r\n\r\n"
    )
    .into_bytes()
}

/// A whole message of a client, masked by zeros.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

/// A late answer of a handler that nobody waits for any more must not become the answer of another's call.
#[test]
fn a_call_from_before_the_upgrade_is_never_taken_for_one_inside() {
    let text = (1, br#"{"call":"a.B/C","message":{}}"#.as_slice());
    let native = (2, b"\xf0PW1\x00\x00\x00\x91\x01\x08\x01\x05a.B/C\x00".as_slice());
    for (subprotocol, (opcode, payload)) in [("polywire.json", text), ("polywire.v1", native)] {
        let mut server = Server::new();
        let mut earlier = Vec::new();
        for _ in 0..3 {
            server.hear(CALL);
            let key = server.started();
            server.connection.finish(key, &Status::cancelled("enough"), &Metadata::new(), &Metadata::new());
            server.settle();
            earlier.push(key);
        }
        assert!(server.hear(&upgrade(subprotocol)).starts_with(b"HTTP/1.1 101 "));
        for _ in 0..8 {
            server.hear(&message(opcode, payload));
            let key = server.started();
            assert!(!earlier.contains(&key), "{subprotocol}: {key:?} was the key of a call before the upgrade");
            for &late in &earlier {
                server.connection.respond(late, &Metadata::new(), envelope(false, b"\"late\""), &Metadata::new());
            }
            let said = server.settle();
            assert!(!said.windows(4).any(|bytes| bytes == b"late"), "{subprotocol}");
            server.connection.respond(key, &Metadata::new(), envelope(false, b"{}"), &Metadata::new());
            server.settle();
            earlier.push(key);
            if opcode == 2 {
                break;
            }
        }
    }
}
