//! Peers that say anything, by seed.

use polywire_sim::draw::Dice;
use polywire_sim::hostile;

#[test]
fn no_bytes_break_a_connection() {
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let len = dice.below(200) as usize;
        let bytes = frames(&mut dice, len);
        if let Err(fault) = hostile::frames(&bytes) {
            panic!("seed {seed}: {fault}");
        }
    }
}

#[test]
fn no_headers_break_a_call() {
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let len = dice.below(120) as usize;
        if let Err(fault) = hostile::grpc_headers(&dice.bytes(len)) {
            panic!("seed {seed}: {fault}");
        }
    }
}

/// Frames with good heads and random insides: noise alone ends at its first frame.
fn frames(dice: &mut Dice, len: usize) -> Vec<u8> {
    let mut bytes = dice.bytes(2);
    while bytes.len() < len {
        let payload = dice.below(24) as usize;
        let kind = dice.below(11) as u8;
        let id = dice.below(9) as u8;
        bytes.extend([0, 0, payload as u8, kind, dice.roll() as u8 & 0x2d, 0, 0, 0, id]);
        let mut insides = dice.bytes(payload);
        if dice.below(2) == 0 {
            // POST, http, /: the static table makes a good request.
            let good = payload.min(3);
            insides[..good].copy_from_slice(&[0x83, 0x86, 0x84][..good]);
        }
        bytes.extend(insides);
    }
    bytes
}
