//! What a native peer can do wrong, and how much it may make us do for nothing.

#[path = "support/native.rs"]
mod support;

use std::time::Duration;

use polywire_core::{Code, Metadata};
use polywire_engine::wire::native::{NativeRule, PREFACE};
use polywire_engine::wire::{ConnectionError, LimitExceeded, Role};
use polywire_engine::{Limits, OpenCall};
use support::*;

/// Says frames to a server that has one call on stream 1, and gives the rule they break.
fn breaks(frames: &[(u8, u32, &[u8])]) -> Option<NativeRule> {
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"q", false);
    raw.frames();
    judge(raw, frames)
}

/// The same to a client that has made one call.
fn breaks_as_server(frames: &[(u8, u32, &[u8])]) -> Option<NativeRule> {
    let mut raw = Raw::client(Limits::default());
    raw.open(Some(message(b"q")), false);
    raw.frames();
    judge(raw, frames)
}

fn judge(mut raw: Raw, frames: &[(u8, u32, &[u8])]) -> Option<NativeRule> {
    for (first, number, payload) in frames {
        assert_eq!(raw.side.closed, None, "only the last frame breaks a rule");
        raw.frame(*first, *number, payload);
    }
    let rule = raw.side.misbehaved();
    assert_eq!(raw.go_away(), rule.map(|_| 1));
    if rule.is_some() {
        let seen = &raw.side.calls[0];
        let status = seen.cancelled.as_ref().or(seen.ended.as_ref().map(|(status, _)| status));
        assert!(status.is_none_or(|status| status.code() == Code::Unavailable || seen.ended.is_some()));
    }
    rule
}

#[test]
fn a_wrong_preface_is_refused_at_its_first_wrong_byte() {
    for bytes in [&b"PRI * HTTP/2.0"[..], b"\xf0PW2", b"\xf1"] {
        let mut raw = Raw::fresh(Role::Server, Limits::default());
        raw.say(bytes);
        assert_eq!(raw.side.misbehaved(), Some(NativeRule::BadPreface));
    }
}

#[test]
fn hello_comes_first_and_once() {
    for role in [Role::Server, Role::Client] {
        let mut raw = Raw::fresh(role, Limits::default());
        if role == Role::Server {
            raw.say(&PREFACE);
        }
        raw.frame(PING, 0, &[0; 8]);
        assert_eq!(raw.side.misbehaved(), Some(NativeRule::NotHelloFirst));
    }
    assert_eq!(breaks(&[(HELLO, 0, b"")]), Some(NativeRule::HelloTwice));
    assert_eq!(breaks_as_server(&[(HELLO, 0, b"")]), Some(NativeRule::HelloTwice));
}

#[test]
fn a_peer_of_another_version_is_told_both_behind_a_hello() {
    for role in [Role::Server, Role::Client] {
        let mut raw = Raw::fresh(role, Limits::default());
        if role == Role::Server {
            raw.say(&PREFACE);
        }
        raw.frame(HELLO, 0, &[1, 1, 7]);
        assert_eq!(raw.side.misbehaved(), Some(NativeRule::VersionUnknown));
        let written = raw.written();
        let frames = Frame::all(written.strip_prefix(&PREFACE[..]).unwrap_or(&written));
        let [hello, goaway] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((hello.kind(), goaway.kind(), goaway.payload[0]), (HELLO, GOAWAY, 1));
        let words = String::from_utf8_lossy(&goaway.payload[1..]);
        assert!(words.contains("version 7") && words.contains("version 1"), "{words}");
    }
}

#[test]
fn heads_have_their_bounds() {
    for head in [&[MESSAGE, 0x80, 0x80, 0x80, 0x80][..], &[MESSAGE, 1, 0x80, 0x80, 0x80]] {
        let mut raw = Raw::server(Limits::default());
        raw.say(head);
        assert_eq!(raw.side.misbehaved(), Some(NativeRule::Malformed));
    }
    // At its head, before anything of it has come.
    let mut raw = Raw::server(Limits::default());
    raw.say(&[15, 0, 0x81, 0x80, 0x01]);
    assert_eq!(raw.side.misbehaved(), Some(NativeRule::FrameTooLong));
    let mut raw = Raw::server(Limits::default());
    for byte in [15, 0, 0x81, 0x80, 0x01] {
        raw.say(&[byte]);
    }
    assert_eq!(raw.side.misbehaved(), Some(NativeRule::FrameTooLong));
}

#[test]
fn calls_have_their_rules() {
    let again = defines(1, "a.B/C", &[]);
    let too_high = defines(257, "a.B/C", &[]);
    let long = defines(2, &"x".repeat(1025), &[]);
    for (frames, rule) in [
        (&[(CALL | LAST, 1, &[2][..])][..], NativeRule::StreamInUse),
        (&[(CALL | LAST, 0, &[2])], NativeRule::Malformed),
        (&[(CALL | LAST | MORE, 2, &[2])], NativeRule::Malformed),
        (&[(OPEN | MORE, 2, &[2])], NativeRule::Malformed),
        (&[(OPEN, 2, &[2, 7])], NativeRule::Malformed),
        (&[(CALL | LAST, 2, &[])], NativeRule::Malformed),
        (&[(CALL | LAST, 2, &[0])], NativeRule::MethodUnknown),
        (&[(CALL | LAST, 2, &[4])], NativeRule::MethodUnknown),
        (&[(CALL | LAST, 2, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])], NativeRule::MethodUnknown),
        (&[(CALL | LAST, 2, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0])], NativeRule::Malformed),
        (&[(CALL | LAST, 2, &again)], NativeRule::MethodTwice),
        (&[(CALL | LAST, 2, &too_high)], NativeRule::MethodUnknown),
        (&[(CALL | LAST, 2, &long)], NativeRule::Malformed),
        (&[(CALL | LAST, 2, &[5, 0])], NativeRule::Malformed),
        (&[(CALL | LAST, 2, &[5, 2, 0xff, 0xff])], NativeRule::Malformed),
        (&[(CALL | LAST, 2, &[5, 9, b'a'])], NativeRule::Malformed),
        (&[(CALL | LAST | FIELDS, 2, &[2])], NativeRule::Malformed),
        (&[(CALL | LAST | FIELDS, 2, &[2, 9, 1])], NativeRule::Malformed),
        (&[(CALL | LAST | FIELDS, 2, &[2, 3, 1, 5, 0])], NativeRule::Malformed),
        (&[(CALL | LAST | FIELDS, 2, &[2, 2, 1, 0])], NativeRule::Malformed),
        (&[(CALL | LAST | FIELDS, 2, &[2, 3, 2, 1, 9])], NativeRule::Malformed),
        (&[(HEADERS, 1, &[])], NativeRule::WrongSide),
    ] {
        assert_eq!(breaks(frames), Some(rule), "{frames:?}");
    }
    assert_eq!(breaks_as_server(&[(CALL | LAST, 2, &[2])]), Some(NativeRule::WrongSide));
    assert_eq!(breaks_as_server(&[(CANCEL, 1, &[])]), Some(NativeRule::WrongSide));
}

#[test]
fn streams_have_their_rules() {
    for (frames, rule) in [
        (&[(MESSAGE, 2, &[][..])][..], NativeRule::StreamUnknown),
        (&[(END, 2, &[])], NativeRule::StreamUnknown),
        (&[(CANCEL, 2, &[])], NativeRule::StreamUnknown),
        (&[(WINDOW, 2, &[1])], NativeRule::StreamUnknown),
        (&[(MESSAGE, 0, &[])], NativeRule::StreamUnknown),
        (&[(END, 1, &[]), (MESSAGE, 1, &[])], NativeRule::AfterEnd),
        (&[(MESSAGE | LAST, 1, &[]), (END, 1, &[])], NativeRule::AfterEnd),
        (&[(MESSAGE | MORE, 1, &[]), (END, 1, &[])], NativeRule::InsideMessage),
        (&[(MESSAGE | MORE | LAST, 1, &[])], NativeRule::Malformed),
        (&[(MESSAGE | FIELDS, 1, &[0])], NativeRule::Malformed),
        (&[(WINDOW, 1, &[])], NativeRule::Malformed),
        (&[(WINDOW, 1, &[1, 1])], NativeRule::Malformed),
        (&[(PING, 0, &[0; 7])], NativeRule::Malformed),
        (&[(GOAWAY, 0, &[])], NativeRule::Malformed),
    ] {
        assert_eq!(breaks(frames), Some(rule), "{frames:?}");
    }
    for (frames, rule) in [
        (&[(MESSAGE, 2, &[][..])][..], NativeRule::StreamUnknown),
        (&[(HEADERS, 7, &[])], NativeRule::StreamUnknown),
        (&[(END, 1, &[]), (END, 1, &[])], NativeRule::StreamUnknown),
        (&[(MESSAGE | LAST, 1, &[]), (WINDOW, 1, &[1])], NativeRule::StreamUnknown),
        (&[(HEADERS, 1, &[]), (HEADERS, 1, &[])], NativeRule::HeadersTwice),
        (&[(MESSAGE, 1, &[]), (HEADERS, 1, &[])], NativeRule::HeadersTwice),
        (&[(MESSAGE | FIELDS, 1, &[4, 1])], NativeRule::Malformed),
        (&[(END, 1, &[7])], NativeRule::Malformed),
    ] {
        assert_eq!(breaks_as_server(frames), Some(rule), "{frames:?}");
    }
}

#[test]
fn what_is_unknown_is_passed_over() {
    let unknown_field = [&[2][..], &[7], &field(99, b"later")].concat();
    assert_eq!(
        breaks(&[
            (11, 0, b"a kind of the future"),
            (15 | LAST | FIELDS, 77, b""),
            (END | MORE | COMPRESSED, 1, b""),
            (CALL | LAST | FIELDS, 3, &unknown_field),
        ]),
        None
    );
}

#[test]
fn an_unknown_codec_ends_the_call_only() {
    let mut raw = Raw::server(Limits::default());
    let call = [defines(1, "a.B/C", &[]), vec![3], field(3, &[9])].concat();
    raw.frame(CALL | LAST | FIELDS, 1, &call);
    assert_eq!(raw.frames()[0].payload[..3], [7, 1, 12], "UNIMPLEMENTED");
    // By its number again: the same answer, and with a codec that is known it works.
    raw.frame(CALL | LAST, 1, &[2]);
    assert_eq!(raw.frames()[0].payload[..3], [7, 1, 12]);
    raw.frame(CALL | LAST | FIELDS, 1, &[2, 3, 3, 1, 1]);
    assert_eq!(raw.side.calls.len(), 1);
    assert_eq!(raw.side.closed, None);
}

#[test]
fn metadata_that_may_not_travel_ends_the_call_only() {
    let entry = |key: &str, value: &[u8]| field(2, &[&[key.len() as u8], key.as_bytes(), value].concat());
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"", false);
    for (key, value, taken) in
        [("Upper", &b"x"[..], false), ("a", b"\n", false), ("a-bin", b"\n\xff", true), ("grpc-status", b"0", true)]
    {
        let fields = entry(key, value);
        let call = [vec![2], varint(fields.len() as u64), fields].concat();
        raw.frame(CALL | LAST | FIELDS, 2, &call);
        let ended = raw.frames().iter().any(|frame| frame.kind() == END);
        assert_eq!(ended, !taken, "{key}");
        if taken {
            let key = raw.side.key();
            raw.side.connection.refuse(key);
            raw.frames();
        }
    }
    let reserved = &raw.side.last().head.as_ref().unwrap().metadata;
    assert!(reserved.is_empty(), "what gRPC takes for its own does not pass");
    assert_eq!(raw.side.closed, None);
}

// Limits

#[test]
fn calls_above_the_announced_number_are_refused_and_may_be_made_again() {
    let mut pair = Pair::fresh(Limits::default(), Limits { streams_max: 3, ..Limits::default() });
    let keys: Vec<_> = (0..5).map(|_| pair.open(Some(message(b"early")), true)).collect();
    pair.run();
    assert_eq!(pair.server.calls.len(), 3);
    for key in &keys[3..] {
        assert_eq!((pair.seen(*key).code(), pair.seen(*key).unprocessed), (Some(Code::Unavailable), true));
    }
    // From now on the client knows.
    assert_eq!(pair.client.connection.calls_peer_max(), 3);
    let (template, metadata) = (template(LIST), Metadata::new());
    let call = OpenCall { template: &template, metadata: &metadata, deadline: None, message: None, last: true };
    assert!(pair.client.connection.open(pair.now, call).is_err());
    let key = pair.server.calls[0].key.unwrap();
    pair.server.connection.refuse(key);
    pair.run();
    assert_eq!(pair.client.openable, 1);
    assert!(pair.client.connection.can_open());
}

#[test]
fn open_and_cancel_without_end_is_an_attack() {
    let mut raw = Raw::server(Limits::default());
    for n in 0..1_000 {
        raw.call(1, b"q", true);
        raw.frame(CANCEL, 1, b"");
        assert_eq!(raw.side.closed, None, "{n}");
    }
    raw.call(1, b"q", true);
    raw.frame(CANCEL, 1, b"");
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::LimitExceeded(LimitExceeded::Resets))));
    assert_eq!(raw.go_away(), Some(2));
}

#[test]
fn who_cancels_as_much_as_it_lets_end_well_is_no_attacker() {
    let mut raw = Raw::server(Limits::default());
    for _ in 0..5_000 {
        raw.call(1, b"q", true);
        raw.frame(CANCEL, 1, b"");
        raw.call(1, b"q", true);
        let (key, none) = (raw.side.key(), Metadata::new());
        raw.side.connection.respond(key, &none, message(b"r"), &none);
        raw.take_output();
        raw.side.calls.truncate(1);
        assert_eq!(raw.side.closed, None);
    }
}

#[test]
fn frames_that_carry_nothing_are_bounded() {
    let kinds: [(u8, u32, &[u8]); 6] =
        [(PING, 0, &[0; 8]), (PONG, 0, &[0; 8]), (12, 0, b""), (WINDOW, 0, &[0]), (WINDOW, 0, &[1]), (END, 1, b"")];
    for (first, number, payload) in kinds {
        let mut raw = Raw::server(Limits::default());
        raw.call(1, b"q", true);
        let key = raw.side.key();
        raw.side.connection.refuse(key);
        raw.take_output();
        for _ in 0..990 {
            raw.frame(first, number, payload);
        }
        assert_eq!(raw.side.closed, None, "{first}");
        // A second earns two hundred.
        raw.now += Duration::from_secs(1);
        for _ in 0..2_000 {
            raw.frame(first, number, payload);
        }
        let flood = ConnectionError::LimitExceeded(LimitExceeded::IdleFrames);
        assert_eq!(raw.side.closed, Some(Some(flood)), "{first}");
    }
}

#[test]
fn an_empty_part_of_a_message_carries_nothing() {
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"q", false);
    for _ in 0..2_100 {
        raw.frame(MESSAGE | MORE, 1, b"");
    }
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::LimitExceeded(LimitExceeded::IdleFrames))));
}

#[test]
fn a_peer_that_makes_us_answer_and_does_not_listen_is_closed() {
    let limits = Limits { control_frames_max: 100, ..Limits::default() };
    let mut raw = Raw::server(limits);
    raw.deaf = true;
    for _ in 0..100 {
        raw.frame(PING, 0, &[0; 8]);
    }
    assert_eq!(raw.side.closed, None);
    raw.frame(PING, 0, &[0; 8]);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::LimitExceeded(LimitExceeded::ControlFrames))));
}

#[test]
fn a_peer_that_does_not_read_cannot_make_us_answer_without_end() {
    let mut raw = Raw::server(Limits::default());
    raw.side.echoes = true;
    raw.deaf = true;
    for number in 1..=400 {
        let reference = if number == 1 { defines(1, "a.B/C", &[]) } else { vec![2] };
        raw.frame(CALL | LAST, number, &[reference, vec![7; 1_000]].concat());
    }
    assert_eq!(raw.side.closed, None);
    // Past what is written at once, answers wait in their streams, and those count.
    assert!(raw.side.calls.len() < 400, "{}", raw.side.calls.len());
    raw.deaf = false;
    assert!(raw.written().len() < 400 << 10);
}

#[test]
fn definitions_are_bounded_in_number_and_length() {
    let mut raw = Raw::server(Limits { methods_max: 64, ..Limits::default() });
    for number in 1..=64 {
        raw.frame(CALL | LAST, 1, &defines(number, &"m".repeat(1024), &[]));
        let key = raw.side.key();
        raw.side.connection.refuse(key);
        raw.take_output();
    }
    assert_eq!(raw.side.closed, None);
    raw.frame(CALL | LAST, 1, &defines(65, "m", &[]));
    assert_eq!(raw.side.misbehaved(), Some(NativeRule::MethodUnknown));
}

#[test]
fn a_definition_holds_even_if_its_call_is_refused() {
    let mut raw = Raw::server(Limits { streams_max: 1, ..Limits::default() });
    raw.call(1, b"q", true);
    raw.frame(CALL | LAST, 2, &defines(2, "a.B/Second", &[]));
    assert_eq!(raw.frames().pop(), Some(Frame::new(END, 2, &[7, 1, 14, 11, 0])));
    let key = raw.side.key();
    raw.side.connection.refuse(key);
    raw.take_output();
    raw.frame(CALL | LAST, 2, &[4]);
    assert_eq!(raw.side.last().head.as_ref().unwrap().path, "/a.B/Second");
}

#[test]
fn any_number_may_be_chosen() {
    let mut raw = Raw::server(Limits::default());
    for number in [(1 << 28) - 1, 5, 1023, 1024, 100_000] {
        raw.call(number, b"q", true);
    }
    assert_eq!(raw.side.connection.calls_open(), 5);
    let keys: Vec<_> = raw.side.calls.iter().map(|seen| seen.key.unwrap()).collect();
    raw.frames();
    let none = Metadata::new();
    for key in keys {
        raw.side.connection.respond(key, &none, message(b"r"), &none);
    }
    let numbers: Vec<_> = raw.frames().iter().map(|frame| frame.number).collect();
    assert_eq!(numbers, [(1 << 28) - 1, 5, 1023, 1024, 100_000]);
}
