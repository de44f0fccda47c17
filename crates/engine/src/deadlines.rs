use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use crate::wire::http2::{StreamId, StreamKey};

/// The deadlines of calls, the earliest first.
///
/// A call that ends leaves its entry behind; [`prune`](Self::prune) throws such entries out when they are the majority, so
/// that a second's worth of short calls with long deadlines costs no memory.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, u32, StreamId)>>,
}

/// Entries that are kept without looking whether they are still of use.
const SLACK: usize = 64;

impl Deadlines {
    pub(crate) fn push(&mut self, deadline: Instant, key: StreamKey) {
        self.heap.push(Reverse((deadline, key.index, key.id)));
    }

    /// Takes out one call whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<StreamKey> {
        let Reverse((deadline, ..)) = self.heap.peek()?;
        if *deadline > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, index, id))| StreamKey { index, id })
    }

    /// Drops the entries of calls that are over, when they outnumber the others.
    pub(crate) fn prune(&mut self, calls_open: usize, is_open: impl Fn(StreamKey) -> bool) {
        if calls_open == 0 {
            self.heap.clear();
            self.heap.shrink_to(SLACK);
        } else if self.heap.len() > 2 * calls_open + SLACK {
            self.heap.retain(|Reverse((_, index, id))| is_open(StreamKey { index: *index, id: *id }));
        }
    }

    pub(crate) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, ..))| *deadline)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}
