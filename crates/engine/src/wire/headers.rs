//! The headers of a message as HTTP/2 carries them: a flat list of fields.

use std::fmt;

/// An ordered list of header fields, pseudo headers first.
///
/// All fields lie behind one another in one buffer, each as a record: the length of the name, the length of the
/// value, the name, the value. A list therefore costs one allocation however many fields it has, and the dynamic
/// table of HPACK, which keeps the same records, fills it by plain copies.
///
/// Names and values are bytes. Nothing is validated here: which names a message may carry is a rule of the
/// connection, not of the list.
///
/// ```
/// use polywire_engine::wire::headers::Headers;
///
/// let mut headers = Headers::new();
/// headers.push(":status", "200");
/// headers.push("content-type", "application/grpc");
/// assert_eq!(headers.find(":status"), Some(&b"200"[..]));
/// assert_eq!(headers.size(), (7 + 3 + 32) + (12 + 16 + 32));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    records: Vec<u8>,
    len: u32,
}

impl Headers {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self { records: Vec::new(), len: 0 }
    }

    /// An empty list with room for `bytes` bytes of records: the names and values and [`RECORD_HEAD_BYTES`] for each.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { records: Vec::with_capacity(bytes), len: 0 }
    }

    /// Adds a field at the end.
    ///
    /// # Panics
    ///
    /// If the name or the value is 2 GiB or longer. What a peer sends is bounded long before.
    #[inline]
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push_field(name.as_ref(), value.as_ref(), 0);
    }

    /// Adds a field that no compression context may remember, here or at any later hop (RFC 7541 §7.1.3): its value
    /// is a secret. Such a field is written as "never indexed" and hidden by `Debug`.
    ///
    /// # Panics
    ///
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_sensitive(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push_field(name.as_ref(), value.as_ref(), SENSITIVE);
    }

    /// Removes all fields and keeps the buffer.
    pub fn clear(&mut self) {
        self.records.clear();
        self.len = 0;
    }

    /// Gives back room that holds no field.
    pub fn shrink_to_fit(&mut self) {
        self.records.shrink_to_fit();
    }

    /// The number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The size RFC 7541 §4.1 and RFC 9113 §10.5.1 count: names, values and 32 bytes for each field.
    #[inline]
    pub fn size(&self) -> usize {
        self.records.len() + self.len() * (FIELD_OVERHEAD_BYTES - RECORD_HEAD_BYTES)
    }

    /// The value of the first field of this name. Names are compared byte by byte: HTTP/2 has lower case only.
    #[inline]
    pub fn find(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        self.fields().find(|field| field.name == name).map(|field| field.value)
    }

    /// Names and values in order.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.fields())
    }

    /// The fields in order, with what is known of each.
    #[inline]
    pub fn fields(&self) -> Fields<'_> {
        Fields { rest: &self.records, left: self.len }
    }

    /// The memory of one `Arc` of this list, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.records.capacity() + size_of::<Self>() + 2 * size_of::<usize>()
    }

    #[inline]
    fn push_field(&mut self, name: &[u8], value: &[u8], flags: u32) {
        let head = record_head(name.len(), value.len(), flags);
        self.records.reserve(RECORD_HEAD_BYTES + name.len() + value.len());
        self.records.extend_from_slice(&head);
        self.records.extend_from_slice(name);
        self.records.extend_from_slice(value);
        self.len += 1;
    }

    /// Adds a record as it lies in a compression table.
    #[inline]
    pub(super) fn push_record(&mut self, record: &[u8]) {
        self.records.extend_from_slice(record);
        self.len += 1;
    }

    /// The bytes of all records, as [`push_record`](Self::push_record) takes them one by one.
    #[inline]
    pub(super) fn records(&self) -> &[u8] {
        &self.records
    }

    /// Starts a record of unknown lengths; returns its position. [`end_record`](Self::end_record) fills it in.
    #[inline]
    pub(super) fn begin_record(&mut self) -> usize {
        let start = self.records.len();
        self.records.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
        start
    }

    /// The end of the list, where the name and then the value of a begun record are appended.
    #[inline]
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.records
    }

    /// Completes the record begun at `start`, whose name is `name_len` bytes long and whose value is the rest.
    #[inline]
    pub(super) fn end_record(&mut self, start: usize, name_len: usize, sensitive: bool) {
        let value_len = self.records.len() - start - RECORD_HEAD_BYTES - name_len;
        let flags = if sensitive { SENSITIVE } else { 0 };
        self.records[start..start + RECORD_HEAD_BYTES].copy_from_slice(&record_head(name_len, value_len, flags));
        self.len += 1;
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for field in self.fields() {
            list.entry(&field);
        }
        list.finish()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        headers.extend(fields);
        headers
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.push(name, value);
        }
    }
}

/// One field of [`Headers`].
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, in lower case if the peer keeps the rules.
    pub name: &'a [u8],
    /// The value, any bytes.
    pub value: &'a [u8],
    /// The value is a secret: no compression context may remember it (RFC 7541 §7.1.3).
    pub sensitive: bool,
}

impl<'a> Field<'a> {
    /// The field a record holds, and the bytes behind the record.
    #[inline]
    pub(super) fn split_record(records: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[n0, n1, n2, n3, v0, v1, v2, v3], rest) = records.split_first_chunk::<RECORD_HEAD_BYTES>()?;
        let name_len = u32::from_le_bytes([n0, n1, n2, n3]);
        let value_len = u32::from_le_bytes([v0, v1, v2, v3]);
        let (name, rest) = rest.split_at_checked((name_len & !SENSITIVE) as usize)?;
        let (value, rest) = rest.split_at_checked(value_len as usize)?;
        let sensitive = name_len & SENSITIVE != 0;
        Some((Self { name, value, sensitive }, rest))
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name.escape_ascii())?;
        if self.sensitive {
            write!(f, "({} secret bytes)", self.value.len())
        } else {
            write!(f, "{}", self.value.escape_ascii())
        }
    }
}

/// The fields of [`Headers`] in order; see [`Headers::fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (field, rest) = Field::split_record(self.rest)?;
        self.rest = rest;
        self.left -= 1;
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// The names and values of [`Headers`] in order; see [`Headers::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a>(Fields<'a>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|field| (field.name, field.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// What a record of [`Headers`] takes beyond its name and its value.
pub const RECORD_HEAD_BYTES: usize = 8;

/// What RFC 7541 §4.1 counts for a field beyond its name and its value.
pub const FIELD_OVERHEAD_BYTES: usize = 32;

/// The bit of a record's name length that marks a secret.
const SENSITIVE: u32 = 1 << 31;

#[inline]
fn record_head(name_len: usize, value_len: usize, flags: u32) -> [u8; RECORD_HEAD_BYTES] {
    assert!(name_len < SENSITIVE as usize, "a header name of 2 GiB");
    assert!(value_len < SENSITIVE as usize, "a header value of 2 GiB");
    let [n0, n1, n2, n3] = (name_len as u32 | flags).to_le_bytes();
    let [v0, v1, v2, v3] = (value_len as u32).to_le_bytes();
    [n0, n1, n2, n3, v0, v1, v2, v3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order_with_their_flags() {
        let mut headers = Headers::new();
        headers.push(":method", "POST");
        headers.push_sensitive("authorization", "Bearer x");
        headers.push(b"empty", b"");
        headers.push("empty", [1, 2, 255]);
        let fields: Vec<_> = headers.fields().collect();
        assert_eq!(headers.len(), 4);
        assert_eq!(fields.len(), headers.fields().len());
        assert_eq!(fields[1].name, b"authorization");
        assert_eq!(fields[1].value, b"Bearer x");
        assert_eq!(fields.iter().map(|f| f.sensitive).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(headers.find("empty"), Some(&b""[..]));
        assert_eq!(headers.find("missing"), None);
        assert_eq!(headers.size(), headers.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>());
    }

    #[test]
    fn a_cleared_list_is_an_empty_list() {
        let mut headers: Headers = [("a", "b")].into_iter().collect();
        assert_ne!(headers, Headers::new());
        headers.clear();
        assert!(headers.is_empty());
        assert_eq!(headers, Headers::new());
        assert_eq!(headers.size(), 0);
        assert_eq!(headers.iter().next(), None);
    }

    #[test]
    fn a_secret_is_not_printed() {
        let mut headers = Headers::new();
        headers.push("a", "visible\n");
        headers.push_sensitive("token", "hunter2");
        let printed = format!("{headers:?}");
        assert_eq!(printed, r"[a: visible\n, token: (7 secret bytes)]");
    }
}
