//! What our encoder writes, our decoder reads.

use super::*;

#[test]
fn a_repeated_head_becomes_a_few_bytes_and_the_same_pointer() {
    let head = Arc::new(headers(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/orders.v1.OrdersService/Create"),
        (":authority", "orders:8080"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "polywire/0.1"),
    ]));
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    let mut decoded = Vec::new();
    let mut lengths = Vec::new();
    for _ in 0..5 {
        let mut block = Vec::new();
        encoder.encode(&head, None, &mut block);
        lengths.push(block.len());
        decoded.push(decoder.decode(&block, LIST_BYTES_MAX).unwrap());
    }
    assert!(decoded.iter().all(|headers| **headers == *head));
    assert_eq!(lengths[2..], [7, 7, 7]);
    assert!(Arc::ptr_eq(&decoded[3], &decoded[4]));
}
