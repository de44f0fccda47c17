//! The tables of the others, as Markdown.

use std::fmt::Write;

use super::{Contender, Look};
use crate::{
    compare::median,
    wires::{Figures, report::number},
};

/// What was asked, and what all showed.
pub(super) struct Table {
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

/// All tables, with what is to be known to read them.
pub(super) fn text(tables: &[Table], gaps: &[String]) -> String {
    let mut out = String::from(
        "\n## Beside others\n\n\
         The same question to servers of somebody else, in the same run: all on the same core in turn, the load on the other. The CPU is that of \
         all threads of the server's process. *polywire to it* is our CPU per call divided by the server's, round by round: below 1 ours is cheaper.\n\n\
         - **REST.** The load is polywire's own client, which looks at every answer. axum has a handler with typed JSON in and out \
         that keeps the same contract: `bytes` are base64, 64-bit numbers are texts; its answers are those of polywire to the byte. nginx reads the \
         request and answers with a constant: no JSON, no handler, the floor.\n\
         - **WebSocket, JSON.** The load is a plain client that sends all servers the same text and compares all that comes back. axum and Node.js \
         parse it, decode the payload and answer with the same JSON as polywire does. polywire sends a second text, which says how the call \
         ended: that is the difference in the bytes. *Sent back unread*: an echo without JSON, the floor; it sends the request back, which is longer. \
         The row of native frames has the client of polywire as its load, not the plain one.\n\
         - axum and polywire run on one thread with the same allocator and profile. Node.js has threads of its own for its compiler and its collector.\n\n",
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
        out += "| server | CPU µs per call | polywire to it | p50 µs | p99 µs | calls per second | bytes there | bytes back | server busy | client busy | disturbed |\n\
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
