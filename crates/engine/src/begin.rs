//! How a connection begins when its first bytes have to tell what it is: a server that detects the wire, a client that asks
//! for a WebSocket.

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use polywire_core::Wire;

use crate::{
    connection::{Config, Event},
    drain::Machine,
    limits::Limits,
    transmit::Transmit,
    wire::{
        ConnectionError, PeerMisbehaved, Reason, Role, StreamEvent, StreamKey, TimedOut,
        detect::{self, Detected},
        http1,
        websocket::{Begin, Deflate, Subprotocol, handshake::Request},
    },
};

/// A wire that a server's connection can begin with. A WebSocket begins as HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// The native protocol.
    Native,
}

impl Beginning {
    /// All of them, the one a server likes best first.
    pub const ALL: [Self; 3] = [Self::Native, Self::Http2, Self::Http1];

    /// The name by which TLS agrees on it (ALPN, RFC 7301).
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
            Self::Native => b"polywire/1",
        }
    }

    /// What TLS has agreed on by a name; `None` for a name of somebody else's.
    pub fn of_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|beginning| beginning.alpn() == name)
    }

    /// The wire it is.
    pub fn wire(self) -> Wire {
        match self {
            Self::Http1 => Wire::Http1,
            Self::Http2 => Wire::Http2,
            Self::Native => Wire::Native,
        }
    }
}

/// A server's connection before it is known what is spoken.
#[derive(Debug)]
pub(crate) struct Detecting {
    config: Arc<Config>,
    bytes: BytesMut,
    found: Option<Beginning>,
    until: Option<Instant>,
    refusal: Option<Bytes>,
    end: End,
}

/// How far the end has been told.
#[derive(Debug)]
enum End {
    Open,
    Due(Option<ConnectionError>),
    Told,
}

impl Detecting {
    pub(crate) fn new(config: &Arc<Config>, now: Instant) -> Self {
        Self {
            config: Arc::clone(config),
            bytes: BytesMut::new(),
            found: None,
            until: crate::time::after(now, config.limits().handshake_timeout),
            refusal: None,
            end: End::Open,
        }
    }

    /// What is spoken and all that has come, once that is known.
    pub(crate) fn take(&mut self) -> Option<(Beginning, Bytes)> {
        let found = self.found.take()?;
        Some((found, std::mem::take(&mut self.bytes).freeze()))
    }

    pub(crate) fn handle_bytes(&mut self, _now: Instant, bytes: Bytes) {
        if !matches!(self.end, End::Open) {
            return;
        }
        if self.bytes.is_empty() {
            // The usual case keeps the bytes where they are: a whole beginning comes at once.
            self.bytes = BytesMut::from(bytes);
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
        let beginning = match detect::detect(&self.bytes) {
            Detected::Http1 => Beginning::Http1,
            Detected::Http2 => Beginning::Http2,
            Detected::Native => Beginning::Native,
            Detected::More => return,
            Detected::Unknown(reason) => return self.refuse(reason),
        };
        if self.config.speaks_wire(beginning.wire()) {
            self.found = Some(beginning);
        } else {
            self.refuse(match beginning {
                Beginning::Http1 => "HTTP/1.1 is not spoken on this port",
                Beginning::Http2 => "HTTP/2 is not spoken on this port",
                Beginning::Native => "the native protocol is not spoken on this port",
            });
        }
    }

    fn refuse(&mut self, reason: &'static str) {
        self.refusal = Some(detect::refusal(reason));
        self.end = End::Due(Some(ConnectionError::PeerMisbehaved(PeerMisbehaved::BadPreface)));
    }

    pub(crate) fn handle_eof(&mut self, _now: Instant) {
        self.close_with(Some(ConnectionError::Lost));
    }

    #[allow(clippy::needless_pass_by_ref_mut, reason = "the same words as every kind of connection")]
    pub(crate) fn handle_progress(&mut self, _now: Instant) {}

    pub(crate) fn drain(&mut self, _now: Instant, _debug: &'static str) {
        self.close_with(None);
    }

    pub(crate) fn close(&mut self, _now: Instant, _reason: Reason, _debug: &str) {
        self.close_with(None);
    }

    pub(crate) fn is_draining(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    fn close_with(&mut self, error: Option<ConnectionError>) {
        if matches!(self.end, End::Open) {
            self.end = End::Due(error);
        }
    }
}

impl Machine for Detecting {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        let End::Due(error) = &mut self.end else { return None };
        let error = error.take();
        self.end = End::Told;
        Some(Event::Closed { error })
    }

    fn poll_transmit(&mut self, _now: Instant, out: &mut Transmit) -> bool {
        match self.refusal.take() {
            Some(refusal) => {
                out.put(&refusal);
                true
            }
            None => false,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.until.filter(|_| matches!(self.end, End::Open))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now >= until) {
            self.close_with(Some(ConnectionError::TimedOut(TimedOut::Handshake)));
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.end, End::Told)
    }
}

/// A client's connection that asks for a WebSocket.
#[derive(Debug)]
pub(crate) struct Upgrading {
    wire: http1::Connection,
    request: Request,
    key: Option<StreamKey>,
    answered: bool,
    deflate: Option<Deflate>,
    now: Instant,
    until: Option<Instant>,
    end: End,
}

impl Upgrading {
    pub(crate) fn new(request: Request, limits: &Arc<Limits>, now: Instant, seed: u64) -> Self {
        let mut wire = http1::Connection::new(Role::Client, limits, now, seed);
        let head = Arc::new(request.headers.clone());
        let opened = wire.open(now, &head, None, true);
        let end = if opened.is_ok() { End::Open } else { End::Due(Some(ConnectionError::Lost)) };
        let until = crate::time::after(now, limits.handshake_timeout);
        Self { wire, request, key: opened.ok(), answered: false, deflate: None, now, until, end }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// What follows when the server has agreed.
    pub(crate) fn take_begin(&mut self) -> Option<Begin> {
        if !std::mem::take(&mut self.answered) {
            return None;
        }
        let leftover = self.wire.take_upgraded()?;
        let subprotocol = Some(Subprotocol::Native);
        Some(Begin { leftover, subprotocol, deflate: self.deflate, ..Begin::default() })
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        self.now = now;
        self.wire.handle_bytes(now, bytes);
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        self.wire.handle_eof(now);
    }

    pub(crate) fn handle_progress(&mut self, now: Instant) {
        self.wire.handle_progress(now);
    }

    pub(crate) fn drain(&mut self, now: Instant, debug: &'static str) {
        self.wire.drain(now, debug);
        self.close_with(None);
    }

    pub(crate) fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.wire.close(now, reason, debug);
        self.close_with(None);
    }

    pub(crate) fn is_draining(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    fn close_with(&mut self, error: Option<ConnectionError>) {
        if matches!(self.end, End::Open) {
            self.end = End::Due(error);
        }
    }
}

impl Machine for Upgrading {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        while let Some(event) = self.wire.poll_event() {
            match event {
                StreamEvent::Headers { key, headers, .. } if Some(key) == self.key => {
                    match self.request.check(&headers) {
                        Ok(deflate) => (self.answered, self.deflate) = (true, deflate),
                        Err(_) => {
                            let misbehaved = PeerMisbehaved::BadPreface;
                            self.close_with(Some(ConnectionError::PeerMisbehaved(misbehaved)));
                        }
                    }
                }
                StreamEvent::Closed { error } => self.close_with(error.or(Some(ConnectionError::Lost))),
                StreamEvent::Reset { .. } => self.close_with(Some(ConnectionError::Lost)),
                _ => {}
            }
        }
        let End::Due(error) = &mut self.end else { return None };
        let error = error.take();
        self.end = End::Told;
        Some(Event::Closed { error })
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        self.wire.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.until.filter(|_| matches!(self.end, End::Open))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now >= until) {
            self.close_with(Some(ConnectionError::TimedOut(TimedOut::Handshake)));
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self.end, End::Told)
    }
}
