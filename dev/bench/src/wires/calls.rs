//! The calls of one case over one wire: so many at a time, each answer looked at.

use std::{io, sync::Arc, time::Instant};

use bench::{
    generated::bench::v1::{BenchClient, EchoRequest, EchoResponse, Order, OrderTotal, PullRequest},
    settings,
};
use polywire::{Channel, Limits, Status, codegen};
use serde::Serialize;

use super::{
    Case, Places, Wire,
    count::{Count, Lanes},
};
use crate::load::messages;

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

/// A channel to the server, or several, and what is to be asked through it.
pub(super) struct Calls {
    /// Lanes take them in turn.
    clients: Vec<BenchClient>,
    asked: Arc<Asked>,
    pub(super) count: Arc<Count>,
    in_flight: usize,
}

/// A question as a POST of REST, and its right answer.
pub(super) struct Exchange {
    pub(super) path: &'static str,
    pub(super) request: String,
    pub(super) answer: String,
}

/// A question and its right answer, written out.
enum Asked {
    Echo(EchoRequest),
    Order(Box<Order>, Box<OrderTotal>),
    Pull(PullRequest),
}

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
        // Where a connection carries one call at a time, the channel has one for each call in flight.
        let connections = if wire.shares { 1 } else { case.in_flight };
        let channel = || {
            let channel = Channel::builder(wire.target(places))?.limits(limits.clone()).codec(wire.codec);
            channel.connections_max(connections).build()
        };
        let channels = if case.apart { case.in_flight } else { 1 };
        let clients = (0..channels).map(|_| channel().map(BenchClient::new).map_err(io::Error::other));
        let asked = case.question.asked()?;
        Ok(Self {
            clients: clients.collect::<io::Result<_>>()?,
            asked: Arc::new(asked),
            count: Arc::default(),
            in_flight: case.in_flight,
        })
    }

    /// Begins: so many calls on each lane, or until the [`end`](Count::end).
    pub(super) fn start(&self, calls: Option<usize>) -> Lanes {
        let mut lanes = Lanes::default();
        for client in self.clients.iter().cycle().take(self.in_flight) {
            let (client, asked, count) = (client.clone(), Arc::clone(&self.asked), Arc::clone(&self.count));
            lanes.spawn(async move {
                let mut made = 0;
                while calls.is_none_or(|calls| made < calls) && !count.has_ended() {
                    let start = Instant::now();
                    asked.once(&client, &count).await.map_err(io::Error::other)?;
                    count.took(start);
                    made += 1;
                }
                Ok(())
            });
        }
        lanes
    }

    /// How many calls on each lane to count bytes of: enough that a window given back now and then is spread over many.
    pub(super) fn counted(&self) -> usize {
        match *self.asked {
            Asked::Pull(_) => 2,
            Asked::Echo(_) | Asked::Order(..) => 2_000_usize.div_ceil(self.in_flight),
        }
    }
}

impl Question {
    fn asked(self) -> io::Result<Asked> {
        Ok(match self {
            Self::Echo { bytes } => {
                Asked::Echo(EchoRequest { payload: vec![b'x'; bytes].into(), ..EchoRequest::default() })
            }
            Self::Order => {
                let (order, total) = messages::order();
                let order = codegen::message(&order.into()).map_err(io::Error::other)?;
                let total = codegen::message(&total.into()).map_err(io::Error::other)?;
                Asked::Order(Box::new(order), Box::new(total))
            }
            Self::Pull { count, bytes } => Asked::Pull(PullRequest { count, size: bytes, ..PullRequest::default() }),
        })
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// When REST does not ask this by a POST.
    pub(super) fn json(self) -> io::Result<Exchange> {
        match self.asked()? {
            Asked::Echo(request) => {
                let answer = EchoResponse { payload: request.payload.clone(), ..EchoResponse::default() };
                Exchange::new("/v1/echo", &request, &answer)
            }
            Asked::Order(order, total) => Exchange::new("/v1/total", &*order, &*total),
            Asked::Pull(_) => Err(io::Error::other("chunks are pulled by a GET")),
        }
    }
}

impl Exchange {
    fn new(path: &'static str, request: &impl Serialize, answer: &impl Serialize) -> io::Result<Self> {
        Ok(Self { path, request: serde_json::to_string(request)?, answer: serde_json::to_string(answer)? })
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

fn right(right: bool) -> Result<(), Status> {
    if right { Ok(()) } else { Err(Status::internal("the answer is wrong")) }
}
