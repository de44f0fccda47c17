//! Message to JSON.

use buffa::{RECURSION_LIMIT, json_helpers, json_helpers::wkt};
use buffa_descriptor::{
    DynamicMessage, FieldDescriptor, FieldKind, MapKey, ReflectMessage as _, ScalarType, SingularKind, Value,
};
use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};

use super::{JsonOptions, scalar, well_known::WellKnown};

/// The whole text.
pub(super) fn write(message: &DynamicMessage, options: JsonOptions) -> Result<String, serde_json::Error> {
    let json = Json { message, options, depth: RECURSION_LIMIT };
    if options.pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }
}

/// A message on its way out.
struct Json<'a> {
    message: &'a DynamicMessage,
    options: JsonOptions,
    /// How much deeper it may go: messages in `Any` are decoded only here, so the limit of decoding does not hold them.
    depth: u32,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match WellKnown::of(self.message.message_descriptor()) {
            Some(well_known) => self.well_known(well_known, serializer),
            None => {
                let mut map = serializer.serialize_map(None)?;
                self.fields::<S>(&mut map)?;
                map.end()
            }
        }
    }
}

impl Json<'_> {
    fn fields<S: Serializer>(&self, map: &mut S::SerializeMap) -> Result<(), S::Error> {
        let descriptor = self.message.message_descriptor();
        for field in descriptor.fields() {
            let name = if self.options.proto_names { field.name() } else { field.json_name() };
            if self.message.has(field) {
                let value = self.message.field_by_number(field.number());
                map.serialize_entry(name, &JsonField { of: self, field, value })?;
            } else if self.options.defaults && has_no_presence(field) {
                map.serialize_entry(name, &JsonField { of: self, field, value: None })?;
            }
        }
        for extension in self.message.pool().extensions_of(self.message.message_index()) {
            let field = extension.field();
            if self.message.has(field) {
                let value = self.message.field_by_number(field.number());
                map.serialize_entry(extension.json_key(), &JsonField { of: self, field, value })?;
            }
        }
        Ok(())
    }

    fn well_known<S: Serializer>(&self, well_known: WellKnown, serializer: S) -> Result<S::Ok, S::Error> {
        let field = |number| self.message.field_by_number(number);
        let time = || {
            let seconds = if let Some(Value::I64(seconds)) = field(1) { *seconds } else { 0 };
            let nanos = if let Some(Value::I32(nanos)) = field(2) { *nanos } else { 0 };
            (seconds, nanos)
        };
        match well_known {
            WellKnown::Any => self.any(serializer),
            WellKnown::Duration => {
                let (seconds, nanos) = time();
                serializer.serialize_str(&wkt::fmt_duration(seconds, nanos).map_err(S::Error::custom)?)
            }
            WellKnown::FieldMask => {
                let Some(Value::List(paths)) = field(1) else { return serializer.serialize_str("") };
                let paths = paths.iter().map(|path| match path {
                    Value::String(path) if wkt::field_mask_path_round_trips(path) => Ok(wkt::snake_to_camel(path)),
                    _ => Err(S::Error::custom("a path of a FieldMask is not in lower_snake_case")),
                });
                serializer.serialize_str(&paths.collect::<Result<Vec<_>, _>>()?.join(","))
            }
            WellKnown::ListValue => match field(1) {
                Some(Value::List(list)) => serializer.collect_seq(list.iter().map(|value| self.inner(value))),
                _ => serializer.collect_seq(std::iter::empty::<()>()),
            },
            WellKnown::Struct => match field(1) {
                Some(Value::Map(map)) => {
                    serializer.collect_map(map.iter().map(|(key, value)| (JsonKey(key), self.inner(value))))
                }
                _ => serializer.collect_map(std::iter::empty::<((), ())>()),
            },
            WellKnown::Timestamp => {
                let (seconds, nanos) = time();
                serializer.serialize_str(&wkt::fmt_timestamp(seconds, nanos).map_err(S::Error::custom)?)
            }
            WellKnown::Value => match (2..=6).find_map(field) {
                Some(Value::F64(number)) if !number.is_finite() => {
                    Err(S::Error::custom("a Value cannot be NaN or infinite"))
                }
                Some(Value::F64(number)) => serializer.serialize_f64(*number),
                Some(Value::String(text)) => serializer.serialize_str(text),
                Some(Value::Bool(value)) => serializer.serialize_bool(*value),
                Some(message) => self.inner(message).serialize(serializer),
                None => serializer.serialize_none(),
            },
            WellKnown::Wrapper(of) => write_scalar(of, field(1), serializer),
        }
    }

    fn any<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Some(Value::String(url)) = self.message.field_by_number(1) else { return map.end() };
        map.serialize_entry("@type", url)?;
        let held = self.depth.checked_sub(1).and_then(|depth| Some((depth, self.message.unpack_any().ok()?)));
        match held {
            Some((depth, message)) => {
                let json = Json { message: &message, options: self.options, depth };
                if WellKnown::of(message.message_descriptor()).is_some() {
                    map.serialize_entry("value", &json)?;
                } else {
                    json.fields::<S>(&mut map)?;
                }
            }
            None => {
                if let Some(Value::Bytes(bytes)) = self.message.field_by_number(2) {
                    map.serialize_entry("@value", &json_helpers::BytesJson(bytes))?;
                }
            }
        }
        map.end()
    }

    fn inner<'a>(&'a self, value: &'a Value) -> JsonSingular<'a> {
        let kind = match value {
            Value::Message(message) => SingularKind::Message(message.message_index()),
            // Only messages are inside of Struct and ListValue.
            _ => SingularKind::Scalar(ScalarType::Bool),
        };
        JsonSingular { of: self, kind, value: Some(value) }
    }
}

/// The value of a field, or its default.
struct JsonField<'a> {
    of: &'a Json<'a>,
    field: &'a FieldDescriptor,
    value: Option<&'a Value>,
}

impl Serialize for JsonField<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let singular = |kind, value| JsonSingular { of: self.of, kind, value };
        match (self.field.kind(), self.value) {
            (FieldKind::List(kind), Some(Value::List(list))) => {
                serializer.collect_seq(list.iter().map(|value| singular(kind, Some(value))))
            }
            (FieldKind::Map { value: kind, .. }, Some(Value::Map(map))) => {
                serializer.collect_map(map.iter().map(|(key, value)| (JsonKey(key), singular(kind, Some(value)))))
            }
            (FieldKind::List(_), _) => serializer.collect_seq(std::iter::empty::<()>()),
            (FieldKind::Map { .. }, _) => serializer.collect_map(std::iter::empty::<((), ())>()),
            (FieldKind::Singular(kind), value) => singular(kind, value).serialize(serializer),
        }
    }
}

/// One value, or the default of its type.
struct JsonSingular<'a> {
    of: &'a Json<'a>,
    kind: SingularKind,
    value: Option<&'a Value>,
}

impl Serialize for JsonSingular<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.kind, self.value) {
            (SingularKind::Message(_), Some(Value::Message(message))) => match self.of.depth.checked_sub(1) {
                Some(depth) => Json { message, options: self.of.options, depth }.serialize(serializer),
                None => Err(S::Error::custom("messages are nested too deep")),
            },
            (SingularKind::Message(_), _) => serializer.serialize_none(),
            (SingularKind::Enum(index), value) => {
                let descriptor = self.of.message.pool().enumeration(index);
                let number = if let Some(Value::EnumNumber(number)) = value { *number } else { 0 };
                if descriptor.full_name() == scalar::NULL_VALUE {
                    return serializer.serialize_none();
                }
                match descriptor.value(number) {
                    Some(value) => serializer.serialize_str(value.name()),
                    None => serializer.serialize_i32(number),
                }
            }
            (SingularKind::Scalar(of), value) => write_scalar(of, value, serializer),
        }
    }
}

/// A key of a map; all of them are strings in JSON.
struct JsonKey<'a>(&'a MapKey);

impl Serialize for JsonKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            MapKey::Bool(key) => serializer.collect_str(key),
            MapKey::I32(key) => serializer.collect_str(key),
            MapKey::I64(key) => serializer.collect_str(key),
            MapKey::U32(key) => serializer.collect_str(key),
            MapKey::U64(key) => serializer.collect_str(key),
            MapKey::String(key) => serializer.serialize_str(key),
        }
    }
}

fn write_scalar<S: Serializer>(of: ScalarType, value: Option<&Value>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(Value::Bool(value)) => serializer.serialize_bool(*value),
        Some(Value::I32(number)) => serializer.serialize_i32(*number),
        Some(Value::U32(number)) => serializer.serialize_u32(*number),
        Some(Value::I64(number)) => serializer.collect_str(number),
        Some(Value::U64(number)) => serializer.collect_str(number),
        Some(Value::F32(number)) => json_helpers::float::serialize(number, serializer),
        Some(Value::F64(number)) => json_helpers::double::serialize(number, serializer),
        Some(Value::String(text)) => serializer.serialize_str(text),
        Some(Value::Bytes(bytes)) => json_helpers::bytes::serialize(bytes, serializer),
        _ => scalar::write_default(of, serializer),
    }
}

/// Whether being unset and having the default value are the same for a field.
fn has_no_presence(field: &FieldDescriptor) -> bool {
    match field.kind() {
        FieldKind::List(_) | FieldKind::Map { .. } => true,
        FieldKind::Singular(SingularKind::Message(_)) => false,
        FieldKind::Singular(_) => {
            field.presence() == buffa::editions::FieldPresence::Implicit && field.oneof_index().is_none()
        }
    }
}
