use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustls::{
    Error as RustlsError, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use super::error::{Origin, PemKind, TlsConfigError};

/// A file of certificates may have this many bytes: all roots of the web are a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where our own certificate and its key come from.
///
/// Both are PEM. The certificates are a chain: ours first, then those that lead towards (and without) the root. The key is
/// PKCS #8, SEC 1 or PKCS #1, and not encrypted. One file may hold both.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateSource {
    certificates: Place,
    key: Place,
}

impl CertificateSource {
    /// Two files, read again when they change.
    pub fn files(certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificates: Place::File(certificates.into()), key: Place::File(key.into()) }
    }

    /// PEM in memory, which stays as it is.
    pub fn pem(certificates: impl Into<Bytes>, key: impl Into<Bytes>) -> Self {
        Self { certificates: Place::Memory(certificates.into()), key: Place::Memory(key.into()) }
    }

    pub(super) fn has_files(&self) -> bool {
        self.certificates.is_file() || self.key.is_file()
    }

    pub(super) fn read(&self) -> Result<CertificatePem, TlsConfigError> {
        Ok(CertificatePem {
            certificates: self.certificates.read(PemKind::Certificate)?,
            key: self.key.read(PemKind::PrivateKey)?,
        })
    }
}

impl fmt::Debug for CertificateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (certificates, key) = (self.certificates.origin(), self.key.origin());
        f.debug_struct("CertificateSource").field("certificates", &certificates).field("key", &key).finish()
    }
}

/// The certificates of those we believe: authorities that sign peers, or a peer's own if it signed itself.
///
/// A certificate that cannot be used is passed over with a warning, unless nothing else is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots(Vec<RootSource>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum RootSource {
    Pem(Place),
    #[cfg(feature = "system-roots")]
    System,
    #[cfg(feature = "webpki-roots")]
    Webpki,
}

impl Roots {
    /// The certificates of a PEM file, read again when it changes.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(vec![RootSource::Pem(Place::File(path.into()))])
    }

    /// PEM in memory.
    pub fn pem(certificates: impl Into<Bytes>) -> Self {
        Self(vec![RootSource::Pem(Place::Memory(certificates.into()))])
    }

    /// The authorities this machine's system believes, read once when the configuration is built (and again on reload).
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` choose others.
    #[cfg(feature = "system-roots")]
    pub fn system() -> Self {
        Self(vec![RootSource::System])
    }

    /// The authorities Mozilla believes, as of the build.
    #[cfg(feature = "webpki-roots")]
    pub fn webpki() -> Self {
        Self(vec![RootSource::Webpki])
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(super) fn has_files(&self) -> bool {
        self.0.iter().any(|source| matches!(source, RootSource::Pem(place) if place.is_file()))
    }

    pub(super) fn read(&self) -> Result<RootsPem, TlsConfigError> {
        let read = |source: &RootSource| {
            Ok(match source {
                RootSource::Pem(place) => RootsPiece::Pem(place.read(PemKind::Root)?),
                #[cfg(feature = "system-roots")]
                RootSource::System => RootsPiece::System,
                #[cfg(feature = "webpki-roots")]
                RootSource::Webpki => RootsPiece::Webpki,
            })
        };
        self.0.iter().map(read).collect::<Result<_, _>>().map(RootsPem)
    }
}

/// Our certificate as it was read, not yet looked at. Hashing it tells whether it has changed.
#[derive(Hash)]
pub(super) struct CertificatePem {
    certificates: Piece,
    key: Piece,
}

/// Our certificate, ready for use.
pub(super) struct Certificate {
    pub(super) key: CertifiedKey,
    pub(super) not_after_unix_seconds: i64,
}

impl CertificatePem {
    /// The certificate, if it is valid `now` and the key belongs to it.
    pub(super) fn parse(&self, provider: &CryptoProvider, now: i64) -> Result<Certificate, TlsConfigError> {
        let chain = self.certificates.certificates()?;
        let not_after_unix_seconds = self.check_validity(&chain[0], now)?;
        let key = CertifiedKey::from_der(chain, self.key.private_key()?, provider).map_err(|error| match error {
            RustlsError::InconsistentKeys(_) => TlsConfigError::KeyMismatch {
                certificates: self.certificates.origin.clone(),
                key: self.key.origin.clone(),
            },
            error => TlsConfigError::BadKey { origin: self.key.origin.clone(), reason: error.to_string() },
        })?;
        Ok(Certificate { key, not_after_unix_seconds })
    }

    fn check_validity(&self, certificate: &CertificateDer<'_>, now: i64) -> Result<i64, TlsConfigError> {
        let origin = || self.certificates.origin.clone();
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| {
            TlsConfigError::BadCertificate { kind: self.certificates.kind, origin: origin(), reason: error.to_string() }
        })?;
        let validity = certificate.validity();
        let text = |time: ASN1Time| time.to_string();
        if validity.not_before.timestamp() > now {
            return Err(TlsConfigError::NotYetValid { origin: origin(), not_before: text(validity.not_before) });
        }
        if validity.not_after.timestamp() < now {
            return Err(TlsConfigError::Expired { origin: origin(), not_after: text(validity.not_after) });
        }
        Ok(validity.not_after.timestamp())
    }
}

/// Roots as they were read.
#[derive(Hash)]
pub(super) struct RootsPem(Vec<RootsPiece>);

#[derive(Hash)]
enum RootsPiece {
    Pem(Piece),
    #[cfg(feature = "system-roots")]
    System,
    #[cfg(feature = "webpki-roots")]
    Webpki,
}

impl RootsPem {
    pub(super) fn parse(&self) -> Result<RootCertStore, TlsConfigError> {
        let mut store = RootCertStore::empty();
        for piece in &self.0 {
            match piece {
                RootsPiece::Pem(piece) => piece.add_to(&mut store)?,
                #[cfg(feature = "system-roots")]
                RootsPiece::System => {
                    // Systems carry some that nobody can parse; they are passed over.
                    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                }
                #[cfg(feature = "webpki-roots")]
                RootsPiece::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            }
        }
        if store.is_empty() { Err(TlsConfigError::NoRoots) } else { Ok(store) }
    }
}

/// Where PEM comes from.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Memory(Bytes),
}

impl Place {
    fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn origin(&self) -> Origin {
        match self {
            Self::File(path) => Origin::File(path.clone()),
            Self::Memory(_) => Origin::Memory,
        }
    }

    fn read(&self, kind: PemKind) -> Result<Piece, TlsConfigError> {
        let pem = match self {
            Self::File(path) => read_file(path, kind)?,
            Self::Memory(pem) => pem.clone(),
        };
        Ok(Piece { kind, origin: self.origin(), pem })
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin().fmt(f)
    }
}

#[derive(Hash)]
struct Piece {
    kind: PemKind,
    origin: Origin,
    pem: Bytes,
}

impl Piece {
    /// All certificates, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
        let certificates = CertificateDer::pem_slice_iter(&self.pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.bad_pem(&error))?;
        if certificates.is_empty() { Err(self.not_found()) } else { Ok(certificates) }
    }

    /// Adds all certificates that can be used. Large bundles carry some that cannot, which is no reason to believe nobody.
    fn add_to(&self, store: &mut RootCertStore) -> Result<(), TlsConfigError> {
        let before = store.len();
        let mut unusable = None;
        for certificate in self.certificates()? {
            if let Err(error) = store.add(certificate) {
                unusable = Some(self.bad_certificate(&error));
            }
        }
        match unusable {
            Some(error) if store.len() == before => Err(error),
            Some(error) => {
                tracing::warn!(%error, "a root certificate is passed over");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
        PrivateKeyDer::from_pem_slice(&self.pem).map_err(|error| match error {
            pem::Error::NoItemsFound => self.not_found(),
            error => self.bad_pem(&error),
        })
    }

    fn not_found(&self) -> TlsConfigError {
        TlsConfigError::NotFound { kind: self.kind, origin: self.origin.clone(), found: first_label(&self.pem) }
    }

    fn bad_pem(&self, error: &pem::Error) -> TlsConfigError {
        TlsConfigError::BadPem { kind: self.kind, origin: self.origin.clone(), reason: error.to_string() }
    }

    fn bad_certificate(&self, error: &RustlsError) -> TlsConfigError {
        TlsConfigError::BadCertificate { kind: self.kind, origin: self.origin.clone(), reason: error.to_string() }
    }
}

/// What stands in the first line of the form `-----BEGIN …-----`.
fn first_label(pem: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(pem);
    let label = text.lines().find_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))?;
    Some(label.chars().take(40).collect())
}

fn read_file(path: &Path, kind: PemKind) -> Result<Bytes, TlsConfigError> {
    let unreadable =
        |error: io::Error| TlsConfigError::Unreadable { kind, path: path.to_owned(), reason: error.to_string() };
    let mut pem = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut pem)).map_err(unreadable)?;
    if pem.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::other("it is larger than 1 MiB")));
    }
    Ok(pem.into())
}
