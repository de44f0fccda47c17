//! Complete header blocks become requests, responses and trailers (RFC 9113 §8.1).

use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::hpack::DecodeError;
use super::past::Fate;
use super::stream::Side;
use super::well_formed::Part;
use crate::wire::{
    ConnectionError, Headers, LimitExceeded, PeerMisbehaved, Reason, Role, StreamEvent as Event, StreamKey,
};

type Handled = Result<(), ConnectionError>;

impl Connection {
    /// A complete header block of stream `id`.
    pub(super) fn handle_block(
        &mut self,
        now: Instant,
        id: u32,
        end: bool,
        self_dependent: bool,
        block: &[u8],
    ) -> Handled {
        let open = self.streams.find(id);
        if open.is_none() && (self.role == Role::Client || id <= self.past.last()) {
            return self.handle_late_block(now, id, block);
        }
        // Whatever the stream's fate, the block is decoded: the tables must stay in step.
        let headers = self.decode(block)?;
        let fault = match headers {
            None => Some(Reason::ENHANCE_YOUR_CALM),
            Some(_) if self_dependent => Some(Reason::PROTOCOL_ERROR),
            Some(_) => None,
        };
        match (open, fault, headers) {
            (Some(key), Some(reason), _) => self.stream_error(now, key, reason),
            (Some(key), None, Some(headers)) => self.handle_more_headers(now, key, headers, end),
            (None, fault, headers) => self.handle_request(now, id, headers.ok_or(()), fault, end),
            (Some(_), None, None) => Ok(()),
        }
    }

    /// Decodes a block. `None`: it is larger than the limit, and the tables are in step.
    fn decode(&mut self, block: &[u8]) -> Result<Option<Arc<Headers>>, ConnectionError> {
        match self.decoder.decode(block, self.limits.header_list_bytes_max) {
            Ok(headers) => Ok(Some(headers)),
            Err(DecodeError::TooLarge) => Ok(None),
            Err(DecodeError::WorkTooLarge) => Err(ConnectionError::LimitExceeded(LimitExceeded::HeaderBlock)),
            Err(_) => Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::HeaderCompression)),
        }
    }

    /// Server: a stream above all earlier ones.
    fn handle_request(
        &mut self,
        now: Instant,
        id: u32,
        headers: Result<Arc<Headers>, ()>,
        fault: Option<Reason>,
        end: bool,
    ) -> Handled {
        self.past.open(id);
        if self.is_past_farewell(id) {
            // §6.8: ignored, as announced.
            self.past.reset(id, self.limits.resets_remembered);
            return Ok(());
        }
        let (Ok(headers), None) = (headers, fault) else {
            return self.refuse(now, id, fault.unwrap_or(Reason::ENHANCE_YOUR_CALM));
        };
        if self.streams.open() >= self.limits.streams_max as usize {
            return self.refuse(now, id, Reason::REFUSED_STREAM);
        }
        let part = Part::Request { connect_protocol: self.limits.connect_protocol };
        let Some(facts) = self.checked.check(&headers, part) else {
            return self.refuse(now, id, Reason::PROTOCOL_ERROR);
        };
        if end && facts.content_length.is_some_and(|length| length > 0) {
            return self.refuse(now, id, Reason::PROTOCOL_ERROR);
        }
        let send_window = self.peer.window_bytes.cast_signed();
        let key = self.streams.insert(id, send_window, self.stream_window.cast_signed());
        if let Some(stream) = self.streams.get_mut(key) {
            stream.theirs = if end { Side::Ended } else { Side::Body };
            if let Some(length) = facts.content_length {
                stream.content_left = length;
            }
        }
        self.events.push_back(Event::Headers { key, headers, end });
        if id > self.limits.stream_id_max {
            self.drain(now, "stream ids used up");
        }
        Ok(())
    }

    /// Headers on an open stream: a client's response, or trailers.
    fn handle_more_headers(&mut self, now: Instant, key: StreamKey, headers: Arc<Headers>, end: bool) -> Handled {
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        match stream.theirs {
            Side::Head => self.handle_response(now, key, headers, end),
            Side::Body => {
                let complete = matches!(stream.content_left, 0 | super::stream::UNKNOWN_LENGTH);
                let well_formed = self.checked.check(&headers, Part::Trailers).is_some();
                if !(end && complete && well_formed) {
                    return self.stream_error(now, key, Reason::PROTOCOL_ERROR);
                }
                self.events.push_back(Event::Trailers { key, headers });
                self.peer_ended(key);
                Ok(())
            }
            Side::Ending | Side::Ended => self.stream_error(now, key, Reason::STREAM_CLOSED),
        }
    }

    /// Client: informational or final response headers.
    fn handle_response(&mut self, now: Instant, key: StreamKey, headers: Arc<Headers>, end: bool) -> Handled {
        let Some(facts) = self.checked.check(&headers, Part::Response) else {
            return self.stream_error(now, key, Reason::PROTOCOL_ERROR);
        };
        if facts.status < 200 {
            // §8.1: not the end, and nothing that switches protocols.
            if end || facts.status == 101 {
                return self.stream_error(now, key, Reason::PROTOCOL_ERROR);
            }
            return self.guard.idle_frame(now, &self.limits);
        }
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        stream.theirs = Side::Body;
        if stream.bodiless || matches!(facts.status, 204 | 304) {
            stream.content_left = 0;
        } else if let Some(length) = facts.content_length {
            if end && length > 0 {
                return self.stream_error(now, key, Reason::PROTOCOL_ERROR);
            }
            stream.content_left = length;
        }
        self.events.push_back(Event::Headers { key, headers, end });
        if end {
            self.peer_ended(key);
        }
        Ok(())
    }

    /// Headers on a stream that is not open any more, or never can be.
    fn handle_late_block(&mut self, now: Instant, id: u32, block: &[u8]) -> Handled {
        match self.fate(id)? {
            Fate::Skipped => Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::StreamIdInvalid)),
            Fate::Closed => Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::StreamClosed)),
            Fate::Forgotten => {
                self.decode(block)?;
                self.refuse(now, id, Reason::STREAM_CLOSED)
            }
            // In flight before our reset arrived.
            Fate::Reset => self.decode(block).map(drop),
        }
    }

    /// END_STREAM came.
    fn peer_ended(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.theirs = Side::Ended;
        if stream.ours == Side::Ended {
            self.remove(key);
        }
    }
}
