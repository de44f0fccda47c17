//! Heads of requests and answers: bytes → [`Headers`] in the form of HTTP/2, and the facts the connection needs.
//!
//! `httparse` takes a head apart. What it lets pass for the sake of old peers is refused here: bare line feeds, bytes
//! outside ASCII in a target, and everything by which two readers could come to different ends.

use std::mem::MaybeUninit;

use super::fault::Fault;
use super::fields::{Framing, Hop, is_hop_by_hop, is_token_byte, push, trim};
use crate::wire::Headers;

/// What a request's head says to the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) body: Framing,
    /// HTTP/1.0: the answer ends with the connection.
    pub(super) is_old: bool,
    /// HEAD: the answer has no body.
    pub(super) head_only: bool,
    /// The connection may be used again.
    pub(super) persistent: bool,
    /// The answer may have trailers.
    pub(super) te_trailers: bool,
    /// `expect: 100-continue`.
    pub(super) expects_continue: bool,
    /// It asks for another protocol.
    pub(super) upgrade: bool,
}

/// What an answer's head says to the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Framing,
    /// The connection may be used again.
    pub(super) persistent: bool,
    /// It names the protocol that is switched to.
    pub(super) upgrade: bool,
}

/// Fields of one head. More than any browser or proxy sends; Apache and others stop at 100.
const FIELDS_MAX: usize = 128;

const TOO_LARGE: Fault = Fault { status: 431, text: "the header fields are too large or too many" };

/// Where a head ends.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Behind so many bytes.
    At(usize),
    /// Not yet; so many bytes need not be looked at again.
    Beyond(usize),
}

/// Looks for the empty line behind a head, from `scanned` on. A line that ends with a bare line feed is refused at
/// once: others might see a head end there (RFC 9112 §2.2 lets a recipient choose).
pub(super) fn find_end(bytes: &[u8], scanned: usize) -> Result<End, Fault> {
    let mut at = scanned;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let feed = at + found;
        if feed == 0 || bytes[feed - 1] != b'\r' {
            return Err(Fault::bad("a line of the head ends without carriage return"));
        }
        if feed == 1 || (feed >= 3 && bytes[feed - 2] == b'\n') {
            return Ok(End::At(feed + 1));
        }
        at = feed + 1;
    }
    Ok(End::Beyond(bytes.len()))
}

/// Why a head of more than `limit` bytes is refused.
pub(super) fn too_large(bytes: &[u8]) -> Fault {
    if bytes.contains(&b'\n') { TOO_LARGE } else { Fault { status: 414, text: "the request line is too long" } }
}

/// Takes the head of a request apart; `bytes` is all of it.
pub(super) fn parse_request(
    bytes: &[u8],
    scheme: &'static str,
    list_bytes_max: usize,
) -> Result<(Headers, Request), Fault> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(_) => return Err(Fault::bad("the head is not one request")),
        Err(error) => return Err(request_fault(error, bytes)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Fault::bad("the request line is not complete"));
    };
    let fields: &[_] = parsed.headers;
    let is_old = minor == 0;
    let hop = Hop::read(fields)?;
    if hop.chunked && is_old {
        return Err(Fault::bad("transfer-encoding in HTTP/1.0"));
    }
    let host = host(fields)?;
    if host.is_none() && !is_old {
        return Err(Fault::bad("the request has no host"));
    }
    let target = Target::read(method, target, scheme)?;
    // RFC 9112 §3.2.2: a target with an authority overrules the host.
    let authority = target.authority.or(host).filter(|authority| !authority.is_empty());

    let mut expects_continue = false;
    for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case("expect")) {
        if !trim(field.value).eq_ignore_ascii_case(b"100-continue") {
            return Err(Fault { status: 417, text: "the only expectation known here is 100-continue" });
        }
        expects_continue = !is_old;
    }
    let body = if hop.chunked { Framing::Chunked } else { Framing::Length(hop.content_length.unwrap_or(0)) };
    // A protocol can only be changed where the request ends.
    let upgrade = hop.upgrade && hop.connection_upgrade && !is_old && body == Framing::Length(0);

    let mut headers = Headers::with_capacity(bytes.len() + 8 * fields.len() + 64);
    headers.push(":method", method);
    headers.push(":scheme", target.scheme);
    if let Some(authority) = authority {
        headers.push(":authority", authority);
    }
    headers.push(":path", target.path);
    for field in fields {
        let name = field.name.as_bytes();
        if name.eq_ignore_ascii_case(b"host")
            || name.eq_ignore_ascii_case(b"expect")
            || (is_hop_by_hop(name) && !(upgrade && is_upgrade(name)))
        {
            continue;
        }
        push(&mut headers, name, trim(field.value));
    }
    if hop.te_trailers {
        headers.push("te", "trailers");
    }
    if headers.size() > list_bytes_max {
        return Err(TOO_LARGE);
    }
    let request = Request {
        body,
        is_old,
        head_only: method == "HEAD",
        persistent: !is_old && !hop.close,
        te_trailers: hop.te_trailers,
        // Nobody waits who has no body to send.
        expects_continue: expects_continue && body != Framing::Length(0),
        upgrade,
    };
    Ok((headers, request))
}

/// Takes the head of an answer apart; `bytes` is all of it. `head_only`: the request was HEAD.
pub(super) fn parse_response(
    bytes: &[u8],
    head_only: bool,
    list_bytes_max: usize,
) -> Result<(Headers, Response), Fault> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(_) => return Err(Fault::bad("the head is not one answer")),
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
        Err(_) => return Err(Fault::bad("the answer's head cannot be read")),
    }
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Fault::bad("the status line is not complete"));
    };
    let fields: &[_] = parsed.headers;
    // RFC 9110 §15: what nobody has defined is taken as it came, up to three digits.
    if status < 100 {
        return Err(Fault::bad("the answer's status is out of range"));
    }
    let hop = Hop::read(fields)?;
    if hop.chunked && minor == 0 {
        return Err(Fault::bad("transfer-encoding in HTTP/1.0"));
    }
    // RFC 9112 §6.1: neither of these may have a transfer-encoding, and a reader that does not know that would wait.
    if hop.chunked && (status < 200 || status == 204) {
        return Err(Fault::bad("transfer-encoding where no body can be"));
    }
    let body = if head_only || status < 200 || status == 204 || status == 304 {
        Framing::Length(0)
    } else if hop.chunked {
        Framing::Chunked
    } else {
        hop.content_length.map_or(Framing::UntilClose, Framing::Length)
    };
    let upgrade = status == 101;
    let mut headers = Headers::with_capacity(bytes.len() + 8 * fields.len() + 16);
    headers.push(":status", status.to_string());
    for field in fields {
        let name = field.name.as_bytes();
        if !is_hop_by_hop(name) || (upgrade && is_upgrade(name)) {
            push(&mut headers, name, trim(field.value));
        }
    }
    if headers.size() > list_bytes_max {
        return Err(TOO_LARGE);
    }
    let persistent = minor == 1 && !hop.close && body != Framing::UntilClose;
    Ok((headers, Response { status, body, persistent, upgrade: upgrade && hop.upgrade && hop.connection_upgrade }))
}

/// Takes a trailer section apart; `bytes` is all of it with the empty line. Names that would change how the message
/// was read are refused (RFC 9110 §6.5.1).
pub(super) fn parse_trailers(bytes: &[u8], list_bytes_max: usize) -> Result<Headers, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let fields = match httparse::parse_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete((len, fields))) if len == bytes.len() => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
        Ok(_) | Err(_) => return Err(Fault::bad("the trailers cannot be read")),
    };
    let mut headers = Headers::new();
    for field in fields {
        let name = field.name.as_bytes();
        if [&b"content-length"[..], b"host", b"transfer-encoding"].iter().any(|other| name.eq_ignore_ascii_case(other))
        {
            return Err(Fault::bad("a field that frames or routes a message stands in its trailers"));
        }
        if !is_hop_by_hop(name) {
            push(&mut headers, name, trim(field.value));
        }
    }
    if headers.size() > list_bytes_max {
        return Err(TOO_LARGE);
    }
    Ok(headers)
}

/// The one host, if it is given.
fn host<'a>(fields: &[httparse::Header<'a>]) -> Result<Option<&'a [u8]>, Fault> {
    let mut host = None;
    for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case("host")) {
        if host.is_some() {
            return Err(Fault::bad("host is given twice"));
        }
        let value = trim(field.value);
        if !is_authority(value) {
            return Err(Fault::bad("host is not a host"));
        }
        host = Some(value);
    }
    Ok(host)
}

/// A request target (RFC 9112 §3.2).
struct Target<'a> {
    scheme: &'static str,
    authority: Option<&'a [u8]>,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn read(method: &str, target: &'a str, scheme: &'static str) -> Result<Self, Fault> {
        if method == "CONNECT" {
            return Err(Fault { status: 501, text: "this is no proxy: CONNECT is not served" });
        }
        if !target.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'#') {
            return Err(Fault::bad("the request target has a byte that must be percent-encoded"));
        }
        if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
            return Ok(Target { scheme, authority: None, path: target });
        }
        let (scheme, rest) = if let Some(rest) = strip_scheme(target, "http://") {
            ("http", rest)
        } else if let Some(rest) = strip_scheme(target, "https://") {
            ("https", rest)
        } else {
            return Err(Fault::bad("the request target is neither a path nor an absolute URI"));
        };
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        if authority.is_empty() || !is_authority(authority.as_bytes()) {
            return Err(Fault::bad("the request target names no host"));
        }
        if path.starts_with('?') {
            return Err(Fault::bad("the request target has a query without a path"));
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Target { scheme, authority: Some(authority.as_bytes()), path })
    }
}

fn strip_scheme<'a>(target: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = target.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// `uri-host [":" port]` in its bytes (RFC 9110 §7.2), or nothing. No user, and no comma, which joins two hosts.
fn is_authority(value: &[u8]) -> bool {
    value.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+')
            || matches!(byte, b';' | b'=' | b':' | b'[' | b']')
    })
}

fn is_upgrade(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"connection")
}

fn request_fault(error: httparse::Error, bytes: &[u8]) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => TOO_LARGE,
        httparse::Error::Version if names_other_version(bytes) => {
            Fault { status: 505, text: "only HTTP/1.1 and HTTP/1.0 are spoken here" }
        }
        httparse::Error::HeaderName => Fault::bad("a field name has a byte that is not allowed"),
        httparse::Error::HeaderValue => Fault::bad("a field value has a byte that is not allowed"),
        _ => Fault::bad("the request line or a field cannot be read"),
    }
}

/// Whether the request line is in order but for a version `HTTP/digit.digit` that is not ours.
fn names_other_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    !method.is_empty()
        && method.iter().all(|byte| is_token_byte(*byte))
        && !target.is_empty()
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
}
