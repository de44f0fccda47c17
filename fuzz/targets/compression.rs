//! Decompression of anything, bounded; and a round trip through each codec.
//!
//! The module stands by itself in the crate `polywire`, and is taken from there without the rest, which takes minutes
//! to build.
#![no_main]

#[path = "../../crates/polywire/src"]
#[allow(dead_code)]
mod polywire {
    pub mod compression;
}

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use polywire::compression::{compress, decompress};
use polywire_core::Compression;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, input)) = bytes.split_first() else { return };
    let compression = Compression::ALL[usize::from(choice % 6)];
    let bytes_max = [0, 100, 10_000, 1 << 20][usize::from(choice >> 6)];
    let input = Bytes::copy_from_slice(input);
    if let Ok(message) = decompress(compression, &input, bytes_max) {
        assert!(message.len() <= bytes_max, "{} bytes", message.len());
    }
    if choice & 0x20 != 0 {
        let mut compressed = Vec::new();
        compress(compression, &input, &mut compressed).expect("there is memory");
        let back = decompress(compression, &compressed.into(), input.len());
        assert_eq!(back.expect("what was compressed can be decompressed"), input);
    }
});
