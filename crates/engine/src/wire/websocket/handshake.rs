//! The handshake: is a request an upgrade, may it be one, and what is the answer.
//!
//! Both ways are known: `GET` with `Upgrade: websocket` over HTTP/1.1 (RFC 6455 §4) and extended CONNECT over HTTP/2
//! (RFC 8441). Whoever carries the request hands in its headers with pseudo headers and lower-case names.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use super::deflate::{self, Deflate};
use crate::wire::Headers;

/// What the messages of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subprotocol {
    /// `polywire.json`: the JSON text form in text messages.
    Json,
    /// `polywire.v1`: native frames in binary messages.
    Native,
}

/// Which pages may open a WebSocket here. A browser says by `Origin` whose page asks; other clients say nothing and are let in.
///
/// Unlike other requests of a page a WebSocket is not subject to CORS, and cookies travel with it: without this check any page
/// could act in the name of whoever looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    Any,
    /// These, such as `https://shop.example`, and those of the same host.
    Listed(Vec<String>),
    /// Pages from the host and port that the request is for.
    #[default]
    Same,
}

/// What a server lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which pages.
    pub origins: Origins,
    /// Whether `polywire.v1` is spoken.
    pub native: bool,
    /// Whether `polywire.json` is spoken.
    pub json: bool,
    /// Whether messages may be compressed: a server accepts it, a client offers it.
    pub deflate: bool,
}

/// A handshake that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The answer. The messages follow behind it, in both directions.
    pub headers: Headers,
    /// What was agreed on. `None`: the first message decides.
    pub subprotocol: Option<Subprotocol>,
    /// How messages are compressed, if they may be.
    pub deflate: Option<Deflate>,
    /// The host that the client means.
    pub authority: String,
}

/// A handshake that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The answer without its content.
    pub headers: Headers,
    /// The content of the answer: what is wrong and what to do.
    pub text: &'static str,
}

/// A client's part of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to send.
    pub headers: Headers,
    accept: Option<String>,
    subprotocol: Option<Subprotocol>,
    offers_deflate: bool,
}

/// Why an answer is not the beginning of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAnswer(String);

/// RFC 6455 §4.2.2.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a client asks for (server: whether it is to be answered by [`accept`]).
pub fn is_upgrade(headers: &Headers) -> bool {
    if headers.find(":method") == Some(b"CONNECT") {
        return headers.find(":protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    }
    has_token(headers, b"upgrade", b"websocket")
}

/// Answers an upgrade.
///
/// # Errors
/// The answer to a request that is none, or that may not be one.
pub fn accept(headers: &Headers, policy: &Policy) -> Result<Accepted, Refused> {
    let extended = headers.find(":method") == Some(b"CONNECT");
    if !is_upgrade(headers) {
        return Err(Refused::new("426", "A WebSocket is wanted here: send Upgrade: websocket.\n").with_upgrade());
    }
    if headers.find("sec-websocket-version") != Some(b"13") {
        return Err(Refused::new("426", "Version 13 of WebSocket is spoken here: send Sec-WebSocket-Version: 13.\n")
            .with_upgrade());
    }
    let mut answer = Headers::new();
    if extended {
        answer.push(":status", "200");
    } else {
        if headers.find(":method") != Some(b"GET") {
            return Err(Refused::new("400", "A WebSocket is opened by GET.\n"));
        }
        if !has_token(headers, b"connection", b"upgrade") {
            return Err(Refused::new("400", "Connection: Upgrade is missing.\n"));
        }
        let mut keys = headers.iter().filter(|(name, _)| *name == b"sec-websocket-key").map(|(_, value)| value);
        let key = match (keys.next(), keys.next()) {
            (Some(key), None) if STANDARD.decode(key).is_ok_and(|key| key.len() == 16) => key,
            _ => return Err(Refused::new("400", "Sec-WebSocket-Key must be 16 bytes in base64, once.\n")),
        };
        answer.push(":status", "101");
        answer.push("upgrade", "websocket");
        answer.push("connection", "Upgrade");
        answer.push("sec-websocket-accept", accept_key(key));
    }
    if !policy.origins.allow(headers) {
        return Err(Refused::new("403", "Pages of this origin may not open a WebSocket here.\n"));
    }
    let offered =
        headers.iter().filter(|(name, _)| *name == b"sec-websocket-protocol").flat_map(|(_, value)| tokens(value));
    let subprotocol = offered.filter_map(Subprotocol::from_name).find(|&subprotocol| policy.speaks(subprotocol));
    if let Some(subprotocol) = subprotocol {
        answer.push("sec-websocket-protocol", subprotocol.name());
    }
    let mut agreed = None;
    if policy.deflate {
        let Ok(chosen) = Deflate::choose(headers) else {
            return Err(Refused::new("400", "Sec-WebSocket-Extensions breaks the grammar of RFC 6455, section 9.1.\n"));
        };
        if let Some((deflate, words)) = chosen {
            answer.push(deflate::FIELD, words);
            agreed = Some(deflate);
        }
    }
    let authority = headers.find(":authority").or_else(|| headers.find("host")).unwrap_or_default();
    let authority = String::from_utf8_lossy(authority).into_owned();
    Ok(Accepted { headers: answer, subprotocol, deflate: agreed, authority })
}

impl Policy {
    /// Whether messages of this kind are accepted.
    pub fn speaks(&self, subprotocol: Subprotocol) -> bool {
        match subprotocol {
            Subprotocol::Json => self.json,
            Subprotocol::Native => self.native,
        }
    }
}

impl Default for Policy {
    /// Both subprotocols, for pages of the same origin, nothing compressed.
    fn default() -> Self {
        Self { origins: Origins::default(), native: true, json: true, deflate: false }
    }
}

impl Origins {
    /// Whether a request with these headers may open a WebSocket.
    pub fn allow(&self, headers: &Headers) -> bool {
        let Some(origin) = headers.find("origin") else { return true };
        match self {
            Origins::Any => true,
            Origins::Listed(list) if list.iter().any(|listed| origin.eq_ignore_ascii_case(listed.as_bytes())) => true,
            Origins::Listed(_) | Origins::Same => {
                let authority = headers.find(":authority").or_else(|| headers.find("host")).unwrap_or_default();
                is_same(origin, authority)
            }
        }
    }
}

/// Whether a page of `origin` comes from the host and port of `authority`. The scheme may differ: TLS may end before us.
pub(crate) fn is_same(origin: &[u8], authority: &[u8]) -> bool {
    let (Ok(origin), Ok(authority)) = (std::str::from_utf8(origin), std::str::from_utf8(authority)) else {
        return false;
    };
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let short = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    !host.is_empty() && short(host) == short(authority)
}

impl Subprotocol {
    /// As it travels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "polywire.json",
            Self::Native => "polywire.v1",
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Json, Self::Native].into_iter().find(|subprotocol| subprotocol.name().as_bytes() == name)
    }
}

impl Refused {
    fn new(status: &'static str, text: &'static str) -> Self {
        let mut headers = Headers::new();
        headers.push(":status", status);
        headers.push("content-type", "text/plain; charset=utf-8");
        headers.push("content-length", text.len().to_string());
        Self { headers, text }
    }

    fn with_upgrade(mut self) -> Self {
        self.headers.push("upgrade", "websocket");
        self.headers.push("sec-websocket-version", "13");
        self
    }
}

impl Request {
    /// A client's request over HTTP/1.1. `nonce` is to be drawn anew for each (RFC 6455 §4.1).
    pub fn http1(scheme: &str, authority: &str, path: &str, subprotocol: Option<Subprotocol>, nonce: [u8; 16]) -> Self {
        let key = STANDARD.encode(nonce);
        let mut headers = pseudo("GET", scheme, authority, path);
        headers.push("upgrade", "websocket");
        headers.push("connection", "Upgrade");
        headers.push("sec-websocket-version", "13");
        headers.push("sec-websocket-key", &key);
        if let Some(subprotocol) = subprotocol {
            headers.push("sec-websocket-protocol", subprotocol.name());
        }
        Self { headers, accept: Some(accept_key(key.as_bytes())), subprotocol, offers_deflate: false }
    }

    /// A client's request over HTTP/2, once the server has announced SETTINGS_ENABLE_CONNECT_PROTOCOL.
    pub fn http2(scheme: &str, authority: &str, path: &str, subprotocol: Option<Subprotocol>) -> Self {
        let mut headers = pseudo("CONNECT", scheme, authority, path);
        headers.push(":protocol", "websocket");
        headers.push("sec-websocket-version", "13");
        if let Some(subprotocol) = subprotocol {
            headers.push("sec-websocket-protocol", subprotocol.name());
        }
        Self { headers, accept: None, subprotocol, offers_deflate: false }
    }

    /// Offers to compress messages.
    #[must_use]
    pub fn offering_deflate(mut self) -> Self {
        self.headers.push(deflate::FIELD, deflate::OFFER);
        self.offers_deflate = true;
        self
    }

    /// Whether a server's answer begins the WebSocket that was asked for; and how messages are compressed, if they may be.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn check(&self, answer: &Headers) -> Result<Option<Deflate>, InvalidAnswer> {
        let status = answer.find(":status").unwrap_or_default();
        let wanted: &[u8] = if self.accept.is_some() { b"101" } else { b"200" };
        if status != wanted {
            let status = String::from_utf8_lossy(status);
            return Err(InvalidAnswer(format!("the server did not open a WebSocket: HTTP status {status}")));
        }
        if let Some(accept) = &self.accept {
            if !has_token(answer, b"upgrade", b"websocket") || !has_token(answer, b"connection", b"upgrade") {
                return Err(InvalidAnswer("the server switched to something that is not a WebSocket".into()));
            }
            if answer.find("sec-websocket-accept") != Some(accept.as_bytes()) {
                return Err(InvalidAnswer("Sec-WebSocket-Accept does not belong to our key".into()));
            }
        }
        if !self.offers_deflate && answer.find(deflate::FIELD).is_some() {
            return Err(InvalidAnswer("the server chose an extension that was not offered".into()));
        }
        let deflate = Deflate::agreed(answer).map_err(|wrong| InvalidAnswer(wrong.into()))?;
        match (answer.find("sec-websocket-protocol"), self.subprotocol) {
            (None, None) => Ok(deflate),
            (Some(name), Some(asked)) if name == asked.name().as_bytes() => Ok(deflate),
            (Some(name), _) => {
                let name = String::from_utf8_lossy(name);
                Err(InvalidAnswer(format!("the server chose the subprotocol {name:?}, which was not offered")))
            }
            (None, Some(asked)) => Err(InvalidAnswer(format!("the server does not speak {}", asked.name()))),
        }
    }
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidAnswer {}

fn pseudo(method: &str, scheme: &str, authority: &str, path: &str) -> Headers {
    [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)].into_iter().collect()
}

fn accept_key(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The words of a list; how many there are is bounded by the size of the headers.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn has_token(headers: &Headers, name: &[u8], token: &[u8]) -> bool {
    let mut values = headers.iter().filter(|(candidate, _)| *candidate == name).map(|(_, value)| value);
    values.any(|value| tokens(value).any(|candidate| candidate.eq_ignore_ascii_case(token)))
}
