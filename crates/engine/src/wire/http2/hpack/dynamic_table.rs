//! The dynamic table (RFC 7541 §2.3.2 and §4), the same for both directions.

use std::collections::VecDeque;

use crate::wire::headers::{FIELD_OVERHEAD_BYTES, RECORD_HEAD_BYTES};

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
        Self { records: Vec::new(), entries: VecDeque::new(), base: 0, size: 0, size_max, generation: 0 }
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
            let entry = self.entries.pop_front().expect("a size above zero is the size of fields");
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
                .min(self.size_max as usize / 3 * 4)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the standard describes it, without any thrift.
    struct Model {
        records: VecDeque<Vec<u8>>,
        size_max: usize,
    }

    impl Model {
        fn size(&self) -> usize {
            self.records.iter().map(|record| record.len() + 24).sum()
        }

        fn evict_to(&mut self, size_max: usize) {
            while self.size() > size_max {
                self.records.pop_back();
            }
        }

        fn insert(&mut self, record: &[u8]) {
            let size = record.len() + 24;
            self.evict_to(self.size_max.saturating_sub(size));
            if size <= self.size_max {
                self.records.push_front(record.to_vec());
            }
        }
    }

    #[test]
    fn the_table_holds_what_the_standard_says_and_little_memory_more() {
        let mut state = 1u64;
        let mut random = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % bound
        };
        let mut table = DynamicTable::new(1000);
        // Positions are about to wrap around.
        table.base = u32::MAX - 5000;
        let mut model = Model { records: VecDeque::new(), size_max: 1000 };
        for step in 0..4_000 {
            let generation = table.generation();
            match random(200) {
                0 => {
                    model.size_max = [0, 50, 300, 1000, 2000][random(5)];
                    model.evict_to(model.size_max);
                    table.set_size_max(model.size_max as u32);
                }
                1 => table.trim(),
                n => {
                    let len = RECORD_HEAD_BYTES + if n < 4 { random(2000) } else { random(60) };
                    let record = vec![step as u8; len];
                    model.insert(&record);
                    table.insert(&record);
                    assert_ne!(table.generation(), generation);
                }
            }
            assert_eq!(table.size() as usize, model.size());
            assert_eq!(table.len(), model.records.len());
            for (age, record) in model.records.iter().enumerate() {
                assert_eq!(table.record(age), Some(&record[..]));
            }
            assert_eq!(table.record(model.records.len()), None);
            assert_eq!(table.record(usize::MAX), None);
            assert!(table.heap_bytes() <= 3000 + 128 * 8, "{}", table.heap_bytes());
        }
    }

    #[test]
    fn nothing_is_allocated_for_an_empty_table() {
        let mut table = DynamicTable::new(4096);
        assert_eq!(table.heap_bytes(), 0);
        table.insert(&[0; 40]);
        assert!(table.heap_bytes() > 0);
        table.set_size_max(0);
        assert_eq!(table.heap_bytes(), 0);
    }
}
