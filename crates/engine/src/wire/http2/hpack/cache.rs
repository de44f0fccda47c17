//! A few remembered blocks.

/// At most `LEN` entries that hold as long as the dynamic table does not change.
///
/// While there is room an entry is taken at once. Later only one in [`REFUSALS`] replaces an old one: if more blocks
/// are in use than fit, some of them should be found every time rather than none ever. Allocates with the first entry.
#[derive(Debug)]
pub(super) struct Cache<T, const LEN: usize> {
    entries: Vec<T>,
    /// The generation of the table for which the entries hold.
    generation: u64,
    refused: u8,
    /// Which one goes next.
    next: u8,
}

impl<T, const LEN: usize> Cache<T, LEN> {
    pub(super) const fn new() -> Self {
        assert!(LEN < u8::MAX as usize);
        Self { entries: Vec::new(), generation: 0, refused: 0, next: 0 }
    }

    /// Whether the next entry shall be put in; asked once for each candidate of this generation of the table.
    #[inline]
    pub(super) fn wants(&mut self, generation: u64) -> bool {
        if self.generation != generation {
            self.entries.clear();
            self.generation = generation;
        }
        if self.entries.len() < LEN {
            return true;
        }
        self.refused = (self.refused + 1) % REFUSALS;
        self.refused == 0
    }

    /// Puts in an entry that was wanted.
    pub(super) fn put(&mut self, entry: T) {
        if self.entries.len() < LEN {
            self.entries.reserve_exact(1);
            self.entries.push(entry);
        } else {
            self.next = (self.next + 1) % LEN as u8;
            self.entries[usize::from(self.next)] = entry;
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries = Vec::new();
    }

    /// The entries that hold for this generation of the table.
    #[inline]
    pub(super) fn entries(&self, generation: u64) -> &[T] {
        if self.generation == generation { &self.entries } else { &[] }
    }

    /// The memory held, in bytes, given what one entry owns.
    pub(super) fn heap_bytes(&self, owned: impl Fn(&T) -> usize) -> usize {
        let owned: usize = self.entries.iter().map(owned).sum();
        owned + self.entries.capacity() * size_of::<T>()
    }
}

const REFUSALS: u8 = 16;

/// Which fields or blocks were seen lately, by parts of their hashes: what comes for the second time may come again.
///
/// Hashes fall into `SETS` sets of four; in each the oldest gives way. One in some ten thousand new ones is taken for
/// seen, which does no harm.
#[derive(Debug)]
pub(super) struct Seen<const SETS: usize>([u64; SETS]);

impl<const SETS: usize> Seen<SETS> {
    pub(super) const fn new() -> Self {
        Self([0; SETS])
    }

    /// Notes `hash` and returns whether it had been noted before.
    #[inline]
    pub(super) fn note(&mut self, hash: u64) -> bool {
        let marks = &mut self.0[hash as usize % SETS];
        let mark = hash >> 48;
        // A lane of 16 bits is zero where the mark is; the subtraction borrows from the top bit of such a lane.
        let other = *marks ^ (mark * LANES);
        if other.wrapping_sub(LANES) & !other & (LANES << 15) != 0 {
            return true;
        }
        *marks = *marks << 16 | mark;
        false
    }
}

/// The lowest bit of each of four lanes.
const LANES: u64 = 0x0001_0001_0001_0001;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_mark_of_a_set_pushes_out_the_first() {
        let mut seen = Seen::<2>::new();
        let hash = |mark: u64, set: u64| mark << 48 | set;
        for mark in [0x8000, 1, 0xffff, 0x7fff] {
            assert!(!seen.note(hash(mark, 0)), "{mark:x}");
        }
        for mark in [1, 0x7fff, 0x8000, 0xffff] {
            assert!(seen.note(hash(mark, 0)), "{mark:x}");
            assert!(!seen.note(hash(mark, 1)), "{mark:x}");
        }
        assert!(!seen.note(hash(2, 0)));
        assert!(seen.note(hash(1, 0)));
        assert!(!seen.note(hash(0x8000, 0)));
    }

    #[test]
    fn a_full_cache_replaces_rarely_and_forgets_with_the_generation() {
        let mut cache = Cache::<u32, 2>::new();
        for value in 0..40 {
            if cache.wants(7) {
                cache.put(value);
            }
        }
        assert_eq!(cache.entries(7), [33, 17]);
        assert!(cache.entries(8).is_empty());
        assert!(cache.wants(8));
        cache.put(99);
        assert_eq!(cache.entries(8), [99]);
        assert!(cache.entries(7).is_empty());
    }
}
