//! Runs the order system: flags, logs, signals, and the order in which things start and end.

mod flags;
mod logs;
mod welcome;

use std::fmt;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use orders::app::{App, StartError};
use orders::clock::Clock;
use polywire::{ListenError, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The address cannot be listened on.
const EXIT_LISTEN: u8 = 3;
/// Anything else that keeps it from starting. Wrong flags are 2, as clap has it.
const EXIT_START: u8 = 1;
/// Ended by a second Ctrl-C, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    logs::start(flags.log_format, &flags.log);
    match run(&flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(if matches!(failure, Failure::Listen(_)) { EXIT_LISTEN } else { EXIT_START })
        }
    }
}

/// Starts everything, serves until a signal, and ends everything.
async fn run(flags: &Flags) -> Result<(), Failure> {
    let settings = flags.settings().map_err(Failure::Flags)?;
    if let Some(directory) = flags.data_directory() {
        fs::create_dir_all(directory).map_err(|error| {
            Failure::Flags(format!("the data directory {} cannot be made: {error}", directory.display()))
        })?;
    }
    let place = settings.database.to_string();
    tracing::info!(database = place, "opening the database");
    let app = App::start(settings, Clock::system()).await.map_err(Failure::Start)?;

    let mut server = app.mount(Server::new().drain_timeout(flags.drain_timeout));
    if let Some(tls) = flags.tls() {
        server = server.tls(tls);
    }
    let bound = server.bind(&flags.listen).await.map_err(Failure::Listen)?;
    let address = bound.address().map_or_else(|| flags.listen.clone(), |address| address.to_string());
    tracing::info!(address, tls = flags.tls().is_some(), "listening");
    welcome::print(flags, &address, &place);

    bound.serve_until(first_signal(&app, flags.drain_timeout)).await;
    app.stop().await;
    tracing::info!("ended");
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM. A second one ends the process on the spot.
async fn first_signal(app: &App, drain_timeout: Duration) {
    let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%error, "signals cannot be caught; the process will end without draining");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!(timeout = ?drain_timeout, "draining: finishing what has begun; Ctrl-C again ends at once");
    app.hang_up();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::warn!("ended before everything was finished");
        std::process::exit(EXIT_INTERRUPTED);
    });
}

/// Why it did not start.
enum Failure {
    Flags(String),
    Listen(ListenError),
    Start(StartError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags(message) => f.write_str(message),
            Self::Listen(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
        }
    }
}
