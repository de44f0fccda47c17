//! Descriptors as the source of a `.proto` file.

mod options;

use std::fmt::{self, Write as _};

use buffa_descriptor::generated::descriptor::{
    Edition,
    enum_descriptor_proto::EnumReservedRange,
    field_descriptor_proto::{Label, Type},
};

use crate::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto, Pool,
    ServiceDescriptorProto,
    comments::{Comments, path as number},
};

/// What a full name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// An enum, or one of its values.
    Enum,
    /// An extension.
    Extension,
    /// A message, or one of its fields or oneofs.
    Message,
    /// A method of a service.
    Method,
    /// A service.
    Service,
}

impl SymbolKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enum => "enum",
            Self::Extension => "extension",
            Self::Message => "message",
            Self::Method => "method",
            Self::Service => "service",
        }
    }
}

/// A declaration as source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What was found.
    pub kind: SymbolKind,
    /// Its full name; for a field or a value that of the message or enum around it.
    pub full_name: String,
    /// The name of its file.
    pub file: String,
    /// The package of its file; may be empty.
    pub package: String,
    /// Its source, with comments when the descriptors have them. All types have their full names.
    pub source: String,
}

impl Pool {
    /// The declaration of a full name (`orders.v1.Order`; methods also as `orders.v1.Orders/Create`).
    pub fn describe(&self, symbol: &str) -> Option<Described> {
        let symbol = symbol.trim_start_matches(['.', '/']).replacen('/', ".", 1);
        let file = self.files().containing(&symbol)?.descriptor();
        let mut printer = Printer::new(self, file);
        let (kind, full_name) = printer.find(&symbol)?;
        let package = text(&file.package).to_owned();
        Some(Described { kind, full_name, file: text(&file.name).to_owned(), package, source: printer.out })
    }

    /// The whole of a file, by its name.
    pub fn describe_file(&self, name: &str) -> Option<String> {
        let file = self.files().by_name(name)?.descriptor();
        let mut printer = Printer::new(self, file);
        printer.file().expect("writing to a string does not fail");
        Some(printer.out)
    }
}

struct Printer<'a> {
    pool: &'a Pool,
    file: &'a FileDescriptorProto,
    comments: Comments,
    /// Whether it is printed as a field that it can be left out.
    proto3: bool,
    editions: bool,
    depth: usize,
    out: String,
}

impl<'a> Printer<'a> {
    fn new(pool: &'a Pool, file: &'a FileDescriptorProto) -> Self {
        let syntax = file.syntax.as_deref().unwrap_or_default();
        Self {
            pool,
            file,
            comments: Comments::of(file),
            proto3: syntax == "proto3",
            editions: syntax == "editions",
            depth: 0,
            out: String::new(),
        }
    }

    /// Prints the declaration of a symbol of this file.
    fn find(&mut self, symbol: &str) -> Option<(SymbolKind, String)> {
        let file = self.file;
        let package = file.package.as_deref().filter(|package| !package.is_empty());
        let scope = package.map(|package| format!("{package}.")).unwrap_or_default();
        let printed = "writing to a string does not fail";
        for (index, service) in (0..).zip(&file.service) {
            let path = [number::FILE_SERVICE, index];
            let name = format!("{scope}{}", text(&service.name));
            if name == symbol {
                self.service(service, &path).expect(printed);
                return Some((SymbolKind::Service, name));
            }
            for (index, method) in (0..).zip(&service.method) {
                let name = format!("{name}.{}", text(&method.name));
                if name == symbol {
                    self.method(method, &[&path[..], &[number::SERVICE_METHOD, index]].concat()).expect(printed);
                    return Some((SymbolKind::Method, name));
                }
            }
        }
        for (index, enumeration) in (0..).zip(&file.enum_type) {
            if let Some(name) = names_enum(enumeration, &scope, symbol) {
                self.enumeration(enumeration, &[number::FILE_ENUM, index]).expect(printed);
                return Some((SymbolKind::Enum, name));
            }
        }
        for (index, extension) in (0..).zip(&file.extension) {
            if format!("{scope}{}", text(&extension.name)) == symbol {
                self.extensions(&[(index, extension)], &[number::FILE_EXTENSION]).expect(printed);
                return Some((SymbolKind::Extension, symbol.to_owned()));
            }
        }
        (0..)
            .zip(&file.message_type)
            .find_map(|(index, message)| self.find_in_message(message, &scope, symbol, &[number::FILE_MESSAGE, index]))
    }

    fn find_in_message(
        &mut self,
        message: &DescriptorProto,
        scope: &str,
        symbol: &str,
        path: &[i32],
    ) -> Option<(SymbolKind, String)> {
        let name = format!("{scope}{}", text(&message.name));
        let below = match symbol.strip_prefix(&name)? {
            "" => "",
            below => below.strip_prefix('.')?,
        };
        let printed = "writing to a string does not fail";
        let inner = format!("{name}.");
        let is_field = message.field.iter().any(|field| field.name.as_deref() == Some(below));
        let is_oneof = message.oneof_decl.iter().any(|oneof| oneof.name.as_deref() == Some(below));
        if below.is_empty() || is_field || is_oneof {
            self.message(message, path).expect(printed);
            return Some((SymbolKind::Message, name));
        }
        for (index, enumeration) in (0..).zip(&message.enum_type) {
            if let Some(name) = names_enum(enumeration, &inner, symbol) {
                self.enumeration(enumeration, &[path, &[number::MESSAGE_ENUM, index]].concat()).expect(printed);
                return Some((SymbolKind::Enum, name));
            }
        }
        for (index, extension) in (0..).zip(&message.extension) {
            if extension.name.as_deref() == Some(below) {
                self.extensions(&[(index, extension)], &[path, &[number::MESSAGE_EXTENSION]].concat()).expect(printed);
                return Some((SymbolKind::Extension, symbol.to_owned()));
            }
        }
        (0..).zip(&message.nested_type).find_map(|(index, nested)| {
            self.find_in_message(nested, &inner, symbol, &[path, &[number::MESSAGE_NESTED, index]].concat())
        })
    }

    fn file(&mut self) -> fmt::Result {
        let file = self.file;
        match file.edition {
            Some(edition) if self.editions => {
                let name = match edition {
                    Edition::EDITION_2023 => "2023".to_owned(),
                    Edition::EDITION_2024 => "2024".to_owned(),
                    other => format!("{other:?}"),
                };
                self.line(format_args!("edition = {name:?};"))?;
            }
            _ => self.line(format_args!("syntax = {:?};", if self.proto3 { "proto3" } else { "proto2" }))?,
        }
        if let Some(package) = file.package.as_deref().filter(|package| !package.is_empty()) {
            self.line(format_args!("\npackage {package};"))?;
        }
        if !file.dependency.is_empty() || !file.option_dependency.is_empty() {
            self.out.push('\n');
        }
        for (index, import) in (0..).zip(&file.dependency) {
            let how = if file.public_dependency.contains(&index) { "public " } else { "" };
            self.line(format_args!("import {how}{import:?};"))?;
        }
        for import in &file.option_dependency {
            self.line(format_args!("import option {import:?};"))?;
        }
        let options = options::of(self.pool, file.options.as_option());
        if !options.is_empty() {
            self.out.push('\n');
        }
        self.options(&options)?;
        for (index, service) in (0..).zip(&file.service) {
            self.out.push('\n');
            self.service(service, &[number::FILE_SERVICE, index])?;
        }
        for (index, message) in (0..).zip(&file.message_type) {
            self.out.push('\n');
            self.message(message, &[number::FILE_MESSAGE, index])?;
        }
        for (index, enumeration) in (0..).zip(&file.enum_type) {
            self.out.push('\n');
            self.enumeration(enumeration, &[number::FILE_ENUM, index])?;
        }
        if !file.extension.is_empty() {
            self.out.push('\n');
        }
        let extensions: Vec<_> = (0..).zip(&file.extension).collect();
        self.extensions(&extensions, &[number::FILE_EXTENSION])
    }

    fn service(&mut self, service: &ServiceDescriptorProto, path: &[i32]) -> fmt::Result {
        self.comment(path)?;
        let options = options::of(self.pool, service.options.as_option());
        if service.method.is_empty() && options.is_empty() {
            return self.line(format_args!("service {} {{}}", text(&service.name)));
        }
        self.line(format_args!("service {} {{", text(&service.name)))?;
        self.depth += 1;
        self.options(&options)?;
        for (index, method) in (0..).zip(&service.method) {
            if index > 0 || !options.is_empty() {
                self.out.push('\n');
            }
            self.method(method, &[path, &[number::SERVICE_METHOD, index]].concat())?;
        }
        self.depth -= 1;
        self.line(format_args!("}}"))
    }

    fn method(&mut self, method: &MethodDescriptorProto, path: &[i32]) -> fmt::Result {
        self.comment(path)?;
        let stream = |streams: Option<bool>| if streams.unwrap_or(false) { "stream " } else { "" };
        let options = options::of(self.pool, method.options.as_option());
        self.line(format_args!(
            "rpc {}({}{}) returns ({}{}){}",
            text(&method.name),
            stream(method.client_streaming),
            full(&method.input_type),
            stream(method.server_streaming),
            full(&method.output_type),
            if options.is_empty() { ";" } else { " {" }
        ))?;
        if options.is_empty() {
            return Ok(());
        }
        self.depth += 1;
        self.options(&options)?;
        self.depth -= 1;
        self.line(format_args!("}}"))
    }

    fn message(&mut self, message: &DescriptorProto, path: &[i32]) -> fmt::Result {
        self.comment(path)?;
        let options = options::of(self.pool, message.options.as_option());
        let before = self.out.len();
        self.line(format_args!("message {} {{", text(&message.name)))?;
        let opened = self.out.len();
        self.depth += 1;
        self.options(&options)?;
        self.message_ranges(message)?;
        let mut last_oneof = None;
        for (index, field) in (0..).zip(&message.field) {
            let field_path = [path, &[number::MESSAGE_FIELD, index]].concat();
            let oneof = field.oneof_index.filter(|_| !field.proto3_optional.unwrap_or(false));
            if oneof != last_oneof {
                self.close_oneof(last_oneof)?;
                if let Some(oneof) = oneof {
                    self.comment(&[path, &[number::MESSAGE_ONEOF, oneof]].concat())?;
                    let name = usize::try_from(oneof).ok().and_then(|oneof| message.oneof_decl.get(oneof));
                    self.line(format_args!("oneof {} {{", name.map(|oneof| text(&oneof.name)).unwrap_or_default()))?;
                    self.depth += 1;
                }
                last_oneof = oneof;
            }
            self.field(field, Some(message), &field_path)?;
        }
        self.close_oneof(last_oneof)?;
        for (index, nested) in (0..).zip(&message.nested_type) {
            if !is_map_entry(nested) {
                self.blank_unless_first(opened);
                self.message(nested, &[path, &[number::MESSAGE_NESTED, index]].concat())?;
            }
        }
        for (index, enumeration) in (0..).zip(&message.enum_type) {
            self.blank_unless_first(opened);
            self.enumeration(enumeration, &[path, &[number::MESSAGE_ENUM, index]].concat())?;
        }
        if !message.extension.is_empty() {
            self.blank_unless_first(opened);
            let extensions: Vec<_> = (0..).zip(&message.extension).collect();
            self.extensions(&extensions, &[path, &[number::MESSAGE_EXTENSION]].concat())?;
        }
        self.depth -= 1;
        if self.out.len() == opened {
            self.out.truncate(before);
            return self.line(format_args!("message {} {{}}", text(&message.name)));
        }
        self.line(format_args!("}}"))
    }

    fn message_ranges(&mut self, message: &DescriptorProto) -> fmt::Result {
        /// One past the greatest field number.
        const NUMBER_END: i32 = 1 << 29;

        let range = |start: Option<i32>, end: Option<i32>| {
            // Ends are exclusive here.
            let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
            match end {
                NUMBER_END => format!("{start} to max"),
                _ if end == start + 1 => start.to_string(),
                _ => format!("{start} to {}", end - 1),
            }
        };
        let reserved: Vec<_> =
            message.reserved_range.iter().map(|reserved| range(reserved.start, reserved.end)).collect();
        self.reserved(&reserved, &message.reserved_name)?;
        for extensions in &message.extension_range {
            self.line(format_args!("extensions {};", range(extensions.start, extensions.end)))?;
        }
        Ok(())
    }

    fn reserved(&mut self, ranges: &[String], names: &[String]) -> fmt::Result {
        if !ranges.is_empty() {
            self.line(format_args!("reserved {};", ranges.join(", ")))?;
        }
        if !names.is_empty() {
            let names: Vec<_> =
                names.iter().map(|name| if self.editions { name.clone() } else { format!("{name:?}") }).collect();
            self.line(format_args!("reserved {};", names.join(", ")))?;
        }
        Ok(())
    }

    fn close_oneof(&mut self, oneof: Option<i32>) -> fmt::Result {
        if oneof.is_none() {
            return Ok(());
        }
        self.depth -= 1;
        self.line(format_args!("}}"))
    }

    fn field(&mut self, field: &FieldDescriptorProto, message: Option<&DescriptorProto>, path: &[i32]) -> fmt::Result {
        self.comment(path)?;
        let entry = message.and_then(|message| map_entry(message, field));
        let (label, of) = match entry {
            Some(entry) => {
                let of = |number| entry.field.iter().find(|field| field.number == Some(number)).map(type_name);
                ("", format!("map<{}, {}>", of(1).unwrap_or_default(), of(2).unwrap_or_default()))
            }
            None => (self.label(field), type_name(field)),
        };
        let mut options: Vec<String> = Vec::new();
        if let Some(default) = &field.default_value {
            let is_text = matches!(field.r#type, Some(Type::TYPE_STRING | Type::TYPE_BYTES));
            options.push(format!("default = {}", if is_text { format!("{default:?}") } else { default.clone() }));
        }
        let name = text(&field.name);
        if let Some(json_name) = field.json_name.as_deref().filter(|json_name| *json_name != lower_camel(name)) {
            options.push(format!("json_name = {json_name:?}"));
        }
        let more = options::of(self.pool, field.options.as_option());
        options.extend(more.iter().map(options::PrintedOption::inline));
        let options = if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
        self.line(format_args!("{label}{of} {name} = {}{options};", field.number.unwrap_or_default()))
    }

    fn label(&self, field: &FieldDescriptorProto) -> &'static str {
        match field.label {
            Some(Label::LABEL_REPEATED) => "repeated ",
            Some(Label::LABEL_REQUIRED) if !self.editions => "required ",
            _ if field.proto3_optional.unwrap_or(false) => "optional ",
            _ if self.proto3 || self.editions || field.oneof_index.is_some() => "",
            _ => "optional ",
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptorProto, path: &[i32]) -> fmt::Result {
        self.comment(path)?;
        self.line(format_args!("enum {} {{", text(&enumeration.name)))?;
        self.depth += 1;
        let options = options::of(self.pool, enumeration.options.as_option());
        self.options(&options)?;
        let reserved: Vec<_> = enumeration.reserved_range.iter().map(enum_range).collect();
        self.reserved(&reserved, &enumeration.reserved_name)?;
        for (index, value) in (0..).zip(&enumeration.value) {
            self.comment(&[path, &[number::ENUM_VALUE, index]].concat())?;
            let options = options::of(self.pool, value.options.as_option());
            let options: Vec<_> = options.iter().map(options::PrintedOption::inline).collect();
            let options = if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
            self.line(format_args!("{} = {}{options};", text(&value.name), value.number.unwrap_or_default()))?;
        }
        self.depth -= 1;
        self.line(format_args!("}}"))
    }

    /// Extensions with their places, each run of them that extends one message in one block.
    fn extensions(&mut self, extensions: &[(i32, &FieldDescriptorProto)], path: &[i32]) -> fmt::Result {
        let mut last: Option<&str> = None;
        for (index, extension) in extensions {
            let extended = extension.extendee.as_deref().unwrap_or_default();
            if last != Some(extended) {
                if last.is_some() {
                    self.depth -= 1;
                    self.line(format_args!("}}\n"))?;
                }
                self.line(format_args!("extend {} {{", extended.trim_start_matches('.')))?;
                self.depth += 1;
                last = Some(extended);
            }
            self.field(extension, None, &[path, &[*index]].concat())?;
        }
        if last.is_some() {
            self.depth -= 1;
            self.line(format_args!("}}"))?;
        }
        Ok(())
    }

    fn options(&mut self, options: &[options::PrintedOption]) -> fmt::Result {
        for option in options {
            let value = option.value.replace('\n', &format!("\n{}", "  ".repeat(self.depth)));
            self.line(format_args!("option {} = {value};", option.name))?;
        }
        Ok(())
    }

    fn comment(&mut self, path: &[i32]) -> fmt::Result {
        let Some(comment) = self.comments.at(path).map(|comment| comment.trim_end().to_owned()) else { return Ok(()) };
        for line in comment.lines() {
            self.line(format_args!("//{}", line.trim_end()))?;
        }
        Ok(())
    }

    fn line(&mut self, line: fmt::Arguments<'_>) -> fmt::Result {
        writeln!(self.out, "{}{line}", "  ".repeat(self.depth))
    }

    fn blank_unless_first(&mut self, start: usize) {
        if self.out.len() > start {
            self.out.push('\n');
        }
    }
}

/// The full name of the enum if the symbol is it or one of its values, which are declared beside it.
fn names_enum(enumeration: &EnumDescriptorProto, scope: &str, symbol: &str) -> Option<String> {
    let name = format!("{scope}{}", text(&enumeration.name));
    let is_value = enumeration.value.iter().any(|value| {
        let value = text(&value.name);
        symbol.strip_suffix(value).is_some_and(|before| before == scope || before.strip_suffix('.') == Some(&*name))
    });
    (name == symbol || is_value).then_some(name)
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_option().and_then(|options| options.map_entry).unwrap_or(false)
}

/// The message that stands for the entries of a map field.
fn map_entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
    let name = field.type_name.as_deref()?.rsplit('.').next()?;
    let repeated = field.label == Some(Label::LABEL_REPEATED);
    message.nested_type.iter().find(|nested| repeated && is_map_entry(nested) && nested.name.as_deref() == Some(name))
}

fn enum_range(range: &EnumReservedRange) -> String {
    // Ends are inclusive here.
    let (start, end) = (range.start.unwrap_or_default(), range.end.unwrap_or_default());
    match end {
        i32::MAX => format!("{start} to max"),
        _ if start == end => start.to_string(),
        _ => format!("{start} to {end}"),
    }
}

fn type_name(field: &FieldDescriptorProto) -> String {
    let name = match field.r#type {
        Some(Type::TYPE_BOOL) => "bool",
        Some(Type::TYPE_BYTES) => "bytes",
        Some(Type::TYPE_DOUBLE) => "double",
        Some(Type::TYPE_FIXED32) => "fixed32",
        Some(Type::TYPE_FIXED64) => "fixed64",
        Some(Type::TYPE_FLOAT) => "float",
        Some(Type::TYPE_INT32) => "int32",
        Some(Type::TYPE_INT64) => "int64",
        Some(Type::TYPE_SFIXED32) => "sfixed32",
        Some(Type::TYPE_SFIXED64) => "sfixed64",
        Some(Type::TYPE_SINT32) => "sint32",
        Some(Type::TYPE_SINT64) => "sint64",
        Some(Type::TYPE_STRING) => "string",
        Some(Type::TYPE_UINT32) => "uint32",
        Some(Type::TYPE_UINT64) => "uint64",
        Some(Type::TYPE_ENUM | Type::TYPE_GROUP | Type::TYPE_MESSAGE) | None => return full(&field.type_name),
    };
    name.to_owned()
}

/// The name that JSON has for a field unless another is given.
fn lower_camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut capital = false;
    for letter in name.chars() {
        match letter {
            '_' => capital = true,
            _ if capital => {
                camel.push(letter.to_ascii_uppercase());
                capital = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

fn full(name: &Option<String>) -> String {
    text(name).trim_start_matches('.').to_owned()
}

fn text(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or_default()
}
