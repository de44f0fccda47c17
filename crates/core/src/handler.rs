use std::{pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{Call, ENVELOPE_BYTES, Incoming, Method, Outgoing, Status, stream::put_envelope};

/// A future on the heap that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The messages of a call, each way. A unary call is a stream of one.
#[derive(Debug)]
pub struct Exchange {
    /// What the caller sends.
    pub requests: Incoming,
    /// Where a streaming answer goes.
    pub responses: Outgoing,
}

/// What a handler leaves when it ends well.
#[derive(Debug)]
pub enum Reply {
    /// The one response of a unary or client-streaming method, in its envelope (see [`ENVELOPE_BYTES`](crate::ENVELOPE_BYTES)).
    Message(Bytes),
    /// The responses went out through [`Exchange::responses`].
    Streamed,
}

impl Reply {
    /// A response, not compressed, in its envelope; for interceptors that answer themselves. The bytes are a message as the
    /// call's [codec](Call::codec) writes it.
    pub fn message(response: &[u8]) -> Self {
        let mut enveloped = BytesMut::with_capacity(ENVELOPE_BYTES + response.len());
        put_envelope(&mut enveloped, false, response.len(), |out| out.extend_from_slice(response));
        Self::Message(enveloped.freeze())
    }
}

/// Answers calls of any shape: the one type to which every wire and protocol comes.
pub trait Handler: Send + Sync + 'static {
    /// Runs one call to its end. Dropping the future cancels it.
    fn call<'a>(&'a self, call: &'a mut Call, exchange: Exchange) -> BoxFuture<'a, Result<Reply, Status>>;
}

/// A service as generated code offers it to a server.
pub trait Service: Send + Sync + 'static {
    /// The full name, `package.Service`.
    fn name(&self) -> &'static str;

    /// Its methods; [`call`](Self::call) takes the place in this list.
    fn methods(&self) -> &'static [Method];

    /// The `FileDescriptorSet` it was generated from, with everything imported, for reflection. Empty when there is none.
    fn descriptors(&self) -> &'static [u8] {
        &[]
    }

    /// What can be called over plain HTTP, for a description of the whole server, as JSON:
    /// `{"tags": […], "paths": {…}, "schemas": {…}}` in the words of OpenAPI 3.1. Empty when there is nothing.
    fn openapi(&self) -> &'static str {
        ""
    }

    /// The server begins to drain: calls that would last as long as the server should end by themselves now.
    fn drain(&self) {}

    /// Runs one call of the method at that place.
    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut Call,
        exchange: Exchange,
    ) -> BoxFuture<'a, Result<Reply, Status>>;
}

/// Code around every call, of whatever shape and by whatever wire, on either side.
///
/// ```
/// use polywire_core::{Call, Interceptor, Next, Reply, Status};
///
/// struct RequireToken;
///
/// impl Interceptor for RequireToken {
///     async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
///         if call.metadata().get("authorization").is_none() {
///             return Err(Status::unauthenticated("send a token in `authorization`"));
///         }
///         next.run(call).await
///     }
/// }
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Does its part before and after the rest of the chain. Not calling `next.run` ends the call here.
    fn intercept(&self, call: &mut Call, next: Next<'_>) -> impl Future<Output = Result<Reply, Status>> + Send;
}

/// The rest of the chain: the interceptors behind this one, then the handler.
pub struct Next<'a> {
    chain: &'a [Arc<dyn AnyInterceptor>],
    handler: &'a dyn Handler,
    exchange: Exchange,
}

impl<'a> Next<'a> {
    /// The whole chain in front of a handler.
    #[doc(hidden)]
    pub fn new(chain: &'a [Arc<dyn AnyInterceptor>], handler: &'a dyn Handler, exchange: Exchange) -> Self {
        Self { chain, handler, exchange }
    }

    /// Goes on with the call.
    pub fn run<'b>(self, call: &'b mut Call) -> BoxFuture<'b, Result<Reply, Status>>
    where
        'a: 'b,
    {
        match self.chain.split_first() {
            Some((first, chain)) => first.intercept_any(call, Next { chain, ..self }),
            None => self.handler.call(call, self.exchange),
        }
    }

    /// The messages, to watch them: see [`Incoming::inspect`] and [`Outgoing::inspect`].
    pub fn exchange_mut(&mut self) -> &mut Exchange {
        &mut self.exchange
    }
}

impl std::fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("interceptors_left", &self.chain.len()).finish_non_exhaustive()
    }
}

/// [`Interceptor`] in the form that a list can hold.
#[doc(hidden)]
pub trait AnyInterceptor: Send + Sync + 'static {
    /// See [`Interceptor::intercept`].
    fn intercept_any<'a>(&'a self, call: &'a mut Call, next: Next<'a>) -> BoxFuture<'a, Result<Reply, Status>>;
}

impl<I: Interceptor> AnyInterceptor for I {
    fn intercept_any<'a>(&'a self, call: &'a mut Call, next: Next<'a>) -> BoxFuture<'a, Result<Reply, Status>> {
        Box::pin(self.intercept(call, next))
    }
}
