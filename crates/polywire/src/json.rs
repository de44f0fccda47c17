//! Reading messages from JSON.
//!
//! Generated code reads an array as the fields of a message in their order, as serde does for every struct. JSON of Protobuf knows
//! nothing like it, so a deserializer in between lets only objects be messages, however deep they are.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Visitor},
};

/// The message of that text.
pub(crate) fn read<M: DeserializeOwned>(json: &[u8]) -> serde_json::Result<M> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = M::deserialize(Strict(&mut deserializer))?;
    deserializer.end()?;
    Ok(message)
}

/// Hands on what it is asked for, but asks for a map where a struct is wanted; also inside of what it hands on.
struct Strict<T>(T);

macro_rules! hand_on {
    ($($ask:ident)*) => {
        $(fn $ask<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$ask(Strict(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    hand_on! {
        deserialize_any deserialize_bool deserialize_byte_buf deserialize_bytes deserialize_char deserialize_f32 deserialize_f64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_identifier
        deserialize_ignored_any deserialize_map deserialize_option deserialize_seq deserialize_str deserialize_string
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_unit
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Strict(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Strict(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Strict(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Strict(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Strict(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! hand_in {
    ($($visit:ident: $value:ty),* $(,)?) => {
        $(fn $visit<E: serde::de::Error>(self, value: $value) -> Result<V::Value, E> {
            self.0.$visit(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    hand_in! {
        visit_bool: bool, visit_borrowed_bytes: &'de [u8], visit_borrowed_str: &'de str, visit_byte_buf: Vec<u8>,
        visit_bytes: &[u8], visit_char: char, visit_f32: f32, visit_f64: f64, visit_i8: i8, visit_i16: i16, visit_i32: i32,
        visit_i64: i64, visit_i128: i128, visit_str: &str, visit_string: String, visit_u8: u8, visit_u16: u16, visit_u32: u32,
        visit_u64: u64, visit_u128: u128,
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(access)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error_details::BadRequest, well_known::ListValue};

    #[test]
    fn an_array_is_no_message_at_any_depth() {
        for json in ["[]", "[[]]", r#"{"fieldViolations":[["items","empty"]]}"#, r#"{"fieldViolations":[[]]}"#] {
            let error = read::<BadRequest>(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains("invalid type: sequence, expected struct"), "{error}");
        }
    }

    #[test]
    fn objects_lists_and_types_with_a_json_of_their_own_are_read_as_ever() {
        let json =
            r#"{"fieldViolations":[{"field":"items","description":null,"localizedMessage":{"locale":"de"}}, {}]}"#;
        let read_here: BadRequest = read(json.as_bytes()).expect("it is one");
        assert_eq!(read_here, serde_json::from_str(json).expect("it is one"));
        assert_eq!(read_here.field_violations.len(), 2);
        assert_eq!(read::<ListValue>(b"[1, [2], {\"a\": [3]}]").expect("it is one").values.len(), 3);
        assert!(read::<BadRequest>(b"{} {}").is_err(), "one text is one message");
    }
}
