//! What is shown: results on standard output, everything else on standard error.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use polywire::Metadata;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    arguments::{Color, Format, OutputArguments},
    failure::Failure,
    metadata,
};

/// Where and how things are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    verbose: u8,
    stdout_colored: bool,
    stderr_colored: bool,
}

/// Something that happened, as one line of JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// `describe` found this.
    Declaration { symbol: &'a str, kind: &'a str, file: &'a str, source: &'a str },
    /// The command failed before or without a call.
    Error { message: &'a str, hints: &'a [String] },
    /// Leading metadata has come.
    Headers { metadata: BTreeMap<&'a str, Vec<String>> },
    /// `list` found this method.
    Method { method: &'a str, request: &'a str, response: &'a str, client_streaming: bool, server_streaming: bool },
    /// A message has come.
    Response { message: &'a RawValue, bytes: usize },
    /// `list` found this service.
    Service { service: &'a str },
    /// The call has ended, or the server could not be reached.
    Status {
        code: u8,
        name: &'a str,
        message: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        details: &'a [Box<RawValue>],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<&'a str, Vec<String>>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        hints: &'a [String],
        requests: u64,
        responses: u64,
        duration_ms: f64,
    },
    /// `describe --template` made this.
    Template { symbol: &'a str, message: &'a RawValue },
}

impl Output {
    pub(crate) fn new(arguments: OutputArguments, verbose: u8) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let colored = |terminal: bool| match arguments.color {
            Color::Always => true,
            Color::Auto => terminal && !no_color,
            Color::Never => false,
        };
        Self {
            format: arguments.format,
            verbose,
            stdout_colored: colored(io::stdout().is_terminal()) && arguments.format == Format::Text,
            stderr_colored: colored(io::stderr().is_terminal()),
        }
    }

    /// Whether one JSON object a line is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// How much is wanted beside the results.
    pub(crate) fn verbose(&self) -> u8 {
        self.verbose
    }

    /// Writes a result, and a line break when it has none.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        // Somebody may be waiting for it.
        Ok(stdout.flush()?)
    }

    /// Writes a result that is JSON.
    pub(crate) fn json(&self, json: &str) -> Result<(), Failure> {
        if self.stdout_colored { self.result(&colored_json(json)) } else { self.result(json) }
    }

    /// Writes what happened as a line of JSON.
    pub(crate) fn event(&self, event: &Event<'_>) -> Result<(), Failure> {
        self.result(&serde_json::to_string(event).map_err(|error| Failure::new(error.to_string()))?)
    }

    /// Writes a line of explanation if so much is wanted: 0 always, 1 with `-v`, 2 with `-vv`.
    pub(crate) fn note(&self, verbosity: u8, mark: char, text: impl Display) {
        if self.verbose < verbosity {
            return;
        }
        let (dim, reset) = if self.stderr_colored { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        // Nobody reads explanations that cannot be written.
        let _ = writeln!(io::stderr().lock(), "{dim}{mark}{reset} {text}");
    }

    /// Shows metadata if that is wanted.
    pub(crate) fn metadata(&self, mark: char, what: &str, shown: &Metadata) {
        for (key, value) in shown {
            self.note(1, mark, format_args!("{what}{key}: {}", metadata::show(key, value)));
        }
    }

    /// Says why the command failed, and what can be done.
    pub(crate) fn failure(&self, failure: &Failure) {
        let (title, hints) = match failure {
            Failure::OutputClosed => return,
            Failure::Status { status, hints } => {
                let code = status.code();
                let title = format!("{} ({})", code.name(), code.number());
                let message = status.message();
                (if message.is_empty() { title } else { format!("{title}: {message}") }, hints)
            }
            Failure::Trouble { message, hints, .. } => (message.clone(), hints),
        };
        if self.is_json() {
            let event = match failure {
                Failure::Status { status, .. } => Event::Status {
                    code: status.code().number(),
                    name: status.code().name(),
                    message: status.message(),
                    details: &[],
                    metadata: BTreeMap::new(),
                    hints,
                    requests: 0,
                    responses: 0,
                    duration_ms: 0.0,
                },
                _ => Event::Error { message: &title, hints },
            };
            let _ = self.event(&event);
            return;
        }
        let (red, cyan, reset) = if self.stderr_colored { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "{red}error:{reset} {title}");
        for hint in hints {
            let _ = writeln!(stderr, "{cyan}hint:{reset} {hint}");
        }
    }

    /// Adds a detail below a failure.
    pub(crate) fn detail(&self, name: &str, json: &str) {
        let (cyan, reset) = if self.stderr_colored { ("\x1b[36m", "\x1b[0m") } else { ("", "") };
        let json = if self.stderr_colored { colored_json(json) } else { json.to_owned() };
        let _ = writeln!(io::stderr().lock(), "{cyan}detail:{reset} {name} {json}");
    }
}

/// Metadata for JSON: each key with all its values, binary ones in base64.
pub(crate) fn metadata_map(shown: &Metadata) -> BTreeMap<&str, Vec<String>> {
    let mut map = BTreeMap::<&str, Vec<String>>::new();
    for (key, value) in shown {
        map.entry(key).or_default().push(metadata::show(key, value));
    }
    map
}

/// Puts colours into JSON: one for names, one for strings, one for everything else that is a value.
fn colored_json(json: &str) -> String {
    const NAME: &str = "\x1b[34m";
    const STRING: &str = "\x1b[32m";
    const WORD: &str = "\x1b[33m";
    const RESET: &str = "\x1b[0m";
    let mut out = String::with_capacity(json.len() * 2);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let (color, len) = match first {
            '"' => {
                let len = string_len(rest);
                let is_name = rest[len..].trim_start().starts_with(':');
                (if is_name { NAME } else { STRING }, len)
            }
            _ if first.is_ascii_alphanumeric() || first == '-' => {
                (WORD, rest.find([',', '}', ']', ' ', '\n']).unwrap_or(rest.len()))
            }
            _ => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        out.extend([color, &rest[..len], RESET]);
        rest = &rest[len..];
    }
    out
}

/// The length of the string in quotes that the text begins with.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_leave_the_text_as_it_is() {
        let json = "{\n  \"a\\\"b\": [1, -2.5, true, \"x:\\\\\"],\n  \"\u{e9}\": null\n}";
        let colored = colored_json(json);
        assert!(colored.contains("\x1b[34m\"a\\\"b\"\x1b[0m:"), "{colored}");
        let mut plain = colored;
        for color in ["\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[0m"] {
            plain = plain.replace(color, "");
        }
        assert_eq!(plain, json);
    }
}
