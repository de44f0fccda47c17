//! Lists of fields through an encoder and a decoder, while the size of the table changes.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use polywire_engine::wire::Headers;
use polywire_engine::wire::http2::hpack::{Decoder, Encoder};
use polywire_sim::draw::Draw;

fuzz_target!(|bytes: &[u8]| {
    let mut draw = Draw::new(bytes);
    let mut encoder = Encoder::with_table_limit(u32::from(draw.byte()) * 256);
    let mut decoder = Decoder::new(4_096);
    let mut heads: Vec<Arc<Headers>> = Vec::new();
    let mut block = Vec::new();
    while !draw.is_empty() {
        let choice = draw.byte();
        // The peer's settings may change several times before the next block.
        for _ in 0..choice >> 6 & if choice & 0x20 == 0 { 0 } else { 3 } {
            let table_bytes_max = u32::from(draw.byte()) * 65;
            encoder.set_table_bytes_max(table_bytes_max);
            decoder.set_table_bytes_max(table_bytes_max);
        }
        if choice & 0x10 != 0 {
            encoder.trim();
        }
        let head = match heads.get(usize::from(choice & 3)) {
            Some(head) => Arc::clone(head),
            None => Arc::new(fields(&mut draw)),
        };
        if heads.len() < 4 && choice & 8 != 0 {
            heads.push(Arc::clone(&head));
        }
        let extra = (choice & 4 != 0).then(|| fields(&mut draw));
        block.clear();
        encoder.encode(&head, extra.as_ref(), &mut block);
        let decoded = decoder.decode(&block, u32::MAX / 2).expect("what was encoded can be decoded");
        let sent: Vec<_> = head.fields().chain(extra.iter().flat_map(Headers::fields)).collect();
        let got: Vec<_> = decoded.fields().collect();
        assert_eq!(got.len(), sent.len());
        for (got, sent) in got.iter().zip(&sent) {
            assert_eq!((got.name, got.value, got.sensitive), (sent.name, sent.value, sent.sensitive));
        }
    }
});

fn fields(draw: &mut Draw<'_>) -> Headers {
    let mut headers = Headers::new();
    for _ in 0..draw.byte() % 6 {
        let (choice, len) = (draw.byte(), draw.byte());
        let name: &[u8] = match choice % 6 {
            0 => b":path",
            1 => b"content-type",
            2 => b"x-name",
            3 => b"",
            _ => draw.take(usize::from(choice >> 4)),
        };
        let mut value = draw.take(usize::from(len % 32)).to_vec();
        if len >= 0xf0 {
            value = value.repeat(200);
        }
        if choice & 0x80 != 0 {
            headers.push_sensitive(name, value);
        } else {
            headers.push(name, value);
        }
    }
    headers
}
