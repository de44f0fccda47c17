//! HTTP/1.1 (RFC 9112) without I/O, client and server.
//!
//! [`Connection`] has the interface of [`http2::Connection`](super::http2::Connection) and reports the same
//! [`StreamEvent`](super::StreamEvent)s: heads carry pseudo headers and lower-case names, so that the layers above do not
//! see which wire it is. A stream is one request with its answer. What it promises:
//!
//! - It never fails and never panics on input. A peer that breaks a rule is told so, if its turn to be answered has come,
//!   and loses the connection: where the next message begins could no longer be trusted.
//! - What two readers could understand differently is refused, even where the standard would let it be repaired
//!   (request smuggling). The table is in `tests/http1_smuggling.rs`.
//! - It never waits for a peer without a limit, and holds no more than [`Limits`](crate::Limits) say, if the driver
//!   minds [`Connection::wants_bytes`].
//!
//! What HTTP/1.1 cannot do, and what is done instead:
//!
//! | in HTTP/2 | here |
//! |---|---|
//! | many streams at once | one; pipelined requests wait until the answer before has been given |
//! | windows | the driver stops reading while [`Connection::wants_bytes`] is false |
//! | RST_STREAM by a server | before the answer: a short answer of 5xx; inside it: the connection ends without the last chunk |
//! | RST_STREAM by a client | the connection ends; with NO_ERROR the rest of the answer is read and dropped |
//! | GOAWAY | `connection: close` on the next answer |
//! | trailers | only to clients that said `te: trailers`; others do not get them |
//!
//! | file | idea |
//! |---|---|
//! | `connection` | the public face; how a connection begins and ends |
//! | `exchange` | the state of one request with its answer |
//! | `receive` | input → heads, bodies, events |
//! | `send` | heads and bodies → output |
//! | `timers` | what is waited for, and what happens when it does not come |
//! | `head`, `body`, `fields`, `fault` | the rules of the text, and the answers to breaking them |

mod body;
mod connection;
mod exchange;
mod fault;
mod fields;
mod head;
mod receive;
mod send;
mod timers;

pub use connection::{Connection, Date};
pub(super) use fault::answer;
pub(super) use fields::is_token_byte;
