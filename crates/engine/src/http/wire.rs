use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    transmit::Transmit,
    wire::{Headers, OpenError, Reason, Role, StreamEvent, StreamKey, http1, http2, single},
};

/// A wire that carries HTTP: all of them speak the same words.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the usual case stands in place; the other is small")]
pub(crate) enum HttpWire {
    Http1(Box<http1::Connection>),
    Http2(http2::Connection),
    Single(Box<single::Connection>),
}

/// The same command or question for whichever wire it is.
macro_rules! each {
    ($wire:expr, $it:ident => $what:expr) => {
        match $wire {
            HttpWire::Http1($it) => $what,
            HttpWire::Http2($it) => $what,
            HttpWire::Single($it) => $what,
        }
    };
}

impl HttpWire {
    pub(crate) fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        each!(self, wire => wire.handle_bytes(now, bytes));
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        each!(self, wire => wire.handle_eof(now));
    }

    pub(crate) fn handle_progress(&mut self, now: Instant) {
        each!(self, wire => wire.handle_progress(now));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        each!(self, wire => wire.handle_timeout(now));
    }

    pub(crate) fn poll_event(&mut self) -> Option<StreamEvent> {
        each!(self, wire => wire.poll_event())
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        each!(self, wire => wire.poll_transmit(now, out))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        each!(self, wire => wire.poll_timeout())
    }

    pub(crate) fn open(
        &mut self,
        now: Instant,
        template: &Arc<Headers>,
        extra: Option<&Headers>,
        end: bool,
    ) -> Result<StreamKey, OpenError> {
        each!(self, wire => wire.open(now, template, extra, end))
    }

    pub(crate) fn send_headers(&mut self, key: StreamKey, head: &Arc<Headers>, extra: Option<&Headers>, end: bool) {
        each!(self, wire => drop(wire.send_headers(key, head, extra, end)));
    }

    pub(crate) fn send_data(&mut self, key: StreamKey, data: Bytes, end: bool) {
        each!(self, wire => drop(wire.send_data(key, data, end)));
    }

    pub(crate) fn reset(&mut self, key: StreamKey, reason: Reason) {
        each!(self, wire => drop(wire.reset(key, reason)));
    }

    pub(crate) fn release(&mut self, key: StreamKey, bytes: u32) {
        each!(self, wire => wire.release(key, bytes));
    }

    pub(crate) fn drain(&mut self, now: Instant, debug: &'static str) {
        each!(self, wire => wire.drain(now, debug));
    }

    pub(crate) fn close(&mut self, now: Instant, reason: Reason, debug: &str) {
        each!(self, wire => wire.close(now, reason, debug));
    }

    pub(crate) fn role(&self) -> Role {
        each!(self, wire => wire.role())
    }

    pub(crate) fn queued_bytes(&self, key: StreamKey) -> usize {
        each!(self, wire => wire.queued_bytes(key))
    }

    pub(crate) fn can_open(&self) -> bool {
        each!(self, wire => wire.can_open())
    }

    pub(crate) fn is_draining(&self) -> bool {
        each!(self, wire => wire.is_draining())
    }

    pub(crate) fn is_closed(&self) -> bool {
        each!(self, wire => wire.is_closed())
    }

    pub(crate) fn streams_peer_max(&self) -> u32 {
        each!(self, wire => wire.streams_peer_max())
    }

    /// Server, HTTP/1.1: answers a request for another protocol with 101.
    pub(crate) fn upgrade(&mut self, key: StreamKey, head: &Arc<Headers>, extra: &Headers) {
        if let Self::Http1(wire) = self {
            wire.upgrade(key, head, Some(extra));
        }
    }

    /// HTTP/1.1: the bytes behind an upgrade, once both sides have changed the protocol.
    pub(crate) fn take_upgraded(&mut self) -> Option<Bytes> {
        match self {
            Self::Http1(wire) => wire.take_upgraded(),
            Self::Http2(_) | Self::Single(_) => None,
        }
    }

    /// Server, HTTP/1.1: the transport is a private one.
    pub(crate) fn set_secure(&mut self) {
        if let Self::Http1(wire) = self {
            wire.set_secure();
        }
    }

    /// HTTP/1.1: no stream has had a higher id.
    pub(crate) fn id_highest(&self) -> u32 {
        match self {
            Self::Http1(wire) => wire.id_highest(),
            Self::Http2(_) | Self::Single(_) => 0,
        }
    }

    /// A request by itself: its body is complete.
    pub(crate) fn handle_end(&mut self) {
        if let Self::Single(wire) = self {
            wire.handle_end();
        }
    }

    /// A request by itself: whether there is a piece of its answer.
    pub(crate) fn has_part(&self) -> bool {
        matches!(self, Self::Single(wire) if wire.has_part())
    }

    /// A request by itself: the next piece of its answer.
    pub(crate) fn take_part(&mut self) -> Option<single::Part> {
        match self {
            Self::Single(wire) => wire.take_part(),
            Self::Http1(_) | Self::Http2(_) => None,
        }
    }

    /// Whether the driver should read.
    pub(crate) fn wants_bytes(&self) -> bool {
        match self {
            Self::Http1(wire) => wire.wants_bytes(),
            Self::Http2(_) => true,
            Self::Single(wire) => wire.wants_bytes(),
        }
    }

    /// Which wire it is, as the application sees it.
    pub(crate) fn name(&self) -> polywire_core::Wire {
        match self {
            Self::Http1(_) => polywire_core::Wire::Http1,
            Self::Http2(_) => polywire_core::Wire::Http2,
            Self::Single(wire) => wire.name(),
        }
    }
}
