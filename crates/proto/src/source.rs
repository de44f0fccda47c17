//! Descriptors written as `.proto` source, for people to read.

use std::fmt::Write as _;

use buffa_descriptor::generated::descriptor::{
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
};

use crate::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, Files, MethodDescriptorProto,
    ServiceDescriptorProto,
    comments::{Comments, path},
};

/// A declaration found by its full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// What it is.
    pub kind: DeclarationKind,
    /// The name of its file.
    pub file: String,
    /// The package of its file; may be empty.
    pub package: String,
    /// Itself as `.proto` source, with its comments as far as the descriptors have them. Types of its own package are named
    /// without the package. Custom options are left out.
    pub source: String,
}

/// What is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclarationKind {
    /// An enum.
    Enum,
    /// A value of an enum.
    EnumValue,
    /// An extension.
    Extension,
    /// A field of a message.
    Field,
    /// A message.
    Message,
    /// A method of a service.
    Method,
    /// A oneof of a message.
    Oneof,
    /// A service.
    Service,
}

impl DeclarationKind {
    /// Its name in a sentence, such as `enum value`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enum => "enum",
            Self::EnumValue => "enum value",
            Self::Extension => "extension",
            Self::Field => "field",
            Self::Message => "message",
            Self::Method => "method",
            Self::Oneof => "oneof",
            Self::Service => "service",
        }
    }
}

impl Files {
    /// What is declared by this full name, as source.
    pub fn declaration(&self, symbol: &str) -> Option<Declaration> {
        let file = self.containing(symbol)?.descriptor();
        let package = file.package.as_deref().unwrap_or_default();
        let mut writer = Writer::new(file);
        let kind = writer.find(symbol)?;
        let source = writer.out;
        Some(Declaration { kind, file: file.name.clone().unwrap_or_default(), package: package.to_owned(), source })
    }

    /// The full names of all services, methods, messages and enums, file by file.
    pub fn declared(&self) -> Vec<String> {
        let mut names = Vec::new();
        for file in self.iter().map(crate::File::descriptor) {
            let package = file.package.as_deref().unwrap_or_default();
            for service in &file.service {
                let name = join(package, service.name.as_deref());
                names.extend(service.method.iter().map(|method| join(&name, method.name.as_deref())));
                names.push(name);
            }
            names.extend(file.enum_type.iter().map(|enumeration| join(package, enumeration.name.as_deref())));
            // A walk with its own stack: descriptors come from outside and may be nested deeply.
            let mut stack: Vec<_> = file.message_type.iter().map(|message| (package.to_owned(), message)).collect();
            while let Some((scope, message)) = stack.pop() {
                if is_map_entry(message) {
                    continue;
                }
                let name = join(&scope, message.name.as_deref());
                names.extend(message.enum_type.iter().map(|enumeration| join(&name, enumeration.name.as_deref())));
                stack.extend(message.nested_type.iter().map(|nested| (name.clone(), nested)));
                names.push(name);
            }
        }
        names
    }
}

/// Deepest nesting that is written; deeper messages are only hinted at.
const DEPTH_MAX: usize = 32;

/// Writes declarations of one file.
struct Writer<'a> {
    file: &'a FileDescriptorProto,
    package: &'a str,
    comments: Comments,
    out: String,
    depth: usize,
}

impl<'a> Writer<'a> {
    fn new(file: &'a FileDescriptorProto) -> Self {
        let package = file.package.as_deref().unwrap_or_default();
        Self { file, package, comments: Comments::of(file), out: String::new(), depth: 0 }
    }

    /// Writes what this full name declares.
    fn find(&mut self, symbol: &str) -> Option<DeclarationKind> {
        let file = self.file;
        let named = |name: &Option<String>| join(self.package, name.as_deref());
        for (at, service) in indexed(&file.service) {
            let name = named(&service.name);
            if name == symbol {
                self.service(service, &[path::FILE_SERVICE, at]);
                return Some(DeclarationKind::Service);
            }
            for (method_at, method) in indexed(&service.method) {
                if join(&name, method.name.as_deref()) == symbol {
                    self.method(method, &[path::FILE_SERVICE, at, path::SERVICE_METHOD, method_at]);
                    return Some(DeclarationKind::Method);
                }
            }
        }
        for (at, enumeration) in indexed(&file.enum_type) {
            if let Some(kind) = self.find_enum(self.package, enumeration, symbol, &[path::FILE_ENUM, at]) {
                return Some(kind);
            }
        }
        for (at, extension) in indexed(&file.extension) {
            if join(self.package, extension.name.as_deref()) == symbol {
                self.extension(extension, &[path::FILE_EXTENSION, at]);
                return Some(DeclarationKind::Extension);
            }
        }
        let mut stack: Vec<(String, &DescriptorProto, Vec<i32>)> = indexed(&file.message_type)
            .map(|(at, message)| (self.package.to_owned(), message, vec![path::FILE_MESSAGE, at]))
            .collect();
        while let Some((scope, message, place)) = stack.pop() {
            let name = join(&scope, message.name.as_deref());
            if name == symbol {
                self.message(message, &place);
                return Some(DeclarationKind::Message);
            }
            if !symbol.starts_with(&scope) {
                continue;
            }
            if let Some(kind) = self.find_inside(&name, message, symbol, &place) {
                return Some(kind);
            }
            for (at, nested) in indexed(&message.nested_type) {
                stack.push((name.clone(), nested, below(&place, path::MESSAGE_NESTED, at)));
            }
        }
        None
    }

    fn find_inside(
        &mut self,
        name: &str,
        message: &DescriptorProto,
        symbol: &str,
        place: &[i32],
    ) -> Option<DeclarationKind> {
        for (at, enumeration) in indexed(&message.enum_type) {
            if let Some(kind) = self.find_enum(name, enumeration, symbol, &below(place, path::MESSAGE_ENUM, at)) {
                return Some(kind);
            }
        }
        for (at, field) in indexed(&message.field) {
            if join(name, field.name.as_deref()) == symbol {
                self.field(message, field, &below(place, path::MESSAGE_FIELD, at));
                return Some(DeclarationKind::Field);
            }
        }
        for (at, oneof) in indexed(&message.oneof_decl) {
            if join(name, oneof.name.as_deref()) == symbol {
                self.oneof(message, at, place);
                return Some(DeclarationKind::Oneof);
            }
        }
        for (at, extension) in indexed(&message.extension) {
            if join(name, extension.name.as_deref()) == symbol {
                self.extension(extension, &below(place, path::MESSAGE_EXTENSION, at));
                return Some(DeclarationKind::Extension);
            }
        }
        None
    }

    fn find_enum(
        &mut self,
        scope: &str,
        enumeration: &EnumDescriptorProto,
        symbol: &str,
        place: &[i32],
    ) -> Option<DeclarationKind> {
        let name = join(scope, enumeration.name.as_deref());
        let is_value =
            |value: &Option<String>| [scope, &name].iter().any(|scope| join(scope, value.as_deref()) == symbol);
        if name == symbol {
            self.enumeration(enumeration, place);
            return Some(DeclarationKind::Enum);
        }
        if enumeration.value.iter().any(|value| is_value(&value.name)) {
            // A value says little without its neighbours.
            self.enumeration(enumeration, place);
            return Some(DeclarationKind::EnumValue);
        }
        None
    }

    fn service(&mut self, service: &ServiceDescriptorProto, place: &[i32]) {
        self.comment(place);
        self.open(&format!("service {}", service.name.as_deref().unwrap_or_default()));
        if service.options.as_option().is_some_and(|options| options.deprecated == Some(true)) {
            self.line("option deprecated = true;");
        }
        for (at, method) in indexed(&service.method) {
            self.method(method, &below(place, path::SERVICE_METHOD, at));
        }
        self.close();
    }

    fn method(&mut self, method: &MethodDescriptorProto, place: &[i32]) {
        self.comment(place);
        let side = |streams: Option<bool>, name: &Option<String>| {
            let stream = if streams == Some(true) { "stream " } else { "" };
            format!("{stream}{}", self.type_name(name.as_deref()))
        };
        let request = side(method.client_streaming, &method.input_type);
        let response = side(method.server_streaming, &method.output_type);
        let head = format!("rpc {}({request}) returns ({response})", method.name.as_deref().unwrap_or_default());
        let mut options = Vec::new();
        if let Some(set) = method.options.as_option() {
            if set.deprecated == Some(true) {
                options.push("option deprecated = true;");
            }
            match set.idempotency_level {
                Some(IdempotencyLevel::NO_SIDE_EFFECTS) => options.push("option idempotency_level = NO_SIDE_EFFECTS;"),
                Some(IdempotencyLevel::IDEMPOTENT) => options.push("option idempotency_level = IDEMPOTENT;"),
                _ => {}
            }
        }
        if options.is_empty() {
            return self.line(&format!("{head};"));
        }
        self.open(&head);
        for option in options {
            self.line(option);
        }
        self.close();
    }

    fn message(&mut self, message: &DescriptorProto, place: &[i32]) {
        self.comment(place);
        let head = format!("message {}", message.name.as_deref().unwrap_or_default());
        if self.depth >= DEPTH_MAX {
            return self.line(&format!("{head} {{ /* … */ }}"));
        }
        self.open(&head);
        if message.options.as_option().is_some_and(|options| options.deprecated == Some(true)) {
            self.line("option deprecated = true;");
        }
        let mut oneofs_done = Vec::new();
        for (at, field) in indexed(&message.field) {
            match real_oneof(field) {
                Some(oneof) if oneofs_done.contains(&oneof) => {}
                Some(oneof) => {
                    oneofs_done.push(oneof);
                    self.oneof(message, oneof, place);
                }
                None => self.field(message, field, &below(place, path::MESSAGE_FIELD, at)),
            }
        }
        let ranges = message.reserved_range.iter().map(|range| (range.start, range.end.map(|end| end - 1)));
        self.reserved(ranges, &message.reserved_name, MESSAGE_NUMBER_MAX);
        for range in &message.extension_range {
            let range = number_range(range.start, range.end.map(|end| end - 1), MESSAGE_NUMBER_MAX);
            self.line(&format!("extensions {range};"));
        }
        for (at, enumeration) in indexed(&message.enum_type) {
            self.enumeration(enumeration, &below(place, path::MESSAGE_ENUM, at));
        }
        for (at, nested) in indexed(&message.nested_type) {
            if !is_map_entry(nested) {
                self.message(nested, &below(place, path::MESSAGE_NESTED, at));
            }
        }
        for (at, extension) in indexed(&message.extension) {
            self.extension(extension, &below(place, path::MESSAGE_EXTENSION, at));
        }
        self.close();
    }

    fn oneof(&mut self, message: &DescriptorProto, index: i32, place: &[i32]) {
        self.comment(&below(place, path::MESSAGE_ONEOF, index));
        let oneof = usize::try_from(index).ok().and_then(|index| message.oneof_decl.get(index));
        self.open(&format!("oneof {}", oneof.and_then(|oneof| oneof.name.as_deref()).unwrap_or_default()));
        for (at, field) in indexed(&message.field).filter(|(_, field)| real_oneof(field) == Some(index)) {
            self.field(message, field, &below(place, path::MESSAGE_FIELD, at));
        }
        self.close();
    }

    fn field(&mut self, message: &DescriptorProto, field: &FieldDescriptorProto, place: &[i32]) {
        self.comment(place);
        let declared = match map_entry(message, field) {
            Some([key, value]) => format!("map<{}, {}>", self.field_type(key), self.field_type(value)),
            None => format!("{}{}", self.label(field), self.field_type(field)),
        };
        let name = field.name.as_deref().unwrap_or_default();
        let options = field_options(field);
        self.line(&format!("{declared} {name} = {}{options};", field.number.unwrap_or_default()));
    }

    fn extension(&mut self, extension: &FieldDescriptorProto, place: &[i32]) {
        self.open(&format!("extend {}", self.type_name(extension.extendee.as_deref())));
        self.field(&DescriptorProto::default(), extension, place);
        self.close();
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptorProto, place: &[i32]) {
        self.comment(place);
        self.open(&format!("enum {}", enumeration.name.as_deref().unwrap_or_default()));
        if let Some(options) = enumeration.options.as_option() {
            if options.allow_alias == Some(true) {
                self.line("option allow_alias = true;");
            }
            if options.deprecated == Some(true) {
                self.line("option deprecated = true;");
            }
        }
        for (at, value) in indexed(&enumeration.value) {
            self.comment(&below(place, path::ENUM_VALUE, at));
            let deprecated = value.options.as_option().is_some_and(|options| options.deprecated == Some(true));
            let options = if deprecated { " [deprecated = true]" } else { "" };
            let name = value.name.as_deref().unwrap_or_default();
            self.line(&format!("{name} = {}{options};", value.number.unwrap_or_default()));
        }
        let ranges = enumeration.reserved_range.iter().map(|range| (range.start, range.end));
        self.reserved(ranges, &enumeration.reserved_name, i32::MAX);
        self.close();
    }

    fn reserved(
        &mut self,
        ranges: impl Iterator<Item = (Option<i32>, Option<i32>)>,
        names: &[String],
        number_max: i32,
    ) {
        let ranges: Vec<_> = ranges.map(|(start, last)| number_range(start, last, number_max)).collect();
        if !ranges.is_empty() {
            self.line(&format!("reserved {};", ranges.join(", ")));
        }
        if !names.is_empty() {
            let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
            self.line(&format!("reserved {};", names.join(", ")));
        }
    }

    fn label(&self, field: &FieldDescriptorProto) -> &'static str {
        let proto2 = !matches!(self.file.syntax.as_deref(), Some("proto3" | "editions"));
        match field.label {
            Some(Label::LABEL_REPEATED) => "repeated ",
            Some(Label::LABEL_REQUIRED) => "required ",
            _ if real_oneof(field).is_some() => "",
            _ if proto2 || field.proto3_optional == Some(true) => "optional ",
            _ => "",
        }
    }

    fn field_type(&self, field: &FieldDescriptorProto) -> String {
        match field.r#type {
            Some(Type::TYPE_MESSAGE | Type::TYPE_ENUM | Type::TYPE_GROUP) | None => {
                self.type_name(field.type_name.as_deref())
            }
            // The names of the variants are those of the language.
            Some(scalar) => format!("{scalar:?}").trim_start_matches("TYPE_").to_lowercase(),
        }
    }

    /// The name of a type, without the package if it is that of this file.
    fn type_name(&self, name: Option<&str>) -> String {
        let name = name.unwrap_or_default();
        let name = name.strip_prefix('.').unwrap_or(name);
        let own = name.strip_prefix(self.package).and_then(|rest| rest.strip_prefix('.'));
        own.filter(|_| !self.package.is_empty()).unwrap_or(name).to_owned()
    }

    fn comment(&mut self, place: &[i32]) {
        let Some(comment) = self.comments.at(place).map(str::to_owned) else { return };
        for line in comment.trim_end().lines() {
            self.line(format!("//{line}").trim_end());
        }
    }

    fn open(&mut self, head: &str) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    fn line(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{:indent$}{text}", "", indent = 2 * self.depth);
    }
}

/// The largest number a field can have.
const MESSAGE_NUMBER_MAX: i32 = (1 << 29) - 1;

fn number_range(start: Option<i32>, last: Option<i32>, number_max: i32) -> String {
    let start = start.unwrap_or_default();
    match last.unwrap_or(start) {
        last if last == start => start.to_string(),
        last if last >= number_max => format!("{start} to max"),
        last => format!("{start} to {last}"),
    }
}

fn field_options(field: &FieldDescriptorProto) -> String {
    let mut options = Vec::new();
    if let Some(default) = &field.default_value {
        match field.r#type {
            Some(Type::TYPE_STRING | Type::TYPE_BYTES) => options.push(format!("default = {default:?}")),
            _ => options.push(format!("default = {default}")),
        }
    }
    if let Some(json_name) = &field.json_name
        && *json_name != default_json_name(field.name.as_deref().unwrap_or_default())
    {
        options.push(format!("json_name = {json_name:?}"));
    }
    if let Some(set) = field.options.as_option() {
        if let Some(packed) = set.packed {
            options.push(format!("packed = {packed}"));
        }
        if set.deprecated == Some(true) {
            options.push("deprecated = true".to_owned());
        }
    }
    if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) }
}

/// The name in JSON that the compiler gives a field.
fn default_json_name(name: &str) -> String {
    let mut json_name = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' {
            upper = true;
        } else {
            json_name.push(if upper { letter.to_ascii_uppercase() } else { letter });
            upper = false;
        }
    }
    json_name
}

/// The oneof that somebody wrote around the field, by its place.
fn real_oneof(field: &FieldDescriptorProto) -> Option<i32> {
    field.oneof_index.filter(|_| field.proto3_optional != Some(true))
}

/// Key and value of a map field.
fn map_entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<[&'a FieldDescriptorProto; 2]> {
    let name = field.type_name.as_deref()?.rsplit('.').next()?;
    let entry =
        message.nested_type.iter().find(|nested| is_map_entry(nested) && nested.name.as_deref() == Some(name))?;
    Some([entry.field.first()?, entry.field.get(1)?])
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_option().is_some_and(|options| options.map_entry == Some(true))
}

fn join(scope: &str, name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

fn below(place: &[i32], field: i32, index: i32) -> Vec<i32> {
    [place, &[field, index]].concat()
}

fn indexed<T>(list: &[T]) -> impl Iterator<Item = (i32, &T)> {
    list.iter().enumerate().map(|(at, item)| (at as i32, item))
}

#[cfg(all(test, feature = "compile"))]
mod tests {
    use super::*;

    fn source(file: &str, symbol: &str) -> (DeclarationKind, String) {
        let mut files = Files::new();
        for file in crate::built_in(file).unwrap().file {
            files.add(file);
        }
        let declaration = files.declaration(symbol).unwrap();
        (declaration.kind, declaration.source)
    }

    #[test]
    fn maps_oneofs_and_types_of_the_package_are_written_as_people_write_them() {
        let file = "google/protobuf/struct.proto";
        let (kind, text) = source(file, "google.protobuf.Struct");
        assert_eq!(kind, DeclarationKind::Message);
        assert_eq!(text, "message Struct {\n  map<string, Value> fields = 1;\n}\n");
        let (_, text) = source(file, "google.protobuf.Value");
        let fields = "    NullValue null_value = 1;\n    double number_value = 2;\n    string string_value = 3;\n    bool bool_value = 4;\n";
        let messages = "    Struct struct_value = 5;\n    ListValue list_value = 6;\n";
        assert_eq!(text, format!("message Value {{\n  oneof kind {{\n{fields}{messages}  }}\n}}\n"));
        let (kind, text) = source(file, "google.protobuf.NULL_VALUE");
        assert_eq!((kind, text.as_str()), (DeclarationKind::EnumValue, "enum NullValue {\n  NULL_VALUE = 0;\n}\n"));
        let (kind, text) = source(file, "google.protobuf.Value.kind");
        assert_eq!(kind, DeclarationKind::Oneof);
        assert!(text.starts_with("oneof kind {\n  NullValue null_value = 1;\n"), "{text}");
    }

    #[test]
    fn the_older_syntax_shows_labels_defaults_and_ranges() {
        let file = "google/protobuf/descriptor.proto";
        let (_, text) = source(file, "google.protobuf.FieldOptions");
        for line in
            ["  optional bool deprecated = 3 [default = false];\n", "  extensions 1000 to max;\n", "  enum CType {\n"]
        {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        let (kind, text) = source(file, "google.protobuf.UninterpretedOption.NamePart.name_part");
        assert_eq!((kind, text.as_str()), (DeclarationKind::Field, "required string name_part = 1;\n"));
    }

    #[test]
    fn everything_that_is_declared_can_be_written() {
        let mut files = Files::new();
        for file in crate::built_in("google/protobuf/descriptor.proto").unwrap().file {
            files.add(file);
        }
        let declared = files.declared();
        assert!(declared.iter().any(|name| name == "google.protobuf.FieldDescriptorProto.Type"));
        for name in declared {
            assert!(files.declaration(&name).is_some_and(|declaration| !declaration.source.is_empty()), "{name}");
        }
    }
}
