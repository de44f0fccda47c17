//! Frames as they stand on the wire (RFC 9113 §4, §6): heads in and out, and the small frames we write.

use crate::wire::Reason;

/// The nine bytes in front of every frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// Length of the payload.
    pub(super) len: u32,
    /// One of [`kind`], or something to be ignored.
    pub(super) kind: u8,
    /// Bits of [`flag`].
    pub(super) flags: u8,
    /// The stream; 0 is the connection. The reserved bit is cleared.
    pub(super) id: u32,
}

/// Length of a [`FrameHead`].
pub(super) const HEAD_BYTES: usize = 9;

/// What a client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest frame every peer accepts, and the limit before SETTINGS say otherwise.
pub(super) const FRAME_BYTES_DEFAULT: u32 = 1 << 14;

/// Frame types (RFC 9113 §6).
pub(super) mod kind {
    pub(in crate::wire::http2) const DATA: u8 = 0x0;
    pub(in crate::wire::http2) const HEADERS: u8 = 0x1;
    pub(in crate::wire::http2) const PRIORITY: u8 = 0x2;
    pub(in crate::wire::http2) const RST_STREAM: u8 = 0x3;
    pub(in crate::wire::http2) const SETTINGS: u8 = 0x4;
    pub(in crate::wire::http2) const PUSH_PROMISE: u8 = 0x5;
    pub(in crate::wire::http2) const PING: u8 = 0x6;
    pub(in crate::wire::http2) const GOAWAY: u8 = 0x7;
    pub(in crate::wire::http2) const WINDOW_UPDATE: u8 = 0x8;
    pub(in crate::wire::http2) const CONTINUATION: u8 = 0x9;
}

/// Frame flags.
pub(super) mod flag {
    pub(in crate::wire::http2) const ACK: u8 = 0x1;
    pub(in crate::wire::http2) const END_STREAM: u8 = 0x1;
    pub(in crate::wire::http2) const END_HEADERS: u8 = 0x4;
    pub(in crate::wire::http2) const PADDED: u8 = 0x8;
    pub(in crate::wire::http2) const PRIORITY: u8 = 0x20;
}

impl FrameHead {
    /// Reads a head from the front of `bytes`, if it is complete.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[l0, l1, l2, kind, flags, s0, s1, s2, s3], _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        Some(FrameHead {
            len: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            id: u32::from_be_bytes([s0, s1, s2, s3]) & !(1 << 31),
        })
    }

    /// The head's bytes.
    #[inline]
    pub(super) fn encode(self) -> [u8; HEAD_BYTES] {
        let [_, l0, l1, l2] = self.len.to_be_bytes();
        let [s0, s1, s2, s3] = self.id.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Payload length as a size.
    #[inline]
    pub(super) fn size(self) -> usize {
        self.len as usize
    }
}

/// A big-endian word, given at least four bytes.
#[inline]
pub(super) fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

pub(super) fn write_reset(out: &mut Vec<u8>, id: u32, reason: Reason) {
    let head = FrameHead { len: 4, kind: kind::RST_STREAM, flags: 0, id };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&reason.code().to_be_bytes());
}

pub(super) fn write_window_update(out: &mut Vec<u8>, id: u32, bytes: u32) {
    debug_assert!(bytes > 0 && bytes < 1 << 31);
    let head = FrameHead { len: 4, kind: kind::WINDOW_UPDATE, flags: 0, id };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&bytes.to_be_bytes());
}

pub(super) fn write_ping(out: &mut Vec<u8>, ack: bool, payload: [u8; 8]) {
    let flags = if ack { flag::ACK } else { 0 };
    let head = FrameHead { len: 8, kind: kind::PING, flags, id: 0 };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&payload);
}

pub(super) fn write_go_away(out: &mut Vec<u8>, last: u32, reason: Reason, debug: &[u8]) {
    let debug = &debug[..debug.len().min(DEBUG_BYTES_MAX)];
    let head = FrameHead { len: 8 + debug.len() as u32, kind: kind::GOAWAY, flags: 0, id: 0 };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&reason.code().to_be_bytes());
    out.extend_from_slice(debug);
}

/// More words than this help nobody.
const DEBUG_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_wire() {
        let head = FrameHead { len: 0x01_02_03, kind: 9, flags: 0x2d, id: 0x7fff_fffe };
        assert_eq!(FrameHead::parse(&head.encode()), Some(head));
        assert_eq!(FrameHead::parse(&head.encode()[..8]), None);
    }

    #[test]
    fn the_reserved_bit_is_ignored() {
        let bytes = [0, 0, 0, 0, 0, 0x80, 0, 0, 1];
        assert_eq!(FrameHead::parse(&bytes).unwrap().id, 1);
    }
}
