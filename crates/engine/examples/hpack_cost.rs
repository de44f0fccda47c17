//! Prints what HPACK costs, in nanoseconds for each block: the best of several rounds.
//!
//! `cargo run --release -p polywire-engine --example hpack_cost`

#![allow(clippy::disallowed_methods, reason = "the engine asks nobody for the time; this program measures it")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use polywire_engine::wire::headers::Headers;
use polywire_engine::wire::http2::hpack::{Decoder, Encoder, TABLE_BYTES_DEFAULT};

fn main() {
    println!("decode");
    decode_repeated();
    decode_never_repeated();
    decode_varying("one varying value of 8 bytes, plain", false);
    decode_varying("one varying value of 8 bytes, Huffman", true);
    decode_first();
    decode_token();

    println!("encode");
    encode_repeated();
    encode_with("a head and a constant field", || "100m".to_owned());
    let mut number = 1_000_000;
    encode_with("a head and a varying field", || {
        number += 7;
        format!("{number}u")
    });
    encode_many_heads();
    encode_first();

    println!("memory of one side beside itself, in bytes: table, then all");
    memory();
    println!("size of Decoder and Encoder: {} and {}", size_of::<Decoder>(), size_of::<Encoder>());
}

/// Eight fields as an ordinary gRPC client sends them.
fn request(path: &str) -> Headers {
    let mut head = Headers::new();
    head.push(":method", "POST");
    head.push(":scheme", "http");
    head.push(":path", path);
    head.push(":authority", "orders.example.com:8080");
    head.push("content-type", "application/grpc");
    head.push("user-agent", "grpc-go/1.75.0");
    head.push("te", "trailers");
    head.push("grpc-accept-encoding", "gzip,zstd");
    head
}

/// A decoder and the block of [`request`], once all of it is in the table.
fn settled() -> (Encoder, Decoder, Arc<Headers>, Vec<u8>) {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE_BYTES_DEFAULT));
    let head = Arc::new(request("/orders.v1.OrdersService/Create"));
    let mut block = Vec::new();
    for _ in 0..3 {
        block.clear();
        encoder.encode(&head, None, &mut block);
        decode(&mut decoder, &block);
    }
    assert_eq!(block.len(), 8);
    (encoder, decoder, head, block)
}

fn decode_repeated() {
    let (_, mut decoder, _, block) = settled();
    decode(&mut decoder, &block);
    report("the same 8 indices again", || {
        decode(&mut decoder, black_box(&block));
    });
}

fn decode_never_repeated() {
    let (_, mut decoder, _, block) = settled();
    // The last field is another one of the static table each time: too many blocks to be remembered.
    let blocks: Vec<Vec<u8>> = (15..=61)
        .map(|index| {
            let mut block = block.clone();
            block[7] = 0x80 | index;
            block
        })
        .collect();
    let mut next = blocks.iter().cycle();
    report("8 indices, never the same", || {
        decode(&mut decoder, next.next().expect("a cycle has no end"));
    });
}

fn decode_varying(what: &str, huffman: bool) {
    let (_, mut decoder, _, block) = settled();
    // Digits of five and six bits: "1999200u" is six bytes in Huffman code, here written by hand for each digit.
    let blocks: Vec<Vec<u8>> = (0..500u32)
        .map(|number| {
            let mut block = block.clone();
            // Without indexing, with the name of the newest field: as good as any.
            block.extend_from_slice(&[0x0f, 62 - 15]);
            let text = format!("{}u", 1_999_000 + number);
            if huffman {
                let code = huffman_digits(&text);
                block.push(0x80 | code.len() as u8);
                block.extend_from_slice(&code);
            } else {
                block.push(text.len() as u8);
                block.extend_from_slice(text.as_bytes());
            }
            block
        })
        .collect();
    let mut next = blocks.iter().cycle();
    report(&format!("8 indices and {what}"), || {
        decode(&mut decoder, next.next().expect("a cycle has no end"));
    });
}

fn decode_first() {
    // The third block of a fresh encoder inserts all, in Huffman code.
    let mut encoder = Encoder::new();
    let head = Arc::new(request("/orders.v1.OrdersService/Create"));
    let mut block = Vec::new();
    encoder.encode(&head, None, &mut block);
    block.clear();
    encoder.encode(&head, None, &mut block);
    report("a connection's first 8 fields, inserting 6", || {
        let mut decoder = Decoder::new(TABLE_BYTES_DEFAULT);
        decode(&mut decoder, &block);
    });
}

fn decode_token() {
    let (_, mut decoder, _, block) = settled();
    let mut headers = Headers::new();
    headers.push("authorization", "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.".repeat(16));
    let mut encoder = Encoder::new();
    let headers = Arc::new(headers);
    let mut token = Vec::new();
    for _ in 0..2 {
        token.clear();
        encoder.encode(&headers, None, &mut token);
    }
    assert!(token.len() < 500);
    // Without indexing: the same string behind another pattern.
    let mut with_token = block;
    with_token.extend_from_slice(&[0x0f, 23 - 15]);
    with_token.extend_from_slice(&token[1..]);
    report("8 indices and a token of 592 bytes, Huffman", || {
        decode(&mut decoder, &with_token);
    });
}

fn encode_repeated() {
    let (mut encoder, _, head, _) = settled();
    let mut out = Vec::with_capacity(1024);
    report("a known head of 8 fields", || {
        out.clear();
        encoder.encode(black_box(&head), None, &mut out);
        black_box(&out);
    });
}

fn encode_with(what: &str, mut value: impl FnMut() -> String) {
    let (mut encoder, _, head, _) = settled();
    let extras: Vec<Headers> = (0..500).map(|_| [("grpc-timeout", value())].into_iter().collect()).collect();
    let mut next = extras.iter().cycle();
    let mut out = Vec::with_capacity(1024);
    report(what, || {
        out.clear();
        encoder.encode(&head, next.next(), &mut out);
        black_box(&out);
    });
}

fn encode_many_heads() {
    let mut encoder = Encoder::new();
    let heads: Vec<Arc<Headers>> =
        (0..16).map(|number| Arc::new(request(&format!("/orders.v1.OrdersService/Method{number}")))).collect();
    let mut next = heads.iter().cycle();
    let mut out = Vec::with_capacity(1024);
    report("one of 16 heads in turn, all indexed", || {
        out.clear();
        encoder.encode(next.next().expect("a cycle has no end"), None, &mut out);
        black_box(&out);
    });
}

fn encode_first() {
    let head = Arc::new(request("/orders.v1.OrdersService/Create"));
    let mut out = Vec::with_capacity(1024);
    report("a connection's first two blocks, inserting 6", || {
        let mut encoder = Encoder::new();
        out.clear();
        encoder.encode(&head, None, &mut out);
        encoder.encode(&head, None, &mut out);
        black_box(&out);
    });
}

fn memory() {
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(TABLE_BYTES_DEFAULT);
    let head = Arc::new(request("/orders.v1.OrdersService/Create"));
    for calls in 1..=4 {
        let mut block = Vec::new();
        encoder.encode(&head, None, &mut block);
        decode(&mut decoder, &block);
        println!(
            "  after {calls} calls: encoder {} / {}, decoder {} / {}",
            encoder.table_bytes(),
            encoder.heap_bytes(),
            decoder.table_bytes(),
            decoder.heap_bytes()
        );
    }
}

fn decode(decoder: &mut Decoder, block: &[u8]) {
    let headers = decoder.decode(block, 1 << 20).expect("a good block");
    black_box(headers);
}

/// The Huffman code of digits and `u` (RFC 7541 Appendix B).
fn huffman_digits(text: &str) -> Vec<u8> {
    let mut bits = String::new();
    for letter in text.bytes() {
        match letter {
            b'0'..=b'2' => bits += &format!("{:05b}", letter - b'0'),
            b'3'..=b'9' => bits += &format!("{:06b}", letter - b'3' + 0x19),
            _ => bits += "101101",
        }
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0'))).collect()
}

fn report(what: &str, mut work: impl FnMut()) {
    // A word on the command line selects the lines that hold it.
    if std::env::args().nth(1).is_some_and(|word| !what.contains(&word)) {
        return;
    }
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..TURNS {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(TURNS));
    }
    println!("  {best:7.1} ns  {what}");
}

const TURNS: u32 = 20_000;
