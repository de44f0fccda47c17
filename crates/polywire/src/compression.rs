//! Compressing and decompressing single messages.
//!
//! Every message is a stream of its own: no history is kept from one to the next (as gRPC and Connect demand). What is
//! kept, for each thread, is the memory of encoders and decoders, because setting them up costs more than compressing a
//! small message.
//!
//! Both functions run where they are called. A mebibyte costs from one millisecond (snappy) to eight
//! (brotli), so a caller with large messages does it off the connection's task.

mod brotli;
mod deflate;
mod flushed;
mod output;
mod snappy;
mod zstd;

use std::{cell::Cell, error::Error, fmt, thread::LocalKey};

use bytes::Bytes;
use polywire_core::Compression;

pub use flushed::WebSocketDeflate;

/// Appends the compressed `message` to `out`.
///
/// Nothing before the end of `out` is touched, so a caller can put an envelope's prefix there first. An empty message
/// gives a valid stream of that compression (a few bytes), except with [`Compression::Identity`].
///
/// # Errors
///
/// Only if the encoder cannot get memory or breaks its own promises; never because of what the message holds. `out` then
/// ends somewhere inside the message.
pub fn compress(compression: Compression, message: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
    let result = match compression {
        Compression::Identity => {
            out.extend_from_slice(message);
            Ok(())
        }
        Compression::Gzip => deflate::compress_gzip(message, out),
        Compression::Deflate => deflate::compress_zlib(message, out),
        Compression::Zstd => zstd::compress(message, out),
        Compression::Brotli => brotli::compress(message, out),
        Compression::Snappy => snappy::compress(message, out),
    };
    result.map_err(|reason| CompressError { compression, reason })
}

/// The message that `compressed` holds, of at most `bytes_max` bytes.
///
/// Decompressing stops at the first byte beyond `bytes_max`, whatever the input claims or would become, and takes no more
/// memory than `bytes_max` and the decoder's window (32 KiB for gzip and deflate, 64 KiB for snappy, at most twice
/// `bytes_max` for brotli, at most 8 MiB for zstd, of which only what was produced is ever touched).
///
/// The input must be exactly one message: truncated input and bytes behind its end are malformed. What a format allows to
/// stand in one stream may: several gzip members (RFC 1952 §2.2), zstd frames (RFC 8878 §3) or snappy chunks; input cut just
/// between two of these is a shorter message, which only the envelope around it can tell. Checksums are verified where they
/// are (brotli has none, zstd need not have one). Empty input is an empty message in every compression, as senders write it
/// that way (Connect: zero-length content is not decompressed).
///
/// # Errors
///
/// [`DecompressError::TooLarge`] or [`DecompressError::Malformed`].
pub fn decompress(compression: Compression, compressed: &Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
    if compressed.is_empty() {
        return Ok(Bytes::new());
    }
    let result = match compression {
        Compression::Identity if compressed.len() > bytes_max => Err(Fault::TooLarge),
        Compression::Identity => return Ok(compressed.clone()),
        Compression::Gzip => deflate::decompress_gzip(compressed, bytes_max),
        Compression::Deflate => deflate::decompress_zlib(compressed, bytes_max),
        Compression::Zstd => zstd::decompress(compressed, bytes_max),
        Compression::Brotli => brotli::decompress(compressed, bytes_max),
        Compression::Snappy => snappy::decompress(compressed, bytes_max),
    };
    result.map_err(|fault| match fault {
        Fault::TooLarge => DecompressError::TooLarge { limit: bytes_max },
        Fault::Malformed(reason) => DecompressError::Malformed { compression, reason },
    })
}

/// The encoder failed. This is not the message's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressError {
    compression: Compression,
    reason: String,
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot compress a message with {}: {}", self.compression, self.reason)
    }
}

impl Error for CompressError {}

/// Why a compressed message gives no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecompressError {
    /// The input is not what its compression says.
    Malformed {
        /// What it was said to be.
        compression: Compression,
        /// What is wrong with it.
        reason: String,
    },
    /// The message would be longer than allowed. How long is not known: nobody looked further.
    TooLarge {
        /// Bytes a message may have, uncompressed.
        limit: usize,
    },
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { compression, reason } => write!(f, "malformed {compression} message: {reason}"),
            Self::TooLarge { limit } => write!(f, "message is larger than {limit} bytes when decompressed"),
        }
    }
}

impl Error for DecompressError {}

/// What a decoder reports; the outer error adds the rest.
enum Fault {
    Malformed(String),
    TooLarge,
}

impl Fault {
    fn truncated() -> Self {
        Self::malformed("it ends too early")
    }

    fn trailing_bytes(count: usize) -> Self {
        Self::Malformed(format!("{count} bytes follow its end"))
    }

    fn too_many_streams() -> Self {
        Self::malformed("it consists of too many streams")
    }

    fn malformed(reason: impl fmt::Display) -> Self {
        Self::Malformed(reason.to_string())
    }
}

/// Runs `work` with what this thread keeps in `slot`, made if it is not there, and keeps it again if `work` succeeded: after a
/// failure its state is not to be trusted.
fn with_kept<T, R, E>(
    slot: &'static LocalKey<Cell<Option<T>>>,
    make: impl FnOnce() -> Result<T, E>,
    work: impl FnOnce(&mut T) -> Result<R, E>,
) -> Result<R, E> {
    let mut kept = match slot.take() {
        Some(kept) => kept,
        None => make()?,
    };
    let result = work(&mut kept)?;
    slot.set(Some(kept));
    Ok(result)
}
