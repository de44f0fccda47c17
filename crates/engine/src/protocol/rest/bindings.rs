//! What path and query say, as a tree of fields with typed values.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use polywire_core::{
    Status,
    http_rule::{Body, Cardinality, Field, FieldKind, HttpRule, MessageFields},
};

use super::{
    json,
    near::nearest,
    percent::{self, Slashes},
    routes::Route,
};
use crate::limits::Limits;

/// Values for fields of one message, some of them deeper.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    nodes: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) field: &'static Field,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Raw JSON, one for each time the field was named.
    Texts(Vec<String>),
    /// Fields of a message.
    Message(Bindings),
}

impl Bindings {
    /// What the path says; `route` was found for it.
    pub(super) fn of_path(route: &Route, path: &str) -> Result<Self, Status> {
        let mut bindings = Self::default();
        for (variable, raw) in route.template.variables().iter().zip(route.raw_values(path)) {
            let slashes = if variable.is_single() { Slashes::Decoded } else { Slashes::Kept };
            let name = variable.field_path().join(".");
            let place = || format!("the path variable {name:?}");
            let text = percent::decode(raw, slashes)
                .ok_or_else(|| Status::invalid_argument(format!("{} is not escaped UTF-8: {raw:?}", place())))?;
            let names: Vec<_> = variable.field_path().iter().map(String::as_str).collect();
            bindings.insert(route.rule.request, &names, &text, &place)?;
        }
        Ok(bindings)
    }

    /// Adds what the query says, of fields that neither the path nor the body has.
    pub(super) fn add_query(&mut self, rule: &HttpRule, query: &str, limits: &Limits) -> Result<(), Status> {
        let mut from_query = Self::default();
        for (index, parameter) in query.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
            if index == limits.query_parameters_max {
                return Err(Status::invalid_argument(format!(
                    "the query has more than {index} parameters (query_parameters_max)"
                )));
            }
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = percent::decode_query(name).ok_or_else(|| {
                Status::invalid_argument(format!("the name of the query parameter {name:?} is not escaped UTF-8"))
            })?;
            let place = || format!("the query parameter {name:?}");
            let value = percent::decode_query(value)
                .ok_or_else(|| Status::invalid_argument(format!("{} is not escaped UTF-8: {value:?}", place())))?;
            let names: Vec<_> = name.split('.').collect();
            if names.len() > limits.query_depth_max {
                return Err(Status::invalid_argument(format!(
                    "a query parameter goes deeper than {} fields (query_depth_max)",
                    limits.query_depth_max
                )));
            }
            self.refuse_what_comes_elsewhere(rule, &names, &place)?;
            from_query.insert(rule.request, &names, &value, &place)?;
        }
        self.merge(from_query);
        Ok(())
    }

    /// Whether nothing is bound.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn find(&self, field: &Field) -> Option<&Node> {
        self.nodes.iter().find(|node| node.field.name == field.name)
    }

    /// Binds a field to raw JSON.
    pub(super) fn insert_json(&mut self, field: &'static Field, raw: String) {
        self.nodes.push(Node { field, value: Value::Texts(vec![raw]) });
    }

    /// Writes the message that has just these fields.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, node) in self.nodes.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            node.write(out);
        }
        out.push(b'}');
    }

    fn insert(
        &mut self,
        message: &'static MessageFields,
        names: &[&str],
        text: &str,
        place: &dyn Fn() -> String,
    ) -> Result<(), Status> {
        let (mut message, mut bindings) = (message, self);
        for (depth, name) in names.iter().enumerate() {
            let field = message.find(name).ok_or_else(|| unknown(message, name, names.len() > 1, place))?;
            let is_last = depth + 1 == names.len();
            match field.kind {
                _ if field.cardinality == Cardinality::Map => {
                    return Err(refused(place, "is a map, which only a JSON body can hold"));
                }
                FieldKind::Message(deeper) if !is_last => {
                    if field.cardinality == Cardinality::Repeated {
                        return Err(refused(
                            place,
                            format_args!("goes through {name}, a list of messages, which only a JSON body can hold"),
                        ));
                    }
                    let at = bindings.nodes.iter().position(|node| node.field.name == field.name);
                    let at = at.unwrap_or_else(|| {
                        bindings.nodes.push(Node { field, value: Value::Message(Self::default()) });
                        bindings.nodes.len() - 1
                    });
                    match &mut bindings.nodes[at].value {
                        Value::Message(inner) => bindings = inner,
                        Value::Texts(_) => unreachable!("a field of messages never has texts"),
                    }
                    message = deeper;
                }
                _ if !is_last => {
                    return Err(refused(place, format_args!("goes on behind {name}, which has no fields")));
                }
                FieldKind::Message(deeper) => {
                    let example = deeper
                        .fields
                        .first()
                        .map(|inner| format!("; name its fields, as in {}.{}", names.join("."), inner.json_name));
                    return Err(refused(place, format_args!("is a message{}", example.unwrap_or_default())));
                }
                FieldKind::Json => return Err(refused(place, "has no text form; only a JSON body can hold it")),
                kind => {
                    let raw = typed(kind, text, place)?;
                    return bindings.insert_text(field, raw, place);
                }
            }
        }
        Ok(())
    }

    fn insert_text(&mut self, field: &'static Field, raw: String, place: &dyn Fn() -> String) -> Result<(), Status> {
        match self.nodes.iter_mut().find(|node| node.field.name == field.name) {
            None => self.insert_json(field, raw),
            Some(Node { value: Value::Texts(texts), .. }) if field.cardinality == Cardinality::Repeated => {
                texts.push(raw);
            }
            Some(_) => return Err(refused(place, "is given twice and is no list")),
        }
        Ok(())
    }

    /// Takes in values of fields that are not bound here yet.
    fn merge(&mut self, other: Self) {
        for node in other.nodes {
            match self.nodes.iter_mut().find(|own| own.field.name == node.field.name) {
                None => self.nodes.push(node),
                Some(own) => {
                    if let (Value::Message(own), Value::Message(other)) = (&mut own.value, node.value) {
                        own.merge(other);
                    }
                }
            }
        }
    }

    fn refuse_what_comes_elsewhere(
        &self,
        rule: &HttpRule,
        names: &[&str],
        place: &dyn Fn() -> String,
    ) -> Result<(), Status> {
        match rule.body {
            Body::All => {
                return Err(refused(place, "has no place here: all fields come in the JSON body"));
            }
            Body::Field(field) if rule.request.find(names[0]).is_some_and(|found| found.name == field.name) => {
                return Err(refused(place, format_args!("is a part of {}, which is the JSON body", field.json_name)));
            }
            Body::Field(_) | Body::None => {}
        }
        let (mut bindings, mut message) = (self, rule.request);
        for name in names {
            let Some(field) = message.find(name) else { return Ok(()) };
            match bindings.find(field).map(|node| &node.value) {
                None => return Ok(()),
                Some(Value::Texts(_)) => return Err(refused(place, "is said by the path already")),
                Some(Value::Message(inner)) => bindings = inner,
            }
            let FieldKind::Message(inner) = field.kind else { return Ok(()) };
            message = inner;
        }
        Ok(())
    }
}

impl Node {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        json::write_text(out, self.field.json_name);
        out.push(b':');
        match &self.value {
            Value::Message(inner) => inner.write(out),
            Value::Texts(texts) if self.field.cardinality == Cardinality::Repeated => {
                out.push(b'[');
                out.extend_from_slice(texts.join(",").as_bytes());
                out.push(b']');
            }
            Value::Texts(texts) => out.extend_from_slice(texts.concat().as_bytes()),
        }
    }
}

/// A text as the JSON value of a field.
fn typed(kind: FieldKind, text: &str, place: &dyn Fn() -> String) -> Result<String, Status> {
    let wrong = |wanted: &str| Status::invalid_argument(format!("{} is not {wanted}: {text:?}", place()));
    Ok(match kind {
        FieldKind::Bool => match text {
            "true" | "false" => text.to_owned(),
            _ => return Err(wrong("true or false")),
        },
        FieldKind::Int32 => text.parse::<i32>().map_err(|_| wrong("a whole number of 32 bits"))?.to_string(),
        FieldKind::Uint32 => {
            text.parse::<u32>().map_err(|_| wrong("a whole number of 32 bits, zero or more"))?.to_string()
        }
        FieldKind::Int64 => quoted(text.parse::<i64>().map_err(|_| wrong("a whole number of 64 bits"))?.to_string()),
        FieldKind::Uint64 => {
            quoted(text.parse::<u64>().map_err(|_| wrong("a whole number of 64 bits, zero or more"))?.to_string())
        }
        FieldKind::Float | FieldKind::Double => match text {
            "NaN" | "Infinity" | "-Infinity" => quoted(text.to_owned()),
            _ => match text.parse::<f64>() {
                // A number that is beyond reach would become infinite in silence.
                Ok(number) if number.is_finite() && (kind == FieldKind::Double || (number as f32).is_finite()) => {
                    format!("{number:e}")
                }
                _ => return Err(wrong("a number")),
            },
        },
        FieldKind::Enum(values) => {
            if let Ok(number) = text.parse::<i32>() {
                number.to_string()
            } else if values.iter().any(|value| value.name == text) {
                quoted(text.to_owned())
            } else {
                let names = values.iter().map(|value| value.name);
                return Err(wrong(&match nearest(text, names.clone()) {
                    Some(name) => format!("a value of its enum (did you mean {name}?)"),
                    None => format!("one of {}", listed(names)),
                }));
            }
        }
        FieldKind::Bytes => {
            let bytes = decode_base64(text).ok_or_else(|| wrong("base64"))?;
            quoted(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        FieldKind::FieldMask => text_json(&camel_mask(text)),
        FieldKind::Duration => {
            if !is_duration(text) {
                return Err(wrong("a length of time in seconds, such as 1.5s"));
            }
            quoted(text.to_owned())
        }
        FieldKind::Timestamp => {
            if !is_timestamp(text) {
                return Err(wrong("a time as in RFC 3339, such as 2026-01-02T15:04:05Z"));
            }
            quoted(text.to_owned())
        }
        FieldKind::String => text_json(text),
        FieldKind::Json | FieldKind::Message(_) => return Err(wrong("a value that a text can stand for")),
    })
}

/// Bytes of base64 with either alphabet, with padding or without.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
    const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);
    // In a query a plus that was not escaped has become a space.
    let text: Cow<'_, str> = if text.contains(' ') { text.replace(' ', "+").into() } else { text.into() };
    if text.contains(['-', '_']) { URL.decode(text.as_bytes()).ok() } else { PLAIN.decode(text.as_bytes()).ok() }
}

/// A field mask with the names of `.proto` files in JSON's spelling.
fn camel_mask(text: &str) -> String {
    let mut camel = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(next) if letter == '_' && next.is_ascii_lowercase() => {
                camel.push(next.to_ascii_uppercase());
                letters.next();
            }
            _ => camel.push(letter),
        }
    }
    camel
}

/// `-1.5s`: checked here because the codec would not know which parameter it was.
fn is_duration(text: &str) -> bool {
    let Some(number) = text.strip_suffix('s') else { return false };
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, max: usize| (1..=max).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    digits(whole, 12) && digits(part, 9)
}

/// The outline of RFC 3339; the codec looks at the numbers.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20
        && bytes.iter().zip(b"0000-00-00T00:00:00").all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            _ => byte == pattern,
        })
        && text.is_ascii()
}

fn unknown(message: &'static MessageFields, name: &str, is_deeper: bool, place: &dyn Fn() -> String) -> Status {
    let names = message.fields.iter().map(|field| field.json_name);
    let part = if is_deeper { format!(" {name:?}") } else { String::new() };
    let advice = match nearest(name, message.fields.iter().flat_map(|field| [field.json_name, field.name])) {
        Some(name) => format!("did you mean {name:?}?"),
        None if message.fields.is_empty() => "it has none at all".to_owned(),
        None => format!("its fields are {}", listed(names)),
    };
    Status::invalid_argument(format!("{}: {} has no such field{part}; {advice}", place(), message.short_name()))
}

/// Some names, not too many.
fn listed<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 12;
    let more = names.clone().count() > SHOWN;
    let mut list = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more {
        list.push_str(", …");
    }
    list
}

fn refused(place: &dyn Fn() -> String, why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{} {why}", place()))
}

fn quoted(text: String) -> String {
    format!("\"{text}\"")
}

fn text_json(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_text(&mut out, text);
    String::from_utf8(out).expect("a JSON string of UTF-8 is UTF-8")
}
