//! Following what happens to orders.
//!
//! Events are in the database, numbered; who follows them is a cursor in that list. One task reads the end of the list and
//! shows every new event to all who have caught up; it is read once, however many look. Who has not caught up, because he
//! has just come or is slow, reads from the database at his own pace, a page at a time. So a slow follower costs a page of memory,
//! never a queue that grows, and misses nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use crate::clock::Clock;
use crate::domain::{OrderEvent, OrderId};
use crate::store::{OrderStore, StoreError};

/// Shows what happens to orders to whoever follows. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Feed {
    store: OrderStore,
    /// Where the newest events are shown; gone when the feed is closed.
    tail: Arc<Mutex<Option<broadcast::Sender<Arc<OrderEvent>>>>>,
    followers: Arc<Semaphore>,
    /// The first event that is shown is the one after this.
    begins_after: i64,
}

/// Why nobody can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowError {
    /// The feed is closed, because the process ends.
    Closed,
    /// There are as many followers as may be.
    Full,
}

impl Feed {
    /// Followers at a time. Each may hold a page of events, so this many cost at most a few hundred megabytes when all of
    /// them are slow at once.
    pub const FOLLOWERS_MAX: usize = 10_000;

    /// Events that a follower may fall behind before it has to read from the database.
    const TAIL_EVENTS: usize = 256;

    /// Events that are read from the database at once.
    const PAGE_EVENTS: u32 = 32;

    /// How often to look whether another process has written something into the same database.
    const REFRESH: Duration = Duration::from_secs(1);

    /// A feed of all orders in a store. It shows new events only while [`Feed::run`] runs.
    pub fn new(store: OrderStore, followers_max: usize) -> Self {
        let tail = broadcast::Sender::new(Self::TAIL_EVENTS);
        Self {
            begins_after: store.head(),
            store,
            tail: Arc::new(Mutex::new(Some(tail))),
            followers: Arc::new(Semaphore::new(followers_max)),
        }
    }

    /// Reads new events and shows them, until the feed is closed.
    pub async fn run(self, clock: Clock) {
        let mut head = self.store.watch_head();
        let mut shown = self.begins_after;
        loop {
            match self.store.events(None, shown, Self::PAGE_EVENTS).await {
                Ok(events) => {
                    let more = events.len() == Self::PAGE_EVENTS as usize;
                    for event in events {
                        shown = event.order.sequence;
                        if !self.show(Arc::new(event)) {
                            return;
                        }
                    }
                    if more {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(%error, "new events could not be read; trying again"),
            }
            tokio::select! {
                () = beyond(&mut head, shown) => {}
                () = clock.sleep(Self::REFRESH) => {
                    if let Err(error) = self.store.refresh().await {
                        tracing::warn!(%error, "the database could not be asked for new events; trying again");
                    }
                }
            }
        }
    }

    /// Follows one order, or all, from the events after a number on.
    pub fn follow(&self, of: Option<OrderId>, after: i64) -> Result<Follower, FollowError> {
        let permit = Arc::clone(&self.followers).try_acquire_owned().map_err(|_| FollowError::Full)?;
        let tail = self.lock().as_ref().map(broadcast::Sender::subscribe).ok_or(FollowError::Closed)?;
        Ok(Follower {
            store: self.store.clone(),
            of,
            cursor: after,
            page: VecDeque::new(),
            caught_up: false,
            tail,
            _permit: permit,
        })
    }

    /// Ends it for all who follow: they get what has been shown and then the end.
    pub fn close(&self) {
        self.lock().take();
    }

    fn show(&self, event: Arc<OrderEvent>) -> bool {
        match &*self.lock() {
            Some(tail) => {
                // An error only says that nobody follows at the moment.
                drop(tail.send(event));
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<broadcast::Sender<Arc<OrderEvent>>>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who follows. Dropping it ends it.
#[derive(Debug)]
pub struct Follower {
    store: OrderStore,
    of: Option<OrderId>,
    cursor: i64,
    page: VecDeque<OrderEvent>,
    /// Everything up to the cursor was given, and everything behind it comes by the tail.
    caught_up: bool,
    tail: broadcast::Receiver<Arc<OrderEvent>>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Waits for the next event; `None` when the feed was closed.
    ///
    /// No event is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Result<Option<Arc<OrderEvent>>, StoreError> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.cursor = event.order.sequence;
                return Ok(Some(Arc::new(event)));
            }
            if !self.caught_up {
                self.page = self.store.events(self.of.as_ref(), self.cursor, Feed::PAGE_EVENTS).await?.into();
                // We have been listening to the tail since before this was read: what is not in it comes there.
                self.caught_up = self.page.is_empty();
                continue;
            }
            match self.tail.recv().await {
                Ok(event) if event.order.sequence <= self.cursor => {}
                Ok(event) => {
                    self.cursor = event.order.sequence;
                    if self.of.as_ref().is_none_or(|of| *of == event.order.id) {
                        return Ok(Some(event));
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.caught_up = false,
                Err(broadcast::error::RecvError::Closed) => return Ok(None),
            }
        }
    }
}

async fn beyond(head: &mut watch::Receiver<i64>, shown: i64) {
    let grown = head.wait_for(|head| *head > shown).await.map(drop);
    grown.expect("the feed has the store, and the store the sender");
}
