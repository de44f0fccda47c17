//! Servers of somebody else for the benchmark: built, installed or found. What cannot be had is a gap that is said.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where Node's server and the list of what it needs are.
const NODE: &str = "dev/bench/peers/node";

/// The options that tell the benchmark what there is and what not. `peers`: where the peers' workspace is built.
pub(crate) fn options(peers: &Path) -> Vec<String> {
    let mut options = Vec::new();
    let mut add = |option: &str, had: Result<PathBuf, String>| {
        let (option, value) = match had {
            Ok(path) => (option, path.display().to_string()),
            Err(why) => {
                println!("not measured: {why}");
                ("--gap", why)
            }
        };
        options.extend([option.to_owned(), value]);
    };
    add("--axum", axum(peers));
    add("--nginx", nginx(&peers.join("nginx")));
    add("--node", node());
    options
}

fn axum(peers: &Path) -> Result<PathBuf, String> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--locked", "--manifest-path", "dev/bench/peers/Cargo.toml"]);
    build.args(["--bin", "axum_server", "--target-dir"]).arg(peers);
    succeeds(&mut build).map_err(|error| format!("axum: {error}"))?;
    Ok(peers.join("release/axum_server"))
}

/// The one of this machine, or the distribution's, unpacked into `folder`: an installation would start it.
fn nginx(folder: &Path) -> Result<PathBuf, String> {
    let unpacked = folder.join("usr/sbin/nginx");
    if let Some(program) = ["nginx".into(), unpacked.clone()].into_iter().find(|program| answers(program, "-v")) {
        return Ok(program);
    }
    println!("== fetching nginx");
    let fetch = "set -e; mkdir -p \"$0\"; cd \"$0\"; \
                 apt-get download -q nginx || { apt-get update -qq; apt-get download -q nginx; }; \
                 dpkg -x nginx_*.deb .";
    succeeds(Command::new("sh").args(["-c", fetch]).arg(folder))
        .map_err(|error| format!("nginx is not installed and could not be fetched: {error}"))?;
    if answers(&unpacked, "-v") { Ok(unpacked) } else { Err("nginx was fetched but does not run here".to_owned()) }
}

fn node() -> Result<PathBuf, String> {
    if !answers(Path::new("node"), "--version") || !answers(Path::new("npm"), "--version") {
        return Err("Node.js: there is none with npm on this machine".to_owned());
    }
    let mut install = Command::new("npm");
    install.current_dir(NODE).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    succeeds(&mut install).map_err(|error| format!("Node.js with ws: {error}"))?;
    Ok(Path::new(NODE).join("server.js"))
}

fn answers(program: &Path, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
