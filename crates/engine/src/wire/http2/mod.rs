//! HTTP/2 (RFC 9113) without I/O, client and server.
//!
//! [`Connection`] takes bytes, time and commands and gives bytes and [`StreamEvent`](super::StreamEvent)s. What it promises:
//!
//! - It never fails and never panics on input. A peer that breaks a rule loses the stream (RST_STREAM, [`StreamEvent::Reset`](super::StreamEvent::Reset))
//!   or the connection (GOAWAY, [`StreamEvent::Closed`](super::StreamEvent::Closed)), as the standard says.
//! - It never waits for a peer without a limit, and holds, answers and computes no more for one than
//!   [`Limits`](crate::Limits) say. Attacks that have a name are tests in `tests/http2_hostile.rs`.
//! - What is large is not copied, neither in nor out. What is small is written at once, straight into the output.
//!
//! Left out: server push (refused) and priorities (checked for form, then ignored, as RFC 9113 §5.3.2 allows).
//!
//! | file | idea |
//! |---|---|
//! | `connection` | the public face; how a connection begins and ends |
//! | `receive` | bytes → frames; each kind of frame |
//! | `requests` | header blocks → requests, responses, trailers |
//! | `send` | headers and data → frames; streams take turns |
//! | `timers` | what is waited for, and what happens when it does not come |
//! | `stream`, `streams` | the state of one stream; the table of the open ones |
//! | `past` | what is remembered of the closed ones |
//! | `flow` | the connection's receive window; how windows grow |
//! | `guard`, `pings` | what is counted against floods |
//! | `settings`, `frame` | words of the wire |
//! | `well_formed`, `hpack` | fields: the rules, the compression |

mod connection;
mod flow;
mod frame;
mod guard;
pub mod hpack;
mod past;
mod pings;
mod receive;
mod requests;
mod send;
mod settings;
mod stream;
mod streams;
mod timers;
mod well_formed;

pub use connection::Connection;
