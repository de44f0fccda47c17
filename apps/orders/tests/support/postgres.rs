//! A PostgreSQL server of our own, for as long as the tests run.
//!
//! The server is found on the search path or where Debian puts it, gets a fresh cluster in a temporary directory and listens
//! on a Unix socket there and nowhere else. PostgreSQL refuses to run as root; then it runs as `postgres` or `nobody`.
//!
//! Set `ORDERS_TEST_POSTGRES` to `required` to make a missing server a failure instead of a skipped test.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Why there is no server.
#[derive(Debug, Clone)]
pub struct Skipped(String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The URL of an empty database which nobody else uses.
pub fn fresh_database() -> Result<String, Skipped> {
    static SERVER: OnceLock<Result<Server, Skipped>> = OnceLock::new();
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(Server::start).as_ref().map_err(Clone::clone)?;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    server.run(
        "psql",
        &["-h", server.socket(), "-U", "shop", "-d", "postgres", "-qc", &format!("CREATE DATABASE {name}")],
    )?;
    Ok(format!("postgres:///{name}?host={}&user=shop&sslmode=disable", server.socket()))
}

/// Says on the terminal that a test did nothing, past the test harness, which would swallow it.
pub fn report(test: &str, skipped: &Skipped) {
    assert!(
        std::env::var_os("ORDERS_TEST_POSTGRES").is_none_or(|wanted| wanted != "required"),
        "{test} needs PostgreSQL: {skipped}"
    );
    let line = format!("skipped on PostgreSQL: {test}: {skipped}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
}

struct Server {
    binaries: PathBuf,
    directory: PathBuf,
    user: Option<(u32, u32)>,
    /// A shell waits until this is closed, which happens when this process ends, however it does; then it stops the server.
    _lifeline: ChildStdin,
}

impl Server {
    fn start() -> Result<Self, Skipped> {
        let binaries = find_binaries().ok_or_else(|| Skipped("initdb and pg_ctl were not found".into()))?;
        let directory =
            tempfile::tempdir().map_err(|error| Skipped(format!("no temporary directory: {error}")))?.keep();
        let user = unprivileged_user()?;
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid)).map_err(|error| Skipped(format!("chown failed: {error}")))?;
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o711)).unwrap();
        let (cluster, log) = (directory.join("cluster"), directory.join("log"));

        // The shell makes the cluster, starts the server, says so, and waits for the end of its input.
        let script = format!(
            "trap '' INT TERM\n\
             '{bin}/initdb' -D '{cluster}' -U shop -A trust -E UTF8 --no-sync --no-instructions >'{log}' 2>&1 &&\n\
             '{bin}/pg_ctl' -D '{cluster}' -l '{log}' -w -o \"-k '{dir}' -c listen_addresses='' -c fsync=off \
             -c synchronous_commit=off -c full_page_writes=off -c max_connections=300\" start >/dev/null 2>&1 && echo ready || echo failed\n\
             cat >/dev/null\n\
             '{bin}/pg_ctl' -D '{cluster}' -m immediate stop >/dev/null 2>&1\n\
             cd / && rm -rf '{dir}'",
            bin = binaries.display(),
            cluster = cluster.display(),
            log = log.display(),
            dir = directory.display(),
        );
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .current_dir(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        // A Ctrl-C meant for the tests must not reach the shell before it has tidied up.
        command.process_group(0);
        let mut shell = command.spawn().map_err(|error| Skipped(format!("sh did not start: {error}")))?;
        let lifeline = shell.stdin.take().expect("piped above");
        let mut answer = [0; 6];
        let said = shell.stdout.take().expect("piped above").read_exact(&mut answer);
        if said.is_err() || &answer != b"ready\n" {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(Skipped(format!("the server did not start: {}", log.lines().last().unwrap_or("no log"))));
        }
        Ok(Self { binaries, directory, user, _lifeline: lifeline })
    }

    fn socket(&self) -> &str {
        self.directory.to_str().expect("temporary directories have plain names")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), Skipped> {
        let mut command = Command::new(self.binaries.join(program));
        command.args(arguments).current_dir(&self.directory);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let output = command.output().map_err(|error| Skipped(format!("{program} did not start: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Skipped(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }
}

/// The directory of the newest server.
fn find_binaries() -> Option<PathBuf> {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<_> = debian.collect();
    found.sort_by_key(|path| {
        path.components().nth_back(1).and_then(|version| version.as_os_str().to_str()?.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = found.into_iter().rev().chain(std::env::split_paths(&path).collect::<Vec<_>>());
    all.into_iter()
        .find(|directory| ["initdb", "pg_ctl", "psql"].iter().all(|program| directory.join(program).is_file()))
}

/// Whom to become, if we are root.
fn unprivileged_user() -> Result<Option<(u32, u32)>, Skipped> {
    let we = fs::metadata(Path::new("/proc/self")).map_or(1, |metadata| metadata.uid());
    if we != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    for name in ["postgres", "nobody"] {
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
        if let Some([_, _, uid, gid, ..]) = fields.as_deref()
            && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
        {
            return Ok(Some((uid, gid)));
        }
    }
    Err(Skipped("PostgreSQL does not run as root, and there is neither a user postgres nor nobody".into()))
}
