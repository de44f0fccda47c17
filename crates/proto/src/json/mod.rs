//! Canonical JSON of messages that are known by their descriptors alone.
//!
//! The descriptor crate could do both directions; here they are written again because a command-line tool lives by its
//! errors and must show every response: each error names the field's path and the place in the text, `float` fields are
//! written as short as they were meant, and an `Any` of an unknown type is shown instead of failing the whole message.

mod error;
mod read;
mod scalar;
mod template;
mod values;
mod well_known;
mod write;

use std::sync::Arc;

use buffa_descriptor::DynamicMessage;

pub use self::error::JsonError;
pub use self::values::JsonValues;
use crate::{Error, MessageType};

/// How JSON is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonOptions {
    /// Writes fields without presence also when they have their default value.
    pub defaults: bool,
    /// Names fields as in the `.proto` file instead of in lowerCamelCase.
    pub proto_names: bool,
    /// Breaks and indents lines.
    pub pretty: bool,
}

impl MessageType {
    /// A message in JSON as the bytes of the Protobuf binary format.
    ///
    /// # Errors
    /// When the text is not JSON, a field is not known or has the wrong value, or an `Any` holds a type that is not in the
    /// pool.
    pub fn encode_json(&self, json: &str) -> Result<Vec<u8>, JsonError> {
        let message = read::read(self, json, read::Unknown::Refuse)?;
        message.try_encode_to_vec().map_err(|_| JsonError::whole("the message is larger than 2 GiB"))
    }

    /// As [`encode_json`](Self::encode_json), but fields that are not known are left out.
    ///
    /// # Errors
    /// As [`encode_json`](Self::encode_json), but for these fields.
    pub fn encode_json_ignoring_unknown(&self, json: &str) -> Result<Vec<u8>, JsonError> {
        let message = read::read(self, json, read::Unknown::Ignore)?;
        message.try_encode_to_vec().map_err(|_| JsonError::whole("the message is larger than 2 GiB"))
    }

    /// The bytes of a message as JSON. Fields that the descriptor does not have are left out; an `Any` of a type that is not in
    /// the pool is shown as `{"@type": …, "@value": base64}`.
    ///
    /// # Errors
    /// When these bytes are not such a message, or a timestamp or duration has no JSON because it is out of range.
    pub fn decode_to_json(&self, message: &[u8], options: JsonOptions) -> Result<String, Error> {
        let message = DynamicMessage::decode(Arc::clone(&self.pool), self.index, message)
            .map_err(|error| Error::descriptors(format!("this is not a message {}: {error}", self.full_name())))?;
        write::write(&message, options)
            .map_err(|error| Error::descriptors(format!("{} has no JSON: {error}", self.full_name())))
    }
}
