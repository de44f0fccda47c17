use std::fmt;

/// How the bytes of a message are compressed, by the names of `grpc-encoding` and `content-encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Compression {
    /// Not at all (the default).
    #[default]
    Identity = 0,
    /// RFC 1952.
    Gzip = 1,
    /// The zlib format, RFC 1950.
    Deflate = 2,
    /// RFC 8878.
    Zstd = 3,
    /// RFC 7932; `br` on the wire.
    Brotli = 4,
    /// Snappy's framed format.
    Snappy = 5,
}

impl Compression {
    /// Every compression, in the order in which they are announced.
    pub const ALL: [Self; 6] = [Self::Identity, Self::Gzip, Self::Deflate, Self::Zstd, Self::Brotli, Self::Snappy];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Snappy => "snappy",
        }
    }

    /// The compression of that wire name, if it is one we know.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of compressions: what a peer accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionSet(u8);

impl CompressionSet {
    /// Only identity, which everybody understands.
    pub const NONE: Self = Self(1);
    /// All that we know.
    pub const ALL: Self = Self(0b11_1111);

    /// Adds one.
    #[must_use]
    pub const fn with(self, compression: Compression) -> Self {
        Self(self.0 | 1 << compression as u8)
    }

    /// Whether it is in the set. Identity always is.
    pub const fn contains(self, compression: Compression) -> bool {
        matches!(compression, Compression::Identity) || self.0 & (1 << compression as u8) != 0
    }

    /// Reads a comma-separated list such as `gzip, zstd`; names we do not know are passed over (RFC 9110 §12.5.3).
    pub fn from_list(list: &str) -> Self {
        list.split(',').filter_map(|name| Compression::from_name(name.trim())).fold(Self::NONE, Self::with)
    }

    /// The members, in the order of [`Compression::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Compression> {
        Compression::ALL.into_iter().filter(move |&compression| self.contains(compression))
    }
}

impl fmt::Display for CompressionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, compression) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(compression.name())?;
        }
        Ok(())
    }
}
