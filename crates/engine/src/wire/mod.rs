//! Wires: how a transport is cut into streams.

pub mod http2;
