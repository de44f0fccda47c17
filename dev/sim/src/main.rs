//! Plays many seeds: `cargo run --release -p polywire-sim -- --seeds 100000 --from 1`.

use std::process::ExitCode;
use std::time::Instant;

use polywire_sim::{Outcome, play_seed};

fn main() -> ExitCode {
    let (mut seeds, mut from, mut failures_max) = (10_000u64, 1u64, 5u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (name.as_str(), value) {
            ("--seeds", Some(value)) => seeds = value,
            ("--from", Some(value)) => from = value,
            ("--failures", Some(value)) => failures_max = value,
            _ => {
                eprintln!("usage: polywire-sim [--seeds N] [--from SEED] [--failures N]");
                return ExitCode::FAILURE;
            }
        }
    }
    // A failure is printed with its program; the panics of a shrinking one are noise.
    std::panic::set_hook(Box::new(|_| ()));
    let begin = Instant::now();
    let (mut sum, mut failures) = (Outcome::default(), 0);
    for seed in from..from.saturating_add(seeds) {
        match play_seed(seed) {
            Ok(outcome) => sum += outcome,
            Err(failure) => {
                println!("seed {seed}: {failure}");
                failures += 1;
                if failures >= failures_max {
                    break;
                }
            }
        }
    }
    println!(
        "{} runs in {:.1} s: {} streams, {} of them complete, {} MiB, {} h of virtual time, {failures} failures",
        sum.runs,
        begin.elapsed().as_secs_f64(),
        sum.streams,
        sum.streams_complete,
        sum.bytes >> 20,
        sum.virtual_time.as_secs() / 3600,
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
