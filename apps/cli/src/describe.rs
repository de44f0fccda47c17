//! `polywire describe`.

use polywire_proto::{Described, SymbolKind};
use serde_json::value::RawValue;

use crate::{
    arguments::DescribeArguments,
    connect::{Server, within},
    descriptors::{Descriptors, address_and_name, deadline},
    failure::Failure,
    metadata,
    output::{Event, Output},
};

/// Shows what a name declares, or all services.
pub(crate) async fn run(arguments: DescribeArguments, output: Output) -> Result<u8, Failure> {
    let ask = arguments.ask;
    let (address, symbol) = address_and_name(arguments.address, arguments.symbol, &ask.source)?;
    if arguments.template && symbol.is_none() {
        return Err(Failure::usage("a template of what? give SYMBOL: a message, or a method for its request"));
    }
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
        match &symbol {
            Some(symbol) if arguments.template => template(&mut descriptors, symbol, output).await,
            Some(symbol) => {
                let symbol = descriptors.symbol(symbol).await?;
                describe(&descriptors, &symbol, output)
            }
            None => {
                let services = descriptors.know_all().await?;
                for (at, service) in services.iter().enumerate() {
                    if at > 0 && !output.is_json() {
                        output.result("")?;
                    }
                    describe(&descriptors, service, output)?;
                }
                Ok(())
            }
        }
    };
    let done = within(deadline, work).await;
    done.unwrap_or_else(|| Err(polywire::Status::deadline_exceeded("the server did not answer in time").into()))?;
    output.note(1, '*', format_args!("descriptors from {}", descriptors.origin()));
    Ok(0)
}

fn describe(descriptors: &Descriptors, symbol: &str, output: Output) -> Result<(), Failure> {
    let Described { kind, full_name, file, package, source } = described(descriptors, symbol)?;
    if output.is_json() {
        let event = Event::Declaration { symbol: &full_name, kind: kind.name(), file: &file, source: &source };
        return output.event(&event);
    }
    output.result(&format!("// {full_name}: {} in {file}", kind.name()))?;
    if !package.is_empty() {
        output.result(&format!("package {package};\n\n"))?;
    }
    output.result(&source)?;
    if kind != SymbolKind::Method {
        return Ok(());
    }
    // Who asks for a method wants to call it.
    let Some(method) = descriptors.pool().method(symbol) else { return Ok(()) };
    let mut shown = Vec::new();
    for message in [method.request().full_name(), method.response().full_name()] {
        if !shown.contains(&message) {
            output.result(&format!("\n{}", described(descriptors, message)?.source))?;
            shown.push(message);
        }
    }
    Ok(())
}

fn described(descriptors: &Descriptors, symbol: &str) -> Result<Described, Failure> {
    let described = descriptors.pool().describe(symbol);
    described.ok_or_else(|| Failure::new(format!("the file that should declare {symbol} does not")))
}

async fn template(descriptors: &mut Descriptors, symbol: &str, output: Output) -> Result<(), Failure> {
    let symbol = descriptors.symbol(symbol).await?;
    let pool = descriptors.pool();
    let message = pool.message(&symbol).or_else(|| pool.method(&symbol).map(|method| method.request().clone()));
    let Some(message) = message else {
        let Described { kind, full_name, .. } = described(descriptors, &symbol)?;
        let kind = kind.name();
        let what = if full_name == symbol { format!("a {kind}") } else { format!("part of the {kind} {full_name}") };
        return Err(Failure::usage(format!("{symbol} is {what}; templates are of messages, or of a method's request")));
    };
    let json = message.json_template();
    if !output.is_json() {
        return output.json(&json);
    }
    let value: serde_json::Value = serde_json::from_str(&json).map_err(|error| Failure::new(error.to_string()))?;
    let compact = RawValue::from_string(value.to_string()).map_err(|error| Failure::new(error.to_string()))?;
    output.event(&Event::Template { symbol: message.full_name(), message: &compact })
}
