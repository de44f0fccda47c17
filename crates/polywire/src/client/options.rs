use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use polywire_core::{
    BoxFuture, Call, Compression, Exchange, Handler, Incoming, IncomingQueue, InvalidMetadata, Message, Metadata,
    Method, Next, Outgoing, OutgoingQueue, Peer, Protocol, Reply, RequestHead, Status, Wire,
};
use tokio::sync::oneshot;

use super::{
    channel::{Channel, Inner},
    connection::{CallLink, StartCall},
};
use crate::{
    context,
    message::{envelope, open_envelope, plain},
};

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
    let link = Arc::new(CallLink::default());
    let window = inner.options.limits.window_bytes as usize;
    let incoming = Arc::new(IncomingQueue::new(link.waker(), RELEASE_BYTES_MIN.min(window / 4)));
    let outgoing = message.is_none().then(|| Arc::new(OutgoingQueue::new(link.waker())));
    let started = Started { incoming: Arc::clone(&incoming), outgoing: outgoing.clone() };
    let deadline = deadline(inner, &options);
    let compression = options.compression(channel);
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
    };
    if inner.options.interceptors.is_empty() {
        inner.start(start);
    } else {
        tokio::spawn(intercepted(Arc::clone(inner), method.clone(), compression, start));
    }
    Ok(started)
}

/// The earliest of what the call, the channel and the call that is being answered ask for.
fn deadline(inner: &Inner, options: &CallOptions) -> Option<Instant> {
    let timeout = options.timeout.or(if options.deadline.is_some() { None } else { inner.options.timeout });
    let own = timeout.and_then(|timeout| tokio::time::Instant::now().into_std().checked_add(timeout));
    context::earlier(context::earlier(own, options.deadline), context::current_deadline())
}

/// Runs a call inside the channel's interceptors.
async fn intercepted(inner: Arc<Inner>, method: Method, compression: Compression, mut start: StartCall) {
    let head = RequestHead {
        path: method.path().to_owned(),
        authority: String::new(),
        metadata: std::mem::take(&mut start.metadata),
        timeout: None,
        codec: inner.options.codec,
        compression,
        accepts: inner.options.accepts,
        protocol: Protocol::Grpc,
        wire: Wire::Http2,
    };
    let mut call = Call::new(method, Arc::new(head), start.deadline, Arc::new(Peer::default()));
    let incoming = Arc::clone(&start.incoming);
    let outgoing = start.outgoing.clone();
    let requests = match start.message.take() {
        Some(message) => open_envelope(message, compression).map_or_else(|_| Incoming::none(), Incoming::one),
        None => Incoming::none(),
    };
    let exchange = Exchange { requests, responses: Outgoing::none() };
    let last = Last { channel: Arc::clone(&inner), start: std::sync::Mutex::new(Some(start)) };
    let result = Next::new(&inner.options.interceptors, &last, exchange).run(&mut call).await;
    if let Some(outgoing) = outgoing {
        outgoing.close(Status::cancelled("the call is over: its status is with the responses"));
    }
    incoming.finish(result.map(drop), call.trailing().clone());
}

/// Behind the last interceptor: the connection.
struct Last {
    channel: Arc<Inner>,
    start: std::sync::Mutex<Option<StartCall>>,
}

impl Handler for Last {
    fn call<'a>(&'a self, call: &'a mut Call, mut exchange: Exchange) -> BoxFuture<'a, Result<Reply, Status>> {
        Box::pin(async move {
            let start = self.start.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            let Some(mut start) = start else {
                return Err(Status::internal("an interceptor ran the call twice"));
            };
            if start.outgoing.is_none() {
                // The interceptors have seen the request; it may have been compressed by the caller.
                let Some(message) = exchange.requests.next().await? else {
                    return Err(Status::internal("an interceptor took the request away"));
                };
                let compression = message.compression;
                let bytes = plain(message, usize::MAX)?;
                start.message = Some(envelope(compression, &bytes)?);
            }
            start.metadata = call.metadata().clone();
            start.deadline = context::earlier(start.deadline, call.deadline());
            let (ended, end) = oneshot::channel();
            start.ended = Some(ended);
            let incoming = Arc::clone(&start.incoming);
            self.channel.start(start);
            let (result, trailing) =
                end.await.unwrap_or_else(|_| (Err(Status::internal("the call was lost")), Metadata::new()));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let leading = match incoming.poll_leading(&mut cx) {
                std::task::Poll::Ready(leading) => leading,
                std::task::Poll::Pending => Metadata::new(),
            };
            call.set_answer(leading, trailing);
            result.map(|()| Reply::Streamed)
        })
    }
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
