//! Integers with a prefix of some bits (RFC 7541 §5.1).

use super::DecodeError;

/// Reads an integer whose first byte leaves `PREFIX` bits for it.
///
/// What fits in 32 bits is accepted in up to five further bytes; more of value or length is an error, as the standard
/// demands of every implementation to choose.
#[inline]
pub(super) fn decode<const PREFIX: u32>(input: &mut &[u8]) -> Result<u32, DecodeError> {
    let (&first, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
    *input = rest;
    let prefix_max = (1 << PREFIX) - 1;
    let value = u32::from(first) & prefix_max;
    if value < prefix_max {
        return Ok(value);
    }
    decode_rest(value, input)
}

fn decode_rest(prefix: u32, input: &mut &[u8]) -> Result<u32, DecodeError> {
    let mut value = u64::from(prefix);
    for position in 0..FOLLOWING_BYTES_MAX {
        let (&byte, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
        *input = rest;
        value += u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| DecodeError::IntegerTooLarge);
        }
    }
    Err(DecodeError::IntegerTooLarge)
}

/// Writes `value` behind the pattern `flags`, whose low `prefix` bits are clear.
#[inline]
pub(super) fn encode(value: usize, prefix: u32, flags: u8, out: &mut Vec<u8>) {
    let prefix_max = (1usize << prefix) - 1;
    if value < prefix_max {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | prefix_max as u8);
    let mut rest = value - prefix_max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Five groups of seven bits hold any 32-bit number.
const FOLLOWING_BYTES_MAX: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 §C.1
    #[test]
    fn the_examples_of_the_standard_come_out() {
        for (value, prefix, bytes) in
            [(10, 5, &[0b01010][..]), (1337, 5, &[0b11111, 0b1001_1010, 0b0000_1010]), (42, 8, &[0b0010_1010])]
        {
            let mut out = Vec::new();
            encode(value, prefix, 0, &mut out);
            assert_eq!(out, bytes);
        }
        assert_eq!(decode::<5>(&mut &[0b1110_1010][..]), Ok(10));
        assert_eq!(decode::<5>(&mut &[0xff, 0b1001_1010, 0b1010][..]), Ok(1337));
        assert_eq!(decode::<8>(&mut &[42][..]), Ok(42));
    }

    #[test]
    fn numbers_around_each_border_come_through() {
        fn check<const PREFIX: u32>(value: u32) {
            let mut out = Vec::new();
            encode(value as usize, PREFIX, 0, &mut out);
            assert!(out.len() <= 6);
            out.push(0xaa);
            let mut input = &out[..];
            assert_eq!(decode::<PREFIX>(&mut input), Ok(value));
            assert_eq!(input, [0xaa]);
            for len in 0..out.len() - 1 {
                assert_eq!(decode::<PREFIX>(&mut &out[..len]), Err(DecodeError::Truncated));
            }
        }
        let borders = (0..32).flat_map(|bits| {
            let power = 1u32 << bits;
            [power - 1, power, power + 1, power + 14, power + 126]
        });
        for value in borders.chain([u32::MAX - 1, u32::MAX]) {
            check::<4>(value);
            check::<5>(value);
            check::<6>(value);
            check::<7>(value);
        }
    }
}
