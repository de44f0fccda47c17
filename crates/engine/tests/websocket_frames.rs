//! WebSocket's frames and messages (RFC 6455 §5 to §8), in the order of Autobahn's sections and without Autobahn.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use polywire_engine::{
    Limits, Transmit,
    wire::{
        ConnectionError, LimitExceeded, PeerMisbehaved, Role, TimedOut,
        websocket::{Incoming, Messages, Violation},
    },
};

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const LAST: u8 = 0x80;

/// One side under test, and what it said.
struct Side {
    messages: Messages,
    now: Instant,
    incoming: Vec<Incoming>,
    /// Frames it sent: first byte and payload.
    sent: Vec<(u8, Vec<u8>)>,
    bytes: Vec<u8>,
}

impl Side {
    fn new(role: Role) -> Self {
        Self::with(role, Limits::default())
    }

    #[allow(clippy::disallowed_methods)] // one base for all times
    fn with(role: Role, limits: Limits) -> Self {
        let now = Instant::now();
        let messages = Messages::new(role, &Arc::new(limits), Bytes::new(), now, 7);
        Self { messages, now, incoming: Vec::new(), sent: Vec::new(), bytes: Vec::new() }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.messages.handle_bytes(self.now, Bytes::copy_from_slice(bytes));
        self.run();
    }

    fn run(&mut self) {
        let mut out = Transmit::default();
        loop {
            while let Some(incoming) = self.messages.poll() {
                self.incoming.push(incoming);
            }
            if !self.messages.poll_transmit(self.now, &mut out) {
                break;
            }
            self.bytes.extend(out.chunks().flatten());
            out.clear();
        }
        while let Some((frame, len)) = parse(&self.bytes, self.messages.role() == Role::Client) {
            self.sent.push(frame);
            self.bytes.drain(..len);
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.messages.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.messages.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    fn error(&self) -> Option<ConnectionError> {
        match self.incoming.last() {
            Some(Incoming::Closed { error }) => *error,
            other => panic!("not closed: {other:?}"),
        }
    }

    /// Asserts that it failed by this rule and said this code.
    fn failed(&self, violation: Violation, code: u16) {
        assert_eq!(self.error(), Some(ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(violation))));
        let (first, payload) = self.sent.last().unwrap();
        assert_eq!(*first, LAST | CLOSE);
        assert_eq!(payload[..2], code.to_be_bytes(), "{payload:?}");
    }
}

/// The frame at the beginning of `bytes`, and how long it is.
fn parse(bytes: &[u8], masked: bool) -> Option<((u8, Vec<u8>), usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80 != 0, masked, "clients mask and servers do not");
    let (len, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes[2..4].try_into().unwrap())), 4),
        127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
        len => (usize::from(len), 2),
    };
    let mut mask = [0; 4];
    if masked {
        mask.copy_from_slice(&bytes[at..at + 4]);
        at += 4;
    }
    let payload = bytes.get(at..at + len)?;
    Some(((first, payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect()), at + len))
}

fn head(first: u8, masked: bool, len: usize) -> Vec<u8> {
    let mut head = vec![first];
    let bit = if masked { 0x80 } else { 0 };
    match len {
        0..126 => head.push(bit | len as u8),
        126..65_536 => {
            head.push(bit | 126);
            head.extend((len as u16).to_be_bytes());
        }
        _ => {
            head.push(bit | 127);
            head.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        head.extend(MASK);
    }
    head
}

/// As a client writes it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, true, payload.len());
    frame.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ MASK[i % 4]));
    frame
}

/// As a server writes it.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    [head(first, false, payload.len()), payload.to_vec()].concat()
}

fn text(words: &str) -> Incoming {
    Incoming::Text(Bytes::copy_from_slice(words.as_bytes()))
}

fn close(code: u16, words: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], words].concat()
}

// Framing

#[test]
fn messages_of_every_length_come_through_however_they_are_cut() {
    for len in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        for (role, bytes) in
            [(Role::Server, masked(LAST | BINARY, &payload)), (Role::Client, plain(LAST | BINARY, &payload))]
        {
            for size in [1, 2, 3, 7, 997, usize::MAX] {
                if size < 7 && len > 1_000 {
                    continue;
                }
                let mut side = Side::new(role);
                for piece in bytes.chunks(size.min(bytes.len())) {
                    side.receive(piece);
                }
                assert_eq!(
                    side.incoming,
                    [Incoming::Binary(payload.clone().into())],
                    "{len} bytes in pieces of {size}"
                );
            }
        }
    }
}

#[test]
fn what_is_sent_has_the_shortest_length_and_a_clients_is_masked_anew_each_time() {
    for len in [0, 125, 126, 65_535, 65_536] {
        let payload = vec![b'x'; len];
        let mut server = Side::new(Role::Server);
        server.messages.send_text(payload.clone().into());
        server.messages.send_binary(payload.clone().into());
        let mut out = Transmit::default();
        server.messages.poll_transmit(server.now, &mut out);
        let bytes: Vec<u8> = out.chunks().flatten().copied().collect();
        assert_eq!(bytes, [plain(LAST | TEXT, &payload), plain(LAST | BINARY, &payload)].concat());
    }
    let mut client = Side::new(Role::Client);
    client.messages.send_text(Bytes::from_static(b"one"));
    client.messages.send_text(Bytes::from_static(b"one"));
    let mut out = Transmit::default();
    client.messages.poll_transmit(client.now, &mut out);
    let bytes: Vec<u8> = out.chunks().flatten().copied().collect();
    assert_ne!(bytes[2..6], bytes[11..15]);
    client.bytes = bytes;
    client.run();
    assert_eq!(client.sent, [(LAST | TEXT, b"one".to_vec()), (LAST | TEXT, b"one".to_vec())]);
}

#[test]
fn a_message_in_a_transmit_is_one_frame_on_either_side() {
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role);
        let mut content = Transmit::default();
        content.put(b"head");
        content.put_payload(Bytes::from(vec![7; 5_000]));
        content.put(b"tail");
        side.messages.send_transmit(&mut content);
        assert!(content.is_empty());
        side.run();
        assert_eq!(side.sent, [(LAST | BINARY, [&b"head"[..], &[7; 5_000], b"tail"].concat())]);
    }
}

#[test]
fn a_length_longer_than_needed_is_refused() {
    for head in
        [&[0x82, 0xfe, 0, 5][..], &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 200], &[0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]]
    {
        let mut side = Side::new(Role::Server);
        side.receive(&[head, &MASK, b"12345"].concat());
        side.failed(Violation::Length, 1002);
    }
}

#[test]
fn a_client_must_mask_and_a_server_must_not() {
    let mut server = Side::new(Role::Server);
    server.receive(&plain(LAST | TEXT, b"bare"));
    server.failed(Violation::Masking, 1002);
    let mut client = Side::new(Role::Client);
    client.receive(&masked(LAST | TEXT, b"hidden"));
    client.failed(Violation::Masking, 1002);
}

// Pings and pongs

#[test]
fn a_ping_is_answered_with_its_own_words_also_inside_a_message() {
    let mut side = Side::new(Role::Server);
    let bytes = [masked(TEXT, b"a"), masked(LAST | PING, &[9; 125]), masked(LAST | CONTINUATION, b"b")].concat();
    side.receive(&bytes);
    assert_eq!(side.sent, [(LAST | PONG, vec![9; 125])]);
    assert_eq!(side.incoming, [text("ab")]);
    side.receive(&masked(LAST | PONG, b"nobody asked"));
    assert_eq!(side.sent.len(), 1);
}

#[test]
fn of_many_pings_that_cannot_be_answered_the_last_is() {
    let mut side = Side::new(Role::Server);
    for i in 0..1_000_u16 {
        side.messages.handle_bytes(side.now, masked(LAST | PING, &[&i.to_be_bytes()[..], &[0; 100]].concat()).into());
        assert!(side.messages.poll().is_none());
    }
    side.run();
    assert!(side.sent.len() < 400);
    assert_eq!(side.sent.last().unwrap().1[..2], 999_u16.to_be_bytes());
}

#[test]
fn a_control_frame_is_short_and_whole() {
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | PING, &[0; 126]));
    side.failed(Violation::ControlTooLong, 1002);
    let mut side = Side::new(Role::Server);
    side.receive(&masked(PING, b"half"));
    side.failed(Violation::ControlFragmented, 1002);
}

#[test]
fn too_many_pings_end_the_connection() {
    let mut side = Side::new(Role::Server);
    let pings = masked(LAST | PING, b"").repeat(3_000);
    side.receive(&pings);
    assert_eq!(side.error(), Some(ConnectionError::LimitExceeded(LimitExceeded::IdleFrames)));
    assert_eq!(side.sent.last().unwrap().1[..2], 1008_u16.to_be_bytes());
}

// Reserved bits and opcodes

#[test]
fn a_reserved_bit_ends_the_connection() {
    for bits in [0x10, 0x20, 0x40, 0x70] {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            let mut side = Side::new(Role::Server);
            side.receive(&masked(LAST | bits | opcode, b""));
            side.failed(Violation::ReservedBits, 1002);
        }
    }
}

#[test]
fn an_undefined_opcode_ends_the_connection() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for len in [0, 5, 200] {
            let mut side = Side::new(Role::Server);
            side.receive(&masked(LAST | TEXT, b"before"));
            side.receive(&masked(LAST | opcode, &vec![0; len]));
            side.failed(Violation::Opcode, 1002);
            assert_eq!(side.incoming[0], text("before"));
            side.receive(&masked(LAST | CLOSE, &close(1002, b"")));
            assert!(side.messages.is_closed(), "the frames behind it can still be read");
        }
    }
}

// Fragmentation

#[test]
fn parts_make_one_message() {
    let mut side = Side::new(Role::Server);
    side.receive(&[masked(BINARY, b"a"), masked(CONTINUATION, b""), masked(LAST | CONTINUATION, b"b")].concat());
    side.receive(&[masked(TEXT, b""), masked(CONTINUATION, b""), masked(LAST | CONTINUATION, b"")].concat());
    assert_eq!(side.incoming, [Incoming::Binary(Bytes::from_static(b"ab")), text("")]);
}

#[test]
fn a_continuation_continues_something_and_nothing_else_stands_inside() {
    for first in [LAST | CONTINUATION, CONTINUATION] {
        let mut side = Side::new(Role::Server);
        side.receive(&masked(first, b"of what?"));
        side.failed(Violation::ContinuationUnexpected, 1002);
    }
    for first in [LAST | TEXT, BINARY] {
        let mut side = Side::new(Role::Server);
        side.receive(&[masked(TEXT, b"a"), masked(first, b"b")].concat());
        side.failed(Violation::ContinuationMissing, 1002);
    }
    let mut side = Side::new(Role::Server);
    side.receive(&[masked(TEXT, b"a"), masked(LAST | CONTINUATION, b"b"), masked(LAST | CONTINUATION, b"c")].concat());
    side.failed(Violation::ContinuationUnexpected, 1002);
}

#[test]
fn in_pieces_binary_messages_are_passed_on_as_they_come() {
    let mut side = Side::with(Role::Server, Limits { websocket_message_bytes_max: 10, ..Limits::default() });
    side.messages.pass_pieces();
    let bytes = [masked(BINARY, &[1; 50]), masked(LAST | CONTINUATION, &[2; 50])].concat();
    for piece in bytes.chunks(20) {
        side.receive(piece);
    }
    let seen: Vec<u8> = side
        .incoming
        .iter()
        .flat_map(|incoming| match incoming {
            Incoming::Binary(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, [[1; 50], [2; 50]].concat());
    assert!(side.incoming.len() > 2);
    assert_eq!(side.messages.heap_bytes(), 0);
}

// UTF-8

#[test]
fn text_may_be_cut_inside_a_character() {
    let words = "κόσμε \u{10ffff}".as_bytes();
    for at in 0..words.len() {
        let mut side = Side::new(Role::Server);
        side.receive(&[masked(TEXT, &words[..at]), masked(LAST | CONTINUATION, &words[at..])].concat());
        assert_eq!(side.incoming, [text("κόσμε \u{10ffff}")]);
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_before_its_end() {
    let mut side = Side::new(Role::Server);
    side.receive(&masked(TEXT, b"good \xff"));
    side.failed(Violation::Utf8, 1007);
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | TEXT, b"half \xe2\x82"));
    side.failed(Violation::Utf8, 1007);
    let mut side = Side::new(Role::Client);
    side.receive(&plain(LAST | TEXT, b"\xc0\xaf"));
    side.failed(Violation::Utf8, 1007);
    // Inside one frame, before all of it is here.
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | TEXT, &[&[0xff], &[b'a'; 1000][..]].concat())[..100]);
    side.failed(Violation::Utf8, 1007);
}

// Closing

#[test]
fn a_server_answers_a_close_and_is_done() {
    for code in [1000, 1001, 3000, 4999] {
        let mut side = Side::new(Role::Server);
        side.receive(&masked(LAST | CLOSE, &close(code, b"bye")));
        assert_eq!(side.sent, [(LAST | CLOSE, code.to_be_bytes().to_vec())]);
        assert_eq!(side.error().is_none(), code < 1002);
        assert!(side.messages.is_closed());
    }
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | CLOSE, b""));
    assert_eq!(side.sent, [(LAST | CLOSE, vec![])]);
    assert_eq!(side.error(), None);
}

#[test]
fn a_client_waits_for_the_server_to_end_the_transport_but_not_for_ever() {
    let mut side = Side::new(Role::Client);
    side.receive(&plain(LAST | CLOSE, &close(1000, b"")));
    assert_eq!(side.sent, [(LAST | CLOSE, close(1000, b""))]);
    assert!(!side.messages.is_closed());
    side.messages.handle_eof(side.now);
    assert!(side.messages.is_closed());
    assert_eq!(side.error(), None);

    let mut side = Side::new(Role::Client);
    side.receive(&plain(LAST | CLOSE, &close(1000, b"")));
    side.wait(Duration::from_secs(6));
    assert!(side.messages.is_closed());
}

#[test]
fn an_impossible_close_is_answered_with_1002() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let mut side = Side::new(Role::Server);
        side.receive(&masked(LAST | CLOSE, &close(code, b"")));
        side.failed(Violation::BadClose, 1002);
        assert!(side.messages.is_closed());
    }
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | CLOSE, b"x"));
    side.failed(Violation::BadClose, 1002);
    assert!(side.messages.is_closed());
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | CLOSE, &close(1000, b"\xff")));
    side.failed(Violation::Utf8, 1007);
}

#[test]
fn after_our_close_what_comes_is_passed_over_until_the_answer() {
    let mut side = Side::new(Role::Server);
    side.messages.close(side.now, 1001, "going away");
    side.run();
    assert_eq!(side.sent, [(LAST | CLOSE, close(1001, b"going away"))]);
    assert_eq!(side.error(), None);
    side.messages.send_text(Bytes::from_static(b"too late"));
    side.receive(&[masked(LAST | TEXT, b"late"), masked(LAST | PING, b"late")].concat());
    assert!(!side.messages.is_closed());
    side.receive(&masked(LAST | CLOSE, &close(1001, b"")));
    assert!(side.messages.is_closed());
    assert_eq!((side.sent.len(), side.incoming.len()), (1, 1));
}

#[test]
fn a_close_that_is_not_answered_ends_all_the_same() {
    let mut side = Side::new(Role::Server);
    side.messages.close(side.now, 1000, "");
    side.run();
    side.wait(Duration::from_secs(4));
    assert!(!side.messages.is_closed());
    side.wait(Duration::from_secs(2));
    assert!(side.messages.is_closed());
    assert_eq!(side.messages.poll_timeout(), None);
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut side = Side::new(Role::Server);
    side.messages.close(side.now, 1011, &"é".repeat(100));
    side.run();
    assert_eq!(side.sent, [(LAST | CLOSE, close(1011, "é".repeat(61).as_bytes()))]);
}

#[test]
fn the_end_of_the_transport_without_a_close_is_a_loss() {
    let mut side = Side::new(Role::Server);
    side.receive(&masked(TEXT, b"half"));
    side.messages.handle_eof(side.now);
    side.run();
    assert_eq!(side.error(), Some(ConnectionError::Lost));
    assert!(side.messages.is_closed());
}

// Limits

#[test]
fn a_message_above_the_limit_is_refused_at_its_head() {
    let limits = Limits { websocket_message_bytes_max: 1_000, ..Limits::default() };
    let mut side = Side::with(Role::Server, limits.clone());
    side.receive(&masked(LAST | TEXT, &[b'a'; 1_000]));
    assert_eq!(side.incoming.len(), 1);
    side.receive(&head(LAST | BINARY, true, 1_001));
    assert_eq!(side.error(), Some(ConnectionError::LimitExceeded(LimitExceeded::WebSocketMessage)));
    assert_eq!(side.sent.last().unwrap().1[..2], 1009_u16.to_be_bytes());
    // The peer goes on sending; then it reads our close and answers.
    side.receive(&[0; 1_001]);
    side.receive(&masked(LAST | CLOSE, &close(1009, b"")));
    assert!(side.messages.is_closed());

    let mut side = Side::with(Role::Server, limits);
    side.receive(&[masked(TEXT, &[b'a'; 600]), masked(CONTINUATION, &[b'a'; 600])].concat());
    assert_eq!(side.error(), Some(ConnectionError::LimitExceeded(LimitExceeded::WebSocketMessage)));
}

#[test]
fn an_announcement_costs_little_memory() {
    let mut side = Side::new(Role::Server);
    side.receive(&head(LAST | BINARY, true, 4 << 20));
    assert!(side.messages.heap_bytes() <= 64 << 10);
}

#[test]
fn endless_empty_parts_end_the_connection() {
    let mut side = Side::new(Role::Server);
    side.receive(&masked(TEXT, b""));
    side.receive(&masked(CONTINUATION, b"").repeat(3_000));
    assert_eq!(side.error(), Some(ConnectionError::LimitExceeded(LimitExceeded::IdleFrames)));
}

#[test]
fn a_quiet_connection_owns_little_also_after_large_messages() {
    let mut side = Side::new(Role::Server);
    side.receive(&masked(LAST | BINARY, &vec![0; 1 << 20]));
    let Some(Incoming::Binary(message)) = side.incoming.pop() else { panic!("a message") };
    side.messages.send_binary(message);
    side.run();
    assert!(side.messages.heap_bytes() <= 256, "{}", side.messages.heap_bytes());
    assert!(size_of::<Messages>() <= 512, "{}", size_of::<Messages>());
}

// Time

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let mut side = Side::new(Role::Server);
    side.wait(Duration::from_secs(29));
    assert!(side.sent.is_empty());
    side.wait(Duration::from_secs(2));
    assert_eq!(side.sent, [(LAST | PING, vec![])]);
    side.receive(&masked(LAST | PONG, b""));
    side.wait(Duration::from_secs(29));
    assert_eq!(side.sent.len(), 1);
    side.wait(Duration::from_secs(22));
    assert_eq!(side.error(), Some(ConnectionError::TimedOut(TimedOut::Keepalive)));
    assert!(side.messages.is_closed());
}

#[test]
fn a_transport_that_takes_nothing_is_given_up() {
    let mut side = Side::with(Role::Server, Limits { websocket_ping_interval: None, ..Limits::default() });
    side.messages.send_text(Bytes::from_static(b"hello"));
    let mut out = Transmit::default();
    assert!(side.messages.poll_transmit(side.now, &mut out));
    assert_eq!(side.messages.poll_timeout(), Some(side.now + Duration::from_secs(30)));
    side.messages.handle_progress(side.now + Duration::from_secs(20));
    side.now += Duration::from_secs(50);
    side.messages.handle_timeout(side.now);
    side.run();
    assert_eq!(side.error(), Some(ConnectionError::TimedOut(TimedOut::Write)));
}
