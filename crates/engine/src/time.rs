//! Time as an argument: rates and deadlines over instants that are handed in.

use std::time::{Duration, Instant};

use crate::limits::Rate;

/// Counts events against a [`Rate`]: a bucket that is full after a quiet time.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    /// What may still happen now.
    left: u32,
    /// Up to when the refill is counted. `None` until the first event: then the bucket is full.
    since: Option<Instant>,
}

impl RateLimiter {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        RateLimiter { left: rate.burst, since: None }
    }

    /// Counts one event at `now`. False: the rate is exceeded.
    #[must_use]
    pub fn allow(&mut self, now: Instant, rate: Rate) -> bool {
        self.refill(now, rate);
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    /// Makes room for one event more, up to the burst.
    #[inline]
    pub fn give_back(&mut self, rate: Rate) {
        if self.left < rate.burst {
            self.left += 1;
        }
    }

    fn refill(&mut self, now: Instant, rate: Rate) {
        let Some(since) = self.since else {
            self.since = Some(now);
            return;
        };
        let earned = now.saturating_duration_since(since).as_micros() * u128::from(rate.per_second) / 1_000_000;
        if earned == 0 {
            return;
        }
        // What is earned in a fraction stays: the time moves on by whole events only.
        let spent =
            Duration::from_micros(u64::try_from(earned * 1_000_000 / u128::from(rate.per_second)).unwrap_or(u64::MAX));
        self.since = Some(since.checked_add(spent).unwrap_or(now));
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(rate.burst);
    }
}

/// The earlier of two optional moments.
#[must_use]
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, None) => a,
        (None, b) => b,
    }
}

/// `now + length`, or never when that is beyond what the platform can say.
#[must_use]
pub fn after(now: Instant, length: Duration) -> Option<Instant> {
    now.checked_add(length)
}

/// `length` ± 10 %, by the seed: so that many connections of one age do not end together.
#[must_use]
pub fn jittered(length: Duration, seed: u64) -> Duration {
    // The finaliser of SplitMix64 makes neighbouring seeds differ in all bits.
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let percent = 90.0 + 20.0 * ((x >> 11) as f64 / (1u64 << 53) as f64);
    Duration::try_from_secs_f64(length.as_secs_f64() * percent / 100.0).unwrap_or(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 10 };

    #[allow(clippy::disallowed_methods)] // one base for all offsets
    fn base() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let base = base();
        let mut limiter = RateLimiter::new(RATE);
        for _ in 0..3 {
            assert!(limiter.allow(base, RATE));
        }
        assert!(!limiter.allow(base, RATE));
        assert!(!limiter.allow(base + Duration::from_millis(99), RATE));
        assert!(limiter.allow(base + Duration::from_millis(100), RATE));
        assert!(!limiter.allow(base + Duration::from_millis(150), RATE));
        assert!(limiter.allow(base + Duration::from_millis(200), RATE));
    }

    #[test]
    fn a_long_quiet_time_earns_no_more_than_the_burst() {
        let base = base();
        let mut limiter = RateLimiter::new(RATE);
        assert!(limiter.allow(base, RATE));
        let later = base + Duration::from_secs(1_000_000);
        for _ in 0..3 {
            assert!(limiter.allow(later, RATE));
        }
        assert!(!limiter.allow(later, RATE));
    }

    #[test]
    fn jitter_stays_within_a_tenth_and_differs_by_seed() {
        let hour = Duration::from_secs(3600);
        let drawn: Vec<_> = (0..100).map(|seed| jittered(hour, seed)).collect();
        assert!(drawn.iter().all(|d| (3240..=3960).contains(&d.as_secs())));
        assert!(drawn.iter().any(|d| *d < hour));
        assert!(drawn.iter().any(|d| *d > hour));
    }
}
