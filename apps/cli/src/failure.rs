//! Why the command did not do what it was asked, and what can be done about it.

use std::fmt;

use polywire::{Code, Status};

/// An end that is not success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever read our output went away: nothing more to do, nothing to complain about.
    OutputClosed,
    /// A status, of the call or of not getting as far as that.
    Status {
        status: Status,
        /// What to do about it, a line each.
        hints: Vec<String>,
    },
    /// Something on this side.
    Trouble {
        message: String,
        hints: Vec<String>,
        /// Whether the command line is to blame.
        usage: bool,
    },
}

impl Failure {
    /// Something on this side is wrong.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Trouble { message: message.into(), hints: Vec::new(), usage: false }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Trouble { message: message.into(), hints: Vec::new(), usage: true }
    }

    /// Adds what can be done.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        match &mut self {
            Self::OutputClosed => {}
            Self::Status { hints, .. } | Self::Trouble { hints, .. } => hints.push(hint.into()),
        }
        self
    }

    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Status { status, .. } => exit_code(status.code()),
            Self::Trouble { usage: true, .. } => 2,
            Self::Trouble { usage: false, .. } => 1,
        }
    }
}

/// The exit code of a status: that of grpcurl.
pub(crate) fn exit_code(code: Code) -> u8 {
    if code == Code::Ok { 0 } else { 64 + code.number() }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status { status, hints: Vec::new() }
    }
}

impl From<polywire_proto::Error> for Failure {
    fn from(error: polywire_proto::Error) -> Self {
        // The compiler's text says itself that it is an error.
        let text = error.to_string();
        Self::new(text.strip_prefix("error: ").unwrap_or(&text))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(format!("cannot write the output: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputClosed => f.write_str("the output was closed"),
            Self::Status { status, .. } => status.fmt(f),
            Self::Trouble { message, .. } => f.write_str(message),
        }
    }
}
