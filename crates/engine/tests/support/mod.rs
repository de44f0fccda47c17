//! What the tests of the HTTP/2 engine share: two engines back to back in virtual time, and a peer made by hand.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // each test program uses a part

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::drain::{Due, drain};
use polywire_engine::wire::http2::hpack::{Decoder, Encoder};
use polywire_engine::wire::{
    ConnectionError, Headers, Reason, Role, StreamEvent as Event, StreamKey, http2::Connection,
};
use polywire_engine::{Limits, Transmit};

pub fn headers(fields: &[(&str, &str)]) -> Arc<Headers> {
    Arc::new(fields.iter().copied().collect())
}

pub fn request() -> Arc<Headers> {
    headers(&[(":method", "POST"), (":scheme", "http"), (":path", "/orders.v1.Orders/List"), (":authority", "orders")])
}

pub fn response() -> Arc<Headers> {
    headers(&[(":status", "200"), ("content-type", "application/grpc")])
}

pub fn trailers() -> Arc<Headers> {
    headers(&[("grpc-status", "0")])
}

/// The one base of all times in a test.
#[allow(clippy::disallowed_methods)]
pub fn base() -> Instant {
    Instant::now()
}

/// One engine with what it has reported.
pub struct Peer {
    pub connection: Connection,
    pub events: Vec<Event>,
    /// Give windows back as soon as DATA is reported.
    pub releases: bool,
    /// DATA bytes received, by stream id.
    pub received: std::collections::BTreeMap<u32, usize>,
}

impl Peer {
    pub fn new(role: Role, limits: Limits, now: Instant) -> Self {
        Peer {
            connection: Connection::new(role, &Arc::new(limits), now, 7),
            events: Vec::new(),
            releases: true,
            received: Default::default(),
        }
    }

    /// Drains; what is to be written goes to `sink`.
    pub fn drain(&mut self, now: Instant, mut sink: impl FnMut(Vec<u8>)) -> Due {
        let mut out = Transmit::default();
        loop {
            let (events, received, releases) = (&mut self.events, &mut self.received, self.releases);
            let due = drain(&mut self.connection, now, &mut out, |connection, event| {
                if let Event::Data { key, data, flow_bytes, .. } = &event {
                    *received.entry(key.id().get()).or_default() += data.len();
                    if releases {
                        connection.release(*key, *flow_bytes);
                    }
                }
                events.push(event);
            });
            if due != Due::Write {
                return due;
            }
            sink(out.chunks().flatten().copied().collect());
            out.clear();
        }
    }

    /// Takes the reported events.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Keys of all request or response headers reported so far.
    pub fn keys(&self) -> Vec<StreamKey> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Headers { key, .. } => Some(*key),
                _ => None,
            })
            .collect()
    }

    pub fn closed(&self) -> Option<Option<ConnectionError>> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { error } => Some(*error),
            _ => None,
        })
    }

    pub fn resets(&self) -> Vec<(u32, Reason, bool, bool)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Reset { key, reason, by_peer, unprocessed } => {
                    Some((key.id().get(), *reason, *by_peer, *unprocessed))
                }
                _ => None,
            })
            .collect()
    }
}

/// A client and a server, back to back.
pub struct Pair {
    pub now: Instant,
    pub client: Peer,
    pub server: Peer,
    /// Bytes go over in pieces of this size.
    pub piece: usize,
    /// Time a byte is under way.
    pub delay: Duration,
    /// Bytes carried to the server and to the client.
    pub carried: (usize, usize),
    to_server: Vec<(Instant, Vec<u8>)>,
    to_client: Vec<(Instant, Vec<u8>)>,
}

impl Pair {
    /// Settings exchanged, events taken.
    pub fn connected() -> Self {
        Pair::with(Limits::default(), Limits::default())
    }

    pub fn with(client: Limits, server: Limits) -> Self {
        let mut pair = Pair::fresh(client, server);
        pair.run();
        assert!(matches!(pair.client.take()[..], [Event::Settled]));
        assert!(matches!(pair.server.take()[..], [Event::Settled]));
        pair
    }

    pub fn fresh(client: Limits, server: Limits) -> Self {
        let now = base();
        Pair {
            now,
            client: Peer::new(Role::Client, client, now),
            server: Peer::new(Role::Server, server, now),
            piece: usize::MAX,
            delay: Duration::ZERO,
            carried: (0, 0),
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Moves bytes until nothing is under way; timers do not run.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                match self.under_way() {
                    Some(at) => self.now = self.now.max(at),
                    None => return,
                }
            }
        }
        panic!("the two never come to rest");
    }

    /// Lets time pass, with timers and bytes in their order.
    pub fn advance(&mut self, length: Duration) {
        let end = self.now + length;
        for _ in 0..1_000_000 {
            while self.step() {}
            let timers =
                [self.client.connection.poll_timeout(), self.server.connection.poll_timeout(), self.under_way()];
            let Some(next) = timers.into_iter().flatten().filter(|at| *at <= end).min() else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            for peer in [&mut self.client, &mut self.server] {
                if peer.connection.poll_timeout().is_some_and(|at| at <= self.now) {
                    peer.connection.handle_timeout(self.now);
                    assert!(peer.connection.poll_timeout().is_none_or(|at| at > self.now));
                }
            }
        }
        panic!("timers without end");
    }

    /// Opens a stream.
    pub fn open(&mut self, end: bool) -> StreamKey {
        self.client.connection.open(self.now, &request(), None, end).unwrap()
    }

    /// Opens a stream and gives the server's key of it too.
    pub fn open_both(&mut self, end: bool) -> (StreamKey, StreamKey) {
        let ours = self.open(end);
        self.run();
        let theirs = *self.server.keys().last().unwrap();
        assert_eq!(ours.id(), theirs.id());
        (ours, theirs)
    }

    fn under_way(&self) -> Option<Instant> {
        self.to_server.iter().chain(&self.to_client).map(|(at, _)| *at).min()
    }

    /// Drains both and delivers what has arrived. False: nothing happened.
    fn step(&mut self) -> bool {
        let mut moved = false;
        let arrival = self.now + self.delay;
        let (to_server, to_client) = (&mut self.to_server, &mut self.to_client);
        self.client.drain(self.now, |bytes| to_server.push((arrival, bytes)));
        self.server.drain(self.now, |bytes| to_client.push((arrival, bytes)));
        let now = self.now;
        let piece = self.piece;
        for (queue, peer, carried) in [
            (&mut self.to_server, &mut self.server, &mut self.carried.0),
            (&mut self.to_client, &mut self.client, &mut self.carried.1),
        ] {
            for (_, bytes) in queue.extract_if(.., |(at, _)| *at <= now) {
                moved = true;
                *carried += bytes.len();
                for piece in bytes.chunks(piece.min(bytes.len())) {
                    peer.connection.handle_bytes(now, Bytes::copy_from_slice(piece));
                }
            }
        }
        moved
    }
}

/// A frame as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub id: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Self {
        Frame { kind, flags, id, payload: payload.to_vec() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = (self.payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The word at the front of the payload.
    pub fn word(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// One engine, and across from it a peer that says whatever the test likes.
pub struct Raw {
    pub now: Instant,
    pub peer: Peer,
    pub encoder: Encoder,
    pub decoder: Decoder,
    /// What the engine wrote and nobody has looked at.
    written: Vec<u8>,
    /// While set, the engine's output is not taken.
    pub deaf: bool,
}

impl Raw {
    /// A server engine to which a preface and empty SETTINGS were said.
    pub fn server(limits: Limits) -> Self {
        let mut raw = Raw::fresh(Role::Server, limits);
        raw.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.settle();
        raw
    }

    /// A client engine to which empty SETTINGS were said.
    pub fn client(limits: Limits) -> Self {
        let mut raw = Raw::fresh(Role::Client, limits);
        raw.settle();
        raw
    }

    pub fn fresh(role: Role, limits: Limits) -> Self {
        let now = base();
        let mut raw = Raw {
            now,
            peer: Peer::new(role, limits, now),
            encoder: Encoder::new(),
            decoder: Decoder::new(4096),
            written: Vec::new(),
            deaf: false,
        };
        raw.take_output();
        raw
    }

    fn settle(&mut self) {
        self.frame(SETTINGS, 0, 0, &[]);
        self.frame(SETTINGS, ACK, 0, &[]);
        assert!(matches!(self.peer.take()[..], [Event::Settled]));
        self.written.clear();
    }

    /// Says bytes.
    pub fn say(&mut self, bytes: &[u8]) {
        self.peer.connection.handle_bytes(self.now, Bytes::copy_from_slice(bytes));
        self.take_output();
    }

    /// Says a frame.
    pub fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let bytes = Frame::new(kind, flags, id, payload).bytes();
        self.say(&bytes);
    }

    /// Says HEADERS.
    pub fn headers(&mut self, id: u32, fields: &[(&str, &str)], end: bool) {
        let block = self.block(fields);
        let end = if end { END_STREAM } else { 0 };
        self.frame(HEADERS, END_HEADERS | end, id, &block);
    }

    /// Says a plain request.
    pub fn request(&mut self, id: u32, end: bool) {
        self.headers(id, &REQUEST, end);
    }

    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        self.encoder.encode(&headers(fields), None, &mut block);
        block
    }

    pub fn window_update(&mut self, id: u32, bytes: u32) {
        self.frame(WINDOW_UPDATE, 0, id, &bytes.to_be_bytes());
    }

    /// Drains the engine.
    pub fn take_output(&mut self) {
        if self.deaf {
            // The driver waits for its transport, but still dispatches events.
            while let Some(event) = self.peer.connection.poll_event() {
                self.peer.events.push(event);
            }
            return;
        }
        let written = &mut self.written;
        self.peer.drain(self.now, |bytes| written.extend(bytes));
    }

    /// Lets time pass, with timers.
    pub fn advance(&mut self, length: Duration) {
        let end = self.now + length;
        for _ in 0..100_000 {
            let next = self.peer.connection.poll_timeout().filter(|at| *at <= end);
            let Some(at) = next else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.peer.connection.handle_timeout(self.now);
            self.take_output();
            let again = self.peer.connection.poll_timeout();
            assert!(again.is_none_or(|at| at > self.now), "a timer must not be due twice");
        }
        panic!("timers without end");
    }

    /// The frames written since the last look.
    pub fn frames(&mut self) -> Vec<Frame> {
        self.take_output();
        let mut bytes = std::mem::take(&mut self.written);
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let len = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
            let payload = bytes[9..9 + len].to_vec();
            let id = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
            frames.push(Frame { kind: bytes[3], flags: bytes[4], id, payload });
            bytes.drain(..9 + len);
        }
        frames
    }

    /// The code of the GOAWAY written, if one was, after which nothing may come.
    pub fn go_away(&mut self) -> Option<Reason> {
        let frames = self.frames();
        let at = frames.iter().rposition(|frame| frame.kind == GOAWAY)?;
        assert_eq!(at, frames.len() - 1, "GOAWAY is the last word");
        let code = u32::from_be_bytes(frames[at].payload[4..8].try_into().unwrap());
        Some(Reason::from_code(code))
    }

    /// Resets written: id and code.
    pub fn resets(&mut self) -> Vec<(u32, Reason)> {
        self.frames()
            .iter()
            .filter(|frame| frame.kind == RST_STREAM)
            .map(|frame| (frame.id, Reason::from_code(frame.word())))
            .collect()
    }
}

pub const REQUEST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/orders.v1.Orders/List"), (":authority", "orders")];
