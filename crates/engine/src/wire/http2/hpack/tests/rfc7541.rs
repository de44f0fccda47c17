//! The examples of RFC 7541, Appendix C.

use super::*;

type Fields = &'static [(&'static str, &'static str)];

/// What a block means.
#[derive(Copy, Clone)]
struct Meaning {
    fields: Fields,
    /// The dynamic table after the block: its size and its fields, the newest first.
    table_bytes: u32,
    table: Fields,
}

/// Decodes the blocks one after the other, by a decoder with a table of this size.
#[track_caller]
fn check<const N: usize>(table_bytes_max: u32, meanings: [Meaning; N], blocks: [&str; N]) {
    let mut decoder = Decoder::new(table_bytes_max);
    for (meaning, block) in meanings.into_iter().zip(blocks) {
        let decoded = decoder.decode(&unhex(block), LIST_BYTES_MAX).unwrap();
        assert_eq!(*decoded, headers(meaning.fields));
        assert_eq!(decoder.table_bytes(), meaning.table_bytes, "{decoded:?}");
        // The table shows itself if asked for all its indices.
        let indices: Vec<u8> = (0..decoder.table_len()).map(|age| 0x80 | (62 + age as u8)).collect();
        let table = decoder.decode(&indices, LIST_BYTES_MAX).unwrap();
        assert_eq!(*table, headers(meaning.table));
    }
}

#[test]
fn c_2_1_a_literal_field_with_indexing() {
    check(
        TABLE_BYTES_DEFAULT,
        [Meaning {
            fields: &[("custom-key", "custom-header")],
            table_bytes: 55,
            table: &[("custom-key", "custom-header")],
        }],
        ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"],
    );
}

#[test]
fn c_2_2_a_literal_field_without_indexing() {
    check(
        TABLE_BYTES_DEFAULT,
        [Meaning { fields: &[(":path", "/sample/path")], table_bytes: 0, table: &[] }],
        ["040c 2f73 616d 706c 652f 7061 7468"],
    );
}

#[test]
fn c_2_3_a_literal_field_never_indexed() {
    let block = unhex("1008 7061 7373 776f 7264 0673 6563 7265 74");
    let mut decoder = decoder();
    let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
    let mut expected = Headers::new();
    expected.push_sensitive("password", "secret");
    assert_eq!(*decoded, expected);
    assert_ne!(*decoded, headers(&[("password", "secret")]));
    assert_eq!(decoder.table_len(), 0);
    // Our encoder writes it the same way.
    assert_eq!(encode(&mut Encoder::new(), &decoded, None), block);
}

#[test]
fn c_2_4_an_indexed_field() {
    check(TABLE_BYTES_DEFAULT, [Meaning { fields: &[(":method", "GET")], table_bytes: 0, table: &[] }], ["82"]);
}

/// C.3 and C.4: the same requests without and with Huffman code.
const REQUESTS: [Meaning; 3] = [
    Meaning {
        fields: &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
        table_bytes: 57,
        table: &[(":authority", "www.example.com")],
    },
    Meaning {
        fields: &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
            ("cache-control", "no-cache"),
        ],
        table_bytes: 110,
        table: &[("cache-control", "no-cache"), (":authority", "www.example.com")],
    },
    Meaning {
        fields: &[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ],
        table_bytes: 164,
        table: &[("custom-key", "custom-value"), ("cache-control", "no-cache"), (":authority", "www.example.com")],
    },
];

/// C.5 and C.6: the same responses, in a table of 256 bytes.
const RESPONSES: [Meaning; 3] = [
    Meaning {
        fields: &[
            (":status", "302"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ],
        table_bytes: 222,
        table: &[
            ("location", "https://www.example.com"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("cache-control", "private"),
            (":status", "302"),
        ],
    },
    Meaning {
        fields: &[
            (":status", "307"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ],
        table_bytes: 222,
        table: &[
            (":status", "307"),
            ("location", "https://www.example.com"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("cache-control", "private"),
        ],
    },
    Meaning {
        fields: &[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ("location", "https://www.example.com"),
            ("content-encoding", "gzip"),
            ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
        ],
        table_bytes: 215,
        table: &[
            ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
            ("content-encoding", "gzip"),
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ],
    },
];

#[test]
fn c_3_requests_without_huffman_code() {
    check(
        TABLE_BYTES_DEFAULT,
        REQUESTS,
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
    );
}

#[test]
fn c_4_requests_with_huffman_code() {
    check(
        TABLE_BYTES_DEFAULT,
        REQUESTS,
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    );
}

/// Our encoder inserts a field when it sees it again; then it writes what the standard's example does.
#[test]
fn c_4_requests_as_our_encoder_writes_them() {
    let mut encoder = Encoder::new();
    let requests = REQUESTS.map(|meaning| Arc::new(headers(meaning.fields)));
    encode(&mut encoder, &requests[0], None);
    let mut blocks = vec![encode(&mut encoder, &requests[0], None)];
    for request in &requests[1..] {
        encode(&mut encoder, request, None);
        blocks.push(encode(&mut encoder, request, None));
    }
    assert_eq!(
        blocks,
        [
            unhex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"),
            unhex("8286 84be 5886 a8eb 1064 9cbf"),
            unhex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"),
        ]
    );
    assert_eq!(encoder.table_bytes(), 164);
}

#[test]
fn c_5_responses_without_huffman_code() {
    check(
        256,
        RESPONSES,
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
             2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
             6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
             54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
             5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
             3d31",
        ],
    );
}

#[test]
fn c_6_responses_with_huffman_code() {
    check(
        256,
        RESPONSES,
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
             2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
             77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
             9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    );
}
