//! What every server of the comparison is set to, ours and the peers alike.
//!
//! The peers' workspace includes this very file. The runner does not trust it: it reads the
//! figures back from the wire and the socket of each running server.

/// How much of one stream a server lets a client send ahead, in bytes.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// How much of all streams of a connection together, in bytes.
///
/// With less than 8 MiB the h2 crate under both peers says GOAWAY `too_many_data_frames` to a
/// client that fills one stream's window with messages of 64 bytes.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// The largest frame a server takes: the smallest value the standard allows, and its default.
pub const FRAME_BYTES_MAX: u32 = 16_384;
/// Streams a client may have open at once on one connection.
pub const STREAMS_MAX: u32 = 1024;
