//! h2spec judges our HTTP/2 server, h2specd our client.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::process::Command;

use crate::{
    certificates::Certificates,
    peers::{Peer, Workshop},
    process::{self, Ended, Program},
    skips::Skips,
    table::{Count, Outcome, Table},
};

/// Without `--tls`, `--plain` and `--strict`: all cases, the strict ones too, over plaintext and then over TLS.
///
/// Two servers are judged: `http2_server`, which answers every request with a body, and `interop_server`, the gRPC server as
/// users have it, which answers what is not gRPC with 415. Over TLS it speaks all wires. In the clear it is told to speak HTTP/2
/// alone: h2spec expects of every port that it takes a wrong preface for broken HTTP/2, and a port that speaks HTTP/1.1 beside
/// it answers that with 400 (RFC 9112 §2.2).
#[derive(Args, Debug)]
pub(crate) struct ServerOptions {
    /// Only over TLS
    #[arg(long)]
    tls: bool,
    /// Only over plaintext
    #[arg(long, conflicts_with = "tls")]
    plain: bool,
    /// The strict cases too (they are unless --tls or --plain is given)
    #[arg(long)]
    strict: bool,
    /// Another server: a command in which {port} is replaced
    #[arg(long)]
    server: Option<String>,
    /// Only these sections, such as http2/6.9 or hpack
    sections: Vec<String>,
}

/// h2specd knows one way.
#[derive(Args, Debug)]
pub(crate) struct ClientOptions {
    /// Another client: a command behind which the URL is put
    #[arg(long)]
    client: Option<String>,
    /// Only these sections
    sections: Vec<String>,
}

/// Runs h2spec over what was asked for. Whether all is as expected.
pub(crate) async fn judge_server(options: ServerOptions) -> Result<bool, String> {
    let workshop = Workshop::open()?;
    let skips = Skips::read()?;
    workshop.install(Peer::Go).await?;
    let certificates = Certificates::make(&workshop.folder("certificates"))?;
    let transports: &[bool] = match (options.plain, options.tls) {
        (true, _) => &[false],
        (_, true) => &[true],
        _ => &[false, true],
    };
    let strict = options.strict || transports.len() == 2;
    let mut count = Count::default();
    for &tls in transports {
        let servers: &[&str] = if options.server.is_some() { &["given"] } else { &["http2_server", "interop_server"] };
        for &name in servers {
            let port = process::free_port()?;
            let server = match &options.server {
                Some(line) => words(&line.replace("{port}", &port.to_string()))?,
                None => {
                    let mut server = workshop.ours(name);
                    server.arg(format!("--port={port}")).arg(format!("--use_tls={tls}"));
                    server.arg(format!("--tls_cert_file={}", certificates.server().display()));
                    server.arg(format!("--tls_key_file={}", certificates.server_key().display()));
                    if name == "interop_server" && !tls {
                        server.arg("--http2_only");
                    }
                    server
                }
            };
            let mut server = Program::serve(server, port, &workshop.log(&format!("h2spec-{name}"))).await?;
            let mut judge = workshop.go("h2spec");
            judge.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-o", "2"]);
            if tls {
                judge.args(["-t", "-k"]);
            }
            if strict {
                judge.arg("-S");
            }
            judge.args(&options.sections);
            let title = format!(
                "h2spec, {name} over {}{}",
                if tls { "TLS" } else { "plaintext" },
                if strict { ", strict" } else { "" }
            );
            count.add(report(&title, judge, &skips, "h2spec").await);
            if !server.is_alive() {
                return Err(format!("the server died: {}", server.last_words()));
            }
        }
    }
    Ok(count.close())
}

/// Runs h2specd. Whether all is as expected.
pub(crate) async fn judge_client(options: ClientOptions) -> Result<bool, String> {
    let workshop = Workshop::open()?;
    let skips = Skips::read()?;
    workshop.install(Peer::Go).await?;
    let client = match &options.client {
        Some(line) => line.clone(),
        None => workshop.ours("http2_client").as_std().get_program().to_string_lossy().into_owned(),
    };
    let mut judge = workshop.go("h2specd");
    // One listener a case, from this port up. The range lies below the one that outgoing connections take theirs from.
    judge.args(["-f", &CLIENT_PORTS_FROM.to_string(), "-e", &client, "-o", "2"]).args(&options.sections);
    Ok(report("h2specd", judge, &skips, "h2specd").await.close())
}

/// Runs one judge, prints what it found, and counts it.
async fn report(title: &str, judge: Command, skips: &Skips, suite: &str) -> Count {
    let started = Instant::now();
    let ended = process::run(judge, LIMIT).await;
    println!("{title}, {:.1} s", started.elapsed().as_secs_f32());
    let (mut count, failures) = match ended.and_then(|ended| Verdict::read(&ended)) {
        Ok(verdict) => (verdict.count, verdict.failures),
        Err(why) => {
            println!("FAIL {why}");
            return Count { failed: 1, ..Count::default() };
        }
    };
    let mut table = Table::default();
    for failure in &failures {
        let skip = skips.find(suite, "-", "-", &failure.name);
        if skip.is_some() {
            count.failed -= 1;
            count.skipped += 1;
        }
        table.put(suite, &failure.name, Outcome::Failed(failure.why.clone()).judged(skip));
    }
    table.print_reasons();
    println!("{} passed, {} failed, {} skipped here", count.passed, count.failed, count.skipped);
    count
}

/// What h2spec said.
struct Verdict {
    count: Count,
    failures: Vec<Failure>,
}

/// One case that failed.
struct Failure {
    /// As in the list of skips: `http2/5.1.1/2`.
    name: String,
    why: String,
}

impl Verdict {
    /// Reads the text form, since the other one is not always well-formed.
    fn read(ended: &Ended) -> Result<Self, String> {
        let closing = ended.output.lines().rev().find(|line| line.contains(" tests, "));
        let numbers: Vec<usize> = closing
            .map(|line| line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        let &[_, passed, skipped, failed] = numbers.as_slice() else {
            return Err(format!("no result: {}", ended.complaint()));
        };
        let mut failures: Vec<Failure> = Vec::new();
        let (mut group, mut section) = ("", String::new());
        for line in ended.output.lines().skip_while(|line| !line.starts_with("Failures:")) {
            let text = line.trim();
            group = match () {
                () if line.starts_with("Generic") => "generic",
                () if line.starts_with("Hypertext") => "http2",
                () if line.starts_with("HPACK") => "hpack",
                () => group,
            };
            if let Some((number, description)) = text.strip_prefix('×').and_then(|rest| rest.trim().split_once(": ")) {
                failures.push(Failure { name: format!("{group}/{section}/{number}"), why: description.to_owned() });
            } else if let Some((number, _)) =
                text.split_once(". ").filter(|(n, _)| n.starts_with(|c: char| c.is_ascii_digit()))
            {
                section = number.to_owned();
            } else if let (Some(seen), Some(last)) = (text.strip_prefix("Actual: "), failures.last_mut()) {
                last.why = format!("{}; seen: {seen}", last.why);
            }
        }
        Ok(Self { count: Count { passed, failed, skipped }, failures })
    }
}

fn words(line: &str) -> Result<Command, String> {
    let mut words = line.split_whitespace();
    let mut command = process::command(words.next().ok_or("an empty command")?);
    command.args(words);
    Ok(command)
}

/// A whole run needs 5 s with a good server and 200 s with a slow one; some servers hang it for ever.
const LIMIT: Duration = Duration::from_secs(300);
const CLIENT_PORTS_FROM: u16 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_named_by_group_section_and_number() {
        let output = "Generic\n  × 9: not yet\nFailures: \n\nHypertext Transfer Protocol\n  5. Streams\n    5.1. States\n      \
                      × 8: closed: DATA\n        -> must\n             Actual: Timeout\n      5.1.1. Identifiers\n        × 2: \
                      smaller\n\n3 tests, 1 passed, 0 skipped, 2 failed\n";
        let verdict = Verdict::read(&Ended { status: None, output: output.into() }).expect("a closing line");
        let names: Vec<_> = verdict.failures.iter().map(|failure| failure.name.as_str()).collect();
        assert_eq!(names, ["http2/5.1/8", "http2/5.1.1/2"]);
        assert_eq!(verdict.failures[0].why, "closed: DATA; seen: Timeout");
        assert_eq!((verdict.count.passed, verdict.count.failed), (1, 2));
    }
}
