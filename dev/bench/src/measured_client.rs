//! What the measured clients share, polywire's and tonic's alike: arguments, CPU time, the line they print.
//!
//! The peers' workspace includes this very file.

use std::{fs, net::SocketAddr, time::Duration};

/// What a client was asked to do: `ADDRESS IN_FLIGHT SECONDS`.
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// Calls in flight at a time, on one connection.
    pub in_flight: usize,
    /// How long to call before measuring.
    pub warm_up: Duration,
    /// How long to measure.
    pub measured: Duration,
}

impl Plan {
    /// Reads the command line.
    ///
    /// # Panics
    ///
    /// When the arguments are not the three above; only the runner starts these programs.
    pub fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [address, in_flight, seconds] = arguments.as_slice() else {
            panic!("usage: ADDRESS IN_FLIGHT SECONDS");
        };
        let measured = Duration::from_secs_f64(seconds.parse().expect("SECONDS is a number"));
        Self {
            address: address.parse().expect("ADDRESS is an address with a port"),
            in_flight: in_flight.parse().expect("IN_FLIGHT is a number"),
            warm_up: measured / 4,
            measured,
        }
    }
}

/// CPU time of this process so far.
pub struct Usage {
    cpu_ns: u64,
}

impl Usage {
    /// Reads the operating system's account of this thread, the only one there is.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
        let first = text.split_ascii_whitespace().next().expect("schedstat has three fields");
        Self { cpu_ns: first.parse().expect("schedstat holds numbers") }
    }

    /// Prints one line of JSON: how many calls, CPU time since `self`, and percentiles of `latencies_ns`.
    pub fn report(&self, name: &str, mut latencies_ns: Vec<u32>) {
        // Before the sorting, which is not part of the calls.
        let cpu_ns = Self::now().cpu_ns - self.cpu_ns;
        let calls = latencies_ns.len();
        let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        latencies_ns.sort_unstable();
        let at = |share: f64| {
            let last = latencies_ns.len().saturating_sub(1);
            latencies_ns.get((last as f64 * share) as usize).copied().unwrap_or(0)
        };
        println!(
            r#"{{"name":"{name}","calls":{calls},"cpu_ns":{cpu_ns},"threads":{threads},"p50_ns":{},"p99_ns":{},"p999_ns":{}}}"#,
            at(0.5),
            at(0.99),
            at(0.999),
        );
    }
}
