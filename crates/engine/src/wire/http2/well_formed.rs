//! What the headers of a message must look like (RFC 9113 §8.2, §8.3; RFC 8441 §4).

use crate::wire::Headers;
use std::sync::Arc;

/// What a header block stands for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A request; `connect_protocol`: extended CONNECT is allowed.
    Request { connect_protocol: bool },
    /// A response, informational or final.
    Response,
    /// Trailers of either.
    Trailers,
}

/// What the engine itself needs to know of well-formed headers.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) content_length: Option<u64>,
    /// Of a response; else 0.
    pub(super) status: u16,
}

/// Checks a block. `None`: the message is malformed, which costs its stream.
pub(super) fn check(headers: &Headers, part: Part) -> Option<Facts> {
    let mut pseudo = Pseudo::default();
    let mut content_length = None;
    let mut host: Option<&[u8]> = None;
    let mut regular = false;
    for (name, value) in headers {
        if !is_value(value) {
            return None;
        }
        if let [b':', ..] = name {
            if regular || part == Part::Trailers {
                return None;
            }
            pseudo.take(name, value, part)?;
            continue;
        }
        regular = true;
        if name.is_empty() || !name.iter().all(|&b| BYTES[b as usize] & NAME != 0) {
            return None;
        }
        match name {
            // §8.2.2: what belongs to one HTTP/1.1 connection.
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => return None,
            b"te" if value != b"trailers" => return None,
            b"content-length" => {
                let length = decimal(value)?;
                if content_length.is_some_and(|earlier| earlier != length) {
                    return None;
                }
                content_length = Some(length);
            }
            b"host" => host = Some(value),
            _ => {}
        }
    }
    let status = pseudo.complete(part, host)?;
    Some(Facts { content_length, status })
}

/// Remembers what was found well-formed: a decoder that gives the same `Arc` again has said the same again.
#[derive(Debug, Default)]
pub(super) struct Checked {
    known: [Option<(Arc<Headers>, Part, Facts)>; KNOWN],
    oldest: usize,
}

/// Blocks remembered: request head, its trailers, and two of luck.
const KNOWN: usize = 4;

impl Checked {
    /// As [`check`], at once for headers that are known.
    #[inline]
    pub(super) fn check(&mut self, headers: &Arc<Headers>, part: Part) -> Option<Facts> {
        for (known, as_part, facts) in self.known.iter().flatten() {
            if Arc::ptr_eq(known, headers) && *as_part == part {
                return Some(*facts);
            }
        }
        let facts = check(headers, part)?;
        // The decoder keeps a second reference to what it may give again; nothing else is worth a place.
        if Arc::strong_count(headers) > 1 {
            self.known[self.oldest] = Some((Arc::clone(headers), part, facts));
            self.oldest = (self.oldest + 1) % KNOWN;
        }
        Some(facts)
    }
}

/// The pseudo headers of one block.
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    /// Each at most once, and only where it belongs.
    fn take(&mut self, name: &[u8], value: &'a [u8], part: Part) -> Option<()> {
        let place = match (name, part) {
            (b":method", Part::Request { .. }) => &mut self.method,
            (b":scheme", Part::Request { .. }) => &mut self.scheme,
            (b":path", Part::Request { .. }) => &mut self.path,
            (b":authority", Part::Request { .. }) => &mut self.authority,
            (b":protocol", Part::Request { connect_protocol: true }) => &mut self.protocol,
            (b":status", Part::Response) => &mut self.status,
            _ => return None,
        };
        place.replace(value).is_none().then_some(())
    }

    /// All that must be there are. Returns the status of a response.
    fn complete(&self, part: Part, host: Option<&[u8]>) -> Option<u16> {
        match part {
            Part::Trailers => Some(0),
            Part::Response => match *self.status? {
                [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                    let digit = |byte: u8| u16::from(byte - b'0');
                    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
                }
                _ => None,
            },
            Part::Request { .. } => {
                let method = self.method?;
                if method.is_empty() {
                    return None;
                }
                if method == b"CONNECT" && self.protocol.is_none() {
                    // §8.5: only the authority.
                    let bare = self.scheme.is_none() && self.path.is_none();
                    return (bare && self.authority.is_some()).then_some(0);
                }
                if self.protocol.is_some() && (method != b"CONNECT" || self.authority.is_none()) {
                    return None;
                }
                if self.scheme?.is_empty() || self.path?.is_empty() {
                    return None;
                }
                // §8.3.1: two names for one host are one too many.
                if let (Some(authority), Some(host)) = (self.authority, host)
                    && !authority.eq_ignore_ascii_case(host)
                {
                    return None;
                }
                Some(0)
            }
        }
    }
}

/// §8.2.1: no NUL, CR or LF, and no white space at either end.
#[inline]
fn is_value(value: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (value.first(), value.last()) {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        if blank(first) || blank(last) {
            return false;
        }
    }
    value.iter().all(|&b| BYTES[b as usize] & VALUE != 0)
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

/// May stand in a field name: visible ASCII but no upper case and no colon (which begins pseudo headers).
const NAME: u8 = 1;
/// May stand in a field value.
const VALUE: u8 = 2;

const BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b > 0x20 && b < 0x7f && !b.is_ascii_uppercase() && b != b':' {
            table[byte] |= NAME;
        }
        if b != 0 && b != b'\r' && b != b'\n' {
            table[byte] |= VALUE;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Part = Part::Request { connect_protocol: false };
    const EXTENDED: Part = Part::Request { connect_protocol: true };
    const GET: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "http"), (":path", "/")];

    fn request(more: &[(&str, &str)]) -> Option<Facts> {
        check(&GET.iter().chain(more).copied().collect(), REQUEST)
    }

    fn of(fields: &[(&str, &str)], part: Part) -> bool {
        check(&fields.iter().copied().collect(), part).is_some()
    }

    #[test]
    fn a_plain_request_is_well_formed() {
        assert!(request(&[(":authority", "a"), ("te", "trailers"), ("x", "")]).is_some());
        assert!(request(&[("x", "tab\tinside \u{e9}")]).is_some());
    }

    #[test]
    fn each_pseudo_header_is_needed_once_and_first() {
        for field in GET {
            let rest: Vec<_> = GET.into_iter().filter(|other| *other != field).collect();
            assert!(!of(&rest, REQUEST), "without {}", field.0);
            assert!(request(&[field]).is_none(), "twice {}", field.0);
        }
        assert!(request(&[("x", "y"), (":authority", "a")]).is_none());
        assert!(request(&[(":status", "200")]).is_none());
        assert!(request(&[(":unknown", "1")]).is_none());
        assert!(request(&[(":protocol", "websocket")]).is_none());
        assert!(!of(&[(":method", "GET"), (":scheme", "http"), (":path", "")], REQUEST));
    }

    #[test]
    fn names_and_values_keep_to_their_bytes() {
        for name in ["X", "a b", "a:b", "", "\u{e9}", "a\u{7f}"] {
            assert!(request(&[(name, "v")]).is_none(), "{name:?}");
        }
        for value in [" a", "a ", "\ta", "a\r", "a\nb", "a\0"] {
            assert!(request(&[("x", value)]).is_none(), "{value:?}");
        }
    }

    #[test]
    fn connection_specific_fields_are_refused() {
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
            assert!(request(&[(name, "x")]).is_none(), "{name}");
            assert!(!of(&[(name, "x")], Part::Trailers), "{name}");
        }
        assert!(request(&[("te", "gzip")]).is_none());
        assert!(request(&[("te", "trailers, deflate")]).is_none());
    }

    #[test]
    fn content_length_is_one_number() {
        let length = |value| request(&[("content-length", value)]).map(|f| f.content_length);
        assert_eq!(length("42"), Some(Some(42)));
        for bad in ["", "-1", "+1", "1 2", "0x1", "99999999999999999999"] {
            assert_eq!(length(bad), None, "{bad:?}");
        }
        assert!(request(&[("content-length", "1"), ("content-length", "2")]).is_none());
        assert!(request(&[("content-length", "1"), ("content-length", "1")]).is_some());
    }

    #[test]
    fn host_and_authority_agree() {
        assert!(request(&[(":authority", "A.b"), ("host", "a.B")]).is_some());
        assert!(request(&[(":authority", "a"), ("host", "b")]).is_none());
    }

    #[test]
    fn connect_has_an_authority_and_nothing_else() {
        assert!(of(&[(":method", "CONNECT"), (":authority", "a:1")], REQUEST));
        assert!(!of(&[(":method", "CONNECT")], REQUEST));
        let with_path = [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")];
        assert!(!of(&with_path, REQUEST));
    }

    #[test]
    fn extended_connect_has_everything() {
        let mut fields = vec![
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/chat"),
            (":authority", "a"),
        ];
        assert!(of(&fields, EXTENDED));
        assert!(!of(&fields, REQUEST));
        fields[0].1 = "GET";
        assert!(!of(&fields, EXTENDED));
    }

    #[test]
    fn a_status_is_three_digits() {
        let status = |value| check(&[(":status", value)].into_iter().collect(), Part::Response);
        assert_eq!(status("204").unwrap().status, 204);
        for bad in ["", "20", "2000", "20x", "020"] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
        assert!(!of(&[("x", "y")], Part::Response));
        assert!(!of(&[(":status", "200")], Part::Trailers));
    }

    #[test]
    fn what_is_known_is_known_by_its_part_too() {
        let mut checked = Checked::default();
        let headers: Arc<Headers> = Arc::new(GET.into_iter().collect());
        let _decoder = Arc::clone(&headers);
        for _ in 0..2 {
            assert!(checked.check(&headers, REQUEST).is_some());
            assert!(checked.check(&headers, Part::Trailers).is_none());
        }
    }
}
