//! What may be said on the command line. Each flag is declared once, with its help.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, builder::styling};
use polywire::Compression;

/// Calls services by gRPC, Connect, gRPC-Web, REST, WebSocket or native frames, and shows what they offer.
#[derive(Debug, Parser)]
#[command(name = "polywire", version, about, after_help = EXIT_CODES, styles = STYLES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call a method of any shape; messages are JSON
    Call(CallArguments),
    /// List the services of a server or of files, or the methods of one service
    List(ListArguments),
    /// Show services, methods, messages and enums as `.proto` source, or an example request
    Describe(DescribeArguments),
    /// Write services as an OpenAPI 3.1 document: what can be called over plain HTTP, for tools that know nothing of Protobuf
    Openapi(OpenapiArguments),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = CALL_EXAMPLES)]
pub(crate) struct CallArguments {
    /// The server: host:port, or with a word in front that says how to call it (below)
    pub(crate) address: String,
    /// package.Service/Method or package.Service.Method; the package may be left out when that is unambiguous
    pub(crate) method: String,
    /// The requests: JSON, @FILE, or @ for standard input; several messages follow one another
    ///
    /// A streaming method takes any number of messages, with or without white space between them (so also one a line); they are sent
    /// as they come. Without this flag a method that takes one request gets an empty one, others get none.
    #[arg(short = 'd', long, value_name = "JSON|@FILE|@")]
    pub(crate) data: Option<String>,
    /// Send metadata, also when asking for descriptors; `@FILE` reads one entry from each line
    #[arg(short = 'H', long = "header", value_name = "KEY: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Send metadata with the call only
    #[arg(long, value_name = "KEY: VALUE")]
    pub(crate) rpc_header: Vec<String>,
    /// How long everything may take together: 5, 0.5, 200ms, 2m (a number alone means seconds)
    #[arg(long, visible_alias = "max-time", value_name = "TIME", value_parser = parse_time)]
    pub(crate) timeout: Option<Duration>,
    /// Compress requests
    #[arg(long, value_name = "ALGORITHM", value_parser = parse_compression)]
    pub(crate) compress: Option<Compression>,
    /// Show also fields that have their default value
    #[arg(long)]
    pub(crate) emit_defaults: bool,
    /// Leave out fields of requests that the message does not have, instead of refusing them
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,
    /// Show what is sent and received beside the messages (on standard error); twice: timing of each step as well
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArguments {
    /// The server; not needed with --proto or --descriptor-set
    pub(crate) address: Option<String>,
    /// List the methods of this service
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) ask: AskArguments,
}

#[derive(Debug, Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub(crate) struct DescribeArguments {
    /// The server; not needed with --proto or --descriptor-set
    pub(crate) address: Option<String>,
    /// Full name of a service, method, message, enum, field or extension; all services when left out
    pub(crate) symbol: Option<String>,
    /// Print an example of the message (or of the method's request) in JSON instead, to be filled in
    #[arg(long, visible_alias = "msg-template")]
    pub(crate) template: bool,
    #[command(flatten)]
    pub(crate) ask: AskArguments,
}

#[derive(Debug, Args)]
#[command(after_help = OPENAPI_EXAMPLES)]
pub(crate) struct OpenapiArguments {
    /// `.proto` files (as with --proto), or the server, which knows no comments
    #[arg(value_name = "ADDRESS|FILE.proto")]
    pub(crate) sources: Vec<String>,
    /// Only this service [default: all but reflection]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Vec<String>,
    /// Write into this file instead of standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How to write it [default: json, or yaml if the file ends so]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<OpenapiFormat>,
    /// What to call the document [default: the packages]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Which version of the interface it describes [default: that at the end of the packages, such as v1]
    #[arg(long, value_name = "TEXT")]
    pub(crate) api_version: Option<String>,
    /// Send metadata when asking for descriptors; `@FILE` reads one entry from each line
    #[arg(short = 'H', long = "header", value_name = "KEY: VALUE")]
    pub(crate) headers: Vec<String>,
    /// How long everything may take together: 5, 0.5, 200ms, 2m (a number alone means seconds)
    #[arg(long, visible_alias = "max-time", value_name = "TIME", value_parser = parse_time)]
    pub(crate) timeout: Option<Duration>,
    /// Show where descriptors come from (on standard error)
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OpenapiFormat {
    /// As most tools read it
    Json,
    /// As people read it
    Yaml,
}

/// What `list` and `describe` have in common.
#[derive(Debug, Args)]
pub(crate) struct AskArguments {
    /// Send metadata; `@FILE` reads one entry from each line
    #[arg(short = 'H', long = "header", value_name = "KEY: VALUE")]
    pub(crate) headers: Vec<String>,
    /// How long everything may take together: 5, 0.5, 200ms, 2m (a number alone means seconds)
    #[arg(long, visible_alias = "max-time", value_name = "TIME", value_parser = parse_time)]
    pub(crate) timeout: Option<Duration>,
    /// Show where descriptors come from (on standard error)
    #[arg(short = 'v', long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
    #[command(flatten)]
    pub(crate) connect: ConnectArguments,
}

#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArguments {
    /// `json` prints one JSON object a line for everything that happens, for scripts
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// Always
    Always,
    /// On a terminal
    #[default]
    Auto,
    /// Never
    Never,
}

/// Where descriptors come from. Without any of these flags: from the server, by reflection.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Descriptors (default: asked of the server by reflection)")]
pub(crate) struct SourceArguments {
    /// Take them from this `.proto` file
    #[arg(long, value_name = "FILE")]
    pub(crate) proto: Vec<PathBuf>,
    /// Look up `.proto` files and what they import here [default: the current directory]
    #[arg(short = 'I', long, value_name = "DIRECTORY")]
    pub(crate) import_path: Vec<PathBuf>,
    /// Take them from an encoded FileDescriptorSet, as `protoc -o`, `buf build -o` write it
    #[arg(long, visible_alias = "protoset", value_name = "FILE")]
    pub(crate) descriptor_set: Vec<PathBuf>,
    /// Ask the server also when files are given, for what they do not have
    #[arg(long, conflicts_with = "no_reflection")]
    pub(crate) use_reflection: bool,
    /// Never ask the server
    #[arg(long)]
    pub(crate) no_reflection: bool,
    /// Send metadata with the questions for descriptors only
    #[arg(long, value_name = "KEY: VALUE")]
    pub(crate) reflect_header: Vec<String>,
}

impl SourceArguments {
    /// Whether files are given.
    pub(crate) fn has_files(&self) -> bool {
        !self.proto.is_empty() || !self.descriptor_set.is_empty()
    }
}

/// How the server is reached.
#[derive(Debug, Default, Args)]
#[command(
    next_help_heading = "Connection (default: as the address says; without a word TLS, but plaintext to this machine)"
)]
pub(crate) struct ConnectArguments {
    /// Speak TLS; also chosen by any of the flags for certificates
    #[arg(long, conflicts_with = "plaintext")]
    pub(crate) tls: bool,
    /// Speak plaintext
    #[arg(long, conflicts_with_all = ["insecure", "cacert", "cert"])]
    pub(crate) plaintext: bool,
    /// Speak TLS and believe any certificate: for trying things out only
    #[arg(long, conflicts_with = "cacert")]
    pub(crate) insecure: bool,
    /// Believe servers whose certificate one of these authorities issued (PEM) [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,
    /// Show this certificate (PEM) to the server
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key (PEM) of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// The name the server's certificate must be for [default: that of --authority, or the host]
    #[arg(long, value_name = "NAME")]
    pub(crate) servername: Option<String>,
    /// What to send as `:authority` [default: ADDRESS]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) authority: Option<String>,
    /// Call the client so, in front of its own name
    #[arg(long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,
    /// How long connecting may take
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "10s")]
    pub(crate) connect_timeout: Option<Duration>,
    /// The longest message that is accepted
    #[arg(long, visible_alias = "max-msg-sz", value_name = "BYTES", default_value_t = MESSAGE_BYTES_MAX)]
    pub(crate) max_message_bytes: usize,
}

/// The longest message that is accepted by default, as everywhere in gRPC.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

const EXIT_CODES: &str = "\
Exit codes: 0 success; 64 + code when a call ends with another status (69 NOT_FOUND, 78 UNAVAILABLE, …), also when the server \
cannot be reached (78); 2 for mistakes on the command line; 1 for anything else.
`polywire COMMAND --help` explains each command. grpcurl's flags are understood with one dash as well.";

/// What an address may look like.
pub(crate) const ADDRESS_FORMS: &str = "\
host:port, http://, https:// or unix:PATH (gRPC); connect+, grpc-web+, grpc-web-text+ or rest+ before http://, https:// or h2c://; \
native://, native+tls:// or native+unix:PATH; ws:// or wss:// (native frames in WebSocket messages)";

const CALL_EXAMPLES: &str = "\
Addresses:
  host:port, dns:///…, http://…, https://…, unix:PATH        gRPC over HTTP/2
  connect+http://…, connect+https://…, connect+h2c://…       Connect (h2c: HTTP/2 without TLS)
  grpc-web+http://…, grpc-web+https://…, grpc-web+h2c://…    gRPC-Web; in base64 with grpc-web-text+
  rest+http://…, rest+https://…, rest+h2c://…                REST, by google.api.http
  native://…, native+tls://…, native+unix:PATH               polywire's own frames
  ws://…, wss://…                                            the same frames in WebSocket messages

Examples, with the order system (cargo run --release):
  polywire call localhost:8080 stock.v1.Stock/ListItems
  polywire call localhost:8080 orders.v1.Orders/Create -d '{\"customer\": \"Ada\", \"lines\": [{\"item\": \"items/flat-white\", \"quantity\": 1}]}'
  polywire call localhost:8080 orders.v1.Orders/Get -d '{\"name\": \"orders/…\"}'
  polywire call rest+http://localhost:8080 stock.v1.Stock/GetItem -d '{\"name\": \"items/flat-white\"}' -v
  polywire call ws://localhost:8080 orders.v1.Orders/WatchAll
  polywire call localhost:8080 orders.v1.Orders/Import -d @orders.ndjson
  polywire call localhost:8080 orders.v1.Orders/Kitchen -d @
  polywire call connect+http://localhost:8080 orders.v1.Orders/List --proto orders/v1/orders.proto -I proto
  polywire call https://orders.example.com orders.v1.Orders/List -H 'authorization: Bearer TOKEN'";

const LIST_EXAMPLES: &str = "\
Examples:
  polywire list localhost:8080
  polywire list localhost:8080 orders.v1.Orders
  polywire list --proto orders/v1/orders.proto -I proto";

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  polywire describe localhost:8080 orders.v1.Orders
  polywire describe localhost:8080 orders.v1.Orders/Create --template > request.json
  polywire describe --descriptor-set orders.binpb orders.v1.Order";

const OPENAPI_EXAMPLES: &str = "\
Examples:
  polywire openapi orders/v1/orders.proto -I proto -o openapi.yaml
  polywire openapi --descriptor-set orders.binpb --title 'Orders' > openapi.json
  polywire openapi localhost:8080 --service orders.v1.Orders";

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Yellow.on_default().bold())
    .usage(styling::AnsiColor::Yellow.on_default().bold())
    .literal(styling::AnsiColor::Green.on_default())
    .placeholder(styling::AnsiColor::Cyan.on_default());

fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write seconds (5, 0.5) or a number with ms, s, m or h".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "this is not a number".to_owned())?;
    match Duration::try_from_secs_f64(number * unit) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("the time must be more than nothing, and not endless".to_owned()),
    }
}

fn parse_compression(name: &str) -> Result<Compression, String> {
    let known = if name == "brotli" { Some(Compression::Brotli) } else { Compression::from_name(name) };
    known.ok_or_else(|| {
        let names: Vec<_> = Compression::ALL.iter().map(|compression| compression.name()).collect();
        format!("known are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_declarations_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_read_with_and_without_unit() {
        for (text, millis) in [("5", 5000), ("0.5", 500), ("200ms", 200), ("2m", 120_000), ("1.5s", 1500)] {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "x", "5 s", "0", "-1", "1e400"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
