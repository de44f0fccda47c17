use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as RustlsError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::SingleCertAndKey,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{
    alpn::Alpn,
    certificate::{CertificatePem, CertificateSource, Roots, RootsPem},
    error::{TlsConfigError, TlsError},
    identity::verified_identity,
    provider::{provider, versions},
    reload::{CertificateState, Live, Made, Recipe},
    server::RELOAD_INTERVAL,
    stream::{TlsTransport, TlsVersion},
};

/// TLS as a client does it, being put together.
///
/// Unless told otherwise it shows no certificate, speaks TLS 1.3 and 1.2, and `h2` only.
#[derive(Clone, Debug)]
pub struct ClientTls {
    trust: Trust,
    certificate: Option<CertificateSource>,
    server_name: Option<String>,
    alpn: Alpn,
    version_min: TlsVersion,
    reload_interval: Duration,
}

#[derive(Clone, Debug)]
enum Trust {
    Anybody,
    Roots(Roots),
}

impl ClientTls {
    /// A client that believes servers whose certificate one of `roots` has issued.
    pub fn new(roots: Roots) -> Self {
        Self {
            trust: Trust::Roots(roots),
            certificate: None,
            server_name: None,
            alpn: Alpn::default(),
            version_min: TlsVersion::Tls12,
            reload_interval: RELOAD_INTERVAL,
        }
    }

    /// **Dangerous.** A client that believes any certificate of any server, expired, for another name or made up: whoever can
    /// reach the wire between can read and change every call. For trying things out by hand, never for a program that runs
    /// unattended. The connection is encrypted all the same, and its peer has no [identity](TlsTransport::identity).
    pub fn dangerous_without_verification() -> Self {
        Self { trust: Trust::Anybody, ..Self::new(Roots::default()) }
    }

    /// The certificate to show to servers that ask for one.
    #[must_use]
    pub fn certificate(mut self, certificate: CertificateSource) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// The name a server's certificate must be for, and the one it is told (SNI), instead of the host that is connected to.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The protocols to agree on by ALPN (RFC 7301), the preferred one first: `["h2"]` by default.
    ///
    /// A server that chooses none is taken to speak HTTP/1.1 and is refused unless `http/1.1` is in the list. An empty list
    /// negotiates nothing and refuses nobody.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = Alpn::new(protocols);
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
    /// [`TlsConfigError`] says which file is wrong and what to do about it.
    pub fn build(self) -> Result<ClientHandshake, TlsConfigError> {
        if let Some(name) = &self.server_name {
            parse_name(name).map_err(|error| TlsConfigError::Unusable { reason: error.to_string() })?;
        }
        let has_files = self.certificate.as_ref().is_some_and(CertificateSource::has_files)
            || matches!(&self.trust, Trust::Roots(roots) if roots.has_files());
        let interval = has_files.then_some(self.reload_interval);
        let (alpn, server_name) = (self.alpn.clone(), self.server_name.clone());
        let verifies = matches!(self.trust, Trust::Roots(_));
        Ok(ClientHandshake { live: Live::new(self, interval)?, alpn, server_name, verifies })
    }
}

/// Does the client's side of TLS. Cheap to clone; clones share everything, sessions to resume too.
#[derive(Clone)]
pub struct ClientHandshake {
    live: Arc<Live<ClientTls>>,
    alpn: Alpn,
    server_name: Option<String>,
    verifies: bool,
}

impl ClientHandshake {
    /// Greets the server on `transport` and makes sure that it is `host` (a DNS name, or an IP address with or without
    /// brackets), unless another [name](ClientTls::server_name) was asked for.
    ///
    /// There is no time limit in here: drop the future when it has taken long enough, which closes the transport.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the transport is closed. A server that does not accept our certificate may say so only later: see
    /// [`TlsError`].
    pub async fn connect<T>(&self, host: &str, transport: T) -> Result<TlsTransport<T>, TlsError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let name = parse_name(self.server_name.as_deref().unwrap_or(host))?;
        let made = self.live.current().await;
        let connector = TlsConnector::from(Arc::clone(&made.config));
        let stream = connector.connect(name, transport).await.map_err(|error| TlsError::of(error, &self.alpn))?;
        let (_, connection) = stream.get_ref();
        if !self.alpn.accepts(connection.alpn_protocol()) {
            return Err(TlsError::NoApplicationProtocol { offered: self.alpn.to_string() });
        }
        let identity = if self.verifies { verified_identity(connection.peer_certificates())? } else { None };
        Ok(TlsTransport::new(stream.into(), identity))
    }

    /// Looks at the files now (blocking), whatever the interval; true if they had changed and are in use from now on.
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

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake").field("certificate", &self.certificate_state()).finish_non_exhaustive()
    }
}

impl Recipe for ClientTls {
    type Pem = (Option<CertificatePem>, Option<RootsPem>);
    type Config = Arc<ClientConfig>;

    const SIDE: &'static str = "client";

    fn read(&self) -> Result<Self::Pem, TlsConfigError> {
        let certificate = self.certificate.as_ref().map(CertificateSource::read).transpose()?;
        let roots = match &self.trust {
            Trust::Anybody => None,
            Trust::Roots(roots) => Some(roots.read()?),
        };
        Ok((certificate, roots))
    }

    fn make(&self, (certificate, roots): &Self::Pem, now: i64) -> Result<Made<Self::Config>, TlsConfigError> {
        let provider = provider();
        let unusable = |reason: String| TlsConfigError::Unusable { reason };
        let certificate = certificate.as_ref().map(|pem| pem.parse(&provider, now)).transpose()?;
        let not_after_unix_seconds = certificate.as_ref().map(|certificate| certificate.not_after_unix_seconds);
        let verifier: Arc<dyn ServerCertVerifier> = match roots {
            None => Arc::new(NoVerification(Arc::clone(&provider))),
            Some(roots) => WebPkiServerVerifier::builder_with_provider(Arc::new(roots.parse()?), Arc::clone(&provider))
                .build()
                .map_err(|error| unusable(error.to_string()))?,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(self.version_min))
            .map_err(|error| unusable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.key))),
        };
        config.alpn_protocols = self.alpn.to_vec();
        Ok(Made { config: Arc::new(config), not_after_unix_seconds })
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::WrongServerName { name: name.to_owned() })
}

/// Believes everybody. That the server owns the key of the certificate it shows is checked even so.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
