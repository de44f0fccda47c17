//! What generated code calls. Not for users: it may change with the generator.

use buffa::HasMessageView;
use bytes::Bytes;
use polywire_core::{Call, Codec, Incoming, Method, Outgoing, Reply, Status};

pub use ::{buffa, buffa_types, serde};
pub use polywire_core::BoxFuture;

pub use crate::message::AnyMessage;
use crate::{
    BidiStreamingCall, Channel, ClientStreamingCall, Receiver, Sender, ServerStreamingCall, UnaryCall,
    any::{self, AddTypes},
    message::{decode, enveloped, malformed, plain},
    streams::SendCompression,
};

/// Makes the messages of these packages known, so that an `Any` that holds one has its JSON.
pub fn register_types(types: &[AddTypes]) {
    any::add(types);
}

/// Longest message a handler gets, after decompression.
fn message_bytes_max(call: &Call) -> usize {
    call.message_bytes_max()
}

/// The one request of a call, as Protobuf.
pub async fn request<M: AnyMessage>(call: &Call, mut requests: Incoming) -> Result<Bytes, Status> {
    let Some(message) = requests.next().await? else {
        return Err(Status::unimplemented("a method with one request got none"));
    };
    let bytes = plain(message, message_bytes_max(call))?;
    match call.codec() {
        Codec::Proto => Ok(bytes),
        Codec::Json => Ok(decode::<M>(Codec::Json, &bytes)?.encode_to_bytes()),
    }
}

/// A view of the request.
pub fn view<M: HasMessageView>(request: &Bytes) -> Result<M::View<'_>, Status> {
    M::decode_view(request).map_err(|error| malformed(&error))
}

/// The request as a message of its own.
pub fn message<M: AnyMessage>(request: &Bytes) -> Result<M, Status> {
    decode(Codec::Proto, request)
}

/// The one response of a call.
pub fn reply<M: AnyMessage>(call: &Call, response: &M) -> Result<Reply, Status> {
    enveloped(call.codec(), crate::server::chosen_compression(call).into(), response).map(Reply::Message)
}

/// The requests of a call whose client streams.
pub fn receiver<M: AnyMessage>(call: &Call, requests: Incoming) -> Receiver<M> {
    Receiver::new(requests, call.codec(), message_bytes_max(call))
}

/// Where a streaming handler puts its responses.
pub fn sender<M: AnyMessage>(call: &Call, responses: Outgoing) -> Sender<M> {
    Sender::new(responses, call.codec(), SendCompression::Accepted(call.accepts()))
}

/// For an index that no method has: the router never gives one.
pub async fn no_such_method(call: &Call) -> Result<Reply, Status> {
    Err(Status::unimplemented(format!("{} has no handler", call.method())))
}

/// Starts a unary call.
pub fn unary_call<'a, Req: AnyMessage, Resp: AnyMessage>(
    channel: &'a Channel,
    method: &'static Method,
    request: &Req,
) -> UnaryCall<'a, Resp> {
    UnaryCall::new(channel, method, request)
}

/// Starts a server-streaming call.
pub fn server_streaming_call<'a, Req: AnyMessage, Resp: AnyMessage>(
    channel: &'a Channel,
    method: &'static Method,
    request: &Req,
) -> ServerStreamingCall<'a, Resp> {
    ServerStreamingCall::new(channel, method, request)
}

/// Starts a client-streaming call.
pub fn client_streaming_call<'a, Req: AnyMessage, Resp: AnyMessage>(
    channel: &'a Channel,
    method: &'static Method,
) -> ClientStreamingCall<'a, Req, Resp> {
    ClientStreamingCall::new(channel, method)
}

/// Starts a bidirectional call.
pub fn bidi_streaming_call<'a, Req: AnyMessage, Resp: AnyMessage>(
    channel: &'a Channel,
    method: &'static Method,
) -> BidiStreamingCall<'a, Req, Resp> {
    BidiStreamingCall::new(channel, method)
}
