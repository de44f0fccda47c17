//! Windows smaller than the standard's first ones: they shrink when our SETTINGS are acknowledged, below zero if need be.

mod support;

use bytes::Bytes;
use polywire_engine::limits::{Limits, Rate};
use polywire_engine::wire::StreamEvent as Event;
use support::Pair;

fn small_windows() -> Limits {
    Limits { window_bytes: 100, window_bytes_max: 0, ..Limits::default() }
}

fn patient() -> Limits {
    Limits { idle_frames: Rate { burst: 100_000, per_second: 1_000 }, ..Limits::default() }
}

#[test]
fn a_window_that_shrank_below_zero_is_given_back() {
    let mut pair = Pair::fresh(patient(), small_windows());
    let stream = pair.client.connection.open(pair.now, &support::request(), None, false).unwrap();
    // Sent before the client has heard of the small window.
    pair.client.connection.send_data(stream, Bytes::from(vec![7; 1_000]), false);
    pair.run();
    pair.client.connection.send_data(stream, Bytes::from(vec![7; 1_000]), false);
    pair.run();
    assert_eq!(pair.server.received[&1], 2_000);
    assert_eq!(pair.client.connection.queued_bytes(stream), 0);
}

#[test]
fn a_stream_may_end_while_its_window_is_below_zero() {
    let mut pair = Pair::fresh(patient(), small_windows());
    pair.server.releases = false;
    let stream = pair.client.connection.open(pair.now, &support::request(), None, false).unwrap();
    pair.client.connection.send_data(stream, Bytes::from(vec![7; 1_000]), false);
    pair.run();
    pair.client.connection.send_data(stream, Bytes::new(), true);
    pair.run();
    assert_eq!(pair.server.resets(), []);
    assert!(matches!(pair.server.events.last(), Some(Event::Data { end: true, .. })));
}
