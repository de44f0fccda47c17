//! A small HTTP/2 server on blocking sockets: 200 and a short body once a request has ended. Something for foreign
//! test programs to talk to. `h2_server [ADDRESS]`, by default 127.0.0.1:8090.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // an example has sockets and a clock

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use polywire_engine::drain::{Due, drain};
use polywire_engine::wire::{Headers, Role, StreamEvent as Event, StreamKey, http2::Connection};
use polywire_engine::{Limits, Transmit};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let limits = Arc::new(Limits::default());
    for transport in TcpListener::bind(address)?.incoming() {
        let (transport, limits) = (transport?, Arc::clone(&limits));
        std::thread::spawn(move || serve(transport, &limits));
    }
    Ok(())
}

fn serve(mut transport: TcpStream, limits: &Arc<Limits>) -> std::io::Result<()> {
    transport.set_nodelay(true)?;
    let head: Arc<Headers> = Arc::new([(":status", "200"), ("content-type", "text/plain")].into_iter().collect());
    let mut connection = Connection::new(Role::Server, limits, Instant::now(), 0);
    let mut out = Transmit::default();
    let mut buffer = vec![0; 65_536];
    loop {
        let answer = |connection: &mut Connection, key: StreamKey| {
            connection.send_headers(key, &head, None, false);
            connection.send_data(key, Bytes::from_static(b"hello, world\n"), true);
        };
        let due = drain(&mut connection, Instant::now(), &mut out, |connection, event| match event {
            Event::Headers { key, end: true, .. } | Event::Trailers { key, .. } => {
                answer(connection, key);
            }
            Event::Data { key, end, flow_bytes, .. } => {
                connection.release(key, flow_bytes);
                if end {
                    answer(connection, key);
                }
            }
            _ => {}
        });
        let wake_at = match due {
            Due::Write => {
                for chunk in out.chunks() {
                    transport.write_all(chunk)?;
                }
                out.clear();
                continue;
            }
            Due::Close => break,
            Due::Wait(until) => until,
        };
        let wait = wake_at.map(|at| at.saturating_duration_since(Instant::now()));
        transport.set_read_timeout(wait.map(|wait| wait.max(std::time::Duration::from_millis(1))))?;
        match transport.read(&mut buffer) {
            Ok(0) => connection.handle_eof(Instant::now()),
            Ok(n) => {
                connection.handle_bytes(Instant::now(), Bytes::copy_from_slice(&buffer[..n]));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                connection.handle_timeout(Instant::now());
            }
            Err(_) => connection.handle_eof(Instant::now()),
        }
    }
    // What the peer still sends is read, lest it be told of a broken connection before it has read our last words.
    transport.shutdown(std::net::Shutdown::Write)?;
    transport.set_read_timeout(Some(std::time::Duration::from_millis(200)))?;
    while transport.read(&mut buffer).is_ok_and(|n| n > 0) {}
    Ok(())
}
