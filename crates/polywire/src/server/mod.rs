//! The server: services, what stands in front of them, and where they listen.

mod calls;
mod listener;
mod metrics;
mod router;
mod tunnel;

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use polywire_core::{AnyInterceptor, Compression, CompressionSet, Interceptor, Protocol, Service, Wire};
use polywire_engine::{
    Config, ConfigParts, Limits,
    protocol::{cors::CorsPolicy, rest::Routes},
    wire::websocket::handshake::{Origins, Policy},
};

#[cfg(feature = "http")]
pub(crate) use self::calls::{Command, ServerCalls};
pub use self::listener::{Bound, ServerHandle};
pub(crate) use self::{
    calls::chosen_compression,
    listener::{Shared, seed},
    router::Router,
};
use crate::{
    any,
    compression::WebSocketDeflate,
    date, http,
    message::undo,
    openapi, reflection,
    transport::tls::{ServerHandshake, ServerTls, TlsConfigError},
};

/// Answers calls.
///
/// ```no_run
/// # async fn run<S: polywire::Service>(greeter: S) -> Result<(), polywire::ListenError> {
/// polywire::Server::new().add(greeter).listen("0.0.0.0:8080").await
/// # }
/// ```
pub struct Server {
    services: Vec<Arc<dyn Service>>,
    http: http::Routes,
    options: Options,
    tls: Option<ServerTls>,
    reflection: bool,
    openapi: bool,
    metrics: Option<metrics::More>,
}

/// What holds for every call of a server.
pub(crate) struct Options {
    pub(crate) interceptors: Vec<Arc<dyn AnyInterceptor>>,
    pub(crate) limits: Limits,
    pub(crate) accepts: CompressionSet,
    pub(crate) compression: Compression,
    pub(crate) calls_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) spawn_always: Vec<&'static str>,
    pub(crate) origins: Origins,
    pub(crate) websocket_compression: bool,
    pub(crate) cors: CorsPolicy,
    pub(crate) without_protocols: Vec<Protocol>,
    pub(crate) without_wires: Vec<Wire>,
}

/// Calls in progress on a whole server by default: what a machine with a few cores works on before waiting helps nobody.
const CALLS_MAX: usize = 100_000;

/// Connections of a whole server by default: below the usual limit of open files.
const CONNECTIONS_MAX: usize = 50_000;

/// How long a TLS handshake may take by default.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls in progress may take to end while the server drains, by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

impl Server {
    /// A server without services. Add what it should answer; then [`listen`](Self::listen) or [`bind`](Self::bind).
    pub fn new() -> Self {
        Self {
            services: Vec::new(),
            http: http::Routes::default(),
            options: Options {
                interceptors: Vec::new(),
                limits: Limits::default(),
                accepts: CompressionSet::ALL,
                compression: Compression::Identity,
                calls_max: CALLS_MAX,
                connections_max: CONNECTIONS_MAX,
                handshake_timeout: HANDSHAKE_TIMEOUT,
                drain_timeout: DRAIN_TIMEOUT,
                spawn_always: Vec::new(),
                origins: Origins::Same,
                websocket_compression: false,
                cors: CorsPolicy::same_origin(),
                without_protocols: Vec::new(),
                without_wires: Vec::new(),
            },
            tls: None,
            reflection: false,
            openapi: false,
            metrics: None,
        }
    }

    /// Adds a service; the last one of a name wins.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "nobody adds servers up, and no other word is as short")]
    pub fn add(mut self, service: impl Service) -> Self {
        self.services.push(Arc::new(service));
        self
    }

    /// Adds a service of which every call gets a task of its own at once.
    ///
    /// By default a handler first runs on the task of its connection and moves to its own when it has to wait. A service that
    /// computes for long without waiting should be added here, so that it does not hold up its neighbours.
    #[must_use]
    pub fn add_spawned(mut self, service: impl Service) -> Self {
        self.options.spawn_always.push(service.name());
        self.add(service)
    }

    /// Answers ordinary HTTP requests for a path: `/metrics`, or `/files/*` for everything below. Calls go to their services
    /// whatever the routes say; of the routes the longest path wins, and of one path the last.
    #[must_use]
    pub fn route(mut self, path: &str, handler: impl http::Handler) -> Self {
        self.http.add(path, Arc::new(handler));
        self
    }

    /// Does not speak a wire. By default all of them are spoken on every address. TLS does not agree on it then; and where only
    /// one is left to begin with, no first bytes are looked at: whatever comes is taken for that.
    #[must_use]
    pub fn without_wire(mut self, wire: Wire) -> Self {
        self.options.without_wires.push(wire);
        self
    }

    /// Does not speak a protocol. By default all of them are spoken. [`Protocol::Native`] and [`Protocol::Text`] are meant inside
    /// WebSocket; on a transport of its own the native protocol is a wire.
    #[must_use]
    pub fn without_protocol(mut self, protocol: Protocol) -> Self {
        self.options.without_protocols.push(protocol);
        self
    }

    /// Sets which pages of other origins may call from a browser over HTTP (CORS). Default: none; pages that the server itself
    /// delivers may always call.
    #[must_use]
    pub fn cors(mut self, policy: CorsPolicy) -> Self {
        self.options.cors = policy;
        self
    }

    /// Sets which pages may open a WebSocket. Default: those that come from the same host and port. Clients that are no
    /// browsers name no page and are let in.
    #[must_use]
    pub fn websocket_origins(mut self, origins: Origins) -> Self {
        self.options.origins = origins;
        self
    }

    /// Compresses messages of WebSockets, if the client wants that too: browsers do (permessage-deflate, RFC 7692). Default: not.
    ///
    /// It costs CPU for each message in either direction, and what a client sends may become a thousand times as long, up to
    /// `websocket_message_bytes_max`. And lengths speak: who can put text of his own beside a secret in the same message,
    /// and sees how long the message is under TLS, finds out the secret by trying (the attack known as BREACH). Calls that
    /// are compressed themselves ([`compress`](Self::compress)) gain nothing.
    #[must_use]
    pub fn websocket_compression(mut self, compress: bool) -> Self {
        self.options.websocket_compression = compress;
        self
    }

    /// Tells clients about all services, also those that are added later, by [reflection](crate::reflection) in both of its
    /// versions.
    #[must_use]
    pub fn with_reflection(mut self) -> Self {
        self.reflection = true;
        self
    }

    /// Describes all services, also those that are added later, for plain HTTP: `/openapi.json` is an
    /// [OpenAPI](crate::openapi) document, `/docs` a page to read it and to try calls. Anybody who reaches the server can read both;
    /// interceptors see calls only.
    #[must_use]
    pub fn with_openapi(mut self) -> Self {
        self.openapi = true;
        self
    }

    /// Serves what the server counts at `/metrics`, in the text form that Prometheus reads, and behind it what `more` gives at that
    /// moment: the application's own (`String::new` if there is nothing). Anybody who reaches the server can read it; where that is
    /// not wanted, [`ServerHandle::metrics`] gives the text to be served elsewhere.
    ///
    /// | metric | labels |
    /// |---|---|
    /// | `polywire_calls_started_total` | `wire`, `protocol` |
    /// | `polywire_http_requests_total`, requests that are no calls | |
    /// | `polywire_calls_open`, both | |
    /// | `polywire_connections_accepted_total`, `polywire_connections_open` | |
    #[must_use]
    pub fn with_metrics(mut self, more: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(more));
        self
    }

    /// Puts an interceptor around every call, inside those added before.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Self {
        self.options.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Sets the bounds of its connections.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Sets which compressions are accepted in requests. Default: all.
    #[must_use]
    pub fn accept_compressions(mut self, accepts: CompressionSet) -> Self {
        self.options.accepts = accepts;
        self
    }

    /// Compresses responses this way when the caller accepts it. Default: not at all.
    #[must_use]
    pub fn compress(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    /// Speaks TLS on TCP addresses.
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets how many calls may be in progress on the whole server; one more gets RESOURCE_EXHAUSTED. Default: 100,000.
    #[must_use]
    pub fn calls_max(mut self, calls: usize) -> Self {
        self.options.calls_max = calls;
        self
    }

    /// Sets how many connections there may be; one more waits until another ends. A WebSocket in a stream of HTTP/2 is one too,
    /// but is refused instead of waiting (503). Default: 50,000.
    #[must_use]
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.options.connections_max = connections;
        self
    }

    /// Sets how long calls in progress may take to end when the server drains. Default: 30 s.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.options.drain_timeout = timeout;
        self
    }

    /// The descriptors and names of what has been added so far, for reflection.
    pub fn services(&self) -> &[Arc<dyn Service>] {
        &self.services
    }

    /// Listens and answers calls until the process ends.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn listen(self, address: impl Into<ListenAddress>) -> Result<(), ListenError> {
        self.bind(address).await?.serve().await;
        Ok(())
    }

    /// Takes an address, so that it can be asked for (port 0 takes a free one), without answering calls yet.
    ///
    /// # Errors
    /// When the address cannot be used or the limits contradict one another.
    pub async fn bind(self, address: impl Into<ListenAddress>) -> Result<Bound, ListenError> {
        self.start()?.and_bind(address).await
    }

    /// A server that listens nowhere yet: for calls inside this process, or to [`bind`](Bound::and_bind) several addresses.
    ///
    /// # Errors
    /// When the limits contradict one another or the TLS configuration does not work.
    pub fn start(mut self) -> Result<Bound, ListenError> {
        if self.openapi {
            openapi::add_to(&mut self.http, &self.services);
        }
        if self.reflection {
            reflection::add_to(&mut self.services);
        }
        self.options.limits.validate().map_err(|error| ListenError::Limits(error.to_string()))?;
        let config = Config::with(
            Limits { connect_protocol: true, ..self.options.limits.clone() },
            self.options.accepts,
            ConfigParts {
                decompress: Some(undo),
                detail_json: Some(any::detail_any_json),
                read_detail: None,
                routes: Some(routes(&self.services)?),
                cors: self.options.cors.clone(),
                websocket: Policy {
                    origins: self.options.origins.clone(),
                    native: !self.options.without_protocols.contains(&Protocol::Native),
                    json: !self.options.without_protocols.contains(&Protocol::Text),
                    deflate: self.options.websocket_compression,
                },
                message_compression: Some(&WebSocketDeflate),
                without_protocols: self.options.without_protocols.clone(),
                without_wires: self.options.without_wires.clone(),
                date: Some(date::now),
            },
        );
        let router = Router::new(self.services, &self.options.spawn_always);
        let tls = self.tls.map(|tls| tls.without_wires(&self.options.without_wires));
        let tls: Option<ServerHandshake> = tls.map(ServerTls::build).transpose().map_err(ListenError::Tls)?;
        Ok(Bound::new(Arc::new_cyclic(|server| {
            if let Some(more) = self.metrics {
                metrics::add_to(&mut self.http, Weak::clone(server), more);
            }
            Shared::new(router, self.http, config, self.options, tls)
        })))
    }
}

/// Which methods are reached as REST; of several services of a name the last one counts.
fn routes(services: &[Arc<dyn Service>]) -> Result<Routes, ListenError> {
    let last = |(index, service): &(usize, &Arc<dyn Service>)| {
        !services[index + 1..].iter().any(|later| later.name() == service.name())
    };
    let services = services.iter().enumerate().filter(last);
    Routes::new(services.flat_map(|(_, service)| service.methods()))
        .map_err(|error| ListenError::Routes(error.to_string()))
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.services.iter().map(|service| service.name()).collect();
        f.debug_struct("Server").field("services", &names).finish_non_exhaustive()
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port`; the host may be a name.
    Tcp(String),
    /// `unix:path`, `unix:///absolute/path`.
    Unix(PathBuf),
}

impl From<&str> for ListenAddress {
    fn from(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.strip_prefix("//").unwrap_or(path).into()),
            None => Self::Tcp(text.to_owned()),
        }
    }
}

impl From<String> for ListenAddress {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for ListenAddress {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a server does not listen.
#[derive(Debug)]
pub enum ListenError {
    /// The address cannot be used.
    Bind {
        /// Which one.
        address: ListenAddress,
        /// What the system says.
        error: io::Error,
    },
    /// The limits contradict one another, in words.
    Limits(String),
    /// The HTTP rules of methods contradict one another, in words.
    Routes(String),
    /// The TLS configuration does not work.
    Tls(TlsConfigError),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, error } => {
                write!(f, "cannot listen on {address}: {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        f.write_str("; another process uses it: stop that one or choose another port")
                    }
                    io::ErrorKind::InvalidInput => {
                        f.write_str("; write host:port, for example 127.0.0.1:8080, or unix:path")
                    }
                    _ => Ok(()),
                }
            }
            Self::Routes(error) => write!(f, "the HTTP rules cannot be routed: {error}"),
            Self::Limits(error) => write!(f, "the limits contradict one another: {error}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListenError {}
