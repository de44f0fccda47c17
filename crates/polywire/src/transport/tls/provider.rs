use std::sync::Arc;

use rustls::{SupportedProtocolVersion, crypto::CryptoProvider, version};

use super::TlsVersion;

/// The cryptography chosen by our features, whatever the rest of the process has chosen.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::default_provider())
}

/// The versions from `least` upwards.
pub(super) fn versions(least: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static ALL: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    match least {
        TlsVersion::Tls12 => &ALL,
        TlsVersion::Tls13 => &ALL[..1],
    }
}

#[cfg(feature = "aws-lc-rs")]
pub(super) use rustls::crypto::aws_lc_rs as crypto;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(super) use rustls::crypto::ring as crypto;
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
compile_error!("polywire needs cryptography for TLS: enable its feature `aws-lc-rs` (the default) or `ring`");
