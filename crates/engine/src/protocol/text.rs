//! The JSON text form: calls that a person can type into a WebSocket, one JSON object a message.
//!
//! ```text
//! → {"call":"orders.v1.Orders/Get","id":1,"message":{…},"metadata":{"k":"v"},"timeoutMs":500}
//! ← {"id":1,"metadata":{…}}                 leading metadata, if there is any
//! ← {"id":1,"message":{…}}                  each message of the answer
//! ← {"id":1,"end":{"code":"ok"}}            always and last; "message", "details" and "metadata" when there are any
//!
//! → {"call":"orders.v1.Kitchen/Talk","id":2}               without a message, or with "more":true, the client streams
//! → {"id":2,"message":{…}}  {"id":2,"end":true}  {"id":2,"cancel":true}
//!
//! ← {"id":1,"error":"…"}                    what was not understood; the connection goes on
//! ```
//!
//! The server's side only. Messages stay as they are written: the codec of these calls is JSON.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{Buf, Bytes};
use polywire_core::{
    Codec, Compression, CompressionSet, ENVELOPE_BYTES, Message, Metadata, Protocol, RequestHead, Status, Wire,
};
use serde::{
    Deserialize,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::code_names::code_name;
use crate::{
    connection::{CallKey, Event},
    deadlines::Deadlines,
    limits::Limits,
    time::RateLimiter,
    wire::{ConnectionError, LimitExceeded, StreamId, StreamKey},
};

/// Calls in the text form: text messages go in, events and text messages come out.
#[derive(Debug)]
pub(crate) struct TextCalls {
    limits: Arc<Limits>,
    /// The host that the client means.
    authority: String,
    now: Instant,
    /// By the key's index.
    calls: Vec<Option<CallState>>,
    /// The number that the client gave a call: its index.
    ids: BTreeMap<u64, u32>,
    /// Indices that may be used again.
    free: Vec<u32>,
    /// Those that may be once the events about them have been taken.
    freed: Vec<u32>,
    /// The id of the latest call.
    generation: u32,
    calls_open: usize,
    /// Calls that ended while the client could still send: what it had under way is passed over.
    ended: VecDeque<u64>,
    events: VecDeque<Event>,
    outgoing: VecDeque<Outgoing>,
    /// Texts in `outgoing` that belong to no call.
    answers: u32,
    deadlines: Deadlines,
    unconsumed: Unconsumed,
    /// Cancelled calls, and texts that were not understood.
    faults: RateLimiter,
    is_draining: bool,
    failed: Option<ConnectionError>,
}

/// A text message on its way out, in parts so that a message of the application is not copied.
#[derive(Debug)]
struct Outgoing {
    key: Option<CallKey>,
    head: Vec<u8>,
    message: Bytes,
    tail: &'static [u8],
    /// The call has ended with it.
    last: bool,
}

#[derive(Debug)]
struct CallState {
    key: CallKey,
    id: u64,
    phase: Phase,
    half_closed: bool,
    deadline: Option<Instant>,
    queued_bytes: usize,
    /// The queue was above the high mark, and its producer has been told nothing since.
    is_full: bool,
    unconsumed: Unconsumed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    ExpectHead,
    Answering,
    /// Its end waits to be sent.
    Ended,
}

/// Messages that were reported and not consumed.
#[derive(Clone, Copy, Debug, Default)]
struct Unconsumed {
    bytes: usize,
    messages: usize,
}

/// What a client says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request<'a> {
    call: Option<String>,
    id: Option<u64>,
    // `null` is a message too: it is the codec's to judge.
    #[serde(borrow, default, deserialize_with = "some")]
    message: Option<&'a RawValue>,
    metadata: Option<Entries>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    cancel: bool,
}

/// As much as can be understood of something that cannot.
#[derive(Deserialize)]
struct OnlyId {
    id: Option<u64>,
}

/// Metadata as an object; a value is a text or a list of texts.
struct Entries(Vec<(String, String)>);

/// Base64 as Connect has it: sent without padding, accepted with and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const EXAMPLE: &str = r#"a call looks like {"call":"package.Service/Method","id":1,"message":{}}"#;

impl TextCalls {
    pub(crate) fn new(limits: &Arc<Limits>, authority: String, ids_after: u32, now: Instant) -> Self {
        Self {
            limits: Arc::clone(limits),
            authority,
            now,
            calls: Vec::new(),
            ids: BTreeMap::new(),
            free: Vec::new(),
            freed: Vec::new(),
            generation: ids_after,
            calls_open: 0,
            ended: VecDeque::new(),
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
            answers: 0,
            deadlines: Deadlines::default(),
            unconsumed: Unconsumed::default(),
            faults: RateLimiter::new(limits.resets),
            is_draining: false,
            failed: None,
        }
    }

    /// A text message has come.
    pub(crate) fn handle_text(&mut self, now: Instant, text: &Bytes) {
        self.now = now;
        match serde_json::from_slice::<Request<'_>>(text) {
            Ok(request) => {
                let message = request.message.map(|message| text.slice_ref(message.get().as_bytes()));
                let id = request.id.unwrap_or(0);
                let done = match request.call.is_some() {
                    true => self.begin(id, request, message),
                    false => self.go_on(id, &request, message),
                };
                if let Err(words) = done {
                    self.complain(Some(id), &words);
                }
            }
            Err(error) => {
                let id = serde_json::from_slice::<OnlyId>(text).ok().and_then(|request| request.id);
                self.complain(id, &format!("this cannot be understood: {error}; {EXAMPLE}"));
            }
        }
    }

    /// Opens a call. The error is for the client.
    fn begin(&mut self, id: u64, request: Request<'_>, message: Option<Bytes>) -> Result<(), String> {
        let call = request.call.unwrap_or_default();
        let path = call.strip_prefix('/').unwrap_or(&call);
        if request.cancel {
            return Err("a call that has not begun cannot be cancelled: leave out \"cancel\" or \"call\"".into());
        }
        if !path.split_once('/').is_some_and(|(service, method)| !service.is_empty() && !method.is_empty()) {
            return Err(format!("{call:?} names no method; {EXAMPLE}"));
        }
        if self.ids.contains_key(&id) {
            return Err(format!("a call with id {id} is still open: give each call an \"id\" of its own"));
        }
        let metadata = request.metadata.map(Entries::into_metadata).transpose()?.unwrap_or_default();
        let full = self.calls.len() - self.free.len() - self.freed.len() >= self.limits.streams_max as usize;
        if self.is_draining || full {
            let words = match self.is_draining {
                true => "the server is going away; make the call again on a new connection",
                false => "too many calls are open on this connection (streams_max)",
            };
            self.answer(end_text(id, &Status::unavailable(words), &Metadata::new()));
            return Ok(());
        }
        self.ended.retain(|ended| *ended != id);
        let timeout = request.timeout_ms.map(Duration::from_millis);
        let deadline = timeout.and_then(|timeout| self.now.checked_add(timeout));
        let last = message.is_none() && request.end;
        let half_closed = request.end || message.is_some() && !request.more;
        let key = self.insert(id, half_closed, deadline);
        let head = Arc::new(RequestHead {
            path: format!("/{path}"),
            authority: self.authority.clone(),
            metadata,
            timeout,
            codec: Codec::Json,
            compression: Compression::Identity,
            accepts: CompressionSet::NONE,
            protocol: Protocol::Text,
            wire: Wire::WebSocket,
            ..RequestHead::default()
        });
        self.events.push_back(Event::Started { key, head, deadline, last });
        if let Some(message) = message {
            self.report_message(key, message, half_closed);
        }
        Ok(())
    }

    /// Something about a call that has begun. The error is for the client.
    fn go_on(&mut self, id: u64, request: &Request<'_>, message: Option<Bytes>) -> Result<(), String> {
        if request.metadata.is_some() || request.timeout_ms.is_some() {
            return Err("\"metadata\" and \"timeoutMs\" go with \"call\"".into());
        }
        if message.is_none() && !request.end && !request.cancel {
            return Err(format!(
                "nothing to be done: \"call\", \"message\", \"end\" or \"cancel\" is missing; {EXAMPLE}"
            ));
        }
        let call = self.ids.get(&id).and_then(|&index| self.calls[index as usize].as_mut());
        let Some(call) = call.filter(|call| call.phase != Phase::Ended) else {
            // What was under way when the call ended is nobody's fault.
            return match self.ended.contains(&id) || self.ids.contains_key(&id) {
                true => Ok(()),
                false => Err(format!("no call with id {id} is open; {EXAMPLE}")),
            };
        };
        let key = call.key;
        if request.cancel {
            self.count_fault();
            let status = Status::cancelled("the client cancelled the call");
            self.end(key, &status, &Metadata::new(), &Metadata::new());
            self.events.push_back(Event::Cancelled { key, status });
            return Ok(());
        }
        if call.half_closed {
            return Err(format!("call {id} has had its last message: open it with \"more\":true to send several"));
        }
        call.half_closed = request.end;
        match message {
            Some(message) => self.report_message(key, message, request.end),
            None => self.events.push_back(Event::HalfClosed { key }),
        }
        Ok(())
    }

    fn report_message(&mut self, key: CallKey, bytes: Bytes, last: bool) {
        let Some(call) = find_mut(&mut self.calls, key) else { return };
        if bytes.len() > self.limits.message_bytes_max {
            let (len, limit) = (bytes.len(), self.limits.message_bytes_max);
            let words = format!("a message of {len} bytes has come; the limit is {limit} (message_bytes_max)");
            return self.fail(key, Status::resource_exhausted(words));
        }
        call.unconsumed.add(bytes.len() + ENVELOPE_BYTES);
        self.unconsumed.add(bytes.len() + ENVELOPE_BYTES);
        let limits = &self.limits;
        let too_many = self.unconsumed.bytes
            > (limits.buffered_bytes_max as usize).max(limits.message_bytes_max + ENVELOPE_BYTES)
            || self.unconsumed.messages > limits.buffered_frames_max as usize;
        if too_many {
            // This form has no windows with which the client could be stopped.
            let words = "messages come faster than they are read (buffered_bytes_max): wait for answers in between";
            return self.fail(key, Status::resource_exhausted(words));
        }
        let message = Message { bytes, compression: Compression::Identity };
        self.events.push_back(Event::Message { key, message, last });
    }

    pub(crate) fn start(&mut self, key: CallKey, leading: &Metadata) {
        let Some(call) = self.call_mut(key) else { return };
        if call.phase != Phase::ExpectHead {
            return;
        }
        call.phase = Phase::Answering;
        if !leading.is_empty() {
            let mut text = id_text(call.id);
            text.extend_from_slice(b",\"metadata\":");
            write_metadata(&mut text, leading);
            text.push(b'}');
            self.push(key, text, Bytes::new(), b"", false);
        }
    }

    pub(crate) fn send(&mut self, key: CallKey, mut messages: Bytes) {
        self.start(key, &Metadata::new());
        while let Some((&[flags, ref len @ ..], _)) = messages.split_first_chunk::<ENVELOPE_BYTES>() {
            let len = u32::from_be_bytes(*len) as usize;
            messages.advance(ENVELOPE_BYTES);
            let message = messages.split_to(len.min(messages.len()));
            let Some(call) = self.call_mut(key) else { return };
            if flags != 0 {
                return self.fail(key, Status::internal("a compressed message cannot be sent as text"));
            }
            let mut head = id_text(call.id);
            head.extend_from_slice(b",\"message\":");
            // Nothing is the empty message.
            let message = if message.is_empty() { Bytes::from_static(b"{}") } else { message };
            self.push(key, head, message, b"}", false);
        }
    }

    pub(crate) fn respond(&mut self, key: CallKey, leading: &Metadata, message: Bytes, trailing: &Metadata) {
        self.start(key, leading);
        self.send(key, message);
        self.finish(key, &Status::ok(), leading, trailing);
    }

    pub(crate) fn finish(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        self.end(key, status, leading, trailing);
    }

    pub(crate) fn refuse(&mut self, key: CallKey) {
        let status = Status::unavailable("the server did not take the call; it may be made again");
        self.end(key, &status, &Metadata::new(), &Metadata::new());
    }

    pub(crate) fn consumed_enveloped(&mut self, key: CallKey, bytes: usize) {
        let Some(call) = find_mut(&mut self.calls, key) else { return };
        let taken = call.unconsumed.take(bytes);
        self.unconsumed.subtract(taken);
    }

    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Ends all calls because the connection is over, and reports that.
    pub(crate) fn handle_closed(&mut self, error: Option<ConnectionError>) {
        let text =
            error.map_or_else(|| "the connection was closed".to_owned(), |e| format!("the connection ended: {e}"));
        self.outgoing.clear();
        for call in self.calls.drain(..).flatten().filter(|call| call.phase != Phase::Ended) {
            self.events.push_back(Event::Cancelled { key: call.key, status: Status::unavailable(text.clone()) });
        }
        self.ids.clear();
        self.free.clear();
        self.freed.clear();
        self.calls_open = 0;
        self.unconsumed = Unconsumed::default();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(key) = self.deadlines.pop_due(now) {
            if self.call_mut(key).is_some_and(|call| call.deadline.is_some_and(|deadline| deadline <= now)) {
                self.fail(key, Status::deadline_exceeded("the deadline passed before the call ended"));
            }
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.free.append(&mut self.freed);
        }
        event
    }

    /// The parts of the next text message to be sent.
    pub(crate) fn poll_text(&mut self) -> Option<[Bytes; 3]> {
        let outgoing = self.outgoing.pop_front()?;
        let bytes = outgoing.bytes();
        match outgoing.key {
            None => self.answers -= 1,
            Some(key) => {
                if let Some(call) = find_mut(&mut self.calls, key) {
                    call.queued_bytes -= bytes;
                    if call.is_full && call.queued_bytes <= self.limits.queue_low_bytes {
                        call.is_full = false;
                        self.events.push_back(Event::Writable { key });
                    }
                    if outgoing.last {
                        self.remove(key);
                    }
                }
            }
        }
        if self.outgoing.is_empty() {
            self.deadlines.settle(self.calls_open, |key| {
                self.calls.get(key.index()).is_some_and(|call| call.as_ref().is_some_and(|call| call.key == key))
            });
            self.outgoing.shrink_to(IDLE_OUTGOING);
        }
        Some([outgoing.head.into(), outgoing.message, Bytes::from_static(outgoing.tail)])
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    /// Why the connection has to end.
    pub(crate) fn failed(&self) -> Option<ConnectionError> {
        self.failed
    }

    /// Whether nothing is in progress and nothing new will be taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining && self.calls_open == 0 && self.outgoing.is_empty()
    }

    pub(crate) fn calls_open(&self) -> usize {
        self.calls_open
    }

    pub(crate) fn queued_bytes(&self, key: CallKey) -> usize {
        let call = self.calls.get(key.index()).and_then(Option::as_ref);
        call.filter(|call| call.key == key).map_or(0, |call| call.queued_bytes)
    }

    /// Ends a call from this side because of what the client did.
    fn fail(&mut self, key: CallKey, status: Status) {
        if self.call_mut(key).is_some() {
            self.end(key, &status, &Metadata::new(), &Metadata::new());
            self.events.push_back(Event::Cancelled { key, status });
        }
    }

    fn end(&mut self, key: CallKey, status: &Status, leading: &Metadata, trailing: &Metadata) {
        self.start(key, leading);
        let Some(call) = self.call_mut(key) else { return };
        call.phase = Phase::Ended;
        let (id, remember) = (call.id, !call.half_closed);
        let unconsumed = std::mem::take(&mut call.unconsumed);
        self.unconsumed.subtract(unconsumed);
        self.calls_open -= 1;
        if remember {
            if self.ended.len() >= self.limits.resets_remembered {
                self.ended.pop_front();
            }
            self.ended.push_back(id);
        }
        self.push(key, end_text(id, status, trailing), Bytes::new(), b"", true);
    }

    /// Tells the client that it was not understood.
    fn complain(&mut self, id: Option<u64>, words: &str) {
        self.count_fault();
        let mut text = b"{".to_vec();
        if let Some(id) = id {
            text = id_text(id);
            text.push(b',');
        }
        text.extend_from_slice(b"\"error\":");
        write_text(&mut text, words);
        text.push(b'}');
        self.answer(text);
    }

    /// Sends a text that belongs to no call.
    fn answer(&mut self, head: Vec<u8>) {
        if self.answers >= self.limits.control_frames_max {
            self.failed.get_or_insert(ConnectionError::LimitExceeded(LimitExceeded::ControlFrames));
            return;
        }
        self.answers += 1;
        self.outgoing.push_back(Outgoing { key: None, head, message: Bytes::new(), tail: b"", last: false });
    }

    fn count_fault(&mut self) {
        if !self.faults.allow(self.now, self.limits.resets) {
            self.failed.get_or_insert(ConnectionError::LimitExceeded(LimitExceeded::Resets));
        }
    }

    fn push(&mut self, key: CallKey, head: Vec<u8>, message: Bytes, tail: &'static [u8], last: bool) {
        let outgoing = Outgoing { key: Some(key), head, message, tail, last };
        if let Some(call) = find_mut(&mut self.calls, key) {
            call.queued_bytes += outgoing.bytes();
            call.is_full |= call.queued_bytes > self.limits.queue_high_bytes && call.phase != Phase::Ended;
            self.outgoing.push_back(outgoing);
        }
    }

    fn insert(&mut self, id: u64, half_closed: bool, deadline: Option<Instant>) -> CallKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() as u32 - 1
        });
        self.generation = self.generation.wrapping_add(1);
        let key = StreamKey { index, id: StreamId(self.generation) };
        self.calls[index as usize] = Some(CallState {
            key,
            id,
            phase: Phase::ExpectHead,
            half_closed,
            deadline,
            queued_bytes: 0,
            is_full: false,
            unconsumed: Unconsumed::default(),
        });
        self.ids.insert(id, index);
        self.calls_open += 1;
        if let Some(deadline) = deadline {
            self.deadlines.push(deadline, key);
        }
        key
    }

    fn remove(&mut self, key: CallKey) {
        if let Some(call) = self.calls[key.index()].take_if(|call| call.key == key) {
            self.ids.remove(&call.id);
            self.freed.push(key.index);
        }
    }

    /// A call that has not ended.
    fn call_mut(&mut self, key: CallKey) -> Option<&mut CallState> {
        find_mut(&mut self.calls, key).filter(|call| call.phase != Phase::Ended)
    }
}

impl Outgoing {
    fn bytes(&self) -> usize {
        self.head.len() + self.message.len() + self.tail.len()
    }
}

impl Unconsumed {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.messages += 1;
    }

    /// Takes so many bytes out, and of the messages as many as they are of the whole; gives what was taken.
    fn take(&mut self, bytes: usize) -> Self {
        let rest_bytes = self.bytes.saturating_sub(bytes);
        let rest = match self.bytes {
            0 => Self::default(),
            before => Self { bytes: rest_bytes, messages: self.messages * rest_bytes / before },
        };
        let taken = Self { bytes: self.bytes - rest.bytes, messages: self.messages - rest.messages };
        *self = rest;
        taken
    }

    fn subtract(&mut self, other: Self) {
        self.bytes -= other.bytes;
        self.messages -= other.messages;
    }
}

impl Entries {
    fn into_metadata(self) -> Result<Metadata, String> {
        let mut metadata = Metadata::new();
        for (key, value) in self.0 {
            let appended = match key.ends_with("-bin") {
                true => {
                    let value =
                        BASE64.decode(&value).map_err(|_| format!("metadata key {key:?}: the value is not base64"))?;
                    metadata.append_bin(&key, &value)
                }
                false => metadata.append(&key, &value),
            };
            appended.map_err(|error| error.to_string())?;
        }
        Ok(metadata)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts or lists of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                #[derive(Deserialize)]
                #[serde(untagged, expecting = "a value of metadata is a text or a list of texts")]
                enum Value {
                    One(String),
                    Several(Vec<String>),
                }

                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    match value {
                        Value::One(value) => entries.push((key, value)),
                        Value::Several(values) => entries.extend(values.into_iter().map(|value| (key.clone(), value))),
                    }
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

fn some<'de: 'a, 'a, D: de::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn find_mut(calls: &mut [Option<CallState>], key: CallKey) -> Option<&mut CallState> {
    calls.get_mut(key.index())?.as_mut().filter(|call| call.key == key)
}

/// The beginning of an object that is about a call.
fn id_text(id: u64) -> Vec<u8> {
    format!("{{\"id\":{id}").into_bytes()
}

fn end_text(id: u64, status: &Status, trailing: &Metadata) -> Vec<u8> {
    let mut text = id_text(id);
    text.extend_from_slice(b",\"end\":{\"code\":\"");
    text.extend_from_slice(code_name(status.code()).as_bytes());
    text.push(b'"');
    if !status.message().is_empty() {
        text.extend_from_slice(b",\"message\":");
        write_text(&mut text, status.message());
    }
    for (i, detail) in status.details().iter().enumerate() {
        text.extend_from_slice(if i == 0 { b",\"details\":[" } else { b"," });
        let name = detail.type_url.rsplit_once('/').map_or(&*detail.type_url, |(_, name)| name);
        text.extend_from_slice(b"{\"type\":");
        write_text(&mut text, name);
        text.extend_from_slice(b",\"value\":");
        write_text(&mut text, &BASE64.encode(&detail.value));
        text.push(b'}');
    }
    if !status.details().is_empty() {
        text.push(b']');
    }
    if !trailing.is_empty() {
        text.extend_from_slice(b",\"metadata\":");
        write_metadata(&mut text, trailing);
    }
    text.extend_from_slice(b"}}");
    text
}

/// An object; a key with several values has a list.
fn write_metadata(text: &mut Vec<u8>, metadata: &Metadata) {
    text.push(b'{');
    let mut first = true;
    for (i, (key, _)) in metadata.iter().enumerate() {
        if metadata.iter().take(i).any(|(earlier, _)| earlier == key) {
            continue;
        }
        if !first {
            text.push(b',');
        }
        first = false;
        write_text(text, key);
        text.push(b':');
        let several = metadata.all(key).nth(1).is_some();
        if several {
            text.push(b'[');
        }
        for (i, value) in metadata.all(key).enumerate() {
            if i > 0 {
                text.push(b',');
            }
            match key.ends_with("-bin") {
                true => write_text(text, &BASE64.encode(value.as_bytes())),
                false => write_text(text, &String::from_utf8_lossy(value.as_bytes())),
            }
        }
        if several {
            text.push(b']');
        }
    }
    text.push(b'}');
}

fn write_text(to: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(to, text).expect("a text can be written to a vector");
}

/// Places for texts that an idle connection keeps.
const IDLE_OUTGOING: usize = 4;
