//! The order system of a small café: the application to read first, and to run first.
//!
//! Two services in one process, each callable by itself: *Stock* knows what is on the shelves, *Orders* takes orders, calls
//! Stock over a channel like anybody else would, tells kitchens what to make and customers how far it has got.
//!
//! The layers, from the inside out; each knows only those above it:
//!
//! | module | what it holds | what it does not know |
//! |---|---|---|
//! | [`domain`] | orders, goods, money, the table of statuses | databases, wires, clocks |
//! | [`store`] | the same in SQLite or PostgreSQL | calls, statuses of calls |

pub mod app;
pub mod clock;
pub mod counters;
pub mod domain;
pub mod feed;
mod page;
pub mod service;
pub mod store;

/// What the `.proto` files of the services say, in Rust.
pub mod proto {
    polywire::include_proto!();
}
