//! Scalars in JSON.

use buffa_descriptor::{ScalarType, Value};
use serde::{
    Serializer,
    de::{IntoDeserializer as _, Visitor},
};

/// The enum whose one value is JSON's `null`.
pub(super) const NULL_VALUE: &str = "google.protobuf.NullValue";

/// Reads a scalar of one type.
pub(super) struct ScalarSeed(pub(super) ScalarType);

impl Visitor<'_> for ScalarSeed {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ScalarType::Bool => f.write_str("true or false"),
            ScalarType::Bytes => f.write_str("a string of base64"),
            ScalarType::String => f.write_str("a string"),
            of => write!(f, "a number ({})", name(of)),
        }
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        match self.0 {
            ScalarType::Bool => Ok(Value::Bool(value)),
            _ => Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if !is_number(self.0) {
            return Err(E::invalid_type(serde::de::Unexpected::Signed(value), &self));
        }
        from_integer(self.0, value.into()).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if !is_number(self.0) {
            return Err(E::invalid_type(serde::de::Unexpected::Unsigned(value), &self));
        }
        from_integer(self.0, value.into()).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if !is_number(self.0) {
            return Err(E::invalid_type(serde::de::Unexpected::Float(value), &self));
        }
        from_float(self.0, value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        match self.0 {
            ScalarType::Bool => Err(E::invalid_type(serde::de::Unexpected::Str(value), &self)),
            ScalarType::String => Ok(Value::String(value.to_owned())),
            ScalarType::Bytes => {
                let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = value.into_deserializer();
                let bytes: Result<Vec<u8>, _> = buffa::json_helpers::bytes::deserialize(text);
                bytes.map(Value::Bytes).map_err(|_| E::custom("this is not base64"))
            }
            of => from_text(of, value).map_err(E::custom),
        }
    }
}

/// A number from a string, as 64-bit numbers and keys of maps are written.
pub(super) fn from_text(of: ScalarType, text: &str) -> Result<Value, String> {
    let not_a_number = || format!("{text:?} is not a number ({})", name(of));
    if let ScalarType::Double | ScalarType::Float = of {
        let value = match text {
            "-Infinity" => f64::NEG_INFINITY,
            "Infinity" => f64::INFINITY,
            "NaN" => f64::NAN,
            // Rust takes words and a plus that JSON does not have.
            _ if is_json_number(text) => text.parse().map_err(|_| not_a_number())?,
            _ => return Err(not_a_number()),
        };
        return from_float(of, value);
    }
    match text.parse::<i128>() {
        Ok(integer) if !text.starts_with('+') => from_integer(of, integer),
        _ if is_json_number(text) => from_float(of, text.parse().map_err(|_| not_a_number())?),
        _ => Err(not_a_number()),
    }
}

fn from_integer(of: ScalarType, value: i128) -> Result<Value, String> {
    let does_not_fit = |_| format!("{value} does not fit into {}", name(of));
    Ok(match of {
        ScalarType::Double => Value::F64(value as f64),
        ScalarType::Float => Value::F32(value as f32),
        ScalarType::Int32 | ScalarType::Sfixed32 | ScalarType::Sint32 => {
            Value::I32(value.try_into().map_err(does_not_fit)?)
        }
        ScalarType::Int64 | ScalarType::Sfixed64 | ScalarType::Sint64 => {
            Value::I64(value.try_into().map_err(does_not_fit)?)
        }
        ScalarType::Fixed32 | ScalarType::Uint32 => Value::U32(value.try_into().map_err(does_not_fit)?),
        ScalarType::Fixed64 | ScalarType::Uint64 => Value::U64(value.try_into().map_err(does_not_fit)?),
        ScalarType::Bool | ScalarType::Bytes | ScalarType::String => {
            return Err(format!("a number is no {}", name(of)));
        }
    })
}

fn from_float(of: ScalarType, value: f64) -> Result<Value, String> {
    /// From here on not every integer is a float of its own.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

    match of {
        ScalarType::Double => Ok(Value::F64(value)),
        ScalarType::Float => {
            if value.is_finite() && (value as f32).is_infinite() {
                return Err(format!("{value:e} does not fit into float"));
            }
            Ok(Value::F32(value as f32))
        }
        _ if value.fract() != 0.0 => Err(format!("{value} is not a whole number ({})", name(of))),
        _ if value.abs() > EXACT_MAX => Err(format!("{value:e} does not fit into {}", name(of))),
        _ => from_integer(of, value as i128),
    }
}

fn is_number(of: ScalarType) -> bool {
    !matches!(of, ScalarType::Bool | ScalarType::Bytes | ScalarType::String)
}

fn is_json_number(text: &str) -> bool {
    text.trim() == text && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// The type's name in a `.proto` file.
pub(crate) fn name(of: ScalarType) -> &'static str {
    match of {
        ScalarType::Bool => "bool",
        ScalarType::Bytes => "bytes",
        ScalarType::Double => "double",
        ScalarType::Fixed32 => "fixed32",
        ScalarType::Fixed64 => "fixed64",
        ScalarType::Float => "float",
        ScalarType::Int32 => "int32",
        ScalarType::Int64 => "int64",
        ScalarType::Sfixed32 => "sfixed32",
        ScalarType::Sfixed64 => "sfixed64",
        ScalarType::Sint32 => "sint32",
        ScalarType::Sint64 => "sint64",
        ScalarType::String => "string",
        ScalarType::Uint32 => "uint32",
        ScalarType::Uint64 => "uint64",
    }
}

/// Writes the default of a type.
pub(super) fn write_default<S: Serializer>(of: ScalarType, serializer: S) -> Result<S::Ok, S::Error> {
    match of {
        ScalarType::Bool => serializer.serialize_bool(false),
        ScalarType::Bytes | ScalarType::String => serializer.serialize_str(""),
        ScalarType::Double | ScalarType::Float => serializer.serialize_f64(0.0),
        ScalarType::Fixed64 | ScalarType::Int64 | ScalarType::Sfixed64 | ScalarType::Sint64 | ScalarType::Uint64 => {
            serializer.serialize_str("0")
        }
        _ => serializer.serialize_i32(0),
    }
}

/// A hint at the name that was probably meant, to stand behind an error.
pub(super) fn did_you_mean<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let given = plain(given);
    let nearest = names.map(|name| (distance(&given, &plain(name)), name)).min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, name)) if distance <= 1 + given.len() / 5 => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut letter_before = None;
    for (at, letter) in from.chars().enumerate() {
        let mut next = vec![at + 1];
        for (place, &other) in to.iter().enumerate() {
            let mut cost = (row[place] + usize::from(letter != other)).min(row[place + 1] + 1).min(next[place] + 1);
            if place > 0 && letter_before == Some(other) && to[place - 1] == letter {
                cost = cost.min(before[place - 1] + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
        letter_before = Some(letter);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_as_floats_or_strings() {
        assert_eq!(from_text(ScalarType::Int32, "1e3"), Ok(Value::I32(1000)));
        assert_eq!(from_text(ScalarType::Int64, "-9223372036854775808"), Ok(Value::I64(i64::MIN)));
        assert_eq!(from_text(ScalarType::Uint64, "18446744073709551615"), Ok(Value::U64(u64::MAX)));
        assert_eq!(from_float(ScalarType::Uint32, 7.0), Ok(Value::U32(7)));
        for wrong in ["", " 1", "1 ", "+1", "0x1", "1.5", "one", "1e30"] {
            assert!(from_text(ScalarType::Int64, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn floats_have_three_words_and_a_range() {
        assert_eq!(from_text(ScalarType::Double, "-Infinity"), Ok(Value::F64(f64::NEG_INFINITY)));
        assert!(matches!(from_text(ScalarType::Float, "NaN"), Ok(Value::F32(nan)) if nan.is_nan()));
        assert_eq!(from_text(ScalarType::Float, "0.1"), Ok(Value::F32(0.1)));
        assert!(from_text(ScalarType::Float, "1e39").is_err());
        assert!(from_text(ScalarType::Double, "inf").is_err());
    }

    #[test]
    fn a_near_name_is_hinted_at() {
        let names = ["quantity", "unitPrice"];
        assert_eq!(did_you_mean("quantiyt", names.into_iter()), "; did you mean `quantity`?");
        assert_eq!(did_you_mean("unit_prices", names.into_iter()), "; did you mean `unitPrice`?");
        assert_eq!(did_you_mean("color", names.into_iter()), "");
    }
}
