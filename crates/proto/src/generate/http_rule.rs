//! The rules of `google.api.http` as constants of the generated code, checked while it is generated.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

pub(super) use crate::http_rules::{RulePlan, Types};
use crate::{
    Error, FieldDescriptorProto, MethodDescriptorProto,
    descriptors::json_name,
    http_rules::{self, BodyPlan, Kind, element, kind},
};

/// The rules of a method, checked. `path` is its full name, `file` where it stands.
pub(super) fn plan(
    types: &Types<'_>,
    file: &str,
    path: &str,
    method: &MethodDescriptorProto,
) -> Result<Vec<RulePlan>, Error> {
    http_rules::plan(types, method)
        .map_err(|what| Error::generate(format!("{file}: the HTTP rule of {}: {what}", path.trim_start_matches('/'))))
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
        let (cardinality, value) = element(self.types, field);
        let kind = match kind(value) {
            Kind::Plain(kind) => format!("FieldKind::{kind:?}"),
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
            "                Field {{ name: {:?}, json_name: {:?}, kind: {kind}, cardinality: Cardinality::{cardinality:?} }},",
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

/// A full name as the name of a static. Two underscores stand for a dot.
fn mangled(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.trim_start_matches('.').replace('.', "__"))
}
