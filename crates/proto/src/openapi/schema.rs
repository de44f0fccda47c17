//! The JSON form of messages as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it).

use std::collections::BTreeMap;

use buffa_descriptor::generated::descriptor::field_descriptor_proto::Type;

use super::{
    declared::{Declared, Message, is_repeated, is_required_label, message_of},
    json::{Json, Object},
};
use crate::{FieldDescriptorProto, annotations::field_behavior, descriptors::json_name};

/// The schemas that were asked for, and all that these refer to.
pub(super) struct Schemas<'a> {
    declared: &'a Declared<'a>,
    /// By the name in `components/schemas`, which is the full name.
    built: BTreeMap<String, Json>,
    /// Messages and enums that are referred to and not built yet: messages may lead back to themselves.
    waiting: Vec<String>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(declared: &'a Declared<'a>) -> Self {
        Self { declared, built: BTreeMap::new(), waiting: Vec::new() }
    }

    /// All of them, by name.
    pub(super) fn finish(mut self) -> BTreeMap<String, Json> {
        while let Some(name) = self.waiting.pop() {
            if self.built.contains_key(&name) {
                continue;
            }
            let schema = if let Some(message) = self.declared.message(&name).cloned() {
                self.object(&message, &[]).into()
            } else {
                self.enumeration(&name).into()
            };
            self.built.insert(name, schema);
        }
        self.built
    }

    /// A message, by its full name.
    pub(super) fn message(&mut self, name: &str) -> Object {
        let name = name.trim_start_matches('.');
        match well_known(name) {
            WellKnown::Schema(schema) => schema,
            WellKnown::Any => self.any(),
            WellKnown::None => self.refer(name),
        }
    }

    /// The object a message is, without some of its fields (by their names in JSON).
    pub(super) fn object(&mut self, message: &Message<'a>, without: &[String]) -> Object {
        let mut properties = Object::new();
        let mut required = Vec::new();
        for (index, field) in message.proto.field.iter().enumerate() {
            let name = json_name(field);
            if without.contains(&name) {
                continue;
            }
            if field_behavior(field).required || is_required_label(field) {
                required.push(name.clone());
            }
            properties.set(name, self.property(message, index));
        }
        let description = self.declared.message_comment(message);
        let deprecated = message.proto.options.as_option().and_then(|options| options.deprecated).filter(|is| *is);
        let mut object = Object::new().with("type", "object").with_some("description", description);
        object = object.with_some("deprecated", deprecated);
        if !properties.is_empty() {
            object.set("properties", properties);
        }
        if !required.is_empty() {
            object.set("required", required.into_iter().collect::<Json>());
        }
        let mut oneofs = oneofs(message, without);
        match oneofs.len() {
            0 => object,
            1 => object.with("oneOf", oneofs.remove(0)),
            _ => object.with("allOf", oneofs.into_iter().map(|of| Object::new().with("oneOf", of)).collect::<Json>()),
        }
    }

    /// The value of a field, without its description.
    pub(super) fn field(&mut self, field: &FieldDescriptorProto) -> Object {
        if let Some((key, value)) = self.map_entry(field) {
            let values = self.single(&value);
            let object = Object::new().with("type", "object");
            let object = match key.r#type {
                Some(Type::TYPE_STRING) | None => object,
                Some(Type::TYPE_BOOL) => object
                    .with("propertyNames", Object::new().with("enum", ["true", "false"].into_iter().collect::<Json>())),
                Some(_) => object.with("propertyNames", Object::new().with("pattern", "^-?[0-9]+$")),
            };
            return object.with("additionalProperties", values);
        }
        let single = self.single(field);
        if is_repeated(field) { Object::new().with("type", "array").with("items", single) } else { single }
    }

    /// One value of a field.
    pub(super) fn single(&mut self, field: &FieldDescriptorProto) -> Object {
        match (field.r#type, message_of(field)) {
            (_, Some(name)) => self.message(name),
            (Some(Type::TYPE_ENUM), _) => {
                let name = field.type_name.as_deref().unwrap_or_default().trim_start_matches('.');
                if name == "google.protobuf.NullValue" { Object::new().with("type", "null") } else { self.refer(name) }
            }
            (Some(of), _) => scalar(of),
            (None, _) => Object::new(),
        }
    }

    /// Key and value of a map.
    pub(super) fn map_entry(
        &self,
        field: &FieldDescriptorProto,
    ) -> Option<(FieldDescriptorProto, FieldDescriptorProto)> {
        let entry = self.declared.message(message_of(field)?).filter(|message| message.is_map_entry())?;
        let part = |number| entry.proto.field.iter().find(|field| field.number == Some(number)).cloned();
        Some((part(1)?, part(2)?))
    }

    /// What every REST call that fails is answered with.
    pub(super) fn status(&mut self) -> Object {
        const NAME: &str = "google.rpc.Status";
        if !self.built.contains_key(NAME) {
            let any = self.any();
            let properties = Object::new()
                .with("code", scalar(Type::TYPE_INT32).with("description", "One of the codes of `google.rpc.Code`."))
                .with("message", Object::new().with("type", "string").with("description", "What is wrong, for people."))
                .with(
                    "details",
                    Object::new().with("type", "array").with("items", any).with(
                        "description",
                        "What is wrong, for programs: messages of `google/rpc/error_details.proto` and others.",
                    ),
                );
            let schema = Object::new()
                .with("type", "object")
                .with("description", "Why a call failed.")
                .with("properties", properties);
            self.built.insert(NAME.to_owned(), schema.into());
        }
        reference(NAME)
    }

    /// What every call by the Connect protocol that fails is answered with.
    pub(super) fn connect_error(&mut self) -> Object {
        const NAME: &str = "connect.Error";
        const CODES: [&str; 16] = [
            "canceled",
            "unknown",
            "invalid_argument",
            "deadline_exceeded",
            "not_found",
            "already_exists",
            "permission_denied",
            "resource_exhausted",
            "failed_precondition",
            "aborted",
            "out_of_range",
            "unimplemented",
            "internal",
            "unavailable",
            "data_loss",
            "unauthenticated",
        ];
        if !self.built.contains_key(NAME) {
            let text = |description: &str| Object::new().with("type", "string").with("description", description);
            let detail = Object::new()
                .with("type", "object")
                .with(
                    "properties",
                    Object::new()
                        .with("type", text("The full name of the message."))
                        .with("value", text("The message in Protobuf's binary format, in base64 without padding."))
                        .with(
                            "debug",
                            Object::new().with("description", "The message as JSON, when its type is known."),
                        ),
                )
                .with("required", ["type", "value"].into_iter().collect::<Json>());
            let properties = Object::new()
                .with("code", Object::new().with("type", "string").with("enum", CODES.into_iter().collect::<Json>()))
                .with("message", text("What is wrong, for people."))
                .with("details", Object::new().with("type", "array").with("items", detail));
            let schema = Object::new()
                .with("type", "object")
                .with("description", "Why a call failed, as the Connect protocol says it.")
                .with("properties", properties)
                .with("required", ["code"].into_iter().collect::<Json>());
            self.built.insert(NAME.to_owned(), schema.into());
        }
        reference(NAME)
    }

    /// A field with all that is said of it.
    fn property(&mut self, message: &Message<'a>, index: usize) -> Object {
        let field = &message.proto.field[index];
        let behavior = field_behavior(field);
        let deprecated = field.options.as_option().and_then(|options| options.deprecated).filter(|is| *is);
        let mut schema = self.field(field);
        if let Some(comment) = self.declared.field_comment(message, index) {
            schema = schema.without("description").with("description", comment);
        }
        schema
            .with_some("deprecated", deprecated)
            .with_some("readOnly", behavior.output_only.then_some(true))
            .with_some("writeOnly", behavior.input_only.then_some(true))
    }

    fn enumeration(&self, name: &str) -> Object {
        let Some(enumeration) = self.declared.enumeration(name) else { return Object::new() };
        let mut description = self.declared.enum_comment(enumeration).unwrap_or_default();
        let mut first = true;
        for (index, value) in enumeration.proto.value.iter().enumerate() {
            if let Some(comment) = self.declared.value_comment(enumeration, index) {
                if first && !description.is_empty() {
                    description.push_str("\n\n");
                }
                if !first {
                    description.push('\n');
                }
                first = false;
                let name = value.name.as_deref().unwrap_or_default();
                description.push_str(&format!("- `{name}`: {}", comment.replace('\n', " ")));
            }
        }
        let names = enumeration.proto.value.iter().filter_map(|value| value.name.as_deref());
        Object::new()
            .with("type", "string")
            .with_some("description", Some(description).filter(|text| !text.is_empty()))
            .with("enum", names.collect::<Json>())
    }

    fn any(&mut self) -> Object {
        const NAME: &str = "google.protobuf.Any";
        if !self.built.contains_key(NAME) {
            let url = Object::new()
                .with("type", "string")
                .with("description", "Which type it is, such as `type.googleapis.com/package.Message`.");
            let schema = Object::new()
                .with("type", "object")
                .with("description", "A message of any type: its fields stand beside `@type`, or its JSON in `value` if that is no object of fields.")
                .with("properties", Object::new().with("@type", url))
                .with("additionalProperties", true);
            self.built.insert(NAME.to_owned(), schema.into());
        }
        reference(NAME)
    }

    fn refer(&mut self, name: &str) -> Object {
        if self.declared.message(name).is_none() && self.declared.enumeration(name).is_none() {
            // The set was made without the file that declares it.
            return Object::new();
        }
        if !self.built.contains_key(name) {
            self.waiting.push(name.to_owned());
        }
        reference(name)
    }
}

/// At most one of the fields of each oneof: exactly this one, or that one, or none.
fn oneofs(message: &Message<'_>, without: &[String]) -> Vec<Json> {
    let mut all = Vec::new();
    for index in 0..message.proto.oneof_decl.len() {
        let members: Vec<String> = message
            .proto
            .field
            .iter()
            .filter(|field| field.oneof_index == i32::try_from(index).ok())
            .filter(|field| !field.proto3_optional.unwrap_or(false))
            .map(json_name)
            .filter(|name| !without.contains(name))
            .collect();
        if members.len() < 2 {
            continue;
        }
        let required = |name: &String| Object::new().with("required", [name.as_str()].into_iter().collect::<Json>());
        let any = Object::new().with("anyOf", members.iter().map(required).collect::<Json>());
        let none = Object::new().with("not", any);
        all.push(members.iter().map(required).chain([none]).collect());
    }
    all
}

/// A type whose JSON is not an object of its fields.
enum WellKnown {
    Any,
    None,
    Schema(Object),
}

fn well_known(name: &str) -> WellKnown {
    let text = || Object::new().with("type", "string");
    WellKnown::Schema(match name {
        "google.protobuf.Any" => return WellKnown::Any,
        "google.protobuf.BoolValue" => scalar(Type::TYPE_BOOL),
        "google.protobuf.BytesValue" => scalar(Type::TYPE_BYTES),
        "google.protobuf.DoubleValue" => scalar(Type::TYPE_DOUBLE),
        "google.protobuf.Duration" => {
            text().with("pattern", r"^-?[0-9]+(\.[0-9]{1,9})?s$").with("description", "Seconds, such as `1.5s`.")
        }
        "google.protobuf.Empty" => Object::new().with("type", "object"),
        "google.protobuf.FieldMask" => {
            text().with("description", "Fields with commas between them: `name,unitPrice.units`.")
        }
        "google.protobuf.FloatValue" => scalar(Type::TYPE_FLOAT),
        "google.protobuf.Int32Value" => scalar(Type::TYPE_INT32),
        "google.protobuf.Int64Value" => scalar(Type::TYPE_INT64),
        "google.protobuf.ListValue" => Object::new().with("type", "array").with("items", Object::new()),
        "google.protobuf.StringValue" => text(),
        "google.protobuf.Struct" => Object::new().with("type", "object").with("additionalProperties", true),
        "google.protobuf.Timestamp" => text().with("format", "date-time"),
        "google.protobuf.UInt32Value" => scalar(Type::TYPE_UINT32),
        "google.protobuf.UInt64Value" => scalar(Type::TYPE_UINT64),
        "google.protobuf.Value" => Object::new().with("description", "Any JSON."),
        _ => return WellKnown::None,
    })
}

/// Whether one text can stand for a message of this type in a path or a query.
pub(super) fn is_text(name: &str) -> bool {
    !matches!(
        name,
        "google.protobuf.Empty" | "google.protobuf.ListValue" | "google.protobuf.Struct" | "google.protobuf.Value"
    ) && matches!(well_known(name), WellKnown::Schema(_))
}

fn scalar(of: Type) -> Object {
    let integer = |format: &str, min: i64, max: i64| {
        Object::new().with("type", "integer").with("format", format).with("minimum", min).with("maximum", max)
    };
    let text = || Object::new().with("type", "string");
    let float = |format: &str| {
        let number = Object::new().with("type", "number").with("format", format);
        let words = text().with("enum", ["NaN", "Infinity", "-Infinity"].into_iter().collect::<Json>());
        Object::new().with("oneOf", [number, words].into_iter().collect::<Json>())
    };
    match of {
        Type::TYPE_BOOL => Object::new().with("type", "boolean"),
        Type::TYPE_BYTES => text().with("format", "byte").with("contentEncoding", "base64"),
        Type::TYPE_DOUBLE => float("double"),
        Type::TYPE_FLOAT => float("float"),
        Type::TYPE_INT32 | Type::TYPE_SINT32 | Type::TYPE_SFIXED32 => {
            integer("int32", i64::from(i32::MIN), i64::from(i32::MAX))
        }
        Type::TYPE_UINT32 | Type::TYPE_FIXED32 => integer("uint32", 0, i64::from(u32::MAX)),
        Type::TYPE_INT64 | Type::TYPE_SINT64 | Type::TYPE_SFIXED64 => {
            text().with("format", "int64").with("pattern", "^-?[0-9]{1,19}$")
        }
        Type::TYPE_UINT64 | Type::TYPE_FIXED64 => text().with("format", "uint64").with("pattern", "^[0-9]{1,20}$"),
        Type::TYPE_STRING => text(),
        // These have names.
        Type::TYPE_ENUM | Type::TYPE_GROUP | Type::TYPE_MESSAGE => Object::new(),
    }
}

fn reference(name: &str) -> Object {
    Object::new().with("$ref", format!("#/components/schemas/{name}"))
}
