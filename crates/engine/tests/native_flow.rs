//! Windows both ways, turns among streams, and how much is held, on the native wire.

#[path = "support/native.rs"]
mod support;

use bytes::Bytes;
use polywire_core::{Code, Metadata, Status};
use polywire_engine::wire::native::NativeRule;
use polywire_engine::{Limits, Transmit, drain::Machine};
use support::*;

fn large() -> Limits {
    Limits { message_bytes_max: 64 << 20, gathered_bytes_max: 64 << 20, ..Limits::default() }
}

#[test]
fn a_message_waits_for_the_window_and_goes_on() {
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"q", true);
    let key = raw.side.key();
    let server = &mut raw.side.connection;
    server.send(key, message(&[7; 100_000]));
    server.finish(key, &Status::ok(), &Metadata::new(), &Metadata::new());
    let sent = |raw: &mut Raw| -> (usize, bool) {
        let frames = raw.frames();
        assert!(frames.iter().all(|frame| frame.payload.len() <= 16_384));
        let bytes = frames.iter().filter(|f| f.kind() == MESSAGE).map(|f| f.payload.len()).sum();
        (bytes, frames.iter().any(|f| f.kind() == END))
    };
    assert_eq!(sent(&mut raw), (65_536, false));
    assert_eq!(raw.side.connection.queued_bytes(key), 34_464);
    raw.window(1, 10_000);
    assert_eq!(sent(&mut raw), (0, false), "the connection's window is shut too");
    raw.window(0, 5_000);
    assert_eq!(sent(&mut raw), (5_000, false));
    raw.window(0, 1_000_000);
    assert_eq!(sent(&mut raw), (5_000, false));
    raw.window(1, 24_464);
    assert_eq!(sent(&mut raw), (24_464, true), "the end follows the last byte");
    assert_eq!(raw.side.connection.calls_open(), 0);
}

#[test]
fn the_parts_of_a_message_say_that_more_comes() {
    let mut raw = Raw::client(Limits::default());
    let key = raw.open(Some(message(&[7; 40_000])), true);
    let frames = raw.frames();
    let shapes: Vec<_> = frames.iter().map(|frame| (frame.first, frame.payload.len())).collect();
    assert_eq!(shapes[0].0, OPEN | FIELDS, "what is too long for one frame comes behind the call");
    assert_eq!(shapes[1..], [(MESSAGE | MORE, 16_384), (MESSAGE | MORE, 16_384), (MESSAGE | LAST, 7_232)]);
    assert_eq!(raw.side.connection.queued_bytes(key), 0);
}

#[test]
fn empty_messages_need_no_window() {
    let mut raw = Raw::client(Limits::default());
    let key = raw.open(Some(message(&[0; 65_536])), false);
    raw.frames();
    raw.side.connection.send(key, message(b""));
    raw.side.connection.send(key, message(b"x"));
    raw.side.connection.send(key, message(b""));
    assert_eq!(raw.frames(), [Frame::new(MESSAGE, 1, b"")]);
    raw.window(0, 1);
    raw.window(1, 1);
    assert_eq!(raw.frames(), [Frame::new(MESSAGE, 1, b"x"), Frame::new(MESSAGE, 1, b"")]);
}

#[test]
fn a_stalled_stream_does_not_stop_the_others() {
    let mut pair = Pair::connected();
    pair.client.consumes = false;
    let (stalled, theirs) = pair.open_both(Some(message(b"all")), true);
    for _ in 0..64 {
        pair.server.connection.send(theirs, message(&[1; 65_536]));
    }
    pair.run();
    let held: usize = pair.seen(stalled).messages.iter().map(|message| message.bytes.len()).sum();
    assert_eq!(held, 1 << 20, "one window");
    pair.server.echoes = true;
    for _ in 0..200 {
        let key = pair.open(Some(message(&[2; 30_000])), true);
        pair.run();
        assert_eq!(pair.seen(key).code(), Some(Code::Ok));
    }
    // The reader comes back, and all of it arrives.
    for _ in 0..10 {
        pair.client.connection.consumed_enveloped(stalled, 16 * (65_536 + 5));
        pair.run();
    }
    assert_eq!(pair.seen(stalled).messages.len(), 64);
}

#[test]
fn a_slow_reader_of_a_stream_stops_its_writer() {
    let mut pair = Pair::connected();
    pair.server.consumes = false;
    let (ours, theirs) = pair.open_both(None, false);
    for _ in 0..64 {
        pair.client.connection.send(ours, message(&[1; 32_768]));
        pair.run();
    }
    assert_eq!(pair.served(theirs).messages.len(), 32);
    assert!(pair.client.connection.queued_bytes(ours) > 1 << 20);
    assert_eq!(pair.seen(ours).writable, 0);
    for _ in 0..64 {
        pair.server.connection.consumed(theirs, 32_768);
        pair.run();
    }
    assert_eq!(pair.served(theirs).messages.len(), 64);
    assert_eq!((pair.client.connection.queued_bytes(ours), pair.seen(ours).writable), (0, 1));
}

#[test]
fn a_message_larger_than_every_window_arrives() {
    for (piece, bytes) in [(usize::MAX, 32 << 20), (10_000, 3 << 20)] {
        let mut pair = Pair::with(large(), large());
        pair.piece = piece;
        pair.server.echoes = true;
        let bytes: Vec<u8> = (0..bytes).map(|n: usize| (n % 251) as u8).collect();
        let key = pair.open(Some(message(&bytes)), true);
        pair.run();
        assert_eq!(pair.seen(key).code(), Some(Code::Ok));
        assert!(pair.seen(key).bytes() == [&bytes[..]]);
    }
}

#[test]
fn a_small_call_leaves_beside_a_large_message() {
    let mut pair = Pair::with(large(), large());
    pair.open(Some(message(b"names the method")), true);
    pair.run();
    pair.open(Some(message(&vec![1; 32 << 20])), true);
    // The large message fills what one write takes; then the small call comes.
    let mut out = Transmit::default();
    assert!(pair.client.connection.poll_transmit(pair.now, &mut out));
    let before = out.len();
    out.clear();
    pair.open(Some(message(&[0xab; 100])), true);
    assert!(pair.client.connection.poll_transmit(pair.now, &mut out));
    let bytes: Vec<u8> = out.chunks().flatten().copied().collect();
    let at = bytes.windows(100).position(|bytes| bytes == [0xab; 100]).unwrap();
    assert!(before <= 300 << 10, "one write: {before}");
    assert!(at <= 64, "the call goes in front of what is gathered next: {at}");
}

#[test]
fn streams_take_turns_frame_by_frame() {
    let mut raw = Raw::server(Limits::default());
    raw.window(0, 1 << 20);
    for number in [1, 2, 3] {
        raw.call(number, b"q", true);
    }
    raw.deaf = true;
    let keys: Vec<_> = raw.side.calls.iter().map(|seen| seen.key.unwrap()).collect();
    // Past what is written at once, everybody waits for a turn.
    raw.side.connection.send(keys[0], message(&[0; 65_536]));
    for key in &keys[1..] {
        raw.side.connection.send(*key, message(&[0; 49_152]));
    }
    raw.window(1, 65_536);
    raw.side.connection.send(keys[0], message(&[0; 49_152]));
    raw.deaf = false;
    let order: Vec<_> = raw.frames().iter().map(|frame| frame.number).collect();
    assert_eq!(order, [1, 1, 1, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn credit_comes_back_at_half_a_window() {
    let mut raw = Raw::server(Limits { connection_window_bytes: 65_536, window_bytes: 65_536, ..Limits::default() });
    raw.call(1, &[0; 16_000], false);
    raw.frame(MESSAGE, 1, &[0; 16_384]);
    assert_eq!(raw.frames(), []);
    raw.frame(MESSAGE, 1, &[0; 384]);
    let windows = raw.frames();
    assert_eq!(windows.len(), 2, "{windows:?}");
    for (frame, number) in windows.iter().zip([1, 0]) {
        assert_eq!((frame.kind(), frame.number), (WINDOW, number));
        assert_eq!(take_varint(&mut &frame.payload[..]), 32_768);
    }
}

#[test]
fn the_window_of_an_unread_call_comes_back_with_its_end() {
    let mut raw = Raw::server(Limits { connection_window_bytes: 65_536, buffered_bytes_max: 0, ..Limits::default() });
    raw.side.consumes = false;
    raw.call(1, &[0; 16_000], false);
    for _ in 0..2 {
        raw.frame(MESSAGE, 1, &[0; 16_384]);
    }
    assert_eq!(raw.frames(), [], "nobody has read");
    let key = raw.side.key();
    raw.side.connection.finish(key, &Status::ok(), &Metadata::new(), &Metadata::new());
    let windows: Vec<_> = raw.frames().into_iter().filter(|frame| frame.kind() == WINDOW).collect();
    assert_eq!(windows.len(), 1);
    assert_eq!(take_varint(&mut &windows[0].payload[..]), 48_768);
}

#[test]
fn what_comes_for_an_ended_call_gives_its_window_back() {
    let mut raw = Raw::server(Limits { connection_window_bytes: 65_536, ..Limits::default() });
    raw.call(1, b"", false);
    let key = raw.side.key();
    raw.side.connection.finish(key, &Status::ok(), &Metadata::new(), &Metadata::new());
    for _ in 0..20 {
        raw.frame(MESSAGE | MORE, 1, &[0; 16_384]);
    }
    raw.frame(MESSAGE, 1, b"");
    raw.frame(CANCEL, 1, b"");
    raw.frame(END, 1, b"");
    raw.window(1, 5);
    assert_eq!(raw.side.closed, None);
    let given: u64 = raw.frames().iter().filter(|f| f.kind() == WINDOW).map(|f| take_varint(&mut &f.payload[..])).sum();
    assert_eq!(given, 20 * 16_384);
    // The number is free for the next call.
    raw.call(1, b"next", true);
    assert_eq!(raw.side.last().bytes(), [b"next"]);
}

#[test]
fn a_client_that_left_gives_the_window_of_what_still_comes_back() {
    let mut raw = Raw::client(Limits { connection_window_bytes: 65_536, ..Limits::default() });
    let key = raw.open(Some(message(b"q")), true);
    raw.side.connection.cancel(key);
    for _ in 0..20 {
        raw.frame(MESSAGE | MORE, 1, &[0; 16_384]);
    }
    let given: u64 = raw.frames().iter().filter(|f| f.kind() == WINDOW).map(|f| take_varint(&mut &f.payload[..])).sum();
    assert_eq!(given, 20 * 16_384);
    raw.frame(END, 1, &field(7, &[1]));
    assert_eq!(raw.side.closed, None);
    assert_eq!(raw.side.last().ended, None, "no event follows a cancel");
}

#[test]
fn more_than_the_window_is_a_violation() {
    let mut raw = Raw::server(Limits { window_bytes: 65_536, ..Limits::default() });
    raw.side.consumes = false;
    raw.call(1, b"", false);
    for _ in 0..4 {
        raw.frame(MESSAGE, 1, &[0; 16_384]);
    }
    assert_eq!(raw.side.closed, None);
    raw.frame(MESSAGE, 1, &[0; 1]);
    assert_eq!(raw.side.misbehaved(), Some(NativeRule::WindowExceeded));
    // The connection's window, over several streams.
    let mut raw = Raw::server(Limits { connection_window_bytes: 65_536, buffered_bytes_max: 0, ..Limits::default() });
    raw.side.consumes = false;
    for number in 1..=4 {
        raw.call(number, &[0; 16_000], true);
    }
    assert_eq!(raw.side.closed, None);
    raw.call(5, &[0; 1_537], true);
    assert_eq!(raw.side.misbehaved(), Some(NativeRule::WindowExceeded));
}

#[test]
fn a_window_that_overflows_is_a_violation() {
    for number in [0, 1] {
        let mut raw = Raw::server(Limits::default());
        raw.call(1, b"", false);
        raw.window(number, (1 << 31) - 1 - 65_536);
        assert_eq!(raw.side.closed, None);
        raw.window(number, 1);
        assert_eq!(raw.side.misbehaved(), Some(NativeRule::WindowOverflow));
    }
}

#[test]
fn hello_opens_the_windows_of_calls_that_did_not_wait_for_it() {
    let mut pair = Pair::fresh(Limits::default(), Limits::default());
    let key = pair.open(Some(message(&[1; 200_000])), true);
    pair.run();
    assert_eq!(pair.server.last().bytes(), [&[1; 200_000][..]]);
    assert_eq!(pair.client.connection.queued_bytes(key), 0);
}

#[test]
fn messages_that_came_in_part_are_bounded_over_all_calls() {
    let limits = Limits { message_bytes_max: 1000, gathered_bytes_max: 3000, ..Limits::default() };
    let mut raw = Raw::server(limits);
    for number in 1..=4 {
        let reference = if number == 1 { defines(1, "a.B/C", &[7; 900]) } else { [&[2], &[7; 900][..]].concat() };
        raw.frame(CALL | MORE, number, &reference);
    }
    let cancelled: Vec<_> = raw.side.calls.iter().filter_map(|seen| seen.cancelled.as_ref()).collect();
    assert_eq!(cancelled.len(), 1);
    assert_eq!(cancelled[0].code(), Code::ResourceExhausted);
    // The others complete.
    for number in 1..=3 {
        raw.frame(MESSAGE | LAST, number, &[7; 100]);
    }
    let complete = raw.side.calls.iter().filter(|seen| seen.bytes() == [&[7; 1000][..]]).count();
    assert_eq!(complete, 3);
}

#[test]
fn a_message_above_the_limit_ends_its_call() {
    let limits = || Limits { message_bytes_max: 20_000, ..Limits::default() };
    let mut pair = Pair::with(limits(), limits());
    pair.server.echoes = true;
    for (bytes, code) in [(20_000, Code::Ok), (20_001, Code::ResourceExhausted), (1 << 20, Code::ResourceExhausted)] {
        let key = pair.open(Some(message(&vec![1; bytes])), true);
        pair.run();
        assert_eq!(pair.seen(key).code(), Some(code), "{bytes}");
    }
    // The other way.
    let (ours, theirs) = pair.open_both(Some(message(b"q")), false);
    pair.server.connection.send(theirs, message(&[1; 20_001]));
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::ResourceExhausted));
    assert_eq!(pair.served(theirs).cancelled.as_ref().map(Status::code), Some(Code::Cancelled));
    assert!(pair.client.closed.is_none() && pair.server.closed.is_none());
}

#[test]
fn messages_without_bytes_are_bounded_too() {
    let mut raw = Raw::server(Limits { buffered_frames_max: 100, ..Limits::default() });
    raw.side.consumes = false;
    raw.call(1, b"", false);
    for _ in 0..99 {
        raw.frame(MESSAGE, 1, b"");
    }
    assert_eq!(raw.side.closed, None);
    raw.frame(MESSAGE, 1, b"");
    assert_eq!(raw.go_away(), Some(2));
    // Who reads may get as many as it likes.
    let mut raw = Raw::server(Limits { buffered_frames_max: 100, ..Limits::default() });
    raw.call(1, b"", false);
    for _ in 0..10_000 {
        raw.frame(MESSAGE, 1, b"");
    }
    assert_eq!(raw.side.closed, None);
}

#[test]
fn a_large_message_is_not_copied_on_its_way_out() {
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"q", true);
    let key = raw.side.key();
    let response = message(&[7; 10_000]);
    let none = Metadata::new();
    raw.side.connection.respond(key, &none, response.clone(), &none);
    let mut out = Transmit::default();
    assert!(raw.side.connection.poll_transmit(raw.now, &mut out));
    let chunks: Vec<_> = out.chunks().collect();
    assert_eq!(chunks[1].as_ptr(), response[5..].as_ptr());
}

#[test]
fn a_message_in_one_frame_is_a_slice_of_what_was_read() {
    let mut raw = Raw::server(Limits::default());
    let read = Bytes::from(Frame::new(CALL | LAST, 1, &defines(1, "a.B/C", b"the message")).bytes());
    raw.side.connection.handle_bytes(raw.now, read.clone());
    raw.take_output();
    let message = &raw.side.last().messages[0].bytes;
    assert_eq!(message.as_ptr(), read[read.len() - 11..].as_ptr());
}
