//! Frames going out: headers and data of many streams share one output, each in its turn.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::connection::Connection;
use super::frame::{self, FrameHead, HEAD_BYTES, flag, kind};
use super::stream::{List, Queued, QueuedHeaders, Side};
use crate::wire::{Headers, Reason, Role, StreamKey};

impl Connection {
    /// Headers of an open stream: written at once when nothing is before them.
    pub(super) fn give_headers(
        &mut self,
        key: StreamKey,
        head: &Arc<Headers>,
        extra: Option<&Headers>,
        end: bool,
    ) -> bool {
        let direct = self.may_write();
        let Some(stream) = self.streams.get_mut(key) else {
            return false;
        };
        let informational = match stream.ours {
            Side::Head => !end && is_informational(head),
            // A second header block is trailers, which end.
            Side::Body if end => false,
            Side::Body | Side::Ending | Side::Ended => return false,
        };
        if direct && stream.queue.is_empty() {
            if informational {
                self.write_block(key.id.0, head, extra, false);
            } else {
                self.write_headers(key, head, extra, end);
            }
            return true;
        }
        if !informational {
            stream.ours = if end { Side::Ending } else { Side::Body };
        }
        let headers = QueuedHeaders { head: Arc::clone(head), extra: extra.cloned(), end };
        stream.queue.push_back(Queued::Headers(Box::new(headers)));
        self.make_ready(key);
        true
    }

    /// DATA of an open stream: written at once when nothing is before it and the windows allow it.
    pub(super) fn give_data(&mut self, key: StreamKey, data: Bytes, end: bool) -> bool {
        let direct = self.may_write();
        let frame_bytes_max = self.frame_bytes_max();
        let high = self.limits.queue_high_bytes;
        let Some(stream) = self.streams.get_mut(key) else {
            return false;
        };
        if stream.ours != Side::Body {
            return false;
        }
        let len = data.len();
        if len == 0 && !end {
            return true;
        }
        if direct
            && stream.queue.is_empty()
            && len <= frame_bytes_max
            && len as i64 <= i64::from(stream.send_window.min(self.send_window))
        {
            stream.send_window -= len as i32;
            self.send_window -= len as i32;
            self.append_data(key.id.0, data, end, frame_bytes_max);
            self.note_sent();
            if end {
                self.our_end_written(key);
            }
            return true;
        }
        if end {
            stream.ours = Side::Ending;
        }
        stream.queued_bytes += len;
        stream.above_high |= stream.queued_bytes > high;
        stream.queue.push_back(Queued::Data { data, end });
        self.queued_bytes += len;
        self.make_ready(key);
        true
    }

    /// Writes DATA behind the output, into the last frame if that is of the same stream and has room: many small
    /// messages at once then cost one frame.
    fn append_data(&mut self, id: u32, data: Bytes, end: bool, frame_bytes_max: usize) {
        let len = data.len();
        let flags = if end { flag::END_STREAM } else { 0 };
        let last = self.last_data;
        let buffer = self.out.buffer();
        let joined = last.len as usize + len;
        let head = if last.id == id && last.end as usize == buffer.len() && joined <= frame_bytes_max {
            let head = FrameHead { len: joined as u32, kind: kind::DATA, flags, id };
            buffer[last.at as usize..][..HEAD_BYTES].copy_from_slice(&head.encode());
            self.last_data.len = head.len;
            head
        } else {
            let head = FrameHead { len: len as u32, kind: kind::DATA, flags, id };
            self.last_data = LastData { id, at: buffer.len() as u32, end: 0, len: head.len };
            buffer.extend_from_slice(&head.encode());
            head
        };
        debug_assert!(head.size() <= frame_bytes_max);
        self.out.put_payload(data);
        self.last_data.end = self.out.buffer().len() as u32;
    }

    /// Everything that is due goes into the output.
    pub(super) fn fill_output(&mut self, now: Instant) {
        if let Some(bytes) = self.inflow.due() {
            frame::write_window_update(self.out.buffer(), 0, bytes);
        }
        let mut sent = 0;
        while self.out.len() < self.limits.transmit_bytes_max {
            let Some(key) = self.streams.pop_ready() else {
                break;
            };
            sent += self.take_turn(key);
        }
        if self.queued_bytes <= self.limits.queued_bytes_max || self.streams.any_ready() {
            self.timers.window_since = None;
        } else if sent >= PROGRESS_BYTES || self.timers.window_since.is_none() {
            self.timers.window_since = Some(now);
        }
    }

    /// One frame of one stream. Returns the DATA bytes sent.
    fn take_turn(&mut self, key: StreamKey) -> usize {
        let frame_bytes_max = self.frame_bytes_max();
        let Some(stream) = self.streams.get_mut(key) else {
            return 0;
        };
        if !stream.may_send() {
            return 0;
        }
        let sent = match stream.queue.pop_front() {
            None => return 0,
            Some(Queued::Headers(headers)) => {
                let QueuedHeaders { head, extra, end } = *headers;
                let informational = !end && is_informational(&head);
                if informational {
                    self.write_block(key.id.0, &head, extra.as_ref(), false);
                } else {
                    self.write_headers(key, &head, extra.as_ref(), end);
                }
                0
            }
            Some(Queued::Data { data, end }) => {
                let window = stream.send_window.min(self.send_window).max(0) as usize;
                let room = window.min(frame_bytes_max);
                if room == 0 && !data.is_empty() {
                    stream.queue.push_front(Queued::Data { data, end });
                    self.streams.link(key, List::Window);
                    return 0;
                }
                self.write_data(key, data, end, room)
            }
        };
        self.make_ready(key);
        sent
    }

    /// One DATA frame of at most `room` bytes, which begins with `data`: what is behind it in the queue is joined.
    fn write_data(&mut self, key: StreamKey, data: Bytes, end: bool, room: usize) -> usize {
        let low = self.limits.queue_low_bytes;
        let Some(stream) = self.streams.get_mut(key) else {
            return 0;
        };
        let at = self.out.buffer().len();
        self.out.put(&[0; HEAD_BYTES]);
        let mut len = 0;
        let mut next = Some((data, end));
        let mut ended = false;
        while let Some((mut data, end)) = next.take() {
            if data.len() > room - len {
                let rest = data.split_off(room - len);
                stream.queue.push_front(Queued::Data { data: rest, end });
                len = room;
                self.out.put_payload(data);
                break;
            }
            len += data.len();
            self.out.put_payload(data);
            ended = end;
            if !ended
                && len < room
                && let Some(Queued::Data { .. }) = stream.queue.front()
                && let Some(Queued::Data { data, end }) = stream.queue.pop_front()
            {
                next = Some((data, end));
            }
        }
        let flags = if ended { flag::END_STREAM } else { 0 };
        let head = FrameHead { len: len as u32, kind: kind::DATA, flags, id: key.id.0 };
        self.out.buffer()[at..at + HEAD_BYTES].copy_from_slice(&head.encode());
        stream.send_window -= len as i32;
        stream.queued_bytes -= len;
        self.send_window -= len as i32;
        self.queued_bytes -= len;
        if stream.above_high && stream.queued_bytes <= low {
            stream.above_high = false;
            if stream.ours == Side::Body {
                self.events.push_back(crate::wire::StreamEvent::Writable { key });
            }
        }
        // A crumb that a tiny window forced out earns the peer nothing.
        if ended || len >= EARNING_BYTES {
            self.note_sent();
        } else {
            self.pings.forgiven = true;
        }
        if ended {
            self.our_end_written(key);
        }
        len
    }

    /// Writes a header block and moves our side on.
    pub(super) fn write_headers(&mut self, key: StreamKey, head: &Arc<Headers>, extra: Option<&Headers>, end: bool) {
        self.write_block(key.id.0, head, extra, end);
        self.note_sent();
        if end {
            self.our_end_written(key);
        } else if let Some(stream) = self.streams.get_mut(key)
            && stream.ours == Side::Head
        {
            stream.ours = Side::Body;
        }
    }

    /// Writes a header block: HEADERS, and CONTINUATION if it is longer than a frame.
    fn write_block(&mut self, id: u32, head: &Arc<Headers>, extra: Option<&Headers>, end: bool) {
        let frame_bytes_max = self.peer.frame_bytes_max as usize;
        let buffer = self.out.buffer();
        let at = buffer.len();
        buffer.extend_from_slice(&[0; HEAD_BYTES]);
        self.encoder.encode(head, extra, buffer);
        let len = buffer.len() - at - HEAD_BYTES;
        let flags = if end { flag::END_STREAM } else { 0 };
        if len <= frame_bytes_max {
            let flags = flags | flag::END_HEADERS;
            let head = FrameHead { len: len as u32, kind: kind::HEADERS, flags, id };
            buffer[at..at + HEAD_BYTES].copy_from_slice(&head.encode());
            return;
        }
        let block = buffer.split_off(at + HEAD_BYTES);
        buffer.truncate(at);
        let mut pieces = block.chunks(frame_bytes_max).peekable();
        let mut kind = kind::HEADERS;
        let mut flags = flags;
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            let head = FrameHead { len: piece.len() as u32, kind, flags, id };
            buffer.extend_from_slice(&head.encode());
            buffer.extend_from_slice(piece);
            kind = kind::CONTINUATION;
            flags = 0;
        }
    }

    /// Writes RST_STREAM and frees the stream.
    pub(super) fn write_reset(&mut self, key: StreamKey, reason: Reason) {
        frame::write_reset(self.out.buffer(), key.id.0, reason);
        self.past.reset(key.id.0, self.limits.resets_remembered);
        self.remove(key);
    }

    /// END_STREAM was written. A server that ends before its client takes the client's side with it (§8.1).
    fn our_end_written(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        stream.ours = Side::Ended;
        if stream.theirs == Side::Ended {
            self.remove(key);
        } else if self.role == Role::Server {
            self.write_reset(key, Reason::NO_ERROR);
        }
        if self.role == Role::Server {
            self.guard.answered(&self.limits);
        }
    }

    /// Puts a stream with something to send in line.
    pub(super) fn make_ready(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else {
            return;
        };
        if !stream.may_send() {
            return;
        }
        let shut = self.send_window <= 0 && stream.waits_for_window();
        self.streams.link(key, if shut { List::Window } else { List::Ready });
    }

    /// HEADERS or DATA were sent: pings are forgiven, and updates of two windows and a ping are natural answers.
    #[inline]
    fn note_sent(&mut self) {
        self.pings.forgiven = true;
        self.guard.earn(3);
    }

    /// Whether output may go past the queues: nobody waits, and the transport takes what there is.
    #[inline]
    fn may_write(&self) -> bool {
        !self.streams.any_ready() && self.out.len() < self.limits.direct_bytes_max
    }

    #[inline]
    fn frame_bytes_max(&self) -> usize {
        self.peer.frame_bytes_max.min(self.limits.frame_send_bytes_max) as usize
    }
}

/// Where the last DATA frame stands in the output, as long as nothing is written behind it.
#[derive(Copy, Clone, Debug)]
pub(super) struct LastData {
    /// Its stream; 0: there is none.
    id: u32,
    /// Where its head begins in the contiguous part of the output.
    at: u32,
    /// Where that part ended when it was written: if it still does, nothing came after.
    end: u32,
    /// The length its head says.
    len: u32,
}

impl LastData {
    pub(super) const NONE: LastData = LastData { id: 0, at: 0, end: 0, len: 0 };
}

/// Whether these are the headers of a 1xx response.
#[inline]
fn is_informational(head: &Headers) -> bool {
    matches!(head.iter().next(), Some((b":status", [b'1', ..])))
}

/// DATA that counts as progress of a peer that keeps us waiting.
const PROGRESS_BYTES: usize = 1024;

/// DATA frames from this size on are worth answering.
const EARNING_BYTES: usize = 64;
