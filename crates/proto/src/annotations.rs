//! The annotations of `google/api`, read from options: `descriptor.proto` does not know them, so they are among its unknown fields.

use buffa::{UnknownFieldData, UnknownFields};

use crate::{FieldDescriptorProto, MethodDescriptorProto};

/// `google.api.HttpRule` without its additional bindings.
#[derive(Debug, Default)]
pub(crate) struct HttpRule {
    /// In capitals; `*` for any.
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) response_body: String,
}

/// What `google.api.field_behavior` says of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldBehavior {
    pub(crate) required: bool,
    pub(crate) output_only: bool,
    pub(crate) input_only: bool,
}

/// The extension `google.api.http` of `MethodOptions`.
const HTTP: u32 = 72_295_728;

/// The extension `google.api.field_behavior` of `FieldOptions`.
const FIELD_BEHAVIOR: u32 = 1052;

/// The rules of a method: the one that stands there and its additional bindings.
pub(crate) fn http_rules(method: &MethodDescriptorProto) -> Result<Vec<HttpRule>, String> {
    let Some(options) = method.options.as_option() else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    let mut is_there = false;
    // Parts of one message may come separately; put one behind another they are the whole.
    for field in options.__buffa_unknown_fields.iter().filter(|field| field.number == HTTP) {
        if let UnknownFieldData::LengthDelimited(part) = &field.data {
            bytes.extend_from_slice(part);
            is_there = true;
        }
    }
    let mut rules = Vec::new();
    if is_there {
        read_rule(&bytes, false, &mut rules)?;
    }
    Ok(rules)
}

/// What is true of a field.
pub(crate) fn field_behavior(field: &FieldDescriptorProto) -> FieldBehavior {
    let mut behavior = FieldBehavior::default();
    let Some(options) = field.options.as_option() else { return behavior };
    let mut note = |value: u64| match value {
        2 => behavior.required = true,
        3 => behavior.output_only = true,
        4 => behavior.input_only = true,
        _ => {}
    };
    for field in options.__buffa_unknown_fields.iter().filter(|field| field.number == FIELD_BEHAVIOR) {
        match &field.data {
            UnknownFieldData::Varint(value) => note(*value),
            // Some compilers pack them; all known values are of one byte.
            UnknownFieldData::LengthDelimited(packed) => packed.iter().for_each(|value| note(u64::from(*value))),
            _ => {}
        }
    }
    behavior
}

fn read_rule(bytes: &[u8], is_additional: bool, rules: &mut Vec<HttpRule>) -> Result<(), String> {
    let fields =
        UnknownFields::decode_from_slice(bytes).map_err(|error| format!("its bytes are malformed: {error}"))?;
    let mut rule = HttpRule::default();
    let mut bindings = Vec::new();
    for field in fields.iter() {
        let UnknownFieldData::LengthDelimited(value) = &field.data else { continue };
        let text = || String::from_utf8_lossy(value).into_owned();
        match field.number {
            2 => (rule.verb, rule.path) = ("GET".to_owned(), text()),
            3 => (rule.verb, rule.path) = ("PUT".to_owned(), text()),
            4 => (rule.verb, rule.path) = ("POST".to_owned(), text()),
            5 => (rule.verb, rule.path) = ("DELETE".to_owned(), text()),
            6 => (rule.verb, rule.path) = ("PATCH".to_owned(), text()),
            7 => rule.body = text(),
            8 => read_custom(value, &mut rule)?,
            11 if is_additional => {
                return Err("additional bindings have none themselves; put them all into the first rule".to_owned());
            }
            11 => read_rule(value, true, &mut bindings)?,
            12 => rule.response_body = text(),
            _ => {}
        }
    }
    if rule.verb.is_empty() && rule.path.is_empty() {
        return Err("it has no verb and path; write one, as in get: \"/v1/things\"".to_owned());
    }
    rules.push(rule);
    rules.append(&mut bindings);
    Ok(())
}

/// `google.api.CustomHttpPattern`.
fn read_custom(bytes: &[u8], rule: &mut HttpRule) -> Result<(), String> {
    let fields =
        UnknownFields::decode_from_slice(bytes).map_err(|error| format!("its bytes are malformed: {error}"))?;
    for field in fields.iter() {
        if let UnknownFieldData::LengthDelimited(value) = &field.data {
            let text = String::from_utf8_lossy(value).into_owned();
            match field.number {
                1 => rule.verb = text,
                2 => rule.path = text,
                _ => {}
            }
        }
    }
    Ok(())
}
