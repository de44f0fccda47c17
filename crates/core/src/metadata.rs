use std::fmt;

/// Key–value pairs of a call: what HTTP calls headers and trailers.
///
/// Keys are lower case; a key that ends in `-bin` holds any bytes, every other key printable ASCII. Order is kept. One key may
/// have several values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// All keys and values, one behind the other: two allocations hold any number of entries.
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

/// Most bytes that one `Metadata` may hold, so that offsets fit: far above every limit on the wire.
const METADATA_BYTES_MAX: usize = 1 << 28;

impl Metadata {
    /// Nothing yet, and nothing allocated.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }
    }

    /// Adds a text value behind those the key has already.
    ///
    /// # Errors
    /// When the key is not one of `0-9 a-z _ - .`, is reserved (`grpc-…`, `:…`) or ends in `-bin`, or when the value is not
    /// printable ASCII.
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), InvalidMetadata> {
        check_key(key)?;
        if is_binary(key) {
            return Err(InvalidMetadata::new(key, "a key that ends in -bin takes bytes: use append_bin"));
        }
        if !value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(InvalidMetadata::new(key, "the value is not printable ASCII: use a key that ends in -bin"));
        }
        self.append_unchecked(key, value.trim_matches(' ').as_bytes());
        Ok(())
    }

    /// Adds a binary value; the key must end in `-bin`.
    ///
    /// # Errors
    /// When the key is not valid or does not end in `-bin`.
    pub fn append_bin(&mut self, key: &str, value: &[u8]) -> Result<(), InvalidMetadata> {
        check_key(key)?;
        if !is_binary(key) {
            return Err(InvalidMetadata::new(key, "a key for bytes must end in -bin"));
        }
        self.append_unchecked(key, value);
        Ok(())
    }

    /// Replaces all values of a key by one.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidMetadata> {
        let mut rest = self.without(key);
        rest.append(key, value)?;
        *self = rest;
        Ok(())
    }

    /// Removes all values of a key and says whether there were any.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.len();
        *self = self.without(key);
        self.len() != before
    }

    /// Adds an entry that is known to be valid, as a protocol does with what it has checked.
    #[doc(hidden)]
    pub fn append_unchecked(&mut self, key: &str, value: &[u8]) {
        assert!(self.bytes.len() + key.len() + value.len() < METADATA_BYTES_MAX, "metadata beyond every limit");
        self.bytes.extend_from_slice(key.as_bytes());
        let key_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len() as u32));
    }

    /// Adds all entries of another.
    pub fn extend(&mut self, other: &Self) {
        for (key, value) in other {
            self.append_unchecked(key, value.as_bytes());
        }
    }

    /// The first text value of a key; `None` also when the value is not text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.binary(key).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of a key as bytes; the way to read a `-bin` key.
    pub fn binary(&self, key: &str) -> Option<&[u8]> {
        self.all(key).next().map(MetadataValue::as_bytes)
    }

    /// All values of a key, in order.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = MetadataValue<'a>> {
        self.iter().filter(move |(candidate, _)| *candidate == key).map(|(_, value)| value)
    }

    /// All entries, in order.
    pub fn iter(&self) -> Entries<'_> {
        Entries { metadata: self, index: 0, start: 0 }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn without(&self, key: &str) -> Self {
        let mut rest = Self::new();
        for (other, value) in self {
            if other != key {
                rest.append_unchecked(other, value.as_bytes());
            }
        }
        rest
    }
}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a str, MetadataValue<'a>);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// The entries of a [`Metadata`], in order.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    metadata: &'a Metadata,
    index: usize,
    start: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, MetadataValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let &(key_end, value_end) = self.metadata.ends.get(self.index)?;
        let key = &self.metadata.bytes[self.start..key_end as usize];
        let value = &self.metadata.bytes[key_end as usize..value_end as usize];
        self.index += 1;
        self.start = value_end as usize;
        let key = std::str::from_utf8(key).expect("keys are checked to be ASCII when they are added");
        Some((key, MetadataValue(value)))
    }
}

/// One value: text, or any bytes under a key that ends in `-bin`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MetadataValue<'a>(&'a [u8]);

impl<'a> MetadataValue<'a> {
    /// The value as it is.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The value as text, when it is text.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

impl fmt::Debug for MetadataValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => text.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// A key or value that may not stand in metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMetadata {
    key: String,
    reason: &'static str,
}

impl InvalidMetadata {
    fn new(key: &str, reason: &'static str) -> Self {
        Self { key: key.to_owned(), reason }
    }
}

impl fmt::Display for InvalidMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata key {:?}: {}", self.key, self.reason)
    }
}

impl std::error::Error for InvalidMetadata {}

fn is_binary(key: &str) -> bool {
    key.ends_with("-bin")
}

fn check_key(key: &str) -> Result<(), InvalidMetadata> {
    if key.is_empty() {
        return Err(InvalidMetadata::new(key, "a key may not be empty"));
    }
    if !key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.')) {
        return Err(InvalidMetadata::new(key, "a key is made of 0-9 a-z _ - . only"));
    }
    if key.starts_with("grpc-") || RESERVED.contains(&key) {
        return Err(InvalidMetadata::new(key, "this key is reserved for the protocol"));
    }
    Ok(())
}

/// Keys that the protocols write themselves.
const RESERVED: [&str; 5] = ["connection", "content-length", "content-type", "te", "transfer-encoding"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_key_keep_their_order() {
        let mut metadata = Metadata::new();
        metadata.append("x-a", "1").unwrap();
        metadata.append("x-b", "2").unwrap();
        metadata.append("x-a", "3").unwrap();
        metadata.append_bin("x-bin", &[0, 255]).unwrap();
        let all: Vec<_> = metadata.all("x-a").filter_map(MetadataValue::as_str).collect();
        assert_eq!(all, ["1", "3"]);
        assert_eq!(metadata.get("x-b"), Some("2"));
        assert_eq!(metadata.binary("x-bin"), Some(&[0, 255][..]));
        metadata.insert("x-a", "4").unwrap();
        assert_eq!(metadata.all("x-a").count(), 1);
        assert!(metadata.remove("x-b"));
        assert_eq!(metadata.len(), 2);
    }

    #[test]
    fn what_may_not_travel_is_refused_with_the_reason() {
        let mut metadata = Metadata::new();
        for (key, value) in [("", "a"), ("Upper", "a"), ("grpc-x", "a"), ("te", "a"), ("x-bin", "a"), ("x", "\u{e9}")] {
            let error = metadata.append(key, value).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(metadata.append_bin("x", b"").is_err());
        assert!(metadata.is_empty());
    }
}
