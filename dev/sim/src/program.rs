//! Random programs: what two sides of a connection are told to do, and over what link.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use polywire_engine::Limits;
use polywire_engine::limits::{Keepalive, Rate};

use crate::draw::{Dice, Draw};

/// One side of the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// It opens streams.
    Client,
    /// It answers them.
    Server,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    /// The peer of this side.
    #[must_use]
    pub fn peer(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// One step of a program. `pick` chooses among the streams a side knows, also those that are over: a command on them
/// must be ignored.
#[allow(missing_docs)] // the operations are described, and with them their fields
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The client opens a stream, with a first message of so many bytes.
    Open { headers: u8, bytes: Option<u32>, end: bool, timeout_ms: Option<u32> },
    /// A side sends DATA (a message). A server that has not answered yet sends its headers first.
    Send { side: Side, pick: u8, bytes: u32, end: bool },
    /// The server sends its headers.
    Start { pick: u8, headers: u8 },
    /// The server sends a 1xx response.
    Inform { pick: u8 },
    /// The server ends with trailers.
    Finish { pick: u8, headers: u8 },
    /// A side resets (cancels, refuses).
    Reset { side: Side, pick: u8 },
    /// A side keeps what it receives, or takes it at once again.
    Hold { side: Side, on: bool },
    /// A side takes part of what it has kept of one stream.
    Release { side: Side, pick: u8, percent: u8 },
    /// A side ends in order.
    Drain { side: Side },
    /// A side ends at once.
    Close { side: Side, error: bool },
    /// Time passes.
    Advance { ms: u32 },
    /// The bytes a side sends are cut off after so many more; `both`: the other direction at once, too.
    Cut { side: Side, after_bytes: u32, both: bool },
    /// A side reads nothing for so long.
    Stall { side: Side, ms: u32 },
}

/// What the link between the sides is like.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LinkTraits {
    /// Longest delay of a piece; each has its own, the order stays.
    pub delay_max: Duration,
    /// Bytes per second; `None`: no bound.
    pub bytes_per_s: Option<u64>,
    /// Bytes under way in one direction until the writer has to wait.
    pub capacity_bytes: usize,
    /// Longest piece written or read at once.
    pub piece_bytes_max: usize,
    /// One piece in so many has a bit changed; 0: none. The link of an honest run has none.
    pub corrupt_one_in: u32,
}

/// A whole program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Rolls delays and pieces.
    pub seed: u64,
    /// The link.
    pub link: LinkTraits,
    /// The limits of client and server.
    pub limits: [Arc<Limits>; 2],
    /// The steps.
    pub operations: Vec<Operation>,
}

impl Program {
    /// The program that `bytes` mean. All bytes mean one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut draw = Draw::new(bytes);
        let seed = u64::from(draw.word());
        let mode = draw.byte();
        let link = LinkTraits {
            delay_max: Duration::from_micros(draw.one_of(&[0, 50, 1_000, 20_000, 150_000])),
            bytes_per_s: draw.one_of(&[None, None, Some(100_000), Some(1_000_000), Some(50_000_000)]),
            capacity_bytes: draw.one_of(&[1 << 20, 16 << 10, 64 << 10, 256 << 10]),
            piece_bytes_max: draw.one_of(&[64 << 10, 1, 7, 100, 1_460, 16_393, 1 << 20]),
            corrupt_one_in: if mode % 8 == 7 { 1 + u32::from(draw.byte()) } else { 0 },
        };
        let mut limits = Side::BOTH.map(|_| limits(&mut draw));
        let tiny_windows = limits.iter().any(|limits| limits.window_bytes < 65_535);
        if tiny_windows {
            // Crumbs that a tiny window forces out are answered singly, and that costs the answering side.
            limits.iter_mut().for_each(|limits| limits.idle_frames = GENEROUS);
        }
        let limits = limits.map(Arc::new);
        let bytes_max = match limits.iter().map(|limits| limits.window_bytes).min() {
            Some(..1_000) => 1_500,
            _ if link.piece_bytes_max < 16 => 5_000,
            _ => 300_000,
        };
        let mut operations = Vec::new();
        while !draw.is_empty() && operations.len() < OPERATIONS_MAX {
            operations.push(operation(&mut draw, bytes_max, mode & 0x10 != 0));
        }
        Program { seed, link, limits, operations }
    }

    /// The program of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let len = 40 + dice.below(12) * dice.below(60);
        Self::from_bytes(&dice.bytes(len as usize))
    }

    /// Whether both sides get exactly what the other sent, as long as it gets anything.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        self.link.corrupt_one_in == 0
    }

    /// Whether something in the program may cost the connection its life.
    #[must_use]
    pub fn has_violence(&self) -> bool {
        let violent = |operation: &Operation| {
            matches!(operation, Operation::Cut { .. } | Operation::Stall { .. } | Operation::Close { .. })
        };
        !self.is_honest() || self.operations.iter().any(violent)
    }

    /// The smallest program that still fails: operations are left out as long as `fails` says so.
    #[must_use]
    pub fn shrink(&self, mut fails: impl FnMut(&Program) -> bool) -> Program {
        let mut best = self.clone();
        let mut len = best.operations.len().div_ceil(2);
        let mut tries = 0;
        while len > 0 && tries < SHRINK_TRIES {
            let mut at = 0;
            let before = best.operations.len();
            while at < best.operations.len() && tries < SHRINK_TRIES {
                let mut smaller = best.clone();
                smaller.operations.drain(at..(at + len).min(best.operations.len()));
                tries += 1;
                if fails(&smaller) {
                    best = smaller;
                } else {
                    at += len;
                }
            }
            if len == 1 && best.operations.len() == before {
                break;
            }
            len = (len / 2).max(1);
        }
        best
    }
}

/// Most operations of a program.
const OPERATIONS_MAX: usize = 400;

/// Most attempts of a shrink.
const SHRINK_TRIES: usize = 600;

/// A rate no program reaches.
const GENEROUS: Rate = Rate { burst: 10_000_000, per_second: 1_000_000 };

/// Limits that are unusual in a few places. Bounds against floods are either generous or the default, which honest
/// traffic of this size must not meet.
fn limits(draw: &mut Draw<'_>) -> Limits {
    let mut limits = Limits { ping_policy: None, ..Limits::default() };
    let unusual = draw.byte();
    if unusual & 1 != 0 {
        limits.window_bytes = draw.one_of(&[65_535, 1, 100, 1_000, 16_384, 65_536, 200_000]);
        limits.window_bytes_max = draw.one_of(&[16 << 20, 0, 300_000]);
    }
    if unusual & 2 != 0 {
        limits.connection_window_bytes = draw.one_of(&[65_535, 65_536, 100_000, 1 << 20]);
        limits.buffered_bytes_max = draw.one_of(&[16 << 20, 0, 1_000, 65_535, 500_000]);
    }
    if unusual & 4 != 0 {
        limits.frame_bytes_max = draw.one_of(&[16_384, 16_385, 100_000, (1 << 24) - 1]);
        limits.frame_send_bytes_max = draw.one_of(&[1_024, 16_384, 65_536, 1 << 20]);
        limits.transmit_bytes_max = draw.one_of(&[1_024, 4_096, 65_536, 1 << 20]);
        limits.direct_bytes_max = draw.one_of(&[0, 1, 1_000, 65_536]).min(limits.transmit_bytes_max);
    }
    if unusual & 8 != 0 {
        limits.header_table_bytes = draw.one_of(&[0, 64, 200, 4_096, 65_536]);
        limits.header_table_send_bytes_max = draw.one_of(&[0, 100, 4_096, 65_536]);
    }
    if unusual & 16 != 0 {
        limits.queue_high_bytes = draw.one_of(&[0, 1, 100, 64 << 10]);
        limits.queue_low_bytes = draw.one_of(&[0, 1, 50, 16 << 10]).min(limits.queue_high_bytes);
        limits.resets_remembered = draw.one_of(&[256, 1, 4]);
    }
    if unusual & 32 != 0 {
        limits.streams_max = draw.one_of(&[256, 1, 2, 5]);
        limits.streams_assumed = draw.one_of(&[100, 1, 3]);
        limits.stream_id_max = draw.one_of(&[3 << 29, 1, 9, 31]);
    }
    if unusual & 64 != 0 {
        let interval = Duration::from_millis(draw.one_of(&[1_000, 100_000]));
        let timeout = Duration::from_secs(20);
        limits.keepalive = Some(Keepalive { interval, timeout, without_calls: draw.one_in(2) });
        limits.idle_timeout = draw.one_of(&[None, Some(Duration::from_secs(5))]);
        limits.age_max = draw.one_of(&[None, Some(Duration::from_secs(3))]);
    }
    limits
}

fn operation(draw: &mut Draw<'_>, bytes_max: u32, violent: bool) -> Operation {
    let kind = draw.byte();
    let side = if kind & 0x80 == 0 { Side::Client } else { Side::Server };
    match kind % 32 {
        0..=5 => {
            let what = draw.byte();
            Operation::Open {
                headers: draw.byte(),
                bytes: (what & 1 != 0).then(|| length(draw, bytes_max)),
                end: what & 2 != 0,
                timeout_ms: (what & 0x1c == 0x1c).then(|| u32::from(draw.byte()) * 10),
            }
        }
        6..=12 => {
            let (pick, what) = (draw.byte(), draw.byte());
            Operation::Send { side, pick, bytes: length(draw, bytes_max), end: what.is_multiple_of(4) }
        }
        13 | 14 => Operation::Start { pick: draw.byte(), headers: draw.byte() },
        15 => Operation::Inform { pick: draw.byte() },
        16..=18 => Operation::Finish { pick: draw.byte(), headers: draw.byte() },
        19 => Operation::Reset { side, pick: draw.byte() },
        20 | 21 => Operation::Hold { side, on: !draw.byte().is_multiple_of(3) },
        22 | 23 => Operation::Release { side, pick: draw.byte(), percent: draw.byte() },
        24 if draw.one_in(6) => Operation::Drain { side },
        25 if violent && draw.one_in(6) => Operation::Close { side, error: draw.one_in(2) },
        26 if violent && draw.one_in(4) => {
            let after_bytes = u32::from(draw.byte()) * u32::from(draw.byte());
            Operation::Cut { side, after_bytes, both: draw.one_in(2) }
        }
        27 if violent && draw.one_in(2) => Operation::Stall { side, ms: u32::from(draw.byte()) * 200 },
        _ => Operation::Advance { ms: draw.one_of(&[0, 0, 1, 5, 20, 100, 1_000]) },
    }
}

/// Lengths near the borders where things change.
fn length(draw: &mut Draw<'_>, bytes_max: u32) -> u32 {
    let base = draw.one_of(&[0, 1, 5, 60, 1_000, 1_024, 16_384, 16_393, 65_535, 65_536, 100_000, 300_000]);
    let more = u32::from(draw.byte() % 8);
    (base + more).min(bytes_max)
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "link: {:?}", self.link)?;
        let usual = format!("{:#?}", Limits::default());
        for side in Side::BOTH {
            let limits = format!("{:#?}", self.limits[side as usize]);
            let unusual: Vec<_> =
                limits.lines().zip(usual.lines()).filter(|(a, b)| a != b).map(|(a, _)| a.trim()).collect();
            writeln!(f, "{side:?} limits: {}", unusual.join(" "))?;
        }
        for (step, operation) in self.operations.iter().enumerate() {
            writeln!(f, "{step:4} {operation:?}")?;
        }
        Ok(())
    }
}
