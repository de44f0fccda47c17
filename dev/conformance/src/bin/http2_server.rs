//! An HTTP/2 server on polywire's engine that answers every request with 200 and a short body, for h2spec to judge:
//! `http2_server --port=P [--use_tls=true --tls_cert_file=F --tls_key_file=F]`.
//!
//! A gRPC server cannot be judged by it: many cases want an answer with a body to a plain `GET /`.

use std::{io, net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use clap::{ArgAction, Parser};
use polywire::transport::tls::{CertificateSource, ServerTls};
use polywire_engine::{
    Limits, Transmit,
    drain::{Due, drain},
    wire::{Headers, Role, StreamEvent as Event, StreamKey, http2::Connection},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, timeout},
};

#[derive(Parser, Debug)]
struct Options {
    #[arg(long)]
    port: u16,
    #[arg(long = "use_tls", action = ArgAction::Set, default_value_t = false)]
    use_tls: bool,
    #[arg(long = "tls_cert_file", default_value = "")]
    certificates: String,
    #[arg(long = "tls_key_file", default_value = "")]
    key: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("http2_server: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let tls = match options.use_tls {
        true => Some(
            ServerTls::new(CertificateSource::files(options.certificates, options.key))
                .build()
                .map_err(|e| e.to_string())?,
        ),
        false => None,
    };
    let tls = Arc::new(tls);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(|e| e.to_string())?;
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let tls = Arc::clone(&tls);
        tokio::spawn(async move {
            let _ = socket.set_nodelay(true);
            match &*tls {
                None => drop(serve(socket).await),
                Some(tls) => {
                    if let Ok(transport) = tls.accept(socket).await {
                        let _ = serve(transport).await;
                    }
                }
            }
        });
    }
}

async fn serve(mut transport: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let head: Arc<Headers> = Arc::new([(":status", "200"), ("content-type", "text/plain")].into_iter().collect());
    let now = || Instant::now().into_std();
    let mut connection = Connection::new(Role::Server, &Arc::new(Limits::default()), now(), 0);
    let mut out = Transmit::default();
    let mut buffer = BytesMut::new();
    loop {
        let answer = |connection: &mut Connection, key: StreamKey| {
            connection.send_headers(key, &head, None, false);
            connection.send_data(key, Bytes::from_static(b"hello, world\n"), true);
        };
        let due = drain(&mut connection, now(), &mut out, |connection, event| match event {
            Event::Headers { key, end: true, .. } | Event::Trailers { key, .. } => answer(connection, key),
            Event::Data { key, end, flow_bytes, .. } => {
                connection.release(key, flow_bytes);
                if end {
                    answer(connection, key);
                }
            }
            _ => {}
        });
        let until = match due {
            Due::Write => {
                for chunk in out.chunks() {
                    transport.write_all(chunk).await?;
                }
                transport.flush().await?;
                out.clear();
                continue;
            }
            Due::Close => break,
            Due::Wait(until) => until.unwrap_or_else(|| now() + Duration::from_secs(3600)),
        };
        buffer.reserve(16 * 1024);
        tokio::select! {
            read = transport.read_buf(&mut buffer) => match read {
                Ok(n) if n > 0 => connection.handle_bytes(now(), buffer.split().freeze()),
                _ => connection.handle_eof(now()),
            },
            () = tokio::time::sleep_until(until.into()) => connection.handle_timeout(now()),
        }
    }
    // What the peer still sends is read, lest it hear of a broken connection before it has read our last words.
    transport.shutdown().await?;
    let _ = timeout(Duration::from_millis(200), async {
        while transport.read_buf(&mut buffer).await.is_ok_and(|n| n > 0) {
            buffer.clear();
        }
    })
    .await;
    Ok(())
}
