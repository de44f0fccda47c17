use bytes::Bytes;
use polywire_core::{Compression, ENVELOPE_BYTES, Message, Metadata, Status};

use super::{Http, Phase, Reading, find_mut, release};
use crate::{
    connection::{CallKey, Event},
    envelope::Envelope,
    protocol::{Form, body::Piece, connect, grpc_web, rest},
    wire::Role,
};

/// Most bytes of a request that are read after it was answered; then the answer goes out without waiting for its end.
const ANSWERED_BYTES_MAX: usize = 64 * 1024;

impl Http {
    /// Reports the next message of a chunk, or its end.
    pub(super) fn read_on(&mut self, reading: Reading) -> Option<Event> {
        let Reading { key, mut data, end } = reading;
        let server = self.wire.role() == Role::Server;
        let call = find_mut(&mut self.calls, key)?;
        match call.phase {
            Phase::Answered => {
                let seen = call.unconsumed_bytes + data.len();
                call.unconsumed_bytes = seen;
                self.wire.release(key, std::mem::take(&mut call.unreleased_bytes) as u32);
                if end || seen > ANSWERED_BYTES_MAX {
                    self.send_answer(key);
                }
                return None;
            }
            Phase::ExpectHead if !server => {
                return self.read_behind_trailers_only(Reading { key, data, end });
            }
            _ => {}
        }
        let gathered_before = call.body.gathered_bytes();
        let piece = call.body.next(&mut data, end);
        self.gathered_bytes = self.gathered_bytes + call.body.gathered_bytes() - gathered_before;
        match piece {
            Ok(Piece::Envelope(Envelope { bytes, compressed, end: false })) => {
                if compressed && call.peer_compression == Compression::Identity {
                    let status =
                        Status::internal("a message is marked as compressed, but the headers name no compression");
                    return self.fail_inside(key, status);
                }
                let compression = if compressed { call.peer_compression } else { Compression::Identity };
                call.unconsumed_bytes += bytes.len() + ENVELOPE_BYTES;
                let last = end && data.is_empty() && call.body.is_between_messages();
                if !data.is_empty() || call.body.has_more() || (end && !(server && last)) {
                    self.reading = Some(Reading { key, data, end });
                }
                Some(Event::Message { key, message: Message { bytes, compression }, last: last && server })
            }
            Ok(Piece::Envelope(Envelope { bytes, compressed, .. })) => self.read_end(key, bytes, compressed),
            Ok(Piece::Whole(bytes)) => self.read_whole(key, bytes),
            Ok(Piece::Line(bytes) | Piece::Raw(bytes)) => {
                // There may be more, if only the end.
                self.reading = Some(Reading { key, data, end });
                let answer = call.rare.as_ref().and_then(|rare| rare.rest.as_ref());
                let bytes = match (&call.rest, answer) {
                    (Some(rest), _) => rest.request.message(bytes),
                    (None, Some(answer)) => {
                        rest::answer_message(answer.rule, &answer.content_type, &bytes, self.config.read_detail())
                    }
                    (None, None) => Ok(bytes),
                };
                match bytes {
                    Ok(bytes) => {
                        call.unconsumed_bytes += bytes.len() + ENVELOPE_BYTES;
                        let message = Message { bytes, compression: Compression::Identity };
                        Some(Event::Message { key, message, last: false })
                    }
                    Err(status) => self.fail_inside(key, status),
                }
            }
            Ok(Piece::More) => {
                // What belongs to an incomplete message must not stall its stream. It is bounded by the message limit, and
                // over all calls by a limit of its own.
                let limits = self.config.limits();
                if self.gathered_bytes > limits.gathered_bytes_max.max(limits.message_bytes_max) {
                    let status = "too many messages of this connection have come in part only (gathered_bytes_max)";
                    return self.fail_inside(key, Status::resource_exhausted(status));
                }
                release(&mut self.wire, key, call);
                if !end {
                    return None;
                }
                if !call.body.is_between_messages() {
                    return self.fail_inside(key, Status::internal("the stream ended inside a message"));
                }
                if server {
                    return Some(Event::HalfClosed { key });
                }
                if call.form == Form::Rest {
                    // Its errors stand in the body.
                    let trailing = call.rare.take().map(|rare| rare.trailing).unwrap_or_default();
                    return Some(self.end(key, Status::ok(), trailing, false));
                }
                let missing = match call.form {
                    Form::Grpc => "the server ended the stream without trailers",
                    _ => "the server ended the stream without saying how the call ended",
                };
                self.fail_inside(key, Status::internal(missing))
            }
            Err(status) => self.fail_inside(key, status),
        }
    }

    /// The whole body of a unary call has come.
    fn read_whole(&mut self, key: CallKey, bytes: Bytes) -> Option<Event> {
        let server = self.wire.role() == Role::Server;
        let call = find_mut(&mut self.calls, key)?;
        // The engine itself has read all of it: the peer need not wait for the handler.
        call.unconsumed_bytes = 0;
        release(&mut self.wire, key, call);
        let compression = if bytes.is_empty() { Compression::Identity } else { call.peer_compression };
        let rare = call.rare.take();
        if let Some(rest) = &call.rest {
            return match rest.request.message(bytes) {
                Ok(bytes) => Some(Event::Message { key, message: Message { bytes, compression }, last: true }),
                Err(status) => self.fail_inside(key, status),
            };
        }
        if server {
            return Some(Event::Message { key, message: Message { bytes, compression }, last: true });
        }
        let rare = rare.map(|rare| *rare).unwrap_or_default();
        if rare.rest.is_some() {
            return self.read_rest_whole(key, rare, &bytes);
        }
        let Some(fallback) = rare.error else {
            let ended = self.end(key, Status::ok(), rare.trailing, false);
            self.events.push_back(ended);
            return Some(Event::Message { key, message: Message { bytes, compression }, last: false });
        };
        let status = match self.plain(compression, bytes) {
            Ok(body) => connect::parse_error(&body, fallback),
            Err(_) => fallback,
        };
        Some(self.end(key, status, rare.trailing, false))
    }

    /// The envelope that ends a call has come.
    fn read_end(&mut self, key: CallKey, bytes: Bytes, compressed: bool) -> Option<Event> {
        let call = find_mut(&mut self.calls, key)?;
        let (form, compression) = (call.form, call.peer_compression);
        let compression = if compressed { compression } else { Compression::Identity };
        let body = match self.plain(compression, bytes) {
            Ok(body) => body,
            Err(status) => return self.fail_inside(key, status),
        };
        let (status, trailing) = match form {
            Form::ConnectStreaming => connect::parse_end(&body),
            _ => grpc_web::parse_end(&body),
        };
        Some(self.end(key, status, trailing, false))
    }

    /// What the engine has to read itself, without its compression.
    pub(super) fn plain(&self, compression: Compression, bytes: Bytes) -> Result<Bytes, Status> {
        match compression {
            Compression::Identity => Ok(bytes),
            _ => self.config.decompress(compression, &bytes),
        }
    }

    /// Client: the call is over; what it still wanted to send is dropped.
    pub(super) fn end(&mut self, key: CallKey, status: Status, trailing: Metadata, unprocessed: bool) -> Event {
        let ended = self.remove(key);
        let late = ended.and_then(|call| call.deadline).is_some_and(|deadline| deadline <= self.now);
        self.wire.reset(key, crate::wire::Reason::NO_ERROR);
        if late && status.code() == polywire_core::Code::Cancelled {
            let status = Status::deadline_exceeded("the deadline passed before the call ended");
            return Event::Ended { key, status, trailing: Metadata::new(), unprocessed };
        }
        Event::Ended { key, status, trailing, unprocessed }
    }
}
