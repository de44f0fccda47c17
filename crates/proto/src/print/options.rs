//! Options of declarations, custom ones included.

use std::sync::Arc;

use buffa::{Message, MessageName};
use buffa_descriptor::{
    DescriptorPool, DynamicMessage, FieldDescriptor, FieldKind, MapKey, ReflectMessage as _, SingularKind, Value,
};
use serde::Serialize;

use crate::Pool;

/// An option and its value.
pub(super) struct PrintedOption {
    /// `deprecated`, or `(google.api.http)`.
    pub(super) name: String,
    /// In the text format; a message takes several lines.
    pub(super) value: String,
}

impl PrintedOption {
    /// `name = value` in one line.
    pub(super) fn inline(&self) -> String {
        let words: Vec<_> = self.value.lines().map(str::trim).collect();
        format!("{} = {}", self.name, words.join(" "))
    }
}

/// The options that are set.
pub(super) fn of<O: Message + MessageName + Serialize>(pool: &Pool, options: Option<&O>) -> Vec<PrintedOption> {
    let Some(options) = options else { return Vec::new() };
    let mut printed = Vec::new();
    if let Ok(serde_json::Value::Object(known)) = serde_json::to_value(options) {
        for (name, value) in known {
            push_known(&snake(&name), &value, &mut printed);
        }
    }
    // Where custom options are declared, the types of options are in the pool.
    if let Some(options) = DynamicMessage::from_options(Arc::clone(pool.linked()), options) {
        for extension in options.pool().extensions_of(options.message_index()) {
            let field = extension.field();
            if let Some(value) = options.field_by_number(field.number()).filter(|_| options.has(field)) {
                let name = format!("({})", extension.full_name());
                for value in values(options.pool(), field, value) {
                    printed.push(PrintedOption { name: name.clone(), value });
                }
            }
        }
    }
    printed
}

/// An option of `descriptor.proto`, from its JSON.
fn push_known(name: &str, value: &serde_json::Value, printed: &mut Vec<PrintedOption>) {
    /// Options whose JSON is a string because they are enums.
    const ENUMS: [&str; 6] = ["ctype", "idempotency_level", "jstype", "optimize_for", "retention", "targets"];

    match value {
        serde_json::Value::Array(list) => {
            for value in list {
                push_known(name, value, printed);
            }
        }
        // `features` has features, all of them enums.
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                if let Some(value) = value.as_str() {
                    printed.push(PrintedOption { name: format!("{name}.{}", snake(field)), value: value.to_owned() });
                }
            }
        }
        serde_json::Value::String(text) if ENUMS.contains(&name) => {
            printed.push(PrintedOption { name: name.to_owned(), value: text.clone() });
        }
        _ if name == "map_entry" => {}
        other => printed.push(PrintedOption { name: name.to_owned(), value: other.to_string() }),
    }
}

/// The text format of a field's value, or of each of its values.
fn values(pool: &DescriptorPool, field: &FieldDescriptor, value: &Value) -> Vec<String> {
    match (field.kind(), value) {
        (FieldKind::Singular(kind) | FieldKind::List(kind), Value::List(list)) => {
            list.iter().map(|value| singular(pool, kind, value)).collect()
        }
        (FieldKind::Map { value: kind, .. }, Value::Map(map)) => map
            .iter()
            .map(|(key, value)| {
                let value = singular(pool, kind, value).replace('\n', "\n  ");
                format!("{{\n  key: {}\n  value: {value}\n}}", key_text(key))
            })
            .collect(),
        (FieldKind::Singular(kind), value) => vec![singular(pool, kind, value)],
        _ => Vec::new(),
    }
}

fn singular(pool: &DescriptorPool, kind: SingularKind, value: &Value) -> String {
    match (kind, value) {
        (SingularKind::Enum(index), Value::EnumNumber(number)) => match pool.enumeration(index).value(*number) {
            Some(value) => value.name().to_owned(),
            None => number.to_string(),
        },
        (_, Value::Message(message)) => message_text(message),
        (_, Value::Bool(value)) => value.to_string(),
        (_, Value::I32(number) | Value::EnumNumber(number)) => number.to_string(),
        (_, Value::I64(number)) => number.to_string(),
        (_, Value::U32(number)) => number.to_string(),
        (_, Value::U64(number)) => number.to_string(),
        (_, Value::F32(number)) => number.to_string(),
        (_, Value::F64(number)) => number.to_string(),
        (_, Value::String(text)) => quoted(text.as_bytes()),
        (_, Value::Bytes(bytes)) => quoted(bytes),
        // Only fields hold lists and maps.
        (_, Value::List(_) | Value::Map(_)) => String::new(),
    }
}

fn message_text(message: &DynamicMessage) -> String {
    let mut text = String::from("{");
    for field in message.message_descriptor().fields() {
        let Some(value) = message.field_by_number(field.number()).filter(|_| message.has(field)) else { continue };
        for value in values(message.pool(), field, value) {
            let colon = if value.starts_with('{') { "" } else { ":" };
            text.push_str(&format!("\n  {}{colon} {}", field.name(), value.replace('\n', "\n  ")));
        }
    }
    if text.len() > 1 {
        text.push('\n');
    }
    text.push('}');
    text
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::String(key) => quoted(key.as_bytes()),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
    }
}

fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let escaped: String = text
                .chars()
                .flat_map(|letter| match letter {
                    '"' => vec!['\\', '"'],
                    '\\' => vec!['\\', '\\'],
                    '\n' => vec!['\\', 'n'],
                    letter => vec![letter],
                })
                .collect();
            format!("\"{escaped}\"")
        }
        Err(_) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// `javaPackage` as `java_package`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
