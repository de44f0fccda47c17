//! Plays a program on two HTTP/2 connections and compares what each reports with what the other was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polywire_engine::wire::{
    ConnectionError, Headers, LimitExceeded, OpenError, Reason, Role, StreamEvent as Event, StreamKey,
    http2::Connection,
};

use crate::network::{Listener, Network};
use crate::outcome::{Outcome, SETTLE_MAX, base, check_end, spent};
use crate::pattern::{self, Heads};
use crate::program::{Operation, Program, Side};

/// Plays `program` to its end.
///
/// # Errors
/// The promise that was not kept.
pub fn play(program: &Program) -> Result<Outcome, String> {
    let now = base();
    let machine = |role, seed| Connection::new(role, &program.limits[seed as usize], now, seed);
    let mut player = Player {
        network: Network::new(program, now, [machine(Role::Client, 0), machine(Role::Server, 1)]),
        model: Model::new(program),
        heads: Heads::new(),
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
    heads: Heads,
    program: &'a Program,
}

/// What each side must see.
struct Model {
    honest: bool,
    streams: BTreeMap<u32, Stream>,
    ends: [End; 2],
    high: [usize; 2],
}

#[derive(Default)]
struct End {
    closed: Option<Option<ConnectionError>>,
    holds: bool,
    settled: bool,
    going_away: bool,
    /// Inputs so far.
    turns: u64,
    /// Client: an `open` was refused and waits for `Openable`.
    wants_open: bool,
}

struct Stream {
    id: u32,
    keys: [Option<StreamKey>; 2],
    /// What each side sends.
    halves: [Half; 2],
    /// A side has no such stream any more; the turn in which it became so.
    gone: [Option<u64>; 2],
    /// A side was told to reset it.
    reset: [bool; 2],
}

#[derive(Default)]
struct Half {
    head: Option<Arc<Headers>>,
    too_large: bool,
    given_bytes: u64,
    trailers: Option<Arc<Headers>>,
    ended: bool,
    above_high: bool,
    // The reader
    seen_head: bool,
    seen_bytes: u64,
    seen_end: bool,
    held_bytes: u32,
}

impl Player<'_> {
    fn step(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Open { headers, bytes, end, .. } => self.open(headers, bytes, end),
            Operation::Send { side, pick, bytes, end } => {
                if side == Side::Server {
                    self.send_head(pick, pick)?;
                }
                self.send(side, pick, bytes, end)
            }
            Operation::Start { pick, headers } => self.send_head(pick, headers),
            Operation::Inform { pick } => {
                let Some((key, stream)) = self.model.pick(Side::Server, pick) else { return Ok(()) };
                let fits = stream.gone[1].is_none() && stream.halves[1].head.is_none();
                let sent = self.network.machine(Side::Server).send_headers(key, &self.heads.informational, None, false);
                expect(sent == fits, || format!("stream {}: 1xx was taken: {sent}", key.id().get()))
            }
            Operation::Finish { pick, headers } => {
                self.send_head(pick, 0)?;
                self.trailers(pick, headers)
            }
            Operation::Reset { side, pick } => {
                let Some((key, stream)) = self.model.pick(side, pick) else { return Ok(()) };
                let was_gone = stream.gone[side as usize].is_some();
                let turns = self.model.ends[side as usize].turns;
                let done = self.network.machine(side).reset(key, REASON);
                let stream = self.model.stream(key.id().get());
                if done {
                    stream.reset[side as usize] = true;
                    stream.gone[side as usize] = Some(turns);
                }
                expect(!(done && was_gone), || format!("stream {}: gone, and reset again", key.id().get()))
            }
            Operation::Hold { side, on } => {
                self.model.ends[side as usize].holds = on;
                Ok(())
            }
            Operation::Release { side, pick, percent } => {
                let Some((key, stream)) = self.model.pick(side, pick) else { return Ok(()) };
                let held = &mut stream.halves[side.peer() as usize].held_bytes;
                let bytes = (u64::from(*held) * u64::from(percent) / 255) as u32;
                *held -= bytes;
                self.network.machine(side).release(key, bytes);
                Ok(())
            }
            Operation::Drain { side } => {
                let now = self.network.now;
                self.network.machine(side).drain(now, "the program says so");
                Ok(())
            }
            Operation::Close { side, error } => {
                let reason = if error { Reason::INTERNAL_ERROR } else { Reason::NO_ERROR };
                let now = self.network.now;
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

    fn open(&mut self, headers: u8, bytes: Option<u32>, end: bool) -> Result<(), String> {
        let head = Arc::clone(&self.heads.requests[usize::from(headers >> 4) % 3]);
        let extra = pattern::extra(headers, self.model.streams.len() as u32);
        let now = self.network.now;
        let client = self.network.machine(Side::Client);
        let could = client.can_open();
        let key = match client.open(now, &head, Some(&extra), end && bytes.is_none()) {
            Ok(key) => key,
            Err(error) => {
                expect(!could, || format!("can_open, and yet {error:?}"))?;
                self.model.ends[0].wants_open |= error == OpenError::Full;
                let closed = self.model.ends[0].closed.is_some();
                return expect(!(closed && error == OpenError::Full), || "closed, and yet Full".into());
            }
        };
        expect(could, || "cannot open, and yet did".into())?;
        expect(self.model.ends[0].closed.is_none(), || "opened after Closed".into())?;
        let id = key.id().get();
        let half = Half {
            head: Some(joined(&head, &extra)),
            too_large: pattern::is_too_large(headers),
            ended: end && bytes.is_none(),
            ..Half::default()
        };
        let stream = Stream {
            id,
            keys: [Some(key), None],
            halves: [half, Half::default()],
            gone: [None, None],
            reset: [false, false],
        };
        // A corrupted id may have made the server see this one before.
        let fresh = self.model.streams.insert(id, stream).is_none() || !self.model.honest;
        expect(fresh, || format!("stream {id} is opened twice"))?;
        match bytes {
            Some(bytes) => self.send_on(Side::Client, key, bytes, end),
            None => Ok(()),
        }
    }

    fn send_head(&mut self, pick: u8, headers: u8) -> Result<(), String> {
        let Some((key, stream)) = self.model.pick(Side::Server, pick) else { return Ok(()) };
        let half = &mut stream.halves[1];
        if half.head.is_some() {
            return Ok(());
        }
        let extra = pattern::extra(headers, stream.id);
        half.head = Some(joined(&self.heads.response, &extra));
        half.too_large |= pattern::is_too_large(headers);
        let alive = stream.gone[1].is_none();
        let sent = self.network.machine(Side::Server).send_headers(key, &self.heads.response, Some(&extra), false);
        expect(sent == alive, || format!("stream {}: headers were taken: {sent}", key.id().get()))
    }

    fn send(&mut self, side: Side, pick: u8, bytes: u32, end: bool) -> Result<(), String> {
        match self.model.pick(side, pick) {
            Some((key, _)) => self.send_on(side, key, bytes, end),
            None => Ok(()),
        }
    }

    fn send_on(&mut self, side: Side, key: StreamKey, bytes: u32, end: bool) -> Result<(), String> {
        let high = self.model.high[side as usize];
        let stream = self.model.stream(key.id().get());
        let id = stream.id;
        let half = &mut stream.halves[side as usize];
        let fits = stream.gone[side as usize].is_none() && half.head.is_some() && !half.ended;
        let data = pattern::bytes(side, id, half.given_bytes, bytes as usize);
        if fits {
            half.given_bytes += u64::from(bytes);
            half.ended = end;
        }
        let machine = self.network.machine(side);
        let sent = machine.send_data(key, data, end);
        half.above_high |= machine.queued_bytes(key) > high;
        expect(sent == fits, || format!("stream {id}: {side:?}'s data were taken: {sent}"))
    }

    fn trailers(&mut self, pick: u8, headers: u8) -> Result<(), String> {
        let Some((key, stream)) = self.model.pick(Side::Server, pick) else { return Ok(()) };
        let half = &mut stream.halves[1];
        let fits = stream.gone[1].is_none() && half.head.is_some() && !half.ended;
        let extra = pattern::extra(headers, stream.id);
        if fits {
            half.ended = true;
            half.trailers = Some(joined(&self.heads.trailers, &extra));
            half.too_large |= pattern::is_too_large(headers);
        }
        let sent = self.network.machine(Side::Server).send_headers(key, &self.heads.trailers, Some(&extra), true);
        expect(sent == fits, || format!("stream {}: trailers were taken: {sent}", key.id().get()))
    }

    /// Lets everything come to its end and looks whether it does.
    fn finish(mut self) -> Result<Outcome, String> {
        let peaceful = !self.program.has_violence();
        self.take_all(Side::Client);
        self.take_all(Side::Server);
        let quiet = self.network.settle(SETTLE_MAX, &mut self.model)?;
        expect(quiet, || "bytes are still under way after hours".into())?;
        let alive = peaceful && self.model.ends.iter().all(|end| end.closed.is_none());
        if alive {
            self.check_writable()?;
        }
        for key in self.model.keys(Side::Client) {
            if !self.model.stream(key.id().get()).halves[0].ended {
                self.send_on(Side::Client, key, 0, true)?;
            }
        }
        self.network.settle(SETTLE_MAX, &mut self.model)?;
        if peaceful {
            self.model.check_delivered(Side::Client)?;
        }
        for pick in 0..self.model.keys(Side::Server).len() {
            let key = self.model.keys(Side::Server)[pick];
            let stream = self.model.stream(key.id().get());
            if stream.gone[1].is_none() && !stream.halves[1].ended {
                if stream.halves[1].head.is_none() {
                    let head = Arc::clone(&self.heads.response);
                    stream.halves[1].head = Some(joined(&head, &Headers::new()));
                    self.network.machine(Side::Server).send_headers(key, &head, None, false);
                }
                self.send_on(Side::Server, key, 3, true)?;
            }
        }
        self.network.settle(SETTLE_MAX, &mut self.model)?;
        if peaceful {
            self.model.check_delivered(Side::Server)?;
        }
        for side in Side::BOTH {
            let machine = self.network.machine(side);
            let (open, closed) = (machine.streams_open(), self.model.ends[side as usize].closed.is_some());
            if peaceful || closed {
                expect(open == 0, || format!("{side:?} still has {open} streams"))?;
            }
        }
        let client = self.network.machine(Side::Client);
        expect(!(self.model.ends[0].wants_open && client.can_open()), || "Openable was never said".into())?;
        let now = self.network.now;
        self.network.machine(Side::Server).drain(now, "over");
        self.network.advance(Duration::from_secs(60), &mut self.model)?;
        self.network.machine(Side::Client).close(now + Duration::from_secs(60), Reason::NO_ERROR, "over");
        self.network.machine(Side::Server).close(now + Duration::from_secs(60), Reason::NO_ERROR, "over");
        self.network.advance(Duration::from_secs(120), &mut self.model)?;
        for side in Side::BOTH {
            let closed = self.model.ends[side as usize].closed;
            let error = closed.ok_or_else(|| format!("{side:?} was never told Closed"))?;
            expect(self.network.is_gone(side), || format!("{side:?} is closed and not done"))?;
            check_end(self.program, side, error.as_ref())?;
        }
        Ok(self.model.outcome(spent(self.network.now, now)))
    }

    /// A side takes what it has kept, and from now on everything at once.
    fn take_all(&mut self, side: Side) {
        self.model.ends[side as usize].holds = false;
        for key in self.model.keys(side) {
            let bytes = std::mem::take(&mut self.model.stream(key.id().get()).halves[side.peer() as usize].held_bytes);
            self.network.machine(side).release(key, bytes);
        }
    }

    /// Where a queue was full and has been sent, the producer has been told.
    fn check_writable(&mut self) -> Result<(), String> {
        for side in Side::BOTH {
            for key in self.model.keys(side) {
                let stream = self.model.stream(key.id().get());
                let half = &stream.halves[side as usize];
                if stream.gone[side as usize].is_none() && !half.ended && half.above_high {
                    let queued = self.network.machine(side).queued_bytes(key);
                    return Err(format!("stream {}: {queued} bytes queued, and no Writable for {side:?}", stream.id));
                }
            }
        }
        Ok(())
    }
}

impl Listener<Connection> for Model {
    fn hear(&mut self, _now: Instant, side: Side, machine: &mut Connection, event: Event) -> Result<(), String> {
        let words = format!("{side:?} reported {event:?}");
        self.check(side, machine, event).map_err(|fault| {
            let mut words = words;
            words.truncate(300);
            format!("{fault}: {words}")
        })
    }

    fn turn(&mut self, side: Side) {
        self.ends[side as usize].turns += 1;
    }
}

impl Model {
    fn new(program: &Program) -> Self {
        Model {
            honest: program.is_honest(),
            streams: BTreeMap::new(),
            ends: Default::default(),
            high: Side::BOTH.map(|side| program.limits[side as usize].queue_high_bytes),
        }
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        self.streams.entry(id).or_insert_with(|| Stream {
            id,
            keys: [None; 2],
            halves: Default::default(),
            gone: [None; 2],
            reset: [false; 2],
        })
    }

    fn keys(&self, side: Side) -> Vec<StreamKey> {
        self.streams.values().filter_map(|stream| stream.keys[side as usize]).collect()
    }

    /// One of the latest streams a side knows.
    fn pick(&mut self, side: Side, pick: u8) -> Option<(StreamKey, &mut Stream)> {
        let known = self.streams.values_mut().rev().filter(|stream| stream.keys[side as usize].is_some()).take(16);
        let mut known: Vec<_> = known.collect();
        if known.is_empty() {
            return None;
        }
        let stream = known.swap_remove(usize::from(pick) % known.len());
        Some((stream.keys[side as usize]?, stream))
    }

    fn check(&mut self, side: Side, machine: &mut Connection, event: Event) -> Result<(), String> {
        let (me, peer) = (side as usize, side.peer() as usize);
        let honest = self.honest;
        let end = &mut self.ends[me];
        expect(end.closed.is_none(), || "an event after Closed".into())?;
        let turns = end.turns;
        match event {
            Event::Settled => expect(!std::mem::replace(&mut end.settled, true), || "Settled twice".into()),
            Event::Openable => {
                expect(end.wants_open, || "Openable for nothing".into())?;
                end.wants_open = false;
                Ok(())
            }
            Event::GoingAway { .. } => {
                end.going_away = true;
                Ok(())
            }
            Event::Closed { error } => {
                end.closed = Some(error);
                for stream in self.streams.values_mut() {
                    stream.gone[me].get_or_insert(0);
                }
                Ok(())
            }
            Event::Writable { key } => {
                let stream = self.stream(key.id().get());
                let half = &mut stream.halves[me];
                expect(stream.gone[me].is_none_or(|at| at == turns), || "of a stream that is gone".into())?;
                expect(std::mem::replace(&mut half.above_high, false), || "the queue was never high".into())
            }
            Event::Headers { key, headers, end } => {
                let stream = self.stream(key.id().get());
                stream.may_hear(me, turns)?;
                if side == Side::Server {
                    expect(stream.keys[me].replace(key).is_none(), || "a second request".into())?;
                }
                let half = &mut stream.halves[peer];
                expect(!std::mem::replace(&mut half.seen_head, true), || "headers twice".into())?;
                if honest {
                    let given = half.head.as_ref().ok_or("nobody sent it")?;
                    expect(**given == *headers, || format!("other headers than were sent: {given:?}"))?;
                }
                stream.hear_end(me, end, honest, None)
            }
            Event::Data { key, data, end, flow_bytes } => {
                let holds = self.ends[me].holds;
                let stream = self.stream(key.id().get());
                stream.may_hear(me, turns)?;
                let half = &mut stream.halves[peer];
                expect(half.seen_head, || "data before headers".into())?;
                expect(flow_bytes as usize >= data.len(), || "costs less than it holds".into())?;
                let from = half.seen_bytes;
                half.seen_bytes += data.len() as u64;
                half.held_bytes += flow_bytes;
                if honest {
                    expect(half.seen_bytes <= half.given_bytes, || "more data than were sent".into())?;
                    pattern::check(side.peer(), stream.id, from, &data)?;
                }
                if !holds {
                    machine.release(key, std::mem::take(&mut half.held_bytes));
                }
                stream.hear_end(me, end, honest, None)
            }
            Event::Trailers { key, headers } => {
                let stream = self.stream(key.id().get());
                stream.may_hear(me, turns)?;
                expect(stream.halves[peer].seen_head, || "trailers before headers".into())?;
                stream.hear_end(me, true, honest, Some(headers))
            }
            Event::Reset { key, reason, by_peer, unprocessed } => {
                let stream = self.stream(key.id().get());
                expect(stream.gone[me].is_none_or(|at| at == turns), || "of a stream that is gone".into())?;
                stream.gone[me] = Some(turns.wrapping_sub(1));
                if !honest {
                    return Ok(());
                }
                if unprocessed {
                    // The promise: the peer's application never saw it, and never will.
                    expect(stream.keys[peer].is_none(), || "the peer did process it".into())?;
                    stream.gone[peer].get_or_insert(0);
                }
                let too_large = stream.halves.iter().any(|half| half.too_large);
                let fits = match (by_peer, reason) {
                    (true, Reason::NO_ERROR) => side == Side::Client && stream.halves[1].ended,
                    (true, REASON) => stream.reset[peer],
                    (true, Reason::REFUSED_STREAM) => unprocessed,
                    (true, Reason::STREAM_CLOSED) => stream.gone[peer].is_some(),
                    (_, Reason::ENHANCE_YOUR_CALM) => too_large,
                    _ => false,
                };
                expect(fits, || "nobody had a reason".into())
            }
        }
    }

    /// Everything `from` has sent and ended has been seen, unless somebody reset the stream.
    fn check_delivered(&self, from: Side) -> Result<(), String> {
        if self.ends.iter().any(|end| end.closed.is_some()) {
            return Ok(());
        }
        for stream in self.streams.values() {
            let half = &stream.halves[from as usize];
            let lost = stream.reset.iter().any(|reset| *reset) || stream.halves.iter().any(|half| half.too_large);
            // A server that ends first takes the client's side with it.
            let cut_short = from == Side::Client && stream.halves[1].ended;
            let refused = stream.keys[1].is_none() && stream.gone[0].is_some();
            if lost || cut_short || refused || !half.ended {
                continue;
            }
            if half.seen_bytes != half.given_bytes || !half.seen_end {
                return Err(format!(
                    "stream {}: of {} bytes from {from:?} {} were seen, the end: {}",
                    stream.id, half.given_bytes, half.seen_bytes, half.seen_end
                ));
            }
        }
        Ok(())
    }

    fn outcome(&self, virtual_time: Duration) -> Outcome {
        let halves = || self.streams.values().flat_map(|stream| &stream.halves);
        Outcome {
            streams: self.streams.len() as u64,
            streams_complete: self.streams.values().filter(|s| s.halves.iter().all(|half| half.seen_end)).count()
                as u64,
            bytes: halves().map(|half| half.seen_bytes).sum(),
            floods: u64::from(self.ends.iter().any(|end| {
                matches!(
                    end.closed,
                    Some(Some(ConnectionError::LimitExceeded(LimitExceeded::IdleFrames | LimitExceeded::Resets)))
                )
            })),
            virtual_time,
            runs: 1,
        }
    }
}

impl Stream {
    /// Whether a side may still be told something: what waited when it reset the stream may come, but nothing new.
    fn may_hear(&self, side: usize, turns: u64) -> Result<(), String> {
        let half = &self.halves[1 - side];
        expect(!half.seen_end, || "an event after the end".into())?;
        expect(self.gone[side].is_none_or(|at| at == turns), || "an event of a stream that is gone".into())
    }

    fn hear_end(&mut self, side: usize, end: bool, honest: bool, trailers: Option<Arc<Headers>>) -> Result<(), String> {
        let half = &mut self.halves[1 - side];
        half.seen_end = end;
        if end && honest {
            expect(half.ended, || "nobody sent an end".into())?;
            expect(half.seen_bytes == half.given_bytes, || format!("{} bytes were sent", half.given_bytes))?;
            expect(half.trailers == trailers, || "other trailers than were sent".into())?;
        }
        Ok(())
    }
}

/// The reason of a program's resets.
const REASON: Reason = Reason::CANCEL;

fn joined(head: &Headers, extra: &Headers) -> Arc<Headers> {
    let mut joined = head.clone();
    for field in extra.fields() {
        if field.sensitive {
            joined.push_sensitive(field.name, field.value);
        } else {
            joined.push(field.name, field.value);
        }
    }
    Arc::new(joined)
}

pub(crate) fn expect(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}
