//! Calls whose messages are bytes, for tools that know a method only at run time.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes};
use polywire_core::{
    Compression, ENVELOPE_BYTES, IncomingQueue, Metadata, Method, MethodKind, OutgoingQueue, Protocol, Status,
};
use polywire_engine::protocol::rest;

use super::{
    channel::Channel,
    options::{CallOptions, start},
};
use crate::message::{Compress, envelope, open_envelope, plain};

/// What is said about a raw call before it begins.
#[derive(Clone, Debug, Default)]
pub struct RawOptions {
    options: CallOptions,
}

impl RawOptions {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long the whole call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Sets the moment after which the answer is useless.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Sends this metadata.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.options.metadata = metadata;
        self
    }

    /// Compresses the requests.
    #[must_use]
    pub fn compress(mut self, compression: Compression) -> Self {
        self.options.compression = Some(compression);
        self
    }

    /// Waits for a connection instead of failing when there is none.
    #[must_use]
    pub fn wait_for_ready(mut self, wait: bool) -> Self {
        self.options.wait_for_ready = Some(wait);
        self
    }
}

impl Channel {
    /// Begins a call of any shape whose messages are bytes in the channel's codec.
    ///
    /// # Errors
    /// When the metadata may not travel.
    pub fn start_raw(&self, method: &Method, options: RawOptions) -> Result<(RawSender, RawReceiver), Status> {
        let compression = options.options.compression(self);
        let started = start(self, method, options.options, None)?;
        let queue = started.outgoing.ok_or_else(|| Status::internal("a streaming call has a queue"))?;
        let limit = self.inner.options.limits.message_bytes_max;
        let mut compress = self.inner.options.compress(compression);
        if self.protocol() == Protocol::Connect && method.kind() == MethodKind::Unary {
            // There the headers say whether the message is compressed, and they go out before it is known.
            compress = Compress::NOTHING;
        }
        Ok((RawSender { queue, compress }, RawReceiver { queue: started.incoming, message_bytes_max: limit }))
    }

    /// Begins a call whose only request is known, and says how long that is as it travels. By REST this is the only way for
    /// methods whose client does not stream: the message decides how the request looks.
    ///
    /// # Errors
    /// When the metadata may not travel, or the message cannot be compressed.
    pub fn start_raw_with(
        &self,
        method: &Method,
        message: &[u8],
        options: RawOptions,
    ) -> Result<(usize, RawReceiver), Status> {
        let compress = self.inner.options.compress(options.options.compression(self));
        let message = envelope(compress, message)?;
        let wire_bytes = message.len() - ENVELOPE_BYTES;
        let started = start(self, method, options.options, Some(message))?;
        let message_bytes_max = self.inner.options.limits.message_bytes_max;
        Ok((wire_bytes, RawReceiver { queue: started.incoming, message_bytes_max }))
    }

    /// Verb and target of the HTTP request that begins a call of this method with this message (in the channel's codec); `None`
    /// where calls are no HTTP requests, or the message fits no rule of REST.
    pub fn http_request(&self, method: &Method, message: &[u8]) -> Option<(&'static str, String)> {
        match self.protocol() {
            Protocol::Native => None,
            Protocol::Rest => {
                let request = rest::client_request(method.http(), method.kind(), message).ok()?;
                Some((request.verb(), request.path))
            }
            _ => Some(("POST", method.path().to_owned())),
        }
    }
}

/// Sends the requests of a raw call. Dropping it ends the stream.
pub struct RawSender {
    queue: Arc<OutgoingQueue>,
    compress: Compress,
}

impl RawSender {
    /// Sends a message; waits while the peer is too slow to take more. Says how long the message is as it travels.
    ///
    /// # Errors
    /// When the call is over; its status is with the responses.
    pub async fn send(&mut self, message: &[u8]) -> Result<usize, Status> {
        std::future::poll_fn(|cx| self.queue.poll_ready(cx)).await?;
        let message = open_compressed(self.compress, message)?;
        self.queue.append(message.0, message.1.len(), |out| out.put_slice(&message.1))?;
        Ok(message.1.len())
    }

    /// Ends the stream. Dropping does the same; this says it.
    pub fn close(self) {}
}

fn open_compressed(compress: Compress, message: &[u8]) -> Result<(bool, Bytes), Status> {
    let message = open_envelope(envelope(compress, message)?, compress.with)?;
    Ok((message.compression != Compression::Identity, message.bytes))
}

impl Drop for RawSender {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl fmt::Debug for RawSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSender").finish_non_exhaustive()
    }
}

/// A response of a raw call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMessage {
    /// The message, decompressed.
    pub bytes: Bytes,
    /// How it was compressed.
    pub compression: Compression,
    /// How long it was as it travelled, without its envelope.
    pub wire_bytes: usize,
}

/// Receives the responses of a raw call. Dropping it before the end cancels the call.
pub struct RawReceiver {
    queue: Arc<IncomingQueue>,
    message_bytes_max: usize,
}

impl RawReceiver {
    /// The next message, decompressed, or `None` when the call has ended well.
    ///
    /// # Errors
    /// The status with which the call ended.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        Ok(self.next_message().await?.map(|message| message.bytes))
    }

    /// As [`next`](Self::next), with how the message travelled.
    ///
    /// # Errors
    /// The status with which the call ended.
    pub async fn next_message(&mut self) -> Result<Option<RawMessage>, Status> {
        let Some(message) = std::future::poll_fn(|cx| self.queue.poll_next(cx)).await? else { return Ok(None) };
        let (compression, wire_bytes) = (message.compression, message.bytes.len());
        Ok(Some(RawMessage { bytes: plain(message, self.message_bytes_max)?, compression, wire_bytes }))
    }

    /// The leading metadata, as soon as it is there.
    pub async fn leading(&mut self) -> Metadata {
        std::future::poll_fn(|cx| self.queue.poll_leading(cx)).await
    }

    /// The metadata that came with the status, once the call has ended.
    pub fn trailing(&self) -> Option<Metadata> {
        self.queue.trailing()
    }
}

impl Drop for RawReceiver {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl fmt::Debug for RawReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawReceiver").finish_non_exhaustive()
    }
}
