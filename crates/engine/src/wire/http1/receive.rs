//! Input becomes heads, bodies and events.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::body::{Body, Piece};
use super::connection::{Connection, Phase};
use super::exchange::{Exchange, Side};
use super::fault::Fault;
use super::fields::Framing;
use super::head::{self, End};
use crate::wire::{ConnectionError, Headers, LimitExceeded, Role, StreamEvent as Event};

/// Bytes that are taken beyond what [`Connection::wants_bytes`] asked for: a driver's read or two are under way when it
/// becomes false. Who goes on gets its connection closed.
pub(super) const HELD_BYTES_MAX: usize = 1 << 20;

/// Body that is read and dropped after the answer has been given, so that the connection can be used again. Reading
/// more would cost more than a new connection under TLS; ending it early loses calls that are on their way already.
const DROPPED_BYTES_MAX: usize = 1 << 20;

/// Pieces of a body below this are gathered before they are reported: a place in the queue costs about 100 bytes, and a
/// slice keeps a whole read alive.
const CRUMB_BYTES_MAX: usize = 1 << 10;

/// Informational answers to one request. There is no honest reason for more than a few.
const INFORMATIONAL_MAX: u32 = 32;

/// What has come and has not been looked at.
#[derive(Default, Debug)]
pub(super) struct Input {
    bytes: Bytes,
    /// They lie in a buffer of our own.
    own: bool,
    /// So much of it has no end of a head.
    scanned: usize,
    /// The empty line that may stand before a request (RFC 9112 §2.2) has been there.
    line_skipped: bool,
}

impl Input {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
            self.own = false;
            return;
        }
        // A buffer of our own grows in place.
        let mut joined = match std::mem::take(&mut self.bytes).try_into_mut() {
            Ok(own) => own,
            Err(shared) => {
                let mut own = BytesMut::with_capacity(2 * (shared.len() + bytes.len()));
                own.extend_from_slice(&shared);
                own
            }
        };
        joined.extend_from_slice(&bytes);
        self.bytes = joined.freeze();
        self.own = true;
    }

    /// What is left over will wait: it is copied out of the read, which it would keep alive as a whole.
    pub(super) fn keep(&mut self) {
        if !self.own && !self.bytes.is_empty() {
            self.bytes = BytesMut::from(&self.bytes[..]).freeze();
            self.own = true;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Everything.
    pub(super) fn take(&mut self) -> Bytes {
        self.scanned = 0;
        self.line_skipped = false;
        std::mem::take(&mut self.bytes)
    }

    /// The next head, once it is complete. `latest`: the head before, which is often the same.
    fn take_head(&mut self, latest: Option<&Bytes>, bytes_max: usize) -> Result<Option<Bytes>, Fault> {
        if !self.line_skipped {
            match self.bytes.as_ref() {
                [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => {
                    self.bytes.advance(2);
                    self.line_skipped = true;
                }
                _ => {}
            }
        }
        if let Some(latest) = latest
            && self.bytes.starts_with(latest)
        {
            self.scanned = 0;
            self.line_skipped = false;
            return Ok(Some(self.bytes.split_to(latest.len())));
        }
        match head::find_end(&self.bytes, self.scanned)? {
            End::At(end) if end <= bytes_max => {
                self.scanned = 0;
                self.line_skipped = false;
                Ok(Some(self.bytes.split_to(end)))
            }
            End::Beyond(scanned) if scanned <= bytes_max => {
                self.scanned = scanned;
                Ok(None)
            }
            End::At(_) | End::Beyond(_) => Err(head::too_large(&self.bytes[..self.bytes.len().min(bytes_max)])),
        }
    }
}

/// A head and what was made of it, for the next one if that is the same: then nothing is taken apart, and the upper
/// layer gets the same `Arc`.
#[derive(Debug)]
pub(super) struct Latest<T> {
    bytes: Bytes,
    headers: Arc<Headers>,
    facts: T,
}

impl<T> Latest<T> {
    fn new(bytes: &[u8], headers: &Arc<Headers>, facts: T) -> Self {
        // A copy: a slice would keep the whole read alive.
        Latest { bytes: Bytes::copy_from_slice(bytes), headers: Arc::clone(headers), facts }
    }
}

impl Connection {
    /// Looks at what has come, as far as its turn has come.
    pub(super) fn receive(&mut self) {
        while self.phase == Phase::Open && !self.input.is_empty() {
            let read = match (self.body.take(), self.role) {
                (Some(body), _) => self.read_body(body),
                (None, Role::Server) => self.read_request(),
                (None, Role::Client) => self.read_response(),
            };
            match read {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => return self.refuse(fault.status, fault.text, fault.error()),
            }
        }
    }

    /// A driver that reads although nothing is wanted, or a peer that it serves so.
    pub(super) fn bound_input(&mut self) {
        let unreleased = self.exchange.as_ref().map_or(0, |exchange| exchange.unreleased);
        if unreleased > self.limits.window_bytes as usize + HELD_BYTES_MAX
            || self.input.len() > self.input_bytes_wanted() + HELD_BYTES_MAX
        {
            let error = ConnectionError::LimitExceeded(LimitExceeded::HeldBytes);
            self.refuse(400, "more was sent than can be held", error);
        }
    }

    /// Input up to which more is wanted: any head must fit.
    pub(super) fn input_bytes_wanted(&self) -> usize {
        self.limits.header_list_bytes_max as usize + 4
    }

    /// Whether a head is wanted: its time counts from its first byte.
    pub(super) fn expects_head(&self) -> bool {
        match self.role {
            Role::Server => self.exchange.is_none() && self.events.is_empty() && !self.is_output_full(),
            Role::Client => self.exchange.as_ref().is_some_and(|exchange| exchange.theirs == Side::Head),
        }
    }

    fn is_output_full(&self) -> bool {
        self.out.len() > self.limits.direct_bytes_max
    }

    /// Server: the next request, if the one before has been answered.
    fn read_request(&mut self) -> Result<bool, Fault> {
        if !self.expects_head() {
            return Ok(false);
        }
        let list_bytes_max = self.limits.header_list_bytes_max as usize;
        let latest = self.latest_request.as_ref();
        let Some(bytes) = self.input.take_head(latest.map(|latest| &latest.bytes), list_bytes_max)? else {
            return Ok(false);
        };
        let (headers, request) = match latest {
            Some(latest) if latest.bytes == bytes => (Arc::clone(&latest.headers), latest.facts),
            _ => {
                let (headers, request) = head::parse_request(&bytes, self.scheme, list_bytes_max)?;
                let headers = Arc::new(headers);
                self.latest_request = Some(Latest::new(&bytes, &headers, request));
                (headers, request)
            }
        };
        self.timers.head_complete();
        let key = self.next_key();
        let end = request.body == Framing::Length(0);
        let mut exchange = Exchange::new(key);
        exchange.theirs = if end { Side::Ended } else { Side::Body };
        exchange.head_only = request.head_only;
        exchange.is_old = request.is_old;
        exchange.te_trailers = request.te_trailers;
        exchange.upgrade = request.upgrade;
        exchange.closes = !request.persistent;
        // RFC 9110 §10.1.1: who sends without waiting need not be told.
        exchange.continue_due = request.expects_continue && self.input.is_empty();
        self.exchange = Some(exchange);
        self.body = (!end).then(|| Body::new(request.body));
        self.events.push_back(Event::Headers { key, headers, end });
        Ok(true)
    }

    /// Client: the next head of the answer.
    fn read_response(&mut self) -> Result<bool, Fault> {
        let Some(exchange) = &self.exchange else {
            return Err(Fault::bad("the server said something unasked"));
        };
        if exchange.theirs != Side::Head {
            return Err(Fault::bad("the server said something behind its answer"));
        }
        let list_bytes_max = self.limits.header_list_bytes_max as usize;
        let latest = self.latest_response.as_ref();
        let Some(bytes) = self.input.take_head(latest.map(|latest| &latest.bytes), list_bytes_max)? else {
            return Ok(false);
        };
        let key = exchange.key;
        let (headers, response) = match latest {
            // The answer to HEAD says the same and means another end.
            Some(latest) if latest.bytes == bytes && !exchange.head_only => (Arc::clone(&latest.headers), latest.facts),
            _ => {
                let (headers, response) = head::parse_response(&bytes, exchange.head_only, list_bytes_max)?;
                let headers = Arc::new(headers);
                if response.status >= 200 && !exchange.head_only {
                    self.latest_response = Some(Latest::new(&bytes, &headers, response));
                }
                (headers, response)
            }
        };
        if response.status == 101 {
            if !exchange.upgrade || !response.upgrade {
                return Err(Fault::bad("the server changes the protocol unasked"));
            }
            self.events.push_back(Event::Headers { key, headers, end: false });
            self.phase = Phase::Upgraded;
            return Ok(false);
        }
        if response.status < 200 {
            self.informational += 1;
            if self.informational > INFORMATIONAL_MAX {
                return Err(Fault::bad("too many informational answers"));
            }
            return Ok(true);
        }
        let end = response.body == Framing::Length(0);
        if let Some(exchange) = &mut self.exchange {
            exchange.theirs = Side::Body;
            exchange.closes |= !response.persistent;
            if !exchange.forgotten {
                self.events.push_back(Event::Headers { key, headers, end });
            }
        }
        if !response.persistent {
            self.note_going_away("the server closes the connection behind this answer");
        }
        if end {
            self.peer_ended();
        } else {
            self.body = Some(Body::new(response.body));
        }
        Ok(true)
    }

    /// As much of the body as there is. False: more input is needed.
    fn read_body(&mut self, mut body: Body) -> Result<bool, Fault> {
        let list_bytes_max = self.limits.header_list_bytes_max as usize;
        let mut crumbs = BytesMut::new();
        loop {
            match body.next(self.input.front(), list_bytes_max)? {
                Piece::Data(data) if data.len() < CRUMB_BYTES_MAX => crumbs.extend_from_slice(&data),
                Piece::Data(data) => {
                    self.give_up_data(crumbs.split().freeze(), false);
                    self.give_up_data(data, false);
                }
                Piece::More => {
                    self.give_up_data(crumbs.freeze(), false);
                    // The bound on what is dropped may have ended it all.
                    if self.phase == Phase::Open {
                        self.body = Some(body);
                    }
                    return Ok(false);
                }
                Piece::End(None) => {
                    self.give_up_data(crumbs.freeze(), true);
                    self.peer_ended();
                    return Ok(true);
                }
                Piece::End(Some(trailers)) => {
                    self.give_up_data(crumbs.freeze(), false);
                    if let Some(exchange) = self.exchange.as_ref().filter(|exchange| !exchange.forgotten) {
                        self.events.push_back(Event::Trailers { key: exchange.key, headers: Arc::new(trailers) });
                    }
                    self.peer_ended();
                    return Ok(true);
                }
            }
        }
    }

    /// Reports a piece of the body, or the end.
    pub(super) fn give_up_data(&mut self, data: Bytes, end: bool) {
        let Some(exchange) = &mut self.exchange else {
            return;
        };
        exchange.continue_due &= data.is_empty();
        if exchange.forgotten {
            exchange.dropped += data.len();
            if exchange.dropped > DROPPED_BYTES_MAX {
                self.last_words(None);
            }
            return;
        }
        let key = exchange.key;
        let len = data.len();
        if end && len == 0 {
            // The end goes with the last piece if that has not been taken.
            if let Some(Event::Data { key: of, end, .. }) = self.events.back_mut()
                && *of == key
            {
                *end = true;
                return;
            }
        }
        if end || len > 0 {
            exchange.unreleased += len;
            self.events.push_back(Event::Data { key, data, end, flow_bytes: len as u32 });
        }
    }

    /// The peer's message is complete.
    fn peer_ended(&mut self) {
        self.body = None;
        if let Some(exchange) = &mut self.exchange {
            exchange.theirs = Side::Ended;
        }
        self.settle_exchange();
    }
}

impl Input {
    /// Where a body is read from.
    fn front(&mut self) -> &mut Bytes {
        &mut self.bytes
    }
}
