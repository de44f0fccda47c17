//! The HTTP/2 connection: the engine's face to driver and upper layers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::flow::{Bandwidth, Inflow};
use super::frame;
use super::guard::Guard;
use super::hpack;
use super::past::Past;
use super::pings::Pings;
use super::receive::{Assembly, Reading};
use super::send::LastData;
use super::settings::{self, PeerSettings, WINDOW_BYTES_DEFAULT};
use super::stream::Side;
use super::streams::Streams;
use super::timers::Timers;
use super::well_formed::Checked;
use crate::drain::Machine;
use crate::limits::Limits;
use crate::time::after;
use crate::transmit::Transmit;
use crate::wire::{
    ConnectionError, Headers, OpenError, Reason, Role, StreamEvent as Event, StreamId, StreamKey, TimedOut,
};

/// One HTTP/2 connection, either side.
///
/// Nothing fails: misbehaviour of the peer becomes a GOAWAY in the output and [`Event::Closed`]. A command on a
/// stale key is ignored. After every input and command, [`drain`](crate::drain::drain) the output.
///
/// The work is told in several files, each an `impl Connection`: `receive` takes frames apart, `requests` turns
/// header blocks into streams, `send` schedules the output, `timers` watches the time.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) phase: Phase,
    pub(super) farewell: Farewell,
    pub(super) limits: Arc<Limits>,

    // What comes in
    pub(super) reading: Reading,
    /// The beginning of a frame whose rest has not arrived.
    pub(super) partial: Vec<u8>,
    /// The beginning of a header block whose rest has not arrived.
    pub(super) assembly: Option<Box<Assembly>>,
    pub(super) decoder: hpack::Decoder,
    pub(super) checked: Checked,
    pub(super) past: Past,
    pub(super) inflow: Inflow,
    pub(super) bandwidth: Bandwidth,
    /// Receive window of new streams.
    pub(super) stream_window: u32,
    pub(super) guard: Guard,
    pub(super) pings: Pings,

    // What goes out
    pub(super) out: Transmit,
    /// The DATA frame at the end of `out`, to which more may be added.
    pub(super) last_data: LastData,
    pub(super) encoder: hpack::Encoder,
    pub(super) peer: PeerSettings,
    /// The connection's send window.
    pub(super) send_window: i32,
    /// DATA in the queues of all streams.
    pub(super) queued_bytes: usize,
    /// Our SETTINGS that are not acknowledged.
    pub(super) settings_unacknowledged: u32,
    /// Client: the id of the next stream.
    next_id: u32,
    /// Client: an `open` was refused because of the peer's limit.
    wants_open: bool,
    /// What the peer said in its GOAWAY.
    pub(super) peer_farewell: Option<(StreamId, Reason)>,

    pub(super) streams: Streams,
    pub(super) events: VecDeque<Event>,
    pub(super) timers: Timers,
}

/// How far the connection is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The peer's SETTINGS are awaited.
    ExpectSettings,
    /// In use.
    Open,
    /// [`Event::Closed`] is queued; the rest of the output waits to be taken.
    Closed,
}

/// How far our own goodbye is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Farewell {
    /// Not begun.
    None,
    /// A GOAWAY without limit has been sent, its PING is under way.
    Announced(&'static str),
    /// The last stream has been named: those above are ignored, and with the last one the connection ends.
    Said { last: u32 },
}

impl Connection {
    /// A fresh connection. `seed` is used for jitter only.
    #[must_use]
    pub fn new(role: Role, limits: &Arc<Limits>, now: Instant, seed: u64) -> Self {
        debug_assert_eq!(limits.validate(), Ok(()));
        let mut out = Transmit::default();
        let buffer = out.buffer();
        if role == Role::Client {
            buffer.extend_from_slice(frame::PREFACE);
        }
        settings::write_first(buffer, role, limits);
        if limits.connection_window_bytes > WINDOW_BYTES_DEFAULT {
            let more = limits.connection_window_bytes - WINDOW_BYTES_DEFAULT;
            frame::write_window_update(buffer, 0, more);
        }
        Connection {
            role,
            phase: Phase::ExpectSettings,
            farewell: Farewell::None,
            limits: Arc::clone(limits),
            reading: match role {
                Role::Client => Reading::Head,
                Role::Server => Reading::Preface { matched: 0 },
            },
            partial: Vec::new(),
            assembly: None,
            decoder: hpack::Decoder::new(hpack::TABLE_BYTES_DEFAULT),
            checked: Checked::default(),
            past: Past::new(),
            inflow: Inflow::new(limits.connection_window_bytes),
            bandwidth: Bandwidth::new(),
            // Until our SETTINGS are acknowledged the peer may use the default.
            stream_window: limits.window_bytes.max(WINDOW_BYTES_DEFAULT),
            guard: Guard::new(limits),
            pings: Pings::default(),
            out,
            last_data: LastData::NONE,
            encoder: hpack::Encoder::with_table_limit(limits.header_table_send_bytes_max),
            peer: PeerSettings::assumed(limits),
            send_window: WINDOW_BYTES_DEFAULT as i32,
            queued_bytes: 0,
            settings_unacknowledged: 1,
            next_id: 1,
            wants_open: false,
            peer_farewell: None,
            streams: Streams::new(),
            events: VecDeque::new(),
            timers: Timers::new(role, limits, now, seed),
        }
    }

    // Input

    /// Bytes have arrived from the peer. Slices of them are handed out in [`Event::Data`].
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        if self.phase == Phase::Closed || bytes.is_empty() {
            return;
        }
        self.timers.received(now);
        if let Err(error) = self.receive(now, &bytes) {
            self.fail(error);
        }
        self.settle(now);
    }

    /// The peer closed its sending side, or the transport failed. Without open streams that is an end in order.
    pub fn handle_eof(&mut self, _now: Instant) {
        if self.phase == Phase::Open && self.streams.open() == 0 {
            self.end(None);
        } else {
            self.end(Some(ConnectionError::Lost));
        }
        self.out.shrink(0);
    }

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase != Phase::Closed {
            self.run_timers(now);
        }
    }

    /// The transport took some of a transmit but not all: the peer is slow, not dead. Optional; without it a
    /// whole transmit must be taken within `write_timeout`.
    pub fn handle_progress(&mut self, now: Instant) {
        if self.timers.write_since.is_some() {
            self.timers.write_since = Some(now);
        }
    }

    // Output

    /// What is to be reported next.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.streams.reuse();
        }
        event
    }

    /// Appends what is to be written, at most about `transmit_bytes_max`. False: nothing to send.
    ///
    /// Call it again only when everything from the call before has been written: that is how the engine knows that
    /// the transport moves.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        if self.phase != Phase::Closed {
            self.fill_output(now);
            self.settle(now);
        }
        if self.out.is_empty() {
            self.timers.rested(now);
            return false;
        }
        if self.phase != Phase::Closed {
            self.timers.sent(now);
        }
        self.guard.output_taken();
        self.last_data = LastData::NONE;
        out.append(&mut self.out);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let draining = self.farewell != Farewell::None;
        self.timers.next(&self.limits, draining, self.phase == Phase::Open)
    }

    // Commands

    /// Client: opens a stream with a request. `head` is remembered by pointer: use the same `Arc` for the fields
    /// that are the same in every call, and `extra` for those that vary.
    ///
    /// # Errors
    /// Why no stream can be opened now.
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
        let id = self.next_id;
        self.next_id += 2;
        let key = self.streams.insert(id, self.peer.window_bytes.cast_signed(), self.stream_window.cast_signed());
        if head.find(":method") == Some(b"HEAD")
            && let Some(stream) = self.streams.get_mut(key)
        {
            stream.bodiless = true;
        }
        self.timers.note_open(now, 1);
        // Requests are never queued: the peer's limit of streams bounds them.
        self.write_headers(key, head, extra, end);
        Ok(key)
    }

    /// Sends an informational response, the response's headers, or trailers (`end`). False: the stream is gone or
    /// our side has ended.
    pub fn send_headers(&mut self, key: StreamKey, head: &Arc<Headers>, extra: Option<&Headers>, end: bool) -> bool {
        self.give_headers(key, head, extra, end)
    }

    /// Sends DATA, or queues what the windows do not allow yet. False: the stream is gone, our side has ended, or
    /// no headers were sent.
    pub fn send_data(&mut self, key: StreamKey, data: Bytes, end: bool) -> bool {
        self.give_data(key, data, end)
    }

    /// Ends the stream abruptly. What is queued on it is dropped; no event follows. False: the stream is gone.
    pub fn reset(&mut self, key: StreamKey, reason: Reason) -> bool {
        if self.streams.get(key).is_none() {
            return false;
        }
        self.write_reset(key, reason);
        // A client cancels as it likes; a server's resets can be provoked.
        if self.role == Role::Server
            && let Err(error) = self.guard.answer(&self.limits)
        {
            self.fail(error);
        }
        true
    }

    /// The consumer took so many bytes (`flow_bytes`) of DATA: the windows may be given back.
    pub fn release(&mut self, key: StreamKey, bytes: u32) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let bytes = bytes.min(stream.unreleased);
        if bytes == 0 {
            return;
        }
        // Which pieces were taken is not known; in proportion is near enough for a bound.
        let frames = if bytes == stream.unreleased {
            stream.unreleased_frames
        } else {
            (u64::from(stream.unreleased_frames) * u64::from(bytes) / u64::from(stream.unreleased)) as u32
        };
        stream.unreleased -= bytes;
        stream.unreleased_frames -= frames;
        stream.owed += bytes;
        self.inflow.release(bytes, frames, &self.limits);
        self.give_window_back(key);
    }

    /// Accepts nothing new and lets the open streams finish, then closes. A server says GOAWAY twice: first
    /// without a limit, and after a PING round trip with the last stream it has seen.
    pub fn drain(&mut self, now: Instant, debug: &'static str) {
        if self.phase == Phase::Closed || self.farewell != Farewell::None {
            return;
        }
        if self.role == Role::Server && self.phase == Phase::Open {
            self.farewell = Farewell::Announced(debug);
            self.timers.drain = after(now, self.limits.drain_timeout);
            let buffer = self.out.buffer();
            frame::write_go_away(buffer, LAST_OF_ALL, Reason::NO_ERROR, debug.as_bytes());
            frame::write_ping(buffer, false, PING_DRAIN);
        } else {
            self.farewell = Farewell::Announced(debug);
            self.say_last();
        }
        self.settle(now);
    }

    /// Closes at once with a GOAWAY of this reason. With NO_ERROR it counts as an end in order.
    pub fn close(&mut self, _now: Instant, reason: Reason, debug: &str) {
        let error = (reason != Reason::NO_ERROR).then_some(ConnectionError::Local(reason));
        self.finish(error, reason, debug.as_bytes());
    }

    // Looks

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
        self.phase == Phase::Closed
            || self.farewell != Farewell::None
            || self.peer_farewell.is_some()
            || self.next_id > self.limits.stream_id_max
    }

    /// No stream is open and nothing is to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.open() == 0 && self.out.is_empty()
    }

    /// Whether the peer's SETTINGS have arrived.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Streams that are open now.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        self.streams.open()
    }

    /// Streams the peer lets us have open at once.
    #[must_use]
    pub fn streams_peer_max(&self) -> u32 {
        self.peer.streams_max
    }

    /// Whether [`open`](Self::open) would succeed now.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.may_open().is_ok()
    }

    /// Whether the peer allows extended CONNECT (RFC 8441).
    #[must_use]
    pub fn can_connect_protocol(&self) -> bool {
        self.peer.connect_protocol
    }

    /// Bytes accepted by [`send_data`](Self::send_data) that wait for windows or room; 0 for a stream that is gone.
    #[must_use]
    pub fn queued_bytes(&self, key: StreamKey) -> usize {
        self.streams.get(key).map_or(0, |stream| stream.queued_bytes)
    }

    // Ends

    /// The peer, the time or we have ended it: says why, once.
    pub(super) fn fail(&mut self, error: ConnectionError) {
        self.finish(Some(error), error.reason(), error.words().as_bytes());
    }

    /// Says GOAWAY unless that has been said or nobody listens, and closes.
    pub(super) fn finish(&mut self, error: Option<ConnectionError>, reason: Reason, debug: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        let said = matches!(self.farewell, Farewell::Said { .. }) && reason == Reason::NO_ERROR;
        if let Some(ConnectionError::Lost | ConnectionError::TimedOut(TimedOut::Write)) = error {
            self.out.shrink(0);
        } else if !said {
            // §6.8: what an earlier GOAWAY promised is not taken back; streams above it were ignored.
            let last = match self.farewell {
                Farewell::Said { last } => last,
                Farewell::None | Farewell::Announced(_) => self.past.last(),
            };
            frame::write_go_away(self.out.buffer(), last, reason, debug);
        }
        self.end(error);
    }

    /// Drops everything but the output and reports the end.
    fn end(&mut self, error: Option<ConnectionError>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.streams.clear();
        self.queued_bytes = 0;
        self.partial = Vec::new();
        self.assembly = None;
        self.decoder.trim();
        self.encoder.trim();
        self.timers.stop();
        self.events.push_back(Event::Closed { error });
    }

    /// The real GOAWAY of a drain: names the last stream that is looked at.
    pub(super) fn say_last(&mut self) {
        let Farewell::Announced(debug) = self.farewell else {
            return;
        };
        let last = self.past.last();
        self.farewell = Farewell::Said { last };
        self.timers.drain = None;
        frame::write_go_away(self.out.buffer(), last, Reason::NO_ERROR, debug.as_bytes());
    }

    /// After whatever has happened: closes a drained connection, and notes whether it is idle.
    #[inline]
    pub(super) fn settle(&mut self, now: Instant) {
        let open = self.streams.open();
        self.timers.note_open(now, open);
        if open == 0 && self.phase != Phase::Closed {
            self.close_if_drained();
        }
    }

    fn close_if_drained(&mut self) {
        let said = matches!(self.farewell, Farewell::Said { .. });
        let exhausted = self.next_id > self.limits.stream_id_max;
        if said || exhausted || self.peer_farewell.is_some() {
            let error = match self.peer_farewell {
                Some((_, reason)) if reason != Reason::NO_ERROR => Some(ConnectionError::Peer(reason)),
                _ => None,
            };
            self.finish(error, Reason::NO_ERROR, b"");
        }
    }

    /// Tells the peer what it may send again on a stream, once that is half of its window.
    #[inline]
    pub(super) fn give_window_back(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if stream.theirs != Side::Ended && stream.owed > 0 && stream.owed >= self.stream_window / 2 {
            let owed = std::mem::take(&mut stream.owed);
            stream.recv_window += owed.cast_signed();
            frame::write_window_update(self.out.buffer(), key.id.0, owed);
        }
    }

    /// Frees a stream's slot and forgives what its consumer still holds.
    pub(super) fn remove(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        let (unreleased, frames) = (stream.unreleased, stream.unreleased_frames);
        self.inflow.release(unreleased, frames, &self.limits);
        self.queued_bytes -= self.streams.remove(key);
        self.note_openable();
    }

    /// Reports that an `open` which was refused may succeed now.
    pub(super) fn note_openable(&mut self) {
        if self.wants_open && self.may_open().is_ok() {
            self.wants_open = false;
            self.events.push_back(Event::Openable);
        }
    }

    /// Client: whether an id was never used.
    pub(super) fn is_unopened(&self, id: u32) -> bool {
        id >= self.next_id
    }

    fn may_open(&self) -> Result<(), OpenError> {
        if self.phase == Phase::Closed || self.role == Role::Server {
            return Err(OpenError::Closed);
        }
        if self.farewell != Farewell::None || self.peer_farewell.is_some() {
            return Err(OpenError::Draining);
        }
        if self.next_id > self.limits.stream_id_max {
            return Err(OpenError::Exhausted);
        }
        if self.streams.open() >= self.peer.streams_max as usize {
            return Err(OpenError::Full);
        }
        Ok(())
    }

    /// It has been quiet for a while: gives back the memory that only served speed.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out.shrink(OUTPUT_KEPT);
        }
        self.streams.shrink();
        self.past.shrink();
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
        self.decoder.trim();
        self.encoder.trim();
        self.checked = Checked::default();
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

/// The GOAWAY that names no last stream.
const LAST_OF_ALL: u32 = (1 << 31) - 1;

/// Payload of the PING that follows it.
pub(super) const PING_DRAIN: [u8; 8] = *b"draining";

/// Output buffer a quiet connection keeps if it has one as small: an answer fits.
const OUTPUT_KEPT: usize = 256;
