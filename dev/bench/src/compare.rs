//! Runs a case on all programs in turn, several rounds, and says how they compare.

use std::{io, path::Path, time::Duration};

use crate::{
    cases::{Case, Measured},
    load::{Idle, Latency, Load, Run},
    process::{self, Server},
};

/// What one program showed in one case.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Figures {
    pub(crate) name: String,
    /// CPU microseconds for each operation, or bytes of memory, in each round.
    pub(crate) costs: Vec<f64>,
    /// Operations per second in each round.
    pub(crate) rates: Vec<f64>,
    pub(crate) latencies: Vec<Latency>,
    /// How busy the program and the load generator were, from 0 to 1.
    pub(crate) busy: Vec<f64>,
    pub(crate) load_busy: Vec<f64>,
}

/// A case with the figures of all programs.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) marks: Option<crate::cases::Marks>,
    pub(crate) figures: Vec<Figures>,
    /// What the case needs to be read: the rate it ran at, say.
    pub(crate) note: Option<String>,
}

/// How long and how often.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Effort {
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    /// The share of its connections that a memory case opens.
    pub(crate) connections: f64,
}

/// The programs that are compared.
pub(crate) struct Programs<'a> {
    pub(crate) servers: &'a [Server],
    pub(crate) server_paths: &'a [std::path::PathBuf],
    /// Names and paths.
    pub(crate) clients: &'a [(String, std::path::PathBuf)],
}

impl Effort {
    /// Runs `case` with all programs.
    ///
    /// # Errors
    ///
    /// When any answer is wrong.
    pub(crate) fn compare(&self, case: &Case, programs: &Programs<'_>) -> io::Result<Comparison> {
        let mut note = None;
        let figures = match &case.measured {
            Measured::ServerCpu(load) => self.server_cpu(load, programs.servers)?,
            Measured::LatencyAtRate { load, share } => {
                let rate = share * self.slowest(load, programs.servers)?;
                note = Some(format!("{rate:.0} calls/s"));
                let load = Load { per_second: Some(rate), ..*load };
                self.server_cpu(&load, programs.servers)?
            }
            Measured::ClientCpu { in_flight } => {
                let server = programs.servers.first().ok_or_else(|| io::Error::other("no server"))?;
                note = Some(format!("against the {} server", server.name()));
                self.client_cpu(*in_flight, server, programs.clients)?
            }
            Measured::IdleMemory { connections } => {
                let connections = (*connections as f64 * self.connections) as usize;
                note = Some(format!("{connections} connections; after one call each, before it in brackets"));
                self.idle_memory(connections, programs.server_paths)?
            }
        };
        Ok(Comparison { name: case.name, title: case.title.clone(), marks: case.marks, figures, note })
    }

    fn server_cpu(&self, load: &Load, servers: &[Server]) -> io::Result<Vec<Figures>> {
        let mut figures: Vec<_> = servers.iter().map(|server| Figures::new(server.name())).collect();
        for round in 0..self.rounds {
            for place in in_turn(servers.len(), round) {
                let (server, figures) = (&servers[place], &mut figures[place]);
                let (run, cpu_ns, load_ns) = measure(load, server, self.seconds)?;
                figures.costs.push(cpu_ns as f64 / 1e3 / run.operations.max(1) as f64);
                figures.rates.push(run.operations as f64 / run.seconds);
                figures.latencies.push(run.latency);
                figures.busy.push(cpu_ns as f64 / 1e9 / run.seconds);
                figures.load_busy.push(load_ns as f64 / 1e9 / run.seconds);
            }
        }
        Ok(figures)
    }

    /// What the slowest server can do, in operations per second.
    fn slowest(&self, load: &Load, servers: &[Server]) -> io::Result<f64> {
        // The slow calls of the measured load would hold up a closed loop.
        let work = crate::load::Work::Echo { bytes: 16 };
        let load = Load { work, ..*load };
        let mut slowest = f64::INFINITY;
        for server in servers {
            let (run, ..) = measure(&load, server, self.seconds)?;
            slowest = slowest.min(run.operations as f64 / run.seconds);
        }
        Ok(slowest)
    }

    fn client_cpu(
        &self,
        in_flight: usize,
        server: &Server,
        clients: &[(String, std::path::PathBuf)],
    ) -> io::Result<Vec<Figures>> {
        let mut figures: Vec<_> = clients.iter().map(|(name, _)| Figures::new(name)).collect();
        for round in 0..self.rounds {
            for place in in_turn(clients.len(), round) {
                let (figures, path) = (&mut figures[place], &clients[place].1);
                let report = process::run_client(path, server.banner.address, in_flight, self.seconds)?;
                if report.threads != 1 {
                    return Err(io::Error::other(format!("{} has {} threads", figures.name, report.threads)));
                }
                figures.costs.push(report.cpu_ns as f64 / 1e3 / report.calls.max(1) as f64);
                figures.rates.push(report.calls as f64 / self.seconds);
                figures.busy.push(report.cpu_ns as f64 / 1e9 / self.seconds);
                figures.latencies.push(Latency {
                    p50_us: report.p50_ns as f64 / 1e3,
                    p99_us: report.p99_ns as f64 / 1e3,
                    p999_us: report.p999_ns as f64 / 1e3,
                    max_us: 0.0,
                    count: report.calls,
                });
            }
        }
        Ok(figures)
    }

    /// Costs are bytes after a call, rates bytes before it.
    fn idle_memory(&self, connections: usize, paths: &[std::path::PathBuf]) -> io::Result<Vec<Figures>> {
        paths.iter().map(|path| idle_memory(connections, path)).collect()
    }
}

impl Figures {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            costs: Vec::new(),
            rates: Vec::new(),
            latencies: Vec::new(),
            busy: Vec::new(),
            load_busy: Vec::new(),
        }
    }

    pub(crate) fn cost(&self) -> f64 {
        median(self.costs.iter().copied())
    }

    pub(crate) fn rate(&self) -> f64 {
        median(self.rates.iter().copied())
    }

    /// The median over rounds of a percentile.
    pub(crate) fn latency(&self, of: impl Fn(&Latency) -> f64) -> f64 {
        median(self.latencies.iter().map(of))
    }
}

impl Comparison {
    /// The first program, which the others are there to be compared with.
    pub(crate) fn subject(&self) -> Option<&Figures> {
        self.figures.first().filter(|figures| figures.name == "polywire")
    }

    /// The better of the peers.
    pub(crate) fn better_peer(&self) -> Option<&Figures> {
        let peers = self.figures.iter().filter(|figures| figures.name != "polywire");
        peers.min_by(|one, another| one.cost().total_cmp(&another.cost()))
    }

    /// The median over rounds of subject to better peer.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (subject, peer) = (self.subject()?, self.better_peer()?);
        Some(median(subject.costs.iter().zip(&peer.costs).map(|(subject, peer)| subject / peer)))
    }
}

fn measure(load: &Load, server: &Server, seconds: f64) -> io::Result<(Run, u64, u64)> {
    let mut marks = Vec::new();
    let mut trouble = None;
    let run = load.run(server.banner.address, Duration::from_secs_f64(seconds), &mut || match (
        server.cpu_ns(),
        process::own_cpu_ns(),
    ) {
        (Ok(server), Ok(own)) => marks.push((server, own)),
        (Err(error), _) | (_, Err(error)) => trouble = Some(error),
    });
    let run = run.map_err(|error| io::Error::other(format!("{}: {error}", server.name())))?;
    match (trouble, marks.as_slice()) {
        (None, [before, after]) => Ok((run, after.0 - before.0, after.1 - before.1)),
        (trouble, _) => Err(trouble.unwrap_or_else(|| io::Error::other("a run has a beginning and an end"))),
    }
}

fn idle_memory(connections: usize, path: &Path) -> io::Result<Figures> {
    let server = Server::start(path)?;
    // Whatever is set up once has been set up by these.
    let mut first = Idle::connect(server.banner.address, connections.div_ceil(20))?;
    first.call_once()?;
    let base = server.memory_bytes()?;
    let each = |bytes: u64| bytes.saturating_sub(base) as f64 / connections as f64;
    let mut idle = Idle::connect(server.banner.address, connections)?;
    let before_call = each(server.memory_bytes()?);
    idle.call_once()?;
    let after_call = each(server.memory_bytes()?);
    Ok(Figures { costs: vec![after_call], rates: vec![before_call], ..Figures::new(server.name()) })
}

/// The order of a round: another begins each time, so that none always follows the same.
pub(crate) fn in_turn(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &str, costs: &[f64]) -> Figures {
        Figures { costs: costs.to_vec(), ..Figures::new(name) }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_against_the_better_peer() {
        let comparison = Comparison {
            name: "case",
            title: "case".into(),
            marks: None,
            figures: vec![
                figures("polywire", &[1.0, 2.0, 9.0]),
                figures("tonic", &[4.0, 4.0, 4.0]),
                figures("connectrpc", &[3.0, 5.0, 5.0]),
            ],
            note: None,
        };
        assert_eq!(comparison.ratio(), Some(0.5));
    }

    #[test]
    fn every_program_begins_a_round_in_its_turn() {
        assert_eq!(in_turn(3, 1).collect::<Vec<_>>(), [1, 2, 0]);
    }
}
