//! The open streams of a connection: dense slots, the numbers that name them on the wire, and who waits to send.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use polywire_core::Compression;

use crate::wire::{Role, StreamId, StreamKey};

/// One stream, which is one call.
///
/// ```text
///   client:  Open ──END, LAST of the server──▶ free
///              └─cancel─▶ Left ──END, LAST of the server──▶ free      (the number is in use until then)
///   server:  Open ──end given──▶ Ending ──END, LAST written──▶ free
/// ```
#[derive(Debug)]
pub(super) struct Stream {
    /// Tells generations of a slot apart; 0 marks a vacant one.
    pub(super) serial: u32,
    /// The number on the wire.
    pub(super) number: u32,
    pub(super) state: State,
    /// Leading metadata has gone out (server) or come in (client), or can no longer.
    pub(super) headed: bool,
    /// We have given our last message (client).
    pub(super) half_closed: bool,
    /// The peer has sent its last message.
    pub(super) peer_ended: bool,
    pub(super) list: List,
    /// The queue has been above the high-water mark.
    pub(super) above_high: bool,
    /// How compressed messages of this side are compressed.
    pub(super) compression: Compression,
    /// How compressed messages of the peer are compressed.
    pub(super) peer_compression: Compression,
    /// A message is being received in parts; whether it is compressed.
    pub(super) gathering: Option<bool>,
    /// A message is being sent in parts.
    pub(super) sending: Option<Sending>,
    pub(super) send_window: u32,
    pub(super) recv_window: u32,
    /// Received bytes for which the peer has not been given window back.
    pub(super) unreleased: u32,
    /// Messages that have been reported and not been consumed: their number, and their bytes with envelopes.
    pub(super) unconsumed_messages: u32,
    pub(super) unconsumed_bytes: usize,
    /// Released bytes not yet given back to the peer.
    pub(super) owed: u32,
    pub(super) queued_bytes: usize,
    pub(super) deadline: Option<Instant>,
    pub(super) gathered: BytesMut,
    pub(super) queue: VecDeque<Queued>,
    /// The next vacant slot.
    next: u32,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A call in progress.
    Open,
    /// Server: the call is over for the application; what ends it waits in the queue.
    Ending,
    /// Client: the call is over for the application; the server's end is awaited.
    Left,
}

/// A message of which a part has been sent.
#[derive(Copy, Clone, Debug)]
pub(super) struct Sending {
    pub(super) left: usize,
    pub(super) compressed: bool,
}

/// Where a stream with a queue waits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum List {
    /// Nowhere: nothing queued, or its own window is used up.
    None,
    /// For its turn.
    Ready,
    /// For the connection's window.
    Window,
}

/// Something that waits to be sent on a stream.
#[derive(Debug)]
pub(super) enum Queued {
    /// Messages in their envelopes; `last`: the last of them ends our side.
    Messages { data: Bytes, last: bool },
    /// A frame without messages; `last`: it ends our side.
    Frame { bytes: Box<[u8]>, last: bool },
}

/// The table of open streams. An index is reused once the events about its former stream have been taken.
#[derive(Debug)]
pub(super) struct Streams {
    role: Role,
    slots: Vec<Stream>,
    vacant: u32,
    /// Vacant slots about which events may still wait.
    left: Vec<u32>,
    open: u32,
    serial: u32,
    /// Server: slots by number.
    numbers: Numbers,
    ready: VecDeque<StreamKey>,
    window: Vec<StreamKey>,
}

const NONE: u32 = u32::MAX;

impl Streams {
    pub(super) fn new(role: Role) -> Self {
        Streams {
            role,
            slots: Vec::new(),
            vacant: NONE,
            left: Vec::new(),
            open: 0,
            serial: 0,
            numbers: Numbers::default(),
            ready: VecDeque::new(),
            window: Vec::new(),
        }
    }

    /// The next stream gets the serial behind this one.
    pub(super) fn set_serial(&mut self, serial: u32) {
        self.serial = serial;
    }

    /// Adds a stream. Server: under the client's number. Client: under one that is free.
    pub(super) fn insert(&mut self, number: Option<u32>, send_window: u32, recv_window: u32) -> &mut Stream {
        self.serial = if self.serial == u32::MAX { 1 } else { self.serial + 1 };
        let slot = if self.vacant == NONE {
            self.slots.push(Stream::vacant());
            (self.slots.len() - 1) as u32
        } else {
            self.vacant
        };
        let stream = &mut self.slots[slot as usize];
        self.vacant = if self.vacant == NONE { NONE } else { stream.next };
        if let Some(number) = number {
            self.numbers.insert(number, slot);
        }
        self.open += 1;
        stream.serial = self.serial;
        stream.number = number.unwrap_or(slot + 1);
        stream.next = slot;
        stream.send_window = send_window;
        stream.recv_window = recv_window;
        stream
    }

    /// Frees the slot; gives what was there.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Removed> {
        let stream = self.slots.get_mut(key.index as usize).filter(|stream| stream.serial == key.id.0)?;
        let removed = Removed {
            unreleased: stream.unreleased,
            messages: stream.unconsumed_messages,
            queued_bytes: stream.queued_bytes,
            gathered_bytes: stream.gathered.len(),
        };
        if self.role == Role::Server {
            self.numbers.remove(stream.number);
        }
        stream.clear();
        self.left.push(key.index);
        self.open -= 1;
        Some(removed)
    }

    /// All events have been taken: the slots of streams that are gone may be used again.
    #[inline]
    pub(super) fn reuse(&mut self) {
        while let Some(slot) = self.left.pop() {
            self.slots[slot as usize].next = self.vacant;
            self.vacant = slot;
        }
    }

    /// With no stream open: gives all memory back.
    pub(super) fn shrink(&mut self) {
        if self.open == 0 {
            *self = Streams { serial: self.serial, ..Streams::new(self.role) };
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Streams { serial: self.serial, ..Streams::new(self.role) };
    }

    #[inline]
    pub(super) fn open(&self) -> usize {
        self.open as usize
    }

    #[inline]
    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.index as usize).filter(|stream| stream.serial == key.id.0)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.index as usize).filter(|stream| stream.serial == key.id.0)
    }

    /// The key of the stream with a number on the wire.
    #[inline]
    pub(super) fn find(&self, number: u32) -> Option<StreamKey> {
        let slot = match self.role {
            Role::Client => number.checked_sub(1)?,
            Role::Server => self.numbers.find(number)?,
        };
        let stream = self.slots.get(slot as usize).filter(|stream| stream.serial != 0)?;
        Some(StreamKey { index: slot, id: StreamId(stream.serial) })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = StreamKey> {
        let taken = self.slots.iter().enumerate().filter(|(_, stream)| stream.serial != 0);
        taken.map(|(slot, stream)| StreamKey { index: slot as u32, id: StreamId(stream.serial) })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter(|stream| stream.serial != 0)
    }

    /// Puts the stream at the end of a list.
    pub(super) fn link(&mut self, key: StreamKey, list: List) {
        let slots = self.slots.len();
        let Some(stream) = self.get_mut(key) else { return };
        if stream.list == list || stream.list == List::Ready {
            return;
        }
        stream.list = list;
        match list {
            List::None => {}
            List::Ready => self.ready.push_back(key),
            List::Window => {
                if self.window.len() > 2 * slots + 64 {
                    let all = &self.slots;
                    self.window.retain(|key| all.get(key.index as usize).is_some_and(|s| s.serial == key.id.0));
                }
                self.window.push(key);
            }
        }
    }

    /// The stream whose turn it is; it leaves the list.
    pub(super) fn pop_ready(&mut self) -> Option<StreamKey> {
        loop {
            let key = self.ready.pop_front()?;
            if let Some(stream) = self.get_mut(key) {
                stream.list = List::None;
                return Some(key);
            }
        }
    }

    #[inline]
    pub(super) fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The connection's window has opened: those who waited for it get their turn.
    pub(super) fn window_opened(&mut self) {
        for key in std::mem::take(&mut self.window) {
            let Some(stream) = self.get_mut(key) else { continue };
            if stream.list == List::Window {
                stream.list = List::Ready;
                self.ready.push_back(key);
            }
        }
    }
}

/// What a stream held when it went.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) unreleased: u32,
    pub(super) messages: u32,
    pub(super) queued_bytes: usize,
    pub(super) gathered_bytes: usize,
}

impl Stream {
    fn vacant() -> Stream {
        Stream {
            serial: 0,
            number: 0,
            state: State::Open,
            headed: false,
            half_closed: false,
            peer_ended: false,
            list: List::None,
            above_high: false,
            compression: Compression::Identity,
            peer_compression: Compression::Identity,
            gathering: None,
            sending: None,
            send_window: 0,
            recv_window: 0,
            unreleased: 0,
            unconsumed_messages: 0,
            unconsumed_bytes: 0,
            owed: 0,
            queued_bytes: 0,
            deadline: None,
            gathered: BytesMut::new(),
            queue: VecDeque::new(),
            next: NONE,
        }
    }

    /// The key of a stream that is open: while it is, `next` is its own slot.
    #[inline]
    pub(super) fn key(&self) -> StreamKey {
        StreamKey { index: self.next, id: StreamId(self.serial) }
    }

    fn clear(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        queue.clear();
        if queue.capacity() > QUEUE_KEPT {
            queue = VecDeque::new();
        }
        *self = Stream { queue, ..Stream::vacant() };
    }

    /// Whether something waits that the stream's own window lets go.
    pub(super) fn may_send(&self) -> bool {
        match self.queue.front() {
            None => false,
            Some(Queued::Frame { .. }) => true,
            Some(Queued::Messages { .. }) => self.send_window > 0 || !self.waits_for_window(),
        }
    }

    /// Whether what comes next is bytes of a message.
    pub(super) fn waits_for_window(&self) -> bool {
        match (self.queue.front(), self.sending) {
            (Some(Queued::Messages { .. }), Some(sending)) => sending.left > 0,
            // An empty message needs none.
            (Some(Queued::Messages { data, .. }), None) => data.get(1..5).is_some_and(|len| len != [0; 4]),
            _ => false,
        }
    }
}

/// Queue capacity kept by a vacant slot.
const QUEUE_KEPT: usize = 4;

/// Slots by number. Clients take small numbers by preference, so a list serves; a client that picks others
/// costs a tree of at most its open streams.
#[derive(Debug, Default)]
struct Numbers {
    small: Vec<u32>,
    large: BTreeMap<u32, u32>,
}

/// Numbers below this stand in the list: at most 4 KiB.
const SMALL_MAX: u32 = 1024;

impl Numbers {
    #[inline]
    fn find(&self, number: u32) -> Option<u32> {
        if number < SMALL_MAX {
            self.small.get(number as usize).copied().filter(|&slot| slot != NONE)
        } else {
            self.large.get(&number).copied()
        }
    }

    fn insert(&mut self, number: u32, slot: u32) {
        if number < SMALL_MAX {
            if number as usize >= self.small.len() {
                self.small.resize(number as usize + 1, NONE);
            }
            self.small[number as usize] = slot;
        } else {
            self.large.insert(number, slot);
        }
    }

    fn remove(&mut self, number: u32) {
        if number < SMALL_MAX {
            self.small[number as usize] = NONE;
        } else {
            self.large.remove(&number);
        }
    }
}
