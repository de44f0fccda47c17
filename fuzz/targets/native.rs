//! Native frames: raw bytes to either side, and a conversation whose bytes are changed on the way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polywire_sim::native;

fuzz_target!(|bytes: &[u8]| {
    for play in [native::frames, native::mutated] {
        if let Err(fault) = play(bytes) {
            panic!("{fault}");
        }
    }
});
