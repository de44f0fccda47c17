//! Raw bytes into a server's and a client's HTTP/1.1 connection, whole and cut, and conversations of two engines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polywire_sim::http1;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let played = if choice & 7 == 7 { http1::converse(bytes).map(drop) } else { http1::hostile(bytes) };
    if let Err(fault) = played {
        panic!("{fault}");
    }
});
