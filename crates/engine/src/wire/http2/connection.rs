//! The HTTP/2 connection: the engine's face to driver and upper layers.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::event::{Event, OpenError};
use super::headers::Headers;
use super::reason::Reason;
use super::stream::StreamKey;
use crate::drain::Machine;
use crate::limits::Limits;
use crate::transmit::Transmit;

/// Which side of a connection we are.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// We open streams.
    Client,
    /// The peer opens streams.
    Server,
}

/// One HTTP/2 connection, either side.
///
/// Nothing fails: misbehaviour of the peer becomes a GOAWAY in the output and [`Event::Closed`]. A command on a
/// stale key is ignored. After every input and command, [`drain`](crate::drain::drain) the output.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Arc<Limits>,
}

impl Connection {
    /// A fresh connection. `seed` is used for jitter only.
    #[must_use]
    pub fn new(role: Role, limits: &Arc<Limits>, _now: Instant, _seed: u64) -> Self {
        Connection {
            role,
            limits: Arc::clone(limits),
        }
    }

    /// Bytes have arrived from the peer.
    pub fn handle_bytes(&mut self, _now: Instant, _bytes: Bytes) {}

    /// The peer closed its sending side, or the transport failed.
    pub fn handle_eof(&mut self, _now: Instant) {}

    /// The moment of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The transport took some of a transmit but not all: the peer is slow, not dead. Optional; without it a
    /// whole transmit must be taken within `write_timeout`.
    pub fn handle_progress(&mut self, _now: Instant) {}

    /// What is to be reported next.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Appends what is to be written, at most about `transmit_bytes_max`. False: nothing to send.
    ///
    /// Call it again only when everything from the call before has been written: that is how the engine knows that
    /// the transport moves.
    pub fn poll_transmit(&mut self, _now: Instant, _out: &mut Transmit) -> bool {
        false
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Client: opens a stream with a request. `head` is remembered by pointer: use the same `Arc` for the fields
    /// that are the same in every call, and `extra` for those that vary.
    ///
    /// # Errors
    /// Why no stream can be opened now.
    pub fn open(
        &mut self,
        _now: Instant,
        _head: &Arc<Headers>,
        _extra: Option<&Headers>,
        _end: bool,
    ) -> Result<StreamKey, OpenError> {
        Err(OpenError::Closed)
    }

    /// Sends an informational response, the response's headers, or trailers (`end`). False: the stream is gone.
    pub fn send_headers(
        &mut self,
        _key: StreamKey,
        _head: &Arc<Headers>,
        _extra: Option<&Headers>,
        _end: bool,
    ) -> bool {
        false
    }

    /// Sends DATA, or queues what the windows do not allow yet. False: the stream is gone or our side has ended.
    pub fn send_data(&mut self, _key: StreamKey, _data: Bytes, _end: bool) -> bool {
        false
    }

    /// Ends the stream abruptly. What is queued on it is dropped; no event follows.
    pub fn reset(&mut self, _key: StreamKey, _reason: Reason) -> bool {
        false
    }

    /// The consumer took so many bytes (`flow_bytes`) of DATA: the windows may be given back.
    pub fn release(&mut self, _key: StreamKey, _bytes: u32) {}

    /// Accepts nothing new and lets the open streams finish, then closes. A server says GOAWAY twice: first
    /// without a limit, and after a PING round trip with the last stream it has seen.
    pub fn drain(&mut self, _now: Instant, _debug: &'static str) {}

    /// Closes at once with a GOAWAY of this reason.
    pub fn close(&mut self, _now: Instant, _reason: Reason, _debug: &str) {}

    /// Which side we are.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The limits it works within.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Everything has been said and taken: the transport may be closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        false
    }

    /// One side has said that it accepts no new streams.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        false
    }

    /// No stream is open and nothing is to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }

    /// Streams that are open now.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        0
    }

    /// Streams the peer lets us have open at once.
    #[must_use]
    pub fn streams_peer_max(&self) -> u32 {
        0
    }

    /// Whether [`open`](Self::open) would succeed now.
    #[must_use]
    pub fn can_open(&self) -> bool {
        false
    }

    /// Whether the peer allows extended CONNECT (RFC 8441).
    #[must_use]
    pub fn can_connect_protocol(&self) -> bool {
        false
    }

    /// Bytes accepted by [`send_data`](Self::send_data) that wait for windows or room.
    #[must_use]
    pub fn queued_bytes(&self, _key: StreamKey) -> usize {
        0
    }
}

impl Machine for Connection {
    type Event = Event;

    fn poll_event(&mut self) -> Option<Event> {
        Connection::poll_event(self)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        Connection::poll_transmit(self, now, out)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Connection::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Connection::handle_timeout(self, now);
    }

    fn is_closed(&self) -> bool {
        Connection::is_closed(self)
    }
}
