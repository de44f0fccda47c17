//! Wires: how a transport is cut into streams.
//!
//! All wires that carry HTTP speak the same words upwards: [`Headers`], [`StreamEvent`], [`StreamKey`].

pub mod detect;
mod event;
pub mod headers;
pub mod http1;
pub mod http2;
mod key;
pub mod native;
mod reason;
pub mod single;
pub mod websocket;

pub use event::{ConnectionError, LimitExceeded, OpenError, PeerMisbehaved, StreamEvent, TimedOut};
pub use headers::Headers;
pub use key::{StreamId, StreamKey};
pub use reason::Reason;

/// Which side of a connection we are.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// We open streams.
    Client,
    /// The peer opens streams.
    Server,
}
