//! The machines of polywire: wires cut a connection into streams, protocols write calls on them.
//!
//! Nothing here touches a socket, a task, a lock or the clock. Bytes and time go in, events and bytes come out;
//! [`drain`](drain::drain) is the one place that knows the order.

mod begin;
pub mod connection;
mod deadlines;
pub mod drain;
pub mod envelope;
mod http;
pub mod limits;
pub mod protocol;
pub mod time;
pub mod transmit;
pub mod wire;

pub use begin::Beginning;
pub use connection::{CallKey, ClientWire, Config, ConfigParts, Connection, Event, OpenCall};
pub use limits::Limits;
pub use transmit::Transmit;
