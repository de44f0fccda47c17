//! The channel: a client's lasting relation to a target. It owns connections and gives calls to them.

use std::{
    collections::{HashMap, VecDeque},
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use polywire_core::{
    AnyInterceptor, Codec, Compression, CompressionSet, Idempotency, Interceptor, Method, Protocol, Status, Wire,
};
use polywire_engine::{
    Beginning, ClientWire, Config, ConfigParts, Connection, Limits,
    protocol::{RequestOptions, RequestTemplate},
    wire::websocket::handshake::Policy,
};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
};

use super::{
    backoff::Backoff,
    connection::{ClientCalls, Command, Link, StartCall},
    target::{InvalidTarget, Place, Target, WireChoice},
};
use crate::{
    compression::WebSocketDeflate,
    driver::Driver,
    message::undo,
    message::{COMPRESS_BYTES_MIN, Compress},
    server::ServerHandle,
    transport::{
        Transport,
        memory::MemoryTarget,
        prepare_tcp,
        tls::{ClientHandshake, ClientTls, TlsConfigError, TlsVersion},
    },
};

/// A client's lasting relation to a target. Cheap to clone; all clones share the connections.
///
/// Nothing is connected before the first call. When a connection breaks, the next call makes a new one, after a growing wait
/// when that fails. When the server's limit of concurrent calls is reached, another connection is opened by itself.
///
/// A call that the server says it has not looked at (it was going away, or had no room) is made once more by itself, if the
/// client sends a single request of at most 1 MiB; others, and requests that are streamed, are not kept for that. Nothing else is
/// repeated.
#[derive(Clone)]
pub struct Channel {
    pub(crate) inner: Arc<Inner>,
}

/// What a connection has agreed on with its server under TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsAgreed {
    /// The version of TLS.
    pub version: TlsVersion,
    /// The protocol by ALPN, such as `h2`.
    pub alpn: Option<String>,
}

/// How a channel stands (gRPC's connectivity states).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// Not connected; the next call connects.
    Idle,
    /// Connecting.
    Connecting,
    /// At least one connection works.
    Ready,
    /// Connecting failed; the next attempt comes after a wait.
    TransientFailure,
}

/// Why there is no channel.
#[derive(Debug)]
pub enum ChannelError {
    /// The target cannot be understood.
    Target(InvalidTarget),
    /// The target asks for TLS, no roots were given by [`ChannelBuilder::tls`], and the feature `system-roots` is off.
    NoRoots,
    /// The TLS configuration does not work.
    Tls(TlsConfigError),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::NoRoots => f.write_str("an https target needs roots: call ChannelBuilder::tls"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChannelError {}

/// Settings of a channel before it exists.
pub struct ChannelBuilder {
    target: Target,
    options: Options,
    tls: Option<ClientTls>,
}

pub(crate) struct Options {
    pub(crate) interceptors: Vec<Arc<dyn AnyInterceptor>>,
    pub(crate) limits: Limits,
    pub(crate) accepts: CompressionSet,
    pub(crate) compression: Compression,
    pub(crate) compress_bytes_min: usize,
    pub(crate) websocket_compression: bool,
    pub(crate) codec: Codec,
    pub(crate) protocol: Protocol,
    pub(crate) get: bool,
    pub(crate) user_agent: String,
    pub(crate) authority: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) wait_for_ready: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) waiting_max: usize,
}

impl Options {
    pub(crate) fn compress(&self, with: Compression) -> Compress {
        Compress { with, bytes_min: self.compress_bytes_min }
    }
}

pub(crate) struct Inner {
    target: Target,
    pub(crate) options: Options,
    tls: Option<ClientHandshake>,
    config: Arc<Config>,
    state: Mutex<State>,
    /// Calls in `State::waiting`, to be looked at without the lock.
    waiting: AtomicUsize,
    templates: RwLock<HashMap<String, Vec<(Compression, RequestTemplate)>>>,
    connectivity: watch::Sender<ChannelState>,
}

struct State {
    connections: Vec<Arc<Link>>,
    connecting: bool,
    backoff: Backoff,
    /// The latest failure to connect, and until when no attempt is made.
    failure: Option<(Status, Instant)>,
    waiting: VecDeque<Box<StartCall>>,
    tls_agreed: Option<TlsAgreed>,
}

/// Connections of one channel by default: enough for a thousand concurrent calls at the usual limit of a hundred, few
/// enough for the server (gRFC A105 caps at the same number).
const CONNECTIONS_MAX: usize = 10;

/// Connections of one channel by default where each carries one call at a time.
const CONNECTIONS_MAX_HTTP1: usize = 100;

/// Calls that may wait for a connection: they are held in memory, and a service that is not there should be noticed.
const WAITING_MAX: usize = 100_000;

/// How long connecting may take at least, as gRPC's connection backoff has it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Without a call for so long a connection is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Methods whose headers are kept ready.
const TEMPLATES_MAX: usize = 4096;

impl Channel {
    /// A channel to `dns:///host:port` (also without the scheme), `unix:path`, `http://host:port` or, with TLS and the
    /// system's roots, `https://host:port`.
    ///
    /// # Errors
    /// When the target cannot be understood.
    pub fn to(target: impl AsRef<str>) -> Result<Self, ChannelError> {
        Self::builder(target)?.build()
    }

    /// A channel with settings of its own.
    ///
    /// # Errors
    /// When the target cannot be understood.
    pub fn builder(target: impl AsRef<str>) -> Result<ChannelBuilder, ChannelError> {
        Target::parse(target.as_ref()).map(ChannelBuilder::new).map_err(ChannelError::Target)
    }

    /// A channel to a server of this process, without a socket.
    pub fn in_memory(server: &ServerHandle) -> ChannelBuilder {
        let place = Place::Memory(MemoryTarget(Arc::new(server.clone())));
        ChannelBuilder::new(Target::new(place, "localhost".to_owned()))
    }

    /// How its calls are written.
    pub fn protocol(&self) -> Protocol {
        self.inner.options.protocol
    }

    /// By which wire its calls travel. Where TLS decides between HTTP/1.1 and HTTP/2, that is HTTP/2.
    pub fn wire(&self) -> Wire {
        self.inner.wire()
    }

    /// What was agreed on under TLS by the newest connection; `None` before the first, and without TLS.
    pub fn tls_agreed(&self) -> Option<TlsAgreed> {
        self.inner.lock().tls_agreed.clone()
    }

    /// How it stands.
    pub fn state(&self) -> ChannelState {
        *self.inner.connectivity.borrow()
    }

    /// Waits until it stands differently than `from`, and says how.
    pub async fn state_change(&self, from: ChannelState) -> ChannelState {
        let mut states = self.inner.connectivity.subscribe();
        match states.wait_for(|state| *state != from).await {
            Ok(state) => *state,
            Err(_) => from,
        }
    }

    /// Begins to connect without a call.
    pub fn connect(&self) {
        let mut state = self.inner.lock();
        if state.connections.is_empty() {
            self.inner.connect(&mut state);
        }
    }

    /// How many connections it has.
    pub fn connections_open(&self) -> usize {
        self.inner.lock().connections.len()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("authority", &self.inner.target.authority)
            .field("state", &self.state())
            .finish()
    }
}

impl ChannelBuilder {
    fn new(target: Target) -> Self {
        let limits = Limits { idle_timeout: Some(IDLE_TIMEOUT), ping_policy: None, ..Limits::default() };
        let options = Options {
            interceptors: Vec::new(),
            limits,
            accepts: CompressionSet::ALL,
            compression: Compression::Identity,
            compress_bytes_min: COMPRESS_BYTES_MIN,
            websocket_compression: false,
            codec: Codec::Proto,
            protocol: target.protocol,
            get: false,
            user_agent: concat!("grpc-rust-polywire/", env!("CARGO_PKG_VERSION")).to_owned(),
            authority: None,
            timeout: None,
            wait_for_ready: false,
            connect_timeout: CONNECT_TIMEOUT,
            connections_max: match target.wire {
                WireChoice::Http => CONNECTIONS_MAX_HTTP1,
                WireChoice::Http2 | WireChoice::Native | WireChoice::WebSocket => CONNECTIONS_MAX,
            },
            waiting_max: WAITING_MAX,
        };
        Self { target, options, tls: None }
    }

    /// Puts an interceptor around every call, inside those added before.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.options.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Speaks TLS.
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the bounds of its connections.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets what responses may be compressed with. Default: all that are known.
    #[must_use]
    pub fn accept_compressions(mut self, accepts: CompressionSet) -> Self {
        self.options.accepts = accepts;
        self
    }

    /// Compresses requests, unless a call says otherwise. Default: not at all.
    #[must_use]
    pub fn compress(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    /// Sets from which length on requests are compressed, when they are at all. Default: 256 bytes; the result would hardly be
    /// smaller below.
    #[must_use]
    pub fn compress_bytes_min(mut self, bytes: usize) -> Self {
        self.options.compress_bytes_min = bytes;
        self
    }

    /// Compresses messages of a WebSocket, in both directions, if the server wants that too (permessage-deflate, RFC 7692).
    /// Default: not. [`compress`](Self::compress) works call by call and over every wire; both together gain nothing.
    #[must_use]
    pub fn websocket_compression(mut self, compress: bool) -> Self {
        self.options.websocket_compression = compress;
        self
    }

    /// Sets how messages are written. Default: Protobuf.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.options.codec = codec;
        self
    }

    /// Makes calls without side effects by GET where the protocol has that (Connect), so that what stands in between can keep
    /// answers. Default: not.
    #[must_use]
    pub fn get(mut self, get: bool) -> Self {
        self.options.get = get;
        self
    }

    /// Sets the timeout of calls that name none. Default: none; the deadline of an incoming call holds all the same.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Lets calls wait for a connection instead of failing when there is none. Default: they fail.
    #[must_use]
    pub fn wait_for_ready(mut self, wait: bool) -> Self {
        self.options.wait_for_ready = wait;
        self
    }

    /// Sets how long connecting may take, TLS included. Default: 20 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// Sets how many connections it may open when one is not enough. Default: 10; over HTTP/1.1, where each carries one call,
    /// 100.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.options.connections_max = connections.max(1);
        self
    }

    /// Sets what the calls say they mean (`:authority`), instead of the target's host and port.
    #[must_use]
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.options.authority = Some(authority.into());
        self
    }

    /// Sets what the client calls itself, in front of the library's own name.
    #[must_use]
    pub fn user_agent(mut self, name: &str) -> Self {
        self.options.user_agent = format!("{name} {}", self.options.user_agent);
        self
    }

    /// The channel. Nothing is connected yet.
    ///
    /// # Errors
    /// When the TLS configuration does not work.
    pub fn build(mut self) -> Result<Channel, ChannelError> {
        if self.options.protocol == Protocol::Rest {
            // REST is JSON, and a body that is put together from parts is not compressed.
            self.options.codec = Codec::Json;
            self.options.compression = Compression::Identity;
            self.options.accepts = CompressionSet::NONE;
        }
        if self.target.tls && self.tls.is_none() {
            self.tls = Some(default_tls()?);
        }
        let offered: &[Beginning] = match self.target.wire {
            WireChoice::Http => &[Beginning::Http2, Beginning::Http1],
            WireChoice::Http2 => &[Beginning::Http2],
            WireChoice::Native => &[Beginning::Native],
            WireChoice::WebSocket => &[Beginning::Http1],
        };
        let tls = self.tls.map(|tls| tls.alpn(offered.iter().map(|beginning| beginning.alpn())));
        let tls = tls.map(ClientTls::build).transpose().map_err(ChannelError::Tls)?;
        let config = Config::with(
            self.options.limits.clone(),
            self.options.accepts,
            ConfigParts {
                decompress: Some(undo),
                read_detail: Some(crate::any::read_detail),
                websocket: Policy { deflate: self.options.websocket_compression, ..Policy::default() },
                message_compression: Some(&WebSocketDeflate),
                ..ConfigParts::default()
            },
        );
        let seed = crate::server::seed(next_channel());
        let state = State {
            connections: Vec::new(),
            connecting: false,
            backoff: Backoff::new(seed),
            failure: None,
            waiting: VecDeque::new(),
            tls_agreed: None,
        };
        Ok(Channel {
            inner: Arc::new(Inner {
                target: self.target,
                tls,
                options: self.options,
                config,
                state: Mutex::new(state),
                waiting: AtomicUsize::new(0),
                templates: RwLock::default(),
                connectivity: watch::Sender::new(ChannelState::Idle),
            }),
        })
    }
}

impl fmt::Debug for ChannelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBuilder").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Inner {
    /// Which host the calls mean.
    pub(crate) fn authority(&self) -> &str {
        self.options.authority.as_deref().unwrap_or(&self.target.authority)
    }

    /// By which wire the calls travel.
    pub(crate) fn wire(&self) -> Wire {
        match (self.target.wire, &self.tls) {
            (WireChoice::Http, None) => Wire::Http1,
            (WireChoice::Http | WireChoice::Http2, _) => Wire::Http2,
            (WireChoice::Native, _) => Wire::Native,
            (WireChoice::WebSocket, _) => Wire::WebSocket,
        }
    }

    /// The fixed headers of a method's calls.
    pub(crate) fn template(&self, method: &Method, compression: Compression) -> RequestTemplate {
        let read = self.templates.read().unwrap_or_else(PoisonError::into_inner);
        let known = read.get(method.path()).and_then(|list| list.iter().find(|(c, _)| *c == compression));
        if let Some((_, template)) = known {
            return template.clone();
        }
        drop(read);
        let template = RequestTemplate::new(RequestOptions {
            protocol: self.options.protocol,
            kind: method.kind(),
            rules: method.http(),
            get: self.options.get && method.idempotency() == Idempotency::NoSideEffects,
            text: self.target.text_form,
            scheme: if self.tls.is_some() { "https" } else { "http" },
            authority: self.authority().to_owned(),
            path: method.path().to_owned(),
            user_agent: self.options.user_agent.clone(),
            codec: self.options.codec,
            compression,
            accepts: self.options.accepts,
        });
        let mut templates = self.templates.write().unwrap_or_else(PoisonError::into_inner);
        if templates.len() >= TEMPLATES_MAX {
            templates.clear();
        }
        templates.entry(method.path().to_owned()).or_default().push((compression, template.clone()));
        template
    }

    /// Gives a call to a connection, now or when there is one.
    pub(crate) fn start(self: &Arc<Self>, start: StartCall) {
        let mut start = Box::new(start);
        let mut state = self.lock();
        loop {
            match least_loaded(&state.connections) {
                Some(link) if state.waiting.is_empty() => {
                    link.load.fetch_add(1, Ordering::Relaxed);
                    let link = Arc::clone(link);
                    match link.inbox.push(Command::Start(start)) {
                        Ok(()) => return,
                        Err(Command::Start(back)) => start = back,
                        Err(_) => return,
                    }
                    state.connections.retain(|other| !Arc::ptr_eq(other, &link));
                }
                _ => break,
            }
        }
        if state.connections.is_empty()
            && !start.wait_for_ready
            && let Some((status, until)) = &state.failure
            && *until > now()
        {
            let status = status.clone();
            drop(state);
            return start.fail(status);
        }
        if state.waiting.len() >= self.options.waiting_max {
            state.waiting.retain(|waiting| !waiting.is_over());
            if state.waiting.len() >= self.options.waiting_max {
                drop(state);
                return start.fail(Status::resource_exhausted("too many calls wait for a connection"));
            }
        }
        start.expire_while_waiting();
        state.waiting.push_back(start);
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        let usable = state.connections.iter().filter(|link| !link.draining.load(Ordering::Relaxed)).count();
        if usable < self.options.connections_max {
            self.connect(&mut state);
        }
    }

    /// A connection works.
    pub(crate) fn connected(self: &Arc<Self>, link: &Arc<Link>) {
        let mut state = self.lock();
        state.connecting = false;
        state.failure = None;
        state.backoff.reset();
        state.connections.push(Arc::clone(link));
        self.tell(&state);
        self.assign_waiting(&mut state);
    }

    /// A call has ended somewhere.
    pub(crate) fn room_made(self: &Arc<Self>) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.assign_waiting(&mut self.lock());
        }
    }

    /// A connection takes no new calls.
    pub(crate) fn going_away(&self, link: &Arc<Link>, too_many_pings: bool) {
        let mut state = self.lock();
        state.connections.retain(|other| !Arc::ptr_eq(other, link));
        self.tell(&state);
        drop(state);
        if too_many_pings {
            tracing::warn!(
                target = %self.target.authority,
                "the server refuses this channel's keepalive pings: raise Limits::keepalive.interval"
            );
        }
    }

    /// A connection is over; one that never worked counts as a failure to connect.
    pub(crate) fn lost(self: &Arc<Self>, link: &Arc<Link>, settled: bool, status: &Status) {
        if !settled {
            return self.failed(status.clone());
        }
        let mut state = self.lock();
        state.connections.retain(|other| !Arc::ptr_eq(other, link));
        self.tell(&state);
        if !state.waiting.is_empty() {
            self.connect(&mut state);
        }
    }

    /// Connecting failed: who does not want to wait is told so.
    fn failed(self: &Arc<Self>, status: Status) {
        let mut state = self.lock();
        state.connecting = false;
        let wait = state.backoff.next();
        tracing::debug!(target = %self.target.authority, %status, ?wait, "connecting failed");
        state.failure = Some((status.clone(), now() + wait));
        let mut failed = Vec::new();
        if state.connections.is_empty() {
            let waiting = std::mem::take(&mut state.waiting);
            let (stay, leave) = waiting.into_iter().partition(|start| start.wait_for_ready);
            state.waiting = stay;
            failed = Vec::from_iter::<VecDeque<_>>(leave);
        }
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        self.tell(&state);
        if !state.waiting.is_empty() {
            self.connect(&mut state);
        }
        drop(state);
        for start in failed {
            start.fail(status.clone());
        }
    }

    fn assign_waiting(self: &Arc<Self>, state: &mut State) {
        while let Some(start) = state.waiting.pop_front() {
            if start.is_over() {
                continue;
            }
            let Some(link) = least_loaded(&state.connections) else {
                state.waiting.push_front(start);
                break;
            };
            link.load.fetch_add(1, Ordering::Relaxed);
            if let Err(Command::Start(back)) = link.inbox.push(Command::Start(start)) {
                let link = Arc::clone(link);
                state.connections.retain(|other| !Arc::ptr_eq(other, &link));
                state.waiting.push_front(back);
            }
        }
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        if !state.waiting.is_empty() && state.connections.len() < self.options.connections_max {
            self.connect(state);
        }
    }

    /// Begins one attempt to connect, after the wait that failures before it demand.
    fn connect(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.connecting, true) {
            return;
        }
        self.tell(state);
        let not_before = state.failure.as_ref().map(|(_, until)| *until);
        let channel = Arc::downgrade(self);
        tokio::spawn(async move {
            if let Some(moment) = not_before {
                tokio::time::sleep_until(moment.into()).await;
            }
            let Some(channel) = channel.upgrade() else { return };
            let timeout = channel.options.connect_timeout;
            let result = tokio::time::timeout(timeout, channel.dial()).await;
            if let Err(status) =
                result.unwrap_or_else(|_| Err(unavailable(&channel.target, "no answer within the connect timeout")))
            {
                channel.failed(status);
            }
        });
    }

    async fn dial(self: &Arc<Self>) -> Result<(), Status> {
        let refused = |error: io::Error| unavailable(&self.target, &error.to_string());
        match &self.target.place {
            Place::Tcp(endpoints) => {
                let stream = connect_tcp(endpoints).await.map_err(refused)?;
                prepare_tcp(&stream).map_err(refused)?;
                match &self.tls {
                    None => self.drive(stream, self.client_wire(None)),
                    Some(tls) => {
                        let host = self.target.host();
                        let stream =
                            tls.connect(host, stream).await.map_err(|e| unavailable(&self.target, &e.to_string()))?;
                        let wire = self.client_wire(stream.alpn());
                        let alpn = stream.alpn().map(|alpn| String::from_utf8_lossy(alpn).into_owned());
                        self.lock().tls_agreed = Some(TlsAgreed { version: stream.version(), alpn });
                        self.drive(stream, wire);
                    }
                }
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(refused)?;
                self.drive(stream, self.client_wire(None));
            }
            Place::Memory(target) => self.drive(target.connect().map_err(refused)?, self.client_wire(None)),
        }
        Ok(())
    }

    /// What a new connection speaks, with what was agreed on under TLS.
    fn client_wire(&self, alpn: Option<&[u8]>) -> ClientWire {
        match self.target.wire {
            WireChoice::Http if alpn == Some(Beginning::Http2.alpn()) => ClientWire::Http2,
            WireChoice::Http => ClientWire::Http1,
            WireChoice::Http2 => ClientWire::Http2,
            WireChoice::Native => ClientWire::Native,
            WireChoice::WebSocket => ClientWire::WebSocket {
                scheme: if self.tls.is_some() { "https" } else { "http" },
                authority: self.authority().to_owned(),
                path: self.target.path.clone(),
                nonce: (u128::from(random()) << 64 | u128::from(random())).to_ne_bytes(),
            },
        }
    }

    fn drive<T: Transport>(self: &Arc<Self>, transport: T, wire: ClientWire) {
        let link = Link::new();
        let seed = match wire {
            ClientWire::WebSocket { .. } => random(),
            _ => crate::server::seed(next_channel()),
        };
        let connection = Connection::connect(&wire, &self.config, now(), seed);
        let calls = ClientCalls::new(Arc::downgrade(self), Arc::clone(&link));
        let inbox = Arc::clone(&link.inbox);
        tokio::spawn(Driver::new(transport, connection, calls, inbox));
    }

    fn tell(&self, state: &State) {
        let next = if !state.connections.is_empty() {
            ChannelState::Ready
        } else if state.failure.is_some() {
            ChannelState::TransientFailure
        } else if state.connecting {
            ChannelState::Connecting
        } else {
            ChannelState::Idle
        };
        self.connectivity.send_if_modified(|current| std::mem::replace(current, next) != next);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last clone is gone: connections end when their calls have.
impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for link in &state.connections {
            let _ = link.inbox.push(Command::Drain);
        }
        for start in state.waiting.drain(..) {
            start.fail(Status::cancelled("the channel was dropped"));
        }
    }
}

#[cfg(feature = "system-roots")]
fn default_tls() -> Result<ClientTls, ChannelError> {
    Ok(ClientTls::new(crate::transport::tls::Roots::system()))
}

#[cfg(not(feature = "system-roots"))]
fn default_tls() -> Result<ClientTls, ChannelError> {
    Err(ChannelError::NoRoots)
}

fn least_loaded(connections: &[Arc<Link>]) -> Option<&Arc<Link>> {
    match connections {
        [link] => (link.room() > 0).then_some(link),
        links => links.iter().filter(|link| link.room() > 0).min_by_key(|link| link.load.load(Ordering::Relaxed)),
    }
}

async fn connect_tcp(endpoints: &[(String, u16)]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (host, port) in endpoints {
        match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(addresses) => {
                for address in addresses {
                    match TcpStream::connect(address).await {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = error,
                    }
                }
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unavailable(target: &Target, reason: &str) -> Status {
    Status::unavailable(format!("cannot connect to {}: {reason}", target.authority))
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A number that is hard to guess.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(next_channel())
}

/// Numbers channels and connections, to spread their timers.
fn next_channel() -> u64 {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) as u64
}
