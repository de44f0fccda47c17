//! The annotation `google.api.field_behavior`, read from options: `descriptor.proto` does not know it, so it is among its
//! unknown fields.

use buffa::UnknownFieldData;

use crate::FieldDescriptorProto;

/// What `google.api.field_behavior` says of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldBehavior {
    pub(super) required: bool,
    pub(super) output_only: bool,
    pub(super) input_only: bool,
}

/// The extension `google.api.field_behavior` of `FieldOptions`.
const FIELD_BEHAVIOR: u32 = 1052;

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
