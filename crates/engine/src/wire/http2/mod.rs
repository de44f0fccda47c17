//! HTTP/2 (RFC 9113) without I/O, client and server.
//!
//! [`Connection`] takes bytes and gives [`Event`]s; it takes commands and gives bytes.

mod connection;
mod event;
pub mod headers;
pub mod hpack;
mod reason;
mod stream;

pub use connection::{Connection, Role};
pub use event::{ConnectionError, Event, LimitExceeded, OpenError, PeerMisbehaved, TimedOut};
pub use headers::Headers;
pub use reason::Reason;
pub use stream::{StreamId, StreamKey};
