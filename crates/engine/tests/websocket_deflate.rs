//! Compressed messages of a WebSocket: permessage-deflate (RFC 7692), with a real deflate.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};
use polywire_engine::{
    Limits, Transmit,
    limits::Rate,
    wire::{
        ConnectionError, Headers, LimitExceeded, PeerMisbehaved, Role,
        websocket::{
            Deflate, Incoming, MessageCompression, MessageFault, Messages, Violation,
            handshake::{Policy, Request, accept},
        },
    },
};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const LAST: u8 = 0x80;
const RSV1: u8 = 0x40;

/// As short as it can be said.
#[derive(Debug)]
struct Flate;

impl MessageCompression for Flate {
    fn compress(&self, parts: &[&[u8]], window_bits: u8, out: &mut Vec<u8>) -> bool {
        let message = parts.concat();
        let mut encoder = Compress::new_with_window_bits(Level::default(), false, window_bits);
        out.reserve(message.len() + 100);
        encoder.compress_vec(&message, out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        true
    }

    fn decompress(&self, compressed: &[u8], bytes_max: usize) -> Result<Bytes, MessageFault> {
        let mut rest = [compressed, &[0, 0, 0xff, 0xff]].concat();
        let mut out = Vec::new();
        loop {
            let mut decoder = Decompress::new(false);
            let mut piece = Vec::with_capacity(bytes_max - out.len() + 1);
            let status = decoder.decompress_vec(&rest, &mut piece, FlushDecompress::Sync);
            let status = status.map_err(|_| MessageFault::Malformed)?;
            out.extend(piece);
            if out.len() > bytes_max {
                return Err(MessageFault::TooLong);
            }
            rest.drain(..decoder.total_in() as usize);
            if status != Status::StreamEnd {
                return Ok(out.into());
            }
        }
    }
}

/// One side under test, and what it said.
struct Side {
    messages: Messages,
    now: Instant,
    incoming: Vec<Incoming>,
    /// Frames it sent: first byte and payload.
    sent: Vec<(u8, Vec<u8>)>,
}

impl Side {
    fn new(role: Role) -> Self {
        Self::with(role, Limits::default(), Some(Deflate::default()))
    }

    #[allow(clippy::disallowed_methods)] // one base for all times
    fn with(role: Role, limits: Limits, agreed: Option<Deflate>) -> Self {
        let now = Instant::now();
        let mut messages = Messages::new(role, &Arc::new(limits), Bytes::new(), now, 7);
        if let Some(agreed) = agreed {
            messages.deflate(agreed, &Flate);
        }
        Self { messages, now, incoming: Vec::new(), sent: Vec::new() }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.messages.handle_bytes(self.now, Bytes::copy_from_slice(bytes));
        self.run();
    }

    fn run(&mut self) {
        let mut out = Transmit::default();
        while let Some(incoming) = self.messages.poll() {
            self.incoming.push(incoming);
        }
        while self.messages.poll_transmit(self.now, &mut out) {}
        let mut bytes: Vec<u8> = out.chunks().flatten().copied().collect();
        while !bytes.is_empty() {
            let (frame, len) = parse(&bytes);
            self.sent.push(frame);
            bytes.drain(..len);
        }
    }

    /// Asserts that it failed for this reason and said this code.
    fn failed(&self, error: impl Into<ConnectionError>, code: u16) {
        assert_eq!(self.incoming.last(), Some(&Incoming::Closed { error: Some(error.into()) }));
        let (first, payload) = self.sent.last().unwrap();
        assert_eq!((*first, &payload[..2]), (LAST | CLOSE, &code.to_be_bytes()[..]));
        assert_eq!(self.messages.heap_bytes(), 0);
    }
}

fn violated(violation: Violation) -> ConnectionError {
    ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(violation))
}

fn parse(bytes: &[u8]) -> ((u8, Vec<u8>), usize) {
    let (len, mut at) = match bytes[1] & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes[2..4].try_into().unwrap())), 4),
        127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
        len => (usize::from(len), 2),
    };
    let mut mask = [0; 4];
    if bytes[1] & 0x80 != 0 {
        mask.copy_from_slice(&bytes[at..at + 4]);
        at += 4;
    }
    let payload = bytes[at..at + len].iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
    ((bytes[0], payload), at + len)
}

/// As the peer of a side in this role writes it; a client's mask changes nothing.
fn frame(to: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let bit = if to == Role::Server { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(bit | len as u8),
        len @ 126..65_536 => {
            frame.push(bit | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(bit | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    if to == Role::Server {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(Flate.compress(&[message], 15, &mut out));
    out
}

fn text(words: &str) -> Incoming {
    Incoming::Text(Bytes::copy_from_slice(words.as_bytes()))
}

fn wordy(len: usize) -> String {
    "a message of the same few words. ".repeat(len / 33 + 1)[..len].to_owned()
}

// The handshake

fn asked(offers: &[&str]) -> Headers {
    let mut request = Request::http1("http", "localhost", "/", None, [7; 16]).headers;
    for offer in offers {
        request.push("sec-websocket-extensions", offer);
    }
    request
}

/// What a server says to these offers, and the window it keeps to.
fn answered(offers: &[&str]) -> Option<(String, u8)> {
    let accepted = accept(&asked(offers), &Policy { deflate: true, ..Policy::default() }).unwrap();
    let words =
        accepted.headers.find("sec-websocket-extensions").map(|words| String::from_utf8(words.to_vec()).unwrap());
    assert_eq!(words.is_some(), accepted.deflate.is_some());
    words.zip(accepted.deflate.map(|agreed| agreed.window_bits))
}

#[test]
fn an_offer_is_accepted_without_any_context_and_with_the_window_it_asks_for() {
    let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for offer in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; client_max_window_bits=\"10\"",
        "permessage-deflate;server_no_context_takeover",
        "permessage-deflate ; client_no_context_takeover ; server_no_context_takeover;client_max_window_bits = 15",
        "\tpermessage-deflate\t",
        ", ,permessage-deflate,",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-bzip2; a=\"b\"; c, permessage-deflate; client_max_window_bits",
    ] {
        assert_eq!(answered(&[offer]), Some((plain.into(), 15)), "{offer}");
    }
    for bits in 9..=15 {
        let words = format!("{plain}; server_max_window_bits={bits}");
        for offer in [
            format!("permessage-deflate; server_max_window_bits={bits}"),
            format!("permessage-deflate; server_max_window_bits=\"{bits}\"; client_max_window_bits"),
        ] {
            assert_eq!(answered(&[&offer]), Some((words.clone(), bits)), "{offer}");
        }
    }
}

#[test]
fn what_the_standard_does_not_know_declines_an_offer_and_the_next_one_is_tried() {
    for offer in [
        "",
        "permessage-bzip2",
        "Permessage-Deflate",
        "permessage-deflate; x",
        "permessage-deflate; x=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits; \
         server_max_window_bits=10; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=15",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=265",
        "permessage-deflate; server_max_window_bits=ten",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        // Nothing here compresses with the smallest window.
        "permessage-deflate; server_max_window_bits=8",
    ] {
        assert_eq!(answered(&[offer]), None, "{offer}");
        let second = format!("{offer}, permessage-deflate; server_max_window_bits=11, permessage-deflate");
        assert_eq!(answered(&[&second]).map(|(_, bits)| bits), Some(11), "{second}");
        assert_eq!(answered(&[offer, "permessage-deflate"]).map(|(_, bits)| bits), Some(15), "{offer} in two fields");
    }
}

#[test]
fn a_field_that_breaks_the_grammar_ends_the_handshake() {
    for offer in [
        ";",
        "permessage-deflate;",
        "permessage-deflate; =",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"10\\",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"1 0\"",
        "permessage-deflate server_max_window_bits=10",
        "permessage-deflate, \u{e9}",
        "\"permessage-deflate\"",
    ] {
        let refused = accept(&asked(&[offer]), &Policy { deflate: true, ..Policy::default() }).unwrap_err();
        assert_eq!(refused.headers.find(":status").unwrap(), b"400", "{offer}");
        // Who has no extensions does not look.
        assert!(accept(&asked(&[offer]), &Policy::default()).is_ok(), "{offer}");
    }
}

#[test]
fn without_being_told_to_nobody_offers_or_accepts() {
    let accepted = accept(&asked(&["permessage-deflate"]), &Policy::default()).unwrap();
    assert_eq!((accepted.deflate, accepted.headers.find("sec-websocket-extensions")), (None, None));
    assert_eq!(asked(&[]).find("sec-websocket-extensions"), None);
    // Who offers also takes a no.
    let request = Request::http1("http", "localhost", "/", None, [7; 16]).offering_deflate();
    let accepted = accept(&request.headers, &Policy::default()).unwrap();
    assert_eq!(request.check(&accepted.headers), Ok(None));
}

#[test]
fn a_client_and_a_server_agree_over_both_wires() {
    for request in [
        Request::http1("http", "localhost:8080", "/", None, [7; 16]).offering_deflate(),
        Request::http2("https", "localhost:8080", "/", None).offering_deflate(),
    ] {
        let accepted = accept(&request.headers, &Policy { deflate: true, ..Policy::default() }).unwrap();
        assert_eq!(accepted.deflate, Some(Deflate { window_bits: 15 }));
        assert_eq!(request.check(&accepted.headers), Ok(accepted.deflate));
    }
}

#[test]
fn a_client_takes_only_an_answer_to_its_offer() {
    let request = Request::http1("http", "localhost", "/", None, [7; 16]).offering_deflate();
    let bare = accept(&request.headers, &Policy::default()).unwrap().headers;
    let check = |words: &[&str]| {
        let mut answer = bare.clone();
        for words in words {
            answer.push("sec-websocket-extensions", words);
        }
        request.check(&answer)
    };
    for (words, window_bits) in [
        ("permessage-deflate; server_no_context_takeover", 15),
        ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", 15),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=9", 9),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=\"12\"", 12),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=8", 8),
        // §7.1.2.1: also unasked.
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=8", 15),
    ] {
        assert_eq!(check(&[words]), Ok(Some(Deflate { window_bits })), "{words}");
    }
    for words in [
        // §7.1.1.1: it was asked to keep none.
        "permessage-deflate",
        "permessage-deflate; client_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover; x",
        "permessage-deflate; server_no_context_takeover;",
        "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
        "permessage-bzip2",
    ] {
        assert!(check(&[words]).is_err(), "{words}");
    }
    let fine = "permessage-deflate; server_no_context_takeover";
    assert!(check(&[fine, fine]).is_err(), "twice");
}

// Receiving

#[test]
fn the_examples_of_the_standard_are_read() {
    // §7.2.3.1, .3, .4 and .5, each in one frame, then in two.
    for payload in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        for role in [Role::Server, Role::Client] {
            let mut side = Side::new(role);
            side.receive(&frame(role, LAST | RSV1 | TEXT, payload));
            side.receive(&frame(role, RSV1 | TEXT, &payload[..3]));
            side.receive(&frame(role, LAST | CONTINUATION, &payload[3..]));
            assert_eq!(side.incoming, [text("Hello"), text("Hello")]);
        }
    }
    // §7.2.3.2 goes on in the window of the message before, which was agreed not to be.
    let mut side = Side::new(Role::Server);
    side.receive(&frame(Role::Server, LAST | RSV1 | TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]));
    side.receive(&frame(Role::Server, LAST | RSV1 | TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00]));
    assert_eq!(side.incoming.len(), 2);
    side.failed(violated(Violation::BadDeflate), 1007);
    // §7.2.3.6: an empty message.
    let mut side = Side::new(Role::Server);
    side.receive(&frame(Role::Server, LAST | RSV1 | TEXT, &[0]));
    side.receive(&frame(Role::Server, LAST | RSV1 | BINARY, &[0]));
    assert_eq!(side.incoming, [text(""), Incoming::Binary(Bytes::new())]);
}

#[test]
fn compressed_messages_come_through_however_they_are_cut() {
    let message = wordy(100_000);
    let payload = compressed(message.as_bytes());
    for role in [Role::Server, Role::Client] {
        for fragment in [1, 7, 100, usize::MAX] {
            let pieces = payload.chunks(fragment.min(payload.len())).count();
            let mut bytes = Vec::new();
            for (i, piece) in payload.chunks(fragment.min(payload.len())).enumerate() {
                let first = if i == 0 { RSV1 | TEXT } else { CONTINUATION };
                bytes.extend(frame(role, if i + 1 == pieces { LAST | first } else { first }, piece));
                bytes.extend(frame(role, LAST | PING, b""));
            }
            for size in [1, 3, 1_000, usize::MAX] {
                let limits = Limits { idle_frames: Rate { burst: u32::MAX, per_second: 1 }, ..Limits::default() };
                let mut side = Side::with(role, limits, Some(Deflate::default()));
                for piece in bytes.chunks(size.min(bytes.len())) {
                    side.receive(piece);
                }
                assert_eq!(side.incoming, [text(&message)], "fragments of {fragment} in pieces of {size}");
                assert!(side.sent.iter().all(|(first, _)| *first == LAST | PONG));
                assert_eq!(side.messages.heap_bytes(), 0);
            }
        }
    }
}

#[test]
fn each_message_says_by_itself_whether_it_is_compressed() {
    for passes_pieces in [false, true] {
        let mut side = Side::new(Role::Client);
        if passes_pieces {
            side.messages.pass_pieces();
        }
        let message = wordy(300);
        for first in [RSV1 | BINARY, BINARY, RSV1 | BINARY] {
            let payload = if first & RSV1 == 0 { message.clone().into_bytes() } else { compressed(message.as_bytes()) };
            side.receive(&frame(Role::Client, first, &payload[..20]));
            side.receive(&frame(Role::Client, LAST | CONTINUATION, &payload[20..]));
        }
        side.receive(&frame(Role::Client, LAST | RSV1 | TEXT, &compressed(message.as_bytes())));
        side.receive(&frame(Role::Client, LAST | TEXT, message.as_bytes()));
        let binary = side.incoming.iter().filter_map(|incoming| match incoming {
            Incoming::Binary(bytes) => Some(&bytes[..]),
            _ => None,
        });
        let binary: Vec<&[u8]> = binary.collect();
        assert_eq!(binary.len(), if passes_pieces { 4 } else { 3 }, "compressed ones are whole");
        assert_eq!(binary.concat(), message.repeat(3).as_bytes());
        assert_eq!(side.incoming[binary.len()..], [text(&message), text(&message)]);
    }
}

#[test]
fn the_reserved_bit_stands_only_on_the_first_frame_of_a_data_message() {
    let reserved = violated(Violation::ReservedBits);
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for role in [Role::Server, Role::Client] {
        // On a continuation, of a compressed message too.
        for first in [BINARY, RSV1 | BINARY, RSV1 | TEXT] {
            let mut side = Side::new(role);
            side.receive(&frame(role, first, &hello[..3]));
            side.receive(&frame(role, LAST | RSV1 | CONTINUATION, &hello[3..]));
            side.failed(reserved, 1002);
        }
        for control in [PING, PONG, CLOSE] {
            let mut side = Side::new(role);
            side.receive(&frame(role, LAST | RSV1 | control, &[]));
            side.failed(reserved, 1002);
        }
        // The others have no meaning.
        for bits in [0x20, 0x10, 0x60, 0x50, 0x70] {
            let mut side = Side::new(role);
            side.receive(&frame(role, LAST | bits | TEXT, &hello));
            side.failed(reserved, 1002);
        }
        // Without having agreed there is none.
        let mut side = Side::with(role, Limits::default(), None);
        side.receive(&frame(role, LAST | RSV1 | TEXT, &hello));
        side.failed(reserved, 1002);
    }
}

#[test]
fn text_is_checked_after_decompression() {
    for bad in [&b"a\xff"[..], b"caf\xc3", b"\xed\xa0\x80"] {
        let mut side = Side::new(Role::Server);
        side.receive(&frame(Role::Server, LAST | RSV1 | TEXT, &compressed(bad)));
        side.failed(violated(Violation::Utf8), 1007);
        assert_eq!(side.incoming.len(), 1);
    }
    // Compressed bytes themselves are never text, and a character may be cut anywhere.
    let payload = compressed("κόσμε".as_bytes());
    assert!(std::str::from_utf8(&payload).is_err());
    let mut side = Side::new(Role::Server);
    side.receive(&frame(Role::Server, LAST | RSV1 | TEXT, &payload));
    side.receive(&frame(Role::Server, LAST | TEXT, "κόσμε".as_bytes()));
    assert_eq!(side.incoming, [text("κόσμε"), text("κόσμε")]);
}

#[test]
fn a_message_that_would_become_too_long_is_refused() {
    let too_long = ConnectionError::LimitExceeded(LimitExceeded::WebSocketMessage);
    let limits = Limits { websocket_message_bytes_max: 10_000, ..Limits::default() };
    for (len, refused) in [(10_000, false), (10_001, true), (50 << 20, true)] {
        let bomb = compressed(&vec![b'0'; len]);
        for passes_pieces in [false, true] {
            for first in [TEXT, BINARY] {
                let mut side = Side::with(Role::Server, limits.clone(), Some(Deflate::default()));
                if passes_pieces {
                    side.messages.pass_pieces();
                }
                side.receive(&frame(Role::Server, LAST | RSV1 | first, &bomb));
                if refused {
                    side.failed(too_long, 1009);
                }
                assert_eq!(side.incoming.len(), 1, "{len} bytes");
            }
        }
    }
    // Nor is more gathered than a message may have, also not in many frames, and of what carries native frames.
    let mut side = Side::with(Role::Server, limits, Some(Deflate::default()));
    side.messages.pass_pieces();
    side.receive(&frame(Role::Server, RSV1 | BINARY, &[0; 9_000]));
    assert!(side.messages.heap_bytes() < 20_000);
    side.receive(&frame(Role::Server, LAST | CONTINUATION, &[0; 1_001]));
    side.failed(too_long, 1009);
}

#[test]
fn what_is_no_deflate_ends_the_connection() {
    for bad in [&[0xff; 20][..], &[0x07]] {
        let mut side = Side::new(Role::Server);
        side.receive(&frame(Role::Server, LAST | RSV1 | BINARY, bad));
        side.failed(violated(Violation::BadDeflate), 1007);
    }
}

// Sending

#[test]
fn what_becomes_smaller_is_sent_compressed_in_one_frame() {
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role);
        let message = wordy(20_000);
        side.messages.send_text(message.clone().into());
        side.messages.send_binary(message.clone().into());
        let mut content = Transmit::default();
        content.put(b"head");
        content.put_payload(message.clone().into());
        side.messages.send_transmit(&mut content);
        assert!(content.is_empty());
        side.run();
        let firsts: Vec<u8> = side.sent.iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [LAST | RSV1 | TEXT, LAST | RSV1 | BINARY, LAST | RSV1 | BINARY]);
        for ((_, payload), whole) in side.sent.iter().zip([message.clone(), message.clone(), format!("head{message}")])
        {
            assert!(payload.len() < 500, "{}", payload.len());
            assert_eq!(Flate.decompress(payload, 100_000).unwrap(), whole);
        }
    }
}

#[test]
fn a_stream_of_bytes_is_compressed_in_messages_that_every_receiver_takes() {
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role);
        let limits = Limits { websocket_message_bytes_max: 64 * 1024, ..Limits::default() };
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let mut receiver = Side::with(peer, limits, Some(Deflate::default()));
        let bytes = wordy(300_000).into_bytes();
        let mut content = Transmit::default();
        content.put(&bytes[..10]);
        content.put_payload(Bytes::copy_from_slice(&bytes[10..200_000]));
        content.put_payload(Bytes::copy_from_slice(&bytes[200_000..]));
        side.messages.send_transmit(&mut content);
        assert!(content.is_empty());
        let mut out = Transmit::default();
        while side.messages.poll_transmit(side.now, &mut out) {}
        receiver.receive(&out.chunks().flatten().copied().collect::<Vec<_>>());
        let mut received = Vec::new();
        for incoming in &receiver.incoming {
            let Incoming::Binary(piece) = incoming else { panic!("{incoming:?}") };
            received.extend_from_slice(piece);
        }
        assert_eq!(receiver.incoming.len(), 5);
        assert!(received == bytes);
    }
}

#[test]
fn what_would_not_become_smaller_is_sent_as_it_is() {
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..5_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role);
        // Short, or compressed already.
        side.messages.send_text(Bytes::from(wordy(100)));
        side.messages.send_text(Bytes::new());
        side.messages.send_binary(noise.clone().into());
        let mut content = Transmit::default();
        content.put_payload(noise.clone().into());
        side.messages.send_transmit(&mut content);
        side.run();
        let plain = [
            (LAST | TEXT, wordy(100).into_bytes()),
            (LAST | TEXT, Vec::new()),
            (LAST | BINARY, noise.clone()),
            (LAST | BINARY, noise.clone()),
        ];
        assert_eq!(side.sent, plain);
    }
}

#[test]
fn a_control_frame_is_never_compressed() {
    let mut side = Side::new(Role::Server);
    side.receive(&frame(Role::Server, LAST | PING, &[b'x'; 125]));
    side.messages.close(side.now, 1000, &wordy(123));
    side.run();
    let firsts: Vec<u8> = side.sent.iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [LAST | PONG, LAST | CLOSE]);
}

#[test]
fn a_client_that_may_only_use_the_smallest_window_does_not_compress() {
    for (window_bits, first) in [(8, LAST | TEXT), (9, LAST | RSV1 | TEXT)] {
        let mut side = Side::with(Role::Client, Limits::default(), Some(Deflate { window_bits }));
        side.messages.send_text(Bytes::from(wordy(1_000)));
        side.receive(&frame(Role::Client, LAST | RSV1 | TEXT, &compressed(b"Hello")));
        assert_eq!(side.sent[0].0, first);
        assert_eq!(side.incoming, [text("Hello")]);
    }
}

#[test]
fn an_idle_side_keeps_nothing_of_what_it_compressed() {
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role);
        let message = wordy(1 << 20);
        side.messages.send_text(message.clone().into());
        side.receive(&frame(role, LAST | RSV1 | TEXT, &compressed(message.as_bytes())));
        assert_eq!((side.incoming.len(), side.sent.len()), (1, 1));
        assert_eq!((side.messages.heap_bytes(), side.messages.queued_bytes()), (0, 0));
    }
}
