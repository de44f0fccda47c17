//! Known attacks on HTTP/2 servers, played at full size against a fresh process each.
//!
//! A server holds when its memory grows by no more than 64 MiB, new connections are served within a second all the while,
//! and it lives on. Only ever against a server that this program started on the loopback address.

mod frames;
mod plays;
mod watch;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use clap::Args;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, tcp::OwnedReadHalf},
    time::timeout,
};

use self::{
    plays::{Attack, Paths},
    watch::Damage,
};
use crate::{
    peers::Workshop,
    process::{self, Program, loopback},
    skips::Skips,
    table::{Count, Outcome},
};

/// Without flags: all attacks against our server.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only these attacks
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Another server: a command in which {port} is replaced
    #[arg(long)]
    server: Option<String>,
    /// The path of all requests, for a server that has no gRPC test service
    #[arg(long)]
    path: Option<String>,
}

/// Plays the attacks and prints the table. Whether the server withstood all of them.
pub(crate) async fn run(options: Options) -> Result<bool, String> {
    let workshop = Workshop::open()?;
    let skips = Skips::read()?;
    let paths = options.path.as_deref().map_or_else(Paths::of_test_service, Paths::all);
    let mut count = Count::default();
    println!(
        "{:34} {:>7} {:>7} {:>8} {:>7} {:>6}  what the server did",
        "attack", "sent", "+MiB", "probe ms", "cpu s", "s"
    );
    for attack in plays::attacks(&paths) {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == attack.name) {
            continue;
        }
        let name = attack.name;
        let started = Instant::now();
        let outcome = match play_on_fresh_server(attack, &options, &workshop).await {
            Ok((damage, seen, died)) => {
                println!(
                    "{name:34} {:>7} {:>7.1} {:>8} {:>7.2} {:>6.1}  {}",
                    seen.sent,
                    damage.growth_bytes as f64 / f64::from(1 << 20),
                    damage.slowest_probe.as_millis(),
                    damage.cpu.as_secs_f32(),
                    started.elapsed().as_secs_f32(),
                    seen.describe(),
                );
                verdict(&damage, died)
            }
            Err(why) => Outcome::Failed(why),
        };
        match outcome.judged(skips.find("attacks", "-", "-", name)) {
            Outcome::Failed(why) => {
                println!("FAIL {name}: {why}");
                count.failed += 1;
            }
            Outcome::Passed => count.passed += 1,
            Outcome::Skipped(why) => {
                println!("skip {name}: {why}");
                count.skipped += 1;
            }
        }
    }
    Ok(count.close())
}

async fn play_on_fresh_server(
    attack: Attack,
    options: &Options,
    workshop: &Workshop,
) -> Result<(Damage, Seen, Option<String>), String> {
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
            let mut command = workshop.ours("interop_server");
            command.arg(format!("--port={port}"));
            command
        }
    };
    let mut server = Program::serve(command, port, &workshop.log(&format!("attacks-{}", attack.name))).await?;
    // The first connections make a server allocate what it keeps anyway.
    for _ in 0..10 {
        timeout(Duration::from_secs(5), watch::probe(port))
            .await
            .map_err(|_| "no answer before the attack")?
            .map_err(|e| e.to_string())?;
    }
    let process = server.id().ok_or("the server ended before the attack")?;
    let (over, is_over) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(watch::watch(process, port, is_over));
    let seen =
        timeout(ATTACK_LIMIT, play(attack, port)).await.unwrap_or(Ok(Seen { timed_out: true, ..Seen::default() }))?;
    let _ = over.send(true);
    let damage = watching.await.map_err(|e| e.to_string())?;
    let died = (!server.is_alive()).then(|| server.last_words());
    Ok((damage, seen, died))
}

async fn play(attack: Attack, port: u16) -> Result<Seen, String> {
    if attack.spread { play_spread(attack, port).await } else { play_on_one(attack, port).await }
}

async fn play_on_one(mut attack: Attack, port: u16) -> Result<Seen, String> {
    let socket = TcpSocket::new_v4().map_err(|e| e.to_string())?;
    if let Some(bytes) = attack.receive_buffer {
        socket.set_recv_buffer_size(bytes).map_err(|e| e.to_string())?;
    }
    let socket = socket.connect(loopback(port)).await.map_err(|e| format!("cannot connect: {e}"))?;
    let (reading, mut writing) = socket.into_split();
    // An unread half must stay alive, or the kernel would answer in our place.
    let heard = Arc::new(Mutex::new(Seen::default()));
    let (listening, _unread) = match attack.reads {
        true => (Some(tokio::spawn(listen(reading, Arc::clone(&heard)))), None),
        false => (None, Some(reading)),
    };
    let mut seen = Seen::default();
    let mut out = std::mem::take(&mut attack.first);
    for n in 0..attack.times {
        (attack.step)(n, &mut out);
        if out.len() < BATCH_BYTES && n + 1 < attack.times {
            continue;
        }
        match timeout(STALL_LIMIT, writing.write_all(&out)).await {
            Err(_) => {
                seen.stopped_reading = true;
                break;
            }
            Ok(Err(_)) => {
                seen.closed = true;
                break;
            }
            Ok(Ok(())) => seen.sent = n + 1,
        }
        out.clear();
    }
    tokio::time::sleep(attack.hold).await;
    drop(writing);
    if let Some(mut listening) = listening {
        // After our half is closed the server has time to end its own.
        if timeout(END_LIMIT, &mut listening).await.is_err() {
            listening.abort();
        }
        seen.add(&lock(&heard));
    }
    Ok(seen)
}

async fn play_spread(mut attack: Attack, port: u16) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut sockets = Vec::new();
    for n in 0..attack.times {
        let mut out = attack.first.clone();
        (attack.step)(n, &mut out);
        let connected = timeout(STALL_LIMIT, TcpStream::connect(loopback(port))).await;
        let Ok(Ok(mut socket)) = connected else { continue };
        if socket.write_all(&out).await.is_ok() {
            seen.sent += 1;
            sockets.push(socket);
        }
    }
    tokio::time::sleep(attack.hold).await;
    Ok(seen)
}

/// What the attacker saw.
#[derive(Clone, Debug, Default)]
struct Seen {
    sent: u32,
    /// The code of a GOAWAY.
    goaway: Option<u32>,
    closed: bool,
    stopped_reading: bool,
    timed_out: bool,
    resets: u32,
    answers: u32,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.goaway = self.goaway.or(other.goaway);
        self.closed |= other.closed;
        self.resets += other.resets;
        self.answers += other.answers;
    }

    fn describe(&self) -> String {
        let mut words = Vec::new();
        if let Some(code) = self.goaway {
            words.push(format!("GOAWAY({code})"));
        }
        for (is, word) in
            [(self.closed, "closed"), (self.stopped_reading, "stopped reading"), (self.timed_out, "TIME IS UP")]
        {
            if is {
                words.push(word.to_owned());
            }
        }
        for (n, word) in [(self.answers, "header blocks"), (self.resets, "resets")] {
            if n > 0 {
                words.push(format!("{n} {word}"));
            }
        }
        words.join(", ")
    }
}

/// Reads what the server says until the connection ends. Told to go, an attacker goes on; the server has to close.
async fn listen(mut reading: OwnedReadHalf, heard: Arc<Mutex<Seen>>) {
    let mut head = [0; 9];
    while reading.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if reading.read_exact(&mut payload).await.is_err() {
            break;
        }
        let mut heard = lock(&heard);
        match head[3] {
            frames::GOAWAY if length >= 8 => heard.goaway = payload[4..8].try_into().ok().map(u32::from_be_bytes),
            frames::HEADERS => heard.answers += 1,
            frames::RST_STREAM => heard.resets += 1,
            _ => {}
        }
    }
}

fn lock(heard: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn verdict(damage: &Damage, died: Option<String>) -> Outcome {
    match () {
        () if died.is_some() => Outcome::Failed(format!("the server died: {}", died.unwrap_or_default())),
        () if damage.probes_failed > 0 => {
            Outcome::Failed(format!("{} of {} new connections were not served", damage.probes_failed, damage.probes))
        }
        () if damage.growth_bytes > GROWTH_BYTES_MAX => {
            Outcome::Failed(format!("memory grew by {} MiB", damage.growth_bytes >> 20))
        }
        () if damage.slowest_probe > PROBE_MAX => {
            Outcome::Failed(format!("a new connection took {} ms", damage.slowest_probe.as_millis()))
        }
        () => Outcome::Passed,
    }
}

const GROWTH_BYTES_MAX: u64 = 64 << 20;
const PROBE_MAX: Duration = Duration::from_secs(1);
/// No attack needs a tenth of this against a server that holds.
const ATTACK_LIMIT: Duration = Duration::from_secs(60);
/// A server that takes nothing for so long has stopped reading, which is a good defence.
const STALL_LIMIT: Duration = Duration::from_secs(3);
/// What a server may still say after our half is closed.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Frames are sent in batches, as an attacker would.
const BATCH_BYTES: usize = 64 << 10;
