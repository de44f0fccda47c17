//! A client and a server that talk to each other. Conversations made up at random are played by the simulator.

#[path = "support/http1.rs"]
mod support;

use bytes::Bytes;
use polywire_engine::Limits;
use polywire_engine::wire::StreamEvent as Event;
use support::*;

#[test]
fn many_exchanges_share_a_connection_whatever_the_pieces() {
    for piece in [1, 7, 1000, usize::MAX] {
        let mut pair = Pair::new();
        pair.piece = piece;
        for n in 0..20u32 {
            let (ours, theirs) = pair.open(false);
            assert_eq!(ours.id(), theirs.id());
            let body = vec![n as u8; 100 * n as usize];
            pair.client.connection.send_data(ours, body.clone().into(), n % 2 == 0);
            pair.run();
            if n % 2 == 1 {
                pair.client.connection.send_headers(ours, &headers(&[("sum", "1")]), None, true);
                pair.run();
                assert!(pair.server.trailers().is_some());
            }
            assert_eq!(pair.server.body(), body);
            assert!(pair.server.ended());
            pair.server.respond("fine");
            pair.run();
            assert_eq!(pair.client.body(), b"fine");
            assert!(pair.client.ended());
            pair.client.events.clear();
            pair.server.events.clear();
        }
        assert!(pair.client.connection.is_idle() && pair.server.connection.is_idle());
    }
}

#[test]
fn both_directions_flow_at_once() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.open(false);
    pair.server.connection.send_headers(theirs, &response(), None, false);
    for n in 0..10u8 {
        pair.client.connection.send_data(ours, Bytes::from(vec![n; 10]), false);
        pair.run();
        assert_eq!(pair.server.body().len(), 10 * (usize::from(n) + 1));
        pair.server.connection.send_data(theirs, Bytes::from(vec![n; 20]), false);
        pair.run();
        assert_eq!(pair.client.body().len(), 20 * (usize::from(n) + 1));
    }
    // The answer may end first: the request's end still makes the connection free.
    pair.client.connection.send_data(ours, Bytes::new(), true);
    pair.server.connection.send_data(theirs, Bytes::new(), true);
    pair.run();
    assert!(pair.client.connection.can_open());
}

#[test]
fn a_consumer_that_stops_stops_the_sender() {
    let limits = Limits { window_bytes: 50_000, ..Limits::default() };
    let mut pair = Pair::with(Limits::default(), limits);
    pair.server.releases = false;
    let (ours, theirs) = pair.open(false);
    for _ in 0..100 {
        pair.client.connection.send_data(ours, Bytes::from(vec![7; 10_000]), false);
        // The transport between the two takes nothing more while the server does not read.
        pair.client.deaf = !pair.client.written.is_empty();
        pair.run();
    }
    assert!(pair.server.body().len() < 200_000);
    assert!(pair.client.connection.queued_bytes(ours) > 700_000);
    pair.client.events.clear();
    pair.client.deaf = false;
    pair.server.releases = true;
    let held = pair.server.body().len() as u32;
    pair.server.connection.release(theirs, held);
    pair.run();
    assert_eq!(pair.server.body().len(), 1_000_000);
    assert!(matches!(pair.client.events[..], [Event::Writable { .. }]));
}

#[test]
fn a_client_that_drains_finishes_what_it_began() {
    let mut pair = Pair::new();
    pair.open(true);
    pair.client.connection.drain(pair.client.now, "");
    assert!(!pair.client.connection.can_open());
    pair.run();
    assert_eq!(pair.client.closed(), None);
    pair.server.respond("last");
    pair.run();
    assert_eq!(pair.client.body(), b"last");
    assert_eq!(pair.client.closed(), Some(None));
}

#[test]
fn a_server_that_drains_tells_its_client() {
    let mut pair = Pair::new();
    pair.open(true);
    pair.server.connection.drain(pair.server.now, "");
    pair.run();
    pair.server.respond("last");
    pair.run();
    assert!(pair.client.events.iter().any(|event| matches!(event, Event::GoingAway { .. })));
    assert_eq!((pair.client.closed(), pair.server.closed()), (Some(None), Some(None)));
}
