//! Requests that two readers could understand differently: each is refused, and nothing behind it is looked at.
#![allow(clippy::unwrap_used)]

#[path = "support/http1.rs"]
mod support;

use polywire_engine::Limits;
use polywire_engine::wire::{ConnectionError, LimitExceeded, Role};
use support::*;

/// One line of the table.
struct Case {
    want: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("http1/requests.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.splitn(3, " | ");
            let mut next = || parts.next().unwrap();
            Case { want: next(), name: next(), bytes: unescape(next()) }
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (byte, false) => byte,
            _ => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
        });
    }
    bytes
}

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

fn judge(case: &Case, raw: &mut Raw) {
    let name = case.name;
    let text = raw.text();
    match case.want {
        "ok" => {
            assert_eq!(raw.closed(), None, "{name}: {text}");
            assert_eq!(raw.heads(), 1, "{name}");
            raw.respond("fine");
            raw.say(NEXT);
            assert_eq!(raw.heads(), 2, "{name}");
        }
        want => {
            let (status, heads) = if want == "body" { ("400", 1) } else { (want, 0) };
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {text:?}");
            assert!(text.contains("\r\nconnection: close\r\n"), "{name}: {text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1 + usize::from(want == "505"), "{name}: {text}");
            assert_eq!(raw.heads(), heads, "{name}");
            assert!(matches!(raw.closed(), Some(Some(ConnectionError::PeerMisbehaved(_)))), "{name}");
            assert!(!raw.ended() || want != "body", "{name}");
            assert!(raw.over, "{name}");
            raw.say(NEXT);
            assert_eq!(raw.text(), "", "{name}");
        }
    }
}

#[test]
fn each_case_of_the_table_ends_as_it_says() {
    assert!(cases().len() > 90);
    for case in cases() {
        let mut raw = Raw::server();
        raw.say(&case.bytes);
        judge(&case, &mut raw);
    }
}

#[test]
fn each_case_ends_the_same_byte_by_byte_and_behind_another_request() {
    for case in cases() {
        let mut raw = Raw::server();
        for byte in &case.bytes {
            raw.say([*byte]);
        }
        judge(&case, &mut raw);

        let mut raw = Raw::server();
        raw.say(NEXT);
        raw.say(&case.bytes);
        assert_eq!(raw.closed(), None, "{}: nothing is said before its turn", case.name);
        raw.respond("first");
        let text = raw.text();
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{}", case.name);
        let answer = text.split_once("first").unwrap().1;
        assert_eq!(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"), case.want != "ok");
    }
}

#[test]
fn a_smuggled_request_behind_a_refused_one_is_never_seen() {
    for case in cases().iter().filter(|case| case.want != "ok") {
        let mut raw = Raw::server();
        raw.say([&case.bytes[..], NEXT.as_bytes()].concat());
        let expected = usize::from(case.want == "body");
        assert_eq!(raw.heads(), expected, "{}", case.name);
    }
}

#[test]
fn a_request_line_without_end_is_too_long() {
    let mut raw = Raw::with(Role::Server, Limits { header_list_bytes_max: 2000, ..Limits::default() });
    raw.say("GET /");
    for _ in 0..100 {
        raw.say("a".repeat(100));
    }
    assert!(raw.text().starts_with("HTTP/1.1 414 "));
    assert_eq!(raw.closed(), Some(Some(ConnectionError::LimitExceeded(LimitExceeded::HeaderBlock))));
}

#[test]
fn fields_are_bounded_in_bytes_and_in_number() {
    let fields = [
        "x: y\r\n".repeat(10_000),
        format!("x: {}\r\n", "y".repeat(20_000)),
        "x: y\r\n".repeat(129),
        format!("{}: y\r\n", "x".repeat(16_380)),
        // In the form of HTTP/2 a field counts 32 bytes more.
        "a:b\r\n".repeat(127) + &format!("x: {}\r\n", "y".repeat(12_500)),
    ];
    for fields in fields {
        let mut raw = Raw::server();
        raw.say(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
        assert!(raw.text().starts_with("HTTP/1.1 431 "));
        assert_eq!(raw.heads(), 0);
    }
    let mut raw = Raw::server();
    raw.say(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100)));
    assert_eq!(raw.heads(), 1);
}

#[test]
fn trailers_are_bounded_too() {
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n");
    for _ in 0..3000 {
        raw.say("x: yyyy\r\n");
    }
    assert!(raw.text().starts_with("HTTP/1.1 431 "));
    assert_eq!(raw.closed(), Some(Some(ConnectionError::LimitExceeded(LimitExceeded::HeaderBlock))));
}

#[test]
fn the_line_before_a_chunk_is_bounded_and_so_are_all_of_them() {
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1;");
    raw.say("a".repeat(300));
    assert!(raw.text().starts_with("HTTP/1.1 400 "));

    // A byte of data for two hundred of nothing.
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut chunks = 0;
    while raw.closed().is_none() {
        raw.say(format!("1;{}\r\nx\r\n", "a".repeat(200)));
        chunks += 1;
        assert!(chunks < 200);
    }
    assert!(chunks > 50);

    // Small chunks alone are no fault.
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    raw.say("1\r\nx\r\n".repeat(20_000));
    assert_eq!(raw.closed(), None);
    assert_eq!(raw.body().len(), 20_000);
    let events = raw.events.len();
    assert!(events < 10, "crumbs are gathered: {events} events");
}

#[test]
fn a_fault_in_the_body_behind_the_beginning_of_the_answer_ends_without_words() {
    let mut raw = Raw::server();
    raw.say("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let key = raw.key();
    raw.connection.send_headers(key, &response(), None, false);
    raw.drain();
    assert!(raw.text().ends_with("chunked\r\n\r\n"));
    raw.say("x");
    assert_eq!(raw.text(), "");
    assert!(raw.over);
}
