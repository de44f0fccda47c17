//! `cargo xtask fuzz`: builds the fuzz targets on stable Rust and runs each for a while.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Fuzz targets under coverage, each for some seconds; fails when one crashes and keeps the input.
#[derive(clap::Args)]
pub(crate) struct Fuzz {
    /// Only this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 30)]
    seconds: u32,
    /// The same inputs again, from an empty corpus; 0 takes others every time.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,
    /// Play one input again, such as a saved crash, instead of looking for new ones.
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

const TARGETS: &[&str] = &[
    "compression",
    "connection",
    "detect",
    "envelope",
    "frames",
    "grpc_headers",
    "hpack_decode",
    "hpack_round_trip",
    "http1",
    "json_text",
    "native",
    "rest_template",
    "websocket",
];

/// What cargo-fuzz passes, but for the sanitizers, which want a nightly compiler.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1";

impl Fuzz {
    pub(crate) fn run(self) -> Result<(), String> {
        let targets = match &self.target {
            None => TARGETS.to_vec(),
            Some(name) => match TARGETS.iter().find(|target| *target == name) {
                Some(target) => vec![*target],
                None => return Err(format!("no fuzz target is called {name:?}; these are: {}", TARGETS.join(", "))),
            },
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(|e| e.to_string())?;
        let begin = Instant::now();
        let programs = build(&root, &targets)?;
        println!("built in {} s", begin.elapsed().as_secs());
        let mut crashed = Vec::new();
        for target in targets {
            let clean = match &self.input {
                Some(input) => command(&programs, target).arg(input).status().map_err(|e| e.to_string())?.success(),
                None => fuzz(&root, &programs, target, self.seconds, self.seed)?,
            };
            if !clean {
                crashed.push(target);
            }
        }
        if crashed.is_empty() { Ok(()) } else { Err(format!("crashed: {}", crashed.join(", "))) }
    }
}

/// Builds the targets and says where they are.
fn build(root: &Path, targets: &[&str]) -> Result<PathBuf, String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !Command::new(&compiler).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Err(format!("libFuzzer is built from C++, and `{compiler}` does not run: install g++ or set CXX"));
    }
    let host = host()?;
    let target_dir = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir).join("fuzz"),
        None => root.join("target/fuzz"),
    };
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    // With a target named, build scripts are left without instrumentation.
    cargo.args(["build", "--release", "--manifest-path"]).arg(root.join("fuzz/Cargo.toml")).args(["--target", &host]);
    cargo.env("RUSTFLAGS", RUSTFLAGS).env("CARGO_TARGET_DIR", &target_dir).env_remove("CARGO_ENCODED_RUSTFLAGS");
    for target in targets {
        cargo.args(["--bin", target]);
    }
    if targets.contains(&"compression") {
        cargo.args(["--features", "compression"]);
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(target_dir.join(host).join("release")),
        Ok(_) => Err("the fuzz targets do not build".into()),
        Err(error) => Err(format!("cargo does not run: {error}")),
    }
}

fn host() -> Result<String, String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().map_err(|error| format!("rustc does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned).ok_or_else(|| "rustc does not say what it runs on".into())
}

fn command(programs: &Path, target: &str) -> Command {
    Command::new(programs.join(target))
}

/// Runs one target; prints its line. False: it crashed.
fn fuzz(root: &Path, programs: &Path, target: &str, seconds: u32, seed: u32) -> Result<bool, String> {
    let found = root.join("fuzz/corpus").join(target);
    let kept = root.join("fuzz/seeds").join(target);
    let artifacts = root.join("fuzz/artifacts").join(target);
    for dir in [&found, &artifacts] {
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    let before = files(&artifacts);
    let mut command = command(programs, target);
    command.args([format!("-max_total_time={seconds}"), format!("-seed={seed}")]).args([
        "-rss_limit_mb=2048",
        "-timeout=20",
        "-max_len=4096",
    ]);
    command.args(["-print_final_stats=1", "-verbosity=1"]).arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(&found);
    if kept.is_dir() {
        command.arg(&kept);
    }
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{target} does not run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let executions = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let coverage = text.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "cov:").skip(1);
        words.next().map(ToOwned::to_owned)
    });
    let crashes: Vec<_> = files(&artifacts).into_iter().filter(|file| !before.contains(file)).collect();
    println!(
        "{target:<17} {:>10} executions  {:>6} edges  {} new crashes",
        executions.map_or("?", str::trim),
        coverage.as_deref().unwrap_or("?"),
        crashes.len(),
    );
    if output.status.success() {
        return Ok(true);
    }
    let lines: Vec<_> = text.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    for line in lines.iter().skip(panic.unwrap_or(lines.len().saturating_sub(20))).take(60) {
        println!("  {line}");
    }
    for crash in crashes {
        println!("  again: cargo xtask fuzz --target {target} --input {}", crash.display());
    }
    Ok(false)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}
