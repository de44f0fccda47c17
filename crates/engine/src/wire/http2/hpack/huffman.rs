//! The Huffman code of strings (RFC 7541 §5.2 and Appendix B).
//!
//! The code is canonical: codes of one length are consecutive numbers in the order of their symbols, and longer codes
//! follow shorter ones. The 257 lengths therefore say everything; all tables below are computed from them by the
//! compiler.

use super::DecodeError;

/// Appends the decoded string to `out`. Fails on the code for the end of the string, on more than seven bits of
/// padding and on padding that is not all ones. On failure `out` holds garbage behind its old end.
pub(super) fn decode(mut input: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut end = out.len();
    // Every symbol takes five bits or more; a look-up may write one byte past the last symbol.
    out.resize(end + input.len() * 8 / SHORTEST_CODE_BITS + 2, 0);

    // The next `count` bits of the input are on top of `bits`. Those below are what follows, too, or zeros: the bytes
    // they belong to do not count as taken, and come again with the next eight.
    let mut bits = 0u64;
    let mut count = 0u32;
    while let Some(&next) = input.first_chunk::<8>() {
        bits |= u64::from_be_bytes(next) >> count;
        let taken = (63 - count) / 8;
        input = &input[taken as usize..];
        count += taken * 8;
        while count >= LONGEST_CODE_BITS {
            let pair = FAST[(bits >> (64 - FAST_BITS)) as usize];
            let length = if pair.symbols == 0 {
                let (symbol, length) = decode_long((bits >> 32) as u32);
                out[end] = u8::try_from(symbol).map_err(|_| DecodeError::HuffmanEndOfString)?;
                end += 1;
                length
            } else {
                out[end..end + 2].copy_from_slice(&pair.bytes);
                end += usize::from(pair.symbols);
                u32::from(pair.length)
            };
            bits <<= length;
            count -= length;
        }
    }

    // Fewer than eight bytes are left. Ones follow them for ever: up to seven ones begin no symbol, more are an error.
    let mut left = count + input.len() as u32 * 8;
    let last = last_bytes(input);
    bits = bits & !(u64::MAX >> count) | last >> count;
    let mut spare = ones_behind(last, 64 - count);
    let mut valid = 64;
    loop {
        if valid < LONGEST_CODE_BITS {
            bits |= spare >> valid;
            spare = ones_behind(spare, 64 - valid);
            valid = 64;
        }
        let pair = FAST[(bits >> (64 - FAST_BITS)) as usize];
        let length;
        if pair.symbols != 0 {
            out[end..end + 2].copy_from_slice(&pair.bytes);
            if u32::from(pair.length) <= left {
                length = u32::from(pair.length);
                end += usize::from(pair.symbols);
            } else if u32::from(pair.first_length) <= left {
                length = u32::from(pair.first_length);
                end += 1;
            } else {
                break;
            }
        } else {
            if left <= FAST_BITS {
                break;
            }
            let (symbol, long) = decode_long((bits >> 32) as u32);
            if long > left {
                break;
            }
            length = long;
            out[end] = u8::try_from(symbol).map_err(|_| DecodeError::HuffmanEndOfString)?;
            end += 1;
        }
        bits <<= length;
        valid -= length;
        left -= length;
    }
    if left >= 8 || bits | u64::MAX >> left != u64::MAX {
        return Err(DecodeError::HuffmanPadding);
    }
    out.truncate(end);
    Ok(())
}

/// Shifts out up to 64 bits at the top and lets ones follow at the bottom.
#[inline]
fn ones_behind(bits: u64, shift: u32) -> u64 {
    !(!bits).checked_shl(shift).unwrap_or(0)
}

/// Up to seven bytes on top of ones.
#[inline]
fn last_bytes(bytes: &[u8]) -> u64 {
    let ones = u64::MAX.checked_shr(bytes.len() as u32 * 8).unwrap_or(0);
    let at = |byte: u8, position: usize| u64::from(byte) << (56 - 8 * position);
    let bits = if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let first = u64::from(u32::from_be_bytes(*first)) << 32;
        first | u64::from(u32::from_be_bytes(*last)) << (8 * (8 - bytes.len()))
    } else {
        match *bytes {
            [a, b, c, ..] => at(a, 0) | at(b, 1) | at(c, 2),
            [a, b] => at(a, 0) | at(b, 1),
            [a] => at(a, 0),
            [] => 0,
        }
    };
    bits | ones
}

/// The length of the encoded string in bytes.
#[inline]
pub(super) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the encoded string to `out`, padded with ones.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let mut bits = 0u64;
    let mut count = 0u32;
    for &byte in text {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(CODES[usize::from(byte)]);
        count += length;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    // Now `count` is at most 31; the rest is left-aligned in four bytes above ones.
    let rest = (bits << (32 - count)) as u32 | u32::MAX.checked_shr(count).unwrap_or(0);
    out.extend_from_slice(&rest.to_be_bytes()[..count.div_ceil(8) as usize]);
}

/// The one or two symbols at the start of [`FAST_BITS`] bits; none if the first code is longer.
#[derive(Copy, Clone)]
struct Pair {
    bytes: [u8; 2],
    /// The bits of all symbols in the low six bits.
    length: u8,
    first_length: u8,
    symbols: u8,
}

/// The symbol at the start of 32 bits and its length, for codes longer than [`FAST_BITS`].
#[cold]
#[inline(never)]
fn decode_long(bits: u32) -> (u16, u32) {
    let mut length = FAST_BITS + 1;
    while u64::from(bits) >= LIMITS[length as usize] {
        length += 1;
    }
    (symbol(bits, length), length)
}

/// The symbol whose code is the first `length` bits of `bits`.
const fn symbol(bits: u32, length: u32) -> u16 {
    let (first_code, first_position) = FIRSTS[length as usize];
    let position = first_position as u32 + (bits >> (32 - length)) - first_code;
    SYMBOLS[position as usize]
}

static FAST: [Pair; 1 << FAST_BITS] = {
    let none = Pair { bytes: [0; 2], length: 0, first_length: 0, symbols: 0 };
    let mut fast = [none; 1 << FAST_BITS];
    let mut i = 0;
    while i < fast.len() {
        let bits = (i as u32) << (32 - FAST_BITS);
        if let Some((first, first_length)) = short_symbol(bits, FAST_BITS) {
            fast[i].bytes[0] = first as u8;
            fast[i].first_length = first_length as u8;
            fast[i].length = first_length as u8;
            fast[i].symbols = 1;
            let left = FAST_BITS - first_length;
            if let Some((second, second_length)) = short_symbol(bits << first_length, left) {
                fast[i].bytes[1] = second as u8;
                fast[i].length += second_length as u8;
                fast[i].symbols = 2;
            }
        }
        i += 1;
    }
    fast
};

/// The symbol at the start of `bits` if its code is at most `length_max` bits long.
const fn short_symbol(bits: u32, length_max: u32) -> Option<(u16, u32)> {
    let mut length = SHORTEST_CODE_BITS as u32;
    while length <= length_max {
        if (bits as u64) < LIMITS[length as usize] {
            return Some((symbol(bits, length), length));
        }
        length += 1;
    }
    None
}

/// For each length: 32 bits that start with a code of at most this length are below this number.
const LIMITS: [u64; LONGEST_CODE_BITS as usize + 1] = {
    let mut limits = [0; LONGEST_CODE_BITS as usize + 1];
    let mut length = 1;
    while length < limits.len() {
        limits[length] = limits[length - 1] + ((count_of(length) as u64) << (32 - length));
        length += 1;
    }
    assert!(limits[LONGEST_CODE_BITS as usize] == 1 << 32);
    limits
};

/// For each length: its first code, and where its symbols start in [`SYMBOLS`].
const FIRSTS: [(u32, u16); LONGEST_CODE_BITS as usize + 1] = {
    let mut firsts = [(0, 0); LONGEST_CODE_BITS as usize + 1];
    let mut position = 0;
    let mut length = 1;
    while length < firsts.len() {
        firsts[length] = ((LIMITS[length - 1] >> (32 - length)) as u32, position);
        position += count_of(length);
        length += 1;
    }
    firsts
};

/// All symbols by the length of their code, then by value.
static SYMBOLS: [u16; LENGTHS.len()] = {
    let mut symbols = [0; LENGTHS.len()];
    let mut position = 0;
    let mut length = 1;
    while length <= LONGEST_CODE_BITS as usize {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[position] = symbol as u16;
                position += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
};

static CODES: [u32; LENGTHS.len()] = {
    let mut codes = [0; LENGTHS.len()];
    let mut position = 0;
    while position < codes.len() {
        let symbol = SYMBOLS[position] as usize;
        let (first_code, first_position) = FIRSTS[LENGTHS[symbol] as usize];
        codes[symbol] = first_code + position as u32 - first_position as u32;
        position += 1;
    }
    codes
};

const fn count_of(length: usize) -> u16 {
    let mut count = 0;
    let mut symbol = 0;
    while symbol < LENGTHS.len() {
        if LENGTHS[symbol] as usize == length {
            count += 1;
        }
        symbol += 1;
    }
    count
}

/// The bits looked up at once. Twelve hold two of the common letters, in a table of 20 KiB of which little is hot.
const FAST_BITS: u32 = 12;

const SHORTEST_CODE_BITS: usize = 5;
const LONGEST_CODE_BITS: u32 = 30;

/// The lengths of the codes in bits by symbol; the last one marks the end of the string.
#[rustfmt::skip]
static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Decodes one bit at a time, as the standard says it.
    struct BitByBit {
        /// From a code's length and its bits to its symbol.
        symbols: BTreeMap<(u8, u32), usize>,
    }

    impl BitByBit {
        fn new() -> Self {
            let symbols = (0..LENGTHS.len()).map(|symbol| ((LENGTHS[symbol], CODES[symbol]), symbol)).collect();
            Self { symbols }
        }

        fn decode(&self, input: &[u8]) -> Result<Vec<u8>, DecodeError> {
            let mut out = Vec::new();
            let (mut code, mut length) = (0u32, 0u8);
            for position in 0..input.len() * 8 {
                code = code << 1 | u32::from(input[position / 8] >> (7 - position % 8) & 1);
                length += 1;
                if let Some(&symbol) = self.symbols.get(&(length, code)) {
                    out.push(u8::try_from(symbol).map_err(|_| DecodeError::HuffmanEndOfString)?);
                    (code, length) = (0, 0);
                }
            }
            if length >= 8 || code != (1 << length) - 1 {
                return Err(DecodeError::HuffmanPadding);
            }
            Ok(out)
        }
    }

    /// A few lines of the table in Appendix B, of all lengths; the first and the last of it.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        for (symbol, code, length) in [
            (0, 0x1ff8, 13),
            (1, 0x7f_ffd8, 23),
            (9, 0xff_ffea, 24),
            (10, 0x3fff_fffc, 30),
            (32, 0x14, 6),
            (b'#'.into(), 0xffa, 12),
            (b'+'.into(), 0x7fb, 11),
            (b'0'.into(), 0, 5),
            (b'A'.into(), 0x21, 6),
            (b'X'.into(), 0xfc, 8),
            (b'\\'.into(), 0x7_fff0, 19),
            (b'^'.into(), 0x3ffc, 14),
            (b'`'.into(), 0x7ffd, 15),
            (b'z'.into(), 0x7b, 7),
            (127, 0xfff_fffc, 28),
            (128, 0xf_ffe6, 20),
            (199, 0x1ff_ffec, 25),
            (203, 0x7ff_ffde, 27),
            (255, 0x3ff_ffee, 26),
            (256, 0x3fff_ffff, 30),
        ] {
            assert_eq!((CODES[symbol], LENGTHS[symbol]), (code, length), "{symbol}");
        }
    }

    #[test]
    fn every_symbol_comes_through_at_every_place() {
        let bit_by_bit = BitByBit::new();
        for symbol in 0..=255 {
            for before in 0..16 {
                let mut text = vec![b'0'; before];
                text.extend_from_slice(&[symbol, b'x', symbol, symbol]);
                let mut code = Vec::new();
                encode(&text, &mut code);
                assert_eq!(code.len(), encoded_len(&text));
                let mut decoded = b"kept".to_vec();
                decode(&code, &mut decoded).unwrap();
                assert_eq!(decoded.strip_prefix(b"kept"), Some(&text[..]));
                assert_eq!(bit_by_bit.decode(&code).unwrap(), text);
            }
        }
    }

    #[test]
    fn any_bytes_mean_the_same_as_bit_by_bit() {
        let bit_by_bit = BitByBit::new();
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize
        };
        let mut good = 0;
        for round in 0..4_000 {
            // Many ones lead to the long codes, many zeros to the short ones.
            let input: Vec<u8> = (0..random() % 24)
                .map(|_| match (round % 3, random() % 4) {
                    (0, 0..=2) => 0xff,
                    (1, 0) => 0x00,
                    _ => random() as u8,
                })
                .collect();
            let mut decoded = Vec::new();
            let result = decode(&input, &mut decoded).map(|()| decoded);
            good += usize::from(result.is_ok());
            assert_eq!(result, bit_by_bit.decode(&input), "{input:x?}");
        }
        assert!((200..3_800).contains(&good), "{good}");
    }
}
