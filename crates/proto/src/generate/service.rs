//! The code of one service: method constants, trait, server and client.

use std::{collections::BTreeSet, fmt::Write as _};

use buffa_codegen::context::{CodeGenContext, SENTINEL_MOD};
use buffa_descriptor::generated::descriptor::method_options::IdempotencyLevel;

use super::{
    Options, docs,
    http_rule::{self, RulePlan},
    names::{MethodNames, ServiceNames, path},
    tree,
};
use crate::{
    Error, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
    comments::{Comments, path as field},
};

/// A service with all that its code says.
pub(super) struct ServicePlan {
    /// `orders.v1.Orders`.
    full_name: String,
    /// The path of the function that makes messages known.
    register: String,
    names: ServiceNames,
    comment: Option<String>,
    deprecated: bool,
    methods: Vec<MethodPlan>,
}

struct MethodPlan {
    /// `/orders.v1.Orders/Create`.
    path: String,
    names: MethodNames,
    comment: Option<String>,
    deprecated: bool,
    shape: Shape,
    idempotency: IdempotencyLevel,
    owned: bool,
    http: Vec<RulePlan>,
    request: MessagePaths,
    response: MessagePaths,
}

/// Where a message is, seen from the root of the package.
struct MessagePaths {
    owned: String,
    view: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    BidiStreaming,
    ClientStreaming,
    ServerStreaming,
    Unary,
}

impl ServicePlan {
    /// Resolves the names and types of the service at `index` of a file.
    pub(super) fn new(
        context: &CodeGenContext<'_>,
        options: &Options,
        types: &http_rule::Types<'_>,
        file: &FileDescriptorProto,
        index: usize,
        taken: &mut BTreeSet<String>,
    ) -> Result<Self, Error> {
        let service = &file.service[index];
        let package = file.package.as_deref().unwrap_or_default();
        let name = service.name.as_deref().unwrap_or_default();
        let full_name = if package.is_empty() { name.to_owned() } else { format!("{package}.{name}") };
        let comments = Comments::of(file);
        let service_path = [field::FILE_SERVICE, place(index)];
        let method_names = MethodNames::choose(service.method.iter().map(|m| m.name.as_deref().unwrap_or_default()));
        let methods = service.method.iter().zip(method_names).enumerate().map(|(index, (method, names))| {
            let path = format!("/{full_name}/{}", method.name.as_deref().unwrap_or_default());
            let comment = comments.at(&[&service_path[..], &[field::SERVICE_METHOD, place(index)]].concat());
            let paths = |type_name: &Option<String>| {
                let type_name = type_name.as_deref().unwrap_or_default();
                MessagePaths::find(context, package, type_name).ok_or_else(|| {
                    Error::generate(format!(
                        "method {path} uses the message {type_name}, which is neither in the descriptors nor external"
                    ))
                })
            };
            Ok(MethodPlan {
                names,
                comment: comment.map(str::to_owned),
                deprecated: method.options.as_option().and_then(|options| options.deprecated).unwrap_or(false),
                shape: Shape::of(method),
                idempotency: method
                    .options
                    .as_option()
                    .and_then(|options| options.idempotency_level)
                    .unwrap_or(IdempotencyLevel::IDEMPOTENCY_UNKNOWN),
                owned: options.is_owned(&path),
                http: http_rule::plan(types, file.name.as_deref().unwrap_or_default(), &path, method)?,
                request: paths(&method.input_type)?,
                response: paths(&method.output_type)?,
                path,
            })
        });
        Ok(Self {
            register: tree::register_from(package),
            names: ServiceNames::choose(name, taken),
            comment: comments.at(&service_path).map(str::to_owned),
            deprecated: is_deprecated(service),
            methods: methods.collect::<Result<_, Error>>()?,
            full_name,
        })
    }

    /// Its full name.
    pub(super) fn full_name(&self) -> &str {
        &self.full_name
    }

    /// The full names of its methods.
    pub(super) fn method_paths(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|method| method.path.as_str())
    }

    /// The HTTP rules of each method.
    pub(super) fn http_rules(&self) -> impl Iterator<Item = (&str, &[RulePlan])> {
        self.methods.iter().map(|method| (method.path.as_str(), method.http.as_slice()))
    }

    /// The whole code of the service. It stands at the root of its package, beside the module `__polywire`, where it is the
    /// one at `index`.
    pub(super) fn emit(&self, index: usize) -> String {
        let mut code = String::new();
        self.emit_methods(&mut code).expect("writing to a string does not fail");
        self.emit_trait(&mut code).expect("writing to a string does not fail");
        self.emit_server(index, &mut code).expect("writing to a string does not fail");
        self.emit_client(&mut code).expect("writing to a string does not fail");
        code
    }

    fn emit_methods(&self, code: &mut String) -> std::fmt::Result {
        let Self { full_name, names, methods, .. } = self;
        let module = super::names::ident(&names.methods);
        writeln!(code, "\n/// The methods of `{full_name}`.")?;
        writeln!(code, "pub mod {module} {{")?;
        writeln!(code, "    /// All of them, in the order of the `.proto` file.")?;
        writeln!(code, "    pub static METHODS: [::polywire::Method; {}] = [", methods.len())?;
        for method in methods {
            writeln!(
                code,
                "        ::polywire::Method::new({:?}, ::polywire::MethodKind::{}){}{},",
                method.path,
                method.shape.kind(),
                match method.idempotency {
                    IdempotencyLevel::IDEMPOTENCY_UNKNOWN => "",
                    IdempotencyLevel::IDEMPOTENT => ".with_idempotency(::polywire::Idempotency::Idempotent)",
                    IdempotencyLevel::NO_SIDE_EFFECTS => ".with_idempotency(::polywire::Idempotency::NoSideEffects)",
                },
                if method.http.is_empty() {
                    String::new()
                } else {
                    format!(".with_http(&super::__polywire::http::{})", http_rule::static_name(&method.path))
                }
            )?;
        }
        writeln!(code, "    ];")?;
        for (index, method) in methods.iter().enumerate() {
            writeln!(code, "\n    /// `{}`, {}.", method.path, method.shape.words())?;
            writeln!(code, "    pub const {}: &::polywire::Method = &METHODS[{index}];", method.names.constant)?;
        }
        writeln!(code, "}}")
    }

    fn emit_trait(&self, code: &mut String) -> std::fmt::Result {
        let Self { full_name, names, methods, .. } = self;
        writeln!(code)?;
        self.emit_comment(code)?;
        writeln!(code, "///")?;
        writeln!(
            code,
            "/// A server implements this with an `async fn` for each method of `{full_name}` and offers it by"
        )?;
        writeln!(code, "/// [`{}`]. An `Arc` of an implementation is one as well.", names.server)?;
        writeln!(code, "#[diagnostic::on_unimplemented(")?;
        writeln!(code, "    message = \"`{{Self}}` does not implement the service `{full_name}`\",")?;
        writeln!(code, "    note = \"implement `{}` for it, with an `async fn` for each method\"", names.service)?;
        writeln!(code, ")]")?;
        writeln!(code, "pub trait {}: ::core::marker::Send + ::core::marker::Sync + 'static {{", names.service)?;
        for (index, method) in methods.iter().enumerate() {
            if index > 0 {
                writeln!(code)?;
            }
            method.emit_comment(code)?;
            writeln!(code, "    fn {}(", method.names.handler)?;
            writeln!(code, "        &self,")?;
            writeln!(code, "        call: &mut ::polywire::Call,")?;
            for (name, of) in method.handler_arguments() {
                writeln!(code, "        {name}: {of},")?;
            }
            writeln!(
                code,
                "    ) -> impl ::core::future::Future<Output = {}> + ::core::marker::Send;",
                method.handler_output()
            )?;
        }
        writeln!(code, "}}")?;

        writeln!(code, "\nimpl<S: {service}> {service} for ::std::sync::Arc<S> {{", service = names.service)?;
        for method in methods {
            writeln!(code, "    fn {}(", method.names.handler)?;
            writeln!(code, "        &self,")?;
            writeln!(code, "        call: &mut ::polywire::Call,")?;
            let arguments = method.handler_arguments();
            for (name, of) in &arguments {
                writeln!(code, "        {name}: {of},")?;
            }
            writeln!(
                code,
                "    ) -> impl ::core::future::Future<Output = {}> + ::core::marker::Send {{",
                method.handler_output()
            )?;
            let arguments: Vec<_> = arguments.iter().map(|(name, _)| *name).collect();
            writeln!(
                code,
                "        <S as {}>::{}(self, call, {})",
                names.service,
                method.names.handler,
                arguments.join(", ")
            )?;
            writeln!(code, "    }}")?;
        }
        writeln!(code, "}}")
    }

    fn emit_server(&self, index: usize, code: &mut String) -> std::fmt::Result {
        let Self { full_name, register, names, methods, .. } = self;
        let module = super::names::ident(&names.methods);
        let (service, server) = (&names.service, &names.server);
        writeln!(
            code,
            r#"
/// Offers an implementation of [`{service}`] to a server, as `{full_name}`.
#[derive(Clone, Debug)]
pub struct {server}<S> {{
    service: S,
}}

impl<S: {service}> {server}<S> {{
    /// Offers this implementation.
    pub fn new(service: S) -> Self {{
        {register}();
        Self {{ service }}
    }}

    /// The implementation.
    pub const fn service(&self) -> &S {{
        &self.service
    }}
}}

impl<S: {service}> ::polywire::Service for {server}<S> {{
    fn name(&self) -> &'static str {{
        {full_name:?}
    }}

    fn methods(&self) -> &'static [::polywire::Method] {{
        &self::{module}::METHODS
    }}

    fn descriptors(&self) -> &'static [u8] {{
        self::__polywire::DESCRIPTORS
    }}

    fn openapi(&self) -> &'static str {{
        self::__polywire::OPENAPI[{index}]
    }}

    fn call<'a>(
        &'a self,
        method: usize,
        call: &'a mut ::polywire::Call,
        exchange: ::polywire::Exchange,
    ) -> ::polywire::codegen::BoxFuture<'a, ::core::result::Result<::polywire::Reply, ::polywire::Status>> {{
        match method {{"#
        )?;
        for (index, method) in methods.iter().enumerate() {
            method.emit_dispatch(code, index, service)?;
        }
        writeln!(code, "            _ => ::std::boxed::Box::pin(::polywire::codegen::no_such_method(call)),")?;
        writeln!(code, "        }}")?;
        writeln!(code, "    }}")?;
        writeln!(code, "}}")
    }

    fn emit_client(&self, code: &mut String) -> std::fmt::Result {
        let Self { full_name, register, names, methods, .. } = self;
        let module = super::names::ident(&names.methods);
        let client = &names.client;
        writeln!(code, "\n/// Calls `{full_name}` over a [`Channel`](::polywire::Channel).")?;
        if let Some(comment) = &self.comment {
            writeln!(code, "///")?;
            emit_lines(code, "", &docs::markdown(comment))?;
        }
        if self.deprecated {
            writeln!(code, "#[deprecated]")?;
        }
        writeln!(
            code,
            r"#[derive(Clone, Debug)]
pub struct {client} {{
    channel: ::polywire::Channel,
}}

impl {client} {{
    /// A client that makes its calls over this channel.
    pub fn new(channel: ::polywire::Channel) -> Self {{
        {register}();
        Self {{ channel }}
    }}

    /// The channel it makes its calls over.
    pub const fn channel(&self) -> &::polywire::Channel {{
        &self.channel
    }}"
        )?;
        for method in methods {
            writeln!(code)?;
            method.emit_comment(code)?;
            method.emit_call(code, &module)?;
        }
        writeln!(code, "}}")
    }

    fn emit_comment(&self, code: &mut String) -> std::fmt::Result {
        match &self.comment {
            Some(comment) => emit_lines(code, "", &docs::markdown(comment)),
            None => writeln!(code, "/// The service `{}`.", self.full_name),
        }
    }
}

impl MethodPlan {
    fn emit_comment(&self, code: &mut String) -> std::fmt::Result {
        match &self.comment {
            Some(comment) => emit_lines(code, "    ", &docs::markdown(comment)),
            None => writeln!(code, "    /// `{}`, {}.", self.path, self.shape.words()),
        }
    }

    /// What the handler gets behind the call.
    fn handler_arguments(&self) -> Vec<(&'static str, String)> {
        let request = || {
            let of = if self.owned { self.request.owned.clone() } else { format!("{}<'_>", self.request.view) };
            ("request", of)
        };
        let requests = || ("requests", format!("::polywire::Receiver<{}>", self.request.owned));
        let responses = || ("responses", format!("::polywire::Sender<{}>", self.response.owned));
        match self.shape {
            Shape::BidiStreaming => vec![requests(), responses()],
            Shape::ClientStreaming => vec![requests()],
            Shape::ServerStreaming => vec![request(), responses()],
            Shape::Unary => vec![request()],
        }
    }

    fn handler_output(&self) -> String {
        let value = if self.shape.server_streams() { "()" } else { &self.response.owned };
        format!("::core::result::Result<{value}, ::polywire::Status>")
    }

    /// The arm of the compiled match that runs the handler.
    fn emit_dispatch(&self, code: &mut String, index: usize, service: &str) -> std::fmt::Result {
        let (request, response) = (&self.request.owned, &self.response.owned);
        writeln!(code, "            // {}", self.path)?;
        writeln!(code, "            {index} => ::std::boxed::Box::pin(async move {{")?;
        let mut arguments = Vec::new();
        if self.shape.client_streams() {
            let from = "::polywire::codegen::receiver";
            writeln!(code, "                let requests = {from}::<{request}>(call, exchange.requests);")?;
            arguments.push("requests");
        } else {
            writeln!(
                code,
                "                let request = ::polywire::codegen::request::<{request}>(call, exchange.requests).await?;"
            )?;
            let decode = if self.owned { "message" } else { "view" };
            writeln!(code, "                let request = ::polywire::codegen::{decode}::<{request}>(&request)?;")?;
            arguments.push("request");
        }
        if self.shape.server_streams() {
            writeln!(
                code,
                "                let responses = ::polywire::codegen::sender::<{response}>(call, exchange.responses);"
            )?;
            arguments.push("responses");
        }
        let handle =
            format!("<S as {service}>::{}(&self.service, call, {}).await?", self.names.handler, arguments.join(", "));
        if self.shape.server_streams() {
            writeln!(code, "                {handle};")?;
            writeln!(code, "                ::core::result::Result::Ok(::polywire::Reply::Streamed)")?;
        } else {
            writeln!(code, "                let response = {handle};")?;
            writeln!(code, "                ::polywire::codegen::reply::<{response}>(call, &response)")?;
        }
        writeln!(code, "            }}),")
    }

    /// The client's function.
    fn emit_call(&self, code: &mut String, module: &str) -> std::fmt::Result {
        let (request, response) = (&self.request.owned, &self.response.owned);
        let types = match self.shape {
            Shape::BidiStreaming | Shape::ClientStreaming => format!("{request}, {response}"),
            Shape::ServerStreaming | Shape::Unary => response.clone(),
        };
        let (argument, value) = match self.shape {
            Shape::BidiStreaming | Shape::ClientStreaming => (String::new(), ""),
            Shape::ServerStreaming | Shape::Unary => (
                format!(", request: impl ::core::borrow::Borrow<{request}>"),
                ", ::core::borrow::Borrow::borrow(&request)",
            ),
        };
        if self.deprecated {
            writeln!(code, "    #[deprecated]")?;
        }
        writeln!(
            code,
            "    pub fn {}(&self{argument}) -> ::polywire::{}Call<'_, {types}> {{",
            self.names.call,
            self.shape.kind()
        )?;
        writeln!(
            code,
            "        ::polywire::codegen::{}::<{request}, {response}>(&self.channel, self::{module}::{}{value})",
            self.shape.function(),
            self.names.constant
        )?;
        writeln!(code, "    }}")
    }
}

impl MessagePaths {
    fn find(context: &CodeGenContext<'_>, package: &str, type_name: &str) -> Option<Self> {
        let owned = context.rust_type_relative(type_name, package, 0)?;
        let split = context.rust_type_relative_split(type_name, package, 0)?;
        let view = format!("{}::{SENTINEL_MOD}::view::{}View", split.to_package, split.within_package);
        // Everything is named from a fixed point, so that no parameter or import can stand in between.
        let fixed = |name: &str| {
            let name = if split.to_package.is_empty() { name.trim_start_matches("::") } else { name };
            let is_fixed = name.starts_with("::") || name.starts_with("super::") || name.starts_with("crate::");
            path(&if is_fixed { name.to_owned() } else { format!("self::{name}") })
        };
        Some(Self { owned: fixed(&owned), view: fixed(&view) })
    }
}

impl Shape {
    fn of(method: &MethodDescriptorProto) -> Self {
        match (method.client_streaming.unwrap_or(false), method.server_streaming.unwrap_or(false)) {
            (false, false) => Self::Unary,
            (false, true) => Self::ServerStreaming,
            (true, false) => Self::ClientStreaming,
            (true, true) => Self::BidiStreaming,
        }
    }

    fn client_streams(self) -> bool {
        matches!(self, Self::BidiStreaming | Self::ClientStreaming)
    }

    fn server_streams(self) -> bool {
        matches!(self, Self::BidiStreaming | Self::ServerStreaming)
    }

    /// The variant of `MethodKind`.
    fn kind(self) -> &'static str {
        match self {
            Self::BidiStreaming => "BidiStreaming",
            Self::ClientStreaming => "ClientStreaming",
            Self::ServerStreaming => "ServerStreaming",
            Self::Unary => "Unary",
        }
    }

    /// The function of the runtime that makes such a call.
    fn function(self) -> &'static str {
        match self {
            Self::BidiStreaming => "bidi_streaming_call",
            Self::ClientStreaming => "client_streaming_call",
            Self::ServerStreaming => "server_streaming_call",
            Self::Unary => "unary_call",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::BidiStreaming => "bidirectional streaming",
            Self::ClientStreaming => "client streaming",
            Self::ServerStreaming => "server streaming",
            Self::Unary => "unary",
        }
    }
}

fn is_deprecated(service: &ServiceDescriptorProto) -> bool {
    service.options.as_option().and_then(|options| options.deprecated).unwrap_or(false)
}

fn emit_lines(code: &mut String, indent: &str, lines: &[String]) -> std::fmt::Result {
    for line in lines {
        let space = if line.is_empty() { "" } else { " " };
        writeln!(code, "{indent}///{space}{line}")?;
    }
    Ok(())
}

/// A place in a list as `SourceCodeInfo` counts it.
fn place(index: usize) -> i32 {
    i32::try_from(index).expect("a file has fewer than 2^31 declarations")
}
