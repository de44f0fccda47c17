//! (being written)

pub mod compression;
pub mod transport;
