//! What a server waits for and for how long, in virtual time.

#[path = "support/http1.rs"]
mod support;

use std::time::Duration;

use polywire_engine::Limits;
use polywire_engine::wire::{ConnectionError, Reason, Role, TimedOut};
use support::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn timed_out(raw: &Raw) -> Option<TimedOut> {
    match raw.closed()? {
        Some(ConnectionError::TimedOut(what)) => Some(what),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed_without_words() {
    let mut raw = Raw::server();
    raw.advance(secs(9));
    assert_eq!(raw.closed(), None);
    raw.advance(secs(2));
    assert_eq!(timed_out(&raw), Some(TimedOut::Handshake));
    assert_eq!(raw.text(), "");
    assert!(raw.over);
}

#[test]
fn a_first_head_that_trickles_is_told_so() {
    let mut raw = Raw::server();
    raw.say("GET / HTTP/1.1\r\nhost: a\r\n");
    for _ in 0..20 {
        raw.advance(secs(1));
        raw.say("x: y\r\n");
    }
    assert!(raw.text().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(timed_out(&raw).is_some());
}

#[test]
fn a_later_head_that_trickles_is_told_so() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.respond("hi");
    raw.text();
    raw.advance(secs(50));
    for byte in "GET / HT".bytes() {
        raw.advance(secs(1));
        raw.say([byte]);
    }
    assert_eq!(raw.closed(), None);
    raw.advance(secs(4));
    assert_eq!(timed_out(&raw), Some(TimedOut::HeaderBlock));
    assert!(raw.text().starts_with("HTTP/1.1 408 "));
}

#[test]
fn trailers_that_trickle_are_cut_off() {
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n");
    for _ in 0..12 {
        raw.advance(secs(1));
        raw.say("x");
    }
    assert_eq!(timed_out(&raw), Some(TimedOut::HeaderBlock));
}

#[test]
fn a_pipelined_head_has_its_time_from_the_answer_before() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.say("GET / HTTP/1.1\r\n");
    raw.advance(secs(1000));
    assert_eq!(raw.closed(), None);
    raw.respond("slow");
    raw.advance(secs(9));
    assert_eq!(raw.closed(), None);
    raw.say("host: a\r\n\r\n");
    assert_eq!(raw.heads(), 2);
    raw.advance(secs(1000));
    assert_eq!(raw.closed(), None);
}

#[test]
fn an_idle_connection_is_closed_in_order() {
    for (idle_timeout, seconds) in [(None, 75), (Some(secs(20)), 20), (Some(secs(500)), 75)] {
        let mut raw = Raw::with(Role::Server, Limits { idle_timeout, ..Limits::default() });
        raw.say(GET);
        raw.advance(secs(200));
        raw.respond("late");
        raw.text();
        raw.advance(secs(seconds - 1));
        assert_eq!(raw.closed(), None);
        raw.advance(secs(1));
        assert_eq!(raw.closed(), Some(None));
        assert_eq!(raw.text(), "");
        assert!(raw.over);
    }
}

#[test]
fn a_body_that_stalls_is_told_so_but_not_while_nobody_wants_it() {
    let limits = Limits { window_bytes: 1000, ..Limits::default() };
    let mut raw = Raw::with(Role::Server, limits);
    raw.releases = false;
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n");
    raw.advance(secs(119));
    raw.say([7; 1000]);
    assert!(!raw.connection.wants_bytes());
    raw.advance(secs(100_000));
    assert_eq!(raw.closed(), None);
    let key = raw.key();
    raw.connection.release(key, 1000);
    raw.drain();
    raw.advance(secs(119));
    assert_eq!(raw.closed(), None);
    raw.advance(secs(2));
    assert_eq!(timed_out(&raw), Some(TimedOut::Body));
    assert!(raw.text().starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_handler_may_take_its_time() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.advance(secs(100_000));
    assert_eq!(raw.closed(), None);
    raw.respond("there");
    assert!(raw.text().ends_with("there"));
}

#[test]
fn output_that_nobody_takes_ends_the_connection() {
    let mut raw = Raw::server();
    raw.say(GET);
    let key = raw.key();
    raw.connection.send_headers(key, &response(), None, true);
    let mut out = polywire_engine::Transmit::default();
    assert!(raw.connection.poll_transmit(raw.now, &mut out));
    for _ in 0..10 {
        // The transport takes a little each time.
        raw.now += secs(29);
        raw.connection.handle_progress(raw.now);
        raw.connection.handle_timeout(raw.now);
        assert!(!raw.connection.is_closed());
    }
    raw.now += secs(30);
    raw.connection.handle_timeout(raw.now);
    raw.drain();
    assert_eq!(timed_out(&raw), Some(TimedOut::Write));
}

#[test]
fn an_old_connection_drains_and_a_long_answer_has_its_grace() {
    let limits = Limits { age_max: Some(secs(1000)), age_grace: Some(secs(500)), ..Limits::default() };
    let mut raw = Raw::with(Role::Server, limits.clone());
    raw.say(GET);
    // Ten per cent either way, by the seed.
    raw.advance(secs(1110));
    assert!(raw.connection.is_draining());
    assert_eq!(raw.closed(), None);
    raw.advance(secs(500));
    assert_eq!(raw.closed(), Some(None));

    let mut raw = Raw::with(Role::Server, limits);
    raw.say(GET);
    raw.advance(secs(1110));
    raw.respond("last");
    assert!(raw.text().contains("connection: close"));
    assert_eq!(raw.closed(), Some(None));
}

#[test]
fn a_quiet_connection_sets_no_timer_but_that_of_its_idleness() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.respond("hi");
    raw.advance(secs(3));
    let left = raw.connection.poll_timeout().unwrap() - raw.now;
    assert_eq!(left, secs(72));
}

#[test]
fn a_client_waits_for_answers_as_long_as_its_caller_does() {
    let mut raw = Raw::client();
    raw.ask("GET");
    raw.advance(secs(100_000));
    assert_eq!(raw.closed(), None);
    raw.say("HTTP/1.1 2");
    raw.advance(secs(11));
    assert_eq!(timed_out(&raw), Some(TimedOut::HeaderBlock));
}

#[test]
fn the_rest_of_an_answer_nobody_wants_is_not_waited_for_without_end() {
    let mut raw = Raw::client();
    let key = raw.ask("GET");
    raw.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    raw.connection.reset(key, Reason::NO_ERROR);
    raw.drain();
    raw.advance(secs(119));
    assert_eq!(raw.closed(), None);
    raw.advance(secs(1));
    assert_eq!(timed_out(&raw), Some(TimedOut::Body));
}

#[test]
fn a_client_gives_an_idle_connection_up() {
    let mut raw = Raw::with(Role::Client, Limits { idle_timeout: Some(secs(30)), ..Limits::default() });
    raw.advance(secs(31));
    assert_eq!(raw.closed(), Some(None));
}
