//! One connection of the load generator: frames, windows, header blocks; no calls.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use super::{
    frames::{self, Head, flag, kind, setting},
    headers::{Answers, HEADER_LIST_BYTES_MAX, Verdict},
};

use crate::process::CONGESTION_CONTROL;

/// What we let a server send ahead on one stream.
const STREAM_WINDOW: u32 = 1 << 20;
/// And on the whole connection.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The window every connection and stream has before anything was said (RFC 9113 §6.9.2).
const WINDOW_DEFAULT: u32 = 65_535;
/// How long a server may be silent during the handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection with what HTTP/2 wants to be remembered about it.
///
/// Reads into a buffer that all connections share, and speaks of what it heard to a [`Listener`].
pub(crate) struct Link {
    socket: TcpStream,
    /// The start of a frame whose rest has not arrived.
    partial: Vec<u8>,
    /// What is to be sent, and how much of it was.
    pub(crate) out: Vec<u8>,
    sent: usize,
    next_stream: u32,
    /// What the server still takes on the connection.
    window: i64,
    /// DATA that arrived and was not given back to the connection's window.
    unreturned: u32,
    peer: PeerSettings,
    peer_settled: bool,
    pongs: u32,
    answers: Answers,
}

/// What a server announced, as it stood on the wire.
#[derive(Copy, Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PeerSettings {
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    pub(crate) frame_max: u32,
    pub(crate) streams_max: Option<u32>,
    pub(crate) header_table: u32,
    pub(crate) header_list: Option<u32>,
}

/// Hears what arrives on the streams of a link.
pub(crate) trait Listener {
    /// Part of an answer.
    fn data(&mut self, link: &mut Link, stream: u32, bytes: &[u8]) -> io::Result<()>;
    /// The answer is complete and its status is OK.
    fn ended(&mut self, link: &mut Link, stream: u32) -> io::Result<()>;
    /// The server takes more: on one stream, or with 0 on the connection.
    fn window(&mut self, link: &mut Link, stream: u32, bytes: u32) -> io::Result<()>;
}

impl Link {
    /// Connects, exchanges settings, and leaves the socket non-blocking.
    pub(crate) fn connect(address: SocketAddr, scratch: &mut [u8]) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        // As the server's end is; see there.
        rustix::net::sockopt::set_tcp_congestion(&socket, CONGESTION_CONTROL)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut link = Self {
            socket,
            partial: Vec::new(),
            out: frames::PREFACE.to_vec(),
            sent: 0,
            next_stream: 1,
            window: WINDOW_DEFAULT.into(),
            unreturned: 0,
            peer: PeerSettings {
                stream_window: WINDOW_DEFAULT,
                connection_window: WINDOW_DEFAULT,
                frame_max: 16_384,
                streams_max: None,
                header_table: 4096,
                header_list: None,
            },
            peer_settled: false,
            pongs: 0,
            answers: Answers::new(),
        };
        let mut settings = Vec::new();
        for (name, value) in [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (setting::MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX),
        ] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frames::write(&mut link.out, kind::SETTINGS, 0, 0, &settings);
        link.grant(0, CONNECTION_WINDOW - WINDOW_DEFAULT);
        // Whatever the server has to say about windows at the start comes before the answer.
        link.ping();
        while !link.peer_settled || link.pongs == 0 {
            link.flush()?;
            link.read(scratch, &mut Silence)?;
        }
        link.flush()?;
        link.peer.connection_window = u32::try_from(link.window).unwrap_or(u32::MAX);
        link.socket.set_nonblocking(true)?;
        Ok(link)
    }

    /// Takes one read's worth and tells `listener` what was in it.
    ///
    /// # Errors
    ///
    /// When the socket fails or ends, or the server says anything that is not success.
    pub(crate) fn read(&mut self, scratch: &mut [u8], listener: &mut impl Listener) -> io::Result<()> {
        let held = self.partial.len();
        scratch[..held].copy_from_slice(&self.partial);
        let count = match self.socket.read(&mut scratch[held..]) {
            Ok(0) => return Err(io::Error::other("the server closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.peer_settled => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut bytes = &scratch[..held + count];
        while let Some(head) = Head::read(bytes) {
            let Some(payload) = bytes.get(frames::HEAD_BYTES..frames::HEAD_BYTES + head.length) else { break };
            bytes = &bytes[frames::HEAD_BYTES + head.length..];
            self.heard(head, payload, listener)?;
        }
        self.partial.clear();
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what the socket takes now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// The id of the next stream.
    pub(crate) fn open(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        stream
    }

    /// Whether the id space is nearly used up. A run lasts seconds; it takes minutes to get there.
    pub(crate) fn is_worn(&self) -> bool {
        self.next_stream > 1 << 30
    }

    /// The id that [`open`](Self::open) would give.
    pub(crate) fn next_stream(&self) -> u32 {
        self.next_stream
    }

    /// Takes `bytes` out of the connection's window if they are there.
    pub(crate) fn reserve(&mut self, bytes: usize) -> bool {
        let fits = self.window >= bytes as i64;
        if fits {
            self.window -= bytes as i64;
        }
        fits
    }

    /// Gives the server `bytes` more window on a stream, or with 0 on the connection.
    pub(crate) fn grant(&mut self, stream: u32, bytes: u32) {
        frames::write(&mut self.out, kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }

    pub(crate) fn peer(&self) -> PeerSettings {
        self.peer
    }

    /// What is waiting to be sent, in bytes.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// The port we connected from, by which the server's end of the connection is found.
    pub(crate) fn local_port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    fn ping(&mut self) {
        frames::write(&mut self.out, kind::PING, 0, 0, b"benchmrk");
    }

    fn heard(&mut self, head: Head, payload: &[u8], listener: &mut impl Listener) -> io::Result<()> {
        let is = |flag: u8| head.flags & flag != 0;
        match head.kind {
            kind::DATA => {
                self.unreturned += head.length as u32;
                if self.unreturned >= CONNECTION_WINDOW / 2 {
                    let bytes = std::mem::take(&mut self.unreturned);
                    self.grant(0, bytes);
                }
                let bytes = if is(flag::PADDED) { unpad(payload, 0)? } else { payload };
                listener.data(self, head.stream, bytes)?;
                if is(flag::END_STREAM) {
                    return Err(io::Error::other("an answer ended without trailers"));
                }
            }
            kind::HEADERS => {
                if !is(flag::END_HEADERS) {
                    return Err(io::Error::other(
                        "a header block over several frames; the benchmark has none that long",
                    ));
                }
                let skipped = if is(flag::PRIORITY) { 5 } else { 0 };
                let block = if is(flag::PADDED) {
                    unpad(payload, skipped)?
                } else {
                    payload.get(skipped..).unwrap_or_default()
                };
                match (self.answers.judge(block)?, is(flag::END_STREAM)) {
                    (Verdict::Begins, false) => {}
                    (Verdict::EndsWell, true) => listener.ended(self, head.stream)?,
                    (verdict, end) => {
                        return Err(io::Error::other(format!("{verdict:?} with END_STREAM {end}")));
                    }
                }
            }
            kind::SETTINGS if !is(flag::ACK) => {
                self.settle(payload);
                frames::write(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            kind::PING if !is(flag::ACK) => frames::write(&mut self.out, kind::PING, flag::ACK, 0, payload),
            kind::PING => self.pongs += 1,
            kind::WINDOW_UPDATE => {
                let bytes = frames::number(payload);
                if head.stream == 0 {
                    self.window += i64::from(bytes);
                }
                listener.window(self, head.stream, bytes)?;
            }
            kind::RST_STREAM => {
                let reason = frames::number(payload);
                return Err(io::Error::other(format!("the server reset stream {} with {reason}", head.stream)));
            }
            kind::GOAWAY => {
                let reason = payload.get(4..).map_or(0, frames::number);
                let debug = String::from_utf8_lossy(payload.get(8..).unwrap_or_default()).into_owned();
                return Err(io::Error::other(format!("the server said GOAWAY {reason} {debug:?}")));
            }
            kind::CONTINUATION => return Err(io::Error::other("a CONTINUATION frame; the benchmark has none")),
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, payload: &[u8]) {
        for entry in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([entry[0], entry[1]]);
            let value = frames::number(&entry[2..]);
            match name {
                setting::HEADER_TABLE_SIZE => self.peer.header_table = value,
                setting::MAX_CONCURRENT_STREAMS => self.peer.streams_max = Some(value),
                setting::INITIAL_WINDOW_SIZE => self.peer.stream_window = value,
                setting::MAX_FRAME_SIZE => self.peer.frame_max = value,
                setting::MAX_HEADER_LIST_SIZE => self.peer.header_list = Some(value),
                _ => {}
            }
        }
        self.peer_settled = true;
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where no answers are expected.
pub(crate) struct Silence;

impl Listener for Silence {
    fn data(&mut self, _: &mut Link, stream: u32, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other(format!("DATA on stream {stream}, which nobody opened")))
    }

    fn ended(&mut self, _: &mut Link, stream: u32) -> io::Result<()> {
        Err(io::Error::other(format!("HEADERS on stream {stream}, which nobody opened")))
    }

    fn window(&mut self, _: &mut Link, _: u32, _: u32) -> io::Result<()> {
        Ok(())
    }
}

/// The payload of a padded frame behind its pad length and `skipped` bytes.
fn unpad(payload: &[u8], skipped: usize) -> io::Result<&[u8]> {
    let inner = payload.split_first().and_then(|(pad, rest)| rest.get(skipped..rest.len().checked_sub((*pad).into())?));
    inner.ok_or_else(|| io::Error::other("a frame with more padding than payload"))
}
