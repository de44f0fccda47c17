//! HTTP/1.1: an engine alone with a peer that says anything, and two engines that talk to each other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::drain::{Due, drain};
use polywire_engine::wire::http1::Connection;
use polywire_engine::wire::{ConnectionError, Headers, Role, StreamEvent, StreamKey};
use polywire_engine::{Limits, Transmit};

use crate::draw::{Dice, Draw};
use crate::outcome::base;
use crate::wire::expect;

/// Gives bytes to a server or a client, whole and in pieces. Nothing may panic, the events keep their grammar, the end
/// is an end, and the messages that are seen do not depend on where the bytes were cut.
///
/// # Errors
/// The promise that was not kept.
pub fn hostile(bytes: &[u8]) -> Result<(), String> {
    let mut draw = Draw::new(bytes);
    let (choice, seed) = (draw.byte(), draw.byte());
    let text = draw.take(usize::MAX);
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let method = if choice & 2 == 0 { "GET" } else { "HEAD" };
    let whole = Alone::play(role, method, text, None)?;
    let mut dice = Dice::new(seed.into());
    let piece_max = [1, 3, 20, 200][usize::from(choice >> 2 & 3)];
    let cut = Alone::play(role, method, text, Some((&mut dice, piece_max)))?;
    expect(whole.messages == cut.messages, || format!("whole: {:?}\ncut: {:?}", whole.messages, cut.messages))?;
    expect(whole.broken == cut.broken, || format!("broken whole: {}, cut: {}", whole.broken, cut.broken))
}

/// What one engine made of what it was told.
struct Alone {
    machine: Connection,
    /// The messages that came to their end.
    messages: Vec<Message>,
    current: Option<Message>,
    closed: bool,
    /// The peer broke a rule.
    broken: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Message {
    id: u32,
    headers: Arc<Headers>,
    body: Vec<u8>,
    trailers: Option<Arc<Headers>>,
}

impl Alone {
    fn play(role: Role, method: &str, text: &[u8], cut: Option<(&mut Dice, u64)>) -> Result<Self, String> {
        let mut now = base();
        let mut alone = Alone {
            machine: Connection::new(role, &Arc::new(Limits::default()), now, 0),
            messages: Vec::new(),
            current: None,
            closed: false,
            broken: false,
        };
        alone.drain(now)?;
        if role == Role::Client {
            let head = [(":method", method), (":path", "/"), (":authority", "a"), ("upgrade", "x")];
            let opened = alone.machine.open(now, &Arc::new(head.into_iter().collect()), None, true);
            opened.map_err(|error| error.to_string())?;
            alone.drain(now)?;
        }
        match cut {
            None => {
                alone.machine.handle_bytes(now, Bytes::copy_from_slice(text));
                alone.drain(now)?;
            }
            Some((dice, piece_max)) => {
                let mut rest = text;
                while !rest.is_empty() {
                    let (piece, behind) = rest.split_at((1 + dice.below(piece_max) as usize).min(rest.len()));
                    rest = behind;
                    alone.machine.handle_bytes(now, Bytes::copy_from_slice(piece));
                    alone.drain(now)?;
                }
            }
        }
        if alone.machine.take_upgraded().is_some() {
            alone.broken = false;
            return Ok(alone);
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
        expect(alone.machine.streams_open() == 0, || "a stream is left".into())?;
        Ok(alone)
    }

    fn drain(&mut self, now: Instant) -> Result<(), String> {
        let mut out = Transmit::default();
        for _ in 0..10_000 {
            let mut fault = Ok(());
            let (messages, current) = (&mut self.messages, &mut self.current);
            let (closed, broken) = (&mut self.closed, &mut self.broken);
            let due = drain(&mut self.machine, now, &mut out, |machine, event| {
                if fault.is_ok() {
                    fault = hear(machine, messages, current, closed, broken, event);
                }
            });
            fault?;
            out.clear();
            if due != Due::Write {
                return Ok(());
            }
        }
        Err("it never stops writing".into())
    }
}

/// The grammar of events; a server answers a request when it has ended.
fn hear(
    machine: &mut Connection,
    messages: &mut Vec<Message>,
    current: &mut Option<Message>,
    closed: &mut bool,
    broken: &mut bool,
    event: StreamEvent,
) -> Result<(), String> {
    expect(!*closed, || "an event after Closed".into())?;
    let (key, end) = match event {
        StreamEvent::Headers { key, headers, end } => {
            expect(current.is_none(), || "headers inside a message".into())?;
            let rules = headers.fields().all(|field| {
                let lower = !field.name.iter().any(u8::is_ascii_uppercase);
                lower && !field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            });
            expect(rules, || format!("fields that HTTP/2 does not know: {headers:?}"))?;
            *current = Some(Message { id: key.id().get(), headers, body: Vec::new(), trailers: None });
            (key, end)
        }
        StreamEvent::Data { key, data, end, flow_bytes } => {
            let message = current.as_mut().ok_or("data outside a message")?;
            expect(message.id == key.id().get(), || "data of another message".into())?;
            expect(flow_bytes as usize == data.len(), || "flow bytes are not the bytes".into())?;
            message.body.extend_from_slice(&data);
            machine.release(key, flow_bytes);
            (key, end)
        }
        StreamEvent::Trailers { key, headers } => {
            let message = current.as_mut().ok_or("trailers outside a message")?;
            message.trailers = Some(headers);
            (key, true)
        }
        StreamEvent::Closed { error } => {
            *closed = true;
            *broken = matches!(error, Some(ConnectionError::PeerMisbehaved(_) | ConnectionError::LimitExceeded(_)));
            return Ok(());
        }
        _ => return Ok(()),
    };
    if end {
        messages.extend(current.take());
        if machine.role() == Role::Server {
            let head = [(":status", "200")].into_iter().collect();
            machine.send_headers(key, &Arc::new(head), None, false);
            machine.send_data(key, Bytes::from_static(b"answer"), true);
        }
    }
    Ok(())
}

/// A conversation of two engines, made up from bytes: whatever the sizes, cuts and turns, each message arrives as it was
/// given. Says how many exchanges there were.
///
/// # Errors
/// The promise that was not kept.
pub fn converse(bytes: &[u8]) -> Result<u32, String> {
    let mut draw = Draw::new(bytes);
    let seed = draw.word();
    let mut dice = Dice::new(seed.into());
    let mut talk = Talk::new(&mut dice);
    for _ in 0..400 {
        let step = if draw.is_empty() { dice.below(256) as u8 } else { draw.byte() };
        talk.step(step, &mut dice)?;
    }
    talk.finish()
}

struct Talk {
    now: Instant,
    client: Connection,
    server: Connection,
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// The exchange in progress.
    exchange: Option<Exchange>,
    complete: u32,
}

/// What was given and what came of one exchange.
struct Exchange {
    client_key: StreamKey,
    server_key: Option<StreamKey>,
    head_only: bool,
    bodiless: bool,
    te: bool,
    request: Lane,
    response: Lane,
}

#[derive(Default, Debug)]
struct Lane {
    begun: bool,
    given: usize,
    /// What content-length promised.
    promised: Option<usize>,
    ended: bool,
    trailers: bool,
    got: usize,
    held: u32,
    heads_got: u32,
    end_got: bool,
    trailers_got: bool,
}

/// The byte at a place of a message: wrong order or wrong message shows.
fn byte(id: u32, at: usize) -> u8 {
    (id as usize * 31 + at * 7 + at / 251) as u8
}

fn piece(id: u32, lane: &mut Lane, len: usize) -> Bytes {
    let len = lane.promised.map_or(len, |promised| len.min(promised - lane.given));
    let piece = (lane.given..lane.given + len).map(|at| byte(id, at)).collect::<Vec<_>>();
    lane.given += len;
    piece.into()
}

impl Lane {
    fn take(&mut self, id: u32, data: &[u8], end: bool) -> Result<(), String> {
        expect(self.heads_got == 1 && !self.end_got, || "data out of its place".into())?;
        let right = data.iter().enumerate().all(|(n, got)| *got == byte(id, self.got + n));
        expect(right, || format!("wrong bytes at {}", self.got))?;
        self.got += data.len();
        self.held += data.len() as u32;
        self.end_got = end;
        Ok(())
    }
}

impl Talk {
    fn new(dice: &mut Dice) -> Self {
        let mut limits = || {
            Arc::new(Limits {
                window_bytes: [1, 1000, 100_000][dice.below(3) as usize],
                transmit_bytes_max: 1_024 + dice.below(100_000) as usize,
                direct_bytes_max: dice.below(1_024) as usize,
                queue_high_bytes: 1_000 + dice.below(10_000) as usize,
                queue_low_bytes: dice.below(1_000) as usize,
                ..Limits::default()
            })
        };
        let now = base();
        Talk {
            now,
            client: Connection::new(Role::Client, &limits(), now, 0),
            server: Connection::new(Role::Server, &limits(), now, 0),
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            exchange: None,
            complete: 0,
        }
    }

    fn step(&mut self, step: u8, dice: &mut Dice) -> Result<(), String> {
        self.now += Duration::from_millis(dice.below(10));
        match step % 8 {
            0 => self.open(step, dice)?,
            1 => self.ask(step, dice),
            2 | 3 => self.answer(step, dice),
            4 => self.carry(Role::Server, 1 + dice.below(20) as usize),
            5 => self.carry(Role::Client, 1 + dice.below(20) as usize),
            6 => {
                self.carry(Role::Server, 1 + dice.below(6_000) as usize);
                self.carry(Role::Client, 1 + dice.below(6_000) as usize);
            }
            _ => self.release(),
        }
        self.drain()
    }

    fn open(&mut self, step: u8, dice: &mut Dice) -> Result<(), String> {
        if self.exchange.is_some() {
            return Ok(());
        }
        let method = ["POST", "GET", "HEAD", "PUT"][dice.below(4) as usize];
        let mut head: Headers =
            [(":method", method), (":scheme", "http"), (":path", "/a"), (":authority", "b")].into_iter().collect();
        let te = step & 8 != 0;
        if te {
            head.push("te", "trailers");
        }
        let mut request = Lane { begun: true, ..Lane::default() };
        if step & 16 != 0 {
            let promised = dice.below(10_000) as usize;
            head.push("content-length", promised.to_string());
            request.promised = Some(promised);
        }
        request.ended = step & 32 != 0 && request.promised.is_none();
        let opened = self.client.open(self.now, &Arc::new(head), None, request.ended);
        let client_key = opened.map_err(|error| format!("a connection at rest: {error}"))?;
        self.exchange = Some(Exchange {
            client_key,
            server_key: None,
            head_only: method == "HEAD",
            bodiless: method == "HEAD",
            te,
            request,
            response: Lane::default(),
        });
        Ok(())
    }

    /// More of the request.
    fn ask(&mut self, step: u8, dice: &mut Dice) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| !exchange.request.ended) else { return };
        let key = exchange.client_key;
        let lane = &mut exchange.request;
        if step & 8 == 0 || lane.promised.is_some() {
            let data = piece(key.id().get(), lane, dice.below(4_000) as usize);
            lane.ended = lane.promised == Some(lane.given) || (step & 16 != 0 && lane.promised.is_none());
            self.client.send_data(key, data, lane.ended);
        } else {
            lane.ended = true;
            lane.trailers = true;
            self.client.send_headers(key, &Arc::new([("sum", "1")].into_iter().collect()), None, true);
        }
    }

    /// More of the answer. It ends only behind the request: what comes of a request whose answer was first is another
    /// story.
    fn answer(&mut self, step: u8, dice: &mut Dice) {
        let Some(exchange) = &mut self.exchange else { return };
        let Some(key) = exchange.server_key else { return };
        let lane = &mut exchange.response;
        let may_end = exchange.request.end_got;
        if !lane.begun {
            let status = ["200", "404", "204", "304"][dice.below(4) as usize];
            let mut head: Headers = [(":status", status)].into_iter().collect();
            exchange.bodiless |= matches!(status, "204" | "304");
            if step & 8 != 0 && !exchange.bodiless {
                let promised = 1 + dice.below(10_000) as usize;
                head.push("content-length", promised.to_string());
                lane.promised = Some(promised);
            }
            lane.begun = true;
            lane.ended = may_end && step & 16 != 0 && lane.promised.is_none();
            self.server.send_headers(key, &Arc::new(head), None, lane.ended);
        } else if !lane.ended {
            if may_end && step & 8 != 0 && lane.promised.is_none() {
                lane.ended = true;
                lane.trailers = exchange.te && !exchange.bodiless;
                self.server.send_headers(key, &Arc::new([("sum", "2")].into_iter().collect()), None, true);
                return;
            }
            let len = dice.below(4_000) as usize;
            let len = if !may_end && let Some(promised) = lane.promised { len.min(promised - lane.given) } else { len };
            let data = piece(key.id().get(), lane, len);
            let all = lane.promised.is_none_or(|promised| promised == lane.given);
            lane.ended = may_end && all && (lane.promised.is_some() || step & 16 != 0);
            self.server.send_data(key, data, lane.ended);
        }
    }

    fn carry(&mut self, to: Role, most: usize) {
        let (queue, machine) = match to {
            Role::Server => (&mut self.to_server, &mut self.server),
            Role::Client => (&mut self.to_client, &mut self.client),
        };
        if machine.wants_bytes() && !queue.is_empty() {
            let piece: Vec<u8> = queue.drain(..most.min(queue.len())).collect();
            machine.handle_bytes(self.now, piece.into());
        }
    }

    fn release(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        if let Some(key) = exchange.server_key {
            self.server.release(key, std::mem::take(&mut exchange.request.held));
        }
        self.client.release(exchange.client_key, std::mem::take(&mut exchange.response.held));
    }

    fn drain(&mut self) -> Result<(), String> {
        let mut out = Transmit::default();
        for role in [Role::Client, Role::Server] {
            let (machine, queue) = match role {
                Role::Client => (&mut self.client, &mut self.to_server),
                Role::Server => (&mut self.server, &mut self.to_client),
            };
            loop {
                let mut fault = Ok(());
                let exchange = &mut self.exchange;
                let due = drain(machine, self.now, &mut out, |_, event| {
                    let said = format!("{role:?}: {event:?}");
                    if fault.is_ok() {
                        fault = exchange.as_mut().map_or(Ok(()), |exchange| exchange.hear(role, event));
                        fault = fault.clone().map_err(|words| format!("{words} at {said}"));
                    }
                });
                fault?;
                queue.extend(out.chunks().flatten());
                out.clear();
                if due != Due::Write {
                    break;
                }
            }
        }
        if let Some(exchange) = &self.exchange
            && [&exchange.request, &exchange.response].iter().all(|lane| lane.ended && lane.end_got)
        {
            exchange.check()?;
            self.exchange = None;
            self.complete += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u32, String> {
        for round in 0..10_000 {
            for turn in [1, 16, 3, 24, 2] {
                if self.exchange.is_none() {
                    break;
                }
                let mut dice = Dice::new(round);
                self.ask(turn, &mut dice);
                self.answer(turn & 16, &mut dice);
                self.drain()?;
                self.carry(Role::Server, usize::MAX);
                self.carry(Role::Client, usize::MAX);
                self.drain()?;
                self.release();
                self.drain()?;
            }
        }
        expect(self.exchange.is_none(), || "an exchange never ends".into())?;
        expect(self.client.can_open(), || "the connection cannot be used again".into())?;
        expect(self.client.is_idle() && self.server.is_idle(), || "something is left over".into())?;
        Ok(self.complete)
    }
}

impl Exchange {
    fn hear(&mut self, role: Role, event: StreamEvent) -> Result<(), String> {
        let id = self.client_key.id().get();
        let lane = if role == Role::Server { &mut self.request } else { &mut self.response };
        match event {
            StreamEvent::Headers { key, headers, end } => {
                expect(key.id().get() == id, || "another exchange".into())?;
                let first = if role == Role::Server { ":method" } else { ":status" };
                expect(headers.find(first).is_some(), || "no pseudo header".into())?;
                lane.heads_got += 1;
                lane.end_got = end;
                if role == Role::Server {
                    self.server_key = Some(key);
                }
                Ok(())
            }
            StreamEvent::Data { data, end, .. } => lane.take(id, &data, end),
            StreamEvent::Trailers { .. } => {
                lane.end_got = true;
                lane.trailers_got = true;
                Ok(())
            }
            StreamEvent::Closed { .. } | StreamEvent::Reset { .. } | StreamEvent::GoingAway { .. } => {
                Err("the connection ends".into())
            }
            StreamEvent::Openable | StreamEvent::Settled | StreamEvent::Writable { .. } => Ok(()),
        }
    }

    /// Both sides have heard everything.
    fn check(&self) -> Result<(), String> {
        for (lane, bodiless) in [(&self.request, false), (&self.response, self.bodiless || self.head_only)] {
            expect(lane.heads_got == 1 && lane.end_got, || format!("no head or no end: {lane:?}"))?;
            let given = if bodiless { 0 } else { lane.given };
            expect(lane.got == given, || format!("not what was given: {lane:?}"))?;
            let trailers = lane.trailers && !bodiless && lane.promised.is_none();
            expect(lane.trailers_got == trailers, || format!("trailers: {lane:?}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of which messages are made up, right and wrong.
    const WORDS: &[&str] = &[
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.0 ",
        "content-length: 5\r\n",
        "transfer-encoding: chunked\r\n",
        "connection: close\r\n",
        "upgrade: x\r\nconnection: upgrade\r\n",
        "te: trailers\r\n",
        "\r\n",
        "\r\n\r\n",
        "5\r\nhello\r\n",
        "0\r\n",
        "0\r\n\r\n",
        "x: y\r\n",
        "hello",
        "\n",
        "\r",
        " ",
        ";a=b",
        "\0",
        "204",
        "F",
    ];

    #[test]
    fn whatever_is_said_is_understood_alike_whole_and_in_pieces() {
        for seed in 0..10_000 {
            let mut dice = Dice::new(seed);
            let mut bytes = vec![dice.below(256) as u8, dice.below(256) as u8];
            for _ in 0..1 + dice.below(14) {
                bytes.extend_from_slice(WORDS[dice.below(WORDS.len() as u64) as usize].as_bytes());
            }
            for _ in 0..dice.below(3) {
                let at = 2 + dice.below(bytes.len() as u64 - 2) as usize;
                bytes[at] = dice.below(256) as u8;
            }
            if let Err(fault) = hostile(&bytes) {
                panic!("seed {seed}: {fault}\n{}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn conversations_arrive_as_they_were_given() {
        let mut complete = 0;
        for seed in 0..300u32 {
            match converse(&seed.to_le_bytes()) {
                Ok(exchanges) => complete += exchanges,
                Err(fault) => panic!("seed {seed}: {fault}"),
            }
        }
        assert!(complete > 1_000, "{complete}");
    }
}
