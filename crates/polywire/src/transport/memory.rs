//! Calls inside one process, by the same path as all others but without a socket.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::server::ServerHandle;

/// Bytes that may be on their way in each direction.
const PIPE_BYTES: usize = 256 * 1024;

/// One end of a pair that is connected in memory.
#[derive(Debug)]
pub(crate) struct MemoryTransport(DuplexStream);

impl MemoryTransport {
    fn pair() -> (Self, Self) {
        let (a, b) = tokio::io::duplex(PIPE_BYTES);
        (Self(a), Self(b))
    }
}

/// Where a channel finds a server of the same process.
#[derive(Clone, Debug)]
pub(crate) struct MemoryTarget(pub(crate) Arc<ServerHandle>);

impl MemoryTarget {
    pub(crate) fn connect(&self) -> io::Result<MemoryTransport> {
        let (client, server) = MemoryTransport::pair();
        if self.0.accept_memory(server) {
            Ok(client)
        } else {
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the server in this process has stopped"))
        }
    }
}

impl AsyncRead for MemoryTransport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryTransport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
