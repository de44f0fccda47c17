/// The methods of `Rootless`.
pub mod rootless_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 1] = [
        ::polywire::Method::new("/Rootless/Do", ::polywire::MethodKind::Unary),
    ];

    /// `/Rootless/Do`, unary.
    pub const DO: &::polywire::Method = &METHODS[0];
}

/// The service `Rootless`.
///
/// A server implements this with an `async fn` for each method of `Rootless` and offers it by
/// [`RootlessServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `Rootless`",
    note = "implement `RootlessService` for it, with an `async fn` for each method"
)]
pub trait RootlessService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/Rootless/Do`, unary.
    fn r#do(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::root::InnerView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::deep::r#type::r#match::Deep, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: RootlessService> RootlessService for ::std::sync::Arc<S> {
    fn r#do(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::root::InnerView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::deep::r#type::r#match::Deep, ::polywire::Status>> + ::core::marker::Send {
        <S as RootlessService>::r#do(self, call, request)
    }
}

/// Offers an implementation of [`RootlessService`] to a server, as `Rootless`.
#[derive(Clone, Debug)]
pub struct RootlessServer<S> {
    service: S,
}

impl<S: RootlessService> RootlessServer<S> {
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

impl<S: RootlessService> ::polywire::Service for RootlessServer<S> {
    fn name(&self) -> &'static str {
        "Rootless"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::rootless_methods::METHODS
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
            // /Rootless/Do
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::root::Inner>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::root::Inner>(&request)?;
                let response = <S as RootlessService>::r#do(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::deep::r#type::r#match::Deep>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `Rootless` over a [`Channel`](::polywire::Channel).
#[derive(Clone, Debug)]
pub struct RootlessClient {
    channel: ::polywire::Channel,
}

impl RootlessClient {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/Rootless/Do`, unary.
    pub fn r#do(&self, request: impl ::core::borrow::Borrow<self::root::Inner>) -> ::polywire::UnaryCall<'_, self::deep::r#type::r#match::Deep> {
        ::polywire::codegen::unary_call::<self::root::Inner, self::deep::r#type::r#match::Deep>(&self.channel, self::rootless_methods::DO, ::core::borrow::Borrow::borrow(&request))
    }
}

#[doc(hidden)]
pub mod __polywire {
    /// What can be called of each service over plain HTTP, in the words of OpenAPI.
    pub static OPENAPI: [&str; 1] = ["…"];

    /// The files of this package and all they import, as a `google.protobuf.FileDescriptorSet`.
    pub static DESCRIPTORS: &[u8] = b"…";
}
