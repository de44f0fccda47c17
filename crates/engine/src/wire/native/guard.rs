//! What a peer may make us do for nothing: the bounds against floods, by count and rate.

use std::time::Instant;

use crate::limits::Limits;
use crate::time::RateLimiter;
use crate::wire::{ConnectionError, LimitExceeded};

/// Counts what costs us and brings nothing.
#[derive(Debug)]
pub(super) struct Guard {
    resets: RateLimiter,
    idle_frames: RateLimiter,
    /// Idle frames the peer has earned by what we sent it.
    earned: u32,
    /// Answers the peer provoked that no `poll_transmit` has taken yet.
    unread: u32,
}

impl Guard {
    pub(super) fn new(limits: &Limits) -> Self {
        Guard {
            resets: RateLimiter::new(limits.resets),
            idle_frames: RateLimiter::new(limits.idle_frames),
            earned: 0,
            unread: 0,
        }
    }

    /// A call was cancelled by the peer, or refused through its fault.
    pub(super) fn reset(&mut self, now: Instant, limits: &Limits) -> Result<(), ConnectionError> {
        if self.resets.allow(now, limits.resets) {
            Ok(())
        } else {
            Err(ConnectionError::LimitExceeded(LimitExceeded::Resets))
        }
    }

    /// A call was answered in full: whoever lets as many calls end well as it cancels is no attacker.
    #[inline]
    pub(super) fn answered(&mut self, limits: &Limits) {
        self.resets.give_back(limits.resets);
    }

    /// A frame that carries nothing.
    pub(super) fn idle_frame(&mut self, now: Instant, limits: &Limits) -> Result<(), ConnectionError> {
        if self.idle_frames.allow(now, limits.idle_frames) {
            Ok(())
        } else {
            Err(ConnectionError::LimitExceeded(LimitExceeded::IdleFrames))
        }
    }

    /// A frame that is natural after something we sent, such as WINDOW after messages; otherwise an idle one.
    #[inline]
    pub(super) fn echo_frame(&mut self, now: Instant, limits: &Limits) -> Result<(), ConnectionError> {
        if self.earned > 0 {
            self.earned -= 1;
            return Ok(());
        }
        self.idle_frame(now, limits)
    }

    /// We sent something to which so many frames are a natural answer.
    #[inline]
    pub(super) fn earn(&mut self, frames: u32) {
        self.earned = (self.earned + frames).min(EARNED_MAX);
    }

    /// An answer the peer provoked goes into the output.
    pub(super) fn answer(&mut self, limits: &Limits) -> Result<(), ConnectionError> {
        self.unread += 1;
        if self.unread <= limits.control_frames_max {
            Ok(())
        } else {
            Err(ConnectionError::LimitExceeded(LimitExceeded::ControlFrames))
        }
    }

    /// The output was taken.
    #[inline]
    pub(super) fn output_taken(&mut self) {
        self.unread = 0;
    }
}

/// Enough for a peer that answers each small frame of 16 MiB singly, and later.
const EARNED_MAX: u32 = 1 << 20;
