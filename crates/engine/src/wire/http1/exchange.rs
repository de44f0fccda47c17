//! One request with its answer.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::StreamKey;

/// A stream of HTTP/1.1, seen from here: two sides that move independently, as in HTTP/2.
///
/// ```text
///   theirs:  Head ──head──▶ Body ──end──▶ Ended        (a request makes a server's exchange start at Body)
///   ours:    Head ──head──▶ Body ──end given──▶ Ending ──end written──▶ Ended
/// ```
///
/// When both have ended, the connection is free for the next one.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) key: StreamKey,
    pub(super) ours: Side,
    pub(super) theirs: Side,
    /// The upper layer is done with it: what still comes is read and dropped.
    pub(super) forgotten: bool,
    /// How our body is framed.
    pub(super) framing: Outgoing,
    /// Where our head begins in the output while it lacks its last lines: how the body is framed is decided as late as
    /// can be, because a body that is there as a whole needs no chunks.
    pub(super) head_at: Option<usize>,
    /// `content-length` as the upper layer gave it.
    pub(super) announced: Option<u64>,
    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued_bytes: usize,
    /// The queue has been above the high-water mark.
    pub(super) above_high: bool,
    /// Our trailers, as text.
    pub(super) trailers: Vec<u8>,
    /// Body of the peer that the consumer has not released.
    pub(super) unreleased: usize,
    /// Body of the peer that was dropped.
    pub(super) dropped: usize,

    // What the request said
    /// It was HEAD.
    pub(super) head_only: bool,
    /// It came by HTTP/1.0.
    pub(super) is_old: bool,
    /// Trailers are understood.
    pub(super) te_trailers: bool,
    /// It asks for another protocol.
    pub(super) upgrade: bool,
    /// Client: it is of a method that has a body by its meaning.
    pub(super) has_content: bool,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(super) continue_due: bool,
    /// The connection ends with this exchange.
    pub(super) closes: bool,
}

/// How far one side is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// The head is to come.
    Head,
    /// The head is over; body or trailers may follow.
    Body,
    /// Only ours: the end is given but not all is written.
    Ending,
    /// All is said.
    Ended,
}

/// How a body of ours is framed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Outgoing {
    /// Not decided.
    Open,
    /// There is none, whatever is given: HEAD, 204, 304.
    Nothing,
    /// So many bytes more.
    Length(u64),
    Chunked,
    /// HTTP/1.0: until the connection ends.
    UntilClose,
}

impl Exchange {
    pub(super) fn new(key: StreamKey) -> Self {
        Exchange {
            key,
            ours: Side::Head,
            theirs: Side::Head,
            forgotten: false,
            framing: Outgoing::Open,
            head_at: None,
            announced: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            above_high: false,
            trailers: Vec::new(),
            unreleased: 0,
            dropped: 0,
            head_only: false,
            is_old: false,
            te_trailers: false,
            upgrade: false,
            has_content: false,
            continue_due: false,
            closes: false,
        }
    }
}
