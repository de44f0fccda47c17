//! The `polywire` command: calls services, and shows what they offer.

mod arguments;
mod call;
mod connect;
mod describe;
mod descriptors;
mod failure;
mod habits;
mod list;
mod metadata;
mod near;
mod openapi;
mod output;
mod reflection;
mod requests;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::{
    arguments::{Arguments, Command, OutputArguments},
    failure::Failure,
    output::Output,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(habits::translate(std::env::args_os()));
    let (output, verbose) = match &arguments.command {
        Command::Call(call) => (call.output, call.verbose),
        Command::Describe(describe) => (describe.ask.output, describe.ask.verbose),
        Command::List(list) => (list.ask.output, list.ask.verbose),
        Command::Openapi(openapi) => (OutputArguments::default(), openapi.verbose),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "polywire", &mut script);
            // A reader that goes away has what it wants.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
            return ExitCode::SUCCESS;
        }
    };
    let output = Output::new(output, verbose);
    let code = run(arguments.command, output).unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit_code()
    });
    ExitCode::from(code)
}

fn run(command: Command, output: Output) -> Result<u8, Failure> {
    // One thread: the order of what is shown is the order in which it happened.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let result = runtime.block_on(async {
        match command {
            Command::Call(arguments) => call::run(arguments, output).await,
            Command::Completions { .. } => Ok(0),
            Command::Describe(arguments) => describe::run(arguments, output).await,
            Command::List(arguments) => list::run(arguments, output).await,
            Command::Openapi(arguments) => openapi::run(arguments, output).await,
        }
    });
    // A read of standard input cannot be stopped; nobody waits for it.
    runtime.shutdown_background();
    result
}
