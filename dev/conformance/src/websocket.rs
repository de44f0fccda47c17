//! Autobahn|Testsuite judges our WebSocket, server and client; our own cases stand beside it and need nothing foreign.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    peers::Workshop,
    process::{self, Program},
    skips::Skips,
    table::{Count, Outcome, Table},
};

/// Without `--autobahn` and `--own`: both.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only Autobahn|Testsuite
    #[arg(long, conflicts_with = "own")]
    autobahn: bool,
    /// Only our own cases
    #[arg(long)]
    own: bool,
    /// Of each group of compressed messages only the small ones: 349 of the 517 cases
    #[arg(long)]
    quick: bool,
}

/// Runs what was asked for. Whether all is as expected.
pub(crate) async fn run(options: Options) -> Result<bool, String> {
    let mut count = Count::default();
    if !options.autobahn {
        count.add(own().await?);
    }
    if !options.own {
        count.add(autobahn(options.quick).await?);
    }
    Ok(count.close())
}

/// Our own cases: the tests of the engine whose names begin with `websocket_`, and those of WebSockets in HTTP/2 (RFC 8441).
async fn own() -> Result<Count, String> {
    let started = Instant::now();
    let mut cargo = process::command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--package", "polywire-engine", "--package", "polywire"]);
    cargo.args(["--test", "websocket_*", "--test", "tunnel"]);
    let ended = process::run(cargo, OWN_LIMIT).await?;
    let mut count = Count::default();
    for line in ended.output.lines() {
        if let Some(result) = line.strip_prefix("test result: ") {
            let mut numbers = result.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<usize>().ok());
            count.passed += numbers.next().unwrap_or(0);
            count.failed += numbers.next().unwrap_or(0);
        } else if line.starts_with("test ") && line.ends_with("FAILED") {
            println!("FAIL own {line}");
        }
    }
    println!("own cases, {:.1} s: {} passed, {} failed", started.elapsed().as_secs_f32(), count.passed, count.failed);
    if count.passed == 0 || !ended.succeeded() && count.failed == 0 {
        return Err(format!("the own cases do not run: {}", ended.complaint()));
    }
    Ok(count)
}

async fn autobahn(quick: bool) -> Result<Count, String> {
    let workshop = Workshop::open()?;
    let skips = Skips::read()?;
    if !workshop.install_autobahn().await? {
        println!("skip autobahn: there is no Python 2.7 with pip here, which Autobahn|Testsuite wants");
        return Ok(Count { skipped: 1, ..Count::default() });
    }
    let excluded = if quick { large_compressed() } else { Vec::new() };
    if !excluded.is_empty() {
        println!("skip {} cases a side: larger compressed messages take minutes (--quick)", excluded.len());
    }
    let mut count = Count::default();
    for side in ["server", "client"] {
        let started = Instant::now();
        let folder = workshop.folder("autobahn").join(side);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let port = process::free_port()?;
        let url = format!("ws://127.0.0.1:{port}");
        let mut specification = json!({
            "outdir": folder, "cases": ["*"], "exclude-cases": excluded, "exclude-agent-cases": {},
        });
        match side {
            "server" => specification["servers"] = json!([{ "agent": "polywire", "url": url }]),
            _ => specification["url"] = json!(url),
        }
        let file = folder.join("specification.json");
        fs::write(&file, specification.to_string()).map_err(|e| e.to_string())?;
        let mut judge = workshop.autobahn();
        let mut ours = workshop.ours("websocket_echo");
        let log = workshop.log(&format!("autobahn-{side}"));
        let ended = if side == "server" {
            let mut server = Program::serve(
                {
                    ours.arg(format!("--port={port}"));
                    ours
                },
                port,
                &log,
            )
            .await?;
            judge.args(["-m", "fuzzingclient", "-s"]).arg(&file);
            let ended = process::run(judge, LIMIT).await?;
            if !server.is_alive() {
                return Err(format!("the server died: {}", server.last_words()));
            }
            ended
        } else {
            judge.args(["-m", "fuzzingserver", "-s"]).arg(&file);
            let _judge = Program::serve(judge, port, &log).await?;
            ours.arg(format!("--client={url}"));
            process::run(ours, LIMIT).await?
        };
        if !ended.succeeded() {
            return Err(format!("autobahn, {side}: {}", ended.complaint()));
        }
        let found = report(&folder, side, &skips)?;
        println!(
            "autobahn, {side}, {:.1} s: {} passed, {} failed, {} skipped",
            started.elapsed().as_secs_f32(),
            found.passed,
            found.failed,
            found.skipped
        );
        count.add(found);
    }
    Ok(count)
}

/// The cases of compression with messages of 4 KiB and more. Each group has 18: four with smaller ones come first.
fn large_compressed() -> Vec<String> {
    let groups = (1..=5).map(|group| (12, group)).chain((1..=7).map(|group| (13, group)));
    groups.flat_map(|(section, group)| (5..=18).map(move |case| format!("{section}.{group}.{case}"))).collect()
}

/// Reads what Autobahn found.
fn report(folder: &Path, side: &str, skips: &Skips) -> Result<Count, String> {
    let text = fs::read_to_string(folder.join("index.json")).map_err(|e| format!("autobahn's report: {e}"))?;
    let report: Value = serde_json::from_str(&text).map_err(|e| format!("autobahn's report: {e}"))?;
    let cases = report["polywire"].as_object().ok_or("autobahn's report names no cases")?;
    let mut table = Table::default();
    for (case, found) in cases {
        let outcome = outcome(&found["behavior"], &found["behaviorClose"]);
        table.put(side, case, outcome.judged(skips.find("autobahn", "-", side, case)));
    }
    table.print_reasons();
    Ok(table.count())
}

/// What a verdict amounts to. Cases that only inform are passed; `NON-STRICT` is what the standard allows.
fn outcome(behavior: &Value, close: &Value) -> Outcome {
    let (behavior, close) = (behavior.as_str().unwrap_or_default(), close.as_str().unwrap_or_default());
    match (behavior, close) {
        ("OK" | "NON-STRICT" | "INFORMATIONAL", "OK" | "INFORMATIONAL") => Outcome::Passed,
        _ => Outcome::Failed(format!("{behavior}, close {close}")),
    }
}

/// All cases took Autobahn fourteen minutes a side on a busy machine, nearly all of it for compression; all the rest half of one.
const LIMIT: Duration = Duration::from_secs(2_400);
/// The engine and its tests may have to be built.
const OWN_LIMIT: Duration = Duration::from_secs(600);
