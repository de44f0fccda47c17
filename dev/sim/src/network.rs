//! Two machines of the engine, a link between them, and a clock that only moves when nothing else does.

use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::drain::{Due, Machine, drain};
use polywire_engine::wire::http2;
use polywire_engine::{Connection, Transmit};

use crate::draw::Dice;
use crate::link::{Arrival, Lane};
use crate::observer::Observer;
use crate::program::{Program, Side};

/// A machine that sits at the end of a byte transport.
pub trait Endpoint: Machine {
    /// Bytes have arrived.
    fn handle_bytes(&mut self, now: Instant, bytes: Bytes);
    /// The peer will send nothing more.
    fn handle_eof(&mut self, now: Instant);
    /// A part of a transmit has been taken.
    fn handle_progress(&mut self, now: Instant);
}

/// Who hears what a machine reports.
pub trait Listener<M: Endpoint> {
    /// An event of one side. It may give commands at once.
    fn hear(&mut self, now: Instant, side: Side, machine: &mut M, event: M::Event) -> Result<(), String>;

    /// Something came in at a side, or time passed there: what was queued before has been reported.
    fn turn(&mut self, side: Side);
}

/// Two ends and the link between them.
pub struct Network<M> {
    /// The time here.
    pub now: Instant,
    /// Looks at every frame; absent where frames are corrupted on purpose.
    pub observer: Option<Observer>,
    ends: [End<M>; 2],
    /// By the side that writes.
    lanes: [Lane; 2],
    steps: u64,
}

struct End<M> {
    machine: M,
    out: Transmit,
    /// The transport is closed at this end.
    gone: bool,
}

/// Steps after which two machines are said never to come to rest.
const STEPS_MAX: u64 = 3_000_000;

/// Timers of one machine that may be due at one moment.
const TURNS_MAX: u32 = 8;

impl<M: Endpoint> Network<M> {
    /// Puts two machines at the ends of the program's link.
    pub fn new(program: &Program, now: Instant, machines: [M; 2]) -> Self {
        let mut dice = Dice::new(program.seed);
        let lanes = Side::BOTH.map(|_| Lane::new(program.link, dice.roll()));
        let observer = program.is_honest().then(|| Observer::new(&program.limits));
        let ends = machines.map(|machine| End { machine, out: Transmit::default(), gone: false });
        Network { now, observer, ends, lanes, steps: 0 }
    }

    /// The machine of a side.
    pub fn machine(&mut self, side: Side) -> &mut M {
        &mut self.ends[side as usize].machine
    }

    /// Whether a side has closed its transport.
    #[must_use]
    pub fn is_gone(&self, side: Side) -> bool {
        self.ends[side as usize].gone
    }

    /// What a side writes is lost after so many bytes more.
    pub fn cut(&mut self, side: Side, after_bytes: usize, both: bool) {
        self.lanes[side as usize].cut(after_bytes);
        if both {
            self.lanes[side.peer() as usize].cut(0);
        }
    }

    /// A side reads nothing for so long.
    pub fn stall(&mut self, side: Side, length: Duration) {
        self.lanes[side.peer() as usize].stall(self.now + length);
    }

    /// Moves everything that can move without time passing.
    ///
    /// # Errors
    /// What the listener or the observer found wrong.
    pub fn run(&mut self, listener: &mut impl Listener<M>) -> Result<(), String> {
        loop {
            let mut moved = false;
            for side in Side::BOTH {
                moved |= self.write(side, listener)?;
                moved |= self.read(side, listener)?;
            }
            if !moved {
                return Ok(());
            }
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err("the two never come to rest".into());
            }
        }
    }

    /// Lets time pass, with arrivals and timers in their order.
    ///
    /// # Errors
    /// As [`run`](Self::run), or a timer that is due again at once.
    pub fn advance(&mut self, length: Duration, listener: &mut impl Listener<M>) -> Result<(), String> {
        let end = self.now + length;
        self.run(listener)?;
        while let Some(next) = self.next_moment().filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.run_timers(listener)?;
            self.run(listener)?;
        }
        self.now = end;
        Ok(())
    }

    /// Lets time pass until no byte is under way, but at most so long. False: some still are.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn settle(&mut self, length: Duration, listener: &mut impl Listener<M>) -> Result<bool, String> {
        let end = self.now + length;
        self.run(listener)?;
        while self.lanes.iter().any(|lane| lane.next_arrival(self.now).is_some()) {
            let Some(next) = self.next_moment().filter(|at| *at <= end) else { return Ok(false) };
            self.now = self.now.max(next);
            self.run_timers(listener)?;
            self.run(listener)?;
        }
        Ok(true)
    }

    fn next_moment(&self) -> Option<Instant> {
        let arrivals = self.lanes.iter().filter_map(|lane| lane.next_arrival(self.now));
        let timers = self.ends.iter().filter(|end| !end.gone).filter_map(|end| end.machine.poll_timeout());
        arrivals.chain(timers).min()
    }

    fn run_timers(&mut self, listener: &mut impl Listener<M>) -> Result<(), String> {
        for side in Side::BOTH {
            // What one timer does may make another due, but not without end.
            for turn in 0.. {
                let end = &mut self.ends[side as usize];
                if end.gone || end.machine.poll_timeout().is_none_or(|at| at > self.now) {
                    break;
                }
                if turn == TURNS_MAX {
                    return Err(format!("{side:?}: a timer is due again and again"));
                }
                end.machine.handle_timeout(self.now);
                listener.turn(side);
                self.write(side, listener)?;
            }
        }
        Ok(())
    }

    /// Drains a machine into the link, as far as that takes it.
    fn write(&mut self, side: Side, listener: &mut impl Listener<M>) -> Result<bool, String> {
        let end = &mut self.ends[side as usize];
        let mut moved = false;
        if end.gone {
            return Ok(false);
        }
        loop {
            let mut fault = Ok(());
            let mut hear = |machine: &mut M, event: M::Event| {
                if fault.is_ok() {
                    fault = listener.hear(self.now, side, machine, event);
                }
            };
            if end.out.is_empty() {
                let due = drain(&mut end.machine, self.now, &mut end.out, hear);
                fault?;
                match due {
                    Due::Write if end.out.is_empty() => return Err(format!("{side:?}: said Write and wrote nothing")),
                    Due::Write => {
                        if let Some(observer) = &mut self.observer {
                            end.out.chunks().try_for_each(|chunk| observer.sent(side, chunk))?;
                        }
                    }
                    Due::Wait(_) => return Ok(moved),
                    Due::Close => {
                        end.gone = true;
                        self.lanes[side as usize].end();
                        self.lanes[side.peer() as usize].abandon();
                        return Ok(true);
                    }
                }
            } else {
                while let Some(event) = end.machine.poll_event() {
                    hear(&mut end.machine, event);
                }
                fault?;
            }
            if self.lanes[side as usize].write(self.now, &mut end.out) == 0 {
                return Ok(moved);
            }
            moved = true;
            if !end.out.is_empty() {
                end.machine.handle_progress(self.now);
                return Ok(true);
            }
        }
    }

    fn read(&mut self, side: Side, listener: &mut impl Listener<M>) -> Result<bool, String> {
        let end = &mut self.ends[side as usize];
        if end.gone {
            return Ok(false);
        }
        match self.lanes[side.peer() as usize].read(self.now) {
            Arrival::Nothing => return Ok(false),
            Arrival::Bytes(bytes) => {
                if let Some(observer) = &mut self.observer {
                    observer.received(side, bytes.len())?;
                }
                end.machine.handle_bytes(self.now, bytes);
            }
            Arrival::End => end.machine.handle_eof(self.now),
        }
        listener.turn(side);
        Ok(true)
    }
}

impl Endpoint for http2::Connection {
    fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        http2::Connection::handle_bytes(self, now, bytes);
    }

    fn handle_eof(&mut self, now: Instant) {
        http2::Connection::handle_eof(self, now);
    }

    fn handle_progress(&mut self, now: Instant) {
        http2::Connection::handle_progress(self, now);
    }
}

impl Endpoint for Connection {
    fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        Connection::handle_bytes(self, now, bytes);
    }

    fn handle_eof(&mut self, now: Instant) {
        Connection::handle_eof(self, now);
    }

    fn handle_progress(&mut self, now: Instant) {
        Connection::handle_progress(self, now);
    }
}
