//! Sets of file descriptors.

use buffa::{DecodeOptions, Message as _};

use crate::{Error, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Memory that the elements of one descriptor set may take when it is decoded. The largest sets in use take half of it; a
/// broken file fails with an error instead of taking everything.
const ELEMENT_BYTES_MAX: usize = 1 << 30;

/// Reads a `FileDescriptorSet` as protoc, buf and this crate write it.
///
/// # Errors
/// When these bytes are not one.
pub fn decode_descriptor_set(bytes: &[u8]) -> Result<FileDescriptorSet, Error> {
    DecodeOptions::new()
        .with_element_memory_limit(ELEMENT_BYTES_MAX)
        .decode_from_slice(bytes)
        .map_err(|error| Error::descriptors(format!("this is not a FileDescriptorSet: {error}")))
}

/// What a file imports, for its types and for its options.
pub(crate) fn imports(file: &FileDescriptorProto) -> impl Iterator<Item = &str> {
    file.dependency.iter().chain(&file.option_dependency).map(String::as_str)
}

/// The bytes of a descriptor set, extensions of options included.
pub fn encode_descriptor_set(descriptors: &FileDescriptorSet) -> Vec<u8> {
    descriptors.encode_to_vec()
}

/// The name in JSON: as it was given, or made from the other (`page_size`, `pageSize`).
pub(crate) fn json_name(field: &FieldDescriptorProto) -> String {
    if let Some(name) = &field.json_name {
        return name.clone();
    }
    let mut camel = String::new();
    let mut raise = false;
    for letter in field.name.as_deref().unwrap_or_default().chars() {
        match letter {
            '_' => raise = true,
            _ if std::mem::take(&mut raise) => camel.push(letter.to_ascii_uppercase()),
            _ => camel.push(letter),
        }
    }
    camel
}

/// The named files and all they import, each file behind those it imports, without positions and comments.
///
/// Imports that the set does not have are left out: protoc without `--include_imports` writes such sets.
#[cfg(feature = "generate")]
pub(crate) fn closure<'a>(
    descriptors: &FileDescriptorSet,
    roots: impl IntoIterator<Item = &'a str>,
) -> FileDescriptorSet {
    use std::collections::{BTreeSet, HashMap};

    let by_name: HashMap<&str, &FileDescriptorProto> =
        descriptors.file.iter().map(|file| (file.name.as_deref().unwrap_or_default(), file)).collect();
    let mut done = BTreeSet::new();
    let mut files = Vec::new();
    // A walk with its own stack: descriptor sets come from outside and may import in a circle.
    for root in roots {
        let mut stack = if done.insert(root.to_owned()) { vec![(root, 0)] } else { Vec::new() };
        while let Some((name, next)) = stack.pop() {
            let Some(file) = by_name.get(name) else { continue };
            match imports(file).nth(next) {
                Some(import) => {
                    stack.push((name, next + 1));
                    if done.insert(import.to_owned()) {
                        stack.push((import, 0));
                    }
                }
                None => {
                    let source_code_info = buffa::MessageField::none();
                    files.push(FileDescriptorProto { source_code_info, ..(*file).clone() });
                }
            }
        }
    }
    FileDescriptorSet { file: files, ..FileDescriptorSet::default() }
}

#[cfg(all(test, feature = "generate"))]
mod tests {
    use super::*;

    fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(name.to_owned()),
            dependency: imports.iter().map(|&import| import.to_owned()).collect(),
            ..FileDescriptorProto::default()
        }
    }

    fn names(descriptors: &FileDescriptorSet) -> Vec<&str> {
        descriptors.file.iter().filter_map(|file| file.name.as_deref()).collect()
    }

    #[test]
    fn a_closure_has_imports_before_their_importers_and_nothing_else() {
        let set = FileDescriptorSet {
            file: vec![file("a", &["b", "c", "missing"]), file("b", &["c"]), file("c", &[]), file("d", &["a"])],
            ..FileDescriptorSet::default()
        };
        assert_eq!(names(&closure(&set, ["a"])), ["c", "b", "a"]);
        assert_eq!(names(&closure(&set, ["b", "a", "b"])), ["c", "b", "a"]);
    }

    #[test]
    fn imports_in_a_circle_end() {
        let set =
            FileDescriptorSet { file: vec![file("a", &["b"]), file("b", &["a"])], ..FileDescriptorSet::default() };
        assert_eq!(names(&closure(&set, ["a"])), ["b", "a"]);
    }

    #[test]
    fn bytes_that_are_no_descriptor_set_are_refused() {
        assert!(decode_descriptor_set(b"\x0a\xff").is_err());
    }
}
