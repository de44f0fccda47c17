//! The moments a connection waits for, and what happens when they come.

use std::time::{Duration, Instant};

use super::connection::Connection;
use super::frame::{self, kind};
use crate::limits::Limits;
use crate::time::{after, earliest, jittered};
use crate::wire::{ConnectionError, Role, TimedOut};

/// Since when, or until when, things are waited for. `None`: not at all.
#[derive(Debug)]
pub(super) struct Timers {
    /// The last bytes from the peer.
    received: Instant,
    /// The last output that was taken.
    sent: Instant,
    /// When to look whether it has been quiet. Neither this nor the next two are moved by every byte: that would cost
    /// the driver a timer each time.
    quiet: Option<Instant>,
    /// When to look whether the peer has been silent for too long.
    listen: Option<Instant>,
    /// When to look whether we have been silent for too long.
    talk: Option<Instant>,
    /// How long the peer may be silent, and how long we may.
    listen_every: Duration,
    talk_every: Duration,
    /// Bytes came since memory was given back.
    grown: bool,
    active_since: Option<Instant>,
    idle_since: Option<Instant>,
    /// Until when the peer's preface and HELLO must be here.
    handshake: Option<Instant>,
    /// Until when the frame in progress must be complete.
    pub(super) partial: Option<Instant>,
    write_since: Option<Instant>,
    /// Since when too much waits for windows without any progress.
    pub(super) window_since: Option<Instant>,
    age: Option<Instant>,
    grace: Option<Instant>,
    /// Server: until when the client's GOAWAY is awaited.
    pub(super) drain: Option<Instant>,
}

/// After so long without a byte either way memory is given back.
const QUIET: Duration = Duration::from_secs(1);

/// What a PING says that is sent for company.
const PING_ALIVE: &[u8; 8] = b"alive?\0\0";

/// The shortest silence that a peer may demand, in milliseconds: three times the shortest pause between two pings.
const SILENCE_MS_MIN: u64 = 3_000;

impl Timers {
    pub(super) fn new(role: Role, limits: &Limits, now: Instant, seed: u64) -> Self {
        let age_max = limits.age_max.filter(|_| role == Role::Server);
        Timers {
            received: now,
            sent: now,
            quiet: None,
            listen: None,
            talk: None,
            listen_every: Duration::ZERO,
            talk_every: Duration::ZERO,
            grown: true,
            active_since: None,
            idle_since: Some(now),
            handshake: after(now, limits.handshake_timeout),
            partial: None,
            write_since: None,
            window_since: None,
            age: age_max.and_then(|age| after(now, jittered(age, seed))),
            grace: None,
            drain: None,
        }
    }

    /// HELLO has come: from now on neither side is silent for longer than the other bears.
    pub(super) fn settled(&mut self, now: Instant, peer_silence_ms: u64, our_silence_ms: u64) {
        self.handshake = None;
        if peer_silence_ms > 0 {
            self.talk_every = Duration::from_millis(peer_silence_ms.max(SILENCE_MS_MIN) / 3);
            self.talk = after(now, self.talk_every);
        }
        if our_silence_ms > 0 {
            self.listen_every = Duration::from_millis(our_silence_ms.max(SILENCE_MS_MIN));
            self.listen = after(now, self.listen_every);
        }
    }

    /// Whatever comes shows that the peer lives.
    #[inline]
    pub(super) fn received(&mut self, now: Instant) {
        self.received = now;
        self.grown = true;
    }

    /// Output was taken.
    #[inline]
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
        self.write_since = Some(now);
        self.grown = true;
    }

    /// Some of the output was written.
    pub(super) fn progressed(&mut self, now: Instant) {
        if self.write_since.is_some() {
            self.write_since = Some(now);
        }
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
        self.grown = false;
        for timer in [
            &mut self.quiet,
            &mut self.listen,
            &mut self.talk,
            &mut self.active_since,
            &mut self.idle_since,
            &mut self.handshake,
            &mut self.partial,
            &mut self.write_since,
            &mut self.window_since,
            &mut self.age,
            &mut self.grace,
            &mut self.drain,
        ] {
            *timer = None;
        }
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
    pub(super) fn next(&self, limits: &Limits, draining: bool) -> Option<Instant> {
        let mut next = earliest(self.handshake, self.partial);
        next = earliest(next, self.write(limits));
        next = earliest(next, self.window(limits));
        next = earliest(next, self.grace);
        next = earliest(next, self.drain);
        next = earliest(next, self.quiet);
        next = earliest(next, self.listen);
        next = earliest(next, self.talk);
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
        let config = std::sync::Arc::clone(&self.config);
        let limits = config.limits();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late = if due(self.timers.handshake) {
            Some(TimedOut::Handshake)
        } else if due(self.timers.write(limits)) {
            Some(TimedOut::Write)
        } else if due(self.timers.partial) {
            Some(TimedOut::HeaderBlock)
        } else if due(self.timers.window(limits)) {
            Some(TimedOut::Window)
        } else if due(self.timers.listen) && self.is_silent(now, limits) {
            Some(TimedOut::Keepalive)
        } else {
            None
        };
        if let Some(what) = late {
            return self.fail(ConnectionError::TimedOut(what));
        }
        if due(self.timers.grace) {
            return self.finish_connection(None, "max_age_grace");
        }
        if due(self.timers.talk) {
            let last = self.timers.sent;
            if due(after(last, self.timers.talk_every)) {
                let out = self.out.buffer();
                frame::put_head(out, kind::PING, 0, PING_ALIVE.len());
                out.extend_from_slice(PING_ALIVE);
                self.guard.earn(1);
                self.timers.talk = after(now, self.timers.talk_every);
            } else {
                self.timers.talk = after(last, self.timers.talk_every);
            }
        }
        if !self.said && self.heard.is_none() {
            if due(self.timers.age) {
                self.timers.grace = limits.age_grace.and_then(|grace| after(now, grace));
                self.drain(now, "max_age");
            } else if due(self.timers.idle(limits)) {
                self.drain(now, "max_idle");
            }
        }
        if due(self.timers.drain) {
            self.drain_waited(now);
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
    }

    /// Whether the peer has been silent for longer than we bear; if not, when to look again.
    fn is_silent(&mut self, now: Instant, limits: &Limits) -> bool {
        let without_calls = limits.keepalive.is_none_or(|keepalive| keepalive.without_calls);
        let from = match self.timers.active_since {
            _ if without_calls => self.timers.received,
            Some(active) => self.timers.received.max(active),
            None => now,
        };
        self.timers.listen = after(from, self.timers.listen_every);
        self.timers.listen.is_some_and(|at| at <= now)
    }
}
