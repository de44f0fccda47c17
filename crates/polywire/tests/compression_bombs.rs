//! Small messages that would become very large ones. A process of its own, because its memory is measured.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::{self, Write},
};

use bytes::Bytes;
use polywire::compression::{DecompressError, decompress};
use polywire_core::Compression;

const MIB: usize = 1 << 20;
const BOMB_BYTES: usize = 64 * MIB;

#[test]
fn a_bomb_stops_at_the_limit_and_takes_no_more_memory_than_that() {
    for (name, compression, bomb) in bombs() {
        for limit in [0, 1, 1000, 64 * 1024, MIB, 4 * MIB] {
            forget_peak();
            let before = peak_bytes();
            assert_eq!(
                decompress(compression, &bomb, limit),
                Err(DecompressError::TooLarge { limit }),
                "{name} {limit}"
            );
            if let (Some(before), Some(after)) = (before, peak_bytes()) {
                // The output may be twice there while it grows, and a decoder has a window; pages are counted late.
                let allowed = 3 * limit + 2 * MIB;
                let taken = after.saturating_sub(before);
                assert!(taken <= allowed, "{name}: {taken} bytes for a limit of {limit}");
            }
        }
    }
}

fn bombs() -> Vec<(&'static str, Compression, Bytes)> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    // Without the size in front, so that only decompressing tells.
    let zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let sized_zstd = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.set_pledged_src_size(Some(BOMB_BYTES as u64)).unwrap();
        encoder
    };
    let snappy = snap::write::FrameEncoder::new(Vec::new());
    let mut small_brotli = Vec::new();
    let mut brotli = brotli::CompressorWriter::new(&mut small_brotli, 4096, 2, 16);
    write_zeros(&mut brotli).unwrap();
    drop(brotli);
    let mut large_brotli = Vec::new();
    let mut brotli = brotli::CompressorWriter::new(&mut large_brotli, 4096, 2, 24);
    write_zeros(&mut brotli).unwrap();
    drop(brotli);
    vec![
        ("gzip", Compression::Gzip, write_zeros(gzip).unwrap().finish().unwrap().into()),
        ("deflate", Compression::Deflate, write_zeros(zlib).unwrap().finish().unwrap().into()),
        ("zstd", Compression::Zstd, write_zeros(zstd).unwrap().finish().unwrap().into()),
        ("zstd with its size", Compression::Zstd, write_zeros(sized_zstd).unwrap().finish().unwrap().into()),
        ("snappy", Compression::Snappy, write_zeros(snappy).unwrap().into_inner().unwrap().into()),
        ("brotli, window of 64 KiB", Compression::Brotli, small_brotli.into()),
        ("brotli, window of 16 MiB", Compression::Brotli, large_brotli.into()),
    ]
}

fn write_zeros<W: Write>(mut writer: W) -> io::Result<W> {
    let zeros = [0; 64 * 1024];
    for _ in 0..BOMB_BYTES / zeros.len() {
        writer.write_all(&zeros)?;
    }
    writer.flush()?;
    Ok(writer)
}

/// Most memory this process has had since `forget_peak` (Linux only).
fn peak_bytes() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kib| kib * 1024)
}

fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}
