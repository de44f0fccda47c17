//! The open streams of a connection: dense slots, an index by id, and who waits to send.

use std::collections::VecDeque;

use super::stream::{List, NONE, Side, Stream, UNKNOWN_LENGTH};
use crate::wire::{StreamId, StreamKey};

/// The table of open streams.
///
/// A stream lives in a slot that is free as soon as it closes, and reused once the events about it have been taken:
/// whoever keeps something by [`StreamKey::index`] never meets two streams in one place. A small index finds the slot
/// of an id; the last one found is remembered, because HEADERS and DATA of one call come together.
#[derive(Debug)]
pub(super) struct Streams {
    slots: Vec<Stream>,
    /// First vacant slot; the others follow by `next`.
    vacant: u32,
    /// The same for slots about which events may still wait, and the last of them.
    left: Links,
    open: u32,
    index: Index,
    last_found: (u32, u32),
    /// Streams that may send.
    ready: Links,
    /// Streams that wait for the connection's window.
    window: Links,
}

impl Streams {
    pub(super) fn new() -> Self {
        Streams {
            slots: Vec::new(),
            vacant: NONE,
            left: Links::EMPTY,
            open: 0,
            index: Index::new(),
            last_found: (0, NONE),
            ready: Links::EMPTY,
            window: Links::EMPTY,
        }
    }

    /// Adds a stream whose id is not in the table.
    pub(super) fn insert(&mut self, id: u32, send_window: i32, recv_window: i32) -> StreamKey {
        debug_assert!(id != 0);
        let slot = if self.vacant == NONE {
            self.slots.push(Stream {
                id,
                next: NONE,
                previous: NONE,
                list: List::None,
                ours: Side::Head,
                theirs: Side::Head,
                above_high: false,
                bodiless: false,
                send_window,
                recv_window,
                unreleased: 0,
                unreleased_frames: 0,
                owed: 0,
                queued_bytes: 0,
                content_left: UNKNOWN_LENGTH,
                queue: VecDeque::new(),
            });
            (self.slots.len() - 1) as u32
        } else {
            let slot = self.vacant;
            let stream = &mut self.slots[slot as usize];
            self.vacant = stream.next;
            stream.id = id;
            stream.next = NONE;
            stream.ours = Side::Head;
            stream.theirs = Side::Head;
            stream.above_high = false;
            stream.bodiless = false;
            stream.send_window = send_window;
            stream.recv_window = recv_window;
            stream.unreleased = 0;
            stream.unreleased_frames = 0;
            stream.owed = 0;
            stream.content_left = UNKNOWN_LENGTH;
            slot
        };
        self.index.insert(id, slot);
        self.last_found = (id, slot);
        self.open += 1;
        StreamKey { index: slot, id: StreamId(id) }
    }

    /// Frees the slot. What was queued is dropped; its size comes back.
    pub(super) fn remove(&mut self, key: StreamKey) -> usize {
        self.unlink(key.index);
        let stream = &mut self.slots[key.index as usize];
        debug_assert_eq!(stream.id, key.id.0);
        self.index.remove(stream.id);
        if self.last_found.1 == key.index {
            self.last_found = (0, NONE);
        }
        stream.id = 0;
        stream.next = self.left.first;
        if self.left.first == NONE {
            self.left.last = key.index;
        }
        self.left.first = key.index;
        if stream.queue.capacity() > QUEUE_KEPT {
            stream.queue = VecDeque::new();
        } else if !stream.queue.is_empty() {
            stream.queue.clear();
        }
        let dropped = std::mem::take(&mut stream.queued_bytes);
        self.open -= 1;
        dropped
    }

    /// All events have been taken: the slots of closed streams may be used again.
    #[inline]
    pub(super) fn reuse(&mut self) {
        if self.left.first != NONE {
            self.slots[self.left.last as usize].next = self.vacant;
            self.vacant = self.left.first;
            self.left = Links::EMPTY;
        }
    }

    /// Drops all streams and their memory.
    pub(super) fn clear(&mut self) {
        *self = Streams::new();
    }

    /// With no stream open: gives all memory back.
    pub(super) fn shrink(&mut self) {
        if self.open == 0 {
            self.clear();
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open as usize
    }

    /// The stream of a key, unless the key is stale.
    #[inline]
    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.index as usize).filter(|stream| stream.id == key.id.0)
    }

    /// The stream of a key, unless the key is stale.
    #[inline]
    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.index as usize).filter(|stream| stream.id == key.id.0)
    }

    /// The key of an open stream.
    #[inline]
    pub(super) fn find(&mut self, id: u32) -> Option<StreamKey> {
        if self.last_found.0 != id || id == 0 {
            let slot = self.index.find(id)?;
            self.last_found = (id, slot);
        }
        Some(StreamKey { index: self.last_found.1, id: StreamId(id) })
    }

    /// The keys of all open streams, in slot order.
    pub(super) fn keys(&self) -> impl Iterator<Item = StreamKey> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.id != 0)
            .map(|(slot, stream)| StreamKey { index: slot as u32, id: StreamId(stream.id) })
    }

    /// All open streams.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter(|stream| stream.id != 0)
    }

    /// Puts the stream at the end of a list, out of any other.
    pub(super) fn link(&mut self, key: StreamKey, list: List) {
        let slot = key.index;
        if self.slots[slot as usize].list == list {
            return;
        }
        self.unlink(slot);
        let links = match list {
            List::None => return,
            List::Ready => &mut self.ready,
            List::Window => &mut self.window,
        };
        let last = links.last;
        links.last = slot;
        if last == NONE {
            links.first = slot;
        } else {
            self.slots[last as usize].next = slot;
        }
        let stream = &mut self.slots[slot as usize];
        stream.list = list;
        stream.previous = last;
        stream.next = NONE;
    }

    fn unlink(&mut self, slot: u32) {
        let stream = &mut self.slots[slot as usize];
        let (previous, next) = (stream.previous, stream.next);
        let links = match stream.list {
            List::None => return,
            List::Ready => &mut self.ready,
            List::Window => &mut self.window,
        };
        stream.list = List::None;
        stream.previous = NONE;
        stream.next = NONE;
        if previous == NONE {
            links.first = next;
        } else {
            self.slots[previous as usize].next = next;
        }
        if next == NONE {
            links.last = previous;
        } else {
            self.slots[next as usize].previous = previous;
        }
    }

    /// The stream whose turn it is; it leaves the list.
    pub(super) fn pop_ready(&mut self) -> Option<StreamKey> {
        let slot = self.ready.first;
        if slot == NONE {
            return None;
        }
        self.unlink(slot);
        Some(StreamKey { index: slot, id: StreamId(self.slots[slot as usize].id) })
    }

    #[inline]
    pub(super) fn any_ready(&self) -> bool {
        self.ready.first != NONE
    }

    /// The connection's window has opened: those who waited for it get their turn.
    pub(super) fn window_opened(&mut self) {
        let mut slot = self.window.first;
        if slot == NONE {
            return;
        }
        while slot != NONE {
            let stream = &mut self.slots[slot as usize];
            stream.list = List::Ready;
            slot = stream.next;
        }
        if self.ready.last == NONE {
            self.ready.first = self.window.first;
        } else {
            self.slots[self.ready.last as usize].next = self.window.first;
            self.slots[self.window.first as usize].previous = self.ready.last;
        }
        self.ready.last = self.window.last;
        self.window = Links::EMPTY;
    }
}

/// Ends of a list through the slots.
#[derive(Debug)]
struct Links {
    first: u32,
    last: u32,
}

impl Links {
    const EMPTY: Links = Links { first: NONE, last: NONE };
}

/// Slot of an id: open addressing with linear probing, at most half full. Allocates nothing while empty.
#[derive(Debug)]
struct Index {
    /// `(id, slot)`; id 0 is vacant. The length is a power of two or zero.
    entries: Vec<(u32, u32)>,
    len: usize,
}

impl Index {
    fn new() -> Self {
        Index { entries: Vec::new(), len: 0 }
    }

    #[inline]
    fn find(&self, id: u32) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let mask = self.entries.len() - 1;
        let mut at = home(id, mask);
        loop {
            let (found, slot) = self.entries[at];
            if found == id {
                return Some(slot);
            }
            if found == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    fn insert(&mut self, id: u32, slot: u32) {
        if (self.len + 1) * 2 > self.entries.len() {
            let larger = (self.entries.len() * 2).max(8);
            let old = std::mem::replace(&mut self.entries, vec![(0, 0); larger]);
            for (id, slot) in old.into_iter().filter(|(id, _)| *id != 0) {
                self.place(id, slot);
            }
        }
        self.place(id, slot);
        self.len += 1;
    }

    #[inline]
    fn place(&mut self, id: u32, slot: u32) {
        let mask = self.entries.len() - 1;
        let mut at = home(id, mask);
        while self.entries[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = (id, slot);
    }

    fn remove(&mut self, id: u32) {
        let mask = self.entries.len() - 1;
        let mut hole = home(id, mask);
        while self.entries[hole].0 != id {
            hole = (hole + 1) & mask;
        }
        // Those behind the hole move up unless that would put them before their home.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let (found, _) = self.entries[at];
            if found == 0 {
                break;
            }
            let from_home = at.wrapping_sub(home(found, mask)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.entries[hole] = self.entries[at];
                hole = at;
            }
        }
        self.entries[hole] = (0, 0);
        self.len -= 1;
    }
}

/// Where an id wants to stand: multiplied by the golden ratio, neighbouring ids stand far apart, so that there are no
/// long runs. A peer that picks ids to collide makes a look-up scan at most its own open streams.
#[inline]
fn home(id: u32, mask: usize) -> usize {
    (id.wrapping_mul(0x9e37_79b9) >> 16) as usize & mask
}

/// Queue capacity kept by a vacant slot.
const QUEUE_KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_whatever_order_they_come_and_go_in() {
        let mut streams = Streams::new();
        let mut live: Vec<(u32, StreamKey)> = Vec::new();
        let mut draw = 12345u32;
        let mut id = 1;
        for _ in 0..20_000 {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if draw & 0x1f == 0 {
                streams.reuse();
            }
            if live.len() < 200 && draw >> 31 == 0 || live.is_empty() {
                // Steps of 512 all want the same place.
                id += if draw & 0x100 == 0 { 2 } else { 512 };
                live.push((id, streams.insert(id, 1, 2)));
            } else {
                let (id, key) = live.swap_remove(draw as usize % live.len());
                streams.remove(key);
                assert_eq!(streams.find(id), None);
                assert!(streams.get(key).is_none());
            }
            assert_eq!(streams.open(), live.len());
        }
        for (id, key) in live {
            assert_eq!(streams.find(id), Some(key));
            assert_eq!(streams.get(key).unwrap().id, id);
        }
    }

    #[test]
    fn a_slot_is_reused_and_the_old_key_is_stale() {
        let mut streams = Streams::new();
        let first = streams.insert(1, 0, 0);
        streams.remove(first);
        let second = streams.insert(3, 0, 0);
        assert_ne!(first.index(), second.index(), "events about the first may still wait");
        streams.reuse();
        let third = streams.insert(5, 0, 0);
        assert_eq!(first.index(), third.index());
        assert!(streams.get(first).is_none());
        assert!(streams.get(third).is_some());
    }

    #[test]
    fn turns_go_round_and_a_removed_stream_leaves_its_place() {
        let mut streams = Streams::new();
        let keys: Vec<_> = [1, 3, 5, 7].map(|id| streams.insert(id, 0, 0)).into();
        for key in &keys {
            streams.link(*key, List::Ready);
        }
        streams.link(keys[1], List::Window);
        streams.remove(keys[2]);
        assert_eq!(streams.pop_ready(), Some(keys[0]));
        streams.window_opened();
        assert_eq!(streams.pop_ready(), Some(keys[3]));
        assert_eq!(streams.pop_ready(), Some(keys[1]));
        assert_eq!(streams.pop_ready(), None);
    }
}
