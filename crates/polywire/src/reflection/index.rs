use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

/// Finds files by what they declare. Made from serialized descriptors, which are given out again byte by byte: nothing that a
/// newer compiler put into them is lost.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: Vec<File>,
    by_name: HashMap<&'static str, FileId>,
    by_symbol: HashMap<String, FileId>,
    /// By the full name of the message that is extended.
    extensions: HashMap<String, BTreeMap<i32, FileId>>,
    messages: HashSet<String>,
}

/// A file of an [`Index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId(usize);

#[derive(Debug)]
struct File {
    descriptor: &'static [u8],
    imports: Vec<&'static str>,
}

/// Messages within messages that are followed: as many as Protobuf's parsers read.
const DEPTH_MAX: usize = 100;

impl Index {
    /// Reads serialized `FileDescriptorSet`s. A file that stands in several is taken once; what cannot be read is left out.
    pub(super) fn new(sets: impl Iterator<Item = &'static [u8]>) -> Self {
        let mut index = Self::default();
        for set in sets {
            for descriptor in fields(set).filter(|field| field.number == file_set::FILE).map(|field| field.bytes) {
                index.add(descriptor);
            }
        }
        index
    }

    pub(super) fn file(&self, name: &str) -> Option<FileId> {
        self.by_name.get(name).copied()
    }

    /// The file that declares a symbol of any kind, by its full name with or without a dot in front.
    pub(super) fn symbol(&self, name: &str) -> Option<FileId> {
        self.by_symbol.get(name.strip_prefix('.').unwrap_or(name)).copied()
    }

    pub(super) fn extension(&self, message: &str, number: i32) -> Option<FileId> {
        self.extensions.get(message.strip_prefix('.').unwrap_or(message))?.get(&number).copied()
    }

    /// The numbers of all extensions of a message, ascending; `None` when there is no such message.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        let message = message.strip_prefix('.').unwrap_or(message);
        match self.extensions.get(message) {
            Some(extensions) => Some(extensions.keys().copied().collect()),
            None => self.messages.contains(message).then(Vec::new),
        }
    }

    /// The serialized `FileDescriptorProto`.
    pub(super) fn descriptor(&self, file: FileId) -> Bytes {
        Bytes::from_static(self.files[file.0].descriptor)
    }

    /// The files it imports, as far as they are known.
    pub(super) fn imports(&self, file: FileId) -> impl Iterator<Item = FileId> {
        self.files[file.0].imports.iter().filter_map(|name| self.file(name))
    }

    fn add(&mut self, descriptor: &'static [u8]) {
        let Some(name) = text(descriptor, file::NAME) else { return };
        let id = FileId(self.files.len());
        if self.by_name.contains_key(name) {
            return;
        }
        self.by_name.insert(name, id);
        let imports =
            fields(descriptor).filter(|field| field.number == file::DEPENDENCY).filter_map(|field| field.text());
        self.files.push(File { descriptor, imports: imports.collect() });
        let package = text(descriptor, file::PACKAGE).unwrap_or_default();
        for field in fields(descriptor) {
            match field.number {
                file::ENUM => self.add_enum(id, package, field.bytes),
                file::EXTENSION => self.add_extension(id, package, field.bytes),
                file::MESSAGE => self.add_message(id, package, field.bytes, DEPTH_MAX),
                file::SERVICE => {
                    let service = self.declare(id, package, field.bytes);
                    self.declare_all(id, &service, field.bytes, service::METHOD);
                }
                _ => {}
            }
        }
    }

    fn add_message(&mut self, id: FileId, scope: &str, descriptor: &'static [u8], depth_left: usize) {
        let Some(depth_left) = depth_left.checked_sub(1) else { return };
        let message = self.declare(id, scope, descriptor);
        for field in fields(descriptor) {
            match field.number {
                message::ENUM => self.add_enum(id, &message, field.bytes),
                message::EXTENSION => self.add_extension(id, &message, field.bytes),
                message::FIELD | message::ONEOF => drop(self.declare(id, &message, field.bytes)),
                message::NESTED => self.add_message(id, &message, field.bytes, depth_left),
                _ => {}
            }
        }
        self.messages.insert(message);
    }

    /// The values of an enum stand beside it, not inside.
    fn add_enum(&mut self, id: FileId, scope: &str, descriptor: &'static [u8]) {
        self.declare(id, scope, descriptor);
        self.declare_all(id, scope, descriptor, enumeration::VALUE);
    }

    fn add_extension(&mut self, id: FileId, scope: &str, descriptor: &'static [u8]) {
        self.declare(id, scope, descriptor);
        let number = fields(descriptor).filter(|field| field.number == field::NUMBER).last();
        if let (Some(extended), Some(number)) = (text(descriptor, field::EXTENDEE), number) {
            let extended = extended.strip_prefix('.').unwrap_or(extended);
            self.extensions.entry(extended.to_owned()).or_default().insert(number.value as i32, id);
        }
    }

    fn declare_all(&mut self, id: FileId, scope: &str, descriptor: &'static [u8], number: u32) {
        for field in fields(descriptor).filter(|field| field.number == number) {
            self.declare(id, scope, field.bytes);
        }
    }

    /// Remembers who declares the name, which is field 1 of every descriptor, and gives it back in full.
    fn declare(&mut self, id: FileId, scope: &str, descriptor: &'static [u8]) -> String {
        let name = text(descriptor, NAME).unwrap_or_default();
        let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        self.by_symbol.entry(full.clone()).or_insert(id);
        full
    }
}

/// Numbers of fields in `google/protobuf/descriptor.proto`.
const NAME: u32 = 1;

mod file_set {
    pub(super) const FILE: u32 = 1;
}

mod file {
    pub(super) const NAME: u32 = super::NAME;
    pub(super) const PACKAGE: u32 = 2;
    pub(super) const DEPENDENCY: u32 = 3;
    pub(super) const MESSAGE: u32 = 4;
    pub(super) const ENUM: u32 = 5;
    pub(super) const SERVICE: u32 = 6;
    pub(super) const EXTENSION: u32 = 7;
}

mod message {
    pub(super) const FIELD: u32 = 2;
    pub(super) const NESTED: u32 = 3;
    pub(super) const ENUM: u32 = 4;
    pub(super) const EXTENSION: u32 = 6;
    pub(super) const ONEOF: u32 = 8;
}

mod field {
    pub(super) const EXTENDEE: u32 = 2;
    pub(super) const NUMBER: u32 = 3;
}

mod enumeration {
    pub(super) const VALUE: u32 = 2;
}

mod service {
    pub(super) const METHOD: u32 = 2;
}

/// A field of a serialized message.
struct Field {
    number: u32,
    /// What a length-delimited field holds.
    bytes: &'static [u8],
    /// What any other field holds.
    value: u64,
}

impl Field {
    fn text(&self) -> Option<&'static str> {
        std::str::from_utf8(self.bytes).ok()
    }
}

/// The last value of a text field.
fn text(message: &'static [u8], number: u32) -> Option<&'static str> {
    fields(message).filter(|field| field.number == number).last()?.text()
}

/// The fields of a serialized message, as far as it can be read.
fn fields(mut message: &'static [u8]) -> impl Iterator<Item = Field> {
    std::iter::from_fn(move || {
        let tag = varint(&mut message)?;
        let number = u32::try_from(tag >> 3).ok()?;
        let little_endian = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let (bytes, value) = match tag & 7 {
            0 => (&[][..], varint(&mut message)?),
            1 => (&[][..], little_endian(message.split_off(..8)?)),
            2 => {
                let len = usize::try_from(varint(&mut message)?).ok()?;
                (message.split_off(..len)?, 0)
            }
            5 => (&[][..], little_endian(message.split_off(..4)?)),
            _ => return None,
        };
        Some(Field { number, bytes, value })
    })
}

fn varint(bytes: &mut &'static [u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length-delimited field.
    fn put(out: &mut Vec<u8>, number: u8, content: &[u8]) {
        out.push(number << 3 | 2);
        out.push(content.len() as u8);
        out.extend_from_slice(content);
    }

    fn named(name: &str, inside: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 1, name.as_bytes());
        for (number, content) in inside {
            put(&mut out, *number, content);
        }
        out
    }

    fn index() -> Index {
        let mut extension = named("tag", &[(2, b".a.Outer".to_vec())]);
        extension.extend([3 << 3, 0xe8, 0x07]);
        let inner = named("Inner", &[(2, named("f", &[])), (4, named("Kind", &[(2, named("KIND_X", &[]))]))]);
        let outer = named("Outer", &[(2, named("id", &[])), (3, inner), (8, named("choice", &[])), (6, extension)]);
        let first = named(
            "a.proto",
            &[
                (2, b"a".to_vec()),
                (3, b"b.proto".to_vec()),
                (3, b"gone.proto".to_vec()),
                (4, outer),
                (6, named("S", &[(2, named("M", &[]))])),
            ],
        );
        let second = named("b.proto", &[(5, named("E", &[(2, named("E_ZERO", &[]))]))]);
        let mut set = Vec::new();
        for file in [&first, &second, &first] {
            put(&mut set, 1, file);
        }
        Index::new([&*set.leak()].into_iter())
    }

    #[test]
    fn every_kind_of_symbol_leads_to_its_file() {
        let index = index();
        let a = index.file("a.proto");
        assert!(a.is_some());
        for symbol in [
            "a.Outer",
            ".a.Outer",
            "a.Outer.id",
            "a.Outer.choice",
            "a.Outer.tag",
            "a.Outer.Inner",
            "a.Outer.Inner.f",
            "a.Outer.Inner.Kind",
            "a.Outer.Inner.KIND_X",
            "a.S",
            "a.S.M",
        ] {
            assert_eq!(index.symbol(symbol), a, "{symbol}");
        }
        assert_eq!(index.symbol("E_ZERO"), index.file("b.proto"));
        for symbol in ["", "a", "Outer", "a.Outer.Inner.Kind.KIND_X", "a.S.N"] {
            assert_eq!(index.symbol(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn extensions_are_found_by_what_they_extend() {
        let index = index();
        assert_eq!(index.extension("a.Outer", 1000), index.file("a.proto"));
        assert_eq!(index.extension("a.Outer", 1001), None);
        assert_eq!(index.extension_numbers("a.Outer"), Some(vec![1000]));
        assert_eq!(index.extension_numbers("a.Outer.Inner"), Some(vec![]));
        assert_eq!(index.extension_numbers("a.Other"), None);
    }

    #[test]
    fn imports_that_are_not_there_are_passed_over() {
        let index = index();
        let a = index.file("a.proto").unwrap();
        assert_eq!(index.imports(a).collect::<Vec<_>>(), [index.file("b.proto").unwrap()]);
        assert_eq!(index.files.len(), 2);
    }

    #[test]
    fn descriptors_that_are_cut_off_or_wild_end_the_reading() {
        let set = named("a.proto", &[(4, named("M", &[]))]);
        let mut whole = Vec::new();
        put(&mut whole, 1, &set);
        let whole: &'static [u8] = whole.leak();
        for end in 0..whole.len() {
            Index::new([&whole[..end]].into_iter());
        }
        Index::new(
            [&[0xff; 40][..], &[0x0b], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].into_iter(),
        );
    }
}
