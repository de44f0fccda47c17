//! The tables, as Markdown.

use std::fmt::Write;

use super::{
    Case, Figures, REFERENCE, Wire,
    chart::{self, Bar, Panel},
};
use crate::{
    compare::{Effort, median},
    process::Banner,
};

/// How much of the CPU time that our own gRPC takes the native wire may take at first, and in the end.
const NATIVE_MARKS: (f64, f64) = (0.7, 0.5);

/// A case with what all wires showed in it.
pub(super) struct Table {
    pub(super) case: Case,
    pub(super) rows: Vec<Row>,
}

/// What one wire showed: medians over the rounds.
pub(super) struct Row {
    pub(super) wire: Wire,
    /// CPU microseconds of the server for each operation.
    pub(super) cost: f64,
    /// To our own gRPC, round by round.
    ratio: f64,
    p50_us: f64,
    p99_us: f64,
    rate: f64,
    /// To the server and back.
    bytes: (f64, f64),
    load_busy: f64,
    disturbed: f64,
}

impl Table {
    /// For the chart.
    pub(super) fn panel(&self) -> Panel {
        let bars = self.rows.iter().enumerate().map(|(index, row)| {
            let colour = match index {
                REFERENCE => chart::REFERENCE_COLOUR,
                _ if row.wire.native => chart::NATIVE_COLOUR,
                _ => chart::OTHER_COLOUR,
            };
            Bar { name: row.wire.name, cost: row.cost, colour }
        });
        let unit = if self.case.streams() { "message" } else { "call" };
        Panel { title: format!("{}: per {unit}", self.case.title), bars: bars.collect() }
    }
}

impl Row {
    pub(super) fn new(wire: &Wire, figures: &Figures, reference: &[f64], bytes: (f64, f64)) -> Self {
        let all = |values: &[f64]| median(values.iter().copied());
        Self {
            wire: *wire,
            cost: all(&figures.costs),
            ratio: median(figures.costs.iter().zip(reference).map(|(cost, reference)| cost / reference)),
            p50_us: median(figures.latencies.iter().map(|latency| latency.p50_us)),
            p99_us: median(figures.latencies.iter().map(|latency| latency.p99_us)),
            rate: all(&figures.rates),
            bytes,
            load_busy: all(&figures.load_busy),
            disturbed: all(&figures.disturbed),
        }
    }

    fn verdict(&self) -> String {
        let (first, goal) = NATIVE_MARKS;
        match self.ratio {
            ratio if !self.wire.native => format!("{ratio:.2}"),
            ratio if ratio <= goal => format!("**{ratio:.2}** goal"),
            ratio if ratio <= first => format!("**{ratio:.2}** mark"),
            ratio => format!("{ratio:.2} missed"),
        }
    }
}

/// All tables, with what is to be known to read them.
pub(super) fn text(tables: &[Table], server: &Banner, effort: &Effort) -> String {
    let mut out = String::new();
    let (first, goal) = NATIVE_MARKS;
    let _ = writeln!(
        out,
        "polywire {}, {}, opt-level {}. The server on one core, polywire's own client on another, one thread each; \
         rounds: {}, of {} s on every wire in turn, medians. CPU is the server's, user and system. The ratio is to gRPC over HTTP/2 on TCP in the same round; \
         the native wire's first mark is {first}, its goal {goal}. Bytes are those that sockets carry, headers of TCP and IP not \
         counted, on a connection that has seen the method before. HTTP/1.1 has a connection for each call in flight, the others \
         one for all.\n",
        server.version, server.profile, server.opt_level, effort.rounds, effort.seconds,
    );
    for table in tables {
        let _ = writeln!(out, "### {}\n", sentence(table.case.title));
        let unit = if table.case.streams() { "message" } else { "call" };
        let _ = writeln!(
            out,
            "| wire | CPU µs per {unit} | ratio | p50 µs | p99 µs | {unit}s per second | bytes there | bytes back | client busy | disturbed |"
        );
        let _ = writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for row in &table.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {:.0} | {} | {} | {:.0} % | {:.0} % |",
                row.wire.name,
                number(row.cost),
                row.verdict(),
                number(row.p50_us),
                number(row.p99_us),
                row.rate,
                number(row.bytes.0),
                number(row.bytes.1),
                row.load_busy * 100.0,
                row.disturbed * 100.0,
            );
        }
        out.push('\n');
    }
    out += "Latencies are those of calls under saturation, of whole streams in the streaming case, in the client. Disturbed is the share \
            of the time in which the server wanted to run and something else had its core; latencies and rates suffer from it, CPU per \
            call hardly does. For servers of somebody else, gRPC is in `cargo xtask bench`; REST and WebSocket follow, if they were asked for.\n";
    out
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Three digits or more, unless there is next to nothing.
pub(super) fn number(value: f64) -> String {
    match value {
        value if value < 0.0005 => "0".into(),
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}
