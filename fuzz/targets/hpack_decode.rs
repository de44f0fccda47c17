//! Arbitrary header blocks: no panic, no list over its limit, and the same answer with and without what is remembered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polywire_engine::wire::http2::hpack::{Decoder, Encoder};
use polywire_sim::draw::Draw;

fuzz_target!(|bytes: &[u8]| {
    let mut draw = Draw::new(bytes);
    let mut decoder = Decoder::new(4_096);
    let mut twice = Decoder::new(4_096);
    while !draw.is_empty() {
        let choice = draw.byte();
        if choice & 0x80 != 0 {
            let table_bytes_max = u32::from(choice & 0x7f) * 64;
            decoder.set_table_bytes_max(table_bytes_max);
            twice.set_table_bytes_max(table_bytes_max);
        }
        let list_bytes_max = [16_384, 200, 33, 4_096][usize::from(choice & 3)];
        let len = usize::from(draw.byte());
        let block = draw.take(len);
        let result = decoder.decode(block, list_bytes_max);
        let again = twice.decode(&block.to_vec(), list_bytes_max);
        assert_eq!(result, again);
        match result {
            Ok(headers) => {
                assert!(headers.size() <= list_bytes_max as usize);
                assert_eq!(headers.iter().count(), headers.len());
                let (mut encoder, mut block) = (Encoder::new(), Vec::new());
                encoder.encode(&headers, None, &mut block);
                let back = Decoder::new(4_096).decode(&block, list_bytes_max).expect("what was encoded can be decoded");
                assert_eq!(back, headers);
            }
            Err(error) if error.is_fatal() => return,
            Err(_) => {}
        }
    }
});
