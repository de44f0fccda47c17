//! The moments a connection waits for, and what happens when they come.

use std::time::{Duration, Instant};

use super::connection::{Connection, Farewell, Phase};
use super::frame;
use crate::limits::Limits;
use crate::time::{after, earliest, jittered};
use crate::wire::{ConnectionError, Reason, Role, TimedOut};

/// Since when, or until when, things are waited for. `None`: not at all.
#[derive(Debug)]
pub(super) struct Timers {
    /// The last bytes from the peer.
    received: Instant,
    /// The last output that was taken.
    sent: Instant,
    /// When to look whether it has been quiet. It is not moved by every byte: that would cost the driver a timer.
    quiet: Option<Instant>,
    /// Bytes came since memory was given back.
    grown: bool,
    /// Since when at least one stream is open.
    active_since: Option<Instant>,
    /// Since when none is.
    idle_since: Option<Instant>,
    /// Until when the peer's preface and SETTINGS must be here.
    pub(super) handshake: Option<Instant>,
    /// Until when our SETTINGS must be acknowledged.
    pub(super) settings: Option<Instant>,
    /// Until when the header block in progress must be complete.
    pub(super) block: Option<Instant>,
    /// Since when a transmit is being written.
    pub(super) write_since: Option<Instant>,
    /// Since when too much waits for windows without any progress.
    pub(super) window_since: Option<Instant>,
    /// Since when the answer to a keepalive ping is awaited.
    ping_since: Option<Instant>,
    /// When the connection is old.
    age: Option<Instant>,
    /// When it is too old for its last streams.
    grace: Option<Instant>,
    /// When the second GOAWAY of a drain no longer waits for its PING.
    pub(super) drain: Option<Instant>,
}

/// After so long without a byte either way memory is given back.
const QUIET: Duration = Duration::from_secs(1);

/// Payload of keepalive pings.
pub(super) const PING_KEEPALIVE: [u8; 8] = *b"keepaliv";

impl Timers {
    pub(super) fn new(role: Role, limits: &Limits, now: Instant, seed: u64) -> Self {
        let age_max = limits.age_max.filter(|_| role == Role::Server);
        Timers {
            received: now,
            sent: now,
            quiet: None,
            grown: true,
            active_since: None,
            idle_since: Some(now),
            handshake: after(now, limits.handshake_timeout),
            settings: after(now, limits.settings_timeout),
            block: None,
            write_since: None,
            window_since: None,
            ping_since: None,
            age: age_max.and_then(|age| after(now, jittered(age, seed))),
            grace: None,
            drain: None,
        }
    }

    /// Whatever comes shows that the peer lives.
    #[inline]
    pub(super) fn received(&mut self, now: Instant) {
        self.received = now;
        self.ping_since = None;
        self.grown = true;
    }

    /// Output was taken.
    #[inline]
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
        self.write_since = Some(now);
        self.grown = true;
    }

    /// All output has been written.
    #[inline]
    pub(super) fn rested(&mut self, now: Instant) {
        self.write_since = None;
        if self.grown && self.quiet.is_none() {
            self.quiet = after(now, QUIET);
        }
    }

    /// Keeps the times of activity and idleness.
    #[inline]
    pub(super) fn note_open(&mut self, now: Instant, open: usize) {
        if open > 0 {
            if self.active_since.is_none() {
                self.active_since = Some(now);
                self.idle_since = None;
            }
        } else if self.idle_since.is_none() {
            self.idle_since = Some(now);
            self.active_since = None;
        }
    }

    /// Nothing is waited for any more.
    pub(super) fn stop(&mut self) {
        self.quiet = None;
        self.grown = false;
        self.active_since = None;
        self.idle_since = None;
        self.handshake = None;
        self.settings = None;
        self.block = None;
        self.write_since = None;
        self.window_since = None;
        self.ping_since = None;
        self.age = None;
        self.grace = None;
        self.drain = None;
    }

    /// When the next keepalive ping is due, or the answer to the last.
    fn keepalive(&self, limits: &Limits) -> Option<Instant> {
        let keepalive = limits.keepalive?;
        if let Some(since) = self.ping_since {
            return after(since, keepalive.timeout);
        }
        let from = match self.active_since {
            // A connection that slept is not asked at once.
            Some(active) => self.received.max(active),
            None if keepalive.without_calls => self.received,
            None => return None,
        };
        after(from, keepalive.interval)
    }

    fn idle(&self, limits: &Limits) -> Option<Instant> {
        after(self.idle_since?, limits.idle_timeout?)
    }

    fn write(&self, limits: &Limits) -> Option<Instant> {
        after(self.write_since?, limits.write_timeout)
    }

    fn window(&self, limits: &Limits) -> Option<Instant> {
        after(self.window_since?, limits.window_timeout)
    }

    /// The earliest of all. `draining`: idleness and age have had their effect.
    pub(super) fn next(&self, limits: &Limits, draining: bool, settled: bool) -> Option<Instant> {
        let mut next = earliest(self.handshake, self.settings);
        next = earliest(next, self.block);
        next = earliest(next, self.write(limits));
        next = earliest(next, self.window(limits));
        next = earliest(next, self.grace);
        next = earliest(next, self.drain);
        next = earliest(next, self.quiet);
        if settled {
            next = earliest(next, self.keepalive(limits));
        }
        if !draining {
            next = earliest(next, self.age);
            next = earliest(next, self.idle(limits));
        }
        next
    }
}

impl Connection {
    /// Does what is due at `now`.
    pub(super) fn run_timers(&mut self, now: Instant) {
        let limits = std::sync::Arc::clone(&self.limits);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late = if due(self.timers.handshake) {
            Some(TimedOut::Handshake)
        } else if due(self.timers.write(&limits)) {
            Some(TimedOut::Write)
        } else if due(self.timers.block) {
            Some(TimedOut::HeaderBlock)
        } else if due(self.timers.settings) {
            Some(TimedOut::Settings)
        } else if due(self.timers.window(&limits)) {
            Some(TimedOut::Window)
        } else {
            None
        };
        if let Some(what) = late {
            return self.fail(ConnectionError::TimedOut(what));
        }
        if due(self.timers.grace) {
            return self.finish(None, Reason::NO_ERROR, b"max_age_grace");
        }
        if self.phase == Phase::Open && due(self.timers.keepalive(&limits)) {
            if self.timers.ping_since.is_some() {
                return self.fail(ConnectionError::TimedOut(TimedOut::Keepalive));
            }
            self.timers.ping_since = Some(now);
            frame::write_ping(self.out.buffer(), false, PING_KEEPALIVE);
        }
        if self.farewell == Farewell::None {
            if due(self.timers.age) {
                self.timers.grace = limits.age_grace.and_then(|grace| after(now, grace));
                self.drain(now, "max_age");
            } else if due(self.timers.idle(&limits)) {
                self.drain(now, "max_idle");
            }
        }
        if due(self.timers.drain) {
            self.say_last();
        }
        if due(self.timers.quiet) {
            let quiet = after(self.timers.sent.max(self.timers.received), QUIET);
            if due(quiet) {
                self.timers.quiet = None;
                self.timers.grown = false;
                self.shrink();
            } else {
                self.timers.quiet = quiet;
            }
        }
        self.settle(now);
    }
}
