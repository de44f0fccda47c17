//! `cargo xtask tidy`: the rules that a compiler does not check.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

/// What each crate may depend on, directly. A crate that is not listed may depend on anything public.
///
/// This is the table "may not know" of ARCHITECTURE.md, turned round so that a new dependency has to be let in here.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("polywire-core", &["bytes"]),
    (
        "polywire-engine",
        // httparse: heads of HTTP/1.1. The last four: WebSocket's frames and handshake, and JSON of protocols.
        &["polywire-core", "bytes", "base64", "httparse", "serde", "serde_json", "sha1", "tungstenite"],
    ),
    ("polywire-proto", PROTO),
    ("polywire-cli", APPS),
    ("orders", APPS),
];

const PROTO: &[&str] =
    &["polywire-core", "buffa", "buffa-codegen", "buffa-descriptor", "miette", "protox", "serde", "serde_json"];

/// Applications use what a user would use.
const APPS: &[&str] = &[
    "base64",
    "buffa",
    "buffa-types",
    "bytes",
    "clap",
    "clap_complete",
    "futures-util",
    "mimalloc",
    "polywire",
    "polywire-proto",
    "serde",
    "serde_json",
    "sha2",
    "sqlx",
    "getrandom",
    "strsim",
    "tokio",
    "tracing",
    "tracing-subscriber",
    "webpki-roots",
];

/// Words that a name should not contain: they say that the idea has not been found.
const EMPTY_WORDS: &[&str] = &["Manager", "Helper", "Util", "Common"];

/// Longest source file: one idea fits.
const FILE_LINES_MAX: usize = 1000;

/// Runs all checks and says what is wrong.
pub(crate) fn run() -> Result<(), String> {
    let mut faults = boundaries()?;
    faults.extend(texts()?);
    if faults.is_empty() {
        println!("tidy: nothing to complain about");
        return Ok(());
    }
    Err(faults.join("\n"))
}

fn boundaries() -> Result<Vec<String>, String> {
    let metadata =
        run_for_output(Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(listed, _)| *listed == name) else { continue };
        let known: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .collect();
        for dependency in known {
            if !allowed.contains(&dependency) {
                faults.push(format!("{name} may not know {dependency} (ARCHITECTURE.md, dev/xtask/src/tidy.rs)"));
            }
        }
    }
    Ok(faults)
}

fn texts() -> Result<Vec<String>, String> {
    let files = run_for_output(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut faults = Vec::new();
    for file in files.lines().filter(|file| file.ends_with(".rs") && !file.contains("/golden/")) {
        let Ok(text) = std::fs::read_to_string(Path::new(file)) else { continue };
        if text.lines().count() > FILE_LINES_MAX {
            faults.push(format!("{file} has more than {FILE_LINES_MAX} lines: split it by idea"));
        }
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            let declares =
                ["struct ", "enum ", "trait "].iter().any(|word| line.trim_start_matches("pub ").starts_with(word));
            if declares && let Some(word) = EMPTY_WORDS.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{file}:{line_number}: {word} in a name explains nothing"));
            }
            // Methods of services are named by their `.proto`; `get_mut` is the standard library's word.
            let getter =
                line.contains(concat!("fn ", "get_")) && !line.contains("async fn") && !line.contains("get_mut");
            if getter {
                faults.push(format!("{file}:{line_number}: a getter is a noun, without get_"));
            }
            if line.contains(concat!("TO", "DO")) && !line.contains('#') && !file.starts_with("dev/xtask") {
                faults.push(format!(
                    "{file}:{line_number}: a {} names the issue that will remove it",
                    concat!("TO", "DO")
                ));
            }
        }
    }
    Ok(faults)
}

fn run_for_output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}
