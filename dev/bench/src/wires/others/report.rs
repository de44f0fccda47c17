//! The tables of the others, as Markdown.

use std::fmt::Write;

use super::{Contender, Look};
use crate::{
    compare::median,
    wires::{
        Figures,
        chart::{self, Bar, Panel},
        report::number,
    },
};

/// What was asked, and what all showed.
pub(in crate::wires) struct Table {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// What one server showed: medians over the rounds.
pub(super) struct Row {
    name: &'static str,
    /// What the server is, when it is not the first time that it stands in a table.
    server: String,
    threads: usize,
    nodelay: Option<bool>,
    /// CPU microseconds for each call.
    cost: f64,
    /// How much of its cost ours has in the same round.
    ours: f64,
    p50_us: f64,
    p99_us: f64,
    rate: f64,
    bytes: (f64, f64),
    busy: f64,
    load_busy: f64,
    disturbed: f64,
}

impl Table {
    /// For the chart.
    pub(in crate::wires) fn panel(&self) -> Panel {
        let bars = self.rows.iter().map(|row| {
            let ours = row.name.starts_with("polywire");
            let colour = if ours { chart::REFERENCE_COLOUR } else { chart::OTHER_COLOUR };
            Bar { name: row.name, cost: row.cost, colour }
        });
        Panel { title: format!("{}: per call", self.title), bars: bars.collect() }
    }
}

impl Row {
    pub(super) fn new(contender: &Contender<'_>, look: Look, figures: &Figures, ours: &[f64]) -> Self {
        let all = |values: &[f64]| median(values.iter().copied());
        let banner = &contender.server.banner;
        Self {
            name: contender.name,
            server: format!("{} {}", banner.name, banner.version),
            threads: look.threads,
            nodelay: look.nodelay,
            cost: all(&figures.costs),
            ours: median(ours.iter().zip(&figures.costs).map(|(ours, cost)| ours / cost)),
            p50_us: median(figures.latencies.iter().map(|latency| latency.p50_us)),
            p99_us: median(figures.latencies.iter().map(|latency| latency.p99_us)),
            rate: all(&figures.rates),
            bytes: look.bytes,
            busy: median(figures.costs.iter().zip(&figures.rates).map(|(cost, rate)| cost * rate / 1e6)),
            load_busy: all(&figures.load_busy),
            disturbed: all(&figures.disturbed),
        }
    }
}

/// All tables, with what is to be known to read them. Nothing, if there are none.
pub(in crate::wires) fn text(tables: &[Table], gaps: &[String]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "\n## Beside others\n\n\
         The same question to servers of somebody else, in the same run: all on the same core in turn, the load on the other. The CPU is that of \
         all threads of the server's process. *Polywire to it* is our CPU per call divided by the server's, round by round: below 1 ours is cheaper.\n\n\
         - **REST.** The load is polywire's own client, which looks at every answer. axum has a handler with typed JSON in and out \
         that keeps the same contract: `bytes` are base64, 64-bit numbers are texts; its answers are polywire's to the byte. nginx answers with a \
         constant from its configuration: no JSON, no handler, the floor. nginx adds its name. Over HTTP/2 it \
         answers when it has the head and resets the stream, since the body has not come yet.\n\
         - **WebSocket, JSON.** The load is a plain client that sends all servers the same text and compares all that comes back. axum and Node.js \
         parse it, decode the payload, encode it and answer with the same text as polywire. Polywire sends a second text after it, which says how \
         the call ended. Polywire writes the answers to all that it has read at once; the others write each by itself, as one does who calls `send`.\n\
         - **WebSocket, others.** *Sent back unread* is an echo without JSON, the floor; the request that it sends back is longer than an answer. \
         *Native frames* have polywire's client as their load.\n\
         - axum and polywire run on one thread with the same allocator and build profile. Node.js has more threads than the one that runs the script, for \
         its compiler and its collector.\n\n",
    );
    for gap in gaps {
        let _ = writeln!(out, "Not measured: {gap}\n");
    }
    let mut servers: Vec<_> = tables.iter().flat_map(|table| &table.rows).collect();
    servers.sort_by_key(|row| &row.server);
    servers.dedup_by_key(|row| &row.server);
    out += "| server | threads | TCP_NODELAY |\n|---|--:|---|\n";
    for row in servers {
        let nodelay = row.nodelay.map_or("not seen", |nodelay| if nodelay { "on" } else { "off" });
        let _ = writeln!(out, "| {} | {} | {nodelay} |", row.server, row.threads);
    }
    for table in tables {
        let _ = writeln!(out, "\n### {}\n", table.title);
        out += "| server | CPU µs per call | Polywire to it | p50 µs | p99 µs | calls per second | bytes there | bytes back | server busy | client busy | disturbed |\n\
                |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
        for row in &table.rows {
            let _ = writeln!(
                out,
                "| {} | {} | {:.2} | {} | {} | {:.0} | {} | {} | {:.0} % | {:.0} % | {:.0} % |",
                row.name,
                number(row.cost),
                row.ours,
                number(row.p50_us),
                number(row.p99_us),
                row.rate,
                number(row.bytes.0),
                number(row.bytes.1),
                row.busy * 100.0,
                row.load_busy * 100.0,
                row.disturbed * 100.0,
            );
        }
    }
    out
}
