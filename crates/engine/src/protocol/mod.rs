//! How a call is written on a stream: one file for each protocol.

pub(crate) mod body;
pub(crate) mod code_names;
pub(crate) mod connect;
pub mod cors;
pub(crate) mod fields;
pub(crate) mod grpc;
pub(crate) mod grpc_web;
pub mod rest;
pub(crate) mod rich_status;
pub(crate) mod text;

use std::sync::Arc;

use bytes::Bytes;
use polywire_core::{Codec, Compression, CompressionSet, HttpRule, Metadata, MethodKind, Protocol, Status};

use crate::wire::Headers;

/// What a channel's calls of one method have in common.
#[derive(Clone, Debug)]
pub struct RequestOptions {
    /// How the calls are written.
    pub protocol: Protocol,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host the caller means.
    pub authority: String,
    /// `/package.Service/Method`.
    pub path: String,
    /// The shape of the method.
    pub kind: MethodKind,
    /// How the method is reached as REST.
    pub rules: &'static [HttpRule],
    /// Whether the calls may be made by GET, where the protocol has that.
    pub get: bool,
    /// gRPC-Web: in base64.
    pub text: bool,
    /// What the client calls itself.
    pub user_agent: String,
    /// How messages are written.
    pub codec: Codec,
    /// How its compressed messages are compressed.
    pub compression: Compression,
    /// What the answer may be compressed with.
    pub accepts: CompressionSet,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            protocol: Protocol::Grpc,
            scheme: "http",
            authority: String::new(),
            path: String::new(),
            kind: MethodKind::BidiStreaming,
            rules: &[],
            get: false,
            text: false,
            user_agent: String::new(),
            codec: Codec::Proto,
            compression: Compression::Identity,
            accepts: CompressionSet::NONE,
        }
    }
}

/// The fixed part of a request: everything that is the same for all calls of one method on one channel.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    options: Arc<RequestOptions>,
    form: Form,
    headers: Arc<Headers>,
}

impl RequestTemplate {
    /// Writes the fixed part once, for all calls that follow.
    pub fn new(options: RequestOptions) -> Self {
        let (form, headers) = match options.protocol {
            Protocol::Connect if options.kind == MethodKind::Unary => {
                (Form::ConnectUnary, connect::unary_request_fixed(&options))
            }
            Protocol::Connect => (Form::ConnectStreaming, connect::streaming_request_fixed(&options)),
            Protocol::GrpcWeb if options.text => (Form::GrpcWebText, grpc_web::request_fixed(&options)),
            Protocol::GrpcWeb => (Form::GrpcWeb, grpc_web::request_fixed(&options)),
            // Even verb and path depend on the message.
            Protocol::Rest => (Form::Rest, Headers::new()),
            _ => (Form::Grpc, grpc::request_fixed(&options)),
        };
        Self { options: Arc::new(options), form, headers: Arc::new(headers) }
    }

    /// What it was made from.
    pub fn options(&self) -> &RequestOptions {
        &self.options
    }

    /// Whether the first message of a call, without its envelope, can be written. By REST it has to fit a rule of the method.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, message: &Bytes) -> Result<(), Status> {
        match self.form {
            Form::Rest => rest::client_request(self.options.rules, self.options.kind, message).map(drop),
            _ => Ok(()),
        }
    }

    /// The fixed headers, for wires that carry HTTP.
    pub(crate) fn headers(&self) -> &Arc<Headers> {
        &self.headers
    }

    /// How the call is written there.
    pub(crate) fn form(&self) -> Form {
        self.form
    }
}

/// How a call is written on a stream that carries HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Connect: envelopes, the last of which holds the status.
    ConnectStreaming,
    /// Connect: bare messages.
    ConnectUnary,
    /// gRPC: envelopes, and the status in trailers.
    Grpc,
    /// gRPC-Web: envelopes, the last of which holds the trailers.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
    /// Not a call: an ordinary HTTP request.
    Plain,
    /// REST: JSON as the method's rule has it.
    Rest,
    /// Not a call: bytes both ways, once the request has been answered.
    Tunnel,
}

/// What a server says before its first message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The metadata of the application.
    pub metadata: Metadata,
    /// How compressed messages of the response are compressed.
    pub compression: Compression,
    /// What the server accepts in requests; unknown when it did not say.
    pub accepts: Option<CompressionSet>,
}

/// The blocks a server sends again and again, made once.
#[derive(Debug)]
pub(crate) struct Templates {
    /// By form, then by codec, then by compression.
    heads: [[[Arc<Headers>; 6]; 2]; 4],
    trailers_ok: Arc<Headers>,
    nothing: Arc<Headers>,
}

impl Templates {
    pub(crate) fn new(accepts: CompressionSet) -> Self {
        let mut trailers_ok = Headers::new();
        trailers_ok.push(b"grpc-status", b"0");
        let forms = [Form::Grpc, Form::GrpcWeb, Form::GrpcWebText, Form::ConnectStreaming];
        Self {
            heads: forms.map(|form| {
                [Codec::Proto, Codec::Json].map(|codec| {
                    Compression::ALL.map(|compression| {
                        Arc::new(match form {
                            Form::ConnectStreaming => connect::streaming_response(codec, compression, accepts),
                            Form::GrpcWeb => {
                                grpc::response_fixed(grpc_web::content_type(codec, false), compression, accepts)
                            }
                            Form::GrpcWebText => {
                                grpc::response_fixed(grpc_web::content_type(codec, true), compression, accepts)
                            }
                            _ => grpc::response_fixed(grpc::content_type(codec), compression, accepts),
                        })
                    })
                })
            }),
            trailers_ok: Arc::new(trailers_ok),
            nothing: Arc::default(),
        }
    }

    /// The fixed part of a response's headers.
    pub(crate) fn head(&self, form: Form, codec: Codec, compression: Compression) -> &Arc<Headers> {
        let place = match form {
            Form::GrpcWeb => 1,
            Form::GrpcWebText => 2,
            Form::ConnectStreaming => 3,
            _ => 0,
        };
        &self.heads[place][usize::from(codec == Codec::Json)][compression as usize]
    }

    /// The fixed part of a block that has none.
    pub(crate) fn nothing(&self) -> &Arc<Headers> {
        &self.nothing
    }

    /// The trailers of success without metadata.
    pub(crate) fn trailers_ok(&self) -> &Arc<Headers> {
        &self.trailers_ok
    }
}
