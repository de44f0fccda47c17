use std::{error::Error, fmt, io, path::PathBuf};

use rustls::{AlertDescription, CertificateError, Error as RustlsError, InvalidMessage, PeerIncompatible};

use super::alpn::Alpn;

/// What is wrong with certificates, keys or roots given to us. Says where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfigError {
    /// Something that claims to be a certificate is none that can be used.
    BadCertificate {
        /// What it was meant for.
        kind: PemKind,
        /// Where it was found.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// A private key of a kind the cryptography in use does not know.
    BadKey {
        /// Where it was found.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// There are PEM markers, but what stands between them cannot be read.
    BadPem {
        /// What was looked for.
        kind: PemKind,
        /// Where it was looked for.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
    },
    /// Our own certificate is no longer valid.
    Expired {
        /// Where it was found.
        origin: Origin,
        /// Its last moment.
        not_after: String,
    },
    /// The key is not the one of the certificate.
    KeyMismatch {
        /// Where the certificate was found.
        certificates: Origin,
        /// Where the key was found.
        key: Origin,
    },
    /// No roots are given, so no peer could be believed.
    NoRoots,
    /// No PEM section of the right kind.
    NotFound {
        /// What was looked for.
        kind: PemKind,
        /// Where it was looked for.
        origin: Origin,
        /// The first PEM section that is there instead.
        found: Option<String>,
    },
    /// Our own certificate is not valid yet.
    NotYetValid {
        /// Where it was found.
        origin: Origin,
        /// Its first moment.
        not_before: String,
    },
    /// A file cannot be read.
    Unreadable {
        /// What was looked for.
        kind: PemKind,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// rustls refuses the parts together.
    Unusable {
        /// What it says.
        reason: String,
    },
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCertificate { kind, origin, reason } => {
                write!(f, "{}: not a usable X.509 certificate: {reason}", Place(*kind, origin))
            }
            Self::BadKey { origin, reason } => write!(
                f,
                "{}: the private key cannot be used: {reason}; use an ECDSA (P-256, P-384), Ed25519 or RSA key (2048 bits or more)",
                Place(PemKind::PrivateKey, origin)
            ),
            Self::BadPem { kind, origin, reason } => write!(f, "{}: broken PEM: {reason}", Place(*kind, origin)),
            Self::Expired { origin, not_after } => write!(
                f,
                "{}: the certificate expired at {not_after}; renew it (and check this machine's clock)",
                Place(PemKind::Certificate, origin)
            ),
            Self::KeyMismatch { certificates, key } => write!(
                f,
                "{} does not belong to the first certificate of {}; give the key that certificate was issued for",
                Place(PemKind::PrivateKey, key),
                Place(PemKind::Certificate, certificates)
            ),
            Self::NoRoots => f.write_str("no root certificates are given; without any no peer can be verified"),
            Self::NotFound { kind, origin, found } => {
                let place = Place(*kind, origin);
                match found.as_deref() {
                    Some("ENCRYPTED PRIVATE KEY") => write!(
                        f,
                        "{place}: the private key is encrypted; decrypt it first (openssl pkey -in ENCRYPTED -out PLAIN)"
                    ),
                    Some(found) => {
                        write!(f, "{place}: no PEM {} found, but {found}; expected {}", kind.name(), kind.expected())
                    }
                    None => write!(f, "{place}: no PEM {} found; expected {}", kind.name(), kind.expected()),
                }
            }
            Self::NotYetValid { origin, not_before } => write!(
                f,
                "{}: the certificate is not valid before {not_before}; check this machine's clock",
                Place(PemKind::Certificate, origin)
            ),
            Self::Unreadable { kind, path, reason } => write!(
                f,
                "{} file {}: cannot be read: {reason}; check the path and its permissions",
                kind.place(),
                path.display()
            ),
            Self::Unusable { reason } => write!(f, "TLS cannot be set up: {reason}"),
        }
    }
}

impl Error for TlsConfigError {}

/// Where PEM was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// In a file.
    File(PathBuf),
    /// In memory, given by the program.
    Memory,
}

/// What was looked for in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PemKind {
    /// Our own certificate and its chain.
    Certificate,
    /// The key of our certificate.
    PrivateKey,
    /// Certificates of those we believe.
    Root,
}

impl PemKind {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate | Self::Root => "certificate",
            Self::PrivateKey => "private key",
        }
    }

    fn place(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "key",
            Self::Root => "root certificate",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Certificate | Self::Root => "-----BEGIN CERTIFICATE-----",
            Self::PrivateKey => "-----BEGIN PRIVATE KEY----- (or EC PRIVATE KEY, or RSA PRIVATE KEY)",
        }
    }
}

struct Place<'a>(PemKind, &'a Origin);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Origin::File(path) => write!(f, "{} file {}", self.0.place(), path.display()),
            Origin::Memory => write!(f, "{} given in memory", self.0.place()),
        }
    }
}

/// Why there is no TLS with this peer.
///
/// With TLS 1.3 a client has finished its handshake before the server has judged its certificate, so a server's refusal may
/// reach it at its first read: such an error carries a `TlsError` inside the [`io::Error`].
#[derive(Debug)]
pub enum TlsError {
    /// Neither side's list of protocols has one the other speaks.
    NoApplicationProtocol {
        /// What we offer, the preferred one first, separated by commas.
        offered: String,
    },
    /// The peer showed no certificate though we require one.
    NoCertificate,
    /// What came is not TLS.
    NotTls,
    /// No version or cipher in common.
    PeerIncompatible {
        /// What is missing.
        reason: String,
    },
    /// The peer broke a rule of TLS.
    PeerMisbehaved {
        /// Which.
        reason: String,
    },
    /// The peer ended the handshake with an alert.
    Refused {
        /// The alert's name, and what it usually means.
        alert: String,
    },
    /// The transport below failed or ended.
    Transport(io::Error),
    /// The peer's certificate is not to be trusted.
    UntrustedCertificate {
        /// Why.
        reason: String,
    },
    /// The name to verify the server by is neither a DNS name nor an IP address.
    WrongServerName {
        /// The name.
        name: String,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoApplicationProtocol { offered } => write!(
                f,
                "no common protocol by ALPN: we offer {offered}; HTTP/2 over TLS needs a peer that negotiates h2"
            ),
            Self::NoCertificate => f.write_str("the peer showed no certificate, and one is required"),
            Self::NotTls => f.write_str("the peer does not speak TLS; is this a plaintext port, or the wrong one?"),
            Self::PeerIncompatible { reason } => {
                write!(f, "no TLS version or cipher in common with the peer: {reason}")
            }
            Self::PeerMisbehaved { reason } => write!(f, "the peer broke the rules of TLS: {reason}"),
            Self::Refused { alert } => write!(f, "the peer refused TLS with us: {alert}"),
            Self::Transport(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the peer closed the connection in the middle of TLS")
            }
            Self::Transport(error) => write!(f, "transport under TLS failed: {error}"),
            Self::UntrustedCertificate { reason } => write!(f, "the peer's certificate is not trusted: {reason}"),
            Self::WrongServerName { name } => {
                write!(f, "{name:?} is neither a DNS name nor an IP address, so no certificate can be for it")
            }
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            _ => None,
        }
    }
}

impl TlsError {
    /// Sorts out what tokio-rustls reports.
    pub(super) fn of(error: io::Error, alpn: &Alpn) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>());
        let Some(inner) = inner else { return Self::Transport(error) };
        match inner {
            RustlsError::AlertReceived(AlertDescription::NoApplicationProtocol)
            | RustlsError::NoApplicationProtocol => Self::NoApplicationProtocol { offered: alpn.to_string() },
            RustlsError::AlertReceived(alert) => Self::Refused { alert: explain_alert(*alert) },
            RustlsError::NoCertificatesPresented => Self::NoCertificate,
            RustlsError::InvalidCertificate(reason) => {
                Self::UntrustedCertificate { reason: explain_certificate(reason) }
            }
            RustlsError::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            // A server rejects a client of TLS 1.1 or older by one of these.
            RustlsError::PeerIncompatible(reason) => Self::PeerIncompatible { reason: explain_incompatible(reason) },
            other => Self::PeerMisbehaved { reason: other.to_string() },
        }
    }

    /// The same for errors of reading and writing, as an [`io::Error`] of the same kind.
    pub(super) fn in_io(error: io::Error) -> io::Error {
        let kind = error.kind();
        if error.get_ref().is_none_or(|inner| !inner.is::<RustlsError>()) {
            return error;
        }
        io::Error::new(kind, Self::of(error, &Alpn::default()))
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    let hint = match alert {
        AlertDescription::CertificateRequired => "it wants a client certificate: give one",
        AlertDescription::UnknownCA => "it does not know who issued our certificate: its roots lack our authority",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => "it does not trust our certificate",
        AlertDescription::CertificateExpired => "it takes our certificate as expired: renew it, or look at its clock",
        AlertDescription::CertificateRevoked => "our certificate is revoked",
        AlertDescription::AccessDenied => "our certificate is valid but may not come in",
        AlertDescription::ProtocolVersion => "it speaks none of our TLS versions (1.3 and 1.2)",
        AlertDescription::HandshakeFailure => {
            "it accepts none of our ciphers, or wants a client certificate that was not given"
        }
        AlertDescription::UnrecognisedName => "it has no certificate for the name we asked for",
        _ => return format!("{alert:?}"),
    };
    format!("{alert:?} ({hint})")
}

fn explain_certificate(error: &CertificateError) -> String {
    let hint = match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has to be renewed",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is this machine's clock right?",
        CertificateError::UnknownIssuer => {
            "none of the given roots issued it (does the peer send its intermediate certificates?)"
        }
        _ => return error.to_string(),
    };
    format!("{error}; {hint}")
}

fn explain_incompatible(reason: &PeerIncompatible) -> String {
    match reason {
        PeerIncompatible::SupportedVersionsExtensionRequired | PeerIncompatible::Tls12NotOffered => {
            "the peer is too old: TLS 1.2 is the least we speak".into()
        }
        PeerIncompatible::Tls12NotOfferedOrEnabled => "we speak TLS 1.3 only, the peer speaks an older version".into(),
        other => format!("{other:?}"),
    }
}
