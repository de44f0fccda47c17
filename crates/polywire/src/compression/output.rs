use bytes::Bytes;

use super::Fault;

/// Capacity to begin with when nothing is known about the size.
const CAPACITY_BYTES_MIN: usize = 512;

/// Bytes given back rather than kept with a message, at least.
const WASTE_BYTES_MAX: usize = 4096;

/// Most bytes cleared at once for decoders that want initialized memory.
const ZEROED_BYTES_MAX: usize = 64 * 1024;

/// Where a decoder writes: never more than one byte over the limit, by which one knows that it is exceeded.
pub(super) struct Output {
    bytes: Vec<u8>,
    limit: usize,
}

impl Output {
    /// Room for `expected` bytes; more or fewer may come, but never more than `limit`.
    pub(super) fn new(expected: usize, limit: usize) -> Self {
        let capacity = expected.max(CAPACITY_BYTES_MIN).min(limit.saturating_add(1));
        Self { bytes: Vec::with_capacity(capacity), limit }
    }

    /// The bytes so far, with room for at least one more.
    pub(super) fn room(&mut self) -> Result<&mut Vec<u8>, Fault> {
        self.check()?;
        let len = self.bytes.len();
        if len == self.bytes.capacity() {
            let capacity = len.saturating_mul(2).max(CAPACITY_BYTES_MIN).min(self.limit.saturating_add(1));
            self.bytes.reserve_exact(capacity - len);
        }
        Ok(&mut self.bytes)
    }

    /// Lets `write` fill some initialized bytes at the end; it tells how many it has written.
    pub(super) fn fill<R>(&mut self, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> Result<R, Fault> {
        let bytes = self.room()?;
        let len = bytes.len();
        let room = (bytes.capacity() - len).min(ZEROED_BYTES_MAX);
        bytes.resize(len + room, 0);
        let (written, result) = write(&mut bytes[len..]);
        bytes.truncate(len + written);
        Ok(result)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole message, if it has kept to the limit.
    pub(super) fn finish(mut self) -> Result<Bytes, Fault> {
        self.check()?;
        if self.bytes.capacity() - self.bytes.len() > self.bytes.len().max(WASTE_BYTES_MAX) {
            self.bytes.shrink_to_fit();
        }
        Ok(self.bytes.into())
    }

    fn check(&self) -> Result<(), Fault> {
        if self.bytes.len() > self.limit { Err(Fault::TooLarge) } else { Ok(()) }
    }
}
