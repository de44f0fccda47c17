//! An HTTP/1.1 server on polywire's engine that answers every request with 200 and a short body: `http1_server --port=P`.
//! `GET /long` is answered with 64 MiB.

use std::{io, net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use clap::Parser;
use polywire_engine::{
    Limits, Transmit,
    drain::{Due, drain},
    wire::{Headers, Role, StreamEvent as Event, StreamKey, http1::Connection},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout, timeout_at},
};

#[derive(Parser, Debug)]
struct Options {
    #[arg(long)]
    port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("http1_server: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(|e| e.to_string())?;
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let _ = socket.set_nodelay(true);
            let _ = serve(socket).await;
        });
    }
}

async fn serve(mut socket: TcpStream) -> io::Result<()> {
    let mut site = Site::new();
    let now = || Instant::now().into_std();
    let mut connection = Connection::new(Role::Server, &Arc::new(Limits::default()), now(), 0);
    let mut out = Transmit::default();
    let mut buffer = BytesMut::new();
    loop {
        let due = drain(&mut connection, now(), &mut out, |connection, event| site.hear(connection, event));
        let until = match due {
            Due::Write => {
                for chunk in out.chunks() {
                    let mut rest = chunk;
                    while !rest.is_empty() {
                        // The engine says how long a peer may refuse to read.
                        let until = connection.poll_timeout().unwrap_or_else(|| now() + WRITE_MAX);
                        match timeout_at(until.into(), socket.write(rest)).await {
                            Ok(written) => {
                                rest = &rest[written?..];
                                connection.handle_progress(now());
                            }
                            Err(_) => connection.handle_timeout(now()),
                        }
                        if connection.is_closed() {
                            return Ok(());
                        }
                    }
                }
                out.clear();
                continue;
            }
            Due::Close => break,
            Due::Wait(until) => until.unwrap_or_else(|| now() + Duration::from_secs(3600)),
        };
        buffer.reserve(16 * 1024);
        tokio::select! {
            read = socket.read_buf(&mut buffer), if connection.wants_bytes() => match read {
                Ok(n) if n > 0 => connection.handle_bytes(now(), buffer.split().freeze()),
                _ => connection.handle_eof(now()),
            },
            () = tokio::time::sleep_until(until.into()) => connection.handle_timeout(now()),
        }
    }
    // What the peer still sends is read, lest it hear of a broken connection before it has read our last words.
    socket.shutdown().await?;
    let _ = timeout(Duration::from_millis(200), async {
        while socket.read_buf(&mut buffer).await.is_ok_and(|n| n > 0) {
            buffer.clear();
        }
    })
    .await;
    Ok(())
}

/// What is served.
struct Site {
    head: Arc<Headers>,
    long: bool,
}

impl Site {
    fn new() -> Self {
        let head = [(":status", "200"), ("content-type", "text/plain")].into_iter().collect();
        Site { head: Arc::new(head), long: false }
    }

    fn hear(&mut self, connection: &mut Connection, event: Event) {
        match event {
            Event::Headers { key, headers, end } => {
                self.long = headers.find(":path") == Some(b"/long");
                if end {
                    self.answer(connection, key);
                }
            }
            Event::Data { key, end, flow_bytes, .. } => {
                connection.release(key, flow_bytes);
                if end {
                    self.answer(connection, key);
                }
            }
            Event::Trailers { key, .. } => self.answer(connection, key),
            _ => {}
        }
    }

    fn answer(&self, connection: &mut Connection, key: StreamKey) {
        connection.send_headers(key, &self.head, None, false);
        let body = if self.long { Bytes::from(vec![b'x'; LONG_BYTES]) } else { Bytes::from_static(b"hello, world\n") };
        connection.send_data(key, body, true);
    }
}

const LONG_BYTES: usize = 64 << 20;

/// Longer than the engine lets a write wait.
const WRITE_MAX: Duration = Duration::from_secs(3600);
