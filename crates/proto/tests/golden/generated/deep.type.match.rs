/// The methods of `deep.type.match.Deeper`.
pub mod deeper_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 1] = [
        ::polywire::Method::new("/deep.type.match.Deeper/Do", ::polywire::MethodKind::Unary),
    ];

    /// `/deep.type.match.Deeper/Do`, unary.
    pub const DO: &::polywire::Method = &METHODS[0];
}

/// The service `deep.type.match.Deeper`.
///
/// A server implements this with an `async fn` for each method of `deep.type.match.Deeper` and offers it by
/// [`DeeperServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `deep.type.match.Deeper`",
    note = "implement `DeeperService` for it, with an `async fn` for each method"
)]
pub trait DeeperService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/deep.type.match.Deeper/Do`, unary.
    fn r#do(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::DeepView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Deep, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: DeeperService> DeeperService for ::std::sync::Arc<S> {
    fn r#do(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::DeepView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Deep, ::polywire::Status>> + ::core::marker::Send {
        <S as DeeperService>::r#do(self, call, request)
    }
}

/// Offers an implementation of [`DeeperService`] to a server, as `deep.type.match.Deeper`.
#[derive(Clone, Debug)]
pub struct DeeperServer<S> {
    service: S,
}

impl<S: DeeperService> DeeperServer<S> {
    /// Offers this implementation.
    pub fn new(service: S) -> Self {
        super::super::super::__polywire_register::types();
        Self { service }
    }

    /// The implementation.
    pub const fn service(&self) -> &S {
        &self.service
    }
}

impl<S: DeeperService> ::polywire::Service for DeeperServer<S> {
    fn name(&self) -> &'static str {
        "deep.type.match.Deeper"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::deeper_methods::METHODS
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
            // /deep.type.match.Deeper/Do
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Deep>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Deep>(&request)?;
                let response = <S as DeeperService>::r#do(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Deep>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `deep.type.match.Deeper` over a [`Channel`](::polywire::Channel).
#[derive(Clone, Debug)]
pub struct DeeperClient {
    channel: ::polywire::Channel,
}

impl DeeperClient {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::super::super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/deep.type.match.Deeper/Do`, unary.
    pub fn r#do(&self, request: impl ::core::borrow::Borrow<self::Deep>) -> ::polywire::UnaryCall<'_, self::Deep> {
        ::polywire::codegen::unary_call::<self::Deep, self::Deep>(&self.channel, self::deeper_methods::DO, ::core::borrow::Borrow::borrow(&request))
    }
}

#[doc(hidden)]
pub mod __polywire {
    /// What can be called of each service over plain HTTP, in the words of OpenAPI.
    pub static OPENAPI: [&str; 1] = ["…"];

    /// The files of this package and all they import, as a `google.protobuf.FileDescriptorSet`.
    pub static DESCRIPTORS: &[u8] = b"…";
}
