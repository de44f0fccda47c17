//! The methods of services as operations of HTTP.

use std::collections::BTreeMap;

use polywire_core::{PathTemplate, Segment};

use super::{
    declared::{Declared, Message, Service, is_client_streaming, is_repeated, is_server_streaming, message_of},
    json::{Json, Object},
    schema::{Schemas, is_text},
};
use crate::{
    FieldDescriptorProto, MethodDescriptorProto,
    annotations::{HttpRule, field_behavior, http_rules},
    descriptors::json_name,
};

/// Verbs that a path can have.
const VERBS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

/// Deepest message inside a message whose fields become query parameters.
const QUERY_DEPTH_MAX: usize = 5;

/// The message that is an HTTP body itself.
const HTTP_BODY: &str = "google.api.HttpBody";

/// Operations by path and verb, and what they refer to.
pub(super) struct Operations<'a> {
    pub(super) declared: &'a Declared<'a>,
    pub(super) schemas: Schemas<'a>,
    pub(super) paths: BTreeMap<String, BTreeMap<String, Json>>,
    /// The names of the parameters in paths that differ in nothing else: such paths are one.
    names: BTreeMap<String, Vec<String>>,
}

/// One method, as its operations show it.
struct Shown<'a> {
    service: &'a str,
    proto: &'a MethodDescriptorProto,
    comment: Option<String>,
}

impl<'a> Operations<'a> {
    pub(super) fn new(declared: &'a Declared<'a>) -> Self {
        Self { declared, schemas: Schemas::new(declared), paths: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Adds all ways to reach the methods of a service.
    pub(super) fn add(&mut self, name: &'a str, service: &Service<'a>) {
        for (index, method) in service.proto.method.iter().enumerate() {
            let comment = self.declared.method_comment(service, index);
            let shown = Shown { service: name, proto: method, comment };
            // Where code is generated, a rule that cannot be read is refused; here what can be described is.
            let rules = http_rules(method).unwrap_or_default();
            if rules.is_empty() {
                self.add_connect(&shown);
            }
            for (index, rule) in rules.iter().enumerate() {
                self.add_rest(&shown, rule, index);
            }
        }
    }

    /// The method by its full name, as the Connect protocol calls it.
    fn add_connect(&mut self, method: &Shown<'_>) {
        let streams = is_client_streaming(method.proto) || is_server_streaming(method.proto);
        let media = if streams { "application/connect+json" } else { "application/json" };
        let request = self.schemas.message(method.request());
        let response = self.schemas.message(method.response());
        let mut operation = method.operation(0);
        operation.set("requestBody", Object::new().with("required", true).with("content", content(media, request)));
        let mut answered = Object::new()
            .with("description", if streams { "The responses, each in its envelope." } else { "The response." });
        answered.set("content", content(media, response));
        let mut responses = Object::new().with("200", answered);
        if !streams {
            let error = self.schemas.connect_error();
            let failed = Object::new().with("description", "The call failed.");
            responses.set("default", failed.with("content", content("application/json", error)));
        }
        operation.set("responses", responses);
        let path = format!("/{}/{}", method.service, method.name());
        self.put(path, "post", operation);
    }

    /// The method by one rule of `google.api.http`.
    fn add_rest(&mut self, method: &Shown<'_>, rule: &HttpRule, index: usize) {
        let Ok(template) = PathTemplate::parse(&rule.path) else { return };
        let verb = rule.verb.to_ascii_lowercase();
        if !VERBS.contains(&verb.as_str()) {
            return;
        }
        let Some(request) = self.declared.message(method.request()).cloned() else { return };
        let (path, mut parameters) = self.path(&template, &request);
        let bound: Vec<Vec<String>> = template.variables().iter().map(|of| of.field_path().to_vec()).collect();

        let mut operation = method.operation(index);
        let body = self.request_body(method, rule, &request, &bound);
        if rule.body != "*" && !is_client_streaming(method.proto) {
            self.query(&request, &mut Query { bound: &bound, body: &rule.body, ..Query::default() }, &mut parameters);
        }
        if !parameters.is_empty() {
            operation.set("parameters", parameters.into_iter().collect::<Json>());
        }
        if let Some(body) = body {
            operation.set("requestBody", body);
        }
        let error = self.schemas.status();
        let failed = Object::new().with("description", "The call failed.");
        let responses = Object::new()
            .with("200", self.response(method, rule))
            .with("default", failed.with("content", content("application/json", error)));
        operation.set("responses", responses);
        self.put(path, &verb, operation);
    }

    /// The path with a parameter for each wildcard, and these parameters.
    fn path(&mut self, template: &PathTemplate, request: &Message<'a>) -> (String, Vec<Object>) {
        let mut wildcards: Vec<(usize, String)> = Vec::new();
        for (at, segment) in template.segments().iter().enumerate() {
            if matches!(segment, Segment::Literal(_)) {
                continue;
            }
            let variable = template.variables().iter().find(|variable| variable.segments().contains(&at));
            let name = variable.map_or_else(|| "any".to_owned(), |variable| variable.field_path().join("."));
            wildcards.push((at, name));
        }
        let all: Vec<String> = wildcards.iter().map(|(_, name)| name.clone()).collect();
        for (index, (_, name)) in wildcards.iter_mut().enumerate() {
            if all.iter().filter(|other| **other == *name).count() > 1 || name == "any" {
                let nth = all[..=index].iter().filter(|other| **other == *name).count();
                *name = format!("{name}_{nth}");
            }
        }
        let write = |name: &dyn Fn(usize) -> String| {
            let mut path = String::new();
            let mut wildcard = 0;
            for segment in template.segments() {
                path.push('/');
                match segment {
                    Segment::Literal(text) => path.push_str(text),
                    Segment::One | Segment::Rest => {
                        path.push_str(&format!("{{{}}}", name(wildcard)));
                        wildcard += 1;
                    }
                }
            }
            if path.is_empty() {
                path.push('/');
            }
            match template.verb() {
                Some(verb) => format!("{path}:{verb}"),
                None => path,
            }
        };
        let shape = write(&|_| String::new());
        let own: Vec<String> = wildcards.iter().map(|(_, name)| name.clone()).collect();
        let names = self.names.entry(shape).or_insert(own).clone();
        let path = write(&|index| names[index].clone());

        let mut parameters = Vec::new();
        for ((at, _), name) in wildcards.iter().zip(&names) {
            let variable = template.variables().iter().find(|variable| variable.segments().contains(at));
            let field = variable.and_then(|variable| self.field_at(request, variable.field_path()));
            let comment = field.as_ref().and_then(|(message, index)| self.declared.field_comment(message, *index));
            let mut parameter = Object::new().with("name", name.as_str()).with("in", "path");
            let rest = template.segments()[*at] == Segment::Rest;
            match (variable, field) {
                (Some(variable), Some((message, index))) if variable.is_single() => {
                    let mut schema = self.schemas.field(&message.proto.field[index]);
                    let words = comment.map(Json::from).or(schema.take("description"));
                    parameter = parameter.with_some("description", words).with("required", true);
                    if matches!(
                        message.proto.field[index].r#type,
                        Some(buffa_descriptor::generated::descriptor::field_descriptor_proto::Type::TYPE_STRING)
                    ) {
                        schema.set("minLength", 1);
                    }
                    parameter.set("schema", schema);
                }
                (variable, _) => {
                    let pattern = variable.map(|variable| {
                        let segments: Vec<_> = template.segments()[variable.segments()].iter().map(spelled).collect();
                        format!("Part of `{}`, which is `{}`.", variable.field_path().join("."), segments.join("/"))
                    });
                    let mut words: Vec<String> = pattern.into_iter().chain(comment).collect();
                    if rest {
                        words.push("It may have slashes in it.".to_owned());
                    }
                    let words = Some(words.join("\n\n")).filter(|words| !words.is_empty());
                    parameter = parameter.with_some("description", words).with("required", true);
                    parameter = parameter.with_some("x-multi-segment", rest.then_some(true));
                    let schema = Object::new().with("type", "string");
                    parameter.set("schema", if rest { schema } else { schema.with("minLength", 1) });
                }
            }
            parameters.push(parameter);
        }
        (path, parameters)
    }

    /// The field that a path of names leads to, with its message.
    fn field_at(&self, message: &Message<'a>, path: &[String]) -> Option<(Message<'a>, usize)> {
        let (first, rest) = path.split_first()?;
        let (index, field) = message.field(first)?;
        if rest.is_empty() {
            return Some((message.clone(), index));
        }
        let inner = self.declared.message(message_of(field)?)?.clone();
        self.field_at(&inner, rest)
    }

    fn request_body(
        &mut self,
        method: &Shown<'_>,
        rule: &HttpRule,
        request: &Message<'a>,
        bound: &[Vec<String>],
    ) -> Option<Object> {
        let schema = match rule.body.as_str() {
            "" => return None,
            "*" if request.name == HTTP_BODY => return Some(Object::new().with("content", any_content())),
            "*" => {
                let names = bound.iter().filter(|path| path.len() == 1);
                let bound: Vec<String> =
                    names.filter_map(|path| request.field(&path[0])).map(|(_, field)| json_name(field)).collect();
                if bound.is_empty() {
                    self.schemas.message(&request.name)
                } else {
                    self.schemas.object(request, &bound)
                }
            }
            name => {
                let (_, field) = request.field(name)?;
                if message_of(field) == Some(HTTP_BODY) {
                    return Some(Object::new().with("content", any_content()));
                }
                self.schemas.field(field)
            }
        };
        let body = Object::new().with("required", true);
        Some(if is_client_streaming(method.proto) {
            body.with("description", "The requests, one a line.")
                .with("content", content("application/x-ndjson", schema))
        } else {
            body.with("content", content("application/json", schema))
        })
    }

    fn response(&mut self, method: &Shown<'_>, rule: &HttpRule) -> Object {
        let field = match rule.response_body.as_str() {
            "" => None,
            name => self.declared.message(method.response()).and_then(|message| message.field(name)),
        };
        let of = match field {
            Some((_, field)) => message_of(field).filter(|_| !is_repeated(field)),
            None => Some(method.response()),
        };
        if of == Some(HTTP_BODY) {
            let response = Object::new().with("description", "The response, of the type that its `Content-Type` says.");
            return response.with("content", any_content());
        }
        let schema = match field {
            Some((_, field)) => self.schemas.field(field),
            None => self.schemas.message(method.response()),
        };
        if !is_server_streaming(method.proto) {
            return Object::new()
                .with("description", "The response.")
                .with("content", content("application/json", schema));
        }
        let media = |schema: Object| Object::new().with("schema", schema);
        let content = Object::new()
            .with("application/x-ndjson", media(schema.clone()))
            .with("text/event-stream", media(schema.clone()))
            .with("application/json", media(Object::new().with("type", "array").with("items", schema)));
        Object::new()
            .with(
                "description",
                "The responses as they come: one a line, or as server-sent events with one in the `data` of each, or as a JSON array. `Accept` chooses.",
            )
            .with("content", content)
    }

    /// The fields that neither the path nor the body binds.
    fn query(&mut self, message: &Message<'a>, query: &mut Query<'_>, parameters: &mut Vec<Object>) {
        for (index, field) in message.proto.field.iter().enumerate() {
            let name = field.name.clone().unwrap_or_default();
            query.path.push(name);
            if !query.is_bound() && !field_behavior(field).output_only {
                self.query_field(message, index, field, query, parameters);
            }
            query.path.pop();
        }
    }

    fn query_field(
        &mut self,
        message: &Message<'a>,
        index: usize,
        field: &'a FieldDescriptorProto,
        query: &mut Query<'_>,
        parameters: &mut Vec<Object>,
    ) {
        let json = json_name(field);
        if let Some(of) = message_of(field)
            && !is_text(of)
        {
            let Some(inner) = self.declared.message(of).cloned() else { return };
            let seen = query.outer.contains(&inner.name) || inner.name == message.name;
            let has_no_text = of.starts_with("google.protobuf.") || is_repeated(field) || inner.is_map_entry();
            if has_no_text || seen || query.outer.len() >= QUERY_DEPTH_MAX {
                return;
            }
            query.outer.push(message.name.clone());
            query.names.push(json);
            self.query(&inner, query, parameters);
            query.names.pop();
            query.outer.pop();
            return;
        }
        let mut schema = self.schemas.field(field);
        let own = schema.take("description");
        let comment = self.declared.field_comment(message, index).map(Json::from).or(own);
        let required = field_behavior(field).required && query.names.is_empty();
        let deprecated = field.options.as_option().and_then(|options| options.deprecated).filter(|is| *is);
        let name = query.names.iter().chain([&json]).map(String::as_str).collect::<Vec<_>>().join(".");
        let parameter = Object::new()
            .with("name", name)
            .with("in", "query")
            .with_some("description", comment)
            .with_some("required", required.then_some(true))
            .with_some("deprecated", deprecated);
        parameters.push(parameter.with("schema", schema));
    }

    /// The first of an operation that is there twice stays.
    fn put(&mut self, path: String, verb: &str, operation: Object) {
        self.paths.entry(path).or_default().entry(verb.to_owned()).or_insert(operation.into());
    }
}

/// Where a walk through the fields of a request is.
#[derive(Default)]
struct Query<'a> {
    bound: &'a [Vec<String>],
    body: &'a str,
    /// The names in the `.proto` file that lead here.
    path: Vec<String>,
    /// The same in JSON, without the last.
    names: Vec<String>,
    /// The messages around this one.
    outer: Vec<String>,
}

impl Query<'_> {
    fn is_bound(&self) -> bool {
        self.bound.contains(&self.path) || (self.path.len() == 1 && self.path[0] == self.body)
    }
}

impl Shown<'_> {
    fn name(&self) -> &str {
        self.proto.name.as_deref().unwrap_or_default()
    }

    fn request(&self) -> &str {
        self.proto.input_type.as_deref().unwrap_or_default().trim_start_matches('.')
    }

    fn response(&self) -> &str {
        self.proto.output_type.as_deref().unwrap_or_default().trim_start_matches('.')
    }

    /// What every way to reach it has in common.
    fn operation(&self, index: usize) -> Object {
        let id = format!("{}.{}", self.service, self.name());
        let (summary, description) = self.comment.as_deref().map(summarized).unwrap_or_default();
        let deprecated = self.proto.options.as_option().and_then(|options| options.deprecated).filter(|is| *is);
        let streaming = match (is_client_streaming(self.proto), is_server_streaming(self.proto)) {
            (false, false) => None,
            (false, true) => Some("server"),
            (true, false) => Some("client"),
            (true, true) => Some("bidirectional"),
        };
        Object::new()
            .with("operationId", if index == 0 { id } else { format!("{id}.{}", index + 1) })
            .with("tags", [self.service].into_iter().collect::<Json>())
            .with_some("summary", summary)
            .with_some("description", description)
            .with_some("deprecated", deprecated)
            .with_some("x-streaming", streaming)
    }
}

/// The first sentence of a comment, without its full stop, and the whole if it says more.
fn summarized(comment: &str) -> (Option<String>, Option<String>) {
    let paragraph = comment.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    let sentence = paragraph[..end].trim_end_matches('.').trim().to_owned();
    if sentence.is_empty() {
        return (None, None);
    }
    let says_more = comment.trim_end_matches('.').trim() != sentence;
    (Some(sentence), says_more.then(|| comment.to_owned()))
}

fn spelled(segment: &Segment) -> String {
    match segment {
        Segment::Literal(text) => text.clone(),
        Segment::One => "*".to_owned(),
        Segment::Rest => "**".to_owned(),
    }
}

fn content(media: &str, schema: Object) -> Object {
    Object::new().with(media, Object::new().with("schema", schema))
}

fn any_content() -> Object {
    Object::new().with("*/*", Object::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_summed_up_by_its_first_sentence() {
        let of = |comment: &str| {
            let (summary, description) = summarized(comment);
            (summary.unwrap_or_default(), description.is_some())
        };
        assert_eq!(of("Finds one order."), ("Finds one order".to_owned(), false));
        assert_eq!(of("Finds one\norder. Or none."), ("Finds one order".to_owned(), true));
        assert_eq!(of("Finds\n\nNOT_FOUND if not."), ("Finds".to_owned(), true));
        assert_eq!(of(""), (String::new(), false));
    }
}
