use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use bytes::Bytes;

/// The other side of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Where it is.
    pub address: Address,
    /// Who it is, when it showed a certificate that was verified.
    pub identity: Option<Arc<TlsIdentity>>,
}

/// Where a peer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// In this process.
    #[default]
    Memory,
    /// By TCP, in the clear or under TLS.
    Tcp(SocketAddr),
    /// On a Unix socket; a connecting peer usually has no path.
    Unix(Option<PathBuf>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

/// What a verified certificate says about its holder (RFC 5280).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The subject's distinguished name, as RFC 4514 writes it.
    pub subject: String,
    /// DNS names of the subject alternative name.
    pub dns_names: Vec<String>,
    /// URIs of the subject alternative name; a SPIFFE id is one of them.
    pub uris: Vec<String>,
    /// E-mail addresses of the subject alternative name.
    pub emails: Vec<String>,
    /// IP addresses of the subject alternative name.
    pub ip_addresses: Vec<std::net::IpAddr>,
    /// Serial number, big-endian bytes.
    pub serial: Vec<u8>,
    /// Last moment of validity, in seconds since 1970-01-01T00:00:00Z.
    pub not_after_unix_seconds: i64,
    /// The certificate itself (DER).
    pub der: Bytes,
}
