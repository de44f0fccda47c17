//! `polywire openapi`.

use crate::{
    arguments::{OpenapiArguments, OpenapiFormat},
    connect::{Server, within},
    descriptors::{Descriptors, deadline},
    failure::Failure,
    metadata,
    output::Output,
};

/// Writes services as an OpenAPI document.
pub(crate) async fn run(arguments: OpenapiArguments, output: Output) -> Result<u8, Failure> {
    let OpenapiArguments { sources, mut source, .. } = arguments;
    let mut address = None;
    for word in sources {
        if word.ends_with(".proto") {
            source.proto.push(word.into());
        } else if let Some(first) = address.replace(word) {
            let second = address.unwrap_or_default();
            return Err(Failure::usage(format!("{first} and {second}? give one ADDRESS; files end in .proto")));
        }
    }
    if address.is_none() && !source.has_files() {
        return Err(Failure::usage("of what? give ADDRESS, .proto files or --descriptor-set FILE"));
    }
    let deadline = deadline(arguments.timeout);
    let metadata = metadata::parse(arguments.headers.iter().chain(&source.reflect_header))?;
    let mut descriptors = Descriptors::read(&source)?;
    let work = async {
        if let Some(address) = &address
            && (!source.has_files() || source.use_reflection)
        {
            let server = Server::reach(address, &arguments.connect, deadline).await?;
            descriptors.ask(&server, &source, metadata);
        }
        if arguments.service.is_empty() {
            let mut services = descriptors.know_all().await?;
            // It is how the others became known, not what they are for.
            services.retain(|name| !name.starts_with("grpc.reflection."));
            return Ok(services);
        }
        let mut services = Vec::new();
        for name in &arguments.service {
            let name = descriptors.symbol(name).await?;
            if descriptors.pool().methods(&name).is_none() {
                return Err(Failure::usage(format!("{name} is not a service")));
            }
            services.push(name);
        }
        Ok(services)
    };
    let services = within(deadline, work).await;
    let services = services
        .unwrap_or_else(|| Err(polywire::Status::deadline_exceeded("the server did not answer in time").into()))?;
    output.note(1, '*', format_args!("descriptors from {}", descriptors.origin()));

    let mut document = descriptors.pool().openapi(services.iter().map(String::as_str));
    if let Some(title) = arguments.title {
        document = document.title(title);
    }
    if let Some(version) = arguments.api_version {
        document = document.version(version);
    }
    let format = arguments.format.unwrap_or_else(|| match &arguments.output {
        Some(path) if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") => OpenapiFormat::Yaml,
        _ => OpenapiFormat::Json,
    });
    let text = match format {
        OpenapiFormat::Json => document.to_json(),
        OpenapiFormat::Yaml => document.to_yaml(),
    };
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?,
        None => output.result(&text)?,
    }
    Ok(0)
}
