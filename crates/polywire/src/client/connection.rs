//! The calls of one client connection: from callers to the engine, and back.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    time::Instant,
};

use bytes::Bytes;
use polywire_core::{ENVELOPE_BYTES, IncomingQueue, Metadata, OutgoingQueue, QUEUE_HIGH_WATER_BYTES, Status};
use polywire_engine::{
    CallKey, Connection, Event, OpenCall,
    protocol::RequestTemplate,
    wire::{OpenError, Reason},
};
use tokio::{sync::oneshot, task::AbortHandle};

use super::channel::Inner;
use crate::{driver::Calls, inbox::Inbox};

/// Where the end of a call goes when interceptors see it before the reader does.
pub(crate) type EndSender = oneshot::Sender<(Result<(), Status>, Metadata)>;

/// A call on its way to a connection.
pub(crate) struct StartCall {
    pub(crate) template: RequestTemplate,
    pub(crate) metadata: Metadata,
    pub(crate) deadline: Option<Instant>,
    /// The first message in its envelope.
    pub(crate) message: Option<Bytes>,
    pub(crate) incoming: Arc<IncomingQueue>,
    /// For methods whose client streams.
    pub(crate) outgoing: Option<Arc<OutgoingQueue>>,
    pub(crate) link: Arc<CallLink>,
    pub(crate) wait_for_ready: bool,
    /// Where the status goes when interceptors see it before the reader does.
    pub(crate) ended: Option<EndSender>,
    /// Set while the call waits for a connection and has a deadline.
    pub(crate) expiry: Option<Expiry>,
    /// It has been on a connection before, where the server did not look at it.
    pub(crate) is_repeated: bool,
}

/// Watches the deadline of a call that waits; stops when it is dropped.
pub(crate) struct Expiry(AbortHandle);

impl Drop for Expiry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A longer request is not kept to be made once more: calls may wait for their answers by the hundred. As much as other clients keep
/// of a call for retries by default.
const REPEATED_BYTES_MAX: usize = 1024 * 1024;

impl StartCall {
    /// Whether it is kept until the server has answered something, to be made once more if it was not looked at.
    fn is_small(&self) -> bool {
        self.message.as_ref().is_none_or(|message| message.len() <= REPEATED_BYTES_MAX)
    }

    /// Ends a call that never reached a connection.
    pub(crate) fn fail(self, status: Status) {
        end(&self.incoming, self.outgoing.as_deref(), self.ended, Err(status), Metadata::new());
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.incoming.is_over()
    }

    /// Ends the call at its deadline if it still waits for a connection then.
    pub(crate) fn expire_while_waiting(&mut self) {
        let Some(deadline) = self.deadline else { return };
        let (incoming, link) = (Arc::downgrade(&self.incoming), Arc::clone(&self.link));
        let is_repeated = self.is_repeated;
        let watch = tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            if link.place(is_repeated).get().is_none()
                && let Some(incoming) = incoming.upgrade()
            {
                let status = Status::deadline_exceeded("the deadline passed while the call waited for a connection");
                incoming.finish(Err(status), Metadata::new());
            }
        });
        self.expiry = Some(Expiry(watch.abort_handle()));
    }
}

/// What other tasks ask of a client connection.
pub(crate) enum Command {
    /// Lets calls finish and opens no new ones.
    Drain,
    /// Something happened in the queues of a call.
    Look(CallKey),
    /// Opens a call.
    Start(Box<StartCall>),
}

/// The way from the queues of a call to its connection, once it has one.
#[derive(Default)]
pub(crate) struct CallLink {
    first: OnceLock<(Arc<Inbox<Command>>, CallKey)>,
    /// Where it went when the server had not looked at it.
    second: OnceLock<(Arc<Inbox<Command>>, CallKey)>,
}

impl Wake for CallLink {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some((inbox, key)) = self.second.get().or_else(|| self.first.get()) {
            let _ = inbox.push(Command::Look(*key));
        }
    }
}

impl CallLink {
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    fn place(&self, is_repeated: bool) -> &OnceLock<(Arc<Inbox<Command>>, CallKey)> {
        if is_repeated { &self.second } else { &self.first }
    }
}

/// What a channel knows of one of its connections.
pub(crate) struct Link {
    pub(crate) inbox: Arc<Inbox<Command>>,
    /// Calls that were given to it and have not ended.
    pub(crate) load: AtomicUsize,
    /// Calls that the peer allows at once.
    pub(crate) capacity: AtomicUsize,
    pub(crate) draining: AtomicBool,
}

impl Link {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inbox: Inbox::new(),
            load: AtomicUsize::new(0),
            capacity: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        })
    }

    /// How many more calls it takes; none while it drains.
    pub(crate) fn room(&self) -> usize {
        if self.draining.load(Ordering::Relaxed) {
            return 0;
        }
        self.capacity.load(Ordering::Relaxed).saturating_sub(self.load.load(Ordering::Relaxed))
    }
}

/// All calls of one connection.
pub(crate) struct ClientCalls {
    channel: Weak<Inner>,
    link: Arc<Link>,
    /// By the key's index.
    slots: Vec<Option<Slot>>,
    /// Calls for which the peer has no room yet.
    waiting: VecDeque<Box<StartCall>>,
    chunks: Vec<Bytes>,
    settled: bool,
    /// Why the connection ended.
    error: Option<Status>,
}

struct Slot {
    key: CallKey,
    incoming: Arc<IncomingQueue>,
    outgoing: Option<Arc<OutgoingQueue>>,
    ended: Option<EndSender>,
    half_closed: bool,
    /// What it takes to make the call once more, as long as that may come to it.
    again: Option<Box<StartCall>>,
}

impl ClientCalls {
    pub(crate) fn new(channel: Weak<Inner>, link: Arc<Link>) -> Self {
        Self {
            channel,
            link,
            slots: Vec::new(),
            waiting: VecDeque::new(),
            chunks: Vec::new(),
            settled: false,
            error: None,
        }
    }

    fn start(&mut self, connection: &mut Connection, now: Instant, mut start: Box<StartCall>) {
        if start.is_over() {
            return self.leave();
        }
        let last = start.outgoing.is_none();
        let opened = connection.open(
            now,
            OpenCall {
                template: &start.template,
                metadata: &start.metadata,
                deadline: start.deadline,
                message: start.message.clone(),
                last,
            },
        );
        let key = match opened {
            Ok(key) => key,
            Err(OpenError::Full) => {
                start.expire_while_waiting();
                return self.waiting.push_back(start);
            }
            Err(OpenError::Unfit) => {
                self.leave();
                let message =
                    start.message.clone().map_or_else(Bytes::new, |mut message| message.split_off(ENVELOPE_BYTES));
                let why = start.template.check(&message).err();
                return start.fail(why.unwrap_or_else(|| Status::internal("the message cannot be written")));
            }
            Err(OpenError::Closed | OpenError::Draining | OpenError::Exhausted) => {
                // It never left this process: another connection takes it.
                self.link.draining.store(true, Ordering::Relaxed);
                self.leave();
                return match self.channel.upgrade() {
                    Some(channel) => channel.start(*start),
                    None => start.fail(Status::unavailable("the channel was closed")),
                };
            }
        };
        let index = key.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let _ = start.link.place(start.is_repeated).set((Arc::clone(&self.link.inbox), key));
        start.expiry = None;
        self.slots[index] = Some(Slot {
            key,
            incoming: Arc::clone(&start.incoming),
            outgoing: start.outgoing.take(),
            ended: start.ended.take(),
            half_closed: last,
            again: (last && !start.is_repeated && start.is_small()).then_some(start),
        });
        // What happened before the link was there woke nobody.
        self.look(connection, key);
    }

    /// Moves what waits in the queues of a call.
    fn look(&mut self, connection: &mut Connection, key: CallKey) {
        let Some(slot) = find(&mut self.slots, key) else { return };
        if slot.incoming.is_over() {
            connection.cancel(key);
            return self.ended(key, Err(Status::cancelled("the caller no longer waits")), Metadata::new());
        }
        let bytes = slot.incoming.take_released();
        if bytes > 0 {
            connection.consumed_enveloped(key, bytes);
        }
        if let Some(outgoing) = &slot.outgoing
            && !slot.half_closed
            && connection.queued_bytes(key) < QUEUE_HIGH_WATER_BYTES
        {
            let taken = outgoing.take(&mut self.chunks);
            for chunk in self.chunks.drain(..) {
                connection.send(key, chunk);
            }
            if taken.ended {
                slot.half_closed = true;
                connection.half_close(key);
            }
        }
    }

    /// The server has not looked at the call: it is made once more, at once, wherever there is room ("transparent retry", gRFC
    /// A6). False: it cannot be.
    fn repeat(&mut self, key: CallKey, now: Instant) -> bool {
        let Some(slot) = find(&mut self.slots, key) else { return false };
        let Some(channel) = self.channel.upgrade() else { return false };
        let Some(mut start) = slot.again.take().filter(|start| !start.is_over()) else { return false };
        if start.deadline.is_some_and(|deadline| deadline <= now) {
            return false;
        }
        start.is_repeated = true;
        start.ended = slot.ended.take();
        self.slots[key.index()] = None;
        self.leave();
        channel.start(*start);
        true
    }

    fn ended(&mut self, key: CallKey, result: Result<(), Status>, trailing: Metadata) {
        if find(&mut self.slots, key).is_none() {
            return;
        }
        if let Some(slot) = self.slots[key.index()].take() {
            self.leave();
            end(&slot.incoming, slot.outgoing.as_deref(), slot.ended, result, trailing);
        }
    }

    /// One call less; one that waits for room in the channel may come.
    fn leave(&self) {
        self.link.load.fetch_sub(1, Ordering::Relaxed);
        if let Some(channel) = self.channel.upgrade() {
            channel.room_made();
        }
    }
}

impl Calls for ClientCalls {
    type Command = Command;

    fn handle_event(&mut self, connection: &mut Connection, now: Instant, event: Event) {
        match event {
            Event::Headers { key, head } => {
                if let Some(slot) = find(&mut self.slots, key) {
                    slot.again = None;
                    slot.incoming.set_leading(head.metadata);
                }
            }
            Event::Message { key, message, .. } => {
                if let Some(slot) = find(&mut self.slots, key) {
                    slot.again = None;
                    slot.incoming.push(message);
                }
            }
            Event::Ended { key, status, trailing, unprocessed } => {
                if !(unprocessed && self.repeat(key, now)) {
                    self.ended(key, status.into_result(), trailing);
                }
            }
            Event::Writable { key } => self.look(connection, key),
            Event::Openable => {
                self.link.capacity.store(connection.calls_peer_max() as usize, Ordering::Relaxed);
                while connection.can_open()
                    && let Some(start) = self.waiting.pop_front()
                {
                    self.start(connection, now, start);
                }
            }
            Event::Settled => {
                self.settled = true;
                self.link.capacity.store(connection.calls_peer_max() as usize, Ordering::Relaxed);
                if let Some(channel) = self.channel.upgrade() {
                    channel.connected(&self.link);
                }
            }
            Event::GoingAway { debug, reason } => {
                self.link.draining.store(true, Ordering::Relaxed);
                if let Some(channel) = self.channel.upgrade() {
                    channel.going_away(&self.link, reason == Reason::ENHANCE_YOUR_CALM && *debug == *b"too_many_pings");
                }
            }
            Event::Closed { error } => {
                self.error = error.map(|error| Status::unavailable(format!("the connection ended: {error}")));
            }
            Event::Cancelled { .. }
            | Event::HalfClosed { .. }
            | Event::Request { .. }
            | Event::Started { .. }
            | Event::Tunnel { .. } => {}
        }
    }

    fn handle_command(&mut self, connection: &mut Connection, now: Instant, command: Command) {
        match command {
            Command::Drain => connection.drain(now, "the client is done"),
            Command::Look(key) => self.look(connection, key),
            Command::Start(start) => self.start(connection, now, start),
        }
    }

    fn settle(&mut self, connection: &mut Connection, _now: Instant) {
        if connection.is_draining() {
            self.link.draining.store(true, Ordering::Relaxed);
        }
    }

    fn close(&mut self, late: Vec<Command>) {
        self.link.draining.store(true, Ordering::Relaxed);
        let status = self.error.take().unwrap_or_else(|| Status::unavailable("the connection was closed"));
        let channel = self.channel.upgrade();
        if let Some(channel) = &channel {
            channel.lost(&self.link, self.settled, &status);
        }
        for slot in self.slots.drain(..).flatten() {
            end(&slot.incoming, slot.outgoing.as_deref(), slot.ended, Err(status.clone()), Metadata::new());
        }
        let late = late.into_iter().filter_map(|command| match command {
            Command::Start(start) => Some(start),
            _ => None,
        });
        for start in self.waiting.drain(..).chain(late) {
            match &channel {
                // It never left this process: another connection takes it.
                Some(channel) if self.settled => channel.start(*start),
                _ => start.fail(status.clone()),
            }
        }
    }
}

fn find(slots: &mut [Option<Slot>], key: CallKey) -> Option<&mut Slot> {
    slots.get_mut(key.index())?.as_mut().filter(|slot| slot.key == key)
}

fn end(
    incoming: &IncomingQueue,
    outgoing: Option<&OutgoingQueue>,
    ended: Option<EndSender>,
    result: Result<(), Status>,
    trailing: Metadata,
) {
    if let Some(outgoing) = outgoing {
        let over = || Status::cancelled("the server has ended the call: its status is with the responses");
        outgoing.close(result.clone().err().unwrap_or_else(over));
    }
    match ended {
        Some(ended) => drop(ended.send((result, trailing))),
        None => incoming.finish(result, trailing),
    }
}
