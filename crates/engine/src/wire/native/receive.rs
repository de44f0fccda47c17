//! Frames coming in.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use polywire_core::{Compression, ENVELOPE_BYTES, Message, Metadata, Status};

use super::NativeRule;
use super::connection::{Connection, Phase};
use super::fields::{self, Answer, Fields};
use super::frame::{self, HEAD_BYTES_MAX, Head, PREFACE, flag, kind, take_bytes, take_varint};
use super::hello::{Hello, VERSION, WINDOW_LIMIT};
use super::methods::{Method, Request};
use super::streams::{List, State};
use crate::connection::{CallKey, Event};
use crate::protocol::ResponseHead;
use crate::time::after;
use crate::wire::{ConnectionError, LimitExceeded, PeerMisbehaved, Reason, Role};

type Handled = Result<(), ConnectionError>;

impl From<NativeRule> for ConnectionError {
    fn from(rule: NativeRule) -> Self {
        ConnectionError::PeerMisbehaved(PeerMisbehaved::Native(rule))
    }
}

fn misbehaved(rule: NativeRule) -> Handled {
    Err(rule.into())
}

impl Connection {
    /// Takes frames apart, in place where they lie whole.
    pub(super) fn receive(&mut self, bytes: &Bytes) -> Handled {
        let mut at = self.match_preface(bytes)?;
        if !self.partial.is_empty() {
            let Some(after) = self.complete(bytes, at)? else { return Ok(()) };
            at = after;
        }
        while self.phase != Phase::Closed {
            let Some(head) = Head::parse(&bytes[at..])? else { break };
            self.check_size(head)?;
            let end = at + head.size + head.len;
            if end > bytes.len() {
                break;
            }
            self.handle_frame(head, bytes, at + head.size, end)?;
            at = end;
        }
        if at < bytes.len() && self.phase != Phase::Closed {
            self.keep_partial(&bytes[at..])?;
        }
        Ok(())
    }

    /// How many bytes belong to the preface.
    #[inline]
    fn match_preface(&mut self, bytes: &Bytes) -> Result<usize, NativeRule> {
        let matched = usize::from(self.preface_matched);
        if matched == PREFACE.len() {
            return Ok(0);
        }
        let len = bytes.len().min(PREFACE.len() - matched);
        if bytes[..len] != PREFACE[matched..matched + len] {
            return Err(NativeRule::BadPreface);
        }
        self.preface_matched += len as u8;
        Ok(len)
    }

    fn check_size(&self, head: Head) -> Handled {
        if head.len > self.ours.frame_bytes_max as usize { misbehaved(NativeRule::FrameTooLong) } else { Ok(()) }
    }

    /// Keeps the beginning of a frame until its rest has come.
    fn keep_partial(&mut self, bytes: &[u8]) -> Handled {
        let capacity = match Head::parse(bytes)? {
            Some(head) => head.size + head.len,
            None => HEAD_BYTES_MAX,
        };
        self.partial.reserve_exact(capacity);
        self.partial.extend_from_slice(bytes);
        self.timers.partial = after(self.now, self.limits().header_block_timeout);
        Ok(())
    }

    /// Completes the frame that began in an earlier chunk. `None`: it is still not whole.
    fn complete(&mut self, bytes: &Bytes, mut at: usize) -> Result<Option<usize>, ConnectionError> {
        let head = loop {
            if let Some(head) = Head::parse(&self.partial)? {
                break head;
            }
            let Some(&byte) = bytes.get(at) else { return Ok(None) };
            self.partial.push(byte);
            at += 1;
        };
        self.check_size(head)?;
        let whole = head.size + head.len;
        let missing = whole - self.partial.len();
        let take = missing.min(bytes.len() - at);
        self.partial.reserve_exact(missing);
        self.partial.extend_from_slice(&bytes[at..at + take]);
        if take < missing {
            return Ok(None);
        }
        self.timers.partial = None;
        let frame = Bytes::from(std::mem::take(&mut self.partial));
        self.handle_frame(head, &frame, head.size, whole)?;
        Ok(Some(at + take))
    }

    /// One whole frame: its payload lies in `bytes` from `at` to `end`.
    #[inline]
    fn handle_frame(&mut self, head: Head, bytes: &Bytes, at: usize, end: usize) -> Handled {
        if self.phase == Phase::ExpectHello && head.kind != kind::HELLO {
            return misbehaved(NativeRule::NotHelloFirst);
        }
        match head.kind {
            kind::CALL | kind::OPEN => self.handle_call(head, bytes, at, end),
            kind::MESSAGE => self.handle_message(head, bytes, at, end),
            kind::HEADERS => self.handle_headers(head, &bytes[at..end]),
            kind::END => self.handle_end(head, &bytes[at..end]),
            kind::CANCEL => self.handle_cancel(head),
            kind::WINDOW => self.handle_window(head, &bytes[at..end]),
            kind::HELLO => self.handle_hello(head, &bytes[at..end]),
            kind::PING => self.handle_ping(&bytes[at..end]),
            kind::PONG => self.guard.echo_frame(self.now, self.config.limits()),
            kind::GOAWAY => self.handle_go_away(&bytes[at..end]),
            _ => self.guard.idle_frame(self.now, self.config.limits()),
        }
    }

    fn handle_hello(&mut self, head: Head, payload: &[u8]) -> Handled {
        if self.phase != Phase::ExpectHello {
            return misbehaved(NativeRule::HelloTwice);
        }
        if head.number != 0 {
            return misbehaved(NativeRule::Malformed);
        }
        let version = Hello::version(payload)?;
        if version != VERSION {
            let error = NativeRule::VersionUnknown.into();
            let words = format!("version {version} of the protocol came, version {VERSION} is spoken here");
            self.finish_connection(Some(error), &words);
            return Err(error);
        }
        let before = std::mem::replace(&mut self.peer, Hello::read(payload)?);
        self.phase = Phase::Open;
        self.timers.settled(self.now, self.peer.silence_max_ms, self.ours.silence_max_ms);
        self.send_window += self.peer.connection_window_bytes - before.connection_window_bytes;
        let more = self.peer.window_bytes - before.window_bytes;
        for stream in self.streams.iter_mut() {
            stream.send_window += more;
        }
        self.streams.window_opened();
        for key in self.streams.keys().collect::<Vec<_>>() {
            self.make_ready(key);
        }
        self.events.push_back(Event::Settled);
        self.note_openable();
        Ok(())
    }

    // Calls

    fn handle_call(&mut self, head: Head, bytes: &Bytes, at: usize, end: usize) -> Handled {
        if self.role == Role::Client {
            return misbehaved(NativeRule::WrongSide);
        }
        if head.number == 0 || (head.has(flag::MORE) && (head.has(flag::LAST) || head.kind == kind::OPEN)) {
            return misbehaved(NativeRule::Malformed);
        }
        let accepts = self.config.accepts();
        let wire = self.wire();
        let mut rest = &bytes[at..end];
        let reference = take_varint(&mut rest)?;
        let request = if reference & 1 == 0 {
            let fields = if head.has(flag::FIELDS) { Fields::take(&mut rest)? } else { &[] };
            self.methods.get_mut(reference >> 1)?.request(fields, accepts)?
        } else {
            let len = take_varint(&mut rest)?;
            let path = take_bytes(&mut rest, len)?;
            let fields = if head.has(flag::FIELDS) { Fields::take(&mut rest)? } else { &[] };
            let mut method = Method::new(path, fields, accepts, wire)?;
            let request = method.request(fields, accepts)?;
            let number = reference >> 1;
            if number > 0 {
                let number = u32::try_from(number).map_err(|_| NativeRule::MethodUnknown)?;
                self.methods.define(number, method, self.ours.methods_max)?;
            }
            request
        };
        if head.kind == kind::OPEN && !rest.is_empty() {
            return misbehaved(NativeRule::Malformed);
        }
        if self.streams.find(head.number).is_some() {
            return misbehaved(NativeRule::StreamInUse);
        }
        let len = rest.len() as u32;
        self.receive_window(len)?;
        self.number_highest = self.number_highest.max(head.number);
        if self.refusing || self.streams.open() >= self.ours.streams_max as usize {
            self.inflow.discard(len);
            self.write_refusal();
            self.write_end(head.number);
            self.guard.answer(self.config.limits())?;
            return self.guard.reset(self.now, self.config.limits());
        }
        let Request { head: request, timeout } = match request {
            Ok(request) => request,
            Err(status) => {
                self.inflow.discard(len);
                self.write_status(None, &status, &Metadata::new());
                self.write_end(head.number);
                return self.guard.answer(self.config.limits());
            }
        };
        let deadline = timeout.and_then(|timeout| self.now.checked_add(timeout));
        let stream = self.streams.insert(Some(head.number), self.peer.window_bytes, self.ours.window_bytes);
        let key = stream.key();
        stream.deadline = deadline;
        stream.peer_compression = request.compression;
        let ends = head.kind == kind::OPEN && head.has(flag::LAST);
        stream.peer_ended = ends;
        self.calls_open += 1;
        if let Some(deadline) = deadline {
            self.deadlines.push(deadline, key);
        }
        self.events.push_back(Event::Started { key, head: request, deadline, last: ends });
        if head.kind == kind::OPEN {
            return Ok(());
        }
        self.take_message(key, head, bytes.slice(end - rest.len()..end))
    }

    fn handle_message(&mut self, head: Head, bytes: &Bytes, at: usize, end: usize) -> Handled {
        let fields_of_client = self.role == Role::Server && head.has(flag::FIELDS);
        if fields_of_client || (head.has(flag::MORE) && head.has(flag::LAST)) {
            return misbehaved(NativeRule::Malformed);
        }
        let Some(key) = self.streams.find(head.number) else {
            return self.ignore(head, &bytes[at..end]);
        };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if stream.peer_ended {
            return misbehaved(NativeRule::AfterEnd);
        }
        if self.role == Role::Server {
            self.receive_window((end - at) as u32)?;
            return self.take_message(key, head, bytes.slice(at..end));
        }
        let mut rest = &bytes[at..end];
        let fields = match stream.gathering {
            None if head.has(flag::FIELDS) => Fields::take(&mut rest)?,
            _ => &[],
        };
        let len = rest.len() as u32;
        self.receive_window(len)?;
        if self.streams.get(key).is_some_and(|stream| stream.state == State::Left) {
            self.inflow.discard(len);
            return self.left_goes_on(key, head);
        }
        let Some(trailing) = self.take_answer(key, fields, !head.has(flag::LAST))? else {
            // The call has ended here for what its fields said.
            self.inflow.discard(len);
            return self.left_goes_on(key, head);
        };
        self.take_message(key, head, bytes.slice(end - rest.len()..end))?;
        if head.has(flag::LAST) {
            let open = self.streams.get(key).is_some_and(|stream| stream.state == State::Open);
            if open {
                self.ended_by_peer(key, Status::ok(), trailing, false);
            } else {
                self.remove(key);
            }
        }
        Ok(())
    }

    /// Client: a message of a call that nobody waits for.
    fn left_goes_on(&mut self, key: CallKey, head: Head) -> Handled {
        if head.has(flag::LAST) {
            self.remove(key);
        } else if let Some(stream) = self.streams.get_mut(key) {
            stream.gathering = head.has(flag::MORE).then_some(false);
        }
        Ok(())
    }

    /// Client: what stands beside the server's first message. Gives the trailing metadata; `None`: the call has ended.
    /// `streams`: more will follow, so that somebody may wait for the leading metadata alone.
    fn take_answer(&mut self, key: CallKey, fields: &[u8], streams: bool) -> Result<Option<Metadata>, ConnectionError> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(None) };
        let first = !std::mem::replace(&mut stream.headed, true);
        if fields.is_empty() && !(first && streams) {
            return Ok(Some(Metadata::new()));
        }
        let mut answer = Answer::read(fields)?;
        if let Some(status) = answer.fault() {
            self.fail_call(key, status);
            return Ok(None);
        }
        let trailing = std::mem::take(&mut answer.trailing);
        if first && !self.take_head(key, answer) {
            return Ok(None);
        }
        Ok(Some(trailing))
    }

    /// Client: reports the leading metadata. False: the call has ended for what it said.
    fn take_head(&mut self, key: CallKey, answer: Answer) -> bool {
        let Some(stream) = self.streams.get_mut(key) else { return false };
        let mut compression = Compression::Identity;
        if let Some(number) = answer.compression {
            let Some(known) = fields::compression(number) else {
                let text = format!("the server compressed with number {number}, which was not offered");
                self.fail_call(key, Status::internal(text));
                return false;
            };
            compression = known;
            stream.peer_compression = known;
        }
        let head = ResponseHead { metadata: answer.leading, compression, accepts: self.peer.accepts };
        self.events.push_back(Event::Headers { key, head: Box::new(head) });
        true
    }

    /// Message bytes of a frame, whose window has been counted.
    fn take_message(&mut self, key: CallKey, head: Head, bytes: Bytes) -> Handled {
        let len = bytes.len() as u32;
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        let Some(window) = stream.recv_window.checked_sub(len) else {
            return misbehaved(NativeRule::WindowExceeded);
        };
        if stream.state != State::Open {
            // Server: the answer has been given and waits to be sent.
            stream.recv_window = window;
            self.inflow.discard(len);
            return Ok(());
        }
        stream.recv_window = window;
        stream.unreleased += len;
        self.inflow.keep(len, self.config.limits());
        let limit = self.config.limits().message_bytes_max;
        let (message, compressed) = match (stream.gathering, head.has(flag::MORE)) {
            (None, false) => (bytes, head.has(flag::COMPRESSED)),
            (gathering, more) => {
                let compressed = gathering.unwrap_or(head.has(flag::COMPRESSED));
                if len == 0 && more {
                    self.guard.idle_frame(self.now, self.config.limits())?;
                }
                if stream.gathered.len() + bytes.len() > limit {
                    return self.too_large(key);
                }
                stream.gathered.extend_from_slice(&bytes);
                self.gathered_bytes += bytes.len();
                if more {
                    stream.gathering = Some(compressed);
                    let limits = self.config.limits();
                    if self.gathered_bytes > limits.gathered_bytes_max.max(limits.message_bytes_max) {
                        let text = "too many messages of this connection have come in part only (gathered_bytes_max)";
                        self.fail_call(key, Status::resource_exhausted(text));
                        return Ok(());
                    }
                    // What belongs to an incomplete message must not stall its stream.
                    self.release(key);
                    return Ok(());
                }
                stream.gathering = None;
                self.gathered_bytes -= stream.gathered.len();
                (std::mem::replace(&mut stream.gathered, BytesMut::new()).freeze(), compressed)
            }
        };
        if message.len() > limit {
            return self.too_large(key);
        }
        let compression = match (compressed, stream.peer_compression) {
            (false, _) => Compression::Identity,
            (true, Compression::Identity) => {
                let text = "a message is marked as compressed, but no compression was named";
                self.fail_call(key, Status::internal(text));
                return Ok(());
            }
            (true, compression) => compression,
        };
        stream.unconsumed_bytes += message.len() + ENVELOPE_BYTES;
        stream.unconsumed_messages += 1;
        let last = head.has(flag::LAST) && self.role == Role::Server;
        stream.peer_ended |= last;
        self.events.push_back(Event::Message { key, message: Message { bytes: message, compression }, last });
        if !self.inflow.report(self.config.limits()) {
            return Err(ConnectionError::LimitExceeded(LimitExceeded::BufferedFrames));
        }
        Ok(())
    }

    fn too_large(&mut self, key: CallKey) -> Handled {
        let limit = self.limits().message_bytes_max;
        let text = format!("a message is longer than the limit of {limit} bytes (message_bytes_max)");
        self.fail_call(key, Status::resource_exhausted(text));
        Ok(())
    }

    fn receive_window(&mut self, bytes: u32) -> Handled {
        if self.inflow.receive(bytes) { Ok(()) } else { misbehaved(NativeRule::WindowExceeded) }
    }

    /// A MESSAGE on a stream that is not open. Its bytes come back to the connection's window.
    fn ignore(&mut self, head: Head, payload: &[u8]) -> Handled {
        self.may_be_late(head)?;
        let len = payload.len() as u32;
        self.receive_window(len)?;
        self.inflow.discard(len);
        Ok(())
    }

    /// A frame on a stream that is not open: a client may have sent it before it knew.
    fn may_be_late(&mut self, head: Head) -> Handled {
        if self.role == Role::Client || head.number == 0 || head.number > self.number_highest {
            return misbehaved(NativeRule::StreamUnknown);
        }
        self.guard.echo_frame(self.now, self.config.limits())
    }

    fn handle_headers(&mut self, head: Head, payload: &[u8]) -> Handled {
        if self.role == Role::Server {
            return misbehaved(NativeRule::WrongSide);
        }
        let Some(key) = self.streams.find(head.number) else { return misbehaved(NativeRule::StreamUnknown) };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if std::mem::replace(&mut stream.headed, true) {
            return misbehaved(NativeRule::HeadersTwice);
        }
        let left = stream.state == State::Left;
        let mut answer = Answer::read(payload)?;
        if left {
            return Ok(());
        }
        if let Some(status) = answer.fault() {
            self.fail_call(key, status);
            return Ok(());
        }
        self.take_head(key, answer);
        Ok(())
    }

    fn handle_end(&mut self, head: Head, payload: &[u8]) -> Handled {
        let Some(key) = self.streams.find(head.number) else { return self.may_be_late(head) };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if self.role == Role::Server {
            if stream.peer_ended {
                return misbehaved(NativeRule::AfterEnd);
            }
            if stream.gathering.is_some() {
                return misbehaved(NativeRule::InsideMessage);
            }
            stream.peer_ended = true;
            if stream.state == State::Open {
                self.events.push_back(Event::HalfClosed { key });
            }
            return Ok(());
        }
        let (inside, headed) = (stream.gathering.is_some(), stream.headed);
        let mut answer = Answer::read(payload)?;
        if let Some(status) = answer.fault() {
            self.ended_by_peer(key, status, Metadata::new(), false);
            return Ok(());
        }
        let mut status = answer.status();
        if answer.unprocessed {
            status = Status::unavailable("the peer did not take the call; it may be made again");
        } else if status.is_ok() && inside {
            status = Status::internal("the response ended inside a message");
        }
        let (trailing, unprocessed) = (std::mem::take(&mut answer.trailing), answer.unprocessed);
        let open = self.streams.get(key).is_some_and(|stream| stream.state == State::Open);
        if !headed && open && !answer.leading.is_empty() && !self.take_head(key, answer) {
            self.remove(key);
            return Ok(());
        }
        self.ended_by_peer(key, status, trailing, unprocessed);
        Ok(())
    }

    fn handle_cancel(&mut self, head: Head) -> Handled {
        if self.role == Role::Client {
            return misbehaved(NativeRule::WrongSide);
        }
        let Some(key) = self.streams.find(head.number) else { return self.may_be_late(head) };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        let late = stream.deadline.is_some_and(|deadline| deadline <= self.now);
        let open = stream.state == State::Open;
        self.remove(key);
        let status = if late {
            Status::deadline_exceeded("the deadline passed before the call ended")
        } else {
            Status::cancelled("the caller has cancelled the call")
        };
        self.scratch.clear();
        fields::put_number(&mut self.scratch, fields::tag::CODE, polywire_core::Code::Cancelled.number().into());
        self.write_end(head.number);
        if open {
            self.events.push_back(Event::Cancelled { key, status });
        }
        self.guard.answer(self.config.limits())?;
        self.guard.reset(self.now, self.config.limits())
    }

    /// END with `scratch` as its payload, on a stream that is not in the table.
    fn write_end(&mut self, number: u32) {
        let out = self.out.buffer();
        frame::put_head(out, kind::END, number, self.scratch.len());
        out.extend_from_slice(&self.scratch);
    }

    // The connection

    fn handle_window(&mut self, head: Head, payload: &[u8]) -> Handled {
        let mut rest = payload;
        let more = take_varint(&mut rest)?;
        let Some(more) = u32::try_from(more).ok().filter(|more| *more <= WINDOW_LIMIT && rest.is_empty()) else {
            return misbehaved(if rest.is_empty() { NativeRule::WindowOverflow } else { NativeRule::Malformed });
        };
        if more == 0 {
            self.guard.idle_frame(self.now, self.config.limits())?;
        }
        if head.number == 0 {
            let was_shut = self.send_window == 0;
            self.send_window = grown(self.send_window, more)?;
            if was_shut {
                self.streams.window_opened();
            }
            return self.guard.echo_frame(self.now, self.config.limits());
        }
        let Some(key) = self.streams.find(head.number) else { return self.may_be_late(head) };
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        stream.send_window = grown(stream.send_window, more)?;
        if stream.list == List::None {
            self.make_ready(key);
        }
        self.guard.echo_frame(self.now, self.config.limits())
    }

    fn handle_ping(&mut self, payload: &[u8]) -> Handled {
        if payload.len() != PING_BYTES {
            return misbehaved(NativeRule::Malformed);
        }
        let out = self.out.buffer();
        frame::put_head(out, kind::PONG, 0, PING_BYTES);
        out.extend_from_slice(payload);
        self.guard.answer(self.config.limits())?;
        self.guard.idle_frame(self.now, self.config.limits())
    }

    fn handle_go_away(&mut self, mut payload: &[u8]) -> Handled {
        let code = take_varint(&mut payload)?;
        let reason = match code {
            0 => Reason::NO_ERROR,
            1 => Reason::PROTOCOL_ERROR,
            2 => Reason::ENHANCE_YOUR_CALM,
            3 => Reason::SETTINGS_TIMEOUT,
            _ => Reason::INTERNAL_ERROR,
        };
        if self.heard.is_some() {
            self.guard.idle_frame(self.now, self.config.limits())?;
        }
        self.heard = Some(reason);
        let debug = Bytes::copy_from_slice(&payload[..payload.len().min(DEBUG_BYTES_MAX)]);
        self.events.push_back(Event::GoingAway { debug, reason });
        if reason != Reason::NO_ERROR {
            return Err(ConnectionError::Peer(reason));
        }
        match self.role {
            // The server learns that no call follows.
            Role::Client => self.say_go_away(""),
            Role::Server => {
                self.refusing = true;
                self.timers.drain = None;
            }
        }
        Ok(())
    }

    /// The client's GOAWAY does not come: what it still calls is refused.
    pub(super) fn drain_waited(&mut self, _now: Instant) {
        self.timers.drain = None;
        self.refusing = true;
    }
}

fn grown(window: u32, more: u32) -> Result<u32, NativeRule> {
    window.checked_add(more).filter(|window| *window <= WINDOW_LIMIT).ok_or(NativeRule::WindowOverflow)
}

const PING_BYTES: usize = 8;

/// Words of a GOAWAY that are kept.
const DEBUG_BYTES_MAX: usize = 1024;
