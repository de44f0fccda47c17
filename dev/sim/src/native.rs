//! Native connections with peers that say anything: they must not panic, must keep the grammar of their events, and must
//! come to an end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{Compression, CompressionSet, Metadata, Status};
use polywire_engine::drain::{Due, Machine, drain};
use polywire_engine::envelope::envelope;
use polywire_engine::limits::Keepalive;
use polywire_engine::wire::Role;
use polywire_engine::wire::native::{Connection, PREFACE};
use polywire_engine::{CallKey, Config, Event, Limits, OpenCall, Transmit};

use crate::calls::template;
use crate::draw::{Dice, Draw};
use crate::outcome::base;
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
    let mut side = Side::new(role, now);
    side.answers = choice & 2 != 0;
    side.takes = choice & 4 != 0;
    side.drain(now)?;
    if role == Role::Client {
        for last in [true, false, choice & 8 != 0] {
            side.open(now, b"question", last);
        }
    }
    if choice & 16 == 0 {
        if role == Role::Server {
            side.machine.handle_bytes(now, Bytes::from_static(&PREFACE));
        }
        side.machine.handle_bytes(now, Bytes::from_static(&[0, 0, 0]));
        if role == Role::Server {
            // A call that defines method 1, so that short calls are known.
            side.machine.handle_bytes(now, Bytes::from_static(b"\x01\x01\x08\x03\x05a.B/Cq"));
        }
        side.drain(now)?;
    }
    let mut dice = Dice::new(seed.into());
    let piece_max = [1 << 20, 40, 9, 1][usize::from(choice >> 5 & 3)];
    while !draw.is_empty() {
        let piece = draw.take(1 + dice.below(piece_max) as usize);
        side.machine.handle_bytes(now, Bytes::copy_from_slice(piece));
        side.drain(now)?;
        now += Duration::from_millis(dice.below(3));
    }
    side.wait(&mut now)?;
    side.end(now)?;
    // Whatever is asked: an answer costs at most so much.
    let bound = 10_000 + 200 * bytes.len();
    expect(side.written <= bound, || format!("{} bytes of answer for {} bytes", side.written, bytes.len()))
}

/// Two connections in conversation, and a link that changes bytes: both must stay sane and come to an end. What the first
/// bytes choose is said; the rest says where bytes are changed, dropped or put in. Without any, all calls must succeed.
///
/// # Errors
/// The promise that was not kept.
pub fn mutated(bytes: &[u8]) -> Result<(), String> {
    let mut draw = Draw::new(bytes);
    let (calls, shape, seed) = (1 + draw.byte() % 8, draw.byte(), draw.byte());
    let mut dice = Dice::new(seed.into());
    let mut now = base();
    let mut sides = [Role::Client, Role::Server].map(|role| Side::new(role, now));
    for side in &mut sides {
        side.answers = true;
        side.takes = true;
    }
    let mut link = Link { draw, changed: false };
    for call in 0..calls {
        let len = [3, 200, 20_000, 100_000][usize::from(shape >> 2 & 3)];
        let message = vec![call; dice.below(len) as usize];
        let key = sides[0].open(now, &message, shape & 1 == 0);
        if let Some(key) = key
            && shape & 1 != 0
        {
            sides[0].machine.send(key, envelope(false, &message));
            match shape & 2 {
                0 => sides[0].machine.half_close(key),
                _ if call % 2 == 0 => {
                    sides[0].machine.cancel(key);
                    sides[0].cancelled(key);
                }
                _ => sides[0].machine.half_close(key),
            }
        }
        link.carry(&mut sides, now)?;
        now += Duration::from_millis(dice.below(50));
    }
    if !link.changed {
        let ended = sides[0].calls.values().filter(|call| call.ended).count();
        expect(ended == usize::from(calls), || format!("{ended} of {calls} calls have ended"))?;
    }
    sides[usize::from(shape >> 4 & 1)].machine.drain(now, "done");
    link.carry(&mut sides, now)?;
    for side in &mut sides {
        side.wait(&mut now)?;
        side.end(now)?;
    }
    Ok(())
}

/// Carries bytes, and changes some.
struct Link<'a> {
    draw: Draw<'a>,
    changed: bool,
}

impl Link<'_> {
    fn carry(&mut self, sides: &mut [Side; 2], now: Instant) -> Result<(), String> {
        for _ in 0..10_000 {
            let mut moved = false;
            for from in [0, 1] {
                sides[from].drain(now)?;
                let mut bytes = std::mem::take(&mut sides[from].output);
                if bytes.is_empty() {
                    continue;
                }
                moved = true;
                self.change(&mut bytes);
                let to = &mut sides[1 - from];
                if to.machine.is_closed() {
                    continue;
                }
                to.machine.handle_bytes(now, bytes.into());
                to.drain(now)?;
            }
            if !moved {
                return Ok(());
            }
        }
        Err("the two never come to rest".into())
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if self.draw.is_empty() {
            return;
        }
        let how = self.draw.byte();
        if how < 128 || bytes.is_empty() {
            return;
        }
        self.changed = true;
        let at = usize::from(u16::from_le_bytes([self.draw.byte(), self.draw.byte()])) % bytes.len();
        match how & 3 {
            0 => bytes[at] ^= self.draw.byte(),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, self.draw.byte()),
            _ => bytes.truncate(at),
        }
    }
}

/// A connection and an application of few words.
struct Side {
    role: Role,
    machine: Connection,
    answers: bool,
    takes: bool,
    calls: BTreeMap<u32, Progress>,
    closed: bool,
    output: Vec<u8>,
    written: usize,
}

#[derive(Debug, Default)]
struct Progress {
    half_closed: bool,
    headed: bool,
    messages: usize,
    ended: bool,
}

impl Side {
    fn new(role: Role, now: Instant) -> Self {
        let second = Duration::from_secs(1);
        let keepalive = Keepalive { interval: 60 * second, timeout: 30 * second, without_calls: false };
        let limits = Limits {
            streams_max: 6,
            message_bytes_max: 150_000,
            gathered_bytes_max: 200_000,
            keepalive: Some(keepalive),
            idle_timeout: Some(600 * second),
            ..Limits::default()
        };
        let config = Config::new(limits, CompressionSet::NONE.with(Compression::Gzip));
        Self {
            role,
            machine: Connection::new(role, &config, now, 0),
            answers: false,
            takes: false,
            calls: BTreeMap::new(),
            closed: false,
            output: Vec::new(),
            written: 0,
        }
    }

    fn open(&mut self, now: Instant, message: &[u8], last: bool) -> Option<CallKey> {
        let template = template("/sim.v1.Sim/One");
        let mut metadata = Metadata::new();
        metadata.append("n", &self.calls.len().to_string()).ok()?;
        let message = Some(envelope(false, message));
        let deadline = now.checked_add(Duration::from_secs(20));
        let call = OpenCall { template: &template, metadata: &metadata, deadline, message, last };
        let key = self.machine.open(now, call).ok()?;
        self.calls.insert(key.id().get(), Progress::default());
        Some(key)
    }

    /// No event follows for it.
    fn cancelled(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key.id().get()) {
            call.ended = true;
        }
    }

    fn drain(&mut self, now: Instant) -> Result<(), String> {
        let mut out = Transmit::default();
        for _ in 0..10_000 {
            let mut fault = Ok(());
            let (role, calls, closed) = (self.role, &mut self.calls, &mut self.closed);
            let (answers, takes) = (self.answers, self.takes);
            let due = drain(&mut self.machine, now, &mut out, |machine, event| {
                let heard = hear(role, calls, closed, &event).map_err(|words| format!("{words}: {event:?}"));
                fault = std::mem::replace(&mut fault, Ok(())).and(heard);
                act(machine, role, event, answers, takes);
            });
            fault?;
            self.written += out.len();
            out.chunks().for_each(|chunk| self.output.extend_from_slice(chunk));
            out.clear();
            let open = self.calls.values().filter(|call| !call.ended).count();
            expect(self.machine.calls_open() <= open, || "more calls are open than were begun".into())?;
            if due != Due::Write {
                return Ok(());
            }
        }
        Err("it never stops writing".into())
    }

    /// Lets timers run.
    fn wait(&mut self, now: &mut Instant) -> Result<(), String> {
        for _ in 0..200 {
            let Some(at) = self.machine.poll_timeout() else { return Ok(()) };
            *now = at.max(*now);
            self.machine.handle_timeout(*now);
            self.drain(*now)?;
            expect(self.machine.poll_timeout().is_none_or(|at| at > *now), || "a timer is due again at once".into())?;
        }
        Ok(())
    }

    fn end(&mut self, now: Instant) -> Result<(), String> {
        self.machine.handle_eof(now);
        self.drain(now)?;
        expect(self.closed && self.machine.is_closed(), || "the end of input is not the end".into())?;
        expect(self.machine.calls_open() == 0, || "calls are left".into())?;
        let role = self.role;
        let left = self.calls.values().any(|call| !call.ended && role == Role::Client);
        expect(!left, || "a call has heard nothing of its end".into())
    }
}

fn act(machine: &mut Connection, role: Role, event: Event, answers: bool, takes: bool) {
    let (none, mut some) = (Metadata::new(), Metadata::new());
    let _ = some.append("kept", "yes");
    match event {
        Event::Message { key, message, last } => {
            if takes {
                machine.consumed(key, message.bytes.len());
            }
            if role == Role::Client || !answers {
                return;
            }
            match (message.bytes.len() % 4, last) {
                (0, true) => machine.respond(key, &some, envelope(false, &message.bytes), &some),
                (1, true) => machine.finish(key, &Status::not_found("nothing"), &none, &some),
                (2, true) => {
                    machine.start(key, &some);
                    machine.send(key, envelope(false, &message.bytes));
                    machine.finish(key, &Status::ok(), &none, &some);
                }
                (_, true) => machine.respond(key, &none, envelope(false, &message.bytes), &none),
                (_, false) => machine.send(key, envelope(false, b"so far")),
            }
        }
        Event::Started { key, last: true, .. } | Event::HalfClosed { key } if answers => {
            machine.finish(key, &Status::ok(), &none, &none);
        }
        _ => {}
    }
}

/// The grammar of events.
fn hear(role: Role, calls: &mut BTreeMap<u32, Progress>, closed: &mut bool, event: &Event) -> Result<(), String> {
    expect(!*closed, || "an event after Closed".into())?;
    let key = match event {
        Event::Started { key, last, .. } => {
            expect(role == Role::Server, || "of the other side".into())?;
            let call = Progress { half_closed: *last, ..Progress::default() };
            return expect(calls.insert(key.id().get(), call).is_none(), || "an id again".into());
        }
        Event::Closed { .. } => {
            *closed = true;
            return Ok(());
        }
        Event::Cancelled { key, .. }
        | Event::Ended { key, .. }
        | Event::HalfClosed { key }
        | Event::Headers { key, .. }
        | Event::Message { key, .. }
        | Event::Writable { key } => *key,
        _ => return Ok(()),
    };
    let call = calls.get_mut(&key.id().get()).ok_or("of no call")?;
    expect(!call.ended, || "after the end".into())?;
    match event {
        Event::Cancelled { .. } | Event::Ended { .. } => {
            expect((role == Role::Client) == matches!(event, Event::Ended { .. }), || "of the other side".into())?;
            call.ended = true;
        }
        Event::Headers { .. } => {
            expect(!call.headed && call.messages == 0, || "headers once, and first".into())?;
            call.headed = true;
        }
        Event::HalfClosed { .. } => {
            expect(!std::mem::replace(&mut call.half_closed, true), || "twice".into())?;
        }
        Event::Message { last, .. } => {
            expect(!call.half_closed, || "after the last".into())?;
            call.half_closed = *last;
            call.messages += 1;
        }
        _ => {}
    }
    Ok(())
}
