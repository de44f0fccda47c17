//! One request as headers and pieces of body, its answer as parts: for what is mounted in a server that cuts its
//! connections itself.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use bytes::Bytes;
use polywire_core::Wire;

use crate::{
    limits::Limits,
    transmit::Transmit,
    wire::{ConnectionError, Headers, OpenError, Reason, Role, StreamEvent as Event, StreamId, StreamKey},
};

/// A piece of the answer. The end is said by [`Part::Trailers`], [`Part::End`] or [`Part::Reset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The headers, `:status` among them. The first part, unless that is a reset.
    Head(Headers),
    /// Body.
    Data(Bytes),
    /// The last part: regular fields only.
    Trailers(Headers),
    /// The last part: there are no trailers.
    End,
    /// The last part: the answer is given up.
    Reset(Reason),
}

/// The only stream there is.
const KEY: StreamKey = StreamKey { index: 0, id: StreamId(1) };

/// A server's connection with one stream. It speaks the words of the other wires; its bytes are the request's body.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Wire,
    limits: Arc<Limits>,
    ours: Side,
    /// The request is complete, or nobody is there any more.
    theirs_ended: bool,
    /// Body that the consumer has not released.
    unreleased_bytes: usize,
    answer: VecDeque<Part>,
    /// Bytes of body in `answer`.
    queued_bytes: usize,
    /// There have been more than the high-water mark.
    above_high: bool,
    events: VecDeque<Event>,
    draining: bool,
    closed: bool,
}

/// How far the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Head,
    Body,
    Ended,
}

#[allow(clippy::needless_pass_by_ref_mut, reason = "the words are those of the other wires, which need it")]
impl Connection {
    /// A request; `end`: it has no body. `wire` is what it came by.
    pub(crate) fn new(headers: Headers, end: bool, wire: Wire, limits: &Arc<Limits>) -> Self {
        Self {
            wire,
            limits: Arc::clone(limits),
            ours: Side::Head,
            theirs_ended: end,
            unreleased_bytes: 0,
            answer: VecDeque::new(),
            queued_bytes: 0,
            above_high: false,
            events: VecDeque::from([Event::Headers { key: KEY, headers: Arc::new(headers), end }]),
            draining: false,
            closed: false,
        }
    }

    /// A piece of the body.
    pub(crate) fn handle_bytes(&mut self, _now: Instant, data: Bytes) {
        if self.theirs_ended || data.is_empty() {
            return;
        }
        let len = data.len();
        self.unreleased_bytes += len;
        self.events.push_back(Event::Data { key: KEY, data, end: false, flow_bytes: len as u32 });
    }

    /// The body is complete.
    pub(crate) fn handle_end(&mut self) {
        if !std::mem::replace(&mut self.theirs_ended, true) {
            self.events.push_back(Event::Data { key: KEY, data: Bytes::new(), end: true, flow_bytes: 0 });
        }
    }

    /// The caller has gone away.
    pub(crate) fn handle_eof(&mut self, _now: Instant) {
        self.end(Some(ConnectionError::Lost));
    }

    pub(crate) fn handle_progress(&mut self, _now: Instant) {}

    pub(crate) fn handle_timeout(&mut self, _now: Instant) {}

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Nothing: the answer is taken in parts.
    pub(crate) fn poll_transmit(&mut self, _now: Instant, _out: &mut Transmit) -> bool {
        false
    }

    /// None: the times of a transport are kept by whoever owns it.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Whether there is a piece of the answer.
    pub(crate) fn has_part(&self) -> bool {
        !self.answer.is_empty()
    }

    /// The next piece of the answer.
    pub(crate) fn take_part(&mut self) -> Option<Part> {
        let part = self.answer.pop_front()?;
        if let Part::Data(data) = &part {
            self.queued_bytes -= data.len();
            if self.above_high && self.queued_bytes <= self.limits.queue_low_bytes {
                self.above_high = false;
                if self.ours == Side::Body {
                    self.events.push_back(Event::Writable { key: KEY });
                }
            }
        }
        Some(part)
    }

    pub(crate) fn open(
        &mut self,
        _now: Instant,
        _template: &Arc<Headers>,
        _extra: Option<&Headers>,
        _end: bool,
    ) -> Result<StreamKey, OpenError> {
        Err(OpenError::Closed)
    }

    /// The answer's headers, or its trailers. False: the answer has ended.
    pub(crate) fn send_headers(
        &mut self,
        key: StreamKey,
        head: &Arc<Headers>,
        extra: Option<&Headers>,
        end: bool,
    ) -> bool {
        if key != KEY || self.ours == Side::Ended || (self.ours == Side::Body && !end) {
            return false;
        }
        let mut fields = Headers::clone(head);
        for field in extra.into_iter().flat_map(Headers::fields) {
            if field.sensitive {
                fields.push_sensitive(field.name, field.value);
            } else {
                fields.push(field.name, field.value);
            }
        }
        if self.ours == Side::Body {
            self.ours = Side::Ended;
            self.answer.push_back(Part::Trailers(fields));
            return true;
        }
        self.ours = Side::Body;
        self.answer.push_back(Part::Head(fields));
        if end {
            self.ours = Side::Ended;
            self.answer.push_back(Part::End);
        }
        true
    }

    /// Body of the answer. False: there are no headers yet, or it has ended.
    pub(crate) fn send_data(&mut self, key: StreamKey, data: Bytes, end: bool) -> bool {
        if key != KEY || self.ours != Side::Body {
            return false;
        }
        if !data.is_empty() {
            self.queued_bytes += data.len();
            self.above_high |= self.queued_bytes > self.limits.queue_high_bytes;
            self.answer.push_back(Part::Data(data));
        }
        if end {
            self.ours = Side::Ended;
            self.answer.push_back(Part::End);
        }
        true
    }

    /// Gives the answer up; what waits of it is dropped. False: it has ended.
    pub(crate) fn reset(&mut self, key: StreamKey, reason: Reason) -> bool {
        if key != KEY || self.ours == Side::Ended {
            return false;
        }
        self.ours = Side::Ended;
        self.answer.clear();
        self.queued_bytes = 0;
        self.answer.push_back(Part::Reset(reason));
        true
    }

    pub(crate) fn release(&mut self, _key: StreamKey, bytes: u32) {
        self.unreleased_bytes = self.unreleased_bytes.saturating_sub(bytes as usize);
    }

    pub(crate) fn drain(&mut self, _now: Instant, _debug: &'static str) {
        self.draining = true;
    }

    pub(crate) fn close(&mut self, _now: Instant, reason: Reason, _debug: &str) {
        self.reset(KEY, if reason == Reason::NO_ERROR { Reason::REFUSED_STREAM } else { reason });
        self.end((reason != Reason::NO_ERROR).then_some(ConnectionError::Local(reason)));
    }

    fn end(&mut self, error: Option<ConnectionError>) {
        self.theirs_ended = true;
        if !std::mem::replace(&mut self.closed, true) {
            self.reset(KEY, Reason::CANCEL);
            self.events.push_back(Event::Closed { error });
        }
    }

    /// Whether more of the body should be handed in. False while the consumer has not released what it was given.
    pub(crate) fn wants_bytes(&self) -> bool {
        !self.theirs_ended && self.unreleased_bytes < self.limits.window_bytes as usize
    }

    pub(crate) fn role(&self) -> Role {
        Role::Server
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining || self.closed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed && self.events.is_empty() && self.answer.is_empty()
    }

    pub(crate) fn streams_peer_max(&self) -> u32 {
        1
    }

    pub(crate) fn can_open(&self) -> bool {
        false
    }

    pub(crate) fn queued_bytes(&self, _key: StreamKey) -> usize {
        self.queued_bytes
    }

    pub(crate) fn name(&self) -> Wire {
        self.wire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(end: bool) -> Connection {
        let mut wire = Connection::new(Headers::new(), end, Wire::Http2, &Arc::new(Limits::default()));
        assert!(matches!(wire.poll_event(), Some(Event::Headers { end: seen, .. }) if seen == end));
        wire
    }

    fn now() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a machine that keeps no time must be given one")]
        Instant::now()
    }

    #[test]
    fn a_body_that_nobody_reads_is_not_asked_for() {
        let mut wire = request(false);
        let window = Limits::default().window_bytes;
        wire.handle_bytes(now(), vec![0; window as usize].into());
        assert!(!wire.wants_bytes());
        wire.release(KEY, window);
        assert!(wire.wants_bytes());
        wire.handle_end();
        assert!(!wire.wants_bytes());
    }

    #[test]
    fn an_answer_comes_out_in_parts_and_makes_room() {
        let mut wire = request(true);
        let head = Arc::new(Headers::from_iter([(":status", "200")]));
        let body = Bytes::from(vec![7; Limits::default().queue_high_bytes + 1]);
        assert!(!wire.send_data(KEY, body.clone(), false), "there is no head yet");
        assert!(wire.send_headers(KEY, &head, None, false));
        assert!(wire.send_data(KEY, body.clone(), false));
        assert_eq!(wire.take_part(), Some(Part::Head(Headers::clone(&head))));
        assert!(wire.poll_event().is_none());
        assert_eq!(wire.take_part(), Some(Part::Data(body)));
        assert!(matches!(wire.poll_event(), Some(Event::Writable { .. })));
        assert!(wire.send_headers(KEY, &head, None, true));
        assert_eq!(wire.take_part(), Some(Part::Trailers(Headers::clone(&head))));
        assert!(!wire.send_data(KEY, Bytes::new(), true), "it has ended");
    }

    #[test]
    fn a_caller_that_goes_away_ends_it() {
        let mut wire = request(false);
        wire.handle_eof(now());
        assert!(matches!(wire.poll_event(), Some(Event::Closed { error: Some(ConnectionError::Lost) })));
        assert_eq!(wire.take_part(), Some(Part::Reset(Reason::CANCEL)));
        assert!(wire.is_closed());
    }
}
