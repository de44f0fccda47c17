//! HPACK as its public face shows it.

use std::sync::Arc;

use super::{DecodeError, Decoder, Encoder, TABLE_BYTES_DEFAULT};
use crate::wire::http2::headers::Headers;

mod rfc7541;
mod round_trip;

const LIST_BYTES_MAX: u32 = 16 * 1024;

fn decoder() -> Decoder {
    Decoder::new(TABLE_BYTES_DEFAULT)
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

/// The bytes that a text like `8286 84` spells.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty());
    pairs.iter().map(|[high, low]| high << 4 | low).collect()
}
