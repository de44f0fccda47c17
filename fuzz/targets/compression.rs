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
use polywire::compression::{WebSocketDeflate, compress, decompress};
use polywire_core::Compression;
use polywire_engine::wire::websocket::MessageCompression;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, input)) = bytes.split_first() else { return };
    let bytes_max = [0, 100, 10_000, 1 << 20][usize::from(choice >> 6)];
    if choice % 7 == 6 {
        return messages(choice, input, bytes_max);
    }
    let compression = Compression::ALL[usize::from(choice % 7)];
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

/// Messages of a WebSocket, in pieces and with a window of any size.
fn messages(choice: u8, input: &[u8], bytes_max: usize) {
    if let Ok(message) = WebSocketDeflate.decompress(input, bytes_max) {
        assert!(message.len() <= bytes_max, "{} bytes", message.len());
    }
    let (first, second) = input.split_at(input.len() / 3);
    let mut compressed = Vec::new();
    assert!(WebSocketDeflate.compress(&[first, second], 9 + choice / 7 % 7, &mut compressed));
    let back = WebSocketDeflate.decompress(&compressed, input.len());
    assert_eq!(back.expect("what was compressed can be decompressed"), input);
}
