use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error, FileDescriptorSet, GenerateRequest, Options, compile, decode_descriptor_set, descriptors::imports, generate,
    merge_descriptors,
};

/// Compiles and generates in a build script.
///
/// ```no_run
/// // build.rs
/// fn main() -> Result<(), polywire_proto::Error> {
///     polywire_proto::Build::new()
///         .include("proto")
///         .file("orders/v1/orders.proto")
///         .owned("/orders.v1.Orders/Import*")
///         .compile()
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens until `compile`"]
pub struct Build {
    includes: Vec<PathBuf>,
    files: Vec<PathBuf>,
    descriptor_sets: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
    options: Options,
}

impl Build {
    /// Nothing to compile yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for files and their imports in this directory, after those added before. Without any it is the directory of
    /// the package that is built.
    pub fn include(mut self, directory: impl Into<PathBuf>) -> Self {
        self.includes.push(directory.into());
        self
    }

    /// Generates the code of this `.proto` file, by its path or by its name below an include. With a descriptor set, the
    /// name may be that of one of its files.
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(file.into());
        self
    }

    /// Takes a `FileDescriptorSet` that protoc (`--include_imports --include_source_info -o`) or buf (`buf build -o`) wrote;
    /// it may hold files in editions.
    ///
    /// Without any [`file`](Self::file), code is generated for those of its files that have services or that no other
    /// file imports.
    pub fn descriptor_set(mut self, path: impl Into<PathBuf>) -> Self {
        self.descriptor_sets.push(path.into());
        self
    }

    /// Where the code goes, instead of `OUT_DIR`. Only files that changed are written.
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(directory.into());
        self
    }

    /// Gives the handlers of these methods owned messages: see [`Options::owned`].
    pub fn owned(mut self, pattern: &str) -> Self {
        self.options = self.options.owned(pattern);
        self
    }

    /// Sets all options of generation, in place of those set so far.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Compiles, generates and writes, and tells cargo which files to watch.
    ///
    /// # Errors
    /// When a `.proto` file is wrong (the text shows where), the options name nothing, or a file cannot be read or written.
    pub fn compile(self) -> Result<(), Error> {
        let out_dir = match &self.out_dir {
            Some(directory) => directory.clone(),
            None => std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
                Error::generate("OUT_DIR is not set: outside of a build script say where code goes with `out_dir`")
            })?,
        };
        let (request, read) = self.request()?;
        for path in &read {
            println!("cargo:rerun-if-changed={}", path.display());
        }
        fs::create_dir_all(&out_dir).map_err(|error| Error::io("make", &out_dir, &error))?;
        for file in generate(&request)? {
            write_if_changed(&out_dir.join(&file.name), &file.content)?;
        }
        Ok(())
    }

    /// What is to be generated, and the files that were read for it.
    fn request(&self) -> Result<(GenerateRequest, Vec<PathBuf>), Error> {
        let mut read = self.descriptor_sets.clone();
        let mut descriptors = FileDescriptorSet::default();
        for path in &self.descriptor_sets {
            let bytes = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
            let set = decode_descriptor_set(&bytes)
                .map_err(|error| Error::descriptors(format!("{}: {error}", path.display())))?;
            merge_descriptors(&mut descriptors, set);
        }
        let (in_sets, sources): (Vec<&PathBuf>, Vec<&PathBuf>) =
            self.files.iter().partition(|file| has_file(&descriptors, file));
        let mut files_to_generate: Vec<String> =
            in_sets.into_iter().map(|file| file.to_string_lossy().into_owned()).collect();
        if !sources.is_empty() {
            let compiled = compile(&self.includes, &sources)?;
            merge_descriptors(&mut descriptors, compiled.descriptors);
            files_to_generate.extend(compiled.files);
            read.extend(compiled.read);
        }
        if self.files.is_empty() {
            files_to_generate = files_of_interest(&descriptors);
        }
        if files_to_generate.is_empty() {
            return Err(Error::generate("there is nothing to generate: add a `file` or a `descriptor_set`"));
        }
        Ok((GenerateRequest { descriptors, files_to_generate, options: self.options.clone() }, read))
    }
}

fn has_file(descriptors: &FileDescriptorSet, path: &Path) -> bool {
    descriptors.file.iter().any(|file| file.name.as_deref().map(Path::new) == Some(path))
}

/// The files of a set for their own sake: those with services and those no other imports.
fn files_of_interest(descriptors: &FileDescriptorSet) -> Vec<String> {
    let imported: BTreeSet<&str> = descriptors.file.iter().flat_map(imports).collect();
    let files = descriptors.file.iter().filter(|file| {
        let name = file.name.as_deref().unwrap_or_default();
        !name.starts_with("google/protobuf/") && (!file.service.is_empty() || !imported.contains(name))
    });
    files.filter_map(|file| file.name.clone()).collect()
}

/// Leaves a file alone that has this content, so that nothing is built again for it.
fn write_if_changed(path: &Path, content: &str) -> Result<(), Error> {
    match fs::read(path) {
        Ok(old) if old == content.as_bytes() => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", path, &error)),
    }
    fs::write(path, content).map_err(|error| Error::io("write", path, &error))
}
