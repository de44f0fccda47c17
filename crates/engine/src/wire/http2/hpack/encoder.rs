//! The sending side: fields to blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cache::{Cache, Seen};
use super::dynamic_table::{DynamicTable, entry_size};
use super::hash::{hash, join};
use super::{TABLE_BYTES_DEFAULT, huffman, integer, static_table};
use crate::wire::headers::{Field, Headers};

/// Encodes the header blocks of one connection (RFC 7541 §3).
///
/// A field enters the dynamic table the second time it is seen, so a value that differs from call to call never
/// displaces those which repeat. The number of insertions is bounded by the number of blocks besides, since each one
/// makes both sides forget the blocks they remember.
///
/// Strings that enter the table are Huffman-coded if that makes them shorter; others are not: they would be coded
/// and decoded for every block, which costs both sides more time than it saves.
///
/// A fresh encoder owns no memory beside itself.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    index: Index,
    heads: Cache<CachedHead, CACHED_HEADS_MAX>,
    seen: Seen<SEEN_SETS>,
    /// The most we use, whatever the peer allows.
    table_bytes_limit: u32,
    /// Sizes of the table to announce with the next block: the lowest since the last one, and the final one.
    updates_due: Option<(u32, u32)>,
    /// Insertions still allowed.
    insertions: u8,
    blocks: u8,
}

impl Encoder {
    /// An encoder that uses at most [`TABLE_BYTES_DEFAULT`] bytes of table.
    pub const fn new() -> Self {
        Self {
            table: DynamicTable::new(TABLE_BYTES_DEFAULT),
            index: Index::new(),
            heads: Cache::new(),
            seen: Seen::new(),
            table_bytes_limit: TABLE_BYTES_DEFAULT,
            updates_due: None,
            insertions: INSERTIONS_MAX,
            blocks: 0,
        }
    }

    /// An encoder that uses at most `table_bytes_limit` bytes of table, and no more than
    /// [`TABLE_BYTES_DEFAULT`] until the peer's settings allow it. 0 switches the dynamic table off.
    pub fn with_table_limit(table_bytes_limit: u32) -> Self {
        let mut encoder = Self::new();
        encoder.table_bytes_limit = table_bytes_limit;
        encoder.set_table_bytes_max(TABLE_BYTES_DEFAULT);
        encoder
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE in bytes. A change of the table's size is announced at the start of the
    /// next block (RFC 7541 §4.2).
    pub fn set_table_bytes_max(&mut self, table_bytes_max: u32) {
        let size = table_bytes_max.min(self.table_bytes_limit);
        self.updates_due = match self.updates_due {
            None if size == self.table.size_max() => None,
            None => Some((size, size)),
            Some((lowest, _)) => Some((lowest.min(size), size)),
        };
        if self.updates_due.is_some() {
            self.heads.clear();
        }
    }

    /// Appends one complete block: the fields of `head` and behind them those of `extra`.
    ///
    /// The block of a `head` is remembered by its address, and the `Arc` with it: pass the same `Arc` again for what
    /// is the same on every call, and what differs as `extra`.
    #[inline]
    pub fn encode(&mut self, head: &Arc<Headers>, extra: Option<&Headers>, out: &mut Vec<u8>) {
        let known = self.heads.entries(self.table.generation());
        match known.iter().find(|known| Arc::ptr_eq(&known.head, head)) {
            Some(known) => out.extend_from_slice(&known.block),
            None => self.encode_head(head, out),
        }
        if let Some(extra) = extra {
            self.encode_fields(extra, out);
        }
        self.earn();
    }

    /// Gives back what only serves speed: remembered blocks and spare room. For a connection that fell idle.
    pub fn trim(&mut self) {
        self.heads.clear();
        self.table.trim();
        self.index.trim();
    }

    /// The size of the dynamic table as RFC 7541 §4.1 counts it, in bytes.
    pub fn table_bytes(&self) -> u32 {
        self.table.size()
    }

    /// The number of fields in the dynamic table.
    pub fn table_len(&self) -> usize {
        self.table.len()
    }

    /// The memory this encoder holds beside itself, in bytes, without the heads, which belong to those who gave them.
    pub fn heap_bytes(&self) -> usize {
        let heads = self.heads.heap_bytes(|known| known.block.len());
        self.table.heap_bytes() + self.index.heap_bytes() + heads
    }

    fn encode_head(&mut self, head: &Arc<Headers>, out: &mut Vec<u8>) {
        self.announce_size(out);
        let start = out.len();
        let generation = self.table.generation();
        let settled = self.encode_fields(head, out);
        let block = &out[start..];
        if settled
            && self.table.generation() == generation
            && block.len() <= CACHED_BLOCK_BYTES_MAX
            && self.heads.wants(generation)
        {
            self.heads.put(CachedHead { head: Arc::clone(head), block: block.into() });
        }
    }

    fn announce_size(&mut self, out: &mut Vec<u8>) {
        let Some((lowest, last)) = self.updates_due.take() else {
            return;
        };
        if lowest < last {
            integer::encode(lowest as usize, 5, SIZE_UPDATE, out);
            self.table.set_size_max(lowest);
        }
        integer::encode(last as usize, 5, SIZE_UPDATE, out);
        self.table.set_size_max(last);
        self.index.evict_to(self.table.len());
    }

    /// Returns whether the same fields will give the same bytes as long as the table does not change.
    fn encode_fields(&mut self, headers: &Headers, out: &mut Vec<u8>) -> bool {
        let mut settled = true;
        let mut records = headers.records();
        while let Some((field, rest)) = Field::split_record(records) {
            let record = &records[..records.len() - rest.len()];
            settled &= self.encode_field(field, record, out);
            records = rest;
        }
        settled
    }

    fn encode_field(&mut self, field: Field<'_>, record: &[u8], out: &mut Vec<u8>) -> bool {
        let name_hash = hash(field.name);
        let static_name = static_table::find_name(field.name, name_hash);
        if field.sensitive {
            let name = static_name.or_else(|| self.index.find_name(&self.table, field.name, name_hash));
            encode_literal(field, name, Literal::NeverIndexed, out);
            return true;
        }
        if let Some(first) = static_name
            && let Some(index) = static_table::find_value(first, field.value)
        {
            integer::encode(index, 7, INDEXED, out);
            return true;
        }
        let hash = join(name_hash, hash(field.value));
        let (index, dynamic_name) = self.index.find(&self.table, field, record, name_hash, hash);
        if let Some(index) = index {
            integer::encode(index, 7, INDEXED, out);
            return true;
        }
        let name = static_name.or(dynamic_name);
        if entry_size(record.len()).is_none_or(|size| size > self.table.size_max() / 2) {
            encode_literal(field, name, Literal::Plain, out);
            return true;
        }
        if self.seen.note(hash) && self.insertions > 0 {
            self.insertions -= 1;
            encode_literal(field, name, Literal::Indexed, out);
            self.table.insert(record);
            self.index.insert(self.table.len(), name_hash, hash);
        } else {
            encode_literal(field, name, Literal::Plain, out);
        }
        false
    }

    #[inline]
    fn earn(&mut self) {
        self.blocks += 1;
        if self.blocks == BLOCKS_PER_INSERTION {
            self.blocks = 0;
            self.insertions = (self.insertions + 1).min(INSERTIONS_MAX);
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds fields of the dynamic table by hash.
///
/// Fields whose names fall into one bucket form a chain from the newest to the oldest. Eviction takes the oldest, so
/// nothing has to be unlinked: a chain ends where it leaves the table.
#[derive(Debug)]
struct Index {
    /// The newest field of each chain.
    buckets: Vec<u32>,
    /// One for each field of the table, oldest first.
    links: VecDeque<Link>,
    /// The number of the newest field. Fields are numbered from 1 as they are inserted.
    newest: u32,
}

#[derive(Copy, Clone, Debug)]
struct Link {
    name_hash: u32,
    hash: u32,
    /// The number of the next older field of the chain.
    older: u32,
}

impl Index {
    const fn new() -> Self {
        Self { buckets: Vec::new(), links: VecDeque::new(), newest: 0 }
    }

    /// Takes in the field just inserted into the table, which now holds `table_len` fields.
    fn insert(&mut self, table_len: usize, name_hash: u64, hash: u64) {
        self.evict_to(table_len - 1);
        if self.buckets.len() <= self.links.len() {
            self.grow();
        }
        self.newest = self.newest.wrapping_add(1);
        let bucket = self.bucket(name_hash as u32);
        self.links.push_back(Link { name_hash: name_hash as u32, hash: hash as u32, older: self.buckets[bucket] });
        self.buckets[bucket] = self.newest;
    }

    fn evict_to(&mut self, table_len: usize) {
        self.links.drain(..self.links.len() - table_len);
    }

    fn trim(&mut self) {
        self.links.shrink_to_fit();
    }

    /// The indices of the field itself and of a field with its name, if the table holds them.
    #[inline]
    fn find(
        &self,
        table: &DynamicTable,
        field: Field<'_>,
        record: &[u8],
        name_hash: u64,
        hash: u64,
    ) -> (Option<usize>, Option<usize>) {
        let mut name_age = None;
        for (age, link) in self.chain(name_hash) {
            if link.hash == hash as u32 && table.record(age) == Some(record) {
                return (Some(DYNAMIC_FIRST + age), None);
            }
            if name_age.is_none() && has_name(table, age, field.name) {
                name_age = Some(age);
            }
        }
        (None, name_age.map(|age| DYNAMIC_FIRST + age))
    }

    /// The index of the newest field with this name.
    fn find_name(&self, table: &DynamicTable, name: &[u8], name_hash: u64) -> Option<usize> {
        self.chain(name_hash).find(|&(age, _)| has_name(table, age, name)).map(|(age, _)| DYNAMIC_FIRST + age)
    }

    /// The fields whose names have this hash, each with the number of insertions since its own.
    #[inline]
    fn chain(&self, name_hash: u64) -> impl Iterator<Item = (usize, Link)> {
        let name_hash = name_hash as u32;
        let mut number = match self.buckets.is_empty() {
            true => None,
            false => Some(self.buckets[self.bucket(name_hash)]),
        };
        std::iter::from_fn(move || {
            loop {
                let age = self.newest.wrapping_sub(number?) as usize;
                let Some(position) = self.links.len().checked_sub(age + 1) else {
                    number = None;
                    continue;
                };
                let link = self.links[position];
                // Numbers may have wrapped around; a chain never turns back to newer fields.
                let older_age = self.newest.wrapping_sub(link.older) as usize;
                number = Some(link.older).filter(|_| older_age > age);
                if link.name_hash == name_hash {
                    return Some((age, link));
                }
            }
        })
    }

    fn grow(&mut self) {
        let len = (self.buckets.len() * 2).max(BUCKETS_MIN);
        self.buckets = vec![self.newest.wrapping_sub(u32::MAX / 2); len];
        let oldest = self.newest.wrapping_sub(self.links.len() as u32);
        for position in 0..self.links.len() {
            let bucket = self.bucket(self.links[position].name_hash);
            self.links[position].older = self.buckets[bucket];
            self.buckets[bucket] = oldest.wrapping_add(position as u32 + 1);
        }
    }

    /// `buckets` is as long as a power of two.
    #[inline]
    fn bucket(&self, name_hash: u32) -> usize {
        name_hash as usize & (self.buckets.len() - 1)
    }

    fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<u32>() + self.links.capacity() * size_of::<Link>()
    }
}

/// The block of a head.
#[derive(Debug)]
struct CachedHead {
    /// Held, so that its address names nothing else meanwhile.
    head: Arc<Headers>,
    block: Box<[u8]>,
}

/// How a field is written that is not in a table (RFC 7541 §6.2).
#[derive(Copy, Clone, PartialEq, Eq)]
enum Literal {
    Indexed,
    NeverIndexed,
    Plain,
}

fn encode_literal(field: Field<'_>, name: Option<usize>, literal: Literal, out: &mut Vec<u8>) {
    let (flags, prefix) = match literal {
        Literal::Indexed => (LITERAL_INDEXED, 6),
        Literal::NeverIndexed => (LITERAL_NEVER_INDEXED, 4),
        Literal::Plain => (0, 4),
    };
    let huffman = literal == Literal::Indexed;
    integer::encode(name.unwrap_or(0), prefix, flags, out);
    if name.is_none() {
        encode_string(field.name, huffman, out);
    }
    encode_string(field.value, huffman, out);
}

fn encode_string(string: &[u8], huffman: bool, out: &mut Vec<u8>) {
    if huffman {
        let len = huffman::encoded_len(string);
        if len < string.len() {
            integer::encode(len, 7, HUFFMAN, out);
            huffman::encode(string, out);
            return;
        }
    }
    integer::encode(string.len(), 7, 0, out);
    out.extend_from_slice(string);
}

fn has_name(table: &DynamicTable, age: usize, name: &[u8]) -> bool {
    table.record(age).and_then(Field::split_record).is_some_and(|(field, _)| field.name == name)
}

// The patterns of RFC 7541 §6.
const INDEXED: u8 = 0b1000_0000;
const LITERAL_INDEXED: u8 = 0b0100_0000;
const SIZE_UPDATE: u8 = 0b0010_0000;
const LITERAL_NEVER_INDEXED: u8 = 0b0001_0000;
const HUFFMAN: u8 = 0b1000_0000;

/// The index of the newest field of the dynamic table.
const DYNAMIC_FIRST: usize = static_table::LEN + 1;

/// A head whose fields are all in a table takes a byte or two for each.
const CACHED_BLOCK_BYTES_MAX: usize = 128;
/// The methods in use on one connection at a time; each costs some 50 bytes once it is.
const CACHED_HEADS_MAX: usize = 16;

/// At first, all fields that a table of the default size can hold may be inserted at once …
const INSERTIONS_MAX: u8 = 128;
/// … and later one for so many blocks: what an insertion costs both sides stays small beside what they do anyway.
const BLOCKS_PER_INSERTION: u8 = 32;

/// 64 fields: those of some heads, among as many that never come again.
const SEEN_SETS: usize = 16;
const BUCKETS_MIN: usize = 16;
