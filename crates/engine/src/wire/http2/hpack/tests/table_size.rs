//! Changes of the dynamic table's size (RFC 7541 §4.2 and §6.3, RFC 9113 §4.3.1).

use super::*;

#[test]
fn a_change_is_announced_once_at_the_start_of_the_next_block() {
    let head = Arc::new(headers(&[(":method", "GET")]));
    let mut encoder = Encoder::new();
    encoder.set_table_bytes_max(100);
    assert_eq!(encode(&mut encoder, &head, None), unhex("3f45 82"));
    assert_eq!(encode(&mut encoder, &head, None), unhex("82"));
    encoder.set_table_bytes_max(100);
    assert_eq!(encode(&mut encoder, &head, None), unhex("82"));
}

#[test]
fn of_several_changes_the_lowest_and_the_last_are_announced() {
    let head = Arc::new(headers(&[(":method", "GET")]));
    for (settings, expected) in [
        (&[0, 4096][..], "20 3fe11f 82"),
        (&[10, 5, 20], "25 34 82"),
        (&[20, 10, 5], "25 82"),
        (&[5, 5], "25 82"),
        (&[100_000], "82"),
        (&[5, 100_000], "25 3fe11f 82"),
    ] {
        let mut encoder = Encoder::new();
        // Remembered blocks do not swallow the announcement.
        encode(&mut encoder, &head, None);
        encode(&mut encoder, &head, None);
        for &setting in settings {
            encoder.set_table_bytes_max(setting);
        }
        assert_eq!(encode(&mut encoder, &head, None), unhex(expected));
        assert_eq!(encode(&mut encoder, &head, None), unhex("82"));
    }
}

#[test]
fn our_own_limit_holds_whatever_the_peer_allows() {
    let head = Arc::new(headers(&[(":method", "GET")]));
    let mut encoder = Encoder::with_table_limit(0);
    encoder.set_table_bytes_max(65536);
    assert_eq!(encode(&mut encoder, &head, None), unhex("20 82"));

    let mut encoder = Encoder::with_table_limit(8192);
    assert_eq!(encode(&mut encoder, &head, None), unhex("82"));
    encoder.set_table_bytes_max(65536);
    assert_eq!(encode(&mut encoder, &head, None), unhex("3fe13f 82"));
}

#[test]
fn without_a_table_everything_is_literal_and_remembered_nevertheless() {
    let head = request("/a");
    let mut encoder = Encoder::new();
    encoder.set_table_bytes_max(0);
    let mut decoder = decoder();
    decoder.set_table_bytes_max(0);
    let first = encode(&mut encoder, &head, None);
    assert_eq!(first[0], 0x20);
    assert_eq!(*decoder.decode(&first, LIST_BYTES_MAX).unwrap(), *head);
    let mut decoded = Vec::new();
    for _ in 0..4 {
        let block = encode(&mut encoder, &head, None);
        assert_eq!(block, first[1..]);
        decoded.push(decoder.decode(&block, LIST_BYTES_MAX).unwrap());
    }
    assert_eq!(encoder.table_len(), 0);
    assert_eq!(Arc::strong_count(&head), 2);
    assert!(Arc::ptr_eq(&decoded[2], &decoded[3]));
}

#[test]
fn a_smaller_table_evicts_on_both_sides() {
    let head = request("/orders.v1.OrdersService/Create");
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    for _ in 0..3 {
        let block = encode(&mut encoder, &head, None);
        decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    }
    assert_eq!(encoder.table_len(), 5);
    encoder.set_table_bytes_max(120);
    decoder.set_table_bytes_max(120);
    for _ in 0..3 {
        let block = encode(&mut encoder, &head, None);
        assert_eq!(*decoder.decode(&block, LIST_BYTES_MAX).unwrap(), *head);
        assert!(encoder.table_bytes() <= 120);
        assert_eq!(encoder.table_bytes(), decoder.table_bytes());
    }
}

#[test]
fn a_lower_limit_must_be_obeyed_with_the_next_block() {
    let fresh = || {
        let mut decoder = decoder();
        for _ in 0..3 {
            decoder.decode(&[0x82], LIST_BYTES_MAX).unwrap();
        }
        decoder
    };
    let cases: [(&[u32], &str, Result<(), DecodeError>); 9] = [
        (&[100], "82", Err(DecodeError::SizeUpdateMissing)),
        (&[100], "", Err(DecodeError::SizeUpdateMissing)),
        (&[100], "3f45 82", Ok(())),
        (&[100], "20 82", Ok(())),
        (&[100], "3f46 82", Err(DecodeError::SizeUpdateAboveLimit)),
        // Lowered and raised again: the lowest size must be told.
        (&[0, 4096], "82", Err(DecodeError::SizeUpdateMissing)),
        (&[0, 4096], "3fe11f 82", Err(DecodeError::SizeUpdateMissing)),
        (&[0, 4096], "20 3fe11f 82", Ok(())),
        // A higher limit obliges to nothing.
        (&[8192], "82", Ok(())),
    ];
    for (limits, block, expected) in cases {
        let mut decoder = fresh();
        for &limit in limits {
            decoder.set_table_bytes_max(limit);
        }
        let result = decoder.decode(&unhex(block), LIST_BYTES_MAX);
        assert_eq!(result.map(|_| ()), expected, "{limits:?} {block}");
    }
}

#[test]
fn a_higher_limit_is_used_only_after_a_size_update() {
    let mut decoder = Decoder::new(40);
    decoder.set_table_bytes_max(80);
    let insert_two = unhex("40 01 61 01 62 40 01 63 01 64");
    decoder.decode(&insert_two, LIST_BYTES_MAX).unwrap();
    assert_eq!(decoder.table_len(), 1);
    let mut block = unhex("3f31");
    block.extend_from_slice(&insert_two);
    decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!(decoder.table_len(), 2);
    assert_eq!(decoder.table_bytes(), 68);
}
