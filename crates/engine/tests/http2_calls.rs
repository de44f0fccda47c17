//! Calls between two engines, and between an engine and a peer that plays by the rules in unusual ways.

mod support;

use bytes::Bytes;
use polywire_engine::Limits;
use polywire_engine::wire::{Reason, StreamEvent as Event};
use support::*;

#[test]
fn a_unary_call_goes_through() {
    let mut pair = Pair::connected();
    let key = pair.open(false);
    assert!(pair.client.connection.send_data(key, Bytes::from_static(b"question"), true));
    pair.run();

    let events = pair.server.take();
    let [Event::Headers { key: theirs, headers, end: false }, Event::Data { data, end: true, flow_bytes: 8, .. }] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(headers.find(":path"), Some(&b"/orders.v1.Orders/List"[..]));
    assert_eq!(data, "question");

    let server = &mut pair.server.connection;
    assert!(server.send_headers(*theirs, &response(), None, false));
    assert!(server.send_data(*theirs, Bytes::from_static(b"answer"), false));
    assert!(server.send_headers(*theirs, &trailers(), None, true));
    assert_eq!(server.streams_open(), 0, "the slot is free at once");
    pair.run();

    let events = pair.client.take();
    let [Event::Headers { end: false, .. }, Event::Data { data, end: false, .. }, Event::Trailers { headers, .. }] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(data, "answer");
    assert_eq!(headers.find("grpc-status"), Some(&b"0"[..]));
    assert!(pair.client.connection.is_idle());
    assert!(pair.server.connection.is_idle());
}

#[test]
fn calls_go_through_whatever_way_the_bytes_are_cut() {
    for piece in [1, 2, 3, 5, 8, 9, 10, 13, 100, 1000] {
        let mut pair = Pair::connected();
        pair.piece = piece;
        let payload = Bytes::from((0..40_000u32).map(|n| n as u8).collect::<Vec<_>>());
        let (key, theirs) = pair.open_both(false);
        pair.client.connection.send_data(key, payload.clone(), true);
        pair.run();
        let sent: Vec<u8> = pair
            .server
            .take()
            .iter()
            .filter_map(|event| match event {
                Event::Data { data, .. } => Some(data.to_vec()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(sent, payload, "pieces of {piece}");
        pair.server.connection.send_headers(theirs, &response(), None, false);
        pair.server.connection.send_data(theirs, payload, false);
        pair.server.connection.send_headers(theirs, &trailers(), None, true);
        pair.run();
        assert_eq!(pair.client.received[&key.id().get()], 40_000);
        assert!(matches!(pair.client.events.last(), Some(Event::Trailers { .. })));
    }
}

#[test]
fn the_same_request_again_is_the_same_arc() {
    let mut pair = Pair::connected();
    let head = request();
    for _ in 0..8 {
        pair.client.connection.open(pair.now, &head, None, true).unwrap();
    }
    pair.run();
    let events = pair.server.take();
    let [.., Event::Headers { headers: seventh, .. }, Event::Headers { headers: eighth, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(std::sync::Arc::ptr_eq(seventh, eighth));
}

#[test]
fn an_informational_response_is_no_response() {
    let mut pair = Pair::connected();
    let (key, theirs) = pair.open_both(true);
    let server = &mut pair.server.connection;
    assert!(server.send_headers(theirs, &headers(&[(":status", "103")]), None, false));
    assert!(!server.send_data(theirs, Bytes::from_static(b"too early"), false));
    assert!(server.send_headers(theirs, &response(), None, false));
    assert!(server.send_headers(theirs, &trailers(), None, true));
    pair.run();
    let events = pair.client.take();
    let [Event::Headers { headers, .. }, Event::Trailers { key: at, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(headers.find(":status"), Some(&b"200"[..]));
    assert_eq!(*at, key);
}

#[test]
fn a_server_that_ends_early_takes_the_request_with_it() {
    let mut pair = Pair::connected();
    let (key, theirs) = pair.open_both(false);
    assert!(pair.server.connection.send_headers(theirs, &response(), None, true));
    assert_eq!(pair.server.connection.streams_open(), 0);
    // Under way before the client knows.
    pair.client.connection.send_data(key, Bytes::from(vec![0; 1000]), false);
    pair.run();
    let events = pair.client.take();
    let [
        Event::Headers { end: true, .. },
        Event::Reset { reason: Reason::NO_ERROR, by_peer: true, unprocessed: false, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert!(pair.client.connection.is_idle());
    assert!(!pair.client.connection.send_data(key, Bytes::new(), true), "the key is stale");
    assert_eq!(pair.server.closed(), None, "data in flight is no fault");
}

#[test]
fn a_command_on_a_stale_key_does_nothing() {
    let mut pair = Pair::connected();
    let (key, theirs) = pair.open_both(true);
    pair.client.connection.reset(key, Reason::CANCEL);
    pair.run();
    let (again, _) = pair.open_both(true);
    assert_eq!(key.index(), again.index(), "the slot is in use again");
    let client = &mut pair.client.connection;
    assert!(!client.reset(key, Reason::CANCEL));
    assert!(!client.send_data(key, Bytes::from_static(b"x"), true));
    assert!(!client.send_headers(key, &trailers(), None, true));
    client.release(key, 1000);
    assert_eq!(client.queued_bytes(key), 0);
    assert!(!pair.server.connection.send_headers(theirs, &response(), None, true));
    assert_eq!(pair.server.resets(), [(1, Reason::CANCEL, true, false)]);
    assert_eq!(pair.client.connection.streams_open(), 1);
}

#[test]
fn a_slot_is_not_reused_before_its_events_are_taken() {
    let mut raw = Raw::client(Limits::default());
    let first = raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    let answer = Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]).bytes();
    raw.peer.connection.handle_bytes(raw.now, answer.into());
    assert_eq!(raw.peer.connection.streams_open(), 0);
    let second = raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    assert_ne!(first.index(), second.index(), "the end of the first has not been reported");
    raw.take_output();
    let third = raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    assert_eq!(first.index(), third.index());
}

#[test]
fn headers_larger_than_a_frame_continue() {
    let limits = || Limits { header_list_bytes_max: 60_000, header_block_bytes_max: 60_000, ..Limits::default() };
    let mut pair = Pair::with(limits(), limits());
    let long = "x".repeat(50_000);
    let mut fields = REQUEST.to_vec();
    fields.push(("long", &long));
    pair.client.connection.open(pair.now, &headers(&fields), None, true).unwrap();
    pair.run();
    let events = pair.server.take();
    let [Event::Headers { headers, end: true, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(headers.find("long").unwrap().len(), 50_000);
}

#[test]
fn a_header_list_over_the_limit_costs_its_stream_only() {
    let mut pair = Pair::connected();
    let long = "y".repeat(20_000);
    let mut fields = REQUEST.to_vec();
    fields.push(("long", &long));
    pair.client.connection.open(pair.now, &headers(&fields), None, true).unwrap();
    pair.open(true);
    pair.run();
    assert_eq!(pair.client.resets(), [(1, Reason::ENHANCE_YOUR_CALM, true, false)]);
    assert_eq!(pair.server.keys().len(), 1, "the tables are in step: the next request is read");
}

#[test]
fn padding_is_not_data_but_costs_window() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, false);
    raw.frame(DATA, PADDED, 1, &[&[3], b"abc".as_slice(), &[0; 3]].concat());
    raw.frame(DATA, PADDED | END_STREAM, 1, &[&[200], [0; 200].as_slice()].concat());
    let events = raw.peer.take();
    let [
        _,
        Event::Data { data: first, flow_bytes: 3, end: false, .. },
        Event::Data { data: last, flow_bytes: 0, end: true, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(first, "abc");
    assert!(last.is_empty());
}

#[test]
fn padded_and_prioritised_headers_are_read() {
    let mut raw = Raw::server(Limits::default());
    let block = raw.block(&REQUEST);
    let payload = [&[7, 0, 0, 0, 0, 16], block.as_slice(), &[0; 7]].concat();
    raw.frame(HEADERS, PADDED | 0x20 | END_HEADERS | END_STREAM, 1, &payload);
    assert_eq!(raw.peer.keys().len(), 1);
}

#[test]
fn trailers_end_a_request() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, false);
    raw.frame(DATA, 0, 1, b"x");
    raw.headers(1, &[("checksum", "1")], true);
    assert!(matches!(
        raw.peer.take()[..],
        [Event::Headers { .. }, Event::Data { end: false, .. }, Event::Trailers { .. }]
    ));
}

#[test]
fn a_second_header_block_that_does_not_end_is_malformed() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, false);
    raw.headers(1, &[("checksum", "1")], false);
    assert_eq!(raw.resets(), [(1, Reason::PROTOCOL_ERROR)]);
    assert_eq!(raw.peer.resets(), [(1, Reason::PROTOCOL_ERROR, false, false)]);
}

#[test]
fn content_length_must_be_kept() {
    let with_length = |length| {
        let mut fields = REQUEST.to_vec();
        fields.push(("content-length", length));
        fields
    };
    let mut raw = Raw::server(Limits::default());
    raw.headers(1, &with_length("3"), false);
    raw.frame(DATA, END_STREAM, 1, b"abc");
    raw.headers(3, &with_length("3"), false);
    raw.frame(DATA, 0, 3, b"abcd");
    raw.headers(5, &with_length("3"), false);
    raw.frame(DATA, END_STREAM, 5, b"ab");
    raw.headers(7, &with_length("3"), true);
    raw.headers(9, &with_length("3"), false);
    raw.headers(9, &[("a", "b")], true);
    let bad = [3, 5, 7, 9].map(|id| (id, Reason::PROTOCOL_ERROR));
    assert_eq!(raw.resets(), bad);
}

#[test]
fn content_length_without_a_body_is_fine_after_head() {
    let mut raw = Raw::client(Limits::default());
    let head = headers(&[(":method", "HEAD"), (":scheme", "http"), (":path", "/")]);
    raw.peer.connection.open(raw.now, &head, None, true).unwrap();
    raw.headers(1, &[(":status", "200"), ("content-length", "1000")], true);
    raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    raw.headers(3, &[(":status", "304"), ("content-length", "1000")], true);
    assert_eq!(raw.resets(), []);
    assert_eq!(raw.peer.keys().len(), 2);
}

#[test]
fn a_response_without_headers_is_malformed() {
    let mut raw = Raw::client(Limits::default());
    raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    raw.frame(DATA, END_STREAM, 1, b"body");
    assert_eq!(raw.resets(), [(1, Reason::PROTOCOL_ERROR)]);
}

#[test]
fn an_informational_response_that_ends_is_malformed() {
    let mut raw = Raw::client(Limits::default());
    for (id, status, end) in [(1, "100", true), (3, "101", false)] {
        raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
        raw.headers(id, &[(":status", status)], end);
        assert_eq!(raw.resets(), [(id, Reason::PROTOCOL_ERROR)]);
    }
}

#[test]
fn a_push_ends_the_connection() {
    let mut raw = Raw::client(Limits::default());
    raw.peer.connection.open(raw.now, &request(), None, true).unwrap();
    let block = raw.block(&REQUEST);
    raw.frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], block.as_slice()].concat());
    assert_eq!(raw.go_away(), Some(Reason::PROTOCOL_ERROR));
}

#[test]
fn the_client_refuses_push_in_its_settings() {
    let mut pair = Pair::fresh(Limits::default(), Limits::default());
    let mut first = Vec::new();
    pair.client.drain(pair.now, |bytes| first.extend(bytes));
    let settings = &first[24 + 9..];
    assert!(settings.chunks(6).any(|entry| entry == [0, 2, 0, 0, 0, 0]));
}

#[test]
fn unknown_frames_are_ignored_whole_and_in_pieces() {
    let mut raw = Raw::server(Limits::default());
    raw.frame(0x77, 0xff, 5, &[1; 1000]);
    let frame = Frame::new(0xfe, 0, 0, &[2; 1000]).bytes();
    for piece in frame.chunks(7) {
        raw.say(piece);
    }
    raw.frame(0x42, 0, 0, &[]);
    raw.request(1, true);
    assert_eq!(raw.peer.keys().len(), 1);
}

#[test]
fn extended_connect_needs_the_server_to_allow_it() {
    let connect = headers(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "orders"),
    ]);
    for connect_protocol in [false, true] {
        let limits = Limits { connect_protocol, ..Limits::default() };
        let mut pair = Pair::with(Limits::default(), limits);
        assert_eq!(pair.client.connection.can_connect_protocol(), connect_protocol);
        pair.client.connection.open(pair.now, &connect, None, false).unwrap();
        pair.run();
        assert_eq!(pair.server.keys().len(), usize::from(connect_protocol));
    }
}

#[test]
fn varying_fields_travel_beside_the_head() {
    let mut pair = Pair::connected();
    let head = request();
    for n in 0..10 {
        let timeout = format!("{n}m");
        let extra = [("grpc-timeout", timeout.as_str())].into_iter().collect();
        pair.client.connection.open(pair.now, &head, Some(&extra), true).unwrap();
    }
    pair.run();
    for (n, event) in pair.server.take().iter().enumerate() {
        let Event::Headers { headers, .. } = event else { panic!("{event:?}") };
        assert_eq!(headers.find("grpc-timeout"), Some(format!("{n}m").as_bytes()));
    }
}
