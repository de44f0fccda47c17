//! One stream: its names and its state.

/// A stream's number on the wire: odd, opened by clients, never reused.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Names a stream in O(1): `index` is a small dense number that is reused, `id` tells generations apart.
///
/// A key outlives its stream harmlessly: commands on a stale key are ignored.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct StreamKey {
    pub(super) index: u32,
    pub(super) id: StreamId,
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
