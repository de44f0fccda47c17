//! Windows both ways, turns among streams, and how much is held.

mod support;

use std::time::Duration;

use bytes::Bytes;
use polywire_engine::Limits;
use polywire_engine::wire::{PeerMisbehaved, Reason, StreamEvent as Event};
use support::*;

fn zeros(len: usize) -> Bytes {
    Bytes::from(vec![0; len])
}

#[test]
fn data_waits_for_the_window_and_goes_on() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    let server = &mut raw.peer.connection;
    server.send_headers(key, &response(), None, false);
    server.send_data(key, zeros(100_000), false);
    server.send_headers(key, &trailers(), None, true);
    let sent = |raw: &mut Raw| -> (usize, bool) {
        let frames = raw.frames();
        let data = frames.iter().filter(|f| f.kind == DATA).map(|f| f.payload.len()).sum();
        (data, frames.iter().any(|f| f.flags & END_STREAM != 0))
    };
    assert_eq!(sent(&mut raw), (65_535, false));
    assert_eq!(raw.peer.connection.queued_bytes(key), 34_465);
    raw.window_update(1, 10_000);
    assert_eq!(sent(&mut raw), (0, false), "the connection's window is shut too");
    raw.window_update(0, 5_000);
    assert_eq!(sent(&mut raw), (5_000, false));
    raw.window_update(0, 1_000_000);
    assert_eq!(sent(&mut raw), (5_000, false));
    raw.window_update(1, 24_465);
    assert_eq!(sent(&mut raw), (24_465, true), "the trailers follow the last byte");
    assert_eq!(raw.peer.connection.streams_open(), 0);
}

#[test]
fn a_shut_connection_window_does_not_hold_up_headers() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    raw.request(3, true);
    let keys = raw.peer.keys();
    let server = &mut raw.peer.connection;
    server.send_headers(keys[0], &response(), None, false);
    server.send_data(keys[0], zeros(70_000), true);
    raw.frames();
    let server = &mut raw.peer.connection;
    server.send_headers(keys[1], &response(), None, false);
    server.send_headers(keys[1], &trailers(), None, true);
    let frames = raw.frames();
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|f| f.kind == HEADERS && f.id == 3));
}

#[test]
fn streams_take_turns() {
    let mut raw = Raw::server(Limits::default());
    raw.window_update(0, 1 << 20);
    for id in [1, 3, 5] {
        raw.request(id, true);
    }
    let keys = raw.peer.keys();
    for key in &keys {
        raw.peer.connection.send_headers(*key, &response(), None, false);
    }
    raw.frames();
    for key in &keys {
        raw.peer.connection.send_data(*key, zeros(60_000), true);
    }
    let order: Vec<_> = raw.frames().iter().map(|f| f.id).collect();
    assert_eq!(order, [1, 3, 5, 1, 3, 5, 1, 3, 5, 1, 3, 5]);
}

#[test]
fn small_pieces_that_wait_are_joined() {
    let mut raw = Raw::server(Limits::default());
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, false);
    raw.frames();
    for n in 0..100u8 {
        raw.peer.connection.send_data(key, Bytes::from(vec![n; 10]), n == 99);
    }
    assert_eq!(raw.frames(), []);
    raw.window_update(1, 10_000);
    let frames = raw.frames();
    let expected: Vec<u8> = (0..100u8).flat_map(|n| [n; 10]).collect();
    assert_eq!(frames, [Frame::new(DATA, END_STREAM, 1, &expected)]);
}

#[test]
fn small_pieces_written_at_once_share_a_frame() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    raw.request(3, true);
    let keys = raw.peer.keys();
    for key in &keys {
        raw.peer.connection.send_headers(*key, &response(), None, false);
    }
    raw.frames();
    let server = &mut raw.peer.connection;
    for (key, piece) in [(0, vec![1; 10]), (0, vec![2; 2000]), (0, vec![3; 10]), (1, vec![4; 5])] {
        server.send_data(keys[key], Bytes::from(piece), false);
    }
    server.send_data(keys[1], Bytes::new(), true);
    server.send_data(keys[0], zeros(16_384), false);
    server.send_data(keys[0], zeros(1), false);
    let joined = [&[1; 10][..], &[2; 2000], &[3; 10]].concat();
    let expected = [
        Frame::new(DATA, 0, 1, &joined),
        Frame::new(DATA, END_STREAM, 3, &[4; 5]),
        Frame::new(DATA, 0, 1, &[0; 16_384]),
        Frame::new(DATA, 0, 1, &[0; 1]),
    ];
    assert_eq!(raw.frames(), expected);
    // Taken output is not touched again.
    raw.peer.connection.send_data(keys[0], zeros(2), false);
    assert_eq!(raw.frames(), [Frame::new(DATA, 0, 1, &[0; 2])]);
}

#[test]
fn a_shrunk_initial_window_goes_below_zero_and_recovers() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, false);
    raw.peer.connection.send_data(key, zeros(60_000), false);
    raw.frames();
    // 65,535 - 60,000 = 5,535 are left; an initial window of 1,000 makes that -59,000.
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0x03, 0xe8]);
    raw.window_update(0, 1 << 20);
    raw.peer.connection.send_data(key, zeros(100), true);
    assert!(raw.frames().iter().all(|f| f.kind != DATA));
    raw.window_update(1, 59_000);
    assert!(raw.frames().iter().all(|f| f.kind != DATA), "exactly zero is still shut");
    raw.window_update(1, 100);
    assert_eq!(raw.frames(), [Frame::new(DATA, END_STREAM, 1, &[0; 100])]);
}

#[test]
fn a_larger_initial_window_lets_waiting_streams_go_on() {
    let mut raw = Raw::server(Limits::default());
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, false);
    raw.peer.connection.send_data(key, zeros(100), true);
    raw.frames();
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0]);
    let data: Vec<_> = raw.frames().into_iter().filter(|f| f.kind == DATA).collect();
    assert_eq!(data, [Frame::new(DATA, END_STREAM, 1, &[0; 99])]);
}

#[test]
fn window_overflow_by_update_costs_the_stream_or_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    raw.window_update(1, i32::MAX as u32);
    assert_eq!(raw.resets(), [(1, Reason::FLOW_CONTROL_ERROR)]);
    raw.window_update(0, i32::MAX as u32);
    assert_eq!(raw.go_away(), Some(Reason::FLOW_CONTROL_ERROR));
}

#[test]
fn window_overflow_by_settings_costs_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    raw.window_update(1, 1_000_000);
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(raw.go_away(), Some(Reason::FLOW_CONTROL_ERROR));
}

#[test]
fn more_data_than_the_stream_window_costs_the_stream() {
    let limits = Limits { window_bytes: 65_535, window_bytes_max: 65_535, ..Limits::default() };
    let mut raw = Raw::server(limits);
    raw.peer.releases = false;
    raw.request(1, false);
    for _ in 0..3 {
        raw.frame(DATA, 0, 1, &[0; 16_384]);
    }
    assert_eq!(raw.resets(), []);
    raw.frame(DATA, 0, 1, &[0; 16_384]);
    assert_eq!(raw.resets(), [(1, Reason::FLOW_CONTROL_ERROR)]);
}

#[test]
fn more_data_than_the_connection_window_costs_the_connection() {
    let limits =
        Limits { connection_window_bytes: 65_535, buffered_bytes_max: 0, window_bytes_max: 0, ..Limits::default() };
    let mut raw = Raw::server(limits);
    raw.peer.releases = false;
    raw.request(1, false);
    for _ in 0..4 {
        raw.frame(DATA, 0, 1, &[0; 16_384]);
    }
    assert_eq!(raw.go_away(), Some(Reason::FLOW_CONTROL_ERROR));
    let error = raw.peer.closed().unwrap().unwrap();
    assert_eq!(error.to_string(), "connection window exceeded");
    assert_eq!(PeerMisbehaved::ConnectionWindowExceeded.reason(), error.reason());
}

#[test]
fn one_stalled_stream_does_not_stop_the_others() {
    let limits = Limits { window_bytes_max: 0, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.server.releases = false;
    let (stalled, _) = pair.open_both(false);
    pair.client.connection.send_data(stalled, zeros(3 << 20), true);
    pair.run();
    assert_eq!(pair.server.received[&1], 1 << 20, "its own window and no more");
    // Six others move 6 MiB through a connection window of 4 MiB.
    for _ in 0..6 {
        let (key, _) = pair.open_both(false);
        pair.client.connection.send_data(key, zeros(1 << 20), true);
        pair.run();
        assert_eq!(pair.server.received[&key.id().get()], 1 << 20);
    }
}

#[test]
fn what_all_consumers_leave_lying_is_bounded() {
    let limits = Limits { buffered_bytes_max: 2 << 20, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.server.releases = false;
    for _ in 0..20 {
        let (key, _) = pair.open_both(false);
        pair.client.connection.send_data(key, zeros(1 << 20), true);
        pair.run();
    }
    let held: usize = pair.server.received.values().sum();
    // The connection's window beyond the bound, and updates of half a window.
    assert!((4 << 20..=6 << 20).contains(&held), "{held} bytes are held");
    // The consumers wake up: everything comes through.
    let keys = pair.server.keys();
    pair.server.releases = true;
    for key in keys {
        pair.server.connection.release(key, 1 << 20);
    }
    pair.run();
    assert_eq!(pair.server.received.values().sum::<usize>(), 20 << 20);
}

#[test]
fn a_reset_stream_gives_its_window_back() {
    let limits = Limits { buffered_bytes_max: 0, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.server.releases = false;
    for _ in 0..40 {
        let (key, theirs) = pair.open_both(false);
        pair.client.connection.send_data(key, zeros(1 << 20), false);
        pair.run();
        assert_eq!(pair.server.received[&key.id().get()], 1 << 20);
        pair.server.connection.reset(theirs, Reason::CANCEL);
        pair.run();
    }
}

#[test]
fn data_in_flight_to_a_reset_stream_still_counts_for_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, false);
    let key = raw.peer.keys()[0];
    raw.peer.connection.reset(key, Reason::CANCEL);
    raw.frames();
    for _ in 0..(4 << 20) / 16_384 {
        raw.frame(DATA, 0, 1, &[0; 16_384]);
    }
    let frames = raw.frames();
    let updates: u32 = frames.iter().filter(|f| f.kind == WINDOW_UPDATE && f.id == 0).map(Frame::word).sum();
    assert_eq!(updates, 4 << 20, "all of it comes back");
    assert!(frames.iter().all(|f| f.kind == WINDOW_UPDATE || f.kind == PING));
}

#[test]
fn small_calls_cause_no_window_updates_and_no_pings() {
    let mut raw = Raw::server(Limits::default());
    for n in 0..1000 {
        let id = 1 + 2 * n;
        raw.request(id, false);
        raw.frame(DATA, END_STREAM, id, &[0; 21]);
        let key = *raw.peer.keys().last().unwrap();
        raw.peer.connection.send_headers(key, &response(), None, true);
    }
    assert!(raw.frames().iter().all(|f| f.kind == HEADERS));
}

#[test]
fn windows_grow_with_the_bandwidth_delay_product() {
    let mut pair = Pair::connected();
    pair.delay = Duration::from_millis(40);
    let (key, _) = pair.open_both(false);
    pair.client.connection.send_data(key, zeros(100 << 20), true);
    let begun = pair.now;
    pair.run();
    assert_eq!(pair.server.received[&1], 100 << 20);
    let took = pair.now - begun;
    // 1 MiB a round trip of 80 ms would need 8 s. At 16 MiB a round trip 100 MiB need half a second.
    assert!(took < Duration::from_millis(1_800), "{took:?}");
}

#[test]
fn windows_stay_where_measuring_is_switched_off() {
    let limits = Limits { window_bytes_max: 0, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.delay = Duration::from_millis(40);
    let (key, _) = pair.open_both(false);
    pair.client.connection.send_data(key, zeros(20 << 20), true);
    let begun = pair.now;
    pair.run();
    assert!(pair.now - begun > Duration::from_millis(1_200));
}

#[test]
fn a_producer_hears_when_to_go_on() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, false);
    raw.peer.connection.send_data(key, zeros(65_535), false);
    raw.frames();
    raw.peer.take();
    raw.peer.connection.send_data(key, zeros(70_000), false);
    raw.window_update(0, 1 << 20);
    raw.window_update(1, 50_000);
    assert_eq!(raw.peer.connection.queued_bytes(key), 20_000);
    assert!(raw.peer.events.is_empty(), "above the low-water mark");
    raw.window_update(1, 10_000);
    assert!(matches!(raw.peer.take()[..], [Event::Writable { .. }]));
    raw.window_update(1, 10_000);
    assert!(raw.peer.take().is_empty(), "once");
}

#[test]
fn an_initial_window_below_the_default_holds_from_the_acknowledgement_on() {
    let limits = Limits { window_bytes: 1_000, window_bytes_max: 0, ..Limits::default() };
    let mut pair = Pair::fresh(Limits::default(), limits);
    pair.server.releases = false;
    // Sent before the client knows of the small window.
    let key = pair.open(false);
    pair.client.connection.send_data(key, zeros(10_000), false);
    pair.run();
    assert_eq!(pair.server.closed(), None);
    assert_eq!(pair.server.resets(), []);
    assert_eq!(pair.server.received[&1], 10_000);
    // A window below zero forbids nothing empty.
    pair.client.connection.send_data(key, Bytes::new(), true);
    pair.run();
    assert!(matches!(pair.server.events.last(), Some(Event::Data { end: true, .. })));
    let (key, _) = pair.open_both(false);
    pair.client.connection.send_data(key, zeros(10_000), false);
    pair.run();
    assert_eq!(pair.server.received[&3], 1_000);
}

#[test]
fn frames_are_no_larger_than_either_side_wants() {
    for (theirs, ours, expected) in [(16_384, 65_536, 16_384), (100_000, 65_536, 65_536), (100_000, 2_000, 2_000)] {
        let mut raw = Raw::server(Limits { frame_send_bytes_max: ours, ..Limits::default() });
        raw.frame(SETTINGS, 0, 0, &[&[0, 5][..], &u32::to_be_bytes(theirs), &[0, 4, 0x7f, 0, 0, 0]].concat());
        raw.window_update(0, 1 << 30);
        raw.request(1, true);
        let key = raw.peer.keys()[0];
        raw.peer.connection.send_headers(key, &response(), None, false);
        raw.peer.connection.send_data(key, zeros(1 << 20), true);
        let longest = raw.frames().iter().map(|frame| frame.payload.len()).max();
        assert_eq!(longest, Some(expected));
    }
}

#[test]
fn a_transmit_is_about_as_large_as_one_write() {
    use polywire_engine::Transmit;
    let mut pair = Pair::with(Limits { transmit_bytes_max: 100_000, ..Limits::default() }, Limits::default());
    let (key, _) = pair.open_both(false);
    pair.client.connection.send_data(key, zeros(1 << 20), true);
    let mut writes = 0;
    let mut out = Transmit::default();
    while pair.client.connection.poll_transmit(pair.now, &mut out) {
        assert!(out.len() <= 100_000 + 16_384 + 9, "{}", out.len());
        out.clear();
        writes += 1;
    }
    assert_eq!(writes, (1 << 20) / 100_000);
}

#[test]
fn a_large_payload_goes_out_uncopied() {
    use polywire_engine::Transmit;
    let mut pair = Pair::connected();
    let (key, _) = pair.open_both(false);
    let payload = zeros(100_000);
    pair.client.connection.send_data(key, payload.clone(), true);
    let mut out = Transmit::default();
    assert!(pair.client.connection.poll_transmit(pair.now, &mut out));
    let range = payload.as_ptr_range();
    let shared: usize = out.chunks().filter(|c| range.contains(&c.as_ptr())).map(<[u8]>::len).sum();
    assert_eq!(shared, 100_000);
}
