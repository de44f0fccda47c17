//! What an attack does to the server: memory, processor time, and what new clients feel.

use std::{
    fs,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::frames::*;
use crate::process::loopback;

/// The worst that was seen.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Damage {
    /// How much the resident memory grew at most, in bytes.
    pub(super) growth_bytes: u64,
    /// Processor time of the server.
    pub(super) cpu: Duration,
    /// The slowest new connection until its PING was answered.
    pub(super) slowest_probe: Duration,
    pub(super) probes: u32,
    pub(super) probes_failed: u32,
}

/// Watches until `over` says so, and once more after that.
pub(super) async fn watch(process: u32, port: u16, over: watch::Receiver<bool>) -> Damage {
    let before = resident_bytes(process).unwrap_or(0);
    let cpu_before = cpu(process).unwrap_or_default();
    let mut damage = Damage::default();
    loop {
        let last = *over.borrow();
        let started = Instant::now();
        damage.probes += 1;
        if timeout(PROBE_LIMIT, probe(port)).await.is_ok_and(|answered| answered.is_ok()) {
            damage.slowest_probe = damage.slowest_probe.max(started.elapsed());
        } else {
            damage.slowest_probe = damage.slowest_probe.max(PROBE_LIMIT);
            damage.probes_failed += 1;
        }
        for _ in 0..5 {
            damage.growth_bytes = damage.growth_bytes.max(resident_bytes(process).unwrap_or(0).saturating_sub(before));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if last {
            damage.cpu = cpu(process).unwrap_or_default().saturating_sub(cpu_before);
            return damage;
        }
    }
}

/// A new connection whose PING is answered.
pub(super) async fn probe(port: u16) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(loopback(port)).await?;
    socket.set_nodelay(true)?;
    let mut out = PREFACE.to_vec();
    frame(&mut out, SETTINGS, 0, 0, &[]);
    frame(&mut out, PING, 0, 0, b"a probe!");
    socket.write_all(&out).await?;
    let mut head = [0; 9];
    loop {
        socket.read_exact(&mut head).await?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        socket.read_exact(&mut payload).await?;
        if head[3] == PING && head[4] & ACK != 0 && payload == b"a probe!" {
            return Ok(());
        }
    }
}

fn resident_bytes(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// User and system time; the kernel counts in hundredths of a second.
fn cpu(process: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program may hold spaces, so counting starts behind its bracket.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// A probe that takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
