use std::time::Duration;

/// How long to wait between attempts to connect: gRPC's connection backoff.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    failures: u32,
    seed: u64,
}

const FIRST: Duration = Duration::from_secs(1);
const FACTOR: f64 = 1.6;
const MAX: Duration = Duration::from_secs(120);
const JITTER: f64 = 0.2;

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, seed }
    }

    /// A connection worked: the next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after another failure, spread by a fifth either way so that clients do not come back together.
    pub(crate) fn next(&mut self) -> Duration {
        let base = (FIRST.as_secs_f64() * FACTOR.powi(self.failures.min(64) as i32)).min(MAX.as_secs_f64());
        self.failures = self.failures.saturating_add(1);
        // xorshift64: any numbers that differ between channels will do.
        self.seed ^= self.seed << 13 | 1;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let unit = (self.seed >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::from_secs_f64(base * (1.0 + JITTER * (2.0 * unit - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_minutes_and_start_again_after_success() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..20).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((0.8..=1.2).contains(&waits[0]));
        assert!((1.28..=1.92).contains(&waits[1]));
        assert!(waits.iter().all(|wait| *wait <= 144.0));
        assert!(waits[19] >= 96.0);
        backoff.reset();
        assert!(backoff.next().as_secs_f64() <= 1.2);
    }
}
