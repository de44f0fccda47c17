//! TLS.
use std::{io, sync::Arc};
use polywire_core::TlsIdentity;
/// placeholder
#[derive(Debug)]
pub struct ServerTls;
/// placeholder
#[derive(Debug)]
pub struct ClientTls;
impl ServerTls {
    pub(crate) async fn accept<T>(&self, t: T) -> io::Result<(T, Option<Arc<TlsIdentity>>)> { Ok((t, None)) }
}
impl ClientTls {
    /// n
    pub fn new() -> Self { Self }
    pub(crate) async fn connect<T>(&self, _h: &str, t: T) -> io::Result<T> { Ok(t) }
}
