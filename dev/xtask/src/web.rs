//! The TypeScript package `polywire-web` and the order system's page: installs, builds, tests; in a browser too.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

/// `cargo xtask web [--browser]`
#[derive(Args, Debug)]
pub(crate) struct Web {
    /// Chromium too: the same cases there, and the page before the real server. Pictures go to target/page.
    #[arg(long)]
    browser: bool,

    /// Takes the generated code as it comes and builds the page anew, instead of comparing what is committed with its sources.
    #[arg(long)]
    bless: bool,
}

/// What went wrong, in words.
pub(crate) struct Failed(String);

impl Web {
    pub(crate) fn run(self) -> Result<(), Failed> {
        let mut gaps = Vec::new();
        if !answers("node") || !answers("npm") {
            println!("not run: there is no Node.js with npm on this machine");
            return Ok(());
        }
        let library = Path::new("web");
        let page = Path::new("apps/orders/page");
        for package in [library, page] {
            npm(package, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"], &[])?;
            if package == library {
                npm(package, &["run", "build"], &[])?;
            }
            npm(package, &["run", "generate"], &[])?;
            npm(package, &["run", "check"], &[])?;
        }
        if !self.bless {
            unchanged(&["web/tests/generated", "apps/orders/page/src/generated"])?;
        }
        npm(library, &["test"], &[])?;

        if self.bless {
            npm(page, &["run", "build"], &[])?;
        }
        let program = order_system()?;
        let chromium = if self.browser { chromium() } else { None };
        if self.browser && chromium.is_none() {
            gaps.push("everything in Chromium: it is not on this machine and could not be installed");
        }
        let browser = chromium.unwrap_or_else(|| PathBuf::from("none"));
        let target = target_directory()?;
        npm(page, &["test"], &[("ORDERS_PROGRAM", program), ("CHROMIUM", browser), ("PICTURES", target.join("page"))])?;

        for gap in gaps {
            println!("not run: {gap}");
        }
        if self.browser {
            println!("pictures: {}", target.join("page").display());
        }
        Ok(())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was generated just now is what is committed.
fn unchanged(folders: &[&str]) -> Result<(), Failed> {
    let output = Command::new("git")
        .args(["status", "--porcelain", "--"])
        .args(folders)
        .output()
        .map_err(|error| Failed(format!("git status: {error}")))?;
    let changed = String::from_utf8_lossy(&output.stdout);
    if changed.is_empty() {
        return Ok(());
    }
    Err(Failed(format!("the .proto files have changed: `cargo xtask web --bless`, then commit\n{changed}")))
}

/// Builds the program of the order system, and says where it is.
fn order_system() -> Result<PathBuf, Failed> {
    let mut cargo = Command::new(cargo());
    succeeds(cargo.args(["build", "--release", "--quiet", "--package", "orders", "--bin", "orders"]))?;
    Ok(target_directory()?.join("release/orders"))
}

fn target_directory() -> Result<PathBuf, Failed> {
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| Failed(format!("cargo metadata: {error}")))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| Failed(format!("cargo metadata: {error}")))?;
    metadata["target_directory"]
        .as_str()
        .map(PathBuf::from)
        .ok_or_else(|| Failed("cargo metadata names no target directory".to_owned()))
}

/// Where Chromium is; installs it where that is possible.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let program = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    if !program.exists() {
        let install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null";
        println!("== installing chromium");
        // If this fails, what follows finds no program and says so.
        let _ = Command::new("sh").args(["-c", install]).status();
    }
    program.exists().then_some(program)
}

fn npm(package: &Path, words: &[&str], variables: &[(&str, PathBuf)]) -> Result<(), Failed> {
    println!("== {}: npm {}", package.display(), words.join(" "));
    let mut npm = Command::new("npm");
    npm.current_dir(package).args(words).envs(variables.iter().map(|(name, value)| (name, value)));
    succeeds(&mut npm)
}

fn succeeds(command: &mut Command) -> Result<(), Failed> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failed(format!("{command:?} ended with {status}"))),
        Err(error) => Err(Failed(format!("{command:?}: {error}"))),
    }
}

fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
