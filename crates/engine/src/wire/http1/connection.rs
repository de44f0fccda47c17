//! The HTTP/1.1 connection: the engine's face to driver and upper layers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::body::Body;
use super::exchange::{Exchange, Side};
use super::fault::write_answer;
use super::head;
use super::receive::{HELD_BYTES_MAX, Input, Latest};
use super::timers::Timers;
use crate::drain::Machine;
use crate::limits::Limits;
use crate::transmit::Transmit;
use crate::wire::{
    ConnectionError, Headers, LimitExceeded, OpenError, Reason, Role, StreamEvent as Event, StreamId, StreamKey,
    TimedOut,
};

/// One HTTP/1.1 connection, either side.
///
/// Nothing fails: misbehaviour of the peer becomes a short answer in the output and [`Event::Closed`]. A command on a
/// stale key is ignored. After every input and command, [`drain`](crate::drain::drain) the output.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) phase: Phase,
    pub(super) limits: Arc<Limits>,
    /// Server: what requests are taken to be that do not say it.
    pub(super) scheme: &'static str,
    /// Server: what the time is.
    pub(super) date: Option<Date>,

    // What comes in
    pub(super) input: Input,
    /// The peer's body in progress.
    pub(super) body: Option<Body>,
    pub(super) latest_request: Option<Latest<head::Request>>,
    pub(super) latest_response: Option<Latest<head::Response>>,
    /// Client: informational answers to the request in progress.
    pub(super) informational: u32,

    // What goes out
    pub(super) out: Transmit,
    /// Client: an `open` was refused because a request is in progress.
    pub(super) wants_open: bool,
    /// The id of the next stream. As in HTTP/2 they are odd.
    pub(super) next_id: u32,
    /// No new exchange after the one in progress.
    pub(super) draining: bool,

    pub(super) exchange: Option<Exchange>,
    pub(super) events: VecDeque<Event>,
    pub(super) timers: Timers,
}

/// Gives the time of day as the field `date` has it, always in 29 bytes: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type Date = fn() -> [u8; 29];

/// How far the connection is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// In use.
    Open,
    /// The answer that changes the protocol is in the output, or with the transport.
    Upgrading,
    /// It is over as HTTP; what came behind waits to be taken.
    Upgraded,
    /// What is in the output is the last; then it ends so.
    Closing(Option<ConnectionError>),
    /// [`Event::Closed`] is queued; the rest of the output waits to be taken.
    Closed,
}

impl Connection {
    /// A fresh connection. `seed` is used for jitter only.
    #[must_use]
    pub fn new(role: Role, limits: &Arc<Limits>, now: Instant, seed: u64) -> Self {
        debug_assert_eq!(limits.validate(), Ok(()));
        Connection {
            role,
            phase: Phase::Open,
            limits: Arc::clone(limits),
            scheme: "http",
            date: None,
            input: Input::default(),
            body: None,
            latest_request: None,
            latest_response: None,
            informational: 0,
            out: Transmit::default(),
            wants_open: false,
            next_id: 1,
            draining: false,
            exchange: None,
            // There is nothing to agree on first.
            events: VecDeque::from([Event::Settled]),
            timers: Timers::new(role, limits, now, seed),
        }
    }

    /// Server: the transport is a private one (TLS), so requests that do not say their scheme are `https`.
    pub fn set_secure(&mut self) {
        self.scheme = "https";
    }

    /// Server: says the date in its answers (RFC 9110 §6.6.1). A machine has no clock of its own.
    pub fn set_date(&mut self, date: Date) {
        self.date = Some(date);
    }

    // Input

    /// Bytes have arrived from the peer. Slices of them are handed out in [`Event::Data`].
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        match self.phase {
            Phase::Open => {
                self.timers.received(now);
                self.input.push(bytes);
                self.receive();
                self.input.keep();
                self.bound_input();
                self.settle(now);
            }
            Phase::Upgrading | Phase::Upgraded => {
                self.input.push(bytes);
                self.input.keep();
                if self.input.len() > HELD_BYTES_MAX {
                    self.end(Some(ConnectionError::LimitExceeded(LimitExceeded::HeldBytes)));
                }
            }
            Phase::Closing(_) | Phase::Closed => {}
        }
    }

    /// The peer closed its sending side, or the transport failed. Without a request in progress that is an end in order.
    /// A client that closes its side before it has its answer is taken for gone: HTTP/1.1 has no other way to cancel.
    ///
    /// An answer without content-length or chunks ends here; nobody can tell whether it is complete.
    pub fn handle_eof(&mut self, _now: Instant) {
        if self.phase == Phase::Open && self.role == Role::Client && self.exchange.is_none() {
            self.note_going_away("the server closed the connection");
        }
        match self.phase {
            Phase::Open if self.body.as_ref().is_some_and(Body::ends_with_connection) => {
                self.give_up_data(Bytes::new(), true);
                self.end(None);
            }
            // A client that has its answer need not finish its request.
            Phase::Open if self.streams_open() == 0 && self.input.is_empty() => self.end(None),
            Phase::Open | Phase::Upgrading => self.end(Some(ConnectionError::Lost)),
            // The last words may still reach a peer that has only closed its sending side.
            Phase::Closing(_) | Phase::Upgraded | Phase::Closed => return,
        }
        self.out.shrink(0);
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Open => self.run_timers(now),
            Phase::Upgrading | Phase::Closing(_) => self.run_write_timer(now),
            Phase::Upgraded | Phase::Closed => {}
        }
    }

    /// The transport took some of a transmit but not all: the peer is slow, not dead. Optional; without it a
    /// whole transmit must be taken within `write_timeout`.
    pub fn handle_progress(&mut self, now: Instant) {
        self.timers.progressed(now);
    }

    // Output

    /// What is to be reported next. A pipelined request is looked at when all that was reported before has been taken.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() && self.phase == Phase::Open && !self.input.is_empty() {
            self.receive();
        }
        let event = self.events.pop_front();
        if self.wants_open && self.events.is_empty() {
            self.note_openable();
        }
        event
    }

    /// Appends what is to be written, at most about `transmit_bytes_max`. False: nothing to send.
    ///
    /// Call it again only when everything from the call before has been written: that is how the engine knows that
    /// the transport moves.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        if self.phase == Phase::Open {
            self.say_continue();
            self.pump(self.limits.transmit_bytes_max);
        }
        if self.out.is_empty() {
            self.timers.rested(now);
            match self.phase {
                // All that was said has been written, too.
                Phase::Closing(error) => self.end(error),
                Phase::Upgrading => self.phase = Phase::Upgraded,
                Phase::Open | Phase::Upgraded | Phase::Closed => self.settle(now),
            }
            return false;
        }
        if self.phase != Phase::Closed {
            self.timers.sent(now);
        }
        out.append(&mut self.out);
        if self.phase == Phase::Upgrading {
            self.phase = Phase::Upgraded;
        }
        self.settle(now);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => self.timers.next(&self.limits, self.draining),
            Phase::Upgrading | Phase::Closing(_) => self.timers.write(&self.limits),
            Phase::Upgraded | Phase::Closed => None,
        }
    }

    // Commands

    /// Client: sends a request. The fields that are the same in every call are in `head`, those that vary in `extra`.
    ///
    /// # Errors
    /// Why no request can be sent now.
    pub fn open(
        &mut self,
        now: Instant,
        head: &Arc<Headers>,
        extra: Option<&Headers>,
        end: bool,
    ) -> Result<StreamKey, OpenError> {
        if let Err(error) = self.may_open() {
            self.wants_open |= error == OpenError::Full;
            return Err(error);
        }
        let key = self.next_key();
        self.informational = 0;
        self.exchange = Some(Exchange::new(key));
        self.timers.note_active(now);
        self.write_request(head, extra, end);
        Ok(key)
    }

    /// Sends an informational response, the response's headers, or trailers (`end`). False: the stream is gone or
    /// our side has ended.
    ///
    /// Fields that belong to the connection are left out: they are the wire's. A `content-length` is kept and the body
    /// held to it. Without one a body that is given as a whole before the output is taken gets one; any other is chunked.
    pub fn send_headers(&mut self, key: StreamKey, head: &Arc<Headers>, extra: Option<&Headers>, end: bool) -> bool {
        self.give_headers(key, head, extra, end)
    }

    /// Sends body, or queues what there is no room for yet. False: the stream is gone, our side has ended, or
    /// no headers were sent.
    pub fn send_data(&mut self, key: StreamKey, data: Bytes, end: bool) -> bool {
        self.give_data(key, data, end)
    }

    /// Ends the stream abruptly. What is queued on it is dropped; no event follows. False: the stream is gone.
    ///
    /// A server that has not answered answers with a short text, mapped so that clients of gRPC-Web and Connect
    /// understand it: 503 for REFUSED_STREAM (both take it for "unavailable"), 429 for ENHANCE_YOUR_CALM, 500 for all
    /// else. Inside an answer the connection ends without the body's end, by which the client knows. NO_ERROR means, as
    /// in HTTP/2, that what was said counts: the rest of the peer's body is read and dropped, within bounds.
    pub fn reset(&mut self, key: StreamKey, reason: Reason) -> bool {
        let Some(exchange) = self.exchange_mut(key) else {
            return false;
        };
        if exchange.ours == Side::Ended && reason == Reason::NO_ERROR {
            exchange.forgotten = true;
            exchange.unreleased = 0;
            self.release_body();
            return true;
        }
        match self.role {
            Role::Client => self.out.shrink(0),
            Role::Server => self.abort_answer(reason),
        }
        self.last_words(None);
        true
    }

    /// The consumer took so many bytes (`flow_bytes`) of the body.
    pub fn release(&mut self, key: StreamKey, bytes: u32) {
        let full = !self.wants_bytes();
        if let Some(exchange) = self.exchange_mut(key) {
            exchange.unreleased = exchange.unreleased.saturating_sub(bytes as usize);
        }
        if full {
            self.release_body();
        }
    }

    /// Server: answers a request for an upgrade with 101 and these fields; `upgrade` must be among them. The connection
    /// is over as HTTP: see [`take_upgraded`](Self::take_upgraded). False: the stream is gone, was answered, or did not
    /// ask (its headers had no `upgrade`).
    pub fn upgrade(&mut self, key: StreamKey, head: &Arc<Headers>, extra: Option<&Headers>) -> bool {
        let Some(exchange) = self.exchange_mut(key) else {
            return false;
        };
        if !exchange.upgrade || exchange.ours != Side::Head || exchange.theirs != Side::Ended {
            return false;
        }
        self.write_upgrade(head, extra);
        self.exchange = None;
        self.phase = Phase::Upgrading;
        true
    }

    /// Once both sides have changed the protocol: the bytes that came behind the head, once. On a server that is
    /// when the 101 has been put into a transmit, on a client with its [`Event::Headers`]. The caller then puts another
    /// machine in this one's place; here nothing happens any more.
    pub fn take_upgraded(&mut self) -> Option<Bytes> {
        if self.phase != Phase::Upgraded {
            return None;
        }
        self.phase = Phase::Closed;
        self.exchange = None;
        Some(self.input.take())
    }

    /// Accepts nothing new and lets the request in progress finish, then closes. A server says so with its next answer.
    pub fn drain(&mut self, now: Instant, _debug: &'static str) {
        if self.phase == Phase::Open {
            self.draining = true;
            self.settle(now);
        }
    }

    /// Closes at once. A request that has not been answered gets a short answer. With NO_ERROR it counts as an end in
    /// order.
    pub fn close(&mut self, _now: Instant, reason: Reason, _debug: &str) {
        if self.phase != Phase::Open {
            return;
        }
        match self.role {
            Role::Client => self.out.shrink(0),
            Role::Server => self.abort_answer(if reason == Reason::NO_ERROR { Reason::REFUSED_STREAM } else { reason }),
        }
        self.end((reason != Reason::NO_ERROR).then_some(ConnectionError::Local(reason)));
    }

    // Looks

    /// Whether the driver should read. False while a consumer has not released what it was given, or requests wait for
    /// an answer: reading on would only move the wait into our memory. A driver looks before each read; after a command
    /// or output it may have become true again.
    ///
    /// Bytes that come nevertheless are held up to 1 MiB and cost the connection beyond it.
    #[must_use]
    pub fn wants_bytes(&self) -> bool {
        if self.phase != Phase::Open {
            return true;
        }
        let unreleased = self.exchange.as_ref().map_or(0, |exchange| exchange.unreleased);
        unreleased < self.limits.window_bytes as usize && self.input.len() < self.input_bytes_wanted()
    }

    /// Which side we are.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The limits it works within.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Everything has been said and taken: the transport may be closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed && self.out.is_empty() && self.events.is_empty()
    }

    /// No new streams: one side has said so, or the connection is closed or out of ids.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase != Phase::Open || self.draining || self.next_id > self.limits.stream_id_max
    }

    /// No stream is open and nothing is to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.exchange.is_none() && self.out.is_empty()
    }

    /// Whether the connection is usable: at once, there is nothing to agree on.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Streams that are open now: one or none.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        usize::from(self.exchange.as_ref().is_some_and(|exchange| !exchange.forgotten))
    }

    /// Streams the peer lets us have open at once.
    #[must_use]
    pub fn streams_peer_max(&self) -> u32 {
        1
    }

    /// Whether [`open`](Self::open) would succeed now.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.may_open().is_ok()
    }

    /// Bytes accepted by [`send_data`](Self::send_data) that wait for room; 0 for a stream that is gone.
    #[must_use]
    pub fn queued_bytes(&self, key: StreamKey) -> usize {
        self.exchange.as_ref().filter(|exchange| exchange.key == key).map_or(0, |exchange| exchange.queued_bytes)
    }

    // Ends

    /// After whatever has happened: closes a drained connection, and keeps the times.
    pub(super) fn settle(&mut self, now: Instant) {
        self.close_if_drained();
        self.note_times(now);
    }

    fn close_if_drained(&mut self) {
        if self.phase == Phase::Open && self.exchange.is_none() && self.input.is_empty() && self.is_draining() {
            self.last_words(None);
        }
    }

    /// Both sides may have ended: then the connection is free for the next exchange, or ends.
    pub(super) fn settle_exchange(&mut self) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        let (ours, theirs, closes) = (exchange.ours == Side::Ended, exchange.theirs == Side::Ended, exchange.closes);
        let over = match self.role {
            // What a client still sends is of no use any more if the connection ends here.
            Role::Server => ours && (theirs || closes),
            Role::Client => theirs && (ours || closes),
        };
        if !over {
            return;
        }
        self.exchange = None;
        self.body = None;
        if closes {
            self.last_words(None);
        }
        self.close_if_drained();
        self.note_openable();
    }

    /// What is in the output is the last that is said; it ends when that has been written.
    pub(super) fn last_words(&mut self, error: Option<ConnectionError>) {
        if self.out.is_empty() && self.timers.is_rested() {
            return self.end(error);
        }
        self.forget();
        self.phase = Phase::Closing(error);
    }

    /// The peer broke a rule, or took too long: it is told if its turn has come, and the connection ends.
    pub(super) fn refuse(&mut self, status: u16, text: &str, error: ConnectionError) {
        if self.role == Role::Server && self.unsay_head() {
            let head_only = self.exchange.as_ref().is_some_and(|exchange| exchange.head_only);
            write_answer(self.out.buffer(), status, text, head_only, self.date);
        }
        self.last_words(Some(error));
    }

    /// Drops everything but the output and reports the end.
    pub(super) fn end(&mut self, error: Option<ConnectionError>) {
        if self.phase == Phase::Closed {
            return;
        }
        if let Some(ConnectionError::Lost | ConnectionError::TimedOut(TimedOut::Write)) = error {
            self.out.shrink(0);
        }
        self.forget();
        self.timers.stop();
        self.phase = Phase::Closed;
        self.events.push_back(Event::Closed { error });
    }

    fn forget(&mut self) {
        self.exchange = None;
        self.body = None;
        self.latest_request = None;
        self.latest_response = None;
        self.input.take();
    }

    /// The server will answer nothing more on this connection.
    pub(super) fn note_going_away(&mut self, debug: &'static str) {
        if !self.draining {
            self.draining = true;
            let last = StreamId(self.next_id.saturating_sub(2));
            let debug = Bytes::from_static(debug.as_bytes());
            self.events.push_back(Event::GoingAway { last, reason: Reason::NO_ERROR, debug });
        }
    }

    /// Reports that an `open` which was refused may succeed now.
    fn note_openable(&mut self) {
        if self.wants_open && self.may_open().is_ok() {
            self.wants_open = false;
            self.events.push_back(Event::Openable);
        }
    }

    fn may_open(&self) -> Result<(), OpenError> {
        if self.role == Role::Server || matches!(self.phase, Phase::Closed | Phase::Closing(_)) {
            return Err(OpenError::Closed);
        }
        if self.phase != Phase::Open || self.draining {
            return Err(OpenError::Draining);
        }
        if self.next_id > self.limits.stream_id_max {
            return Err(OpenError::Exhausted);
        }
        // There is one slot: it is free when all that was reported of its former stream has been taken.
        if self.exchange.is_some() || self.events.iter().any(|event| !matches!(event, Event::Settled)) {
            return Err(OpenError::Full);
        }
        Ok(())
    }

    /// The key of a new stream.
    pub(super) fn next_key(&mut self) -> StreamKey {
        let id = self.next_id;
        self.next_id += 2;
        StreamKey { index: 0, id: StreamId(id) }
    }

    /// No stream has had a higher id.
    pub(crate) fn id_highest(&self) -> u32 {
        self.next_id - 1
    }

    /// The exchange of a key, unless the key is stale.
    pub(super) fn exchange_mut(&mut self, key: StreamKey) -> Option<&mut Exchange> {
        self.exchange.as_mut().filter(|exchange| exchange.key == key && !exchange.forgotten)
    }

    /// Memory that only served speed is given back.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out.shrink(OUTPUT_KEPT);
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        self.latest_request = None;
        self.latest_response = None;
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        Connection::poll_event(self)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        Connection::poll_transmit(self, now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Connection::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Connection::handle_timeout(self, now);
    }

    fn is_closed(&self) -> bool {
        Connection::is_closed(self)
    }
}

/// Output buffer a quiet connection keeps if it has one as small: an answer fits.
const OUTPUT_KEPT: usize = 256;
