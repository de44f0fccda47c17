//! The processes under test: started, pinned, and looked at from outside.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
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

/// What every connection is set to: the one that is always there, allowed to everybody, and does not pace. A system whose
/// default paces (BBR does) would make the timers of the pacing, an interrupt each, the figure for large messages.
pub(crate) const CONGESTION_CONTROL: &str = "reno";

/// How a connection's socket is set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct SocketSetup {
    pub(crate) nodelay: bool,
    pub(crate) congestion: String,
}

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

impl SocketSetup {
    fn of(socket: &OwnedFd) -> io::Result<Self> {
        Ok(Self { nodelay: sockopt::tcp_nodelay(socket)?, congestion: sockopt::tcp_congestion(socket)? })
    }
}

impl Server {
    /// Starts `program` on the subject's core and waits for its line.
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        Self::start_with(program, &[])
    }

    /// The same, with arguments.
    pub(crate) fn start_with(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        let mut child = on_core(SUBJECT_CORE, || {
            Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        })?;
        let stdout = child.stdout.take().expect("standard output was asked for");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let banner = serde_json::from_str(&line)
            .map_err(|error| io::Error::other(format!("{} said {line:?}: {error}", program.display())))?;
        Self::settled(child, banner)
    }

    /// Starts a program that says nothing of itself, and waits until it takes a connection where `banner` says.
    ///
    /// # Errors
    ///
    /// When it ends, or takes none for so long.
    pub(crate) fn start_silent(
        program: &Path,
        arguments: &[&str],
        banner: Banner,
        patience: Duration,
    ) -> io::Result<Self> {
        let mut child = on_core(SUBJECT_CORE, || Command::new(program).args(arguments).stdin(Stdio::piped()).spawn())?;
        let start = Instant::now();
        while let Err(error) = TcpStream::connect(banner.address) {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("{} ended with {status}", program.display())));
            }
            if start.elapsed() > patience {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Self::settled(child, banner)
    }

    /// What a listening socket is set to, the accepted ones are.
    fn settled(child: Child, banner: Banner) -> io::Result<Self> {
        set_congestion_control(&child, |socket| sockopt::socket_acceptconn(socket).unwrap_or(false))?;
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

    /// How long it has waited for its core so far because something else ran there, in nanoseconds.
    pub(crate) fn waited_ns(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.proc("schedstat"))?;
        let second = text.split_ascii_whitespace().nth(1).and_then(|second| second.parse().ok());
        second.ok_or_else(|| io::Error::other(format!("schedstat holds {text:?}")))
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

    /// How its ends of the connections that came from `ports` are set, asked of the sockets themselves, by duplicates of
    /// the server's descriptors. `None` where the system does not let a parent look.
    ///
    /// # Errors
    ///
    /// When there is not one socket for each port.
    pub(crate) fn sockets(&self, ports: &[u16]) -> io::Result<Option<Vec<SocketSetup>>> {
        let sockets = match sockets_of(&self.child) {
            Ok(sockets) => sockets,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut setups = Vec::new();
        for socket in sockets {
            let peer = rustix::net::getpeername(&socket).ok().flatten();
            if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok())
                && ports.contains(&peer.port())
            {
                setups.push(SocketSetup::of(&socket)?);
            }
        }
        if setups.len() == ports.len() {
            Ok(Some(setups))
        } else {
            Err(io::Error::other(format!("{} of {} sockets found in the server", setups.len(), ports.len())))
        }
    }

    /// How all its connections are set. `None` where the system does not let a parent look.
    pub(crate) fn connected(&self) -> io::Result<Option<Vec<SocketSetup>>> {
        let sockets = match sockets_of(&self.child) {
            Ok(sockets) => sockets,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error),
        };
        let connected = sockets.iter().filter(|socket| rustix::net::getpeername(socket).is_ok());
        connected.map(SocketSetup::of).collect::<io::Result<_>>().map(Some)
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
    let arguments = [address.to_string(), in_flight.to_string(), seconds.to_string()];
    let child = on_core(OTHER_CORE, || Command::new(program).args(arguments).stdout(Stdio::piped()).spawn())?;
    // It connects first, then warms up: there is time to find the socket.
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(1));
        if set_congestion_control(&child, |socket| rustix::net::getpeername(socket).is_ok())? {
            break;
        }
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{} failed: {}", program.display(), output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// Sets the congestion control of the sockets that `is_meant`, and says whether there were any; or nothing needs to be
/// done, because the system does not let us look.
fn set_congestion_control(child: &Child, is_meant: impl Fn(&OwnedFd) -> bool) -> io::Result<bool> {
    let sockets = match sockets_of(child) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(true),
        sockets => sockets?,
    };
    let mut any = false;
    for socket in sockets.iter().filter(|socket| is_meant(socket)) {
        sockopt::set_tcp_congestion(socket, CONGESTION_CONTROL)?;
        any = true;
    }
    Ok(any)
}

/// Duplicates of a child's TCP sockets.
fn sockets_of(child: &Child) -> io::Result<Vec<OwnedFd>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut sockets = Vec::new();
    for entry in fs::read_dir(Path::new("/proc").join(child.id().to_string()).join("fd"))? {
        let entry = entry?;
        let is_socket = fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let number: Option<ForeignRawFd> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (true, Some(number)) = (is_socket, number) {
            let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
            if sockopt::tcp_nodelay(&socket).is_ok() {
                sockets.push(socket);
            }
        }
    }
    Ok(sockets)
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
