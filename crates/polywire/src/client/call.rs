//! The calls that generated clients return: first what the caller still wants to say, then the answer.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use polywire_core::{BoxFuture, Compression, Metadata, Method, Outgoing, Status};

use super::{
    channel::Channel,
    options::{Abandon, CallOptions, Started, only_message, start},
};
use crate::{
    Receiver, Sender,
    message::{AnyMessage, Compress, decode, envelope, enveloped, open_envelope, plain},
    streams::SendCompression,
};

/// The answer to a call with one response: the message and the metadata around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<M> {
    /// The response.
    pub message: M,
    /// The metadata that came before it.
    pub leading: Metadata,
    /// The metadata that came with the status.
    pub trailing: Metadata,
}

/// How a call with one response ended, with the metadata that came whatever the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<M> {
    /// The response, or the status of a call that failed.
    pub result: Result<M, Status>,
    /// The metadata that came before the response; empty when there was none.
    pub leading: Metadata,
    /// The metadata that came with the status.
    pub trailing: Metadata,
}

impl<M> Outcome<M> {
    /// A call that failed before the server said anything.
    fn failed(status: Status) -> Self {
        Self { result: Err(status), leading: Metadata::new(), trailing: Metadata::new() }
    }

    /// The response with its metadata, or the status alone.
    ///
    /// # Errors
    /// The status with which the call ended.
    pub fn into_response(self) -> Result<Response<M>, Status> {
        let Self { result, leading, trailing } = self;
        result.map(|message| Response { message, leading, trailing })
    }
}

macro_rules! call_options {
    () => {
        /// Sets how long the whole call may take; the server is told. The deadline of a call that is being answered holds
        /// all the same.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.options.timeout = Some(timeout);
            self
        }

        /// Sets the moment after which the answer is useless.
        pub fn deadline(mut self, deadline: Instant) -> Self {
            self.options.deadline = Some(deadline);
            self
        }

        /// Adds a text entry to the metadata. A key or value that may not travel makes the call fail with INTERNAL.
        pub fn metadata(mut self, key: &str, value: &str) -> Self {
            self.options.append(key, value);
            self
        }

        /// Adds a binary entry to the metadata; the key ends in `-bin`.
        pub fn metadata_bin(mut self, key: &str, value: &[u8]) -> Self {
            self.options.append_bin(key, value);
            self
        }

        /// Compresses the requests of this call; short messages stay as they are ([`ChannelBuilder::compress_bytes_min`](crate::ChannelBuilder::compress_bytes_min)).
        pub fn compress(mut self, compression: Compression) -> Self {
            self.options.compression = Some(compression);
            self
        }

        /// Waits for a connection instead of failing when there is none.
        pub fn wait_for_ready(mut self, wait: bool) -> Self {
            self.options.wait_for_ready = Some(wait);
            self
        }
    };
}

/// A call of a unary method. Await it for the response.
#[must_use = "a call does nothing until it is awaited"]
pub struct UnaryCall<'a, Resp> {
    channel: &'a Channel,
    method: &'static Method,
    options: CallOptions,
    /// In its envelope, not compressed.
    request: Result<Bytes, Status>,
    response: PhantomData<fn() -> Resp>,
}

impl<'a, Resp: AnyMessage> UnaryCall<'a, Resp> {
    pub(crate) fn new<Req: AnyMessage>(channel: &'a Channel, method: &'static Method, request: &Req) -> Self {
        let request = enveloped(channel.inner.options.codec, Compress::NOTHING, request);
        Self { channel, method, options: CallOptions::default(), request, response: PhantomData }
    }

    call_options!();

    /// Makes the call; the response comes with its metadata.
    ///
    /// # Errors
    /// The status with which the call ended.
    pub async fn with_metadata(self) -> Result<Response<Resp>, Status> {
        self.outcome().await.into_response()
    }

    /// Makes the call; its metadata comes also when it fails.
    pub async fn outcome(self) -> Outcome<Resp> {
        let channel = self.channel;
        match self.start() {
            Ok(started) => answer(channel, Abandon(started.incoming)).await,
            Err(status) => Outcome::failed(status),
        }
    }

    fn start(self) -> Result<Started, Status> {
        let compression = self.options.compression(self.channel);
        let request = compressed(self.request?, self.channel.inner.options.compress(compression))?;
        start(self.channel, self.method, self.options, Some(request))
    }
}

impl<'a, Resp: AnyMessage> IntoFuture for UnaryCall<'a, Resp> {
    type Output = Result<Resp, Status>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.with_metadata().await.map(|response| response.message) })
    }
}

impl<Resp> fmt::Debug for UnaryCall<'_, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnaryCall").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A call of a server-streaming method. Await it for the receiver of the responses; the server has not been waited for then.
#[must_use = "a call does nothing until it is awaited"]
pub struct ServerStreamingCall<'a, Resp> {
    call: UnaryCall<'a, Resp>,
}

impl<'a, Resp: AnyMessage> ServerStreamingCall<'a, Resp> {
    pub(crate) fn new<Req: AnyMessage>(channel: &'a Channel, method: &'static Method, request: &Req) -> Self {
        Self { call: UnaryCall::new(channel, method, request) }
    }

    fn start(self) -> Result<Receiver<Resp>, Status> {
        let channel = self.call.channel;
        self.call.start().map(|started| receiver(channel, started))
    }
}

/// A call of a client-streaming method. Await it for the sender of the requests and the future response.
#[must_use = "a call does nothing until it is awaited"]
pub struct ClientStreamingCall<'a, Req, Resp> {
    channel: &'a Channel,
    method: &'static Method,
    options: CallOptions,
    messages: PhantomData<fn(Req) -> Resp>,
}

impl<'a, Req: AnyMessage, Resp: AnyMessage> ClientStreamingCall<'a, Req, Resp> {
    pub(crate) fn new(channel: &'a Channel, method: &'static Method) -> Self {
        Self { channel, method, options: CallOptions::default(), messages: PhantomData }
    }

    call_options!();

    fn start(self) -> Result<(Sender<Req>, ResponseFuture<Resp>), Status> {
        let compression = self.options.compression(self.channel);
        let mut started = start(self.channel, self.method, self.options, None)?;
        let sender = sender(self.channel, &mut started, compression);
        let channel = self.channel.clone();
        let abandon = Abandon(started.incoming);
        Ok((sender, ResponseFuture(Box::pin(async move { answer(&channel, abandon).await }))))
    }
}

/// A call of a bidirectional method. Await it for the sender of the requests and the receiver of the responses.
#[must_use = "a call does nothing until it is awaited"]
pub struct BidiStreamingCall<'a, Req, Resp> {
    call: ClientStreamingCall<'a, Req, Resp>,
}

impl<'a, Req: AnyMessage, Resp: AnyMessage> BidiStreamingCall<'a, Req, Resp> {
    pub(crate) fn new(channel: &'a Channel, method: &'static Method) -> Self {
        Self { call: ClientStreamingCall::new(channel, method) }
    }

    fn start(self) -> Result<(Sender<Req>, Receiver<Resp>), Status> {
        let call = self.call;
        let compression = call.options.compression(call.channel);
        let mut started = start(call.channel, call.method, call.options, None)?;
        let sender = sender(call.channel, &mut started, compression);
        Ok((sender, receiver(call.channel, started)))
    }
}

macro_rules! inner_options {
    ($($type:ident<$($parameter:ident),*>;)*) => {$(
        impl<'a, $($parameter: AnyMessage),*> $type<'a, $($parameter),*> {
            /// Sets how long the whole call may take; the server is told.
            pub fn timeout(self, timeout: Duration) -> Self {
                Self { call: self.call.timeout(timeout) }
            }

            /// Sets the moment after which the answer is useless.
            pub fn deadline(self, deadline: Instant) -> Self {
                Self { call: self.call.deadline(deadline) }
            }

            /// Adds a text entry to the metadata. A key or value that may not travel makes the call fail with INTERNAL.
            pub fn metadata(self, key: &str, value: &str) -> Self {
                Self { call: self.call.metadata(key, value) }
            }

            /// Adds a binary entry to the metadata; the key ends in `-bin`.
            pub fn metadata_bin(self, key: &str, value: &[u8]) -> Self {
                Self { call: self.call.metadata_bin(key, value) }
            }

            /// Compresses the requests of this call; short messages stay as they are ([`ChannelBuilder::compress_bytes_min`](crate::ChannelBuilder::compress_bytes_min)).
            pub fn compress(self, compression: Compression) -> Self {
                Self { call: self.call.compress(compression) }
            }

            /// Waits for a connection instead of failing when there is none.
            pub fn wait_for_ready(self, wait: bool) -> Self {
                Self { call: self.call.wait_for_ready(wait) }
            }
        }
    )*};
}

inner_options! {
    ServerStreamingCall<Resp>;
    BidiStreamingCall<Req, Resp>;
}

macro_rules! start_when_awaited {
    ($($type:ident<$($parameter:ident),*> => $output:ty;)*) => {$(
        impl<'a, $($parameter: AnyMessage),*> IntoFuture for $type<'a, $($parameter),*> {
            type Output = Result<$output, Status>;
            type IntoFuture = std::future::Ready<Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                std::future::ready(self.start())
            }
        }

        impl<$($parameter),*> fmt::Debug for $type<'_, $($parameter),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    )*};
}

start_when_awaited! {
    ServerStreamingCall<Resp> => Receiver<Resp>;
    ClientStreamingCall<Req, Resp> => (Sender<Req>, ResponseFuture<Resp>);
    BidiStreamingCall<Req, Resp> => (Sender<Req>, Receiver<Resp>);
}

/// The response of a client-streaming call, to be awaited when the requests have been sent. Dropping it cancels the call.
#[must_use = "dropping the future response cancels the call"]
pub struct ResponseFuture<Resp>(BoxFuture<'static, Outcome<Resp>>);

impl<Resp> ResponseFuture<Resp> {
    /// The response with its metadata.
    ///
    /// # Errors
    /// The status with which the call ended.
    pub async fn with_metadata(self) -> Result<Response<Resp>, Status> {
        self.0.await.into_response()
    }

    /// The response or the status, with the metadata of either.
    pub async fn outcome(self) -> Outcome<Resp> {
        self.0.await
    }
}

impl<Resp> Future for ResponseFuture<Resp> {
    type Output = Result<Resp, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(|outcome| outcome.result)
    }
}

impl<Resp> fmt::Debug for ResponseFuture<Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

async fn answer<Resp: AnyMessage>(channel: &Channel, abandon: Abandon) -> Outcome<Resp> {
    let incoming = &abandon.0;
    let options = &channel.inner.options;
    let result = only_message(incoming)
        .await
        .and_then(|message| decode(options.codec, &plain(message, options.limits.message_bytes_max)?));
    // It is there: either it came before the response, or the call has ended.
    let leading = std::future::poll_fn(|cx| incoming.poll_leading(cx)).await;
    Outcome { result, leading, trailing: incoming.trailing().unwrap_or_default() }
}

fn compressed(request: Bytes, compress: Compress) -> Result<Bytes, Status> {
    if compress.with == Compression::Identity {
        return Ok(request);
    }
    envelope(compress, &open_envelope(request, Compression::Identity)?.bytes)
}

fn receiver<Resp: AnyMessage>(channel: &Channel, started: Started) -> Receiver<Resp> {
    let options = &channel.inner.options;
    Receiver::of_client(started.incoming, options.codec, options.limits.message_bytes_max)
}

fn sender<Req: AnyMessage>(channel: &Channel, started: &mut Started, compression: Compression) -> Sender<Req> {
    let outgoing = started.outgoing.take().map_or_else(Outgoing::none, Outgoing::queue);
    Sender::new(
        outgoing,
        channel.inner.options.codec,
        SendCompression::Fixed(channel.inner.options.compress(compression)),
    )
}
