//! Plays a program on two connections in terms of calls and compares what each reports with what the other was told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use polywire_core::{Code, Codec, Compression, CompressionSet, Metadata, Status};
use polywire_engine::protocol::{RequestOptions, RequestTemplate};
use polywire_engine::wire::{ConnectionError, Headers, OpenError, Reason, Role};
use polywire_engine::{CallKey, Config, Connection, Event, OpenCall};

use crate::network::{Listener, Network};
use crate::outcome::{Outcome, SETTLE_MAX, base, check_end, spent};
use crate::pattern;
use crate::program::{Operation, Program, Side};
use crate::wire::expect;

/// Plays `program` to its end.
///
/// # Errors
/// The promise that was not kept.
pub fn play(program: &Program) -> Result<Outcome, String> {
    let now = base();
    let machine = |role, seed: u64| {
        let limits = (*program.limits[seed as usize]).clone();
        Connection::new(role, &Config::new(limits, CompressionSet::ALL), now, seed)
    };
    let mut player = Player {
        network: Network::new(program, now, [machine(Role::Client, 0), machine(Role::Server, 1)]),
        model: Model::new(program.is_honest()),
        templates: ["/sim.v1.Sim/One", "/sim.v1.Sim/Two"].map(template),
        program,
    };
    for (step, operation) in program.operations.iter().enumerate() {
        let played = player.network.run(&mut player.model).and_then(|()| player.step(*operation));
        played.and_then(|()| player.network.run(&mut player.model)).map_err(|fault| format!("step {step}: {fault}"))?;
    }
    player.finish().map_err(|fault| format!("at the end: {fault}"))
}

struct Player<'a> {
    network: Network<Connection>,
    model: Model,
    templates: [RequestTemplate; 2],
    program: &'a Program,
}

/// What each side must see.
struct Model {
    honest: bool,
    calls: BTreeMap<u32, Call>,
    ends: [End; 2],
}

#[derive(Default)]
struct End {
    closed: Option<Option<ConnectionError>>,
    holds: bool,
    settled: bool,
    wants_open: bool,
}

struct Call {
    id: u32,
    keys: [Option<CallKey>; 2],
    /// The lengths of the messages each side has sent, and how many of them the other has seen.
    sent: [Vec<usize>; 2],
    seen: [usize; 2],
    held: [Vec<usize>; 2],
    /// The side knows the call no more, and will hear nothing of it.
    gone: [bool; 2],
    half_closed: bool,
    half_closed_seen: bool,
    request_kind: u8,
    deadline: Option<Instant>,
    leading_kind: Option<u8>,
    leading_seen: bool,
    /// How the server's handler ended it, and with which metadata.
    finished: Option<(Status, u8)>,
    /// Somebody gave it up.
    cancelled: bool,
    refused: bool,
    too_large: bool,
    ended: Option<Code>,
}

impl Player<'_> {
    fn step(&mut self, operation: Operation) -> Result<(), String> {
        let now = self.network.now;
        match operation {
            Operation::Open { headers, bytes, end, timeout_ms } => self.open(headers, bytes, end, timeout_ms),
            Operation::Send { side, pick, bytes, end } => {
                let Some((key, call)) = self.model.pick(side, pick) else { return Ok(()) };
                let over = call.finished.is_some() || side == Side::Client && call.half_closed;
                let alive = !call.gone[side as usize] && !over;
                if !alive {
                    // A stale command: it must change nothing.
                    self.network.machine(side).send(key, Bytes::from_static(&[0, 0, 0, 0, 1, 7]));
                    return Ok(());
                }
                let message = call.message(side, bytes as usize);
                if side == Side::Server {
                    call.leading_kind.get_or_insert(0);
                }
                let machine = self.network.machine(side);
                machine.send(key, message);
                if end && side == Side::Client {
                    machine.half_close(key);
                    self.model.call(key).half_closed = true;
                }
                Ok(())
            }
            Operation::Start { pick, headers } => {
                let Some((key, call)) = self.model.pick(Side::Server, pick) else { return Ok(()) };
                if !call.gone[1] && call.finished.is_none() && call.leading_kind.is_none() {
                    call.leading_kind = Some(headers);
                    call.too_large |= pattern::is_too_large(headers);
                }
                let leading = pattern::metadata(headers, call.id);
                self.network.machine(Side::Server).start(key, &leading);
                Ok(())
            }
            Operation::Inform { pick } => {
                // Here: the server takes a unary call's answer together.
                let Some((key, call)) = self.model.pick(Side::Server, pick) else { return Ok(()) };
                if call.gone[1] || call.finished.is_some() {
                    return Ok(());
                }
                let message = call.message(Side::Server, usize::from(pick));
                call.leading_kind.get_or_insert(0);
                call.finish(Status::ok(), 0);
                let empty = Metadata::new();
                self.network.machine(Side::Server).respond(key, &empty, message, &empty);
                Ok(())
            }
            Operation::Finish { pick, headers } => {
                let Some((key, call)) = self.model.pick(Side::Server, pick) else { return Ok(()) };
                let status = if headers & 0x30 == 0x30 {
                    Status::new(Code::from_number(u32::from(headers >> 4)), format!("so it ends: {headers} ä%\n"))
                } else {
                    Status::ok()
                };
                if !call.gone[1] && call.finished.is_none() {
                    call.finish(status.clone(), headers);
                }
                let trailing = pattern::metadata(headers, call.id);
                self.network.machine(Side::Server).finish(key, &status, &Metadata::new(), &trailing);
                Ok(())
            }
            Operation::Reset { side, pick } => {
                let Some((key, call)) = self.model.pick(side, pick) else { return Ok(()) };
                let over = side == Side::Server && call.finished.is_some();
                if !call.gone[side as usize] && !over {
                    call.cancelled = true;
                    call.gone[side as usize] = true;
                    call.refused |= side == Side::Server;
                }
                match side {
                    Side::Client => self.network.machine(side).cancel(key),
                    Side::Server => self.network.machine(side).refuse(key),
                }
                Ok(())
            }
            Operation::Hold { side, on } => {
                self.model.ends[side as usize].holds = on;
                Ok(())
            }
            Operation::Release { side, pick, percent } => {
                let Some((key, call)) = self.model.pick(side, pick) else { return Ok(()) };
                let held = &mut call.held[side as usize];
                let taken = held.len() * usize::from(percent) / 255;
                for bytes in held.drain(..taken) {
                    self.network.machine(side).consumed(key, bytes);
                }
                Ok(())
            }
            Operation::Drain { side } => {
                self.network.machine(side).drain(now, "the program says so");
                Ok(())
            }
            Operation::Close { side, error } => {
                let reason = if error { Reason::INTERNAL_ERROR } else { Reason::NO_ERROR };
                self.network.machine(side).close(now, reason, "the program says so");
                Ok(())
            }
            Operation::Advance { ms } => self.network.advance(Duration::from_millis(ms.into()), &mut self.model),
            Operation::Cut { side, after_bytes, both } => {
                self.network.cut(side, after_bytes as usize, both);
                Ok(())
            }
            Operation::Stall { side, ms } => {
                self.network.stall(side, Duration::from_millis(ms.into()));
                Ok(())
            }
        }
    }

    fn open(&mut self, headers: u8, bytes: Option<u32>, end: bool, timeout_ms: Option<u32>) -> Result<(), String> {
        let now = self.network.now;
        let metadata = pattern::metadata(headers, self.model.calls.len() as u32);
        let deadline = timeout_ms.map(|ms| now + Duration::from_millis(ms.into()));
        // The message's bytes depend on the id, which is not known yet: the first goes behind the opening.
        let could = self.network.machine(Side::Client).can_open();
        let request = OpenCall {
            template: &self.templates[usize::from(headers >> 7)],
            metadata: &metadata,
            deadline,
            message: None,
            last: end && bytes.is_none(),
        };
        let key = match self.network.machine(Side::Client).open(now, request) {
            Ok(key) => key,
            Err(error) => {
                self.model.ends[0].wants_open |= error == OpenError::Full;
                return expect(!could, || format!("can_open, and yet {error:?}"));
            }
        };
        expect(could, || "cannot open, and yet did".into())?;
        let id = key.id().get();
        let mut call = Call::new(id);
        call.keys[0] = Some(key);
        call.request_kind = headers;
        call.too_large = pattern::is_too_large(headers);
        call.deadline = deadline;
        call.half_closed = end;
        let message = bytes.map(|bytes| call.message(Side::Client, bytes as usize));
        // The metadata speaks of the count of calls, as the check of `Started` does.
        call.deadline = deadline;
        // A corrupted id may have made the server see this one before.
        let fresh = self.model.calls.insert(id, call).is_none() || !self.model.honest;
        expect(fresh, || format!("call {id} is opened twice"))?;
        if let Some(message) = message {
            let client = self.network.machine(Side::Client);
            client.send(key, message);
            if end {
                client.half_close(key);
            }
        }
        Ok(())
    }

    /// Lets everything come to its end and looks whether it does.
    fn finish(mut self) -> Result<Outcome, String> {
        let peaceful = !self.program.has_violence();
        for side in Side::BOTH {
            self.model.ends[side as usize].holds = false;
            for call in self.model.calls.values_mut() {
                let held = std::mem::take(&mut call.held[side as usize]);
                if let Some(key) = call.keys[side as usize] {
                    held.into_iter().for_each(|bytes| self.network.machine(side).consumed(key, bytes));
                }
            }
        }
        let quiet = self.network.settle(SETTLE_MAX, &mut self.model)?;
        expect(quiet, || "bytes are still under way after hours".into())?;
        for call in self.model.calls.values_mut().filter(|call| !call.half_closed) {
            call.half_closed = true;
            if let Some(key) = call.keys[0] {
                self.network.machine(Side::Client).half_close(key);
            }
        }
        self.network.settle(SETTLE_MAX, &mut self.model)?;
        if peaceful {
            self.model.check_delivered(Side::Client)?;
        }
        for call in self.model.calls.values_mut().filter(|call| !call.gone[1] && call.finished.is_none()) {
            let Some(key) = call.keys[1] else { continue };
            call.finish(Status::ok(), 0);
            self.network.machine(Side::Server).finish(key, &Status::ok(), &Metadata::new(), &Metadata::new());
        }
        self.network.settle(SETTLE_MAX, &mut self.model)?;
        if peaceful {
            self.model.check_delivered(Side::Server)?;
        }
        for side in Side::BOTH {
            let open = self.network.machine(side).calls_open();
            let closed = self.model.ends[side as usize].closed.is_some();
            if peaceful || closed {
                expect(open == 0, || format!("{side:?} still has {open} calls"))?;
            }
        }
        let client = self.network.machine(Side::Client);
        expect(!(self.model.ends[0].wants_open && client.can_open()), || "Openable was never said".into())?;
        let now = self.network.now;
        self.network.machine(Side::Server).drain(now, "over");
        self.network.advance(Duration::from_secs(60), &mut self.model)?;
        for side in Side::BOTH {
            self.network.machine(side).close(now + Duration::from_secs(60), Reason::NO_ERROR, "over");
        }
        self.network.advance(Duration::from_secs(120), &mut self.model)?;
        for side in Side::BOTH {
            let closed = self.model.ends[side as usize].closed;
            let error = closed.ok_or_else(|| format!("{side:?} was never told Closed"))?;
            expect(self.network.is_gone(side), || format!("{side:?} is closed and not done"))?;
            check_end(self.program, side, error.as_ref())?;
        }
        for call in self.model.calls.values() {
            expect(call.ended.is_some() || call.gone[0] || call.keys[0].is_none(), || {
                format!("call {} never ended", call.id)
            })?;
        }
        Ok(self.model.outcome(spent(self.network.now, now)))
    }
}

impl Listener<Connection> for Model {
    fn hear(&mut self, now: Instant, side: Side, machine: &mut Connection, event: Event) -> Result<(), String> {
        let mut words = format!("{side:?} reported {event:?}");
        self.check(now, side, machine, event).map_err(|fault| {
            let end = words.char_indices().nth(400).map_or(words.len(), |(at, _)| at);
            words.truncate(end);
            format!("{fault}: {words}")
        })
    }

    fn turn(&mut self, _side: Side) {}
}

impl Model {
    fn new(honest: bool) -> Self {
        Model { honest, calls: BTreeMap::new(), ends: Default::default() }
    }

    fn call(&mut self, key: CallKey) -> &mut Call {
        let id = key.id().get();
        self.calls.entry(id).or_insert_with(|| Call::new(id))
    }

    /// One of the latest calls a side knows.
    fn pick(&mut self, side: Side, pick: u8) -> Option<(CallKey, &mut Call)> {
        let known = self.calls.values_mut().rev().filter(|call| call.keys[side as usize].is_some()).take(16);
        let mut known: Vec<_> = known.collect();
        if known.is_empty() {
            return None;
        }
        let call = known.swap_remove(usize::from(pick) % known.len());
        Some((call.keys[side as usize]?, call))
    }

    fn check(&mut self, now: Instant, side: Side, machine: &mut Connection, event: Event) -> Result<(), String> {
        let me = side as usize;
        let honest = self.honest;
        let end = &mut self.ends[me];
        expect(end.closed.is_none(), || "an event after Closed".into())?;
        match event {
            Event::Settled => expect(!std::mem::replace(&mut end.settled, true), || "Settled twice".into()),
            Event::Openable => {
                expect(end.wants_open, || "Openable for nothing".into())?;
                end.wants_open = false;
                Ok(())
            }
            Event::GoingAway { .. } => Ok(()),
            Event::Closed { error } => {
                end.closed = Some(error);
                let open = |call: &&Call| call.keys[me].is_some() && !call.gone[me];
                let left = self.calls.values().find(|call| open(call) && !(me == 1 && call.finished.is_some()));
                expect(left.is_none(), || format!("call {:?} was never told of its end", left.map(|call| call.id)))?;
                expect(machine.calls_open() == 0, || "calls are left".into())
            }
            Event::Writable { key } => self.call(key).hears(me),
            // What the link has corrupted may be no call any more.
            Event::Request { key, .. } if !honest => {
                machine.answer(key, 404, &Headers::new(), Bytes::new());
                Ok(())
            }
            Event::Tunnel { key, .. } if !honest => {
                machine.finish(key, &Status::unavailable("refused"), &Metadata::new(), &Metadata::new());
                Ok(())
            }
            Event::Request { .. } | Event::Tunnel { .. } => Err("a call came as something else".into()),
            Event::Started { key, head, deadline, last } => {
                let call = self.call(key);
                expect(call.keys[1].replace(key).is_none(), || "a second start".into())?;
                call.half_closed_seen = last;
                if !honest {
                    return Ok(());
                }
                let number = (call.id - 1) / 2;
                let mut given = Metadata::new();
                given.append_unchecked("user-agent", b"sim");
                given.extend(&pattern::metadata(call.request_kind, number));
                expect(head.metadata == given, || "other metadata".into())?;
                expect(deadline.is_some() == call.deadline.is_some(), || "a deadline was lost or made up".into())?;
                expect(!last || call.half_closed && call.sent[0].is_empty(), || "nobody said it was the last".into())
            }
            Event::Headers { key, head } => {
                let call = self.call(key);
                call.hears(0)?;
                expect(!std::mem::replace(&mut call.leading_seen, true), || "headers twice".into())?;
                if !honest {
                    return Ok(());
                }
                let kind = call.leading_kind.ok_or("nobody sent it")?;
                expect(head.metadata == pattern::metadata(kind, call.id), || "other metadata".into())
            }
            Event::Message { key, message, last } => {
                let holds = self.ends[me].holds;
                let call = self.call(key);
                call.hears(me)?;
                let from = side.peer();
                expect(side == Side::Server || call.leading_seen, || "a message before the headers".into())?;
                let number = call.seen[from as usize];
                call.seen[from as usize] += 1;
                if honest {
                    let len = *call.sent[from as usize].get(number).ok_or("more messages than were sent")?;
                    expect(message.bytes.len() == len, || format!("message {number} has {len} bytes"))?;
                    let offset = call.sent[from as usize][..number].iter().sum::<usize>();
                    pattern::check(from, call.id, offset as u64, &message.bytes)?;
                }
                if last {
                    call.half_close_seen(honest)?;
                }
                if holds {
                    call.held[me].push(message.bytes.len());
                } else {
                    machine.consumed(key, message.bytes.len());
                }
                Ok(())
            }
            Event::HalfClosed { key } => {
                let call = self.call(key);
                call.hears(1)?;
                call.half_close_seen(honest)
            }
            Event::Cancelled { key, status } => {
                let closing = machine.is_draining();
                let call = self.call(key);
                call.hears(1)?;
                expect(call.finished.is_none(), || "the handler had finished".into())?;
                call.gone[1] = true;
                if !honest {
                    return Ok(());
                }
                let late = call.deadline.is_some_and(|deadline| deadline <= now);
                let fits = match status.code() {
                    Code::DeadlineExceeded => call.deadline.is_some(),
                    Code::Cancelled => call.cancelled || late || call.ended.is_some(),
                    Code::Unavailable => closing,
                    Code::ResourceExhausted => call.too_large,
                    _ => false,
                };
                call.cancelled = true;
                expect(fits, || "nobody had a reason".into())
            }
            Event::Ended { key, status, trailing, unprocessed } => {
                let closing = machine.is_draining();
                let call = self.call(key);
                call.hears(0)?;
                call.gone[0] = true;
                call.ended = Some(status.code());
                if !honest {
                    return Ok(());
                }
                if unprocessed {
                    return expect(call.keys[1].is_none() || call.refused, || "the peer did process it".into());
                }
                if let Some((finished, kind)) = &call.finished
                    && *finished == status
                    && trailing == pattern::metadata(*kind, call.id)
                {
                    let seen = call.seen[1] == call.sent[1].len();
                    return expect(seen, || format!("{} of {} messages were seen", call.seen[1], call.sent[1].len()));
                }
                let late = call.deadline.is_some_and(|deadline| deadline <= now);
                let fits = match status.code() {
                    Code::DeadlineExceeded => call.deadline.is_some(),
                    Code::Unavailable => closing,
                    Code::ResourceExhausted => call.too_large,
                    Code::Cancelled => late,
                    _ => false,
                };
                expect(fits, || format!("nobody had a reason; the handler ended with {:?}", call.finished))
            }
        }
    }

    /// Every message `from` has sent has been seen, unless somebody gave the call up.
    fn check_delivered(&self, from: Side) -> Result<(), String> {
        if self.ends.iter().any(|end| end.closed.is_some()) {
            return Ok(());
        }
        for call in self.calls.values() {
            let lost = call.cancelled || call.too_large || call.deadline.is_some() || call.keys[1].is_none();
            let cut_short = from == Side::Client && call.finished.is_some();
            if lost || cut_short {
                continue;
            }
            let (sent, seen) = (call.sent[from as usize].len(), call.seen[from as usize]);
            let whole = if from == Side::Client { call.half_closed_seen } else { call.ended.is_some() };
            if sent != seen || !whole {
                return Err(format!("call {}: {seen} of {sent} messages from {from:?}, the end: {whole}", call.id));
            }
        }
        Ok(())
    }

    fn outcome(&self, virtual_time: Duration) -> Outcome {
        let bytes = |call: &Call| {
            Side::BOTH.map(|side| call.sent[side as usize].iter().take(call.seen[side as usize]).sum::<usize>() as u64)
        };
        Outcome {
            runs: 1,
            streams: self.calls.len() as u64,
            streams_complete: self.calls.values().filter(|call| call.ended == Some(Code::Ok)).count() as u64,
            bytes: self.calls.values().flat_map(bytes).sum(),
            floods: 0,
            virtual_time,
        }
    }
}

impl Call {
    fn new(id: u32) -> Self {
        Call {
            id,
            keys: [None; 2],
            sent: Default::default(),
            seen: [0; 2],
            held: Default::default(),
            gone: [false; 2],
            half_closed: false,
            half_closed_seen: false,
            request_kind: 0,
            deadline: None,
            leading_kind: None,
            leading_seen: false,
            finished: None,
            cancelled: false,
            refused: false,
            too_large: false,
            ended: None,
        }
    }

    /// Notes and encloses the next message of a side.
    fn message(&mut self, side: Side, len: usize) -> Bytes {
        let sent = &mut self.sent[side as usize];
        let offset = sent.iter().sum::<usize>();
        sent.push(len);
        let mut message = BytesMut::with_capacity(5 + len);
        message.put_u8(0);
        message.put_u32(len as u32);
        message.put(pattern::bytes(side, self.id, offset as u64, len));
        message.freeze()
    }

    fn finish(&mut self, status: Status, kind: u8) {
        self.finished = Some((status, kind));
        self.too_large |= pattern::is_too_large(kind);
    }

    fn hears(&self, side: usize) -> Result<(), String> {
        expect(!self.gone[side], || "an event of a call that is over".into())
    }

    fn half_close_seen(&mut self, honest: bool) -> Result<(), String> {
        expect(!std::mem::replace(&mut self.half_closed_seen, true), || "half-closed twice".into())?;
        expect(!honest || self.half_closed, || "nobody half-closed".into())?;
        expect(!honest || self.seen[0] == self.sent[0].len(), || "messages are missing".into())
    }
}

pub(crate) fn template(path: &str) -> RequestTemplate {
    RequestTemplate::new(RequestOptions {
        authority: "sim".to_owned(),
        path: path.to_owned(),
        user_agent: "sim".to_owned(),
        codec: Codec::Proto,
        compression: Compression::Identity,
        accepts: CompressionSet::NONE,
        ..RequestOptions::default()
    })
}
