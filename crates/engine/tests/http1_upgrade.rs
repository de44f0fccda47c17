//! A connection that changes its protocol: HTTP/1.1 ends, and what comes behind belongs to somebody else.

#[path = "support/http1.rs"]
mod support;

use bytes::Bytes;
use support::*;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n";

#[test]
fn a_server_changes_the_protocol_when_asked() {
    let mut raw = Raw::server();
    raw.say(ASK);
    let (key, head, end) = raw.headers();
    assert!(end);
    assert_eq!(head.find("upgrade"), Some(&b"websocket"[..]));
    assert_eq!(head.find("connection"), Some(&b"keep-alive, Upgrade"[..]));
    assert_eq!(raw.connection.take_upgraded(), None);
    let answer = headers(&[(":status", "101"), ("upgrade", "websocket")]);
    let extra = [("sec-websocket-accept", "y")].into_iter().collect();
    assert!(raw.connection.upgrade(key, &answer, Some(&extra)));
    assert_eq!(raw.connection.take_upgraded(), None, "the 101 has not left");
    raw.drain();
    assert_eq!(
        raw.text(),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nsec-websocket-accept: y\r\nconnection: upgrade\r\n\r\n"
    );
    assert_eq!(raw.closed(), None);
    assert_eq!(raw.connection.poll_timeout(), None);
    raw.say("frame");
    assert_eq!(raw.connection.take_upgraded(), Some(Bytes::from_static(b"frame")));
    assert_eq!(raw.connection.take_upgraded(), None);
}

#[test]
fn bytes_behind_the_request_are_kept() {
    let mut raw = Raw::server();
    raw.say(format!("{ASK}early"));
    let key = raw.key();
    assert!(raw.connection.upgrade(key, &headers(&[(":status", "101"), ("upgrade", "websocket")]), None));
    raw.drain();
    raw.say(" late");
    assert_eq!(raw.connection.take_upgraded(), Some(Bytes::from_static(b"early late")));
}

#[test]
fn only_who_asked_is_upgraded() {
    for ask in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 1\r\n\r\nx",
    ] {
        let mut raw = Raw::server();
        raw.say(ask);
        assert_eq!(raw.headers().1.find("upgrade"), None, "{ask}");
        let key = raw.key();
        assert!(!raw.connection.upgrade(key, &headers(&[(":status", "101"), ("upgrade", "websocket")]), None));
        raw.respond("as ever");
    }
}

#[test]
fn an_upgrade_may_be_declined() {
    let mut raw = Raw::server();
    raw.say(ASK);
    raw.respond("no");
    raw.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(raw.heads(), 2);
}

#[test]
fn two_engines_change_the_protocol() {
    let mut pair = Pair::new();
    let ask = headers(&[
        (":method", "GET"),
        (":path", "/"),
        (":authority", "a"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
    ]);
    pair.client.connection.open(pair.client.now, &ask, None, true).unwrap();
    pair.run();
    let key = pair.server.key();
    assert!(pair.server.connection.upgrade(key, &headers(&[(":status", "101"), ("upgrade", "websocket")]), None));
    pair.run();
    let (_, head, end) = pair.client.headers();
    assert!(!end);
    assert_eq!(head.find(":status"), Some(&b"101"[..]));
    assert_eq!(head.find("upgrade"), Some(&b"websocket"[..]));
    assert_eq!(pair.client.connection.take_upgraded(), Some(Bytes::new()));
    assert_eq!(pair.server.connection.take_upgraded(), Some(Bytes::new()));
}
