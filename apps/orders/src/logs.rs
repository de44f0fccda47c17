//! Where log lines go.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::flags::LogFormat;

/// Starts logging to standard error. A filter that cannot be understood is replaced by `info`, and the log says so.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let wrong = parsed.as_ref().err().map(ToString::to_string);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(io::stderr)
        .with_target(false);
    match format {
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(filter, error, "the log filter cannot be understood; logging info");
    }
}
