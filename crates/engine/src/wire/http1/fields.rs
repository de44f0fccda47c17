//! Rules for fields that both directions share (RFC 9110 §5, RFC 9112 §5–6).

use super::fault::Fault;
use crate::wire::Headers;

/// How the length of a body is known (RFC 9112 §6).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; none when zero.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked,
    /// Answers only: all until the connection ends.
    UntilClose,
}

/// What the fields that concern this connection say.
#[derive(Default, Debug)]
pub(super) struct Hop {
    pub(super) content_length: Option<u64>,
    /// `transfer-encoding: chunked` and nothing else.
    pub(super) chunked: bool,
    /// `connection: close`.
    pub(super) close: bool,
    /// `connection: upgrade`.
    pub(super) connection_upgrade: bool,
    /// `upgrade` names a protocol that may be taken: any but h2c, which RFC 9113 gave up.
    pub(super) upgrade: bool,
    /// `te: trailers`.
    pub(super) te_trailers: bool,
}

impl Hop {
    /// Reads them. Whatever could make two readers disagree about where a message ends is refused, also what
    /// RFC 9112 §6.3 would let a server repair.
    pub(super) fn read(fields: &[httparse::Header<'_>]) -> Result<Self, Fault> {
        let mut hop = Hop::default();
        let mut codings = 0;
        for field in fields {
            let value = trim(field.value);
            if field.name.eq_ignore_ascii_case("content-length") {
                if hop.content_length.is_some() {
                    return Err(Fault::bad("content-length is given twice"));
                }
                let length = decimal(value).ok_or(Fault::bad("content-length is not a number"))?;
                hop.content_length = Some(length);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                codings += 1;
                hop.chunked = value.eq_ignore_ascii_case(b"chunked");
                if !hop.chunked && tokens(value).next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) {
                    return Err(Fault { status: 501, text: "the only transfer-encoding known here is chunked" });
                }
                if !hop.chunked || codings > 1 {
                    return Err(Fault::bad("transfer-encoding is not exactly chunked"));
                }
            } else if field.name.eq_ignore_ascii_case("connection") {
                for token in tokens(value) {
                    hop.close |= token.eq_ignore_ascii_case(b"close");
                    hop.connection_upgrade |= token.eq_ignore_ascii_case(b"upgrade");
                }
            } else if field.name.eq_ignore_ascii_case("upgrade") {
                hop.upgrade |= tokens(value).any(|token| !token.eq_ignore_ascii_case(b"h2c"));
            } else if field.name.eq_ignore_ascii_case("te") {
                hop.te_trailers |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers"));
            }
        }
        if hop.chunked && hop.content_length.is_some() {
            return Err(Fault::bad("content-length beside transfer-encoding"));
        }
        Ok(hop)
    }
}

/// Fields that end with this connection and do not stand in [`Headers`] (RFC 9113 §8.2.2), with those that belong to
/// the upgrade to HTTP/2 that is not made.
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 8] = [
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ];
    NAMES.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

/// Adds a field, its name in lower case.
pub(super) fn push(headers: &mut Headers, name: &[u8], value: &[u8]) {
    let start = headers.begin_record();
    let tail = headers.tail();
    tail.extend(name.iter().map(u8::to_ascii_lowercase));
    tail.extend_from_slice(value);
    headers.end_record(start, name.len(), false);
}

/// The members of a list (RFC 9110 §5.6.1), trimmed.
pub(super) fn tokens(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|token| !token.is_empty())
}

/// Without the white space around it.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 §5.6.2.
pub(in crate::wire) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// Digits only: no sign, no list, nothing that overflows.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}
