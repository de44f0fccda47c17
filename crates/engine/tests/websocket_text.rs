//! The JSON text form over a WebSocket: what a person types, and what comes back.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{Code, Codec, CompressionSet, Detail, Metadata, Protocol, Status, Wire};
use polywire_engine::{
    CallKey, Config, Event, Limits, Transmit,
    drain::{Due, Machine, drain},
    envelope::envelope,
    wire::{
        ConnectionError, LimitExceeded, Reason, Role,
        websocket::{Begin, Connection, Incoming, Messages, Subprotocol},
    },
};

/// A server, and a client that types.
struct Typed {
    server: Connection,
    client: Messages,
    now: Instant,
    events: Vec<Event>,
    heard: Vec<String>,
    client_closed: bool,
}

impl Typed {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    #[allow(clippy::disallowed_methods)] // one base for all times
    fn with(limits: Limits) -> Self {
        let now = Instant::now();
        let config = Config::new(limits, CompressionSet::ALL);
        let begin = Begin { authority: "shop.example".into(), ..Begin::default() };
        Self {
            server: Connection::new(Role::Server, &config, begin, now, 1),
            client: Messages::new(Role::Client, &std::sync::Arc::default(), Bytes::new(), now, 2),
            now,
            events: Vec::new(),
            heard: Vec::new(),
            client_closed: false,
        }
    }

    /// Types a line; gives what the server reports.
    fn say(&mut self, words: &str) -> Vec<Event> {
        self.client.send_text(Bytes::copy_from_slice(words.as_bytes()));
        self.run();
        self.take()
    }

    fn run(&mut self) {
        let mut out = Transmit::default();
        loop {
            let mut any = false;
            while let Some(incoming) = self.client.poll() {
                match incoming {
                    Incoming::Text(text) => self.heard.push(String::from_utf8(text.to_vec()).unwrap()),
                    Incoming::Closed { .. } => self.client_closed = true,
                    Incoming::Binary(bytes) => panic!("{bytes:?}"),
                }
            }
            while self.client.poll_transmit(self.now, &mut out) {
                self.server.handle_bytes(self.now, out.chunks().flatten().copied().collect::<Vec<_>>().into());
                out.clear();
                any = true;
            }
            let events = &mut self.events;
            if drain(&mut self.server, self.now, &mut out, |_, event| events.push(event)) == Due::Write {
                self.client.handle_bytes(self.now, out.chunks().flatten().copied().collect::<Vec<_>>().into());
                out.clear();
                any = true;
            }
            if !any {
                return;
            }
        }
    }

    fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events).into_iter().filter(|event| !matches!(event, Event::Settled)).collect()
    }

    /// What the client has read since it was asked last.
    fn heard(&mut self) -> Vec<String> {
        self.run();
        std::mem::take(&mut self.heard)
    }

    /// The one error the client was told.
    fn error(&mut self) -> String {
        let heard = self.heard();
        let [line] = &heard[..] else { panic!("{heard:?}") };
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["error"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
    }
}

fn key(events: &[Event]) -> CallKey {
    match events.first() {
        Some(Event::Started { key, .. }) => *key,
        other => panic!("{other:?}"),
    }
}

fn nothing() -> Metadata {
    Metadata::new()
}

#[test]
fn a_unary_call_can_be_typed() {
    let mut typed = Typed::new();
    let events = typed.say(
        r#"{"call":"orders.v1.Orders/Get","id":1,"message":{ "id" : "o-1" },"metadata":{"authorization":"Bearer x","k":["1","2"],"k-bin":"AP8="},"timeoutMs":500}"#,
    );
    let [Event::Started { key, head, deadline, last: false }, Event::Message { key: same, message, last: true }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(key, same);
    assert_eq!(&message.bytes[..], br#"{ "id" : "o-1" }"#, "as it was written");
    assert_eq!((&*head.path, &*head.authority), ("/orders.v1.Orders/Get", "shop.example"));
    assert_eq!((head.codec, head.protocol, head.wire), (Codec::Json, Protocol::Text, Wire::WebSocket));
    assert_eq!(head.metadata.get("authorization"), Some("Bearer x"));
    assert_eq!(head.metadata.all("k").count(), 2);
    assert_eq!(head.metadata.binary("k-bin"), Some(&[0, 255][..]));
    assert_eq!(*deadline, Some(typed.now + Duration::from_millis(500)));

    let mut leading = Metadata::new();
    leading.append("x-a", "1").unwrap();
    leading.append("x-a", "\"2\"").unwrap();
    leading.append_bin("x-bin", &[0, 255]).unwrap();
    let mut trailing = Metadata::new();
    trailing.append("t", "z").unwrap();
    typed.server.respond(*key, &leading, envelope(false, br#"{"a":1}"#), &trailing);
    assert_eq!(typed.server.calls_open(), 0);
    assert_eq!(
        typed.heard(),
        [
            r#"{"id":1,"metadata":{"x-a":["1","\"2\""],"x-bin":"AP8"}}"#,
            r#"{"id":1,"message":{"a":1}}"#,
            r#"{"id":1,"end":{"code":"ok","metadata":{"t":"z"}}}"#,
        ]
    );
}

#[test]
fn the_id_may_be_left_out_and_used_again() {
    let mut typed = Typed::new();
    for _ in 0..3 {
        let key = key(&typed.say(r#"{"call":"/a.B/C","message":{}}"#));
        assert_eq!(key.index(), 0, "the place is used again");
        typed.server.respond(key, &nothing(), envelope(false, b""), &nothing());
        assert_eq!(typed.heard(), [r#"{"id":0,"message":{}}"#, r#"{"id":0,"end":{"code":"ok"}}"#]);
    }
}

#[test]
fn a_stream_goes_both_ways_until_its_end() {
    let mut typed = Typed::new();
    let key = key(&typed.say(r#"{"call":"a.B/Talk","id":7}"#));
    let events = typed.say(r#"{"id":7,"message":[1]}"#);
    assert!(
        matches!(&events[..], [Event::Message { last: false, message, .. }] if message.bytes == "[1]"),
        "{events:?}"
    );
    typed.server.send(key, [envelope(false, b"1"), envelope(false, b"2")].concat().into());
    assert_eq!(typed.heard(), [r#"{"id":7,"message":1}"#, r#"{"id":7,"message":2}"#]);
    let events = typed.say(r#"{"id":7,"message":null,"end":true}"#);
    assert!(
        matches!(&events[..], [Event::Message { last: true, message, .. }] if message.bytes == "null"),
        "{events:?}"
    );
    assert!(typed.say(r#"{"id":7,"message":{}}"#).is_empty());
    assert!(typed.error().contains("last message"));
    let status = Status::new(Code::NotFound, "no \"order\"\n")
        .with_detail(Detail { type_url: "type.googleapis.com/a.B".into(), value: Bytes::from_static(&[8, 1]) });
    typed.server.finish(key, &status, &nothing(), &nothing());
    assert_eq!(
        typed.heard(),
        [r#"{"id":7,"end":{"code":"not_found","message":"no \"order\"\n","details":[{"type":"a.B","value":"CAE"}]}}"#]
    );
}

#[test]
fn more_keeps_a_call_with_a_message_open_and_end_alone_half_closes() {
    let mut typed = Typed::new();
    let events = typed.say(r#"{"call":"a.B/C","id":1,"message":{},"more":true}"#);
    assert!(
        matches!(&events[..], [Event::Started { last: false, .. }, Event::Message { last: false, .. }]),
        "{events:?}"
    );
    let events = typed.say(r#"{"id":1,"end":true}"#);
    assert!(matches!(&events[..], [Event::HalfClosed { .. }]), "{events:?}");
    let events = typed.say(r#"{"call":"a.B/C","id":2,"end":true}"#);
    assert!(matches!(&events[..], [Event::Started { last: true, .. }]), "{events:?}");
}

#[test]
fn a_cancelled_call_ends_on_both_sides() {
    let mut typed = Typed::new();
    let key = key(&typed.say(r#"{"call":"a.B/C","id":1}"#));
    let events = typed.say(r#"{"id":1,"cancel":true}"#);
    assert!(matches!(&events[..], [Event::Cancelled { key: same, .. }] if *same == key), "{events:?}");
    typed.server.send(key, envelope(false, b"too late"));
    assert_eq!(typed.heard(), [r#"{"id":1,"end":{"code":"canceled","message":"the client cancelled the call"}}"#]);
}

#[test]
fn a_deadline_ends_a_call() {
    let mut typed = Typed::new();
    typed.say(r#"{"call":"a.B/C","id":1,"timeoutMs":20}"#);
    assert_eq!(typed.server.poll_timeout(), Some(typed.now + Duration::from_millis(20)));
    typed.now += Duration::from_millis(20);
    typed.server.handle_timeout(typed.now);
    typed.run();
    let events = typed.take();
    assert!(matches!(&events[..], [Event::Cancelled { status, .. }] if status.code() == Code::DeadlineExceeded));
    assert!(typed.heard()[0].contains("deadline_exceeded"));
}

#[test]
fn what_cannot_be_understood_is_answered_with_what_to_do() {
    let mut typed = Typed::new();
    for (line, words) in [
        ("hello", "expected value at line 1"),
        ("[]", "a call looks like"),
        (r#"{"id":4,"cal":"a.B/C"}"#, "unknown field `cal`"),
        (r#"{"call":"a.B/C","id":"one"}"#, "invalid type: string"),
        (r#"{"call":"Get","id":1}"#, "\"Get\" names no method"),
        (r#"{"id":9,"message":{}}"#, "no call with id 9"),
        (r#"{"id":9}"#, "nothing to be done"),
        (r#"{"call":"a.B/C","cancel":true}"#, "cannot be cancelled"),
        (r#"{"call":"a.B/C","metadata":{"te":"x"}}"#, "reserved"),
        (r#"{"call":"a.B/C","metadata":{"x":1}}"#, "a text or a list of texts"),
        (r#"{"call":"a.B/C","metadata":{"x-bin":"?"}}"#, "not base64"),
        (r#"{"id":9,"metadata":{},"message":1}"#, "go with \"call\""),
        (r#"{"call":"a.B/C","id":-1}"#, "expected u64"),
        (r#"{"call":"a.B/C","message":{]}"#, "at line 1"),
    ] {
        assert!(typed.say(line).is_empty(), "{line}");
        let error = typed.error();
        assert!(error.contains(words), "{line}: {error}");
    }
    typed.say(r#"{"id":4,"cal":"a.B/C"}"#);
    assert!(typed.heard()[0].starts_with(r#"{"id":4,"error":"#), "the id is told where it is known");
    assert_eq!(typed.say(r#"{"call":"a.B/C","message":{}}"#).len(), 2, "the connection goes on");
}

#[test]
fn an_id_in_use_cannot_be_given_again() {
    let mut typed = Typed::new();
    typed.say(r#"{"call":"a.B/C","id":1}"#);
    assert!(typed.say(r#"{"call":"a.B/C","id":1}"#).is_empty());
    assert!(typed.error().contains("still open"));
}

#[test]
fn what_was_under_way_when_a_call_ended_is_nobodys_fault() {
    let mut typed = Typed::new();
    let key = key(&typed.say(r#"{"call":"a.B/C","id":1}"#));
    typed.server.finish(key, &Status::ok(), &nothing(), &nothing());
    typed.heard();
    assert!(typed.say(r#"{"id":1,"message":{}}"#).is_empty());
    assert!(typed.heard().is_empty());
}

#[test]
fn calls_above_the_limit_are_refused_and_answers_that_wait_count() {
    let mut typed = Typed::with(Limits { streams_max: 2, ..Limits::default() });
    let first = key(&typed.say(r#"{"call":"a.B/C","id":1}"#));
    typed.say(r#"{"call":"a.B/C","id":2}"#);
    assert!(typed.say(r#"{"call":"a.B/C","id":3}"#).is_empty());
    assert!(typed.heard()[0].contains(r#"{"id":3,"end":{"code":"unavailable""#));
    typed.server.finish(first, &Status::ok(), &nothing(), &nothing());
    typed.heard();
    assert_eq!(typed.say(r#"{"call":"a.B/C","id":3}"#).len(), 1);
}

#[test]
fn a_flood_of_nonsense_ends_the_connection() {
    let mut typed = Typed::new();
    for _ in 0..2_000 {
        typed.client.send_text(Bytes::from_static(b"?"));
    }
    typed.run();
    let events = typed.take();
    assert!(
        matches!(&events[..], [Event::Closed { error: Some(ConnectionError::LimitExceeded(LimitExceeded::Resets)) }]),
        "{events:?}"
    );
    assert!(typed.client_closed);
}

#[test]
fn a_client_that_sends_faster_than_is_read_is_stopped() {
    let mut typed = Typed::with(Limits { buffered_bytes_max: 10_000, message_bytes_max: 1_000, ..Limits::default() });
    let key = key(&typed.say(r#"{"call":"a.B/C","id":1}"#));
    let line = format!(r#"{{"id":1,"message":"{}"}}"#, "x".repeat(900));
    for _ in 0..100 {
        let events = typed.say(&line);
        assert!(matches!(&events[..], [Event::Message { .. }]), "{events:?}");
        typed.server.consumed(key, 902);
    }
    for _ in 0..12 {
        typed.client.send_text(Bytes::copy_from_slice(line.as_bytes()));
    }
    typed.run();
    let events = typed.take();
    assert!(matches!(events.last(), Some(Event::Cancelled { status, .. }) if status.code() == Code::ResourceExhausted));
    assert!(typed.heard().last().unwrap().contains("resource_exhausted"));
    let long = format!(r#"{{"call":"a.B/C","id":2,"message":"{}"}}"#, "x".repeat(1_000));
    assert!(matches!(&typed.say(&long)[..], [Event::Started { .. }, Event::Cancelled { .. }]));
}

#[test]
fn a_producer_is_told_when_to_go_on() {
    let mut typed = Typed::new();
    let key = key(&typed.say(r#"{"call":"a.B/C","id":1}"#));
    let message = envelope(false, format!("\"{}\"", "x".repeat(40_000)).as_bytes());
    for _ in 0..3 {
        typed.server.send(key, message.clone());
    }
    assert!(typed.server.queued_bytes(key) > 120_000);
    typed.run();
    assert_eq!(typed.server.queued_bytes(key), 0);
    assert!(matches!(&typed.take()[..], [Event::Writable { .. }]));
    assert_eq!(typed.heard().len(), 3);
}

#[test]
fn a_drain_lets_calls_finish_and_then_goes_away() {
    let mut typed = Typed::new();
    let key = key(&typed.say(r#"{"call":"a.B/C","id":1}"#));
    typed.server.drain(typed.now, "shutdown");
    typed.run();
    assert!(typed.server.is_draining() && !typed.client_closed);
    assert!(typed.say(r#"{"call":"a.B/C","id":2}"#).is_empty());
    assert!(typed.heard()[0].contains("unavailable"));
    typed.server.finish(key, &Status::ok(), &nothing(), &nothing());
    assert_eq!(typed.heard(), [r#"{"id":1,"end":{"code":"ok"}}"#]);
    assert!(typed.client_closed);
    assert!(matches!(&typed.take()[..], [Event::Closed { error: None }]));
    assert!(typed.server.is_closed());
}

#[test]
fn an_idle_connection_that_is_drained_goes_away_at_once() {
    let mut typed = Typed::new();
    typed.server.drain(typed.now, "shutdown");
    typed.run();
    assert!(typed.client_closed && typed.server.is_closed());
}

#[test]
fn the_end_of_the_transport_cancels_the_calls() {
    let mut typed = Typed::new();
    typed.say(r#"{"call":"a.B/C","id":1}"#);
    typed.server.handle_eof(typed.now);
    typed.run();
    let events = typed.take();
    assert!(
        matches!(&events[..], [Event::Cancelled { .. }, Event::Closed { error: Some(ConnectionError::Lost) }]),
        "{events:?}"
    );
    assert!(typed.server.is_closed());
}

#[test]
fn a_close_with_a_reason_reaches_the_client() {
    let mut typed = Typed::new();
    typed.say(r#"{"call":"a.B/C","id":1}"#);
    typed.server.close(typed.now, Reason::INTERNAL_ERROR, "broken");
    typed.run();
    assert!(matches!(&typed.take()[..], [Event::Cancelled { .. }, Event::Closed { error: None }]));
    assert!(typed.client_closed);
}

#[test]
fn binary_messages_do_not_go_with_the_text_form() {
    let mut typed = Typed::new();
    typed.say(r#"{"call":"a.B/C","id":1}"#);
    assert_eq!(typed.server.subprotocol(), Some(Subprotocol::Json));
    typed.client.send_binary(Bytes::from_static(b"?"));
    typed.run();
    assert!(matches!(&typed.take()[..], [Event::Cancelled { .. }, Event::Closed { error: Some(_) }]));
}
