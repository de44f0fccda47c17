//! Pings of the peer, and how many are too many (gRFC A8).

use std::time::{Duration, Instant};

use crate::limits::PingPolicy;
use crate::wire::{ConnectionError, LimitExceeded};

/// Counts strikes.
#[derive(Debug, Default)]
pub(super) struct Pings {
    last: Option<Instant>,
    strikes: u32,
    /// We sent HEADERS or DATA since the last ping: it may have been for that.
    pub(super) forgiven: bool,
}

impl Pings {
    /// A ping came; `open`: whether a stream is.
    pub(super) fn receive(&mut self, now: Instant, policy: &PingPolicy, open: bool) -> Result<(), ConnectionError> {
        let last = self.last.replace(now);
        if std::mem::take(&mut self.forgiven) {
            self.strikes = 0;
            return Ok(());
        }
        let interval = if open || policy.without_calls { policy.interval_min } else { WITHOUT_CALLS };
        if last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            self.strikes += 1;
            if self.strikes > policy.strikes_max {
                return Err(ConnectionError::LimitExceeded(LimitExceeded::Pings));
            }
        }
        Ok(())
    }
}

/// Pings without calls, where they are not allowed: as rare as TCP's own.
const WITHOUT_CALLS: Duration = Duration::from_secs(2 * 60 * 60);
