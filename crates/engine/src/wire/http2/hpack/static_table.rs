//! The static table (RFC 7541 Appendix A).

use super::hash::hash;
use crate::wire::headers::RECORD_HEAD_BYTES;

/// The fields of the table; the one with HPACK's index 1 comes first.
pub(super) static FIELDS: [(&[u8], &[u8]); LEN] = TABLE;

/// The number of fields; indices above it name the dynamic table.
pub(super) const LEN: usize = 61;

/// The field of an index as a record of [`Headers`](crate::wire::headers::Headers).
#[inline]
pub(super) fn record(index: u32) -> Option<&'static [u8]> {
    let [start, end] = *BOUNDS.get(index as usize)?;
    RECORDS.get(start as usize..end as usize)
}

/// The lowest index with this name, of which `name_hash` is the [`hash`].
#[inline]
pub(super) fn find_name(name: &[u8], name_hash: u64) -> Option<usize> {
    let mut slot = slot(name_hash);
    loop {
        let index = usize::from(SLOTS[slot]);
        if index == 0 {
            return None;
        }
        if FIELDS[index - 1].0 == name {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS_LEN;
    }
}

/// The index of a field with this value, given the lowest index with its name.
#[inline]
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    let last = usize::from(LAST_OF_NAME[first]);
    (first..=last).find(|&index| FIELDS[index - 1].1 == value)
}

const TABLE: [(&[u8], &[u8]); LEN] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// Where each index's record lies in [`RECORDS`]; index 0 names none.
static BOUNDS: [[u16; 2]; LEN + 1] = {
    let mut bounds = [[u16::MAX, 0]; LEN + 1];
    let mut end = 0;
    let mut index = 1;
    while index <= LEN {
        let (name, value) = TABLE[index - 1];
        let start = end;
        end += RECORD_HEAD_BYTES + name.len() + value.len();
        bounds[index] = [start as u16, end as u16];
        index += 1;
    }
    bounds
};

static RECORDS: [u8; RECORDS_BYTES] = {
    let mut records = [0; RECORDS_BYTES];
    let mut at = 0;
    let mut index = 0;
    while index < LEN {
        let (name, value) = TABLE[index];
        at = put(&mut records, at, &(name.len() as u32).to_le_bytes());
        at = put(&mut records, at, &(value.len() as u32).to_le_bytes());
        at = put(&mut records, at, name);
        at = put(&mut records, at, value);
        index += 1;
    }
    records
};

const RECORDS_BYTES: usize = {
    let mut bytes = 0;
    let mut index = 0;
    while index < LEN {
        bytes += RECORD_HEAD_BYTES + TABLE[index].0.len() + TABLE[index].1.len();
        index += 1;
    }
    bytes
};

const _: () = assert!(RECORDS_BYTES < u16::MAX as usize);

/// Open addressing from the hash of a name to its lowest index; 0 is a free slot.
static SLOTS: [u8; SLOTS_LEN] = {
    let mut slots = [0; SLOTS_LEN];
    let mut index = 1;
    while index <= LEN {
        let name = TABLE[index - 1].0;
        if index == 1 || !same(name, TABLE[index - 2].0) {
            let mut slot = slot(hash(name));
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS_LEN;
            }
            slots[slot] = index as u8;
        }
        index += 1;
    }
    slots
};

/// The highest index with the same name; equal names stand together.
static LAST_OF_NAME: [u8; LEN + 1] = {
    let mut last = [0; LEN + 1];
    let mut index = LEN;
    while index > 0 {
        last[index] =
            if index < LEN && same(TABLE[index - 1].0, TABLE[index].0) { last[index + 1] } else { index as u8 };
        index -= 1;
    }
    last
};

/// More than four times the number of names: most look-ups of other names end at once.
const SLOTS_LEN: usize = 256;

#[inline]
const fn slot(hash: u64) -> usize {
    (hash % SLOTS_LEN as u64) as usize
}

const fn put(to: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let mut i = 0;
    while i < bytes.len() {
        to[at + i] = bytes[i];
        i += 1;
    }
    at + bytes.len()
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::headers::Field;

    #[test]
    fn every_static_field_is_found_by_its_index_and_by_its_words() {
        for (position, &(name, value)) in FIELDS.iter().enumerate() {
            let index = position + 1;
            let (field, rest) = Field::split_record(record(index as u32).unwrap()).unwrap();
            assert_eq!((field.name, field.value), (name, value));
            assert!(rest.is_empty());
            let first = find_name(name, hash(name)).unwrap();
            assert_eq!(FIELDS[first - 1].0, name);
            assert!(first == 1 || FIELDS[first - 2].0 != name);
            assert_eq!(find_value(first, value), Some(index));
            assert_eq!(find_value(first, b"no such value"), None);
        }
    }

    #[test]
    fn what_is_not_in_the_static_table_is_not_found() {
        assert_eq!(record(0), None);
        assert_eq!(record(LEN as u32 + 1), None);
        assert_eq!(record(u32::MAX), None);
        for name in ["", "te", "grpc-timeout", "x", "content-typf"] {
            assert_eq!(find_name(name.as_bytes(), hash(name.as_bytes())), None);
        }
    }
}
