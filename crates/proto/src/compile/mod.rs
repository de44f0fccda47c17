//! From `.proto` files to descriptors.

mod builtin;
mod render;

use std::path::{Path, PathBuf};

use protox::file::{ChainFileResolver, FileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::{Error, FileDescriptorProto, FileDescriptorSet, decode_descriptor_set};

pub use self::builtin::built_in;

/// What was compiled.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The files and all they import, each behind those it imports, with positions and comments.
    pub descriptors: FileDescriptorSet,
    /// The names of the files that were asked for, in order.
    pub files: Vec<String>,
    /// Every file that was read, imports included.
    pub read: Vec<PathBuf>,
}

/// Compiles `.proto` files, without protoc.
///
/// `includes` are the directories in which files and their imports are looked up, in order; without any it is the current
/// one. The well-known types (`google/protobuf/…`) and a few files that many import (`google/api/annotations.proto`,
/// `google/api/http.proto`, `google/api/field_behavior.proto`, `google/rpc/status.proto`, `google/rpc/code.proto`,
/// `google/rpc/error_details.proto`) are there without being included.
///
/// Files in editions are not understood; have protoc or buf make a descriptor set of them and use that.
///
/// # Errors
/// Of kind [`Compile`](crate::ErrorKind::Compile), with file, line, column and the line itself.
pub fn compile(includes: &[impl AsRef<Path>], files: &[impl AsRef<Path>]) -> Result<Compiled, Error> {
    let mut includes: Vec<PathBuf> = includes.iter().map(|include| include.as_ref().to_owned()).collect();
    if includes.is_empty() {
        includes.push(PathBuf::from("."));
    }
    let failed = |error: protox::Error| Error::compile(render::render(&error, &includes));

    let mut resolver = ChainFileResolver::new();
    for include in &includes {
        resolver.add(IncludeFileResolver::new(include.clone()));
    }
    resolver.add(GoogleFileResolver::new());
    resolver.add(builtin::BuiltinFiles);
    let mut names = Vec::new();
    for file in files {
        names.push(resolver.resolve_path(file.as_ref()));
    }
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files.iter().map(AsRef::as_ref)).map_err(failed)?;

    let descriptors = decode_descriptor_set(&compiler.encode_file_descriptor_set())?;
    let names = names.into_iter().zip(files).map(|(name, file)| {
        // A path that is below no include is itself a name.
        name.unwrap_or_else(|| file.as_ref().to_string_lossy().replace('\\', "/"))
    });
    Ok(Compiled {
        files: names.collect(),
        read: compiler.files().filter_map(|file| file.path().map(Path::to_owned)).collect(),
        descriptors,
    })
}

/// Adds the files of one descriptor set to another. Of two files with one name the first stays.
pub fn merge_descriptors(into: &mut FileDescriptorSet, from: FileDescriptorSet) {
    let has = |set: &FileDescriptorSet, file: &FileDescriptorProto| set.file.iter().any(|have| have.name == file.name);
    for file in from.file {
        if !has(into, &file) {
            into.file.push(file);
        }
    }
}
