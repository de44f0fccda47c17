//! Every bound of the engine in one place, each with its reason.

use std::fmt;
use std::time::Duration;

/// The bounds one connection works within.
///
/// One value is shared by all connections of a server or a channel. The defaults are those of a server or client
/// that talks to strangers; each field says what it buys.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    // Calls
    /// Longest message that is accepted, as it travels and after decompression. What gRPC implementations agree on.
    /// Default 4 MiB.
    pub message_bytes_max: usize,
    /// Bytes of messages that have come in part, over all calls of a connection: without it every stream could hold
    /// nearly a whole message. The call that goes past it ends with RESOURCE_EXHAUSTED. One message of
    /// `message_bytes_max` is always let through. Default 64 MiB.
    pub gathered_bytes_max: usize,

    // Streams
    /// Streams a peer may have open at once, announced and enforced. 256 lets one connection keep several cores
    /// busy while what its handlers can hold stays countable. Default 256.
    pub streams_max: u32,
    /// Streams a client opens before the peer has announced its own limit. RFC 9113 recommends no fewer than 100
    /// for every server, so this many are hardly ever refused. Default 100.
    pub streams_assumed: u32,
    /// The stream id beyond which a connection is retired (client: no `open`; server: drains). Ids are never
    /// reused; three quarters of the space leave time to move on in order. Default 3 · 2^29.
    pub stream_id_max: u32,
    /// Ids of streams we reset that are remembered, so that what the peer had in flight is tolerated. One for every
    /// stream that can be open at once. Default 256.
    pub resets_remembered: usize,

    // Frames
    /// Largest frame payload we accept, announced as SETTINGS_MAX_FRAME_SIZE (2^14 to 2^24 − 1). DATA is passed on
    /// as it arrives, so larger frames would save little; the standard's minimum bounds what a peer makes us hold.
    /// Default 16 KiB.
    pub frame_bytes_max: u32,
    /// Largest DATA payload we put into one frame, even if the peer takes more. Keeps one big message from
    /// holding up its neighbours for long. Default 64 KiB.
    pub frame_send_bytes_max: u32,
    /// Entries of one SETTINGS frame. The standard knows eight; a longer list only burns CPU. Default 32.
    pub settings_entries_max: usize,

    // Native
    /// Methods a peer may give a number on one native connection, announced (64 to 4,096). Each costs its path (at most
    /// 1 KiB) and what its calls have in common; 256 hold the methods of a large system. Default 256.
    pub methods_max: u32,

    // Headers
    /// Decoded size of one header list (name + value + 32 a field), announced as SETTINGS_MAX_HEADER_LIST_SIZE.
    /// A list past it costs its stream. gRPC suggests 8 KiB; tokens and traces want more. Default 16 KiB.
    pub header_list_bytes_max: u32,
    /// Encoded size of one header block over all its frames. More than the list limit, so that a peer that is a
    /// little over loses a stream, and one that is far over the connection. Default 64 KiB.
    pub header_block_bytes_max: usize,
    /// Frames of one header block. The largest honest block fits into five frames of the smallest permitted
    /// maximum; endless or empty CONTINUATION is an attack (CVE-2024-27316). Default 32.
    pub header_block_frames_max: u32,
    /// Time from the first to the last byte of a header block, or of any other frame that is held until it is
    /// complete. Nothing else can be received meanwhile, so it must not stay so. Default 10 s.
    pub header_block_timeout: Duration,
    /// Dynamic table we decode with, announced as SETTINGS_HEADER_TABLE_SIZE: memory a peer may fill. Default 4 KiB.
    pub header_table_bytes: u32,
    /// Dynamic table we encode with at most, whatever the peer allows: memory we spend. Default 4 KiB.
    pub header_table_send_bytes_max: u32,

    // Windows
    /// Window of a new stream: what a peer may send before we answer. 1 MiB fills 100 Mbit/s at 80 ms from the
    /// first call on. Default 1 MiB.
    pub window_bytes: u32,
    /// Window of the connection at its start; several streams share it. Default 4 MiB.
    pub connection_window_bytes: u32,
    /// Where the growth of windows with the bandwidth-delay product stops: 16 MiB fill 1 Gbit/s at 130 ms. A value
    /// not above `window_bytes` switches measuring off. Default 16 MiB.
    pub window_bytes_max: u32,
    /// DATA on one connection that its consumers have not taken, up to which the connection window is given back
    /// at once, so that one stalled stream does not stop the others. Beyond it the whole connection waits.
    /// The most a connection can hold is this plus the connection's window. Default 16 MiB.
    pub buffered_bytes_max: u32,
    /// DATA frames that consumers have not taken. However small a frame is, its place costs about 100 bytes; a
    /// peer past this sends crumbs nobody eats and loses the connection. Default 262,144.
    pub buffered_frames_max: u32,

    // Output
    /// Bytes one `poll_transmit` gathers at most (a little more by headers). About what one write takes. Default 256 KiB.
    pub transmit_bytes_max: usize,
    /// Output not yet taken by `poll_transmit` up to which frames are written straight behind it. Past it they
    /// wait in their stream, which stays open meanwhile: so a peer that does not read cannot make us answer
    /// without end. Default 64 KiB.
    pub direct_bytes_max: usize,
    /// Bytes waiting in one stream above which its producer should stop. Default 64 KiB.
    pub queue_high_bytes: usize,
    /// Bytes waiting in one stream below which its producer is told to go on. Default 16 KiB.
    pub queue_low_bytes: usize,
    /// Answers the peer provoked (acks, resets) that wait to be sent. A peer that makes us talk and does not
    /// listen (CVE-2019-9512, -9514, -9515) is closed. Default 4,096.
    pub control_frames_max: u32,
    /// Bytes waiting for windows on one connection beyond which `window_timeout` applies. As much as all permitted
    /// streams hold at their high-water marks: who merely reads slowly is never cut off. Default 16 MiB.
    pub queued_bytes_max: usize,
    /// How long a peer may leave more than `queued_bytes_max` waiting without giving any window. Default 60 s.
    pub window_timeout: Duration,
    /// How long a transport may refuse to take output before the connection is given up. Default 30 s.
    pub write_timeout: Duration,

    // Rates
    /// Streams the peer resets, or makes us reset or refuse (CVE-2023-44487, CVE-2025-8671). A client that cancels
    /// everything it has in flight a few times stays below. Enforced by servers. Default 1,000 and 100/s.
    pub resets: Rate,
    /// Frames that carry nothing: PING, SETTINGS, PRIORITY, empty DATA, 1xx, unknown types, anything on closed
    /// streams, and WINDOW_UPDATE beyond two for each frame we sent. Default 2,000 and 200/s.
    pub idle_frames: Rate,

    // Time
    /// From the start of the connection to the peer's preface and SETTINGS. Default 10 s.
    pub handshake_timeout: Duration,
    /// From our SETTINGS to their acknowledgement (SETTINGS_TIMEOUT after it). Default 30 s.
    pub settings_timeout: Duration,
    /// Pings that keep the connection honest. Default off; gRPC servers use 2 h and 20 s.
    pub keepalive: Option<Keepalive>,
    /// What a server puts up with of a client's pings. Default: 5 min between pings, two strikes.
    pub ping_policy: Option<PingPolicy>,
    /// A connection without streams is drained after this long. Default never.
    pub idle_timeout: Option<Duration>,
    /// A server's connection is drained at this age, ±10 % by the seed, so that clients spread anew. Default never.
    pub age_max: Option<Duration>,
    /// Time that remains for streams once `age_max` has started the drain. Default no end.
    pub age_grace: Option<Duration>,
    /// How long the first GOAWAY of a drain waits for its PING before the second is sent. Default 5 s.
    pub drain_timeout: Duration,

    // WebSocket
    /// Longest message of a WebSocket that has to be gathered before it can be read: text, with what the JSON form puts
    /// around a message of `message_bytes_max`, and whatever is compressed, before and after decompression: compressed native
    /// frames come in messages of up to 64 KiB, so it should not be below that. Other binary
    /// messages that carry native frames are read as they come and have no limit. Default 4 MiB + 64 KiB.
    pub websocket_message_bytes_max: usize,
    /// A ping is sent after so long without a byte from the peer. Below the minute after which many proxies forget a silent
    /// connection. Default 30 s.
    pub websocket_ping_interval: Option<Duration>,
    /// A peer that sends nothing for so long after a ping is dead. Default 20 s.
    pub websocket_pong_timeout: Duration,
    /// How long a peer may take to answer a close frame. What it sends meanwhile is passed over, so that it can read why.
    /// Default 5 s.
    pub websocket_close_timeout: Duration,

    // REST
    /// Parameters of one query. A query is no longer than a header list; without this, thousands of short parameters
    /// could each look through the fields of a message. Default 256.
    pub query_parameters_max: usize,
    /// Fields that the name of a query parameter leads through. Messages may contain themselves, so without it
    /// `a.a.a…` would go as deep as a query is long. Default 16.
    pub query_depth_max: usize,
    // HTTP/1.1
    /// How long a server waits for the next request of a connection. Clients that reuse connections come back within
    /// a minute or not at all. Default 75 s.
    pub http1_keep_alive_timeout: Duration,
    /// How long a server waits for the next byte of a request's body while its handler wants it. HTTP/1.1 has no pings,
    /// so a sender that says nothing cannot be told from one that is gone, and it holds a whole connection.
    /// Default 120 s.
    pub http1_body_timeout: Duration,

    // Extensions
    /// Server: announce SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441) and accept `:protocol`. Default false.
    pub connect_protocol: bool,
}

/// So many at once, and so many more each second.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What may happen at once after a quiet time.
    pub burst: u32,
    /// What is permitted per second in the long run.
    pub per_second: u32,
}

/// Pings we send (gRFC A8).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// A ping is sent after so long without a byte from the peer.
    pub interval: Duration,
    /// The connection is dead when nothing came for so long after the ping.
    pub timeout: Duration,
    /// Whether pings are sent while no stream is open.
    pub without_calls: bool,
}

/// Pings a server tolerates (gRFC A8).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PingPolicy {
    /// A ping sooner than this after the last is a strike. Without streams two hours apply unless `without_calls`.
    pub interval_min: Duration,
    /// Whether `interval_min` also holds while no stream is open.
    pub without_calls: bool,
    /// Strikes that are forgiven; one more ends the connection with `too_many_pings`.
    pub strikes_max: u32,
}

/// A combination of limits that cannot work.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct InvalidLimits(&'static str);

impl Limits {
    /// Checks what the standard and the engine's own arithmetic demand.
    ///
    /// # Errors
    /// The first rule that is broken, in words.
    pub fn validate(&self) -> Result<(), InvalidLimits> {
        let rules = [
            (self.streams_max >= 1, "streams_max must be at least 1"),
            (self.stream_id_max < 1 << 31, "stream_id_max must be below 2^31"),
            ((1 << 14..1 << 24).contains(&self.frame_bytes_max), "frame_bytes_max must be from 2^14 to 2^24 - 1"),
            (self.frame_send_bytes_max >= 1 << 10, "frame_send_bytes_max must be at least 1 KiB"),
            (self.settings_entries_max >= 8, "settings_entries_max must be at least 8"),
            ((64..=4096).contains(&self.methods_max), "methods_max must be from 64 to 4096"),
            (self.header_list_bytes_max >= 1 << 10, "header_list_bytes_max must be at least 1 KiB"),
            (
                self.header_block_bytes_max >= self.header_list_bytes_max as usize,
                "header_block_bytes_max must not be below header_list_bytes_max",
            ),
            (self.header_block_frames_max >= 2, "header_block_frames_max must be at least 2"),
            (self.header_table_bytes <= 1 << 16, "header_table_bytes must be at most 64 KiB"),
            (self.header_table_send_bytes_max <= 1 << 16, "header_table_send_bytes_max must be at most 64 KiB"),
            ((1..1 << 31).contains(&self.window_bytes), "window_bytes must be from 1 to 2^31 - 1"),
            (self.window_bytes_max < 1 << 30, "window_bytes_max must be below 2^30"),
            (
                (65_535..1 << 31).contains(&self.connection_window_bytes),
                "connection_window_bytes must be from 65,535 to 2^31 - 1",
            ),
            (self.buffered_bytes_max < 1 << 31, "buffered_bytes_max must be below 2^31"),
            (self.transmit_bytes_max >= 1 << 10, "transmit_bytes_max must be at least 1 KiB"),
            (self.direct_bytes_max <= self.transmit_bytes_max, "direct_bytes_max must not be above transmit_bytes_max"),
            (self.queue_low_bytes <= self.queue_high_bytes, "queue_low_bytes must not be above queue_high_bytes"),
            (self.control_frames_max >= 16, "control_frames_max must be at least 16"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(InvalidLimits(rule)),
            None => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_bytes_max: 4 << 20,
            gathered_bytes_max: 64 << 20,
            streams_max: 256,
            streams_assumed: 100,
            stream_id_max: 3 << 29,
            resets_remembered: 256,
            frame_bytes_max: 16 << 10,
            frame_send_bytes_max: 64 << 10,
            settings_entries_max: 32,
            methods_max: 256,
            header_list_bytes_max: 16 << 10,
            header_block_bytes_max: 64 << 10,
            header_block_frames_max: 32,
            header_block_timeout: Duration::from_secs(10),
            header_table_bytes: 4 << 10,
            header_table_send_bytes_max: 4 << 10,
            window_bytes: 1 << 20,
            connection_window_bytes: 4 << 20,
            window_bytes_max: 16 << 20,
            buffered_bytes_max: 16 << 20,
            buffered_frames_max: 262_144,
            transmit_bytes_max: 256 << 10,
            direct_bytes_max: 64 << 10,
            queue_high_bytes: 64 << 10,
            queue_low_bytes: 16 << 10,
            control_frames_max: 4_096,
            queued_bytes_max: 16 << 20,
            window_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            resets: Rate { burst: 1_000, per_second: 100 },
            idle_frames: Rate { burst: 2_000, per_second: 200 },
            handshake_timeout: Duration::from_secs(10),
            settings_timeout: Duration::from_secs(30),
            keepalive: None,
            ping_policy: Some(PingPolicy::default()),
            idle_timeout: None,
            age_max: None,
            age_grace: None,
            drain_timeout: Duration::from_secs(5),
            websocket_message_bytes_max: (4 << 20) + (64 << 10),
            websocket_ping_interval: Some(Duration::from_secs(30)),
            websocket_pong_timeout: Duration::from_secs(20),
            websocket_close_timeout: Duration::from_secs(5),
            query_parameters_max: 256,
            query_depth_max: 16,
            http1_keep_alive_timeout: Duration::from_secs(75),
            http1_body_timeout: Duration::from_secs(120),
            connect_protocol: false,
        }
    }
}

impl Default for Keepalive {
    /// What gRPC servers do: 2 h, 20 s, also without calls.
    fn default() -> Self {
        Keepalive { interval: Duration::from_secs(2 * 60 * 60), timeout: Duration::from_secs(20), without_calls: true }
    }
}

impl Default for PingPolicy {
    /// What gRPC servers do: 5 min, not without calls, two strikes.
    fn default() -> Self {
        PingPolicy { interval_min: Duration::from_secs(5 * 60), without_calls: false, strikes_max: 2 }
    }
}

impl fmt::Display for InvalidLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidLimits {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn a_frame_limit_outside_the_standard_is_named() {
        let limits = Limits { frame_bytes_max: 1 << 24, ..Limits::default() };
        assert!(limits.validate().unwrap_err().to_string().contains("frame_bytes_max"));
    }
}
