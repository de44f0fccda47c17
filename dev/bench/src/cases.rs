//! What is measured, and how far it is to come.

use crate::load::{Load, Work};

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What `--case` looks for.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
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
    let row = |name, title, measured, marks| Case { name, title, measured, marks };
    let cpu = |name, title, work, connections, in_flight, first, goal| {
        let load = Load { work, connections, in_flight, per_second: None };
        row(name, title, Measured::ServerCpu(load), Some(Marks { first, goal }))
    };
    let small = Work::Echo { bytes: 16 };
    let large = 64 << 10;
    vec![
        cpu("unary-1x100", "unary 16 B, 1 × 100", small, 1, 100, 0.33, 0.15),
        cpu("unary-50x20", "unary 16 B, 50 × 20", small, 50, 20, 0.33, 0.15),
        row(
            "unary-4x8",
            "unary 16 B, 4 × 8",
            Measured::ServerCpu(Load { work: small, connections: 4, in_flight: 8, per_second: None }),
            None,
        ),
        cpu("unary-100x1", "unary 16 B, 100 × 1", small, 100, 1, 0.65, 0.55),
        cpu("unary-1x1", "unary 16 B, 1 × 1", small, 1, 1, 0.80, 0.70),
        cpu("unary-16k", "unary 16 KiB, 10 × 10", Work::Echo { bytes: 16 << 10 }, 10, 10, 0.50, 0.30),
        cpu("order", "order of 20 lines, 4 × 64", Work::Order, 4, 64, 0.55, 0.40),
        cpu(
            "pull-64",
            "server stream, 64 B messages, 1 × 4",
            Work::Pull { count: 10_000, bytes: 64 },
            1,
            4,
            0.70,
            0.35,
        ),
        cpu(
            "pull-64k",
            "server stream, 64 KiB messages, 1 × 4",
            Work::Pull { count: 100, bytes: large },
            1,
            4,
            0.80,
            0.50,
        ),
        cpu(
            "push-64",
            "client stream, 64 B messages, 4 × 1",
            Work::Push { count: 10_000, bytes: 64 },
            4,
            1,
            0.80,
            0.50,
        ),
        cpu(
            "push-64k",
            "client stream, 64 KiB messages, 1 × 4",
            Work::Push { count: 100, bytes: large },
            1,
            4,
            0.80,
            0.50,
        ),
        cpu("pingpong", "bidirectional ping-pong, 1 × 64", Work::PingPong { bytes: 16 }, 1, 64, 0.50, 0.25),
        row(
            "client",
            "client CPU per unary call, 1 × 100",
            Measured::ClientCpu { in_flight: 100 },
            Some(Marks { first: 0.50, goal: 0.25 }),
        ),
        row(
            "memory",
            "user memory of an idle connection",
            Measured::IdleMemory { connections: 2_000 },
            Some(Marks { first: 8.0 * 1024.0, goal: 4.0 * 1024.0 }),
        ),
        row(
            "latency",
            "unary 16 B at a fixed rate, 4 connections, 1 % slow calls",
            Measured::LatencyAtRate {
                load: Load {
                    work: Work::EchoSomeSlow { bytes: 16, sleep_us: 20_000 },
                    connections: 4,
                    in_flight: 8,
                    per_second: None,
                },
                share: 0.5,
            },
            None,
        ),
    ]
}
