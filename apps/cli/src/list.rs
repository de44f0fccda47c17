//! `polywire list`.

use polywire_proto::MethodType;

use crate::{
    arguments::ListArguments,
    connect::{Server, within},
    descriptors::{Descriptors, address_and_name, deadline},
    failure::Failure,
    metadata,
    near::{ending_in, near},
    output::{Event, Output},
};

/// Lists services, or the methods of one.
pub(crate) async fn run(arguments: ListArguments, output: Output) -> Result<u8, Failure> {
    let ask = arguments.ask;
    let (address, service) = address_and_name(arguments.address, arguments.service, &ask.source)?;
    let deadline = deadline(ask.timeout);
    let metadata = metadata::parse(ask.headers.iter().chain(&ask.source.reflect_header))?;
    let mut descriptors = Descriptors::read(&ask.source)?;
    let work = async {
        if let Some(address) = &address
            && (!ask.source.has_files() || ask.source.use_reflection)
        {
            let server = Server::reach(address, &ask.connect, deadline).await?;
            descriptors.ask(&server, &ask.source, metadata);
        }
        match &service {
            None => services(&mut descriptors, output).await,
            Some(service) => methods(&mut descriptors, service, output).await,
        }
    };
    let done = within(deadline, work).await;
    done.unwrap_or_else(|| Err(polywire::Status::deadline_exceeded("the server did not answer in time").into()))?;
    output.note(1, '*', format_args!("descriptors from {}", descriptors.origin()));
    Ok(0)
}

async fn services(descriptors: &mut Descriptors, output: Output) -> Result<(), Failure> {
    for service in descriptors.services().await? {
        if output.is_json() {
            output.event(&Event::Service { service: &service })?;
        } else {
            output.result(&service)?;
        }
    }
    Ok(())
}

async fn methods(descriptors: &mut Descriptors, service: &str, output: Output) -> Result<(), Failure> {
    let service = service.trim_start_matches(['.', '/']);
    let mut name = service.to_owned();
    if !descriptors.know(service).await? || descriptors.pool().methods(service).is_none() {
        let services = descriptors.services().await?;
        let names = || services.iter().map(String::as_str);
        match ending_in(service, names())[..] {
            [only] => name = only.to_owned(),
            _ => {
                let failure = Failure::new(format!("no service is called {service:?} here"));
                let likely = near(service, names());
                let likely = if likely.is_empty() { names().collect() } else { likely };
                return Err(likely
                    .into_iter()
                    .fold(failure, |failure, name| failure.hint(format!("did you mean {name}?"))));
            }
        }
        descriptors.know(&name).await?;
    }
    for method in descriptors.pool().methods(&name).unwrap_or_default() {
        show(&method, output)?;
    }
    Ok(())
}

fn show(method: &MethodType, output: Output) -> Result<(), Failure> {
    let path = method.path().trim_start_matches('/');
    if !output.is_json() {
        return output.result(path);
    }
    output.event(&Event::Method {
        method: path,
        request: method.request().full_name(),
        response: method.response().full_name(),
        client_streaming: method.client_streams(),
        server_streaming: method.server_streams(),
    })
}
