//! HPACK as its public face shows it.

use std::sync::Arc;

use super::{DecodeError, Decoder, Encoder, TABLE_BYTES_DEFAULT};
use crate::wire::headers::Headers;

mod bad_input;
mod remembered_blocks;
mod rfc7541;
mod round_trip;
mod table_size;
mod vectors;

const LIST_BYTES_MAX: u32 = 16 * 1024;

fn decoder() -> Decoder {
    Decoder::new(TABLE_BYTES_DEFAULT)
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().copied().collect()
}

/// The fields every call of a method begins with.
fn request(path: &str) -> Arc<Headers> {
    Arc::new(headers(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "orders:8080"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "polywire/0.1"),
    ]))
}

fn encode(encoder: &mut Encoder, head: &Arc<Headers>, extra: Option<&Headers>) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.encode(head, extra, &mut block);
    block
}

/// The bytes that a text like `8286 84` spells.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty());
    pairs.iter().map(|[high, low]| high << 4 | low).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers that look random and depend on the seed alone (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
