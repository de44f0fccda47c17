//! The receiving side: blocks to fields.

use std::fmt;
use std::sync::Arc;

use super::cache::{Cache, Seen};
use super::dynamic_table::{DynamicTable, entry_size};
use super::hash::{hash, word};
use super::{huffman, integer, static_table};
use crate::wire::headers::{Field, Headers};

/// Decodes the header blocks of one connection (RFC 7541 §3).
///
/// A few small blocks that change nothing in the dynamic table are remembered, those with literals once they come
/// again: until the table changes, the same bytes give the same `Arc`, so whoever looks at the fields may remember by
/// pointer what they found.
///
/// A fresh decoder owns no memory beside itself.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    blocks: Cache<CachedBlock, CACHED_BLOCKS_MAX>,
    /// A block with literals is remembered only if it comes again: others would push those out, and a connection with
    /// a single call keeps nothing.
    seen: Seen<SEEN_SETS>,
    /// What the peer's encoder may set the size of the table to: our SETTINGS_HEADER_TABLE_SIZE.
    table_bytes_max: u32,
    /// The lowest limit that came into force since the last block and that the table still exceeds.
    update_due: Option<u32>,
    /// The memory of the last block's fields, as a guess for the next one's.
    records_bytes: u16,
}

impl Decoder {
    /// A decoder whose table, and the limit of the table, is `table_bytes_max` bytes: what the peer's encoder assumes
    /// before any setting is exchanged. In HTTP/2 that is [`TABLE_BYTES_DEFAULT`](super::TABLE_BYTES_DEFAULT) on
    /// every connection; our own setting comes into force by [`set_table_bytes_max`](Self::set_table_bytes_max).
    pub const fn new(table_bytes_max: u32) -> Self {
        Self {
            table: DynamicTable::new(table_bytes_max),
            blocks: Cache::new(),
            seen: Seen::new(),
            table_bytes_max,
            update_due: None,
            records_bytes: 0,
        }
    }

    /// Our SETTINGS_HEADER_TABLE_SIZE in bytes, from the moment the peer acknowledged it (RFC 9113 §4.3.1).
    ///
    /// A lower limit obliges the peer to begin its next block with a size update; without one that block fails.
    pub fn set_table_bytes_max(&mut self, table_bytes_max: u32) {
        self.table_bytes_max = table_bytes_max;
        if table_bytes_max < self.table.size_max() {
            let lowest = self.update_due.unwrap_or(u32::MAX).min(table_bytes_max);
            self.update_due = Some(lowest);
            self.blocks.clear();
        }
    }

    /// Decodes one complete block: a HEADERS frame's and its CONTINUATION frames' fragments together.
    ///
    /// `list_bytes_max` bounds [`Headers::size`]; it is counted while decoding, and nothing beyond it is stored. A
    /// block that exceeds it is still followed to its end so that the table stays in step, and fails with
    /// [`DecodeError::TooLarge`]; unless it exceeds it by far, see [`DecodeError::WorkTooLarge`].
    ///
    /// # Errors
    ///
    /// After any error but [`DecodeError::TooLarge`] the table is out of step with the peer's and the connection must
    /// end; [`DecodeError::is_fatal`] tells.
    #[inline]
    pub fn decode(&mut self, block: &[u8], list_bytes_max: u32) -> Result<Arc<Headers>, DecodeError> {
        let start = word(block);
        let known = self.blocks.entries(self.table.generation());
        if let Some(known) = known.iter().find(|known| known.is(block, start))
            && known.headers.size() <= list_bytes_max as usize
        {
            return Ok(Arc::clone(&known.headers));
        }
        self.decode_new(block, list_bytes_max)
    }

    /// Gives back what only serves speed: remembered blocks and spare room. For a connection that fell idle.
    pub fn trim(&mut self) {
        self.blocks.clear();
        self.table.trim();
    }

    /// The size of the dynamic table as RFC 7541 §4.1 counts it, in bytes.
    pub fn table_bytes(&self) -> u32 {
        self.table.size()
    }

    /// The number of fields in the dynamic table.
    pub fn table_len(&self) -> usize {
        self.table.len()
    }

    /// The memory this decoder holds beside itself, in bytes, remembered fields included, which others may hold too.
    pub fn heap_bytes(&self) -> usize {
        let blocks = self.blocks.heap_bytes(|known| known.block.len() + known.headers.heap_bytes());
        self.table.heap_bytes() + blocks
    }

    fn decode_new(&mut self, block: &[u8], list_bytes_max: u32) -> Result<Arc<Headers>, DecodeError> {
        let generation = self.table.generation();
        let mut input = block;
        let updates = self.apply_size_updates(&mut input)?;
        let mut headers = self.decode_fields(input, list_bytes_max)?;
        let records_bytes = headers.records().len();
        self.records_bytes = records_bytes.min(RECORDS_BYTES_GUESS_MAX) as u16;

        let repeatable = updates == 0 && self.table.generation() == generation;
        let small = block.len() <= CACHED_BLOCK_BYTES_MAX && records_bytes <= CACHED_RECORDS_BYTES_MAX;
        // Indices alone stand for what the peer repeats; anything else has to come again to be believed constant.
        let indices = || block.iter().all(|byte| byte & INDEXED != 0);
        let constant = repeatable && small && (indices() || self.seen.note(hash(block)));
        if !constant || !self.blocks.wants(generation) {
            return Ok(Arc::new(headers));
        }
        headers.shrink_to_fit();
        let headers = Arc::new(headers);
        self.blocks.put(CachedBlock::new(block, &headers));
        Ok(headers)
    }

    /// RFC 7541 §4.2: a change of the limit is answered at the start of the next block, with the lowest size of the
    /// meantime and the final one, so at most two updates stand there.
    fn apply_size_updates(&mut self, input: &mut &[u8]) -> Result<u32, DecodeError> {
        let mut updates = 0;
        while let Some(&first) = input.first()
            && first & 0b1110_0000 == SIZE_UPDATE
        {
            let size = integer::decode::<5>(input)?;
            updates += 1;
            if updates > SIZE_UPDATES_MAX {
                return Err(DecodeError::SizeUpdateRepeated);
            }
            if size > self.table_bytes_max {
                return Err(DecodeError::SizeUpdateAboveLimit);
            }
            if self.update_due.is_some_and(|lowest| size <= lowest) {
                self.update_due = None;
            }
            self.table.set_size_max(size);
        }
        match self.update_due {
            Some(_) => Err(DecodeError::SizeUpdateMissing),
            None => Ok(updates),
        }
    }

    fn decode_fields(&mut self, mut input: &[u8], list_bytes_max: u32) -> Result<Headers, DecodeError> {
        let guess = usize::from(self.records_bytes).max(input.len());
        let mut headers = Headers::with_capacity(guess + RECORDS_BYTES_SPARE);
        let mut size = 0u64;
        let size_max = u64::from(list_bytes_max);
        // Beyond this no more work is done for a peer that cannot be served anyway.
        let work_max = (size_max * WORK_FACTOR).max(WORK_BYTES_MIN);

        while let Some(&first) = input.first() {
            if first & INDEXED != 0 {
                let index = integer::decode::<7>(&mut input)?;
                let record = self.record(index)?;
                size += field_size(record);
                if size <= size_max {
                    headers.push_record(record);
                    continue;
                }
            } else if first & LITERAL_INDEXED != 0 {
                let start = self.literal::<6>(&mut input, &mut headers, false)?;
                let record = &headers.records()[start..];
                size += field_size(record);
                self.table.insert(record);
            } else if first & SIZE_UPDATE != 0 {
                return Err(DecodeError::SizeUpdateMisplaced);
            } else {
                let sensitive = first & LITERAL_NEVER_INDEXED != 0;
                let start = self.literal::<4>(&mut input, &mut headers, sensitive)?;
                size += field_size(&headers.records()[start..]);
            }
            if size > size_max {
                headers.clear();
                if size > work_max {
                    return Err(DecodeError::WorkTooLarge);
                }
            }
        }
        if size > size_max {
            return Err(DecodeError::TooLarge);
        }
        Ok(headers)
    }

    /// Appends the literal field at the start of the input to `headers` and returns where its record starts.
    fn literal<const PREFIX: u32>(
        &self,
        input: &mut &[u8],
        headers: &mut Headers,
        sensitive: bool,
    ) -> Result<usize, DecodeError> {
        let index = integer::decode::<PREFIX>(input)?;
        let start = headers.begin_record();
        let tail = headers.tail();
        let before = tail.len();
        if index == 0 {
            decode_string(input, tail)?;
        } else {
            tail.extend_from_slice(name_of(self.record(index)?));
        }
        let name_len = tail.len() - before;
        decode_string(input, tail)?;
        headers.end_record(start, name_len, sensitive);
        Ok(start)
    }

    #[inline]
    fn record(&self, index: u32) -> Result<&[u8], DecodeError> {
        let record = match (index as usize).checked_sub(static_table::LEN + 1) {
            Some(age) => self.table.record(age),
            None => static_table::record(index),
        };
        record.ok_or(DecodeError::IndexOutOfRange)
    }
}

/// Why a block could not be decoded.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// A string holds the Huffman code for the end of the string (RFC 7541 §5.2).
    HuffmanEndOfString,
    /// A Huffman-coded string ends with padding other than up to seven ones (RFC 7541 §5.2).
    HuffmanPadding,
    /// An index is 0 or above the end of both tables (RFC 7541 §2.3.3, §6.1).
    IndexOutOfRange,
    /// An integer exceeds 32 bits, or takes more than six bytes (RFC 7541 §5.1).
    IntegerTooLarge,
    /// A table size update exceeds the limit in force (RFC 7541 §6.3).
    SizeUpdateAboveLimit,
    /// A table size update stands behind a field (RFC 7541 §4.2).
    SizeUpdateMisplaced,
    /// The limit was lowered and the block does not begin with a size update that obeys it (RFC 9113 §4.3.1).
    SizeUpdateMissing,
    /// More than two size updates begin the block (RFC 7541 §4.2).
    SizeUpdateRepeated,
    /// The fields are larger than allowed. The table is in step: only this message is lost.
    TooLarge,
    /// The block ends inside a field (RFC 7541 §5).
    Truncated,
    /// The fields are so much larger than allowed that decoding stopped, and the connection cannot go on: more than
    /// four times the allowed size and more than 64 KiB. A few bytes can stand for many, so even following such a
    /// block without storing anything is work the peer does not pay for.
    WorkTooLarge,
}

impl DecodeError {
    /// Whether the connection must end, the table being out of step: with COMPRESSION_ERROR (RFC 9113 §4.3), or
    /// ENHANCE_YOUR_CALM after [`WorkTooLarge`](Self::WorkTooLarge).
    pub fn is_fatal(self) -> bool {
        self != Self::TooLarge
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HuffmanEndOfString => "end-of-string code inside a string",
            Self::HuffmanPadding => "wrong padding of a Huffman-coded string",
            Self::IndexOutOfRange => "index out of range",
            Self::IntegerTooLarge => "integer too large",
            Self::SizeUpdateAboveLimit => "table size update above the limit",
            Self::SizeUpdateMisplaced => "table size update behind a field",
            Self::SizeUpdateMissing => "table size update missing",
            Self::SizeUpdateRepeated => "more than two table size updates",
            Self::TooLarge => "headers too large",
            Self::Truncated => "block ends inside a field",
            Self::WorkTooLarge => "headers far too large",
        })
    }
}

impl std::error::Error for DecodeError {}

/// A block that changed nothing in the table, and what it meant.
#[derive(Debug)]
struct CachedBlock {
    /// The first eight bytes.
    start: u64,
    block: Box<[u8]>,
    headers: Arc<Headers>,
}

impl CachedBlock {
    fn new(block: &[u8], headers: &Arc<Headers>) -> Self {
        Self { start: word(block), block: block.into(), headers: Arc::clone(headers) }
    }

    /// `start` is that of `block`.
    #[inline]
    fn is(&self, block: &[u8], start: u64) -> bool {
        self.start == start && self.block.len() == block.len() && (block.len() <= 8 || *self.block == *block)
    }
}

/// Appends the string at the start of the input (RFC 7541 §5.2).
#[inline]
fn decode_string(input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let huffman = input.first().is_some_and(|first| first & HUFFMAN != 0);
    let length = integer::decode::<7>(input)?;
    let (string, rest) = input.split_at_checked(length as usize).ok_or(DecodeError::Truncated)?;
    *input = rest;
    if huffman {
        huffman::decode(string, out)
    } else {
        out.extend_from_slice(string);
        Ok(())
    }
}

#[inline]
fn name_of(record: &[u8]) -> &[u8] {
    match Field::split_record(record) {
        Some((field, _)) => field.name,
        None => &[],
    }
}

#[inline]
fn field_size(record: &[u8]) -> u64 {
    u64::from(entry_size(record.len()).unwrap_or(u32::MAX))
}

// The patterns of RFC 7541 §6; the first set bit decides.
const INDEXED: u8 = 0b1000_0000;
const LITERAL_INDEXED: u8 = 0b0100_0000;
const SIZE_UPDATE: u8 = 0b0010_0000;
const LITERAL_NEVER_INDEXED: u8 = 0b0001_0000;
const HUFFMAN: u8 = 0b1000_0000;

const SIZE_UPDATES_MAX: u32 = 2;

/// How far beyond the allowed size a block is followed: someone with somewhat too large metadata loses one call,
/// someone with a bomb the connection.
const WORK_FACTOR: u64 = 4;
const WORK_BYTES_MIN: u64 = 64 * 1024;

/// Larger lists grow as they are decoded: one of them should not make all later ones large.
const RECORDS_BYTES_GUESS_MAX: usize = 1024;

/// Room beyond the guess, so that a value somewhat longer than the last block's does not move the whole list.
const RECORDS_BYTES_SPARE: usize = 64;

/// A block of indices takes a byte or two for each field; longer ones carry values that will differ next time.
const CACHED_BLOCK_BYTES_MAX: usize = 128;
/// Ordinary requests take half of this. Four of them are near one KiB on an idle connection.
const CACHED_RECORDS_BYTES_MAX: usize = 512;
const CACHED_BLOCKS_MAX: usize = 4;
const SEEN_SETS: usize = 4;
