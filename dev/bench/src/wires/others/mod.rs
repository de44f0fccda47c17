//! Servers of somebody else beside ours, where there are any: REST beside axum and nginx, WebSocket beside axum and Node.
//!
//! All of them are asked the same by the same load, in turn. For REST that is polywire's own client; for JSON in WebSocket it
//! is [`texts`], which knows nothing of polywire. What an answer must be is known to the byte before.

mod programs;
mod report;
mod texts;

use std::{collections::BTreeSet, io, net::SocketAddr, path::PathBuf};

use polywire::Codec;
use tokio::runtime::Runtime;

pub(super) use self::report::{Table, text};
use self::{
    programs::Nginx,
    report::Row,
    texts::{Form, Texts},
};
use super::{
    Case, Figures, Places, Socket, Wire,
    calls::{Calls, Question},
    count::{Count, Lanes},
    measure,
    relay::Relay,
};
use crate::{
    compare::{Effort, in_turn},
    process::Server,
};

/// Where the programs are that could be had.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Others {
    /// The program of the axum server.
    #[arg(long, value_name = "PROGRAM", requires = "wires")]
    axum: Option<PathBuf>,
    /// The nginx program.
    #[arg(long, value_name = "PROGRAM", requires = "wires")]
    nginx: Option<PathBuf>,
    /// The script of the server on Node.js and ws.
    #[arg(long, value_name = "SCRIPT", requires = "wires")]
    node: Option<PathBuf>,
    /// What could not be had, and why. May be given several times.
    #[arg(long = "gap", value_name = "TEXT", requires = "wires")]
    gaps: Vec<String>,
}

/// One server in one table, and how it is asked.
struct Contender<'a> {
    name: &'static str,
    server: &'a Server,
    way: Way,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// By polywire's client.
    Calls(Wire, Case),
    /// By a plain client.
    Texts(Form, Spread),
}

/// A server being asked.
enum Talk {
    Calls(Calls),
    Texts(Texts),
}

/// Ours, and what stands beside it.
struct Servers<'a> {
    ours: &'a Server,
    axum: Option<Server>,
    node: Option<Server>,
    nginx: Option<PathBuf>,
}

/// How many connections, and how many calls in flight on each.
#[derive(Clone, Copy, Debug)]
struct Spread {
    name: &'static str,
    title: &'static str,
    connections: usize,
    in_flight: usize,
}

const REST: [Case; 3] = [
    Case {
        name: "others-rest-100",
        title: "16 B, 100 calls in flight",
        question: Question::Echo { bytes: 16 },
        in_flight: 100,
        apart: false,
    },
    Case {
        name: "others-rest-1",
        title: "16 B, one call at a time",
        question: Question::Echo { bytes: 16 },
        in_flight: 1,
        apart: false,
    },
    Case {
        name: "others-rest-order",
        title: "order of 20 lines, 4 KB of JSON, 64 calls in flight",
        question: Question::Order,
        in_flight: 64,
        apart: false,
    },
];

const WEB_SOCKET: [Spread; 3] = [
    Spread {
        name: "others-websocket-1x100",
        title: "16 B, one connection, 100 calls in flight",
        connections: 1,
        in_flight: 100,
    },
    Spread {
        name: "others-websocket-64x1",
        title: "16 B, 64 connections with one call at a time each",
        connections: 64,
        in_flight: 1,
    },
    Spread { name: "others-websocket-1x1", title: "16 B, one call at a time", connections: 1, in_flight: 1 },
];

/// How many bytes a call in WebSocket carries there and back, before they are base64 in JSON.
const PAYLOAD_BYTES: usize = 16;

/// Over HTTP/2 nginx answers when it has the head, which makes the body one of a stream that is over.
const FLOOD: &str =
    "nginx with the order over HTTP/2. It answers before the body has come, and many such bodies it takes for a flood.";

impl Others {
    /// The tables whose names contain `pattern`. A server that is not there is one of the `gaps`.
    ///
    /// # Errors
    ///
    /// When any answer is wrong.
    pub(super) fn compare(
        &self,
        ours: &Server,
        effort: &Effort,
        pattern: &str,
        runtime: &Runtime,
        gaps: &mut Vec<String>,
    ) -> io::Result<Vec<Table>> {
        let rest: Vec<_> = REST.into_iter().filter(|case| case.name.contains(pattern)).collect();
        let sockets: Vec<_> = WEB_SOCKET.into_iter().filter(|spread| spread.name.contains(pattern)).collect();
        if rest.is_empty() && sockets.is_empty() {
            return Ok(Vec::new());
        }
        gaps.extend_from_slice(&self.gaps);
        let mut start = |name: &str, program: Option<&PathBuf>, arguments: &[&str]| {
            let server = Server::start_with(program?, arguments);
            server.map_err(|error| gaps.push(format!("{name}: {error}"))).ok()
        };
        let script = self.node.as_ref().map(|script| script.display().to_string());
        let servers = Servers {
            ours,
            axum: start("axum", self.axum.as_ref(), &[]),
            node: script.and_then(|script| start("Node.js", Some(&"node".into()), &[&script])),
            nginx: self.nginx.clone(),
        };
        let mut tables = Vec::new();
        for wire in [rest_wire("REST, HTTP/1.1", "rest+http", false), rest_wire("REST, HTTP/2", "rest+h2c", true)] {
            for case in &rest {
                tables.push(servers.rest(&wire, case, effort, runtime, gaps)?);
            }
        }
        for spread in &sockets {
            tables.push(servers.web_socket(spread, effort, runtime)?);
        }
        // What does not start, does not for any table.
        let mut said = BTreeSet::new();
        gaps.retain(|gap| said.insert(gap.clone()));
        Ok(tables)
    }
}

impl Servers<'_> {
    fn rest(
        &self,
        wire: &Wire,
        case: &Case,
        effort: &Effort,
        runtime: &Runtime,
        gaps: &mut Vec<String>,
    ) -> io::Result<Table> {
        let title = format!("{}: {}", wire.name, case.title);
        let exchange = case.question.json()?;
        let floods = wire.shares && matches!(case.question, Question::Order);
        if floods && self.nginx.is_some() {
            gaps.push(FLOOD.into());
        }
        let nginx =
            self.nginx.as_ref().filter(|_| !floods).map(|program| Nginx::start(program, wire.shares, &exchange.answer));
        let nginx = nginx.and_then(|nginx| nginx.map_err(|error| gaps.push(format!("nginx: {error}"))).ok());
        let contender = |name, server| Contender { name, server, way: Way::Calls(*wire, *case) };
        let mut contenders = vec![contender("polywire", self.ours)];
        contenders.extend(self.axum.as_ref().map(|server| contender("axum", server)));
        for contender in &contenders {
            let answer = programs::ask(contender.server.banner.address, exchange.path, &exchange.request)?;
            if answer != exchange.answer {
                let (name, right) = (contender.name, &exchange.answer);
                return Err(io::Error::other(format!("{name} answers {answer:?} where {right:?} is right")));
            }
        }
        contenders.extend(nginx.as_ref().map(|nginx| contender("nginx, a constant", &nginx.server)));
        compare(title, &contenders, effort, runtime)
    }

    fn web_socket(&self, spread: &Spread, effort: &Effort, runtime: &Runtime) -> io::Result<Table> {
        let texts = |name, server, form| Contender { name, server, way: Way::Texts(form, *spread) };
        let wire = Wire { codec: Codec::Proto, ..rest_wire("native in WebSocket", "ws", true) };
        let case = Case {
            name: spread.name,
            title: spread.title,
            question: Question::Echo { bytes: PAYLOAD_BYTES },
            in_flight: spread.connections * spread.in_flight,
            apart: spread.connections > 1,
        };
        let native = Contender { name: "polywire, native frames", server: self.ours, way: Way::Calls(wire, case) };
        let mut contenders = vec![texts("polywire, JSON", self.ours, Form::Polywire), native];
        if let Some(server) = &self.axum {
            contenders.push(texts("axum, JSON", server, Form::Own));
            contenders.push(texts("axum, sent back unread", server, Form::Unread));
        }
        if let Some(server) = &self.node {
            contenders.push(texts("Node.js, JSON", server, Form::Own));
            contenders.push(texts("Node.js, sent back unread", server, Form::Unread));
        }
        compare(format!("WebSocket: {}", spread.title), &contenders, effort, runtime)
    }
}

/// Asks all of them in turn, round by round.
fn compare(title: String, contenders: &[Contender<'_>], effort: &Effort, runtime: &Runtime) -> io::Result<Table> {
    eprintln!("{title} …");
    let trouble =
        |contender: &Contender<'_>, error: io::Error| io::Error::other(format!("{}, {title}: {error}", contender.name));
    let mut looks = Vec::new();
    for contender in contenders {
        let look = runtime.block_on(contender.look());
        looks.push(look.map_err(|error| trouble(contender, error))?);
    }
    let mut figures: Vec<_> = contenders.iter().map(|_| Figures::default()).collect();
    for round in 0..effort.rounds {
        for place in in_turn(contenders.len(), round) {
            let (contender, figures) = (&contenders[place], &mut figures[place]);
            let measured = runtime.block_on(async {
                let talk = contender.way.talk(&Places::of(contender.server.banner.address))?;
                measure(talk.start(None), talk.count(), contender.server, effort.seconds, figures).await
            });
            measured.map_err(|error| trouble(contender, error))?;
        }
    }
    let rows = contenders.iter().zip(looks).zip(&figures);
    let rows = rows.map(|((contender, look), all)| Row::new(contender, look, all, &figures[0].costs)).collect();
    Ok(Table { title, rows })
}

/// What is seen of a server before it is measured, which warms it up as well.
struct Look {
    /// To the server and back for each call.
    bytes: (f64, f64),
    threads: usize,
    /// Whether all its connections have TCP_NODELAY, where the system lets us look.
    nodelay: Option<bool>,
}

impl Contender<'_> {
    async fn look(&self) -> io::Result<Look> {
        let places = Places::of(self.server.banner.address);
        let relay = Relay::start_tcp(places.tcp).await?;
        let talk = self.way.talk(&relay.places)?;
        talk.start(Some(2)).join().await?;
        let (operations, before) = (talk.count().operations(), relay.bytes());
        talk.start(Some(talk.counted())).join().await?;
        let bytes = relay.bytes_each(before, talk.count().operations() - operations);
        // Its connections are still there.
        let sockets = self.server.connected()?;
        let nodelay = sockets.map(|sockets| sockets.iter().all(|socket| socket.nodelay));
        Ok(Look { bytes, threads: self.server.threads()?, nodelay })
    }
}

impl Way {
    fn talk(&self, places: &Places) -> io::Result<Talk> {
        match self {
            Self::Calls(wire, case) => Calls::new(wire, case, places).map(Talk::Calls),
            Self::Texts(form, spread) => {
                let (connections, in_flight) = (spread.connections, spread.in_flight);
                Ok(Talk::Texts(Texts::new(places.tcp, *form, PAYLOAD_BYTES, connections, in_flight)))
            }
        }
    }
}

impl Talk {
    fn start(&self, calls: Option<usize>) -> Lanes {
        match self {
            Self::Calls(calls_) => calls_.start(calls),
            Self::Texts(texts) => texts.start(calls),
        }
    }

    fn count(&self) -> &Count {
        match self {
            Self::Calls(calls) => &calls.count,
            Self::Texts(texts) => &texts.count,
        }
    }

    fn counted(&self) -> usize {
        match self {
            Self::Calls(calls) => calls.counted(),
            Self::Texts(texts) => texts.counted(),
        }
    }
}

impl Places {
    /// A server without a Unix socket.
    fn of(tcp: SocketAddr) -> Self {
        Self { tcp, unix: PathBuf::new() }
    }
}

fn rest_wire(name: &'static str, scheme: &'static str, shares: bool) -> Wire {
    Wire { name, scheme, codec: Codec::Json, at: Socket::Tcp, shares, native: false }
}
