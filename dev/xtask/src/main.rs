//! `cargo xtask …`: everything around the code that a person or CI runs.

mod bench;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything around the code that a person or CI runs.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// polywire beside tonic and connectrpc: one run, one table; or instruction counts of hot paths.
    Bench(bench::Bench),
    /// Checks the crate boundaries and the rules for texts and names.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Bench(bench) => bench.run(),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
