//! What the tests of the native wire share: two engines back to back in virtual time, and a peer made by hand.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // each test program uses a part

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{Code, Codec, Compression, CompressionSet, Message, Metadata, RequestHead, Status};
use polywire_engine::drain::{Due, Machine, drain};
use polywire_engine::protocol::{RequestOptions, RequestTemplate};
use polywire_engine::wire::native::{Connection, NativeRule, PREFACE};
use polywire_engine::wire::{ConnectionError, PeerMisbehaved, Role};
use polywire_engine::{CallKey, Config, Event, Limits, OpenCall, Transmit, envelope};

/// The one base of all times in a test.
#[allow(clippy::disallowed_methods)]
pub fn base() -> Instant {
    Instant::now()
}

pub fn template(path: &str) -> RequestTemplate {
    RequestTemplate::new(options(path))
}

pub fn options(path: &str) -> RequestOptions {
    RequestOptions {
        scheme: "http",
        authority: "orders".to_owned(),
        path: path.to_owned(),
        user_agent: "test".to_owned(),
        codec: Codec::Proto,
        compression: Compression::Identity,
        accepts: CompressionSet::NONE.with(Compression::Gzip),
        ..RequestOptions::default()
    }
}

pub const LIST: &str = "/orders.v1.Orders/List";

pub fn metadata(entries: &[(&str, &str)]) -> Metadata {
    let mut metadata = Metadata::new();
    for (key, value) in entries {
        metadata.append(key, value).unwrap();
    }
    metadata
}

/// A message in its envelope.
pub fn message(bytes: &[u8]) -> Bytes {
    envelope::envelope(false, bytes)
}

/// A call as a side sees it.
#[derive(Debug, Default)]
pub struct Seen {
    pub key: Option<CallKey>,
    pub head: Option<Arc<RequestHead>>,
    pub deadline: Option<Instant>,
    pub leading: Option<Metadata>,
    pub messages: Vec<Message>,
    pub half_closed: bool,
    pub ended: Option<(Status, Metadata)>,
    pub unprocessed: bool,
    pub cancelled: Option<Status>,
    pub writable: usize,
}

impl Seen {
    pub fn bytes(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|message| &*message.bytes).collect()
    }

    pub fn code(&self) -> Option<Code> {
        self.ended.as_ref().map(|(status, _)| status.code())
    }
}

/// One engine with what it has reported.
pub struct Side {
    pub connection: Connection,
    /// In the order in which the calls began.
    pub calls: Vec<Seen>,
    pub settled: bool,
    pub openable: usize,
    pub going_away: Option<String>,
    pub closed: Option<Option<ConnectionError>>,
    /// Messages are consumed as soon as they are reported.
    pub consumes: bool,
    /// Server: each call is answered with its last message.
    pub echoes: bool,
}

impl Side {
    pub fn new(role: Role, limits: Limits, now: Instant) -> Self {
        let config = Config::new(limits, CompressionSet::NONE.with(Compression::Gzip));
        Side {
            connection: Connection::new(role, &config, now, 7),
            calls: Vec::new(),
            settled: false,
            openable: 0,
            going_away: None,
            closed: None,
            consumes: true,
            echoes: false,
        }
    }

    /// Drains; what is to be written goes to `sink`.
    pub fn drain(&mut self, now: Instant, mut sink: impl FnMut(Vec<u8>)) -> Due {
        let mut out = Transmit::default();
        loop {
            let mut heard = Heard {
                calls: &mut self.calls,
                settled: &mut self.settled,
                openable: &mut self.openable,
                going_away: &mut self.going_away,
                closed: &mut self.closed,
                consumes: self.consumes,
                echoes: self.echoes,
            };
            let due = drain(&mut self.connection, now, &mut out, |connection, event| heard.hear(connection, event));
            if due != Due::Write {
                return due;
            }
            sink(out.chunks().flatten().copied().collect());
            out.clear();
        }
    }

    /// The latest call.
    pub fn last(&self) -> &Seen {
        self.calls.last().unwrap()
    }

    pub fn key(&self) -> CallKey {
        self.last().key.unwrap()
    }

    /// The rule for which the peer was given up.
    pub fn misbehaved(&self) -> Option<NativeRule> {
        match self.closed {
            Some(Some(ConnectionError::PeerMisbehaved(PeerMisbehaved::Native(rule)))) => Some(rule),
            _ => None,
        }
    }
}

struct Heard<'a> {
    calls: &'a mut Vec<Seen>,
    settled: &'a mut bool,
    openable: &'a mut usize,
    going_away: &'a mut Option<String>,
    closed: &'a mut Option<Option<ConnectionError>>,
    consumes: bool,
    echoes: bool,
}

impl Heard<'_> {
    fn hear(&mut self, connection: &mut Connection, event: Event) {
        assert!(self.closed.is_none(), "after the end: {event:?}");
        match event {
            Event::Started { key, head, deadline, last } => {
                let seen = Seen { key: Some(key), head: Some(head), deadline, half_closed: last, ..Seen::default() };
                self.calls.push(seen);
            }
            Event::Message { key, message, last } => {
                if self.consumes {
                    connection.consumed(key, message.bytes.len());
                }
                let seen = self.find(key);
                assert!(!seen.half_closed && seen.ended.is_none() && seen.cancelled.is_none());
                seen.half_closed = last;
                let bytes = message.bytes.clone();
                seen.messages.push(message);
                if last && self.echoes {
                    let none = Metadata::new();
                    connection.respond(key, &none, envelope::envelope(false, &bytes), &none);
                }
            }
            Event::HalfClosed { key } => {
                assert!(!std::mem::replace(&mut self.find(key).half_closed, true));
            }
            Event::Cancelled { key, status } => {
                assert!(self.find(key).cancelled.replace(status).is_none());
            }
            Event::Headers { key, head } => {
                let seen = self.find(key);
                assert!(seen.messages.is_empty() && seen.ended.is_none());
                assert!(seen.leading.replace(head.metadata).is_none());
            }
            Event::Ended { key, status, trailing, unprocessed } => {
                let seen = self.find(key);
                seen.unprocessed = unprocessed;
                assert!(seen.ended.replace((status, trailing)).is_none());
            }
            Event::Writable { key } => self.find(key).writable += 1,
            Event::Openable => *self.openable += 1,
            Event::Settled => assert!(!std::mem::replace(self.settled, true)),
            Event::GoingAway { debug, .. } => *self.going_away = Some(String::from_utf8_lossy(&debug).into_owned()),
            Event::Closed { error } => *self.closed = Some(error),
            other => panic!("not on this wire: {other:?}"),
        }
    }

    fn find(&mut self, key: CallKey) -> &mut Seen {
        self.calls.iter_mut().rev().find(|seen| seen.key == Some(key)).unwrap()
    }
}

/// A client and a server, back to back.
pub struct Pair {
    pub now: Instant,
    pub client: Side,
    pub server: Side,
    pub template: RequestTemplate,
    /// Bytes go over in pieces of this size.
    pub piece: usize,
    /// Bytes carried to the server and to the client.
    pub carried: (usize, usize),
    /// All that was carried, as it was.
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
}

impl Pair {
    /// HELLO exchanged.
    pub fn connected() -> Self {
        Pair::with(Limits::default(), Limits::default())
    }

    pub fn with(client: Limits, server: Limits) -> Self {
        let mut pair = Pair::fresh(client, server);
        pair.run();
        assert!(pair.client.settled && pair.server.settled);
        pair.forget();
        pair
    }

    pub fn fresh(client: Limits, server: Limits) -> Self {
        let now = base();
        Pair {
            now,
            client: Side::new(Role::Client, client, now),
            server: Side::new(Role::Server, server, now),
            template: template(LIST),
            piece: usize::MAX,
            carried: (0, 0),
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Forgets what was carried.
    pub fn forget(&mut self) {
        self.carried = (0, 0);
        self.to_server.clear();
        self.to_client.clear();
    }

    /// Moves bytes until nothing is under way; timers do not run.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the two never come to rest");
    }

    /// Lets time pass, with timers and bytes in their order.
    pub fn advance(&mut self, length: Duration) {
        let end = self.now + length;
        for _ in 0..1_000_000 {
            self.run();
            let timers = [self.client.connection.poll_timeout(), self.server.connection.poll_timeout()];
            let Some(next) = timers.into_iter().flatten().filter(|at| *at <= end).min() else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            for side in [&mut self.client, &mut self.server] {
                if side.connection.poll_timeout().is_some_and(|at| at <= self.now) {
                    side.connection.handle_timeout(self.now);
                    assert!(side.connection.poll_timeout().is_none_or(|at| at > self.now));
                }
            }
        }
        panic!("timers without end");
    }

    /// Opens a call.
    pub fn open(&mut self, message: Option<Bytes>, last: bool) -> CallKey {
        self.open_with(&Metadata::new(), None, message, last)
    }

    pub fn open_with(
        &mut self,
        metadata: &Metadata,
        timeout: Option<Duration>,
        message: Option<Bytes>,
        last: bool,
    ) -> CallKey {
        let template = self.template.clone();
        let deadline = timeout.map(|timeout| self.now + timeout);
        let call = OpenCall { template: &template, metadata, deadline, message, last };
        let key = self.client.connection.open(self.now, call).unwrap();
        self.client.calls.push(Seen { key: Some(key), ..Seen::default() });
        key
    }

    /// Opens a call and gives the server's key of it too.
    pub fn open_both(&mut self, message: Option<Bytes>, last: bool) -> (CallKey, CallKey) {
        let ours = self.open(message, last);
        self.run();
        (ours, self.server.key())
    }

    /// What the client has seen of a call.
    pub fn seen(&self, key: CallKey) -> &Seen {
        self.client.calls.iter().find(|seen| seen.key == Some(key)).unwrap()
    }

    /// What the server has seen of a call.
    pub fn served(&self, key: CallKey) -> &Seen {
        self.server.calls.iter().find(|seen| seen.key == Some(key)).unwrap()
    }

    fn step(&mut self) -> bool {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        self.client.drain(self.now, |bytes| to_server.extend(bytes));
        self.server.drain(self.now, |bytes| to_client.extend(bytes));
        self.carried.0 += to_server.len();
        self.carried.1 += to_client.len();
        for (bytes, side) in [(&to_server, &mut self.server), (&to_client, &mut self.client)] {
            for piece in bytes.chunks(self.piece) {
                side.connection.handle_bytes(self.now, Bytes::copy_from_slice(piece));
            }
        }
        let moved = !to_server.is_empty() || !to_client.is_empty();
        self.to_server.extend(to_server);
        self.to_client.extend(to_client);
        moved
    }
}

pub const HELLO: u8 = 0;
pub const CALL: u8 = 1;
pub const OPEN: u8 = 2;
pub const MESSAGE: u8 = 3;
pub const HEADERS: u8 = 4;
pub const END: u8 = 5;
pub const CANCEL: u8 = 6;
pub const WINDOW: u8 = 7;
pub const PING: u8 = 8;
pub const PONG: u8 = 9;
pub const GOAWAY: u8 = 10;

pub const LAST: u8 = 0x10;
pub const COMPRESSED: u8 = 0x20;
pub const MORE: u8 = 0x40;
pub const FIELDS: u8 = 0x80;

/// A frame as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Kind and flags.
    pub first: u8,
    pub number: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(first: u8, number: u32, payload: &[u8]) -> Self {
        Frame { first, number, payload: payload.to_vec() }
    }

    pub fn kind(&self) -> u8 {
        self.first & 0x0f
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.first];
        bytes.extend(varint(self.number.into()));
        bytes.extend(varint(self.payload.len() as u64));
        bytes.extend(&self.payload);
        bytes
    }

    /// The frames in these bytes, which hold whole ones.
    pub fn all(mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some((&first, rest)) = bytes.split_first() {
            bytes = rest;
            let number = take_varint(&mut bytes) as u32;
            let len = take_varint(&mut bytes) as usize;
            frames.push(Frame::new(first, number, &bytes[..len]));
            bytes = &bytes[len..];
        }
        frames
    }
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub fn take_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

/// A field.
pub fn field(tag: u64, value: &[u8]) -> Vec<u8> {
    [varint(tag), varint(value.len() as u64), value.to_vec()].concat()
}

/// The payload of a call that defines a method.
pub fn defines(number: u64, path: &str, message: &[u8]) -> Vec<u8> {
    [varint(number << 1 | 1), varint(path.len() as u64), path.as_bytes().to_vec(), message.to_vec()].concat()
}

/// One engine, and across from it a peer that says whatever the test likes.
pub struct Raw {
    pub now: Instant,
    pub side: Side,
    /// What the engine wrote and nobody has looked at.
    written: Vec<u8>,
    /// While set, the engine's output is not taken.
    pub deaf: bool,
}

impl Raw {
    /// A server engine to which preface and an empty HELLO were said.
    pub fn server(limits: Limits) -> Self {
        let mut raw = Raw::fresh(Role::Server, limits);
        raw.say(&PREFACE);
        raw.settle();
        raw
    }

    /// A client engine to which an empty HELLO was said.
    pub fn client(limits: Limits) -> Self {
        let mut raw = Raw::fresh(Role::Client, limits);
        raw.settle();
        raw
    }

    pub fn fresh(role: Role, limits: Limits) -> Self {
        let now = base();
        let mut raw = Raw { now, side: Side::new(role, limits, now), written: Vec::new(), deaf: false };
        raw.take_output();
        raw
    }

    fn settle(&mut self) {
        self.frame(HELLO, 0, &[]);
        assert!(self.side.settled);
        self.written.clear();
    }

    /// Says bytes.
    pub fn say(&mut self, bytes: &[u8]) {
        self.side.connection.handle_bytes(self.now, Bytes::copy_from_slice(bytes));
        self.take_output();
    }

    /// Says a frame.
    pub fn frame(&mut self, first: u8, number: u32, payload: &[u8]) {
        self.say(&Frame::new(first, number, payload).bytes());
    }

    /// Says a call that defines method 1 the first time.
    pub fn call(&mut self, number: u32, message: &[u8], last: bool) {
        let reference = if self.side.calls.is_empty() { defines(1, &LIST[1..], &[]) } else { varint(2) };
        let last = if last { LAST } else { 0 };
        self.frame(CALL | last, number, &[reference, message.to_vec()].concat());
    }

    pub fn window(&mut self, number: u32, bytes: u64) {
        self.frame(WINDOW, number, &varint(bytes));
    }

    /// Client: opens a call.
    pub fn open(&mut self, message: Option<Bytes>, last: bool) -> CallKey {
        let (template, metadata) = (template(LIST), Metadata::new());
        let call = OpenCall { template: &template, metadata: &metadata, deadline: None, message, last };
        let key = self.side.connection.open(self.now, call).unwrap();
        self.side.calls.push(Seen { key: Some(key), ..Seen::default() });
        self.take_output();
        key
    }

    /// Drains the engine.
    pub fn take_output(&mut self) {
        if self.deaf {
            // The driver waits for its transport, but still dispatches events.
            let Side { calls, settled, openable, going_away, closed, consumes, echoes, connection } = &mut self.side;
            let (consumes, echoes) = (*consumes, *echoes);
            let mut heard = Heard { calls, settled, openable, going_away, closed, consumes, echoes };
            while let Some(event) = connection.poll_event() {
                heard.hear(connection, event);
            }
            return;
        }
        let written = &mut self.written;
        self.side.drain(self.now, |bytes| written.extend(bytes));
    }

    /// Lets time pass, with timers.
    pub fn advance(&mut self, length: Duration) {
        let end = self.now + length;
        for _ in 0..100_000 {
            let next = self.side.connection.poll_timeout().filter(|at| *at <= end);
            let Some(at) = next else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.side.connection.handle_timeout(self.now);
            self.take_output();
            let again = self.side.connection.poll_timeout();
            assert!(again.is_none_or(|at| at > self.now), "a timer must not be due twice");
        }
        panic!("timers without end");
    }

    /// The bytes written since the last look.
    pub fn written(&mut self) -> Vec<u8> {
        self.take_output();
        std::mem::take(&mut self.written)
    }

    /// The frames written since the last look.
    pub fn frames(&mut self) -> Vec<Frame> {
        Frame::all(&self.written())
    }

    /// The code of the GOAWAY written, if one was, after which nothing may come.
    pub fn go_away(&mut self) -> Option<u8> {
        let frames = self.frames();
        let at = frames.iter().rposition(|frame| frame.kind() == GOAWAY)?;
        assert_eq!(at, frames.len() - 1, "GOAWAY is the last word");
        Some(frames[at].payload[0])
    }
}
