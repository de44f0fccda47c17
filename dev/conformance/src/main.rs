//! Drives other people's test suites against polywire and prints what came of it as a table.
//!
//! `cargo xtask conformance …` and `cargo xtask interop` are the ways in. Everything foreign is installed into the target
//! directory at pinned versions; what is not expected to pass stands in `skips.txt`, each line with its reason.

mod attacks;
mod certificates;
mod connect;
mod h2spec;
mod http1;
mod interop;
mod peers;
mod process;
mod rest;
mod skips;
mod table;
mod websocket;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "conformance", about = "Other people's test suites against polywire", version)]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Subcommand)]
enum Suite {
    /// Plays known attacks on HTTP/2 servers at full size and measures memory and latency
    Attacks(attacks::Options),
    /// The Connect conformance suite: our server and our client in Connect, gRPC and gRPC-Web
    Connect(connect::Options),
    /// HTTP/2 servers: h2spec against our server
    H2spec(h2spec::ServerOptions),
    /// HTTP/2 clients: h2specd against our client
    H2specd(h2spec::ClientOptions),
    /// HTTP/1.1 servers: requests that two readers could understand differently, and slow clients
    Http1(http1::Options),
    /// WebSocket: Autobahn|Testsuite against our server and our client, and our own cases
    Websocket(websocket::Options),
    /// The standard gRPC cases between polywire and other implementations
    Interop(interop::Options),
    /// REST by google.api.http, with curl
    Rest(rest::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let suite = async {
        match Arguments::parse().suite {
            Suite::Attacks(options) => attacks::run(options).await,
            Suite::Connect(options) => connect::judge(options).await,
            Suite::H2spec(options) => h2spec::judge_server(options).await,
            Suite::H2specd(options) => h2spec::judge_client(options).await,
            Suite::Http1(options) => http1::run(options).await,
            Suite::Websocket(options) => websocket::run(options).await,
            Suite::Interop(options) => interop::run(options).await,
            Suite::Rest(options) => rest::judge(options).await,
        }
    };
    // Leaving this block drops every running program, and dropping kills it.
    tokio::select! {
        verdict = suite => match verdict {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                eprintln!("conformance: {problem}");
                ExitCode::from(2)
            }
        },
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}
