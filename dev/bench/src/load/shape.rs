//! The four shapes of a call, from the side of the load.

use std::io;

use super::{
    frames::{self, flag, kind},
    headers::RequestHead,
    lanes::Lanes,
    link::Link,
    request::{Expected, Template},
    tally::Tally,
};

/// What a shape may know of the moment.
pub(crate) struct Turn {
    /// Nanoseconds since the run began.
    pub(crate) now: u64,
    /// Whether a call that ended is followed by a new one.
    pub(crate) more: bool,
    pub(crate) tally: Tally,
}

/// The calls of one link.
pub(crate) trait Shape {
    /// Begins a call that was due at `due`.
    fn start(&mut self, link: &mut Link, due: u64);
    /// Part of an answer arrived.
    fn data(&mut self, link: &mut Link, turn: &mut Turn, stream: u32, bytes: &[u8]) -> io::Result<()>;
    /// An answer ended with status OK.
    fn ended(&mut self, link: &mut Link, turn: &mut Turn, stream: u32) -> io::Result<()>;
    /// The server takes `bytes` more on a stream, or with 0 on the connection.
    fn window(&mut self, link: &mut Link, turn: &mut Turn, stream: u32, bytes: u32) -> io::Result<()>;
    /// Writes more of what is to be sent; says whether there would have been more than fits now.
    fn pump(&mut self, _: &mut Link) -> bool {
        false
    }
    /// Calls begun and not ended.
    fn open(&self) -> usize;
}

/// A unary call: all of it is known beforehand.
pub(crate) struct Unary {
    first: Option<Template>,
    again: Template,
    slow: Option<Slow>,
    expected: Expected,
    lanes: Lanes<UnaryLane>,
    /// Moments of calls that wait for the connection's window.
    waiting: Vec<u64>,
}

/// Every so many calls one whose handler sleeps.
pub(crate) struct Slow {
    pub(crate) every: u32,
    pub(crate) again: Template,
    pub(crate) since_last: u32,
}

#[derive(Default)]
struct UnaryLane {
    due: u64,
    received: usize,
    slow: bool,
}

impl Unary {
    pub(crate) fn new(
        head: &RequestHead,
        make: impl Fn(&[u8]) -> Template,
        expected: Expected,
        streams: usize,
    ) -> Self {
        Self {
            first: Some(make(&head.first)),
            again: make(&head.again),
            slow: None,
            expected,
            lanes: Lanes::with_room(streams),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn with_slow(mut self, slow: Slow) -> Self {
        self.slow = Some(slow);
        self
    }
}

impl Shape for Unary {
    fn start(&mut self, link: &mut Link, due: u64) {
        if !link.reserve(self.again.body_bytes()) {
            self.waiting.push(due);
            return;
        }
        let (stream, lane) = self.lanes.open(link);
        lane.due = due;
        if let Some(first) = self.first.take() {
            first.write(&mut link.out, stream);
            return;
        }
        if let Some(slow) = &mut self.slow {
            slow.since_last += 1;
            if slow.since_last == slow.every {
                slow.since_last = 0;
                lane.slow = true;
                slow.again.write(&mut link.out, stream);
                return;
            }
        }
        self.again.write(&mut link.out, stream);
    }

    fn data(&mut self, _: &mut Link, _: &mut Turn, stream: u32, bytes: &[u8]) -> io::Result<()> {
        let lane = self.lanes.find(stream)?;
        if !self.expected.matches(stream, lane.received, bytes) {
            return Err(wrong(stream, lane.received, bytes));
        }
        lane.received += bytes.len();
        Ok(())
    }

    fn ended(&mut self, link: &mut Link, turn: &mut Turn, stream: u32) -> io::Result<()> {
        let lane = self.lanes.close(stream)?;
        if lane.received != self.expected.len() {
            return Err(short(stream, lane.received, self.expected.len()));
        }
        turn.tally.operations += 1;
        let took = turn.now.saturating_sub(lane.due);
        if lane.slow {
            turn.tally.slow_took(took);
        } else {
            turn.tally.took(took);
        }
        if turn.more {
            self.start(link, turn.now);
        }
        Ok(())
    }

    fn window(&mut self, link: &mut Link, _: &mut Turn, _: u32, _: u32) -> io::Result<()> {
        for due in std::mem::take(&mut self.waiting) {
            self.start(link, due);
        }
        Ok(())
    }

    fn open(&self) -> usize {
        self.lanes.len() + self.waiting.len()
    }
}

/// Server streaming: one small request, many messages back. An operation is a message.
pub(crate) struct Pull {
    first: Option<Template>,
    again: Template,
    /// One message, with its prefix.
    message: Expected,
    count: u32,
    lanes: Lanes<PullLane>,
}

#[derive(Default)]
struct PullLane {
    due: u64,
    messages: u32,
    /// Bytes of the current message that have arrived.
    received: usize,
    /// Bytes not given back to the stream's window.
    unreturned: u32,
}

/// A stream's window is given back in pieces of this size: half of what it starts with.
const RETURNED_AT: u32 = 1 << 19;

impl Pull {
    pub(crate) fn new(
        head: &RequestHead,
        make: impl Fn(&[u8]) -> Template,
        message: Vec<u8>,
        count: u32,
        streams: usize,
    ) -> Self {
        Self {
            first: Some(make(&head.first)),
            again: make(&head.again),
            message: Expected::new(message),
            count,
            lanes: Lanes::with_room(streams),
        }
    }
}

impl Shape for Pull {
    fn start(&mut self, link: &mut Link, due: u64) {
        let reserved = link.reserve(self.again.body_bytes());
        assert!(reserved, "a request of a few bytes fits into any window");
        let (stream, lane) = self.lanes.open(link);
        lane.due = due;
        let first = self.first.take();
        first.as_ref().unwrap_or(&self.again).write(&mut link.out, stream);
    }

    fn data(&mut self, link: &mut Link, turn: &mut Turn, stream: u32, mut bytes: &[u8]) -> io::Result<()> {
        let lane = self.lanes.find(stream)?;
        lane.unreturned += bytes.len() as u32;
        if lane.unreturned >= RETURNED_AT {
            link.grant(stream, std::mem::take(&mut lane.unreturned));
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.message.len() - lane.received));
            if lane.messages == self.count || !self.message.matches(stream, lane.received, now) {
                return Err(wrong(stream, lane.received, now));
            }
            lane.received += now.len();
            bytes = later;
            if lane.received == self.message.len() {
                lane.received = 0;
                lane.messages += 1;
                turn.tally.operations += 1;
            }
        }
        Ok(())
    }

    fn ended(&mut self, link: &mut Link, turn: &mut Turn, stream: u32) -> io::Result<()> {
        let lane = self.lanes.close(stream)?;
        if lane.messages != self.count || lane.received != 0 {
            return Err(short(stream, lane.messages as usize, self.count as usize));
        }
        turn.tally.took(turn.now.saturating_sub(lane.due));
        if turn.more {
            self.start(link, turn.now);
        }
        Ok(())
    }

    fn window(&mut self, _: &mut Link, _: &mut Turn, _: u32, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn open(&self) -> usize {
        self.lanes.len()
    }
}

/// Client streaming: many messages, one summary back. An operation is a message.
pub(crate) struct Push {
    first: Option<Template>,
    again: Template,
    /// One message, with its prefix, as its DATA frames: bytes that count and the frame itself.
    frames: Vec<(usize, Template)>,
    count: u32,
    summary: Expected,
    lanes: Lanes<PushLane>,
}

#[derive(Default)]
struct PushLane {
    due: u64,
    /// Messages to be sent, and the frame of the current one that is next.
    left: u32,
    frame: usize,
    window: i64,
    received: usize,
}

/// How much is prepared for the socket at a time, and of one stream before the next has its turn.
const PUMPED_BYTES: usize = 256 << 10;
const PUMPED_AT_ONCE: usize = 64 << 10;

impl Push {
    pub(crate) fn new(
        head: &RequestHead,
        message: &[u8],
        frame_max: usize,
        count: u32,
        summary: Vec<u8>,
        streams: usize,
    ) -> Self {
        let make = |head: &[u8]| Template::new(head, &[], frame_max, false);
        let frames = message.chunks(frame_max).map(|chunk| (chunk.len(), Template::new(&[], chunk, frame_max, false)));
        Self {
            first: Some(make(&head.first)),
            again: make(&head.again),
            frames: frames.collect(),
            count,
            summary: Expected::new(summary),
            lanes: Lanes::with_room(streams),
        }
    }
}

impl Shape for Push {
    fn start(&mut self, link: &mut Link, due: u64) {
        let window = link.peer().stream_window.into();
        let (stream, lane) = self.lanes.open(link);
        *lane = PushLane { due, left: self.count, window, ..PushLane::default() };
        let first = self.first.take();
        first.as_ref().unwrap_or(&self.again).write(&mut link.out, stream);
    }

    fn data(&mut self, _: &mut Link, _: &mut Turn, stream: u32, bytes: &[u8]) -> io::Result<()> {
        let lane = self.lanes.find(stream)?;
        if lane.left > 0 || !self.summary.matches(stream, lane.received, bytes) {
            return Err(wrong(stream, lane.received, bytes));
        }
        lane.received += bytes.len();
        Ok(())
    }

    fn ended(&mut self, link: &mut Link, turn: &mut Turn, stream: u32) -> io::Result<()> {
        let lane = self.lanes.close(stream)?;
        if lane.received != self.summary.len() {
            return Err(short(stream, lane.received, self.summary.len()));
        }
        turn.tally.operations += u64::from(self.count);
        turn.tally.took(turn.now.saturating_sub(lane.due));
        if turn.more {
            self.start(link, turn.now);
        }
        Ok(())
    }

    fn window(&mut self, _: &mut Link, _: &mut Turn, stream: u32, bytes: u32) -> io::Result<()> {
        // A window for a stream that has ended meanwhile is of no use to anybody.
        if stream != 0
            && let Ok(lane) = self.lanes.find(stream)
        {
            lane.window += i64::from(bytes);
        }
        Ok(())
    }

    fn pump(&mut self, link: &mut Link) -> bool {
        loop {
            let before = link.unsent();
            for (stream, lane) in self.lanes.iter_mut() {
                let mut at_once = 0;
                while lane.left > 0 && at_once < PUMPED_AT_ONCE {
                    let (bytes, frame) = &self.frames[lane.frame];
                    if lane.window < *bytes as i64 || !link.reserve(*bytes) {
                        break;
                    }
                    lane.window -= *bytes as i64;
                    at_once += bytes;
                    frame.write(&mut link.out, stream);
                    lane.frame += 1;
                    if lane.frame == self.frames.len() {
                        lane.frame = 0;
                        lane.left -= 1;
                        if lane.left == 0 {
                            frames::write(&mut link.out, kind::DATA, flag::END_STREAM, stream, &[]);
                        }
                    }
                }
                if link.unsent() >= PUMPED_BYTES {
                    return true;
                }
            }
            if link.unsent() == before {
                return false;
            }
        }
    }

    fn open(&self) -> usize {
        self.lanes.len()
    }
}

/// Bidirectional streaming: a message is sent when the last was answered. An operation is one of
/// each; the stream lasts as long as the run.
pub(crate) struct PingPong {
    first: Option<Template>,
    again: Template,
    ping: Template,
    pong: Expected,
    lanes: Lanes<PingLane>,
}

#[derive(Default)]
struct PingLane {
    due: u64,
    received: usize,
    window: i64,
    unreturned: u32,
    /// There was no window for the next message.
    waiting: bool,
    /// Our side has ended.
    ended: bool,
}

impl PingPong {
    /// The stream's id is put at `stamp` of each message.
    pub(crate) fn new(head: &RequestHead, message: &[u8], stamp: usize, frame_max: usize, streams: usize) -> Self {
        Self {
            first: Some(Template::new(&head.first, &[], frame_max, false)),
            again: Template::new(&head.again, &[], frame_max, false),
            ping: Template::new(&[], message, frame_max, false).stamped(stamp),
            pong: Expected::new(message.to_vec()).stamped(stamp),
            lanes: Lanes::with_room(streams),
        }
    }

    fn ping(ping: &Template, link: &mut Link, stream: u32, lane: &mut PingLane) {
        let bytes = ping.body_bytes();
        lane.waiting = lane.window < bytes as i64 || !link.reserve(bytes);
        if !lane.waiting {
            lane.window -= bytes as i64;
            ping.write(&mut link.out, stream);
        }
    }
}

impl Shape for PingPong {
    fn start(&mut self, link: &mut Link, due: u64) {
        let window = link.peer().stream_window.into();
        let (stream, lane) = self.lanes.open(link);
        *lane = PingLane { due, window, ..PingLane::default() };
        let first = self.first.take();
        first.as_ref().unwrap_or(&self.again).write(&mut link.out, stream);
        Self::ping(&self.ping, link, stream, lane);
    }

    fn data(&mut self, link: &mut Link, turn: &mut Turn, stream: u32, bytes: &[u8]) -> io::Result<()> {
        let lane = self.lanes.find(stream)?;
        if lane.ended || !self.pong.matches(stream, lane.received, bytes) {
            return Err(wrong(stream, lane.received, bytes));
        }
        lane.unreturned += bytes.len() as u32;
        if lane.unreturned >= RETURNED_AT {
            link.grant(stream, std::mem::take(&mut lane.unreturned));
        }
        lane.received += bytes.len();
        if lane.received == self.pong.len() {
            lane.received = 0;
            turn.tally.operations += 1;
            turn.tally.took(turn.now.saturating_sub(lane.due));
            lane.due = turn.now;
            if turn.more {
                Self::ping(&self.ping, link, stream, lane);
            } else {
                lane.ended = true;
                frames::write(&mut link.out, kind::DATA, flag::END_STREAM, stream, &[]);
            }
        }
        Ok(())
    }

    fn ended(&mut self, _: &mut Link, _: &mut Turn, stream: u32) -> io::Result<()> {
        let lane = self.lanes.close(stream)?;
        if lane.ended && lane.received == 0 {
            Ok(())
        } else {
            Err(io::Error::other(format!("stream {stream} ended in the middle")))
        }
    }

    fn window(&mut self, link: &mut Link, _: &mut Turn, stream: u32, bytes: u32) -> io::Result<()> {
        for (id, lane) in self.lanes.iter_mut().filter(|(id, _)| stream == 0 || *id == stream) {
            if stream != 0 {
                lane.window += i64::from(bytes);
            }
            if lane.waiting {
                Self::ping(&self.ping, link, id, lane);
            }
        }
        Ok(())
    }

    fn open(&self) -> usize {
        self.lanes.len()
    }
}

#[cold]
fn wrong(stream: u32, offset: usize, bytes: &[u8]) -> io::Error {
    let start = &bytes[..bytes.len().min(32)];
    io::Error::other(format!("a wrong answer on stream {stream} at byte {offset}: {start:02x?}"))
}

#[cold]
fn short(stream: u32, received: usize, expected: usize) -> io::Error {
    io::Error::other(format!("stream {stream} answered {received} of {expected}"))
}
