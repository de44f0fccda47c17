//! What is measured, and how far it is to come.

use crate::load::{Load, Work};

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What `--case` looks for.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) measured: Measured,
    /// The ratio to the better peer to reach first, and in the end; bytes where memory is measured.
    pub(crate) marks: Option<Marks>,
}

#[derive(Copy, Clone, Debug, serde::Serialize)]
pub(crate) struct Marks {
    pub(crate) first: f64,
    pub(crate) goal: f64,
}

#[derive(Clone, Debug)]
pub(crate) enum Measured {
    /// CPU time of the server for each operation.
    ServerCpu(Load),
    /// CPU time of the client for each call, all clients against one server.
    ClientCpu { in_flight: usize },
    /// Memory of the server for each connection on which nothing happens.
    IdleMemory { connections: usize },
    /// Latency when calls come at a rate that the slowest server can keep up with: this share of
    /// what it can do.
    LatencyAtRate { load: Load, share: f64 },
}

/// All rows, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    let small = Work::Echo { bytes: 16 };
    let (short, long) = (64, 64 << 10);
    let pull = |count, bytes, by_task| Work::Pull { count, bytes, by_task };
    let push = |count, bytes| Work::Push { count, bytes };
    vec![
        cpu("unary-1x100", "unary 16 B", small, 1, 100).mark(0.33, 0.15),
        cpu("unary-50x20", "unary 16 B", small, 50, 20).mark(0.33, 0.15),
        cpu("unary-4x8", "unary 16 B", small, 4, 8),
        cpu("unary-100x1", "unary 16 B", small, 100, 1).mark(0.65, 0.55),
        cpu("unary-1x1", "unary 16 B", small, 1, 1).mark(0.80, 0.70),
        cpu("unary-16k", "unary 16 KiB", Work::Echo { bytes: 16 << 10 }, 10, 10).mark(0.50, 0.30),
        cpu("order", "order of 20 lines, 1.9 KB, read field by field", Work::Order, 4, 64).mark(0.55, 0.40),
        cpu("pull-64", "server stream, 64 B messages", pull(10_000, short, false), 1, 4).mark(0.70, 0.35),
        cpu("pull-64-task", "the same, the peers' from a task", pull(10_000, short, true), 1, 4),
        cpu("pull-64k", "server stream, 64 KiB messages", pull(100, long, false), 1, 4).mark(0.80, 0.50),
        cpu("push-64", "client stream, 64 B messages", push(10_000, short), 4, 1).mark(0.80, 0.50),
        cpu("push-64k", "client stream, 64 KiB messages", push(100, long), 1, 4).mark(0.80, 0.50),
        cpu("pingpong", "bidirectional ping-pong", Work::PingPong { bytes: 16 }, 1, 64).mark(0.50, 0.25),
        row("client", "client, unary 16 B, 1 × 100", Measured::ClientCpu { in_flight: 100 }).mark(0.50, 0.25),
        row("memory", "user memory of an idle connection", Measured::IdleMemory { connections: 2_000 })
            .mark(8.0 * 1024.0, 4.0 * 1024.0),
        row(
            "latency",
            "unary 16 B at a fixed rate on 4 connections, every 100th call's handler sleeps 20 ms",
            at_rate(0.5),
        ),
    ]
}

fn at_rate(share: f64) -> Measured {
    let work = Work::EchoSomeSlow { bytes: 16, sleep_us: 20_000 };
    Measured::LatencyAtRate { load: Load { work, connections: 4, in_flight: 8, per_second: None }, share }
}

/// A row of server CPU; the numbers are connections and calls in flight on each.
fn cpu(name: &'static str, what: &str, work: Work, connections: usize, in_flight: usize) -> Case {
    let load = Load { work, connections, in_flight, per_second: None };
    row(name, &format!("{what}, {connections} × {in_flight}"), Measured::ServerCpu(load))
}

fn row(name: &'static str, title: &str, measured: Measured) -> Case {
    Case { name, title: title.to_owned(), measured, marks: None }
}

impl Case {
    fn mark(mut self, first: f64, goal: f64) -> Self {
        self.marks = Some(Marks { first, goal });
        self
    }
}
