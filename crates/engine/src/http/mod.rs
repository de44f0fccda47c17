//! Calls over a wire that carries HTTP, whichever protocol writes them.
//!
//! | file | idea |
//! |---|---|
//! | `server` | requests become calls; answers of every protocol |
//! | `client` | calls become requests; responses of every protocol |
//! | `receive` | bodies become messages |
//! | `wire` | HTTP/1.1, HTTP/2 and single requests behind the same words |

mod client;
mod receive;
mod server;
mod wire;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Codec, Compression, ENVELOPE_BYTES, HttpRule, Metadata, RequestHead, Status};

pub(crate) use self::wire::HttpWire;
use crate::{
    connection::{CallKey, Config, Event, earlier},
    deadlines::Deadlines,
    drain::Machine,
    protocol::{Form, ResponseHead, body::Body, grpc, grpc_web, rest},
    transmit::Transmit,
    wire::{ConnectionError, Headers, Reason, Role, StreamEvent, single, websocket::Begin},
};

/// The calls of one connection whose wire carries HTTP, client or server.
#[derive(Debug)]
pub(crate) struct Http {
    wire: HttpWire,
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
    /// The head of the latest request, for requests with the same headers.
    head_latest: Option<(Arc<Headers>, Form, Arc<RequestHead>)>,
    /// Server: requests of pages of other origins whose answers have not begun.
    cross_origin: Vec<(CallKey, Arc<Headers>)>,
    /// Server, HTTP/1.1: a WebSocket begins as soon as the answer to its request has gone out.
    begins: Option<Box<Begin>>,
}

#[derive(Debug)]
struct CallState {
    key: CallKey,
    form: Form,
    phase: Phase,
    peer_ended: bool,
    /// Server: an ordinary request by HEAD.
    head_only: bool,
    codec: Codec,
    /// How compressed messages of this side are compressed.
    compression: Compression,
    /// How compressed messages of the peer are compressed.
    peer_compression: Compression,
    body: Body,
    deadline: Option<Instant>,
    /// Received bytes for which the peer has not been given window back.
    unreleased_bytes: usize,
    /// Bytes of messages that have been reported and not been consumed.
    unconsumed_bytes: usize,
    /// REST: how the request is read and the answer written.
    rest: Option<Box<Rest>>,
    /// What few calls need.
    rare: Option<Box<Rare>>,
}

/// A call by REST.
#[derive(Debug)]
struct Rest {
    request: rest::Request,
    answer: rest::Answer,
}

/// What few calls need.
#[derive(Debug, Default)]
struct Rare {
    /// Server: an ordinary HTTP answer that is due when the request has ended.
    answer: Option<(Headers, Bytes)>,
    /// Client: trailing metadata that came before the body of a unary response of Connect.
    trailing: Metadata,
    /// Client: the body is an error; this holds where the body says nothing.
    error: Option<Status>,
    /// Client: the headers of gRPC-Web say how the call ended, which holds unless a body follows.
    trailers_only: Option<(ResponseHead, Status, Metadata)>,
    /// Client: an answer by REST.
    rest: Option<RestAnswer>,
    /// Server: nobody answers at this path.
    unknown_path: bool,
}

/// Client: what an answer by REST is read by.
#[derive(Debug)]
struct RestAnswer {
    rule: &'static HttpRule,
    streams: bool,
    http_status: u16,
    content_type: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The headers of the answer are still to come (client) or to be sent (server).
    ExpectHead,
    /// The answer has begun.
    Answering,
    /// Server: the answer stands in [`Rare`] and waits for the end of the request.
    Answered,
}

#[derive(Debug)]
struct Reading {
    key: CallKey,
    data: Bytes,
    end: bool,
}

impl Http {
    /// Calls over a wire.
    pub(crate) fn new(wire: HttpWire, config: &Arc<Config>, now: Instant) -> Self {
        Self {
            wire,
            config: Arc::clone(config),
            now,
            calls: Vec::new(),
            calls_open: 0,
            gathered_bytes: 0,
            reading: None,
            events: VecDeque::new(),
            deadlines: Deadlines::default(),
            head_latest: None,
            cross_origin: Vec::new(),
            begins: None,
        }
    }

    pub(crate) fn set_secure(&mut self) {
        self.wire.set_secure();
    }

    pub(crate) fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        self.now = now;
        self.wire.handle_bytes(now, bytes);
    }

    pub(crate) fn handle_progress(&mut self, now: Instant) {
        self.wire.handle_progress(now);
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        self.wire.handle_eof(now);
    }

    /// Sends enveloped messages.
    pub(crate) fn send(&mut self, key: CallKey, messages: Bytes) {
        if self.wire.role() == Role::Server {
            self.start(key, &Metadata::new());
        }
        let Some(call) = find(&self.calls, key) else { return };
        let body = match call.form {
            Form::Grpc | Form::GrpcWeb | Form::ConnectStreaming => messages,
            Form::Rest if self.wire.role() == Role::Client => return self.send_lines(key, messages),
            Form::Rest => return self.send_rest(key, messages),
            form => written(form, messages),
        };
        self.wire.send_data(key, body, false);
    }

    pub(crate) fn set_compression(&mut self, key: CallKey, compression: Compression) {
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.compression = compression;
        }
    }

    pub(crate) fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        self.consumed_enveloped(key, message_bytes + ENVELOPE_BYTES);
    }

    pub(crate) fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.unconsumed_bytes = call.unconsumed_bytes.saturating_sub(bytes);
            release(&mut self.wire, key, call);
        }
    }

    pub(crate) fn drain(&mut self, now: Instant, debug: &'static str) {
        self.now = now;
        self.wire.drain(now, debug);
    }

    pub(crate) fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.now = now;
        self.wire.close(now, reason, debug);
    }

    pub(crate) fn queued_bytes(&self, key: CallKey) -> usize {
        self.wire.queued_bytes(key)
    }

    pub(crate) fn can_open(&self) -> bool {
        self.wire.can_open()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.wire.is_draining()
    }

    pub(crate) fn calls_open(&self) -> usize {
        self.calls_open
    }

    pub(crate) fn calls_peer_max(&self) -> u32 {
        self.wire.streams_peer_max()
    }

    pub(crate) fn wants_bytes(&self) -> bool {
        self.wire.wants_bytes()
    }

    pub(crate) fn handle_end(&mut self, now: Instant) {
        self.now = now;
        self.wire.handle_end();
    }

    pub(crate) fn has_part(&self) -> bool {
        self.wire.has_part()
    }

    pub(crate) fn take_part(&mut self) -> Option<single::Part> {
        self.wire.take_part()
    }

    /// What follows when the connection goes on as a WebSocket. Then it is over here.
    pub(crate) fn take_begin(&mut self) -> Option<Begin> {
        self.begins.as_ref()?;
        let leftover = self.wire.take_upgraded()?;
        let begin = self.begins.take()?;
        Some(Begin { leftover, ids_after: self.wire.id_highest(), ..*begin })
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
                let trailers_end_it = self.wire.role() == Role::Client && call.form == Form::Grpc;
                if !trailers_end_it {
                    return self.read_on(Reading { key, data: Bytes::new(), end: true });
                }
                let (status, trailing) = grpc::parse_trailers(&headers, grpc::KIND);
                let status = if status.is_ok() && !call.body.is_between_messages() {
                    Status::internal("the response ended inside a message")
                } else {
                    status
                };
                Some(self.end(key, status, trailing, false))
            }
            StreamEvent::Reset { key, reason, by_peer, unprocessed } => {
                self.cross_origin.retain(|(other, _)| *other != key);
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
        self.gathered_bytes -= call.body.gathered_bytes();
        if call.unreleased_bytes > 0 {
            self.wire.release(key, call.unreleased_bytes as u32);
        }
        Some(call)
    }

    fn call(&self, key: CallKey) -> Option<&CallState> {
        find(&self.calls, key)
    }
}

impl Machine for Http {
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
        let calls = &self.calls;
        self.deadlines.settle(self.calls_open, |key| find(calls, key).is_some());
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

impl CallState {
    fn new(key: CallKey, form: Form, body: Body, deadline: Option<Instant>) -> Self {
        Self {
            key,
            form,
            phase: Phase::ExpectHead,
            peer_ended: false,
            head_only: false,
            codec: Codec::Proto,
            compression: Compression::Identity,
            peer_compression: Compression::Identity,
            body,
            deadline,
            unreleased_bytes: 0,
            unconsumed_bytes: 0,
            rest: None,
            rare: None,
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
fn release(wire: &mut HttpWire, key: CallKey, call: &mut CallState) {
    let bytes = call.unreleased_bytes.saturating_sub(call.unconsumed_bytes);
    if bytes > 0 {
        call.unreleased_bytes -= bytes;
        wire.release(key, bytes as u32);
    }
}

/// Enveloped messages as a form writes them that does not carry envelopes as they are.
fn written(form: Form, messages: Bytes) -> Bytes {
    match form {
        Form::GrpcWebText => grpc_web::to_text(&messages),
        Form::ConnectUnary | Form::Plain | Form::Tunnel => bare(messages),
        Form::ConnectStreaming | Form::Grpc | Form::GrpcWeb | Form::Rest => messages,
    }
}

/// JSON on one line.
fn line(message: &[u8]) -> Bytes {
    // Ends of lines in it can only be space: in texts they are escaped.
    let text = message.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
    text.chain([b'\n']).collect::<Vec<_>>().into()
}

/// The messages without their envelopes.
fn bare(mut messages: Bytes) -> Bytes {
    let mut out = Vec::new();
    while let Some((_, message)) = split_envelope(&mut messages) {
        if out.is_empty() && messages.is_empty() {
            return message;
        }
        out.extend_from_slice(&message);
    }
    out.into()
}

/// Takes the first message out of its envelope; says whether it is compressed.
fn split_envelope(messages: &mut Bytes) -> Option<(bool, Bytes)> {
    let (prefix, _) = messages.split_first_chunk::<ENVELOPE_BYTES>()?;
    let [flags, len @ ..] = *prefix;
    let len = u32::from_be_bytes(len) as usize;
    let mut message = messages.split_to((ENVELOPE_BYTES + len).min(messages.len()));
    Some((flags & 1 != 0, message.split_off(ENVELOPE_BYTES)))
}
