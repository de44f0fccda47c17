//! A connection in terms of calls: a wire and the protocols on its streams, without I/O.
//!
//! The contract is that of every [`Machine`]: after each input or command, [`drain`](crate::drain::drain) it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Compression, CompressionSet, Message, Metadata, RequestHead, Status};

use crate::{
    drain::Machine,
    http::{Http, HttpWire},
    limits::Limits,
    protocol::{RequestTemplate, ResponseHead, Templates},
    transmit::Transmit,
    wire::{ConnectionError, Headers, OpenError, Reason, Role, StreamKey, http2},
};

/// Names a call on its connection. It is the stream's key: an index that is reused and an id that is not.
pub type CallKey = StreamKey;

/// Undoes a compression; the result may have at most so many bytes.
pub type Decompress = fn(Compression, &Bytes, usize) -> Result<Bytes, Status>;

/// What all connections of a server or a channel have in common.
#[derive(Debug)]
pub struct Config {
    limits: Arc<Limits>,
    accepts: CompressionSet,
    templates: Templates,
    decompress: Option<Decompress>,
}

impl Config {
    /// Puts limits and the compressions that are accepted together. The engine itself cannot undo a compression, which some
    /// protocols need for a status.
    pub fn new(limits: Limits, accepts: CompressionSet) -> Arc<Self> {
        Arc::new(Self::build(limits, accepts, None))
    }

    /// As [`new`](Self::new), with a way to undo compressions.
    pub fn with_decompress(limits: Limits, accepts: CompressionSet, decompress: Decompress) -> Arc<Self> {
        Arc::new(Self::build(limits, accepts, Some(decompress)))
    }

    fn build(limits: Limits, accepts: CompressionSet, decompress: Option<Decompress>) -> Self {
        Self { limits: Arc::new(limits), accepts, templates: Templates::new(accepts), decompress }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The compressions that are accepted from the peer.
    pub fn accepts(&self) -> CompressionSet {
        self.accepts
    }

    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    pub(crate) fn shared_limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// A message of the protocol itself without its compression.
    pub(crate) fn decompress(&self, compression: Compression, bytes: &Bytes) -> Result<Bytes, Status> {
        match self.decompress {
            Some(decompress) => decompress(compression, bytes, self.limits.message_bytes_max),
            None => Err(Status::internal(format!("{compression} cannot be undone here"))),
        }
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
    /// Server: an ordinary HTTP request, which is no call. Its body comes as one message. Say [`Connection::answer`].
    Request {
        /// Which stream.
        key: CallKey,
        /// Its headers, pseudo headers first.
        headers: Arc<Headers>,
        /// The request has no body.
        last: bool,
    },
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
    kind: Kind,
}

/// What is spoken on it.
#[derive(Debug)]
enum Kind {
    Http(Http),
}

/// The same command or question for whatever is spoken.
macro_rules! each {
    ($connection:expr, $it:ident => $what:expr) => {
        match &mut $connection.kind {
            Kind::Http($it) => $what,
        }
    };
    (ref $connection:expr, $it:ident => $what:expr) => {
        match &$connection.kind {
            Kind::Http($it) => $what,
        }
    };
}

impl Connection {
    /// A new connection over HTTP/2. `seed` only spreads timers, so that connections opened together do not end together.
    pub fn new(role: Role, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let wire = HttpWire::Http2(http2::Connection::new(role, config.shared_limits(), now, seed));
        Self { kind: Kind::Http(Http::new(wire, config, now)) }
    }

    /// Bytes have come from the peer.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        each!(self, it => it.handle_bytes(now, bytes));
    }

    /// The transport took a part of a transmit: the peer is slow, not dead.
    pub fn handle_progress(&mut self, now: Instant) {
        each!(self, it => it.handle_progress(now));
    }

    /// The peer will send nothing more, or the transport has failed.
    pub fn handle_eof(&mut self, now: Instant) {
        each!(self, it => it.handle_eof(now));
    }

    /// Client: begins a call. With `message`, an enveloped message goes out at once; with `last` it is the only one.
    ///
    /// # Errors
    /// When the connection takes no new call now.
    pub fn open(&mut self, now: Instant, request: OpenCall<'_>) -> Result<CallKey, OpenError> {
        each!(self, it => it.open(now, request))
    }

    /// Server: sends the leading metadata, unless headers have gone out already.
    pub fn start(&mut self, key: CallKey, leading: &Metadata) {
        each!(self, it => it.start(key, leading));
    }

    /// Sends enveloped messages.
    pub fn send(&mut self, key: CallKey, messages: Bytes) {
        each!(self, it => it.send(key, messages));
    }

    /// Client: no message will follow.
    pub fn half_close(&mut self, key: CallKey) {
        each!(self, it => it.half_close(key));
    }

    /// Client: nobody wants the answer any more. No event follows.
    pub fn cancel(&mut self, key: CallKey) {
        each!(self, it => it.cancel(key));
    }

    /// Server: ends a call with its one message.
    pub fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        each!(self, it => it.respond(key, leading, message, trailing));
    }

    /// Server: ends a call. `leading` goes out with it when nothing has gone out before.
    pub fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        each!(self, it => it.finish(key, status, leading, trailing));
    }

    /// Server: refuses a call so that the client may make it elsewhere.
    pub fn refuse(&mut self, key: CallKey) {
        each!(self, it => it.refuse(key));
    }

    /// Server: answers an ordinary HTTP request, or a call that HTTP alone refuses, once the request has ended. `fields` are
    /// regular fields only; the length of the body is added.
    pub fn answer(&mut self, key: CallKey, status: u16, fields: &Headers, body: Bytes) {
        each!(self, it => it.answer(key, status, fields, body));
    }

    /// Server: how the messages of this answer are compressed; to be said before anything is sent.
    pub fn set_compression(&mut self, key: CallKey, compression: Compression) {
        each!(self, it => it.set_compression(key, compression));
    }

    /// A reported message of so many bytes, without its envelope, has been read: the peer may send as much again.
    pub fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        each!(self, it => it.consumed(key, message_bytes));
    }

    /// As [`consumed`](Self::consumed), for bytes that were counted with their envelopes.
    pub fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        each!(self, it => it.consumed_enveloped(key, bytes));
    }

    /// Lets calls in progress finish and accepts no new ones.
    pub fn drain(&mut self, now: Instant, debug: &'static str) {
        each!(self, it => it.drain(now, debug));
    }

    /// Ends the connection at once.
    pub fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        each!(self, it => it.close(now, reason, debug));
    }

    /// Bytes given to [`send`](Self::send) that have not gone into a transmit.
    pub fn queued_bytes(&self, key: CallKey) -> usize {
        each!(ref self, it => it.queued_bytes(key))
    }

    /// Whether the peer allows another call now.
    pub fn can_open(&self) -> bool {
        each!(ref self, it => it.can_open())
    }

    /// Whether either side has begun to end the connection.
    pub fn is_draining(&self) -> bool {
        each!(ref self, it => it.is_draining())
    }

    /// How many calls are in progress.
    pub fn calls_open(&self) -> usize {
        each!(ref self, it => it.calls_open())
    }

    /// How many calls the peer allows at once.
    pub fn calls_peer_max(&self) -> u32 {
        each!(ref self, it => it.calls_peer_max())
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        each!(self, it => it.poll_event())
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        each!(self, it => it.poll_transmit(now, out))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        each!(ref self, it => it.poll_timeout())
    }

    fn handle_timeout(&mut self, now: Instant) {
        each!(self, it => it.handle_timeout(now));
    }

    fn is_closed(&self) -> bool {
        each!(ref self, it => it.is_closed())
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

/// The earlier of two moments that need not be.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
