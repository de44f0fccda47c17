use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Compression, CompressionSet, Metadata, Status};

use super::{CallState, Http, Phase, Rare, Reading, bare, find_mut};
use crate::{
    connection::{CallKey, Event, OpenCall},
    protocol::{
        Form, ResponseHead,
        body::Body,
        connect::{self, UnaryResponse},
        grpc, grpc_web,
    },
    wire::{Headers, OpenError},
};

/// Longest message that goes into a path by GET: what servers and what stands in between usually take.
const GET_MESSAGE_BYTES_MAX: usize = 4096;

impl Http {
    pub(crate) fn open(&mut self, now: Instant, request: OpenCall<'_>) -> Result<CallKey, OpenError> {
        self.now = now;
        let timeout = request.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let form = request.template.form();
        let key = match form {
            Form::ConnectUnary => self.open_unary(now, &request, connect::request_extra(timeout, request.metadata))?,
            _ => {
                let extra = match form {
                    Form::ConnectStreaming => connect::request_extra(timeout, request.metadata),
                    _ => grpc::request_extra(timeout, request.metadata),
                };
                let ends_with_head = request.last && request.message.is_none();
                let key = self.wire.open(now, request.template.headers(), extra.as_ref(), ends_with_head)?;
                if let Some(message) = request.message {
                    self.wire.send_data(key, message, request.last);
                }
                key
            }
        };
        let bytes_max = self.config.limits().message_bytes_max;
        let body = match form {
            Form::ConnectUnary => Body::whole(bytes_max),
            Form::ConnectStreaming => Body::enveloped(bytes_max, connect::FLAG_END),
            Form::GrpcWeb => Body::enveloped(bytes_max, grpc_web::FLAG_TRAILERS),
            Form::GrpcWebText => Body::text(bytes_max, grpc_web::FLAG_TRAILERS),
            Form::Grpc | Form::Plain | Form::Rest | Form::Tunnel => Body::enveloped(bytes_max, 0),
        };
        let mut call = CallState::new(key, form, body, request.deadline);
        call.codec = request.template.options().codec;
        self.insert(key, call);
        if let Some(deadline) = request.deadline {
            self.deadlines_fresh.push((deadline, key));
        }
        Ok(key)
    }

    /// Connect: the message is the body, or stands in the path.
    fn open_unary(
        &mut self,
        now: Instant,
        request: &OpenCall<'_>,
        extra: Option<Headers>,
    ) -> Result<CallKey, OpenError> {
        let options = request.template.options();
        let message = request.message.clone().unwrap_or_default();
        let compressed = message.first().is_some_and(|flags| flags & 1 != 0);
        let compression = if compressed { options.compression } else { Compression::Identity };
        let message = bare(message);
        if options.get && message.len() <= GET_MESSAGE_BYTES_MAX {
            let headers = Arc::new(connect::get_request(options, &message, compression));
            return self.wire.open(now, &headers, extra.as_ref(), true);
        }
        let mut extra = extra.unwrap_or_default();
        if compressed {
            extra.push(b"content-encoding", compression.name());
        }
        extra.push(b"content-length", message.len().to_string());
        let key = self.wire.open(now, request.template.headers(), Some(&extra), false)?;
        self.wire.send_data(key, message, true);
        Ok(key)
    }

    pub(crate) fn half_close(&mut self, key: CallKey) {
        self.wire.send_data(key, Bytes::new(), true);
    }

    pub(crate) fn cancel(&mut self, key: CallKey) {
        if self.remove(key).is_some() {
            self.wire.reset(key, grpc::CANCEL);
        }
    }

    pub(super) fn read_response_head(&mut self, key: CallKey, headers: &Headers, end: bool) -> Option<Event> {
        let accepted = self.config.accepts();
        let call = find_mut(&mut self.calls, key)?;
        let form = call.form;
        if form == Form::ConnectUnary {
            return self.read_unary_head(key, headers, end, accepted);
        }
        let kind = match form {
            Form::GrpcWeb => grpc_web::KIND,
            Form::GrpcWebText => grpc_web::KIND_TEXT,
            _ => grpc::KIND,
        };
        let may_be_all = form != Form::ConnectStreaming && (end || headers.find(b"grpc-status").is_some());
        if may_be_all && (end || form != Form::Grpc) {
            let (status, trailing) = grpc::parse_trailers(headers, kind);
            if !end && let Ok(head) = grpc::parse_response(headers, kind) {
                let trailers_only = Some((head, status, trailing));
                call.rare = Some(Box::new(Rare { trailers_only, ..Rare::default() }));
                return None;
            }
            call.peer_ended = end;
            return Some(self.end(key, status, trailing, false));
        }
        let parsed = match form {
            Form::ConnectStreaming => connect::parse_streaming_response(headers, call.codec, accepted),
            _ => grpc::parse_response(headers, kind),
        };
        match parsed {
            Ok(head) => Some(self.answered(key, head, end)),
            Err(status) => Some(self.end(key, status, Metadata::new(), false)),
        }
    }

    fn read_unary_head(
        &mut self,
        key: CallKey,
        headers: &Headers,
        end: bool,
        accepted: CompressionSet,
    ) -> Option<Event> {
        let call = find_mut(&mut self.calls, key)?;
        let (head, trailing, error) = match connect::parse_unary_response(headers, call.codec, accepted) {
            Ok(UnaryResponse::Message { head, trailing }) => (head, trailing, None),
            Ok(UnaryResponse::Error { head, trailing, fallback }) => (head, trailing, Some(fallback)),
            Err(status) => return Some(self.end(key, status, Metadata::new(), false)),
        };
        call.rare = Some(Box::new(Rare { trailing, error, ..Rare::default() }));
        Some(self.answered(key, head, end))
    }

    /// What comes behind headers that said how the call ended: when it is a body, that counts (PROTOCOL-WEB).
    pub(super) fn read_behind_trailers_only(&mut self, reading: Reading) -> Option<Event> {
        let key = reading.key;
        let call = find_mut(&mut self.calls, key)?;
        if reading.data.is_empty() && !reading.end && call.rare.is_some() {
            return None;
        }
        let Some((head, status, trailing)) = call.rare.take().and_then(|rare| rare.trailers_only) else {
            return self.fail_inside(key, Status::internal("the server sent a message before its headers"));
        };
        if reading.data.is_empty() {
            return Some(self.end(key, status, trailing, false));
        }
        let event = self.answered(key, head, false);
        self.reading = Some(reading);
        Some(event)
    }

    /// The answer has begun.
    fn answered(&mut self, key: CallKey, head: ResponseHead, end: bool) -> Event {
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.phase = Phase::Answering;
            call.peer_compression = head.compression;
        }
        if end {
            self.reading = Some(Reading { key, data: Bytes::new(), end });
        }
        Event::Headers { key, head: Box::new(head) }
    }
}
