//! One engine alone with a peer that says anything: it must not panic, must keep the grammar of its events, and must
//! come to an end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{CompressionSet, Metadata, Status};
use polywire_engine::drain::{Due, drain};
use polywire_engine::wire::{Headers, Reason, Role, StreamEvent, http2};
use polywire_engine::{CallKey, Config, Connection, Event, Limits, OpenCall, Transmit};

use crate::calls::template;
use crate::draw::{Dice, Draw};
use crate::network::Endpoint;
use crate::outcome::base;
use crate::pattern::Heads;
use crate::wire::expect;

/// Gives raw bytes to a connection, client or server, as the first bytes choose: with or without a good beginning, in
/// pieces, with an application that answers or one that does not.
///
/// # Errors
/// The promise that was not kept.
pub fn frames(bytes: &[u8]) -> Result<(), String> {
    let mut draw = Draw::new(bytes);
    let (choice, seed) = (draw.byte(), draw.byte());
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let mut now = base();
    let limits = Limits { window_bytes: 100_000, streams_max: 8, ..Limits::default() };
    let mut alone = Alone {
        machine: http2::Connection::new(role, &Arc::new(limits), now, 0),
        heads: Heads::new(),
        answers: choice & 2 != 0,
        takes: choice & 4 != 0,
        streams: BTreeMap::new(),
        closed: false,
        written: 0,
    };
    alone.drain(now)?;
    if role == Role::Client {
        let head = Arc::clone(&alone.heads.requests[0]);
        for _ in 0..3 {
            if let Ok(key) = alone.machine.open(now, &head, None, choice & 8 != 0) {
                alone.streams.insert(key.id().get(), Progress::default());
                alone.machine.send_data(key, Bytes::from_static(b"question"), false);
            }
        }
    }
    if choice & 16 == 0 {
        if role == Role::Server {
            alone.machine.handle_bytes(now, Bytes::from_static(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        }
        alone.machine.handle_bytes(now, Bytes::from_static(&[0, 0, 0, 4, 0, 0, 0, 0, 0]));
        alone.machine.handle_bytes(now, Bytes::from_static(&[0, 0, 0, 4, 1, 0, 0, 0, 0]));
        alone.drain(now)?;
    }
    let mut dice = Dice::new(seed.into());
    let piece_max = [1 << 20, 40, 9, 1][usize::from(choice >> 5 & 3)];
    while !draw.is_empty() {
        let piece = draw.take(1 + dice.below(piece_max) as usize);
        alone.machine.handle_bytes(now, Bytes::copy_from_slice(piece));
        alone.drain(now)?;
        now += Duration::from_millis(dice.below(3));
    }
    for _ in 0..64 {
        let Some(at) = alone.machine.poll_timeout() else { break };
        now = now.max(at);
        alone.machine.handle_timeout(now);
        alone.drain(now)?;
        expect(alone.machine.poll_timeout().is_none_or(|at| at > now), || "a timer is due again at once".into())?;
    }
    alone.machine.handle_eof(now);
    alone.drain(now)?;
    expect(alone.closed && alone.machine.is_closed(), || "the end of input is not the end".into())?;
    expect(alone.machine.streams_open() == 0, || "streams are left".into())?;
    // Whatever is asked: an answer costs at most so much.
    let bound = 10_000 + 40 * bytes.len() * usize::from(choice & 2 != 0) + 20 * bytes.len();
    expect(alone.written <= bound, || format!("{} bytes of answer for {} bytes", alone.written, bytes.len()))
}

struct Alone {
    machine: http2::Connection,
    heads: Heads,
    answers: bool,
    takes: bool,
    streams: BTreeMap<u32, Progress>,
    closed: bool,
    written: usize,
}

#[derive(Default)]
struct Progress {
    headers: bool,
    ended: bool,
    gone: bool,
}

impl Alone {
    fn drain(&mut self, now: Instant) -> Result<(), String> {
        let mut out = Transmit::default();
        for _ in 0..10_000 {
            let mut fault = Ok(());
            let (heads, streams, closed) = (&self.heads, &mut self.streams, &mut self.closed);
            let due = drain(&mut self.machine, now, &mut out, |machine, event| {
                let heard = hear(streams, closed, &event).map_err(|words| format!("{words}: {event:?}"));
                fault = std::mem::replace(&mut fault, Ok(())).and(heard);
                match event {
                    StreamEvent::Headers { key, .. } if self.answers => {
                        machine.send_headers(key, &heads.response, None, false);
                        machine.send_data(key, Bytes::from_static(b"answer"), false);
                        machine.send_headers(key, &heads.trailers, None, true);
                    }
                    StreamEvent::Data { key, flow_bytes, .. } if self.takes => machine.release(key, flow_bytes),
                    _ => {}
                }
            });
            fault?;
            self.written += out.len();
            out.clear();
            if due != Due::Write {
                return Ok(());
            }
        }
        Err("it never stops writing".into())
    }
}

/// The grammar of events.
fn hear(streams: &mut BTreeMap<u32, Progress>, closed: &mut bool, event: &StreamEvent) -> Result<(), String> {
    expect(!*closed, || "an event after Closed".into())?;
    let (key, headers, ended, gone) = match event {
        StreamEvent::Headers { key, end, .. } => (key, true, *end, false),
        StreamEvent::Data { key, end, .. } => (key, false, *end, false),
        StreamEvent::Trailers { key, .. } => (key, false, true, false),
        StreamEvent::Reset { key, .. } => (key, false, false, true),
        StreamEvent::Closed { .. } => {
            *closed = true;
            return Ok(());
        }
        _ => return Ok(()),
    };
    let stream = streams.entry(key.id().get()).or_default();
    expect(!stream.gone, || "after its reset".into())?;
    stream.gone = gone;
    if gone {
        return Ok(());
    }
    expect(!stream.ended, || "after its end".into())?;
    expect(headers != stream.headers, || "headers once, and first".into())?;
    stream.headers = true;
    stream.ended = ended;
    Ok(())
}

/// Gives arbitrary header lists to the call level: as requests to a server and as responses to a client.
///
/// # Errors
/// The promise that was not kept.
pub fn grpc_headers(bytes: &[u8]) -> Result<(), String> {
    let mut draw = Draw::new(bytes);
    let now = base();
    let limits = Arc::new(Limits::default());
    let config = Config::new(Limits::default(), CompressionSet::ALL);
    let choice = draw.byte();
    let data = Bytes::copy_from_slice(draw.take(usize::from(choice >> 4)));
    if choice & 1 == 0 {
        let mut client = http2::Connection::new(Role::Client, &limits, now, 0);
        let mut server = Connection::new(Role::Server, &config, now, 0);
        converse(now, &mut client, &mut server, |_, _| (), |_, _| Ok(()))?;
        let start = if choice & 2 == 0 { Heads::new().requests[0].to_vec() } else { Vec::new() };
        let head: Arc<Headers> = Arc::new(start.into_iter().chain(fields(&mut draw)).collect());
        let key = client.open(now, &head, None, false).map_err(|error| error.to_string())?;
        client.send_data(key, data, choice & 4 != 0);
        client.send_headers(key, &Arc::new(fields(&mut draw).into_iter().collect()), None, true);
        let mut calls = Calls::default();
        converse(now, &mut client, &mut server, |_, _| (), |server, event| calls.hear(server, event))?;
        client.close(now, Reason::NO_ERROR, "");
        converse(now, &mut client, &mut server, |_, _| (), |server, event| calls.hear(server, event))?;
        return expect(server.calls_open() == 0, || "a call is left".into());
    }
    let mut client = Connection::new(Role::Client, &config, now, 0);
    let mut server = http2::Connection::new(Role::Server, &limits, now, 0);
    converse(now, &mut server, &mut client, |_, _| (), |_, _| Ok(()))?;
    let template = template("/sim.v1.Sim/One");
    let metadata = Metadata::new();
    let request = OpenCall { template: &template, metadata: &metadata, deadline: None, message: None, last: true };
    let opened = client.open(now, request).map_err(|error| error.to_string())?;
    let start = if choice & 2 == 0 { Heads::new().response.to_vec() } else { Vec::new() };
    let head: Arc<Headers> = Arc::new(start.into_iter().chain(fields(&mut draw)).collect());
    let trailers: Arc<Headers> = Arc::new(fields(&mut draw).into_iter().collect());
    let answer = |server: &mut http2::Connection, event: StreamEvent| {
        if let StreamEvent::Headers { key, .. } = event {
            server.send_headers(key, &head, None, choice & 8 != 0);
            server.send_data(key, data.clone(), choice & 4 != 0);
            server.send_headers(key, &trailers, None, true);
        }
    };
    let mut calls = Calls { opened: Some(opened), ..Calls::default() };
    converse(now, &mut server, &mut client, answer, |client, event| calls.hear(client, event))?;
    server.close(now, Reason::NO_ERROR, "");
    converse(now, &mut server, &mut client, |_, _| (), |client, event| calls.hear(client, event))?;
    expect(calls.ended == 1, || format!("the call ended {} times", calls.ended))
}

/// What the call level has reported.
#[derive(Default)]
struct Calls {
    opened: Option<CallKey>,
    started: u32,
    ended: u32,
    closed: bool,
}

impl Calls {
    fn hear(&mut self, machine: &mut Connection, event: Event) -> Result<(), String> {
        expect(!self.closed, || "an event after Closed".into())?;
        match event {
            Event::Started { key, .. } => {
                self.started += 1;
                machine.finish(key, &Status::not_found("not here"), &Metadata::new(), &Metadata::new());
            }
            Event::Request { key, .. } => machine.answer(key, 404, &Headers::new(), Bytes::new()),
            Event::Ended { key, .. } => {
                expect(self.opened == Some(key), || "another call".into())?;
                self.ended += 1;
            }
            Event::Message { key, message, .. } => machine.consumed(key, message.bytes.len()),
            Event::Closed { .. } => self.closed = true,
            _ => {}
        }
        expect(self.started <= 1 && self.ended <= 1, || "more than once".into())
    }
}

/// Lets a raw connection and one of calls talk until both are silent.
fn converse(
    now: Instant,
    raw: &mut http2::Connection,
    calls: &mut Connection,
    mut answer: impl FnMut(&mut http2::Connection, StreamEvent),
    mut hear: impl FnMut(&mut Connection, Event) -> Result<(), String>,
) -> Result<(), String> {
    for _ in 0..1_000 {
        let mut out = Transmit::default();
        let mut silent = true;
        if drain(raw, now, &mut out, &mut answer) == Due::Write {
            Endpoint::handle_bytes(calls, now, flat(&out));
            out.clear();
            silent = false;
        }
        let mut fault = Ok(());
        let due = drain(calls, now, &mut out, |machine, event| {
            if fault.is_ok() {
                fault = hear(machine, event);
            }
        });
        fault?;
        if due == Due::Write {
            raw.handle_bytes(now, flat(&out));
            silent = false;
        }
        if silent {
            return Ok(());
        }
    }
    Err("they never stop talking".into())
}

fn flat(out: &Transmit) -> Bytes {
    out.chunks().flatten().copied().collect()
}

/// Fields with the names that mean something, and others.
fn fields(draw: &mut Draw<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let count = draw.byte() % 8;
    let mut fields = Vec::new();
    for _ in 0..count {
        let (name, len) = (draw.byte(), usize::from(draw.byte() % 64));
        let name = match NAMES.get(usize::from(name)) {
            Some(name) => name.as_bytes().to_vec(),
            None => draw.take(usize::from(name % 16)).to_vec(),
        };
        let value = match (len, VALUES.get(len.saturating_sub(40))) {
            (40.., Some(value)) => value.as_bytes().to_vec(),
            _ => draw.take(len).to_vec(),
        };
        fields.push((name, value));
    }
    fields
}

const NAMES: [&str; 20] = [
    ":method",
    ":path",
    ":authority",
    ":scheme",
    ":status",
    "content-type",
    "content-length",
    "te",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "grpc-trace-bin",
    "x-custom-bin",
    "authorization",
    "user-agent",
    "host",
    "x-custom",
];

const VALUES: [&str; 12] = [
    "POST",
    "/sim.v1.Sim/One",
    "application/grpc",
    "application/grpc+json; charset=utf-8",
    "99999999H",
    "1n",
    "gzip",
    "0",
    "200",
    "%C3%A4%",
    "CAUSA25v",
    "AAE=,AA",
];

trait ToVec {
    fn to_vec(&self) -> Vec<(Vec<u8>, Vec<u8>)>;
}

impl ToVec for Headers {
    fn to_vec(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }
}
