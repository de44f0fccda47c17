//! Blocks that break a rule, and blocks that mean harm.

use super::*;

/// Decodes a block in a table that holds `custom-key: custom-header` at index 62.
fn decode(block: &[u8]) -> Result<Arc<Headers>, DecodeError> {
    let mut decoder = decoder();
    let insert = unhex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572");
    decoder.decode(&insert, LIST_BYTES_MAX).unwrap();
    decoder.decode(block, LIST_BYTES_MAX)
}

#[test]
fn a_broken_block_is_an_error_that_says_what_is_broken() {
    use DecodeError::*;
    let cases = [
        ("80", IndexOutOfRange, "index 0"),
        ("bf", IndexOutOfRange, "one above the dynamic table"),
        ("ff 80 01", IndexOutOfRange, "far above"),
        ("7f 00 00", IndexOutOfRange, "a name's index above"),
        ("0f 30 00", IndexOutOfRange, "a plain literal's too"),
        ("1f 30 00", IndexOutOfRange, "a never indexed literal's too"),
        ("ff", Truncated, "an index without its end"),
        ("ff 80", Truncated, "the same"),
        ("ff 80 80 80 80 10", IntegerTooLarge, "2^32 and more"),
        ("ff ff ff ff ff 0f", IntegerTooLarge, "2^32 by the prefix"),
        ("ff 80 80 80 80 80 00", IntegerTooLarge, "too many bytes"),
        ("ff ff ff ff ff ff ff ff ff ff ff 01", IntegerTooLarge, ""),
        ("00 7f ff ff ff ff 7f", IntegerTooLarge, "as a length"),
        ("3f ff ff ff ff 7f", IntegerTooLarge, "as a size"),
        ("40", Truncated, "no name"),
        ("00 01", Truncated, "a name shorter than it says"),
        ("00 01 61", Truncated, "no value"),
        ("00 01 61 02 62", Truncated, "a value shorter than it says"),
        ("00 01 61 82 62", Truncated, "a coded value too"),
        ("00 ff ff ff ff 07 61", Truncated, "the same"),
        ("00 7f 80 80 80 80 07 61", Truncated, "a length near 2^31"),
        ("04", Truncated, "no value behind an indexed name"),
        // Huffman code: `a` is 00011, `0` is 00000.
        ("04 81 18", HuffmanPadding, "padding 000"),
        ("04 81 1e", HuffmanPadding, "padding 110"),
        ("04 82 1f ff", HuffmanPadding, "eleven bits of padding"),
        ("04 81 ff", HuffmanPadding, "eight bits of padding"),
        ("04 81 fe", HuffmanPadding, "the start of a long code"),
        ("04 82 ff c0", HuffmanPadding, "three bits short of `[` or `\\0`"),
        ("04 84 ff ff ff ff", HuffmanEndOfString, "EOS and padding"),
        ("04 84 ff ff ff fc", HuffmanEndOfString, "EOS, bad padding"),
        ("04 8a 1f ff ff ff ff 00 00 00 00 00", HuffmanEndOfString, ""),
        ("04 83 ff ff ff", HuffmanPadding, "a piece of EOS"),
        ("82 20", SizeUpdateMisplaced, "behind a field"),
        ("20 82 20", SizeUpdateMisplaced, "behind a field too"),
        ("20 20 20", SizeUpdateRepeated, "three of them"),
        ("3f e2 1f", SizeUpdateAboveLimit, "4097 bytes"),
        ("20 3f e2 1f", SizeUpdateAboveLimit, "in the second one"),
        ("20 be", IndexOutOfRange, "a field the update evicted"),
    ];
    for (block, error, what) in cases {
        let result = decode(&unhex(block));
        assert_eq!(result, Err(error), "{block}: {what}");
        assert!(error.is_fatal());
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn the_largest_allowed_numbers_are_no_error() {
    // 2^32 - 1 as an index is out of range, not too large to read.
    let block = unhex("ff 80 ff ff ff 0f");
    assert_eq!(decode(&block), Err(DecodeError::IndexOutOfRange));
    // Two updates, the second up to the limit.
    let block = unhex("20 3f e1 1f 82");
    assert_eq!(*decode(&block).unwrap(), headers(&[(":method", "GET")]));
    // Zeros that add nothing: the value's length of 127 could be written shorter.
    let mut block = unhex("04 7f 80 80 80 00");
    block.extend_from_slice(&[b'a'; 127]);
    assert_eq!(decode(&block).unwrap().size(), 5 + 127 + 32);
    // Padding of three ones.
    let block = unhex("04 81 1f be");
    let expected = headers(&[(":path", "a"), ("custom-key", "custom-header")]);
    assert_eq!(*decode(&block).unwrap(), expected);
}

#[test]
fn an_empty_block_is_an_empty_list() {
    assert!(decode(&[]).unwrap().is_empty());
    assert!(decode(&unhex("20")).unwrap().is_empty());
    let block = unhex("00 00 00 40 80 80");
    assert_eq!(*decode(&block).unwrap(), headers(&[("", ""), ("", "")]));
}

#[test]
fn a_field_larger_than_the_table_empties_it() {
    let mut decoder = decoder();
    let mut block = vec![0x40, 1, b'a', 1, b'b'];
    decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!(decoder.table_len(), 1);
    // A name of one byte and a value of 4096 - 32 bytes are one byte too many.
    block = vec![0x40, 1, b'a', 0x7f, 0xe1, 0x1e];
    block.extend_from_slice(&[b'b'; 4096 - 32]);
    let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!(decoded.size(), 4097);
    assert_eq!((decoder.table_len(), decoder.table_bytes()), (0, 0));
    assert_eq!(decoder.decode(&[0xbe], LIST_BYTES_MAX), Err(DecodeError::IndexOutOfRange));
}

#[test]
fn a_field_may_take_its_name_from_the_field_it_evicts() {
    let mut decoder = Decoder::new(64);
    let block = unhex("40 03 61 62 63 03 64 65 66");
    decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    let block = unhex("7e 04 67 68 69 6a be");
    let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    assert_eq!(*decoded, headers(&[("abc", "ghij"), ("abc", "ghij")]));
    assert_eq!((decoder.table_len(), decoder.table_bytes()), (1, 39));
}

#[test]
fn a_list_may_be_as_large_as_allowed_and_no_larger() {
    let mut decoder = decoder();
    let block = unhex("82 86 00 01 61 01 62");
    let size = decoder.decode(&block, u32::MAX).unwrap().size() as u32;
    assert_eq!(size, 42 + 43 + 34);
    assert!(decoder.decode(&block, size).is_ok());
    for _ in 0..4 {
        // Also when the block is remembered.
        assert_eq!(decoder.decode(&block, size - 1), Err(DecodeError::TooLarge));
        assert!(decoder.decode(&block, size).is_ok());
    }
    assert_eq!(decoder.decode(&block, 0), Err(DecodeError::TooLarge));
    assert!(decoder.decode(&[], 0).is_ok());
}

#[test]
fn after_a_list_too_large_the_table_is_in_step() {
    let mut decoder = decoder();
    // Three fields are inserted before, at and behind the limit; the last is an index.
    let block = unhex("40 01 61 01 62  40 01 63 01 64  40 01 65 01 66  be");
    assert_eq!(decoder.decode(&block, 50), Err(DecodeError::TooLarge));
    assert!(!DecodeError::TooLarge.is_fatal());
    let decoded = decoder.decode(&unhex("be bf c0"), LIST_BYTES_MAX).unwrap();
    assert_eq!(*decoded, headers(&[("e", "f"), ("c", "d"), ("a", "b")]));
    // An error behind the limit is still found.
    assert_eq!(decoder.decode(&unhex("be bf c0 c1"), 50), Err(DecodeError::IndexOutOfRange));
}

/// 16 KiB of indices that stand for 64 MiB.
#[test]
fn a_bomb_of_indices_stops_early() {
    let mut decoder = decoder();
    let mut block = vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
    block.extend_from_slice(&[b'b'; 4000]);
    block.extend_from_slice(&[0xbe; 16 * 1024]);
    // If all was followed, the error at the end would be found.
    block.push(0x80);
    assert_eq!(decoder.decode(&block, LIST_BYTES_MAX), Err(DecodeError::WorkTooLarge));
    assert!(DecodeError::WorkTooLarge.is_fatal());
}

/// The same with insertions: two bytes copy a name of four thousand.
#[test]
fn a_bomb_of_names_stops_early() {
    let mut decoder = decoder();
    let mut block = vec![0x40, 0x7f, 0xa1, 0x1e];
    block.extend_from_slice(&[b'a'; 4000]);
    block.push(0);
    block.extend_from_slice(&[0x7e, 0x00].repeat(8 * 1024));
    block.push(0x80);
    assert_eq!(decoder.decode(&block, LIST_BYTES_MAX), Err(DecodeError::WorkTooLarge));
}

/// A list somewhat too large costs the message, one far too large the connection.
#[test]
fn the_work_beyond_the_limit_is_four_times_the_limit() {
    let mut decoder = decoder();
    let mut field = vec![0x00, 1, b'a', 0x7f, 0xe0, 0x06];
    field.extend_from_slice(&[b'b'; 992 - 1]);
    // 1024 bytes each.
    for (fields, expected) in [
        (32, None),
        (33, Some(DecodeError::TooLarge)),
        (128, Some(DecodeError::TooLarge)),
        (129, Some(DecodeError::WorkTooLarge)),
    ] {
        let mut block = field.repeat(fields);
        let result = decoder.decode(&block, 32 * 1024);
        assert_eq!(result.err(), expected, "{fields} fields");
        block.pop();
        assert!(decoder.decode(&block, 32 * 1024).is_err());
    }
}

#[test]
fn no_bytes_make_the_decoder_panic() {
    let mut random = Random(1);
    for _ in 0..4_000 {
        let mut decoder = Decoder::new(random.below(300) as u32);
        for _ in 0..4 {
            let len = random.below(40);
            let block = random.bytes(len);
            let result = decoder.decode(&block, 200);
            assert!(result.is_err() || result.is_ok_and(|headers| headers.size() <= 200));
        }
    }
}

#[test]
fn no_change_of_a_good_block_makes_the_decoder_panic() {
    let mut random = Random(2);
    for _ in 0..1_000 {
        let (mut encoder, mut decoder) = (Encoder::new(), decoder());
        let head = request("/orders.v1.OrdersService/Create");
        for _ in 0..3 {
            let mut block = encode(&mut encoder, &head, None);
            let place = random.below(block.len());
            match random.below(4) {
                0 => block[place] ^= 1 << random.below(8),
                1 => block[place] = random.next() as u8,
                2 => block.truncate(place),
                _ => block.insert(place, random.next() as u8),
            }
            if decoder.decode(&block, LIST_BYTES_MAX).is_err() {
                break;
            }
            assert!(decoder.table_bytes() <= TABLE_BYTES_DEFAULT);
        }
    }
}
