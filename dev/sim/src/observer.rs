//! Stands beside the wire and reads every frame, with its own idea of RFC 9113 and none of the engine's state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use polywire_engine::Limits;
use polywire_engine::wire::Reason;
use polywire_engine::wire::http2::hpack::Decoder;

use crate::program::Side;

/// Checks the frames of both sides: their form, their order on each stream, and every window.
///
/// A side is bound by what it has acknowledged and received, so the observer is told both what leaves a machine and
/// what arrives at one.
#[derive(Debug)]
pub struct Observer {
    writers: [Writer; 2],
}

/// What is known of one side as a writer of frames.
#[derive(Debug)]
struct Writer {
    limits: Arc<Limits>,
    /// Written, and not yet a complete frame.
    partial: Vec<u8>,
    preface_left: usize,
    first: bool,
    written: u64,
    /// What frames mean to the reader, and at which byte.
    effects: VecDeque<(u64, Effect)>,
    /// Bytes the reader has got.
    arrived: u64,
    /// SETTINGS that have arrived here and are not acknowledged.
    settings: VecDeque<Vec<(u16, u32)>>,
    pings: VecDeque<[u8; 8]>,
    bound: Bound,
    streams: BTreeMap<u32, Stream>,
    last_id: u32,
    go_away: Option<u32>,
    /// An unfinished header block.
    block: Option<(u32, bool, Vec<u8>)>,
    decoder: Decoder,
    /// As a reader: what came and what was given back.
    received_bytes: u64,
    returned_bytes: u64,
}

/// What binds a writer.
#[derive(Debug)]
struct Bound {
    window: i64,
    stream_window: i64,
    frame_bytes_max: usize,
    streams_max: Option<u32>,
}

/// One stream, as one writer has written it.
#[derive(Debug, Default)]
struct Stream {
    window: i64,
    headers: bool,
    ended: bool,
    reset: bool,
    /// The other side's end or reset has arrived.
    peer_ended: bool,
    peer_reset: bool,
    received_bytes: u64,
    returned_bytes: u64,
}

#[derive(Debug)]
enum Effect {
    Data { id: u32, bytes: u64 },
    End { id: u32 },
    Open { id: u32 },
    Ping([u8; 8]),
    Reset { id: u32 },
    Settings(Vec<(u16, u32)>),
    WindowUpdate { id: u32, bytes: i64 },
}

const HEAD_BYTES: usize = 9;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Observer {
    /// An observer of a fresh connection.
    #[must_use]
    pub fn new(limits: &[Arc<Limits>; 2]) -> Self {
        Observer { writers: Side::BOTH.map(|side| Writer::new(side, &limits[side as usize])) }
    }

    /// A machine has written these bytes.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn sent(&mut self, side: Side, bytes: &[u8]) -> Result<(), String> {
        self.writers[side as usize].write(side, bytes).map_err(|fault| format!("{side:?} on the wire: {fault}"))
    }

    /// So many bytes of the other side have arrived at `side`.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn received(&mut self, side: Side, bytes: usize) -> Result<(), String> {
        let [client, server] = &mut self.writers;
        let (reader, writer) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        writer.arrived += bytes as u64;
        while let Some((_, effect)) = writer.effects.pop_front_if(|(at, _)| *at <= writer.arrived) {
            reader.learn(effect);
        }
        Ok(())
    }

    /// Streams a side has begun and neither side has ended.
    #[must_use]
    pub fn streams(&self, side: Side) -> usize {
        self.writers[side as usize].open()
    }
}

impl Writer {
    fn new(side: Side, limits: &Arc<Limits>) -> Self {
        Writer {
            limits: Arc::clone(limits),
            partial: Vec::new(),
            preface_left: if side == Side::Client { PREFACE.len() } else { 0 },
            first: true,
            written: 0,
            effects: VecDeque::new(),
            arrived: 0,
            settings: VecDeque::new(),
            pings: VecDeque::new(),
            bound: Bound { window: 65_535, stream_window: 65_535, frame_bytes_max: 16_384, streams_max: None },
            streams: BTreeMap::new(),
            last_id: 0,
            go_away: None,
            block: None,
            decoder: Decoder::new(4_096),
            received_bytes: 0,
            returned_bytes: 0,
        }
    }

    /// Something of the other side has arrived here.
    fn learn(&mut self, effect: Effect) {
        match effect {
            Effect::Data { id, bytes } => {
                self.received_bytes += bytes;
                self.stream(id).received_bytes += bytes;
            }
            Effect::End { id } => self.stream(id).peer_ended = true,
            Effect::Open { id } => drop(self.stream(id)),
            Effect::Ping(payload) => self.pings.push_back(payload),
            Effect::Reset { id } => self.stream(id).peer_reset = true,
            Effect::Settings(entries) => self.settings.push_back(entries),
            Effect::WindowUpdate { id: 0, bytes } => self.bound.window += bytes,
            Effect::WindowUpdate { id, bytes } => self.stream(id).window += bytes,
        }
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        let window = self.bound.stream_window;
        self.streams.entry(id).or_insert_with(|| Stream { window, ..Stream::default() })
    }

    fn open(&self) -> usize {
        let open = |stream: &&Stream| {
            let closed = stream.reset || stream.peer_reset || stream.ended && stream.peer_ended;
            stream.headers && !closed
        };
        self.streams.values().filter(open).count()
    }

    fn write(&mut self, side: Side, bytes: &[u8]) -> Result<(), String> {
        self.partial.extend_from_slice(bytes);
        let mut at = 0;
        if self.preface_left > 0 {
            let preface = self.partial.get(..PREFACE.len()).ok_or("an incomplete preface in one transmit")?;
            if preface != PREFACE {
                return Err("a wrong preface".into());
            }
            at = self.preface_left;
            self.written += at as u64;
            self.preface_left = 0;
        }
        while let Some((head, rest)) = self.partial[at..].split_first_chunk::<HEAD_BYTES>() {
            let [l0, l1, l2, kind, flags, id @ ..] = *head;
            let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            if len > self.bound.frame_bytes_max {
                return Err(format!("a frame of {len} bytes; the peer takes {}", self.bound.frame_bytes_max));
            }
            if rest.len() < len {
                break;
            }
            let id = u32::from_be_bytes(id);
            if id >> 31 != 0 {
                return Err("the reserved bit is set".into());
            }
            let payload = rest[..len].to_vec();
            at += HEAD_BYTES + len;
            let begin = self.written;
            self.written += (HEAD_BYTES + len) as u64;
            self.frame(side, kind, flags, id, &payload, begin)
                .map_err(|fault| format!("{fault} (frame type {kind}, flags {flags:#x}, stream {id}, {len} bytes)"))?;
        }
        self.partial.drain(..at);
        Ok(())
    }

    fn frame(&mut self, side: Side, kind: u8, flags: u8, id: u32, payload: &[u8], begin: u64) -> Result<(), String> {
        if std::mem::take(&mut self.first) && (kind != 4 || flags & 1 != 0) {
            return Err("SETTINGS do not come first".into());
        }
        if let Some((open, ..)) = &self.block
            && (kind != 9 || *open != id)
        {
            return Err("a header block is interrupted".into());
        }
        match kind {
            0 => self.data(flags, id, payload, begin),
            1 => {
                self.check_headers(side, id)?;
                if flags & 4 != 0 {
                    return self.headers(side, id, flags & 1 != 0, payload);
                }
                self.block = Some((id, flags & 1 != 0, payload.to_vec()));
                Ok(())
            }
            3 => {
                let reason = u32::from_be_bytes(fixed(payload)?);
                let stream = self.streams.get_mut(&id).ok_or("a reset of an idle stream")?;
                // A side that has forgotten its reset may say so again.
                if std::mem::replace(&mut stream.reset, true) && reason != Reason::STREAM_CLOSED.code() {
                    return Err("a stream is reset twice".into());
                }
                self.tell(Effect::Reset { id });
                Ok(())
            }
            4 => self.settings(flags, id, payload),
            6 => self.ping(flags, id, fixed(payload)?),
            7 => self.go_away(id, payload),
            8 => self.window_update(id, u32::from_be_bytes(fixed(payload)?)),
            9 => {
                let (_, _, block) = self.block.as_mut().ok_or("CONTINUATION of nothing")?;
                block.extend_from_slice(payload);
                if flags & 4 == 0 {
                    return Ok(());
                }
                let (id, end, block) = self.block.take().ok_or("CONTINUATION of nothing")?;
                self.headers(side, id, end, &block)
            }
            _ => Err("a frame of a type that has no business here".into()),
        }
    }

    fn tell(&mut self, effect: Effect) {
        self.effects.push_back((self.written, effect));
    }

    fn data(&mut self, flags: u8, id: u32, payload: &[u8], begin: u64) -> Result<(), String> {
        if flags & !1 != 0 {
            return Err("flags that DATA of ours never has".into());
        }
        let len = payload.len() as i64;
        let stream = self.streams.get_mut(&id).ok_or("DATA on an idle stream")?;
        if !stream.headers || stream.ended || stream.reset {
            return Err(format!("DATA out of turn: {stream:?}"));
        }
        if len > 0 && (len > stream.window || len > self.bound.window) {
            return Err(format!("past a window: stream {}, connection {}", stream.window, self.bound.window));
        }
        stream.window -= len;
        stream.ended = flags & 1 != 0;
        self.bound.window -= len;
        let bytes = payload.len() as u64;
        // The reader may give back what it has seen of a frame before it has seen the whole.
        self.effects.push_back((begin + HEAD_BYTES as u64, Effect::Data { id, bytes }));
        if flags & 1 != 0 {
            self.tell(Effect::End { id });
        }
        Ok(())
    }

    fn check_headers(&mut self, side: Side, id: u32) -> Result<(), String> {
        if id.is_multiple_of(2) {
            return Err("HEADERS on an even stream".into());
        }
        if let Some(stream) = self.streams.get(&id) {
            if stream.ended || stream.reset {
                return Err(format!("HEADERS out of turn: {stream:?}"));
            }
            return Ok(());
        }
        if side == Side::Server {
            return Err("HEADERS of a server on a stream nobody opened".into());
        }
        if id <= self.last_id {
            return Err(format!("stream {id} is opened after {}", self.last_id));
        }
        self.last_id = id;
        let open = self.open();
        if self.bound.streams_max.is_some_and(|most| open >= most as usize) {
            return Err(format!("{open} streams are open already"));
        }
        self.stream(id);
        Ok(())
    }

    fn headers(&mut self, side: Side, id: u32, end: bool, block: &[u8]) -> Result<(), String> {
        let headers = self.decoder.decode(block, u32::MAX / 2).map_err(|error| format!("{error:?}"))?;
        if headers.is_empty() {
            return Err("a header block without fields".into());
        }
        let informational = headers.find(":status").is_some_and(|status| status.starts_with(b"1"));
        let stream = self.stream(id);
        let pseudo = headers.iter().next().is_some_and(|(name, _)| name.starts_with(b":"));
        let fits = match (stream.headers, side) {
            (true, _) => end && !pseudo,
            (false, Side::Client) => pseudo,
            (false, Side::Server) => pseudo && !(informational && end),
        };
        if !fits {
            return Err(format!("a header block out of turn: {headers:?} on {stream:?}"));
        }
        stream.headers |= !informational;
        stream.ended = end;
        self.tell(Effect::Open { id });
        if end {
            self.tell(Effect::End { id });
        }
        Ok(())
    }

    fn settings(&mut self, flags: u8, id: u32, payload: &[u8]) -> Result<(), String> {
        if id != 0 {
            return Err("SETTINGS on a stream".into());
        }
        if flags & 1 == 0 {
            let (entries, rest) = payload.as_chunks::<6>();
            if !rest.is_empty() {
                return Err("SETTINGS of odd length".into());
            }
            let entry = |&[n0, n1, value @ ..]: &[u8; 6]| (u16::from_be_bytes([n0, n1]), u32::from_be_bytes(value));
            self.tell(Effect::Settings(entries.iter().map(entry).collect()));
            return Ok(());
        }
        // From here on the writer keeps to what it has acknowledged.
        for (name, value) in self.settings.pop_front().ok_or("SETTINGS acknowledged that never arrived")? {
            match name {
                1 => self.decoder.set_table_bytes_max(value),
                3 => self.bound.streams_max = Some(value),
                4 => {
                    let more = i64::from(value) - self.bound.stream_window;
                    self.bound.stream_window += more;
                    self.streams.values_mut().for_each(|stream| stream.window += more);
                }
                5 => self.bound.frame_bytes_max = value as usize,
                _ => {}
            }
        }
        Ok(())
    }

    fn ping(&mut self, flags: u8, id: u32, payload: [u8; 8]) -> Result<(), String> {
        if id != 0 {
            return Err("PING on a stream".into());
        }
        if flags & 1 == 0 {
            self.tell(Effect::Ping(payload));
        } else if self.pings.pop_front() != Some(payload) {
            return Err("a PING is answered that was not the next".into());
        }
        Ok(())
    }

    fn go_away(&mut self, id: u32, payload: &[u8]) -> Result<(), String> {
        let last = u32::from_be_bytes(*payload.first_chunk().ok_or("GOAWAY is too short")?);
        if id != 0 || self.go_away.is_some_and(|before| last > before) {
            return Err(format!("GOAWAY {last} after {:?}", self.go_away));
        }
        self.go_away = Some(last);
        Ok(())
    }

    fn window_update(&mut self, id: u32, more: u32) -> Result<(), String> {
        if more == 0 || more >> 31 != 0 {
            return Err("WINDOW_UPDATE of nothing".into());
        }
        self.tell(Effect::WindowUpdate { id, bytes: more.into() });
        if id == 0 {
            self.returned_bytes += u64::from(more);
            // The first one raises the window from the default to the limit; later growth is bounded, too.
            let limits = &self.limits;
            let largest = u64::from(limits.connection_window_bytes).max(2 * u64::from(limits.window_bytes_max));
            let given = 65_535 + self.returned_bytes;
            if given > self.received_bytes + largest {
                return Err(format!("the connection's window rises to {}", given - self.received_bytes));
            }
            return Ok(());
        }
        let stream = self.streams.get_mut(&id).ok_or("WINDOW_UPDATE on an idle stream")?;
        if stream.reset {
            return Err("WINDOW_UPDATE after a reset".into());
        }
        stream.returned_bytes += u64::from(more);
        if stream.returned_bytes > stream.received_bytes {
            return Err(format!("more window given back than was used: {stream:?}"));
        }
        Ok(())
    }
}

fn fixed<const N: usize>(payload: &[u8]) -> Result<[u8; N], String> {
    payload.try_into().map_err(|_| format!("{} bytes instead of {N}", payload.len()))
}
