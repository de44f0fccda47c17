//! TLS by rustls: who we are, whom we believe, and who the peer turned out to be.
//!
//! ```no_run
//! # async fn example(socket: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
//! use polywire::transport::tls::{CertificateSource, ClientCertificates, Roots, ServerTls};
//!
//! let handshake = ServerTls::new(CertificateSource::files("server.pem", "server.key"))
//!     .client_certificates(ClientCertificates::Required(Roots::file("clients-ca.pem")))
//!     .build()?;
//! let transport = handshake.accept(socket).await?;
//! let who = transport.identity();
//! # Ok(()) }
//! ```
//!
//! **Reloading.** Certificates, keys and roots that come from files are read again when they may have changed. Whoever does
//! a handshake looks, at most once every [`reload interval`](ServerTls::reload_interval): no task has to be kept alive, a
//! process that talks to nobody does nothing, and the first handshake after the interval already uses the new files.
//! Connections that exist are left alone. Everything is replaced at once or not at all: a key that does not belong to its
//! certificate (half of the files written), an expired certificate or a file that cannot be read leaves the old in use, is
//! reported through `tracing` when it first happens and counted in [`CertificateState::refused`].
//!
//! **Cryptography** comes from AWS-LC (feature `aws-lc-rs`, the default) or, if that feature is off, from ring (feature
//! `ring`). The process-wide default of rustls is neither read nor set.
//!
//! TLS 1.3 and 1.2 are spoken; early data (0-RTT) is neither sent nor accepted, because a call in it could be replayed.

mod alpn;
mod certificate;
mod client;
mod error;
mod identity;
mod provider;
mod reload;
mod server;
mod stream;

pub use certificate::{CertificateSource, Roots};
pub use client::{ClientHandshake, ClientTls};
pub use error::{Origin, PemKind, TlsConfigError, TlsError};
pub use reload::CertificateState;
pub use server::{ClientCertificates, ServerHandshake, ServerTls};
pub use stream::{TlsTransport, TlsVersion};
