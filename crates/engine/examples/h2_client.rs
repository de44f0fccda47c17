//! A small HTTP/2 client on blocking sockets: one GET, the body to standard output. Something for foreign test
//! programs to listen to. `h2_client http://HOST:PORT/PATH`; gives up after two seconds.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // an example has sockets and a clock

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::drain::{Due, drain};
use polywire_engine::wire::{Headers, Reason, Role, StreamEvent as Event, http2::Connection};
use polywire_engine::{Limits, Transmit};

fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_default();
    match url.strip_prefix("http://").map(get) {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        Some(Err(error)) => {
            eprintln!("{url}: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("usage: h2_client http://HOST:PORT/PATH");
            ExitCode::from(2)
        }
    }
}

fn get(target: &str) -> std::io::Result<bool> {
    let (authority, path) = target.split_once('/').unwrap_or((target, ""));
    let path = format!("/{path}");
    let head: Arc<Headers> = Arc::new(
        [(":method", "GET"), (":scheme", "http"), (":path", &path), (":authority", authority)].into_iter().collect(),
    );
    let mut transport = TcpStream::connect(authority)?;
    let give_up = Instant::now() + Duration::from_secs(2);
    let mut connection = Connection::new(Role::Client, &Arc::new(Limits::default()), Instant::now(), 0);
    let mut out = Transmit::default();
    let mut buffer = vec![0; 65_536];
    let mut complete = false;
    loop {
        let due = drain(&mut connection, Instant::now(), &mut out, |connection, event| match event {
            // Nothing is asked before the server has spoken.
            Event::Settled => {
                let _ = connection.open(Instant::now(), &head, None, true);
            }
            Event::Data { key, data, end, flow_bytes } => {
                connection.release(key, flow_bytes);
                let _ = std::io::stdout().write_all(&data);
                complete |= end;
            }
            Event::Headers { end, .. } => complete |= end,
            Event::Trailers { .. } => complete = true,
            other => eprintln!("{other:?}"),
        });
        let wake_at = match due {
            Due::Write => {
                for chunk in out.chunks() {
                    transport.write_all(chunk)?;
                }
                out.clear();
                continue;
            }
            Due::Close => return Ok(complete),
            Due::Wait(until) => until.unwrap_or(give_up).min(give_up),
        };
        let wait = wake_at.saturating_duration_since(Instant::now());
        transport.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match transport.read(&mut buffer) {
            Ok(0) => connection.handle_eof(Instant::now()),
            Ok(n) => {
                connection.handle_bytes(Instant::now(), Bytes::copy_from_slice(&buffer[..n]));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                connection.handle_timeout(Instant::now());
                if Instant::now() >= give_up {
                    connection.close(Instant::now(), Reason::NO_ERROR, "no answer");
                }
            }
            Err(_) => connection.handle_eof(Instant::now()),
        }
    }
}
