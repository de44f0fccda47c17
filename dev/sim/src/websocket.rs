//! A WebSocket alone with a peer that says anything: frames that are none, and text that is no call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{CompressionSet, Metadata, Status};
use polywire_engine::drain::{Due, Machine, drain};
use polywire_engine::envelope::envelope;
use polywire_engine::wire::{
    Role,
    websocket::{
        Begin, Connection, Deflate, Incoming, MessageCompression, MessageFault, Messages, Subprotocol,
        handshake::{Policy, Request, accept},
    },
};
use polywire_engine::{CallKey, Config, Event, Limits, Transmit};

use crate::draw::{Dice, Draw};
use crate::outcome::base;
use crate::wire::expect;

/// Gives raw bytes to one side, at once and in pieces: both must see the same, and come to an end.
///
/// # Errors
/// The promise that was not kept.
pub fn frames(bytes: &[u8]) -> Result<(), String> {
    let mut draw = Draw::new(bytes);
    let (choice, seed) = (draw.byte(), draw.byte());
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let piece_max = [1, 3, 40, 4_096][usize::from(choice >> 1 & 3)];
    let stream = draw.take(usize::MAX);
    let limits = Arc::new(Limits { websocket_message_bytes_max: 1_000, ..Limits::default() });
    let mut how = How { role, deflates: choice & 8 != 0, passes_pieces: false, piece_max: usize::MAX };
    let whole = hear(how, &limits, stream, seed)?;
    how.piece_max = piece_max;
    let cut = hear(how, &limits, stream, seed)?;
    expect(whole == cut, || format!("whole: {whole:?}, cut: {cut:?}"))?;
    // Passed on in pieces, binary messages are the same bytes, as far as they are below the limit.
    how.passes_pieces = true;
    let pieces = hear(how, &limits, stream, seed)?;
    let binary = |heard: &[Incoming]| -> Vec<u8> {
        let bytes = heard.iter().filter_map(|incoming| match incoming {
            Incoming::Binary(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        bytes.flatten().collect()
    };
    expect(binary(&pieces).starts_with(&binary(&whole)), || format!("whole: {whole:?}, in pieces: {pieces:?}"))
}

/// Gives anything to a server as the extensions that a client offers: what it answers is an answer to an offer of ours.
///
/// # Errors
/// The promise that was not kept.
pub fn offers(bytes: &[u8]) -> Result<(), String> {
    let request = Request::http1("http", "localhost", "/", None, [7; 16]);
    let mut asked = request.headers.clone();
    for field in bytes.split(|byte| *byte == b'\n') {
        asked.push("sec-websocket-extensions", field);
    }
    let Ok(accepted) = accept(&asked, &Policy { deflate: true, ..Policy::default() }) else { return Ok(()) };
    let taken = request.offering_deflate().check(&accepted.headers).map_err(|error| error.to_string())?;
    expect(taken.is_some() == accepted.deflate.is_some(), || format!("{taken:?} of {accepted:?}"))
}

/// A compression that can be seen through, and makes a long message of a short one: bytes, each behind how often it comes.
#[derive(Debug)]
struct Runs;

impl MessageCompression for Runs {
    fn compress(&self, _: &[&[u8]], _: u8, _: &mut Vec<u8>) -> bool {
        false
    }

    fn decompress(&self, compressed: &[u8], bytes_max: usize) -> Result<Bytes, MessageFault> {
        let (runs, rest) = compressed.as_chunks::<2>();
        let message: Vec<u8> =
            runs.iter().flat_map(|[times, byte]| std::iter::repeat_n(*byte, (*times).into())).collect();
        match rest {
            _ if message.len() > bytes_max => Err(MessageFault::TooLong),
            [] => Ok(message.into()),
            _ => Err(MessageFault::Malformed),
        }
    }
}

#[derive(Clone, Copy)]
struct How {
    role: Role,
    deflates: bool,
    passes_pieces: bool,
    piece_max: usize,
}

fn hear(how: How, limits: &Arc<Limits>, mut stream: &[u8], seed: u8) -> Result<Vec<Incoming>, String> {
    let mut now = base();
    let mut dice = Dice::new(seed.into());
    let mut messages = Messages::new(how.role, limits, Bytes::new(), now, seed.into());
    if how.deflates {
        messages.deflate(Deflate::default(), &Runs);
    }
    if how.passes_pieces {
        messages.pass_pieces();
    }
    let (mut heard, mut written, len) = (Vec::new(), 0, stream.len());
    let mut out = Transmit::default();
    let mut run = |messages: &mut Messages, now| {
        while let Some(incoming) = messages.poll() {
            if let Incoming::Text(text) = &incoming {
                expect(std::str::from_utf8(text).is_ok(), || "text that is not UTF-8".into())?;
            }
            expect(!matches!(heard.last(), Some(Incoming::Closed { .. })), || "after the end".into())?;
            heard.push(incoming);
        }
        while messages.poll_transmit(now, &mut out) {
            written += out.len();
            out.clear();
        }
        Ok::<_, String>(())
    };
    while !stream.is_empty() {
        let piece = match how.piece_max {
            usize::MAX => stream.len(),
            max => stream.len().min(1 + dice.below(max as u64) as usize),
        };
        messages.handle_bytes(now, Bytes::copy_from_slice(&stream[..piece]));
        stream = &stream[piece..];
        run(&mut messages, now)?;
    }
    // Nobody answers any more: after pings and closing it is over.
    for _ in 0..16 {
        let Some(at) = messages.poll_timeout() else { break };
        now = now.max(at);
        messages.handle_timeout(now);
        run(&mut messages, now)?;
    }
    expect(messages.poll_timeout().is_none() && messages.is_closed(), || "silence is not the end".into())?;
    expect(messages.heap_bytes() == 0, || format!("{} bytes are kept after the end", messages.heap_bytes()))?;
    expect(written <= 300 + 3 * len, || format!("{written} bytes of answer for {len} bytes"))?;
    Ok(heard)
}

/// Gives texts to a server that speaks the JSON form: what is none is complained about, every call begins once and ends
/// once, and every line of the answers is JSON.
///
/// # Errors
/// The promise that was not kept.
pub fn json_text(bytes: &[u8]) -> Result<(), String> {
    let mut draw = Draw::new(bytes);
    let now = base();
    let limits = Limits { streams_max: 4, buffered_bytes_max: 2_000, message_bytes_max: 500, ..Limits::default() };
    let config = Config::new(limits, CompressionSet::ALL);
    let begin = Begin { subprotocol: Some(Subprotocol::Json), ..Begin::default() };
    let mut typed = Typed {
        now,
        server: Connection::new(Role::Server, &config, begin, now, 0),
        client: Messages::new(Role::Client, &Arc::default(), Bytes::new(), now, 1),
        application: Application { choice: draw.byte(), ..Application::default() },
        ends: 0,
    };
    while !draw.is_empty() {
        let line = line(&mut draw);
        typed.client.send_text(line.into());
        if draw.one_in(3) {
            typed.run()?;
        }
        if draw.one_in(16) {
            typed.now += Duration::from_millis(u64::from(draw.byte()));
            typed.server.handle_timeout(typed.now);
        }
    }
    typed.run()?;
    if typed.application.choice & 0x80 != 0 {
        typed.server.drain(typed.now, "drain");
        typed.run()?;
    }
    for (key, _) in std::mem::take(&mut typed.application.calls).into_values() {
        typed.server.finish(key, &Status::ok(), &Metadata::new(), &Metadata::new());
    }
    typed.run()?;
    expect(typed.application.closed || typed.ends >= typed.application.started, || {
        format!("{} of {} have ended", typed.ends, typed.application.started)
    })?;
    typed.server.handle_eof(typed.now);
    typed.run()?;
    expect(typed.application.closed && typed.server.is_closed(), || "the end of input is not the end".into())?;
    expect(typed.server.calls_open() == 0, || "calls are left".into())
}

struct Typed {
    now: Instant,
    server: Connection,
    client: Messages,
    application: Application,
    /// Ends that the client has read.
    ends: usize,
}

/// Answers calls, by the choice, at once, later or never; and knows the grammar of events.
#[derive(Default)]
struct Application {
    choice: u8,
    /// Calls that are open, by generation, and whether the client has half-closed them.
    calls: BTreeMap<u32, (CallKey, bool)>,
    started: usize,
    closed: bool,
}

impl Typed {
    fn run(&mut self) -> Result<(), String> {
        let mut out = Transmit::default();
        for _ in 0..10_000 {
            let mut any = false;
            while self.client.poll_transmit(self.now, &mut out) {
                self.server.handle_bytes(self.now, out.chunks().flatten().copied().collect());
                out.clear();
                any = true;
            }
            let (mut fault, application) = (Ok(()), &mut self.application);
            let due = drain(&mut self.server, self.now, &mut out, |server, event| {
                if fault.is_ok() {
                    fault = application.hear(server, event);
                }
            });
            fault?;
            if due == Due::Write {
                self.client.handle_bytes(self.now, out.chunks().flatten().copied().collect());
                out.clear();
                any = true;
            }
            while let Some(incoming) = self.client.poll() {
                if let Incoming::Text(text) = incoming {
                    self.read(&text)?;
                }
                any = true;
            }
            if !any {
                return Ok(());
            }
        }
        Err("they never stop talking".into())
    }

    /// What the client reads is of the forms that there are.
    fn read(&mut self, text: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let rest = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let Some(rest) = rest else { return Err(format!("not an object: {text}")) };
        if rest.starts_with("\"error\":\"") {
            return Ok(());
        }
        let rest = rest.strip_prefix("\"id\":").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        let known = ["\"message\":", "\"error\":\"", "\"end\":{\"code\":\""];
        let Some(form) = rest.and_then(|rest| known.iter().position(|form| rest[1..].starts_with(form))) else {
            return Err(format!("unknown: {text}"));
        };
        self.ends += usize::from(form == 2);
        Ok(())
    }
}

impl Application {
    fn hear(&mut self, server: &mut Connection, event: Event) -> Result<(), String> {
        expect(!self.closed, || "an event after Closed".into())?;
        match event {
            Event::Started { key, last, head, .. } => {
                self.started += 1;
                expect(head.path.starts_with('/'), || format!("the path {:?}", head.path))?;
                let before = self.calls.insert(key.id().get(), (key, last));
                expect(before.is_none(), || "a call begins twice".into())?;
                let twins = self.calls.values().filter(|(open, _)| open.index() == key.index()).count();
                expect(twins == 1, || "a place is used twice".into())?;
            }
            Event::Message { key, message, last } => {
                let call = self.calls.get_mut(&key.id().get());
                // A call that the application has ended may still have messages under way to it.
                if let Some((_, half_closed)) = call {
                    expect(!*half_closed, || "a message after the last".into())?;
                    *half_closed = last;
                }
                if self.choice & 1 == 0 {
                    server.consumed(key, message.bytes.len());
                }
                if self.choice & 2 == 0 {
                    server.send(key, envelope(false, &message.bytes));
                }
                if self.choice & 4 == 0 && last {
                    self.calls.remove(&key.id().get());
                    server.respond(key, &Metadata::new(), envelope(false, b""), &Metadata::new());
                }
            }
            Event::HalfClosed { key } => {
                if let Some((_, half_closed)) = self.calls.get_mut(&key.id().get()) {
                    expect(!std::mem::replace(half_closed, true), || "half-closed twice".into())?;
                }
            }
            Event::Cancelled { key, .. } => {
                let call = self.calls.remove(&key.id().get());
                expect(call.is_some(), || "a call is cancelled that is not open".into())?;
            }
            Event::Closed { .. } => self.closed = true,
            _ => {}
        }
        Ok(())
    }
}

/// A line somebody types: of the words that mean something, or of anything.
fn line(draw: &mut Draw<'_>) -> String {
    let count = draw.byte() % 12;
    if count == 0 {
        let len = usize::from(draw.byte());
        return String::from_utf8_lossy(draw.take(len)).into_owned();
    }
    let mut line = String::from("{");
    for i in 0..count {
        let choice = usize::from(draw.byte());
        if i > 0 && choice & 0x80 == 0 {
            line.push(',');
        }
        match WORDS.get(choice & 0x1f) {
            Some(word) => line.push_str(word),
            None => {
                let len = usize::from(draw.byte() % 64);
                line.push_str(&String::from_utf8_lossy(draw.take(len)));
            }
        }
    }
    line.push('}');
    line
}

const WORDS: [&str; 22] = [
    "\"call\":\"a.B/C\"",
    "\"call\":\"/a.B/C\"",
    "\"call\":\"nothing\"",
    "\"id\":1",
    "\"id\":2",
    "\"id\":18446744073709551615",
    "\"id\":-1",
    "\"message\":{}",
    "\"message\":{\"a\":[1,2,{\"b\":null}]}",
    "\"message\":null",
    "\"message\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
    "\"more\":true",
    "\"more\":false",
    "\"end\":true",
    "\"cancel\":true",
    "\"timeoutMs\":5",
    "\"timeoutMs\":18446744073709551615",
    "\"metadata\":{\"k\":\"v\",\"k\":[\"v\",\"w\"]}",
    "\"metadata\":{\"k-bin\":\"AAE\"}",
    "\"metadata\":{\"te\":\"v\"}",
    "\"metadata\":{",
    "\"message\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];
