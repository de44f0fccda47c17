//! The Connect conformance suite judges our server and our client in all protocols that it knows.

use std::{
    fs,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use tokio::process::Command;

use crate::{
    peers::Workshop,
    process::{self, Ended},
    table::Count,
};

/// Without flags: the server, then the client, over everything that HTTP/1.1 and HTTP/2 allow.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only the server
    #[arg(long, conflicts_with = "client")]
    server: bool,
    /// Only the client
    #[arg(long)]
    client: bool,
    /// Only this protocol; may be repeated
    #[arg(long, value_enum)]
    protocol: Vec<Protocol>,
    /// Without TLS, and gzip as the only compression
    #[arg(long)]
    quick: bool,
    /// Only cases whose name fits, such as '**/Codec:CODEC_JSON/**/error'; may be repeated
    #[arg(long)]
    run: Vec<String>,
    /// Show all that the suite says, and for cases that fail what went over the wire
    #[arg(long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    Connect,
    Grpc,
    GrpcWeb,
}

impl Protocol {
    /// As the suite's configuration spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "PROTOCOL_CONNECT",
            Self::Grpc => "PROTOCOL_GRPC",
            Self::GrpcWeb => "PROTOCOL_GRPC_WEB",
        }
    }
}

/// Runs the suite over what was asked for. Whether every case passed.
pub(crate) async fn judge(options: Options) -> Result<bool, String> {
    let workshop = Workshop::open()?;
    workshop.install_connect_suite().await?;
    let folder = workshop.folder("connect");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let features = folder.join("features.yaml");
    fs::write(&features, options.features()).map_err(|e| format!("{}: {e}", features.display()))?;

    let mut count = Count::default();
    for (mode, program) in [("server", "connect_server"), ("client", "connect_client")] {
        if (options.server && mode != "server") || (options.client && mode != "client") {
            continue;
        }
        let mut judge = workshop.connect_suite();
        judge.args(["--mode", mode, "--conf"]).arg(&features);
        if mode == "server" {
            judge.args(["--parallel", CALLS_AT_ONCE, "--max-servers", SERVERS_AT_ONCE]);
        }
        if options.verbose {
            judge.args(["-v", "--trace"]);
        }
        judge.args(options.run.iter().flat_map(|pattern| ["--run", pattern]));
        judge.arg("--").arg(workshop.ours(program).as_std().get_program());
        count.add(report(mode, judge, options.verbose).await);
    }
    Ok(count.close())
}

impl Options {
    /// The configuration of the suite.
    fn features(&self) -> String {
        let features = if self.quick { QUICK } else { FULL };
        if self.protocol.is_empty() {
            return features.to_owned();
        }
        let names: Vec<_> = self.protocol.iter().map(|protocol| protocol.name()).collect();
        let narrowed = format!("  protocols: [{}]", names.join(", "));
        let lines = features.lines().map(|line| if line.starts_with("  protocols:") { &narrowed } else { line });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Runs the suite once and prints what it found.
async fn report(mode: &str, judge: Command, verbose: bool) -> Count {
    let started = Instant::now();
    let ended = process::run(judge, LIMIT).await;
    let took = started.elapsed().as_secs_f32();
    let (ended, count) = match ended.and_then(|ended| read(&ended).map(|count| (ended, count))) {
        Ok(read) => read,
        Err(why) => {
            println!("FAIL connect, {mode}: {why}");
            return Count { failed: 1, ..Count::default() };
        }
    };
    if verbose {
        print!("{}", ended.output);
    } else {
        let failures = ended.output.lines().skip_while(|line| !line.starts_with("FAILED: "));
        failures.take(LINES_SHOWN).for_each(|line| println!("{line}"));
    }
    println!("connect, {mode}, {took:.1} s: {} passed, {} failed", count.passed, count.failed);
    count
}

/// Finds the closing lines: `Total cases: N` and `N passed, M failed`, and how many could not be run.
fn read(ended: &Ended) -> Result<Count, String> {
    let lines = ended.output.lines().skip_while(|line| !line.starts_with("Total cases: "));
    let numbers = |line: &str| -> Vec<usize> {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
    };
    let mut count = None;
    for line in lines {
        if line.ends_with(" failed")
            && let &[passed, failed] = numbers(line).as_slice()
        {
            count = Some(Count { passed, failed, skipped: 0 });
        } else if line.contains("could not be run")
            && let (Some(count), [missing, ..]) = (&mut count, numbers(line).as_slice())
        {
            count.failed += missing;
        }
    }
    let mut count = count.ok_or_else(|| format!("no result: {}", ended.complaint()))?;
    if count.failed == 0 && !ended.succeeded() {
        count.failed = 1;
    }
    Ok(count)
}

const FULL: &str = include_str!("../connect/full.yaml");
const QUICK: &str = include_str!("../connect/quick.yaml");
/// Calls of the suite's client at once, for one server. A few cases measure how a deadline is kept, so not too many.
const CALLS_AT_ONCE: &str = "8";
/// Each server is a process of its own with a configuration of its own.
const SERVERS_AT_ONCE: &str = "4";
/// The full matrix needs some minutes on two cores.
const LIMIT: Duration = Duration::from_secs(1800);
/// So much is shown of what failed, unless everything is.
const LINES_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &str) -> Result<Count, String> {
        read(&Ended { status: None, output: output.into() })
    }

    #[test]
    fn cases_that_could_not_be_run_have_failed() {
        let count = said("noise\nTotal cases: 12\n10 passed, 2 failed\nAnother 3 could not be run due to client.\n");
        let count = count.expect("closing lines");
        assert_eq!((count.passed, count.failed), (10, 5));
        assert!(said("Total cases: 12\n").is_err());
    }

    #[test]
    fn a_run_whose_exit_status_is_bad_has_failed() {
        let count = said("Total cases: 12\n12 passed, 0 failed\n").expect("closing lines");
        assert_eq!((count.passed, count.failed), (12, 1));
    }

    #[test]
    fn protocols_can_be_chosen() {
        let options = Options {
            server: false,
            client: false,
            protocol: vec![Protocol::Grpc, Protocol::GrpcWeb],
            quick: true,
            run: Vec::new(),
            verbose: false,
        };
        let features = options.features();
        assert!(features.contains("\n  protocols: [PROTOCOL_GRPC, PROTOCOL_GRPC_WEB]\n"), "{features}");
        assert!(!features.contains("PROTOCOL_CONNECT"), "{features}");
    }
}
