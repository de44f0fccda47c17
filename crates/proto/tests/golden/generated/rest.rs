/// The methods of `rest.Trees`.
pub mod trees_methods {
    /// All of them, in the order of the `.proto` file.
    pub static METHODS: [::polywire::Method; 6] = [
        ::polywire::Method::new("/rest.Trees/Get", ::polywire::MethodKind::Unary).with_http(&super::__polywire::http::RULES_rest__Trees__Get),
        ::polywire::Method::new("/rest.Trees/Plant", ::polywire::MethodKind::Unary).with_http(&super::__polywire::http::RULES_rest__Trees__Plant),
        ::polywire::Method::new("/rest.Trees/Change", ::polywire::MethodKind::Unary).with_http(&super::__polywire::http::RULES_rest__Trees__Change),
        ::polywire::Method::new("/rest.Trees/Fell", ::polywire::MethodKind::Unary).with_http(&super::__polywire::http::RULES_rest__Trees__Fell),
        ::polywire::Method::new("/rest.Trees/Draw", ::polywire::MethodKind::Unary).with_http(&super::__polywire::http::RULES_rest__Trees__Draw),
        ::polywire::Method::new("/rest.Trees/Silent", ::polywire::MethodKind::Unary),
    ];

    /// `/rest.Trees/Get`, unary.
    pub const GET: &::polywire::Method = &METHODS[0];

    /// `/rest.Trees/Plant`, unary.
    pub const PLANT: &::polywire::Method = &METHODS[1];

    /// `/rest.Trees/Change`, unary.
    pub const CHANGE: &::polywire::Method = &METHODS[2];

    /// `/rest.Trees/Fell`, unary.
    pub const FELL: &::polywire::Method = &METHODS[3];

    /// `/rest.Trees/Draw`, unary.
    pub const DRAW: &::polywire::Method = &METHODS[4];

    /// `/rest.Trees/Silent`, unary.
    pub const SILENT: &::polywire::Method = &METHODS[5];
}

/// The service `rest.Trees`.
///
/// A server implements this with an `async fn` for each method of `rest.Trees` and offers it by
/// [`TreesServer`]. An `Arc` of an implementation is one as well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement the service `rest.Trees`",
    note = "implement `TreesService` for it, with an `async fn` for each method"
)]
pub trait TreesService: ::core::marker::Send + ::core::marker::Sync + 'static {
    /// `/rest.Trees/Get`, unary.
    fn get(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send;

    /// `/rest.Trees/Plant`, unary.
    fn plant(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send;

    /// `/rest.Trees/Change`, unary.
    fn change(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ChangeRequestView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send;

    /// `/rest.Trees/Fell`, unary.
    fn fell(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<::polywire::codegen::buffa_types::google::protobuf::Empty, ::polywire::Status>> + ::core::marker::Send;

    /// `/rest.Trees/Draw`, unary.
    fn draw(
        &self,
        call: &mut ::polywire::Call,
        request: super::google::api::__buffa::view::HttpBodyView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<super::google::api::HttpBody, ::polywire::Status>> + ::core::marker::Send;

    /// `/rest.Trees/Silent`, unary.
    fn silent(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send;
}

impl<S: TreesService> TreesService for ::std::sync::Arc<S> {
    fn get(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send {
        <S as TreesService>::get(self, call, request)
    }
    fn plant(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send {
        <S as TreesService>::plant(self, call, request)
    }
    fn change(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::ChangeRequestView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send {
        <S as TreesService>::change(self, call, request)
    }
    fn fell(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<::polywire::codegen::buffa_types::google::protobuf::Empty, ::polywire::Status>> + ::core::marker::Send {
        <S as TreesService>::fell(self, call, request)
    }
    fn draw(
        &self,
        call: &mut ::polywire::Call,
        request: super::google::api::__buffa::view::HttpBodyView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<super::google::api::HttpBody, ::polywire::Status>> + ::core::marker::Send {
        <S as TreesService>::draw(self, call, request)
    }
    fn silent(
        &self,
        call: &mut ::polywire::Call,
        request: self::__buffa::view::TreeView<'_>,
    ) -> impl ::core::future::Future<Output = ::core::result::Result<self::Tree, ::polywire::Status>> + ::core::marker::Send {
        <S as TreesService>::silent(self, call, request)
    }
}

/// Offers an implementation of [`TreesService`] to a server, as `rest.Trees`.
#[derive(Clone, Debug)]
pub struct TreesServer<S> {
    service: S,
}

impl<S: TreesService> TreesServer<S> {
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

impl<S: TreesService> ::polywire::Service for TreesServer<S> {
    fn name(&self) -> &'static str {
        "rest.Trees"
    }

    fn methods(&self) -> &'static [::polywire::Method] {
        &self::trees_methods::METHODS
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
            // /rest.Trees/Get
            0 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Tree>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Tree>(&request)?;
                let response = <S as TreesService>::get(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Tree>(call, &response)
            }),
            // /rest.Trees/Plant
            1 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Tree>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Tree>(&request)?;
                let response = <S as TreesService>::plant(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Tree>(call, &response)
            }),
            // /rest.Trees/Change
            2 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::ChangeRequest>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::ChangeRequest>(&request)?;
                let response = <S as TreesService>::change(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Tree>(call, &response)
            }),
            // /rest.Trees/Fell
            3 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Tree>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Tree>(&request)?;
                let response = <S as TreesService>::fell(&self.service, call, request).await?;
                ::polywire::codegen::reply::<::polywire::codegen::buffa_types::google::protobuf::Empty>(call, &response)
            }),
            // /rest.Trees/Draw
            4 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<super::google::api::HttpBody>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<super::google::api::HttpBody>(&request)?;
                let response = <S as TreesService>::draw(&self.service, call, request).await?;
                ::polywire::codegen::reply::<super::google::api::HttpBody>(call, &response)
            }),
            // /rest.Trees/Silent
            5 => ::std::boxed::Box::pin(async move {
                let request = ::polywire::codegen::request::<self::Tree>(call, exchange.requests).await?;
                let request = ::polywire::codegen::view::<self::Tree>(&request)?;
                let response = <S as TreesService>::silent(&self.service, call, request).await?;
                ::polywire::codegen::reply::<self::Tree>(call, &response)
            }),
            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),
        }
    }
}

/// Calls `rest.Trees` over a [`Channel`](::polywire::Channel).
#[derive(Clone, Debug)]
pub struct TreesClient {
    channel: ::polywire::Channel,
}

impl TreesClient {
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {
        super::__polywire_register::types();
        Self { channel }
    }

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {
        &self.channel
    }

    /// `/rest.Trees/Get`, unary.
    pub fn get(&self, request: impl ::core::borrow::Borrow<self::Tree>) -> ::polywire::UnaryCall<'_, self::Tree> {
        ::polywire::codegen::unary_call::<self::Tree, self::Tree>(&self.channel, self::trees_methods::GET, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/rest.Trees/Plant`, unary.
    pub fn plant(&self, request: impl ::core::borrow::Borrow<self::Tree>) -> ::polywire::UnaryCall<'_, self::Tree> {
        ::polywire::codegen::unary_call::<self::Tree, self::Tree>(&self.channel, self::trees_methods::PLANT, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/rest.Trees/Change`, unary.
    pub fn change(&self, request: impl ::core::borrow::Borrow<self::ChangeRequest>) -> ::polywire::UnaryCall<'_, self::Tree> {
        ::polywire::codegen::unary_call::<self::ChangeRequest, self::Tree>(&self.channel, self::trees_methods::CHANGE, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/rest.Trees/Fell`, unary.
    pub fn fell(&self, request: impl ::core::borrow::Borrow<self::Tree>) -> ::polywire::UnaryCall<'_, ::polywire::codegen::buffa_types::google::protobuf::Empty> {
        ::polywire::codegen::unary_call::<self::Tree, ::polywire::codegen::buffa_types::google::protobuf::Empty>(&self.channel, self::trees_methods::FELL, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/rest.Trees/Draw`, unary.
    pub fn draw(&self, request: impl ::core::borrow::Borrow<super::google::api::HttpBody>) -> ::polywire::UnaryCall<'_, super::google::api::HttpBody> {
        ::polywire::codegen::unary_call::<super::google::api::HttpBody, super::google::api::HttpBody>(&self.channel, self::trees_methods::DRAW, ::core::borrow::Borrow::borrow(&request))
    }

    /// `/rest.Trees/Silent`, unary.
    pub fn silent(&self, request: impl ::core::borrow::Borrow<self::Tree>) -> ::polywire::UnaryCall<'_, self::Tree> {
        ::polywire::codegen::unary_call::<self::Tree, self::Tree>(&self.channel, self::trees_methods::SILENT, ::core::borrow::Borrow::borrow(&request))
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

        /// `/rest.Trees/Get`
        pub static RULES_rest__Trees__Get: [HttpRule; 3] = [
            HttpRule {
                verb: "GET",
                template: "/v1/{name=trees/*}",
                body: Body::None,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_rest__Tree,
                response: "rest.Tree",
            },
            HttpRule {
                verb: "GET",
                template: "/v1/{parent.name=forests/*}/{name=trees/**}:look",
                body: Body::None,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_rest__Tree,
                response: "rest.Tree",
            },
            HttpRule {
                verb: "*",
                template: "/v1/any/{kind}",
                body: Body::None,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_rest__Tree,
                response: "rest.Tree",
            },
        ];

        /// `/rest.Trees/Plant`
        pub static RULES_rest__Trees__Plant: [HttpRule; 1] = [
            HttpRule {
                verb: "POST",
                template: "/v1/trees",
                body: Body::All,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_rest__Tree,
                response: "rest.Tree",
            },
        ];

        /// `/rest.Trees/Change`
        pub static RULES_rest__Trees__Change: [HttpRule; 1] = [
            HttpRule {
                verb: "PATCH",
                template: "/v1/{tree.name=trees/*}",
                body: Body::Field(&MESSAGE_rest__ChangeRequest.fields[0]),
                response_body: ::core::option::Option::Some(&MESSAGE_rest__Tree.fields[5]),
                request: &MESSAGE_rest__ChangeRequest,
                response: "rest.Tree",
            },
        ];

        /// `/rest.Trees/Fell`
        pub static RULES_rest__Trees__Fell: [HttpRule; 1] = [
            HttpRule {
                verb: "DELETE",
                template: "/v1/{name=trees/*}",
                body: Body::None,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_rest__Tree,
                response: "google.protobuf.Empty",
            },
        ];

        /// `/rest.Trees/Draw`
        pub static RULES_rest__Trees__Draw: [HttpRule; 1] = [
            HttpRule {
                verb: "PUT",
                template: "/v1/picture",
                body: Body::All,
                response_body: ::core::option::Option::None,
                request: &MESSAGE_google__api__HttpBody,
                response: "google.api.HttpBody",
            },
        ];

        static MESSAGE_common__v1__Money: MessageFields = MessageFields {
            name: "common.v1.Money",
            fields: &[
                Field { name: "currency", json_name: "currency", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "units", json_name: "units", kind: FieldKind::Int64, cardinality: Cardinality::One },
            ],
        };

        static MESSAGE_google__api__HttpBody: MessageFields = MessageFields {
            name: "google.api.HttpBody",
            fields: &[
                Field { name: "content_type", json_name: "contentType", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "data", json_name: "data", kind: FieldKind::Bytes, cardinality: Cardinality::One },
                Field { name: "extensions", json_name: "extensions", kind: FieldKind::Json, cardinality: Cardinality::Repeated },
            ],
        };

        static MESSAGE_rest__ChangeRequest: MessageFields = MessageFields {
            name: "rest.ChangeRequest",
            fields: &[
                Field { name: "tree", json_name: "tree", kind: FieldKind::Message(&MESSAGE_rest__Tree), cardinality: Cardinality::One },
                Field { name: "update_mask", json_name: "updateMask", kind: FieldKind::FieldMask, cardinality: Cardinality::One },
            ],
        };

        static MESSAGE_rest__Tree: MessageFields = MessageFields {
            name: "rest.Tree",
            fields: &[
                Field { name: "name", json_name: "name", kind: FieldKind::String, cardinality: Cardinality::One },
                Field { name: "parent", json_name: "parent", kind: FieldKind::Message(&MESSAGE_rest__Tree), cardinality: Cardinality::One },
                Field { name: "children", json_name: "children", kind: FieldKind::Message(&MESSAGE_rest__Tree), cardinality: Cardinality::Repeated },
                Field { name: "kind", json_name: "kind", kind: FieldKind::Enum(&ENUM_rest__Tree__Kind), cardinality: Cardinality::One },
                Field { name: "kinds", json_name: "kinds", kind: FieldKind::Enum(&ENUM_rest__Tree__Kind), cardinality: Cardinality::Map },
                Field { name: "leaves", json_name: "leaves", kind: FieldKind::String, cardinality: Cardinality::Repeated },
                Field { name: "height", json_name: "height", kind: FieldKind::Int32, cardinality: Cardinality::One },
                Field { name: "age", json_name: "years", kind: FieldKind::Uint64, cardinality: Cardinality::One },
                Field { name: "planted_at", json_name: "plantedAt", kind: FieldKind::Timestamp, cardinality: Cardinality::One },
                Field { name: "growth", json_name: "growth", kind: FieldKind::Duration, cardinality: Cardinality::One },
                Field { name: "rings", json_name: "rings", kind: FieldKind::Int64, cardinality: Cardinality::One },
                Field { name: "note", json_name: "note", kind: FieldKind::Json, cardinality: Cardinality::One },
                Field { name: "any", json_name: "any", kind: FieldKind::Json, cardinality: Cardinality::One },
                Field { name: "key", json_name: "key", kind: FieldKind::Bytes, cardinality: Cardinality::One },
                Field { name: "price", json_name: "price", kind: FieldKind::Message(&MESSAGE_common__v1__Money), cardinality: Cardinality::One },
                Field { name: "nothing", json_name: "nothing", kind: FieldKind::Json, cardinality: Cardinality::One },
            ],
        };

        static ENUM_rest__Tree__Kind: [EnumValue; 3] = [
            EnumValue { name: "KIND_UNSPECIFIED", number: 0 },
            EnumValue { name: "OAK", number: 1 },
            EnumValue { name: "NEGATIVE", number: -1 },
        ];
    }
}
