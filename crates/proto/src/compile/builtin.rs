use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use crate::{FileDescriptorSet, decode_descriptor_set};

/// A file that is there without being included (see [`compile`](crate::compile)), and all it imports.
pub fn built_in(name: &str) -> Option<FileDescriptorSet> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(BuiltinFiles);
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(name).ok()?;
    decode_descriptor_set(&compiler.encode_file_descriptor_set()).ok()
}

/// Files that many `.proto` files import and that no compiler brings along.
pub(super) struct BuiltinFiles;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../include/", $name)))),*];
    };
}

files![
    "google/api/annotations.proto",
    "google/api/field_behavior.proto",
    "google/api/http.proto",
    "google/api/httpbody.proto",
    "google/rpc/code.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];

impl BuiltinFiles {
    /// The text of a built-in file.
    pub(super) fn text(name: &str) -> Option<&'static str> {
        FILES.iter().find(|(have, _)| *have == name).map(|(_, text)| *text)
    }
}

impl FileResolver for BuiltinFiles {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match Self::text(name) {
            Some(text) => File::from_source(name, text),
            None => Err(Error::file_not_found(name)),
        }
    }
}
