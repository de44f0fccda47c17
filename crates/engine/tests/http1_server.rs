//! A server of HTTP/1.1: requests come in, answers go out.

#[path = "support/http1.rs"]
mod support;

use bytes::Bytes;
use polywire_engine::wire::{Reason, Role, StreamEvent as Event};
use polywire_engine::{Limits, wire::ConnectionError};
use support::*;

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: orders:80\r\nX-Case: Kept Value \r\n\r\n";

#[test]
fn a_request_has_the_form_of_http2() {
    let mut raw = Raw::server();
    raw.say(GET);
    let (key, headers, end) = raw.headers();
    let fields: Vec<_> =
        headers.iter().map(|(n, v)| (n.escape_ascii().to_string(), v.escape_ascii().to_string())).collect();
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        fields,
        [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "orders:80"),
            (":path", "/a?b=c"),
            ("x-case", "Kept Value")
        ]
    );
    assert!(end);
    assert_eq!((key.index(), key.id().get()), (0, 1));
    assert_eq!(raw.connection.streams_open(), 1);
}

#[test]
fn an_answer_that_is_there_as_a_whole_has_a_length() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.respond("hello");
    assert_eq!(raw.text(), "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(raw.connection.streams_open(), 0);
    assert_eq!(raw.closed(), None);
}

#[test]
fn an_answer_has_one_date_where_there_is_a_clock() {
    let mut raw = Raw::server();
    raw.connection.set_date(|| *b"Sun, 06 Nov 1994 08:49:37 GMT");
    raw.say(GET);
    raw.respond("hello");
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(
        raw.text(),
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{date}content-length: 5\r\n\r\nhello")
    );
    // Who knows better is not contradicted.
    raw.say(GET);
    let own = headers(&[("date", "Mon, 07 Nov 1994 00:00:00 GMT")]);
    assert!(raw.connection.send_headers(raw.key(), &response(), Some(&own), true));
    raw.drain();
    let text = raw.text();
    assert!(text.contains("date: Mon, ") && !text.contains(date), "{text}");
    // Nor does what is refused go without.
    raw.say("GET /\r\n\r\n");
    let text = raw.text();
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains(date), "{text}");
}

#[test]
fn a_request_on_a_private_transport_is_https_unless_it_says_more() {
    let mut raw = Raw::server();
    raw.connection.set_secure();
    for (request, scheme) in [(GET, "https"), ("GET http://orders/ HTTP/1.1\r\nhost: orders\r\n\r\n", "http")] {
        raw.say(request);
        assert_eq!(raw.headers().1.find(":scheme"), Some(scheme.as_bytes()));
        raw.respond("");
    }
}

#[test]
fn an_answer_that_comes_in_pieces_is_chunked() {
    let mut raw = Raw::server();
    raw.say(GET);
    let key = raw.key();
    assert!(raw.connection.send_headers(key, &response(), None, false));
    assert!(raw.connection.send_data(key, Bytes::from_static(b"one"), false));
    assert!(raw.connection.send_data(key, Bytes::from_static(b"two"), false));
    raw.drain();
    assert!(raw.text().ends_with("transfer-encoding: chunked\r\n\r\n6\r\nonetwo\r\n"));
    assert!(raw.connection.send_data(key, Bytes::new(), true));
    raw.drain();
    assert_eq!(raw.text(), "0\r\n\r\n");
    assert!(!raw.connection.send_data(key, Bytes::new(), true));
}

#[test]
fn a_length_that_is_given_is_kept_to() {
    for (given, sent, closes) in [("hello and more", "hello", false), ("hel", "hel", true)] {
        let mut raw = Raw::server();
        raw.say(GET);
        let key = raw.key();
        let head = headers(&[(":status", "200"), ("content-length", "5")]);
        raw.connection.send_headers(key, &head, None, false);
        raw.drain();
        raw.connection.send_data(key, Bytes::copy_from_slice(given.as_bytes()), true);
        raw.drain();
        assert_eq!(raw.text(), format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{sent}"));
        assert_eq!(raw.closed().is_some(), closes, "a short body is ended by the connection");
    }
}

#[test]
fn an_answer_without_body_says_so_unless_its_status_does() {
    for (status, fields) in [("200", "content-length: 0\r\n"), ("204", ""), ("304", "")] {
        let mut raw = Raw::server();
        raw.say(GET);
        let key = raw.key();
        raw.connection.send_headers(key, &headers(&[(":status", status)]), None, true);
        raw.drain();
        let text = raw.text();
        assert!(text.ends_with(&format!("\r\n{fields}\r\n")), "{text}");
        assert_eq!(text.contains("content-length"), !fields.is_empty());
    }
}

#[test]
fn the_answer_to_head_has_no_body_even_if_one_is_given() {
    let mut raw = Raw::server();
    raw.say("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    let key = raw.key();
    raw.connection.send_headers(key, &headers(&[(":status", "200"), ("content-length", "5")]), None, false);
    assert!(raw.connection.send_data(key, Bytes::from_static(b"hello"), true));
    raw.drain();
    assert_eq!(raw.text(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    raw.say(GET);
    assert_eq!(raw.heads(), 2);
}

#[test]
fn trailers_go_to_those_who_know_them() {
    for (te, end) in [("te: trailers\r\n", "2\r\nhi\r\n0\r\ngrpc-status: 0\r\n\r\n"), ("", "\r\n\r\nhi")] {
        let mut raw = Raw::server();
        raw.say(format!("GET / HTTP/1.1\r\nhost: a\r\n{te}\r\n"));
        let key = raw.key();
        assert_eq!(raw.headers().1.find("te").is_some(), !te.is_empty());
        raw.connection.send_headers(key, &response(), None, false);
        raw.connection.send_data(key, Bytes::from_static(b"hi"), false);
        raw.connection.send_headers(key, &headers(&[("grpc-status", "0")]), None, true);
        raw.drain();
        let text = raw.text();
        assert!(text.ends_with(end), "{text}");
    }
}

#[test]
fn http_1_0_gets_its_answer_until_the_connection_ends() {
    let mut raw = Raw::server();
    raw.say("GET / HTTP/1.0\r\n\r\n");
    let key = raw.key();
    raw.connection.send_headers(key, &response(), None, false);
    raw.drain();
    raw.connection.send_data(key, Bytes::from_static(b"all"), true);
    raw.drain();
    let text = raw.text();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("connection: close\r\n\r\nall"), "{text}");
    assert!(!text.contains("chunked"));
    assert_eq!(raw.closed(), Some(None));
    assert!(raw.over);
}

#[test]
fn connection_close_is_said_and_done() {
    let mut raw = Raw::server();
    raw.say("GET / HTTP/1.1\r\nhost: a\r\nconnection: x, Close\r\n\r\n");
    assert_eq!(raw.headers().1.find("connection"), None);
    raw.respond("bye");
    assert!(raw.text().ends_with("content-length: 3\r\nconnection: close\r\n\r\nbye"));
    assert_eq!(raw.closed(), Some(None));
    assert!(raw.over);
}

#[test]
fn a_body_comes_by_length_or_in_chunks() {
    for (framing, body) in [
        ("content-length: 11", "hello world"),
        ("transfer-encoding: chunked", "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"),
        ("Transfer-Encoding: Chunked", "B\r\nhello world\r\n000\r\n\r\n"),
    ] {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{body}");
        // Whole, and cut at every byte.
        for cut in 0..text.len() {
            let mut raw = Raw::server();
            raw.say(&text[..cut]);
            raw.say(&text[cut..]);
            assert_eq!(raw.body(), b"hello world", "cut at {cut}");
            assert!(raw.ended());
            assert_eq!(raw.closed(), None);
        }
        let mut raw = Raw::server();
        for byte in text.bytes() {
            raw.say([byte]);
        }
        assert_eq!(raw.body(), b"hello world");
        assert!(raw.ended());
        raw.respond("done");
        raw.say(GET);
        assert_eq!(raw.heads(), 2);
    }
}

#[test]
fn trailers_of_a_request_are_reported() {
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA-B: c\r\n\r\n");
    assert_eq!(raw.trailers().unwrap().find("a-b"), Some(&b"c"[..]));
    assert_eq!(raw.body(), b"x");
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let mut raw = Raw::server();
    raw.say(format!("{GET}POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi{GET}"));
    assert_eq!(raw.heads(), 1);
    raw.respond("1");
    assert_eq!(raw.heads(), 2);
    assert_eq!(raw.body(), b"hi");
    raw.respond("2");
    assert_eq!(raw.heads(), 3);
    assert_eq!(raw.key().id().get(), 5);
    assert_eq!(raw.key().index(), 0);
    raw.respond("3");
    let text = raw.text();
    let bodies: Vec<_> =
        text.match_indices("content-length: 1\r\n\r\n").map(|(at, m)| &text[at + m.len()..][..1]).collect();
    assert_eq!(bodies, ["1", "2", "3"]);
}

#[test]
fn many_pipelined_requests_answered_at_once_go_out_together() {
    let mut raw = Raw::server();
    raw.answers = true;
    raw.say(GET.repeat(500));
    assert_eq!(raw.heads(), 500);
    assert_eq!(raw.text().matches("HTTP/1.1 200 OK").count(), 500);
    // The head is the same each time, and so is what was made of it.
    let mut seen: Vec<_> = raw
        .events
        .iter()
        .filter_map(|e| if let Event::Headers { headers, .. } = e { Some(headers) } else { None })
        .collect();
    let first = seen.remove(0);
    assert!(seen.iter().all(|headers| std::sync::Arc::ptr_eq(headers, first)));
}

#[test]
fn pipelined_bytes_wait_within_a_bound() {
    let mut raw = Raw::server();
    raw.say(GET);
    let mut said = 0;
    while raw.connection.wants_bytes() {
        raw.say(GET);
        said += GET.len();
        assert!(said < 20_000);
    }
    assert_eq!(raw.heads(), 1);
    // Nobody minds what was under way; more is an attack.
    for _ in 0..100_000 {
        if raw.closed().is_some() {
            break;
        }
        raw.say(GET);
        said += GET.len();
    }
    assert!(matches!(raw.closed(), Some(Some(ConnectionError::LimitExceeded(_)))));
    assert!((1 << 20..1_200_000).contains(&said), "{said}");
}

#[test]
fn continue_is_said_unless_the_answer_began_or_the_body_came() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    let mut raw = Raw::server();
    raw.say(head);
    assert_eq!(raw.headers().1.find("expect"), None);
    assert_eq!(raw.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.say("hi");
    raw.respond("ok");
    assert!(!raw.text().contains("connection: close"));

    let mut raw = Raw::server();
    raw.say(format!("{head}hi"));
    assert_eq!(raw.text(), "");

    // Refused at once: whether the body still comes cannot be known.
    let mut raw = Raw::server();
    raw.answers = true;
    raw.say(head);
    let text = raw.text();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("connection: close"), "{text}");
    assert_eq!(raw.closed(), Some(None));
}

#[test]
fn a_body_nobody_wants_any_more_is_read_and_dropped_within_a_bound() {
    for (length, kept) in [(10_000, true), (1_000_000, true), (2_000_000, false)] {
        let mut raw = Raw::server();
        raw.say(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        raw.respond("enough");
        let mut left = length;
        while left > 0 && raw.closed().is_none() {
            raw.say(vec![7; left.min(5000)]);
            left -= left.min(5000);
        }
        assert_eq!(raw.body(), b"");
        assert_eq!(raw.closed().is_none(), kept);
        if kept {
            raw.say(GET);
            assert_eq!(raw.heads(), 2);
        }
    }
}

#[test]
fn a_consumer_that_does_not_release_stops_the_reading() {
    let limits = Limits { window_bytes: 10_000, ..Limits::default() };
    let mut raw = Raw::with(Role::Server, limits);
    raw.releases = false;
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n");
    for _ in 0..10 {
        assert!(raw.connection.wants_bytes());
        raw.say(vec![7; 1000]);
    }
    assert!(!raw.connection.wants_bytes());
    let key = raw.key();
    raw.connection.release(key, 5000);
    assert!(raw.connection.wants_bytes());
}

#[test]
fn a_reset_before_the_answer_is_an_answer() {
    for (reason, status) in
        [(Reason::REFUSED_STREAM, "503"), (Reason::ENHANCE_YOUR_CALM, "429"), (Reason::INTERNAL_ERROR, "500")]
    {
        for begun in [false, true] {
            let mut raw = Raw::server();
            raw.say(GET);
            let key = raw.key();
            if begun {
                raw.connection.send_headers(key, &response(), None, false);
            }
            assert!(raw.connection.reset(key, reason));
            raw.drain();
            let text = raw.text();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
            assert_eq!(raw.closed(), Some(None));
        }
    }
}

#[test]
fn a_reset_inside_the_answer_ends_the_connection_without_the_last_chunk() {
    let mut raw = Raw::server();
    raw.say(GET);
    let key = raw.key();
    raw.connection.send_headers(key, &response(), None, false);
    raw.connection.send_data(key, Bytes::from_static(b"half"), false);
    raw.drain();
    raw.connection.reset(key, Reason::INTERNAL_ERROR);
    assert!(!raw.connection.reset(key, Reason::INTERNAL_ERROR));
    raw.drain();
    assert!(raw.text().ends_with("4\r\nhalf\r\n"));
    assert_eq!(raw.closed(), Some(None));
}

#[test]
fn a_drain_says_close_with_the_next_answer_and_ends_an_idle_connection_at_once() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.connection.drain(raw.now, "restart");
    raw.drain();
    assert_eq!(raw.closed(), None);
    assert!(raw.connection.is_draining());
    raw.respond("last");
    assert!(raw.text().contains("connection: close\r\n"));
    assert_eq!(raw.closed(), Some(None));

    let mut raw = Raw::server();
    raw.say(GET);
    raw.respond("first");
    raw.connection.drain(raw.now, "restart");
    raw.drain();
    assert_eq!(raw.closed(), Some(None));
    assert!(raw.over);
}

#[test]
fn a_client_that_leaves_ends_its_request() {
    let mut raw = Raw::server();
    raw.say(GET);
    raw.hang_up();
    assert_eq!(raw.closed(), Some(Some(ConnectionError::Lost)));
    let mut raw = Raw::server();
    raw.hang_up();
    assert_eq!(raw.closed(), Some(None));
    assert_eq!(raw.text(), "");
}

#[test]
fn what_would_end_a_line_does_not_leave() {
    let mut raw = Raw::server();
    raw.say(GET);
    let key = raw.key();
    let fields = headers(&[(":status", "200"), ("x", "a\r\nset-cookie: b"), ("y z", "1"), ("", "2"), ("n", "\0")]);
    raw.connection.send_headers(key, &fields, None, true);
    raw.drain();
    assert_eq!(raw.text(), "HTTP/1.1 200 OK\r\nx: a  set-cookie: b\r\nn:  \r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn fields_of_the_connection_are_the_wires_own() {
    let mut raw = Raw::server();
    raw.say("GET / HTTP/1.1\r\nhost: a\r\nkeep-alive: 5\r\nproxy-connection: x\r\nte: gzip\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMA\r\n\r\n");
    assert_eq!(raw.headers().1.len(), 4);
    let key = raw.key();
    let head = headers(&[(":status", "200"), ("connection", "x"), ("transfer-encoding", "gzip"), ("upgrade", "x")]);
    raw.connection.send_headers(key, &head, None, true);
    raw.drain();
    assert_eq!(raw.text(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn a_queue_that_was_high_says_when_it_is_low() {
    let mut raw = Raw::server();
    raw.say(GET);
    let key = raw.key();
    raw.connection.send_headers(key, &response(), None, false);
    raw.connection.send_data(key, Bytes::from(vec![7; 100_000]), false);
    assert_eq!(raw.connection.queued_bytes(key), 100_000);
    raw.drain();
    assert_eq!(raw.connection.queued_bytes(key), 0);
    assert_eq!(raw.events.iter().filter(|event| matches!(event, Event::Writable { .. })).count(), 1);
}
