use std::collections::{BTreeMap, HashMap, HashSet};

use buffa::Message as _;

use crate::{
    DescriptorProto, Error, FileDescriptorProto, FileDescriptorSet, decode_descriptor_set, descriptors::imports,
};

/// Files of descriptors, found by what is in them: what a reflection service answers from.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
    by_symbol: HashMap<String, Symbol>,
    by_extension: BTreeMap<(String, i32), usize>,
    services: Vec<String>,
}

/// What a full name leads to.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    file: usize,
    /// Whether it is a service, a method, a message or an enum.
    is_whole: bool,
}

/// A file of descriptors.
#[derive(Clone, Debug)]
pub struct File {
    descriptor: FileDescriptorProto,
    bytes: Vec<u8>,
}

impl Files {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the files of an encoded `FileDescriptorSet`, such as [`Service::descriptors`] has. Files that are there already
    /// by name are left as they are.
    ///
    /// # Errors
    /// When these bytes are not a `FileDescriptorSet`.
    ///
    /// [`Service::descriptors`]: https://docs.rs/polywire/latest/polywire/trait.Service.html
    pub fn add_set(&mut self, set: &[u8]) -> Result<(), Error> {
        for file in decode_descriptor_set(set)?.file {
            self.add(file);
        }
        Ok(())
    }

    /// Adds a file, unless one of its name is there.
    pub fn add(&mut self, descriptor: FileDescriptorProto) {
        let name = descriptor.name.clone().unwrap_or_default();
        let index = self.files.len();
        if self.by_name.contains_key(&name) {
            return;
        }
        self.by_name.insert(name, index);
        let mut symbols = Symbols { files: self, index };
        symbols.file(&descriptor);
        let bytes = descriptor.encode_to_vec();
        self.files.push(File { descriptor, bytes });
    }

    /// All files, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// The full names of all services, in the order in which they were added.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    /// The full names of all services, methods, messages and enums, sorted.
    pub fn declared(&self) -> Vec<&str> {
        let whole = self.by_symbol.iter().filter(|(_, symbol)| symbol.is_whole);
        let mut names: Vec<_> = whole.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The file of this name (`orders/v1/orders.proto`).
    pub fn by_name(&self, name: &str) -> Option<&File> {
        Some(&self.files[*self.by_name.get(name)?])
    }

    /// The file that declares this full name: of a service, a method, a message, a field, a oneof, an enum, a value of an enum
    /// or an extension.
    pub fn containing(&self, symbol: &str) -> Option<&File> {
        Some(&self.files[self.by_symbol.get(symbol)?.file])
    }

    /// The file that declares the extension of a message (by full name) with this number.
    pub fn extension(&self, message: &str, number: i32) -> Option<&File> {
        Some(&self.files[*self.by_extension.get(&(message.to_owned(), number))?])
    }

    /// The numbers of all known extensions of a message, ascending.
    pub fn extension_numbers(&self, message: &str) -> Vec<i32> {
        let range = (message.to_owned(), i32::MIN)..=(message.to_owned(), i32::MAX);
        self.by_extension.range(range).map(|((_, number), _)| *number).collect()
    }

    /// A file and all it imports, each file before those it imports, as far as they are known.
    pub fn with_imports<'a>(&'a self, file: &'a File) -> Vec<&'a File> {
        let mut seen = HashSet::from([file.name()]);
        let mut files = vec![file];
        let mut next = 0;
        while let Some(file) = files.get(next) {
            for import in imports(&file.descriptor) {
                if let Some(file) = self.by_name(import).filter(|file| seen.insert(file.name())) {
                    files.push(file);
                }
            }
            next += 1;
        }
        files
    }

    /// All files as one set.
    pub fn to_set(&self) -> FileDescriptorSet {
        let file = self.files.iter().map(|file| file.descriptor.clone()).collect();
        FileDescriptorSet { file, ..FileDescriptorSet::default() }
    }
}

impl File {
    /// Its name, by which others import it.
    pub fn name(&self) -> &str {
        self.descriptor.name.as_deref().unwrap_or_default()
    }

    /// What it declares.
    pub fn descriptor(&self) -> &FileDescriptorProto {
        &self.descriptor
    }

    /// The encoded `FileDescriptorProto`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Enters the names of one file.
struct Symbols<'a> {
    files: &'a mut Files,
    index: usize,
}

impl Symbols<'_> {
    fn file(&mut self, file: &FileDescriptorProto) {
        let package = file.package.as_deref().unwrap_or_default();
        for message in &file.message_type {
            self.message(package, message);
        }
        for enumeration in &file.enum_type {
            let name = self.declare(package, enumeration.name.as_deref());
            self.values(&name, package, enumeration);
        }
        for service in &file.service {
            let name = self.declare(package, service.name.as_deref());
            for method in &service.method {
                self.declare(&name, method.name.as_deref());
            }
            self.files.services.push(name);
        }
        self.extensions(package, &file.extension);
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) {
        // Nobody wrote the entries of a map as a message.
        let is_map_entry = message.options.as_option().and_then(|options| options.map_entry).unwrap_or(false);
        let name = self.enter(scope, message.name.as_deref(), !is_map_entry);
        for field in &message.field {
            self.enter_part(&name, field.name.as_deref());
        }
        for oneof in &message.oneof_decl {
            self.enter_part(&name, oneof.name.as_deref());
        }
        for enumeration in &message.enum_type {
            let enumeration_name = self.declare(&name, enumeration.name.as_deref());
            self.values(&enumeration_name, &name, enumeration);
        }
        for nested in &message.nested_type {
            self.message(&name, nested);
        }
        self.extensions(&name, &message.extension);
    }

    /// The values of an enum are declared beside it; many look for them inside, so both names lead to the file.
    fn values(&mut self, name: &str, scope: &str, enumeration: &crate::EnumDescriptorProto) {
        for value in &enumeration.value {
            self.enter_part(scope, value.name.as_deref());
            self.enter_part(name, value.name.as_deref());
        }
    }

    fn extensions(&mut self, scope: &str, extensions: &[crate::FieldDescriptorProto]) {
        for extension in extensions {
            self.enter_part(scope, extension.name.as_deref());
            let extended = extension.extendee.as_deref().unwrap_or_default().trim_start_matches('.').to_owned();
            self.files.by_extension.entry((extended, extension.number.unwrap_or_default())).or_insert(self.index);
        }
    }

    fn declare(&mut self, scope: &str, name: Option<&str>) -> String {
        self.enter(scope, name, true)
    }

    fn enter_part(&mut self, scope: &str, name: Option<&str>) {
        self.enter(scope, name, false);
    }

    fn enter(&mut self, scope: &str, name: Option<&str>, is_whole: bool) -> String {
        let name = name.unwrap_or_default();
        let full_name = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        self.files.by_symbol.entry(full_name.clone()).or_insert(Symbol { file: self.index, is_whole });
        full_name
    }
}
