//! The hand-over of commands from any task to the one task that owns a connection.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

/// Commands for one connection.
///
/// While its owner runs, nobody needs to wake it: it looks again before it sleeps, under the same lock that senders take.
#[derive(Debug)]
pub(crate) struct Inbox<C> {
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    commands: Vec<C>,
    /// Set while the owner sleeps.
    owner: Option<Waker>,
    closed: bool,
}

impl<C> Inbox<C> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { commands: Vec::new(), owner: None, closed: false }) })
    }

    /// Leaves a command; gives it back when the connection is over.
    pub(crate) fn push(&self, command: C) -> Result<(), C> {
        let mut state = self.lock();
        if state.closed {
            return Err(command);
        }
        state.commands.push(command);
        let owner = state.owner.take();
        drop(state);
        if let Some(owner) = owner {
            owner.wake();
        }
        Ok(())
    }

    /// Owner: takes all commands. `into` must be empty; its memory is used for the next ones.
    pub(crate) fn take(&self, into: &mut Vec<C>) {
        let mut state = self.lock();
        state.owner = None;
        std::mem::swap(&mut state.commands, into);
    }

    /// Owner: goes to sleep, unless a command has come; then it says false.
    pub(crate) fn sleep(&self, cx: &Context<'_>) -> bool {
        let mut state = self.lock();
        if !state.commands.is_empty() {
            return false;
        }
        state.owner = Some(cx.waker().clone());
        true
    }

    /// Owner: gives back the memory of a list that had grown.
    pub(crate) fn shrink(&self) {
        let mut state = self.lock();
        if state.commands.is_empty() && state.commands.capacity() > 0 {
            state.commands = Vec::new();
        }
    }

    /// Owner: the connection is over; takes what nobody will answer any more.
    pub(crate) fn close(&self) -> Vec<C> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.commands)
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
