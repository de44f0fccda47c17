//! The one load generator for all servers: raw HTTP/2 with frames made beforehand, on one thread.
//!
//! It shares nothing with the engine it measures but the decoder of header blocks, and it stays
//! the same while the engine changes. It is a well-behaved client: it keeps to windows and
//! limits, gives windows back, and looks at every byte and status of every answer.

mod fleet;
mod frames;
mod headers;
mod lanes;
mod link;
pub(crate) mod messages;
mod request;
mod shape;
mod tally;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use self::{
    fleet::Fleet,
    headers::RequestHead,
    link::Link,
    request::{Expected, Template},
    shape::{PingPong, Pull, Push, Shape, Slow, Unary},
};
pub(crate) use self::{
    link::PeerSettings,
    tally::{Latency, Tally},
};

/// What is asked of a server.
#[derive(Copy, Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Work {
    /// Unary: so many bytes there and back.
    Echo { bytes: usize },
    /// The same, and one handler in a hundred sleeps so long.
    EchoSomeSlow { bytes: usize, sleep_us: u32 },
    /// Unary: an order of 20 lines, read field by field.
    Order,
    /// Bidirectional streaming: messages that are answered one by one.
    PingPong { bytes: usize },
    /// Server streaming: so many messages on a stream; `by_task` has them come from a task of its
    /// own through a channel where that is not how the server does it anyway.
    Pull { count: u32, bytes: usize, by_task: bool },
    /// Client streaming: so many messages on a stream.
    Push { count: u32, bytes: usize },
}

/// How a server is asked.
#[derive(Copy, Clone, Debug, serde::Serialize)]
pub(crate) struct Load {
    pub(crate) work: Work,
    pub(crate) connections: usize,
    /// Calls open at a time on each connection.
    pub(crate) in_flight: usize,
    /// Calls begun per second on all connections together; without it, as fast as answers come.
    pub(crate) per_second: Option<f64>,
}

/// What a run showed.
#[derive(Copy, Clone, Debug, serde::Serialize)]
pub(crate) struct Run {
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) latency: Latency,
    pub(crate) server: PeerSettings,
}

impl Load {
    /// Connects, checks an answer on every connection, warms up for a quarter of `time`, and
    /// measures for `time`. `between` is called when the measured part begins and when the last
    /// answer has come: nothing is in flight at either moment.
    ///
    /// # Errors
    ///
    /// When any answer is wrong.
    pub(crate) fn run(&self, address: SocketAddr, time: Duration, between: &mut dyn FnMut()) -> io::Result<Run> {
        match self.work {
            Work::Echo { bytes } => {
                self.measure(address, time, between, |link| unary_echo(link, bytes, self.in_flight))
            }
            Work::EchoSomeSlow { bytes, sleep_us } => {
                // Calls keep coming while some sleep.
                let lanes = self.in_flight.max(256);
                self.measure(address, time, between, |link| {
                    unary_echo(link, bytes, lanes).with_slow(slow(link, bytes, sleep_us))
                })
            }
            Work::Order => self.measure(address, time, between, |link| unary_order(link, self.in_flight)),
            Work::PingPong { bytes } => {
                self.measure(address, time, between, |link| ping_pong(link, bytes, self.in_flight))
            }
            Work::Pull { count, bytes, by_task } => {
                let body = messages::envelope(&messages::pull(count, size(bytes), by_task));
                self.measure(address, time, between, |link| pull(link, &body, count, bytes, self.in_flight))
            }
            Work::Push { count, bytes } => {
                self.measure(address, time, between, |link| push(link, count, bytes, self.in_flight))
            }
        }
    }

    fn measure<S: Shape>(
        &self,
        address: SocketAddr,
        time: Duration,
        between: &mut dyn FnMut(),
        shape: impl FnMut(&Link) -> S,
    ) -> io::Result<Run> {
        let mut fleet = Fleet::connect(address, self.connections, shape)?;
        fleet.call_once()?;
        let mut run = |time| match self.per_second {
            None => fleet.run(self.in_flight, time),
            Some(per_second) => fleet.run_at_rate(per_second, time),
        };
        run(time / 4)?;
        between();
        let start = Instant::now();
        let tally = run(time)?;
        let seconds = start.elapsed().as_secs_f64();
        between();
        if let (Work::EchoSomeSlow { sleep_us, .. }, Some(fastest)) = (self.work, tally.slow_min())
            && fastest < Duration::from_micros(sleep_us.into())
        {
            return Err(io::Error::other(format!("a call that sleeps took {fastest:?}")));
        }
        let server = fleet.links().next().map(Link::peer).expect("a run has connections");
        Ok(Run { operations: tally.operations, seconds, latency: tally.latency(), server })
    }
}

/// Connections that do nothing.
pub(crate) struct Idle {
    fleet: Fleet<Unary>,
}

impl Idle {
    pub(crate) fn connect(address: SocketAddr, connections: usize) -> io::Result<Self> {
        Ok(Self { fleet: Fleet::connect(address, connections, |link| unary_echo(link, 16, 1))? })
    }

    /// One call on each of them, one after another.
    pub(crate) fn call_once(&mut self) -> io::Result<()> {
        self.fleet.call_once()
    }

    /// The ports they come from.
    pub(crate) fn ports(&self) -> io::Result<Vec<u16>> {
        self.fleet.links().map(Link::local_port).collect()
    }

    /// What the server announced.
    pub(crate) fn server(&self) -> PeerSettings {
        self.fleet.links().next().map(Link::peer).expect("at least one connection")
    }
}

fn unary_echo(link: &Link, bytes: usize, streams: usize) -> Unary {
    let message = messages::payload(&vec![b'x'; bytes], 0);
    let stamp = messages::PREFIX_BYTES + messages::payload_offset(bytes);
    let body = messages::envelope(&message);
    let make = |head: &[u8]| Template::new(head, &body, frame_max(link), true).stamped(stamp);
    Unary::new(&RequestHead::new("Echo"), make, Expected::new(body.clone()).stamped(stamp), streams)
}

fn slow(link: &Link, bytes: usize, sleep_us: u32) -> Slow {
    let body = messages::envelope(&messages::payload(&vec![b'x'; bytes], sleep_us));
    let stamp = messages::PREFIX_BYTES + messages::payload_offset(bytes);
    let again = Template::new(&RequestHead::new("Echo").again, &body, frame_max(link), true).stamped(stamp);
    Slow { every: 100, again, since_last: 0 }
}

fn unary_order(link: &Link, streams: usize) -> Unary {
    let (order, total) = messages::order();
    let body = messages::envelope(&order);
    let make = |head: &[u8]| Template::new(head, &body, frame_max(link), true);
    Unary::new(&RequestHead::new("Total"), make, Expected::new(messages::envelope(&total)), streams)
}

fn pull(link: &Link, body: &[u8], count: u32, bytes: usize, streams: usize) -> Pull {
    let make = |head: &[u8]| Template::new(head, body, frame_max(link), true);
    let message = messages::envelope(&messages::payload(&vec![b'x'; bytes], 0));
    Pull::new(&RequestHead::new("Pull"), make, message, count, streams)
}

fn push(link: &Link, count: u32, bytes: usize, streams: usize) -> Push {
    let message = messages::envelope(&messages::payload(&vec![b'x'; bytes], 0));
    let summary = messages::push_summary(count.into(), u64::from(count) * bytes as u64);
    Push::new(&RequestHead::new("Push"), &message, frame_max(link), count, messages::envelope(&summary), streams)
}

fn ping_pong(link: &Link, bytes: usize, streams: usize) -> PingPong {
    let body = messages::envelope(&messages::payload(&vec![b'x'; bytes], 0));
    let stamp = messages::PREFIX_BYTES + messages::payload_offset(bytes);
    PingPong::new(&RequestHead::new("PingPong"), &body, stamp, frame_max(link), streams)
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("messages of a benchmark are small")
}

fn frame_max(link: &Link) -> usize {
    link.peer().frame_max as usize
}
