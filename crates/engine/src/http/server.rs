use std::sync::Arc;

use bytes::Bytes;
use polywire_core::{Code, Codec, Compression, Message, Metadata, Protocol, RequestHead, Status, Wire};

use super::{CallState, Http, Phase, Rare, Reading as Chunk, Rest, bare, find_mut, split_envelope, written};
use crate::{
    connection::{CallKey, Event},
    protocol::{
        Form,
        body::Body,
        connect,
        fields::{metadata_extra, text},
        grpc, grpc_web,
        rest::{self, Lines, Reading},
    },
    wire::{
        Headers, Reason,
        websocket::{self, Begin},
    },
};

/// What the headers of a request are.
enum Request {
    /// A call.
    Call { form: Form, head: Arc<RequestHead>, message: Option<Message> },
    /// A call that was not understood.
    Refused { form: Form, codec: Codec, status: Status },
    /// An ordinary HTTP request.
    Plain,
    /// A call by REST.
    Rest(Box<rest::Request>),
    /// A request that no rule of REST takes as it is.
    Unrouted(rest::Refusal),
}

impl Http {
    pub(super) fn read_request_head(&mut self, key: CallKey, headers: &Arc<Headers>, end: bool) -> Option<Event> {
        let request = match &self.head_latest {
            // Only what has no origin is kept there.
            Some((latest, form, head)) if Arc::ptr_eq(latest, headers) => {
                Request::Call { form: *form, head: Arc::clone(head), message: None }
            }
            _ => {
                if websocket::handshake::is_upgrade(headers) && self.config.speaks_wire(Wire::WebSocket) {
                    return self.read_upgrade(key, headers, end);
                }
                if headers.find(b"origin").is_some() && self.answer_origin(key, headers, end) {
                    return None;
                }
                self.parse_request(headers)
            }
        };
        let bytes_max = self.config.limits().message_bytes_max;
        match request {
            Request::Call { form, head, message } => {
                let body = match form {
                    Form::Grpc | Form::GrpcWeb | Form::ConnectStreaming => Body::enveloped(bytes_max, 0),
                    Form::GrpcWebText => Body::text(bytes_max, 0),
                    Form::ConnectUnary if message.is_some() => Body::Ignored,
                    Form::ConnectUnary | Form::Plain | Form::Rest => Body::whole(bytes_max),
                    Form::Tunnel => Body::Raw,
                };
                let deadline = head.timeout.and_then(|timeout| self.now.checked_add(timeout));
                let mut call = CallState::new(key, form, body, deadline);
                call.peer_ended = end;
                call.codec = head.codec;
                call.peer_compression = head.compression;
                self.insert(key, call);
                if let Some(deadline) = deadline {
                    self.deadlines.push(deadline, key);
                }
                // A unary call has a message even if its body is empty.
                let message = message.or_else(|| (end && form == Form::ConnectUnary).then(Message::default));
                let last = end && message.is_none();
                if let Some(message) = message {
                    self.events.push_back(Event::Message { key, message, last: true });
                }
                Some(Event::Started { key, head, deadline, last })
            }
            Request::Refused { form, codec, status } => {
                let mut call = CallState::new(key, form, Body::Ignored, None);
                call.peer_ended = end;
                call.codec = codec;
                self.insert(key, call);
                self.finish(key, &status, &Metadata::new(), &Metadata::new());
                None
            }
            Request::Rest(request) => Some(self.started_rest(key, *request, end)),
            Request::Unrouted(refusal) => {
                let mut call = CallState::new(key, Form::Plain, Body::Ignored, None);
                call.peer_ended = end;
                call.head_only = is_head(headers);
                self.insert(key, call);
                let output = refusal.output(self.config.detail_json());
                let mut fields = Headers::new();
                for (name, value) in output.head.iter().flat_map(Headers::iter).filter(|(name, _)| *name != b":status")
                {
                    fields.push(name, value);
                }
                self.answer(key, refusal.http_status, &fields, output.body);
                None
            }
            Request::Plain => {
                let mut call = CallState::new(key, Form::Plain, Body::whole(bytes_max), None);
                call.peer_ended = end;
                call.head_only = is_head(headers);
                self.insert(key, call);
                Some(Event::Request { key, headers: Arc::clone(headers), last: end })
            }
        }
    }

    /// Somebody asks for a WebSocket.
    fn read_upgrade(&mut self, key: CallKey, headers: &Headers, end: bool) -> Option<Event> {
        let nothing = Arc::clone(self.config.templates().nothing());
        if self.wire.is_draining() {
            let mut refused = Headers::new();
            refused.push(b":status", b"503");
            refused.push(b"content-length", b"0");
            self.wire.send_headers(key, &nothing, Some(&refused), true);
            return None;
        }
        let accepted = match websocket::handshake::accept(headers, self.config.websocket()) {
            Ok(accepted) => accepted,
            Err(refused) => {
                let body = Bytes::from_static(refused.text.as_bytes());
                self.wire.send_headers(key, &nothing, Some(&refused.headers), false);
                self.wire.send_data(key, body, true);
                return None;
            }
        };
        let begin = Begin {
            leftover: Bytes::new(),
            subprotocol: accepted.subprotocol,
            deflate: accepted.deflate,
            policy: self.config.websocket().clone(),
            authority: accepted.authority,
            ids_after: 0,
        };
        if self.wire.name() == Wire::Http1 {
            self.wire.upgrade(key, &nothing, &accepted.headers);
            self.begins = Some(Box::new(begin));
            return None;
        }
        let mut call = CallState::new(key, Form::Tunnel, Body::Raw, None);
        call.rare = Some(Box::new(Rare { answer: Some((accepted.headers, Bytes::new())), ..Rare::default() }));
        call.peer_ended = end;
        self.insert(key, call);
        if end {
            self.events.push_back(Event::HalfClosed { key });
        }
        Some(Event::Tunnel { key, begin: Box::new(begin) })
    }

    /// A call by REST begins.
    fn started_rest(&mut self, key: CallKey, mut request: rest::Request, end: bool) -> Event {
        let bytes_max = self.config.limits().message_bytes_max;
        let mut head = std::mem::take(&mut request.head);
        head.wire = self.wire.name();
        let body = match request.reading {
            Reading::Whole => Body::whole(bytes_max),
            Reading::Lines => Body::Lines(Lines::new(bytes_max)),
            Reading::Chunks => Body::Raw,
        };
        let deadline = head.timeout.and_then(|timeout| self.now.checked_add(timeout));
        let mut call = CallState::new(key, Form::Rest, body, deadline);
        call.peer_ended = end;
        call.codec = head.codec;
        call.peer_compression = head.compression;
        let whole = request.reading == Reading::Whole;
        let answer = request.answer(self.config.detail_json());
        call.rest = Some(Box::new(Rest { request, answer }));
        self.insert(key, call);
        if let Some(deadline) = deadline {
            self.deadlines.push(deadline, key);
        }
        if end && whole {
            // Path and query say it all.
            self.reading = Some(Chunk { key, data: Bytes::new(), end });
        }
        Event::Started { key, head: Arc::new(head), deadline, last: end && !whole }
    }

    fn parse_request(&mut self, headers: &Arc<Headers>) -> Request {
        let accepted = self.config.accepts();
        let speaks = |protocol| self.config.speaks_protocol(protocol);
        let method = headers.find(b":method").unwrap_or_default();
        if let Some(routes) = self.config.routes()
            && is_for_rest(headers)
            && speaks(Protocol::Rest)
        {
            let path = headers.find(b":path").and_then(text).unwrap_or_default();
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            if !matches!(routes.find(text(method).unwrap_or_default(), path), Err(rest::NoRoute::Path)) {
                return match rest::Request::read(headers, routes, self.config.limits(), accepted) {
                    Ok(request) => Request::Rest(Box::new(request)),
                    Err(refusal) => Request::Unrouted(refusal),
                };
            }
        }
        if method == b"GET" && connect::is_get(headers) && speaks(Protocol::Connect) {
            let (form, wire) = (Form::ConnectUnary, self.wire.name());
            return match connect::parse_get(headers, accepted) {
                Ok((mut head, message)) => {
                    head.wire = wire;
                    Request::Call { form, head: Arc::new(head), message: Some(message) }
                }
                Err(status) => Request::Refused { form, codec: Codec::Json, status },
            };
        }
        if method != b"POST" {
            return Request::Plain;
        }
        let content_type = headers.find(b"content-type").unwrap_or_default();
        let (form, codec, head) = if let Some(codec) = grpc::codec_of(content_type) {
            if self.wire.name() != Wire::Http2 || !speaks(Protocol::Grpc) {
                return Request::Plain;
            }
            (Form::Grpc, codec, grpc::parse_request(headers, codec, Protocol::Grpc, accepted))
        } else if let Some((codec, text)) = grpc_web::codec_of(content_type) {
            let form = if text { Form::GrpcWebText } else { Form::GrpcWeb };
            (form, codec, grpc::parse_request(headers, codec, Protocol::GrpcWeb, accepted))
        } else if let Some(codec) = connect::streaming_codec(content_type) {
            (Form::ConnectStreaming, codec, connect::parse_request(headers, codec, true, accepted))
        } else if let Some(codec) = connect::unary_codec(content_type) {
            (Form::ConnectUnary, codec, connect::parse_request(headers, codec, false, accepted))
        } else {
            return Request::Plain;
        };
        let protocol = match form {
            Form::GrpcWeb | Form::GrpcWebText => Protocol::GrpcWeb,
            Form::Grpc => Protocol::Grpc,
            _ => Protocol::Connect,
        };
        if !speaks(protocol) {
            return Request::Plain;
        }
        match head {
            Ok(mut head) => {
                head.wire = self.wire.name();
                head.unary = form == Form::ConnectUnary;
                let head = Arc::new(head);
                if headers.find(b"origin").is_none() {
                    self.head_latest = Some((Arc::clone(headers), form, Arc::clone(&head)));
                }
                Request::Call { form, head, message: None }
            }
            Err(status) => Request::Refused { form, codec, status },
        }
    }

    pub(crate) fn start(&mut self, key: CallKey, leading: &Metadata) {
        let Some(call) = find_mut(&mut self.calls, key) else { return };
        if call.phase != Phase::ExpectHead {
            return;
        }
        call.phase = Phase::Answering;
        match (call.form, &mut call.rest) {
            // Everything about it is said at once, when it ends.
            (Form::ConnectUnary, _) => return,
            (Form::Tunnel, _) => {
                let accepted = call.rare.take().and_then(|rare| rare.answer);
                return accepted.into_iter().for_each(|(headers, _)| self.send_block(key, &headers, false));
            }
            (Form::Rest, Some(rest)) => {
                let output = rest.answer.leading(leading);
                return self.write_rest(key, output, false);
            }
            _ => {}
        }
        let head = Arc::clone(self.config.templates().head(call.form, call.codec, call.compression));
        self.send_head(key, &head, metadata_extra(leading).as_ref(), false);
    }

    pub(crate) fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        let Some(call) = find_mut(&mut self.calls, key) else { return };
        match call.form {
            Form::ConnectUnary => return self.respond_unary(key, leading, message, trailing),
            Form::Rest => {
                self.start(key, leading);
                self.send_rest(key, message);
            }
            Form::Grpc => {
                self.start(key, leading);
                self.wire.send_data(key, message, false);
            }
            form => {
                self.start(key, leading);
                self.wire.send_data(key, written(form, message), false);
            }
        }
        self.finish(key, &Status::ok(), leading, trailing);
    }

    /// Where the HTTP status says how a call ended, it will be 404.
    pub(crate) fn note_unknown_path(&mut self, key: CallKey) {
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.rare.get_or_insert_default().unknown_path = true;
        }
    }

    pub(crate) fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        if !leading.is_empty() && self.call(key).is_some_and(|call| call.form == Form::Grpc) {
            // In Trailers-Only the caller could not tell leading from trailing metadata.
            self.start(key, leading);
        }
        if self.call(key).is_some_and(|call| call.phase == Phase::Answered) {
            return self.send_answer(key);
        }
        let Some(mut call) = self.remove(key) else { return };
        if let Some(rest) = &mut call.rest {
            if call.phase == Phase::ExpectHead {
                // Not sent yet: an error decides the status of the response.
                rest.answer.extend_leading(leading);
            }
            if !status.is_ok() && rest.answer.is_begun() && rest.answer.ends_in_silence() {
                return self.wire.reset(key, Reason::INTERNAL_ERROR);
            }
            let output = rest.answer.end(status, trailing);
            return self.write_rest(key, output, true);
        }
        let config = Arc::clone(&self.config);
        let templates = config.templates();
        let before_head = call.phase == Phase::ExpectHead;
        match call.form {
            Form::Grpc if before_head => {
                // Trailers-Only: one block says it all.
                let mut extra = Headers::new();
                grpc::write_status(&mut extra, status, trailing);
                let head = templates.head(call.form, call.codec, Compression::Identity);
                self.send_head(key, head, Some(&extra), true);
            }
            Form::Grpc if status.is_ok() && trailing.is_empty() => {
                self.send_head(key, templates.trailers_ok(), None, true);
            }
            Form::Grpc => {
                let mut trailers = Headers::new();
                grpc::write_status(&mut trailers, status, trailing);
                self.send_head(key, templates.nothing(), Some(&trailers), true);
            }
            Form::ConnectStreaming | Form::GrpcWeb | Form::GrpcWebText => {
                if before_head {
                    let head = templates.head(call.form, call.codec, call.compression);
                    self.send_head(key, head, metadata_extra(leading).as_ref(), false);
                }
                let end = match call.form {
                    Form::ConnectStreaming => connect::end_of_stream(status, trailing),
                    form => written(form, grpc_web::end_of_body(status, trailing)),
                };
                self.wire.send_data(key, end, true);
            }
            Form::ConnectUnary => {
                let body = connect::error_body(status);
                let accepts = self.config.accepts();
                let identity = Compression::Identity;
                let unknown_path = call.rare.is_some_and(|rare| rare.unknown_path);
                let http_status = if unknown_path { 404 } else { connect::http_status(status.code()) };
                let head =
                    connect::unary_response(http_status, Codec::Json, identity, accepts, body.len(), leading, trailing);
                self.send_head(key, templates.nothing(), Some(&head), false);
                self.wire.send_data(key, body, true);
            }
            Form::Tunnel if !before_head => self.wire.send_data(key, Bytes::new(), true),
            Form::Plain | Form::Rest | Form::Tunnel => {
                let mut head = Headers::new();
                let http_status = match (call.form, status.code()) {
                    (Form::Tunnel, _) => "503",
                    (_, Code::ResourceExhausted) => "413",
                    _ => "500",
                };
                let text = Bytes::from(format!("{}\n", status.message()));
                head.push(b":status", http_status);
                head.push(b"content-type", b"text/plain; charset=utf-8");
                head.push(b"content-length", text.len().to_string());
                self.send_block(key, &head, call.head_only);
                if !call.head_only {
                    self.wire.send_data(key, text, true);
                }
            }
        }
    }

    fn respond_unary(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        let Some(call) = self.remove(key) else { return };
        let compressed = message.first().is_some_and(|flags| flags & 1 != 0);
        let compression = if compressed { call.compression } else { Compression::Identity };
        let body = bare(message);
        let accepts = self.config.accepts();
        let head = connect::unary_response(200, call.codec, compression, accepts, body.len(), leading, trailing);
        self.send_block(key, &head, false);
        self.wire.send_data(key, body, true);
    }

    /// Messages of an answer by REST.
    pub(super) fn send_rest(&mut self, key: CallKey, mut messages: Bytes) {
        while let Some((compressed, message)) = split_envelope(&mut messages) {
            let Some(call) = find_mut(&mut self.calls, key) else { return };
            let compression = if compressed { call.compression } else { Compression::Identity };
            let Some(rest) = &mut call.rest else { return };
            match rest.answer.message(message, compression) {
                Ok(output) => self.write_rest(key, output, false),
                Err(status) => return self.fail(key, status),
            }
        }
    }

    fn write_rest(&mut self, key: CallKey, output: rest::Output, end: bool) {
        let no_body = output.body.is_empty();
        if let Some(mut head) = output.head {
            if end && !no_body {
                head.push(b"content-length", output.body.len().to_string());
            }
            self.send_block(key, &head, end && no_body);
            if end && no_body {
                return;
            }
        }
        if end || !no_body {
            self.wire.send_data(key, output.body, end);
        }
    }

    pub(crate) fn refuse(&mut self, key: CallKey) {
        self.cross_origin.retain(|(other, _)| *other != key);
        if self.remove(key).is_some() {
            self.wire.reset(key, Reason::REFUSED_STREAM);
        }
    }

    /// The headers of an answer, or its trailers. Pages of other origins are told what they may read.
    fn send_head(&mut self, key: CallKey, head: &Arc<Headers>, extra: Option<&Headers>, end: bool) {
        if self.cross_origin.is_empty() {
            return self.wire.send_headers(key, head, extra, end);
        }
        let Some(at) = self.cross_origin.iter().position(|(other, _)| *other == key) else {
            return self.wire.send_headers(key, head, extra, end);
        };
        let (_, request) = self.cross_origin.swap_remove(at);
        let mut all = Headers::clone(head);
        for (name, value) in extra.into_iter().flat_map(Headers::iter) {
            all.push(name, value);
        }
        self.config.cors().apply(&request, &mut all);
        self.wire.send_headers(key, &Arc::new(all), None, end);
    }

    fn send_block(&mut self, key: CallKey, block: &Headers, end: bool) {
        let nothing = Arc::clone(self.config.templates().nothing());
        self.send_head(key, &nothing, Some(block), end);
    }

    /// What a request of a page gets before it is looked at: the answer to a preflight, or the refusal of a page that may not
    /// call; says whether it was one of these.
    ///
    /// A browser asks nobody before it sends what a form could send, so asking first does not protect.
    fn answer_origin(&mut self, key: CallKey, headers: &Arc<Headers>, end: bool) -> bool {
        let config = Arc::clone(&self.config);
        if end && let Some(answer) = config.cors().preflight(headers) {
            self.wire.send_headers(key, &Arc::new(answer), None, true);
            return true;
        }
        let origin = headers.find(b"origin").unwrap_or_default();
        let safe = matches!(headers.find(b":method"), Some(b"GET" | b"HEAD" | b"OPTIONS"));
        let own = websocket::handshake::is_same(origin, headers.find(b":authority").unwrap_or_default());
        if !safe && !own && !config.cors().allows(origin) {
            let mut call = CallState::new(key, Form::Plain, Body::Ignored, None);
            call.peer_ended = end;
            self.insert(key, call);
            let text = Bytes::from_static(b"Pages of this origin may not call here.\n");
            self.answer(key, 403, &Headers::new(), text);
            return true;
        }
        if !config.cors().is_same_origin() {
            self.cross_origin.push((key, Arc::clone(headers)));
        }
        false
    }

    /// Answers an ordinary request, or a call with HTTP alone, once the request has ended.
    pub(crate) fn answer(&mut self, key: CallKey, status: u16, fields: &Headers, body: Bytes) {
        let Some(call) = find_mut(&mut self.calls, key) else { return };
        let mut headers = Headers::new();
        headers.push(b":status", status.to_string());
        for (name, value) in fields.iter() {
            headers.push(name, value);
        }
        if fields.find(b"content-length").is_none() && !matches!(status, 204 | 304) {
            headers.push(b"content-length", body.len().to_string());
        }
        call.phase = Phase::Answered;
        call.unconsumed_bytes = 0;
        call.rare = Some(Box::new(Rare { answer: Some((headers, body)), ..Rare::default() }));
        if call.peer_ended {
            self.send_answer(key);
        }
    }

    pub(super) fn send_answer(&mut self, key: CallKey) {
        let Some(call) = self.remove(key) else { return };
        let head_only = call.head_only;
        let Some((headers, body)) = call.rare.and_then(|rare| rare.answer) else { return };
        // RFC 9110 §15.3.5, §15.4.5: these have no content whatever is given.
        let bodiless = matches!(headers.find(b":status"), Some(b"204" | b"304"));
        let no_body = head_only || bodiless || body.is_empty();
        self.send_block(key, &headers, no_body);
        if !no_body {
            self.wire.send_data(key, body, true);
        }
    }
}

fn is_head(headers: &Headers) -> bool {
    headers.find(b":method") == Some(b"HEAD")
}

/// Whether a request may be REST: its content type is no other protocol's.
fn is_for_rest(headers: &Headers) -> bool {
    let content_type = headers.find(b"content-type").unwrap_or_default();
    !content_type.starts_with(b"application/grpc")
        && !content_type.starts_with(b"application/connect+")
        && !content_type.starts_with(b"application/proto")
}
