//! HPACK (RFC 7541): placeholder for the interface.

use std::sync::Arc;

use bytes::Bytes;

use super::headers::Headers;

/// Why a block could not be decoded.
#[derive(Debug)]
pub enum DecodeError {
    /// The list is larger than allowed.
    TooLarge,
    /// The block is not HPACK.
    Malformed,
}

/// Decodes header blocks.
#[derive(Debug)]
pub struct Decoder;

impl Decoder {
    /// A decoder with this table.
    pub fn new(_table_bytes_max: u32) -> Self {
        Decoder
    }
    /// Decodes one block.
    pub fn decode(
        &mut self,
        _block: &Bytes,
        _list_bytes_max: u32,
    ) -> Result<Arc<Headers>, DecodeError> {
        Err(DecodeError::Malformed)
    }
    /// Changes the table's bound.
    pub fn set_table_bytes_max(&mut self, _n: u32) {}
}

/// Encodes header blocks.
#[derive(Debug)]
pub struct Encoder;

impl Encoder {
    /// An encoder.
    pub fn new() -> Self {
        Encoder
    }
    /// Changes the table's bound.
    pub fn set_table_bytes_max(&mut self, _n: u32) {}
    /// Encodes one block.
    pub fn encode(&mut self, _head: &Arc<Headers>, _extra: Option<&Headers>, _out: &mut Vec<u8>) {}
}
