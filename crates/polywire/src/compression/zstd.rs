//! Zstandard (RFC 8878).

use std::cell::Cell;

use bytes::Bytes;
use zstd::zstd_safe::{
    self, CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, get_error_name, zstd_sys::ZSTD_EndDirective,
};

use super::{Fault, output::Output, with_kept};

/// The usual level 3 costs a quarter more on 64 KiB of JSON, takes 860 KiB for each thread instead of 500, and leaves no less.
const LEVEL: i32 = 1;

/// log2 of the largest window accepted, 8 MiB: what every decoder should support (RFC 8878 §3.1.1.1.2) and no sender on
/// the web may exceed (RFC 9659).
const WINDOW_LOG_MAX: u32 = 23;

/// A frame's own word about its size is believed up to here, or up to `BELIEVED_FACTOR` times the input.
const BELIEVED_BYTES_MAX: usize = 1 << WINDOW_LOG_MAX;

const BELIEVED_FACTOR: usize = 64;

/// A decoder that had to take more than this is not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static ENCODER: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
    static DECODER: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

pub(super) fn compress(message: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    with_kept(&ENCODER, encoder, |encoder| {
        out.reserve(zstd_safe::compress_bound(message.len()));
        let at = out.len();
        let mut output = OutBuffer::around_pos(out, at);
        let mut input = InBuffer::around(message);
        let left = encoder
            .compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_end)
            .map_err(|code| get_error_name(code).to_owned())?;
        if left == 0 { Ok(()) } else { Err("the encoder needs more room than its bound".into()) }
    })
}

pub(super) fn decompress(compressed: &Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    let expected = match zstd_safe::get_frame_content_size(compressed) {
        Ok(Some(announced)) => {
            let announced = usize::try_from(announced).unwrap_or(usize::MAX);
            if announced > bytes_max {
                return Err(Fault::TooLarge);
            }
            announced.min(compressed.len().saturating_mul(BELIEVED_FACTOR).max(BELIEVED_BYTES_MAX))
        }
        Ok(None) => compressed.len().saturating_mul(4),
        Err(_) => return Err(Fault::malformed("it does not begin with a frame")),
    };
    let mut out = Output::new(expected, bytes_max);

    let mut decoder = match DECODER.take() {
        Some(decoder) => decoder,
        None => decoder()?,
    };
    let mut input = InBuffer::around(compressed);
    loop {
        let bytes = out.room()?;
        let at = bytes.len();
        let mut output = OutBuffer::around_pos(bytes, at);
        let before = input.pos();
        // 0: a frame has come to its end. Otherwise a hint of how much it still wants.
        let wanted = decoder
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| Fault::malformed(get_error_name(code)))?;
        let has_room = output.pos() < output.capacity();
        let stuck = output.pos() == at && input.pos() == before;
        let all_read = input.pos() == compressed.len();
        if wanted == 0 && all_read {
            break;
        }
        if has_room && (all_read || stuck) {
            return Err(Fault::truncated());
        }
    }
    if decoder.sizeof() <= KEPT_BYTES_MAX {
        DECODER.set(Some(decoder));
    }
    out.finish()
}

fn encoder() -> Result<CCtx<'static>, String> {
    let mut encoder = CCtx::try_create().ok_or("out of memory")?;
    encoder.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(|code| get_error_name(code).to_owned())?;
    Ok(encoder)
}

fn decoder() -> Result<DCtx<'static>, Fault> {
    let mut decoder = DCtx::try_create().ok_or_else(|| Fault::malformed("no memory for a decoder"))?;
    decoder
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        .map_err(|code| Fault::malformed(get_error_name(code)))?;
    Ok(decoder)
}
