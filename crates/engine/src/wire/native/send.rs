//! Frames going out: messages of many streams share one output, each in its turn.

use std::time::Instant;

use bytes::{Buf, Bytes};
use polywire_core::ENVELOPE_BYTES;

use super::connection::Connection;
use super::frame::{self, flag, kind};
use super::streams::{List, Queued, Sending, State, Stream};
use crate::connection::{CallKey, Event};
use crate::transmit::Transmit;
use crate::wire::Role;

impl Connection {
    /// A frame with `scratch` as its payload: written at once when nothing is before it. `last`: it ends our side.
    pub(super) fn give_frame(&mut self, key: CallKey, kind: u8, last: bool) {
        let direct = self.may_write();
        let Some(stream) = self.streams.get_mut(key) else { return };
        if direct && stream.queue.is_empty() {
            let out = self.out.buffer();
            frame::put_head(out, kind, stream.number, self.scratch.len());
            out.extend_from_slice(&self.scratch);
            self.guard.earn(2);
            if last {
                self.our_end_written(key);
            }
            return;
        }
        let mut bytes = Vec::with_capacity(frame::HEAD_BYTES_MAX + self.scratch.len());
        frame::put_head(&mut bytes, kind, stream.number, self.scratch.len());
        bytes.extend_from_slice(&self.scratch);
        stream.queue.push_back(Queued::Frame { bytes: bytes.into(), last });
        self.make_ready(key);
    }

    /// Messages in their envelopes: written at once as far as nothing is before them and the windows allow it.
    pub(super) fn give_messages(&mut self, key: CallKey, mut data: Bytes, last: bool) {
        let direct = self.may_write();
        let frame_bytes_max = self.frame_bytes_max();
        let direct_bytes_max = self.limits().direct_bytes_max;
        let high = self.limits().queue_high_bytes;
        let Some(stream) = self.streams.get_mut(key) else { return };
        if data.is_empty() {
            return;
        }
        if direct && stream.queue.is_empty() {
            while self.out.len() < direct_bytes_max {
                match write_turn(&mut self.out, &mut self.send_window, stream, frame_bytes_max, &mut data, last) {
                    None => break,
                    Some(turn) => self.guard.earn(2 * turn.frames),
                }
                if data.is_empty() {
                    if last {
                        self.our_end_written(key);
                    }
                    return;
                }
            }
        }
        let len = data.len();
        stream.queued_bytes += len;
        stream.above_high |= stream.queued_bytes > high;
        stream.queue.push_back(Queued::Messages { data, last });
        self.queued_bytes += len;
        self.make_ready(key);
    }

    /// Everything that is due goes into the output.
    pub(super) fn fill_output(&mut self, now: Instant) {
        if let Some(bytes) = self.inflow.due() {
            write_window(&mut self.out, 0, bytes);
        }
        if self.queued_bytes == 0 && !self.streams.any_ready() {
            self.timers.window_since = None;
            return;
        }
        let mut sent = 0;
        while self.out.len() < self.limits().transmit_bytes_max {
            let Some(key) = self.streams.pop_ready() else { break };
            sent += self.take_turn(key);
        }
        if self.queued_bytes <= self.limits().queued_bytes_max || self.streams.any_ready() {
            self.timers.window_since = None;
        } else if sent >= PROGRESS_BYTES || self.timers.window_since.is_none() {
            self.timers.window_since = Some(now);
        }
    }

    /// What one stream may send before the next has its turn. Returns the bytes that have left its queue.
    fn take_turn(&mut self, key: CallKey) -> usize {
        let frame_bytes_max = self.frame_bytes_max();
        let low = self.limits().queue_low_bytes;
        let Some(stream) = self.streams.get_mut(key) else { return 0 };
        let mut sent = 0;
        let mut ended = false;
        match stream.queue.pop_front() {
            None => return 0,
            Some(Queued::Frame { bytes, last }) => {
                self.out.put(&bytes);
                self.guard.earn(2);
                ended = last;
            }
            Some(Queued::Messages { mut data, last }) => {
                let written =
                    write_turn(&mut self.out, &mut self.send_window, stream, frame_bytes_max, &mut data, last);
                if data.is_empty() {
                    ended = last;
                } else {
                    stream.queue.push_front(Queued::Messages { data, last });
                }
                if let Some(turn) = written {
                    sent = turn.bytes;
                    stream.queued_bytes -= sent;
                    self.queued_bytes -= sent;
                    // A crumb that a tiny window forced out earns the peer nothing.
                    if ended || sent >= EARNING_BYTES {
                        self.guard.earn(2 * turn.frames);
                    }
                    if stream.above_high && stream.queued_bytes <= low {
                        stream.above_high = false;
                        if stream.state == State::Open && !stream.half_closed {
                            self.events.push_back(Event::Writable { key });
                        }
                    }
                }
            }
        }
        if ended {
            self.our_end_written(key);
        }
        self.make_ready(key);
        sent
    }

    /// The server's end is in the output: the stream is over.
    pub(super) fn ended(&mut self, key: CallKey) {
        self.remove(key);
        self.guard.answered(self.config.limits());
        self.guard.earn(2);
    }

    fn our_end_written(&mut self, key: CallKey) {
        if self.role == Role::Server {
            self.ended(key);
        }
    }

    /// Puts a stream with something to send in line.
    pub(super) fn make_ready(&mut self, key: CallKey) {
        let Some(stream) = self.streams.get(key) else { return };
        if !stream.may_send() {
            return;
        }
        let shut = self.send_window == 0 && stream.waits_for_window();
        self.streams.link(key, if shut { List::Window } else { List::Ready });
    }

    /// What waits on a stream is not sent.
    pub(super) fn drop_queue(&mut self, key: CallKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        stream.queue.clear();
        stream.sending = None;
        stream.above_high = false;
        self.queued_bytes -= std::mem::take(&mut stream.queued_bytes);
    }

    /// Gives the peer window back for all that is not waiting to be read, once that is half of a window.
    #[inline]
    pub(super) fn release(&mut self, key: CallKey) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        let waiting = u32::try_from(stream.unconsumed_bytes).unwrap_or(u32::MAX);
        let bytes = stream.unreleased.saturating_sub(waiting);
        if bytes == 0 {
            return;
        }
        stream.unreleased -= bytes;
        self.inflow.release(bytes, 0, self.config.limits());
        if stream.peer_ended || stream.state != State::Open {
            return;
        }
        stream.owed += bytes;
        if stream.owed >= self.ours.window_bytes / 2 {
            let owed = std::mem::take(&mut stream.owed);
            stream.recv_window += owed;
            write_window(&mut self.out, stream.number, owed);
        }
    }

    /// Whether output may go past the queues: nobody waits, and the transport takes what there is.
    #[inline]
    pub(super) fn may_write(&self) -> bool {
        !self.streams.any_ready() && self.out.len() < self.limits().direct_bytes_max
    }

    #[inline]
    pub(super) fn frame_bytes_max(&self) -> usize {
        // Every peer takes frames of the least maximum, and fields must fit into one whatever we choose.
        self.peer.frame_bytes_max.min(self.limits().frame_send_bytes_max.max(super::hello::FRAME_BYTES_MIN)) as usize
    }
}

pub(super) fn write_window(out: &mut Transmit, number: u32, bytes: u32) {
    let out = out.buffer();
    frame::put_head(out, kind::WINDOW, number, frame::varint_size(bytes.into()));
    frame::put_varint(out, bytes.into());
}

/// What went in one turn: bytes of the queue, envelopes included, in so many frames.
struct Turn {
    bytes: usize,
    frames: u32,
}

/// Writes what comes first in `data`: several small messages that are no longer than a frame together, or a frame. `None`:
/// the windows allow nothing.
#[inline]
fn write_turn(
    out: &mut Transmit,
    send_window: &mut u32,
    stream: &mut Stream,
    frame_bytes_max: usize,
    data: &mut Bytes,
    last: bool,
) -> Option<Turn> {
    match write_small(out, send_window, stream, frame_bytes_max, data, last) {
        Turn { frames: 0, .. } => {
            let bytes = write_part(out, send_window, stream, frame_bytes_max, data, last)?;
            Some(Turn { bytes, frames: 1 })
        }
        turn => Some(turn),
    }
}

/// Writes whole messages that are worth a copy, as long as they are no longer than `bytes_max` together.
fn write_small(
    out: &mut Transmit,
    send_window: &mut u32,
    stream: &mut Stream,
    bytes_max: usize,
    data: &mut Bytes,
    last: bool,
) -> Turn {
    let mut turn = Turn { bytes: 0, frames: 0 };
    if stream.sending.is_some() {
        return turn;
    }
    let window = stream.send_window.min(*send_window);
    let mut spent = 0;
    let buffer = out.buffer();
    let mut rest = &data[..];
    while turn.bytes < bytes_max
        && let Some((&[flags, a, b, c, d], behind)) = rest.split_first_chunk::<ENVELOPE_BYTES>()
    {
        let len = u32::from_be_bytes([a, b, c, d]);
        if len as usize >= COPIED_BYTES_MAX || len > window - spent {
            break;
        }
        let Some((message, behind)) = behind.split_at_checked(len as usize) else { break };
        let first = message_byte(flags & 1 != 0, false, last && behind.is_empty());
        frame::put_head(buffer, first, stream.number, message.len());
        buffer.extend_from_slice(message);
        spent += len;
        turn.bytes += ENVELOPE_BYTES + message.len();
        turn.frames += 1;
        rest = behind;
    }
    data.advance(turn.bytes);
    stream.send_window -= spent;
    *send_window -= spent;
    turn
}

/// Writes one frame with what comes first in `data`. `None`: the windows allow nothing. Else so many bytes of `data` have
/// gone, envelopes included.
fn write_part(
    out: &mut Transmit,
    send_window: &mut u32,
    stream: &mut Stream,
    frame_bytes_max: usize,
    data: &mut Bytes,
    last: bool,
) -> Option<usize> {
    let (sending, skip) = match stream.sending {
        Some(sending) => (sending, 0),
        None => {
            let Some((&[flags, a, b, c, d], rest)) = data.split_first_chunk::<ENVELOPE_BYTES>() else {
                debug_assert!(false, "messages come in whole envelopes");
                let rest = data.len();
                data.clear();
                return Some(rest);
            };
            let left = (u32::from_be_bytes([a, b, c, d]) as usize).min(rest.len());
            (Sending { left, compressed: flags & 1 != 0 }, ENVELOPE_BYTES)
        }
    };
    let room = frame_bytes_max.min(stream.send_window.min(*send_window) as usize);
    let len = sending.left.min(room);
    if len == 0 && sending.left > 0 {
        return None;
    }
    let left = sending.left - len;
    let ends = last && left == 0 && data.len() == skip + len;
    let first = message_byte(sending.compressed, left > 0, ends);
    frame::put_head(out.buffer(), first, stream.number, len);
    data.advance(skip);
    if len < COPIED_BYTES_MAX {
        out.put(&data[..len]);
        data.advance(len);
    } else {
        out.put_payload(data.split_to(len));
    }
    stream.send_window -= len as u32;
    *send_window -= len as u32;
    stream.sending = (left > 0).then_some(Sending { left, ..sending });
    Some(skip + len)
}

/// Kind and flags of a MESSAGE.
#[inline]
fn message_byte(compressed: bool, more: bool, last: bool) -> u8 {
    let flags = [(compressed, flag::COMPRESSED), (more, flag::MORE), (last, flag::LAST)];
    flags.into_iter().filter(|(is_set, _)| *is_set).fold(kind::MESSAGE, |byte, (_, flag)| byte | flag)
}

/// Below this a payload is copied without making a slice of it first.
const COPIED_BYTES_MAX: usize = 1024;

/// Bytes that count as progress of a peer that keeps us waiting.
const PROGRESS_BYTES: usize = 1024;

/// Frames from this size on are worth answering.
const EARNING_BYTES: usize = 64;
