//! The requests of a call: from the command line, a file or standard input.

use std::path::PathBuf;

use polywire_proto::{JsonValues, MessageType};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::failure::Failure;

/// Where the requests come from, one after another.
pub(crate) struct Requests {
    source: Box<dyn AsyncRead + Send + Unpin>,
    /// What the source is called in errors.
    name: String,
    values: Option<JsonValues>,
    /// The last bytes read when they are the beginning of a letter.
    partial: Vec<u8>,
    count: u64,
    allow_unknown_fields: bool,
}

/// Read at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// Longest single message in JSON. A source that never ends one must not take all memory.
const VALUE_BYTES_MAX: usize = 512 * 1024 * 1024;

impl Requests {
    /// Opens what `-d` names. Without it there are no requests.
    pub(crate) async fn open(data: Option<&str>, allow_unknown_fields: bool) -> Result<Self, Failure> {
        let (source, name): (Box<dyn AsyncRead + Send + Unpin>, _) = match data {
            None => (Box::new(tokio::io::empty()), "no data".to_owned()),
            Some("@" | "@-") => (Box::new(tokio::io::stdin()), "standard input".to_owned()),
            Some(data) => match data.strip_prefix('@') {
                Some(path) => {
                    let path = PathBuf::from(path);
                    let name = path.display().to_string();
                    let file = tokio::fs::File::open(&path).await;
                    let file = file.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
                    (Box::new(file), name)
                }
                None => (Box::new(std::io::Cursor::new(data.as_bytes().to_vec())), "-d".to_owned()),
            },
        };
        let values = Some(JsonValues::default());
        Ok(Self { source, name, values, partial: Vec::new(), count: 0, allow_unknown_fields })
    }

    /// A request as the message.
    pub(crate) fn encode(&mut self, json: &str, message: &MessageType) -> Result<Vec<u8>, Failure> {
        self.count += 1;
        let encoded = if self.allow_unknown_fields {
            message.encode_json_ignoring_unknown(json)
        } else {
            message.encode_json(json)
        };
        encoded.map_err(|error| {
            let which = if self.count > 1 { format!(", message {}", self.count) } else { String::new() };
            let name = message.full_name();
            let failure = Failure::new(format!("the request ({}{which}) is not a {name}: {error}", self.name));
            if error.message().contains("has no field") {
                failure.hint(format!("`polywire describe` shows the fields of {name}; --allow-unknown-fields leaves out what it does not have"))
            } else {
                failure
            }
        })
    }

    /// The next request in JSON, as soon as all of it is there.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Failure> {
        let mut buffer = Vec::new();
        let mut unfinished_bytes = 0;
        loop {
            let Some(values) = &mut self.values else { return Ok(None) };
            if let Some(value) = values.next_value() {
                return Ok(Some(value));
            }
            if unfinished_bytes > VALUE_BYTES_MAX {
                return Err(Failure::new(format!("{} has a message of more than {VALUE_BYTES_MAX} bytes", self.name)));
            }
            buffer.resize(READ_BYTES, 0);
            let failed = |error| Failure::new(format!("cannot read {}: {error}", self.name));
            let read = self.source.read(&mut buffer).await.map_err(failed)?;
            if read == 0 {
                let rest = self.values.take().and_then(JsonValues::finish);
                return if self.partial.is_empty() { Ok(rest) } else { Err(not_utf8(&self.name)) };
            }
            unfinished_bytes += read;
            self.partial.extend_from_slice(&buffer[..read]);
            let valid = match std::str::from_utf8(&self.partial) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_some() => return Err(not_utf8(&self.name)),
                Err(error) => error.valid_up_to(),
            };
            values.push(std::str::from_utf8(&self.partial[..valid]).map_err(|_| not_utf8(&self.name))?);
            self.partial.drain(..valid);
        }
    }
}

fn not_utf8(name: &str) -> Failure {
    Failure::new(format!("{name} is not text in UTF-8"))
}
