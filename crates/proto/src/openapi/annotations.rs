//! The annotations of `google/api`, read from options: `descriptor.proto` does not know them, so they are among its unknown fields.

use buffa::{UnknownFieldData, UnknownFields};

use crate::{FieldDescriptorProto, MethodDescriptorProto};

/// `google.api.HttpRule`, without its additional bindings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HttpRule {
    /// In lower case; `*` for any.
    pub(super) verb: String,
    pub(super) path: String,
    pub(super) body: String,
    pub(super) response_body: String,
}

/// What `google.api.field_behavior` says of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldBehavior {
    pub(super) required: bool,
    pub(super) output_only: bool,
    pub(super) input_only: bool,
}

/// The extension `google.api.http` of `MethodOptions`.
const HTTP: u32 = 72_295_728;

/// The extension `google.api.field_behavior` of `FieldOptions`.
const FIELD_BEHAVIOR: u32 = 1052;

/// The rules of a method: the one that stands there and its additional bindings.
pub(super) fn http_rules(method: &MethodDescriptorProto) -> Vec<HttpRule> {
    let Some(options) = method.options.as_option() else { return Vec::new() };
    let mut bytes = Vec::new();
    // Parts of one message may come separately; put one behind another they are the whole.
    for field in options.__buffa_unknown_fields.iter().filter(|field| field.number == HTTP) {
        if let UnknownFieldData::LengthDelimited(part) = &field.data {
            bytes.extend_from_slice(part);
        }
    }
    let mut rules = Vec::new();
    read_rule(&bytes, true, &mut rules);
    rules
}

pub(super) fn field_behavior(field: &FieldDescriptorProto) -> FieldBehavior {
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

fn read_rule(bytes: &[u8], with_bindings: bool, rules: &mut Vec<HttpRule>) {
    let Ok(fields) = UnknownFields::decode_from_slice(bytes) else { return };
    let mut rule = HttpRule::default();
    let mut bindings = Vec::new();
    for field in fields.iter() {
        let UnknownFieldData::LengthDelimited(value) = &field.data else { continue };
        let text = || String::from_utf8_lossy(value).into_owned();
        let verb = match field.number {
            2 => "get",
            3 => "put",
            4 => "post",
            5 => "delete",
            6 => "patch",
            7 => {
                rule.body = text();
                continue;
            }
            8 => {
                read_custom(value, &mut rule);
                continue;
            }
            11 => {
                read_rule(value, false, &mut bindings);
                continue;
            }
            12 => {
                rule.response_body = text();
                continue;
            }
            _ => continue,
        };
        rule.verb = verb.to_owned();
        rule.path = text();
    }
    if !rule.path.is_empty() {
        rules.push(rule);
    }
    if with_bindings {
        rules.append(&mut bindings);
    }
}

/// `google.api.CustomHttpPattern`.
fn read_custom(bytes: &[u8], rule: &mut HttpRule) {
    let Ok(fields) = UnknownFields::decode_from_slice(bytes) else { return };
    for field in fields.iter() {
        if let UnknownFieldData::LengthDelimited(value) = &field.data {
            let text = String::from_utf8_lossy(value);
            match field.number {
                1 => rule.verb = text.to_ascii_lowercase(),
                2 => rule.path = text.into_owned(),
                _ => {}
            }
        }
    }
}
