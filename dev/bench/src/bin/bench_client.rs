//! Unary calls from polywire's client: `bench_client ADDRESS IN_FLIGHT SECONDS`, on one connection.

use std::time::{Duration, Instant};

use bench::{
    generated::bench::v1::{BenchClient, EchoRequest},
    measured_client::{Plan, Usage},
    measured_server, settings,
};
use polywire::{Channel, Limits};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    measured_server::on_one_thread(call());
}

async fn call() {
    let plan = Plan::from_arguments();
    let limits = Limits {
        window_bytes: settings::STREAM_WINDOW_BYTES,
        connection_window_bytes: settings::CONNECTION_WINDOW_BYTES,
        window_bytes_max: settings::STREAM_WINDOW_BYTES,
        ..Limits::default()
    };
    let channel = Channel::builder(plan.address.to_string()).expect("an address is a target").limits(limits);
    let channel = channel.connections_max(1).build().expect("no TLS, nothing to go wrong");
    run(&plan, &channel, plan.warm_up).await;
    let before = Usage::now();
    let latencies = run(&plan, &channel, plan.measured).await;
    before.report("polywire", latencies);
}

/// Keeps `in_flight` calls going for so long; how long each took, in nanoseconds.
async fn run(plan: &Plan, channel: &Channel, time: Duration) -> Vec<u32> {
    let end = Instant::now() + time;
    let lanes: Vec<_> = (0..plan.in_flight)
        .map(|lane| {
            let client = BenchClient::new(channel.clone());
            tokio::spawn(async move {
                let request = EchoRequest { payload: vec![lane as u8; 16].into(), ..EchoRequest::default() };
                let mut latencies = Vec::new();
                loop {
                    let start = Instant::now();
                    if start >= end {
                        return latencies;
                    }
                    let answer = client.echo(&request).await.expect("the call succeeds");
                    assert_eq!(answer.payload, request.payload, "the answer is right");
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
