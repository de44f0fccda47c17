//! Lines of text into the JSON text form.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(fault) = polywire_sim::websocket::json_text(bytes) {
        panic!("{fault}");
    }
});
