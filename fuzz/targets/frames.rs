//! Raw bytes into a server's and a client's HTTP/2 connection.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(fault) = polywire_sim::hostile::frames(bytes) {
        panic!("{fault}");
    }
});
