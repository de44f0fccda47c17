//! First bytes of a connection: what is said of them is said at once, and stays true whatever follows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polywire_engine::wire::detect::{BYTES_NEEDED, Detected, detect};

fuzz_target!(|bytes: &[u8]| {
    let mut said = Detected::More;
    for len in 0..=bytes.len() {
        let now = detect(&bytes[..len]);
        if said == Detected::More {
            assert!(now != Detected::More || len < BYTES_NEEDED);
            said = now;
        } else {
            assert_eq!(now, said);
        }
    }
});
