//! TLS over in-memory transports.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod configuration;
mod handshakes;
mod identities;
mod reloading;
