//! Messages through every compression: round trips, other people's encoders, and input meant to hurt.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;

use bytes::Bytes;
use polywire::compression::{DecompressError, compress, decompress};
use polywire_core::Compression;

const PACKING: [Compression; 5] =
    [Compression::Gzip, Compression::Deflate, Compression::Zstd, Compression::Brotli, Compression::Snappy];
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn a_message_comes_back_as_it_was() {
    for compression in Compression::ALL {
        let small = [0, 1, 100, 64 * KIB].into_iter().flat_map(|size| [noise(size, 1), words(size, 1), vec![0; size]]);
        for message in small.chain([words(4 * MIB, 1)]) {
            let (compressed, size) = (compressed(compression, &message), message.len());
            let read = decompress(compression, &compressed, size);
            assert!(read == Ok(message.into()), "{compression} {size}");
        }
    }
}

#[test]
fn what_stands_in_the_output_already_stays() {
    for compression in Compression::ALL {
        let mut out = b"five.".to_vec();
        compress(compression, b"a message", &mut out).unwrap();
        assert_eq!(&out[..5], b"five.", "{compression}");
        assert_eq!(
            &decompress(compression, &out[5..].to_vec().into(), 100).unwrap()[..],
            b"a message",
            "{compression}"
        );
    }
}

/// `compression_vectors/vectors.py` and `vectors.go` made them.
#[test]
fn the_messages_of_other_encoders_are_read() {
    let vectors = include_str!("compression_vectors/vectors.txt");
    for vector in vectors.lines() {
        let fields: Vec<_> = vector.split(' ').collect();
        let [compression, encoder, message, hex] = fields[..] else { panic!("four fields: {vector}") };
        let compression = Compression::from_name(compression).unwrap();
        let message = match message {
            "empty" => Vec::new(),
            "short" => b"hello, polywire".to_vec(),
            _ => b"polywire ".repeat(5000),
        };
        let limit = message.len();
        assert_eq!(
            decompress(compression, &from_hex(hex), limit),
            Ok(message.into()),
            "{compression} by {encoder}: {hex}"
        );
    }
    assert_eq!(vectors.lines().count(), 36);
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    for compression in Compression::ALL {
        for size in [1, 511, 512, 513, 70_000] {
            for message in [noise(size, 2), words(size, 2), vec![7; size]] {
                let compressed = compressed(compression, &message);
                assert_eq!(decompress(compression, &compressed, size).unwrap().len(), size, "{compression} {size}");
                assert_eq!(
                    decompress(compression, &compressed, size - 1),
                    Err(DecompressError::TooLarge { limit: size - 1 }),
                    "{compression} {size}"
                );
            }
        }
    }
}

#[test]
fn a_limit_that_is_no_limit_does_not_overflow() {
    for compression in Compression::ALL {
        let compressed = compressed(compression, &words(1000, 3));
        assert_eq!(decompress(compression, &compressed, usize::MAX).unwrap().len(), 1000, "{compression}");
    }
}

#[test]
fn nothing_is_an_empty_message() {
    for compression in Compression::ALL {
        assert_eq!(decompress(compression, &Bytes::new(), 0), Ok(Bytes::new()), "{compression}");
    }
}

#[test]
fn truncated_messages_are_malformed() {
    for compression in PACKING {
        for message in [noise(300, 4), words(2000, 4), vec![0; 2000]] {
            let compressed = compressed(compression, &message);
            for end in 1..compressed.len() {
                match decompress(compression, &compressed.slice(..end), 10_000) {
                    Err(DecompressError::Malformed { .. }) => (),
                    // A stream of snappy chunks does not say where it ends; here that is only in front of the first.
                    Ok(nothing) if compression == Compression::Snappy => assert_eq!((end, nothing.len()), (10, 0)),
                    other => panic!("{compression} cut at {end}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn bytes_behind_a_message_are_malformed() {
    for compression in PACKING {
        for garbage in
            [&b"x"[..], b"\0", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"\x1f\x8b", b"\xff\x06\0\0sNaPp"]
        {
            let mut compressed = compressed(compression, &words(500, 5)).to_vec();
            compressed.extend_from_slice(garbage);
            let result = decompress(compression, &compressed.into(), 10_000);
            assert!(
                matches!(result, Err(DecompressError::Malformed { .. })),
                "{compression} + {garbage:?}: {result:?}"
            );
        }
    }
}

#[test]
fn damaged_messages_do_no_harm() {
    // Where there is a checksum damage is found; brotli has none and zstd need not have one.
    let checked = [Compression::Gzip, Compression::Deflate, Compression::Snappy];
    let mut random = Random(6);
    for compression in PACKING {
        for message in [noise(700, 6), words(3000, 6), vec![0; 3000]] {
            let compressed = compressed(compression, &message);
            for _ in 0..2000 {
                let mut damaged = compressed.to_vec();
                for _ in 0..=random.below(3) {
                    let at = random.below(damaged.len());
                    match random.below(4) {
                        0 => damaged[at] ^= 1 << random.below(8),
                        1 => damaged[at] = random.next() as u8,
                        2 => damaged.truncate(at.max(1)),
                        _ => damaged.insert(at, random.next() as u8),
                    }
                }
                let same = damaged == *compressed;
                match decompress(compression, &damaged.into(), 5000) {
                    Ok(read) => {
                        assert!(read.len() <= 5000);
                        let whole = read == message;
                        let cut = compression == Compression::Snappy && read.is_empty();
                        assert!(
                            whole || cut || !checked.contains(&compression),
                            "{compression}: damage went unnoticed"
                        );
                    }
                    Err(_) => assert!(!same),
                }
                // What is kept for the next message has not suffered.
                assert_eq!(decompress(compression, &compressed, 5000).unwrap(), message, "{compression}");
            }
        }
    }
}

#[test]
fn noise_is_no_message() {
    let mut random = Random(7);
    for compression in PACKING {
        for round in 0..3000 {
            let mut input = noise(1 + random.below(300), round);
            // Past the first check, sometimes.
            let start: &[u8] = match compression {
                Compression::Gzip => b"\x1f\x8b\x08",
                Compression::Deflate => b"\x78\x9c",
                Compression::Zstd => b"\x28\xb5\x2f\xfd",
                Compression::Snappy => b"\xff\x06\0\0sNaPpY",
                _ => b"",
            };
            if random.below(2) == 0 {
                input.splice(..0, start.iter().copied());
            }
            if let Ok(message) = decompress(compression, &input.into(), 5000) {
                assert!(message.len() <= 5000);
            }
        }
    }
}

#[test]
fn a_size_that_is_announced_is_not_believed() {
    // A gzip trailer that says 4 GiB, a zstd frame that says 2^62 bytes.
    let mut gzip = compressed(Compression::Gzip, b"small").to_vec();
    let end = gzip.len();
    gzip[end - 4..].fill(0xff);
    assert!(matches!(decompress(Compression::Gzip, &gzip.into(), usize::MAX), Err(DecompressError::Malformed { .. })));
    let zstd = Bytes::from_static(b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x40\x01\0\0");
    assert_eq!(decompress(Compression::Zstd, &zstd, 4 * MIB), Err(DecompressError::TooLarge { limit: 4 * MIB }));
    assert!(matches!(decompress(Compression::Zstd, &zstd, usize::MAX), Err(DecompressError::Malformed { .. })));
}

#[test]
fn gzip_of_very_many_streams_is_refused() {
    let one = compressed(Compression::Gzip, b"");
    assert_eq!(decompress(Compression::Gzip, &one.repeat(64).into(), 1000).unwrap(), "");
    let error = decompress(Compression::Gzip, &one.repeat(65).into(), 1000).unwrap_err();
    assert_eq!(error.to_string(), "malformed gzip message: it consists of too many streams");
}

#[test]
fn a_gzip_header_may_carry_fields_that_say_nothing() {
    let plain = compressed(Compression::Gzip, b"message");
    let mut named = plain[..10].to_vec();
    named[3] = 0b1_1100;
    named.extend_from_slice(b"\x03\0abcname\0comment\0");
    named.extend_from_slice(&plain[10..]);
    assert_eq!(decompress(Compression::Gzip, &named.clone().into(), 100).unwrap(), "message");
    for end in 10..named.len() {
        let cut = Bytes::copy_from_slice(&named[..end]);
        assert!(decompress(Compression::Gzip, &cut, 100).is_err(), "cut at {end}");
    }
    // The checksum of the header: the lower half of its CRC-32.
    let mut header = plain[..10].to_vec();
    header[3] = 0b10;
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    for (sum, fine) in [(crc.sum() as u16, true), (crc.sum() as u16 ^ 1, false)] {
        let mut checked = header.clone();
        checked.extend_from_slice(&sum.to_le_bytes());
        checked.extend_from_slice(&plain[10..]);
        assert_eq!(decompress(Compression::Gzip, &checked.into(), 100).is_ok(), fine);
    }
}

#[test]
fn raw_deflate_is_refused() {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&words(1000, 8)).unwrap();
    let raw = encoder.finish().unwrap();
    assert!(matches!(decompress(Compression::Deflate, &raw.into(), 10_000), Err(DecompressError::Malformed { .. })));
}

#[test]
fn a_zstd_window_beyond_8_mib_is_refused() {
    for (window_log, fine) in [(23, true), (24, false), (27, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(window_log)).unwrap();
        encoder.write_all(b"message").unwrap();
        let compressed = encoder.finish().unwrap();
        let result = decompress(Compression::Zstd, &compressed.into(), MIB);
        assert_eq!(result.is_ok(), fine, "window of 2^{window_log}: {result:?}");
    }
}

#[test]
fn a_large_zstd_window_is_no_matter_when_the_whole_message_fits() {
    let message = words(9 * MIB, 9);
    let mut encoder = zstd::bulk::Compressor::new(1).unwrap();
    encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27)).unwrap();
    let compressed = encoder.compress(&message).unwrap();
    assert_eq!(decompress(Compression::Zstd, &compressed.into(), 16 * MIB).unwrap(), message);
}

#[test]
fn brotlis_large_windows_are_refused() {
    let params = brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 30, large_window: true, ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &words(10_000, 10)[..], &mut compressed, &params).unwrap();
    let result = decompress(Compression::Brotli, &compressed.into(), MIB);
    assert!(matches!(result, Err(DecompressError::Malformed { .. })), "{result:?}");
}

#[test]
fn errors_say_what_is_wrong() {
    let error = |compression, input: &'static [u8]| {
        decompress(compression, &Bytes::from_static(input), 10).expect_err("malformed").to_string()
    };
    assert_eq!(error(Compression::Gzip, b"{\"plain\": 1}"), "malformed gzip message: it does not begin with 1f 8b");
    assert_eq!(error(Compression::Zstd, b"plain"), "malformed zstd message: it does not begin with a frame");
    assert_eq!(
        error(Compression::Snappy, b"plain"),
        "malformed snappy message: it does not begin with the stream identifier"
    );
    assert_eq!(error(Compression::Deflate, b"plain"), "malformed deflate message: incorrect header check");
    assert_eq!(error(Compression::Identity, b"plain, but long"), "message is larger than 10 bytes when decompressed");
}

fn compressed(compression: Compression, message: &[u8]) -> Bytes {
    let mut out = Vec::new();
    compress(compression, message, &mut out).unwrap();
    out.into()
}

/// Bytes that do not compress.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| random.next() as u8).collect()
}

/// Bytes that compress like text.
fn words(len: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 8] = ["order", "item", "quantity", "status", "price", "customer", "espresso", "bagel"];
    let mut random = Random(seed);
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(WORDS[random.below(8)].as_bytes());
        text.extend_from_slice(format!("={} ", random.below(1000)).as_bytes());
    }
    text.truncate(len);
    text
}

fn from_hex(hex: &str) -> Bytes {
    let digits = hex.trim_matches('-').as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}
