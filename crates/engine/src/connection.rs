//! A connection in terms of calls: a wire and the protocols on its streams, without I/O.
//!
//! The contract is that of every [`Machine`]: after each input or command, [`drain`](crate::drain::drain) it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Compression, CompressionSet, Message, Metadata, Protocol, RequestHead, Status, Wire};

use crate::{
    begin::{Beginning, Detecting, Upgrading},
    drain::Machine,
    http::{Http, HttpWire},
    limits::Limits,
    protocol::{
        RequestTemplate, ResponseHead, Templates,
        cors::CorsPolicy,
        rest::{DetailJson, ReadDetail, Routes},
    },
    transmit::Transmit,
    wire::{
        ConnectionError, Headers, OpenError, Reason, Role, StreamKey, http1, http2, native, single,
        websocket::{
            self, Begin, MessageCompression, Subprotocol,
            handshake::{Policy, Request},
        },
    },
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
    parts: ConfigParts,
}

/// What a connection is given from above.
#[derive(Debug, Default)]
pub struct ConfigParts {
    /// Undoes compressions: the engine itself cannot, and some protocols compress what ends a call.
    pub decompress: Option<Decompress>,
    /// Writes a detail of a status as JSON, for REST.
    pub detail_json: Option<DetailJson>,
    /// Reads such a detail.
    pub read_detail: Option<ReadDetail>,
    /// Which methods are reached as REST.
    pub routes: Option<Routes>,
    /// Server: protocols that are not spoken.
    pub without_protocols: Vec<Protocol>,
    /// Server: wires that are not spoken.
    pub without_wires: Vec<Wire>,
    /// Which pages of other origins may call.
    pub cors: CorsPolicy,
    /// Who may open a WebSocket, and what it may be.
    pub websocket: Policy,
    /// Compresses messages of a WebSocket. Without it they are not compressed, whatever `websocket` says.
    pub message_compression: Option<&'static dyn MessageCompression>,
    /// Says the date, for answers over HTTP/1.1: the engine itself has no clock.
    pub date: Option<http1::Date>,
}

impl Config {
    /// Puts limits and the compressions that are accepted together.
    pub fn new(limits: Limits, accepts: CompressionSet) -> Arc<Self> {
        Self::with(limits, accepts, ConfigParts::default())
    }

    /// As [`new`](Self::new), with what comes from above.
    pub fn with(limits: Limits, accepts: CompressionSet, mut parts: ConfigParts) -> Arc<Self> {
        parts.websocket.deflate &= parts.message_compression.is_some();
        Arc::new(Self { limits: Arc::new(limits), accepts, templates: Templates::new(accepts), parts })
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The limits, for machines that keep them.
    pub(crate) fn shared_limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The compressions that are accepted from the peer.
    pub fn accepts(&self) -> CompressionSet {
        self.accepts
    }

    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    pub(crate) fn routes(&self) -> Option<&Routes> {
        self.parts.routes.as_ref().filter(|routes| !routes.is_empty())
    }

    /// Server: what every connection begins with, if there is no choice.
    fn only_beginning(&self) -> Option<Beginning> {
        let mut spoken = Beginning::ALL.into_iter().filter(|beginning| self.speaks_wire(beginning.wire()));
        spoken.next().filter(|_| spoken.next().is_none())
    }

    /// Server: whether a wire is spoken.
    pub(crate) fn speaks_wire(&self, wire: Wire) -> bool {
        !self.parts.without_wires.contains(&wire)
    }

    /// Server: whether a protocol is spoken.
    pub(crate) fn speaks_protocol(&self, protocol: Protocol) -> bool {
        !self.parts.without_protocols.contains(&protocol)
    }

    pub(crate) fn cors(&self) -> &CorsPolicy {
        &self.parts.cors
    }

    pub(crate) fn websocket(&self) -> &Policy {
        &self.parts.websocket
    }

    pub(crate) fn message_compression(&self) -> Option<&'static dyn MessageCompression> {
        self.parts.message_compression
    }

    pub(crate) fn detail_json(&self) -> Option<DetailJson> {
        self.parts.detail_json
    }

    pub(crate) fn read_detail(&self) -> Option<ReadDetail> {
        self.parts.read_detail
    }

    /// A message of the protocol itself without its compression.
    pub(crate) fn decompress(&self, compression: Compression, bytes: &Bytes) -> Result<Bytes, Status> {
        match self.parts.decompress {
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
    /// Server: a stream is to go on as a WebSocket (RFC 8441). [`Connection::start`] agrees; [`Connection::finish`] instead of it
    /// refuses with 503. Its bytes come as messages and go out by [`Connection::send`].
    Tunnel {
        /// Which stream.
        key: CallKey,
        /// What its handshake said, for [`Connection::websocket`] on a transport of its own.
        begin: Box<Begin>,
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
    config: Arc<Config>,
    seed: u64,
    kind: Kind,
    /// Server: the transport is a private one.
    secure: bool,
    /// What was asked for last, for the machine that takes the place of this one.
    ending: Option<Ending>,
}

/// How a connection was asked to end.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Close(Reason),
    Drain(&'static str),
}

/// What is spoken on it.
#[derive(Debug)]
enum Kind {
    /// Server: the first bytes will tell.
    Detecting(Box<Detecting>),
    Http(Box<Http>),
    Native(Box<native::Connection>),
    /// Client: a WebSocket is being asked for.
    Upgrading(Box<Upgrading>),
    WebSocket(Box<websocket::Connection>),
}

/// Which wire a client speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientWire {
    /// RFC 9112.
    Http1,
    /// RFC 9113.
    Http2,
    /// polywire's own frames.
    Native,
    /// polywire's own frames in WebSocket messages.
    WebSocket {
        /// `http` or `https`.
        scheme: &'static str,
        /// The host that is meant.
        authority: String,
        /// Where the server has it.
        path: String,
        /// To be drawn anew for each connection (RFC 6455 §4.1).
        nonce: [u8; 16],
    },
}

/// The same command or question for whatever is spoken.
macro_rules! each {
    ($connection:expr, $it:ident => $what:expr) => {
        match &mut $connection.kind {
            Kind::Http($it) => $what,
            Kind::Native($it) => $what,
            Kind::Detecting($it) => $what,
            Kind::Upgrading($it) => $what,
            Kind::WebSocket($it) => $what,
        }
    };
    (ref $connection:expr, $it:ident => $what:expr) => {
        match &$connection.kind {
            Kind::Http($it) => $what,
            Kind::Native($it) => $what,
            Kind::Detecting($it) => $what,
            Kind::Upgrading($it) => $what,
            Kind::WebSocket($it) => $what,
        }
    };
}

/// The same command where calls can be; before that there are none.
macro_rules! calls {
    ($connection:expr, $it:ident => $what:expr) => {
        match &mut $connection.kind {
            Kind::Http($it) => $what,
            Kind::Native($it) => $what,
            Kind::WebSocket($it) => $what,
            Kind::Detecting(_) | Kind::Upgrading(_) => {}
        }
    };
}

impl Kind {
    /// What a server goes on with, once it is known what is spoken.
    fn served(beginning: Beginning, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let (role, limits) = (Role::Server, config.shared_limits());
        let wire = match beginning {
            Beginning::Http1 => {
                let mut wire = http1::Connection::new(role, limits, now, seed);
                if let Some(date) = config.parts.date {
                    wire.set_date(date);
                }
                HttpWire::Http1(Box::new(wire))
            }
            Beginning::Http2 => HttpWire::Http2(http2::Connection::new(role, limits, now, seed)),
            Beginning::Native => {
                return Self::Native(Box::new(native::Connection::new(role, config, now, seed)));
            }
        };
        Self::Http(Box::new(Http::new(wire, config, now)))
    }
}

impl Connection {
    /// A new connection over HTTP/2. `seed` only spreads timers, so that connections opened together do not end together.
    pub fn new(role: Role, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let wire = HttpWire::Http2(http2::Connection::new(role, config.shared_limits(), now, seed));
        Self {
            config: Arc::clone(config),
            seed,
            kind: Kind::Http(Box::new(Http::new(wire, config, now))),
            secure: false,
            ending: None,
        }
    }

    /// Server: a connection that speaks what TLS has agreed on by ALPN. Without that, or if that wire is off, its first bytes tell, unless only one wire
    /// is on.
    pub fn accept(agreed: Option<Beginning>, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let agreed = agreed.filter(|beginning| config.speaks_wire(beginning.wire()));
        let kind = match agreed.or_else(|| config.only_beginning()) {
            Some(beginning) => Kind::served(beginning, config, now, seed),
            None => Kind::Detecting(Box::new(Detecting::new(config, now))),
        };
        Self { config: Arc::clone(config), seed, kind, secure: false, ending: None }
    }

    /// Client: a connection that speaks a wire. For a WebSocket the seed must be hard to guess: the masks follow from it.
    pub fn connect(wire: &ClientWire, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let (role, limits) = (Role::Client, config.shared_limits());
        let kind = match wire {
            ClientWire::Http1 => {
                let wire = HttpWire::Http1(Box::new(http1::Connection::new(role, limits, now, seed)));
                Kind::Http(Box::new(Http::new(wire, config, now)))
            }
            ClientWire::Http2 => return Self::new(role, config, now, seed),
            ClientWire::Native => Kind::Native(Box::new(native::Connection::new(role, config, now, seed))),
            ClientWire::WebSocket { scheme, authority, path, nonce } => {
                let mut request = Request::http1(scheme, authority, path, Some(Subprotocol::Native), *nonce);
                if config.websocket().deflate {
                    request = request.offering_deflate();
                }
                Kind::Upgrading(Box::new(Upgrading::new(request, limits, now, seed)))
            }
        };
        Self { config: Arc::clone(config), seed, kind, secure: false, ending: None }
    }

    /// Server: a WebSocket behind its handshake, on a transport of its own.
    pub fn websocket(begin: Begin, config: &Arc<Config>, now: Instant, seed: u64) -> Self {
        let websocket = websocket::Connection::new(Role::Server, config, begin, now, seed);
        Self {
            config: Arc::clone(config),
            seed,
            kind: Kind::WebSocket(Box::new(websocket)),
            secure: false,
            ending: None,
        }
    }

    /// Server: one request that came by a connection of somebody else's. Its body is handed in by
    /// [`handle_bytes`](Self::handle_bytes) and [`handle_end`](Self::handle_end), its answer is taken by
    /// [`take_part`](Self::take_part). The headers have pseudo headers first and none that concern the connection.
    pub fn single(headers: Headers, end: bool, wire: Wire, config: &Arc<Config>, now: Instant) -> Self {
        let single = single::Connection::new(headers, end, wire, config.shared_limits());
        let http = Http::new(HttpWire::Single(Box::new(single)), config, now);
        Self { config: Arc::clone(config), seed: 0, kind: Kind::Http(Box::new(http)), secure: false, ending: None }
    }

    /// A [`single`](Self::single) request: its body is complete.
    pub fn handle_end(&mut self, now: Instant) {
        if let Kind::Http(http) = &mut self.kind {
            http.handle_end(now);
        }
    }

    /// A [`single`](Self::single) request: whether there is a piece of its answer.
    pub fn has_part(&self) -> bool {
        matches!(&self.kind, Kind::Http(http) if http.has_part())
    }

    /// A [`single`](Self::single) request: the next piece of its answer. Taking it may have made room, which is an event.
    pub fn take_part(&mut self) -> Option<single::Part> {
        match &mut self.kind {
            Kind::Http(http) => http.take_part(),
            _ => None,
        }
    }

    /// Server: the transport is a private one (TLS): what does not say its scheme is `https`. To be said before any bytes.
    pub fn set_secure(&mut self) {
        self.secure = true;
        if let Kind::Http(http) = &mut self.kind {
            http.set_secure();
        }
    }

    /// What the first bytes have said.
    fn detected(&mut self, now: Instant) {
        let Kind::Detecting(detecting) = &mut self.kind else { return };
        let Some((beginning, bytes)) = detecting.take() else { return };
        self.kind = Kind::served(beginning, &self.config, now, self.seed);
        if self.secure {
            self.set_secure();
        }
        self.handle_bytes(now, bytes);
    }

    /// Goes on as a WebSocket if the handshake is over.
    fn upgraded(&mut self, now: Instant) {
        let (role, begin) = match &mut self.kind {
            Kind::Http(http) => (Role::Server, http.take_begin()),
            Kind::Upgrading(upgrading) => (Role::Client, upgrading.take_begin()),
            _ => return,
        };
        if let Some(begin) = begin {
            let websocket = websocket::Connection::new(role, &self.config, begin, now, self.seed);
            self.kind = Kind::WebSocket(Box::new(websocket));
            match self.ending {
                None => {}
                Some(Ending::Close(reason)) => self.close(now, reason, ""),
                Some(Ending::Drain(debug)) => self.drain(now, debug),
            }
        }
    }

    /// Whether the driver should read. False while a consumer has not released what it was given and the wire has no other
    /// way to say so to the peer. A driver looks before each read.
    pub fn wants_bytes(&self) -> bool {
        match &self.kind {
            Kind::Http(http) => http.wants_bytes(),
            _ => true,
        }
    }

    /// Bytes have come from the peer.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        each!(self, it => it.handle_bytes(now, bytes));
        self.detected(now);
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
        match &mut self.kind {
            Kind::Http(it) => it.open(now, request),
            Kind::Native(it) => it.open(now, request),
            Kind::WebSocket(it) => it.open(now, request),
            Kind::Detecting(_) | Kind::Upgrading(_) => Err(OpenError::Full),
        }
    }

    /// Server: sends the leading metadata, unless headers have gone out already. Agrees to a [`Event::Tunnel`].
    pub fn start(&mut self, key: CallKey, leading: &Metadata) {
        calls!(self, it => it.start(key, leading));
    }

    /// Sends enveloped messages.
    pub fn send(&mut self, key: CallKey, messages: Bytes) {
        calls!(self, it => it.send(key, messages));
    }

    /// Client: no message will follow.
    pub fn half_close(&mut self, key: CallKey) {
        calls!(self, it => it.half_close(key));
    }

    /// Client: nobody wants the answer any more. No event follows.
    pub fn cancel(&mut self, key: CallKey) {
        calls!(self, it => it.cancel(key));
    }

    /// Server: ends a call with its one message.
    pub fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        calls!(self, it => it.respond(key, leading, message, trailing));
    }

    /// Server: ends a call. `leading` goes out with it when nothing has gone out before.
    pub fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        calls!(self, it => it.finish(key, status, leading, trailing));
    }

    /// Server: ends a call at whose path nobody answers.
    pub fn finish_unknown(&mut self, key: CallKey, status: &Status) {
        if let Kind::Http(http) = &mut self.kind {
            http.note_unknown_path(key);
        }
        self.finish(key, status, &Metadata::new(), &Metadata::new());
    }

    /// Server: refuses a call so that the client may make it elsewhere.
    pub fn refuse(&mut self, key: CallKey) {
        calls!(self, it => it.refuse(key));
    }

    /// Server: answers an ordinary HTTP request, or a call that HTTP alone refuses, once the request has ended. `fields` are
    /// regular fields only; the length of the body is added.
    pub fn answer(&mut self, key: CallKey, status: u16, fields: &Headers, body: Bytes) {
        if let Kind::Http(http) = &mut self.kind {
            http.answer(key, status, fields, body);
        }
    }

    /// Server: how the messages of this answer are compressed; to be said before anything is sent.
    pub fn set_compression(&mut self, key: CallKey, compression: Compression) {
        calls!(self, it => it.set_compression(key, compression));
    }

    /// A reported message of so many bytes, without its envelope, has been read: the peer may send as much again.
    pub fn consumed(&mut self, key: CallKey, message_bytes: usize) {
        calls!(self, it => it.consumed(key, message_bytes));
    }

    /// As [`consumed`](Self::consumed), for bytes that were counted with their envelopes.
    pub fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        calls!(self, it => it.consumed_enveloped(key, bytes));
    }

    /// Lets calls in progress finish and accepts no new ones.
    pub fn drain(&mut self, now: Instant, debug: &'static str) {
        self.ending.get_or_insert(Ending::Drain(debug));
        each!(self, it => it.drain(now, debug));
    }

    /// Ends the connection at once.
    pub fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        self.ending = Some(Ending::Close(reason));
        each!(self, it => it.close(now, reason, debug));
    }

    /// Bytes given to [`send`](Self::send) that have not gone into a transmit.
    pub fn queued_bytes(&self, key: CallKey) -> usize {
        match &self.kind {
            Kind::Http(it) => it.queued_bytes(key),
            Kind::Native(it) => it.queued_bytes(key),
            Kind::WebSocket(it) => it.queued_bytes(key),
            Kind::Detecting(_) | Kind::Upgrading(_) => 0,
        }
    }

    /// Whether the peer allows another call now.
    pub fn can_open(&self) -> bool {
        match &self.kind {
            Kind::Http(it) => it.can_open(),
            Kind::Native(it) => it.can_open(),
            Kind::WebSocket(it) => it.can_open(),
            Kind::Detecting(_) | Kind::Upgrading(_) => false,
        }
    }

    /// Whether either side has begun to end the connection.
    pub fn is_draining(&self) -> bool {
        each!(ref self, it => it.is_draining())
    }

    /// How many calls are in progress.
    pub fn calls_open(&self) -> usize {
        match &self.kind {
            Kind::Http(it) => it.calls_open(),
            Kind::Native(it) => it.calls_open(),
            Kind::WebSocket(it) => it.calls_open(),
            Kind::Detecting(_) | Kind::Upgrading(_) => 0,
        }
    }

    /// How many calls the peer allows at once.
    pub fn calls_peer_max(&self) -> u32 {
        match &self.kind {
            Kind::Http(it) => it.calls_peer_max(),
            Kind::Native(it) => it.calls_peer_max(),
            Kind::WebSocket(it) => it.calls_peer_max(),
            Kind::Detecting(_) | Kind::Upgrading(_) => 0,
        }
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        let event = each!(self, it => it.poll_event());
        if event.is_none()
            && let Kind::Upgrading(upgrading) = &self.kind
            && upgrading.is_answered()
        {
            let now = upgrading.now();
            self.upgraded(now);
            return each!(self, it => it.poll_event());
        }
        event
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        let any = each!(self, it => it.poll_transmit(now, out));
        if any {
            self.upgraded(now);
        }
        any
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
