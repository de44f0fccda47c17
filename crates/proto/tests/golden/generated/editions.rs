/// The methods of `editions.Switches`.
pub mod switches_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 1] = [
        ::polywire::Method::new("/editions.Switches/Flip", ::polywire::MethodKind::ServerStreaming),
    ];

    /// `/editions.Switches/Flip`, server streaming.
    pub const FLIP: &::polywire::Method = &METHODS[0];
}

/// The service `editions.Switches`.
///
/// A server implements this with an `async fn` for each method of `editions.Switches` and offers it by
/// [`SwitchesServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `editions.Switches`",
    note = "implement `SwitchesService` for it, with an `async fn` for each method"
)]
pub trait SwitchesService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/editions.Switches/Flip`, server streaming.
    fn flip(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::SwitchView<'_>,
        responses: ::polywire::Sender<self::Switch>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send;
}

impl<S: SwitchesService> SwitchesService for ::std::sync::Arc<S> {
    fn flip(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::SwitchView<'_>,
        responses: ::polywire::Sender<self::Switch>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send {
        <S as SwitchesService>::flip(self, call, request, responses)
    }
}

/// Offers an implementation of [`SwitchesService`] to a server, as `editions.Switches`.
#[derive(Clone, Debug)]
pub struct SwitchesServer<S> {
    service: S,
}

impl<S: SwitchesService> SwitchesServer<S> {
    /// Offers this implementation.
    pub fn new(service: S) -> Self {
        super::__polywire_register::types();
        Self { service }
    }

    /// The implementation.
    pub const fn service(&self) -> &S {
        &self.service
    }
}

impl<S: SwitchesService> ::polywire::Service for SwitchesServer<S> {
    fn name(&self) -> &'static str {
        "editions.Switches"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::switches_methods::METHODS
    }

    fn descriptors(&self) -> &'static [u8] {
        self::__polywire::DESCRIPTORS
    }

    fn openapi(&self) -> &'static str {
        self::__polywire::OPENAPI[0]
    }

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut ::polywire::Call,
        exchange: ::polywire::Exchange,
    ) -> ::polywire::codegen::BoxFuture<'a, ::core::result::Result<::polywire::Reply, ::polywire::Status>> {
        match method {
            // /editions.Switches/Flip
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Switch>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Switch>(&request)?;
                let responses = ::polywire::codegen::sender::<self::Switch>(call, exchange.responses);
                <S as SwitchesService>::flip(&self.service, call, request, responses).await?;
                ::core::result::Result::Ok(::polywire::Reply::Streamed)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `editions.Switches` over a [`Channel`](::polywire::Channel).
#[derive(Clone, Debug)]
pub struct SwitchesClient {
    channel: ::polywire::Channel,
}

impl SwitchesClient {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/editions.Switches/Flip`, server streaming.
    pub fn flip(&self, request: impl ::core::borrow::Borrow<self::Switch>) -> ::polywire::ServerStreamingCall<'_, self::Switch> {
        ::polywire::codegen::server_streaming_call::<self::Switch, self::Switch>(&self.channel, self::switches_methods::FLIP, ::core::borrow::Borrow::borrow(&request))
    }
}

#[doc(hidden)]
pub mod __polywire {
    /// What can be called of each service over plain HTTP, in the words of OpenAPI.
    pub static OPENAPI: [&str; 1] = ["…"];

    /// The files of this package and all they import, as a `google.protobuf.FileDescriptorSet`.
    pub static DESCRIPTORS: &[u8] = b"…";
}
