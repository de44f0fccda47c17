//! Arbitrary header lists into the call level, as requests and as responses.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(fault) = polywire_sim::hostile::grpc_headers(bytes) {
        panic!("{fault}");
    }
});
