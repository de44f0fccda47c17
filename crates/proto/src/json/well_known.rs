//! Types whose JSON is not an object of their fields.

use buffa::json_helpers::wkt;
use buffa_descriptor::{DynamicMessage, MapKey, MapValue, MessageDescriptor, MessageIndex, ScalarType, Value};
use serde::de::{Deserialize as _, DeserializeSeed as _, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{
    read::{MessageSeed, Reader},
    scalar::ScalarSeed,
};

/// A well-known type with a JSON of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WellKnown {
    Any,
    Duration,
    FieldMask,
    ListValue,
    Struct,
    Timestamp,
    Value,
    Wrapper(ScalarType),
}

impl WellKnown {
    pub(super) fn of(message: &MessageDescriptor) -> Option<Self> {
        Some(match message.full_name().strip_prefix("google.protobuf.")? {
            "Any" => Self::Any,
            "BoolValue" => Self::Wrapper(ScalarType::Bool),
            "BytesValue" => Self::Wrapper(ScalarType::Bytes),
            "DoubleValue" => Self::Wrapper(ScalarType::Double),
            "Duration" => Self::Duration,
            "FieldMask" => Self::FieldMask,
            "FloatValue" => Self::Wrapper(ScalarType::Float),
            "Int32Value" => Self::Wrapper(ScalarType::Int32),
            "Int64Value" => Self::Wrapper(ScalarType::Int64),
            "ListValue" => Self::ListValue,
            "StringValue" => Self::Wrapper(ScalarType::String),
            "Struct" => Self::Struct,
            "Timestamp" => Self::Timestamp,
            "UInt32Value" => Self::Wrapper(ScalarType::Uint32),
            "UInt64Value" => Self::Wrapper(ScalarType::Uint64),
            "Value" => Self::Value,
            _ => return None,
        })
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(
        self,
        reader: &Reader<'_>,
        index: MessageIndex,
        deserializer: D,
    ) -> Result<DynamicMessage, D::Error> {
        match self {
            Self::Any => deserializer.deserialize_map(AnyVisitor { reader, index }),
            Self::Duration => {
                let text = deserializer.deserialize_any(Text("a duration, such as \"1.5s\""))?;
                let (seconds, nanos) = wkt::parse_duration(&text)
                    .map_err(|_| D::Error::custom(format!("{text:?} is not a duration, such as \"1.5s\"")))?;
                reader.message_of(index, [(1, Value::I64(seconds)), (2, Value::I32(nanos))])
            }
            Self::FieldMask => {
                let text = deserializer.deserialize_any(Text("field paths, such as \"user.displayName,photo\""))?;
                let paths = text.split(',').filter(|_| !text.is_empty()).map(|path| {
                    let snake = wkt::camel_to_snake(path);
                    let is_camel = wkt::field_mask_path_round_trips(&snake) && wkt::snake_to_camel(&snake) == path;
                    let wrong = || D::Error::custom(format!("{path:?} is not a field path in lowerCamelCase"));
                    is_camel.then_some(Value::String(snake)).ok_or_else(wrong)
                });
                let paths = paths.collect::<Result<_, _>>()?;
                reader.message_of(index, [(1, Value::List(paths))])
            }
            Self::ListValue => deserializer.deserialize_any(ListVisitor { reader, index }),
            Self::Struct => deserializer.deserialize_any(StructVisitor { reader, index }),
            Self::Timestamp => {
                let text = deserializer.deserialize_any(Text("a time, such as \"2006-01-02T15:04:05Z\""))?;
                let (seconds, nanos) = wkt::parse_timestamp(&text).map_err(|_| {
                    D::Error::custom(format!("{text:?} is not a time, such as \"2006-01-02T15:04:05Z\""))
                })?;
                reader.message_of(index, [(1, Value::I64(seconds)), (2, Value::I32(nanos))])
            }
            Self::Value => deserializer.deserialize_any(ValueVisitor { reader, index }),
            Self::Wrapper(of) => reader.message_of(index, [(1, deserializer.deserialize_any(ScalarSeed(of))?)]),
        }
    }
}

/// Reads a string; says what it is to hold when it is something else.
struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// `google.protobuf.Value`: any JSON.
struct ValueVisitor<'a> {
    reader: &'a Reader<'a>,
    index: MessageIndex,
}

impl<'a> ValueVisitor<'a> {
    fn of<E: serde::de::Error>(self, number: u32, value: Value) -> Result<DynamicMessage, E> {
        self.reader.message_of(self.index, [(number, value)])
    }

    fn find<E: serde::de::Error>(&self, name: &str) -> Result<(&'a Reader<'a>, MessageIndex), E> {
        let index = self.reader.find(name).ok_or_else(|| E::custom(format!("{name} is not in the descriptors")))?;
        Ok((self.reader, index))
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<DynamicMessage, E> {
        self.of(1, Value::EnumNumber(0))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<DynamicMessage, E> {
        self.of(2, Value::F64(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<DynamicMessage, E> {
        self.of(2, Value::F64(number as f64))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<DynamicMessage, E> {
        self.of(2, Value::F64(number as f64))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DynamicMessage, E> {
        self.of(3, Value::String(text.to_owned()))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<DynamicMessage, E> {
        self.of(4, Value::Bool(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DynamicMessage, A::Error> {
        let (reader, index) = self.find("google.protobuf.Struct")?;
        let message = StructVisitor { reader, index }.visit_map(map)?;
        self.of(5, Value::Message(message))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<DynamicMessage, A::Error> {
        let (reader, index) = self.find("google.protobuf.ListValue")?;
        let message = ListVisitor { reader, index }.visit_seq(seq)?;
        self.of(6, Value::Message(message))
    }
}

/// `google.protobuf.Struct`: an object of any values.
struct StructVisitor<'a> {
    reader: &'a Reader<'a>,
    index: MessageIndex,
}

impl<'de> Visitor<'de> for StructVisitor<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DynamicMessage, A::Error> {
        let index = value_index(self.reader)?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(MessageSeed { reader: self.reader, index })?;
            entries.push((MapKey::String(key), Value::Message(value)));
        }
        self.reader.message_of(self.index, [(1, Value::Map(MapValue::from_entries(entries)))])
    }
}

/// `google.protobuf.ListValue`: an array of any values.
struct ListVisitor<'a> {
    reader: &'a Reader<'a>,
    index: MessageIndex,
}

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<DynamicMessage, A::Error> {
        let index = value_index(self.reader)?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(MessageSeed { reader: self.reader, index })? {
            list.push(Value::Message(value));
        }
        self.reader.message_of(self.index, [(1, Value::List(list))])
    }
}

fn value_index<E: serde::de::Error>(reader: &Reader<'_>) -> Result<MessageIndex, E> {
    reader.find("google.protobuf.Value").ok_or_else(|| E::custom("google.protobuf.Value is not in the descriptors"))
}

/// `google.protobuf.Any`: the fields of the message it holds beside `@type`.
struct AnyVisitor<'a> {
    reader: &'a Reader<'a>,
    index: MessageIndex,
}

impl<'de> Visitor<'de> for AnyVisitor<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with `@type`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DynamicMessage, A::Error> {
        let Self { reader, index } = self;
        // `@type` may come last, so all is read before anything is understood.
        let mut object = serde_json::Map::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        if object.is_empty() {
            return Ok(reader.empty(index));
        }
        let Some(serde_json::Value::String(url)) = object.remove("@type") else {
            return Err(A::Error::custom("an Any needs `@type`, such as \"type.googleapis.com/orders.v1.Order\""));
        };
        let name = url.rsplit('/').next().unwrap_or_default();
        let Some(held) = reader.find(name) else {
            return match (object.len(), object.get("@value")) {
                // As such a value is written.
                (1, Some(serde_json::Value::String(base64))) => {
                    let bytes = ScalarSeed(ScalarType::Bytes).visit_str(base64)?;
                    reader.message_of(index, [(1, Value::String(url)), (2, bytes)])
                }
                _ => Err(A::Error::custom(format!("the type `{name}` of this Any is not in the descriptors"))),
            };
        };
        let json = match WellKnown::of(reader.descriptor(held)) {
            None => serde_json::Value::Object(object),
            Some(_) => object
                .remove("value")
                .ok_or_else(|| A::Error::custom(format!("an Any that holds `{name}` needs `value`")))?,
        };
        let message = MessageSeed { reader, index: held }.deserialize(json).map_err(A::Error::custom)?;
        let bytes = message.try_encode_to_vec().map_err(|_| A::Error::custom("the message is larger than 2 GiB"))?;
        reader.message_of(index, [(1, Value::String(url)), (2, Value::Bytes(bytes))])
    }
}
