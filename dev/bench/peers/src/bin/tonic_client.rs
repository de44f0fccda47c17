//! Unary calls from tonic's client: `tonic_client ADDRESS IN_FLIGHT SECONDS`, on one connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use peers::{
    measured_client::{Plan, Usage},
    measured_server, settings,
    tonic_bench::{EchoRequest, bench_client::BenchClient},
};
use tonic::transport::{Channel, Endpoint};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    measured_server::on_one_thread(call());
}

async fn call() {
    let plan = Plan::from_arguments();
    let channel = Endpoint::from_shared(format!("http://{}", plan.address))
        .expect("an address makes an endpoint")
        .tcp_nodelay(true)
        .initial_stream_window_size(settings::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(settings::CONNECTION_WINDOW_BYTES)
        .connect()
        .await
        .expect("the server accepts");
    run(&plan, &channel, plan.warm_up).await;
    let before = Usage::now();
    let latencies = run(&plan, &channel, plan.measured).await;
    before.report("tonic", latencies);
}

/// Keeps `in_flight` calls going for so long; how long each took, in nanoseconds.
async fn run(plan: &Plan, channel: &Channel, time: Duration) -> Vec<u32> {
    let end = Instant::now() + time;
    let lanes: Vec<_> = (0..plan.in_flight)
        .map(|lane| {
            let mut client = BenchClient::new(channel.clone());
            tokio::spawn(async move {
                let payload = Bytes::from(vec![lane as u8; 16]);
                let mut latencies = Vec::new();
                loop {
                    let start = Instant::now();
                    if start >= end {
                        return latencies;
                    }
                    let request = EchoRequest { payload: payload.clone(), sleep_us: 0 };
                    let answer = client.echo(request).await.expect("the call succeeds");
                    assert_eq!(answer.get_ref().payload, payload, "the answer is right");
                    latencies.push(start.elapsed().as_nanos() as u32);
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for lane in lanes {
        latencies.extend(lane.await.expect("no lane panics"));
    }
    latencies
}
