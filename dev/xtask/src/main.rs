//! `cargo xtask …`: everything around the code that a person or CI runs.

mod bench;
mod conformance;
mod fuzz;
mod others;
mod tidy;
mod web;

use std::{fmt::Display, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Everything around the code that a person or CI runs."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Other people's suites and known attacks: attacks, connect, h2spec, h2specd, http1, rest, websocket (each with --help).
    Conformance(conformance::Conformance),
    /// The standard gRPC cases between polywire and Go, Java, Node, Python and connect-es (with --help).
    Interop(conformance::Interop),
    /// polywire beside tonic and connectrpc: one run, one table; or instruction counts of hot paths.
    Bench(bench::Bench),
    /// Fuzz targets on stable Rust, each for some seconds (with --help).
    Fuzz(fuzz::Fuzz),
    /// Checks the crate boundaries and the rules for texts and names.
    Tidy,
    /// polywire-web and the order system's page: installs, builds, tests; `--browser` in Chromium too.
    Web(web::Web),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Bench(task) => exit_code(task.run()),
        Task::Conformance(task) => task.run(),
        Task::Interop(task) => task.run(),
        Task::Fuzz(task) => exit_code(task.run()),
        Task::Tidy => exit_code(tidy::run()),
        Task::Web(task) => exit_code(task.run()),
    }
}

fn exit_code(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
