use std::fmt;

/// What is wrong with a message in JSON.
///
/// It shows as `lines[2].quantity (line 4, column 17): 5000000000 does not fit into uint32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    path: String,
    place: Option<(usize, usize)>,
    message: String,
}

impl JsonError {
    pub(super) fn new(path: String, error: &serde_json::Error) -> Self {
        let place = (error.line() > 0).then(|| (error.line(), error.column()));
        let mut message = error.to_string();
        if place.is_some()
            && let Some(at) = message.rfind(" at line ")
        {
            message.truncate(at);
        }
        // JSON has words of its own for these.
        for (word, json_word) in [("type: sequence", "type: array"), ("type: map", "type: object")] {
            message = message.replacen(word, json_word, 1);
        }
        Self { path, place, message }
    }

    pub(super) fn whole(message: &str) -> Self {
        Self { path: String::new(), place: None, message: message.to_owned() }
    }

    /// The path of the field, such as `lines[2].labels["a"]`; empty for the whole message.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Line and column in the text, both counted from 1; behind the value that is wrong.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// What is wrong there.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path.as_str(), self.place) {
            ("", None) => f.write_str(&self.message),
            ("", Some((line, column))) => write!(f, "line {line}, column {column}: {}", self.message),
            (path, None) => write!(f, "{path}: {}", self.message),
            (path, Some((line, column))) => write!(f, "{path} (line {line}, column {column}): {}", self.message),
        }
    }
}

impl std::error::Error for JsonError {}
