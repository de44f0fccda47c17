//! Native peers that say anything, by seed.

use polywire_sim::draw::Dice;
use polywire_sim::native;

#[test]
fn no_bytes_break_a_native_connection() {
    for seed in 0..6_000 {
        let mut dice = Dice::new(seed);
        let len = dice.below(200) as usize;
        let bytes = frames(&mut dice, len);
        if let Err(fault) = native::frames(&bytes) {
            panic!("seed {seed}: {fault}");
        }
    }
}

#[test]
fn no_change_on_the_way_breaks_a_native_conversation() {
    for seed in 0..6_000 {
        let mut dice = Dice::new(seed);
        let len = 3 + dice.below(40) as usize;
        let mut bytes = dice.bytes(len);
        if seed % 8 == 0 {
            bytes.truncate(3);
        }
        if let Err(fault) = native::mutated(&bytes) {
            panic!("seed {seed}: {fault}");
        }
    }
}

/// Frames with good heads and random insides: noise alone ends at its first frame.
fn frames(dice: &mut Dice, len: usize) -> Vec<u8> {
    let mut bytes = dice.bytes(2);
    while bytes.len() < len {
        let payload = dice.below(16) as usize;
        let kind = dice.below(12) as u8;
        let flags = if dice.below(2) == 0 { 0x10 } else { dice.roll() as u8 & 0xf0 };
        let mut insides = dice.bytes(payload);
        if let Some(first) = insides.first_mut()
            && dice.below(4) != 0
        {
            *first = 2; // the method that is known, or a small number
        }
        bytes.extend([kind | flags, dice.below(6) as u8, payload as u8]);
        bytes.extend(insides);
    }
    bytes
}
