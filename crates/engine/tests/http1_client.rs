//! A client of HTTP/1.1: requests go out, answers come in.

#[path = "support/http1.rs"]
mod support;

use bytes::Bytes;
use polywire_engine::wire::{ConnectionError, OpenError, PeerMisbehaved, Reason, StreamEvent as Event};
use support::*;

#[test]
fn a_request_goes_out_and_its_answer_comes_back() {
    let mut raw = Raw::client();
    let key = raw.connection.open(raw.now, &request(), Some(&[("x", "y")].into_iter().collect()), false).unwrap();
    raw.connection.send_data(key, Bytes::from_static(b"hello"), true);
    raw.drain();
    assert_eq!(
        raw.text(),
        "POST /orders.v1.Orders/Get HTTP/1.1\r\nhost: orders\r\nx: y\r\ncontent-length: 5\r\n\r\nhello"
    );
    raw.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nhi");
    let (of, headers, end) = raw.headers();
    assert_eq!(of, key);
    assert!(!end);
    assert_eq!(headers.iter().next(), Some((&b":status"[..], &b"200"[..])));
    assert_eq!(headers.find("a"), Some(&b"b"[..]));
    assert_eq!(raw.body(), b"hi");
    assert!(raw.ended());
    assert!(raw.connection.can_open());
    assert_eq!(raw.closed(), None);
}

#[test]
fn a_status_that_nobody_has_defined_is_taken_as_it_came() {
    let mut raw = Raw::client();
    raw.ask("GET");
    raw.say("HTTP/1.1 800 Whatever\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(raw.headers().1.find(":status"), Some(&b"800"[..]));
    assert_eq!(raw.body(), b"hi");
    assert_eq!(raw.closed(), None);
}

#[test]
fn a_request_without_content_has_a_length_only_if_its_method_means_one() {
    for (method, end) in
        [("GET", "orders\r\n\r\n"), ("DELETE", "orders\r\n\r\n"), ("POST", "content-length: 0\r\n\r\n")]
    {
        let mut raw = Raw::client();
        raw.ask(method);
        let text = raw.text();
        assert!(text.ends_with(end), "{text}");
    }
}

#[test]
fn a_body_in_pieces_is_chunked_and_may_have_trailers() {
    let mut raw = Raw::client();
    let key = raw.connection.open(raw.now, &request(), None, false).unwrap();
    raw.drain();
    assert!(raw.text().ends_with("transfer-encoding: chunked\r\n\r\n"));
    raw.connection.send_data(key, Bytes::from(vec![b'x'; 17]), false);
    raw.drain();
    assert_eq!(raw.text(), format!("11\r\n{}\r\n", "x".repeat(17)));
    raw.connection.send_headers(key, &headers(&[("sum", "1")]), None, true);
    raw.drain();
    assert_eq!(raw.text(), "0\r\nsum: 1\r\n\r\n");
}

#[test]
fn te_is_said_to_concern_this_connection() {
    let mut raw = Raw::client();
    let head = headers(&[(":method", "GET"), (":path", "/"), (":authority", "a"), ("te", "trailers")]);
    raw.connection.open(raw.now, &head, None, true).unwrap();
    raw.drain();
    assert_eq!(raw.text(), "GET / HTTP/1.1\r\nhost: a\r\nconnection: te\r\nte: trailers\r\n\r\n");
}

#[test]
fn one_request_at_a_time() {
    let mut raw = Raw::client();
    raw.ask("GET");
    assert!(!raw.connection.can_open());
    assert_eq!(raw.connection.open(raw.now, &request(), None, true), Err(OpenError::Full));
    raw.say("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(matches!(raw.events[..], [Event::Headers { end: true, .. }, Event::Openable]));
    let second = raw.ask("GET");
    assert_eq!((second.index(), second.id().get()), (0, 3));
}

#[test]
fn every_framing_of_an_answer_is_read_at_every_cut() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nx: y\r\n\r\n", "hello"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "",
        ),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n", ""),
    ] {
        for cut in 0..=answer.len() {
            let mut raw = Raw::client();
            raw.ask("GET");
            raw.say(&answer[..cut]);
            raw.say(&answer[cut..]);
            assert_eq!(raw.body(), body.as_bytes(), "{answer} cut at {cut}");
            assert!(raw.ended());
            assert_eq!(raw.heads(), 1);
            assert!(raw.connection.can_open());
        }
    }
}

#[test]
fn the_answer_to_head_has_no_body_whatever_it_says() {
    let mut raw = Raw::client();
    raw.ask("HEAD");
    raw.say("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n");
    assert!(raw.headers().2);
    assert!(raw.connection.can_open());
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let mut raw = Raw::client();
    raw.ask("GET");
    raw.say("HTTP/1.0 200 OK\r\n\r\nall of");
    raw.say(" it");
    assert!(!raw.ended());
    assert!(raw.connection.is_draining());
    assert!(raw.events.iter().any(|event| matches!(event, Event::GoingAway { .. })));
    raw.hang_up();
    assert_eq!(raw.body(), b"all of it");
    assert!(raw.ended());
    assert_eq!(raw.closed(), Some(None));
}

#[test]
fn a_connection_that_ends_inside_an_answer_is_lost() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut raw = Raw::client();
        raw.ask("GET");
        raw.say(answer);
        raw.hang_up();
        assert_eq!(raw.closed(), Some(Some(ConnectionError::Lost)), "{answer}");
        assert!(!raw.ended());
    }
}

#[test]
fn a_server_that_closes_between_requests_goes_away() {
    let mut raw = Raw::client();
    raw.hang_up();
    assert!(matches!(raw.events[..], [Event::GoingAway { .. }, Event::Closed { error: None }]));

    let mut raw = Raw::client();
    raw.ask("GET");
    raw.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert!(matches!(raw.events[..], [Event::Headers { .. }, Event::GoingAway { .. }, Event::Closed { error: None }]));
    assert!(raw.over);
}

#[test]
fn a_reset_ends_the_connection_and_no_error_only_what_is_left() {
    let mut raw = Raw::client();
    let key = raw.ask("GET");
    assert!(raw.connection.reset(key, Reason::CANCEL));
    raw.drain();
    assert_eq!(raw.closed(), Some(None));

    let mut raw = Raw::client();
    let key = raw.ask("GET");
    raw.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert!(raw.connection.reset(key, Reason::NO_ERROR));
    assert!(!raw.connection.can_open());
    raw.events.clear();
    raw.say("5\r\nhello\r\n0\r\n\r\n");
    assert!(raw.events.is_empty(), "{:?}", raw.events);
    assert!(raw.connection.can_open());
    assert_eq!(raw.closed(), None);
}

#[test]
fn a_request_cannot_be_split_by_its_path() {
    let mut raw = Raw::client();
    let head = headers(&[(":method", "GET"), (":path", "/a b\r\nx: y"), (":authority", "a\r\nb")]);
    raw.connection.open(raw.now, &head, None, true).unwrap();
    raw.drain();
    assert_eq!(raw.text(), "GET /a%20b%0D%0Ax:%20y HTTP/1.1\r\nhost: a  b\r\n\r\n");
}

#[test]
fn answers_that_could_be_read_in_two_ways_are_refused() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 1\n\n",
        "HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut raw = Raw::client();
        raw.ask("GET");
        raw.say(answer);
        let closed = raw.closed();
        assert!(
            matches!(closed, Some(Some(ConnectionError::PeerMisbehaved(PeerMisbehaved::Http1(_))))),
            "{answer}: {closed:?}"
        );
        assert_eq!(raw.connection.open(raw.now, &request(), None, true), Err(OpenError::Closed));
    }
}

#[test]
fn what_comes_unasked_is_refused() {
    let mut raw = Raw::client();
    raw.say("HTTP/1.1 200 OK\r\n\r\n");
    assert!(matches!(raw.closed(), Some(Some(ConnectionError::PeerMisbehaved(_)))));
}

#[test]
fn informational_answers_without_end_are_refused() {
    let mut raw = Raw::client();
    raw.ask("GET");
    raw.say("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(32));
    assert_eq!(raw.closed(), None);
    raw.say("HTTP/1.1 103 Early Hints\r\n\r\n");
    assert!(raw.closed().is_some());
}
