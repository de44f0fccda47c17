//! The processes under test: started, pinned, and looked at from outside.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::{
    net::sockopt,
    process::{ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
    thread::{CpuSet, sched_setaffinity},
};

/// Where the process under test runs.
pub(crate) const SUBJECT_CORE: usize = 0;
/// Where everything that stands around it runs.
pub(crate) const OTHER_CORE: usize = 1;

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) banner: Banner,
}

/// What a server says of itself when it is up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(crate) struct Banner {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) address: SocketAddr,
    pub(crate) opt_level: String,
    pub(crate) profile: String,
}

/// What a measured client prints.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct ClientReport {
    pub(crate) calls: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) threads: usize,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
}

impl Server {
    /// Starts `program` on the subject's core and waits for its line.
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        let mut child =
            on_core(SUBJECT_CORE, || Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())?;
        let stdout = child.stdout.take().expect("standard output was asked for");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let banner = serde_json::from_str(&line)
            .map_err(|error| io::Error::other(format!("{} said {line:?}: {error}", program.display())))?;
        Ok(Self { child, banner })
    }

    pub(crate) fn name(&self) -> &str {
        &self.banner.name
    }

    /// CPU time of all its threads so far, user and system, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(self.proc("task"))? {
            sum += schedstat_ns(&task?.path().join("schedstat"))?;
        }
        Ok(sum)
    }

    pub(crate) fn threads(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.proc("task"))?.count())
    }

    /// Memory of its own that it has touched, in bytes: anonymous pages, shared with nobody.
    pub(crate) fn memory_bytes(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.proc("smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:"));
        let kilobytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("smaps_rollup has no Pss_Anon"))
    }

    /// Whether TCP_NODELAY is set on its end of each connection that came from one of `ports`.
    ///
    /// Asks the socket itself, by a duplicate of the server's descriptor.
    pub(crate) fn nodelay(&self, ports: &[u16]) -> io::Result<bool> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let (mut found, mut all_set) = (0, true);
        for entry in fs::read_dir(self.proc("fd"))? {
            let entry = entry?;
            let is_socket = fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
            let number: Option<ForeignRawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let (true, Some(number)) = (is_socket, number) else { continue };
            let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
            let peer = rustix::net::getpeername(&socket).ok().flatten();
            let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) else { continue };
            if ports.contains(&peer.port()) {
                found += 1;
                all_set &= sockopt::tcp_nodelay(&socket)?;
            }
        }
        if found == ports.len() {
            Ok(all_set)
        } else {
            Err(io::Error::other(format!("{found} of {} sockets found in the server", ports.len())))
        }
    }

    /// Whether its executable contains `text`: a symbol, say.
    pub(crate) fn contains(&self, text: &str) -> io::Result<bool> {
        let program = fs::read(self.proc("exe"))?;
        Ok(program.windows(text.len()).any(|window| window == text.as_bytes()))
    }

    fn proc(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It would end by itself once its standard input closes; there is nothing to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a measured client to its end, on the other core.
pub(crate) fn run_client(
    program: &Path,
    address: SocketAddr,
    in_flight: usize,
    seconds: f64,
) -> io::Result<ClientReport> {
    let output = on_core(OTHER_CORE, || {
        Command::new(program)
            .args([address.to_string(), in_flight.to_string(), seconds.to_string()])
            .stderr(Stdio::inherit())
            .output()
    })?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{} failed: {}", program.display(), output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// CPU time of this thread so far, in nanoseconds.
pub(crate) fn own_cpu_ns() -> io::Result<u64> {
    schedstat_ns(Path::new("/proc/thread-self/schedstat"))
}

/// Puts this thread on a core, for good. Children inherit it.
///
/// # Errors
///
/// When there is no such core: with a single one nothing can be measured.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Calls `spawn` while this thread is on `core`, so that the child stays there.
fn on_core<T>(core: usize, spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    pin(core)?;
    let result = spawn();
    pin(OTHER_CORE)?;
    result
}

/// Exact where /proc/PID/stat counts ticks of 10 ms.
fn schedstat_ns(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let first = text.split_ascii_whitespace().next().and_then(|first| first.parse().ok());
    first.ok_or_else(|| io::Error::other(format!("{} holds {text:?}", path.display())))
}
