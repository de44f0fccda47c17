use std::{fmt, sync::Arc, time::Duration};

use polywire_core::Wire;
use rustls::{
    ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{
    alpn::Alpn,
    certificate::{CertificatePem, CertificateSource, Roots, RootsPem},
    error::{TlsConfigError, TlsError},
    identity::verified_identity,
    provider::{crypto, provider, versions},
    reload::{CertificateState, Live, Made, Recipe},
    stream::{TlsTransport, TlsVersion},
};

/// How long files are taken to be unchanged, if nothing else is said.
pub(super) const RELOAD_INTERVAL: Duration = Duration::from_secs(30);

/// TLS as a server does it, being put together.
///
/// Unless told otherwise it asks clients for no certificate, speaks TLS 1.3 and 1.2, and all wires.
#[derive(Clone, Debug)]
pub struct ServerTls {
    certificate: CertificateSource,
    clients: ClientCertificates,
    alpn: Alpn,
    version_min: TlsVersion,
    reload_interval: Duration,
}

/// What is asked of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// No certificate is asked for (the default).
    #[default]
    None,
    /// A client may come without a certificate; if it shows one, one of these must have issued it.
    Optional(Roots),
    /// A client must show a certificate that one of these has issued.
    Required(Roots),
}

impl ServerTls {
    /// A server with this certificate.
    pub fn new(certificate: CertificateSource) -> Self {
        Self {
            certificate,
            clients: ClientCertificates::None,
            alpn: Alpn::of_server(),
            version_min: TlsVersion::Tls12,
            reload_interval: RELOAD_INTERVAL,
        }
    }

    /// What is asked of clients: nothing by default.
    #[must_use]
    pub fn client_certificates(mut self, clients: ClientCertificates) -> Self {
        self.clients = clients;
        self
    }

    /// The protocols to agree on by ALPN (RFC 7301), the preferred one first: by default `polywire/1`, `h2` and `http/1.1`,
    /// without those whose wire the server does not speak. What was agreed on is then what the connection has to speak.
    ///
    /// A client that offers others only is refused. One that offers none is refused unless `http/1.1` is in the list, and then its
    /// first bytes tell what it speaks, as in the clear: this list does not switch wires off, `Server::without_wire` does. An empty
    /// list negotiates nothing and refuses nobody.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = Alpn::new(protocols);
        self
    }

    /// Agrees on no wire that the server does not speak.
    #[must_use]
    pub(crate) fn without_wires(mut self, off: &[Wire]) -> Self {
        self.alpn = self.alpn.without(off);
        self
    }

    /// The oldest version spoken: TLS 1.2 by default.
    #[must_use]
    pub fn version_min(mut self, version: TlsVersion) -> Self {
        self.version_min = version;
        self
    }

    /// How long files are taken to be unchanged: 30 s by default. They are looked at by the next handshake after that.
    #[must_use]
    pub fn reload_interval(mut self, interval: Duration) -> Self {
        self.reload_interval = interval;
        self
    }

    /// Reads all files and checks what can be checked.
    ///
    /// This blocks on the file system, like opening a configuration file does.
    ///
    /// # Errors
    ///
    /// [`TlsConfigError`] says which file is wrong and what to do about it. An expired certificate is an error too.
    pub fn build(self) -> Result<ServerHandshake, TlsConfigError> {
        let roots = match &self.clients {
            ClientCertificates::None => None,
            ClientCertificates::Optional(roots) | ClientCertificates::Required(roots) => Some(roots),
        };
        let has_files = self.certificate.has_files() || roots.is_some_and(Roots::has_files);
        let interval = has_files.then_some(self.reload_interval);
        let alpn = self.alpn.clone();
        Ok(ServerHandshake { live: Live::new(self, interval)?, alpn })
    }
}

/// Does the server's side of TLS. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct ServerHandshake {
    live: Arc<Live<ServerTls>>,
    alpn: Alpn,
}

impl ServerHandshake {
    /// Greets a client on `transport`.
    ///
    /// There is no time limit in here: drop the future when it has taken long enough, which closes the transport.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the client has then been told by an alert as far as possible, and the transport is closed.
    pub async fn accept<T>(&self, transport: T) -> Result<TlsTransport<T>, TlsError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let made = self.live.current().await;
        let acceptor = TlsAcceptor::from(Arc::clone(&made.config));
        let stream = acceptor.accept(transport).await.map_err(|error| TlsError::of(error, &self.alpn))?;
        let (_, connection) = stream.get_ref();
        if !self.alpn.accepts(connection.alpn_protocol()) {
            return Err(TlsError::NoApplicationProtocol { offered: self.alpn.to_string() });
        }
        let identity = verified_identity(connection.peer_certificates())?;
        Ok(TlsTransport::new(stream.into(), identity))
    }

    /// Looks at the files now (blocking), whatever the interval; true if they had changed and are in use from now on. For a
    /// signal handler or a file watcher.
    ///
    /// # Errors
    ///
    /// What is wrong with them; the old ones stay in use.
    pub fn reload(&self) -> Result<bool, TlsConfigError> {
        self.live.reload()
    }

    /// The certificate in use, for metrics.
    pub fn certificate_state(&self) -> CertificateState {
        self.live.state()
    }
}

impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandshake").field("certificate", &self.certificate_state()).finish_non_exhaustive()
    }
}

impl Recipe for ServerTls {
    type Pem = (CertificatePem, Option<RootsPem>);
    type Config = Arc<ServerConfig>;

    const SIDE: &'static str = "server";

    fn read(&self) -> Result<Self::Pem, TlsConfigError> {
        let roots = match &self.clients {
            ClientCertificates::None => None,
            ClientCertificates::Optional(roots) | ClientCertificates::Required(roots) => Some(roots.read()?),
        };
        Ok((self.certificate.read()?, roots))
    }

    fn make(&self, (certificate, roots): &Self::Pem, now: i64) -> Result<Made<Self::Config>, TlsConfigError> {
        let provider = provider();
        let unusable = |reason: String| TlsConfigError::Unusable { reason };
        let certificate = certificate.parse(&provider, now)?;
        let verifier: Arc<dyn ClientCertVerifier> = match roots {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(roots) => {
                let roots = Arc::new(roots.parse()?);
                let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                match self.clients {
                    ClientCertificates::Required(_) => builder.build(),
                    _ => builder.allow_unauthenticated().build(),
                }
                .map_err(|error| unusable(error.to_string()))?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(self.version_min))
            .map_err(|error| unusable(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.key)));
        config.alpn_protocols = self.alpn.to_vec();
        // Tickets of a configuration that was replaced are worth nothing: whoever resumes has been judged by these roots.
        config.ticketer = crypto::Ticketer::new().map_err(|error| unusable(error.to_string()))?;
        Ok(Made { config: Arc::new(config), not_after_unix_seconds: Some(certificate.not_after_unix_seconds) })
    }
}
