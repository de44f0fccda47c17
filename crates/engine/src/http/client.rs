use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::{Codec, Compression, CompressionSet, Message, Metadata, Status};

use super::{CallState, Http, Phase, Rare, Reading, RestAnswer, bare, find_mut, line, split_envelope, written};
use crate::{
    connection::{CallKey, Event, OpenCall},
    protocol::{
        Form, ResponseHead,
        body::Body,
        connect::{self, UnaryResponse},
        grpc, grpc_web,
        rest::{self, Lines},
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
            Form::Rest => return self.open_rest(now, &request, grpc::request_extra(timeout, request.metadata)),
            _ => {
                let extra = match form {
                    Form::ConnectStreaming => connect::request_extra(timeout, request.metadata),
                    _ => grpc::request_extra(timeout, request.metadata),
                };
                let ends_with_head = request.last && request.message.is_none();
                let key = self.wire.open(now, request.template.headers(), extra.as_ref(), ends_with_head)?;
                if let Some(message) = request.message {
                    self.wire.send_data(key, written(form, message), request.last);
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
        self.insert_opened(call);
        Ok(key)
    }

    fn insert_opened(&mut self, call: CallState) {
        if let Some(deadline) = call.deadline {
            self.deadlines.push(deadline, call.key);
        }
        self.insert(call.key, call);
    }

    /// REST: the message decides verb, path and body.
    fn open_rest(
        &mut self,
        now: Instant,
        request: &OpenCall<'_>,
        extra: Option<Headers>,
    ) -> Result<CallKey, OpenError> {
        let options = request.template.options();
        let message = match &request.message {
            None => Bytes::from_static(b"{}"),
            Some(message) => self.plain_message(options.compression, message).map_err(|_| OpenError::Unfit)?,
        };
        let written = rest::client_request(options.rules, options.kind, &message).map_err(|_| OpenError::Unfit)?;
        let headers = Arc::new(rest::request_headers(options, &written));
        let streams = options.kind.client_streams();
        let no_body = !streams && written.body.is_empty();
        let key = self.wire.open(now, &headers, extra.as_ref(), no_body)?;
        match &request.message {
            Some(_) if streams => self.wire.send_data(key, line(&message), request.last),
            None if streams && request.last => self.wire.send_data(key, Bytes::new(), true),
            _ if !streams && !no_body => self.wire.send_data(key, written.body, true),
            _ => {}
        }
        let body = Body::whole(self.config.limits().message_bytes_max);
        let mut call = CallState::new(key, Form::Rest, body, request.deadline);
        call.codec = Codec::Json;
        call.compression = options.compression;
        let answer = RestAnswer {
            rule: written.rule,
            streams: options.kind.server_streams(),
            http_status: 0,
            content_type: String::new(),
        };
        call.rare = Some(Box::new(Rare { rest: Some(answer), ..Rare::default() }));
        self.insert_opened(call);
        Ok(key)
    }

    /// A message without envelope and compression.
    fn plain_message(&self, compression: Compression, message: &Bytes) -> Result<Bytes, Status> {
        let compressed = message.first().is_some_and(|flags| flags & 1 != 0);
        let compression = if compressed { compression } else { Compression::Identity };
        self.plain(compression, bare(message.clone()))
    }

    /// REST: messages of a client that streams.
    pub(super) fn send_lines(&mut self, key: CallKey, mut messages: Bytes) {
        while let Some((compressed, message)) = split_envelope(&mut messages) {
            let Some(call) = find_mut(&mut self.calls, key) else { return };
            let compression = if compressed { call.compression } else { Compression::Identity };
            match self.plain(compression, message) {
                Ok(message) => self.wire.send_data(key, line(&message), false),
                Err(status) => return self.fail(key, status),
            }
        }
    }

    /// REST: a body that is one message or one error, or many messages.
    fn read_rest_head(&mut self, key: CallKey, headers: &Headers, end: bool) -> Option<Event> {
        let bytes_max = self.config.limits().message_bytes_max;
        let head = match rest::answer_head(headers) {
            Ok(head) => head,
            Err(status) => return self.fail_inside(key, status),
        };
        let call = find_mut(&mut self.calls, key)?;
        let rare = call.rare.as_mut()?;
        let answer = rare.rest.as_mut()?;
        if !(200..300).contains(&head.http_status) {
            rare.error = Some(rest::answer_status(head.http_status, b"", None));
        } else if answer.streams && answer.rule.answers_raw() {
            call.body = Body::Raw;
        } else if answer.streams {
            call.body = Body::Lines(Lines::new(bytes_max));
        }
        answer.http_status = head.http_status;
        answer.content_type = head.content_type;
        rare.trailing = head.trailing;
        Some(self.answered(key, ResponseHead { metadata: head.leading, ..ResponseHead::default() }, end))
    }

    /// REST: the whole body of an answer that is one message or an error.
    pub(super) fn read_rest_whole(&mut self, key: CallKey, rare: Rare, body: &Bytes) -> Option<Event> {
        let Rare { rest: Some(answer), trailing, error, .. } = rare else { return None };
        let read_detail = self.config.read_detail();
        if error.is_some() {
            let status = rest::answer_status(answer.http_status, body, read_detail);
            return Some(self.end(key, status, trailing, false));
        }
        match rest::answer_message(answer.rule, &answer.content_type, body, read_detail) {
            Ok(bytes) => {
                let ended = self.end(key, Status::ok(), trailing, false);
                self.events.push_back(ended);
                let message = Message { bytes, compression: Compression::Identity };
                Some(Event::Message { key, message, last: false })
            }
            Err(status) => Some(self.end(key, status, trailing, false)),
        }
    }

    /// Connect: the message is the body, or stands in the path.
    fn open_unary(
        &mut self,
        now: Instant,
        request: &OpenCall<'_>,
        extra: Option<Headers>,
    ) -> Result<CallKey, OpenError> {
        let options = request.template.options();
        if request.message.is_none() && !request.last {
            // The one message comes later, and the end behind it.
            return self.wire.open(now, request.template.headers(), extra.as_ref(), false);
        }
        let message = request.message.clone().unwrap_or_default();
        let compressed = message.first().is_some_and(|flags| flags & 1 != 0);
        let compression = if compressed { options.compression } else { Compression::Identity };
        let message = bare(message);
        if options.get && message.len() <= GET_MESSAGE_BYTES_MAX {
            let headers = Arc::new(connect::request_by_get(options, &message, compression));
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
        match form {
            Form::ConnectUnary => return self.read_unary_head(key, headers, end, accepted),
            Form::Rest => return self.read_rest_head(key, headers, end),
            _ => {}
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
