//! HTTP/1.1 over TCP: requests that two readers could understand differently, and clients that are slow on purpose.
//!
//! The requests are those of the engine's own tests (`crates/engine/tests/http1/requests.txt`), here against a server
//! process with its sockets, its reads and its way of closing.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    peers::Workshop,
    process::{self, Program, loopback},
    skips::Skips,
    table::{Count, Outcome},
};

/// Without flags: all cases against `http1_server`, the engine alone, and `interop_server`, a server as users have it.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Another server: a command in which {port} is replaced
    #[arg(long)]
    server: Option<String>,
    /// Leave out the clients that are slow on purpose
    #[arg(long)]
    quick: bool,
}

/// Plays all cases and says how many held.
pub(crate) async fn run(options: Options) -> Result<bool, String> {
    let workshop = Workshop::open()?;
    let skips = Skips::read()?;
    let mut count = Count::default();
    let servers: &[&str] = if options.server.is_some() { &["given"] } else { &["http1_server", "interop_server"] };
    for name in servers {
        let port = process::free_port()?;
        let command = match &options.server {
            Some(line) => {
                let line = line.replace("{port}", &port.to_string());
                let mut words = line.split_whitespace();
                let mut command = process::command(words.next().ok_or("an empty command")?);
                command.args(words);
                command
            }
            None => {
                let mut command = workshop.ours(name);
                command.arg(format!("--port={port}"));
                command
            }
        };
        let mut server = Program::serve(command, port, &workshop.log(&format!("http1-{name}"))).await?;
        let mut judged = Vec::new();
        for case in cases() {
            judged.push((format!("request: {}", case.name), judge(&case, port).await));
        }
        judged.push(("a head far beyond the limit".into(), long_head(port).await));
        judged.push(("pipelined requests, answers unread".into(), unread_answers(port, &server).await));
        if !options.quick {
            judged.push(("fifty heads that trickle".into(), slow_heads(port).await));
            judged.push(("fifty connections that say nothing".into(), silence(port).await));
        }
        let (passed, failed) = (count.passed, count.failed);
        for (case, outcome) in judged {
            match outcome.judged(skips.find("http1", "-", name, &case)) {
                Outcome::Failed(why) => {
                    println!("FAIL {name}: {case}: {why}");
                    count.failed += 1;
                }
                Outcome::Passed => count.passed += 1,
                Outcome::Skipped(why) => {
                    println!("skip {name}: {case}: {why}");
                    count.skipped += 1;
                }
            }
        }
        println!("{name}: {} held, {} did not", count.passed - passed, count.failed - failed);
        if !server.is_alive() {
            return Err(format!("the server died: {}", server.last_words()));
        }
    }
    Ok(count.close())
}

/// One line of the table.
struct Case {
    want: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let table = include_str!("../../../crates/engine/tests/http1/requests.txt");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut parts = line.splitn(3, " | ");
            Some(Case { want: parts.next()?, name: parts.next()?, bytes: unescape(parts.next()?)? })
        })
        .collect()
}

/// Escapes as in Rust.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            },
            byte => byte,
        });
    }
    Some(bytes)
}

/// Another request: what is behind a refused one must never be answered.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn judge(case: &Case, port: u16) -> Outcome {
    let mut said = case.bytes.clone();
    said.extend_from_slice(NEXT);
    let heard = match converse(port, &said).await {
        Ok(heard) => heard,
        Err(why) => return Outcome::Failed(why),
    };
    let statuses = statuses(&heard);
    let right = match case.want {
        "ok" => statuses.len() == 2 && statuses.iter().all(|status| !matches!(status, 400 | 505)),
        "body" => statuses.len() == 1 && statuses[0] >= 400,
        status => statuses.len() == 1 && status.parse() == Ok(statuses[0]),
    };
    if right {
        return Outcome::Passed;
    }
    Outcome::Failed(format!("{} was wanted, but there came {statuses:?}", case.want))
}

/// Says this and hears everything until the server closes.
async fn converse(port: u16, said: &[u8]) -> Result<Vec<u8>, String> {
    let mut socket = TcpStream::connect(loopback(port)).await.map_err(|e| format!("no connection: {e}"))?;
    socket.write_all(said).await.map_err(|e| format!("it does not listen: {e}"))?;
    let mut heard = Vec::new();
    match timeout(ANSWER_MAX, socket.read_to_end(&mut heard)).await {
        Ok(Ok(_)) => Ok(heard),
        Ok(Err(error)) => Err(format!("{error} behind {} bytes", heard.len())),
        Err(_) => Err(format!("the connection stays open behind {:?}", statuses(&heard))),
    }
}

/// The statuses of all final answers.
fn statuses(heard: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(heard);
    let answers = text.match_indices("HTTP/1.1 ").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    answers.filter(|status| *status >= 200).collect()
}

/// A client that still writes while it is refused hears why: the server reads on for a moment, or its system would take
/// the answer back with a reset.
async fn long_head(port: u16) -> Outcome {
    let mut said = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    said.extend(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(20_000));
    for _ in 0..20 {
        match converse(port, &said).await {
            Ok(heard) if statuses(&heard) == [431] => {}
            Ok(heard) => return Outcome::Failed(format!("431 was wanted, but there came {:?}", statuses(&heard))),
            Err(why) => return Outcome::Failed(why),
        }
    }
    Outcome::Passed
}

/// What a server says to a client that asks and asks and never listens: soon it reads no more, and it holds little.
async fn unread_answers(port: u16, server: &Program) -> Outcome {
    let before = server.id().and_then(resident_bytes).unwrap_or(0);
    let Ok(mut socket) = TcpStream::connect(loopback(port)).await else {
        return Outcome::Failed("no connection".into());
    };
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
    let mut said = 0;
    while said < UNREAD_BYTES {
        match timeout(Duration::from_secs(1), socket.write(&requests)).await {
            Ok(Ok(written)) if written > 0 => said += written,
            _ => break,
        }
    }
    let grown = server.id().and_then(resident_bytes).unwrap_or(0).saturating_sub(before);
    if said >= UNREAD_BYTES {
        return Outcome::Failed(format!("it read {said} bytes of requests"));
    }
    if grown > GROWTH_BYTES_MAX {
        return Outcome::Failed(format!("its memory grew by {} MiB", grown >> 20));
    }
    served(port).await
}

/// Heads of which a byte comes now and then.
async fn slow_heads(port: u16) -> Outcome {
    slow(port, b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n").await
}

async fn silence(port: u16) -> Outcome {
    slow(port, b"", b"").await
}

/// Many connections that begin so and go on with `more` each second: all are closed in time, and others are served.
async fn slow(port: u16, first: &'static [u8], more: &'static [u8]) -> Outcome {
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..SLOW_CONNECTIONS {
        tasks.push(tokio::spawn(async move {
            let mut socket = TcpStream::connect(loopback(port)).await.map_err(|e| e.to_string())?;
            socket.write_all(first).await.map_err(|e| e.to_string())?;
            let mut heard = [0; 1024];
            while begin.elapsed() < SLOW_MAX {
                let pause = Duration::from_secs(1);
                match timeout(pause, socket.read(&mut heard)).await {
                    Ok(Ok(0) | Err(_)) => return Ok(()),
                    Ok(Ok(_)) => {}
                    Err(_) => drop(socket.write_all(more).await),
                }
            }
            Err(format!("still open after {} s", SLOW_MAX.as_secs()))
        }));
    }
    let mut outcome = Outcome::Passed;
    while begin.elapsed() < Duration::from_secs(5) {
        outcome = served(port).await;
        if outcome != Outcome::Passed {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    for task in tasks {
        if let Ok(Err(why)) = task.await {
            return Outcome::Failed(why);
        }
    }
    outcome
}

/// Whether a new connection is served at once.
async fn served(port: u16) -> Outcome {
    let begin = Instant::now();
    match converse(port, NEXT).await {
        Ok(heard) if statuses(&heard).len() == 1 && begin.elapsed() < PROBE_MAX => Outcome::Passed,
        Ok(heard) => Outcome::Failed(format!("another client: {:?} after {:?}", statuses(&heard), begin.elapsed())),
        Err(why) => Outcome::Failed(format!("another client: {why}")),
    }
}

fn resident_bytes(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// How long a connection may stay open behind its last answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const PROBE_MAX: Duration = Duration::from_secs(1);
/// Sockets of both sides hold some MiB; nothing reads as much as this.
const UNREAD_BYTES: usize = 64 << 20;
const GROWTH_BYTES_MAX: u64 = 64 << 20;
const SLOW_CONNECTIONS: usize = 50;
/// A little more than the ten seconds a server waits for a head by default.
const SLOW_MAX: Duration = Duration::from_secs(14);
