//! The typed ends of a stream of messages.

use std::{
    borrow::Borrow,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use buffa::{HasMessageView, SizeCache};
use bytes::Bytes;
use polywire_core::{
    Codec, Compression, Incoming, IncomingQueue, Message, Metadata, Outgoing, OutgoingQueue, SlowConsumer, Status,
};

use crate::message::{AnyMessage, Compress, checked_len, decode, enveloped, malformed, open_envelope, plain};

/// Sends the messages of a stream.
///
/// Dropping it ends the stream: a client's server learns that nothing follows; a server's stream ends when its handler does.
pub struct Sender<M> {
    outgoing: Outgoing,
    codec: Codec,
    /// Fixed on a client; on a server what the handler asks for counts, if the caller accepts it.
    compression: SendCompression,
    message: PhantomData<fn(M)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SendCompression {
    Fixed(Compress),
    Accepted(polywire_core::CompressionSet),
}

impl<M: AnyMessage> Sender<M> {
    pub(crate) fn new(outgoing: Outgoing, codec: Codec, compression: SendCompression) -> Self {
        Self { outgoing, codec, compression, message: PhantomData }
    }

    /// Sends a message; waits while the peer is too slow to take more.
    ///
    /// # Errors
    /// When the call is over. On a client the status of the call is with the responses.
    pub async fn send(&mut self, message: impl Borrow<M>) -> Result<(), Status> {
        self.send_with(message.borrow(), true).await
    }

    /// Sends a message without compressing it, whatever the call compresses with.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_uncompressed(&mut self, message: impl Borrow<M>) -> Result<(), Status> {
        self.send_with(message.borrow(), false).await
    }

    async fn send_with(&mut self, message: &M, compress: bool) -> Result<(), Status> {
        self.show(message)?;
        while !self.try_send(message, compress)? {
            if let Some(queue) = self.outgoing.as_queue() {
                std::future::poll_fn(|cx| queue.poll_ready(cx)).await?;
            }
        }
        Ok(())
    }

    /// Sends if there is room now. Nearly every message goes this way, without anything kept over an await.
    fn try_send(&mut self, message: &M, compress: bool) -> Result<bool, Status> {
        let how = self.how_compressed();
        let queue = self.stream()?;
        let how = if compress { how } else { Compress::NOTHING };
        if self.codec == Codec::Proto && how.with == Compression::Identity {
            let mut cache = SizeCache::new();
            let len = checked_len(message.compute_size(&mut cache) as usize)?;
            return queue.try_append(false, len, |out| message.write_to(&mut cache, out));
        }
        let enveloped = enveloped(self.codec, how, message)?;
        let Message { bytes, compression } = open_envelope(enveloped, how.with)?;
        queue.try_append(compression != Compression::Identity, bytes.len(), |out| out.extend_from_slice(&bytes))
    }

    /// Sends a message that other streams may get as well: it is encoded and compressed only once for all who want it in the same
    /// form. Waits as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_shared(&mut self, message: &SharedMessage<M>) -> Result<(), Status> {
        self.show(&message.message)?;
        let enveloped = self.shared_form(&message.message, &message.forms)?;
        while !self.try_send_enveloped(&enveloped)? {
            let queue = self.stream()?;
            std::future::poll_fn(|cx| queue.poll_ready(cx)).await?;
        }
        Ok(())
    }

    /// Shows a message to the interceptors that asked for it.
    pub(crate) fn show(&mut self, message: &M) -> Result<(), Status> {
        if self.outgoing.is_inspected() {
            self.outgoing.show(&message.encode_to_vec())?;
        }
        Ok(())
    }

    /// The message as this stream wants it.
    pub(crate) fn shared_form(&mut self, message: &M, forms: &Forms) -> Result<Bytes, Status> {
        forms.of(self.codec, self.how_compressed(), message)
    }

    pub(crate) fn try_send_enveloped(&self, enveloped: &Bytes) -> Result<bool, Status> {
        self.stream()?.try_append_enveloped(enveloped)
    }

    /// Chooses what happens when the peer is too slow; without it a sender waits.
    ///
    /// Too slow means: 64 KiB of messages wait for room on the connection. A sender that does not wait, in a loop that waits for nothing
    /// else, fills them before anybody could take one; these choices are for messages that come when something happens.
    pub fn when_slow(&mut self, choice: SlowConsumer) {
        if let Some(queue) = self.outgoing.as_queue() {
            queue.set_when_slow(choice);
        }
    }

    /// How many messages were dropped because the peer was too slow ([`SlowConsumer::DropOldest`]).
    pub fn dropped(&self) -> u64 {
        self.outgoing.as_queue().map_or(0, |queue| queue.dropped())
    }

    pub(crate) fn stream(&self) -> Result<&Arc<OutgoingQueue>, Status> {
        self.outgoing.as_queue().ok_or_else(|| Status::internal("this call has no stream to send to"))
    }

    fn how_compressed(&mut self) -> Compress {
        match self.compression {
            SendCompression::Fixed(how) => how,
            SendCompression::Accepted(accepts) => {
                // The headers of the response go out with the first message: from then on it stays as it is.
                let asked = self.outgoing.as_queue().and_then(|queue| queue.compression());
                let asked = asked.filter(|&compression| accepts.contains(compression)).unwrap_or_default();
                let how = Compress::from(asked);
                self.compression = SendCompression::Fixed(how);
                how
            }
        }
    }

    /// Server: sends the leading metadata now instead of with the first message.
    pub fn flush_leading(&mut self) {
        if let Some(queue) = self.outgoing.as_queue() {
            queue.flush_leading();
        }
    }

    /// Ends the stream. Dropping does the same; this says it.
    pub fn close(self) {}
}

impl<M> Drop for Sender<M> {
    fn drop(&mut self) {
        if let Some(queue) = self.outgoing.as_queue() {
            queue.end();
        }
    }
}

impl<M> fmt::Debug for Sender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("codec", &self.codec).finish_non_exhaustive()
    }
}

/// A message for many streams: encoded and compressed once for each form that one of them wants, and then shared.
///
/// ```ignore
/// let event = Arc::new(SharedMessage::new(event));
/// // in each of the handlers that follow:
/// responses.send_shared(&event).await?;
/// ```
pub struct SharedMessage<M> {
    message: M,
    forms: Forms,
}

impl<M: AnyMessage> SharedMessage<M> {
    /// Nothing is encoded yet.
    pub fn new(message: M) -> Self {
        Self { message, forms: Forms::default() }
    }

    /// The message.
    pub fn message(&self) -> &M {
        &self.message
    }
}

impl<M: fmt::Debug> fmt::Debug for SharedMessage<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedMessage").field(&self.message).finish()
    }
}

/// One message in the forms in which it was wanted so far, each in its envelope.
#[derive(Default)]
pub(crate) struct Forms {
    /// There are as many as codecs times compressions, and nearly always one.
    made: Mutex<Vec<(Codec, Compress, Bytes)>>,
}

impl Forms {
    fn of<M: AnyMessage>(&self, codec: Codec, how: Compress, message: &M) -> Result<Bytes, Status> {
        // Whoever comes while it is being made waits for it, which costs less than making it twice.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, bytes)) = made.iter().find(|form| (form.0, form.1) == (codec, how)) {
            return Ok(bytes.clone());
        }
        let bytes = enveloped(codec, how, message)?;
        made.push((codec, how, bytes.clone()));
        Ok(bytes)
    }
}

/// Receives the messages of a stream.
///
/// Dropping it on a client before the stream has ended cancels the call.
pub struct Receiver<M> {
    incoming: Incoming,
    /// Set on a client, where the stream also carries metadata.
    queue: Option<Arc<IncomingQueue>>,
    codec: Codec,
    message_bytes_max: usize,
    message: PhantomData<fn() -> M>,
}

impl<M: AnyMessage> Receiver<M> {
    pub(crate) fn new(incoming: Incoming, codec: Codec, message_bytes_max: usize) -> Self {
        Self { incoming, queue: None, codec, message_bytes_max, message: PhantomData }
    }

    pub(crate) fn of_client(queue: Arc<IncomingQueue>, codec: Codec, message_bytes_max: usize) -> Self {
        let incoming = Incoming::queue(Arc::clone(&queue));
        Self { incoming, queue: Some(queue), codec, message_bytes_max, message: PhantomData }
    }

    /// The next message, or `None` when the stream has ended well.
    ///
    /// # Errors
    /// The status with which the stream ended, or what was wrong with a message.
    pub async fn next(&mut self) -> Result<Option<M>, Status> {
        match self.incoming.next().await? {
            Some(message) => decode(self.codec, &plain(message, self.message_bytes_max)?).map(Some),
            None => Ok(None),
        }
    }

    /// The next message as a view that owns the bytes it reads from: nothing is copied out of them.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_view(&mut self) -> Result<Option<M::ViewHandle>, Status>
    where
        M: HasMessageView,
    {
        let Some(message) = self.incoming.next().await? else { return Ok(None) };
        let bytes = plain(message, self.message_bytes_max)?;
        let bytes = match self.codec {
            Codec::Proto => bytes,
            Codec::Json => decode::<M>(Codec::Json, &bytes)?.encode_to_bytes(),
        };
        M::decode_view_handle(bytes).map(Some).map_err(|error| malformed(&error))
    }

    /// Client: the leading metadata of the response, as soon as it is there.
    pub async fn leading(&mut self) -> Metadata {
        match &self.queue {
            Some(queue) => std::future::poll_fn(|cx| queue.poll_leading(cx)).await,
            None => Metadata::new(),
        }
    }

    /// Client: the metadata that came with the status, once the stream has ended.
    pub fn trailing(&self) -> Option<Metadata> {
        self.queue.as_ref().and_then(|queue| queue.trailing())
    }
}

impl<M> Drop for Receiver<M> {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.abandon();
        }
    }
}

impl<M> fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("codec", &self.codec).finish_non_exhaustive()
    }
}
