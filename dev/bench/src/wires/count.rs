//! What lanes of calls count together, whoever makes the calls.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use tokio::task::JoinSet;

use crate::load::{Latency, Tally};

/// Calls, or messages of streams, and how long calls took.
#[derive(Default)]
pub(super) struct Count {
    operations: AtomicU64,
    ended: AtomicBool,
    /// While calls are measured.
    tally: Mutex<Option<Tally>>,
}

/// Calls going on.
#[derive(Default)]
pub(super) struct Lanes(JoinSet<io::Result<()>>);

impl Count {
    /// From now on latencies are noted.
    pub(super) fn begin(&self) {
        *self.tally() = Some(Tally::new());
    }

    /// No call begins any more. The latencies of those that ended since the [`begin`](Self::begin).
    pub(super) fn end(&self) -> Latency {
        self.ended.store(true, Ordering::Relaxed);
        self.tally().take().map(|tally| tally.latency()).unwrap_or_default()
    }

    pub(super) fn one_more(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that began then is over.
    pub(super) fn took(&self, start: Instant) {
        if let Some(tally) = &mut *self.tally() {
            tally.took(start.elapsed().as_nanos() as u64);
        }
    }

    /// Calls, or messages of streams, so far.
    pub(super) fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn tally(&self) -> MutexGuard<'_, Option<Tally>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// One more.
    pub(super) fn spawn(&mut self, lane: impl Future<Output = io::Result<()>> + Send + 'static) {
        self.0.spawn(lane);
    }

    /// Waits for the last call.
    ///
    /// # Errors
    ///
    /// When a call failed or an answer was wrong.
    pub(super) async fn join(mut self) -> io::Result<()> {
        while let Some(lane) = self.0.join_next().await {
            lane.map_err(io::Error::other)??;
        }
        Ok(())
    }
}
