//! Frame heads and variable-length integers.

use super::NativeRule;

/// What a client says first: 0xF0, which begins no HTTP, no TLS and no UTF-8 text that is JSON, and `PW1`.
pub const PREFACE: [u8; 4] = [0xf0, b'P', b'W', b'1'];

/// Kinds of frames: the low four bits of the first byte.
pub(super) mod kind {
    pub(crate) const HELLO: u8 = 0;
    pub(crate) const CALL: u8 = 1;
    pub(crate) const OPEN: u8 = 2;
    pub(crate) const MESSAGE: u8 = 3;
    pub(crate) const HEADERS: u8 = 4;
    pub(crate) const END: u8 = 5;
    pub(crate) const CANCEL: u8 = 6;
    pub(crate) const WINDOW: u8 = 7;
    pub(crate) const PING: u8 = 8;
    pub(crate) const PONG: u8 = 9;
    pub(crate) const GOAWAY: u8 = 10;
}

/// Flags: the high four bits of the first byte.
pub(super) mod flag {
    pub(crate) const LAST: u8 = 0x10;
    pub(crate) const COMPRESSED: u8 = 0x20;
    pub(crate) const MORE: u8 = 0x40;
    pub(crate) const FIELDS: u8 = 0x80;
}

/// The longest head: kind, four bytes of stream, three of length.
pub(super) const HEAD_BYTES_MAX: usize = 8;

/// What stands in front of a payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The stream; 0 is the connection.
    pub(super) number: u32,
    /// Length of the payload.
    pub(super) len: usize,
    /// Length of the head itself.
    pub(super) size: usize,
}

impl Head {
    /// Reads a head. `None`: more bytes are needed.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, NativeRule> {
        let [first, number, len, ..] = *bytes else {
            return Head::parse_slowly(bytes);
        };
        // The usual case: a small stream number and a small payload.
        if number < 0x80 && len < 0x80 {
            let (kind, flags) = (first & 0x0f, first & 0xf0);
            return Ok(Some(Head { kind, flags, number: number.into(), len: len.into(), size: 3 }));
        }
        Head::parse_slowly(bytes)
    }

    fn parse_slowly(bytes: &[u8]) -> Result<Option<Head>, NativeRule> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let Some((number, number_size)) = short_varint(rest, 4)? else { return Ok(None) };
        let Some((len, len_size)) = short_varint(&rest[number_size..], 3)? else { return Ok(None) };
        let (kind, flags) = (first & 0x0f, first & 0xf0);
        Ok(Some(Head { kind, flags, number, len: len as usize, size: 1 + number_size + len_size }))
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A varint of at most `size_max` bytes with its size. `None`: more bytes are needed.
fn short_varint(bytes: &[u8], size_max: usize) -> Result<Option<(u32, usize)>, NativeRule> {
    let mut value = 0;
    for at in 0..size_max {
        let Some(&byte) = bytes.get(at) else { return Ok(None) };
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(Some((value, at + 1)));
        }
    }
    Err(NativeRule::Malformed)
}

/// Writes a head. `first`: kind and flags.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, first: u8, number: u32, len: usize) {
    debug_assert!(number < 1 << 28 && len < 1 << 21);
    if number < 0x80 && len < 0x80 {
        out.extend_from_slice(&[first, number as u8, len as u8]);
        return;
    }
    out.push(first);
    put_varint(out, number.into());
    put_varint(out, len as u64);
}

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a varint.
pub(super) fn varint_size(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes a varint of at most eight bytes from the front.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u64, NativeRule> {
    let mut value = 0;
    for at in 0..VARINT_BYTES_MAX {
        let (&byte, rest) = bytes.split_first().ok_or(NativeRule::Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(NativeRule::Malformed)
}

/// Takes so many bytes from the front.
#[inline]
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], NativeRule> {
    let len = usize::try_from(len).map_err(|_| NativeRule::Malformed)?;
    let (taken, rest) = bytes.split_at_checked(len).ok_or(NativeRule::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// Longest varint inside a payload: 56 bits hold two thousand years in microseconds.
const VARINT_BYTES_MAX: usize = 8;

/// The largest number such a varint can say.
pub(super) const VARINT_MAX: u64 = (1 << (7 * VARINT_BYTES_MAX)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for number in [0, 1, 127, 128, 16_383, 16_384, (1 << 28) - 1] {
            for len in [0, 1, 127, 128, 16_384, (1 << 21) - 1] {
                let mut bytes = Vec::new();
                put_head(&mut bytes, kind::CALL | flag::LAST, number, len);
                let size = bytes.len();
                assert!(size <= HEAD_BYTES_MAX);
                for cut in 0..size {
                    assert_eq!(Head::parse(&bytes[..cut]), Ok(None));
                }
                let head = Head { kind: kind::CALL, flags: flag::LAST, number, len, size };
                assert_eq!(Head::parse(&bytes), Ok(Some(head)));
            }
        }
    }

    #[test]
    fn a_head_that_never_ends_is_refused() {
        assert_eq!(Head::parse(&[1, 0x80, 0x80, 0x80, 0x80]), Err(NativeRule::Malformed));
        assert_eq!(Head::parse(&[1, 1, 0x80, 0x80, 0x80]), Err(NativeRule::Malformed));
    }

    #[test]
    fn varints_have_the_size_that_is_said() {
        for value in [0, 1, 127, 128, 1 << 14, (1 << 14) - 1, VARINT_MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_size(value));
            assert_eq!(take_varint(&mut &bytes[..]), Ok(value));
        }
        assert_eq!(take_varint(&mut &[0xff; 9][..]), Err(NativeRule::Malformed));
    }
}
