//! The load for JSON in WebSocket: messages made beforehand, every byte of every answer looked at. It knows nothing of polywire.
//!
//! All servers hear the same: `{"call":"bench.v1.Bench/Echo","id":7,"message":{"payload":"base64"}}`. In what they answer
//! they differ, as [`Form`] says.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bench::generated::bench::v1::EchoResponse;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::wires::count::{Count, Lanes};

/// What a call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A message with the answer, and one that says how the call ended.
    Polywire,
    /// The same message with the answer, and nothing more, as somebody would do it who has only this one call.
    Own,
    /// The text that came, which the server has not looked at.
    Unread,
}

/// Calls on so many connections, so many at a time on each.
pub(super) struct Texts {
    script: Arc<Script>,
    connections: usize,
    /// Connections that are open and silent.
    idle: Arc<Mutex<Vec<TcpStream>>>,
    pub(super) count: Arc<Count>,
}

/// What is said and must be heard.
struct Script {
    address: SocketAddr,
    handshake: String,
    /// For each call that may be in flight on a connection, by its id.
    calls: Vec<Exchange>,
}

struct Exchange {
    /// A frame.
    says: Vec<u8>,
    /// The texts of the answers, one after another.
    hears: Vec<String>,
}

/// A mask must be there; its value does not matter to anybody but those who would guess it.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A text that is all of its message.
const TEXT: u8 = 0x81;

/// How long an answer to the handshake may be.
const HANDSHAKE_BYTES_MAX: usize = 4096;

impl Texts {
    /// Nothing is connected yet.
    pub(super) fn new(
        address: SocketAddr,
        form: Form,
        payload_bytes: usize,
        connections: usize,
        in_flight: usize,
    ) -> Self {
        let path = if form == Form::Unread { "/unread" } else { "/json" };
        let handshake = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        );
        let payload = EchoResponse { payload: vec![b'x'; payload_bytes].into(), ..EchoResponse::default() };
        let message = serde_json::to_string(&payload).expect("a message has its JSON");
        let calls = (0..in_flight).map(|id| Exchange::new(form, id, &message)).collect();
        Self {
            script: Arc::new(Script { address, handshake, calls }),
            connections,
            idle: Arc::default(),
            count: Arc::default(),
        }
    }

    /// Begins: so many calls for each that may be in flight, or until the [`end`](Count::end).
    pub(super) fn start(&self, calls: Option<usize>) -> Lanes {
        let mut lanes = Lanes::default();
        for _ in 0..self.connections {
            let (script, idle, count) = (Arc::clone(&self.script), Arc::clone(&self.idle), Arc::clone(&self.count));
            lanes.spawn(async move {
                let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
                let silent = idle().pop();
                let mut stream = match silent {
                    Some(stream) => stream,
                    None => script.connect().await?,
                };
                script.play(&mut stream, calls.map(|calls| calls * script.calls.len()), &count).await?;
                idle().push(stream);
                Ok(())
            });
        }
        lanes
    }

    /// How many calls for each in flight to count bytes of, which is also what warms a server up.
    pub(super) fn counted(&self) -> usize {
        10_000_usize.div_ceil(self.connections * self.script.calls.len())
    }
}

impl Script {
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(self.handshake.as_bytes()).await?;
        let mut head = Vec::new();
        // Nobody speaks before the first text, so nothing comes behind the head.
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 || head.len() > HANDSHAKE_BYTES_MAX {
                return Err(wrong("the handshake", &head));
            }
        }
        if head.starts_with(b"HTTP/1.1 101 ") { Ok(stream) } else { Err(wrong("the handshake", &head)) }
    }

    /// Makes at most so many calls.
    async fn play(&self, stream: &mut TcpStream, calls: Option<usize>, count: &Count) -> io::Result<()> {
        // When each call in flight began, and how many of its texts have come.
        let mut lanes = vec![(Instant::now(), 0); self.calls.len()];
        let (mut begun, mut open) = (self.calls.len(), self.calls.len());
        let mut out: Vec<u8> = self.calls.iter().flat_map(|call| &call.says).copied().collect();
        let mut heard = Vec::with_capacity(64 << 10);
        while open > 0 {
            stream.write_all(&out).await?;
            out.clear();
            if stream.read_buf(&mut heard).await? == 0 {
                return Err(wrong("the end, where an answer", &heard));
            }
            let mut rest = heard.as_slice();
            while let Some((text, behind)) = text(rest)? {
                rest = behind;
                let id = id(text).filter(|id| *id < lanes.len()).ok_or_else(|| wrong("a text", text))?;
                let (call, (start, texts)) = (&self.calls[id], &mut lanes[id]);
                if call.hears.get(*texts).map(String::as_bytes) != Some(text) {
                    return Err(wrong("a text", text));
                }
                *texts += 1;
                if *texts < call.hears.len() {
                    continue;
                }
                count.one_more();
                count.took(*start);
                if count.has_ended() || calls.is_some_and(|calls| begun >= calls) {
                    open -= 1;
                } else {
                    (*start, *texts) = (Instant::now(), 0);
                    out.extend_from_slice(&call.says);
                    begun += 1;
                }
            }
            let taken = heard.len() - rest.len();
            heard.drain(..taken);
        }
        Ok(())
    }
}

impl Exchange {
    fn new(form: Form, id: usize, message: &str) -> Self {
        let call = format!(r#"{{"call":"bench.v1.Bench/Echo","id":{id},"message":{message}}}"#);
        let answer = format!(r#"{{"id":{id},"message":{message}}}"#);
        let says = frame(call.as_bytes());
        let hears = match form {
            Form::Polywire => vec![answer, format!(r#"{{"id":{id},"end":{{"code":"ok"}}}}"#)],
            Form::Own => vec![answer],
            Form::Unread => vec![call],
        };
        Self { says, hears }
    }
}

/// A masked text message.
fn frame(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("texts of a benchmark are small");
    let mut frame = vec![TEXT];
    if length < 126 {
        frame.push(0x80 | length as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(&MASK);
    frame.extend(text.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The text of the first frame and what stands behind it, once all of it has come.
fn text(bytes: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let (length, behind) = match bytes {
        [TEXT, 126, high, low, behind @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), behind),
        [TEXT, length @ ..126, behind @ ..] => (usize::from(*length), behind),
        [] | [TEXT] | [TEXT, 126, ..] => return Ok(None),
        _ => return Err(wrong("a frame", bytes)),
    };
    Ok(behind.split_at_checked(length))
}

/// The number behind the first `"id":`.
fn id(text: &[u8]) -> Option<usize> {
    const KEY: &[u8] = b"\"id\":";
    let start = text.windows(KEY.len()).position(|part| part == KEY)? + KEY.len();
    let digits = text[start..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

fn wrong(what: &str, bytes: &[u8]) -> io::Error {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    io::Error::other(format!("{what} was expected to be something else: {start:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_masked_and_what_is_heard_is_cut_into_texts() {
        let says = Exchange::new(Form::Own, 7, "{}").says;
        let plain: Vec<u8> = says[6..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(plain, br#"{"call":"bench.v1.Bench/Echo","id":7,"message":{}}"#);
        assert_eq!(text(b"\x81\x02ab\x81").unwrap(), Some((&b"ab"[..], &b"\x81"[..])));
        assert_eq!(text(b"\x81\x02a").unwrap(), None);
        assert_eq!(text(b"\x81\x7e\x00").unwrap(), None);
        assert!(text(b"\x88\x00").is_err());
    }

    #[test]
    fn an_answer_is_known_by_its_id() {
        assert_eq!(id(br#"{"id":42,"message":{}}"#), Some(42));
        assert_eq!(id(b"{}"), None);
    }
}
