//! Habits of grpcurl's users: flags with one dash, and the address before the verb.

use std::ffi::OsString;

/// Writes a command line as grpcurl takes it the way this command does; others stay as they are.
///
/// `-plaintext -d {} host:80 a.B/C` becomes `call --plaintext -d {} host:80 a.B/C`, and `host:80 list` becomes `list host:80`.
pub(crate) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    for argument in arguments[..end].iter_mut().skip(1) {
        if let Some(text) = argument.to_str()
            && let Some(flag) = text.strip_prefix('-')
            && FLAGS.contains(&flag.split('=').next().unwrap_or(flag))
        {
            *argument = format!("--{flag}").into();
        }
    }
    let Some(first) = arguments.get(1).and_then(|first| first.to_str()) else { return arguments };
    let own = matches!(first, "-h" | "--help" | "-V" | "--version");
    if own || !(first.starts_with('-') || first.contains([':', '/'])) {
        return arguments;
    }
    match arguments.iter().position(|argument| argument == "list" || argument == "describe") {
        Some(verb) => {
            let verb = arguments.remove(verb);
            arguments.insert(1, verb);
        }
        None => arguments.insert(1, "call".into()),
    }
    arguments
}

/// The long flags of grpcurl that this command has too.
const FLAGS: &[&str] = &[
    "allow-unknown-fields",
    "authority",
    "cacert",
    "cert",
    "connect-timeout",
    "emit-defaults",
    "format",
    "help",
    "import-path",
    "insecure",
    "key",
    "max-msg-sz",
    "max-time",
    "msg-template",
    "plaintext",
    "proto",
    "protoset",
    "reflect-header",
    "rpc-header",
    "servername",
    "use-reflection",
    "user-agent",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let words = std::iter::once("polywire").chain(line.split(' ')).map(OsString::from);
        let words: Vec<_> = translate(words).iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn what_grpcurl_takes_is_understood() {
        for (theirs, ours) in [
            ("-plaintext -d {} h:80 a.B/C", "call --plaintext -d {} h:80 a.B/C"),
            ("-plaintext h:80 list", "list --plaintext h:80"),
            ("h:80 describe a.B", "describe h:80 a.B"),
            ("-max-time=5 -vv h:80 a.B.C", "call --max-time=5 -vv h:80 a.B.C"),
            ("-version", "--version"),
            ("call -insecure h:1 a.B/C", "call --insecure h:1 a.B/C"),
        ] {
            assert_eq!(translated(theirs), ours);
        }
    }

    #[test]
    fn own_command_lines_stay_as_they_are() {
        for line in ["call -d {} h:80 a.B/C", "lst h:80", "--help", "list h:80 -- -plaintext"] {
            assert_eq!(translated(line), line);
        }
    }
}
