use std::fmt;

/// Why descriptors or code could not be made.
///
/// Both `Display` and `Debug` write the whole explanation, so that a build script whose `main` returns it shows it well.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    text: String,
}

/// What an [`Error`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A `.proto` file is wrong, or something it imports is missing.
    Compile,
    /// Something given as descriptors is not, or is incomplete.
    Descriptors,
    /// Code cannot be generated for these descriptors with these options.
    Generate,
    /// A file cannot be read or written.
    Io,
}

impl Error {
    #[cfg(feature = "compile")]
    pub(crate) fn compile(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Compile, text: text.into() }
    }

    pub(crate) fn descriptors(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Descriptors, text: text.into() }
    }

    #[cfg(feature = "generate")]
    pub(crate) fn generate(text: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Generate, text: text.into() }
    }

    #[cfg(feature = "generate")]
    pub(crate) fn io(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self { kind: ErrorKind::Io, text: format!("cannot {action} {}: {error}", path.display()) }
    }

    /// What it is about.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
