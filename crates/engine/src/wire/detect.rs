//! Which wire a connection speaks, by its first bytes.

use bytes::Bytes;

use super::http1;

/// What the first bytes of a connection say.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Detected {
    /// An HTTP/1 request line.
    Http1,
    /// The preface of HTTP/2 with prior knowledge.
    Http2,
    /// Too little to say; give all bytes again with those that follow.
    More,
    /// The preface of the native protocol.
    Native,
    /// None of these: why, in words for whoever is at the other end.
    Unknown(&'static str),
}

/// Tells from the first bytes of a connection which wire it is. [`BYTES_NEEDED`] bytes are always enough.
#[must_use]
pub fn detect(bytes: &[u8]) -> Detected {
    let head = &bytes[..bytes.len().min(BYTES_NEEDED)];
    if is_beginning(head, HTTP2_PREFACE) {
        return if head.len() == HTTP2_PREFACE.len() { Detected::Http2 } else { Detected::More };
    }
    if is_beginning(head, NATIVE_PREFACE) {
        return if head.len() >= NATIVE_PREFACE.len() { Detected::Native } else { Detected::More };
    }
    match head {
        [TLS_HANDSHAKE] => return Detected::More,
        [TLS_HANDSHAKE, 3, ..] => return Detected::Unknown(TLS),
        _ => {}
    }
    // RFC 9112 §2.2: an empty line may stand before the request line.
    let line = match head {
        b"\r" => return Detected::More,
        [b'\r', b'\n', line @ ..] => line,
        line => line,
    };
    let token = line.iter().take_while(|byte| http1::is_token_byte(**byte)).count();
    match line.get(token) {
        _ if token > METHOD_BYTES_MAX => Detected::Unknown(NOTHING_KNOWN),
        None => Detected::More,
        Some(b' ') if token > 0 => Detected::Http1,
        Some(_) => Detected::Unknown(NOTHING_KNOWN),
    }
}

/// What is said to a peer whose beginning is not understood, before the connection is closed.
#[must_use]
pub fn refusal(reason: &str) -> Bytes {
    http1::answer(400, reason)
}

/// More bytes than these are never looked at.
pub const BYTES_NEEDED: usize = HTTP2_PREFACE.len();

/// RFC 9113 §3.4.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The native protocol's first bytes.
const NATIVE_PREFACE: &[u8] = b"\xf0PW1";

/// The type of the record every TLS connection begins with; its version begins with 3.
const TLS_HANDSHAKE: u8 = 0x16;

/// The longest method that is taken for one. The registered ones have at most 17 letters, those in use 9.
const METHOD_BYTES_MAX: usize = 16;

const TLS: &str = "this port speaks no TLS; use http:// or another port";

const NOTHING_KNOWN: &str = "these bytes begin neither HTTP/1.1 nor HTTP/2 nor the native protocol";

/// Whether one of the two begins with the other.
fn is_beginning(bytes: &[u8], whole: &[u8]) -> bool {
    let len = bytes.len().min(whole.len());
    bytes[..len] == whole[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said at every length of the beginning.
    fn all(bytes: &[u8]) -> Vec<Detected> {
        (0..=bytes.len()).map(|len| detect(&bytes[..len])).collect()
    }

    #[test]
    fn each_wire_is_told_at_its_last_byte_and_not_before() {
        for (bytes, at, wire) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"[..], 24, Detected::Http2),
            (b"\xf0PW1\x00", 4, Detected::Native),
            (b"GET / HTTP/1.1\r\n", 4, Detected::Http1),
            (b"POST /a HTTP/1.1\r\n", 5, Detected::Http1),
            (b"\r\nPOST /a HTTP/1.1\r\n", 7, Detected::Http1),
            (b"PROPFIND /a HTTP/1.1\r\n", 9, Detected::Http1),
            (b"VERSION-CONTROLL * HTTP/1.1\r\n", 17, Detected::Http1),
        ] {
            let said = all(bytes);
            assert!(said[..at].iter().all(|said| *said == Detected::More), "{said:?}");
            assert!(said[at..].iter().all(|said| *said == wire), "{said:?}");
        }
    }

    #[test]
    fn a_method_that_begins_as_the_preface_does_is_a_method() {
        assert_eq!(detect(b"PRI * HTTP/1.1\r\n"), Detected::Http1);
        assert_eq!(detect(b"PRI /"), Detected::Http1);
        assert_eq!(detect(b"PROP"), Detected::More);
    }

    #[test]
    fn tls_on_a_port_in_the_clear_is_told_so() {
        assert_eq!(all(b"\x16\x03\x01\x02")[2..], [Detected::Unknown(TLS); 3]);
        assert_eq!(detect(b"\x16"), Detected::More);
        assert_eq!(detect(b"\x16\x04"), Detected::Unknown(NOTHING_KNOWN));
    }

    #[test]
    fn anything_else_is_unknown() {
        for bytes in [
            &b" GET / HTTP/1.1"[..],
            b"\r\n\r\nGET /",
            b"\nGET /",
            b"\0",
            b"\xf0PW2",
            b"GET\t/",
            b"SSH-2.0-OpenSSH_9.7\r\n",
        ] {
            assert_eq!(detect(bytes), Detected::Unknown(NOTHING_KNOWN), "{}", bytes.escape_ascii());
        }
        assert_eq!(detect(b"ABCDEFGHIJKLMNOPQ"), Detected::Unknown(NOTHING_KNOWN));
    }

    #[test]
    fn twenty_four_bytes_always_suffice() {
        for fill in 0..=255 {
            for len in 0..24 {
                let mut bytes = HTTP2_PREFACE[..len].to_vec();
                bytes.resize(BYTES_NEEDED, fill);
                assert_ne!(detect(&bytes), Detected::More);
            }
        }
    }

    #[test]
    fn the_refusal_is_an_answer_in_http() {
        let text = String::from_utf8(refusal("no").to_vec()).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(text.ends_with("\r\n\r\nno\n"));
    }
}
