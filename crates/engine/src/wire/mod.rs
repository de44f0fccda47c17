//! Wires: how a transport's bytes are cut into streams.

pub mod http2;
