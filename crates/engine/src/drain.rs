//! The contract of every machine in one place: after every input or command, drain the output until nothing is due.

use std::time::Instant;

use crate::transmit::Transmit;

/// A machine without I/O: bytes and time go in, events and bytes come out.
pub trait Machine {
    /// What it reports.
    type Event;

    /// The next thing to report. Commands may be given in between.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// Appends what is to be written. False: nothing. Each call but the first after an input says that everything
    /// from the calls before has been written.
    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool;

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Time has passed.
    fn handle_timeout(&mut self, now: Instant);

    /// Whether everything has been said: the transport may be closed.
    fn is_closed(&self) -> bool;
}

/// What is due next. See [`drain`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Write everything in the transmit, then drain again.
    Write,
    /// Wait for input, a command, or this moment (then `handle_timeout`), then drain again.
    Wait(Option<Instant>),
    /// Everything has been said. Close the transport.
    Close,
}

/// Drains a machine: all events first, so that the answers they provoke travel in one write, then the output.
///
/// Call it after every input and every command, until it no longer says [`Due::Write`]. A driver awaits its
/// transport between the calls; a simulator moves the bytes at once.
///
/// ```
/// # use polywire_engine::{drain::{drain, Due, Machine}, Transmit};
/// # fn step<M: Machine>(machine: &mut M, now: std::time::Instant, mut write: impl FnMut(&Transmit)) -> Option<std::time::Instant> {
/// let mut out = Transmit::default();
/// loop {
///     match drain(machine, now, &mut out, |_machine, _event| { /* dispatch */ }) {
///         Due::Write => { write(&out); out.clear(); }
///         Due::Wait(until) => return until,
///         Due::Close => return None,
///     }
/// }
/// # }
/// ```
pub fn drain<M: Machine>(
    machine: &mut M,
    now: Instant,
    out: &mut Transmit,
    mut dispatch: impl FnMut(&mut M, M::Event),
) -> Due {
    while let Some(event) = machine.poll_event() {
        dispatch(machine, event);
    }
    if machine.poll_transmit(now, out) {
        return Due::Write;
    }
    // Taking output may have made room, which is an event, which may provoke output.
    while let Some(event) = machine.poll_event() {
        dispatch(machine, event);
    }
    if machine.poll_transmit(now, out) {
        return Due::Write;
    }
    if machine.is_closed() {
        return Due::Close;
    }
    Due::Wait(machine.poll_timeout())
}
