//! The rules of `google.api.http` as constants of the generated code, checked while it is generated.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
};

use buffa_descriptor::generated::descriptor::field_descriptor_proto::{Label, Type};
use polywire_core::PathTemplate;

use crate::{
    DescriptorProto, EnumDescriptorProto, Error, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    annotations::{HttpRule, http_rules},
    descriptors::json_name,
};

/// All messages and enums of a descriptor set, by full name with a dot in front.
pub(super) struct Types<'a> {
    messages: HashMap<String, &'a DescriptorProto>,
    enums: HashMap<String, &'a EnumDescriptorProto>,
}

/// One rule of a method.
pub(super) struct RulePlan {
    verb: String,
    template: PathTemplate,
    text: String,
    body: BodyPlan,
    /// The place of a field in the response.
    response_body: Option<usize>,
    request: String,
    response: String,
}

enum BodyPlan {
    None,
    /// The place of a field in the request.
    Field(usize),
    All,
}

impl<'a> Types<'a> {
    pub(super) fn of(descriptors: &'a FileDescriptorSet) -> Self {
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
    fn map_value(&self, field: &FieldDescriptorProto) -> Option<&'a FieldDescriptorProto> {
        let entry = self.messages.get(field.type_name.as_deref()?)?;
        let is_entry = entry.options.as_option().and_then(|options| options.map_entry).unwrap_or(false);
        if is_entry { entry.field.iter().find(|field| field.number == Some(2)) } else { None }
    }
}

/// The rules of a method, checked. `path` is its full name, `file` where it stands.
pub(super) fn plan(
    types: &Types<'_>,
    file: &str,
    path: &str,
    method: &MethodDescriptorProto,
) -> Result<Vec<RulePlan>, Error> {
    let fault =
        |what: String| Error::generate(format!("{file}: the HTTP rule of {}: {what}", path.trim_start_matches('/')));
    let mut plans = Vec::new();
    for rule in http_rules(method).map_err(&fault)? {
        plans.push(rule.check(types, method).map_err(&fault)?);
    }
    Ok(plans)
}

/// Refuses rules that match the same requests. Each comes with its method's full name.
pub(super) fn refuse_conflicts<'a>(rules: impl Iterator<Item = (&'a str, &'a RulePlan)>) -> Result<(), Error> {
    let mut seen: Vec<(&str, &RulePlan)> = Vec::new();
    for (method, rule) in rules {
        let same = |other: &&(&str, &RulePlan)| {
            other.1.verb == rule.verb && other.1.template.is_indistinguishable(&rule.template)
        };
        if let Some((other, earlier)) = seen.iter().find(same) {
            return Err(Error::generate(format!(
                "the HTTP rules of {} ({} {}) and {} ({} {}) match the same requests; give one of them another path or verb",
                other.trim_start_matches('/'),
                earlier.verb,
                earlier.text,
                method.trim_start_matches('/'),
                rule.verb,
                rule.text
            )));
        }
        seen.push((method, rule));
    }
    Ok(())
}

/// The module of the rules of a package; empty when no method has any. Each method's rules are a static named by
/// [`static_name`].
pub(super) fn emit<'a>(types: &Types<'_>, methods: impl Iterator<Item = (&'a str, &'a [RulePlan])>) -> String {
    let mut code = String::new();
    let mut tables = Tables { types, messages: BTreeMap::new(), enums: BTreeSet::new() };
    for (path, rules) in methods.filter(|(_, rules)| !rules.is_empty()) {
        emit_rules(&mut tables, path, rules, &mut code).expect("writing to a string does not fail");
    }
    if code.is_empty() {
        return code;
    }
    format!(
        "\n    /// How the methods of this package are reached as REST.\n    pub mod http {{\n        \
         use ::polywire::http_rule::{{Body, Cardinality, EnumValue, Field, FieldKind, HttpRule, MessageFields}};\n{code}{}    }}\n",
        tables.emit()
    )
}

/// The name of the static that has the rules of a method.
pub(super) fn static_name(path: &str) -> String {
    mangled("RULES", &path.replace('/', "."))
}

fn emit_rules(tables: &mut Tables<'_>, path: &str, rules: &[RulePlan], code: &mut String) -> std::fmt::Result {
    writeln!(code, "\n        /// `{path}`")?;
    writeln!(code, "        pub static {}: [HttpRule; {}] = [", static_name(path), rules.len())?;
    for rule in rules {
        let request = tables.message(&rule.request);
        let body = match rule.body {
            BodyPlan::None => "Body::None".to_owned(),
            BodyPlan::Field(place) => format!("Body::Field(&{request}.fields[{place}])"),
            BodyPlan::All => "Body::All".to_owned(),
        };
        let response_body = match rule.response_body {
            None => "::core::option::Option::None".to_owned(),
            Some(place) => {
                format!("::core::option::Option::Some(&{}.fields[{place}])", tables.message(&rule.response))
            }
        };
        writeln!(code, "            HttpRule {{")?;
        writeln!(code, "                verb: {:?},", rule.verb)?;
        writeln!(code, "                template: {:?},", rule.text)?;
        writeln!(code, "                body: {body},")?;
        writeln!(code, "                response_body: {response_body},")?;
        writeln!(code, "                request: &{request},")?;
        writeln!(code, "                response: {:?},", rule.response.trim_start_matches('.'))?;
        writeln!(code, "            }},")?;
    }
    writeln!(code, "        ];")
}

/// The tables of fields that the rules of a package refer to.
struct Tables<'a> {
    types: &'a Types<'a>,
    /// The code of each message that is referred to.
    messages: BTreeMap<String, String>,
    enums: BTreeSet<String>,
}

impl Tables<'_> {
    /// The name of a message's table, which is made with all it refers to.
    fn message(&mut self, name: &str) -> String {
        let mut to_visit = vec![name.to_owned()];
        while let Some(name) = to_visit.pop() {
            if self.messages.contains_key(&name) {
                continue;
            }
            let fields = self.types.messages.get(&name).map(|message| message.field.as_slice()).unwrap_or_default();
            let mut code = String::new();
            for field in fields {
                self.emit_field(field, &mut to_visit, &mut code).expect("writing to a string does not fail");
            }
            self.messages.insert(name, code);
        }
        mangled("MESSAGE", name)
    }

    fn emit_field(
        &mut self,
        field: &FieldDescriptorProto,
        to_visit: &mut Vec<String>,
        code: &mut String,
    ) -> std::fmt::Result {
        let value = self.types.map_value(field);
        let cardinality = match (value, field.label) {
            (Some(_), _) => "Map",
            (None, Some(Label::LABEL_REPEATED)) => "Repeated",
            (None, _) => "One",
        };
        let value = value.unwrap_or(field);
        let kind = match kind(value) {
            Kind::Named(name) => format!("FieldKind::{name}"),
            Kind::Enum(name) => {
                let kind = format!("FieldKind::Enum(&{})", mangled("ENUM", name));
                self.enums.insert(name.to_owned());
                kind
            }
            Kind::Message(name) => {
                to_visit.push(name.to_owned());
                format!("FieldKind::Message(&{})", mangled("MESSAGE", name))
            }
        };
        writeln!(
            code,
            "                Field {{ name: {:?}, json_name: {:?}, kind: {kind}, cardinality: Cardinality::{cardinality} }},",
            field.name.as_deref().unwrap_or_default(),
            json_name(field)
        )
    }

    fn emit(&self) -> String {
        let mut code = String::new();
        for (name, fields) in &self.messages {
            write!(
                code,
                "\n        static {}: MessageFields = MessageFields {{\n            name: {:?},\n            fields: &[\n{fields}            ],\n        }};\n",
                mangled("MESSAGE", name),
                name.trim_start_matches('.')
            )
            .expect("writing to a string does not fail");
        }
        for name in &self.enums {
            let values = self.types.enums.get(name).map(|enumeration| enumeration.value.as_slice()).unwrap_or_default();
            writeln!(code, "\n        static {}: [EnumValue; {}] = [", mangled("ENUM", name), values.len())
                .expect("writing to a string does not fail");
            for value in values {
                writeln!(
                    code,
                    "            EnumValue {{ name: {:?}, number: {} }},",
                    value.name.as_deref().unwrap_or_default(),
                    value.number.unwrap_or_default()
                )
                .expect("writing to a string does not fail");
            }
            code.push_str("        ];\n");
        }
        code
    }
}

/// What a field holds, by its form in JSON.
enum Kind<'a> {
    /// A variant of `FieldKind` without content.
    Named(&'static str),
    Enum(&'a str),
    Message(&'a str),
}

fn kind(field: &FieldDescriptorProto) -> Kind<'_> {
    let name = field.type_name.as_deref().unwrap_or_default();
    Kind::Named(match field.r#type.unwrap_or(Type::TYPE_STRING) {
        Type::TYPE_BOOL => "Bool",
        Type::TYPE_BYTES => "Bytes",
        Type::TYPE_DOUBLE => "Double",
        Type::TYPE_ENUM if name == ".google.protobuf.NullValue" => "Json",
        Type::TYPE_ENUM => return Kind::Enum(name),
        Type::TYPE_FIXED32 | Type::TYPE_UINT32 => "Uint32",
        Type::TYPE_FIXED64 | Type::TYPE_UINT64 => "Uint64",
        Type::TYPE_FLOAT => "Float",
        Type::TYPE_INT32 | Type::TYPE_SFIXED32 | Type::TYPE_SINT32 => "Int32",
        Type::TYPE_INT64 | Type::TYPE_SFIXED64 | Type::TYPE_SINT64 => "Int64",
        Type::TYPE_STRING => "String",
        Type::TYPE_GROUP | Type::TYPE_MESSAGE => match name.strip_prefix(".google.protobuf.").unwrap_or_default() {
            "Any" | "ListValue" | "Struct" | "Value" => "Json",
            "BoolValue" => "Bool",
            "BytesValue" => "Bytes",
            "DoubleValue" => "Double",
            "Duration" => "Duration",
            "FieldMask" => "FieldMask",
            "FloatValue" => "Float",
            "Int32Value" => "Int32",
            "Int64Value" => "Int64",
            "StringValue" => "String",
            "Timestamp" => "Timestamp",
            "UInt32Value" => "Uint32",
            "UInt64Value" => "Uint64",
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
            Kind::Message(_) | Kind::Named("Json") if is_last => {
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

/// A full name as the name of a static. Two underscores stand for a dot.
fn mangled(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.trim_start_matches('.').replace('.', "__"))
}
