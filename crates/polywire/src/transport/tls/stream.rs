use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use polywire_core::TlsIdentity;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::error::TlsError;

/// A transport with TLS on it, after its handshake.
///
/// A peer that goes away without saying so in TLS (close_notify) gives [`io::ErrorKind::UnexpectedEof`] when reading, because
/// then nobody knows whether something was cut off. Where a protocol marks its own end, as HTTP/2 does, it may be taken as
/// the end.
pub struct TlsTransport<T> {
    stream: TlsStream<T>,
    identity: Option<Arc<TlsIdentity>>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

impl<T> TlsTransport<T> {
    pub(super) fn new(stream: TlsStream<T>, identity: Option<Arc<TlsIdentity>>) -> Self {
        Self { stream, identity }
    }

    /// Who the peer is: what its certificate says, if it showed one and we have verified it.
    pub fn identity(&self) -> Option<&Arc<TlsIdentity>> {
        self.identity.as_ref()
    }

    /// The protocol agreed on by ALPN, such as `h2`.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// The version of TLS.
    pub fn version(&self) -> TlsVersion {
        match self.stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        }
    }

    /// The cipher suite's name as registered by IANA, such as `TLS13_AES_128_GCM_SHA256`.
    pub fn cipher_suite(&self) -> Option<&'static str> {
        self.stream.get_ref().1.negotiated_cipher_suite()?.suite().as_str()
    }

    /// Whether certificates were left out because an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// On a server: the name the client asked for (SNI).
    pub fn server_name(&self) -> Option<&str> {
        match &self.stream {
            TlsStream::Client(_) => None,
            TlsStream::Server(stream) => stream.get_ref().1.server_name(),
        }
    }

    /// The transport below. Reading from or writing to it breaks TLS.
    pub fn transport(&self) -> &T {
        self.stream.get_ref().0
    }
}

impl<T> fmt::Debug for TlsTransport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport")
            .field("version", &self.version())
            .field("identity", &self.identity.as_ref().map(|identity| &identity.subject))
            .finish_non_exhaustive()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsTransport<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf).map_err(TlsError::in_io)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsTransport<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf).map_err(TlsError::in_io)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs).map_err(TlsError::in_io)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(TlsError::in_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(TlsError::in_io)
    }
}
