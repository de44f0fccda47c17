//! Calls over a WebSocket.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Compression, ENVELOPE_BYTES, Metadata, Status};

use super::{
    Incoming, Messages, Subprotocol, Violation,
    handshake::Policy,
    messages::{close_code, code_of_reason},
};
use crate::{
    connection::{CallKey, Config, Event, OpenCall},
    drain::Machine,
    limits::Limits,
    protocol::text::TextCalls,
    time::earliest,
    transmit::Transmit,
    wire::{ConnectionError, OpenError, PeerMisbehaved, Reason, Role},
};

/// What follows a handshake, in terms of calls: a stack of a WebSocket's messages and what they carry.
#[derive(Debug)]
pub struct Connection {
    messages: Messages,
    limits: Arc<Limits>,
    inner: Inner,
    begin: Begin,
    now: Instant,
    /// No new calls are taken.
    is_draining: bool,
    /// Events of this layer, before and after those of the inner one.
    settled: bool,
    ended: Option<Option<ConnectionError>>,
    closed_reported: bool,
}

/// What a handshake said.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// Bytes that came behind it.
    pub leftover: Bytes,
    /// What was agreed on. `None`: the first message decides.
    pub subprotocol: Option<Subprotocol>,
    /// Server: which subprotocols are spoken when none was agreed on.
    pub policy: Policy,
    /// Server: the host that the client means.
    pub authority: String,
}

#[derive(Debug)]
enum Inner {
    /// The first message decides.
    Undecided,
    Text(Box<TextCalls>),
}

impl Connection {
    /// Begins behind the handshake. `seed` must be hard to guess in a client: the masks follow from it.
    pub fn new(role: Role, config: &Arc<Config>, mut begin: Begin, now: Instant, seed: u64) -> Self {
        let limits = config.shared_limits();
        let leftover = std::mem::take(&mut begin.leftover);
        let mut connection = Self {
            messages: Messages::new(role, limits, leftover, now, seed),
            limits: Arc::clone(limits),
            inner: Inner::Undecided,
            begin,
            now,
            is_draining: false,
            settled: false,
            ended: None,
            closed_reported: false,
        };
        if let Some(subprotocol) = connection.begin.subprotocol {
            connection.decide(subprotocol);
        }
        connection
    }

    /// Bytes have come from the peer.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        self.now = now;
        self.messages.handle_bytes(now, bytes);
    }

    /// The peer will send nothing more, or the transport has failed.
    pub fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        self.messages.handle_eof(now);
    }

    /// The transport took a part of a transmit: the peer is slow, not dead.
    pub fn handle_progress(&mut self, now: Instant) {
        self.messages.handle_progress(now);
    }

    /// Client: begins a call.
    ///
    /// # Errors
    /// When the connection takes no new call now.
    pub fn open(&mut self, now: Instant, _request: OpenCall<'_>) -> Result<CallKey, OpenError> {
        self.now = now;
        Err(OpenError::Closed)
    }

    /// Server: sends the leading metadata, unless something has gone out already.
    pub fn start(&mut self, key: CallKey, leading: &Metadata) {
        if let Inner::Text(text) = &mut self.inner {
            text.start(key, leading);
        }
    }

    /// Sends enveloped messages.
    pub fn send(&mut self, key: CallKey, messages: Bytes) {
        if let Inner::Text(text) = &mut self.inner {
            text.send(key, messages);
        }
    }

    /// Client: no message will follow.
    pub fn half_close(&mut self, _key: CallKey) {}

    /// Client: nobody wants the answer any more. No event follows.
    pub fn cancel(&mut self, _key: CallKey) {}

    /// Server: ends a call with its one message.
    pub fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        if let Inner::Text(text) = &mut self.inner {
            text.respond(key, leading, message, trailing);
        }
    }

    /// Server: ends a call. `leading` goes out with it when nothing has gone out before.
    pub fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        if let Inner::Text(text) = &mut self.inner {
            text.finish(key, status, leading, trailing);
        }
    }

    /// Server: refuses a call so that the client may make it elsewhere.
    pub fn refuse(&mut self, key: CallKey) {
        if let Inner::Text(text) = &mut self.inner {
            text.refuse(key);
        }
    }

    /// Server: how the messages of this answer are compressed. Text is never compressed.
    pub fn set_compression(&mut self, _key: CallKey, _compression: Compression) {}

    /// A reported message of so many bytes, without its envelope, has been read: the peer may send as much again.
    pub fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        self.consumed_enveloped(key, message_bytes + ENVELOPE_BYTES);
    }

    /// As [`consumed`](Self::consumed), for bytes that were counted with their envelopes.
    pub fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        if let Inner::Text(text) = &mut self.inner {
            text.consumed_enveloped(key, bytes);
        }
    }

    /// Lets calls in progress finish and accepts no new ones; then the peer is told that this side goes away.
    pub fn drain(&mut self, now: Instant, _debug: &'static str) {
        self.now = now;
        self.is_draining = true;
        if let Inner::Text(text) = &mut self.inner {
            text.drain();
        }
        self.close_when_drained();
    }

    /// Ends the connection at once.
    pub fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.now = now;
        self.messages.close(now, code_of_reason(reason), debug);
    }

    /// Bytes given to [`send`](Self::send) that have not gone into a transmit.
    pub fn queued_bytes(&self, key: CallKey) -> usize {
        match &self.inner {
            Inner::Undecided => 0,
            Inner::Text(text) => text.queued_bytes(key),
        }
    }

    /// Whether the peer allows another call now.
    pub fn can_open(&self) -> bool {
        false
    }

    /// Whether either side has begun to end the connection.
    pub fn is_draining(&self) -> bool {
        self.is_draining || !self.messages.is_open()
    }

    /// Calls in progress.
    pub fn calls_open(&self) -> usize {
        match &self.inner {
            Inner::Undecided => 0,
            Inner::Text(text) => text.calls_open(),
        }
    }

    /// Calls the peer allows at once.
    pub fn calls_peer_max(&self) -> usize {
        0
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.messages.role()
    }

    /// What the messages carry, once it is known.
    pub fn subprotocol(&self) -> Option<Subprotocol> {
        match self.inner {
            Inner::Undecided => None,
            Inner::Text(_) => Some(Subprotocol::Json),
        }
    }

    /// Begins to speak a subprotocol. One that is not spoken here ends the connection.
    fn decide(&mut self, subprotocol: Subprotocol) {
        let spoken = self.begin.policy.speaks(subprotocol) || self.begin.subprotocol == Some(subprotocol);
        match subprotocol {
            Subprotocol::Json if spoken && self.role() == Role::Server => {
                let authority = std::mem::take(&mut self.begin.authority);
                let mut text = Box::new(TextCalls::new(&self.limits, authority, self.now));
                if self.is_draining {
                    text.drain();
                }
                self.inner = Inner::Text(text);
            }
            _ => self.wrong_kind(),
        }
    }

    fn wrong_kind(&mut self) {
        self.messages.fail(ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(Violation::WrongKind)));
    }

    fn handle_incoming(&mut self, incoming: Incoming) {
        if let Inner::Undecided = self.inner {
            match incoming {
                Incoming::Text(_) => self.decide(Subprotocol::Json),
                Incoming::Binary(_) => self.decide(Subprotocol::Native),
                Incoming::Closed { .. } => {}
            }
        }
        match (incoming, &mut self.inner) {
            (Incoming::Closed { error }, inner) => {
                if let Inner::Text(text) = inner {
                    text.handle_closed(error);
                }
                self.ended = Some(error);
            }
            // The connection is ending already.
            (_, Inner::Undecided) => {}
            (Incoming::Text(text), Inner::Text(calls)) => {
                calls.handle_text(self.now, &text);
                if let Some(error) = calls.failed() {
                    self.messages.fail(error);
                }
            }
            (Incoming::Binary(_), Inner::Text(_)) => self.wrong_kind(),
        }
    }

    fn close_when_drained(&mut self) {
        let done = match &self.inner {
            Inner::Undecided => true,
            Inner::Text(text) => text.is_drained(),
        };
        if self.is_draining && done {
            self.messages.close(self.now, close_code::GOING_AWAY, "going away");
        }
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = match &mut self.inner {
                Inner::Undecided => None,
                Inner::Text(text) => text.poll_event(),
            };
            if event.is_some() {
                return event;
            }
            if let Some(error) = self.ended {
                // The peer's answer to our close is still to be read.
                let _ = self.messages.poll();
                return (!std::mem::replace(&mut self.closed_reported, true)).then_some(Event::Closed { error });
            }
            let incoming = self.messages.poll()?;
            self.handle_incoming(incoming);
            if matches!(self.inner, Inner::Text(_))
                && self.ended.is_none()
                && !std::mem::replace(&mut self.settled, true)
            {
                return Some(Event::Settled);
            }
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        self.now = now;
        if let Inner::Text(text) = &mut self.inner
            && self.messages.is_open()
        {
            while self.messages.queued_bytes() < self.limits.transmit_bytes_max {
                let Some(parts) = text.poll_text() else { break };
                self.messages.send_text_parts(parts);
            }
        }
        self.close_when_drained();
        self.messages.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let inner = match &self.inner {
            Inner::Undecided => None,
            Inner::Text(text) => text.poll_timeout(),
        };
        earliest(self.messages.poll_timeout(), inner)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.messages.handle_timeout(now);
        if let Inner::Text(text) = &mut self.inner {
            text.handle_timeout(now);
        }
    }

    fn is_closed(&self) -> bool {
        self.closed_reported && self.messages.is_closed()
    }
}
