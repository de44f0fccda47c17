//! What the code of a handler inherits without being told: the deadline of the call it answers.

use std::{cell::Cell, time::Instant};

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs one poll of a handler under the deadline of its call.
pub(crate) fn with_deadline<R>(deadline: Option<Instant>, poll: impl FnOnce() -> R) -> R {
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            DEADLINE.set(self.0);
        }
    }
    let _restore = Restore(DEADLINE.replace(deadline));
    poll()
}

/// The deadline of the call whose handler is being polled on this thread.
///
/// A call made inside a handler takes it over by itself. Code that a handler spawns as a task of its own runs outside, and
/// must be handed the deadline if it should keep to it.
pub fn current_deadline() -> Option<Instant> {
    DEADLINE.get()
}

/// The earlier of two deadlines.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
