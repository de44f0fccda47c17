//! Messages: what travels behind the handshake, without any knowledge of calls.

use std::{
    hash::{DefaultHasher, Hasher},
    io::Cursor,
    sync::Arc,
    time::Instant,
};

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use super::{
    deflate::{COMPRESSES_BITS_MIN, Deflate, MessageCompression, MessageFault},
    utf8::Utf8,
};
use crate::{
    limits::Limits,
    time::{RateLimiter, after, earliest},
    transmit::Transmit,
    wire::{ConnectionError, LimitExceeded, PeerMisbehaved, Reason, Role, TimedOut},
};

/// What the peer has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A binary message; with [`Messages::pass_pieces`] a piece of one, as it came.
    Binary(Bytes),
    /// Exactly once, and last: the peer or this side has begun to close, or the transport has ended.
    Closed {
        /// Why, unless it was in order.
        error: Option<ConnectionError>,
    },
    /// A text message: UTF-8.
    Text(Bytes),
}

/// A rule of RFC 6455 that the peer broke, at the cost of the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A close frame with an impossible code or length.
    BadClose,
    /// A compressed message that is none.
    BadDeflate,
    /// A message begins inside another one.
    ContinuationMissing,
    /// A continuation of nothing.
    ContinuationUnexpected,
    /// A ping, pong or close frame in parts.
    ControlFragmented,
    /// A ping, pong or close frame above 125 bytes.
    ControlTooLong,
    /// A length written with more bytes than it needs, or beyond 2^63.
    Length,
    /// A client that does not mask, or a server that does.
    Masking,
    /// An opcode without meaning.
    Opcode,
    /// A reserved bit where no extension gives it meaning.
    ReservedBits,
    /// Text where the subprotocol has binary messages, or the other way round.
    WrongKind,
    /// Text that is not UTF-8.
    Utf8,
}

/// A WebSocket without its handshake: bytes and time go in, messages and bytes come out.
///
/// Input is parsed as it is asked for by [`poll`](Self::poll). An idle one owns next to no memory beside itself.
#[derive(Debug)]
pub struct Messages {
    role: Role,
    limits: Arc<Limits>,
    phase: Phase,
    reported: bool,
    error: Option<ConnectionError>,

    /// What has come and was not looked at.
    input: Bytes,
    head: [u8; HEAD_BYTES_MAX],
    head_len: u8,
    frame: Option<Frame>,
    /// The data message that has begun: its kind.
    message: Option<Kind>,
    gathered: Vec<u8>,
    utf8: Utf8,
    control: Vec<u8>,
    passes_pieces: bool,
    deflate: Option<(Deflate, &'static dyn MessageCompression)>,
    /// The data message that has begun is compressed.
    is_compressed: bool,
    idle_frames: RateLimiter,

    out: Transmit,
    /// The latest ping that is still to be answered because there was no room.
    pong_due: Option<Vec<u8>>,
    seed: u64,
    masks: u64,

    now: Instant,
    /// The last bytes from the peer.
    heard: Instant,
    pinged: Option<Instant>,
    write_since: Option<Instant>,
}

/// RFC 6455 §1.4 and §7.1.
///
/// ```text
///   Open ─peer closes, we answer──▶ Closed (server) or Closing (client: the server ends the transport)
///     └──we close────────────────▶ Closing ─peer closes, the transport ends, or time is up──▶ Closed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame is out. What still comes is passed over.
    Closing {
        until: Option<Instant>,
    },
    Closed,
}

/// A frame whose payload is under way.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    last: bool,
    left: u64,
    /// Turned so that it begins with the next byte.
    mask: Option<[u8; 4]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Binary,
    Close,
    Ping,
    Pong,
    /// A frame that broke a rule: only its end is of interest.
    Skipped,
    Text,
}

/// The longest head: two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;

/// RFC 6455 §5.5.
const CONTROL_BYTES_MAX: u64 = 125;

/// Most bytes set aside at once for what has been announced and has not come.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

/// Answers to pings that wait together; when there are more, the latest ping alone is answered (RFC 6455 §5.5.3).
const PONGS_BYTES_MAX: usize = 16 * 1024;

/// Shorter messages are sent as they are: to begin compressing costs 6 µs, whatever the length, and takes 14 bytes off a JSON
/// message of 128 bytes, 107 off one of 256.
const COMPRESS_BYTES_MIN: usize = 256;

/// Native frames are bytes one after the other, and a message ends where one likes: compressed ones here, because a receiver has to
/// gather them and may not take longer ones.
const COMPRESSED_PIECE_BYTES: usize = 64 * 1024;

/// Capacity that a compressed message may keep for nothing.
const WASTE_BYTES_MAX: usize = 4096;

/// Memory that output keeps for what is sent next.
const IDLE_OUTPUT_BYTES: usize = 256;

/// Close codes of RFC 6455 §7.4.1 that this side sends.
pub(super) mod close_code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const PROTOCOL: u16 = 1002;
    pub(crate) const UNSUPPORTED: u16 = 1003;
    pub(crate) const BAD_PAYLOAD: u16 = 1007;
    pub(crate) const POLICY: u16 = 1008;
    pub(crate) const TOO_BIG: u16 = 1009;
    pub(crate) const INTERNAL: u16 = 1011;
}

impl Messages {
    /// Begins behind the handshake; `leftover` is what has come behind it already. `seed` must be hard to guess in a client:
    /// the masks follow from it (RFC 6455 §5.3).
    pub fn new(role: Role, limits: &Arc<Limits>, leftover: Bytes, now: Instant, seed: u64) -> Self {
        Self {
            role,
            limits: Arc::clone(limits),
            phase: Phase::Open,
            reported: false,
            error: None,
            input: leftover,
            head: [0; HEAD_BYTES_MAX],
            head_len: 0,
            frame: None,
            message: None,
            gathered: Vec::new(),
            utf8: Utf8::default(),
            control: Vec::new(),
            passes_pieces: false,
            deflate: None,
            is_compressed: false,
            idle_frames: RateLimiter::new(limits.idle_frames),
            out: Transmit::default(),
            pong_due: None,
            seed,
            masks: 0,
            now,
            heard: now,
            pinged: None,
            write_since: None,
        }
    }

    /// From now on binary messages are reported in pieces as they come, never gathered: for those who read a stream of bytes.
    /// The limit of a message's length does not hold for them, unless they are compressed: those are gathered.
    pub fn pass_pieces(&mut self) {
        self.passes_pieces = true;
    }

    /// From now on messages may be compressed in both directions (RFC 7692).
    pub fn deflate(&mut self, agreed: Deflate, compression: &'static dyn MessageCompression) {
        self.deflate = Some((agreed, compression));
    }

    /// Bytes have come from the peer.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        self.now = now;
        self.heard = now;
        self.pinged = None;
        if self.phase == Phase::Closed {
            return;
        }
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            let mut joined = BytesMut::with_capacity(self.input.len() + bytes.len());
            joined.extend_from_slice(&self.input);
            joined.extend_from_slice(&bytes);
            self.input = joined.freeze();
        }
    }

    /// The peer will send nothing more, or the transport has failed.
    pub fn handle_eof(&mut self, now: Instant) {
        self.now = now;
        if self.phase == Phase::Open {
            self.error.get_or_insert(ConnectionError::Lost);
        }
        self.end();
        self.out.shrink(0);
    }

    /// The transport took a part of a transmit.
    pub fn handle_progress(&mut self, now: Instant) {
        if self.write_since.is_some() {
            self.write_since = Some(now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match self.phase {
            Phase::Closed => {}
            _ if due(self.write_due()) => {
                self.error.get_or_insert(ConnectionError::TimedOut(TimedOut::Write));
                self.end();
                self.out.shrink(0);
            }
            Phase::Closing { until } => {
                if due(until) {
                    self.end();
                }
            }
            Phase::Open if due(self.heartbeat_due()) => match self.pinged {
                Some(_) => {
                    self.fail(ConnectionError::TimedOut(TimedOut::Keepalive));
                    // Nobody is there to answer.
                    self.end();
                }
                None => {
                    self.pinged = Some(now);
                    self.put_control(Control::Ping, &[]);
                }
            },
            Phase::Open => {}
        }
    }

    /// The next message. The input is parsed no further than that.
    pub fn poll(&mut self) -> Option<Incoming> {
        while self.phase != Phase::Closed {
            let Some(frame) = &self.frame else {
                if !self.read_head() {
                    break;
                }
                continue;
            };
            if self.input.is_empty() && frame.left > 0 {
                break;
            }
            let incoming = match frame.kind {
                Kind::Binary | Kind::Ping | Kind::Pong | Kind::Skipped | Kind::Text if self.phase != Phase::Open => {
                    self.skip_payload();
                    None
                }
                Kind::Binary | Kind::Text => self.read_data(),
                Kind::Close | Kind::Ping | Kind::Pong | Kind::Skipped => {
                    self.read_control();
                    None
                }
            };
            if incoming.is_some() {
                return incoming;
            }
        }
        if self.phase != Phase::Open && !self.reported {
            self.reported = true;
            return Some(Incoming::Closed { error: self.error });
        }
        None
    }

    /// Sends a text message, which must be UTF-8.
    pub fn send_text(&mut self, text: Bytes) {
        self.send_parts(OpCode::Data(Data::Text), [text]);
    }

    /// Sends a text message that consists of parts.
    pub(crate) fn send_text_parts<const N: usize>(&mut self, parts: [Bytes; N]) {
        self.send_parts(OpCode::Data(Data::Text), parts);
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, bytes: Bytes) {
        self.send_parts(OpCode::Data(Data::Binary), [bytes]);
    }

    /// Sends all that `content` holds as one binary message, and leaves it empty.
    pub fn send_transmit(&mut self, content: &mut Transmit) {
        if self.phase != Phase::Open || content.is_empty() {
            content.clear();
            return;
        }
        if self.compresses(content.len()) {
            self.send_pieces(content);
            content.clear();
            return;
        }
        let mask = self.put_head(OpCode::Data(Data::Binary), false, content.len());
        match mask {
            None => self.out.append(content),
            Some(mut mask) => {
                for chunk in content.chunks() {
                    mask = append_masked(self.out.buffer(), chunk, mask);
                }
            }
        }
        content.clear();
    }

    /// Closes in order: the peer is told and given time to answer. What has been sent before still goes out.
    pub fn close(&mut self, now: Instant, code: u16, words: &str) {
        self.now = now;
        self.begin_close(code, words);
    }

    /// Closes for a reason of the layers above.
    pub(crate) fn fail(&mut self, error: ConnectionError) {
        if self.phase == Phase::Open {
            self.error.get_or_insert(error);
            self.begin_close(code_of(&error), error.words());
        }
    }

    /// Appends what is to be written. False: nothing; each call but the first after an input says that everything before has
    /// been written.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        self.now = now;
        if let Some(ping) = self.pong_due.take() {
            self.put_control(Control::Pong, &ping);
        }
        if self.out.is_empty() {
            self.write_since = None;
            return false;
        }
        self.write_since = Some(now);
        out.append(&mut self.out);
        self.out.shrink(IDLE_OUTPUT_BYTES);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            Phase::Closing { until } => earliest(until, self.write_due()),
            Phase::Open => earliest(self.heartbeat_due(), self.write_due()),
        }
    }

    /// Whether everything has been said: the transport may be closed.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed && self.reported && self.out.is_empty()
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Bytes that wait for [`poll_transmit`](Self::poll_transmit).
    pub fn queued_bytes(&self) -> usize {
        self.out.len()
    }

    /// Memory beside the value itself, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.gathered.capacity() + self.control.capacity() + self.pong_due.as_ref().map_or(0, Vec::capacity)
    }

    /// When a ping is due, or the peer is given up.
    fn heartbeat_due(&self) -> Option<Instant> {
        match self.pinged {
            Some(since) => after(since, self.limits.websocket_pong_timeout),
            None => after(self.heard, self.limits.websocket_ping_interval?),
        }
    }

    fn write_due(&self) -> Option<Instant> {
        self.write_since.and_then(|since| after(since, self.limits.write_timeout))
    }

    /// Reads a frame's head. False: its end has not come.
    fn read_head(&mut self) -> bool {
        let have = usize::from(self.head_len);
        let take = self.input.len().min(HEAD_BYTES_MAX - have);
        if take == 0 {
            return false;
        }
        self.head[have..have + take].copy_from_slice(&self.input[..take]);
        let mut seen = self.head;
        let mut cursor = Cursor::new(&seen[..have + take]);
        let mut parsed = FrameHeader::parse(&mut cursor);
        let opcode_known = parsed.is_ok();
        if !opcode_known {
            // An opcode without meaning: how long its frame is can be read all the same.
            seen[0] = seen[0] & 0xf0 | u8::from(OpCode::Data(Data::Binary));
            cursor = Cursor::new(&seen[..have + take]);
            parsed = FrameHeader::parse(&mut cursor);
        }
        let Ok(Some((header, len))) = parsed else {
            self.head_len += take as u8;
            self.input.advance(take);
            return false;
        };
        let head_len = cursor.position() as usize;
        self.input.advance(head_len - have);
        self.head_len = 0;
        let checked = match opcode_known {
            true => self.check_head(&header, len, head_len),
            false => Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(Violation::Opcode))),
        };
        let kind = match checked {
            Ok(kind) => kind,
            // The end has begun already: a peer that ends is not asked how well it does.
            Err(_) if self.phase != Phase::Open && header.opcode == OpCode::Control(Control::Close) => Kind::Close,
            Err(error) => {
                self.fail(error);
                if self.role == Role::Server && header.opcode == OpCode::Control(Control::Close) {
                    // However badly it was said: the peer says nothing more.
                    self.end();
                }
                Kind::Skipped
            }
        };
        self.frame = Some(Frame { kind, last: header.is_final, left: len, mask: header.mask });
        if self.phase == Phase::Open && matches!(kind, Kind::Binary | Kind::Text) {
            // Only the first frame of a message says so.
            self.is_compressed |= header.rsv1;
            self.message = Some(kind);
            let room = usize::try_from(len).unwrap_or(usize::MAX).min(RESERVE_BYTES_MAX);
            // What is here in one piece and not masked need not be gathered.
            let whole = header.mask.is_none() && header.is_final && room <= self.input.len();
            if !(whole || self.passes_pieces && kind == Kind::Binary && !self.is_compressed) {
                self.gathered.reserve(room);
            }
        }
        true
    }

    /// RFC 6455 §5.2, §5.4 and §5.5; the limits.
    fn check_head(&mut self, header: &FrameHeader, len: u64, head_len: usize) -> Result<Kind, ConnectionError> {
        let violated = |violation| Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(violation)));
        // RFC 7692 §6: the first frame of a data message says whether that is compressed.
        let may_be_compressed =
            self.deflate.is_some() && matches!(header.opcode, OpCode::Data(Data::Binary | Data::Text));
        if header.rsv1 && !may_be_compressed || header.rsv2 || header.rsv3 {
            return violated(Violation::ReservedBits);
        }
        if header.mask.is_some() != (self.role == Role::Server) {
            return violated(Violation::Masking);
        }
        if len >= 1 << 63 || header.len(len) != head_len {
            return violated(Violation::Length);
        }
        let kind = match (header.opcode, self.message) {
            (OpCode::Data(Data::Continue), Some(kind)) => kind,
            (OpCode::Data(Data::Continue), None) => return violated(Violation::ContinuationUnexpected),
            (OpCode::Data(_), Some(_)) => return violated(Violation::ContinuationMissing),
            (OpCode::Data(Data::Binary), None) => Kind::Binary,
            (OpCode::Data(Data::Text), None) => Kind::Text,
            (OpCode::Control(Control::Close), _) => Kind::Close,
            (OpCode::Control(Control::Ping), _) => Kind::Ping,
            (OpCode::Control(Control::Pong), _) => Kind::Pong,
            _ => return violated(Violation::Opcode),
        };
        let is_control = !matches!(kind, Kind::Binary | Kind::Text);
        if is_control && !header.is_final {
            return violated(Violation::ControlFragmented);
        }
        if is_control && len > CONTROL_BYTES_MAX {
            return violated(Violation::ControlTooLong);
        }
        if kind == Kind::Close && len == 1 {
            return violated(Violation::BadClose);
        }
        let carries_nothing = if is_control { kind != Kind::Close } else { len == 0 && !header.is_final };
        if carries_nothing && !self.idle_frames.allow(self.now, self.limits.idle_frames) {
            return Err(ConnectionError::LimitExceeded(LimitExceeded::IdleFrames));
        }
        let room = self.limits.websocket_message_bytes_max.saturating_sub(self.gathered.len());
        let is_compressed = self.is_compressed || header.rsv1;
        let is_passed_on = is_control || self.passes_pieces && kind == Kind::Binary && !is_compressed;
        if !is_passed_on && len > room as u64 {
            return Err(ConnectionError::LimitExceeded(LimitExceeded::WebSocketMessage));
        }
        Ok(kind)
    }

    /// Takes what has come of the frame's payload; the mask to remove from it, and whether the frame ends with it.
    fn take_payload(&mut self) -> (Bytes, Option<[u8; 4]>, bool) {
        let Some(frame) = &mut self.frame else { return (Bytes::new(), None, true) };
        let take = usize::try_from(frame.left).unwrap_or(usize::MAX).min(self.input.len());
        let piece = self.input.split_to(take);
        frame.left -= take as u64;
        let mask = frame.mask;
        if let Some(mask) = &mut frame.mask {
            mask.rotate_left(take % 4);
        }
        let ends = frame.left == 0;
        (piece, mask, ends)
    }

    fn skip_payload(&mut self) {
        let (_, _, ends) = self.take_payload();
        if ends {
            self.frame = None;
        }
    }

    fn read_data(&mut self) -> Option<Incoming> {
        let frame = self.frame.as_ref()?;
        let (kind, last) = (frame.kind, frame.last);
        let (piece, mask, ends) = self.take_payload();
        let ends_message = ends && last;
        if ends {
            self.frame = None;
        }
        let is_compressed = self.is_compressed;
        if ends_message {
            (self.message, self.is_compressed) = (None, false);
        }
        if self.passes_pieces && kind == Kind::Binary && !is_compressed {
            let piece = match mask {
                None => piece,
                Some(mask) => unmasked(&piece, mask),
            };
            return (!piece.is_empty()).then_some(Incoming::Binary(piece));
        }
        let is_text = kind == Kind::Text && !is_compressed;
        let mut whole = if self.gathered.is_empty() && ends_message && mask.is_none() {
            if is_text && !self.utf8.feed(&piece) {
                self.violated(Violation::Utf8);
                return None;
            }
            piece
        } else {
            let start = self.gathered.len();
            match mask {
                None => self.gathered.extend_from_slice(&piece),
                Some(mask) => {
                    append_masked(&mut self.gathered, &piece, mask);
                }
            }
            if is_text && !self.utf8.feed(&self.gathered[start..]) {
                self.violated(Violation::Utf8);
                return None;
            }
            if !ends_message {
                return None;
            }
            std::mem::take(&mut self.gathered).into()
        };
        if is_compressed {
            whole = self.decompressed(&whole)?;
            if kind == Kind::Text && !self.utf8.feed(&whole) {
                self.violated(Violation::Utf8);
                return None;
            }
        }
        if kind == Kind::Binary {
            // Nobody who reads a stream of bytes is to be told that nothing has come.
            return (!self.passes_pieces || !whole.is_empty()).then_some(Incoming::Binary(whole));
        }
        if !std::mem::take(&mut self.utf8).is_between_characters() {
            self.violated(Violation::Utf8);
            return None;
        }
        Some(Incoming::Text(whole))
    }

    /// RFC 7692 §7.2.2. None: it is no message, or too long, and the connection has failed.
    fn decompressed(&mut self, compressed: &[u8]) -> Option<Bytes> {
        let (_, compression) = self.deflate?;
        match compression.decompress(compressed, self.limits.websocket_message_bytes_max) {
            Ok(message) => return Some(message),
            Err(MessageFault::Malformed) => self.violated(Violation::BadDeflate),
            Err(MessageFault::TooLong) => self.fail(ConnectionError::LimitExceeded(LimitExceeded::WebSocketMessage)),
        }
        None
    }

    fn read_control(&mut self) {
        let (piece, mask, ends) = self.take_payload();
        append_masked(&mut self.control, &piece, mask.unwrap_or_default());
        if !ends {
            return;
        }
        let Some(frame) = self.frame.take() else { return };
        let payload = std::mem::take(&mut self.control);
        match frame.kind {
            Kind::Close => self.peer_closes(&payload),
            Kind::Ping if self.out.len() < PONGS_BYTES_MAX => self.put_control(Control::Pong, &payload),
            Kind::Ping => self.pong_due = Some(payload),
            Kind::Binary | Kind::Pong | Kind::Skipped | Kind::Text => {}
        }
    }

    /// RFC 6455 §5.5.1 and §7.4.
    fn peer_closes(&mut self, payload: &[u8]) {
        if let Phase::Closing { .. } = self.phase {
            if self.role == Role::Server {
                self.end();
            }
            return;
        }
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        let violation = if code.is_some_and(|code| !CloseCode::from(code).is_allowed()) {
            Some(Violation::BadClose)
        } else if std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_err() {
            Some(Violation::Utf8)
        } else {
            None
        };
        if let Some(violation) = violation {
            self.violated(violation);
            if self.role == Role::Server {
                self.end();
            }
            return;
        }
        match code {
            None | Some(close_code::NORMAL | close_code::GOING_AWAY) => {}
            Some(code) => {
                self.error.get_or_insert(ConnectionError::Peer(reason_of(code)));
            }
        }
        // The answer repeats the code.
        self.put_control(Control::Close, &payload[..payload.len().min(2)]);
        self.phase = match self.role {
            Role::Server => Phase::Closed,
            // The server ends the transport, so that the waiting time of its last packets is not the client's (§7.1.1).
            Role::Client => Phase::Closing { until: after(self.now, self.limits.websocket_close_timeout) },
        };
        self.forget();
    }

    fn violated(&mut self, violation: Violation) {
        self.fail(ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(violation)));
    }

    fn begin_close(&mut self, code: u16, words: &str) {
        if self.phase != Phase::Open {
            return;
        }
        let mut end = words.len().min(CONTROL_BYTES_MAX as usize - 2);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(&words.as_bytes()[..end]);
        self.pong_due = None;
        self.put_control(Control::Close, &payload);
        self.phase = Phase::Closing { until: after(self.now, self.limits.websocket_close_timeout) };
        self.gathered = Vec::new();
    }

    fn end(&mut self) {
        self.phase = Phase::Closed;
        self.forget();
    }

    /// What has been received in part is of no use any more.
    fn forget(&mut self) {
        self.input.clear();
        self.frame = None;
        self.gathered = Vec::new();
        self.control = Vec::new();
        self.pong_due = None;
    }

    fn send_parts<const N: usize>(&mut self, opcode: OpCode, parts: [Bytes; N]) {
        if self.phase != Phase::Open {
            return;
        }
        let len = parts.iter().map(Bytes::len).sum();
        if self.compresses(len) && self.put_compressed(opcode, &parts.each_ref().map(Bytes::as_ref), len) {
            return;
        }
        match self.put_head(opcode, false, len) {
            None => {
                for part in parts {
                    self.out.put_payload(part);
                }
            }
            Some(mut mask) => {
                for part in parts {
                    mask = append_masked(self.out.buffer(), &part, mask);
                }
            }
        }
    }

    /// Sends bytes that may be compressed in binary messages that every receiver takes whole.
    fn send_pieces(&mut self, content: &Transmit) {
        let (mut piece, mut len) = (Vec::new(), 0);
        for mut chunk in content.chunks() {
            while !chunk.is_empty() {
                let (front, rest) = chunk.split_at(chunk.len().min(COMPRESSED_PIECE_BYTES - len));
                piece.push(front);
                (chunk, len) = (rest, len + front.len());
                if len == COMPRESSED_PIECE_BYTES {
                    self.send_piece(&piece, len);
                    piece.clear();
                    len = 0;
                }
            }
        }
        if len > 0 {
            self.send_piece(&piece, len);
        }
    }

    fn send_piece(&mut self, piece: &[&[u8]], len: usize) {
        if self.compresses(len) && self.put_compressed(OpCode::Data(Data::Binary), piece, len) {
            return;
        }
        let mut mask = self.put_head(OpCode::Data(Data::Binary), false, len);
        for part in piece {
            match mask {
                None => self.out.put(part),
                Some(bytes) => mask = Some(append_masked(self.out.buffer(), part, bytes)),
            }
        }
    }

    /// Whether compressing a message of this length is worth a try.
    fn compresses(&self, len: usize) -> bool {
        len >= COMPRESS_BYTES_MIN && self.deflate.is_some_and(|(agreed, _)| agreed.window_bits >= COMPRESSES_BITS_MIN)
    }

    /// The message that `parts` make up, if it is smaller when compressed. What is compressed already is not.
    fn compressed(&self, parts: &[&[u8]], len: usize) -> Option<Bytes> {
        let (agreed, compression) = self.deflate?;
        let mut compressed = Vec::new();
        let done = compression.compress(parts, agreed.window_bits, &mut compressed);
        if !done || compressed.len() >= len {
            return None;
        }
        if compressed.capacity() - compressed.len() > WASTE_BYTES_MAX {
            compressed.shrink_to_fit();
        }
        Some(compressed.into())
    }

    /// Writes the message compressed. False: it would not be smaller.
    fn put_compressed(&mut self, opcode: OpCode, parts: &[&[u8]], len: usize) -> bool {
        let Some(compressed) = self.compressed(parts, len) else { return false };
        match self.put_head(opcode, true, compressed.len()) {
            None => self.out.put_payload(compressed),
            Some(mask) => {
                append_masked(self.out.buffer(), &compressed, mask);
            }
        }
        true
    }

    fn put_control(&mut self, control: Control, payload: &[u8]) {
        if self.phase != Phase::Open {
            return;
        }
        match self.put_head(OpCode::Control(control), false, payload.len()) {
            None => self.out.put(payload),
            Some(mask) => {
                append_masked(self.out.buffer(), payload, mask);
            }
        }
    }

    /// Writes the head of a whole message; the mask for what follows.
    fn put_head(&mut self, opcode: OpCode, compressed: bool, len: usize) -> Option<[u8; 4]> {
        let mask = (self.role == Role::Client).then(|| self.next_mask());
        let header = FrameHeader { opcode, mask, rsv1: compressed, ..FrameHeader::default() };
        header.format(len as u64, self.out.buffer()).expect("a vector takes everything");
        mask
    }

    /// RFC 6455 §5.3: not to be guessed from the masks before it. The hash is SipHash, the secret is the seed.
    fn next_mask(&mut self) -> [u8; 4] {
        self.masks += 1;
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write_u64(self.masks);
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        [a, b, c, d]
    }
}

/// The code that goes with an error of this side's.
pub(super) fn code_of(error: &ConnectionError) -> u16 {
    match error {
        ConnectionError::PeerMisbehaved(PeerMisbehaved::WebSocket(violation)) => violation.code(),
        ConnectionError::PeerMisbehaved(_) => close_code::PROTOCOL,
        ConnectionError::LimitExceeded(LimitExceeded::WebSocketMessage) => close_code::TOO_BIG,
        ConnectionError::LimitExceeded(_) => close_code::POLICY,
        ConnectionError::TimedOut(_) | ConnectionError::Peer(_) | ConnectionError::Lost => close_code::GOING_AWAY,
        ConnectionError::Local(reason) => code_of_reason(*reason),
    }
}

/// The code for a reason of the layers above.
pub(super) fn code_of_reason(reason: Reason) -> u16 {
    match reason {
        Reason::NO_ERROR => close_code::NORMAL,
        Reason::PROTOCOL_ERROR => close_code::PROTOCOL,
        Reason::ENHANCE_YOUR_CALM => close_code::POLICY,
        _ => close_code::INTERNAL,
    }
}

fn reason_of(code: u16) -> Reason {
    match code {
        close_code::PROTOCOL | close_code::UNSUPPORTED | close_code::BAD_PAYLOAD => Reason::PROTOCOL_ERROR,
        close_code::POLICY | close_code::TOO_BIG => Reason::ENHANCE_YOUR_CALM,
        close_code::INTERNAL => Reason::INTERNAL_ERROR,
        code => Reason::from_code(code.into()),
    }
}

impl Violation {
    fn code(self) -> u16 {
        match self {
            Violation::BadDeflate | Violation::Utf8 => close_code::BAD_PAYLOAD,
            Violation::WrongKind => close_code::UNSUPPORTED,
            _ => close_code::PROTOCOL,
        }
    }

    pub(in crate::wire) fn words(self) -> &'static str {
        match self {
            Violation::BadClose => "bad close frame",
            Violation::BadDeflate => "bad compressed message",
            Violation::ContinuationMissing => "message inside a message",
            Violation::ContinuationUnexpected => "continuation of nothing",
            Violation::ControlFragmented => "control frame in parts",
            Violation::ControlTooLong => "control frame above 125 bytes",
            Violation::Length => "bad length of a frame",
            Violation::Masking => "clients mask and servers do not",
            Violation::Opcode => "unknown opcode",
            Violation::ReservedBits => "reserved bit without a meaning",
            Violation::Utf8 => "text is not UTF-8",
            Violation::WrongKind => "text and binary messages cannot be mixed here",
        }
    }
}

/// Appends `bytes` with the mask put on, or taken off, and gives the mask for what follows.
fn append_masked(to: &mut Vec<u8>, bytes: &[u8], mut mask: [u8; 4]) -> [u8; 4] {
    let start = to.len();
    to.extend_from_slice(bytes);
    let wide = u64::from(u32::from_ne_bytes(mask)) * 0x1_0000_0001;
    let mut words = to[start..].chunks_exact_mut(8);
    for word in &mut words {
        let mut value = [0; 8];
        value.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(value) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(bytes.len() % 4);
    mask
}

fn unmasked(bytes: &[u8], mask: [u8; 4]) -> Bytes {
    let mut clear = Vec::with_capacity(bytes.len());
    append_masked(&mut clear, bytes, mask);
    clear.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_goes_on_across_pieces_and_comes_off_again() {
        let mask = [0x6d, 0xb6, 0xb2, 0x80];
        let bytes: Vec<u8> = (0..100).collect();
        let plain: Vec<u8> = bytes.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
        for size in 1..bytes.len() {
            let (mut masked, mut turned) = (Vec::new(), mask);
            for piece in bytes.chunks(size) {
                turned = append_masked(&mut masked, piece, turned);
            }
            assert_eq!(masked, plain, "pieces of {size}");
        }
        assert_eq!(unmasked(&plain, mask), bytes);
    }
}
