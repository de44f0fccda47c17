//! Snappy in its framed format: chunks of at most 64 KiB, each with a CRC-32C.

use std::{
    cell::Cell,
    io::{Cursor, ErrorKind, Read, Write},
    mem,
};

use bytes::Bytes;
use snap::{read::FrameDecoder, write::FrameEncoder};

use super::{Fault, output::Output, with_kept};

/// The chunk every stream begins with.
const STREAM_IDENTIFIER: [u8; 10] = *b"\xff\x06\x00\x00sNaPpY";

thread_local! {
    static ENCODER: Cell<Option<FrameEncoder<Vec<u8>>>> = const { Cell::new(None) };
    static DECODER: Cell<Option<FrameDecoder<Cursor<Bytes>>>> = const { Cell::new(None) };
}

pub(super) fn compress(message: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    with_kept(&ENCODER, encoder, |encoder| {
        out.reserve(STREAM_IDENTIFIER.len() + message.len() / 2 + 32);
        out.extend_from_slice(&STREAM_IDENTIFIER);
        mem::swap(encoder.get_mut(), out);
        let result = encoder.write_all(message).and_then(|()| encoder.flush());
        mem::swap(encoder.get_mut(), out);
        result.map_err(|error| error.to_string())
    })
}

pub(super) fn decompress(compressed: &Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    // A decoder that is used again would not ask for it.
    if !compressed.starts_with(&STREAM_IDENTIFIER) {
        return Err(Fault::malformed("it does not begin with the stream identifier"));
    }
    with_kept(
        &DECODER,
        || Ok(FrameDecoder::new(Cursor::default())),
        |decoder| {
            let mut out = Output::new(compressed.len().saturating_mul(2), bytes_max);
            *decoder.get_mut() = Cursor::new(compressed.clone());
            loop {
                let result = out.fill(|room| match decoder.read(room) {
                    Ok(read) => (read, Ok(read)),
                    Err(error) => (0, Err(error)),
                })?;
                match result {
                    Ok(0) => break,
                    Ok(_) => (),
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(Fault::truncated()),
                    Err(error) => return Err(Fault::malformed(error)),
                }
            }
            *decoder.get_mut() = Cursor::default();
            out.finish()
        },
    )
}

/// An encoder that has written its stream identifier: it would do that only once, and each message needs one.
fn encoder() -> Result<FrameEncoder<Vec<u8>>, String> {
    let mut encoder = FrameEncoder::new(Vec::new());
    encoder.write_all(b"-").and_then(|()| encoder.flush()).map_err(|error| error.to_string())?;
    *encoder.get_mut() = Vec::new();
    Ok(encoder)
}
