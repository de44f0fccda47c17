//! Calls on native frames inside WebSocket messages: two engines back to back in virtual time.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{CompressionSet, Metadata, Protocol, Status, Wire};
use polywire_engine::{
    CallKey, Config, Event, Limits, OpenCall, Transmit,
    drain::{Due, Machine, drain},
    envelope::envelope,
    protocol::{RequestOptions, RequestTemplate},
    wire::{
        ConnectionError, PeerMisbehaved, Role,
        websocket::{Begin, Connection, Subprotocol, Violation, handshake::Policy},
    },
};

struct Pair {
    now: Instant,
    client: Connection,
    server: Connection,
    at_client: Vec<Event>,
    at_server: Vec<Event>,
    /// Bytes carried to the server and to the client.
    carried: (usize, usize),
    /// Bytes go over in pieces of this size.
    piece: usize,
}

impl Pair {
    fn connected() -> Self {
        let mut pair = Self::fresh(Some(Subprotocol::Native), Policy::default());
        pair.run();
        assert!(matches!(pair.at_client[..], [Event::Settled]), "{:?}", pair.at_client);
        assert!(matches!(pair.at_server[..], [Event::Settled]), "{:?}", pair.at_server);
        pair.at_client.clear();
        pair.at_server.clear();
        pair
    }

    #[allow(clippy::disallowed_methods)] // one base for all times
    fn fresh(subprotocol: Option<Subprotocol>, policy: Policy) -> Self {
        let now = Instant::now();
        let config = Config::new(Limits::default(), CompressionSet::ALL);
        let begin = |subprotocol| Begin { subprotocol, policy: policy.clone(), ..Begin::default() };
        Self {
            now,
            client: Connection::new(Role::Client, &config, begin(Some(Subprotocol::Native)), now, 1),
            server: Connection::new(Role::Server, &config, begin(subprotocol), now, 2),
            at_client: Vec::new(),
            at_server: Vec::new(),
            carried: (0, 0),
            piece: usize::MAX,
        }
    }

    fn run(&mut self) {
        let mut out = Transmit::default();
        let mut quiet = 0;
        while quiet < 2 {
            quiet += 1;
            for to_server in [true, false] {
                let (from, to, events) = match to_server {
                    true => (&mut self.client, &mut self.server, &mut self.at_client),
                    false => (&mut self.server, &mut self.client, &mut self.at_server),
                };
                while drain(from, self.now, &mut out, |_, event| events.push(event)) == Due::Write {
                    quiet = 0;
                    let bytes: Vec<u8> = out.chunks().flatten().copied().collect();
                    out.clear();
                    *if to_server { &mut self.carried.0 } else { &mut self.carried.1 } += bytes.len();
                    for piece in bytes.chunks(self.piece.min(bytes.len())) {
                        to.handle_bytes(self.now, Bytes::copy_from_slice(piece));
                    }
                }
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    fn open(&mut self, template: &RequestTemplate, message: &[u8]) -> CallKey {
        let call = OpenCall {
            template,
            metadata: &Metadata::new(),
            deadline: None,
            message: Some(envelope(false, message)),
            last: true,
        };
        self.client.open(self.now, call).unwrap()
    }

    fn started(&mut self) -> (CallKey, Bytes) {
        match &std::mem::take(&mut self.at_server)[..] {
            [Event::Started { key, head, .. }, Event::Message { message, last: true, .. }] => {
                assert_eq!(head.wire, Wire::WebSocket);
                (*key, message.bytes.clone())
            }
            other => panic!("{other:?}"),
        }
    }
}

fn template() -> RequestTemplate {
    RequestTemplate::new(RequestOptions {
        protocol: Protocol::Native,
        authority: "localhost".into(),
        path: "/a.B/C".into(),
        ..RequestOptions::default()
    })
}

#[test]
fn a_unary_call_costs_one_message_each_way() {
    let mut pair = Pair::connected();
    let template = template();
    for round in 0..3 {
        pair.carried = (0, 0);
        let key = pair.open(&template, b"question");
        pair.run();
        let (at_server, question) = pair.started();
        assert_eq!(question, "question");
        pair.server.consumed(at_server, 8);
        pair.server.respond(at_server, &Metadata::new(), envelope(false, b"answer"), &Metadata::new());
        pair.run();
        let events = std::mem::take(&mut pair.at_client);
        assert!(
            matches!(events.last(), Some(Event::Ended { key: same, status, .. }) if *same == key && status.is_ok())
        );
        if round > 0 {
            // Two bytes for WebSocket each way, and four for the client's mask.
            assert!(pair.carried.0 <= 8 + 6 + 10 && pair.carried.1 <= 6 + 2 + 10, "{:?}", pair.carried);
        }
    }
}

#[test]
fn large_messages_come_through_however_the_bytes_are_cut() {
    for piece in [1_000, 4_096, 65_537, usize::MAX] {
        let mut pair = Pair::connected();
        pair.piece = piece;
        let template = template();
        let question: Vec<u8> = (0..1_000_000_u32).map(|i| (i / 7) as u8).collect();
        pair.open(&template, &question);
        pair.run();
        let (at_server, seen) = pair.started();
        assert_eq!(seen, question);
        pair.server.consumed(at_server, seen.len());
        pair.server.respond(at_server, &Metadata::new(), envelope(false, &question), &Metadata::new());
        pair.run();
        let answer = pair.at_client.iter().find_map(|event| match event {
            Event::Message { message, .. } => Some(message.bytes.clone()),
            _ => None,
        });
        assert_eq!(answer.unwrap(), question);
    }
}

#[test]
fn without_a_subprotocol_the_first_message_decides() {
    let mut pair = Pair::fresh(None, Policy::default());
    pair.run();
    assert_eq!(pair.server.subprotocol(), Some(Subprotocol::Native));
    pair.open(&template(), b"question");
    pair.at_server.clear();
    pair.run();
    pair.started();
}

#[test]
fn what_is_switched_off_is_not_spoken() {
    let mut pair = Pair::fresh(None, Policy { native: false, ..Policy::default() });
    pair.run();
    let wrong = ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(Violation::WrongKind));
    assert!(
        matches!(&pair.at_server[..], [Event::Closed { error: Some(error) }] if *error == wrong),
        "{:?}",
        pair.at_server
    );
    assert!(matches!(pair.at_client.last(), Some(Event::Closed { error: Some(_) })), "{:?}", pair.at_client);
}

#[test]
fn a_drain_finishes_calls_and_closes_both_layers() {
    let mut pair = Pair::connected();
    pair.open(&template(), b"question");
    pair.run();
    let (key, _) = pair.started();
    pair.server.drain(pair.now, "shutdown");
    pair.run();
    assert!(matches!(&pair.at_client[..], [Event::GoingAway { .. }]), "{:?}", pair.at_client);
    assert!(pair.client.is_draining() && !pair.server.is_closed());
    pair.server.finish(key, &Status::ok(), &Metadata::new(), &Metadata::new());
    pair.run();
    pair.wait(Duration::from_secs(10));
    assert!(matches!(pair.at_server.last(), Some(Event::Closed { error: None })), "{:?}", pair.at_server);
    assert!(matches!(pair.at_client.last(), Some(Event::Closed { error: None })), "{:?}", pair.at_client);
    assert!(pair.server.is_closed() && pair.client.is_closed());
}

#[test]
fn the_end_of_the_transport_ends_calls_on_both_sides() {
    let mut pair = Pair::connected();
    pair.open(&template(), b"question");
    pair.run();
    pair.started();
    pair.client.handle_eof(pair.now);
    pair.server.handle_eof(pair.now);
    pair.run();
    for events in [&pair.at_client, &pair.at_server] {
        assert!(matches!(&events[..], [_, Event::Closed { error: Some(ConnectionError::Lost) }]), "{events:?}");
    }
    assert!(pair.server.is_closed() && pair.client.is_closed());
}

#[test]
fn a_client_that_closes_without_calls_ends_in_order() {
    let mut pair = Pair::connected();
    pair.client.close(pair.now, polywire_engine::wire::Reason::NO_ERROR, "");
    pair.run();
    pair.wait(Duration::from_secs(10));
    assert!(matches!(&pair.at_client[..], [Event::Closed { error: None }]), "{:?}", pair.at_client);
    assert!(matches!(pair.at_server.last(), Some(Event::Closed { error: None })), "{:?}", pair.at_server);
    assert!(pair.server.is_closed() && pair.client.is_closed());
}

#[test]
fn a_quiet_pair_stays_connected() {
    let mut pair = Pair::connected();
    pair.wait(Duration::from_secs(600));
    assert!(pair.at_client.is_empty() && pair.at_server.is_empty());
    assert!(pair.client.can_open());
}

#[test]
fn text_does_not_go_with_native_frames() {
    let mut pair = Pair::connected();
    // A text message as a client's frame with a mask of zero.
    pair.server.handle_bytes(pair.now, Bytes::from_static(&[0x81, 0x81, 0, 0, 0, 0, b'{']));
    pair.run();
    let wrong = ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(Violation::WrongKind));
    assert!(
        matches!(&pair.at_server[..], [Event::Closed { error: Some(error) }] if *error == wrong),
        "{:?}",
        pair.at_server
    );
}
