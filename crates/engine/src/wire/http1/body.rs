//! Bodies coming in: where they end, and what is in them (RFC 9112 §6–7).

use bytes::{Buf, Bytes};

use super::fault::Fault;
use super::fields::{Framing, is_token_byte};
use super::head::{self, End};
use crate::wire::Headers;

/// A body in progress.
///
/// ```text
///   Size ──size > 0──▶ Data ──all──▶ DataEnd ──CRLF──▶ Size
///     └──size = 0──▶ Trailers ──empty line──▶ (end)
/// ```
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// What chunk lines cost beyond the data they announce; see [`OVERHEAD_BYTES_MAX`].
    overhead: u64,
}

#[derive(Copy, Clone, Debug)]
enum State {
    /// So many bytes of a body with content-length are to come.
    Length(u64),
    /// All until the connection ends.
    UntilClose,
    /// A chunk's first line is to come.
    Size,
    /// So many bytes of a chunk are to come.
    Data(u64),
    /// The line end behind a chunk is to come.
    DataEnd,
    /// The trailer section is to come; so much of it has no end.
    Trailers { scanned: usize },
}

/// What was found at the front of the input.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes of the body.
    Data(Bytes),
    /// The end, with trailers unless there are none.
    End(Option<Headers>),
    /// More input is needed.
    More,
}

/// Longest line before a chunk, with its extensions. A size has at most 15 digits, and nobody uses extensions.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Hexadecimal digits of a chunk's size: what fits into 63 bits.
const SIZE_DIGITS_MAX: usize = 15;

/// How far chunk lines may outweigh the data they announce, over a whole body: extensions are read and thrown away, so
/// a peer could make us work for nothing (CVE-2023-39326).
const OVERHEAD_BYTES_MAX: u64 = 16 << 10;

/// What a line may cost without being counted: size, line ends, and some digits more.
const LINE_BYTES_FREE: u64 = 16;

impl Body {
    /// A body of this framing; there must be one.
    pub(super) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Body { state, overhead: 0 }
    }

    /// Whether the end of the connection is its end.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    /// Whether the trailer section has begun.
    pub(super) fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::Trailers { .. })
    }

    /// Takes the next piece from the front of the input.
    pub(super) fn next(&mut self, input: &mut Bytes, list_bytes_max: usize) -> Result<Piece, Fault> {
        loop {
            match self.state {
                State::Length(0) => return Ok(Piece::End(None)),
                State::Length(left) => {
                    let Some(data) = take(input, left) else { return Ok(Piece::More) };
                    self.state = State::Length(left - data.len() as u64);
                    return Ok(Piece::Data(data));
                }
                State::UntilClose => {
                    return Ok(take(input, u64::MAX).map_or(Piece::More, Piece::Data));
                }
                State::Size => {
                    let Some(size) = self.read_size(input)? else { return Ok(Piece::More) };
                    self.state = if size == 0 { State::Trailers { scanned: 0 } } else { State::Data(size) };
                }
                State::Data(left) => {
                    let Some(data) = take(input, left) else { return Ok(Piece::More) };
                    let left = left - data.len() as u64;
                    self.overhead = self.overhead.saturating_sub(data.len() as u64);
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Piece::Data(data));
                }
                State::DataEnd => match input.as_ref() {
                    [] | [b'\r'] => return Ok(Piece::More),
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    _ => return Err(Fault::bad("a chunk is longer than its size")),
                },
                State::Trailers { scanned } => {
                    let end = match head::find_end(input, scanned)? {
                        End::At(end) if end <= list_bytes_max => end,
                        End::Beyond(scanned) if scanned <= list_bytes_max => {
                            self.state = State::Trailers { scanned };
                            return Ok(Piece::More);
                        }
                        End::At(_) | End::Beyond(_) => return Err(head::too_large(b"\n")),
                    };
                    let section = input.split_to(end);
                    if section.len() == 2 {
                        return Ok(Piece::End(None));
                    }
                    let trailers = head::parse_trailers(&section, list_bytes_max)?;
                    return Ok(Piece::End(Some(trailers).filter(|trailers| !trailers.is_empty())));
                }
            }
        }
    }

    /// The size of the next chunk, once its line is there.
    fn read_size(&mut self, input: &mut Bytes) -> Result<Option<u64>, Fault> {
        const BAD: Fault = Fault::bad("the size of a chunk cannot be read");
        let line = &input[..input.len().min(CHUNK_LINE_BYTES_MAX)];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > SIZE_DIGITS_MAX || (digits == 0 && !line.is_empty()) {
            return Err(BAD);
        }
        let Some(feed) = line.iter().position(|byte| *byte == b'\n') else {
            if input.len() >= CHUNK_LINE_BYTES_MAX {
                return Err(Fault::bad("the line before a chunk is too long"));
            }
            // What is there already must be the beginning of a line in order.
            return if is_extension(line[digits..].strip_suffix(b"\r").unwrap_or(&line[digits..])) {
                Ok(None)
            } else {
                Err(BAD)
            };
        };
        let line = &line[..=feed];
        let Some(extension) = line[digits..].strip_suffix(b"\r\n") else { return Err(BAD) };
        if !is_extension(extension) {
            return Err(BAD);
        }
        let Ok(httparse::Status::Complete((len, size))) = httparse::parse_chunk_size(line) else { return Err(BAD) };
        if len != line.len() {
            return Err(BAD);
        }
        self.overhead += (len as u64).saturating_sub(LINE_BYTES_FREE);
        if self.overhead > OVERHEAD_BYTES_MAX {
            return Err(Fault::bad("there is more around the chunks than in them"));
        }
        input.advance(len);
        Ok(Some(size))
    }
}

/// Nothing, or `;name`, `;name=value`, … without control characters. It is not taken further apart: nothing in it is
/// used. White space before the semicolon, which RFC 9112 §7.1.1 calls bad, is refused.
fn is_extension(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b';'] => true,
        [b';', first, rest @ ..] => {
            (is_token_byte(*first) || matches!(first, b' ' | b'\t'))
                && rest.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t' || *byte >= 0x80)
        }
        _ => false,
    }
}

/// At most so many bytes from the front; `None` when there are none.
fn take(input: &mut Bytes, most: u64) -> Option<Bytes> {
    if input.is_empty() {
        return None;
    }
    let len = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    Some(input.split_to(len))
}
