//! Watches a plaintext connection from outside: which gRPC messages travel compressed.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Stands between a client and a server and reads along.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    requests: Arc<Mutex<Reader>>,
    responses: Arc<Mutex<Reader>>,
}

impl Tap {
    /// Listens for one connection and passes it on to `server`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        // A client begins with 24 bytes that are no frame.
        let requests = Arc::new(Mutex::new(Reader { skip: 24, ..Reader::default() }));
        let responses = Arc::<Mutex<Reader>>::default();
        let (up, down) = (Arc::clone(&requests), Arc::clone(&responses));
        tokio::spawn(async move {
            let (client, _) = listener.accept().await?;
            let server = TcpStream::connect(server).await?;
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(pass(from_client, to_server, up));
            tokio::spawn(pass(from_server, to_client, down));
            io::Result::Ok(())
        });
        Ok(Self { address, requests, responses })
    }

    /// Where a client connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The compressed flags of the client's messages, in the order in which they came.
    pub fn requests(&self) -> Vec<bool> {
        lock(&self.requests).flags.clone()
    }

    /// The compressed flags of the server's messages, in the order in which they came.
    pub fn responses(&self) -> Vec<bool> {
        lock(&self.responses).flags.clone()
    }
}

/// Cuts one direction into frames and their DATA into envelopes.
#[derive(Debug, Default)]
struct Reader {
    skip: usize,
    bytes: Vec<u8>,
    /// DATA that is not a whole envelope yet, by stream.
    streams: HashMap<[u8; 4], Vec<u8>>,
    flags: Vec<bool>,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.bytes.extend_from_slice(&bytes[skipped..]);
        while let Some(length) =
            self.bytes.first_chunk::<3>().map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c]) as usize)
        {
            if self.bytes.len() < 9 + length {
                break;
            }
            let frame: Vec<u8> = self.bytes.drain(..9 + length).collect();
            if frame[3] == DATA {
                let stream = [frame[5], frame[6], frame[7], frame[8]];
                let payload = &frame[9..];
                let data = match frame[4] & PADDED {
                    0 => payload,
                    _ => &payload[1..payload.len() - usize::from(payload[0])],
                };
                self.streams.entry(stream).or_default().extend_from_slice(data);
                self.cut(stream);
            }
        }
    }

    fn cut(&mut self, stream: [u8; 4]) {
        let data = self.streams.entry(stream).or_default();
        while let Some(&[flag, a, b, c, d]) = data.first_chunk::<5>() {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if data.len() < 5 + length {
                break;
            }
            data.drain(..5 + length);
            self.flags.push(flag & 1 == 1);
        }
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    reader: Arc<Mutex<Reader>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        // Read before it is passed on: who has the message finds its flag here.
        lock(&reader).read(&buffer[..n]);
        to.write_all(&buffer[..n]).await?;
    }
}

fn lock(reader: &Mutex<Reader>) -> MutexGuard<'_, Reader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

const DATA: u8 = 0;
const PADDED: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_may_lie_across_frames_and_reads() {
        let mut reader = Reader { skip: 2, ..Reader::default() };
        let mut bytes = b"..".to_vec();
        bytes.extend([0, 0, 4, DATA, 0, 0, 0, 0, 1, 1, 0, 0, 0]);
        bytes.extend([0, 0, 6, DATA, PADDED, 0, 0, 0, 1, 2, 2, 7, 7, 0, 0]);
        bytes.extend([0, 0, 5, DATA, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0]);
        for byte in bytes {
            reader.read(&[byte]);
        }
        assert_eq!(reader.flags, [true, false]);
    }
}
