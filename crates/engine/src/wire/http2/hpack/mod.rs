//! HPACK (RFC 7541): header fields as few bytes, with a memory on both sides.
//!
//! A [`Decoder`] and an [`Encoder`] belong to one connection each. Both remember small blocks which did not change
//! their table: the decoder answers an identical block with the very same `Arc<Headers>`, the encoder writes a known
//! head as a copy of bytes.

mod cache;
mod decoder;
mod dynamic_table;
mod encoder;
mod hash;
mod huffman;
mod integer;
mod static_table;
#[cfg(test)]
mod tests;

pub use decoder::{DecodeError, Decoder};
pub use encoder::Encoder;

/// The size of both dynamic tables before any setting was exchanged (RFC 9113 §6.5.2), and the most our encoder uses.
pub const TABLE_BYTES_DEFAULT: u32 = 4096;
