//! Authorities and what they issue, and handshakes over a transport in memory.

use polywire::transport::tls::{CertificateSource, ClientHandshake, Roots, ServerHandshake, TlsError, TlsTransport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// The name the servers of these tests go by.
pub(crate) const SERVER: &str = "orders.example";

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::pem(self.pem())
    }

    /// A certificate for this name, valid from 2020 to 4095.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |_| ())
    }

    pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(4095, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { pem: certificate.pem(), der: certificate.der().to_vec(), key: key.serialize_pem() }
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key: String,
}

impl Issued {
    pub(crate) fn source(&self) -> CertificateSource {
        CertificateSource::pem(self.pem.clone(), self.key.clone())
    }
}

pub(crate) type Transport = TlsTransport<DuplexStream>;

/// Both sides of a handshake.
pub(crate) async fn handshake(
    client: &ClientHandshake,
    server: &ServerHandshake,
) -> (Result<Transport, TlsError>, Result<Transport, TlsError>) {
    let (near, far) = duplex(64 * 1024);
    tokio::join!(client.connect(SERVER, near), server.accept(far))
}

/// A handshake that works, and a word each way.
pub(crate) async fn connected(client: &ClientHandshake, server: &ServerHandshake) -> (Transport, Transport) {
    let (client, server) = handshake(client, server).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let mut word = [0; 4];
    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    server.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
    server.write_all(b"pong").await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"pong");
    (client, server)
}
