//! Messages of a WebSocket (RFC 7692 §7.2): raw deflate (RFC 1951) that is flushed where the message ends, and not ended.

use std::cell::Cell;

use bytes::Bytes;
use flate2::{Compress, Compression as Level, FlushCompress, FlushDecompress, Status};
use polywire_engine::wire::websocket::{MessageCompression, MessageFault};

use super::{
    Fault,
    deflate::{LEVEL, STREAMS_MAX, with_inflate},
    output::Output,
};

/// Compresses single messages of a WebSocket, for the engine. It has no state of its own: the memory of encoders and decoders
/// is each thread's, not a connection's.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebSocketDeflate;

impl MessageCompression for WebSocketDeflate {
    fn compress(&self, parts: &[&[u8]], window_bits: u8, out: &mut Vec<u8>) -> bool {
        let kept = DEFLATE.take().filter(|(bits, _)| *bits == window_bits).map(|(_, encoder)| encoder);
        let mut encoder = kept.unwrap_or_else(|| Compress::new_with_window_bits(Level::new(LEVEL), false, window_bits));
        let result = compress(&mut encoder, parts, out);
        // After a failure its state is not to be trusted.
        if result.is_ok() {
            DEFLATE.set(Some((window_bits, encoder)));
        }
        result.is_ok()
    }

    fn decompress(&self, compressed: &[u8], bytes_max: usize) -> Result<Bytes, MessageFault> {
        decompress(compressed, bytes_max).map_err(|fault| match fault {
            Fault::Malformed(_) => MessageFault::Malformed,
            Fault::TooLarge => MessageFault::TooLong,
        })
    }
}

thread_local! {
    /// With the window that it was made for: nearly always the largest, as browsers ask for none.
    static DEFLATE: Cell<Option<(u8, Compress)>> = const { Cell::new(None) };
}

/// What every flush ends with, and what is left out where a message ends: the length of an empty stored block.
const FLUSH: [u8; 4] = [0, 0, 0xff, 0xff];

/// What is put back, and then an empty last block: only behind a message that is whole is this read as what it is.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

fn compress(encoder: &mut Compress, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), String> {
    encoder.reset();
    let start = out.len();
    // What does not compress grows by five bytes for each stored block, and a flush is as long.
    out.reserve(parts.iter().map(|part| part.len()).sum::<usize>() / 2 + 128);
    for (i, part) in parts.iter().enumerate() {
        let flush = if i + 1 == parts.len() { FlushCompress::Sync } else { FlushCompress::None };
        let mut rest = *part;
        loop {
            let before = encoder.total_in();
            encoder.compress_vec(rest, out, flush).map_err(|error| error.to_string())?;
            rest = &rest[(encoder.total_in() - before) as usize..];
            // With room left it has done all there was to do.
            if out.len() < out.capacity() {
                break;
            }
            // A flush that gets a few bytes at a time would begin again each time.
            out.reserve(rest.len() / 2 + 1024);
        }
    }
    if !out[start..].ends_with(&FLUSH) {
        return Err("the encoder did not flush".into());
    }
    out.truncate(out.len() - FLUSH.len());
    Ok(())
}

fn decompress(compressed: &[u8], bytes_max: usize) -> Result<Bytes, Fault> {
    if compressed.is_empty() {
        // Not as the standard writes an empty message, but nothing else can be meant.
        return Ok(Bytes::new());
    }
    with_inflate(|decoder| {
        let mut out = Output::new(compressed.len().saturating_mul(4), bytes_max);
        decoder.reset(false);
        let (mut ended, mut streams) = (false, 0);
        for mut rest in [compressed, &END] {
            loop {
                let bytes = out.room()?;
                let (before, len) = (decoder.total_in(), bytes.len());
                let status = decoder.decompress_vec(rest, bytes, FlushDecompress::None).map_err(Fault::malformed)?;
                let read = (decoder.total_in() - before) as usize;
                rest = &rest[read..];
                ended = status == Status::StreamEnd;
                if ended {
                    // §7.2.3.4: a block that says it is the last may stand anywhere.
                    streams += 1;
                    if streams > STREAMS_MAX {
                        return Err(Fault::too_many_streams());
                    }
                    decoder.reset(false);
                } else if bytes.len() < bytes.capacity() && !rest.is_empty() && read == 0 && bytes.len() == len {
                    return Err(Fault::malformed("it makes no progress"));
                }
                let has_room = bytes.len() < bytes.capacity();
                if rest.is_empty() && (ended || has_room) {
                    break;
                }
            }
        }
        if ended { out.finish() } else { Err(Fault::truncated()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn compressed(parts: &[&[u8]], window_bits: u8) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(WebSocketDeflate.compress(parts, window_bits, &mut out));
        out
    }

    fn text(repeats: u32) -> Vec<u8> {
        (0..repeats)
            .flat_map(|i| format!("{{\"id\":{i},\"name\":\"{:x}\"}},", i.wrapping_mul(0x9e37_79b9)).into_bytes())
            .collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // §7.2.3.1, .3, .4 and .5
        for example in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(WebSocketDeflate.decompress(example, LIMIT).unwrap(), "Hello", "{example:x?}");
        }
        // An empty message: §7.2.3.6, and without any byte.
        assert_eq!(WebSocketDeflate.decompress(&[0], LIMIT).unwrap(), "");
        assert_eq!(WebSocketDeflate.decompress(&[], LIMIT).unwrap(), "");
    }

    #[test]
    fn what_is_compressed_comes_back_whatever_it_is_and_however_it_lies() {
        let random: Vec<u8> = (0..30_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for message in [&b""[..], b"a", &text(10), &text(1_000), &random, &vec![0; 200_000]] {
            for window_bits in 9..=15 {
                let whole = compressed(&[message], window_bits);
                assert_eq!(WebSocketDeflate.decompress(&whole, LIMIT).unwrap(), message);
                let chunks: Vec<&[u8]> = message.chunks(1_000).chain([&b""[..]]).collect();
                assert_eq!(WebSocketDeflate.decompress(&compressed(&chunks, window_bits), LIMIT).unwrap(), message);
            }
        }
        assert!(compressed(&[&text(1_000)], 15).len() < text(1_000).len() / 2);
    }

    #[test]
    fn nothing_refers_back_further_than_agreed() {
        // The same 1,000 bytes again and again: a window of 1 KiB sees them, one of 512 bytes does not.
        let noise: Vec<u8> = (0..700_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let message = noise.repeat(20);
        for window_bits in 9..=15 {
            let mut stream = compressed(&[&message], window_bits);
            stream.extend(END);
            let mut decoder = flate2::Decompress::new_with_window_bits(false, window_bits);
            // In small pieces, so that what is out of the window is really gone.
            let (mut out, mut at) = (Vec::<u8>::new(), 0);
            loop {
                let mut piece = [0; 64];
                let (read, written) = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(&stream[at..], &mut piece, FlushDecompress::None).unwrap();
                at += (decoder.total_in() - read) as usize;
                out.extend(&piece[..(decoder.total_out() - written) as usize]);
                if status == Status::StreamEnd {
                    break;
                }
            }
            assert_eq!(out, message, "{window_bits}");
            assert_eq!(stream.len() < message.len() / 2, window_bits >= 10, "{window_bits}: {}", stream.len());
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_no_message() {
        let whole = compressed(&[&text(100)], 15);
        for end in 1..whole.len() {
            assert_eq!(WebSocketDeflate.decompress(&whole[..end], LIMIT), Err(MessageFault::Malformed), "{end}");
        }
        let longer = [&whole[..], &[0xff]].concat();
        assert_eq!(WebSocketDeflate.decompress(&longer, LIMIT), Err(MessageFault::Malformed));
        // §7.2.3.4: behind a last block there has to be an empty one.
        let unflushed = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(WebSocketDeflate.decompress(&unflushed, LIMIT), Err(MessageFault::Malformed));
        // After a failure the next message is read as if nothing had been.
        assert_eq!(WebSocketDeflate.decompress(&whole, LIMIT).unwrap(), text(100));
    }

    #[test]
    fn a_message_of_nothing_but_ends_is_refused_before_it_costs_anything() {
        let many = [0x03, 0x00].repeat(STREAMS_MAX + 1);
        assert_eq!(WebSocketDeflate.decompress(&many, LIMIT), Err(MessageFault::Malformed));
        let few = [&[0x03, 0x00].repeat(STREAMS_MAX - 1)[..], &[0]].concat();
        assert_eq!(WebSocketDeflate.decompress(&few, LIMIT).unwrap(), "");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = compressed(&[&vec![0; 2 << 20]], 15);
        assert!(bomb.len() < 3_000, "{}", bomb.len());
        for limit in [0, 1, 1_000, LIMIT, (2 << 20) - 1] {
            assert_eq!(WebSocketDeflate.decompress(&bomb, limit), Err(MessageFault::TooLong), "{limit}");
        }
        assert_eq!(WebSocketDeflate.decompress(&bomb, 2 << 20).unwrap().len(), 2 << 20);
    }
}
