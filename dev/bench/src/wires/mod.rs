//! One server, the same calls over every wire and protocol it speaks: `cargo xtask bench --wires`.
//!
//! The calls are made by polywire's own client, so that this compares wires and not clients. What is measured is the
//! server; bytes are counted in passes of their own, by a relay, so that the counting costs nobody anything.

mod calls;
mod chart;
mod count;
mod idle;
mod others;
mod relay;
mod report;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use polywire::Codec;

pub(crate) use self::others::Others;
use self::{
    calls::{Calls, Question},
    count::{Count, Lanes},
    relay::Relay,
    report::{Row, Table},
};
use crate::{
    compare::{Effort, in_turn},
    load::Latency,
    process::{self, Server},
};

/// Where our own gRPC stands in [`wires`]: what the others are compared with.
const REFERENCE: usize = 0;

/// How long a server may take to answer a call.
const PATIENCE: Duration = Duration::from_secs(10);

/// A wire, and the protocol and codec on it.
#[derive(Clone, Copy, Debug)]
struct Wire {
    name: &'static str,
    /// What stands in front of the place in a target.
    scheme: &'static str,
    codec: Codec,
    at: Socket,
    /// Whether one connection carries all calls in flight; otherwise each has its own.
    shares: bool,
    native: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    Tcp,
    Unix,
}

/// Where a server, or the relay in front of it, is reached.
#[derive(Clone, Debug)]
struct Places {
    tcp: std::net::SocketAddr,
    unix: PathBuf,
}

/// A row of calls.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    title: &'static str,
    question: Question,
    in_flight: usize,
    /// Whether each call in flight has a channel of its own, whatever the wire could carry on one.
    apart: bool,
}

/// What one wire showed in one case, a value for each round.
#[derive(Debug, Default)]
struct Figures {
    costs: Vec<f64>,
    rates: Vec<f64>,
    latencies: Vec<Latency>,
    load_busy: Vec<f64>,
    /// The share of the time in which the server waited because something else had its core.
    disturbed: Vec<f64>,
}

fn wires() -> Vec<Wire> {
    let wire =
        |name, scheme, shares| Wire { name, scheme, codec: Codec::Proto, at: Socket::Tcp, shares, native: false };
    let json = |wire| Wire { codec: Codec::Json, ..wire };
    let unix = |wire| Wire { at: Socket::Unix, ..wire };
    let native = |wire| Wire { native: true, ..wire };
    vec![
        wire("gRPC, HTTP/2", "http", true),
        unix(wire("gRPC, HTTP/2, Unix socket", "unix", true)),
        wire("gRPC-Web, HTTP/2", "grpc-web+h2c", true),
        wire("gRPC-Web, HTTP/1.1", "grpc-web+http", false),
        wire("Connect Protobuf, HTTP/2", "connect+h2c", true),
        json(wire("Connect JSON, HTTP/2", "connect+h2c", true)),
        wire("Connect Protobuf, HTTP/1.1", "connect+http", false),
        json(wire("Connect JSON, HTTP/1.1", "connect+http", false)),
        json(wire("REST, HTTP/2", "rest+h2c", true)),
        json(wire("REST, HTTP/1.1", "rest+http", false)),
        native(wire("native, TCP", "native", true)),
        native(unix(wire("native, Unix socket", "native+unix", true))),
        wire("native in WebSocket", "ws", true),
    ]
}

fn cases() -> Vec<Case> {
    let case = |name, title, question, in_flight| Case { name, title, question, in_flight, apart: false };
    vec![
        case("unary-1x100", "unary 16 B, 100 calls in flight", Question::Echo { bytes: 16 }, 100),
        case("unary-1x1", "unary 16 B, one call at a time", Question::Echo { bytes: 16 }, 1),
        case("unary-1k", "unary 1 KiB, 100 calls in flight", Question::Echo { bytes: 1 << 10 }, 100),
        case("order", "order of 20 lines, 1.9 KB as Protobuf, 64 calls in flight", Question::Order, 64),
        case("pull-64", "server stream of 64 B messages, 4 streams", Question::Pull { count: 10_000, bytes: 64 }, 4),
    ]
}

/// Runs all cases whose names contain `pattern` and prints the tables; the chart goes to `chart`.
///
/// # Errors
///
/// When any call fails or any answer is wrong.
pub(crate) fn run(
    program: &Path,
    others: &Others,
    effort: &Effort,
    pattern: &str,
    chart: Option<&Path>,
) -> io::Result<()> {
    let cases: Vec<_> = cases().into_iter().filter(|case| case.name.contains(pattern)).collect();
    process::pin(process::OTHER_CORE)?;
    let directory = Directory::new("wires")?;
    let socket = directory.0.join("server");
    let server = Server::start_with(program, &["127.0.0.1:0", &format!("unix:{}", socket.display())])?;
    let places = Places { tcp: server.banner.address, unix: socket };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let relay = runtime.block_on(Relay::start(&places, directory.0.join("relay")))?;

    let wires = wires();
    let mut tables = Vec::new();
    for case in &cases {
        eprintln!("{} …", case.title);
        let mut figures: Vec<_> = wires.iter().map(|_| Figures::default()).collect();
        for round in 0..effort.rounds {
            for place in in_turn(wires.len(), round) {
                let wire = &wires[place];
                let calls = Calls::new(wire, case, &places)?;
                let figures = &mut figures[place];
                let measured = runtime.block_on(async {
                    measure(calls.start(None), &calls.count, &server, effort.seconds, figures).await
                });
                measured.map_err(|error| io::Error::other(format!("{}, {}: {error}", wire.name, case.title)))?;
            }
        }
        let mut rows = Vec::new();
        let reference = &figures[REFERENCE].costs;
        for (wire, figures) in wires.iter().zip(&figures) {
            let calls = Calls::new(wire, case, &relay.places)?;
            let counted = runtime.block_on(count_bytes(&calls, &relay));
            let bytes = counted.map_err(|error| io::Error::other(format!("{}, counted: {error}", wire.name)))?;
            rows.push(Row::new(wire, figures, reference, bytes));
        }
        tables.push(Table { case: *case, rows });
    }
    // Other than that there is nothing to say about no case.
    if !tables.is_empty() {
        print!("{}", report::text(&tables, &server.banner, effort));
    }
    let mut gaps = Vec::new();
    let beside = others.compare(&server, effort, pattern, &runtime, &mut gaps)?;
    if "idle".contains(pattern) {
        eprintln!("idle connections …");
        drop(server);
        print!("{}", idle::run(program, effort.connections)?);
    }
    print!("{}", others::text(&beside, &gaps));
    if let Some(path) = chart {
        let mut panels: Vec<_> = tables.iter().map(Table::panel).collect();
        panels.extend(beside.iter().map(others::Table::panel));
        fs::write(path, chart::svg(&panels))?;
    }
    Ok(())
}

/// Lets calls go on and looks at the server before and after.
async fn measure(lanes: Lanes, count: &Count, server: &Server, seconds: f64, figures: &mut Figures) -> io::Result<()> {
    tokio::time::sleep(Duration::from_secs_f64(seconds / 4.0)).await;
    let look = || Ok::<_, io::Error>((server.cpu_ns()?, process::own_cpu_ns()?, server.waited_ns()?));
    count.begin();
    let (start, operations, before) = (Instant::now(), count.operations(), look()?);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    // Where the core is taken by something else, a short time may pass without any.
    while count.operations() == operations && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (time, operations, after) = (start.elapsed(), count.operations() - operations, look()?);
    let latency = count.end();
    lanes.join().await?;
    if operations == 0 {
        return Err(io::Error::other("no call was answered in time"));
    }
    let share = |before: u64, after: u64| (after - before) as f64 / time.as_nanos() as f64;
    figures.costs.push((after.0 - before.0) as f64 / 1e3 / operations as f64);
    figures.rates.push(operations as f64 / time.as_secs_f64());
    figures.latencies.push(latency);
    figures.load_busy.push(share(before.1, after.1));
    figures.disturbed.push(share(before.2, after.2));
    Ok(())
}

/// Bytes to the server and back for each operation, once the connection has seen the method.
async fn count_bytes(calls: &Calls, relay: &Relay) -> io::Result<(f64, f64)> {
    calls.start(Some(2)).join().await?;
    let (operations, before) = (calls.count.operations(), relay.bytes());
    calls.start(Some(calls.counted())).join().await?;
    let operations = calls.count.operations() - operations;
    Ok(relay.bytes_each(before, operations))
}

impl Case {
    /// Whether an operation is a message of a stream.
    fn streams(&self) -> bool {
        matches!(self.question, Question::Pull { .. })
    }
}

impl Wire {
    fn target(&self, places: &Places) -> String {
        match self.at {
            Socket::Tcp => format!("{}://{}", self.scheme, places.tcp),
            Socket::Unix => format!("{}:{}", self.scheme, places.unix.display()),
        }
    }
}

/// A directory for sockets and the like that goes when it is not needed any more.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("polywire-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_understands_the_target_of_every_wire() {
        let places = Places { tcp: ([127, 0, 0, 1], 1).into(), unix: "/run/bench".into() };
        for wire in wires() {
            assert!(polywire::Channel::to(wire.target(&places)).is_ok(), "{}", wire.name);
        }
    }

    #[test]
    fn the_others_are_compared_with_grpc() {
        assert_eq!(wires()[REFERENCE].name, "gRPC, HTTP/2");
    }
}
