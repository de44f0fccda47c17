//! Words of the Connect conformance suite, for the server and the client under test: its frames on standard input and output,
//! and metadata and statuses in its messages.

use std::io::{self, Read, Write};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use buffa::{EnumValue, Message, type_registry};
use polywire::{Code, Compression, InvalidMetadata, Metadata, Status, well_known::Any};

use crate::connectrpc::conformance::v1 as suite;

/// Reads one message: four bytes of length, big-endian, and the message. `None` at the end of the input.
///
/// # Errors
/// When the input ends inside a message or the message cannot be read.
pub fn read_message<M: Message + Default>(input: &mut impl Read) -> io::Result<Option<M>> {
    let mut len = [0; 4];
    match input.read(&mut len[..1])? {
        0 => return Ok(None),
        _ => input.read_exact(&mut len[1..])?,
    }
    let len = u32::from_be_bytes(len) as usize;
    if len > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes")));
    }
    let mut bytes = vec![0; len];
    input.read_exact(&mut bytes)?;
    M::decode_from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Writes one message the same way.
///
/// # Errors
/// When the output is closed.
pub fn write_message(output: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let bytes = message.encode_to_vec();
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    output.write_all(&len.to_be_bytes())?;
    output.write_all(&bytes)?;
    output.flush()
}

/// Makes the suite's types known, so that an `Any` that holds one can be written and read as JSON.
pub fn register_types() {
    let mut types = type_registry::TypeRegistry::new();
    polywire::codegen::buffa_types::register_wkt_types(&mut types);
    suite::__buffa::register_types(&mut types);
    type_registry::set_type_registry(types);
}

/// Metadata as the suite writes it: one entry for a key, binary values in base64.
pub fn headers(metadata: &Metadata) -> Vec<suite::Header> {
    let mut headers: Vec<suite::Header> = Vec::new();
    for (key, value) in metadata {
        let value = match value.as_str().filter(|_| !key.ends_with("-bin")) {
            Some(text) => text.to_owned(),
            None => BASE64.encode(value.as_bytes()),
        };
        match headers.iter_mut().find(|header| header.name == key) {
            Some(header) => header.value.push(value),
            None => headers.push(suite::Header { name: key.to_owned(), value: vec![value], ..Default::default() }),
        }
    }
    headers
}

/// The metadata that the suite's headers say.
///
/// # Errors
/// When one of them may not travel.
pub fn metadata(headers: &[suite::Header]) -> Result<Metadata, InvalidMetadata> {
    let mut metadata = Metadata::new();
    for header in headers {
        let key = header.name.to_ascii_lowercase();
        for value in &header.value {
            if key.ends_with("-bin") {
                let bytes = BASE64.decode(value).unwrap_or_else(|_| value.as_bytes().to_vec());
                metadata.append_bin(&key, &bytes)?;
            } else {
                metadata.append(&key, value)?;
            }
        }
    }
    Ok(metadata)
}

/// The status that an error of the suite asks for.
pub fn status(error: &suite::Error) -> Status {
    let code = Code::from_number(u32::try_from(error.code.to_i32()).unwrap_or(u32::MAX));
    error.details.iter().fold(Status::new(code, error.message.clone().unwrap_or_default()), |status, detail| {
        status.with_detail(polywire::Detail { type_url: detail.type_url.clone(), value: detail.value.clone() })
    })
}

/// A status as the suite writes it.
pub fn error(status: &Status) -> suite::Error {
    let any = |detail: &polywire::Detail| Any {
        type_url: detail.type_url.clone(),
        value: detail.value.clone(),
        ..Default::default()
    };
    suite::Error {
        code: EnumValue::from(i32::from(status.code().number())),
        message: Some(status.message().to_owned()),
        details: status.details().iter().map(any).collect(),
        ..Default::default()
    }
}

/// The compression of that name in the suite.
pub fn compression(name: EnumValue<suite::Compression>) -> Result<Compression, String> {
    use suite::Compression as Theirs;
    Ok(match name.as_known() {
        Some(Theirs::COMPRESSION_UNSPECIFIED | Theirs::COMPRESSION_IDENTITY) => Compression::Identity,
        Some(Theirs::COMPRESSION_GZIP) => Compression::Gzip,
        Some(Theirs::COMPRESSION_BR) => Compression::Brotli,
        Some(Theirs::COMPRESSION_ZSTD) => Compression::Zstd,
        Some(Theirs::COMPRESSION_DEFLATE) => Compression::Deflate,
        Some(Theirs::COMPRESSION_SNAPPY) => Compression::Snappy,
        None => return Err(format!("there is no compression {}", name.to_i32())),
    })
}

/// Far above what the suite sends; a wrong length would otherwise ask for gigabytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Written without padding, read with and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
