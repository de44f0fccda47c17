//! What the tests of HTTP/1.1 share: an engine with a peer made by hand, and two engines back to back, in virtual time.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // each test program uses a part

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::drain::{Due, drain};
use polywire_engine::wire::{ConnectionError, Headers, Role, StreamEvent as Event, StreamKey, http1::Connection};
use polywire_engine::{Limits, Transmit};

pub fn headers(fields: &[(&str, &str)]) -> Arc<Headers> {
    Arc::new(fields.iter().copied().collect())
}

pub fn request() -> Arc<Headers> {
    request_of("POST")
}

pub fn request_of(method: &str) -> Arc<Headers> {
    headers(&[(":method", method), (":scheme", "http"), (":path", "/orders.v1.Orders/Get"), (":authority", "orders")])
}

pub fn response() -> Arc<Headers> {
    headers(&[(":status", "200"), ("content-type", "text/plain")])
}

/// The one base of all times in a test.
#[allow(clippy::disallowed_methods)]
pub fn base() -> Instant {
    Instant::now()
}

/// One engine, and across from it a peer that says whatever the test likes.
pub struct Raw {
    pub now: Instant,
    pub connection: Connection,
    pub events: Vec<Event>,
    /// What the engine wrote and nobody has looked at.
    pub written: Vec<u8>,
    /// Release data as soon as it is reported.
    pub releases: bool,
    /// While set, the engine's output is not taken.
    pub deaf: bool,
    /// Answer each request as soon as it is reported.
    pub answers: bool,
    /// The engine says that the transport may be closed.
    pub over: bool,
}

impl Raw {
    pub fn server() -> Self {
        Raw::with(Role::Server, Limits::default())
    }

    pub fn client() -> Self {
        Raw::with(Role::Client, Limits::default())
    }

    pub fn with(role: Role, limits: Limits) -> Self {
        let now = base();
        let mut raw = Raw {
            now,
            connection: Connection::new(role, &Arc::new(limits), now, 7),
            events: Vec::new(),
            written: Vec::new(),
            releases: true,
            deaf: false,
            answers: false,
            over: false,
        };
        raw.drain();
        assert!(matches!(raw.events[..], [Event::Settled]));
        raw.events.clear();
        raw
    }

    /// The peer says this.
    pub fn say(&mut self, text: impl AsRef<[u8]>) {
        self.connection.handle_bytes(self.now, Bytes::copy_from_slice(text.as_ref()));
        self.drain();
    }

    /// The peer closes its side.
    pub fn hang_up(&mut self) {
        self.connection.handle_eof(self.now);
        self.drain();
    }

    pub fn drain(&mut self) {
        if self.deaf {
            while let Some(event) = self.connection.poll_event() {
                self.events.push(event);
            }
            return;
        }
        let mut out = Transmit::default();
        loop {
            let (events, releases, answers) = (&mut self.events, self.releases, self.answers);
            let due = drain(&mut self.connection, self.now, &mut out, |connection, event| {
                if let Event::Data { key, flow_bytes, .. } = &event
                    && releases
                {
                    connection.release(*key, *flow_bytes);
                }
                if let Event::Headers { key, .. } = &event
                    && answers
                {
                    connection.send_headers(*key, &response(), None, true);
                }
                events.push(event);
            });
            if due != Due::Write {
                self.over |= due == Due::Close;
                return;
            }
            assert!(!out.is_empty());
            self.written.extend(out.chunks().flatten());
            out.clear();
        }
    }

    /// Lets time pass, with timers.
    pub fn advance(&mut self, length: Duration) {
        let end = self.now + length;
        for _ in 0..100_000 {
            let Some(at) = self.connection.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.connection.handle_timeout(self.now);
            self.drain();
            let again = self.connection.poll_timeout();
            assert!(again.is_none_or(|at| at > self.now), "a timer must not be due twice");
        }
        panic!("timers without end");
    }

    /// Takes what was written, as text.
    pub fn text(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.written)).unwrap()
    }

    /// The latest headers that were reported.
    pub fn headers(&self) -> (StreamKey, Arc<Headers>, bool) {
        let found = self.events.iter().rev().find_map(|event| match event {
            Event::Headers { key, headers, end } => Some((*key, Arc::clone(headers), *end)),
            _ => None,
        });
        found.unwrap()
    }

    pub fn key(&self) -> StreamKey {
        self.headers().0
    }

    /// How many heads were reported.
    pub fn heads(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Headers { .. })).count()
    }

    /// The body as it was reported.
    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for event in &self.events {
            if let Event::Data { data, .. } = event {
                body.extend_from_slice(data);
            }
        }
        body
    }

    /// Whether the end of the peer's message was reported.
    pub fn ended(&self) -> bool {
        self.events.iter().any(|event| {
            matches!(event, Event::Headers { end: true, .. } | Event::Data { end: true, .. } | Event::Trailers { .. })
        })
    }

    pub fn trailers(&self) -> Option<Arc<Headers>> {
        self.events.iter().find_map(|event| match event {
            Event::Trailers { headers, .. } => Some(Arc::clone(headers)),
            _ => None,
        })
    }

    pub fn closed(&self) -> Option<Option<ConnectionError>> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { error } => Some(*error),
            _ => None,
        })
    }

    /// A server's answer in the simplest form.
    pub fn respond(&mut self, body: &str) {
        let key = self.key();
        assert!(self.connection.send_headers(key, &response(), None, body.is_empty()));
        if !body.is_empty() {
            assert!(self.connection.send_data(key, Bytes::copy_from_slice(body.as_bytes()), true));
        }
        self.drain();
    }

    /// A client's request in the simplest form.
    pub fn ask(&mut self, method: &str) -> StreamKey {
        let key = self.connection.open(self.now, &request_of(method), None, true).unwrap();
        self.drain();
        key
    }
}

/// A client and a server, back to back.
pub struct Pair {
    pub client: Raw,
    pub server: Raw,
    /// Bytes go over in pieces of this size.
    pub piece: usize,
}

impl Pair {
    pub fn new() -> Self {
        Pair::with(Limits::default(), Limits::default())
    }

    pub fn with(client: Limits, server: Limits) -> Self {
        Pair { client: Raw::with(Role::Client, client), server: Raw::with(Role::Server, server), piece: usize::MAX }
    }

    /// Moves bytes until nothing is under way. Each side reads only when it wants to.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            self.client.drain();
            self.server.drain();
            let moved = carry(&mut self.client, &mut self.server, self.piece)
                | carry(&mut self.server, &mut self.client, self.piece);
            if !moved {
                return;
            }
        }
        panic!("the two never come to rest");
    }

    /// One request and the server's key of it.
    pub fn open(&mut self, end: bool) -> (StreamKey, StreamKey) {
        let now = self.client.now;
        let ours = self.client.connection.open(now, &request(), None, end).unwrap();
        self.run();
        (ours, self.server.key())
    }
}

fn carry(from: &mut Raw, to: &mut Raw, piece: usize) -> bool {
    let mut moved = false;
    while !from.written.is_empty() && to.connection.wants_bytes() && !to.over {
        let len = piece.min(from.written.len()).min(64 << 10);
        let bytes: Vec<u8> = from.written.drain(..len).collect();
        to.say(bytes);
        moved = true;
    }
    moved
}
