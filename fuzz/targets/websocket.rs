//! Raw bytes into a WebSocket, at once and in pieces, server and client; and as what its handshake offers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(fault) = polywire_sim::websocket::frames(bytes).and_then(|()| polywire_sim::websocket::offers(bytes)) {
        panic!("{fault}");
    }
});
