//! What a peer did wrong, and what it is told.

use bytes::Bytes;

use super::connection::Date;
use crate::wire::{ConnectionError, LimitExceeded, PeerMisbehaved};

/// A rule that was broken: the status that answers it, and words for people. It always costs the connection, because
/// where the next message begins can no longer be trusted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) text: &'static str,
}

impl Fault {
    /// RFC 9112 §2.2: what is not HTTP is answered with 400.
    pub(super) const fn bad(text: &'static str) -> Self {
        Fault { status: 400, text }
    }

    pub(super) fn error(self) -> ConnectionError {
        match self.status {
            414 | 431 => ConnectionError::LimitExceeded(LimitExceeded::HeaderBlock),
            _ => ConnectionError::PeerMisbehaved(PeerMisbehaved::Http1(self.text)),
        }
    }
}

/// A short answer in text after which the connection closes.
pub(in crate::wire) fn answer(status: u16, text: &str) -> Bytes {
    let mut bytes = Vec::with_capacity(160 + text.len());
    write_answer(&mut bytes, status, text, false, None);
    bytes.into()
}

/// Writes such an answer. `head_only`: the request was HEAD.
pub(super) fn write_answer(out: &mut Vec<u8>, status: u16, text: &str, head_only: bool, date: Option<Date>) {
    let mut line = [0; 3];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status_digits(status, &mut line));
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ");
    out.extend_from_slice((text.len() + 1).to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    write_date(out, date);
    out.extend_from_slice(b"connection: close\r\n\r\n");
    if !head_only {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
}

/// The field `date`, where there is a clock.
pub(super) fn write_date(out: &mut Vec<u8>, date: Option<Date>) {
    if let Some(date) = date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&date());
        out.extend_from_slice(b"\r\n");
    }
}

/// The three digits of a status.
pub(super) fn status_digits(status: u16, digits: &mut [u8; 3]) -> &[u8] {
    let digit = |value: u16| b'0' + (value % 10) as u8;
    *digits = [digit(status / 100), digit(status / 10), digit(status)];
    digits
}

/// The words of RFC 9110 §15 for a status; no words for one without.
pub(super) fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
