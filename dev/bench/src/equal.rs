//! Whether the servers are set alike, found out from outside: on the wire, in /proc, in the files.

use std::{fs, io, path::Path};

use bench::settings;

use crate::{
    load::{Idle, PeerSettings},
    process::{CONGESTION_CONTROL, Server, SocketSetup},
};

/// What one server runs with.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) wire: PeerSettings,
    /// `None` where the system does not let us look.
    pub(crate) socket: Option<SocketSetup>,
    pub(crate) threads: usize,
    pub(crate) mimalloc: bool,
    pub(crate) opt_level: String,
    pub(crate) profile: String,
}

impl Setup {
    /// Looks at a server. Makes a call first, so that what starts late has started.
    pub(crate) fn of(server: &Server) -> io::Result<Self> {
        let mut idle = Idle::connect(server.banner.address, 4)?;
        idle.call_once()?;
        // All are set alike, or the one that is not is the one to show.
        let sockets = server.sockets(&idle.ports()?)?;
        let socket = sockets.and_then(|sockets| {
            let odd = sockets.iter().find(|socket| **socket != expected_socket());
            odd.or(sockets.first()).cloned()
        });
        Ok(Self {
            name: server.banner.name.clone(),
            version: server.banner.version.clone(),
            wire: idle.server(),
            socket,
            threads: server.threads()?,
            mimalloc: server.contains("mi_malloc")?,
            opt_level: server.banner.opt_level.clone(),
            profile: server.banner.profile.clone(),
        })
    }

    /// What is not as `settings` says, one line each.
    fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut expect = |what: &str, is: String, should: String| {
            if is != should {
                found.push(format!("{}: {what} is {is} and should be {should}", self.name));
            }
        };
        expect("stream window", self.wire.stream_window.to_string(), settings::STREAM_WINDOW_BYTES.to_string());
        expect(
            "connection window",
            self.wire.connection_window.to_string(),
            settings::CONNECTION_WINDOW_BYTES.to_string(),
        );
        expect("largest frame", self.wire.frame_max.to_string(), settings::FRAME_BYTES_MAX.to_string());
        expect("stream limit", format!("{:?}", self.wire.streams_max), format!("{:?}", Some(settings::STREAMS_MAX)));
        expect("header table", self.wire.header_table.to_string(), "4096".into());
        if let Some(socket) = &self.socket {
            expect("its socket", format!("{socket:?}"), format!("{:?}", expected_socket()));
        }
        expect("threads", self.threads.to_string(), "1".into());
        expect("mimalloc", self.mimalloc.to_string(), "true".into());
        expect("opt-level", self.opt_level.clone(), "3".into());
        expect("profile", self.profile.clone(), "release".into());
        found
    }
}

fn expected_socket() -> SocketSetup {
    SocketSetup { nodelay: true, congestion: CONGESTION_CONTROL.into() }
}

/// Everything in which the servers, or the profiles they were built with, differ.
///
/// # Errors
///
/// When the two Cargo.toml files cannot be read.
pub(crate) fn differences(setups: &[Setup]) -> io::Result<Vec<String>> {
    let mut found: Vec<String> = setups.iter().flat_map(Setup::differences).collect();
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (ours, theirs) = (bench.join("../../Cargo.toml"), bench.join("peers/Cargo.toml"));
    let (ours, theirs) = (fs::read_to_string(ours)?, fs::read_to_string(theirs)?);
    if release_profile(&ours) != release_profile(&theirs) {
        found.push(format!(
            "[profile.release] is {:?} here and {:?} for the peers",
            release_profile(&ours),
            release_profile(&theirs)
        ));
    }
    Ok(found)
}

/// The lines of `[profile.release]`, sorted.
fn release_profile(toml: &str) -> Vec<&str> {
    let lines = toml.lines().map(str::trim).skip_while(|line| *line != "[profile.release]").skip(1);
    let mut lines: Vec<_> = lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_compared_by_their_settings_alone() {
        let ours = "[profile.release]\nlto = \"thin\"\n# why\n\ncodegen-units = 4\n[profile.dev]\nlto = false";
        assert_eq!(release_profile(ours), ["codegen-units = 4", "lto = \"thin\""]);
    }
}
