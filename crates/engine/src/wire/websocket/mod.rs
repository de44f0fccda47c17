//! WebSocket (RFC 6455), also over HTTP/2 (RFC 8441): a transport inside a transport.
//!
//! Three parts, each of use alone: [`handshake`] decides whether a request is an upgrade and answers it, [`Messages`] is what
//! follows the handshake without any knowledge of calls, and [`Connection`] runs calls over it: native frames in binary messages,
//! or the JSON text form in text messages. Messages may be compressed ([`Deflate`], RFC 7692).
//!
//! The layout of frames is the crate `tungstenite`'s. Its message layer is not used: it sets aside what a peer merely
//! announces, and keeps the buffers of the largest message in each direction for as long as the connection lives.

mod connection;
mod deflate;
pub mod handshake;
mod messages;
mod utf8;

pub use connection::{Begin, Connection};
pub use deflate::{Deflate, MessageCompression, MessageFault};
pub use handshake::Subprotocol;
pub use messages::{Incoming, Messages, Violation};
