//! The benchmark's service on connectrpc with buffa.

// The generated trait writes its answers as `impl Trait`; naming the types here is what users do.
#![allow(refining_impl_trait)]

use std::time::Duration;

use bytes::Bytes;
use connectrpc::{
    ConnectRpcService, InboundStream, RequestContext, Response, Server, ServiceRequest, ServiceResult, ServiceStream,
};
use futures_util::StreamExt;
use peers::{
    CHANNEL_MESSAGES,
    connectrpc_bench::bench::v1::{
        Bench, BenchServer, Chunk, EchoRequest, EchoResponse, Money, Order, OrderTotal, OrderView, PullRequest,
        PushSummary,
    },
    measured_server, settings,
};
use tokio_stream::wrappers::ReceiverStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    measured_server::on_one_thread(serve());
}

async fn serve() {
    // It sets TCP_NODELAY on the sockets it accepts.
    let server = Server::bind(measured_server::listen_address()).await.expect("the address can be bound");
    let address = server.local_addr().expect("a bound socket has an address");
    measured_server::announce("connectrpc", "0.9.1", address);
    // Frames: hyper's default is the 16 KiB of `settings`, and there is nothing to set.
    let server = server
        .with_http2_initial_stream_window_size(settings::STREAM_WINDOW_BYTES)
        .with_http2_initial_connection_window_size(settings::CONNECTION_WINDOW_BYTES)
        .with_max_concurrent_streams(settings::STREAMS_MAX);
    // The generated server dispatches by a compiled match, the fastest of its ways.
    let service = ConnectRpcService::new(BenchServer::new(Service));
    tokio::select! {
        result = server.serve_with_service(service) => result.expect("the server runs"),
        () = measured_server::stdin_closed() => {}
    }
}

struct Service;

impl Bench for Service {
    async fn echo(&self, _: RequestContext, request: ServiceRequest<'_, EchoRequest>) -> ServiceResult<EchoResponse> {
        if request.sleep_us > 0 {
            tokio::time::sleep(Duration::from_micros(request.sleep_us.into())).await;
        }
        let payload = request.bytes().slice_ref(request.payload);
        Response::ok(EchoResponse { payload, ..EchoResponse::default() })
    }

    async fn total(&self, _: RequestContext, request: ServiceRequest<'_, Order>) -> ServiceResult<OrderTotal> {
        Response::ok(add_up(request.view()))
    }

    async fn pull(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, PullRequest>,
    ) -> ServiceResult<ServiceStream<Chunk>> {
        let payload = Bytes::from(vec![b'x'; request.size as usize]);
        let count = request.count;
        if request.by_task {
            let (sender, receiver) = tokio::sync::mpsc::channel(CHANNEL_MESSAGES);
            tokio::spawn(async move {
                for _ in 0..count {
                    let chunk = Chunk { payload: payload.clone(), ..Chunk::default() };
                    if sender.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                }
            });
            return Ok(Response::stream(ReceiverStream::new(receiver)));
        }
        // The cheapest stream there is: no task, no channel.
        let chunks = (0..count).map(move |_| Ok(Chunk { payload: payload.clone(), ..Chunk::default() }));
        Ok(Response::stream(futures_util::stream::iter(chunks)))
    }

    async fn push(&self, _: RequestContext, mut requests: InboundStream<Chunk>) -> ServiceResult<PushSummary> {
        let mut summary = PushSummary::default();
        while let Some(chunk) = requests.next().await {
            summary.chunks += 1;
            summary.bytes += chunk?.view().payload.len() as u64;
        }
        Response::ok(summary)
    }

    async fn ping_pong(
        &self,
        _: RequestContext,
        requests: InboundStream<Chunk>,
    ) -> ServiceResult<ServiceStream<connectrpc::StreamMessage<Chunk>>> {
        Ok(Response::stream(requests))
    }
}

/// Reads every field of the order.
fn add_up(order: &OrderView<'_>) -> OrderTotal {
    let mut total = OrderTotal {
        id: order.id.to_owned(),
        text_bytes: (order.id.len() + order.customer.len() + order.note.len()) as u64,
        ..OrderTotal::default()
    };
    if let Some(address) = order.address.as_option() {
        for text in [address.name, address.street, address.city, address.postal_code, address.country] {
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
        if let Some(price) = line.unit_price.as_option() {
            if sum.currency.is_empty() {
                sum.currency = price.currency.to_owned();
            }
            total.text_bytes += price.currency.len() as u64;
            sum.units += price.units * i64::from(line.quantity);
            nanos += i64::from(price.nanos) * i64::from(line.quantity);
        }
    }
    sum.units += nanos / 1_000_000_000;
    sum.nanos = (nanos % 1_000_000_000) as i32;
    total.sum = Some(sum).into();
    total
}
