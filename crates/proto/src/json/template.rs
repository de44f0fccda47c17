//! A message in JSON with every field, to fill in.

use std::collections::HashSet;

use buffa_descriptor::{FieldDescriptor, FieldKind, MessageIndex, ScalarType, SingularKind};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{scalar, well_known::WellKnown};
use crate::MessageType;

impl MessageType {
    /// A message in JSON that has each field, lists and maps with one element, to be filled in. Of a oneof it has the first
    /// field; a message inside itself is left empty.
    pub fn json_template(&self) -> String {
        serde_json::to_string_pretty(&Template { of: self, kind: SingularKind::Message(self.index), outer: None })
            .expect("values with strings for keys can always be written")
    }
}

/// What stands for a value.
struct Template<'a> {
    of: &'a MessageType,
    kind: SingularKind,
    /// The message this is in.
    outer: Option<&'a Outer<'a>>,
}

/// A message that is being written, and those around it.
struct Outer<'a> {
    index: MessageIndex,
    outer: Option<&'a Outer<'a>>,
}

impl Outer<'_> {
    fn has(&self, index: MessageIndex) -> bool {
        self.index == index || self.outer.is_some_and(|outer| outer.has(index))
    }
}

impl Serialize for Template<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = match self.kind {
            SingularKind::Scalar(of) => return scalar::write_default(of, serializer),
            SingularKind::Enum(index) => {
                let values = self.of.pool.enumeration(index).values();
                return values.first().map(buffa_descriptor::EnumValueDescriptor::name).serialize(serializer);
            }
            SingularKind::Message(index) => index,
        };
        let descriptor = self.of.pool.message(index);
        match WellKnown::of(descriptor) {
            Some(WellKnown::Any) => serializer.collect_map([("@type", "type.googleapis.com/package.Message")]),
            Some(WellKnown::Duration) => serializer.serialize_str("0s"),
            Some(WellKnown::FieldMask) => serializer.serialize_str(""),
            Some(WellKnown::ListValue) => serializer.collect_seq([(); 0]),
            Some(WellKnown::Struct) => serializer.collect_map([((), ()); 0]),
            Some(WellKnown::Timestamp) => serializer.serialize_str("1970-01-01T00:00:00Z"),
            Some(WellKnown::Value) => serializer.serialize_unit(),
            Some(WellKnown::Wrapper(of)) => scalar::write_default(of, serializer),
            None if self.outer.is_some_and(|outer| outer.has(index)) => serializer.collect_map([((), ()); 0]),
            None => {
                let outer = Outer { index, outer: self.outer };
                let mut oneofs = HashSet::new();
                let mut map = serializer.serialize_map(None)?;
                for field in descriptor.fields() {
                    if field.oneof_index().is_none_or(|oneof| oneofs.insert(oneof)) {
                        let value = FieldTemplate { of: self.of, field, outer: &outer };
                        map.serialize_entry(field.json_name(), &value)?;
                    }
                }
                map.end()
            }
        }
    }
}

/// What stands for the value of a field.
struct FieldTemplate<'a> {
    of: &'a MessageType,
    field: &'a FieldDescriptor,
    outer: &'a Outer<'a>,
}

impl Serialize for FieldTemplate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let template = |kind| Template { of: self.of, kind, outer: Some(self.outer) };
        match self.field.kind() {
            FieldKind::Singular(kind) => template(kind).serialize(serializer),
            FieldKind::List(kind) => serializer.collect_seq([template(kind)]),
            FieldKind::Map { key, value } => {
                let key = match key {
                    ScalarType::Bool => "false",
                    ScalarType::String => "",
                    _ => "0",
                };
                serializer.collect_map([(key, template(value))])
            }
        }
    }
}
