//! What a connection reports, and how it fails.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Headers;
use super::Reason;
use super::native::NativeRule;
use super::{StreamId, StreamKey};

/// Something the upper layer should know.
// A tag as wide as a word: with one of a byte the rest is moved from odd addresses, for which the processor waits.
#[repr(u64)]
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// Request (server) or final response (client) headers, valid by RFC 9113 §8.2–8.3. Informational responses
    /// are consumed silently. `end`: the peer's side ends here.
    Headers {
        /// The stream.
        key: StreamKey,
        /// Pseudo headers first. The same block sent again gives the same `Arc`.
        headers: Arc<Headers>,
        /// Whether the peer's side of the stream ends here.
        end: bool,
    },
    /// A piece of the peer's DATA; not necessarily a whole frame. May be empty when `end`.
    Data {
        /// The stream.
        key: StreamKey,
        /// A slice of what was received.
        data: Bytes,
        /// Whether the peer's side of the stream ends here.
        end: bool,
        /// What [`Connection::release`](super::http2::Connection::release) wants back once the bytes are consumed: their
        /// length. Padding has been given back already.
        flow_bytes: u32,
    },
    /// Trailers. They always end the peer's side.
    Trailers {
        /// The stream.
        key: StreamKey,
        /// Regular fields only.
        headers: Arc<Headers>,
    },
    /// The stream is gone: no event follows for it and commands on it are ignored.
    Reset {
        /// The stream.
        key: StreamKey,
        /// Why. NO_ERROR by a server after its whole response means: the response counts (RFC 9113 §8.1).
        reason: Reason,
        /// True: the peer ended it. False: we did because the peer broke a rule or a limit.
        by_peer: bool,
        /// The peer promised it did nothing: REFUSED_STREAM, or an id above its GOAWAY's.
        unprocessed: bool,
    },
    /// A stream's queue fell to the low-water mark after having been above the high-water mark.
    Writable {
        /// The stream.
        key: StreamKey,
    },
    /// Client: after an `open` was refused for the peer's limit, another may succeed now.
    Openable,
    /// The first SETTINGS of the peer arrived: the connection is usable.
    Settled,
    /// The peer will accept no further streams. Those above `last` have been reported as unprocessed.
    GoingAway {
        /// The last stream the peer will look at.
        last: StreamId,
        /// Why.
        reason: Reason,
        /// Words for people.
        debug: Bytes,
    },
    /// The end: exactly once, and the last event. Streams still open are gone.
    Closed {
        /// `None`: it ended in order.
        error: Option<ConnectionError>,
    },
}

/// Why `open` refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The connection is closed or closing.
    Closed,
    /// One side has said that no new streams are accepted.
    Draining,
    /// The stream ids are used up: take a new connection.
    Exhausted,
    /// The peer's limit of open streams is reached. [`StreamEvent::Openable`] will say when to try again.
    Full,
    /// The message cannot be written by this protocol: [`RequestTemplate::check`](crate::protocol::RequestTemplate::check)
    /// says why.
    Unfit,
}

/// How a connection failed, by whose fault it was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ConnectionError {
    /// We gave up for a reason of the layers above.
    Local(Reason),
    /// The transport ended while something was still to come.
    Lost,
    /// The peer exceeded a bound we chose; it was told ENHANCE_YOUR_CALM.
    LimitExceeded(LimitExceeded),
    /// The peer gave up, by GOAWAY with this code.
    Peer(Reason),
    /// The peer broke a rule; it was told the code the rule names.
    PeerMisbehaved(PeerMisbehaved),
    /// Something took too long.
    TimedOut(TimedOut),
}

/// A rule of RFC 9113, RFC 7541 or of the native protocol that the peer broke, at the cost of the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PeerMisbehaved {
    /// The server's first bytes are not the preface.
    BadPreface,
    /// A SETTINGS value outside its range.
    BadSetting,
    /// INITIAL_WINDOW_SIZE outside its range.
    BadWindowSetting,
    /// CONTINUATION that continues nothing.
    ContinuationUnexpected,
    /// Another frame inside a header block.
    ContinuationMissing,
    /// More DATA than the connection's window.
    ConnectionWindowExceeded,
    /// WINDOW_UPDATE past 2^31 − 1 on the connection.
    ConnectionWindowOverflow,
    /// WINDOW_UPDATE of zero on the connection.
    ConnectionWindowUpdateOfZero,
    /// A frame longer than announced, or of a length its type forbids.
    FrameSize,
    /// GOAWAY that takes back what an earlier one promised.
    GoAwayRaised,
    /// A header block that cannot be decoded.
    HeaderCompression,
    /// HTTP/1.1: a rule of RFC 9112 or RFC 9110, in words.
    Http1(&'static str),
    /// A frame on a stream that cannot exist yet.
    IdleStream,
    /// A rule of the native protocol.
    Native(NativeRule),
    /// The first frame is not SETTINGS.
    NotSettingsFirst,
    /// Padding as long as the frame or longer.
    Padding,
    /// PUSH_PROMISE, which is switched off.
    Push,
    /// PRIORITY that makes a stream that is not open depend on itself.
    SelfDependent,
    /// HEADERS or DATA on a stream the peer had ended.
    StreamClosed,
    /// A stream id of the wrong parity or below an earlier one, or zero, or not zero, where that is not allowed.
    StreamIdInvalid,
    /// A rule of RFC 6455.
    WebSocket(super::websocket::Violation),
    /// SETTINGS acknowledged that were never sent, or INITIAL_WINDOW_SIZE that overflows a window.
    WindowOverflow,
}

/// A bound of [`Limits`](crate::Limits) that the peer exceeded, at the cost of the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum LimitExceeded {
    /// `buffered_frames_max`.
    BufferedFrames,
    /// `control_frames_max`.
    ControlFrames,
    /// `header_block_bytes_max` or `header_block_frames_max`; HTTP/1.1: `header_list_bytes_max`.
    HeaderBlock,
    /// HTTP/1.1: bytes that nobody had asked for, sent while the connection was said to be full.
    HeldBytes,
    /// `idle_frames`.
    IdleFrames,
    /// `ping_policy`.
    Pings,
    /// `resets`.
    Resets,
    /// `settings_entries_max`.
    SettingsEntries,
    /// `websocket_message_bytes_max`.
    WebSocketMessage,
}

/// A time of [`Limits`](crate::Limits) that ran out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TimedOut {
    /// `http1_body_timeout`.
    Body,
    /// `handshake_timeout`.
    Handshake,
    /// `header_block_timeout`.
    HeaderBlock,
    /// `keepalive`.
    Keepalive,
    /// `settings_timeout`.
    Settings,
    /// `window_timeout`.
    Window,
    /// `write_timeout`.
    Write,
}

impl ConnectionError {
    /// The code of the GOAWAY that goes with it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            ConnectionError::Local(reason) | ConnectionError::Peer(reason) => *reason,
            ConnectionError::Lost => Reason::NO_ERROR,
            ConnectionError::LimitExceeded(_) => Reason::ENHANCE_YOUR_CALM,
            ConnectionError::PeerMisbehaved(rule) => rule.reason(),
            ConnectionError::TimedOut(TimedOut::Settings) => Reason::SETTINGS_TIMEOUT,
            ConnectionError::TimedOut(TimedOut::Keepalive | TimedOut::Write) => Reason::NO_ERROR,
            ConnectionError::TimedOut(_) => Reason::ENHANCE_YOUR_CALM,
        }
    }

    /// Words for the GOAWAY's debug data and for logs.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            ConnectionError::Local(_) => "closed",
            ConnectionError::Lost => "transport lost",
            ConnectionError::LimitExceeded(limit) => limit.words(),
            ConnectionError::Peer(_) => "the peer gave up",
            ConnectionError::PeerMisbehaved(rule) => rule.words(),
            ConnectionError::TimedOut(what) => what.words(),
        }
    }
}

impl PeerMisbehaved {
    /// The code the standard names for the rule.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            PeerMisbehaved::BadWindowSetting
            | PeerMisbehaved::ConnectionWindowExceeded
            | PeerMisbehaved::ConnectionWindowOverflow
            | PeerMisbehaved::WindowOverflow => Reason::FLOW_CONTROL_ERROR,
            PeerMisbehaved::FrameSize => Reason::FRAME_SIZE_ERROR,
            PeerMisbehaved::HeaderCompression => Reason::COMPRESSION_ERROR,
            PeerMisbehaved::StreamClosed => Reason::STREAM_CLOSED,
            PeerMisbehaved::WebSocket(_) => Reason::PROTOCOL_ERROR,
            PeerMisbehaved::BadPreface
            | PeerMisbehaved::BadSetting
            | PeerMisbehaved::ContinuationUnexpected
            | PeerMisbehaved::ContinuationMissing
            | PeerMisbehaved::ConnectionWindowUpdateOfZero
            | PeerMisbehaved::GoAwayRaised
            | PeerMisbehaved::Http1(_)
            | PeerMisbehaved::IdleStream
            | PeerMisbehaved::Native(_)
            | PeerMisbehaved::NotSettingsFirst
            | PeerMisbehaved::Padding
            | PeerMisbehaved::Push
            | PeerMisbehaved::SelfDependent
            | PeerMisbehaved::StreamIdInvalid => Reason::PROTOCOL_ERROR,
        }
    }

    fn words(self) -> &'static str {
        match self {
            PeerMisbehaved::BadPreface => "bad preface",
            PeerMisbehaved::BadSetting => "bad setting",
            PeerMisbehaved::BadWindowSetting => "bad initial window",
            PeerMisbehaved::ContinuationUnexpected => "continuation of nothing",
            PeerMisbehaved::ContinuationMissing => "frame inside a header block",
            PeerMisbehaved::ConnectionWindowExceeded => "connection window exceeded",
            PeerMisbehaved::ConnectionWindowOverflow => "connection window overflow",
            PeerMisbehaved::ConnectionWindowUpdateOfZero => "window update of zero",
            PeerMisbehaved::FrameSize => "bad frame size",
            PeerMisbehaved::GoAwayRaised => "goaway raised its last stream",
            PeerMisbehaved::HeaderCompression => "header block cannot be decoded",
            PeerMisbehaved::Http1(words) => words,
            PeerMisbehaved::IdleStream => "frame on an idle stream",
            PeerMisbehaved::Native(rule) => rule.words(),
            PeerMisbehaved::NotSettingsFirst => "settings must come first",
            PeerMisbehaved::Padding => "padding exceeds the frame",
            PeerMisbehaved::Push => "push is switched off",
            PeerMisbehaved::SelfDependent => "stream depends on itself",
            PeerMisbehaved::StreamClosed => "frame on a closed stream",
            PeerMisbehaved::StreamIdInvalid => "bad stream id",
            PeerMisbehaved::WebSocket(violation) => violation.words(),
            PeerMisbehaved::WindowOverflow => "window overflow by settings",
        }
    }
}

impl LimitExceeded {
    fn words(self) -> &'static str {
        match self {
            LimitExceeded::BufferedFrames => "too_many_small_frames",
            LimitExceeded::ControlFrames => "too_many_unread_answers",
            LimitExceeded::HeaderBlock => "header_block_too_large",
            LimitExceeded::HeldBytes => "too_many_unread_bytes",
            LimitExceeded::IdleFrames => "too_many_idle_frames",
            LimitExceeded::Pings => "too_many_pings",
            LimitExceeded::Resets => "too_many_resets",
            LimitExceeded::SettingsEntries => "too_many_settings",
            LimitExceeded::WebSocketMessage => "message_too_long",
        }
    }
}

impl TimedOut {
    fn words(self) -> &'static str {
        match self {
            TimedOut::Body => "body timeout",
            TimedOut::Handshake => "handshake timeout",
            TimedOut::HeaderBlock => "header block timeout",
            TimedOut::Keepalive => "keepalive timeout",
            TimedOut::Settings => "settings timeout",
            TimedOut::Window => "window timeout",
            TimedOut::Write => "write timeout",
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionError::Local(reason) | ConnectionError::Peer(reason) => {
                write!(f, "{}: {reason}", self.words())
            }
            _ => f.write_str(self.words()),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::Closed => "the connection is closed",
            OpenError::Draining => "the connection accepts no new streams",
            OpenError::Exhausted => "the connection's stream ids are used up",
            OpenError::Full => "the peer's limit of open streams is reached",
            OpenError::Unfit => "the message cannot be written by this protocol",
        })
    }
}

impl std::error::Error for OpenError {}

const _: () = assert!(size_of::<Option<StreamEvent>>() <= 56);
