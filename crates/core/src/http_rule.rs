//! How a method is reached as REST: the annotation `google.api.http`, as generated code writes it down.
//!
//! A rule comes with a table of the request's fields, so that text from a path or a query becomes a typed JSON value
//! without descriptors.

use std::fmt;

/// One way to reach a method by an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpRule {
    /// The verb in capitals, such as `GET`; `*` for any.
    pub verb: &'static str,
    /// The path template, such as `/v1/{name=orders/*}:cancel`; see [`PathTemplate`](crate::PathTemplate).
    pub template: &'static str,
    /// Where the HTTP body goes.
    pub body: Body,
    /// The field of the response that is the HTTP body; the whole response without it.
    pub response_body: Option<&'static Field>,
    /// The request message.
    pub request: &'static MessageFields,
    /// The response message's full name.
    pub response: &'static str,
}

/// Which part of a request the HTTP body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None: what the path does not bind comes from the query.
    None,
    /// One field: what neither it nor the path binds comes from the query.
    Field(&'static Field),
    /// `*`: everything the path does not bind. There is no query.
    All,
}

/// The fields of a message. Tables may refer to one another in a circle, as messages do.
pub struct MessageFields {
    /// The full name: `orders.v1.Order`.
    pub name: &'static str,
    /// In the order of the `.proto` file.
    pub fields: &'static [Field],
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in the `.proto` file: `page_size`.
    pub name: &'static str,
    /// The name in JSON: `pageSize`.
    pub json_name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// How many of it.
    pub cardinality: Cardinality,
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One at most.
    One,
    /// A list.
    Repeated,
    /// Values by key; the kind is that of the values.
    Map,
}

/// What a field holds, by its form in JSON. Wrappers (`google.protobuf.Int32Value`) are what they wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `true` or `false`.
    Bool,
    /// `int32`, `sint32`, `sfixed32`.
    Int32,
    /// `int64`, `sint64`, `sfixed64`: a string in JSON.
    Int64,
    /// `uint32`, `fixed32`.
    Uint32,
    /// `uint64`, `fixed64`: a string in JSON.
    Uint64,
    /// A number, `NaN` or an infinity.
    Float,
    /// A number, `NaN` or an infinity.
    Double,
    /// Text.
    String,
    /// Base64.
    Bytes,
    /// The name of a value, or its number.
    Enum(&'static [EnumValue]),
    /// `google.protobuf.Duration`: `1.5s`.
    Duration,
    /// `google.protobuf.Timestamp`: RFC 3339.
    Timestamp,
    /// `google.protobuf.FieldMask`: paths with commas between them.
    FieldMask,
    /// A message with fields.
    Message(&'static MessageFields),
    /// A message with a JSON form of its own that no text stands for (`Any`, `Struct`, `Value`, `ListValue`).
    Json,
}

/// One value of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// The name: `ORDER_STATUS_UNSPECIFIED`.
    pub name: &'static str,
    /// The number.
    pub number: i32,
}

impl HttpRule {
    /// Whether the response is a body of any type instead of JSON (`google.api.HttpBody`).
    pub fn answers_raw(&self) -> bool {
        match self.response_body {
            None => self.response == HTTP_BODY,
            Some(field) => field.cardinality == Cardinality::One && field.kind.is_http_body(),
        }
    }

    /// Whether the HTTP body of a request is of any type instead of JSON (`google.api.HttpBody`).
    pub fn asks_raw(&self) -> bool {
        match self.body {
            Body::None => false,
            Body::All => self.request.name == HTTP_BODY,
            Body::Field(field) => field.cardinality == Cardinality::One && field.kind.is_http_body(),
        }
    }
}

impl MessageFields {
    /// The field of that name, by its name in the `.proto` file or in JSON.
    pub fn find(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name || field.json_name == name)
    }

    /// The name without its package.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }
}

impl PartialEq for MessageFields {
    /// A message is known by its name.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for MessageFields {}

impl fmt::Debug for MessageFields {
    /// The name alone: the fields may lead back here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FieldKind {
    /// Whether one text can stand for a value of it, as in a path or a query.
    pub const fn is_text(self) -> bool {
        !matches!(self, Self::Json | Self::Message(_))
    }

    /// Whether it is `google.api.HttpBody`.
    pub fn is_http_body(self) -> bool {
        matches!(self, Self::Message(message) if message.name == HTTP_BODY)
    }
}

/// The message that is an HTTP body itself.
const HTTP_BODY: &str = "google.api.HttpBody";
