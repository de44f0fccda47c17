//! The moments a connection waits for, and what happens when they come.

use std::time::{Duration, Instant};

use super::connection::{Connection, Phase};
use crate::limits::Limits;
use crate::time::{after, earliest, jittered};
use crate::wire::{ConnectionError, Role, TimedOut};

/// Since when, or until when, things are waited for. `None`: not at all.
///
/// Commands carry no time: what they change is noted when the output is looked at next, which is at once.
#[derive(Debug)]
pub(super) struct Timers {
    role: Role,
    /// Server: until when the head of the first request must be complete.
    handshake: Option<Instant>,
    /// Since when the head, or the trailer section, in progress has been.
    head_since: Option<Instant>,
    /// Since when more of a body is wanted and nothing has come.
    body_since: Option<Instant>,
    /// Since when there has been neither a request nor a byte to be written.
    idle_since: Option<Instant>,
    /// Since when a transmit is being written.
    write_since: Option<Instant>,
    /// When to look whether it has been quiet. It is not moved by every byte: that would cost the driver a timer.
    quiet: Option<Instant>,
    /// Something happened since memory was given back.
    grown: bool,
    /// The last input or output.
    active: Instant,
    /// When the connection is old.
    age: Option<Instant>,
    /// When it is too old for its last request.
    grace: Option<Instant>,
}

/// After so long without a byte either way memory is given back.
const QUIET: Duration = Duration::from_secs(1);

impl Timers {
    pub(super) fn new(role: Role, limits: &Limits, now: Instant, seed: u64) -> Self {
        let age_max = limits.age_max.filter(|_| role == Role::Server);
        let handshake = if role == Role::Server { after(now, limits.handshake_timeout) } else { None };
        Timers {
            role,
            handshake,
            head_since: None,
            body_since: None,
            idle_since: (role == Role::Client).then_some(now),
            write_since: None,
            quiet: None,
            grown: true,
            active: now,
            age: age_max.and_then(|age| after(now, jittered(age, seed))),
            grace: None,
        }
    }

    /// Bytes came.
    pub(super) fn received(&mut self, now: Instant) {
        self.active = now;
        self.grown = true;
        self.body_since = None;
    }

    /// A head is complete.
    pub(super) fn head_complete(&mut self) {
        self.handshake = None;
        self.head_since = None;
    }

    /// The consumer has made room: the peer gets its time anew.
    pub(super) fn body_wanted(&mut self) {
        self.body_since = None;
    }

    /// Output was taken.
    pub(super) fn sent(&mut self, now: Instant) {
        self.write_since = Some(now);
        self.active = now;
        self.grown = true;
    }

    /// Some of it was written.
    pub(super) fn progressed(&mut self, now: Instant) {
        if self.write_since.is_some() {
            self.write_since = Some(now);
        }
    }

    /// All output has been written.
    pub(super) fn rested(&mut self, now: Instant) {
        self.write_since = None;
        if self.grown && self.quiet.is_none() {
            self.quiet = after(now, QUIET);
        }
    }

    /// A request has begun.
    pub(super) fn note_active(&mut self, now: Instant) {
        self.idle_since = None;
        self.active = now;
    }

    /// Nothing is waited for any more.
    pub(super) fn stop(&mut self) {
        self.handshake = None;
        self.head_since = None;
        self.body_since = None;
        self.idle_since = None;
        self.write_since = None;
        self.quiet = None;
        self.age = None;
        self.grace = None;
    }

    fn head(&self, limits: &Limits) -> Option<Instant> {
        after(self.head_since?, limits.header_block_timeout)
    }

    fn body(&self, limits: &Limits) -> Option<Instant> {
        after(self.body_since?, limits.http1_body_timeout)
    }

    /// Whether no transmit is being written.
    pub(super) fn is_rested(&self) -> bool {
        self.write_since.is_none()
    }

    pub(super) fn write(&self, limits: &Limits) -> Option<Instant> {
        after(self.write_since?, limits.write_timeout)
    }

    fn idle(&self, limits: &Limits) -> Option<Instant> {
        let since = self.idle_since?;
        let idle = limits.idle_timeout.and_then(|timeout| after(since, timeout));
        match self.role {
            Role::Client => idle,
            Role::Server => earliest(idle, after(since, limits.http1_keep_alive_timeout)),
        }
    }

    /// The earliest of all. `draining`: age has had its effect.
    pub(super) fn next(&self, limits: &Limits, draining: bool) -> Option<Instant> {
        let mut next = earliest(self.handshake, self.head(limits));
        next = earliest(next, self.body(limits));
        next = earliest(next, self.write(limits));
        next = earliest(next, self.idle(limits));
        next = earliest(next, self.quiet);
        next = earliest(next, self.grace);
        if !draining {
            next = earliest(next, self.age);
        }
        next
    }
}

impl Connection {
    /// Notes what is waited for now.
    pub(super) fn note_times(&mut self, now: Instant) {
        if self.phase != Phase::Open {
            self.timers.head_since = None;
            self.timers.body_since = None;
            self.timers.idle_since = None;
            return;
        }
        let in_trailers = self.body.as_ref().is_some_and(super::body::Body::is_in_trailers);
        let in_head = self.body.is_none() && !self.input.is_empty() && self.expects_head();
        keep(&mut self.timers.head_since, in_head || in_trailers, now);
        // A client waits as long as its caller does, unless that has gone and only the rest of the answer is to come.
        let forgotten = self.exchange.as_ref().is_some_and(|exchange| exchange.forgotten);
        let waits = match self.role {
            Role::Client => forgotten,
            Role::Server => self.body.is_some(),
        };
        let wanted = waits && !in_trailers && self.wants_bytes();
        keep(&mut self.timers.body_since, wanted, now);
        let resting = self.exchange.is_none()
            && self.input.is_empty()
            && self.out.is_empty()
            && self.timers.write_since.is_none()
            && self.timers.handshake.is_none();
        keep(&mut self.timers.idle_since, resting, now);
    }

    /// Room was made for the peer's body.
    pub(super) fn release_body(&mut self) {
        self.timers.body_wanted();
    }

    /// Gives up a transport that takes nothing.
    pub(super) fn run_write_timer(&mut self, now: Instant) {
        if self.timers.write(&self.limits).is_some_and(|at| at <= now) {
            self.end(Some(ConnectionError::TimedOut(TimedOut::Write)));
        }
    }

    /// Does what is due at `now`.
    pub(super) fn run_timers(&mut self, now: Instant) {
        let limits = std::sync::Arc::clone(&self.limits);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.run_write_timer(now);
        if self.phase != Phase::Open {
            return;
        }
        let late = if due(self.timers.handshake) {
            Some((TimedOut::Handshake, "no request came in time"))
        } else if due(self.timers.head(&limits)) {
            Some((TimedOut::HeaderBlock, "the head did not come in time"))
        } else if due(self.timers.body(&limits)) {
            Some((TimedOut::Body, "the body did not come in time"))
        } else {
            None
        };
        if let Some((what, text)) = late {
            let error = ConnectionError::TimedOut(what);
            if self.exchange.is_none() && self.input.is_empty() {
                // Nothing was asked: nothing is answered.
                return self.last_words(Some(error));
            }
            return self.refuse(408, text, error);
        }
        if due(self.timers.grace) || due(self.timers.idle(&limits)) {
            return self.last_words(None);
        }
        if !self.draining && due(self.timers.age) {
            self.timers.grace = limits.age_grace.and_then(|grace| after(now, grace));
            self.drain(now, "max_age");
        }
        if due(self.timers.quiet) {
            let quiet = after(self.timers.active, QUIET);
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

/// Begins or ends a wait.
fn keep(since: &mut Option<Instant>, holds: bool, now: Instant) {
    if !holds {
        *since = None;
    } else if since.is_none() {
        *since = Some(now);
    }
}
