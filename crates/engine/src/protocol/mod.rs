//! How a call is written on a stream: one file for each protocol.

#[allow(dead_code)] // the protocols that need it follow
pub(crate) mod code_names;
pub(crate) mod grpc;
pub(crate) mod rich_status;
#[cfg(feature = "websocket")]
pub(crate) mod text;

use std::sync::Arc;

use polywire_core::{Codec, Compression, CompressionSet, Metadata};

use crate::wire::Headers;

/// What a channel's calls of one method have in common.
#[derive(Clone, Debug)]
pub struct RequestOptions {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host the caller means.
    pub authority: String,
    /// `/package.Service/Method`.
    pub path: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// How messages are written.
    pub codec: Codec,
    /// How its compressed messages are compressed.
    pub compression: Compression,
    /// What the answer may be compressed with.
    pub accepts: CompressionSet,
}

/// The fixed part of a request: everything that is the same for all calls of one method on one channel.
#[derive(Clone, Debug)]
pub struct RequestTemplate {
    options: Arc<RequestOptions>,
    headers: Arc<Headers>,
}

impl RequestTemplate {
    /// Writes the fixed part once, for all calls that follow.
    pub fn new(options: RequestOptions) -> Self {
        let headers = Arc::new(grpc::request_fixed(&options));
        Self { options: Arc::new(options), headers }
    }

    /// What it was made from.
    pub fn options(&self) -> &RequestOptions {
        &self.options
    }

    /// The fixed headers, for wires that carry HTTP.
    pub(crate) fn headers(&self) -> &Arc<Headers> {
        &self.headers
    }
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
