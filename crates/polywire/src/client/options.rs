use std::{
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use polywire_core::{Compression, IncomingQueue, InvalidMetadata, Message, Metadata, Method, OutgoingQueue, Status};

use super::{
    channel::{Channel, Inner},
    connection::{CallLink, StartCall},
    intercepted::{self, Gone},
};
use crate::context;

/// What a caller says about one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) metadata: Metadata,
    pub(crate) invalid: Option<InvalidMetadata>,
    pub(crate) compression: Option<Compression>,
    pub(crate) wait_for_ready: Option<bool>,
}

impl CallOptions {
    pub(crate) fn append(&mut self, key: &str, value: &str) {
        if let Err(error) = self.metadata.append(key, value) {
            self.invalid = Some(error);
        }
    }

    pub(crate) fn append_bin(&mut self, key: &str, value: &[u8]) {
        if let Err(error) = self.metadata.append_bin(key, value) {
            self.invalid = Some(error);
        }
    }

    pub(crate) fn compression(&self, channel: &Channel) -> Compression {
        self.compression.unwrap_or(channel.inner.options.compression)
    }
}

/// The queues of a call that has been given to its channel.
pub(crate) struct Started {
    pub(crate) incoming: Arc<IncomingQueue>,
    pub(crate) outgoing: Option<Arc<OutgoingQueue>>,
}

/// Bytes a caller has read before the server gets window for as many again.
const RELEASE_BYTES_MIN: usize = 32 * 1024;

/// Gives a call to its channel. It is on its way when this returns; nothing has been waited for.
///
/// `message` is the only request, in its envelope; without it the client streams.
pub(crate) fn start(
    channel: &Channel,
    method: &Method,
    options: CallOptions,
    message: Option<Bytes>,
) -> Result<Started, Status> {
    if let Some(error) = &options.invalid {
        return Err(Status::internal(error.to_string()));
    }
    let inner = &channel.inner;
    let has_chain = !inner.options.interceptors.is_empty();
    let link = Arc::new(CallLink::default());
    let gone = has_chain.then(|| Gone::new(Arc::clone(&link)));
    let reader_gone = gone.as_ref().map_or_else(|| link.waker(), |gone| Waker::from(Arc::clone(gone)));
    let window = inner.options.limits.window_bytes as usize;
    let incoming = Arc::new(IncomingQueue::new(reader_gone, RELEASE_BYTES_MIN.min(window / 4)));
    let outgoing = message.is_none().then(|| match has_chain {
        false => Arc::new(OutgoingQueue::new(link.waker())),
        true => Arc::new(OutgoingQueue::shut(link.waker())),
    });
    let started = Started { incoming: Arc::clone(&incoming), outgoing: outgoing.clone() };
    let deadline = deadline(inner, &options);
    let compression = options.compression(channel);
    if let Some(outgoing) = outgoing.as_ref().filter(|_| has_chain) {
        outgoing.set_compression(compression);
    }
    let start = StartCall {
        template: inner.template(method, compression),
        metadata: options.metadata,
        deadline,
        message,
        incoming,
        outgoing,
        link,
        wait_for_ready: options.wait_for_ready.unwrap_or(inner.options.wait_for_ready),
        ended: None,
        expiry: None,
        is_repeated: false,
    };
    match gone {
        None => inner.start(start),
        Some(gone) => intercepted::start(Arc::clone(inner), method.clone(), compression, start, gone),
    }
    Ok(started)
}

/// The earliest of what the call, the channel and the call that is being answered ask for.
fn deadline(inner: &Inner, options: &CallOptions) -> Option<Instant> {
    let timeout = options.timeout.or(if options.deadline.is_some() { None } else { inner.options.timeout });
    let own = timeout.and_then(|timeout| tokio::time::Instant::now().into_std().checked_add(timeout));
    context::earlier(context::earlier(own, options.deadline), context::current_deadline())
}

/// The only message of a response.
pub(crate) async fn only_message(incoming: &IncomingQueue) -> Result<Message, Status> {
    let first = std::future::poll_fn(|cx| incoming.poll_next(cx)).await?;
    let Some(first) = first else {
        return Err(Status::unimplemented("the server answered OK without a response"));
    };
    match std::future::poll_fn(|cx| incoming.poll_next(cx)).await? {
        None => Ok(first),
        Some(_) => Err(Status::unimplemented("the server answered a method of one response with several")),
    }
}

/// Tells the connection that nobody waits when a caller goes away early.
pub(crate) struct Abandon(pub(crate) Arc<IncomingQueue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
