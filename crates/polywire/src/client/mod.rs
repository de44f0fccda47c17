//! The client: channels, and the calls made on them.

mod backoff;
mod call;
mod channel;
mod connection;
mod intercepted;
mod options;
pub mod raw;
mod target;

pub use self::{
    call::{BidiStreamingCall, ClientStreamingCall, Outcome, Response, ResponseFuture, ServerStreamingCall, UnaryCall},
    channel::{Channel, ChannelBuilder, ChannelError, ChannelState, TlsAgreed},
    target::InvalidTarget,
};
