//! Two engines, a link between them that delays, splits, stalls and cuts, and random programs, all in virtual time.
//!
//! A [`Program`] follows from bytes, or from a seed. [`wire::play`] plays it on two HTTP/2 connections, [`calls::play`]
//! on two connections in terms of calls; both compare what each side reports with what the other was told, while an
//! [`Observer`](observer::Observer) reads the frames. Tests, the fuzzer and long runs share all of it:
//!
//! ```
//! let program = polywire_sim::Program::from_seed(7);
//! polywire_sim::wire::play(&program).unwrap();
//! ```

pub mod calls;
pub mod draw;
pub mod hostile;
pub mod http1;
pub mod link;
pub mod native;
pub mod network;
pub mod observer;
mod outcome;
pub mod pattern;
pub mod play;
pub mod program;
pub mod websocket;
pub mod wire;

pub use outcome::Outcome;
pub use play::{Failure, Level, play, play_seed};
pub use program::{Operation, Program, Side};
