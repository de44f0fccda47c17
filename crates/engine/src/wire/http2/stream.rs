//! One stream: its names and its state.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::wire::Headers;

/// One stream, seen from here. RFC 9113 §5.1 without push, as two sides that move independently:
///
/// ```text
///   theirs:  Head ──headers──▶ Body ──END_STREAM──▶ Ended        (a request makes a server's stream start at Body)
///   ours:    Head ──headers──▶ Body ──end given──▶ Ending ──END_STREAM written──▶ Ended
///
///   open = neither Ended; half-closed = one Ended; closed = both, or a reset: the slot is free at once
/// ```
#[derive(Debug)]
pub(super) struct Stream {
    /// The number on the wire; 0 marks a vacant slot.
    pub(super) id: u32,
    /// Neighbours in the list of streams that wait to send, or the next vacant slot.
    pub(super) next: u32,
    pub(super) previous: u32,
    /// Which list it stands in.
    pub(super) list: List,
    pub(super) ours: Side,
    pub(super) theirs: Side,
    /// The queue has been above the high-water mark.
    pub(super) above_high: bool,
    /// A response to HEAD, 204 or 304: content-length describes what is not sent.
    pub(super) bodiless: bool,
    /// What we may send; negative after the peer shrank its initial window (§6.9.2).
    pub(super) send_window: i32,
    /// What the peer may send.
    pub(super) recv_window: i32,
    /// Flow-controlled bytes the consumer has not released, and the number of their pieces.
    pub(super) unreleased: u32,
    pub(super) unreleased_frames: u32,
    /// Released bytes not yet given back to the peer.
    pub(super) owed: u32,
    /// Bytes of DATA in `queue`.
    pub(super) queued_bytes: usize,
    /// What content-length still promises; `u64::MAX` without one.
    pub(super) content_left: u64,
    /// What waits to be sent.
    pub(super) queue: VecDeque<Queued>,
}

/// One direction of a stream, named by what comes next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Headers must come first.
    Head,
    /// DATA or trailers.
    Body,
    /// Ours only: the end was given but is still queued.
    Ending,
    /// Nothing: END_STREAM has passed.
    Ended,
}

/// Where a stream with a queue waits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum List {
    /// Nowhere: nothing queued, or its own window is used up.
    None,
    /// For its turn.
    Ready,
    /// For the connection's window.
    Window,
}

/// Something that waits to be sent on a stream.
#[derive(Debug)]
pub(super) enum Queued {
    Data { data: Bytes, end: bool },
    Headers(Box<QueuedHeaders>),
}

/// Headers are encoded when they are written, so that the compression tables stay in step.
#[derive(Debug)]
pub(super) struct QueuedHeaders {
    pub(super) head: Arc<Headers>,
    pub(super) extra: Option<Headers>,
    pub(super) end: bool,
}

impl Stream {
    /// Whether the front of the queue is DATA that costs window.
    pub(super) fn waits_for_window(&self) -> bool {
        matches!(self.queue.front(), Some(Queued::Data { data, .. }) if !data.is_empty())
    }

    /// Whether the front of the queue may be sent as far as this stream is concerned.
    pub(super) fn may_send(&self) -> bool {
        !self.queue.is_empty() && (self.send_window > 0 || !self.waits_for_window())
    }
}

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// content-length was not given.
pub(super) const UNKNOWN_LENGTH: u64 = u64::MAX;
