//! `cargo xtask bench`: builds what is compared and starts the comparison; or counts instructions.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use serde_json::Value;

use crate::others;

#[derive(Args)]
pub(crate) struct Bench {
    /// A tenth of a second each, once: shows that everything works, not how fast it is.
    #[arg(long)]
    smoke: bool,
    /// Only the case of this name, or those whose names contain it.
    #[arg(long, value_name = "PATTERN")]
    case: Option<String>,
    /// How long each run lasts.
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// How often each case is run with each program.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Writes all figures there as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures one server over every wire and protocol it speaks instead, by polywire's own client; then REST and WebSocket beside
    /// axum, nginx and Node.js as far as they can be had (`--case others`: only these).
    #[arg(long, conflicts_with = "json")]
    wires: bool,
    /// Draws the CPU time by wire there, as SVG.
    #[arg(long, value_name = "FILE", requires = "wires")]
    svg: Option<PathBuf>,
    /// Counts the instructions of a few hot paths instead (needs valgrind) and compares them with dev/bench/instructions.txt.
    #[arg(long, conflicts_with_all = ["smoke", "case", "seconds", "rounds", "json", "wires"])]
    instructions: bool,
    /// Writes dev/bench/instructions.txt anew.
    #[arg(long, requires = "instructions")]
    update: bool,
}

/// Hot paths: a name, the program, its arguments (`N` stands for how often), and how often at least.
const HOT_PATHS: &[(&str, &str, &[&str], u32)] = &[
    ("wire-unary", "examples/h2_cost", &["N", "100", "21"], 2_000),
    ("unary", "hot_path", &["unary", "N"], 2_000),
    ("order", "hot_path", &["order", "N"], 500),
    ("server-stream", "hot_path", &["server-stream", "N"], 10_000),
    ("client-stream", "hot_path", &["client-stream", "N"], 10_000),
    ("ping-pong", "hot_path", &["ping-pong", "N"], 2_000),
];

/// How much more than the recorded count is a failure: more than a compiler's moods, less than a copy too many.
const TOLERANCE: f64 = 0.05;

impl Bench {
    /// # Errors
    /// In words: what did not build, did not run, gave a wrong answer, or became slower.
    pub(crate) fn run(&self) -> Result<(), String> {
        let target = target_directory()?;
        cargo(&["build", "--release", "--package", "bench", "--bins"])?;
        if self.instructions {
            return self.count_instructions(&target.join("release"));
        }
        // A workspace of its own, so that what the peers need is not in ours.
        let peers = target.join("peers");
        if self.wires {
            return self.measure_wires(&target.join("release"), &peers);
        }
        let peers_text = peers.display().to_string();
        let manifest = "dev/bench/peers/Cargo.toml";
        cargo(&["build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", &peers_text])?;

        let (ours, theirs) = (target.join("release"), peers.join("release"));
        let mut command = Command::new(ours.join("bench"));
        for server in [ours.join("bench_server"), theirs.join("tonic_server"), theirs.join("connectrpc_server")] {
            command.arg("--server").arg(server);
        }
        for (name, client) in [("polywire", ours.join("bench_client")), ("tonic", theirs.join("tonic_client"))] {
            command.arg("--client").arg(format!("{name}={}", client.display()));
        }
        if self.smoke {
            command.arg("--smoke");
        }
        self.pass_on(&mut command);
        if let Some(path) = &self.json {
            command.arg("--json").arg(path);
        }
        success(&mut command)?;
        // Smoke is to show that everything works: also the wires, unless one case of the others was asked for.
        if self.smoke && self.case.is_none() { self.measure_wires(&ours, &peers) } else { Ok(()) }
    }

    fn measure_wires(&self, programs: &Path, peers: &Path) -> Result<(), String> {
        let mut command = Command::new(programs.join("bench"));
        command.arg("--wires").arg("--server").arg(programs.join("bench_server"));
        command.args(others::options(peers));
        if let Some(path) = &self.svg {
            command.arg("--svg").arg(path);
        }
        if self.smoke {
            command.arg("--smoke");
        }
        self.pass_on(&mut command);
        success(&mut command)
    }

    /// The options that the program has too.
    fn pass_on(&self, command: &mut Command) {
        let options = [
            ("--case", self.case.clone()),
            ("--seconds", self.seconds.map(|seconds| seconds.to_string())),
            ("--rounds", self.rounds.map(|rounds| rounds.to_string())),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                command.arg(name).arg(value);
            }
        }
    }

    fn count_instructions(&self, programs: &Path) -> Result<(), String> {
        if Command::new("valgrind").arg("--version").output().is_err() {
            println!("valgrind is not installed: no instructions counted");
            return Ok(());
        }
        cargo(&["build", "--release", "--package", "polywire-engine", "--example", "h2_cost"])?;
        let record = Path::new("dev/bench/instructions.txt");
        let recorded = fs::read_to_string(record).unwrap_or_default();
        let recorded = |name: &str| {
            let line = recorded.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|count| count.trim().parse::<f64>().ok())
        };
        let (mut new, mut slower) = (String::new(), Vec::new());
        println!("| instructions for each | now | recorded | ratio |\n| --- | --- | --- | --- |");
        for (name, program, arguments, count) in HOT_PATHS {
            let program = programs.join(program);
            // What a start costs is in both counts, and falls out.
            let few = instructions(&program, arguments, *count)?;
            let many = instructions(&program, arguments, 3 * count)?;
            let each = (many - few) as f64 / f64::from(2 * count);
            new += &format!("{name} {each:.0}\n");
            let (old, ratio) = match recorded(name) {
                Some(old) if each > old * (1.0 + TOLERANCE) => {
                    slower.push(*name);
                    (format!("{old:.0}"), format!("**{:.2}**", each / old))
                }
                Some(old) => (format!("{old:.0}"), format!("{:.2}", each / old)),
                None => ("–".into(), "–".into()),
            };
            println!("| {name} | {each:.0} | {old} | {ratio} |");
        }
        if self.update {
            return fs::write(record, new).map_err(|error| format!("{}: {error}", record.display()));
        }
        if slower.is_empty() {
            return Ok(());
        }
        Err(format!(
            "more than {:.0} % above what is recorded: {}. If that is bought with something, record it with --update.",
            TOLERANCE * 100.0,
            slower.join(", ")
        ))
    }
}

/// Instructions of one run of `program`, by valgrind's count: repeatable where a clock is not.
fn instructions(program: &Path, arguments: &[&str], count: u32) -> Result<u64, String> {
    let count = count.to_string();
    let arguments = arguments.iter().map(|argument| if *argument == "N" { &count } else { *argument });
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(collected) if output.status.success() => Ok(collected),
        _ => Err(format!("{} under valgrind: {}\n{said}", program.display(), output.status)),
    }
}

/// Where cargo puts what it builds.
fn target_directory() -> Result<PathBuf, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| "cargo metadata has no target_directory".into())
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    success(Command::new(env!("CARGO")).args(arguments))
}

fn success(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} ended with {status}", command.get_program().display())),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}
