//! A connection in terms of calls: a wire and the protocols on its streams, without I/O.
//!
//! The contract is that of every [`Machine`]: after each input or command, [`drain`](crate::drain::drain) it.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Codec, Compression, CompressionSet, ENVELOPE_BYTES, Message, Metadata, RequestHead, Status};

use crate::{
    deadlines::Deadlines,
    drain::Machine,
    envelope::{Envelope, EnvelopeError, Reader},
    limits::Limits,
    protocol::{
        RequestTemplate, ResponseHead,
        grpc::{self, Refusal, Templates},
    },
    transmit::Transmit,
    wire::{ConnectionError, Headers, OpenError, Reason, Role, StreamEvent, StreamKey, http2},
};

/// Names a call on its connection. It is the stream's key: an index that is reused and an id that is not.
pub type CallKey = StreamKey;

/// What all connections of a server or a channel have in common.
#[derive(Debug)]
pub struct Config {
    limits: Arc<Limits>,
    accepts: CompressionSet,
    templates: Templates,
}

impl Config {
    /// Puts limits and the compressions that are accepted together.
    pub fn new(limits: Limits, accepts: CompressionSet) -> Arc<Self> {
        Arc::new(Self { limits: Arc::new(limits), accepts, templates: Templates::new(accepts) })
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The limits, for machines that keep them.
    #[cfg(feature = "websocket")]
    pub(crate) fn shared_limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The compressions that are accepted from the peer.
    pub fn accepts(&self) -> CompressionSet {
        self.accepts
    }
}

/// What a connection reports.
#[derive(Debug)]
pub enum Event {
    /// Server: the peer reset the call, broke a rule inside it, or its deadline passed. Its handler should stop; nothing
    /// can be sent any more.
    Cancelled {
        /// Which call.
        key: CallKey,
        /// Why.
        status: Status,
    },
    /// Exactly once, and last: the connection is over. All calls have been ended by events before.
    Closed {
        /// Why, unless it ended in order.
        error: Option<ConnectionError>,
    },
    /// Client: the call is over.
    Ended {
        /// Which call.
        key: CallKey,
        /// How it ended.
        status: Status,
        /// The metadata that came with the status.
        trailing: Metadata,
        /// The peer promised that it did nothing: the call may be made again elsewhere.
        unprocessed: bool,
    },
    /// The peer accepts no new calls on this connection.
    GoingAway {
        /// What it said with it, for people.
        debug: Bytes,
        /// Its reason.
        reason: Reason,
    },
    /// Server: the peer has sent its last message.
    HalfClosed {
        /// Which call.
        key: CallKey,
    },
    /// Client: the server's first headers.
    Headers {
        /// Which call.
        key: CallKey,
        /// What they say.
        head: Box<ResponseHead>,
    },
    /// A message.
    Message {
        /// Which call.
        key: CallKey,
        /// The message; say [`Connection::consumed`] when it has been read.
        message: Message,
        /// Server: the peer has sent its last message with this one.
        last: bool,
    },
    /// Client: another call may be opened now.
    Openable,
    /// The peer's settings have come: the connection works.
    Settled,
    /// Server: a call has begun.
    Started {
        /// Which call.
        key: CallKey,
        /// What its headers say. Calls with the same headers share one.
        head: Arc<RequestHead>,
        /// When nobody waits any more.
        deadline: Option<Instant>,
        /// The peer has sent its last message already: there will be none.
        last: bool,
    },
    /// What was queued for a call has mostly been sent: more may be given.
    Writable {
        /// Which call.
        key: CallKey,
    },
}

/// One connection, client or server.
#[derive(Debug)]
pub struct Connection {
    wire: http2::Connection,
    config: Arc<Config>,
    now: Instant,
    /// By the key's index.
    calls: Vec<Option<CallState>>,
    calls_open: usize,
    /// Bytes of messages that have come in part, over all calls.
    gathered_bytes: usize,
    /// A chunk that may hold more messages.
    reading: Option<Reading>,
    events: VecDeque<Event>,
    deadlines: Deadlines,
    /// Calls that came with a deadline since the last look at the clock: most are over before they need a timer.
    deadlines_fresh: Vec<(Instant, CallKey)>,
    /// The head of the latest request, for requests with the same headers.
    head_latest: Option<(Arc<Headers>, Arc<RequestHead>)>,
}

#[derive(Debug)]
struct CallState {
    key: CallKey,
    phase: Phase,
    peer_ended: bool,
    codec: Codec,
    /// How compressed messages of this side are compressed.
    compression: Compression,
    /// How compressed messages of the peer are compressed.
    peer_compression: Compression,
    reader: Reader,
    deadline: Option<Instant>,
    /// Received bytes for which the peer has not been given window back.
    unreleased_bytes: usize,
    /// Bytes of messages that have been reported and not been consumed.
    unconsumed_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The headers of the answer are still to come (client) or to be sent (server).
    ExpectHead,
    /// The answer has begun.
    Answering,
    /// Server: not a call; this HTTP answer is due when the request has ended.
    Refused { status: u16, text: &'static str, head_only: bool },
}

#[derive(Debug)]
struct Reading {
    key: CallKey,
    data: Bytes,
    end: bool,
}

/// Most bytes of a refused request that are read before it is answered without waiting for its end.
const REFUSED_BYTES_MAX: usize = 64 * 1024;

impl Connection {
    /// A new connection. `seed` only spreads timers, so that connections opened together do not end together.
    pub fn new(role: Role, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        Self {
            wire: http2::Connection::new(role, &config.limits, now, seed),
            config: Arc::clone(config),
            now,
            calls: Vec::new(),
            calls_open: 0,
            gathered_bytes: 0,
            reading: None,
            events: VecDeque::new(),
            deadlines: Deadlines::default(),
            deadlines_fresh: Vec::new(),
            head_latest: None,
        }
    }

    /// Bytes have come from the peer.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        self.now = now;
        self.wire.handle_bytes(now, bytes);
    }

    /// The transport took a part of a transmit: the peer is slow, not dead.
    pub fn handle_progress(&mut self, now: Instant) {
        self.wire.handle_progress(now);
    }

    /// The peer will send nothing more, or the transport has failed.
    pub fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        self.wire.handle_eof(now);
    }

    /// Client: begins a call. With `message`, an enveloped message goes out at once; with `last` it is the only one.
    ///
    /// # Errors
    /// When the connection takes no new call now.
    pub fn open(&mut self, now: Instant, request: OpenCall<'_>) -> Result<CallKey, OpenError> {
        self.now = now;
        let timeout = request.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let extra = grpc::request_extra(timeout, request.metadata);
        let ends_with_head = request.last && request.message.is_none();
        let key = self.wire.open(now, request.template.headers(), extra.as_ref(), ends_with_head)?;
        let call = CallState::new(key, self.config.limits.message_bytes_max, request.deadline);
        self.insert(key, call);
        if let Some(deadline) = request.deadline {
            self.deadlines_fresh.push((deadline, key));
        }
        if let Some(message) = request.message {
            self.wire.send_data(key, message, request.last);
        }
        Ok(key)
    }

    /// Server: sends the leading metadata, unless headers have gone out already.
    pub fn start(&mut self, key: CallKey, leading: &Metadata) {
        let Some(call) = find_mut(&mut self.calls, key) else { return };
        if call.phase != Phase::ExpectHead {
            return;
        }
        call.phase = Phase::Answering;
        let head = self.config.templates.head(call.codec, call.compression);
        self.wire.send_headers(key, head, grpc::metadata_extra(leading).as_ref(), false);
    }

    /// Sends enveloped messages.
    pub fn send(&mut self, key: CallKey, messages: Bytes) {
        if self.wire.role() == Role::Server {
            self.start(key, &Metadata::new());
        }
        self.wire.send_data(key, messages, false);
    }

    /// Client: no message will follow.
    pub fn half_close(&mut self, key: CallKey) {
        self.wire.send_data(key, Bytes::new(), true);
    }

    /// Client: nobody wants the answer any more. No event follows.
    pub fn cancel(&mut self, key: CallKey) {
        if self.remove(key).is_some() {
            self.wire.reset(key, grpc::CANCEL);
        }
    }

    /// Server: ends a call with its one message.
    pub fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        self.start(key, leading);
        self.wire.send_data(key, message, false);
        self.finish(key, &Status::ok(), leading, trailing);
    }

    /// Server: ends a call. `leading` goes out with it when nothing has gone out before.
    pub fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        let Some(call) = self.remove(key) else { return };
        let plain = status.is_ok() && trailing.is_empty();
        if call.phase == Phase::ExpectHead {
            // Trailers-Only: one block says it all.
            let mut extra = grpc::metadata_extra(leading).unwrap_or_default();
            grpc::write_status(&mut extra, status, trailing);
            let head = self.config.templates.head(call.codec, Compression::Identity);
            self.wire.send_headers(key, head, Some(&extra), true);
        } else if plain {
            self.wire.send_headers(key, self.config.templates.trailers_ok(), None, true);
        } else {
            let mut trailers = Headers::new();
            grpc::write_status(&mut trailers, status, trailing);
            self.wire.send_headers(key, self.config.templates.nothing(), Some(&trailers), true);
        }
    }

    /// Server: refuses a call so that the client may make it elsewhere.
    pub fn refuse(&mut self, key: CallKey) {
        if self.remove(key).is_some() {
            self.wire.reset(key, Reason::REFUSED_STREAM);
        }
    }

    /// Server: how the messages of this answer are compressed; to be said before anything is sent.
    pub fn set_compression(&mut self, key: CallKey, compression: Compression) {
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.compression = compression;
        }
    }

    /// A reported message of so many bytes, without its envelope, has been read: the peer may send as much again.
    pub fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        self.consumed_enveloped(key, message_bytes + ENVELOPE_BYTES);
    }

    /// As [`consumed`](Self::consumed), for bytes that were counted with their envelopes.
    pub fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.unconsumed_bytes = call.unconsumed_bytes.saturating_sub(bytes);
            release(&mut self.wire, key, call);
        }
    }

    /// Lets calls in progress finish and accepts no new ones.
    pub fn drain(&mut self, now: Instant, debug: &'static str) {
        self.now = now;
        self.wire.drain(now, debug);
    }

    /// Ends the connection at once.
    pub fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.now = now;
        self.wire.close(now, reason, debug);
    }

    /// Bytes given to [`send`](Self::send) that have not gone into a transmit.
    pub fn queued_bytes(&self, key: CallKey) -> usize {
        self.wire.queued_bytes(key)
    }

    /// Whether the peer allows another call now.
    pub fn can_open(&self) -> bool {
        self.wire.can_open()
    }

    /// Whether either side has begun to end the connection.
    pub fn is_draining(&self) -> bool {
        self.wire.is_draining()
    }

    /// How many calls are in progress.
    pub fn calls_open(&self) -> usize {
        self.calls_open
    }

    /// How many calls the peer allows at once.
    pub fn calls_peer_max(&self) -> u32 {
        self.wire.streams_peer_max()
    }

    fn translate(&mut self, event: StreamEvent) -> Option<Event> {
        match event {
            StreamEvent::Headers { key, headers, end } => match self.wire.role() {
                Role::Client => self.read_response_head(key, &headers, end),
                Role::Server => self.read_request_head(key, &headers, end),
            },
            StreamEvent::Data { key, data, end, flow_bytes } => {
                let Some(call) = find_mut(&mut self.calls, key) else {
                    self.wire.release(key, flow_bytes);
                    return None;
                };
                call.unreleased_bytes += flow_bytes as usize;
                call.peer_ended = end;
                self.read_on(Reading { key, data, end })
            }
            StreamEvent::Trailers { key, headers } => {
                let call = find_mut(&mut self.calls, key)?;
                call.peer_ended = true;
                match self.wire.role() {
                    Role::Server => self.half_closed(key),
                    Role::Client => {
                        let (status, trailing) = grpc::parse_trailers(&headers);
                        let status = if status.is_ok() && !call.reader.is_between_messages() {
                            Status::internal("the response ended inside a message")
                        } else {
                            status
                        };
                        Some(self.end(key, status, trailing, false))
                    }
                }
            }
            StreamEvent::Reset { key, reason, by_peer, unprocessed } => {
                let call = self.call(key)?;
                let late = call.deadline.is_some_and(|deadline| deadline <= self.now);
                let mut status = grpc::status_of_reset(reason, by_peer);
                if unprocessed {
                    status = Status::unavailable("the peer did not take the call; it may be made again");
                } else if late && status.code() == polywire_core::Code::Cancelled {
                    status = Status::deadline_exceeded("the deadline passed before the call ended");
                }
                match self.wire.role() {
                    Role::Client => Some(self.end(key, status, Metadata::new(), unprocessed)),
                    Role::Server => {
                        self.remove(key);
                        Some(Event::Cancelled { key, status })
                    }
                }
            }
            StreamEvent::Writable { key } => Some(Event::Writable { key }),
            StreamEvent::Openable => Some(Event::Openable),
            StreamEvent::Settled => Some(Event::Settled),
            StreamEvent::GoingAway { reason, debug, .. } => Some(Event::GoingAway { debug, reason }),
            StreamEvent::Closed { error } => {
                self.end_all(error.as_ref());
                self.events.push_back(Event::Closed { error });
                None
            }
        }
    }

    fn read_request_head(&mut self, key: CallKey, headers: &Arc<Headers>, end: bool) -> Option<Event> {
        let head = match &self.head_latest {
            Some((latest, head)) if Arc::ptr_eq(latest, headers) => Ok(Arc::clone(head)),
            _ => grpc::parse_request(headers, self.config.accepts).map(|head| {
                let head = Arc::new(head);
                self.head_latest = Some((Arc::clone(headers), Arc::clone(&head)));
                head
            }),
        };
        let mut call = CallState::new(key, self.config.limits.message_bytes_max, None);
        call.peer_ended = end;
        match head {
            Ok(head) => {
                call.codec = head.codec;
                call.peer_compression = head.compression;
                call.deadline = head.timeout.and_then(|timeout| self.now.checked_add(timeout));
                let deadline = call.deadline;
                self.insert(key, call);
                if let Some(deadline) = deadline {
                    self.deadlines_fresh.push((deadline, key));
                }
                Some(Event::Started { key, head, deadline, last: end })
            }
            Err(Refusal::Http { status, text }) => {
                let head_only = headers.find(b":method") == Some(b"HEAD");
                call.phase = Phase::Refused { status, text, head_only };
                self.insert(key, call);
                if end { self.half_closed(key) } else { None }
            }
            Err(Refusal::Status(status)) => {
                self.insert(key, call);
                self.finish(key, &status, &Metadata::new(), &Metadata::new());
                None
            }
        }
    }

    fn read_response_head(&mut self, key: CallKey, headers: &Headers, end: bool) -> Option<Event> {
        let call = find_mut(&mut self.calls, key)?;
        if end {
            call.peer_ended = true;
            let (status, trailing) = grpc::parse_trailers(headers);
            return Some(self.end(key, status, trailing, false));
        }
        match grpc::parse_response(headers) {
            Ok(head) => {
                call.phase = Phase::Answering;
                call.peer_compression = head.compression;
                Some(Event::Headers { key, head: Box::new(head) })
            }
            Err(status) => Some(self.end(key, status, Metadata::new(), false)),
        }
    }

    /// Reports the next message of a chunk, or its end.
    fn read_on(&mut self, reading: Reading) -> Option<Event> {
        let Reading { key, mut data, end } = reading;
        let server = self.wire.role() == Role::Server;
        let call = find_mut(&mut self.calls, key)?;
        if matches!(call.phase, Phase::Refused { .. }) {
            let seen = call.unconsumed_bytes + data.len();
            call.unconsumed_bytes = seen;
            self.wire.release(key, std::mem::take(&mut call.unreleased_bytes) as u32);
            return if end || seen > REFUSED_BYTES_MAX { self.half_closed(key) } else { None };
        }
        if call.phase == Phase::ExpectHead && !server {
            return self.fail_inside(key, Status::internal("the server sent a message before its headers"));
        }
        let gathered_before = call.reader.gathered_bytes();
        let read = call.reader.next(&mut data);
        self.gathered_bytes = self.gathered_bytes + call.reader.gathered_bytes() - gathered_before;
        match read {
            Ok(Some(Envelope { bytes, compressed })) => {
                if compressed && call.peer_compression == Compression::Identity {
                    let status =
                        Status::internal("a message is marked as compressed, but grpc-encoding names no compression");
                    return self.fail_inside(key, status);
                }
                let compression = if compressed { call.peer_compression } else { Compression::Identity };
                call.unconsumed_bytes += bytes.len() + ENVELOPE_BYTES;
                let last = end && data.is_empty();
                if !data.is_empty() || (end && !server) {
                    self.reading = Some(Reading { key, data, end });
                }
                Some(Event::Message { key, message: Message { bytes, compression }, last: last && server })
            }
            Ok(None) => {
                // What belongs to an incomplete message must not stall its stream. It is bounded by the message limit, and
                // over all calls by a limit of its own.
                let limits = &self.config.limits;
                if self.gathered_bytes > limits.gathered_bytes_max.max(limits.message_bytes_max) {
                    let status = "too many messages of this connection have come in part only (gathered_bytes_max)";
                    return self.fail_inside(key, Status::resource_exhausted(status));
                }
                release(&mut self.wire, key, call);
                if !end {
                    return None;
                }
                if !call.reader.is_between_messages() {
                    return self.fail_inside(key, Status::internal("the stream ended inside a message"));
                }
                if server {
                    return self.half_closed(key);
                }
                self.fail_inside(key, Status::internal("the server ended the stream without trailers"))
            }
            Err(error) => self.fail_inside(key, status_of_envelope(error)),
        }
    }

    fn half_closed(&mut self, key: CallKey) -> Option<Event> {
        let Phase::Refused { status, text, head_only } = self.call(key)?.phase else {
            return Some(Event::HalfClosed { key });
        };
        self.remove(key);
        let mut headers = Headers::new();
        headers.push(b":status", status.to_string().as_bytes());
        headers.push(b"content-type", b"text/plain; charset=utf-8");
        headers.push(b"content-length", text.len().to_string().as_bytes());
        if status == 405 {
            headers.push(b"allow", b"POST");
        }
        self.wire.send_headers(key, self.config.templates.nothing(), Some(&headers), head_only);
        if !head_only {
            self.wire.send_data(key, Bytes::from_static(text.as_bytes()), true);
        }
        None
    }

    /// Ends a call from this side and puts the event behind those that wait.
    fn fail(&mut self, key: CallKey, status: Status) {
        if let Some(event) = self.fail_inside(key, status) {
            self.events.push_back(event);
        }
    }

    fn fail_inside(&mut self, key: CallKey, status: Status) -> Option<Event> {
        match self.wire.role() {
            Role::Client => {
                self.call(key)?;
                self.wire.reset(key, grpc::CANCEL);
                Some(self.end(key, status, Metadata::new(), false))
            }
            Role::Server => {
                self.call(key)?;
                self.finish(key, &status, &Metadata::new(), &Metadata::new());
                Some(Event::Cancelled { key, status })
            }
        }
    }

    /// Client: the call is over; what it still wanted to send is dropped.
    fn end(&mut self, key: CallKey, status: Status, trailing: Metadata, unprocessed: bool) -> Event {
        let late = self.remove(key).and_then(|call| call.deadline).is_some_and(|deadline| deadline <= self.now);
        self.wire.reset(key, Reason::NO_ERROR);
        if late && status.code() == polywire_core::Code::Cancelled {
            let status = Status::deadline_exceeded("the deadline passed before the call ended");
            return Event::Ended { key, status, trailing: Metadata::new(), unprocessed };
        }
        Event::Ended { key, status, trailing, unprocessed }
    }

    fn end_all(&mut self, error: Option<&ConnectionError>) {
        let text =
            error.map_or_else(|| "the connection was closed".to_owned(), |e| format!("the connection ended: {e}"));
        for index in 0..self.calls.len() {
            let Some(key) = self.calls[index].as_ref().map(|call| call.key) else { continue };
            let status = Status::unavailable(text.clone());
            self.remove(key);
            self.events.push_back(match self.wire.role() {
                Role::Client => Event::Ended { key, status, trailing: Metadata::new(), unprocessed: false },
                Role::Server => Event::Cancelled { key, status },
            });
        }
    }

    fn insert(&mut self, key: CallKey, call: CallState) {
        let index = key.index();
        if index >= self.calls.len() {
            self.calls.resize_with(index + 1, || None);
        }
        if self.calls[index].replace(call).is_none() {
            self.calls_open += 1;
        }
    }

    fn remove(&mut self, key: CallKey) -> Option<CallState> {
        self.call(key)?;
        self.calls_open -= 1;
        let call = self.calls[key.index()].take()?;
        self.gathered_bytes -= call.reader.gathered_bytes();
        if call.unreleased_bytes > 0 {
            self.wire.release(key, call.unreleased_bytes as u32);
        }
        Some(call)
    }

    fn call(&self, key: CallKey) -> Option<&CallState> {
        find(&self.calls, key)
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let event = match self.reading.take() {
                Some(reading) => self.read_on(reading),
                None => {
                    let event = self.wire.poll_event()?;
                    self.translate(event)
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        if self.wire.poll_transmit(now, out) {
            return true;
        }
        // All that could end at once has ended; what is left needs its timer.
        for (deadline, key) in self.deadlines_fresh.drain(..) {
            if find(&self.calls, key).is_some() {
                self.deadlines.push(deadline, key);
            }
        }
        let calls = &self.calls;
        self.deadlines.prune(self.calls_open, |key| find(calls, key).is_some());
        false
    }

    fn poll_timeout(&self) -> Option<Instant> {
        earlier(self.wire.poll_timeout(), self.deadlines.first())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.wire.handle_timeout(now);
        while let Some(key) = self.deadlines.pop_due(now) {
            if self.call(key).is_some_and(|call| call.deadline.is_some_and(|deadline| deadline <= now)) {
                self.fail(key, Status::deadline_exceeded("the deadline passed before the call ended"));
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.wire.is_closed()
    }
}

/// A call to be opened.
#[derive(Debug)]
pub struct OpenCall<'a> {
    /// What it has in common with the other calls of its method.
    pub template: &'a RequestTemplate,
    /// Its metadata.
    pub metadata: &'a Metadata,
    /// When nobody waits any more.
    pub deadline: Option<Instant>,
    /// A message in its envelope that goes out at once.
    pub message: Option<Bytes>,
    /// Nothing follows.
    pub last: bool,
}

impl CallState {
    fn new(key: CallKey, message_bytes_max: usize, deadline: Option<Instant>) -> Self {
        Self {
            key,
            phase: Phase::ExpectHead,
            peer_ended: false,
            codec: Codec::Proto,
            compression: Compression::Identity,
            peer_compression: Compression::Identity,
            reader: Reader::new(message_bytes_max),
            deadline,
            unreleased_bytes: 0,
            unconsumed_bytes: 0,
        }
    }
}

fn find(calls: &[Option<CallState>], key: CallKey) -> Option<&CallState> {
    calls.get(key.index())?.as_ref().filter(|call| call.key == key)
}

fn find_mut(calls: &mut [Option<CallState>], key: CallKey) -> Option<&mut CallState> {
    calls.get_mut(key.index())?.as_mut().filter(|call| call.key == key)
}

/// Gives the peer window back for all that is not waiting to be read.
fn release(wire: &mut http2::Connection, key: CallKey, call: &mut CallState) {
    let bytes = call.unreleased_bytes.saturating_sub(call.unconsumed_bytes);
    if bytes > 0 {
        call.unreleased_bytes -= bytes;
        wire.release(key, bytes as u32);
    }
}

fn status_of_envelope(error: EnvelopeError) -> Status {
    match error {
        EnvelopeError::TooLarge { announced, limit } => Status::resource_exhausted(format!(
            "a message of {announced} bytes was announced; the limit is {limit} (message_bytes_max)"
        )),
        EnvelopeError::UnknownFlags(flags) => {
            Status::internal(format!("a message has the undefined flags {flags:#04x} in its envelope"))
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
