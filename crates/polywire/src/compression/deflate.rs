//! gzip (RFC 1952) and zlib (RFC 1950), which HTTP and gRPC call `deflate`.
//!
//! Raw deflate (RFC 1951), which some old peers send under the name `deflate`, is refused: it has no checksum, so a damaged
//! zlib header would turn a detected error into garbage that looks like a message.

use std::cell::Cell;

use bytes::Bytes;
use flate2::{Compress, Compression as Level, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Fault, output::Output, with_kept};

/// The usual level 6 costs twice as much on 64 KiB of JSON and leaves 17 % instead of 19 %; level 1 costs half as much and
/// leaves 27 %.
pub(super) const LEVEL: u32 = 2;

/// Deflate streams that a message may consist of. Each makes the decoder begin again, however few bytes it has; compressors write
/// one, and tools that join files a few.
pub(super) const STREAMS_MAX: usize = 64;

/// log2 of deflate's largest window, 32 KiB.
const WINDOW_BITS: u8 = 15;

/// A byte of deflate becomes at most 1032 (RFC 1951: 258 bytes for two bits); gzip's own word about the size is believed up
/// to this factor, which only real data that packs well exceeds.
const BELIEVED_FACTOR: usize = 64;

thread_local! {
    static GZIP: Cell<Option<Compress>> = const { Cell::new(None) };
    static ZLIB: Cell<Option<Compress>> = const { Cell::new(None) };
    static INFLATE: Cell<Option<Decompress>> = const { Cell::new(None) };
}

pub(super) fn compress_gzip(message: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    with_kept(
        &GZIP,
        || Ok(Compress::new_gzip(Level::new(LEVEL), WINDOW_BITS)),
        |encoder| deflate(encoder, message, out),
    )
}

pub(super) fn compress_zlib(message: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    with_kept(&ZLIB, || Ok(Compress::new(Level::new(LEVEL), true)), |encoder| deflate(encoder, message, out))
}

pub(super) fn decompress_gzip(compressed: &Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    with_inflate(|decoder| {
        let mut out = Output::new(gzip_expected(compressed), bytes_max);
        let mut rest: &[u8] = compressed;
        for _ in 0..STREAMS_MAX {
            rest = skip_gzip_header(rest)?;
            decoder.reset(false);
            let start = out.len();
            rest = inflate(decoder, rest, &mut out)?;
            rest = check_gzip_trailer(rest, &out.as_slice()[start..])?;
            if rest.is_empty() {
                return out.finish();
            }
            if !rest.starts_with(&GZIP_MAGIC) {
                return Err(Fault::trailing_bytes(rest.len()));
            }
        }
        Err(Fault::too_many_streams())
    })
}

pub(super) fn decompress_zlib(compressed: &Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    with_inflate(|decoder| {
        let mut out = Output::new(compressed.len().saturating_mul(4), bytes_max);
        decoder.reset(true);
        match inflate(decoder, compressed, &mut out)? {
            [] => out.finish(),
            rest => Err(Fault::trailing_bytes(rest.len())),
        }
    })
}

/// Runs `work` with this thread's decoder, which it has to reset.
pub(super) fn with_inflate<R>(work: impl FnOnce(&mut Decompress) -> Result<R, Fault>) -> Result<R, Fault> {
    with_kept(&INFLATE, || Ok(Decompress::new(false)), work)
}

fn deflate(encoder: &mut Compress, message: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    encoder.reset();
    // What does not compress grows by five bytes for each stored block and by 18 of header and trailer.
    out.reserve(message.len() / 2 + 128);
    let mut rest = message;
    loop {
        let (before, len) = (encoder.total_in(), out.len());
        let status = encoder.compress_vec(rest, out, FlushCompress::Finish).map_err(|error| error.to_string())?;
        let read = (encoder.total_in() - before) as usize;
        rest = &rest[read..];
        if status == Status::StreamEnd {
            return Ok(());
        }
        if read == 0 && out.len() == len && out.capacity() > len {
            return Err("the encoder makes no progress".into());
        }
        out.reserve(rest.len() / 2 + 1024);
    }
}

/// Appends one deflate stream to `out` and returns what follows it.
fn inflate<'a>(decoder: &mut Decompress, compressed: &'a [u8], out: &mut Output) -> Result<&'a [u8], Fault> {
    let mut rest = compressed;
    loop {
        let bytes = out.room()?;
        let (before, len) = (decoder.total_in(), bytes.len());
        let status = decoder.decompress_vec(rest, bytes, FlushDecompress::Finish).map_err(|error| {
            let reason = error.message().map_or_else(|| error.to_string(), str::to_owned);
            Fault::Malformed(reason)
        })?;
        let read = (decoder.total_in() - before) as usize;
        rest = &rest[read..];
        if status == Status::StreamEnd {
            return Ok(rest);
        }
        // With room left it can only have stopped for want of input.
        if bytes.len() < bytes.capacity() && (rest.is_empty() || (read == 0 && bytes.len() == len)) {
            return Err(Fault::truncated());
        }
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const GZIP_TRAILER_BYTES: usize = 8;

/// The bits of the header's FLG (RFC 1952 §2.3.1).
mod flag {
    pub(super) const HEADER_CRC: u8 = 1 << 1;
    pub(super) const EXTRA: u8 = 1 << 2;
    pub(super) const NAME: u8 = 1 << 3;
    pub(super) const COMMENT: u8 = 1 << 4;
    pub(super) const RESERVED: u8 = 0b1110_0000;
}

/// What follows a member's header, whose fields say nothing about the message.
fn skip_gzip_header(member: &[u8]) -> Result<&[u8], Fault> {
    let Some((&[id1, id2, method, flags, ..], mut rest)) = member.split_first_chunk::<10>() else {
        return Err(Fault::truncated());
    };
    if [id1, id2] != GZIP_MAGIC {
        return Err(Fault::malformed("it does not begin with 1f 8b"));
    }
    if method != 8 {
        return Err(Fault::malformed("its method is not deflate"));
    }
    if flags & flag::RESERVED != 0 {
        return Err(Fault::malformed("a reserved flag is set"));
    }
    if flags & flag::EXTRA != 0 {
        let (len, extra) = rest.split_first_chunk::<2>().ok_or_else(Fault::truncated)?;
        rest = extra.get(usize::from(u16::from_le_bytes(*len))..).ok_or_else(Fault::truncated)?;
    }
    for text in [flag::NAME, flag::COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0).ok_or_else(Fault::truncated)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & flag::HEADER_CRC != 0 {
        let (crc, behind) = rest.split_first_chunk::<2>().ok_or_else(Fault::truncated)?;
        let header = &member[..member.len() - rest.len()];
        if u16::from_le_bytes(*crc) != crc32(header) as u16 {
            return Err(Fault::malformed("the checksum of its header is wrong"));
        }
        rest = behind;
    }
    Ok(rest)
}

/// What follows a member's trailer, if the trailer is right about the `message` of this member.
fn check_gzip_trailer<'a>(trailer: &'a [u8], message: &[u8]) -> Result<&'a [u8], Fault> {
    let Some((&[c0, c1, c2, c3, s0, s1, s2, s3], rest)) = trailer.split_first_chunk::<GZIP_TRAILER_BYTES>() else {
        return Err(Fault::truncated());
    };
    if u32::from_le_bytes([c0, c1, c2, c3]) != crc32(message) {
        return Err(Fault::malformed("its checksum is wrong"));
    }
    if u32::from_le_bytes([s0, s1, s2, s3]) != message.len() as u32 {
        return Err(Fault::malformed("its length is wrong"));
    }
    Ok(rest)
}

/// The size that the trailer announces, as far as it is plausible.
fn gzip_expected(compressed: &[u8]) -> usize {
    let announced = compressed.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    announced.min(compressed.len().saturating_mul(BELIEVED_FACTOR))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
