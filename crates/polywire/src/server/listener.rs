//! Listening, the way of a new connection to its driver, and draining.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use polywire_core::{Address, Peer, Protocol, Wire};
use polywire_engine::{Beginning, Config, Connection, wire::websocket::Begin};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use super::{
    ListenAddress, ListenError, Options, Router,
    calls::{Command, Counters, ServerCalls},
    metrics,
};
use crate::{
    driver::Driver,
    http,
    inbox::Inbox,
    transport::{Transport, memory::MemoryTransport, prepare_tcp, tls::ServerHandshake},
};

/// A server that has its addresses and waits to serve.
pub struct Bound {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "kept for its drop")] UnixPath),
}

/// The path of a Unix socket, removed when the listener goes.
struct UnixPath(PathBuf);

impl Drop for UnixPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) router: Router,
    /// What answers requests that are no calls.
    pub(crate) http: http::Routes,
    pub(crate) config: Arc<Config>,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    tls: Option<ServerHandshake>,
    connections: Mutex<HashMap<u64, Arc<Inbox<Command>>>>,
    pub(super) connections_accepted: AtomicU64,
    connection_permits: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
    connection_ended: Notify,
}

/// What protects a transport.
#[derive(Clone, Copy)]
enum Security {
    None,
    /// With what it has agreed on by ALPN.
    Tls(Option<Beginning>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Phase {
    Serving,
    Draining,
    Closed,
}

/// How long a listener waits after the system refused it a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that the system may queue before they are accepted.
const BACKLOG: u32 = 4096;

impl Shared {
    pub(crate) fn new(
        router: Router,
        http: http::Routes,
        config: Arc<Config>,
        options: Options,
        tls: Option<ServerHandshake>,
    ) -> Self {
        Self {
            router,
            http,
            config,
            connection_permits: Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS))),
            options,
            tls,
            counters: Counters::default(),
            connections: Mutex::default(),
            connections_accepted: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Serving),
            connection_ended: Notify::new(),
        }
    }

    /// Gives a transport its driver, a task that ends with the connection.
    fn drive<T: Transport>(
        self: &Arc<Self>,
        transport: T,
        security: Security,
        peer: Peer,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let now = tokio::time::Instant::now().into_std();
        let id = self.connections_accepted.fetch_add(1, Ordering::Relaxed);
        let agreed = match security {
            Security::None => None,
            Security::Tls(agreed) => agreed,
        };
        let mut connection = Connection::accept(agreed, &self.config, now, seed(id));
        if let Security::Tls(_) = security {
            connection.set_secure();
        }
        self.drive_connection(transport, connection, id, Arc::new(peer), permit);
    }

    /// Room for a connection, once there is some. `None`: there will be none any more.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connection_permits).acquire_owned().await.ok()
    }

    /// Room for a WebSocket inside a stream of another connection. It is a connection like those that have a socket of their
    /// own, but it cannot wait for room unseen.
    pub(super) fn permit_websocket(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connection_permits).try_acquire_owned().ok()
    }

    /// A WebSocket that came inside a stream of another connection.
    pub(super) fn drive_websocket<T: Transport>(
        self: &Arc<Self>,
        transport: T,
        begin: Begin,
        peer: Arc<Peer>,
        permit: OwnedSemaphorePermit,
    ) {
        let now = tokio::time::Instant::now().into_std();
        let id = self.connections_accepted.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::websocket(begin, &self.config, now, seed(id));
        self.drive_connection(transport, connection, id, peer, Some(permit));
    }

    fn drive_connection<T: Transport>(
        self: &Arc<Self>,
        transport: T,
        connection: Connection,
        id: u64,
        peer: Arc<Peer>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let inbox = Inbox::new();
        self.lock().insert(id, Arc::clone(&inbox));
        match *self.phase.borrow() {
            Phase::Serving => {}
            Phase::Draining => drop(inbox.push(Command::Drain)),
            Phase::Closed => drop(inbox.push(Command::Close)),
        }
        let registered = Registered { shared: Arc::clone(self), id, _permit: permit };
        let calls = ServerCalls::new(Arc::clone(self), Arc::clone(&inbox), peer, registered);
        // The driver is the task itself: a future around it would double the memory of an idle connection.
        tokio::spawn(Driver::new(transport, connection, calls, inbox));
    }

    /// The calls of one request that came by a connection of somebody else's; none while the server is ending.
    #[cfg(feature = "http")]
    pub(crate) fn mount(self: &Arc<Self>, inbox: &Arc<Inbox<Command>>, peer: Arc<Peer>) -> Option<ServerCalls> {
        let id = self.connections_accepted.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Arc::clone(inbox));
        let registered = Registered { shared: Arc::clone(self), id, _permit: None };
        let serving = *self.phase.borrow() == Phase::Serving;
        serving.then(|| ServerCalls::new(Arc::clone(self), Arc::clone(inbox), peer, registered))
    }

    fn accept_tcp(self: &Arc<Self>, stream: tokio::net::TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        if let Err(error) = prepare_tcp(&stream) {
            return tracing::debug!(peer = %address, %error, "a new connection could not be set up");
        }
        let peer = Peer { address: Address::Tcp(address), identity: None };
        match &self.tls {
            None => self.drive(stream, Security::None, peer, Some(permit)),
            Some(_) => drop(tokio::spawn(Arc::clone(self).shake_hands(stream, address, peer, permit))),
        }
    }

    async fn shake_hands(
        self: Arc<Self>,
        stream: tokio::net::TcpStream,
        address: SocketAddr,
        mut peer: Peer,
        permit: OwnedSemaphorePermit,
    ) {
        let Some(tls) = &self.tls else { return };
        match tokio::time::timeout(self.options.handshake_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                peer.identity = stream.identity().cloned();
                let agreed = stream.alpn().and_then(Beginning::of_alpn);
                self.drive(stream, Security::Tls(agreed), peer, Some(permit));
            }
            Ok(Err(error)) => tracing::debug!(peer = %address, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %address, "a TLS handshake took too long"),
        }
    }

    fn broadcast(&self, command: impl Fn() -> Command) {
        for inbox in self.lock().values() {
            let _ = inbox.push(command());
        }
    }

    pub(super) fn connections_open(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Inbox<Command>>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection in the list, and its place among the connections, while its driver lives.
pub(super) struct Registered {
    shared: Arc<Shared>,
    id: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.lock().remove(&self.id);
        self.shared.connection_ended.notify_waiters();
    }
}

impl Bound {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, listeners: Vec::new() }
    }

    /// Takes another address for the same services.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn and_bind(mut self, address: impl Into<ListenAddress>) -> Result<Self, ListenError> {
        let address = address.into();
        let listener = match &address {
            ListenAddress::Tcp(text) => bind_tcp(text).await.map(Listener::Tcp),
            ListenAddress::Unix(path) => bind_unix(path).map(|(listener, path)| Listener::Unix(listener, path)),
        };
        self.listeners.push(listener.map_err(|error| ListenError::Bind { address, error })?);
        Ok(self)
    }

    /// The first TCP address it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listeners.iter().find_map(|listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        })
    }

    /// The handle by which to end it and to reach it from this process.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { shared: Arc::clone(&self.shared) }
    }

    /// Its services as a part of another application, for example of axum's: see [`mount`](crate::mount). It listens to none of
    /// its addresses then. Each request counts as a connection.
    #[cfg(feature = "http")]
    pub fn into_service(self) -> crate::mount::Mounted {
        crate::mount::Mounted::new(self.shared)
    }

    /// Answers calls until the server has been drained or closed by its [`handle`](Self::handle).
    pub async fn serve(self) {
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(Arc::clone(&self.shared), listener));
        }
        let mut phase = self.shared.phase.subscribe();
        let _ = phase.wait_for(|phase| *phase > Phase::Serving).await;
        tasks.shutdown().await;
        wait_for_connections(&self.shared).await;
    }

    /// Answers calls until `signal` is ready, then drains: calls in progress may end within the
    /// [`drain_timeout`](crate::Server::drain_timeout).
    pub async fn serve_until(self, signal: impl Future<Output = ()> + Send) {
        let handle = self.handle();
        let limit = self.shared.options.drain_timeout;
        let end = async {
            signal.await;
            handle.drain(limit).await;
        };
        tokio::join!(self.serve(), end);
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Ends a running server, and lets channels of this process reach it without a socket.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

impl ServerHandle {
    /// Accepts nothing new, lets calls in progress end for at most `limit`, then closes what is left.
    pub async fn drain(&self, limit: Duration) {
        if self.enter(Phase::Draining) {
            self.shared.router.drain();
        }
        self.shared.broadcast(|| Command::Drain);
        if tokio::time::timeout(limit, wait_for_connections(&self.shared)).await.is_err() {
            tracing::warn!(calls = self.calls_open(), "calls were still in progress when the time to drain was over");
            self.close();
        }
    }

    /// Ends all connections at once.
    pub fn close(&self) {
        self.enter(Phase::Closed);
        self.shared.broadcast(|| Command::Close);
    }

    /// How many calls are in progress.
    pub fn calls_open(&self) -> usize {
        self.shared.counters.calls_open()
    }

    /// How many calls have begun since the start.
    pub fn calls_started(&self) -> u64 {
        self.shared.counters.calls_started()
    }

    /// How many calls have begun that came by this wire and protocol.
    pub fn calls_started_by(&self, wire: Wire, protocol: Protocol) -> u64 {
        self.shared.counters.calls_started_by(wire, protocol)
    }

    /// How many connections are open.
    pub fn connections_open(&self) -> usize {
        self.shared.connections_open()
    }

    /// All of it as [`Server::with_metrics`](crate::Server::with_metrics) serves it.
    pub fn metrics(&self) -> String {
        metrics::written(&self.shared)
    }

    /// How many connections have been accepted since the start.
    pub fn connections_accepted(&self) -> u64 {
        self.shared.connections_accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn accept_memory(&self, transport: MemoryTransport) -> bool {
        if *self.shared.phase.borrow() != Phase::Serving {
            return false;
        }
        self.shared.drive(transport, Security::None, Peer::default(), None);
        true
    }

    /// Goes forward to a phase; false when the server is there already or beyond.
    fn enter(&self, next: Phase) -> bool {
        self.shared.phase.send_if_modified(|phase| {
            let forward = *phase < next;
            if forward {
                *phase = next;
            }
            forward
        })
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("calls_open", &self.calls_open()).finish_non_exhaustive()
    }
}

async fn wait_for_connections(shared: &Shared) {
    loop {
        let ended = shared.connection_ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if shared.lock().is_empty() {
            return;
        }
        ended.await;
    }
}

/// What a listener was given.
enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream, tokio::net::unix::SocketAddr),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, address)| Accepted::Tcp(stream, address)),
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, address)| Accepted::Unix(stream, address)),
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: Listener) {
    loop {
        let accepted = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // What has been accepted waits for room, so that no place is held for a peer that has not come yet.
        let Some(permit) = shared.permit().await else { return };
        match accepted {
            Accepted::Tcp(stream, address) => shared.accept_tcp(stream, address, permit),
            Accepted::Unix(stream, address) => {
                let peer = Peer { address: Address::Unix(address.as_pathname().map(Into::into)), identity: None };
                shared.drive(stream, Security::None, peer, Some(permit));
            }
        }
    }
}

async fn bind_tcp(text: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in tokio::net::lookup_host(text).await? {
        let bound = (|| {
            let domain = socket2::Domain::for_address(address);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            // A server that starts again must not wait for the connections of its predecessor.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG as i32)?;
            TcpListener::from_std(socket.into())
        })();
        match bound {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Binds a Unix socket; a file that nobody listens on any more is replaced.
fn bind_unix(path: &PathBuf) -> io::Result<(UnixListener, UnixPath)> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    Ok((listener, UnixPath(path.clone())))
}

/// Spreads timers of connections: a well-mixed number for each.
pub(crate) fn seed(id: u64) -> u64 {
    let mixed = (id ^ u64::from(std::process::id()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29
}
