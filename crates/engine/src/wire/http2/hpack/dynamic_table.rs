//! The dynamic table (RFC 7541 §2.3.2 and §4), the same for both directions.

use std::collections::VecDeque;

use crate::wire::http2::headers::{FIELD_OVERHEAD_BYTES, RECORD_HEAD_BYTES};

/// Fields in the order of their insertion, the oldest evicted first when room is needed.
///
/// The records lie behind one another in one buffer. An eviction only moves its logical start; the dead bytes go
/// when the buffer would have to grow. Nothing is allocated before the first insertion.
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// Evicted records, then the live ones, oldest first.
    records: Vec<u8>,
    /// Where the live records are, oldest first.
    entries: VecDeque<Entry>,
    /// The position that `records[0]` stands for. Positions count all bytes ever stored, modulo 2^32.
    base: u32,
    size: u32,
    size_max: u32,
    generation: u64,
}

#[derive(Copy, Clone, Debug)]
struct Entry {
    position: u32,
    bytes: u32,
}

impl DynamicTable {
    pub(super) const fn new(size_max: u32) -> Self {
        Self {
            records: Vec::new(),
            entries: VecDeque::new(),
            base: 0,
            size: 0,
            size_max,
            generation: 0,
        }
    }

    /// Adds a field, evicting what does not fit beside it. A field larger than the whole table empties it and is not
    /// kept (§4.4). Returns whether it was kept.
    pub(super) fn insert(&mut self, record: &[u8]) -> bool {
        self.generation += 1;
        let Some(size) = entry_size(record.len()).filter(|&size| size <= self.size_max) else {
            self.evict_to(0);
            return false;
        };
        self.evict_to(self.size_max - size);
        self.make_room(record.len());
        self.entries.push_back(Entry {
            position: self.base.wrapping_add(self.records.len() as u32),
            bytes: record.len() as u32,
        });
        self.records.extend_from_slice(record);
        self.size += size;
        true
    }

    /// Changes the bound of [`size`](Self::size), evicting what does not fit (§4.3).
    pub(super) fn set_size_max(&mut self, size_max: u32) {
        self.size_max = size_max;
        if self.size > size_max {
            self.generation += 1;
            self.evict_to(size_max);
        }
        if size_max == 0 {
            self.records = Vec::new();
            self.entries = VecDeque::new();
        }
    }

    /// Gives back memory that holds no field.
    pub(super) fn trim(&mut self) {
        self.compact();
        self.records.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// The record that is `age` insertions older than the newest one.
    #[inline]
    pub(super) fn record(&self, age: usize) -> Option<&[u8]> {
        let position = self.entries.len().checked_sub(age)?.checked_sub(1)?;
        let entry = self.entries.get(position)?;
        let start = entry.position.wrapping_sub(self.base) as usize;
        self.records.get(start..start + entry.bytes as usize)
    }

    /// The number of fields.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The size of all fields as §4.1 counts them.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn size_max(&self) -> u32 {
        self.size_max
    }

    /// A number that changes whenever an index may have changed its meaning.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The memory held beside the table itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.records.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn evict_to(&mut self, size_max: u32) {
        while self.size > size_max {
            let entry = self
                .entries
                .pop_front()
                .expect("a size above zero is the size of fields");
            self.size -= entry.bytes + OVERHEAD;
        }
        if self.entries.is_empty() {
            self.records.clear();
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.records.capacity() - self.records.len() >= bytes {
            return;
        }
        // Moving is cheap if it frees a good part; else it would be repeated for every field.
        if self.dead_bytes() >= self.records.len() / 4 {
            self.compact();
        }
        let needed = self.records.len() + bytes;
        if self.records.capacity() < needed {
            let capacity = (self.records.capacity() * 3 / 2)
                .min(self.size_max as usize)
                .max(RECORDS_BYTES_MIN)
                .max(needed);
            self.records.reserve_exact(capacity - self.records.len());
        }
    }

    fn compact(&mut self) {
        let dead = self.dead_bytes();
        self.records.drain(..dead);
        self.base = self.base.wrapping_add(dead as u32);
    }

    fn dead_bytes(&self) -> usize {
        match self.entries.front() {
            Some(oldest) => oldest.position.wrapping_sub(self.base) as usize,
            None => self.records.len(),
        }
    }
}

/// The size §4.1 counts for a field, given the length of its record.
#[inline]
pub(super) fn entry_size(record_bytes: usize) -> Option<u32> {
    u32::try_from(record_bytes).ok()?.checked_add(OVERHEAD)
}

/// What a field counts beyond the length of its record.
const OVERHEAD: u32 = (FIELD_OVERHEAD_BYTES - RECORD_HEAD_BYTES) as u32;

/// The smallest buffer worth an allocation: a few fields.
const RECORDS_BYTES_MIN: usize = 128;
