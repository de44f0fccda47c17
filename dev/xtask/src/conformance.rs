//! Builds the package `conformance` and hands over to its driver.

use std::process::{Command, ExitCode};

use clap::Args;

/// `cargo xtask conformance SUITE …`
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Conformance {
    /// attacks, connect, h2spec, h2specd, http1, rest or websocket, and their options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// `cargo xtask interop …`
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Interop {
    /// --peer NAME, --quick, --ci and others (--help shows them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Conformance {
    pub(crate) fn run(self) -> ExitCode {
        drive(self.words)
    }
}

impl Interop {
    pub(crate) fn run(self) -> ExitCode {
        drive([vec!["interop".into()], self.words].concat())
    }
}

/// The servers and clients under test are other programs of the package, so all of them are built before the driver runs.
fn drive(words: Vec<String>) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let package = ["--release", "--quiet", "--package", "conformance"];
    let built = Command::new(&cargo).arg("build").args(package).arg("--bins").status();
    if !built.is_ok_and(|status| status.success()) {
        return ExitCode::FAILURE;
    }
    let driven =
        Command::new(&cargo).arg("run").args(package).args(["--bin", "conformance", "--"]).args(words).status();
    match driven {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(_) => ExitCode::FAILURE,
    }
}
