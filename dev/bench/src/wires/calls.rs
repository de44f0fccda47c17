//! The calls of one case over one wire: so many at a time, each answer looked at.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use bench::{
    generated::bench::v1::{BenchClient, EchoRequest, Order, OrderTotal, PullRequest},
    settings,
};
use polywire::{Channel, Limits, Status, codegen};
use tokio::task::JoinSet;

use super::{Case, Places, Wire};
use crate::load::{Latency, Tally, messages};

/// What is asked of the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// Unary: so many bytes there and back.
    Echo { bytes: usize },
    /// Unary: an order, read field by field.
    Order,
    /// Server streaming: so many messages of so many bytes on a stream. An operation is a message.
    Pull { count: u32, bytes: u32 },
}

/// A channel to the server and what is to be asked through it.
pub(super) struct Calls {
    client: BenchClient,
    asked: Arc<Asked>,
    count: Arc<Count>,
    in_flight: usize,
}

/// A question and its right answer, written out.
enum Asked {
    Echo(EchoRequest),
    Order(Box<Order>, Box<OrderTotal>),
    Pull(PullRequest),
}

/// What all lanes count together.
struct Count {
    operations: AtomicU64,
    ended: AtomicBool,
    /// While calls are measured.
    tally: Mutex<Option<Tally>>,
}

/// Calls going on.
pub(super) struct Lanes(JoinSet<Result<(), Status>>);

impl Calls {
    /// Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the wire's target cannot be understood.
    pub(super) fn new(wire: &Wire, case: &Case, places: &Places) -> io::Result<Self> {
        let limits = Limits {
            window_bytes: settings::STREAM_WINDOW_BYTES,
            connection_window_bytes: settings::CONNECTION_WINDOW_BYTES,
            window_bytes_max: settings::STREAM_WINDOW_BYTES,
            ..Limits::default()
        };
        let connections = if wire.shares { 1 } else { case.in_flight };
        let channel = Channel::builder(wire.target(places)).map_err(io::Error::other)?.limits(limits).codec(wire.codec);
        let channel = channel.connections_max(connections).build().map_err(io::Error::other)?;
        let asked = match case.question {
            Question::Echo { bytes } => {
                Asked::Echo(EchoRequest { payload: vec![b'x'; bytes].into(), ..EchoRequest::default() })
            }
            Question::Order => {
                let (order, total) = messages::order();
                let order = codegen::message(&order.into()).map_err(io::Error::other)?;
                let total = codegen::message(&total.into()).map_err(io::Error::other)?;
                Asked::Order(Box::new(order), Box::new(total))
            }
            Question::Pull { count, bytes } => {
                Asked::Pull(PullRequest { count, size: bytes, ..PullRequest::default() })
            }
        };
        Ok(Self {
            client: BenchClient::new(channel),
            asked: Arc::new(asked),
            count: Arc::new(Count {
                operations: AtomicU64::new(0),
                ended: AtomicBool::new(false),
                tally: Mutex::new(None),
            }),
            in_flight: case.in_flight,
        })
    }

    /// Begins: so many calls on each lane, or until the [`end`](Self::end).
    pub(super) fn start(&self, calls: Option<usize>) -> Lanes {
        let mut lanes = JoinSet::new();
        for _ in 0..self.in_flight {
            let (client, asked, count) = (self.client.clone(), Arc::clone(&self.asked), Arc::clone(&self.count));
            lanes.spawn(async move {
                let mut made = 0;
                while calls.is_none_or(|calls| made < calls) && !count.ended.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    asked.once(&client, &count).await?;
                    count.took(start);
                    made += 1;
                }
                Ok(())
            });
        }
        Lanes(lanes)
    }

    /// From now on latencies are noted.
    pub(super) fn begin(&self) {
        *self.count.tally() = Some(Tally::new());
    }

    /// No call begins any more. The latencies of those that ended since the [`begin`](Self::begin).
    pub(super) fn end(&self) -> Latency {
        self.count.ended.store(true, Ordering::Relaxed);
        self.count.tally().take().map(|tally| tally.latency()).unwrap_or_default()
    }

    /// Calls, or messages of streams, so far.
    pub(super) fn operations(&self) -> u64 {
        self.count.operations.load(Ordering::Relaxed)
    }

    /// How many calls on each lane to count bytes of: enough that a window given back now and then is spread over many.
    pub(super) fn counted(&self) -> usize {
        match *self.asked {
            Asked::Pull(_) => 2,
            Asked::Echo(_) | Asked::Order(..) => 2_000_usize.div_ceil(self.in_flight),
        }
    }
}

impl Lanes {
    /// Waits for the last call.
    ///
    /// # Errors
    ///
    /// When a call failed or an answer was wrong.
    pub(super) async fn join(mut self) -> io::Result<()> {
        while let Some(lane) = self.0.join_next().await {
            lane.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Asked {
    async fn once(&self, client: &BenchClient, count: &Count) -> Result<(), Status> {
        match self {
            Self::Echo(request) => {
                right(client.echo(request).await?.payload == request.payload)?;
                count.one_more();
            }
            Self::Order(order, total) => {
                right(client.total(&**order).await? == **total)?;
                count.one_more();
            }
            Self::Pull(request) => {
                let mut chunks = client.pull(request).await?;
                let mut seen = 0;
                while let Some(chunk) = chunks.next().await? {
                    right(chunk.payload.len() == request.size as usize)?;
                    count.one_more();
                    seen += 1;
                }
                right(seen == request.count)?;
            }
        }
        Ok(())
    }
}

impl Count {
    fn one_more(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    fn took(&self, start: Instant) {
        if let Some(tally) = &mut *self.tally() {
            tally.took(start.elapsed().as_nanos() as u64);
        }
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Option<Tally>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn right(right: bool) -> Result<(), Status> {
    if right { Ok(()) } else { Err(Status::internal("the answer is wrong")) }
}
