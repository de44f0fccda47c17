//! Programs that are run under a time limit and never outlive their owner.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

/// A running program. Dropping it kills it together with everything that it started.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// The process group, which has the number of its first process.
    group: Option<u32>,
    log: PathBuf,
}

impl Program {
    /// Starts a program that writes what it says into `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let copy = file.try_clone().map_err(|e| e.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .process_group(0)
            .spawn()
            .map_err(|e| cannot_start(&command, &e))?;
        let group = child.id();
        Ok(Self { child, group, log: log.to_owned() })
    }

    /// Starts a server and waits until `port` accepts connections.
    pub(crate) async fn serve(command: Command, port: u16, log: &Path) -> Result<Self, String> {
        let mut server = Self::start(command, log)?;
        let give_up = Instant::now() + START_LIMIT;
        loop {
            if TcpStream::connect(loopback(port)).await.is_ok() {
                return Ok(server);
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("the server ended at once ({status}): {}", server.last_words()));
            }
            if Instant::now() > give_up {
                return Err(format!("the server did not listen within {} s", START_LIMIT.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The number of the program's process, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether the program still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the program to end, waits a little, and gives back everything it said.
    pub(crate) async fn end(mut self) -> String {
        self.signal("-TERM");
        let _ = timeout(END_LIMIT, self.child.wait()).await;
        self.words()
    }

    /// Everything that the program said until now.
    pub(crate) fn words(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last line with something in it.
    pub(crate) fn last_words(&self) -> String {
        last_line(&self.words())
    }

    fn signal(&self, signal: &str) {
        if let Some(group) = self.group {
            // A group of our own making; the negative number means all of it.
            let _ = std::process::Command::new("kill")
                .args([signal, "--", &format!("-{group}")])
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}

/// How a program ended that was run to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: it was killed because its time was up, or because it said too much.
    pub(crate) status: Option<ExitStatus>,
    /// Both of its outputs.
    pub(crate) output: String,
}

impl Ended {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// One line that says what went wrong.
    pub(crate) fn complaint(&self) -> String {
        let words = telling_line(&self.output);
        match self.status {
            None => format!("time is up: {words}"),
            Some(status) => match status.code() {
                Some(code) => format!("exit {code}: {words}"),
                None => format!("{status}: {words}"),
            },
        }
    }
}

/// Runs a program to its end or until `limit` is over, then kills it with everything that it started.
pub(crate) async fn run(mut command: Command, limit: Duration) -> Result<Ended, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|e| cannot_start(&command, &e))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let group = child.id();
    let mut program = Program { child, group, log: PathBuf::new() };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = timeout(limit, async {
        // Both outputs are read up to a bound, so that a program gone wild does not fill the memory.
        tokio::join!(read_some(stdout, &mut output), read_some(stderr, &mut errors));
        program.child.wait().await.ok()
    })
    .await
    .unwrap_or(None);
    output.extend(errors);
    Ok(Ended { status, output: String::from_utf8_lossy(&output).into_owned() })
}

/// A command without words yet.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> Result<u16, String> {
    let port = || -> io::Result<u16> { Ok(TcpListener::bind(loopback(0))?.local_addr()?.port()) };
    port().map_err(|e| format!("no free port: {e}"))
}

/// An address on this machine.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

async fn read_some(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let _ = (&mut from).take(OUTPUT_BYTES_MAX).read_to_end(into).await;
    // The rest is read and thrown away: a program whose pipe breaks might end for that reason.
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}

fn cannot_start(command: &Command, error: &io::Error) -> String {
    format!("{} does not start: {error}", command.as_std().get_program().to_string_lossy())
}

fn last_line(text: &str) -> String {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(200).collect()
}

/// The line that names the error if one can be found (Java ends with a stack trace, for example), or else the last one.
fn telling_line(text: &str) -> String {
    let telling = |line: &&str| {
        ["Exception", "Error:", "FATAL", "FAIL", "panicked"].iter().any(|word| line.contains(word))
            && !line.starts_with("at ")
    };
    text.lines()
        .map(str::trim)
        .find(telling)
        .map(|line| line.chars().take(200).collect())
        .unwrap_or_else(|| last_line(text))
}

/// A server that needs longer than this to listen is broken (a Java one needs two seconds).
const START_LIMIT: Duration = Duration::from_secs(20);
/// What a program may still do after it was asked to end.
const END_LIMIT: Duration = Duration::from_secs(3);
/// What is kept of a program's words.
const OUTPUT_BYTES_MAX: u64 = 4 << 20;
