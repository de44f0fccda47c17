//! A small hash for field names and values. It need not resist an attacker: who chooses the fields of our own
//! messages gains at most a walk along one bounded chain.

/// Hashes bytes, eight at a time. Also evaluated by the compiler, for the static table.
#[inline]
pub(super) const fn hash(bytes: &[u8]) -> u64 {
    let mut state = SEED ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        state = mix(state ^ u64::from_le_bytes(*chunk));
        rest = after;
    }
    mix(state ^ word(rest))
}

/// Joins the hash of a name and that of a value.
#[inline]
pub(super) const fn join(name: u64, value: u64) -> u64 {
    mix(name ^ value.rotate_left(32))
}

/// The first eight bytes as a number; distinct for distinct slices of one length up to eight.
#[inline]
pub(super) const fn word(bytes: &[u8]) -> u64 {
    if let Some(chunk) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*chunk);
    }
    if let (Some(low), Some(high)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u32::from_le_bytes(*low) as u64 | (u32::from_le_bytes(*high) as u64) << 32;
    }
    match bytes {
        [] => 0,
        [a] => *a as u64,
        [a, b] => u16::from_le_bytes([*a, *b]) as u64,
        [a, b, c, ..] => u32::from_le_bytes([*a, *b, *c, 0]) as u64,
    }
}

/// Multiplies to 128 bits and folds the halves, so that every bit reaches every other.
#[inline]
const fn mix(value: u64) -> u64 {
    let product = (value ^ SEED) as u128 * MULTIPLIER as u128;
    product as u64 ^ (product >> 64) as u64
}

const SEED: u64 = 0x243f_6a88_85a3_08d3;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
