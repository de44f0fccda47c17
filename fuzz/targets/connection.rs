//! Random programs on two connections over a simulated link, against the reference model.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polywire_sim::{Program, calls, wire};

fuzz_target!(|bytes: &[u8]| {
    let program = Program::from_bytes(bytes);
    for play in [wire::play, calls::play] {
        if let Err(fault) = play(&program) {
            panic!("{fault}\n{program}");
        }
    }
});
