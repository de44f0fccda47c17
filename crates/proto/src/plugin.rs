//! The face that protoc and buf see: a `CodeGeneratorRequest` on standard input, a `CodeGeneratorResponse` on standard
//! output.

use buffa::{DecodeOptions, Message as _};
use buffa_descriptor::generated::{
    compiler::{CodeGeneratorRequest, CodeGeneratorResponse, code_generator_response},
    descriptor::Edition,
};

use crate::{Error, FileDescriptorSet, GenerateRequest, Options, generate};

/// Memory that the elements of one request may take when it is decoded; a broken one fails with an error.
const ELEMENT_BYTES_MAX: usize = 1 << 30;

/// Answers one request of protoc. What goes wrong is told in the response, as protoc wants it.
///
/// The parameter (`--polywire_opt=owned=/orders.v1.Orders/Create,external=common.v1=::common::v1`) is a list of options with
/// commas between them; each can be given several times:
///
/// - `owned=PATTERN`: see [`Options::owned`];
/// - `bytes=PATH`: see [`Options::bytes`];
/// - `external=PACKAGE=RUST_PATH`: see [`Options::external`].
pub fn run_plugin(request: &[u8]) -> Vec<u8> {
    use code_generator_response::Feature;

    let mut response = CodeGeneratorResponse {
        supported_features: Some(Feature::FEATURE_PROTO3_OPTIONAL as u64 | Feature::FEATURE_SUPPORTS_EDITIONS as u64),
        minimum_edition: Some(Edition::EDITION_PROTO2 as i32),
        maximum_edition: Some(Edition::EDITION_2024 as i32),
        ..CodeGeneratorResponse::default()
    };
    match files(request) {
        Ok(files) => response.file = files,
        Err(error) => response.error = Some(error.to_string()),
    }
    response.encode_to_vec()
}

fn files(request: &[u8]) -> Result<Vec<code_generator_response::File>, Error> {
    let request: CodeGeneratorRequest = DecodeOptions::new()
        .with_element_memory_limit(ELEMENT_BYTES_MAX)
        .decode_from_slice(request)
        .map_err(|error| Error::descriptors(format!("this is not a CodeGeneratorRequest: {error}")))?;
    let generated = generate(&GenerateRequest {
        descriptors: FileDescriptorSet { file: request.proto_file, ..FileDescriptorSet::default() },
        files_to_generate: request.file_to_generate,
        options: options(request.parameter.as_deref().unwrap_or_default())?,
    })?;
    let files = generated.into_iter().map(|file| code_generator_response::File {
        name: Some(file.name),
        content: Some(file.content),
        ..code_generator_response::File::default()
    });
    Ok(files.collect())
}

fn options(parameter: &str) -> Result<Options, Error> {
    let mut options = Options::new();
    for option in parameter.split(',').map(str::trim).filter(|option| !option.is_empty()) {
        options = match option.split_once('=') {
            Some(("bytes", path)) => options.bytes(path),
            Some(("external", pair)) => match pair.split_once('=') {
                Some((package, rust_path)) => options.external(package, rust_path),
                None => {
                    return Err(Error::generate(format!("`{option}` should be `external=PACKAGE=RUST_PATH`")));
                }
            },
            Some(("owned", pattern)) => options.owned(pattern),
            _ => {
                return Err(Error::generate(format!(
                    "`{option}` is no option of polywire; there are `bytes=PATH`, `external=PACKAGE=RUST_PATH` and `owned=PATTERN`"
                )));
            }
        };
    }
    Ok(options)
}
