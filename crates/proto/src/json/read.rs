//! JSON to message.

use std::{cell::RefCell, collections::BTreeSet, fmt::Write as _, sync::Arc};

use buffa::editions::EnumType;
use buffa_descriptor::{
    DynamicMessage, EnumIndex, ExtensionDescriptor, FieldDescriptor, FieldKind, MapKey, MapValue, MessageIndex,
    ReflectMessageMut as _, ScalarType, SingularKind, Value,
};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    JsonError,
    scalar::{self, ScalarSeed},
    well_known::WellKnown,
};
use crate::MessageType;

/// What to do about fields that are not known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Ignore,
    Refuse,
}

/// Reads one message from the whole text.
pub(super) fn read(of: &MessageType, json: &str, unknown: Unknown) -> Result<DynamicMessage, JsonError> {
    let reader = Reader { of, unknown, path: RefCell::default() };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = MessageSeed { reader: &reader, index: of.index }
        .deserialize(&mut deserializer)
        .and_then(|message| deserializer.end().map(|()| message));
    message.map_err(|error| JsonError::new(reader.path(), &error))
}

/// What all parts of one reading share.
pub(super) struct Reader<'a> {
    of: &'a MessageType,
    unknown: Unknown,
    /// Where the reading is. Steps are taken back only after success, so after an error it says where that was.
    path: RefCell<Vec<Step>>,
}

enum Step {
    Field(String),
    Index(usize),
    Key(String),
}

impl Reader<'_> {
    fn step<T, E>(&self, step: Step, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.path.borrow_mut().push(step);
        let value = read()?;
        self.path.borrow_mut().pop();
        Ok(value)
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.borrow().iter() {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => write!(path, ".{name}").expect("writing to a string does not fail"),
                Step::Index(index) => write!(path, "[{index}]").expect("writing to a string does not fail"),
                Step::Key(key) => write!(path, "[{key:?}]").expect("writing to a string does not fail"),
            }
        }
        path
    }

    fn pool(&self) -> &Arc<buffa_descriptor::DescriptorPool> {
        &self.of.pool
    }

    pub(super) fn empty(&self, index: MessageIndex) -> DynamicMessage {
        DynamicMessage::new(Arc::clone(self.pool()), index)
    }

    /// A message of a well-known type, with fields by number.
    pub(super) fn message_of<E: serde::de::Error>(
        &self,
        index: MessageIndex,
        fields: impl IntoIterator<Item = (u32, Value)>,
    ) -> Result<DynamicMessage, E> {
        let mut message = self.empty(index);
        for (number, value) in fields {
            let descriptor = self.pool().message(index);
            let missing = || E::custom(format!("{} is not as it should be: field {number}", descriptor.full_name()));
            let field = descriptor.field(number).ok_or_else(missing)?;
            message.try_set(field, value).map_err(|_| missing())?;
        }
        Ok(message)
    }

    pub(super) fn descriptor(&self, index: MessageIndex) -> &buffa_descriptor::MessageDescriptor {
        self.pool().message(index)
    }

    pub(super) fn find(&self, name: &str) -> Option<MessageIndex> {
        self.pool().message_index(name)
    }
}

/// Reads a message of one type.
pub(super) struct MessageSeed<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) index: MessageIndex,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = DynamicMessage;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let descriptor = self.reader.pool().message(self.index);
        match WellKnown::of(descriptor) {
            Some(well_known) => well_known.read(self.reader, self.index, deserializer),
            None => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an object with the fields of `{}`", self.reader.pool().message(self.index).full_name())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { reader, index } = self;
        let pool = reader.pool();
        let descriptor = pool.message(index);
        let mut message = reader.empty(index);
        let mut seen = BTreeSet::new();
        let mut oneofs: Vec<(u16, String)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let extension = key.strip_prefix('[').and_then(|key| key.strip_suffix(']'));
            let field = match extension {
                Some(name) => pool
                    .extension_by_name(name)
                    .filter(|found| found.extendee() == index)
                    .map(ExtensionDescriptor::field),
                None => descriptor.field_by_name(&key),
            };
            let Some(field) = field else {
                if reader.unknown == Unknown::Ignore {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                let names = descriptor.fields().iter().map(FieldDescriptor::json_name);
                let hint = scalar::did_you_mean(&key, names);
                return Err(A::Error::custom(format!("`{}` has no field `{key}`{hint}", descriptor.full_name())));
            };
            if !seen.insert(field.number()) {
                return Err(A::Error::custom(format!("the field `{key}` is given twice")));
            }
            let value = reader.step(Step::Field(key.clone()), || map.next_value_seed(FieldSeed { reader, field }))?;
            let Some(value) = value else { continue };
            let oneof = field.oneof_index().filter(|&oneof| {
                descriptor.oneofs().get(usize::from(oneof)).is_some_and(|oneof| !oneof.is_synthetic())
            });
            if let Some(oneof) = oneof {
                if let Some((_, other)) = oneofs.iter().find(|(given, _)| *given == oneof) {
                    return Err(A::Error::custom(format!("only one of `{other}` and `{key}` can be given")));
                }
                oneofs.push((oneof, key));
            }
            message.try_set(field, value).map_err(A::Error::custom)?;
        }
        Ok(message)
    }
}

/// Reads the value of a field; `None` is JSON's `null`, which leaves the field unset.
struct FieldSeed<'a> {
    reader: &'a Reader<'a>,
    field: &'a FieldDescriptor,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.field.kind() {
            FieldKind::Singular(kind) => {
                SingularSeed { reader: self.reader, kind, enum_type: self.field.enum_type() }.deserialize(deserializer)
            }
            FieldKind::List(_) | FieldKind::Map { .. } => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self.field.kind(), FieldKind::List(_)) { "an array" } else { "an object" })
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let FieldKind::List(kind) = self.field.kind() else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let mut list = Vec::new();
        loop {
            let seed = SingularSeed { reader: self.reader, kind, enum_type: self.field.enum_type() };
            let element = self.reader.step(Step::Index(list.len()), || match seq.next_element_seed(seed)? {
                Some(None) => Err(A::Error::custom("null cannot be an element of a list")),
                Some(value) => Ok(value),
                None => Ok(None),
            })?;
            match element {
                Some(value) => list.push(value),
                None => return Ok(Some(Value::List(list))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let FieldKind::Map { key: key_type, value: kind } = self.field.kind() else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        let mut entries: Vec<(MapKey, Value)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let entry = self.reader.step(Step::Key(key.clone()), || {
                let map_key = map_key(key_type, &key).map_err(A::Error::custom)?;
                if entries.iter().any(|(have, _)| *have == map_key) {
                    return Err(A::Error::custom("the key is given twice"));
                }
                let seed = SingularSeed { reader: self.reader, kind, enum_type: self.field.enum_type() };
                match map.next_value_seed(seed)? {
                    Some(value) => Ok((map_key, value)),
                    None => Err(A::Error::custom("null cannot be a value of a map")),
                }
            })?;
            entries.push(entry);
        }
        Ok(Some(Value::Map(MapValue::from_entries(entries))))
    }
}

/// Reads one value; `None` is `null`.
struct SingularSeed<'a> {
    reader: &'a Reader<'a>,
    kind: SingularKind,
    enum_type: Option<EnumType>,
}

impl<'de> DeserializeSeed<'de> for SingularSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let pool = self.reader.pool();
        match self.kind {
            // `null` is a value of these two.
            SingularKind::Message(index) if WellKnown::of(pool.message(index)) == Some(WellKnown::Value) => {
                MessageSeed { reader: self.reader, index }.deserialize(deserializer).map(|m| Some(Value::Message(m)))
            }
            SingularKind::Enum(index) if pool.enumeration(index).full_name() == scalar::NULL_VALUE => {
                self.visit_some(deserializer)
            }
            _ => deserializer.deserialize_option(self),
        }
    }
}

impl<'de> Visitor<'de> for SingularSeed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let reader = self.reader;
        let value = match self.kind {
            SingularKind::Scalar(of) => deserializer.deserialize_any(ScalarSeed(of))?,
            SingularKind::Enum(index) => {
                deserializer.deserialize_any(EnumVisitor { reader, index, enum_type: self.enum_type })?
            }
            SingularKind::Message(index) => Value::Message(MessageSeed { reader, index }.deserialize(deserializer)?),
        };
        Ok(Some(value))
    }
}

struct EnumVisitor<'a> {
    reader: &'a Reader<'a>,
    index: EnumIndex,
    enum_type: Option<EnumType>,
}

impl Visitor<'_> for EnumVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a value of `{}`", self.reader.pool().enumeration(self.index).full_name())
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let descriptor = self.reader.pool().enumeration(self.index);
        match descriptor.value_by_name(name) {
            Some(value) => Ok(Value::EnumNumber(value.number())),
            None => {
                let names = descriptor.values().iter().map(buffa_descriptor::EnumValueDescriptor::name);
                let hint = scalar::did_you_mean(name, names);
                Err(E::custom(format!("`{}` has no value `{name}`{hint}", descriptor.full_name())))
            }
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
        let descriptor = self.reader.pool().enumeration(self.index);
        let closed = self.enum_type.unwrap_or(descriptor.enum_type()) == EnumType::Closed;
        match i32::try_from(number) {
            Ok(number) if !closed || descriptor.value(number).is_some() => Ok(Value::EnumNumber(number)),
            _ => Err(E::custom(format!("`{}` has no value {number}", descriptor.full_name()))),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        if self.reader.pool().enumeration(self.index).full_name() == scalar::NULL_VALUE {
            return Ok(Value::EnumNumber(0));
        }
        Err(E::invalid_type(serde::de::Unexpected::Unit, &self))
    }
}

fn map_key(of: ScalarType, key: &str) -> Result<MapKey, String> {
    match of {
        ScalarType::Bool => match key {
            "false" => Ok(MapKey::Bool(false)),
            "true" => Ok(MapKey::Bool(true)),
            _ => Err("the key must be \"true\" or \"false\"".to_owned()),
        },
        ScalarType::String => Ok(MapKey::String(key.to_owned())),
        _ => match scalar::from_text(of, key)? {
            Value::I32(number) => Ok(MapKey::I32(number)),
            Value::I64(number) => Ok(MapKey::I64(number)),
            Value::U32(number) => Ok(MapKey::U32(number)),
            Value::U64(number) => Ok(MapKey::U64(number)),
            _ => Err(format!("{} cannot be a key", scalar::name(of))),
        },
    }
}
