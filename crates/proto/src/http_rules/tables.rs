//! Rules of a method that is known only at run time.

use std::collections::HashMap;

use polywire_core::http_rule::{Body, Cardinality, EnumValue, Field, FieldKind, HttpRule, MessageFields};

use super::{BodyPlan, Kind, RulePlan, Types, element, kind, plan};
use crate::{Error, MethodType, Pool, descriptors::json_name};

/// Deepest message in a message that a table leads to, which is as deep as a path or a query goes. A message that holds itself
/// thus has an end.
const DEPTH_MAX: usize = 16;

impl Pool {
    /// How a method is reached as REST (`google.api.http`), for [`Method::with_http`](polywire_core::Method::with_http): nothing
    /// when it has no rule.
    ///
    /// The rules stay in memory until the process ends, as those of generated code do. This is for tools that look at a few
    /// methods; who goes on calling others keeps what this returns.
    ///
    /// # Errors
    /// When a rule cannot work: a field that is not there, a path that is none.
    pub fn leak_http_rules(&self, method: &MethodType) -> Result<&'static [HttpRule], Error> {
        let set = self.files().to_set();
        let (service, name) = method.path().trim_start_matches('/').rsplit_once('/').unwrap_or_default();
        let (package, service) = service.rsplit_once('.').unwrap_or(("", service));
        let descriptor = set
            .file
            .iter()
            .filter(|file| file.package.as_deref().unwrap_or_default() == package)
            .flat_map(|file| &file.service)
            .filter(|found| found.name.as_deref() == Some(service))
            .flat_map(|found| &found.method)
            .find(|found| found.name.as_deref() == Some(name));
        let Some(descriptor) = descriptor else { return Ok(&[]) };
        let types = Types::of(&set);
        let plans = plan(&types, descriptor).map_err(|what| {
            Error::descriptors(format!("the HTTP rule of {}: {what}", method.path().trim_start_matches('/')))
        })?;
        let mut tables = Tables { types: &types, messages: HashMap::new(), enums: HashMap::new() };
        Ok(leak_list(plans.into_iter().map(|plan| tables.rule(plan)).collect()))
    }
}

/// The tables of fields that rules refer to.
struct Tables<'a> {
    types: &'a Types<'a>,
    /// By full name, and how much deeper each leads.
    messages: HashMap<(String, usize), &'static MessageFields>,
    enums: HashMap<String, &'static [EnumValue]>,
}

impl Tables<'_> {
    fn rule(&mut self, plan: RulePlan) -> HttpRule {
        let request = self.message(&plan.request, DEPTH_MAX);
        // Of a response only the kind of its fields matters.
        let response = |place: usize| self.message(&plan.response, 2).fields.get(place);
        HttpRule {
            response_body: plan.response_body.and_then(response),
            verb: leak_text(&plan.verb),
            template: leak_text(&plan.text),
            body: match plan.body {
                BodyPlan::None => Body::None,
                BodyPlan::Field(place) => request.fields.get(place).map_or(Body::None, Body::Field),
                BodyPlan::All => Body::All,
            },
            request,
            response: leak_text(plan.response.trim_start_matches('.')),
        }
    }

    fn message(&mut self, name: &str, depth: usize) -> &'static MessageFields {
        let key = (name.to_owned(), depth);
        if let Some(message) = self.messages.get(&key) {
            return message;
        }
        let types = self.types;
        let fields = types.messages.get(name).map(|message| message.field.as_slice()).unwrap_or_default();
        let mut made = Vec::with_capacity(fields.len());
        for field in fields {
            let (cardinality, value) = element(types, field);
            let kind = match kind(value) {
                Kind::Plain(kind) => kind,
                Kind::Enum(name) => FieldKind::Enum(self.enumeration(name)),
                // No path and no query goes into one of many.
                Kind::Message(name) if cardinality == Cardinality::One && depth > 1 => {
                    FieldKind::Message(self.message(name, depth - 1))
                }
                Kind::Message(_) => FieldKind::Json,
            };
            let (name, json_name) = (leak_text(field.name.as_deref().unwrap_or_default()), json_name(field));
            made.push(Field { name, json_name: leak_text(&json_name), kind, cardinality });
        }
        let message = MessageFields { name: leak_text(name.trim_start_matches('.')), fields: leak_list(made) };
        let message: &'static MessageFields = Box::leak(Box::new(message));
        self.messages.insert(key, message);
        message
    }

    fn enumeration(&mut self, name: &str) -> &'static [EnumValue] {
        if let Some(values) = self.enums.get(name) {
            return values;
        }
        let values = self.types.enums.get(name).map(|enumeration| enumeration.value.as_slice()).unwrap_or_default();
        let values = values.iter().map(|value| EnumValue {
            name: leak_text(value.name.as_deref().unwrap_or_default()),
            number: value.number.unwrap_or_default(),
        });
        let values = leak_list(values.collect());
        self.enums.insert(name.to_owned(), values);
        values
    }
}

fn leak_text(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn leak_list<T>(list: Vec<T>) -> &'static [T] {
    Box::leak(list.into_boxed_slice())
}
