//! Messages to bytes and back: codec, compression, limits.

use buffa::{Message as Protobuf, SizeCache};
use bytes::{BufMut, Bytes};
use polywire_core::{Codec, Compression, ENVELOPE_BYTES, Message, Status};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    compression::{self, DecompressError, decompress},
    json,
};

/// What a message type must be able to do; generated types do.
pub trait AnyMessage: Protobuf + Default + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<M: Protobuf + Default + Serialize + DeserializeOwned + Send + Sync + 'static> AnyMessage for M {}

/// By default shorter messages are not compressed: the result would hardly be smaller.
pub(crate) const COMPRESS_BYTES_MIN: usize = 256;

/// Longer messages lend their memory to the fields that can take it.
const SHARE_BYTES_MIN: usize = 4096;

/// Longest message that is sent: what an envelope's length can say, less a margin.
const SEND_BYTES_MAX: usize = (1 << 31) - 1;

/// The message without its compression, at most `bytes_max` long.
pub(crate) fn plain(message: Message, bytes_max: usize) -> Result<Bytes, Status> {
    if message.compression == Compression::Identity {
        return Ok(message.bytes);
    }
    decompress(message.compression, &message.bytes, bytes_max).map_err(|error| match error {
        DecompressError::TooLarge { limit } => Status::resource_exhausted(format!(
            "a message is longer than {limit} bytes when decompressed (message_bytes_max)"
        )),
        error @ DecompressError::Malformed { .. } => Status::internal(error.to_string()),
    })
}

/// Bytes without their compression, for the engine.
pub(crate) fn undo(compression: Compression, bytes: &Bytes, bytes_max: usize) -> Result<Bytes, Status> {
    plain(Message { bytes: bytes.clone(), compression }, bytes_max)
}

/// The message of those bytes.
pub(crate) fn decode<M: AnyMessage>(codec: Codec, bytes: &Bytes) -> Result<M, Status> {
    match codec {
        // Through `Buf` a field of type `Bytes` shares the memory of the message; below this size copying costs less.
        Codec::Proto if bytes.len() >= SHARE_BYTES_MIN => {
            M::decode(&mut bytes.clone()).map_err(|error| malformed(&error))
        }
        Codec::Proto => M::decode_from_slice(bytes).map_err(|error| malformed(&error)),
        Codec::Json => json::read(bytes)
            .map_err(|error| Status::invalid_argument(format!("the message is not valid JSON for its type: {error}"))),
    }
}

pub(crate) fn malformed(error: &buffa::DecodeError) -> Status {
    Status::internal(format!("the message is not valid Protobuf: {error}"))
}

/// How messages are compressed, and from which length on that is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compress {
    pub(crate) with: Compression,
    pub(crate) bytes_min: usize,
}

impl Compress {
    /// Nothing is compressed.
    pub(crate) const NOTHING: Self = Self { with: Compression::Identity, bytes_min: usize::MAX };

    fn is_worth_it(self, bytes: usize) -> bool {
        self.with != Compression::Identity && bytes >= self.bytes_min
    }
}

impl From<Compression> for Compress {
    fn from(with: Compression) -> Self {
        Self { with, bytes_min: COMPRESS_BYTES_MIN }
    }
}

/// A message in its envelope, compressed when that is asked for and worth it.
pub(crate) fn enveloped<M: AnyMessage>(codec: Codec, compress: Compress, message: &M) -> Result<Bytes, Status> {
    let mut cache = SizeCache::new();
    match codec {
        Codec::Proto => {
            let len = checked_len(message.compute_size(&mut cache) as usize)?;
            if !compress.is_worth_it(len) {
                let mut out = Vec::with_capacity(ENVELOPE_BYTES + len);
                out.put_u8(0);
                out.put_u32(len as u32);
                message.write_to(&mut cache, &mut out);
                return Ok(out.into());
            }
            let mut plain = Vec::with_capacity(len);
            message.write_to(&mut cache, &mut plain);
            envelope(compress, &plain)
        }
        Codec::Json => envelope(compress, &to_json(message)?),
    }
}

/// Bytes of a message in their envelope, compressed when that is asked for and worth it.
pub(crate) fn envelope(compress: Compress, plain: &[u8]) -> Result<Bytes, Status> {
    checked_len(plain.len())?;
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + plain.len());
    let compressed = compress.is_worth_it(plain.len());
    out.put_u8(u8::from(compressed));
    out.put_u32(0);
    if compressed {
        compression::compress(compress.with, plain, &mut out).map_err(|error| Status::internal(error.to_string()))?;
    } else {
        out.extend_from_slice(plain);
    }
    let len = checked_len(out.len() - ENVELOPE_BYTES)? as u32;
    out[1..ENVELOPE_BYTES].copy_from_slice(&len.to_be_bytes());
    Ok(out.into())
}

/// Takes a message out of its envelope again.
pub(crate) fn open_envelope(mut enveloped: Bytes, compression: Compression) -> Result<Message, Status> {
    if enveloped.len() < ENVELOPE_BYTES {
        return Err(Status::internal("a reply is not in an envelope"));
    }
    let head = enveloped.split_to(ENVELOPE_BYTES);
    let compression = if head[0] & 1 == 0 { Compression::Identity } else { compression };
    Ok(Message { bytes: enveloped, compression })
}

fn to_json<M: Serialize>(message: &M) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(message)
        .map_err(|error| Status::internal(format!("the message cannot be written as JSON: {error}")))
}

pub(crate) fn checked_len(len: usize) -> Result<usize, Status> {
    if len <= SEND_BYTES_MAX {
        Ok(len)
    } else {
        Err(Status::resource_exhausted(format!("a message of {len} bytes is too long to be sent ({SEND_BYTES_MAX})")))
    }
}
