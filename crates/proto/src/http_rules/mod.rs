//! The rules of `google.api.http`, checked against the messages they speak of: for generated code, and for methods that are
//! known only at run time.

mod tables;

use std::collections::HashMap;

use buffa_descriptor::generated::descriptor::field_descriptor_proto::{Label, Type};
use polywire_core::{
    PathTemplate,
    http_rule::{Cardinality, FieldKind},
};

use crate::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    annotations::{HttpRule, http_rules},
};

/// All messages and enums of a descriptor set, by full name with a dot in front.
pub(crate) struct Types<'a> {
    pub(crate) messages: HashMap<String, &'a DescriptorProto>,
    pub(crate) enums: HashMap<String, &'a EnumDescriptorProto>,
}

/// One rule of a method.
pub(crate) struct RulePlan {
    pub(crate) verb: String,
    pub(crate) template: PathTemplate,
    pub(crate) text: String,
    pub(crate) body: BodyPlan,
    /// The place of a field in the response.
    pub(crate) response_body: Option<usize>,
    pub(crate) request: String,
    pub(crate) response: String,
}

/// Where the HTTP body goes.
pub(crate) enum BodyPlan {
    None,
    /// The place of a field in the request.
    Field(usize),
    All,
}

impl<'a> Types<'a> {
    pub(crate) fn of(descriptors: &'a FileDescriptorSet) -> Self {
        let mut types = Self { messages: HashMap::new(), enums: HashMap::new() };
        for file in &descriptors.file {
            let package = file.package.as_deref().filter(|package| !package.is_empty());
            let scope = package.map_or_else(String::new, |package| format!(".{package}"));
            types.add_enums(&scope, &file.enum_type);
            types.add_messages(&scope, &file.message_type);
        }
        types
    }

    fn add_messages(&mut self, scope: &str, messages: &'a [DescriptorProto]) {
        for message in messages {
            let name = format!("{scope}.{}", message.name.as_deref().unwrap_or_default());
            self.add_enums(&name, &message.enum_type);
            self.add_messages(&name, &message.nested_type);
            self.messages.insert(name, message);
        }
    }

    fn add_enums(&mut self, scope: &str, enums: &'a [EnumDescriptorProto]) {
        for enumeration in enums {
            self.enums.insert(format!("{scope}.{}", enumeration.name.as_deref().unwrap_or_default()), enumeration);
        }
    }

    /// The place of a field in a message, by its name in the `.proto` file.
    fn place(&self, message: &str, field: &str) -> Option<usize> {
        self.messages.get(message)?.field.iter().position(|candidate| candidate.name.as_deref() == Some(field))
    }

    /// The value type of a map field.
    pub(crate) fn map_value(&self, field: &FieldDescriptorProto) -> Option<&'a FieldDescriptorProto> {
        let entry = self.messages.get(field.type_name.as_deref()?)?;
        let is_entry = entry.options.as_option().and_then(|options| options.map_entry).unwrap_or(false);
        if is_entry { entry.field.iter().find(|field| field.number == Some(2)) } else { None }
    }
}

/// The rules of a method, checked.
///
/// # Errors
/// In words, what is wrong with one.
pub(crate) fn plan(types: &Types<'_>, method: &MethodDescriptorProto) -> Result<Vec<RulePlan>, String> {
    http_rules(method)?.into_iter().map(|rule| rule.check(types, method)).collect()
}

/// How many values a field holds, and the field that one of them is.
pub(crate) fn element<'a>(
    types: &Types<'a>,
    field: &'a FieldDescriptorProto,
) -> (Cardinality, &'a FieldDescriptorProto) {
    match (types.map_value(field), field.label) {
        (Some(value), _) => (Cardinality::Map, value),
        (None, Some(Label::LABEL_REPEATED)) => (Cardinality::Repeated, field),
        (None, _) => (Cardinality::One, field),
    }
}

/// What a field holds, by its form in JSON.
pub(crate) enum Kind<'a> {
    /// A kind that says everything.
    Plain(FieldKind),
    Enum(&'a str),
    Message(&'a str),
}

/// What a field holds; the name of an enum or a message has a dot in front.
pub(crate) fn kind(field: &FieldDescriptorProto) -> Kind<'_> {
    let name = field.type_name.as_deref().unwrap_or_default();
    Kind::Plain(match field.r#type.unwrap_or(Type::TYPE_STRING) {
        Type::TYPE_BOOL => FieldKind::Bool,
        Type::TYPE_BYTES => FieldKind::Bytes,
        Type::TYPE_DOUBLE => FieldKind::Double,
        Type::TYPE_ENUM if name == ".google.protobuf.NullValue" => FieldKind::Json,
        Type::TYPE_ENUM => return Kind::Enum(name),
        Type::TYPE_FIXED32 | Type::TYPE_UINT32 => FieldKind::Uint32,
        Type::TYPE_FIXED64 | Type::TYPE_UINT64 => FieldKind::Uint64,
        Type::TYPE_FLOAT => FieldKind::Float,
        Type::TYPE_INT32 | Type::TYPE_SFIXED32 | Type::TYPE_SINT32 => FieldKind::Int32,
        Type::TYPE_INT64 | Type::TYPE_SFIXED64 | Type::TYPE_SINT64 => FieldKind::Int64,
        Type::TYPE_STRING => FieldKind::String,
        Type::TYPE_GROUP | Type::TYPE_MESSAGE => match name.strip_prefix(".google.protobuf.").unwrap_or_default() {
            "Any" | "ListValue" | "Struct" | "Value" => FieldKind::Json,
            "BoolValue" => FieldKind::Bool,
            "BytesValue" => FieldKind::Bytes,
            "DoubleValue" => FieldKind::Double,
            "Duration" => FieldKind::Duration,
            "FieldMask" => FieldKind::FieldMask,
            "FloatValue" => FieldKind::Float,
            "Int32Value" => FieldKind::Int32,
            "Int64Value" => FieldKind::Int64,
            "StringValue" => FieldKind::String,
            "Timestamp" => FieldKind::Timestamp,
            "UInt32Value" => FieldKind::Uint32,
            "UInt64Value" => FieldKind::Uint64,
            _ => return Kind::Message(name),
        },
    })
}

impl HttpRule {
    fn check(self, types: &Types<'_>, method: &MethodDescriptorProto) -> Result<RulePlan, String> {
        let request = method.input_type.clone().unwrap_or_default();
        let response = method.output_type.clone().unwrap_or_default();
        if self.verb.is_empty()
            || !self.verb.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'*' | b'-'))
        {
            return Err(format!("the verb {:?} is none; write it in capitals, or \"*\" for any", self.verb));
        }
        let template = PathTemplate::parse(&self.path).map_err(|error| error.to_string())?;
        for variable in template.variables() {
            check_variable(types, &request, variable.field_path())?;
        }
        let bound = |name: &str| template.variables().iter().find(|variable| variable.field_path()[0] == name);
        let body = match self.body.as_str() {
            "" if method.client_streaming.unwrap_or(false) => {
                return Err("the client streams, so its messages need a body; write body: \"*\"".to_owned());
            }
            "" => BodyPlan::None,
            _ if self.verb == "GET" => {
                return Err("a GET has no body; remove `body`, or make it a POST".to_owned());
            }
            "*" => BodyPlan::All,
            name => {
                let Some(place) = types.place(&request, name) else {
                    return Err(no_field(types, &request, name, "body"));
                };
                if let Some(variable) = bound(name).filter(|variable| variable.field_path().len() == 1) {
                    return Err(format!(
                        "{} is the body and a variable of the path; let one of them be another field",
                        variable.field_path()[0]
                    ));
                }
                BodyPlan::Field(place)
            }
        };
        let response_body = match self.response_body.as_str() {
            "" => None,
            name => {
                Some(types.place(&response, name).ok_or_else(|| no_field(types, &response, name, "response_body"))?)
            }
        };
        Ok(RulePlan { verb: self.verb, template, text: self.path, body, response_body, request, response })
    }
}

/// A variable of the path has to be a single value that a text can stand for.
fn check_variable(types: &Types<'_>, request: &str, path: &[String]) -> Result<(), String> {
    let whole = path.join(".");
    let mut message = request;
    for (depth, name) in path.iter().enumerate() {
        let Some(place) = types.place(message, name) else {
            return Err(no_field(types, message, name, &format!("the variable {{{whole}}}")));
        };
        let field = &types.messages[message].field[place];
        if types.map_value(field).is_some() || field.label == Some(Label::LABEL_REPEATED) {
            return Err(format!(
                "the variable {{{whole}}} goes to {name}, which holds many values; bind a field that holds one"
            ));
        }
        let is_last = depth + 1 == path.len();
        match kind(field) {
            Kind::Message(inner) if !is_last => message = inner,
            Kind::Message(_) | Kind::Plain(FieldKind::Json) if is_last => {
                return Err(format!("the variable {{{whole}}} is a message; bind one of its fields: {{{whole}.…}}"));
            }
            _ if !is_last => {
                return Err(format!(
                    "the variable {{{whole}}} goes on behind {name}, which is no message; end it there"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn no_field(types: &Types<'_>, message: &str, name: &str, place: &str) -> String {
    let fields = types.messages.get(message).map(|message| message.field.as_slice()).unwrap_or_default();
    let names: Vec<_> = fields.iter().filter_map(|field| field.name.as_deref()).collect();
    let has = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    format!("{place}: {} has no field {name:?}; {has}", message.trim_start_matches('.'))
}
