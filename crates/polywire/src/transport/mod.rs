//! What carries bytes: TCP, TLS, Unix sockets, and memory.

pub(crate) mod memory;
pub mod tls;

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Anything that carries bytes both ways.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// Sets what every TCP connection of ours has: no waiting for more bytes (small calls would wait for each other's
/// acknowledgements), and a peer that vanished is found out even without keepalive.
pub(crate) fn prepare_tcp(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_keepalive(true)
}
