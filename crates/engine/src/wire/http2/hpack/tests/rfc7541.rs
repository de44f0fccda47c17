//! The examples of RFC 7541, Appendix C.

use super::*;

/// Decodes the blocks one after the other and compares each list, and the table's size and length behind it.
#[track_caller]
fn check(decoder: &mut Decoder, blocks: &[Example<'_>]) {
    for example in blocks {
        let decoded = decoder.decode(&hex(example.block), LIST_BYTES_MAX).unwrap();
        assert_eq!(*decoded, headers(example.fields));
        assert_eq!(
            (decoder.table_bytes(), decoder.table_len()),
            example.table,
            "after {decoded:?}"
        );
    }
}

struct Example<'a> {
    block: &'a str,
    fields: &'a [(&'a str, &'a str)],
    /// Bytes and fields.
    table: (u32, usize),
}

/// C.2.1
#[test]
fn a_literal_field_with_indexing() {
    check(
        &mut decoder(),
        &[Example {
            block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            fields: &[("custom-key", "custom-header")],
            table: (55, 1),
        }],
    );
}

/// C.2.2
#[test]
fn a_literal_field_without_indexing() {
    check(
        &mut decoder(),
        &[Example {
            block: "040c 2f73 616d 706c 652f 7061 7468",
            fields: &[(":path", "/sample/path")],
            table: (0, 0),
        }],
    );
}
