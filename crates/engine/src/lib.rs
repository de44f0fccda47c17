//! (being written)

pub mod wire;
