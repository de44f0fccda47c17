use std::{cmp::Ordering, collections::BinaryHeap, time::Instant};

use crate::{time::earliest, wire::StreamKey};

/// The deadlines of calls, the earliest first.
///
/// A call that ends leaves its entry behind; [`settle`](Self::settle) throws such entries out when they are the majority, so
/// that a second's worth of short calls with long deadlines costs no memory.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Entry>,
    /// Those that were added since the last [`settle`](Self::settle): most calls are over before they need a timer.
    fresh: Vec<(Instant, StreamKey)>,
    /// The earliest of the fresh.
    fresh_first: Option<Instant>,
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
        self.fresh.push((deadline, key));
        self.fresh_first = Some(self.fresh_first.map_or(deadline, |first| first.min(deadline)));
    }

    /// All that could end at once has ended: what is left needs its timer. Drops the entries of calls that are over, when they
    /// outnumber the others.
    pub(crate) fn settle(&mut self, calls_open: usize, is_open: impl Fn(StreamKey) -> bool) {
        self.fresh_first = None;
        for (deadline, key) in self.fresh.drain(..) {
            if is_open(key) {
                self.heap.push(Entry { deadline, key });
            }
        }
        self.prune(calls_open, is_open);
    }

    /// Gives back room that holds nothing.
    pub(crate) fn shrink(&mut self) {
        if self.fresh.is_empty() {
            self.fresh = Vec::new();
        }
        if self.heap.is_empty() {
            self.heap = BinaryHeap::new();
        }
    }

    /// Takes out one call whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<StreamKey> {
        if self.first()? > now {
            return None;
        }
        // Nothing could be written for so long that even these are due.
        self.fresh_first = None;
        self.heap.extend(self.fresh.drain(..).map(|(deadline, key)| Entry { deadline, key }));
        self.heap.pop().map(|entry| entry.key)
    }

    /// Drops the entries of calls that are over, when they outnumber the others.
    fn prune(&mut self, calls_open: usize, is_open: impl Fn(StreamKey) -> bool) {
        if calls_open == 0 {
            self.heap.clear();
            self.heap.shrink_to(SLACK);
        } else if self.heap.len() > 2 * calls_open + SLACK {
            self.heap.retain(|entry| is_open(entry.key));
        }
    }

    pub(crate) fn first(&self) -> Option<Instant> {
        earliest(self.heap.peek().map(|entry| entry.deadline), self.fresh_first)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::StreamId;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any moment will do")]
    fn a_deadline_is_due_also_before_the_first_look_at_those_that_are_left() {
        let now = Instant::now();
        let key = |id| StreamKey { index: id, id: StreamId(id) };
        let mut deadlines = Deadlines::default();
        deadlines.push(now + Duration::from_secs(2), key(1));
        deadlines.push(now + Duration::from_secs(1), key(2));
        assert_eq!(deadlines.first(), Some(now + Duration::from_secs(1)));
        assert_eq!(deadlines.pop_due(now), None);
        assert_eq!(deadlines.pop_due(now + Duration::from_secs(1)), Some(key(2)));
        deadlines.settle(1, |_| true);
        assert_eq!(deadlines.first(), Some(now + Duration::from_secs(2)));
        deadlines.settle(0, |_| false);
        assert_eq!(deadlines.first(), None);
    }
}
