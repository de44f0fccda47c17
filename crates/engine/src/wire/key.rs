//! The names of streams.

/// A stream's number on its wire.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Names a stream in O(1): `index` is a small dense number that is reused, `id` tells generations apart.
///
/// A key outlives its stream harmlessly: commands on a stale key are ignored. An index is reused only after all
/// events about its former stream have been taken.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct StreamKey {
    pub(crate) index: u32,
    pub(crate) id: StreamId,
}

impl StreamKey {
    /// The dense number: below the largest count of streams that were ever open at once.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The stream's number on the wire.
    #[must_use]
    pub const fn id(self) -> StreamId {
        self.id
    }
}
