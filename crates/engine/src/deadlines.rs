use std::{cmp::Ordering, collections::BinaryHeap, time::Instant};

use crate::wire::StreamKey;

/// The deadlines of calls, the earliest first.
///
/// A call that ends leaves its entry behind; [`prune`](Self::prune) throws such entries out when they are the majority, so
/// that a second's worth of short calls with long deadlines costs no memory.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Entry>,
}

#[derive(Debug)]
struct Entry {
    deadline: Instant,
    key: StreamKey,
}

/// Entries that are kept without looking whether they are still of use.
const SLACK: usize = 64;

impl Deadlines {
    pub(crate) fn push(&mut self, deadline: Instant, key: StreamKey) {
        self.heap.push(Entry { deadline, key });
    }

    /// Takes out one call whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<StreamKey> {
        if self.first()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.key)
    }

    /// Drops the entries of calls that are over, when they outnumber the others.
    pub(crate) fn prune(&mut self, calls_open: usize, is_open: impl Fn(StreamKey) -> bool) {
        if calls_open == 0 {
            self.heap.clear();
            self.heap.shrink_to(SLACK);
        } else if self.heap.len() > 2 * calls_open + SLACK {
            self.heap.retain(|entry| is_open(entry.key));
        }
    }

    pub(crate) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.deadline)
    }
}

/// The heap gives the greatest first: that is the earliest deadline.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.cmp(&self.deadline)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.deadline == other.deadline
    }
}

impl Eq for Entry {}
