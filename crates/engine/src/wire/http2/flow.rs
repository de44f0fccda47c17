//! Flow control of what we receive (RFC 9113 §5.2, §6.9): the connection's window, and how windows grow.

use std::time::{Duration, Instant};

use crate::limits::Limits;

/// The connection's receive window.
///
/// Bytes come back to the peer as soon as they are received, so that one stalled stream does not stop the others;
/// unless more than `buffered_bytes_max` lies with consumers: then they are held until released.
#[derive(Debug)]
pub(super) struct Inflow {
    /// What the peer may still send.
    left: u32,
    /// The window when nothing is outstanding.
    window: u32,
    /// Free to be given back, not yet said.
    owed: u32,
    /// Received, and not to be given back before consumers release.
    held: u32,
    /// With consumers: bytes and pieces.
    unreleased: u32,
    unreleased_frames: u32,
}

impl Inflow {
    pub(super) fn new(window: u32) -> Self {
        Inflow { left: window, window, owed: 0, held: 0, unreleased: 0, unreleased_frames: 0 }
    }

    /// Counts a DATA frame, padding included. False: more than the window allowed.
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

    /// Received bytes go to a consumer. False: too many pieces lie there.
    #[inline]
    pub(super) fn keep(&mut self, bytes: u32, limits: &Limits) -> bool {
        self.unreleased += bytes;
        self.unreleased_frames += 1;
        if self.unreleased <= limits.buffered_bytes_max {
            self.owed += bytes;
        } else {
            self.held += bytes;
        }
        self.unreleased_frames <= limits.buffered_frames_max
    }

    /// Received bytes go nowhere.
    #[inline]
    pub(super) fn discard(&mut self, bytes: u32) {
        self.owed += bytes;
    }

    /// A consumer is done with so much.
    #[inline]
    pub(super) fn release(&mut self, bytes: u32, frames: u32, limits: &Limits) {
        debug_assert!(bytes <= self.unreleased && frames <= self.unreleased_frames);
        self.unreleased -= bytes;
        self.unreleased_frames -= frames;
        if self.held > 0 {
            let still = self.held.min(self.unreleased.saturating_sub(limits.buffered_bytes_max));
            self.owed += self.held - still;
            self.held = still;
        }
    }

    /// A larger window from now on.
    pub(super) fn grow(&mut self, window: u32) {
        if window > self.window {
            self.owed += window - self.window;
            self.window = window;
        }
    }

    /// What to give back by WINDOW_UPDATE: nothing until it is half the window.
    #[inline]
    pub(super) fn due(&mut self) -> Option<u32> {
        if self.owed < self.window / 2 || self.owed == 0 {
            return None;
        }
        self.left += self.owed;
        Some(std::mem::take(&mut self.owed))
    }
}

/// Measures the bandwidth-delay product and says how large windows should be.
///
/// A PING is sent when a good deal of DATA has come, and what arrives before its ack is what the path holds. When
/// that fills most of the window, and faster than ever before, the window is what limits: it becomes twice that.
/// (The same idea and factors as in gRPC's implementations.) Small calls never reach the amount that asks for a PING.
#[derive(Debug)]
pub(super) struct Bandwidth {
    /// When the PING was sent, while its ack is awaited.
    since: Option<Instant>,
    /// DATA since then, or since the last measurement.
    bytes: u32,
    /// DATA that asks for the next measurement.
    pause: u32,
    /// Bytes per second, the most seen.
    rate_max: f64,
}

impl Bandwidth {
    pub(super) fn new() -> Self {
        Bandwidth { since: None, bytes: 0, pause: PAUSE_BYTES, rate_max: 0.0 }
    }

    /// DATA arrived. True: a measurement begins, send a PING.
    #[inline]
    pub(super) fn receive(&mut self, now: Instant, bytes: u32) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.since.is_some() || self.bytes < self.pause {
            return false;
        }
        self.since = Some(now);
        self.bytes = 0;
        true
    }

    /// The PING came back. Returns the window to grow to.
    pub(super) fn measured(&mut self, now: Instant, window: u32, window_max: u32) -> Option<u32> {
        let since = self.since.take()?;
        let bytes = std::mem::take(&mut self.bytes);
        let trip = now.saturating_duration_since(since).max(Duration::from_micros(10));
        let rate = f64::from(bytes) / trip.as_secs_f64();
        // Two thirds of the window within one round trip: the window is what limits.
        let full = u64::from(bytes) * 3 >= u64::from(window) * 2;
        if full && rate > self.rate_max {
            self.rate_max = rate;
            let grown = bytes.saturating_mul(2).clamp(window, window_max);
            // For one more round trip the peer goes by the old window: that measures nothing.
            self.pause = (grown / 2).max(PAUSE_BYTES);
            return Some(grown);
        }
        // The longer nothing changes, the rarer we ask.
        self.pause = (self.pause * 2).min(PAUSE_BYTES_MAX);
        None
    }
}

/// DATA between two measurements at first: some ten thousand small calls, or a quarter of a window.
const PAUSE_BYTES: u32 = 256 << 10;
/// And at last.
const PAUSE_BYTES_MAX: u32 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { buffered_bytes_max: 1000, ..Limits::default() }
    }

    #[test]
    fn bytes_come_back_at_half_the_window() {
        let mut inflow = Inflow::new(100);
        assert!(inflow.receive(49));
        inflow.keep(49, &limits());
        assert_eq!(inflow.due(), None);
        assert!(inflow.receive(1));
        inflow.discard(1);
        assert_eq!(inflow.due(), Some(50));
        assert!(inflow.receive(100));
        assert!(!inflow.receive(1));
    }

    #[test]
    fn past_the_buffer_bound_the_connection_waits_for_its_consumers() {
        let limits = limits();
        let mut inflow = Inflow::new(1000);
        assert!(inflow.receive(1000));
        inflow.keep(1000, &limits);
        assert_eq!(inflow.due(), Some(1000));
        assert!(inflow.receive(1000));
        inflow.keep(1000, &limits);
        assert_eq!(inflow.due(), None);
        inflow.release(400, 0, &limits);
        assert_eq!(inflow.due(), None, "400 of 1000 may go back, which is not yet half");
        inflow.release(100, 0, &limits);
        assert_eq!(inflow.due(), Some(500));
        inflow.release(1500, 2, &limits);
        assert_eq!(inflow.due(), Some(500));
    }

    #[test]
    fn a_full_pipe_doubles_the_window_and_an_idle_one_leaves_it() {
        #[allow(clippy::disallowed_methods)] // one base for all offsets
        let base = Instant::now();
        let trip = Duration::from_millis(50);
        let mut bandwidth = Bandwidth::new();
        assert!(!bandwidth.receive(base, PAUSE_BYTES - 1));
        assert!(bandwidth.receive(base, 1));
        assert!(!bandwidth.receive(base, 1 << 20));
        let grown = bandwidth.measured(base + trip, 1 << 20, 16 << 20);
        assert_eq!(grown, Some(2 << 20));
        assert!(!bandwidth.receive(base, PAUSE_BYTES));
        assert!(bandwidth.receive(base, 1 << 20));
        assert!(!bandwidth.receive(base, 1 << 20));
        assert_eq!(bandwidth.measured(base + trip, 2 << 20, 16 << 20), None);
    }
}
