/// The methods of `shop.v1.Orders`.
pub mod orders_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 6] = [
        ::polywire::Method::new("/shop.v1.Orders/Create", ::polywire::MethodKind::Unary).with_http(&super::__polywire::http::RULES_shop__v1__Orders__Create),
        ::polywire::Method::new("/shop.v1.Orders/Find", ::polywire::MethodKind::Unary).with_idempotency(::polywire::Idempotency::NoSideEffects),
        ::polywire::Method::new("/shop.v1.Orders/Watch", ::polywire::MethodKind::ServerStreaming),
        ::polywire::Method::new("/shop.v1.Orders/Import", ::polywire::MethodKind::ClientStreaming),
        ::polywire::Method::new("/shop.v1.Orders/Kitchen", ::polywire::MethodKind::BidiStreaming),
        ::polywire::Method::new("/shop.v1.Orders/Touch", ::polywire::MethodKind::Unary).with_idempotency(::polywire::Idempotency::Idempotent),
    ];

    /// `/shop.v1.Orders/Create`, unary.
    pub const CREATE: &::polywire::Method = &METHODS[0];

    /// `/shop.v1.Orders/Find`, unary.
    pub const FIND: &::polywire::Method = &METHODS[1];

    /// `/shop.v1.Orders/Watch`, server streaming.
    pub const WATCH: &::polywire::Method = &METHODS[2];

    /// `/shop.v1.Orders/Import`, client streaming.
    pub const IMPORT: &::polywire::Method = &METHODS[3];

    /// `/shop.v1.Orders/Kitchen`, bidirectional streaming.
    pub const KITCHEN: &::polywire::Method = &METHODS[4];

    /// `/shop.v1.Orders/Touch`, unary.
    pub const TOUCH: &::polywire::Method = &METHODS[5];
}

/// Takes orders and tells how they go.
///
/// It is reached under <https://example.com/orders>; see \[Order] and Map\<K, V>.
///
/// ```text
/// curl https://example.com/orders
/// ```
///
/// That is all.
///
/// A server implements this with an `async fn` for each method of `shop.v1.Orders` and offers it by
/// [`OrdersServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `shop.v1.Orders`",
    note = "implement `OrdersService` for it, with an `async fn` for each method"
)]
pub trait OrdersService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// Takes an order.
    ///
    /// ```text
    /// not a [test]
    /// ```
    fn create(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::CreateRequestView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Order, ::polywire::Status>> + ::core::marker::Send;

    /// `/shop.v1.Orders/Find`, unary.
    fn find(
        &self,
        call: &mut ::polywire::Call,
        request: self::FindRequest,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Order, ::polywire::Status>> + ::core::marker::Send;

    /// Every event from now on.
    fn watch(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::WatchRequestView<'_>,
        responses: ::polywire::Sender<self::Event>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send;

    /// Many orders at once.
    fn import(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::CreateRequest>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::ImportSummary, ::polywire::Status>> + ::core::marker::Send;

    /// A talk with the kitchen.
    fn kitchen(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::KitchenRequest>,
        responses: ::polywire::Sender<self::KitchenReply>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send;

    /// `/shop.v1.Orders/Touch`, unary.
    fn touch(
        &self,
        call: &mut ::polywire::Call,
        request: ::polywire::codegen::buffa_types::google::protobuf::__buffa::view::EmptyView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<::polywire::codegen::buffa_types::google::protobuf::Timestamp, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: OrdersService> OrdersService for ::std::sync::Arc<S> {
    fn create(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::CreateRequestView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Order, ::polywire::Status>> + ::core::marker::Send {
        <S as OrdersService>::create(self, call, request)
    }
    fn find(
        &self,
        call: &mut ::polywire::Call,
        request: self::FindRequest,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Order, ::polywire::Status>> + ::core::marker::Send {
        <S as OrdersService>::find(self, call, request)
    }
    fn watch(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::WatchRequestView<'_>,
        responses: ::polywire::Sender<self::Event>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send {
        <S as OrdersService>::watch(self, call, request, responses)
    }
    fn import(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::CreateRequest>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::ImportSummary, ::polywire::Status>> + ::core::marker::Send {
        <S as OrdersService>::import(self, call, requests)
    }
    fn kitchen(
        &self,
        call: &mut ::polywire::Call,
        requests: ::polywire::Receiver<self::KitchenRequest>,
        responses: ::polywire::Sender<self::KitchenReply>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<(), ::polywire::Status>> + ::core::marker::Send {
        <S as OrdersService>::kitchen(self, call, requests, responses)
    }
    fn touch(
        &self,
        call: &mut ::polywire::Call,
        request: ::polywire::codegen::buffa_types::google::protobuf::__buffa::view::EmptyView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<::polywire::codegen::buffa_types::google::protobuf::Timestamp, ::polywire::Status>> + ::core::marker::Send {
        <S as OrdersService>::touch(self, call, request)
    }
}

/// Offers an implementation of [`OrdersService`] to a server, as `shop.v1.Orders`.
#[derive(Clone, Debug)]
pub struct OrdersServer<S> {
    service: S,
}

impl<S: OrdersService> OrdersServer<S> {
    /// Offers this implementation.
    pub fn new(service: S) -> Self {
        super::super::__polywire_register::types();
        Self { service }
    }

    /// The implementation.
    pub const fn service(&self) -> &S {
        &self.service
    }
}

impl<S: OrdersService> ::polywire::Service for OrdersServer<S> {
    fn name(&self) -> &'static str {
        "shop.v1.Orders"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::orders_methods::METHODS
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
            // /shop.v1.Orders/Create
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::CreateRequest>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::CreateRequest>(&request)?;
                let response = <S as OrdersService>::create(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Order>(call, &response)
            }),
            // /shop.v1.Orders/Find
            1 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::FindRequest>(call, exchange.requests).await?;
                let request = ::polywire::codegen::message::<self::FindRequest>(&request)?;
                let response = <S as OrdersService>::find(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Order>(call, &response)
            }),
            // /shop.v1.Orders/Watch
            2 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::WatchRequest>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::WatchRequest>(&request)?;
                let responses = ::polywire::codegen::sender::<self::Event>(call, exchange.responses);
                <S as OrdersService>::watch(&self.service, call, request, responses).await?;
                ::core::result::Result::Ok(::polywire::Reply::Streamed)
            }),
            // /shop.v1.Orders/Import
            3 => ::std::boxed::Box::pin(async move {
                let requests = ::polywire::codegen::receiver::<self::CreateRequest>(call, exchange.requests);
                let response = <S as OrdersService>::import(&self.service, call, requests).await?;
                ::polywire::codegen::reply::<self::ImportSummary>(call, &response)
            }),
            // /shop.v1.Orders/Kitchen
            4 => ::std::boxed::Box::pin(async move {
                let requests = ::polywire::codegen::receiver::<self::KitchenRequest>(call, exchange.requests);
                let responses = ::polywire::codegen::sender::<self::KitchenReply>(call, exchange.responses);
                <S as OrdersService>::kitchen(&self.service, call, requests, responses).await?;
                ::core::result::Result::Ok(::polywire::Reply::Streamed)
            }),
            // /shop.v1.Orders/Touch
            5 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<::polywire::codegen::buffa_types::google::protobuf::Empty>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<::polywire::codegen::buffa_types::google::protobuf::Empty>(&request)?;
                let response = <S as OrdersService>::touch(&self.service, call, request).await?;
                ::polywire::codegen::reply::<::polywire::codegen::buffa_types::google::protobuf::Timestamp>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `shop.v1.Orders` over a [`Channel`](::polywire::Channel).
///
/// Takes orders and tells how they go.
///
/// It is reached under <https://example.com/orders>; see \[Order] and Map\<K, V>.
///
/// ```text
/// curl https://example.com/orders
/// ```
///
/// That is all.
#[derive(Clone, Debug)]
pub struct OrdersClient {
    channel: ::polywire::Channel,
}

impl OrdersClient {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// Takes an order.
    ///
    /// ```text
    /// not a [test]
    /// ```
    pub fn create(&self, request: impl ::core::borrow::Borrow<self::CreateRequest>) -> ::polywire::UnaryCall<'_, self::Order> {
        ::polywire::codegen::unary_call::<self::CreateRequest, self::Order>(&self.channel, self::orders_methods::CREATE, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/shop.v1.Orders/Find`, unary.
    pub fn find(&self, request: impl ::core::borrow::Borrow<self::FindRequest>) -> ::polywire::UnaryCall<'_, self::Order> {
        ::polywire::codegen::unary_call::<self::FindRequest, self::Order>(&self.channel, self::orders_methods::FIND, ::core::borrow::Borrow::borrow(&request))
    }

    /// Every event from now on.
    pub fn watch(&self, request: impl ::core::borrow::Borrow<self::WatchRequest>) -> ::polywire::ServerStreamingCall<'_, self::Event> {
        ::polywire::codegen::server_streaming_call::<self::WatchRequest, self::Event>(&self.channel, self::orders_methods::WATCH, ::core::borrow::Borrow::borrow(&request))
    }

    /// Many orders at once.
    pub fn import(&self) -> ::polywire::ClientStreamingCall<'_, self::CreateRequest, self::ImportSummary> {
        ::polywire::codegen::client_streaming_call::<self::CreateRequest, self::ImportSummary>(&self.channel, self::orders_methods::IMPORT)
    }

    /// A talk with the kitchen.
    pub fn kitchen(&self) -> ::polywire::BidiStreamingCall<'_, self::KitchenRequest, self::KitchenReply> {
        ::polywire::codegen::bidi_streaming_call::<self::KitchenRequest, self::KitchenReply>(&self.channel, self::orders_methods::KITCHEN)
    }

    /// `/shop.v1.Orders/Touch`, unary.
    #[deprecated]
    pub fn touch(&self, request: impl ::core::borrow::Borrow<::polywire::codegen::buffa_types::google::protobuf::Empty>) -> ::polywire::UnaryCall<'_, ::polywire::codegen::buffa_types::google::protobuf::Timestamp> {
        ::polywire::codegen::unary_call::<::polywire::codegen::buffa_types::google::protobuf::Empty, ::polywire::codegen::buffa_types::google::protobuf::Timestamp>(&self.channel, self::orders_methods::TOUCH, ::core::borrow::Borrow::borrow(&request))
    }
}

#[doc(hidden)]
pub mod __polywire {
    /// What can be called of each service over plain HTTP, in the words of OpenAPI.
    pub static OPENAPI: [&str; 1] = ["…"];

    /// The files of this package and all they import, as a `google.protobuf.FileDescriptorSet`.
    pub static DESCRIPTORS: &[u8] = b"…";

    /// How the methods of this package are reached as REST.
    pub mod http {
        use ::polywire::http_rule::{Body, Cardinality, EnumValue, Field, FieldKind, HttpRule, MessageFields};

        /// `/shop.v1.Orders/Create`
        pub static RULES_shop__v1__Orders__Create: [HttpRule; 1] = [
            HttpRule {
                verb: "POST",
                template: "/v1/orders",
                body: Body::All,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_shop__v1__CreateRequest,
                response: "shop.v1.Order",
            },
        ];

        static MESSAGE_common__v1__Money: MessageFields = MessageFields {
            name: "common.v1.Money",
            fields: &[
                Field { name: "currency", json_name: "currency", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "units", json_name: "units", kind: FieldKind::Int64, cardinality: Cardinality::One },
            ],
        };

        static MESSAGE_shop__v1__CreateRequest: MessageFields = MessageFields {
            name: "shop.v1.CreateRequest",
            fields: &[
                Field { name: "order", json_name: "order", kind: FieldKind::Message(&MESSAGE_shop__v1__Order), cardinality: Cardinality::One },
            ],
        };

        static MESSAGE_shop__v1__Order: MessageFields = MessageFields {
            name: "shop.v1.Order",
            fields: &[
                Field { name: "id", json_name: "id", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "lines", json_name: "lines", kind: FieldKind::Message(&MESSAGE_shop__v1__Order__Line), cardinality: Cardinality::Repeated },
                Field { name: "total", json_name: "total", kind: FieldKind::Message(&MESSAGE_common__v1__Money), cardinality: Cardinality::One },
                Field { name: "at", json_name: "at", kind: FieldKind::Timestamp, cardinality: Cardinality::One },
                Field { name: "state", json_name: "state", kind: FieldKind::Enum(&ENUM_shop__v1__State), cardinality: Cardinality::One },
                Field { name: "card", json_name: "card", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "invoice", json_name: "invoice", kind: FieldKind::Message(&MESSAGE_shop__v1__Order__Invoice), cardinality: Cardinality::One },
                Field { name: "labels", json_name: "labels", kind: FieldKind::String, cardinality: Cardinality::Map },
                Field { name: "picture", json_name: "picture", kind: FieldKind::Bytes, cardinality: Cardinality::One },
                Field { name: "note", json_name: "note", kind: FieldKind::String, cardinality: Cardinality::One },
            ],
        };

        static MESSAGE_shop__v1__Order__Invoice: MessageFields = MessageFields {
            name: "shop.v1.Order.Invoice",
            fields: &[
                Field { name: "to", json_name: "to", kind: FieldKind::String, cardinality: Cardinality::One },
            ],
        };

        static MESSAGE_shop__v1__Order__Line: MessageFields = MessageFields {
            name: "shop.v1.Order.Line",
            fields: &[
                Field { name: "sku", json_name: "sku", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "quantity", json_name: "quantity", kind: FieldKind::Uint32, cardinality: Cardinality::One },
            ],
        };

        static ENUM_shop__v1__State: [EnumValue; 3] = [
            EnumValue { name: "STATE_UNSPECIFIED", number: 0 },
            EnumValue { name: "STATE_OPEN", number: 1 },
            EnumValue { name: "STATE_CANCELLED", number: 2 },
        ];
    }
}
