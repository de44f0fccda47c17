//! Envelopes: the five bytes in front of every message of gRPC, and the messages behind them.
//!
//! One byte of flags (bit 0: the message is compressed), four of length, big-endian. A message may lie across any number of
//! chunks and a chunk may hold any number of messages.

use bytes::{Bytes, BytesMut};
use polywire_core::ENVELOPE_BYTES;

const FLAG_COMPRESSED: u8 = 1;

/// Most bytes set aside at once for a message that has been announced but has not come yet, so that an announcement alone
/// costs little memory. Messages of 64 KiB, a common chunk, fit with what Protobuf puts around them.
const RESERVE_BYTES_MAX: usize = 80 * 1024;

/// What stood in one envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The message, compressed if the flag says so.
    pub bytes: Bytes,
    /// Bit 0 of the flags.
    pub compressed: bool,
    /// It holds the end of the call instead of a message.
    pub end: bool,
}

/// Takes messages out of a stream of chunks.
#[derive(Debug)]
pub struct Reader {
    message_bytes_max: usize,
    /// The flag of the envelope that ends the call; 0 when there is none.
    flag_end: u8,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Some bytes of the prefix are missing.
    ExpectPrefix { have: u8, prefix: [u8; ENVELOPE_BYTES] },
    /// Some bytes of the message are missing.
    ExpectMessage { flags: u8, len: usize, gathered: BytesMut },
}

const EXPECT_NOTHING: State = State::ExpectPrefix { have: 0, prefix: [0; ENVELOPE_BYTES] };

/// What a peer can do wrong with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// A flag that the protocol does not define.
    UnknownFlags(u8),
    /// The announced message is longer than the limit.
    TooLarge {
        /// The length the peer announced, in bytes.
        announced: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl Reader {
    /// A reader that refuses messages above `message_bytes_max` bytes (as they travel, so compressed) at their prefix.
    pub fn new(message_bytes_max: usize) -> Self {
        Self::with_end(message_bytes_max, 0)
    }

    /// A reader for a protocol that ends a call with an envelope of its own, which has this flag.
    pub fn with_end(message_bytes_max: usize, flag_end: u8) -> Self {
        Self { message_bytes_max, flag_end, state: EXPECT_NOTHING }
    }

    /// Takes bytes from the front of `data` until a message is complete (`Some`) or `data` is empty (`None`).
    ///
    /// # Errors
    /// When the prefix breaks a rule or the limit. The stream cannot be read further.
    pub fn next(&mut self, data: &mut Bytes) -> Result<Option<Envelope>, EnvelopeError> {
        // The usual case: prefix and message lie together in this chunk.
        if let State::ExpectPrefix { have: 0, .. } = self.state
            && let Some((prefix, _)) = data.split_first_chunk::<ENVELOPE_BYTES>()
        {
            let (flags, len) = self.read_prefix(*prefix)?;
            if data.len() - ENVELOPE_BYTES >= len {
                let mut bytes = data.split_to(ENVELOPE_BYTES + len);
                return Ok(Some(self.envelope(bytes.split_off(ENVELOPE_BYTES), flags)));
            }
        }
        self.next_gathered(data)
    }

    /// How many bytes of an incomplete message are kept.
    pub fn gathered_bytes(&self) -> usize {
        match &self.state {
            State::ExpectMessage { gathered, .. } => gathered.len(),
            State::ExpectPrefix { .. } => 0,
        }
    }

    /// Whether the stream may end here: not inside an envelope.
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::ExpectPrefix { have: 0, .. })
    }

    fn next_gathered(&mut self, data: &mut Bytes) -> Result<Option<Envelope>, EnvelopeError> {
        loop {
            match &mut self.state {
                State::ExpectPrefix { have, prefix } => {
                    let start = usize::from(*have);
                    let take = (ENVELOPE_BYTES - start).min(data.len());
                    prefix[start..start + take].copy_from_slice(&data.split_to(take));
                    *have += take as u8;
                    if usize::from(*have) < ENVELOPE_BYTES {
                        return Ok(None);
                    }
                    let prefix = *prefix;
                    let (flags, len) = self.read_prefix(prefix)?;
                    let gathered = BytesMut::with_capacity(len.min(RESERVE_BYTES_MAX.max(data.len())));
                    self.state = State::ExpectMessage { flags, len, gathered };
                }
                State::ExpectMessage { flags, len, gathered } => {
                    let take = (*len - gathered.len()).min(data.len());
                    gathered.extend_from_slice(&data.split_to(take));
                    if gathered.len() < *len {
                        return Ok(None);
                    }
                    let (bytes, flags) = (std::mem::take(gathered).freeze(), *flags);
                    self.state = EXPECT_NOTHING;
                    return Ok(Some(self.envelope(bytes, flags)));
                }
            }
        }
    }

    fn envelope(&self, bytes: Bytes, flags: u8) -> Envelope {
        Envelope { bytes, compressed: flags & FLAG_COMPRESSED != 0, end: flags & self.flag_end != 0 }
    }

    fn read_prefix(&self, prefix: [u8; ENVELOPE_BYTES]) -> Result<(u8, usize), EnvelopeError> {
        let [flags, len @ ..] = prefix;
        if flags & !(FLAG_COMPRESSED | self.flag_end) != 0 {
            return Err(EnvelopeError::UnknownFlags(flags));
        }
        let announced = u32::from_be_bytes(len) as usize;
        if announced > self.message_bytes_max {
            return Err(EnvelopeError::TooLarge { announced, limit: self.message_bytes_max });
        }
        Ok((flags, announced))
    }
}

/// A whole message in its envelope.
pub fn envelope(compressed: bool, message: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + message.len());
    bytes.push(u8::from(compressed));
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(message);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(reader: &mut Reader, data: &[u8]) -> Vec<Envelope> {
        let mut data = Bytes::copy_from_slice(data);
        let mut messages = Vec::new();
        while let Some(message) = reader.next(&mut data).unwrap() {
            messages.push(message);
        }
        messages
    }

    #[test]
    fn messages_come_out_the_same_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for (compressed, message) in [(false, &b"one"[..]), (true, b""), (false, &[7; 300]), (true, b"four")] {
            stream.extend_from_slice(&envelope(compressed, message));
        }
        let whole = read_all(&mut Reader::new(1000), &stream);
        assert_eq!(whole.len(), 4);
        for size in 1..stream.len() {
            let mut reader = Reader::new(1000);
            let parts: Vec<_> = stream.chunks(size).flat_map(|chunk| read_all(&mut reader, chunk)).collect();
            assert_eq!(parts, whole, "cut every {size} bytes");
            assert!(reader.is_between_messages());
        }
    }

    #[test]
    fn a_length_above_the_limit_is_refused_at_its_prefix() {
        let mut data = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]);
        let error = Reader::new(100).next(&mut data).unwrap_err();
        assert_eq!(error, EnvelopeError::TooLarge { announced: u32::MAX as usize, limit: 100 });
    }

    #[test]
    fn an_undefined_flag_is_refused() {
        let mut data = Bytes::from_static(&[2, 0, 0, 0, 0]);
        assert_eq!(Reader::new(100).next(&mut data), Err(EnvelopeError::UnknownFlags(2)));
    }
}
