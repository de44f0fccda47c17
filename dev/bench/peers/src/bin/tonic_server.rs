//! The benchmark's service on tonic with prost.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use peers::{
    CHANNEL_MESSAGES, measured_server, settings,
    tonic_bench::{
        Chunk, EchoRequest, EchoResponse, Money, Order, OrderTotal, PullRequest, PushSummary,
        bench_server::{Bench, BenchServer},
    },
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::server::TcpIncoming};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    measured_server::on_one_thread(serve());
}

async fn serve() {
    // `serve_with_incoming` sets nothing on the sockets: TCP_NODELAY has to be asked for here.
    let incoming = TcpIncoming::bind(measured_server::listen_address())
        .expect("the address can be bound")
        .with_nodelay(Some(true));
    let address = incoming.local_addr().expect("a bound socket has an address");
    measured_server::announce("tonic", "0.14.9", address);
    tonic::transport::Server::builder()
        .initial_stream_window_size(settings::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(settings::CONNECTION_WINDOW_BYTES)
        .max_frame_size(settings::FRAME_BYTES_MAX)
        .max_concurrent_streams(settings::STREAMS_MAX)
        .add_service(BenchServer::new(Service))
        .serve_with_incoming_shutdown(incoming, measured_server::stdin_closed())
        .await
        .expect("the server runs until it is told to stop");
}

struct Service;

type Replies = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

#[tonic::async_trait]
impl Bench for Service {
    type PullStream = Replies;
    type PingPongStream = Replies;

    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        let request = request.into_inner();
        if request.sleep_us > 0 {
            tokio::time::sleep(Duration::from_micros(request.sleep_us.into())).await;
        }
        Ok(Response::new(EchoResponse { payload: request.payload }))
    }

    async fn total(&self, request: Request<Order>) -> Result<Response<OrderTotal>, Status> {
        Ok(Response::new(add_up(request.get_ref())))
    }

    async fn pull(&self, request: Request<PullRequest>) -> Result<Response<Replies>, Status> {
        let PullRequest { count, size, by_task } = request.into_inner();
        let payload = Bytes::from(vec![b'x'; size as usize]);
        if by_task {
            // As in tonic's own examples.
            let (sender, receiver) = tokio::sync::mpsc::channel(CHANNEL_MESSAGES);
            tokio::spawn(async move {
                for _ in 0..count {
                    if sender.send(Ok(Chunk { payload: payload.clone() })).await.is_err() {
                        return;
                    }
                }
            });
            return Ok(Response::new(Box::pin(ReceiverStream::new(receiver))));
        }
        // The cheapest stream there is: no task, no channel.
        let chunks = (0..count).map(move |_| Ok(Chunk { payload: payload.clone() }));
        Ok(Response::new(Box::pin(futures_util::stream::iter(chunks))))
    }

    async fn push(&self, request: Request<Streaming<Chunk>>) -> Result<Response<PushSummary>, Status> {
        let mut requests = request.into_inner();
        let mut summary = PushSummary::default();
        while let Some(chunk) = requests.message().await? {
            summary.chunks += 1;
            summary.bytes += chunk.payload.len() as u64;
        }
        Ok(Response::new(summary))
    }

    async fn ping_pong(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Replies>, Status> {
        Ok(Response::new(Box::pin(request.into_inner().map(|chunk| chunk))))
    }
}

/// Reads every field of the order.
fn add_up(order: &Order) -> OrderTotal {
    let mut total = OrderTotal {
        id: order.id.clone(),
        text_bytes: (order.id.len() + order.customer.len() + order.note.len()) as u64,
        ..OrderTotal::default()
    };
    if let Some(address) = &order.address {
        for text in [&address.name, &address.street, &address.city, &address.postal_code, &address.country] {
            total.text_bytes += text.len() as u64;
        }
    }
    let mut sum = Money::default();
    let mut nanos = 0;
    for line in &order.lines {
        total.lines += 1;
        total.quantity += u64::from(line.quantity);
        total.gifts += u32::from(line.gift);
        total.weight_kg += line.weight_kg * f64::from(line.quantity);
        total.text_bytes += (line.sku.len() + line.title.len()) as u64;
        total.text_bytes += line.options.iter().map(|option| option.len() as u64).sum::<u64>();
        if let Some(price) = &line.unit_price {
            if sum.currency.is_empty() {
                sum.currency.clone_from(&price.currency);
            }
            total.text_bytes += price.currency.len() as u64;
            sum.units += price.units * i64::from(line.quantity);
            nanos += i64::from(price.nanos) * i64::from(line.quantity);
        }
    }
    sum.units += nanos / 1_000_000_000;
    sum.nanos = (nanos % 1_000_000_000) as i32;
    total.sum = Some(sum);
    total
}
