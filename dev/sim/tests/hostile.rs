//! Peers that say anything, by seed.

use polywire_sim::draw::Dice;
use polywire_sim::{hostile, websocket};

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

#[test]
fn no_bytes_break_a_websocket() {
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let bytes = websocket_frames(&mut dice);
        if let Err(fault) = websocket::frames(&bytes) {
            panic!("seed {seed}: {fault}");
        }
    }
}

#[test]
fn no_offer_of_extensions_breaks_a_handshake() {
    let words = [
        "permessage-deflate",
        ";",
        ",",
        "=",
        "\"",
        " ",
        "10",
        "15",
        "server_no_context_takeover",
        "x",
        "\n",
        "client_no_context_takeover",
        "server_max_window_bits=9",
        "client_max_window_bits",
        "\\",
        "; ",
        ", ",
    ];
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let offers: String = (0..dice.below(12)).map(|_| words[dice.below(words.len() as u64) as usize]).collect();
        if let Err(fault) = websocket::offers(offers.as_bytes()) {
            panic!("seed {seed}: {fault}");
        }
    }
}

#[test]
fn no_text_breaks_the_text_form() {
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let len = dice.below(400) as usize;
        if let Err(fault) = websocket::json_text(&dice.bytes(len)) {
            panic!("seed {seed}: {fault}");
        }
    }
}

/// Frames that are mostly good, in one direction or the other.
fn websocket_frames(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.bytes(2);
    let masked = if bytes[0] & 1 == 0 { 0x80 } else { 0 };
    for _ in 0..dice.below(12) {
        let first = match dice.below(20) {
            0 => dice.roll() as u8,
            _ => [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88, 0xc1, 0xc2, 0x42][dice.below(12) as usize],
        };
        let payload = match dice.below(8) {
            0 => dice.bytes(2),
            1 => vec![b'a'; 300],
            2 => [&1000_u16.to_be_bytes()[..], b"bye"].concat(),
            _ => "κόσμε".as_bytes()[..dice.below(11) as usize].to_vec(),
        };
        bytes.push(first);
        match payload.len() {
            len @ 0..126 => bytes.push(masked | len as u8),
            len => bytes.extend([masked | 126, (len >> 8) as u8, len as u8]),
        }
        if masked != 0 {
            bytes.extend([0; 4]);
        }
        bytes.extend(payload);
    }
    bytes
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
