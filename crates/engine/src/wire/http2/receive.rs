//! Frames coming in (RFC 9113 §6): each is checked, counted and turned into events.

use std::time::Instant;

use bytes::{Buf, Bytes};

use super::connection::{Connection, Farewell, PING_DRAIN, Phase};
use super::frame::{self, FrameHead, HEAD_BYTES, PREFACE, flag, kind};
use super::past::Fate;
use super::settings::{self, WINDOW_BYTES_DEFAULT};
use super::stream::{List, Side, UNKNOWN_LENGTH};
use super::timers::PING_KEEPALIVE;
use crate::time::after;
use crate::wire::{
    ConnectionError, LimitExceeded, PeerMisbehaved, Reason, Role, StreamEvent as Event, StreamId, StreamKey,
};

/// What the next bytes are.
#[derive(Debug)]
pub(super) enum Reading {
    /// The client's preface, of which so much has come.
    Preface { matched: usize },
    /// A frame's head.
    Head,
    /// The rest of a DATA frame, passed on as it comes.
    Data(Incoming),
    /// The rest of a frame nobody wants.
    Skip { left: u32 },
}

/// A DATA frame in progress.
#[derive(Copy, Clone, Debug)]
pub(super) struct Incoming {
    key: StreamKey,
    /// Data to come.
    left: u32,
    /// Padding behind it.
    padding: u32,
    /// END_STREAM was set.
    end: bool,
}

/// A header block in progress.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) id: u32,
    pub(super) end: bool,
    pub(super) self_dependent: bool,
    block: Vec<u8>,
    frames: u32,
}

type Handled = Result<(), ConnectionError>;

const fn misbehaved<T>(what: PeerMisbehaved) -> Result<T, ConnectionError> {
    Err(ConnectionError::PeerMisbehaved(what))
}

impl Connection {
    /// Takes the input apart. DATA and whole frames are used in place; only the beginning of a frame that is not
    /// complete is copied.
    pub(super) fn receive(&mut self, now: Instant, input: &Bytes) -> Handled {
        let mut at = 0;
        while at < input.len() {
            match self.reading {
                Reading::Head => at = self.receive_frame(now, input, at)?,
                Reading::Data(incoming) => at = self.receive_data(incoming, input, at)?,
                Reading::Skip { left } => {
                    let taken = (input.len() - at).min(left as usize);
                    at += taken;
                    let left = left - taken as u32;
                    self.reading = if left == 0 { Reading::Head } else { Reading::Skip { left } };
                }
                Reading::Preface { matched } => {
                    let expected = &PREFACE[matched..];
                    let taken = expected.len().min(input.len() - at);
                    if input[at..at + taken] != expected[..taken] {
                        return misbehaved(PeerMisbehaved::BadPreface);
                    }
                    at += taken;
                    let matched = matched + taken;
                    self.reading = if matched == PREFACE.len() { Reading::Head } else { Reading::Preface { matched } };
                }
            }
        }
        if !self.partial.is_empty() && self.timers.block.is_none() {
            self.timers.block = after(now, self.limits.header_block_timeout);
        }
        Ok(())
    }

    /// One frame, or as much of it as there is. Returns where the input goes on.
    fn receive_frame(&mut self, now: Instant, input: &Bytes, at: usize) -> Result<usize, ConnectionError> {
        if !self.partial.is_empty() {
            return self.complete_frame(now, input, at);
        }
        let rest = &input[at..];
        let Some(head) = FrameHead::parse(rest) else {
            self.partial.extend_from_slice(rest);
            return Ok(input.len());
        };
        self.check_head(head)?;
        if head.kind == kind::DATA {
            let Some(padding) = padding_of(head, rest) else {
                self.partial.extend_from_slice(rest);
                return Ok(input.len());
            };
            let payload = at + HEAD_BYTES + usize::from(head.has(flag::PADDED));
            return match self.begin_data(now, head, padding)? {
                Some(incoming) => self.receive_data(incoming, input, payload),
                None => Ok(payload),
            };
        }
        let end = HEAD_BYTES + head.size();
        if end <= rest.len() {
            self.handle_frame(now, head, input, at + HEAD_BYTES)?;
            return Ok(at + end);
        }
        if head.kind > kind::CONTINUATION {
            self.guard.idle_frame(now, &self.limits)?;
            self.reading = Reading::Skip { left: head.len };
            return Ok(at + HEAD_BYTES);
        }
        self.partial.extend_from_slice(rest);
        Ok(input.len())
    }

    /// Goes on with a frame whose beginning came earlier.
    fn complete_frame(&mut self, now: Instant, input: &Bytes, mut at: usize) -> Result<usize, ConnectionError> {
        if !self.fill_partial(HEAD_BYTES, input, &mut at) {
            return Ok(at);
        }
        let Some(head) = FrameHead::parse(&self.partial) else {
            return Ok(at);
        };
        self.check_head(head)?;
        if head.kind == kind::DATA {
            let needed = HEAD_BYTES + usize::from(head.has(flag::PADDED) && head.len > 0);
            if !self.fill_partial(needed, input, &mut at) {
                return Ok(at);
            }
            let padding = padding_of(head, &self.partial).unwrap_or(0);
            self.partial.clear();
            self.timers.block = None;
            return match self.begin_data(now, head, padding)? {
                Some(incoming) => self.receive_data(incoming, input, at),
                None => Ok(at),
            };
        }
        if head.kind > kind::CONTINUATION {
            self.guard.idle_frame(now, &self.limits)?;
            self.partial.clear();
            self.reading = Reading::Skip { left: head.len };
            if head.len == 0 {
                self.reading = Reading::Head;
            }
            return Ok(at);
        }
        if self.fill_partial(HEAD_BYTES + head.size(), input, &mut at) {
            let frame = Bytes::from(std::mem::take(&mut self.partial));
            if self.assembly.is_none() {
                self.timers.block = None;
            }
            self.handle_frame(now, head, &frame, HEAD_BYTES)?;
        }
        Ok(at)
    }

    /// Moves input into `partial` until that is `size` long. False: there was not enough.
    fn fill_partial(&mut self, size: usize, input: &Bytes, at: &mut usize) -> bool {
        let missing = size.saturating_sub(self.partial.len());
        let taken = missing.min(input.len() - *at);
        self.partial.extend_from_slice(&input[*at..*at + taken]);
        *at += taken;
        taken == missing
    }

    /// What a head alone can be wrong about. Checked before its payload is waited for.
    fn check_head(&self, head: FrameHead) -> Handled {
        if self.phase == Phase::ExpectSettings && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return misbehaved(PeerMisbehaved::NotSettingsFirst);
        }
        if head.len > self.limits.frame_bytes_max {
            return misbehaved(PeerMisbehaved::FrameSize);
        }
        if let Some(assembly) = &self.assembly
            && (head.kind != kind::CONTINUATION || head.id != assembly.id)
        {
            return misbehaved(PeerMisbehaved::ContinuationMissing);
        }
        let fits = match head.kind {
            kind::RST_STREAM | kind::WINDOW_UPDATE => head.len == 4,
            kind::SETTINGS if head.has(flag::ACK) => head.len == 0,
            kind::SETTINGS => head.len.is_multiple_of(6),
            kind::PING => head.len == 8,
            kind::GOAWAY => head.len >= 8,
            kind::HEADERS | kind::CONTINUATION => {
                if head.size() > self.limits.header_block_bytes_max + HEADERS_OVERHEAD {
                    return Err(ConnectionError::LimitExceeded(LimitExceeded::HeaderBlock));
                }
                true
            }
            _ => true,
        };
        if !fits {
            return misbehaved(PeerMisbehaved::FrameSize);
        }
        let connection_frame = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        let stream_frame =
            matches!(head.kind, kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION);
        if connection_frame && head.id != 0 || stream_frame && head.id == 0 {
            return misbehaved(PeerMisbehaved::StreamIdInvalid);
        }
        Ok(())
    }

    /// A complete frame other than DATA, its payload in `bytes` from `at` on.
    fn handle_frame(&mut self, now: Instant, head: FrameHead, bytes: &Bytes, at: usize) -> Handled {
        let payload = &bytes[at..at + head.size()];
        match head.kind {
            kind::HEADERS => self.handle_headers(now, head, bytes, at),
            kind::PRIORITY => self.handle_priority(now, head, payload),
            kind::RST_STREAM => self.handle_reset(now, head, payload),
            kind::SETTINGS => self.handle_settings(now, head, payload),
            kind::PUSH_PROMISE => misbehaved(PeerMisbehaved::Push),
            kind::PING => self.handle_ping(now, head, payload),
            kind::GOAWAY => self.handle_go_away(payload, bytes, at),
            kind::WINDOW_UPDATE => self.handle_window_update(now, head, payload),
            kind::CONTINUATION => self.handle_continuation(now, head, payload),
            _ => self.guard.idle_frame(now, &self.limits),
        }
    }

    // DATA

    /// Everything about a DATA frame but its bytes. `None`: nobody wants them; they are skipped.
    #[inline]
    fn begin_data(&mut self, now: Instant, head: FrameHead, padding: u32) -> Result<Option<Incoming>, ConnectionError> {
        let overhead = if head.has(flag::PADDED) { padding + 1 } else { 0 };
        let Some(left) = head.len.checked_sub(overhead) else {
            return misbehaved(PeerMisbehaved::Padding);
        };
        let end = head.has(flag::END_STREAM);
        if left == 0 && !end {
            self.guard.idle_frame(now, &self.limits)?;
        }
        if !self.inflow.receive(head.len) {
            return misbehaved(PeerMisbehaved::ConnectionWindowExceeded);
        }
        if self.stream_window < self.limits.window_bytes_max && self.bandwidth.receive(now, head.len) {
            frame::write_ping(self.out.buffer(), false, PING_BANDWIDTH);
        }
        let fault = match self.streams.find(head.id) {
            None => {
                self.data_on_closed(now, head.id)?;
                None
            }
            Some(key) => match self.admit_data(key, head.len, left, end) {
                Ok(()) => {
                    if overhead > 0 {
                        self.inflow.discard(overhead);
                    }
                    return Ok(Some(Incoming { key, left, padding, end }));
                }
                Err(reason) => Some((key, reason)),
            },
        };
        if let Some((key, reason)) = fault {
            self.stream_error(now, key, reason)?;
        }
        self.inflow.discard(head.len);
        let unread = left + padding;
        self.reading = if unread > 0 { Reading::Skip { left: unread } } else { Reading::Head };
        Ok(None)
    }

    /// Counts a DATA frame on its stream.
    #[inline]
    fn admit_data(&mut self, key: StreamKey, len: u32, data: u32, end: bool) -> Result<(), Reason> {
        let Some(stream) = self.streams.get_mut(key) else {
            return Err(Reason::STREAM_CLOSED);
        };
        match stream.theirs {
            Side::Body => {}
            Side::Head => return Err(Reason::PROTOCOL_ERROR),
            Side::Ending | Side::Ended => return Err(Reason::STREAM_CLOSED),
        }
        // The window is below zero for a while after our SETTINGS made it smaller; that forbids nothing empty.
        if len > 0 && i64::from(len) > i64::from(stream.recv_window) {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        stream.recv_window -= len.cast_signed();
        // Padding is consumed here.
        stream.owed += len - data;
        if stream.content_left != UNKNOWN_LENGTH {
            let left = stream.content_left.checked_sub(u64::from(data));
            match left {
                Some(left) if left == 0 || !end => stream.content_left = left,
                _ => return Err(Reason::PROTOCOL_ERROR),
            }
        }
        Ok(())
    }

    /// As much of a DATA frame as there is. Returns where the input goes on.
    #[inline]
    fn receive_data(&mut self, incoming: Incoming, input: &Bytes, at: usize) -> Result<usize, ConnectionError> {
        let there = input.len() - at;
        let taken = there.min(incoming.left as usize);
        let left = incoming.left - taken as u32;
        let whole = left == 0;
        let end = incoming.end && whole;
        if taken > 0 || end {
            self.deliver(incoming.key, input, at, taken, end)?;
        }
        let at = at + taken;
        self.reading = if !whole {
            Reading::Data(Incoming { left, ..incoming })
        } else if incoming.padding > 0 {
            Reading::Skip { left: incoming.padding }
        } else {
            Reading::Head
        };
        Ok(at)
    }

    /// Hands a piece of DATA to the consumer, unless its stream has gone meanwhile.
    #[inline]
    fn deliver(&mut self, key: StreamKey, input: &Bytes, at: usize, len: usize, end: bool) -> Handled {
        let flow_bytes = len as u32;
        let Some(stream) = self.streams.get_mut(key) else {
            self.inflow.discard(flow_bytes);
            return Ok(());
        };
        stream.unreleased += flow_bytes;
        stream.unreleased_frames += 1;
        let ours = stream.ours;
        if end {
            stream.theirs = Side::Ended;
        }
        if !self.inflow.keep(flow_bytes, &self.limits) {
            return Err(ConnectionError::LimitExceeded(LimitExceeded::BufferedFrames));
        }
        let data = input.slice(at..at + len);
        self.events.push_back(Event::Data { key, data, end, flow_bytes });
        if end && ours == Side::Ended {
            self.remove(key);
        }
        Ok(())
    }

    /// DATA on a stream that is not open.
    fn data_on_closed(&mut self, now: Instant, id: u32) -> Handled {
        match self.fate(id)? {
            // In flight before our reset arrived. Its bytes come back to the connection's window.
            Fate::Reset => Ok(()),
            // Once, perhaps, and if so it is told again.
            Fate::Forgotten => self.refuse(now, id, Reason::STREAM_CLOSED),
            Fate::Closed | Fate::Skipped => misbehaved(PeerMisbehaved::StreamClosed),
        }
    }

    // HEADERS, CONTINUATION

    fn handle_headers(&mut self, now: Instant, head: FrameHead, bytes: &Bytes, at: usize) -> Handled {
        if head.id.is_multiple_of(2) {
            // Only servers may use even ids, and only to push.
            return misbehaved(PeerMisbehaved::StreamIdInvalid);
        }
        let mut from = at;
        let mut to = at + head.size();
        if head.has(flag::PADDED) {
            let Some(&padding) = bytes[from..to].first() else {
                return misbehaved(PeerMisbehaved::FrameSize);
            };
            from += 1;
            if to - from < usize::from(padding) {
                return misbehaved(PeerMisbehaved::Padding);
            }
            to -= usize::from(padding);
        }
        let mut self_dependent = false;
        if head.has(flag::PRIORITY) {
            if to - from < PRIORITY_BYTES {
                return misbehaved(PeerMisbehaved::FrameSize);
            }
            self_dependent = depends_on(&bytes[from..to]) == head.id;
            from += PRIORITY_BYTES;
        }
        let end = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.handle_block(now, head.id, end, self_dependent, &bytes[from..to]);
        }
        let block = bytes[from..to].to_vec();
        self.timers.block = after(now, self.limits.header_block_timeout);
        let assembly = Assembly { id: head.id, end, self_dependent, block, frames: 1 };
        self.assembly = Some(Box::new(assembly));
        Ok(())
    }

    fn handle_continuation(&mut self, now: Instant, head: FrameHead, payload: &[u8]) -> Handled {
        let Some(assembly) = &mut self.assembly else {
            return misbehaved(PeerMisbehaved::ContinuationUnexpected);
        };
        assembly.frames += 1;
        if assembly.frames > self.limits.header_block_frames_max
            || assembly.block.len() + payload.len() > self.limits.header_block_bytes_max
        {
            return Err(ConnectionError::LimitExceeded(LimitExceeded::HeaderBlock));
        }
        assembly.block.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        let Some(assembly) = self.assembly.take() else {
            return Ok(());
        };
        self.timers.block = None;
        let Assembly { id, end, self_dependent, block, .. } = *assembly;
        self.handle_block(now, id, end, self_dependent, &block)
    }

    // The small frames

    fn handle_priority(&mut self, now: Instant, head: FrameHead, payload: &[u8]) -> Handled {
        // Deprecated by RFC 9113 §5.3: checked for form, then forgotten.
        self.guard.idle_frame(now, &self.limits)?;
        let reason = if payload.len() != PRIORITY_BYTES {
            Reason::FRAME_SIZE_ERROR
        } else if depends_on(payload) == head.id {
            Reason::PROTOCOL_ERROR
        } else {
            return Ok(());
        };
        match self.streams.find(head.id) {
            Some(key) => self.stream_error(now, key, reason),
            // A stream that is not open cannot be reset.
            None if reason == Reason::FRAME_SIZE_ERROR => misbehaved(PeerMisbehaved::FrameSize),
            None => misbehaved(PeerMisbehaved::SelfDependent),
        }
    }

    fn handle_reset(&mut self, now: Instant, head: FrameHead, payload: &[u8]) -> Handled {
        let reason = Reason::from_code(frame::word(payload).unwrap_or_default());
        let Some(key) = self.streams.find(head.id) else {
            self.fate(head.id)?;
            return self.guard.echo_frame(now, &self.limits);
        };
        self.remove(key);
        let unprocessed = reason == Reason::REFUSED_STREAM;
        self.events.push_back(Event::Reset { key, reason, by_peer: true, unprocessed });
        match self.role {
            Role::Client => Ok(()),
            Role::Server => self.guard.reset(now, &self.limits),
        }
    }

    fn handle_settings(&mut self, now: Instant, head: FrameHead, payload: &[u8]) -> Handled {
        if head.has(flag::ACK) {
            return self.handle_settings_ack(now);
        }
        let before = self.peer;
        if self.phase == Phase::ExpectSettings {
            // Who names no limit has none.
            self.peer.streams_max = u32::MAX;
        }
        self.peer.take(self.role, payload, self.limits.settings_entries_max)?;
        settings::write_ack(self.out.buffer());
        self.guard.answer(&self.limits)?;
        if self.peer.header_table_bytes != before.header_table_bytes {
            self.encoder.set_table_bytes_max(self.peer.header_table_bytes);
        }
        if self.peer.window_bytes != before.window_bytes {
            self.change_send_windows(before.window_bytes, self.peer.window_bytes)?;
        }
        if self.phase == Phase::ExpectSettings {
            self.phase = Phase::Open;
            self.timers.handshake = None;
            self.events.push_back(Event::Settled);
        } else {
            self.guard.idle_frame(now, &self.limits)?;
        }
        self.note_openable();
        Ok(())
    }

    fn handle_settings_ack(&mut self, now: Instant) -> Handled {
        if self.settings_unacknowledged == 0 {
            return self.guard.idle_frame(now, &self.limits);
        }
        self.settings_unacknowledged -= 1;
        if self.settings_unacknowledged > 0 {
            self.timers.settings = after(now, self.limits.settings_timeout);
            return Ok(());
        }
        self.timers.settings = None;
        // From here on the peer keeps to what our first SETTINGS said.
        self.decoder.set_table_bytes_max(self.limits.header_table_bytes);
        if self.stream_window == WINDOW_BYTES_DEFAULT && self.limits.window_bytes < WINDOW_BYTES_DEFAULT {
            self.stream_window = self.limits.window_bytes;
            let less = WINDOW_BYTES_DEFAULT - self.stream_window;
            for stream in self.streams.iter_mut() {
                stream.recv_window -= less.cast_signed();
            }
            // What was not worth an update of the larger window may be all that is left of the smaller.
            let keys: Vec<_> = self.streams.keys().collect();
            for key in keys {
                self.give_window_back(key);
            }
        }
        Ok(())
    }

    /// The peer's initial window changed: all its streams' windows move by the difference, below zero if need be.
    fn change_send_windows(&mut self, before: u32, after: u32) -> Handled {
        let difference = i64::from(after) - i64::from(before);
        for stream in self.streams.iter_mut() {
            match i32::try_from(i64::from(stream.send_window) + difference) {
                Ok(window) => stream.send_window = window,
                Err(_) => return misbehaved(PeerMisbehaved::WindowOverflow),
            }
        }
        if difference > 0 && self.queued_bytes > 0 {
            let keys: Vec<_> = self.streams.keys().collect();
            for key in keys {
                self.make_ready(key);
            }
        }
        Ok(())
    }

    fn handle_ping(&mut self, now: Instant, head: FrameHead, payload: &[u8]) -> Handled {
        let Some(&payload) = payload.first_chunk::<8>() else {
            return misbehaved(PeerMisbehaved::FrameSize);
        };
        if !head.has(flag::ACK) {
            if let (Role::Server, Some(policy)) = (self.role, &self.limits.ping_policy) {
                self.pings.receive(now, policy, self.streams.open() > 0)?;
            }
            frame::write_ping(self.out.buffer(), true, payload);
            self.guard.answer(&self.limits)?;
            return self.guard.echo_frame(now, &self.limits);
        }
        match payload {
            PING_BANDWIDTH => self.grow_windows(now),
            PING_DRAIN => self.say_last(),
            PING_KEEPALIVE => {}
            _ => self.guard.idle_frame(now, &self.limits)?,
        }
        Ok(())
    }

    /// The measuring PING came back: perhaps larger windows pay.
    fn grow_windows(&mut self, now: Instant) {
        let window_max = self.limits.window_bytes_max;
        let Some(window) = self.bandwidth.measured(now, self.stream_window, window_max) else {
            return;
        };
        let more = window - self.stream_window;
        if more == 0 {
            return;
        }
        self.stream_window = window;
        for stream in self.streams.iter_mut() {
            stream.recv_window = stream.recv_window.saturating_add(more.cast_signed());
        }
        settings::write_window(self.out.buffer(), window);
        self.settings_unacknowledged += 1;
        self.timers.settings = self.timers.settings.or_else(|| after(now, self.limits.settings_timeout));
        self.inflow.grow(window.saturating_mul(2).min(CONNECTION_WINDOW_MAX));
    }

    fn handle_go_away(&mut self, payload: &[u8], bytes: &Bytes, at: usize) -> Handled {
        let last = frame::word(payload).unwrap_or_default() & !(1 << 31);
        let reason = Reason::from_code(frame::word(&payload[4..]).unwrap_or_default());
        if self.peer_farewell.is_some_and(|(earlier, _)| last > earlier.0) {
            return misbehaved(PeerMisbehaved::GoAwayRaised);
        }
        let last = StreamId(last);
        self.peer_farewell = Some((last, reason));
        if self.role == Role::Client {
            let lost: Vec<_> = self.streams.keys().filter(|key| key.id > last).collect();
            for key in lost {
                self.remove(key);
                self.past.reset(key.id.0, self.limits.resets_remembered);
                let reason = Reason::REFUSED_STREAM;
                self.events.push_back(Event::Reset { key, reason, by_peer: true, unprocessed: true });
            }
        }
        let mut debug = bytes.slice(at + 8..at + payload.len());
        debug.truncate(DEBUG_BYTES_MAX);
        let debug = Bytes::copy_from_slice(debug.chunk());
        self.events.push_back(Event::GoingAway { last, reason, debug });
        Ok(())
    }

    fn handle_window_update(&mut self, now: Instant, head: FrameHead, payload: &[u8]) -> Handled {
        let more = frame::word(payload).unwrap_or_default() & !(1 << 31);
        if head.id == 0 {
            if more == 0 {
                return misbehaved(PeerMisbehaved::ConnectionWindowUpdateOfZero);
            }
            let Some(window) = self.send_window.checked_add(more.cast_signed()) else {
                return misbehaved(PeerMisbehaved::ConnectionWindowOverflow);
            };
            let was_shut = self.send_window <= 0;
            self.send_window = window;
            if was_shut {
                self.streams.window_opened();
            }
            return self.guard.echo_frame(now, &self.limits);
        }
        let Some(key) = self.streams.find(head.id) else {
            self.fate(head.id)?;
            return self.guard.echo_frame(now, &self.limits);
        };
        if more == 0 {
            return self.stream_error(now, key, Reason::PROTOCOL_ERROR);
        }
        let Some(stream) = self.streams.get_mut(key) else {
            return Ok(());
        };
        let Some(window) = stream.send_window.checked_add(more.cast_signed()) else {
            return self.stream_error(now, key, Reason::FLOW_CONTROL_ERROR);
        };
        stream.send_window = window;
        if stream.list == List::None {
            self.make_ready(key);
        }
        self.guard.echo_frame(now, &self.limits)
    }

    // Faults

    /// What became of a stream that is not open. An error if it cannot have existed.
    pub(super) fn fate(&self, id: u32) -> Result<Fate, ConnectionError> {
        if id.is_multiple_of(2) {
            return misbehaved(PeerMisbehaved::IdleStream);
        }
        match self.role {
            Role::Client if self.is_unopened(id) => misbehaved(PeerMisbehaved::IdleStream),
            Role::Client => Ok(self.past.fate_of_ours(id)),
            Role::Server if id > self.past.last() => misbehaved(PeerMisbehaved::IdleStream),
            Role::Server => Ok(self.past.fate(id)),
        }
    }

    /// The peer broke a rule on an open stream: it is reset (§5.4.2), and that is counted.
    pub(super) fn stream_error(&mut self, now: Instant, key: StreamKey, reason: Reason) -> Handled {
        self.write_reset(key, reason);
        self.events.push_back(Event::Reset { key, reason, by_peer: false, unprocessed: false });
        self.guard.answer(&self.limits)?;
        self.guard.reset(now, &self.limits)
    }

    /// As [`stream_error`](Self::stream_error) for a stream that is not in the table.
    pub(super) fn refuse(&mut self, now: Instant, id: u32, reason: Reason) -> Handled {
        frame::write_reset(self.out.buffer(), id, reason);
        self.past.reset(id, self.limits.resets_remembered);
        self.guard.answer(&self.limits)?;
        self.guard.reset(now, &self.limits)
    }

    /// Whether a new stream of the peer comes after our last word.
    pub(super) fn is_past_farewell(&self, id: u32) -> bool {
        matches!(self.farewell, Farewell::Said { last } if id > last)
    }
}

/// Length of padding behind a DATA payload; `None`: its byte is not there yet.
#[inline]
fn padding_of(head: FrameHead, frame: &[u8]) -> Option<u32> {
    if !head.has(flag::PADDED) || head.len == 0 {
        // A padded frame without even the length is refused by its size.
        return Some(0);
    }
    frame.get(HEAD_BYTES).map(|&byte| u32::from(byte))
}

/// The stream a priority names.
fn depends_on(payload: &[u8]) -> u32 {
    frame::word(payload).unwrap_or_default() & !(1 << 31)
}

/// Length of a priority.
const PRIORITY_BYTES: usize = 5;

/// What a HEADERS frame may hold beside its block: padding and priority.
const HEADERS_OVERHEAD: usize = 1 + 255 + PRIORITY_BYTES;

/// Payload of the PING that measures the bandwidth-delay product.
const PING_BANDWIDTH: [u8; 8] = *b"measured";

/// How far the connection's window grows with its streams'.
const CONNECTION_WINDOW_MAX: u32 = 1 << 30;

/// Words of a GOAWAY that are kept.
const DEBUG_BYTES_MAX: usize = 1024;
