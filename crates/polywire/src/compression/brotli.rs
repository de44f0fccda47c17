//! Brotli (RFC 7932), without the "large window" extension.

use brotli::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, SliceWrapper, SliceWrapperMut,
    enc::{
        StandardAlloc,
        encode::{
            BrotliEncoderDestroyInstance, BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct,
        },
    },
};
use bytes::Bytes;

use super::{Fault, output::Output};

/// Of 0 to 11. On 64 KiB of JSON 4 costs 40 % more for nothing, 6 four times as much; on 1 KiB the step from 4 to 5 is one
/// from 35 µs to 640 µs, because larger tables are cleared for each message.
const QUALITY: u32 = 3;

/// log2 of the window: as large as the message, between the least the format knows and 4 MiB.
const WINDOW_LOG_MIN: u32 = 10;
const WINDOW_LOG_MAX: u32 = 22;

pub(super) fn compress(message: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut encoder = BrotliEncoderStateStruct::new(StandardAlloc::default());
    let window_log = (usize::BITS - message.len().leading_zeros()).clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX);
    encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, QUALITY);
    encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window_log);
    encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, u32::try_from(message.len()).unwrap_or(0));

    let (mut left, mut at) = (message.len(), 0);
    let mut room = message.len() / 2 + 128;
    let result = loop {
        let len = out.len();
        out.resize(len + room, 0);
        let mut written = 0;
        let (before, mut space) = (left, room);
        let fine = encoder.compress_stream(
            BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
            &mut left,
            message,
            &mut at,
            &mut space,
            &mut out[len..],
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        out.truncate(len + written);
        if !fine {
            break Err("the encoder failed".into());
        }
        if encoder.is_finished() {
            break Ok(());
        }
        if written == 0 && left == before {
            break Err("the encoder makes no progress".into());
        }
        room = left / 2 + 1024;
    };
    BrotliEncoderDestroyInstance(&mut encoder);
    result
}

pub(super) fn decompress(compressed: &Bytes, bytes_max: usize) -> Result<Bytes, Fault> {
    let mut decoder = BrotliState::new_strict(
        BoundedCells::<u8>::new(ring_bytes_max(bytes_max)),
        BoundedCells::<u32>::new(TABLE_CELLS_MAX),
        BoundedCells::<HuffmanCode>::new(TABLE_CELLS_MAX),
    );
    let mut out = Output::new(compressed.len().saturating_mul(4), bytes_max);
    let (mut left, mut at) = (compressed.len(), 0);
    loop {
        let result = out.fill(|room| {
            let (mut space, mut written, mut total) = (room.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                compressed,
                &mut space,
                &mut written,
                room,
                &mut total,
                &mut decoder,
            );
            (written, result)
        })?;
        match result {
            BrotliResult::ResultSuccess if left == 0 => return out.finish(),
            BrotliResult::ResultSuccess => return Err(Fault::trailing_bytes(left)),
            BrotliResult::NeedsMoreInput => return Err(Fault::truncated()),
            BrotliResult::NeedsMoreOutput => (),
            // Its ring buffer is sized by what the input announces: see `ring_bytes_max`.
            BrotliResult::ResultFailure if decoder.alloc_u8.refused => return Err(Fault::TooLarge),
            BrotliResult::ResultFailure => {
                return Err(Fault::Malformed(format!("{:?}", decoder.error_code)));
            }
        }
    }
}

/// The decoder takes a ring buffer of the smallest power of two that holds what it has produced and the meta-block it is
/// about to read (or of the window, if that is smaller), and a few bytes more. So one that wants more than this is about to
/// exceed the limit. The floor leaves room for its context maps.
fn ring_bytes_max(bytes_max: usize) -> usize {
    const SLACK: usize = 1024;
    bytes_max.max(64 * 1024).checked_next_power_of_two().map_or(usize::MAX, |size| size.saturating_add(SLACK))
}

/// Entries in one of the decoder's tables: 256 Huffman trees of 1080 codes (RFC 7932 §3.5 and §7.3).
const TABLE_CELLS_MAX: usize = 256 * 1080 + 4096;

/// Memory for the decoder, each piece bounded.
struct BoundedCells<T> {
    cells_max: usize,
    refused: bool,
    cell: std::marker::PhantomData<T>,
}

impl<T> BoundedCells<T> {
    fn new(cells_max: usize) -> Self {
        Self { cells_max, refused: false, cell: std::marker::PhantomData }
    }
}

impl<T: Clone + Default> Allocator<T> for BoundedCells<T> {
    type AllocatedMemory = Cells<T>;

    fn alloc_cell(&mut self, len: usize) -> Cells<T> {
        if len > self.cells_max {
            self.refused = true;
            return Cells::default();
        }
        Cells(vec![T::default(); len])
    }

    fn free_cell(&mut self, _: Cells<T>) {}
}

#[derive(Default)]
struct Cells<T>(Vec<T>);

impl<T> SliceWrapper<T> for Cells<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cells<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
