//! Stands between client and server and counts what passes.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use super::Places;

/// Hands on connections to a server, from places of its own.
pub(super) struct Relay {
    pub(super) places: Places,
    passed: Arc<Passed>,
}

/// Bytes to the server and back.
#[derive(Default)]
struct Passed {
    there: AtomicU64,
    back: AtomicU64,
}

impl Relay {
    /// Listens on a free port and on `path`, in the runtime this is called from.
    pub(super) async fn start(server: &Places, path: PathBuf) -> io::Result<Self> {
        let mut relay = Self::start_tcp(server.tcp).await?;
        let unix = UnixListener::bind(&path)?;
        relay.places.unix = path;
        let (count, path) = (Arc::clone(&relay.passed), server.unix.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = unix.accept().await {
                let (count, path) = (Arc::clone(&count), path.clone());
                tokio::spawn(async move {
                    let server = UnixStream::connect(path).await?;
                    both_ways(client.into_split(), server.into_split(), &count).await
                });
            }
        });
        Ok(relay)
    }

    /// Listens on a free port alone.
    pub(super) async fn start_tcp(server: SocketAddr) -> io::Result<Self> {
        let passed = Arc::new(Passed::default());
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let places = Places { tcp: tcp.local_addr()?, unix: PathBuf::new() };
        let count = Arc::clone(&passed);
        tokio::spawn(async move {
            while let Ok((client, _)) = tcp.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await?;
                    client.set_nodelay(true)?;
                    server.set_nodelay(true)?;
                    both_ways(client.into_split(), server.into_split(), &count).await
                });
            }
        });
        Ok(Self { places, passed })
    }

    /// Bytes to the server and back so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.passed.there.load(Ordering::Relaxed), self.passed.back.load(Ordering::Relaxed))
    }

    /// Bytes to the server and back for each of so many operations since there were `before`.
    pub(super) fn bytes_each(&self, before: (u64, u64), operations: u64) -> (f64, f64) {
        let (after, operations) = (self.bytes(), operations as f64);
        ((after.0 - before.0) as f64 / operations, (after.1 - before.1) as f64 / operations)
    }
}

async fn both_ways<R, W>(client: (R, W), server: (R, W), passed: &Passed) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let there = pass(client.0, server.1, &passed.there);
    let back = pass(server.0, client.1, &passed.back);
    tokio::try_join!(there, back).map(|_| ())
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            length => {
                // Before it is handed on: who gets it may look at the count next.
                count.fetch_add(length as u64, Ordering::Relaxed);
                to.write_all(&buffer[..length]).await?;
            }
        }
    }
}
