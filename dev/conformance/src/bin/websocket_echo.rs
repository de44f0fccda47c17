//! Sends every WebSocket message back, on polywire's framing, for Autobahn|Testsuite to judge:
//! `websocket_echo --port=P` is a server; `websocket_echo --client=ws://HOST:PORT` asks Autobahn's server for its cases, plays
//! each, and asks for the reports.

use std::{io, net::Ipv4Addr, process::ExitCode, sync::Arc};

use bytes::{Bytes, BytesMut};
use clap::Parser;
use polywire::compression::WebSocketDeflate;
use polywire_engine::{
    Limits, Transmit,
    wire::{
        Headers, Role,
        websocket::{
            Deflate, Incoming, Messages,
            handshake::{self, Policy},
        },
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

#[derive(Parser, Debug)]
struct Options {
    #[arg(long, required_unless_present = "client")]
    port: Option<u16>,
    #[arg(long)]
    client: Option<String>,
}

/// What the reports call the client.
const AGENT: &str = "polywire";

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let run = async {
        match (&options.client, options.port) {
            (Some(url), _) => play(url).await,
            (None, Some(port)) => serve(port).await,
            (None, None) => unreachable!("clap asks for one"),
        }
    };
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("websocket_echo: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            if let Err(problem) = answer(socket).await {
                eprintln!("websocket_echo: {problem}");
            }
        });
    }
}

/// Shakes hands and echoes.
async fn answer(mut socket: TcpStream) -> io::Result<()> {
    let (request, leftover) = read_head(&mut socket, true).await?;
    match handshake::accept(&request, &Policy { deflate: true, ..Policy::default() }) {
        Ok(accepted) => {
            socket.write_all(&written("HTTP/1.1 101 Switching Protocols", &accepted.headers)).await?;
            exchange(&mut socket, Role::Server, leftover, accepted.deflate, send).await
        }
        Err(refused) => {
            let status = String::from_utf8_lossy(refused.headers.find(":status").unwrap_or_default()).into_owned();
            let mut answer = written(&format!("HTTP/1.1 {status} Refused"), &refused.headers);
            answer.extend_from_slice(refused.text.as_bytes());
            socket.write_all(&answer).await
        }
    }
}

/// Plays all cases of Autobahn's server.
async fn play(url: &str) -> io::Result<()> {
    let authority = url.trim_start_matches("ws://").trim_end_matches('/');
    let mut count = None;
    converse(authority, "/getCaseCount", |_, message| {
        if let Incoming::Text(text) = message {
            count = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<u32>().ok());
        }
    })
    .await?;
    let count = count.ok_or_else(|| io::Error::other("the server does not say how many cases there are"))?;
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={AGENT}");
        // How a case ends is the server's to judge.
        let _ = converse(authority, &path, send).await;
    }
    converse(authority, &format!("/updateReports?agent={AGENT}"), |_, _| {}).await
}

async fn converse(authority: &str, path: &str, on_message: impl FnMut(&mut Messages, Incoming)) -> io::Result<()> {
    let mut socket = TcpStream::connect(authority).await?;
    let request = handshake::Request::http1("http", authority, path, None, *b"sixteen bytes...").offering_deflate();
    socket.write_all(&written(&format!("GET {path} HTTP/1.1\r\nHost: {authority}"), &request.headers)).await?;
    let (response, leftover) = read_head(&mut socket, false).await?;
    let deflate = request.check(&response).map_err(io::Error::other)?;
    exchange(&mut socket, Role::Client, leftover, deflate, on_message).await
}

fn send(messages: &mut Messages, message: Incoming) {
    match message {
        Incoming::Binary(bytes) => messages.send_binary(bytes),
        Incoming::Text(text) => messages.send_text(text),
        Incoming::Closed { .. } => {}
    }
}

/// Reads, answers and writes until the end.
async fn exchange(
    socket: &mut TcpStream,
    role: Role,
    leftover: Bytes,
    deflate: Option<Deflate>,
    mut on_message: impl FnMut(&mut Messages, Incoming),
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let now = || Instant::now().into_std();
    let limits = Limits { websocket_message_bytes_max: 64 << 20, ..Limits::default() };
    let mut messages = Messages::new(role, &Arc::new(limits), leftover, now(), 1);
    if let Some(agreed) = deflate {
        messages.deflate(agreed, &WebSocketDeflate);
    }
    let mut out = Transmit::default();
    let mut buffer = BytesMut::new();
    loop {
        while let Some(message) = messages.poll() {
            on_message(&mut messages, message);
        }
        while messages.poll_transmit(now(), &mut out) {
            for chunk in out.chunks() {
                socket.write_all(chunk).await?;
            }
            out.clear();
        }
        if messages.is_closed() {
            return socket.shutdown().await;
        }
        let due = messages.poll_timeout().map(Instant::from_std);
        buffer.reserve(64 << 10);
        tokio::select! {
            read = socket.read_buf(&mut buffer) => match read {
                Ok(0) | Err(_) => messages.handle_eof(now()),
                Ok(_) => messages.handle_bytes(now(), buffer.split().freeze()),
            },
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                messages.handle_timeout(now());
            }
        }
    }
}

/// Reads an HTTP/1.1 head, well enough for the judge; and what came behind it.
async fn read_head(socket: &mut TcpStream, is_request: bool) -> io::Result<(Headers, Bytes)> {
    let mut bytes = BytesMut::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > HEAD_BYTES_MAX || socket.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::other("no HTTP head"));
        }
    };
    let head = String::from_utf8_lossy(&bytes.split_to(end + 4)).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut headers = Headers::new();
    if is_request {
        headers.push(":method", first.next().unwrap_or_default());
        headers.push(":path", first.next().unwrap_or_default());
    } else {
        headers.push(":status", first.nth(1).unwrap_or_default());
    }
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        headers.push(name.trim().to_ascii_lowercase(), value.trim());
    }
    Ok((headers, bytes.freeze()))
}

fn written(first: &str, headers: &Headers) -> Vec<u8> {
    let mut head = format!("{first}\r\n").into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        for part in [name, b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// More than this is no head of a handshake.
const HEAD_BYTES_MAX: usize = 16 << 10;
