/// The methods of `names.Status2`.
pub mod status2_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 1] = [
        ::polywire::Method::new("/names.Status2/Status", ::polywire::MethodKind::Unary),
    ];

    /// `/names.Status2/Status`, unary.
    pub const STATUS: &::polywire::Method = &METHODS[0];
}

/// Named like a message.
///
/// A server implements this with an `async fn` for each method of `names.Status2` and offers it by
/// [`Status2Server`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `names.Status2`",
    note = "implement `Status2Service` for it, with an `async fn` for each method"
)]
pub trait Status2Service: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/names.Status2/Status`, unary.
    fn status(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::StatusView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Status, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: Status2Service> Status2Service for ::std::sync::Arc<S> {
    fn status(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::StatusView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Status, ::polywire::Status>> + ::core::marker::Send {
        <S as Status2Service>::status(self, call, request)
    }
}

/// Offers an implementation of [`Status2Service`] to a server, as `names.Status2`.
#[derive(Clone, Debug)]
pub struct Status2Server<S> {
    service: S,
}

impl<S: Status2Service> Status2Server<S> {
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

impl<S: Status2Service> ::polywire::Service for Status2Server<S> {
    fn name(&self) -> &'static str {
        "names.Status2"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::status2_methods::METHODS
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
            // /names.Status2/Status
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Status>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Status>(&request)?;
                let response = <S as Status2Service>::status(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Status>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `names.Status2` over a [`Channel`](::polywire::Channel).
///
/// Named like a message.
#[derive(Clone, Debug)]
pub struct Status2Client {
    channel: ::polywire::Channel,
}

impl Status2Client {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/names.Status2/Status`, unary.
    pub fn status(&self, request: impl ::core::borrow::Borrow<self::Status>) -> ::polywire::UnaryCall<'_, self::Status> {
        ::polywire::codegen::unary_call::<self::Status, self::Status>(&self.channel, self::status2_methods::STATUS, ::core::borrow::Borrow::borrow(&request))
    }
}

/// The methods of `names.Shop`.
pub mod shop_methods_ {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 11] = [
        ::polywire::Method::new("/names.Shop/Type", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/Self", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/New", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/Clone", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/Channel", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/FindFoo", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/findFoo", ::polywire::MethodKind::ServerStreaming),
        ::polywire::Method::new("/names.Shop/Send", ::polywire::MethodKind::ClientStreaming),
        ::polywire::Method::new("/names.Shop/Await", ::polywire::MethodKind::BidiStreaming),
        ::polywire::Method::new("/names.Shop/Call", ::polywire::MethodKind::Unary),
        ::polywire::Method::new("/names.Shop/Generic", ::polywire::MethodKind::Unary),
    ];

    /// `/names.Shop/Type`, unary.
    pub const TYPE: &::polywire::Method = &METHODS[0];

    /// `/names.Shop/Self`, unary.
    pub const SELF: &::polywire::Method = &METHODS[1];

    /// `/names.Shop/New`, unary.
    pub const NEW: &::polywire::Method = &METHODS[2];

    /// `/names.Shop/Clone`, unary.
    pub const CLONE: &::polywire::Method = &METHODS[3];

    /// `/names.Shop/Channel`, unary.
    pub const CHANNEL: &::polywire::Method = &METHODS[4];

    /// `/names.Shop/FindFoo`, unary.
    pub const FIND_FOO: &::polywire::Method = &METHODS[5];

    /// `/names.Shop/findFoo`, server streaming.
    pub const FIND_FOO_: &::polywire::Method = &METHODS[6];

    /// `/names.Shop/Send`, client streaming.
    pub const SEND: &::polywire::Method = &METHODS[7];

    /// `/names.Shop/Await`, bidirectional streaming.
    pub const AWAIT: &::polywire::Method = &METHODS[8];

    /// `/names.Shop/Call`, unary.
    pub const CALL: &::polywire::Method = &METHODS[9];

    /// `/names.Shop/Generic`, unary.
    pub const GENERIC: &::polywire::Method = &METHODS[10];
}

/// The service `names.Shop`.
///
/// A server implements this with an `async fn` for each method of `names.Shop` and offers it by
/// [`ShopServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `names.Shop`",
    note = "implement `ShopService` for it, with an `async fn` for each method"
)]
pub trait ShopService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/names.Shop/Type`, unary.
    fn r#type(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::CallView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Status, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Self`, unary.
    fn self_(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::SenderView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Receiver, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/New`, unary.
    fn new(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ChannelView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Method, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Clone`, unary.
    fn clone(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ResultView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Option, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Channel`, unary.
    fn channel(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ChannelView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::ShopClient, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/FindFoo`, unary.
    fn find_foo(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::StringView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Vec, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/findFoo`, server streaming.
    fn find_foo_(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::bytes::ViewView<'_>,
        responses: ::polywire::Sender<self::shop_methods::Inner>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Send`, client streaming.
    fn send(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::Send>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Future, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Await`, bidirectional streaming.
    fn r#await(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::Arc>,
        responses: ::polywire::Sender<self::Reply>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Call`, unary.
    fn call(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::BoxView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Service, ::polywire::Status>> + ::core::marker::Send;

    /// `/names.Shop/Generic`, unary.
    fn generic(
        &self,
        call: &mut ::polywire::Call,
        request: self::S,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::S, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: ShopService> ShopService for ::std::sync::Arc<S> {
    fn r#type(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::CallView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Status, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::r#type(self, call, request)
    }
    fn self_(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::SenderView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Receiver, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::self_(self, call, request)
    }
    fn new(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ChannelView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Method, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::new(self, call, request)
    }
    fn clone(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ResultView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Option, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::clone(self, call, request)
    }
    fn channel(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ChannelView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::ShopClient, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::channel(self, call, request)
    }
    fn find_foo(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::StringView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Vec, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::find_foo(self, call, request)
    }
    fn find_foo_(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::bytes::ViewView<'_>,
        responses: ::polywire::Sender<self::shop_methods::Inner>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::find_foo_(self, call, request, responses)
    }
    fn send(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::Send>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Future, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::send(self, call, requests)
    }
    fn r#await(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::Arc>,
        responses: ::polywire::Sender<self::Reply>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::r#await(self, call, requests, responses)
    }
    fn call(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::BoxView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Service, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::call(self, call, request)
    }
    fn generic(
        &self,
        call: &mut ::polywire::Call,
        request: self::S,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::S, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService>::generic(self, call, request)
    }
}

/// Offers an implementation of [`ShopService`] to a server, as `names.Shop`.
#[derive(Clone, Debug)]
pub struct ShopServer<S> {
    service: S,
}

impl<S: ShopService> ShopServer<S> {
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

impl<S: ShopService> ::polywire::Service for ShopServer<S> {
    fn name(&self) -> &'static str {
        "names.Shop"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::shop_methods_::METHODS
    }

    fn descriptors(&self) -> &'static [u8] {
        self::__polywire::DESCRIPTORS
    }

    fn openapi(&self) -> &'static str {
        self::__polywire::OPENAPI[1]
    }

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut ::polywire::Call,
        exchange: ::polywire::Exchange,
    ) -> ::polywire::codegen::BoxFuture<'a, ::core::result::Result<::polywire::Reply, ::polywire::Status>> {
        match method {
            // /names.Shop/Type
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Call>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Call>(&request)?;
                let response = <S as ShopService>::r#type(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Status>(call, &response)
            }),
            // /names.Shop/Self
            1 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Sender>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Sender>(&request)?;
                let response = <S as ShopService>::self_(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Receiver>(call, &response)
            }),
            // /names.Shop/New
            2 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Channel>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Channel>(&request)?;
                let response = <S as ShopService>::new(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Method>(call, &response)
            }),
            // /names.Shop/Clone
            3 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Result>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Result>(&request)?;
                let response = <S as ShopService>::clone(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Option>(call, &response)
            }),
            // /names.Shop/Channel
            4 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Channel>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Channel>(&request)?;
                let response = <S as ShopService>::channel(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::ShopClient>(call, &response)
            }),
            // /names.Shop/FindFoo
            5 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::String>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::String>(&request)?;
                let response = <S as ShopService>::find_foo(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Vec>(call, &response)
            }),
            // /names.Shop/findFoo
            6 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::bytes::View>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::bytes::View>(&request)?;
                let responses = ::polywire::codegen::sender::<self::shop_methods::Inner>(call, exchange.responses);
                <S as ShopService>::find_foo_(&self.service, call, request, responses).await?;
                ::core::result::Result::Ok(::polywire::Reply::Streamed)
            }),
            // /names.Shop/Send
            7 => ::std::boxed::Box::pin(async move {
                let requests = ::polywire::codegen::receiver::<self::Send>(call, exchange.requests);
                let response = <S as ShopService>::send(&self.service, call, requests).await?;
                ::polywire::codegen::reply::<self::Future>(call, &response)
            }),
            // /names.Shop/Await
            8 => ::std::boxed::Box::pin(async move {
                let requests = ::polywire::codegen::receiver::<self::Arc>(call, exchange.requests);
                let responses = ::polywire::codegen::sender::<self::Reply>(call, exchange.responses);
                <S as ShopService>::r#await(&self.service, call, requests, responses).await?;
                ::core::result::Result::Ok(::polywire::Reply::Streamed)
            }),
            // /names.Shop/Call
            9 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Box>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Box>(&request)?;
                let response = <S as ShopService>::call(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Service>(call, &response)
            }),
            // /names.Shop/Generic
            10 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::S>(call, exchange.requests).await?;
                let request = ::polywire::codegen::message::<self::S>(&request)?;
                let response = <S as ShopService>::generic(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::S>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `names.Shop` over a [`Channel`](::polywire::Channel).
#[derive(Clone, Debug)]
pub struct ShopClient_ {
    channel: ::polywire::Channel,
}

impl ShopClient_ {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/names.Shop/Type`, unary.
    pub fn r#type(&self, request: impl ::core::borrow::Borrow<self::Call>) -> ::polywire::UnaryCall<'_, self::Status> {
        ::polywire::codegen::unary_call::<self::Call, self::Status>(&self.channel, self::shop_methods_::TYPE, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/Self`, unary.
    pub fn self_(&self, request: impl ::core::borrow::Borrow<self::Sender>) -> ::polywire::UnaryCall<'_, self::Receiver> {
        ::polywire::codegen::unary_call::<self::Sender, self::Receiver>(&self.channel, self::shop_methods_::SELF, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/New`, unary.
    pub fn new_(&self, request: impl ::core::borrow::Borrow<self::Channel>) -> ::polywire::UnaryCall<'_, self::Method> {
        ::polywire::codegen::unary_call::<self::Channel, self::Method>(&self.channel, self::shop_methods_::NEW, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/Clone`, unary.
    pub fn clone(&self, request: impl ::core::borrow::Borrow<self::Result>) -> ::polywire::UnaryCall<'_, self::Option> {
        ::polywire::codegen::unary_call::<self::Result, self::Option>(&self.channel, self::shop_methods_::CLONE, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/Channel`, unary.
    pub fn channel_(&self, request: impl ::core::borrow::Borrow<self::Channel>) -> ::polywire::UnaryCall<'_, self::ShopClient> {
        ::polywire::codegen::unary_call::<self::Channel, self::ShopClient>(&self.channel, self::shop_methods_::CHANNEL, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/FindFoo`, unary.
    pub fn find_foo(&self, request: impl ::core::borrow::Borrow<self::String>) -> ::polywire::UnaryCall<'_, self::Vec> {
        ::polywire::codegen::unary_call::<self::String, self::Vec>(&self.channel, self::shop_methods_::FIND_FOO, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/findFoo`, server streaming.
    pub fn find_foo_(&self, request: impl ::core::borrow::Borrow<self::bytes::View>) -> ::polywire::ServerStreamingCall<'_, self::shop_methods::Inner> {
        ::polywire::codegen::server_streaming_call::<self::bytes::View, self::shop_methods::Inner>(&self.channel, self::shop_methods_::FIND_FOO_, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/Send`, client streaming.
    pub fn send(&self) -> ::polywire::ClientStreamingCall<'_, self::Send, self::Future> {
        ::polywire::codegen::client_streaming_call::<self::Send, self::Future>(&self.channel, self::shop_methods_::SEND)
    }

    /// `/names.Shop/Await`, bidirectional streaming.
    pub fn r#await(&self) -> ::polywire::BidiStreamingCall<'_, self::Arc, self::Reply> {
        ::polywire::codegen::bidi_streaming_call::<self::Arc, self::Reply>(&self.channel, self::shop_methods_::AWAIT)
    }

    /// `/names.Shop/Call`, unary.
    pub fn call(&self, request: impl ::core::borrow::Borrow<self::Box>) -> ::polywire::UnaryCall<'_, self::Service> {
        ::polywire::codegen::unary_call::<self::Box, self::Service>(&self.channel, self::shop_methods_::CALL, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/names.Shop/Generic`, unary.
    pub fn generic(&self, request: impl ::core::borrow::Borrow<self::S>) -> ::polywire::UnaryCall<'_, self::S> {
        ::polywire::codegen::unary_call::<self::S, self::S>(&self.channel, self::shop_methods_::GENERIC, ::core::borrow::Borrow::borrow(&request))
    }
}

/// The methods of `names.ShopService`.
pub mod shop_methods__ {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 1] = [
        ::polywire::Method::new("/names.ShopService/Methods", ::polywire::MethodKind::Unary),
    ];

    /// `/names.ShopService/Methods`, unary.
    pub const METHODS_: &::polywire::Method = &METHODS[0];
}

/// Gives the same names as `Shop`.
///
/// A server implements this with an `async fn` for each method of `names.ShopService` and offers it by
/// [`ShopServer_`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `names.ShopService`",
    note = "implement `ShopService_` for it, with an `async fn` for each method"
)]
pub trait ShopService_: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/names.ShopService/Methods`, unary.
    fn methods(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::CallView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Call, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: ShopService_> ShopService_ for ::std::sync::Arc<S> {
    fn methods(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::CallView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Call, ::polywire::Status>> + ::core::marker::Send {
        <S as ShopService_>::methods(self, call, request)
    }
}

/// Offers an implementation of [`ShopService_`] to a server, as `names.ShopService`.
#[derive(Clone, Debug)]
pub struct ShopServer_<S> {
    service: S,
}

impl<S: ShopService_> ShopServer_<S> {
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

impl<S: ShopService_> ::polywire::Service for ShopServer_<S> {
    fn name(&self) -> &'static str {
        "names.ShopService"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::shop_methods__::METHODS
    }

    fn descriptors(&self) -> &'static [u8] {
        self::__polywire::DESCRIPTORS
    }

    fn openapi(&self) -> &'static str {
        self::__polywire::OPENAPI[2]
    }

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut ::polywire::Call,
        exchange: ::polywire::Exchange,
    ) -> ::polywire::codegen::BoxFuture<'a, ::core::result::Result<::polywire::Reply, ::polywire::Status>> {
        match method {
            // /names.ShopService/Methods
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Call>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Call>(&request)?;
                let response = <S as ShopService_>::methods(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Call>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `names.ShopService` over a [`Channel`](::polywire::Channel).
///
/// Gives the same names as `Shop`.
#[derive(Clone, Debug)]
pub struct ShopClient__ {
    channel: ::polywire::Channel,
}

impl ShopClient__ {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/names.ShopService/Methods`, unary.
    pub fn methods(&self, request: impl ::core::borrow::Borrow<self::Call>) -> ::polywire::UnaryCall<'_, self::Call> {
        ::polywire::codegen::unary_call::<self::Call, self::Call>(&self.channel, self::shop_methods__::METHODS_, ::core::borrow::Borrow::borrow(&request))
    }
}

/// The methods of `names.Nothing`.
pub mod nothing_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 0] = [
    ];
}

/// A service without methods.
///
/// A server implements this with an `async fn` for each method of `names.Nothing` and offers it by
/// [`NothingServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `names.Nothing`",
    note = "implement `NothingService` for it, with an `async fn` for each method"
)]
pub trait NothingService: ::core::marker::Send + ::core::marker::Sync + 'static {
}

impl<S: NothingService> NothingService for ::std::sync::Arc<S> {
}

/// Offers an implementation of [`NothingService`] to a server, as `names.Nothing`.
#[derive(Clone, Debug)]
pub struct NothingServer<S> {
    service: S,
}

impl<S: NothingService> NothingServer<S> {
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

impl<S: NothingService> ::polywire::Service for NothingServer<S> {
    fn name(&self) -> &'static str {
        "names.Nothing"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::nothing_methods::METHODS
    }

    fn descriptors(&self) -> &'static [u8] {
        self::__polywire::DESCRIPTORS
    }

    fn openapi(&self) -> &'static str {
        self::__polywire::OPENAPI[3]
    }

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut ::polywire::Call,
        exchange: ::polywire::Exchange,
    ) -> ::polywire::codegen::BoxFuture<'a, ::core::result::Result<::polywire::Reply, ::polywire::Status>> {
        match method {
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `names.Nothing` over a [`Channel`](::polywire::Channel).
///
/// A service without methods.
#[derive(Clone, Debug)]
pub struct NothingClient {
    channel: ::polywire::Channel,
}

impl NothingClient {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }
}

#[doc(hidden)]
pub mod __polywire {
    /// What can be called of each service over plain HTTP, in the words of OpenAPI.
    pub static OPENAPI: [&str; 4] = ["…"];

    /// The files of this package and all they import, as a `google.protobuf.FileDescriptorSet`.
    pub static DESCRIPTORS: &[u8] = b"…";
}
