//! `cargo xtask …`: what is done around the code.

mod conformance;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "What is done around the code", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Other people's suites against polywire: h2spec, h2specd, attacks (see --help behind it)
    Conformance(conformance::Conformance),
    /// The standard gRPC cases between polywire and Go, Python, Node and Java
    Interop(conformance::Interop),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Conformance(command) => command.run(),
        Command::Interop(command) => command.run(),
    }
}
