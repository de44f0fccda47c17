//! Compressed messages: permessage-deflate (RFC 7692), the one extension of WebSocket that is in use.
//!
//! Here it is agreed on; [`Messages`](super::Messages) then does it. No context is kept from one message to the next, in neither
//! direction and whatever the peer would like: a context costs some 370 KiB for each connection that compresses and 46 KiB
//! for each that decompresses, and it lets what one message says show in the length of the next.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

use crate::wire::Headers;

/// Compresses and decompresses single messages. The engine itself cannot; it is given this from above.
pub trait MessageCompression: fmt::Debug + Send + Sync {
    /// Appends the message that `parts` make up together, as RFC 7692 §7.2.1 has it: raw deflate, flushed, without the four
    /// bytes that end every flush. Nothing refers back by more than 2^`window_bits` bytes (9 to 15). False: this cannot be
    /// done, and what was appended is of no use.
    fn compress(&self, parts: &[&[u8]], window_bits: u8, out: &mut Vec<u8>) -> bool;

    /// The message that `compressed` holds (RFC 7692 §7.2.2), of at most `bytes_max` bytes: it stops at the first one beyond.
    ///
    /// # Errors
    /// There is no such message.
    fn decompress(&self, compressed: &[u8], bytes_max: usize) -> Result<Bytes, MessageFault>;
}

/// Why a compressed message gives no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// It is not what RFC 7692 says.
    Malformed,
    /// It would be longer than allowed.
    TooLong,
}

/// What was agreed on about compressed messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// How far this side may refer back when it compresses, as a power of two: 8 to 15.
    pub window_bits: u8,
}

/// The field that it is agreed on by.
pub(super) const FIELD: &str = "sec-websocket-extensions";

/// What a client offers: it wants no context from the server, keeps none itself, and would keep to a smaller window.
pub(super) const OFFER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits";

/// RFC 7692 §7.1.2: the smallest and the largest window, as powers of two.
const WINDOW_BITS: std::ops::RangeInclusive<u8> = WINDOW_BITS_MIN..=WINDOW_BITS_MAX;
const WINDOW_BITS_MIN: u8 = 8;
const WINDOW_BITS_MAX: u8 = 15;

/// The smallest window that can be compressed with: what libraries call a window of 2^8 is one of 2^9, or an error.
pub(super) const COMPRESSES_BITS_MIN: u8 = 9;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// Something broke the grammar of RFC 6455 §9.1, which ends the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ungrammatical;

impl Default for Deflate {
    /// With the largest window.
    fn default() -> Self {
        Self { window_bits: WINDOW_BITS_MAX }
    }
}

impl Deflate {
    /// A server's choice and how it says so: the first offer that it can accept (RFC 7692 §5.1), if there is one.
    pub(super) fn choose(request: &Headers) -> Result<Option<(Self, String)>, Ungrammatical> {
        let offers = extensions(request)?;
        let Some(window_bits) = offers.iter().find_map(Extension::accepted) else { return Ok(None) };
        let mut answer = format!("{NAME}; {SERVER_NO_CONTEXT}; {CLIENT_NO_CONTEXT}");
        if let Some(window_bits) = window_bits {
            answer.push_str(&format!("; {SERVER_WINDOW}={window_bits}"));
        }
        let agreed = window_bits.map_or_else(Self::default, |window_bits| Self { window_bits });
        Ok(Some((agreed, answer)))
    }

    /// What the answer to [`OFFER`] has agreed on. Error: it is none to that.
    pub(super) fn agreed(answer: &Headers) -> Result<Option<Self>, &'static str> {
        let Ok(chosen) = extensions(answer) else { return Err("the server chose extensions that cannot be read") };
        match &chosen[..] {
            [] => Ok(None),
            [extension] if extension.name == NAME => extension.agreed().map(Some),
            _ => Err("the server chose an extension that was not offered"),
        }
    }
}

/// RFC 6455 §9.1: one member of the list.
#[derive(Debug, PartialEq, Eq)]
struct Extension<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

impl Extension<'_> {
    /// Whether a server accepts this offer (RFC 7692 §7.1), and the window that it is asked to keep to.
    #[allow(clippy::option_option, reason = "not accepted; accepted without a window; with one")]
    fn accepted(&self) -> Option<Option<u8>> {
        if self.name != NAME || self.repeats() {
            return None;
        }
        let mut window_bits = None;
        for (name, value) in &self.parameters {
            match (*name, value) {
                (SERVER_NO_CONTEXT | CLIENT_NO_CONTEXT | CLIENT_WINDOW, None) => {}
                // A hint, and of no use: decompressing takes the same memory, which is not kept.
                (CLIENT_WINDOW, Some(value)) => drop(bits(value)?),
                (SERVER_WINDOW, Some(value)) => {
                    window_bits = Some(bits(value).filter(|bits| *bits >= COMPRESSES_BITS_MIN)?);
                }
                _ => return None,
            }
        }
        Some(window_bits)
    }

    /// What this answer agrees on with a client that has made [`OFFER`] (RFC 7692 §7.1).
    fn agreed(&self) -> Result<Deflate, &'static str> {
        const WRONG: &str = "the server's parameters of permessage-deflate are wrong";
        let mut agreed = Deflate::default();
        let mut keeps_context = true;
        if self.repeats() {
            return Err(WRONG);
        }
        for (name, value) in &self.parameters {
            match (*name, value) {
                (SERVER_NO_CONTEXT, None) => keeps_context = false,
                (CLIENT_NO_CONTEXT, None) => {}
                // Whatever window the server keeps to, the largest can read it.
                (SERVER_WINDOW, Some(value)) => drop(bits(value).ok_or(WRONG)?),
                (CLIENT_WINDOW, Some(value)) => agreed.window_bits = bits(value).ok_or(WRONG)?,
                _ => return Err(WRONG),
            }
        }
        // §7.1.1.1
        if keeps_context {
            return Err("the server would keep a context between compressed messages, which it was asked not to");
        }
        Ok(agreed)
    }

    fn repeats(&self) -> bool {
        // No offer of ours has more parameters than there are; a longer one has one that is not known.
        let names = self.parameters.iter().take(PARAMETERS + 1).map(|(name, _)| name);
        names.clone().enumerate().any(|(at, name)| names.clone().take(at).any(|before| before == name))
    }
}

/// How many parameters permessage-deflate has.
const PARAMETERS: usize = 4;

/// RFC 7692 §7.1.2: a decimal number from 8 to 15 without leading zeros.
fn bits(value: &str) -> Option<u8> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    value.parse().ok().filter(|bits| digits && WINDOW_BITS.contains(bits))
}

/// All extensions that the fields list, in order. How many there are is bounded by the size of the headers.
fn extensions(headers: &Headers) -> Result<Vec<Extension<'_>>, Ungrammatical> {
    let mut all = Vec::new();
    for (_, value) in headers.iter().filter(|(name, _)| *name == FIELD.as_bytes()) {
        let mut reader = Reader(std::str::from_utf8(value).map_err(|_| Ungrammatical)?);
        loop {
            reader.skip_blanks();
            // Members of a list may be empty (RFC 9110 §5.6.1.2).
            if !reader.is_at(',') && !reader.0.is_empty() {
                all.push(reader.extension()?);
            }
            if reader.0.is_empty() {
                break;
            }
            reader.take(',').ok_or(Ungrammatical)?;
        }
    }
    Ok(all)
}

/// What is still to be read.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// `extension = token *( ";" token [ "=" ( token / quoted-string ) ] )`
    fn extension(&mut self) -> Result<Extension<'a>, Ungrammatical> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.take(';').is_some() {
            let name = self.token()?;
            let value = match self.take('=') {
                None => None,
                Some(()) => Some(self.value()?),
            };
            parameters.push((name, value));
        }
        Ok(Extension { name, parameters })
    }

    fn token(&mut self) -> Result<&'a str, Ungrammatical> {
        self.skip_blanks();
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip_blanks();
        if token.is_empty() { Err(Ungrammatical) } else { Ok(token) }
    }

    /// A token, in quotes or without. What the quotes hold must be a token too.
    fn value(&mut self) -> Result<Cow<'a, str>, Ungrammatical> {
        if self.take('"').is_none() {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        let mut chars = self.0.chars();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => value.push(chars.next().ok_or(Ungrammatical)?),
                Some(other) => value.push(other),
                None => return Err(Ungrammatical),
            }
        }
        self.0 = chars.as_str();
        self.skip_blanks();
        if value.is_empty() || !value.chars().all(is_token) { Err(Ungrammatical) } else { Ok(Cow::Owned(value)) }
    }

    /// Takes a separator, and blanks on both sides of it.
    fn take(&mut self, separator: char) -> Option<()> {
        self.skip_blanks();
        self.0 = self.0.strip_prefix(separator)?;
        // Not inside quotes.
        if separator != '"' {
            self.skip_blanks();
        }
        Some(())
    }

    fn is_at(&self, separator: char) -> bool {
        self.0.starts_with(separator)
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }
}

/// RFC 9110 §5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
