//! Calls over a WebSocket.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Compression, ENVELOPE_BYTES, Metadata, Status, Wire};

use super::{
    Deflate, Incoming, Messages, Subprotocol, Violation,
    handshake::Policy,
    messages::{close_code, code_of, code_of_reason},
};
use crate::{
    connection::{CallKey, Config, Event, OpenCall},
    drain::Machine,
    protocol::text::TextCalls,
    time::{after, earliest, jittered},
    transmit::Transmit,
    wire::{ConnectionError, OpenError, PeerMisbehaved, Reason, Role, native},
};

/// What follows a handshake, in terms of calls: a WebSocket's messages and what they carry.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    messages: Messages,
    inner: Inner,
    /// What is needed once it is known what the messages carry.
    begin: Option<Box<Begin>>,
    seed: u64,
    now: Instant,
    is_draining: bool,
    /// Text: the first message was reported.
    settled: bool,
    /// The messages have ended, and why.
    ended: Option<Option<ConnectionError>>,
    reported: bool,
    /// What the inner wire writes on its way into messages.
    scratch: Transmit,
    /// Since when no call is open, while the inner wire does not look after that itself.
    idle_since: Option<Instant>,
    /// When the connection is old, and then when it is too old for its last calls.
    age: Option<Instant>,
}

/// What a handshake said.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// Bytes that came behind it.
    pub leftover: Bytes,
    /// What was agreed on. `None`: the first message decides; a client begins with native frames.
    pub subprotocol: Option<Subprotocol>,
    /// How messages are compressed, if they may be.
    pub deflate: Option<Deflate>,
    /// Server: which subprotocols are spoken when none was agreed on.
    pub policy: Policy,
    /// Server: the host that the client means, for calls in the text form.
    pub authority: String,
    /// The ids of calls go on from here: what is told late about a call from before the upgrade must not meet another.
    pub ids_after: u32,
}

#[derive(Debug)]
enum Inner {
    /// The first message decides.
    Undecided,
    Native(Box<native::Connection>),
    Text(Box<TextCalls>),
}

/// Says the same to whatever is inside; nothing when that is not known yet.
macro_rules! inner {
    ($inner:expr, $calls:ident => $do:expr, else $otherwise:expr) => {
        match $inner {
            Inner::Undecided => $otherwise,
            Inner::Native($calls) => $do,
            Inner::Text($calls) => $do,
        }
    };
}

impl Connection {
    /// Begins behind the handshake. `seed` must be hard to guess in a client: the masks follow from it.
    pub fn new(role: Role, config: &Arc<Config>, mut begin: Begin, now: Instant, seed: u64) -> Self {
        let limits = config.limits();
        let leftover = std::mem::take(&mut begin.leftover);
        let subprotocol = begin.subprotocol.or((role == Role::Client).then_some(Subprotocol::Native));
        let mut messages = Messages::new(role, config.shared_limits(), leftover, now, seed);
        if let (Some(agreed), Some(compression)) = (begin.deflate, config.message_compression()) {
            messages.deflate(agreed, compression);
        }
        let mut connection = Self {
            config: Arc::clone(config),
            messages,
            inner: Inner::Undecided,
            begin: Some(Box::new(begin)),
            seed,
            now,
            is_draining: false,
            settled: false,
            ended: None,
            reported: false,
            scratch: Transmit::default(),
            idle_since: Some(now),
            age: limits.age_max.and_then(|age| after(now, jittered(age, seed))),
        };
        if let Some(subprotocol) = subprotocol {
            connection.decide(subprotocol, true);
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
        if let Inner::Native(native) = &mut self.inner {
            native.handle_progress(now);
        }
    }

    /// Client: begins a call. With `message`, an enveloped message goes out at once; with `last` it is the only one.
    ///
    /// # Errors
    /// When the connection takes no new call now.
    pub fn open(&mut self, now: Instant, request: OpenCall<'_>) -> Result<CallKey, OpenError> {
        self.now = now;
        match &mut self.inner {
            Inner::Native(native) if self.messages.is_open() => native.open(now, request),
            _ => Err(OpenError::Closed),
        }
    }

    /// Server: sends the leading metadata, unless something has gone out already.
    pub fn start(&mut self, key: CallKey, leading: &Metadata) {
        inner!(&mut self.inner, calls => calls.start(key, leading), else {});
    }

    /// Sends enveloped messages.
    pub fn send(&mut self, key: CallKey, messages: Bytes) {
        inner!(&mut self.inner, calls => calls.send(key, messages), else {});
    }

    /// Client: no message will follow.
    pub fn half_close(&mut self, key: CallKey) {
        if let Inner::Native(native) = &mut self.inner {
            native.half_close(key);
        }
    }

    /// Client: nobody wants the answer any more. No event follows.
    pub fn cancel(&mut self, key: CallKey) {
        if let Inner::Native(native) = &mut self.inner {
            native.cancel(key);
        }
    }

    /// Server: ends a call with its one message.
    pub fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        inner!(&mut self.inner, calls => calls.respond(key, leading, message, trailing), else {});
    }

    /// Server: ends a call. `leading` goes out with it when nothing has gone out before.
    pub fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        inner!(&mut self.inner, calls => calls.finish(key, status, leading, trailing), else {});
    }

    /// Server: refuses a call so that the client may make it elsewhere.
    pub fn refuse(&mut self, key: CallKey) {
        inner!(&mut self.inner, calls => calls.refuse(key), else {});
    }

    /// How the call's messages of this side are compressed; to be said before anything is sent. The text form has no such thing.
    pub fn set_compression(&mut self, key: CallKey, compression: Compression) {
        if let Inner::Native(native) = &mut self.inner {
            native.set_compression(key, compression);
        }
    }

    /// A reported message of so many bytes, without its envelope, has been read: the peer may send as much again.
    pub fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        match &mut self.inner {
            Inner::Native(native) => native.consumed(key, message_bytes),
            _ => self.consumed_enveloped(key, message_bytes + ENVELOPE_BYTES),
        }
    }

    /// As [`consumed`](Self::consumed), for bytes that were counted with their envelopes.
    pub fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        inner!(&mut self.inner, calls => calls.consumed_enveloped(key, bytes), else {});
    }

    /// Lets calls in progress finish and accepts no new ones; then the peer is told that this side goes away.
    pub fn drain(&mut self, now: Instant, debug: &'static str) {
        self.now = now;
        if std::mem::replace(&mut self.is_draining, true) {
            return;
        }
        match &mut self.inner {
            Inner::Undecided => {}
            Inner::Native(native) => native.drain(now, debug),
            Inner::Text(text) => text.drain(),
        }
        self.close_when_drained();
    }

    /// Ends the connection at once.
    pub fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.now = now;
        match &mut self.inner {
            // It says so in its own words first; its end is this one's.
            Inner::Native(native) => native.close(now, reason, debug),
            Inner::Undecided | Inner::Text(_) => self.messages.close(now, code_of_reason(reason), debug),
        }
    }

    /// Bytes given to [`send`](Self::send) that have not gone into a transmit.
    pub fn queued_bytes(&self, key: CallKey) -> usize {
        inner!(&self.inner, calls => calls.queued_bytes(key), else 0)
    }

    /// Whether the peer allows another call now.
    pub fn can_open(&self) -> bool {
        matches!(&self.inner, Inner::Native(native) if self.messages.is_open() && native.can_open())
    }

    /// Whether either side has begun to end the connection.
    pub fn is_draining(&self) -> bool {
        let inner = matches!(&self.inner, Inner::Native(native) if native.is_draining());
        self.is_draining || inner || !self.messages.is_open()
    }

    /// Calls in progress.
    pub fn calls_open(&self) -> usize {
        inner!(&self.inner, calls => calls.calls_open(), else 0)
    }

    /// Calls the peer allows at once.
    pub fn calls_peer_max(&self) -> u32 {
        match &self.inner {
            Inner::Native(native) => native.calls_peer_max(),
            _ => 0,
        }
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.messages.role()
    }

    /// What the messages carry, once it is known.
    pub fn subprotocol(&self) -> Option<Subprotocol> {
        match self.inner {
            Inner::Undecided => None,
            Inner::Native(_) => Some(Subprotocol::Native),
            Inner::Text(_) => Some(Subprotocol::Json),
        }
    }

    /// Begins to speak a subprotocol. One that is not spoken here ends the connection.
    fn decide(&mut self, subprotocol: Subprotocol, agreed: bool) {
        let Some(begin) = self.begin.take() else { return };
        if !agreed && !begin.policy.speaks(subprotocol) {
            return self.wrong_kind();
        }
        match (subprotocol, self.role()) {
            (Subprotocol::Json, Role::Client) => self.wrong_kind(),
            (Subprotocol::Json, Role::Server) => {
                let limits = self.config.shared_limits();
                self.inner = Inner::Text(Box::new(TextCalls::new(limits, begin.authority, begin.ids_after, self.now)));
            }
            (Subprotocol::Native, role) => {
                self.messages.pass_pieces();
                let mut native = native::Connection::on(Wire::WebSocket, role, &self.config, self.now, self.seed);
                native.set_ids_after(begin.ids_after);
                self.inner = Inner::Native(Box::new(native));
                // It has these timers itself.
                (self.idle_since, self.age) = (None, None);
            }
        }
    }

    fn wrong_kind(&mut self) {
        self.messages.fail(ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(Violation::WrongKind)));
    }

    fn handle_incoming(&mut self, incoming: Incoming) {
        if let Inner::Undecided = self.inner {
            match incoming {
                Incoming::Text(_) => self.decide(Subprotocol::Json, false),
                Incoming::Binary(_) => self.decide(Subprotocol::Native, false),
                Incoming::Closed { .. } => {}
            }
        }
        match (incoming, &mut self.inner) {
            (Incoming::Closed { error }, inner) => {
                self.ended = Some(error);
                match inner {
                    Inner::Undecided => {}
                    Inner::Native(native) => native.handle_eof(self.now),
                    Inner::Text(text) => text.handle_closed(error),
                }
            }
            // The connection is ending already.
            (_, Inner::Undecided) => {}
            (Incoming::Text(text), Inner::Text(calls)) => {
                calls.handle_text(self.now, &text);
                if let Some(error) = calls.failed() {
                    self.messages.fail(error);
                }
            }
            (Incoming::Binary(bytes), Inner::Native(native)) => native.handle_bytes(self.now, bytes),
            (Incoming::Binary(_), Inner::Text(_)) | (Incoming::Text(_), Inner::Native(_)) => self.wrong_kind(),
        }
    }

    /// The inner wire has ended: so do the messages, once they have carried its last words.
    fn handle_inner_closed(&mut self, error: Option<ConnectionError>) -> Event {
        self.move_output();
        match error {
            None if self.role() == Role::Server => {
                self.messages.close(self.now, close_code::GOING_AWAY, "going away");
            }
            None => self.messages.close(self.now, close_code::NORMAL, ""),
            Some(error) => self.messages.close(self.now, code_of(&error), error.words()),
        }
        // Whatever ended first is the reason.
        let error = self.ended.unwrap_or(error);
        self.ended = Some(error);
        self.reported = true;
        Event::Closed { error }
    }

    /// Puts what the inner wire wants written into messages. False: nothing.
    fn move_output(&mut self) -> bool {
        match &mut self.inner {
            Inner::Undecided => false,
            Inner::Native(native) => {
                let any = native.poll_transmit(self.now, &mut self.scratch);
                if any {
                    self.messages.send_transmit(&mut self.scratch);
                    self.scratch.shrink(SCRATCH_KEPT);
                }
                any
            }
            Inner::Text(text) => {
                let mut any = false;
                while self.messages.is_open() && self.messages.queued_bytes() < self.config.limits().transmit_bytes_max
                {
                    let Some(parts) = text.poll_text() else { break };
                    self.messages.send_text_parts(parts);
                    any = true;
                }
                any
            }
        }
    }

    fn close_when_drained(&mut self) {
        let done = match &self.inner {
            Inner::Undecided => true,
            // Its own end says when.
            Inner::Native(_) => false,
            Inner::Text(text) => text.is_drained(),
        };
        if self.is_draining && done {
            self.messages.close(self.now, close_code::GOING_AWAY, "going away");
        }
    }

    /// Notes since when no call is open.
    fn note_open(&mut self) {
        if matches!(self.inner, Inner::Native(_)) {
            return;
        }
        match self.calls_open() {
            0 if self.idle_since.is_none() => self.idle_since = Some(self.now),
            0 => {}
            _ => self.idle_since = None,
        }
    }

    fn idle_due(&self) -> Option<Instant> {
        let since = self.idle_since.filter(|_| !self.is_draining)?;
        after(since, self.config.limits().idle_timeout?)
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = inner!(&mut self.inner, calls => calls.poll_event(), else None);
            match event {
                Some(Event::Closed { error }) => return Some(self.handle_inner_closed(error)),
                Some(event) => return Some(event),
                None => {}
            }
            if let Some(error) = self.ended {
                // The peer's answer to our close is still to be read.
                let _ = self.messages.poll();
                return (!std::mem::replace(&mut self.reported, true)).then_some(Event::Closed { error });
            }
            let incoming = self.messages.poll()?;
            self.handle_incoming(incoming);
            if matches!(self.inner, Inner::Text(_)) && self.ended.is_none() && !self.settled {
                self.settled = true;
                return Some(Event::Settled);
            }
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        self.now = now;
        self.move_output();
        self.close_when_drained();
        self.note_open();
        self.messages.poll_transmit(now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let inner = inner!(&self.inner, calls => calls.poll_timeout(), else None);
        let own = if self.messages.is_open() { earliest(self.age, self.idle_due()) } else { None };
        earliest(earliest(self.messages.poll_timeout(), inner), own)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.messages.handle_timeout(now);
        inner!(&mut self.inner, calls => calls.handle_timeout(now), else {});
        if self.age.is_some_and(|age| age <= now) {
            self.age = None;
            if self.is_draining {
                self.messages.close(now, close_code::GOING_AWAY, "age_grace");
            } else {
                self.drain(now, "age_max");
                self.age = self.config.limits().age_grace.and_then(|grace| after(now, grace));
            }
        }
        if self.idle_due().is_some_and(|due| due <= now) {
            self.drain(now, "idle_timeout");
        }
    }

    fn is_closed(&self) -> bool {
        self.reported && self.messages.is_closed()
    }
}

/// Memory that stays for the next output of the inner wire.
const SCRATCH_KEPT: usize = 256;
