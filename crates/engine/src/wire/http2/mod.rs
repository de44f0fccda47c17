//! HTTP/2 (RFC 9113) without I/O, client and server.
//!
//! [`Connection`] takes bytes and gives [`Event`]s; it takes commands and gives bytes.

mod connection;
mod event;
mod flow;
mod frame;
mod guard;
pub mod headers;
pub mod hpack;
mod past;
mod pings;
mod reason;
mod receive;
mod requests;
mod send;
mod settings;
mod stream;
mod streams;
mod timers;
mod well_formed;

pub use connection::{Connection, Role};
pub use event::{ConnectionError, Event, LimitExceeded, OpenError, PeerMisbehaved, TimedOut};
pub use headers::Headers;
pub use reason::Reason;
pub use stream::{StreamId, StreamKey};
