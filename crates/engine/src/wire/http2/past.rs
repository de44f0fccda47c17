//! What is remembered of streams that are gone (RFC 9113 §5.1, closed).

use std::collections::VecDeque;

/// Closed streams in bounded memory: which ids were skipped, and which we reset.
#[derive(Debug)]
pub(super) struct Past {
    /// The highest id the peer has opened.
    last: u32,
    /// Bit n: the id 2n below `last` was opened, not skipped.
    opened: u128,
    /// Ids we reset, oldest first: the peer may not know yet.
    resets: VecDeque<u32>,
    /// The highest id that had to leave `resets`.
    forgotten: u32,
}

/// How far the past of an id is known.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It ended by END_STREAM both ways or by the peer's reset; or too long ago to tell.
    Closed,
    /// We reset it a while ago, perhaps.
    Forgotten,
    /// We reset it: frames in flight are no fault.
    Reset,
    /// The peer passed it over; it can never be used.
    Skipped,
}

impl Past {
    pub(super) fn new() -> Self {
        Past { last: 0, opened: 0, resets: VecDeque::new(), forgotten: 0 }
    }

    /// The peer opened a stream above all earlier ones.
    #[inline]
    pub(super) fn open(&mut self, id: u32) {
        debug_assert!(id > self.last);
        let passed = (id - self.last).div_ceil(2);
        self.opened = self.opened.checked_shl(passed).unwrap_or(0) | 1;
        self.last = id;
    }

    /// We reset a stream, or ended it before the peer did.
    pub(super) fn reset(&mut self, id: u32, remembered: usize) {
        while self.resets.len() >= remembered {
            let Some(oldest) = self.resets.pop_front() else {
                self.forgotten = self.forgotten.max(id);
                return;
            };
            self.forgotten = self.forgotten.max(oldest);
        }
        self.resets.push_back(id);
    }

    /// Gives memory back.
    pub(super) fn shrink(&mut self) {
        if self.resets.capacity() > RESETS_KEPT {
            let kept = self.resets.len().min(RESETS_KEPT);
            for id in self.resets.drain(..self.resets.len() - kept) {
                self.forgotten = self.forgotten.max(id);
            }
            self.resets.shrink_to(RESETS_KEPT);
        }
    }

    /// The highest id the peer has opened; 0 before the first.
    #[inline]
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// What became of an id that is not open and was opened by the peer or passed over.
    pub(super) fn fate(&self, id: u32) -> Fate {
        if self.resets.contains(&id) {
            return Fate::Reset;
        }
        let back = self.last.saturating_sub(id) / 2;
        if id <= self.last && back < 128 && self.opened >> back & 1 == 0 {
            return Fate::Skipped;
        }
        if id <= self.forgotten { Fate::Forgotten } else { Fate::Closed }
    }

    /// As [`fate`](Self::fate) for an id we opened: none is ever passed over.
    pub(super) fn fate_of_ours(&self, id: u32) -> Fate {
        if self.resets.contains(&id) {
            Fate::Reset
        } else if id <= self.forgotten {
            Fate::Forgotten
        } else {
            Fate::Closed
        }
    }
}

/// Resets remembered by an idle connection.
const RESETS_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_ids_are_told_from_closed_ones() {
        let mut past = Past::new();
        past.open(1);
        past.open(3);
        past.open(9);
        assert_eq!(past.fate(1), Fate::Closed);
        assert_eq!(past.fate(3), Fate::Closed);
        assert_eq!(past.fate(5), Fate::Skipped);
        assert_eq!(past.fate(7), Fate::Skipped);
        assert_eq!(past.fate(9), Fate::Closed);
        past.open(1001);
        assert_eq!(past.fate(999), Fate::Skipped);
        assert_eq!(past.fate(9), Fate::Closed);
    }

    #[test]
    fn only_so_many_resets_are_remembered() {
        let mut past = Past::new();
        for id in [1, 3, 5, 7] {
            past.open(id);
        }
        past.open(9);
        past.reset(1, 2);
        past.reset(5, 2);
        past.reset(7, 2);
        assert_eq!(past.fate(1), Fate::Forgotten);
        assert_eq!(past.fate(5), Fate::Reset);
        assert_eq!(past.fate(7), Fate::Reset);
        assert_eq!(past.fate(9), Fate::Closed);
    }

    #[test]
    fn a_past_that_remembers_no_reset_knows_that_it_forgot() {
        let mut past = Past::new();
        past.open(1);
        past.reset(1, 0);
        assert_eq!(past.fate(1), Fate::Forgotten);
    }
}
