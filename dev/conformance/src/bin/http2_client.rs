//! An HTTP/2 client on polywire's engine that asks for one page, for h2specd to judge: `http2_client http://HOST:PORT/`.
//!
//! It stays until the server closes the connection or is silent for a while. How the request ends says nothing about the
//! client: only what it writes on the wire counts. (A gRPC client cannot be judged by it: it gives up a call whose answer is
//! not gRPC before it has seen what the server does next.)

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use bytes::BytesMut;
use polywire_engine::{
    Limits, Transmit,
    drain::{Due, drain},
    wire::{Headers, Role, StreamEvent as Event, http2::Connection},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let url = std::env::args().nth(1).unwrap_or_default();
    let Some(authority) = url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest)) else {
        eprintln!("usage: http2_client http://HOST:PORT/");
        return ExitCode::from(2);
    };
    match timeout(PATIENCE, ask(authority)).await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

async fn ask(authority: &str) -> io::Result<()> {
    let mut socket = TcpStream::connect(authority).await?;
    socket.set_nodelay(true)?;
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", authority)];
    let head: Arc<Headers> = Arc::new(head.into_iter().collect());
    let now = || Instant::now().into_std();
    let mut connection = Connection::new(Role::Client, &Arc::new(Limits::default()), now(), 0);
    let mut out = Transmit::default();
    let mut buffer = BytesMut::new();
    connection.open(now(), &head, None, true).map_err(|error| io::Error::other(format!("{error:?}")))?;
    loop {
        let due = drain(&mut connection, now(), &mut out, |connection, event| {
            if let Event::Data { key, flow_bytes, .. } = event {
                connection.release(key, flow_bytes);
            }
        });
        let until = match due {
            Due::Write => {
                for chunk in out.chunks() {
                    socket.write_all(chunk).await?;
                }
                out.clear();
                continue;
            }
            Due::Close => break,
            Due::Wait(until) => until,
        };
        let silence_over = now() + SILENCE_MAX;
        let until = until.unwrap_or(silence_over + SILENCE_MAX);
        buffer.reserve(16 * 1024);
        tokio::select! {
            read = socket.read_buf(&mut buffer) => match read {
                Ok(n) if n > 0 => connection.handle_bytes(now(), buffer.split().freeze()),
                _ => connection.handle_eof(now()),
            },
            () = tokio::time::sleep_until(until.min(silence_over).into()) => {
                if until > silence_over {
                    return Ok(());
                }
                connection.handle_timeout(now());
            }
        }
    }
    // What the peer still sends is read, lest it hear of a broken connection before it has read our last words.
    socket.shutdown().await?;
    while let Ok(read) = timeout(SILENCE_MAX, socket.read_buf(&mut buffer)).await
        && read? > 0
    {
        buffer.clear();
    }
    Ok(())
}

/// On the loopback address a server that has something to say says it within milliseconds.
const SILENCE_MAX: Duration = Duration::from_millis(200);
/// h2specd stops altogether when a client stays for three seconds.
const PATIENCE: Duration = Duration::from_secs(2);
