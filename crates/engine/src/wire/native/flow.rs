//! The connection's receive window.

use crate::limits::Limits;

/// Bytes come back to the peer as soon as they are received, so that one stalled stream does not stop the others;
/// unless more than `buffered_bytes_max` lies with consumers: then they are held until released.
#[derive(Debug)]
pub(super) struct Inflow {
    /// What the peer may still send.
    left: u32,
    window: u32,
    /// Free to be given back, not yet said.
    owed: u32,
    /// Received, and not to be given back before consumers release.
    held: u32,
    /// With consumers: bytes and messages.
    unreleased: u32,
    unreleased_messages: u32,
}

impl Inflow {
    pub(super) fn new(window: u32) -> Self {
        Inflow { left: window, window, owed: 0, held: 0, unreleased: 0, unreleased_messages: 0 }
    }

    /// Counts message bytes of a frame. False: more than the window allowed.
    #[inline]
    pub(super) fn receive(&mut self, bytes: u32) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Received bytes belong to a call.
    #[inline]
    pub(super) fn keep(&mut self, bytes: u32, limits: &Limits) {
        self.unreleased += bytes;
        if self.unreleased <= limits.buffered_bytes_max {
            self.owed += bytes;
        } else {
            self.held += bytes;
        }
    }

    /// A message goes to a consumer. False: too many lie there.
    #[inline]
    pub(super) fn report(&mut self, limits: &Limits) -> bool {
        self.unreleased_messages += 1;
        self.unreleased_messages <= limits.buffered_frames_max
    }

    /// Received bytes go nowhere.
    #[inline]
    pub(super) fn discard(&mut self, bytes: u32) {
        self.owed += bytes;
    }

    /// A call is done with so much.
    #[inline]
    pub(super) fn release(&mut self, bytes: u32, messages: u32, limits: &Limits) {
        debug_assert!(bytes <= self.unreleased && messages <= self.unreleased_messages);
        self.unreleased -= bytes;
        self.unreleased_messages -= messages;
        if self.held > 0 {
            let still = self.held.min(self.unreleased.saturating_sub(limits.buffered_bytes_max));
            self.owed += self.held - still;
            self.held = still;
        }
    }

    /// What to give back by WINDOW: nothing until it is half the window.
    #[inline]
    pub(super) fn due(&mut self) -> Option<u32> {
        if self.owed < self.window / 2 {
            return None;
        }
        self.left += self.owed;
        Some(std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_consumers_hold_beyond_the_bound_is_not_given_back() {
        let limits = Limits { buffered_bytes_max: 1000, ..Limits::default() };
        let mut inflow = Inflow::new(1000);
        for _ in 0..4 {
            assert!(inflow.receive(500));
            inflow.keep(500, &limits);
            inflow.due();
        }
        assert!(!inflow.receive(1), "1000 are held, 1000 were given back");
        inflow.release(500, 0, &limits);
        assert_eq!(inflow.due(), Some(500));
        inflow.discard(499);
        assert_eq!(inflow.due(), None);
    }
}
