//! How calls and connections of the native wire end: deadlines, cancellation, drain, silence, loss.

#[path = "support/native.rs"]
mod support;

use std::time::Duration;

use polywire_core::{Code, Metadata, Status};
use polywire_engine::drain::Machine;
use polywire_engine::limits::Keepalive;
use polywire_engine::wire::{ConnectionError, OpenError, Reason, TimedOut};
use polywire_engine::{Limits, OpenCall};
use support::*;

const SECOND: Duration = Duration::from_secs(1);

fn code(status: Option<&Status>) -> Option<Code> {
    status.map(Status::code)
}

#[test]
fn a_deadline_passes_on_both_sides() {
    let mut pair = Pair::connected();
    let key = pair.open_with(&Metadata::new(), Some(2 * SECOND), Some(message(b"q")), true);
    pair.run();
    assert_eq!(pair.server.last().deadline, Some(pair.now + 2 * SECOND));
    pair.advance(2 * SECOND - Duration::from_millis(1));
    assert_eq!(pair.seen(key).code(), None);
    pair.advance(Duration::from_millis(1));
    assert_eq!(pair.seen(key).code(), Some(Code::DeadlineExceeded));
    assert_eq!(code(pair.server.last().cancelled.as_ref()), Some(Code::DeadlineExceeded));
    assert_eq!((pair.client.connection.calls_open(), pair.server.connection.calls_open()), (0, 0));
    // The number is free again on both sides.
    pair.server.echoes = true;
    let key = pair.open(Some(message(b"next")), true);
    pair.run();
    assert_eq!(pair.seen(key).code(), Some(Code::Ok));
}

#[test]
fn the_server_ends_a_late_call_whose_client_is_silent() {
    let mut raw = Raw::server(Limits::default());
    let call = [defines(1, "a.B/C", &[]), vec![5], field(1, &varint(1_500_000))].concat();
    raw.frame(CALL | LAST | FIELDS, 1, &call);
    let deadline = raw.side.last().deadline;
    assert_eq!(deadline, Some(raw.now + Duration::from_millis(1500)));
    raw.advance(2 * SECOND);
    assert_eq!(code(raw.side.last().cancelled.as_ref()), Some(Code::DeadlineExceeded));
    let frames = raw.frames();
    assert_eq!((frames[0].kind(), &frames[0].payload[..3]), (END, &[7, 1, 4][..]));
}

#[test]
fn a_call_that_ends_in_time_leaves_no_timer() {
    let mut pair = Pair::connected();
    pair.server.echoes = true;
    let key = pair.open_with(&Metadata::new(), Some(100 * SECOND), Some(message(b"q")), true);
    pair.run();
    pair.advance(2 * SECOND);
    assert_eq!(pair.seen(key).code(), Some(Code::Ok));
    assert_eq!(pair.client.connection.poll_timeout(), None);
    assert_eq!(pair.server.connection.poll_timeout(), None);
}

#[test]
fn a_cancelled_call_stops_its_handler_and_frees_its_number() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"q")), false);
    pair.client.connection.send(ours, message(&[0; 4_000_000]));
    pair.client.connection.cancel(ours);
    assert_eq!((pair.client.connection.calls_open(), pair.client.connection.queued_bytes(ours)), (0, 0));
    pair.run();
    assert_eq!(code(pair.served(theirs).cancelled.as_ref()), Some(Code::Cancelled));
    assert!(pair.seen(ours).ended.is_none(), "no event follows");
    let last = Frame::all(&pair.to_client).pop().unwrap();
    assert_eq!(last, Frame::new(END, 1, &[7, 1, 1]));
    // Commands on the stale key do nothing.
    pair.server.connection.send(theirs, message(b"late"));
    pair.server.connection.finish(theirs, &Status::ok(), &Metadata::new(), &Metadata::new());
    pair.server.connection.consumed(theirs, 100);
    pair.client.connection.half_close(ours);
    pair.forget();
    pair.run();
    assert_eq!(pair.carried, (0, 0));
    pair.server.echoes = true;
    let again = pair.open(Some(message(b"again")), true);
    pair.run();
    assert_eq!(pair.seen(again).bytes(), [b"again"]);
    assert_eq!(again.index(), ours.index());
}

#[test]
fn a_number_is_not_used_again_before_the_server_has_ended_it() {
    let mut raw = Raw::client(Limits::default());
    let first = raw.open(Some(message(b"a")), true);
    raw.side.connection.cancel(first);
    raw.open(Some(message(b"b")), true);
    let numbers: Vec<_> = raw.frames().iter().map(|frame| (frame.kind(), frame.number)).collect();
    assert_eq!(numbers, [(CALL, 1), (CANCEL, 1), (CALL, 2)]);
    raw.frame(MESSAGE | LAST, 1, b"crossed the cancel");
    raw.open(Some(message(b"c")), true);
    assert_eq!(raw.frames()[0].number, 1);
    assert_eq!(raw.side.calls[0].ended, None);
}

#[test]
fn the_answer_may_come_before_the_request_is_whole() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"part")), false);
    let none = Metadata::new();
    pair.server.connection.respond(theirs, &none, message(b"enough"), &none);
    pair.client.connection.send(ours, message(b"crossing"));
    pair.run();
    assert_eq!((pair.seen(ours).bytes(), pair.seen(ours).code()), (vec![&b"enough"[..]], Some(Code::Ok)));
    pair.server.echoes = true;
    let next = pair.open(Some(message(b"next")), true);
    pair.run();
    assert_eq!(pair.seen(next).bytes(), [b"next"]);
}

#[test]
fn an_end_inside_a_message_is_no_success() {
    let mut raw = Raw::client(Limits::default());
    let key = raw.open(Some(message(b"q")), true);
    raw.frame(MESSAGE | MORE, 1, b"beginning");
    raw.frame(END, 1, b"");
    assert_eq!(raw.side.last().code(), Some(Code::Internal));
    let _ = key;
    raw.open(Some(message(b"q")), true);
    raw.frame(MESSAGE | MORE, 1, b"beginning");
    raw.frame(END, 1, &field(7, &[5]));
    assert_eq!(raw.side.last().code(), Some(Code::NotFound));
}

#[test]
fn a_draining_server_finishes_what_it_has_and_takes_what_crossed() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"slow")), true);
    pair.server.connection.drain(pair.now, "the server is going away");
    // Before the client has heard of it, it makes another call.
    let crossed = pair.open(Some(message(b"crossed")), true);
    pair.run();
    assert_eq!(pair.client.going_away.as_deref(), Some("the server is going away"));
    assert!(pair.client.connection.is_draining() && !pair.client.connection.can_open());
    let (template, metadata) = (template(LIST), Metadata::new());
    let call = OpenCall { template: &template, metadata: &metadata, deadline: None, message: None, last: false };
    assert_eq!(pair.client.connection.open(pair.now, call).err(), Some(OpenError::Draining));
    let none = Metadata::new();
    let second = pair.server.key();
    pair.server.connection.respond(second, &none, message(b"2"), &none);
    pair.run();
    assert_eq!(pair.seen(crossed).code(), Some(Code::Ok));
    assert!(pair.server.closed.is_none());
    pair.server.connection.respond(theirs, &none, message(b"1"), &none);
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::Ok));
    assert_eq!((pair.server.closed, pair.client.closed), (Some(None), Some(None)));
    assert!(pair.server.connection.is_closed() && pair.client.connection.is_closed());
}

#[test]
fn a_client_that_does_not_answer_a_goaway_holds_the_drain_up_only_so_long() {
    let mut raw = Raw::server(Limits::default());
    raw.side.connection.drain(raw.now, "bye");
    assert_eq!(raw.frames(), [Frame::new(GOAWAY, 0, b"\0bye")]);
    raw.call(1, b"q", true);
    let key = raw.side.key();
    let none = Metadata::new();
    raw.side.connection.respond(key, &none, message(b"r"), &none);
    raw.advance(4 * SECOND);
    assert_eq!(raw.side.closed, None, "a call may be under way");
    raw.advance(2 * SECOND);
    assert_eq!(raw.side.closed, Some(None));
}

#[test]
fn calls_after_the_last_word_are_refused_and_may_be_made_again() {
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"q", true);
    raw.side.connection.drain(raw.now, "bye");
    raw.advance(6 * SECOND);
    raw.frames();
    raw.call(2, b"late", true);
    assert_eq!(raw.frames(), [Frame::new(END, 2, &[7, 1, 14, 11, 0])]);
    assert_eq!(raw.side.calls.len(), 1);
}

#[test]
fn a_draining_client_finishes_its_calls_and_closes() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
    pair.client.connection.drain(pair.now, "the client is done");
    pair.run();
    assert_eq!(pair.server.going_away.as_deref(), Some("the client is done"));
    assert!(pair.client.closed.is_none() && pair.server.closed.is_none());
    let none = Metadata::new();
    pair.server.connection.respond(theirs, &none, message(b"r"), &none);
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::Ok));
    assert_eq!((pair.server.closed, pair.client.closed), (Some(None), Some(None)));
}

#[test]
fn a_cancelled_call_whose_end_has_not_come_does_not_lose_the_next_answer() {
    let mut raw = Raw::client(Limits::default());
    let key = raw.open(Some(message(b"q")), true);
    raw.side.connection.cancel(key);
    raw.side.connection.drain(raw.now, "done");
    raw.take_output();
    assert_eq!(raw.side.closed, None, "its end is under way");
    raw.frame(END, 1, &[7, 1, 1]);
    assert_eq!(raw.side.closed, Some(None));
}

#[test]
fn an_idle_connection_drains_itself() {
    let limits = Limits { idle_timeout: Some(10 * SECOND), ..Limits::default() };
    let mut pair = Pair::with(limits, Limits::default());
    pair.server.echoes = true;
    pair.advance(9 * SECOND);
    pair.open(Some(message(b"q")), true);
    pair.advance(9 * SECOND);
    assert_eq!(pair.client.closed, None);
    pair.advance(2 * SECOND);
    assert_eq!((pair.server.closed, pair.client.closed), (Some(None), Some(None)));
}

#[test]
fn an_old_connection_drains_and_its_last_calls_have_a_grace() {
    let limits = Limits { age_max: Some(100 * SECOND), age_grace: Some(10 * SECOND), ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    let key = pair.open(Some(message(b"q")), true);
    pair.advance(111 * SECOND);
    assert_eq!(pair.client.going_away.as_deref(), Some("max_age"));
    assert_eq!(pair.seen(key).code(), None);
    pair.advance(11 * SECOND);
    assert_eq!(pair.server.closed, Some(None));
    // What is left is told by the end of the transport.
    pair.client.connection.handle_eof(pair.now);
    pair.run();
    assert_eq!(pair.seen(key).code(), Some(Code::Unavailable));
}

#[test]
fn closing_ends_all_calls_with_the_reason() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
    pair.server.connection.close(pair.now, Reason::INTERNAL_ERROR, "broken");
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::Unavailable));
    assert_eq!(code(pair.served(theirs).cancelled.as_ref()), Some(Code::Unavailable));
    assert_eq!(pair.client.closed, Some(Some(ConnectionError::Peer(Reason::INTERNAL_ERROR))));
    assert_eq!(pair.client.going_away.as_deref(), Some("broken"));
    assert_eq!(pair.client.connection.calls_open(), 0);
}

#[test]
fn a_lost_transport_ends_all_calls() {
    let mut pair = Pair::connected();
    let key = pair.open(Some(message(b"q")), true);
    pair.run();
    pair.client.connection.handle_eof(pair.now);
    pair.server.connection.handle_eof(pair.now);
    pair.run();
    assert_eq!(pair.seen(key).code(), Some(Code::Unavailable));
    assert!(!pair.seen(key).unprocessed);
    assert_eq!(pair.client.closed, Some(Some(ConnectionError::Lost)));
    let mut idle = Pair::connected();
    idle.client.connection.handle_eof(idle.now);
    idle.run();
    assert_eq!(idle.client.closed, Some(None), "without calls that is an end in order");
}

// Silence

fn bears(interval: u32, timeout: u32, without_calls: bool) -> Limits {
    let keepalive = Keepalive { interval: interval * SECOND, timeout: timeout * SECOND, without_calls };
    Limits { keepalive: Some(keepalive), ..Limits::default() }
}

#[test]
fn a_side_talks_as_often_as_the_other_wants_to_hear_it() {
    let mut pair = Pair::with(bears(20, 10, true), Limits::default());
    pair.advance(305 * SECOND);
    let frames = Frame::all(&pair.to_client);
    assert_eq!(frames.iter().filter(|frame| frame.kind() == PING).count(), 30, "every ten seconds of thirty");
    assert_eq!(frames.len(), 30);
    assert!(Frame::all(&pair.to_server).iter().all(|frame| frame.kind() == PONG));
    assert!(pair.client.closed.is_none() && pair.server.closed.is_none());
}

#[test]
fn who_talks_anyway_sends_no_pings() {
    let mut pair = Pair::with(bears(20, 10, true), Limits::default());
    pair.server.echoes = true;
    for _ in 0..100 {
        pair.open(Some(message(b"q")), true);
        pair.advance(5 * SECOND);
    }
    assert!(Frame::all(&pair.to_client).iter().all(|frame| frame.kind() == MESSAGE));
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut raw = Raw::server(bears(20, 10, true));
    raw.advance(29 * SECOND);
    raw.frame(PONG, 0, &[0; 8]);
    raw.advance(29 * SECOND);
    assert_eq!(raw.side.closed, None);
    raw.advance(2 * SECOND);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::TimedOut(TimedOut::Keepalive))));
    assert_eq!(raw.go_away(), Some(3));
}

#[test]
fn silence_without_calls_may_be_borne() {
    let mut raw = Raw::server(bears(20, 10, false));
    raw.advance(500 * SECOND);
    assert_eq!(raw.side.closed, None);
    raw.call(1, b"q", true);
    raw.advance(29 * SECOND);
    assert_eq!(raw.side.closed, None);
    raw.advance(31 * SECOND);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::TimedOut(TimedOut::Keepalive))));
}

#[test]
fn a_peer_that_wants_to_hear_us_all_the_time_is_told_something_once_a_second() {
    let mut raw = Raw::fresh(polywire_engine::wire::Role::Client, Limits::default());
    raw.written();
    raw.frame(HELLO, 0, &field(7, &[1]));
    raw.advance(10 * SECOND);
    assert_eq!(raw.frames().iter().filter(|frame| frame.kind() == PING).count(), 10);
}

// Patience

#[test]
fn a_peer_that_says_no_hello_is_given_up() {
    let mut raw = Raw::fresh(polywire_engine::wire::Role::Server, Limits::default());
    raw.say(&[0xf0, b'P', b'W']);
    raw.advance(11 * SECOND);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::TimedOut(TimedOut::Handshake))));
}

#[test]
fn a_frame_that_never_becomes_whole_is_given_up() {
    let mut raw = Raw::server(Limits::default());
    raw.say(&[MESSAGE, 1, 10, 1, 2]);
    raw.advance(9 * SECOND);
    raw.say(&[3]);
    assert_eq!(raw.side.closed, None);
    raw.advance(2 * SECOND);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::TimedOut(TimedOut::HeaderBlock))));
}

#[test]
fn a_transport_that_takes_nothing_is_given_up() {
    let mut raw = Raw::server(Limits::default());
    raw.call(1, b"q", true);
    let key = raw.side.key();
    raw.side.connection.send(key, message(b"r"));
    let mut out = polywire_engine::Transmit::default();
    assert!(raw.side.connection.poll_transmit(raw.now, &mut out));
    // The driver writes and writes.
    raw.deaf = true;
    raw.advance(20 * SECOND);
    raw.side.connection.handle_progress(raw.now);
    raw.advance(29 * SECOND);
    assert_eq!(raw.side.closed, None);
    raw.advance(2 * SECOND);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::TimedOut(TimedOut::Write))));
}

#[test]
fn a_peer_that_gives_no_window_while_too_much_waits_is_given_up() {
    let mut raw = Raw::server(Limits { queued_bytes_max: 100_000, ..Limits::default() });
    for number in 1..=3 {
        raw.call(number, b"q", true);
        let key = raw.side.key();
        raw.side.connection.send(key, message(&[0; 100_000]));
    }
    raw.take_output();
    raw.advance(59 * SECOND);
    assert_eq!(raw.side.closed, None);
    raw.advance(2 * SECOND);
    assert_eq!(raw.side.closed, Some(Some(ConnectionError::TimedOut(TimedOut::Window))));
}
