//! How a run went, and which ends of a connection are to be expected.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use polywire_engine::wire::{ConnectionError, Reason, TimedOut};

use crate::program::{Operation, Program, Side};
use crate::wire::expect;

/// Figures of runs, to see that they meet something.
#[derive(Copy, Clone, Debug, Default)]
pub struct Outcome {
    /// Programs played.
    pub runs: u64,
    /// Streams or calls begun.
    pub streams: u64,
    /// Of these, those that came to their end on both sides.
    pub streams_complete: u64,
    /// Payload that arrived.
    pub bytes: u64,
    /// Connections that ended because a peer was too busy.
    pub floods: u64,
    /// Time that passed in there.
    pub virtual_time: Duration,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.streams += other.streams;
        self.streams_complete += other.streams_complete;
        self.bytes += other.bytes;
        self.floods += other.floods;
        self.virtual_time += other.virtual_time;
    }
}

/// Time in which everything must have arrived: a window of one byte takes its round trips.
pub(crate) const SETTLE_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// The one base of all moments.
pub(crate) fn base() -> Instant {
    Instant::now()
}

pub(crate) fn spent(now: Instant, since: Instant) -> Duration {
    now.saturating_duration_since(since)
}

/// Two of our own never accuse each other, and without violence a connection ends in order.
pub(crate) fn check_end(program: &Program, side: Side, error: Option<&ConnectionError>) -> Result<(), String> {
    let Some(error) = error else { return Ok(()) };
    if !program.is_honest() {
        return Ok(());
    }
    let any = |is: fn(&Operation) -> bool| program.operations.iter().any(is);
    let cut = any(|operation| matches!(operation, Operation::Cut { .. }));
    let stalled = any(|operation| matches!(operation, Operation::Stall { .. })) || cut;
    let closed = any(|operation| matches!(operation, Operation::Close { .. }));
    let fits = match error {
        ConnectionError::Lost => stalled || closed,
        ConnectionError::Local(reason) | ConnectionError::Peer(reason) => {
            *reason == Reason::NO_ERROR || closed || stalled
        }
        ConnectionError::TimedOut(TimedOut::HeaderBlock) => stalled || program.link.bytes_per_s.is_some(),
        ConnectionError::TimedOut(_) => stalled,
        ConnectionError::LimitExceeded(_) | ConnectionError::PeerMisbehaved(_) => false,
    };
    expect(fits, || format!("{side:?} ended with {error:?}"))
}
