//! What is counted while calls run.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Counts and latencies of one run.
pub(crate) struct Tally {
    /// Calls, or messages where the case counts messages.
    pub(crate) operations: u64,
    latencies: Histogram<u64>,
    slow: Histogram<u64>,
}

/// Percentiles in microseconds.
#[derive(Copy, Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    pub(crate) count: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("the bounds are in order");
        Self { operations: 0, latencies: histogram(), slow: histogram() }
    }

    /// A call or stream took so long.
    pub(crate) fn took(&mut self, ns: u64) {
        self.latencies.saturating_record(ns);
    }

    /// A call whose handler was told to sleep took so long; kept apart from the others.
    pub(crate) fn slow_took(&mut self, ns: u64) {
        self.slow.saturating_record(ns);
    }

    pub(crate) fn latency(&self) -> Latency {
        let at = |percentile| self.latencies.value_at_percentile(percentile) as f64 / 1e3;
        Latency {
            p50_us: at(50.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            max_us: self.latencies.max() as f64 / 1e3,
            count: self.latencies.len(),
        }
    }

    /// The fewest time a call took that was told to sleep.
    pub(crate) fn slow_min(&self) -> Option<Duration> {
        (!self.slow.is_empty()).then(|| Duration::from_nanos(self.slow.min()))
    }
}
