//! polywire beside tonic and connectrpc: one run, one table. Started by `cargo xtask bench`.
//!
//! The programs to compare are arguments. Servers run on one core, the load generator on
//! another; rounds go A B C, B C A, C A B, so that what the machine does meanwhile meets all of them.

mod cases;
mod compare;
mod equal;
mod load;
mod process;
mod report;
mod wires;

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::{
    cases::Case,
    compare::{Effort, Programs},
    equal::Setup,
    process::Server,
};

/// Compare servers and clients, case by case.
#[derive(Parser)]
struct Arguments {
    /// A server's program; ours first. May be given several times.
    #[arg(long = "server", value_name = "PROGRAM", required = true)]
    servers: Vec<PathBuf>,
    /// A client's name and program; ours first. May be given several times.
    #[arg(long = "client", value_name = "NAME=PROGRAM")]
    clients: Vec<String>,
    /// Only the case of this name, or those whose names contain it.
    #[arg(long = "case", value_name = "PATTERN", default_value = "")]
    case: String,
    /// How long each run lasts.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    seconds: f64,
    /// How often each case is run with each program.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// A tenth of a second each, once: shows that everything works, not how fast it is.
    #[arg(long)]
    smoke: bool,
    /// Write all figures there as JSON.
    #[arg(long, value_name = "FILE", conflicts_with = "wires")]
    json: Option<PathBuf>,
    /// The first server alone, over every wire and protocol it speaks; then beside others.
    #[arg(long)]
    wires: bool,
    /// Draw the CPU time by wire there.
    #[arg(long, value_name = "FILE", requires = "wires")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    others: wires::Others,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let effort = if arguments.smoke {
        Effort { seconds: 0.1, rounds: 1, connections: 0.05 }
    } else {
        Effort { seconds: arguments.seconds, rounds: arguments.rounds.max(1), connections: 1.0 }
    };
    if arguments.wires {
        let server = arguments.servers.first().ok_or_else(|| io::Error::other("no server"))?;
        return wires::run(server, &arguments.others, &effort, &arguments.case, arguments.svg.as_deref());
    }
    let cases = chosen(&arguments.case)?;
    process::pin(process::OTHER_CORE)?;
    let servers = arguments.servers.iter().map(|path| Server::start(path)).collect::<io::Result<Vec<_>>>()?;
    let clients = arguments.clients.iter().map(|client| {
        let (name, path) = client.split_once('=').ok_or_else(|| io::Error::other("--client takes NAME=PROGRAM"))?;
        Ok((name.to_owned(), PathBuf::from(path)))
    });
    let clients = clients.collect::<io::Result<Vec<_>>>()?;

    let setups = servers.iter().map(Setup::of).collect::<io::Result<Vec<_>>>()?;
    let differences = equal::differences(&setups)?;
    if !differences.is_empty() {
        return Err(io::Error::other(format!("not comparable:\n  {}", differences.join("\n  "))));
    }
    print!("{}", report::settings(&setups));

    let programs = Programs { servers: &servers, server_paths: &arguments.servers, clients: &clients };
    let mut comparisons = Vec::new();
    for case in &cases {
        eprintln!("{} …", case.title);
        comparisons.push(effort.compare(case, &programs)?);
    }
    let names: Vec<_> = servers.iter().map(|server| server.name().to_owned()).collect();
    print!("{}", report::tables(&comparisons, &names));
    if let Some(path) = &arguments.json {
        let all = serde_json::json!({ "settings": setups, "cases": comparisons });
        fs::write(path, serde_json::to_vec_pretty(&all)?)?;
    }
    Ok(())
}

/// The case of that name, or all whose names contain it.
fn chosen(pattern: &str) -> io::Result<Vec<Case>> {
    let mut cases = cases::all();
    if let Some(place) = cases.iter().position(|case| case.name == pattern) {
        return Ok(vec![cases.swap_remove(place)]);
    }
    let names: Vec<_> = cases.iter().map(|case| case.name).collect();
    cases.retain(|case| case.name.contains(pattern));
    if cases.is_empty() {
        return Err(io::Error::other(format!("no case has {pattern:?} in its name; there are {}", names.join(", "))));
    }
    Ok(cases)
}
