//! How connections and streams end: drains, timeouts, keepalive, resets, exhaustion.

mod support;

use std::time::Duration;

use bytes::Bytes;
use polywire_engine::Limits;
use polywire_engine::limits::{Keepalive, PingPolicy};
use polywire_engine::wire::{ConnectionError, LimitExceeded, OpenError, Reason, Role, StreamEvent as Event, TimedOut};
use support::*;

const SECOND: Duration = Duration::from_secs(1);

fn keepalive(without_calls: bool) -> Option<Keepalive> {
    Some(Keepalive { interval: 10 * SECOND, timeout: 3 * SECOND, without_calls })
}

// Drain

#[test]
fn a_drained_server_lets_open_calls_finish() {
    let mut pair = Pair::connected();
    let (key, theirs) = pair.open_both(true);
    pair.server.connection.drain(pair.now, "maintenance");
    pair.run();
    assert!(pair.client.connection.is_draining());
    assert_eq!(pair.client.connection.open(pair.now, &request(), None, true), Err(OpenError::Draining));
    let farewells: Vec<_> = pair
        .client
        .events
        .iter()
        .filter_map(|event| match event {
            Event::GoingAway { last, reason, debug } => Some((last.get(), *reason, debug.clone())),
            _ => None,
        })
        .collect();
    let debug = Bytes::from_static(b"maintenance");
    assert_eq!(
        farewells,
        [((1 << 31) - 1, Reason::NO_ERROR, debug.clone()), (key.id().get(), Reason::NO_ERROR, debug)]
    );
    pair.server.connection.send_headers(theirs, &response(), None, true);
    pair.run();
    assert_eq!(pair.server.closed(), Some(None));
    assert_eq!(pair.client.closed(), Some(None));
    assert_eq!(pair.client.keys(), [key]);
    assert!(pair.client.connection.is_closed());
    assert!(pair.server.connection.is_closed());
}

#[test]
fn a_call_under_way_while_the_server_begins_to_drain_is_served() {
    let mut pair = Pair::connected();
    pair.delay = Duration::from_millis(50);
    pair.server.connection.drain(pair.now, "deploy");
    // The GOAWAY is still under way.
    let key = pair.open(true);
    pair.run();
    assert_eq!(pair.server.keys().len(), 1);
    let theirs = pair.server.keys()[0];
    pair.server.connection.send_headers(theirs, &response(), None, true);
    pair.run();
    assert_eq!(pair.client.keys(), [key]);
    assert_eq!(pair.client.closed(), Some(None));
}

#[test]
fn a_drain_does_not_wait_for_a_silent_peer() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let now = raw.now;
    raw.peer.connection.drain(now, "deploy");
    let go_aways =
        |raw: &mut Raw| -> Vec<u32> { raw.frames().iter().filter(|f| f.kind == GOAWAY).map(Frame::word).collect() };
    assert_eq!(go_aways(&mut raw), [(1 << 31) - 1]);
    raw.request(3, true);
    raw.advance(5 * SECOND);
    assert_eq!(go_aways(&mut raw), [3], "what came in between is served");
    // Whatever comes later is ignored in silence.
    raw.request(5, false);
    raw.frame(DATA, END_STREAM, 5, b"ignored");
    assert_eq!(raw.frames(), []);
    assert_eq!(raw.peer.keys().len(), 2);
    for key in raw.peer.keys() {
        raw.peer.connection.send_headers(key, &response(), None, true);
    }
    raw.take_output();
    assert_eq!(raw.peer.closed(), Some(None));
}

#[test]
fn an_error_after_a_drain_promises_no_more_than_the_drain() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    raw.peer.connection.drain(raw.now, "deploy");
    raw.advance(5 * SECOND);
    raw.frames();
    raw.request(3, true);
    raw.peer.connection.close(raw.now, Reason::INTERNAL_ERROR, "out of order");
    raw.take_output();
    let last: Vec<_> = raw.frames().iter().filter(|f| f.kind == GOAWAY).map(Frame::word).collect();
    assert_eq!(last, [1], "stream 3 was ignored, and may be tried again");
}

#[test]
fn a_drained_client_finishes_its_calls() {
    let mut pair = Pair::connected();
    let (key, theirs) = pair.open_both(true);
    pair.client.connection.drain(pair.now, "bye");
    pair.run();
    assert!(!pair.client.connection.can_open());
    assert_eq!(pair.client.closed(), None);
    pair.server.connection.send_headers(theirs, &response(), None, true);
    pair.run();
    assert_eq!(pair.client.keys(), [key]);
    assert_eq!(pair.client.closed(), Some(None));
    assert_eq!(pair.server.closed(), Some(None));
}

#[test]
fn an_idle_connection_drains_to_its_end_at_once() {
    let mut pair = Pair::connected();
    pair.client.connection.drain(pair.now, "bye");
    pair.run();
    assert_eq!(pair.client.closed(), Some(None));
    assert_eq!(pair.server.closed(), Some(None));
}

#[test]
fn streams_above_the_goaway_are_unprocessed() {
    let mut raw = Raw::client(Limits::default());
    for _ in 0..3 {
        raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    }
    raw.frame(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0, b'x']);
    assert_eq!(raw.peer.resets(), [(5, Reason::REFUSED_STREAM, true, true)]);
    assert_eq!(raw.peer.connection.streams_open(), 2);
    // The others go on.
    raw.headers(1, &[(":status", "200")], true);
    raw.headers(3, &[(":status", "200")], true);
    assert_eq!(raw.peer.closed(), Some(None));
}

#[test]
fn a_goaway_with_an_error_is_the_reason_of_the_end() {
    let mut raw = Raw::client(Limits::default());
    let payload = [&[0, 0, 0, 0, 0, 0, 0, 0xb], b"too_many_pings".as_slice()].concat();
    raw.frame(GOAWAY, 0, 0, &payload);
    let error = ConnectionError::Peer(Reason::ENHANCE_YOUR_CALM);
    assert_eq!(raw.peer.closed(), Some(Some(error)));
    assert!(matches!(&raw.peer.events[0], Event::GoingAway { debug, .. } if debug == "too_many_pings"));
}

#[test]
fn a_goaway_may_not_take_back_its_promise() {
    let mut raw = Raw::client(Limits::default());
    raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    raw.frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    raw.frame(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]);
    assert_eq!(raw.go_away(), Some(Reason::PROTOCOL_ERROR));
}

#[test]
fn a_closed_connection_says_one_goaway_and_nothing_after() {
    let mut pair = Pair::connected();
    let (key, theirs) = pair.open_both(false);
    pair.server.connection.close(pair.now, Reason::INTERNAL_ERROR, "broken");
    assert!(!pair.server.connection.send_headers(theirs, &response(), None, true));
    assert!(!pair.server.connection.is_closed(), "the GOAWAY waits");
    pair.run();
    assert!(pair.server.connection.is_closed());
    let error = ConnectionError::Local(Reason::INTERNAL_ERROR);
    assert_eq!(pair.server.closed(), Some(Some(error)));
    assert!(matches!(pair.client.events[..], [Event::GoingAway { reason: Reason::INTERNAL_ERROR, .. }]));
    assert_eq!(pair.client.connection.streams_open(), 1, "stream 1 may have been processed");
    pair.client.connection.handle_eof(pair.now);
    pair.run();
    assert_eq!(pair.client.closed(), Some(Some(ConnectionError::Lost)));
    assert!(!pair.client.connection.reset(key, Reason::CANCEL));
}

// End of the transport

#[test]
fn the_transports_end_is_in_order_only_without_calls() {
    let mut pair = Pair::connected();
    pair.server.connection.handle_eof(pair.now);
    pair.run();
    assert_eq!(pair.server.closed(), Some(None));

    let mut pair = Pair::connected();
    pair.open_both(false);
    pair.server.connection.handle_eof(pair.now);
    pair.run();
    assert_eq!(pair.server.closed(), Some(Some(ConnectionError::Lost)));
    assert!(pair.server.connection.is_closed());

    let mut raw = Raw::fresh(Role::Server, Limits::default());
    raw.peer.connection.handle_eof(raw.now);
    raw.take_output();
    assert_eq!(raw.peer.closed(), Some(Some(ConnectionError::Lost)));
}

#[test]
fn closed_is_said_once() {
    let mut pair = Pair::connected();
    pair.server.connection.close(pair.now, Reason::NO_ERROR, "");
    pair.server.connection.handle_eof(pair.now);
    pair.server.connection.close(pair.now, Reason::INTERNAL_ERROR, "");
    pair.server.connection.drain(pair.now, "");
    pair.server.connection.handle_bytes(pair.now, Bytes::from_static(b"nonsense"));
    pair.run();
    let closed = |event: &&Event| matches!(event, Event::Closed { .. });
    assert_eq!(pair.server.events.iter().filter(closed).count(), 1);
    assert!(matches!(pair.server.events.last(), Some(Event::Closed { error: None })));
    assert_eq!(pair.server.connection.poll_timeout(), None);
}

// Ids

#[test]
fn a_client_out_of_ids_lets_its_last_calls_finish() {
    let limits = Limits { stream_id_max: 5, ..Limits::default() };
    let mut pair = Pair::with(limits, Limits::default());
    for _ in 0..3 {
        pair.open(true);
    }
    assert!(pair.client.connection.is_draining());
    assert!(!pair.client.connection.can_open());
    assert_eq!(pair.client.connection.open(pair.now, &request(), None, true), Err(OpenError::Exhausted));
    pair.run();
    for key in pair.server.keys() {
        pair.server.connection.send_headers(key, &response(), None, true);
    }
    pair.run();
    assert_eq!(pair.client.keys().len(), 3);
    assert_eq!(pair.client.closed(), Some(None));
}

#[test]
fn a_server_drains_when_its_client_runs_out_of_ids() {
    let limits = Limits { stream_id_max: 5, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    for _ in 0..3 {
        pair.open_both(true);
    }
    assert!(!pair.client.connection.is_draining());
    pair.open_both(true);
    assert!(pair.client.connection.is_draining());
    for key in pair.server.keys() {
        pair.server.connection.send_headers(key, &response(), None, true);
    }
    pair.run();
    assert_eq!(pair.client.keys().len(), 4);
    assert_eq!(pair.server.closed(), Some(None));
}

#[test]
fn the_peers_limit_of_streams_is_kept_and_room_is_reported() {
    let limits = Limits { streams_max: 2, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    let first = pair.open(true);
    pair.open(true);
    let full = pair.client.connection.open(pair.now, &request(), None, true);
    assert_eq!(full, Err(OpenError::Full));
    pair.run();
    assert!(pair.client.take().is_empty());
    pair.client.connection.reset(first, Reason::CANCEL);
    assert!(matches!(pair.client.connection.poll_event(), Some(Event::Openable)));
    pair.open(true);
    pair.run();
    assert_eq!(pair.server.keys().len(), 3);
}

#[test]
fn a_hundred_streams_are_assumed_before_settings() {
    let mut pair = Pair::fresh(Limits::default(), Limits::default());
    for _ in 0..100 {
        pair.open(true);
    }
    assert_eq!(pair.client.connection.open(pair.now, &request(), None, true), Err(OpenError::Full));
    pair.run();
    assert_eq!(pair.server.keys().len(), 100);
    assert!(pair.client.events.iter().any(|event| matches!(event, Event::Openable)));
    assert_eq!(pair.client.connection.streams_peer_max(), 256);
}

#[test]
fn a_peer_that_names_no_limit_of_streams_has_none() {
    let mut raw = Raw::client(Limits::default());
    for _ in 0..1_000 {
        raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_untouched() {
    let limits = Limits { streams_max: 2, ..Limits::default() };
    let mut raw = Raw::server(limits);
    for id in [1, 3, 5] {
        raw.request(id, true);
    }
    assert_eq!(raw.resets(), [(5, Reason::REFUSED_STREAM)]);
    assert_eq!(raw.peer.keys().len(), 2);

    let mut raw = Raw::client(Limits::default());
    raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    raw.frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]);
    assert_eq!(raw.peer.resets(), [(1, Reason::REFUSED_STREAM, true, true)]);
}

// Time

#[test]
fn an_unfinished_preface_times_out() {
    let mut raw = Raw::fresh(Role::Server, Limits::default());
    raw.say(b"PRI * HTTP/2.0\r\n");
    raw.advance(9 * SECOND);
    assert_eq!(raw.peer.closed(), None);
    raw.advance(2 * SECOND);
    let error = ConnectionError::TimedOut(TimedOut::Handshake);
    assert_eq!(raw.peer.closed(), Some(Some(error)));
    assert!(raw.peer.connection.is_closed());
}

#[test]
fn a_client_does_not_wait_for_settings_for_ever() {
    let mut raw = Raw::fresh(Role::Client, Limits::default());
    raw.advance(11 * SECOND);
    let error = ConnectionError::TimedOut(TimedOut::Handshake);
    assert_eq!(raw.peer.closed(), Some(Some(error)));
}

#[test]
fn unacknowledged_settings_time_out() {
    let mut raw = Raw::fresh(Role::Client, Limits::default());
    raw.frame(SETTINGS, 0, 0, &[]);
    raw.advance(29 * SECOND);
    assert_eq!(raw.peer.closed(), None);
    raw.advance(2 * SECOND);
    assert_eq!(raw.peer.closed(), Some(Some(ConnectionError::TimedOut(TimedOut::Settings))));
}

#[test]
fn a_peer_that_does_not_answer_pings_is_dead() {
    let limits = Limits { keepalive: keepalive(false), ..Limits::default() };
    let mut raw = Raw::client(limits);
    raw.advance(100 * SECOND);
    assert_eq!(raw.frames(), [], "without calls it sleeps");
    raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    raw.frames();
    raw.advance(9 * SECOND);
    assert_eq!(raw.frames(), [], "the interval begins with the call");
    raw.advance(2 * SECOND);
    let [ping] = &raw.frames()[..] else { panic!() };
    raw.frame(PING, ACK, 0, &ping.payload);
    raw.advance(11 * SECOND);
    assert_eq!(raw.frames().len(), 1, "and again");
    raw.advance(3 * SECOND);
    let error = ConnectionError::TimedOut(TimedOut::Keepalive);
    assert_eq!(raw.peer.closed(), Some(Some(error)));
}

#[test]
fn whatever_a_peer_says_shows_that_it_lives() {
    let limits = Limits { keepalive: keepalive(true), ..Limits::default() };
    let mut raw = Raw::server(limits);
    raw.advance(10 * SECOND);
    assert_eq!(raw.frames().len(), 1);
    raw.request(1, true);
    raw.advance(9 * SECOND);
    assert_eq!(raw.frames(), []);
    assert_eq!(raw.peer.closed(), None);
}

#[test]
fn honest_keepalive_is_tolerated_and_impatient_is_not() {
    let policy = PingPolicy { interval_min: 10 * SECOND, without_calls: true, strikes_max: 2 };
    let server = || Limits { ping_policy: Some(policy), ..Limits::default() };
    let client = |interval| Limits {
        keepalive: Some(Keepalive { interval, timeout: SECOND, without_calls: true }),
        ..Limits::default()
    };
    let mut pair = Pair::with(client(11 * SECOND), server());
    pair.advance(1000 * SECOND);
    assert_eq!(pair.server.closed(), None);

    let mut pair = Pair::with(client(9 * SECOND), server());
    pair.advance(1000 * SECOND);
    let error = ConnectionError::LimitExceeded(LimitExceeded::Pings);
    assert_eq!(pair.server.closed(), Some(Some(error)));
    let [Event::GoingAway { reason, debug, .. }, _] = &pair.client.events[..] else {
        panic!("{:?}", pair.client.events);
    };
    assert_eq!(*reason, Reason::ENHANCE_YOUR_CALM);
    assert_eq!(debug, "too_many_pings");
}

#[test]
fn pings_are_forgiven_when_we_sent_something() {
    let mut raw = Raw::server(Limits::default());
    for n in 0..20 {
        let id = 1 + 2 * n;
        raw.request(id, true);
        let key = *raw.peer.keys().last().unwrap();
        raw.peer.connection.send_headers(key, &response(), None, true);
        raw.frame(PING, 0, 0, &[0; 8]);
        raw.advance(SECOND);
    }
    assert_eq!(raw.peer.closed(), None);
    for _ in 0..4 {
        raw.frame(PING, 0, 0, &[0; 8]);
    }
    assert_eq!(raw.go_away(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn an_idle_connection_is_drained() {
    let limits = Limits { idle_timeout: Some(60 * SECOND), ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.advance(50 * SECOND);
    let (_, theirs) = pair.open_both(true);
    pair.advance(100 * SECOND);
    assert_eq!(pair.server.closed(), None, "a call is no idleness however quiet");
    pair.server.connection.send_headers(theirs, &response(), None, true);
    pair.run();
    pair.advance(59 * SECOND);
    assert_eq!(pair.server.closed(), None);
    pair.advance(2 * SECOND);
    assert_eq!(pair.server.closed(), Some(None));
    assert_eq!(pair.client.closed(), Some(None));
}

#[test]
fn an_old_connection_is_drained_and_then_cut() {
    let limits = Limits { age_max: Some(100 * SECOND), age_grace: Some(20 * SECOND), ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.open_both(true);
    pair.advance(89 * SECOND);
    assert!(!pair.client.connection.is_draining());
    pair.advance(22 * SECOND);
    assert!(pair.client.connection.is_draining(), "within a tenth of its age");
    assert_eq!(pair.server.closed(), None);
    pair.advance(20 * SECOND);
    assert_eq!(pair.server.closed(), Some(None));
    assert!(
        pair.client.events.iter().any(|event| matches!(event, Event::GoingAway { debug, .. } if debug == "max_age"))
    );
}

#[test]
fn a_transport_that_takes_nothing_is_given_up() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, true);
    // The driver takes the output and never comes back for more.
    let mut out = Default::default();
    assert!(raw.peer.connection.poll_transmit(raw.now, &mut out));
    raw.deaf = true;
    raw.advance(29 * SECOND);
    raw.peer.connection.handle_progress(raw.now);
    raw.advance(29 * SECOND);
    assert_eq!(raw.peer.closed(), None);
    raw.advance(2 * SECOND);
    assert_eq!(raw.peer.closed(), Some(Some(ConnectionError::TimedOut(TimedOut::Write))));
    assert!(raw.peer.connection.is_closed());
}

#[test]
fn a_peer_that_grants_no_window_is_given_up_only_when_it_holds_much() {
    for (bytes, ends) in [(1 << 20, false), (8 << 20, true)] {
        let limits = Limits { queued_bytes_max: 4 << 20, ..Limits::default() };
        let mut raw = Raw::server(limits);
        raw.request(1, true);
        let key = raw.peer.keys()[0];
        raw.peer.connection.send_headers(key, &response(), None, false);
        raw.peer.connection.send_data(key, Bytes::from(vec![0; bytes]), true);
        raw.frames();
        raw.advance(40 * SECOND);
        raw.window_update(0, 10_000);
        raw.window_update(1, 10_000);
        raw.advance(40 * SECOND);
        assert_eq!(raw.peer.closed(), None);
        raw.advance(3600 * SECOND);
        let error = ConnectionError::TimedOut(TimedOut::Window);
        assert_eq!(raw.peer.closed(), ends.then_some(Some(error)));
    }
}

#[test]
fn timers_never_fire_early_or_for_nothing() {
    // A connection with everything switched on, at rest: each wake-up does something.
    let limits = Limits {
        keepalive: keepalive(true),
        idle_timeout: Some(3600 * SECOND),
        age_max: Some(7200 * SECOND),
        ..Limits::default()
    };
    let mut raw = Raw::server(limits);
    let (mut wakes, mut pings, mut memory) = (0, 0, 0);
    while let Some(at) = raw.peer.connection.poll_timeout() {
        raw.now = at;
        raw.peer.connection.handle_timeout(at);
        wakes += 1;
        match &raw.frames()[..] {
            // A second after each exchange memory is given back.
            [] => memory += 1,
            [ping] if ping.kind == PING => {
                pings += 1;
                raw.frame(PING, ACK, 0, &ping.payload);
            }
            _ => {}
        }
        assert!(wakes < 1000);
    }
    assert!(raw.peer.closed().is_some());
    assert!(wakes - pings - memory <= 2, "{wakes} wake-ups for {pings} pings");
    assert!(memory <= pings + 2, "{memory} wake-ups for memory, {pings} for pings");
}
