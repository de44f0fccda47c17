//! The native connection: the engine's face to driver and runtime.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};
use polywire_core::{Code, Compression, ENVELOPE_BYTES, Metadata, Status, Wire};

use super::fields;
use super::flow::Inflow;
use super::frame::{self, flag, kind};
use super::guard::Guard;
use super::hello::Hello;
use super::methods::{Methods, Named, Reference};
use super::streams::{State, Streams};
use super::timers::Timers;
use crate::connection::{CallKey, Config, Event, OpenCall};
use crate::deadlines::Deadlines;
use crate::drain::Machine;
use crate::limits::Limits;
use crate::time::{after, earliest};
use crate::transmit::Transmit;
use crate::wire::{ConnectionError, OpenError, Reason, Role, TimedOut};

/// One connection that speaks native frames, client or server, in terms of calls.
///
/// Nothing fails: misbehaviour of the peer becomes a GOAWAY in the output and [`Event::Closed`]. A command on a stale
/// key is ignored. After every input and command, [`drain`](crate::drain::drain) the output.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    wire: Wire,
    pub(super) phase: Phase,
    pub(super) config: Arc<Config>,
    pub(super) now: Instant,
    pub(super) ours: Hello,
    pub(super) peer: Hello,

    // What comes in
    pub(super) preface_matched: u8,
    /// The beginning of a frame whose rest has not arrived.
    pub(super) partial: Vec<u8>,
    /// Server: the methods that have numbers.
    pub(super) methods: Methods,
    /// Server: the highest number a call has opened.
    pub(super) number_highest: u32,
    pub(super) inflow: Inflow,
    /// Bytes of messages that have come in part, over all calls.
    pub(super) gathered_bytes: usize,
    pub(super) guard: Guard,

    // What goes out
    pub(super) out: Transmit,
    /// Where fields are put together.
    pub(super) scratch: Vec<u8>,
    /// Client: the methods that have numbers.
    named: Named,
    /// The connection's send window.
    pub(super) send_window: u32,
    /// Bytes in the queues of all streams.
    pub(super) queued_bytes: usize,
    /// Client: an `open` was refused because of the peer's limit.
    wants_open: bool,

    // Farewells
    /// We have said GOAWAY in order.
    pub(super) said: bool,
    /// What the peer said in its GOAWAY.
    pub(super) heard: Option<Reason>,
    /// Server: no call is taken any more; with the last one the connection ends.
    pub(super) refusing: bool,

    pub(super) streams: Streams,
    pub(super) calls_open: usize,
    pub(super) events: VecDeque<Event>,
    pub(super) deadlines: Deadlines,
    pub(super) timers: Timers,
}

/// How far the connection is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The peer's HELLO is awaited; on a server the preface before it.
    ExpectHello,
    /// In use.
    Open,
    /// [`Event::Closed`] is queued; the rest of the output waits to be taken.
    Closed,
}

/// What we call ourselves in HELLO.
const NAME: &str = concat!("polywire/", env!("CARGO_PKG_VERSION"));

impl Connection {
    /// A fresh connection on a transport of its own. `seed` only spreads timers.
    #[must_use]
    pub fn new(role: Role, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        Connection::on(Wire::Native, role, config, now, seed)
    }

    /// As [`new`](Self::new), inside the messages of another wire: that is what calls are told they came by.
    #[must_use]
    pub fn on(wire: Wire, role: Role, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let limits = config.limits();
        debug_assert_eq!(limits.validate(), Ok(()));
        let ours = Hello::ours(limits, config.accepts());
        let mut out = Transmit::default();
        if role == Role::Client {
            out.put(&frame::PREFACE);
        }
        let hello = ours.write(limits.message_bytes_max, NAME);
        frame::put_head(out.buffer(), kind::HELLO, 0, hello.len());
        out.put(&hello);
        Connection {
            role,
            wire,
            phase: Phase::ExpectHello,
            now,
            ours,
            peer: Hello { streams_max: limits.streams_assumed, ..Hello::ASSUMED },
            preface_matched: if role == Role::Client { frame::PREFACE.len() as u8 } else { 0 },
            partial: Vec::new(),
            methods: Methods::default(),
            number_highest: 0,
            inflow: Inflow::new(ours.connection_window_bytes),
            gathered_bytes: 0,
            guard: Guard::new(limits),
            out,
            scratch: Vec::new(),
            named: Named::default(),
            send_window: Hello::ASSUMED.connection_window_bytes,
            queued_bytes: 0,
            wants_open: false,
            said: false,
            heard: None,
            refusing: false,
            streams: Streams::new(role),
            calls_open: 0,
            events: VecDeque::new(),
            deadlines: Deadlines::default(),
            timers: Timers::new(role, limits, now, seed),
            config: Arc::clone(config),
        }
    }

    /// The ids of calls go on from here; to be said before there is any.
    pub(crate) fn set_ids_after(&mut self, id: u32) {
        self.streams.set_serial(id);
    }

    // Input

    /// Bytes have come from the peer. Messages are slices of them.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        self.now = now;
        if self.phase == Phase::Closed || bytes.is_empty() {
            return;
        }
        self.timers.received(now);
        if let Err(error) = self.receive(&bytes) {
            self.fail(error);
        }
        self.settle(now);
    }

    /// The transport took a part of a transmit: the peer is slow, not dead.
    pub fn handle_progress(&mut self, now: Instant) {
        self.timers.progressed(now);
    }

    /// The peer will send nothing more, or the transport has failed. Without calls that is an end in order.
    pub fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        if self.phase == Phase::Open && self.streams.open() == 0 {
            self.end(None);
        } else {
            self.end(Some(ConnectionError::Lost));
        }
        self.out.shrink(0);
    }

    // Commands

    /// Client: begins a call. With `message`, an enveloped message goes out at once; with `last` it is the only one.
    ///
    /// # Errors
    /// When the connection takes no new call now.
    pub fn open(&mut self, now: Instant, request: OpenCall<'_>) -> Result<CallKey, OpenError> {
        self.now = now;
        if let Err(error) = self.may_open() {
            self.wants_open |= error == OpenError::Full;
            return Err(error);
        }
        let reference = self.named.refer(request.template, self.peer.methods_max);
        let has_fields = self.write_request(reference, &request);
        let frame_bytes_max = self.frame_bytes_max();
        let stream = self.streams.insert(None, self.peer.window_bytes, self.ours.window_bytes);
        stream.deadline = request.deadline;
        stream.half_closed = request.last;
        let (key, number) = (stream.key(), stream.number);
        self.calls_open += 1;
        self.timers.note_open(now, 1);
        let prefix = self.scratch.len();
        if prefix > frame_bytes_max || request.template.options().path.len() > super::methods::PATH_BYTES_MAX + 1 {
            if let Reference::Defined(_) = reference {
                self.named.undo();
            }
            self.remove(key);
            let status = Status::resource_exhausted("the metadata of the call is larger than a frame of the server");
            let trailing = Metadata::new();
            self.events.push_back(Event::Ended { key, status, trailing, unprocessed: false });
            return Ok(key);
        }
        if let Some(deadline) = request.deadline {
            self.deadlines.push(deadline, key);
        }
        let fields = if has_fields { flag::FIELDS } else { 0 };
        let last = if request.last { flag::LAST } else { 0 };
        self.guard.earn(2);
        let room = (frame_bytes_max - prefix).min(self.send_window.min(self.peer.window_bytes) as usize);
        match request.message {
            Some(mut message) if is_one_envelope(&message, room) => {
                let len = message.len() - ENVELOPE_BYTES;
                let compressed = if message[0] & 1 != 0 { flag::COMPRESSED } else { 0 };
                let out = self.out.buffer();
                frame::put_head(out, kind::CALL | fields | last | compressed, number, prefix + len);
                out.extend_from_slice(&self.scratch);
                message.advance(ENVELOPE_BYTES);
                self.out.put_payload(message);
                self.send_window -= len as u32;
                if let Some(stream) = self.streams.get_mut(key) {
                    stream.send_window -= len as u32;
                }
            }
            message => {
                let alone = if message.is_none() { last } else { 0 };
                let out = self.out.buffer();
                frame::put_head(out, kind::OPEN | fields | alone, number, prefix);
                out.extend_from_slice(&self.scratch);
                if let Some(message) = message {
                    self.give_messages(key, message, request.last);
                }
            }
        }
        Ok(key)
    }

    /// Puts method and fields of a call into `scratch`. Says whether there are fields.
    fn write_request(&mut self, reference: Reference, request: &OpenCall<'_>) -> bool {
        let options = request.template.options();
        let out = &mut self.scratch;
        out.clear();
        let named = match reference {
            Reference::Known(number) => {
                frame::put_varint(out, u64::from(number) << 1);
                true
            }
            Reference::Defined(number) => {
                put_path(out, number, &options.path);
                false
            }
            Reference::Unnamed => {
                put_path(out, 0, &options.path);
                false
            }
        };
        if named && request.deadline.is_none() && request.metadata.is_empty() {
            return false;
        }
        let at = out.len();
        out.push(0);
        if let Some(deadline) = request.deadline {
            let timeout = deadline.saturating_duration_since(self.now);
            fields::put_number(out, fields::tag::TIMEOUT, fields::micros(timeout));
        }
        if !named {
            if options.codec != polywire_core::Codec::default() {
                fields::put_number(out, fields::tag::CODEC, fields::codec_number(options.codec));
            }
            if options.compression != Compression::Identity {
                fields::put_number(out, fields::tag::COMPRESSION, options.compression as u64);
            }
            let accepts = fields::bits_of(options.accepts);
            if accepts != fields::bits_of(polywire_core::CompressionSet::NONE) {
                fields::put_number(out, fields::tag::ACCEPTS, accepts);
            }
            fields::put_bytes(out, fields::tag::AUTHORITY, options.authority.as_bytes());
        }
        fields::put_metadata(out, fields::tag::LEADING, request.metadata);
        close_fields(out, at);
        true
    }

    /// Server: sends the leading metadata, unless it has gone out already.
    pub fn start(&mut self, key: CallKey, leading: &Metadata) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state == State::Open) else { return };
        if self.role == Role::Client || stream.headed {
            return;
        }
        stream.headed = true;
        let compression = stream.compression;
        self.scratch.clear();
        fields::put_metadata(&mut self.scratch, fields::tag::LEADING, leading);
        if compression != Compression::Identity {
            fields::put_number(&mut self.scratch, fields::tag::COMPRESSION, compression as u64);
        }
        if self.scratch.len() > self.frame_bytes_max() {
            return self.fail_call(key, Status::resource_exhausted("the leading metadata is larger than a frame"));
        }
        self.give_frame(key, kind::HEADERS, false);
    }

    /// Sends enveloped messages.
    pub fn send(&mut self, key: CallKey, messages: Bytes) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state == State::Open) else { return };
        if self.role == Role::Server && !stream.headed {
            if stream.compression == Compression::Identity {
                stream.headed = true;
            } else {
                self.start(key, &Metadata::new());
            }
        }
        self.give_messages(key, messages, false);
    }

    /// Client: no message will follow.
    pub fn half_close(&mut self, key: CallKey) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state == State::Open) else { return };
        if self.role == Role::Client && !std::mem::replace(&mut stream.half_closed, true) {
            self.scratch.clear();
            self.give_frame(key, kind::END, true);
        }
    }

    /// Client: nobody wants the answer any more. No event follows.
    pub fn cancel(&mut self, key: CallKey) {
        if self.role == Role::Client {
            self.leave(key);
        }
    }

    /// Server: ends a call with its one message.
    pub fn respond(&mut self, key: CallKey, leading: &Metadata, mut message: Bytes, trailing: &Metadata) {
        let direct = self.may_write();
        let frame_bytes_max = self.frame_bytes_max();
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state == State::Open) else { return };
        if self.role == Role::Client {
            return;
        }
        let window = self.send_window.min(stream.send_window) as usize;
        if direct && stream.queue.is_empty() && is_one_envelope(&message, window.min(frame_bytes_max)) {
            let compressed = message[0] & 1 != 0;
            let out = &mut self.scratch;
            out.clear();
            out.push(0);
            if !stream.headed {
                fields::put_metadata(out, fields::tag::LEADING, leading);
                if compressed {
                    fields::put_number(out, fields::tag::COMPRESSION, stream.compression as u64);
                }
            }
            fields::put_metadata(out, fields::tag::TRAILING, trailing);
            let mut first = kind::MESSAGE | flag::LAST;
            if out.len() == 1 {
                out.clear();
            } else {
                close_fields(out, 0);
                first |= flag::FIELDS;
            }
            if compressed {
                first |= flag::COMPRESSED;
            }
            let len = message.len() - ENVELOPE_BYTES;
            if out.len() + len <= frame_bytes_max {
                let buffer = self.out.buffer();
                frame::put_head(buffer, first, stream.number, out.len() + len);
                buffer.extend_from_slice(out);
                message.advance(ENVELOPE_BYTES);
                self.out.put_payload(message);
                self.send_window -= len as u32;
                return self.ended(key);
            }
        }
        if !stream.headed && (!leading.is_empty() || stream.compression != Compression::Identity) {
            self.start(key, leading);
        }
        if trailing.is_empty() && !message.is_empty() {
            self.begin_to_end(key);
            self.give_messages(key, message, true);
        } else {
            self.give_messages(key, message, false);
            self.finish(key, &Status::ok(), leading, trailing);
        }
    }

    /// Server: ends a call. `leading` goes out with it when nothing has gone out before.
    pub fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        let Some(stream) = self.streams.get(key).filter(|stream| stream.state == State::Open) else { return };
        if self.role == Role::Client {
            return;
        }
        let leading = (!stream.headed).then_some(leading);
        self.write_status(leading, status, trailing);
        self.begin_to_end(key);
        self.give_frame(key, kind::END, true);
    }

    /// Server: refuses a call so that the client may make it elsewhere.
    pub fn refuse(&mut self, key: CallKey) {
        if self.role == Role::Server && self.streams.get(key).is_some_and(|stream| stream.state == State::Open) {
            self.write_refusal();
            self.begin_to_end(key);
            self.give_frame(key, kind::END, true);
        }
    }

    /// Server: how the messages of this answer are compressed; to be said before anything is sent.
    pub fn set_compression(&mut self, key: CallKey, compression: Compression) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.compression = compression;
        }
    }

    /// A reported message of so many bytes, without its envelope, has been read: the peer may send as much again.
    pub fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        self.consumed_enveloped(key, message_bytes + ENVELOPE_BYTES);
    }

    /// As [`consumed`](Self::consumed), for bytes that were counted with their envelopes.
    pub fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let bytes = bytes.min(stream.unconsumed_bytes);
        if bytes == 0 {
            return;
        }
        // Which messages were taken is not known; in proportion is near enough for a bound.
        let messages = if bytes == stream.unconsumed_bytes {
            stream.unconsumed_messages
        } else {
            (u64::from(stream.unconsumed_messages) * bytes as u64 / stream.unconsumed_bytes as u64) as u32
        };
        stream.unconsumed_bytes -= bytes;
        stream.unconsumed_messages -= messages;
        self.inflow.release(0, messages, self.config.limits());
        self.release(key);
    }

    /// Accepts nothing new and lets the calls in progress finish, then closes.
    pub fn drain(&mut self, now: Instant, debug: &'static str) {
        self.now = now;
        if self.phase == Phase::Closed || self.said {
            return;
        }
        self.say_go_away(debug);
        if self.heard.is_some() || self.phase == Phase::ExpectHello {
            self.refusing = true;
        } else if self.role == Role::Server {
            self.timers.drain = after(now, self.config.limits().drain_timeout);
        }
        self.settle(now);
    }

    /// Closes at once. With NO_ERROR it counts as an end in order.
    pub fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.now = now;
        let error = (reason != Reason::NO_ERROR).then_some(ConnectionError::Local(reason));
        self.finish_connection(error, debug);
    }

    // Looks

    /// Bytes given to [`send`](Self::send) that have not gone into a transmit.
    #[must_use]
    pub fn queued_bytes(&self, key: CallKey) -> usize {
        self.streams.get(key).map_or(0, |stream| stream.queued_bytes)
    }

    /// Whether the peer allows another call now.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.may_open().is_ok()
    }

    /// Whether either side has begun to end the connection.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Closed || self.said || self.heard.is_some()
    }

    /// How many calls are in progress.
    #[must_use]
    pub fn calls_open(&self) -> usize {
        self.calls_open
    }

    /// How many calls the peer allows at once.
    #[must_use]
    pub fn calls_peer_max(&self) -> u32 {
        self.peer.streams_max
    }

    /// Which side we are.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// By which wire its calls are said to travel.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.wire
    }

    pub(super) fn limits(&self) -> &Limits {
        self.config.limits()
    }

    // Ends of calls

    /// The status of a call goes into `scratch` as the payload of END.
    pub(super) fn write_status(&mut self, leading: Option<&Metadata>, status: &Status, trailing: &Metadata) {
        let frame_bytes_max = self.frame_bytes_max();
        let out = &mut self.scratch;
        out.clear();
        if let Some(leading) = leading {
            fields::put_metadata(out, fields::tag::LEADING, leading);
        }
        fields::put_status(out, status, trailing);
        if out.len() > frame_bytes_max {
            // What cannot travel is left out, from the back; success that cannot be told in full is none.
            let short = if status.is_ok() {
                Status::resource_exhausted("the metadata of the answer is larger than a frame")
            } else {
                let end = status.message().floor_char_boundary(STATUS_TEXT_KEPT);
                Status::new(status.code(), status.message()[..end].to_owned())
            };
            out.clear();
            fields::put_status(out, &short, &Metadata::new());
        }
    }

    /// The refusal of a call goes into `scratch` as the payload of END.
    pub(super) fn write_refusal(&mut self) {
        self.scratch.clear();
        fields::put_number(&mut self.scratch, fields::tag::CODE, Code::Unavailable.number().into());
        fields::put_bytes(&mut self.scratch, fields::tag::UNPROCESSED, b"");
    }

    /// Server: the application is done with a call.
    fn begin_to_end(&mut self, key: CallKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.state == State::Open
        {
            stream.state = State::Ending;
            stream.deadline = None;
            self.calls_open -= 1;
        }
    }

    /// Ends a call from this side, with the event that says so.
    pub(super) fn fail_call(&mut self, key: CallKey, status: Status) {
        if self.streams.get(key).is_none_or(|stream| stream.state != State::Open) {
            return;
        }
        match self.role {
            Role::Client => {
                self.leave(key);
                let trailing = Metadata::new();
                self.events.push_back(Event::Ended { key, status, trailing, unprocessed: false });
            }
            Role::Server => {
                // Messages nobody waits for need not go before it.
                self.drop_queue(key);
                self.finish(key, &status, &Metadata::new(), &Metadata::new());
                self.events.push_back(Event::Cancelled { key, status });
            }
        }
    }

    /// Client: tells the server that nobody waits. The number stays in use until the server has ended the call.
    fn leave(&mut self, key: CallKey) {
        let Some(stream) = self.streams.get_mut(key).filter(|stream| stream.state == State::Open) else { return };
        stream.state = State::Left;
        stream.deadline = None;
        let number = stream.number;
        self.calls_open -= 1;
        self.drop_queue(key);
        self.drop_received(key);
        frame::put_head(self.out.buffer(), kind::CANCEL, number, 0);
    }

    /// What a stream has received is of no use any more.
    pub(super) fn drop_received(&mut self, key: CallKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let (bytes, messages) = (stream.unreleased, stream.unconsumed_messages);
        self.gathered_bytes -= stream.gathered.len();
        stream.gathered = bytes::BytesMut::new();
        stream.unreleased = 0;
        stream.unconsumed_messages = 0;
        stream.unconsumed_bytes = 0;
        self.inflow.release(bytes, messages, self.config.limits());
    }

    /// Client: the server has ended the call.
    pub(super) fn ended_by_peer(&mut self, key: CallKey, status: Status, trailing: Metadata, unprocessed: bool) {
        let Some(stream) = self.streams.get(key) else { return };
        let (open, deadline) = (stream.state == State::Open, stream.deadline);
        self.remove(key);
        if !open {
            return;
        }
        let late = deadline.is_some_and(|deadline| deadline <= self.now);
        self.events.push_back(if late && status.code() == Code::Cancelled {
            let status = Status::deadline_exceeded("the deadline passed before the call ended");
            Event::Ended { key, status, trailing: Metadata::new(), unprocessed }
        } else {
            Event::Ended { key, status, trailing, unprocessed }
        });
    }

    /// Frees a stream's slot and forgives what its consumer still holds.
    pub(super) fn remove(&mut self, key: CallKey) {
        if self.streams.get(key).is_some_and(|stream| stream.state == State::Open) {
            self.calls_open -= 1;
        }
        let Some(removed) = self.streams.remove(key) else { return };
        self.inflow.release(removed.unreleased, removed.messages, self.config.limits());
        self.queued_bytes -= removed.queued_bytes;
        self.gathered_bytes -= removed.gathered_bytes;
        self.note_openable();
    }

    /// Reports that an `open` which was refused may succeed now.
    pub(super) fn note_openable(&mut self) {
        if self.wants_open && self.may_open().is_ok() {
            self.wants_open = false;
            self.events.push_back(Event::Openable);
        }
    }

    fn may_open(&self) -> Result<(), OpenError> {
        if self.phase == Phase::Closed || self.role == Role::Server {
            return Err(OpenError::Closed);
        }
        if self.is_draining() {
            return Err(OpenError::Draining);
        }
        if self.streams.open() >= self.peer.streams_max as usize {
            return Err(OpenError::Full);
        }
        Ok(())
    }

    // Ends of the connection

    /// GOAWAY in order: no call comes after it.
    pub(super) fn say_go_away(&mut self, debug: &str) {
        if !std::mem::replace(&mut self.said, true) {
            self.write_go_away(0, debug);
        }
    }

    fn write_go_away(&mut self, code: u8, debug: &str) {
        let text = &debug.as_bytes()[..debug.floor_char_boundary(GOAWAY_TEXT_MAX)];
        let out = self.out.buffer();
        frame::put_head(out, kind::GOAWAY, 0, 1 + text.len());
        out.push(code);
        out.extend_from_slice(text);
    }

    /// The peer, the time or we have ended it: says why, once.
    pub(super) fn fail(&mut self, error: ConnectionError) {
        self.finish_connection(Some(error), error.words());
    }

    /// Says GOAWAY unless that has been said or nobody listens, and closes.
    pub(super) fn finish_connection(&mut self, error: Option<ConnectionError>, debug: &str) {
        if self.phase == Phase::Closed {
            return;
        }
        match error {
            Some(ConnectionError::Lost | ConnectionError::TimedOut(TimedOut::Write)) => self.out.shrink(0),
            Some(ConnectionError::Peer(_)) => {}
            Some(error) => self.write_go_away(go_away_code(&error), debug),
            None => self.say_go_away(debug),
        }
        self.end(error);
    }

    /// Drops everything but the output and reports the end.
    fn end(&mut self, error: Option<ConnectionError>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        let text = error
            .as_ref()
            .map_or_else(|| "the connection was closed".to_owned(), |error| format!("the connection ended: {error}"));
        for key in self.streams.keys().collect::<Vec<_>>() {
            if self.streams.get(key).is_none_or(|stream| stream.state != State::Open) {
                continue;
            }
            let status = Status::unavailable(text.clone());
            self.events.push_back(match self.role {
                Role::Client => Event::Ended { key, status, trailing: Metadata::new(), unprocessed: false },
                Role::Server => Event::Cancelled { key, status },
            });
        }
        self.streams.clear();
        self.calls_open = 0;
        self.queued_bytes = 0;
        self.gathered_bytes = 0;
        self.partial = Vec::new();
        self.scratch = Vec::new();
        self.methods.clear();
        self.named = Named::default();
        self.deadlines = Deadlines::default();
        self.timers.stop();
        self.events.push_back(Event::Closed { error });
    }

    /// After whatever has happened: closes a drained connection, and notes whether it is idle.
    #[inline]
    pub(super) fn settle(&mut self, now: Instant) {
        let open = self.streams.open();
        self.timers.note_open(now, open);
        if open == 0 && (self.said || self.heard.is_some()) && self.phase != Phase::Closed {
            let over = match self.role {
                Role::Client => true,
                Role::Server => self.refusing,
            };
            if over {
                self.finish_connection(None, "");
            }
        }
    }

    /// It has been quiet for a while: gives back the memory that only served speed.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out.shrink(OUTPUT_KEPT);
        }
        if self.events.is_empty() {
            self.streams.shrink();
            self.events = VecDeque::new();
        }
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
        self.scratch = Vec::new();
        self.methods.shrink();
        self.deadlines.shrink();
        if self.calls_open == 0 {
            self.deadlines = Deadlines::default();
        }
    }
}

impl Machine for Connection {
    type Event = Event;

    #[inline]
    fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.streams.reuse();
        }
        event
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        if self.phase != Phase::Closed {
            self.fill_output(now);
            self.settle(now);
        }
        if self.out.is_empty() {
            self.timers.rested(now);
            let streams = &self.streams;
            self.deadlines
                .settle(self.calls_open, |key| streams.get(key).is_some_and(|stream| stream.deadline.is_some()));
            return false;
        }
        if self.phase != Phase::Closed {
            self.timers.sent(now);
        }
        self.guard.output_taken();
        out.append(&mut self.out);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Closed {
            return None;
        }
        let draining = self.said || self.heard.is_some();
        earliest(self.timers.next(self.limits(), draining), self.deadlines.first())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.phase == Phase::Closed {
            return;
        }
        self.run_timers(now);
        while let Some(key) = self.deadlines.pop_due(now) {
            if self.streams.get(key).is_some_and(|stream| stream.deadline.is_some_and(|deadline| deadline <= now)) {
                self.fail_call(key, Status::deadline_exceeded("the deadline passed before the call ended"));
            }
        }
        self.settle(now);
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed && self.out.is_empty() && self.events.is_empty()
    }
}

/// Writes the path of a method with the number it gets; 0: none.
fn put_path(out: &mut Vec<u8>, number: u32, path: &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    frame::put_varint(out, u64::from(number) << 1 | 1);
    frame::put_varint(out, path.len() as u64);
    out.extend_from_slice(path.as_bytes());
}

/// Fields have been put behind a byte at `at`: their total length goes there.
fn close_fields(out: &mut Vec<u8>, at: usize) {
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
        return;
    }
    let mut total = Vec::with_capacity(4);
    frame::put_varint(&mut total, len as u64);
    out.splice(at..=at, total);
}

/// Whether these are one whole message, of at most `room` bytes, in its envelope.
#[inline]
fn is_one_envelope(data: &[u8], room: usize) -> bool {
    data.split_first_chunk::<ENVELOPE_BYTES>().is_some_and(|(&[_, a, b, c, d], rest)| {
        u32::from_be_bytes([a, b, c, d]) as usize == rest.len() && rest.len() <= room
    })
}

/// The code in which an error is told.
fn go_away_code(error: &ConnectionError) -> u8 {
    match error {
        ConnectionError::PeerMisbehaved(_) => 1,
        ConnectionError::LimitExceeded(_) => 2,
        ConnectionError::TimedOut(_) => 3,
        ConnectionError::Local(Reason::NO_ERROR) | ConnectionError::Lost | ConnectionError::Peer(_) => 0,
        ConnectionError::Local(Reason::PROTOCOL_ERROR) => 1,
        ConnectionError::Local(Reason::ENHANCE_YOUR_CALM) => 2,
        ConnectionError::Local(_) => 4,
    }
}

/// Output buffer a quiet connection keeps if it has one as small: an answer fits.
const OUTPUT_KEPT: usize = 256;

/// What is left of the message of a status that does not fit into a frame.
const STATUS_TEXT_KEPT: usize = 4096;

/// Words of a GOAWAY.
const GOAWAY_TEXT_MAX: usize = 1024;

const _: () = assert!(size_of::<Event>() <= 160);
