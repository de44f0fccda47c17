//! Bytes on their way out.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// What an engine wants written: contiguous bytes with large payloads in between.
///
/// Frame heads, header blocks and small payloads stand in one buffer. A large payload keeps its own reference-counted
/// bytes and is never copied. One vectored write carries it all:
///
/// ```
/// # use polywire_engine::Transmit;
/// let mut transmit = Transmit::default();
/// transmit.put(b"head");
/// transmit.put_payload(bytes::Bytes::from(vec![7; 4096]));
/// let mut slices = [std::io::IoSlice::new(&[]); 8];
/// let filled = transmit.io_slices(&mut slices);
/// assert_eq!(filled, 2);
/// transmit.advance(4); // so many bytes the transport took
/// assert_eq!(transmit.len(), 4096);
/// ```
#[derive(Debug, Default)]
pub struct Transmit {
    /// Everything that is not in `payloads`, in order.
    inline: Vec<u8>,
    /// How much of `inline` was taken.
    taken: usize,
    /// Payloads, each standing before the byte of `inline` at its offset.
    payloads: VecDeque<(usize, Bytes)>,
    /// Sum of the lengths of `payloads`.
    payload_bytes: usize,
}

/// Below this a payload is copied: a copy of 1 KiB costs less than one more segment in the vectored write.
const COPIED_BYTES_MAX: usize = 1024;

impl Transmit {
    /// Appends bytes by copying them.
    pub fn put(&mut self, bytes: &[u8]) {
        self.inline.extend_from_slice(bytes);
    }

    /// Appends a payload: small ones are copied, large ones kept as they are.
    pub fn put_payload(&mut self, payload: Bytes) {
        if payload.len() < COPIED_BYTES_MAX {
            self.inline.extend_from_slice(&payload);
        } else {
            self.payload_bytes += payload.len();
            self.payloads.push_back((self.inline.len(), payload));
        }
    }

    /// The contiguous buffer, for encoders that append to a `Vec`.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.inline
    }

    /// Appends everything `other` holds and leaves it empty. Swaps the two when `self` is empty.
    pub fn append(&mut self, other: &mut Transmit) {
        if self.is_empty() {
            self.clear();
            std::mem::swap(self, other);
            return;
        }
        let offset = self.inline.len();
        self.inline.extend_from_slice(&other.inline[other.taken..]);
        self.payload_bytes += other.payload_bytes;
        for (at, payload) in other.payloads.drain(..) {
            self.payloads.push_back((offset + at - other.taken, payload));
        }
        other.payload_bytes = 0;
        other.clear();
    }

    /// Takes `bytes` from the front: the transport has accepted them.
    ///
    /// # Panics
    /// When `bytes` is more than [`len`](Self::len).
    pub fn advance(&mut self, mut bytes: usize) {
        assert!(bytes <= self.len(), "a transport cannot take more than there is");
        while let Some((at, payload)) = self.payloads.front_mut() {
            let before = *at - self.taken;
            if bytes < before {
                break;
            }
            self.taken += before;
            bytes -= before;
            if bytes < payload.len() {
                payload.advance(bytes);
                self.payload_bytes -= bytes;
                return;
            }
            bytes -= payload.len();
            self.payload_bytes -= payload.len();
            self.payloads.pop_front();
        }
        self.taken += bytes;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything and keeps the buffer for reuse.
    pub fn clear(&mut self) {
        self.inline.clear();
        self.taken = 0;
        self.payloads.clear();
        self.payload_bytes = 0;
    }

    /// Clears, and gives buffers back that are larger than `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        self.clear();
        if self.inline.capacity() > bytes {
            self.inline = Vec::new();
        }
        if self.payloads.capacity() * size_of::<(usize, Bytes)>() > bytes {
            self.payloads = VecDeque::new();
        }
    }

    /// Bytes to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inline.len() - self.taken + self.payload_bytes
    }

    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inline.len() == self.taken && self.payloads.is_empty()
    }

    /// Fills `slices` with what comes next, in order, and says how many it filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for chunk in self.chunks().take(slices.len()) {
            slices[filled] = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// The pieces in order; none is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.taken;
        let mut payloads = self.payloads.iter();
        let mut waiting: Option<&Bytes> = None;
        let mut over = false;
        std::iter::from_fn(move || {
            loop {
                if let Some(payload) = waiting.take() {
                    return Some(payload.as_ref());
                }
                if over {
                    return None;
                }
                let to = if let Some((at, payload)) = payloads.next() {
                    waiting = Some(payload);
                    *at
                } else {
                    over = true;
                    self.inline.len()
                };
                let chunk = &self.inline[from..to];
                from = to;
                if !chunk.is_empty() {
                    return Some(chunk);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(transmit: &Transmit) -> Vec<u8> {
        transmit.chunks().flatten().copied().collect()
    }

    fn mixed() -> (Transmit, Vec<u8>) {
        let mut transmit = Transmit::default();
        transmit.put(b"one");
        transmit.put_payload(Bytes::from(vec![1; 3000]));
        transmit.put_payload(Bytes::from(vec![2; 2000]));
        transmit.put(b"two");
        transmit.put_payload(Bytes::from_static(b"small"));
        transmit.put_payload(Bytes::from(vec![3; 1024]));
        let expected = [b"one".as_slice(), &[1; 3000], &[2; 2000], b"two", b"small", &[3; 1024]].concat();
        (transmit, expected)
    }

    #[test]
    fn pieces_come_out_in_order() {
        let (transmit, expected) = mixed();
        assert_eq!(flat(&transmit), expected);
        assert_eq!(transmit.len(), expected.len());
    }

    #[test]
    fn a_partial_write_leaves_exactly_the_rest() {
        for step in [1, 2, 3, 7, 1000, 3003, 5003, 6000] {
            let (mut transmit, mut expected) = mixed();
            while !transmit.is_empty() {
                assert_eq!(flat(&transmit), expected);
                assert_eq!(transmit.len(), expected.len());
                let took = step.min(expected.len());
                transmit.advance(took);
                expected.drain(..took);
            }
            assert!(expected.is_empty());
        }
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let payload = Bytes::from(vec![9; 4096]);
        let mut transmit = Transmit::default();
        transmit.put_payload(payload.clone());
        assert_eq!(transmit.chunks().next().unwrap().as_ptr(), payload.as_ptr());
    }

    #[test]
    fn appending_keeps_the_order_after_partial_writes() {
        for taken in [0, 2, 3, 100, 3500] {
            let (mut first, _) = mixed();
            let (mut second, _) = mixed();
            first.advance(taken);
            second.advance(taken);
            let expected = [flat(&first), flat(&second)].concat();
            first.append(&mut second);
            assert_eq!(flat(&first), expected);
            assert_eq!(first.len(), expected.len());
            assert!(second.is_empty());
            assert_eq!(second.len(), 0);
        }
    }

    #[test]
    fn few_slices_hold_the_front() {
        let (transmit, expected) = mixed();
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(transmit.io_slices(&mut slices), 2);
        assert_eq!(&*slices[0], b"one");
        assert_eq!(&*slices[1], &expected[3..3003]);
    }
}
