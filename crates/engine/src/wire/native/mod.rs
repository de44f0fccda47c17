//! The native wire: calls on frames of our own, for transports that carry no HTTP.
//!
//! The protocol is written down in `docs/native-protocol.md`. There is no layer between stream and call here: a frame
//! names the method, its fields are the metadata, and a status is the end of a stream. So this wire gives the interface
//! of [`crate::Connection`] itself.
//!
//! `frame`, `fields` and `hello` know how things are spelt, `methods` the numbers of methods, `streams` and `flow` keep
//! the state; `receive`, `send` and `timers` are each an `impl Connection`.

mod connection;
mod fields;
mod flow;
mod frame;
mod guard;
mod hello;
mod methods;
mod receive;
mod rule;
mod send;
mod streams;
mod timers;

pub use connection::Connection;
pub use frame::PREFACE;
pub use rule::NativeRule;
