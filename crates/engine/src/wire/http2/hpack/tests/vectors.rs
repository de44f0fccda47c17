//! Blocks of another implementation, and ours as another implementation read them.
//!
//! `tests/hpack/vectors.py` in this crate explains the files and writes them anew.

use super::*;

const THEIRS: &str = include_str!("../../../../../tests/hpack/theirs.txt");
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hpack/ours.txt");

enum Line {
    Story(String),
    Limit(u32),
    Block(Vec<u8>, Arc<Headers>),
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut rest = THEIRS.lines().skip(1).peekable();
    while let Some(line) = rest.next() {
        let (kind, text) = line.split_once(' ').unwrap();
        lines.push(match kind {
            "story" => Line::Story(text.to_owned()),
            "limit" => Line::Limit(text.parse().unwrap()),
            "block" => {
                let mut fields = Headers::new();
                while let Some(field) = rest.next_if(|line| line.starts_with('-') || line.starts_with('!')) {
                    // A pseudo header's name begins with a colon, but none has a colon and a space inside.
                    let (name, value) = field[2..].split_once(": ").unwrap();
                    if field.starts_with('!') {
                        fields.push_sensitive(unescape(name), unescape(value));
                    } else {
                        fields.push(unescape(name), unescape(value));
                    }
                }
                Line::Block(unhex(text), Arc::new(fields))
            }
            other => panic!("a line begins with {other}"),
        });
    }
    lines
}

#[test]
fn our_decoder_reads_their_vectors() {
    let mut decoder = decoder();
    let mut blocks = 0;
    for line in lines() {
        match line {
            Line::Story(_) => decoder = super::decoder(),
            Line::Limit(limit) => decoder.set_table_bytes_max(limit),
            Line::Block(block, fields) => {
                let decoded = decoder.decode(&block, u32::MAX).unwrap();
                assert_eq!(decoded, fields);
                blocks += 1;
            }
        }
    }
    assert!(blocks > 60, "{blocks}");
}

#[test]
fn our_encoder_writes_the_vectors_they_read() {
    let mut encoder = Encoder::new();
    let mut ours = String::from("# Written by our encoder for vectors.py, which explains it.\n");
    for line in lines() {
        match line {
            Line::Story(name) => {
                encoder = Encoder::new();
                ours += &format!("story {name}\n");
            }
            Line::Limit(limit) => encoder.set_table_bytes_max(limit),
            Line::Block(_, fields) => {
                let block = encode(&mut encoder, &fields, None);
                ours += &format!("block {}\n", hex(&block));
            }
        }
    }
    if std::env::var_os("HPACK_VECTORS").is_some_and(|word| word == "write") {
        std::fs::write(OURS, &ours).unwrap();
    }
    assert_eq!(std::fs::read_to_string(OURS).unwrap(), ours);
}

/// The inverse of `escape_ascii`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b't' => b'\t',
                b'n' => b'\n',
                b'r' => b'\r',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    unhex(str::from_utf8(&digits).unwrap())[0]
                }
                other => other,
            },
            byte => byte,
        });
    }
    bytes
}
