use std::{borrow::Cow, fmt};

use crate::HttpRule;

/// A method of a service, as generated code names it in a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    path: Cow<'static, str>,
    kind: MethodKind,
    idempotency: Idempotency,
    http: &'static [HttpRule],
}

impl Method {
    /// A method by its full name, `/package.Service/Method`.
    pub const fn new(path: &'static str, kind: MethodKind) -> Self {
        Self { path: Cow::Borrowed(path), kind, idempotency: Idempotency::Unknown, http: &[] }
    }

    /// A method that is known only at run time, as in a command-line tool.
    ///
    /// The path is taken as it is, with a leading slash added when there is none.
    pub fn dynamic(path: &str, kind: MethodKind) -> Self {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Self { path: Cow::Owned(path), kind, idempotency: Idempotency::Unknown, http: &[] }
    }

    /// Sets the idempotency level.
    #[must_use]
    pub const fn with_idempotency(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = idempotency;
        self
    }

    /// Sets how it is reached as REST.
    #[must_use]
    pub const fn with_http(mut self, rules: &'static [HttpRule]) -> Self {
        self.http = rules;
        self
    }

    /// The full name with its leading slash: `/package.Service/Method`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The service's full name: `package.Service`.
    pub fn service(&self) -> &str {
        self.split().0
    }

    /// The method's own name: `Method`.
    pub fn name(&self) -> &str {
        self.split().1
    }

    /// Which of the four shapes it has.
    pub const fn kind(&self) -> MethodKind {
        self.kind
    }

    /// Whether calling twice does harm.
    pub const fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// How it is reached as REST (`google.api.http`): nothing, one rule, or one and its additional bindings.
    pub const fn http(&self) -> &'static [HttpRule] {
        self.http
    }

    fn split(&self) -> (&str, &str) {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        path.rsplit_once('/').unwrap_or((path, ""))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// The four shapes of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MethodKind {
    /// One request, one response.
    Unary,
    /// Many requests, one response.
    ClientStreaming,
    /// One request, many responses.
    ServerStreaming,
    /// Many requests, many responses, each side at its own pace.
    BidiStreaming,
}

impl MethodKind {
    /// Whether the client may send more or fewer than one message.
    pub const fn client_streams(self) -> bool {
        matches!(self, Self::ClientStreaming | Self::BidiStreaming)
    }

    /// Whether the server may send more or fewer than one message.
    pub const fn server_streams(self) -> bool {
        matches!(self, Self::ServerStreaming | Self::BidiStreaming)
    }

    /// The shape with these two properties.
    pub const fn of(client_streams: bool, server_streams: bool) -> Self {
        match (client_streams, server_streams) {
            (false, false) => Self::Unary,
            (true, false) => Self::ClientStreaming,
            (false, true) => Self::ServerStreaming,
            (true, true) => Self::BidiStreaming,
        }
    }
}

/// `google.protobuf.MethodOptions.IdempotencyLevel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// Nothing is promised (the default).
    #[default]
    Unknown,
    /// `NO_SIDE_EFFECTS`: safe to call at any time, and to fetch by GET.
    NoSideEffects,
    /// `IDEMPOTENT`: calling twice has the effect of calling once.
    Idempotent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_into_service_and_name() {
        const CREATE: Method = Method::new("/orders.v1.Orders/Create", MethodKind::Unary);
        assert_eq!(CREATE.service(), "orders.v1.Orders");
        assert_eq!(CREATE.name(), "Create");
        assert_eq!(Method::dynamic("a.B/C", MethodKind::Unary).path(), "/a.B/C");
    }
}
