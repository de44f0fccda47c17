//! Bodies: how the messages of a call lie in what a stream carries.

use bytes::{Bytes, BytesMut};
use polywire_core::Status;

use super::{grpc_web::TextReader, rest::Lines};
use crate::envelope::{Envelope, EnvelopeError, Reader};

/// Takes messages out of a body that comes in chunks.
#[derive(Debug)]
pub(crate) enum Body {
    /// Envelopes, one behind the other.
    Enveloped(Reader),
    /// There is none; what comes all the same is passed over.
    Ignored,
    /// Lines, each of which is a message.
    Lines(Lines),
    /// Whatever comes is passed on as it is.
    Raw,
    /// Envelopes in base64.
    Text(Box<Text>),
    /// The whole body is one message, or an error.
    Whole { gathered: BytesMut, bytes_max: usize },
}

/// Base64, what it holds, and what is decoded but not read.
#[derive(Debug)]
pub(crate) struct Text {
    text: TextReader,
    reader: Reader,
    plain: Bytes,
}

/// What a chunk gave.
#[derive(Debug)]
pub(crate) enum Piece {
    /// An envelope with a message, or with the end of the call.
    Envelope(Envelope),
    /// Everything, when the whole body is one message.
    Whole(Bytes),
    /// A line, without its end.
    Line(Bytes),
    /// A chunk as it came.
    Raw(Bytes),
    /// The chunk is used up.
    More,
}

impl Body {
    /// A body of envelopes; `flag_end` marks the one that ends the call, if the protocol has one.
    pub(crate) fn enveloped(message_bytes_max: usize, flag_end: u8) -> Self {
        Self::Enveloped(Reader::with_end(message_bytes_max, flag_end))
    }

    /// As [`enveloped`](Self::enveloped), in base64.
    pub(crate) fn text(message_bytes_max: usize, flag_end: u8) -> Self {
        let reader = Reader::with_end(message_bytes_max, flag_end);
        Self::Text(Box::new(Text { text: TextReader::default(), reader, plain: Bytes::new() }))
    }

    /// A body that is one message.
    pub(crate) fn whole(bytes_max: usize) -> Self {
        Self::Whole { gathered: BytesMut::new(), bytes_max }
    }

    /// Takes the next piece from the front of `data`; `end` when nothing follows this chunk.
    ///
    /// # Errors
    /// When the body breaks a rule or the limit: the status with which the call ends.
    pub(crate) fn next(&mut self, data: &mut Bytes, end: bool) -> Result<Piece, Status> {
        match self {
            Self::Enveloped(reader) => read_envelope(reader, data),
            Self::Ignored => {
                data.clear();
                Ok(Piece::More)
            }
            Self::Lines(lines) => {
                lines.push(&std::mem::take(data));
                let line = match lines.next()? {
                    None if end => lines.finish(),
                    line => line,
                };
                Ok(line.map_or(Piece::More, Piece::Line))
            }
            Self::Raw if data.is_empty() => Ok(Piece::More),
            Self::Raw => Ok(Piece::Raw(std::mem::take(data))),
            Self::Text(parts) => {
                let Text { text, reader, plain } = &mut **parts;
                if plain.is_empty() {
                    let chunk = std::mem::take(data);
                    *plain = text.next(&chunk).ok_or_else(|| Status::internal("the body is not base64"))?;
                }
                read_envelope(reader, plain)
            }
            Self::Whole { gathered, bytes_max } => {
                let chunk = std::mem::take(data);
                let bytes = gathered.len() + chunk.len();
                if bytes > *bytes_max {
                    return Err(Status::resource_exhausted(format!(
                        "a message of more than {bytes_max} bytes came; that is the limit (message_bytes_max)"
                    )));
                }
                if !end {
                    gathered.extend_from_slice(&chunk);
                    return Ok(Piece::More);
                }
                if gathered.is_empty() {
                    return Ok(Piece::Whole(chunk));
                }
                gathered.extend_from_slice(&chunk);
                Ok(Piece::Whole(std::mem::take(gathered).freeze()))
            }
        }
    }

    /// Whether more can be read before another chunk comes.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self, Self::Text(parts) if !parts.plain.is_empty())
    }

    /// How many bytes of an incomplete message are kept.
    pub(crate) fn gathered_bytes(&self) -> usize {
        match self {
            Self::Enveloped(reader) => reader.gathered_bytes(),
            Self::Ignored | Self::Raw => 0,
            Self::Lines(lines) => lines.pending_bytes(),
            Self::Text(parts) => parts.reader.gathered_bytes(),
            Self::Whole { gathered, .. } => gathered.len(),
        }
    }

    /// Whether the stream may end here: not inside an envelope.
    pub(crate) fn is_between_messages(&self) -> bool {
        match self {
            Self::Enveloped(reader) => reader.is_between_messages(),
            Self::Ignored | Self::Lines(_) | Self::Raw | Self::Whole { .. } => true,
            Self::Text(parts) => {
                parts.plain.is_empty() && parts.text.is_complete() && parts.reader.is_between_messages()
            }
        }
    }
}

fn read_envelope(reader: &mut Reader, data: &mut Bytes) -> Result<Piece, Status> {
    match reader.next(data) {
        Ok(Some(envelope)) => Ok(Piece::Envelope(envelope)),
        Ok(None) => Ok(Piece::More),
        Err(error) => Err(status_of_envelope(error)),
    }
}

fn status_of_envelope(error: EnvelopeError) -> Status {
    match error {
        EnvelopeError::TooLarge { announced, limit } => Status::resource_exhausted(format!(
            "a message of {announced} bytes was announced; the limit is {limit} (message_bytes_max)"
        )),
        EnvelopeError::UnknownFlags(flags) => {
            Status::internal(format!("a message has the undefined flags {flags:#04x} in its envelope"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{envelope::envelope, protocol::grpc_web::to_text};

    #[test]
    fn two_messages_in_one_piece_of_text_are_both_read() {
        let text = to_text(&[envelope(false, b"one"), envelope(false, b"two")].concat());
        let mut body = Body::text(100, 0);
        let mut data = text;
        for message in [&b"one"[..], b"two"] {
            let piece = body.next(&mut data, true).unwrap();
            assert!(matches!(piece, Piece::Envelope(envelope) if envelope.bytes == message));
            assert_eq!(body.has_more(), message == b"one");
        }
        assert!(matches!(body.next(&mut data, true), Ok(Piece::More)));
        assert!(body.is_between_messages());
    }
}
