//! What both sides remember, and when they forget it.

use super::*;

/// Both sides after a few calls with the same head: all of it is in the table.
fn settled(head: &Arc<Headers>) -> (Encoder, Decoder) {
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    for _ in 0..4 {
        let block = encode(&mut encoder, head, None);
        decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    }
    (encoder, decoder)
}

#[test]
fn a_repeated_head_becomes_a_few_bytes_and_the_same_pointer() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    let mut lengths = Vec::new();
    let mut decoded = Vec::new();
    for _ in 0..6 {
        let block = encode(&mut encoder, &head, None);
        lengths.push(block.len());
        decoded.push(decoder.decode(&block, LIST_BYTES_MAX).unwrap());
    }
    assert!(decoded.iter().all(|headers| **headers == *head));
    assert!(lengths[0] > 80);
    assert_eq!(lengths[2..], [7, 7, 7, 7]);
    // Inserted with the second block, remembered with the third, which is indices alone.
    assert!(!Arc::ptr_eq(&decoded[1], &decoded[2]));
    assert!(decoded[3..].iter().all(|headers| Arc::ptr_eq(headers, &decoded[2])));
}

#[test]
fn a_block_with_a_literal_is_remembered_when_it_comes_again() {
    let mut decoder = decoder();
    let block = unhex("83 04 02 2f61");
    let decoded: Vec<_> = (0..4).map(|_| decoder.decode(&block, LIST_BYTES_MAX).unwrap()).collect();
    assert!(!Arc::ptr_eq(&decoded[0], &decoded[1]));
    assert!(decoded[2..].iter().all(|headers| Arc::ptr_eq(headers, &decoded[1])));
}

#[test]
fn one_call_leaves_nothing_behind() {
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    assert_eq!((encoder.heap_bytes(), decoder.heap_bytes()), (0, 0));
    let head = request("/orders.v1.OrdersService/Create");
    let block = encode(&mut encoder, &head, None);
    let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!((encoder.heap_bytes(), decoder.heap_bytes()), (0, 0));
    assert_eq!(Arc::strong_count(&head), 1);
    assert_eq!(Arc::strong_count(&decoded), 1);
}

#[test]
fn an_insertion_makes_both_sides_forget() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let block = encode(&mut encoder, &head, None);
    let before = decoder.decode(&block, LIST_BYTES_MAX).unwrap();

    let extra = headers(&[("x-tenant", "acme")]);
    for _ in 0..2 {
        let block = encode(&mut encoder, &head, Some(&extra));
        decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    }
    let later = encode(&mut encoder, &head, None);
    assert_eq!(later.len(), block.len());
    assert_ne!(later, block, "all dynamic indices moved by one");
    let after = decoder.decode(&later, LIST_BYTES_MAX).unwrap();
    assert_eq!(after, before);
    assert!(!Arc::ptr_eq(&after, &before));
    // The old bytes mean something else now.
    let old = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_ne!(old, before);
}

#[test]
fn a_size_update_makes_both_sides_forget() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let before = encode(&mut encoder, &head, None);
    let old = decoder.decode(&before, LIST_BYTES_MAX).unwrap();
    encoder.set_table_bytes_max(1000);
    decoder.set_table_bytes_max(1000);
    let block = encode(&mut encoder, &head, None);
    assert_eq!(block[..3], [0x3f, 0xc9, 0x07]);
    assert_eq!(block[3..], before);
    let new = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!(new, old);
    assert!(!Arc::ptr_eq(&new, &old));
    // The update is not repeated.
    assert_eq!(encode(&mut encoder, &head, None), before);
}

#[test]
fn a_varying_field_does_not_churn_the_table() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let before = (encoder.table_len(), encoder.table_bytes());
    let block = encode(&mut encoder, &head, None);
    let remembered = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    for number in 0..1000 {
        let timeout = format!("{}u", 1_000_000 - 13 * number);
        let id = format!("{number:08x}");
        let extra = headers(&[("grpc-timeout", &timeout), ("x-request-id", &id)]);
        let block = encode(&mut encoder, &head, Some(&extra));
        let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
        assert_eq!(decoded.find("grpc-timeout"), Some(timeout.as_bytes()));
        assert_eq!(decoded.find("x-request-id"), Some(id.as_bytes()));
    }
    assert_eq!((encoder.table_len(), encoder.table_bytes()), before);
    // A thousand other blocks did not displace the one in use.
    let again = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert!(Arc::ptr_eq(&again, &remembered));
}

/// Of a few hundred values each comes again and again, yet they are too many to keep.
#[test]
fn values_that_come_again_and_again_insert_only_now_and_then() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let mut random = Random(3);
    let mut last = Vec::new();
    let mut changes = [0; 4];
    for changes in &mut changes {
        for _ in 0..1600 {
            let extra = headers(&[("grpc-timeout", &format!("{}m", random.below(300)))]);
            let block = encode(&mut encoder, &head, Some(&extra));
            let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
            assert_eq!(decoded.len(), head.len() + 1);
            // An insertion shifts the indices of the head.
            let block = encode(&mut encoder, &head, None);
            assert_eq!(*decoder.decode(&block, LIST_BYTES_MAX).unwrap(), *head);
            if block != last {
                *changes += 1;
                last = block;
            }
        }
    }
    // One for 32 blocks; a head whose fields were pushed out may change twice.
    assert!(changes[1..].iter().all(|&n| n <= 2 * 3200 / 32), "{changes:?}");
}

#[test]
fn a_constant_extra_field_becomes_an_index() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let extra = headers(&[("grpc-timeout", "200m"), ("x-tenant", "acme")]);
    let mut block = Vec::new();
    for _ in 0..3 {
        block = encode(&mut encoder, &head, Some(&extra));
        decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    }
    assert_eq!(block.len(), head.len() + 2);
}

#[test]
fn a_secret_never_enters_a_table() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let before = encoder.table_len();
    let mut extra = Headers::new();
    extra.push_sensitive("authorization", "Bearer hunter2");
    extra.push_sensitive("x-key", "hunter3");
    // Not even one that is in a table already.
    extra.push_sensitive("te", "trailers");
    let mut blocks = Vec::new();
    for _ in 0..5 {
        let block = encode(&mut encoder, &head, Some(&extra));
        let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
        let secrets: Vec<_> = decoded.fields().filter(|field| field.sensitive).collect();
        assert_eq!(secrets, extra.fields().collect::<Vec<_>>());
        blocks.push(block);
    }
    assert_eq!((encoder.table_len(), decoder.table_len()), (before, before));
    assert!(blocks.iter().all(|block| *block == blocks[0]));
    let tail = &blocks[0][head.len()..];
    assert_eq!(tail[..2], [0x1f, 23 - 15]);
}

#[test]
fn a_head_is_known_by_its_address_and_held() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, _) = settled(&head);
    assert_eq!(Arc::strong_count(&head), 2);
    let twin = request("/orders.v1.OrdersService/Create");
    let block = encode(&mut encoder, &head, None);
    assert_eq!(encode(&mut encoder, &twin, None), block);
    encoder.trim();
    assert_eq!(Arc::strong_count(&head), 1);
    assert_eq!(encode(&mut encoder, &head, None), block);
}

#[test]
fn many_heads_in_turn_are_all_indexed() {
    let heads: Vec<_> = (0..16).map(|number| request(&format!("/orders.v1.OrdersService/Method{number}"))).collect();
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    let mut block = Vec::new();
    for round in 0..6 {
        for head in &heads {
            block = encode(&mut encoder, head, None);
            let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
            assert_eq!(decoded, *head);
            assert!(round < 4 || block.len() == 7, "round {round}: {block:x?}");
        }
    }
    assert_eq!(block.len(), 7);
}

#[test]
fn a_large_block_is_not_remembered() {
    let mut head = Headers::new();
    head.push_sensitive("token", "x".repeat(150));
    let head = Arc::new(head);
    let (encoder, mut decoder) = settled(&head);
    assert_eq!((encoder.heap_bytes(), decoder.heap_bytes()), (0, 0));
    assert_eq!(Arc::strong_count(&head), 1);
    // Nor one of few bytes that stands for many.
    let mut block = vec![0x40, 1, b'a', 0x7f, 0xe9, 0x06];
    block.extend_from_slice(&[b'b'; 1000]);
    decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    let before = decoder.heap_bytes();
    for _ in 0..4 {
        decoder.decode(&[0xbe], LIST_BYTES_MAX).unwrap();
    }
    assert_eq!(decoder.heap_bytes(), before);
}

#[test]
fn a_busy_side_holds_little_beside_its_table_and_an_idle_one_less() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = settled(&head);
    let trailers = Arc::new(headers(&[("grpc-status", "0")]));
    for _ in 0..5 {
        for head in [&head, &trailers] {
            let block = encode(&mut encoder, head, None);
            decoder.decode(&block, LIST_BYTES_MAX).unwrap();
        }
    }
    assert!(encoder.heap_bytes() < encoder.table_bytes() as usize + 400);
    assert!(decoder.heap_bytes() < decoder.table_bytes() as usize + 600);
    let before = encoder.heap_bytes() + decoder.heap_bytes();
    encoder.trim();
    decoder.trim();
    assert!(encoder.heap_bytes() + decoder.heap_bytes() < before);
    assert!(decoder.heap_bytes() <= decoder.table_bytes() as usize);
    let block = encode(&mut encoder, &head, None);
    assert_eq!(block.len(), 7);
    assert_eq!(*decoder.decode(&block, LIST_BYTES_MAX).unwrap(), *head);
}
