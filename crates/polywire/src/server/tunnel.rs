//! A WebSocket inside an HTTP/2 stream (RFC 8441): the stream's bytes, as a transport of its own.

use bytes::{BufMut, BytesMut};
use polywire_core::{IncomingQueue, OutgoingQueue};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Bytes that may be on their way in each direction.
pub(super) const PIPE_BYTES: usize = 64 * 1024;

/// Moves bytes both ways until one side has ended.
pub(super) async fn run(transport: DuplexStream, incoming: &IncomingQueue, outgoing: &OutgoingQueue) {
    let (mut from, mut to) = tokio::io::split(transport);
    let inwards = async {
        while let Ok(Some(chunk)) = std::future::poll_fn(|cx| incoming.poll_next(cx)).await {
            if to.write_all(&chunk.bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
        // The other direction has the last word: the close handshake.
        std::future::pending::<()>().await;
    };
    let outwards = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(16 * 1024);
            match from.read_buf(&mut buffer).await {
                Ok(bytes) if bytes > 0 => {}
                _ => return,
            }
            if std::future::poll_fn(|cx| outgoing.poll_ready(cx)).await.is_err() {
                return;
            }
            let sent = outgoing.append(false, buffer.len(), |out| out.put_slice(&buffer));
            if sent.is_err() {
                return;
            }
            buffer.clear();
        }
    };
    tokio::select! {
        () = inwards => {}
        () = outwards => {}
    }
}
