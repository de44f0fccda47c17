//! WebSocket's handshake over HTTP/1.1 (RFC 6455 §4) and HTTP/2 (RFC 8441).
#![allow(clippy::unwrap_used)]

use polywire_engine::wire::{
    Headers,
    websocket::{
        Subprotocol,
        handshake::{Origins, Policy, Request, accept, is_upgrade},
    },
};

/// The example of RFC 6455 §1.3.
const RFC: [(&str, &str); 9] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/chat"),
    (":authority", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "keep-alive, Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "chat, polywire.json, polywire.v1"),
    ("sec-websocket-version", "13"),
];

/// The example with some fields changed, or left out when the value is empty.
fn request(changes: &[(&str, &str)]) -> Headers {
    let mut fields: Vec<_> =
        RFC.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name)).collect();
    fields.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    fields.into_iter().copied().collect()
}

fn find<'a>(headers: &'a Headers, name: &str) -> &'a str {
    std::str::from_utf8(headers.find(name).unwrap_or_default()).unwrap()
}

fn status(changes: &[(&str, &str)]) -> String {
    match accept(&request(changes), &Policy::default()) {
        Ok(accepted) => find(&accepted.headers, ":status").to_owned(),
        Err(refused) => {
            assert_eq!(find(&refused.headers, "content-length"), refused.text.len().to_string());
            find(&refused.headers, ":status").to_owned()
        }
    }
}

#[test]
fn the_example_of_the_standard_is_accepted() {
    assert!(is_upgrade(&request(&[])));
    let accepted = accept(&request(&[]), &Policy::default()).unwrap();
    assert_eq!(find(&accepted.headers, ":status"), "101");
    assert_eq!(find(&accepted.headers, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(find(&accepted.headers, "sec-websocket-protocol"), "polywire.json", "the first that is spoken");
    assert_eq!(accepted.subprotocol, Some(Subprotocol::Json));
    assert_eq!(accepted.authority, "server.example.com");
    assert_eq!(status(&[("upgrade", "WebSocket"), ("connection", "upgrade")]), "101");
}

#[test]
fn a_subprotocol_is_agreed_on_only_when_it_is_offered_and_spoken() {
    let policy = Policy { json: false, ..Policy::default() };
    let accepted = accept(&request(&[]), &policy).unwrap();
    assert_eq!(accepted.subprotocol, Some(Subprotocol::Native));
    for offer in ["", "chat", "POLYWIRE.JSON"] {
        let accepted = accept(&request(&[("sec-websocket-protocol", offer)]), &Policy::default()).unwrap();
        assert_eq!(accepted.subprotocol, None);
        assert_eq!(accepted.headers.find("sec-websocket-protocol"), None);
    }
}

#[test]
fn a_bad_request_is_refused_with_what_is_wrong() {
    assert_eq!(status(&[("sec-websocket-version", "8")]), "426");
    assert_eq!(status(&[("sec-websocket-version", "")]), "426");
    assert_eq!(status(&[("upgrade", "")]), "426");
    assert_eq!(status(&[("upgrade", "h2c")]), "426");
    assert_eq!(status(&[("connection", "close")]), "400");
    assert_eq!(status(&[("sec-websocket-key", "")]), "400");
    assert_eq!(status(&[("sec-websocket-key", "c2hvcnQ=")]), "400");
    assert_eq!(status(&[("sec-websocket-key", "not base64 at all!!!!!==")]), "400");
    assert_eq!(status(&[("sec-websocket-key", RFC[6].1), ("sec-websocket-key", RFC[6].1)]), "400");
    assert_eq!(status(&[(":method", "POST")]), "400");
    let refused = accept(&request(&[("sec-websocket-version", "8")]), &Policy::default()).unwrap_err();
    assert_eq!(find(&refused.headers, "sec-websocket-version"), "13");
}

#[test]
fn only_pages_of_the_same_origin_are_let_in_unless_others_are_named() {
    for (origin, authority, expected) in [
        ("http://server.example.com", "server.example.com", "101"),
        ("https://server.example.com", "server.example.com", "101"),
        ("https://Server.example.com", "server.example.com:443", "101"),
        ("http://server.example.com:8080", "server.example.com:8080", "101"),
        ("http://server.example.com:8080", "server.example.com", "403"),
        ("http://server.example.com", "server.example.com:443", "403"),
        ("https://evil.example", "server.example.com", "403"),
        ("https://server.example.com.evil.example", "server.example.com", "403"),
        ("null", "server.example.com", "403"),
        ("http://", "", "403"),
    ] {
        assert_eq!(status(&[("origin", origin), (":authority", authority)]), expected, "{origin} for {authority}");
    }
    let evil = request(&[("origin", "https://evil.example")]);
    let listed = Policy { origins: Origins::Listed(vec!["https://EVIL.example".into()]), ..Policy::default() };
    assert!(accept(&evil, &listed).is_ok());
    assert!(accept(&request(&[("origin", "https://more.evil.example")]), &listed).is_err());
    assert!(accept(&request(&[("origin", "https://server.example.com")]), &listed).is_ok());
    assert!(accept(&evil, &Policy { origins: Origins::Any, ..Policy::default() }).is_ok());
}

#[test]
fn extended_connect_needs_no_key_and_is_answered_with_200() {
    let connect = |changes: &[(&str, &str)]| {
        let own = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            ("upgrade", ""),
            ("connection", ""),
            ("sec-websocket-key", ""),
        ];
        request(&[&own[..], changes].concat())
    };
    let accepted = accept(&connect(&[]), &Policy::default()).unwrap();
    assert_eq!(find(&accepted.headers, ":status"), "200");
    assert_eq!(accepted.headers.find("sec-websocket-accept"), None);
    assert_eq!(accepted.headers.find("upgrade"), None);
    assert_eq!(find(&accepted.headers, "sec-websocket-protocol"), "polywire.json");
    assert!(!is_upgrade(
        &connect(&[(":protocol", "connect-udp")])
            .iter()
            .filter(|(n, v)| *n != b":protocol" || *v != b"websocket")
            .collect()
    ));
    assert!(accept(&connect(&[("origin", "https://evil.example")]), &Policy::default()).is_err());
    assert!(accept(&connect(&[("sec-websocket-version", "7")]), &Policy::default()).is_err());
}

#[test]
fn a_client_and_a_server_agree_over_both_wires() {
    for subprotocol in [None, Some(Subprotocol::Native), Some(Subprotocol::Json)] {
        for request in [
            Request::http1("http", "localhost:8080", "/", subprotocol, [7; 16]),
            Request::http2("https", "localhost:8080", "/", subprotocol),
        ] {
            let accepted = accept(&request.headers, &Policy::default()).unwrap();
            assert_eq!(accepted.subprotocol, subprotocol);
            assert_eq!(request.check(&accepted.headers), Ok(None));
        }
    }
}

#[test]
fn a_client_does_not_take_any_answer_for_a_websocket() {
    let request = Request::http1("http", "localhost", "/", Some(Subprotocol::Native), [7; 16]);
    let good = accept(&request.headers, &Policy::default()).unwrap().headers;
    assert_eq!(request.check(&good), Ok(None));
    for (name, value) in [
        (":status", "200"),
        ("upgrade", "h2c"),
        ("connection", "close"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", "polywire.json"),
        ("sec-websocket-protocol", ""),
        ("sec-websocket-extensions", "permessage-deflate"),
    ] {
        let name = name.as_bytes();
        let mut bad: Headers = good.iter().filter(|(candidate, _)| *candidate != name).collect();
        if !value.is_empty() {
            bad.push(name, value);
        }
        assert!(request.check(&bad).is_err(), "{bad:?}");
    }
}
