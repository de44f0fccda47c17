//! Metadata as it is written on the command line and shown to people.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use polywire::{Metadata, MetadataValue};

use crate::failure::Failure;

/// Base64 with or without padding.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads entries of the form `key: value`, or `@file` with one of them on each line.
pub(crate) fn parse<'a>(entries: impl IntoIterator<Item = &'a String>) -> Result<Metadata, Failure> {
    let mut metadata = Metadata::new();
    for entry in entries {
        match entry.strip_prefix('@') {
            None => append(&mut metadata, entry)?,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::usage(format!("cannot read metadata from {path}: {error}")))?;
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                    append(&mut metadata, line)?;
                }
            }
        }
    }
    Ok(metadata)
}

/// A value as people see it: text, or base64 of a binary one.
pub(crate) fn show(key: &str, value: MetadataValue<'_>) -> String {
    match value.as_str() {
        Some(text) if !key.ends_with("-bin") => text.to_owned(),
        _ => BASE64.encode(value.as_bytes()),
    }
}

fn append(metadata: &mut Metadata, entry: &str) -> Result<(), Failure> {
    let Some((key, value)) = entry.split_once(':') else {
        return Err(Failure::usage(format!("metadata {entry:?} has no colon")).hint("write it as -H 'key: value'"));
    };
    let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
    let appended = if key.ends_with("-bin") {
        let bytes = BASE64.decode(value).map_err(|error| {
            Failure::usage(format!("the value of {key} is not base64: {error}"))
                .hint("values of keys that end in -bin are written in base64")
        })?;
        metadata.append_bin(&key, &bytes)
    } else {
        metadata.append(&key, value)
    };
    appended.map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match key.as_str() {
            "grpc-timeout" => failure.hint("use --timeout"),
            "grpc-encoding" => failure.hint("use --compress"),
            _ => failure,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_curl_reads_headers() {
        let entries = [
            "X-Tenant: acme".to_owned(),
            "trace-bin: AAH/".to_owned(),
            "empty:".to_owned(),
            "url: http://x".to_owned(),
        ];
        let metadata = parse(&entries).unwrap();
        assert_eq!(metadata.get("x-tenant"), Some("acme"));
        assert_eq!(metadata.binary("trace-bin"), Some(&[0, 1, 255][..]));
        assert_eq!(metadata.get("empty"), Some(""));
        assert_eq!(metadata.get("url"), Some("http://x"));
    }

    #[test]
    fn wrong_entries_are_refused_with_what_to_write() {
        for entry in ["no colon", "x-bin: ***", "grpc-timeout: 1S", "\u{e9}: x"] {
            assert_eq!(parse(&[entry.to_owned()]).unwrap_err().exit_code(), 2, "{entry}");
        }
    }
}
