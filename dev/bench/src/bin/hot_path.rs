//! Plays calls between polywire's client and server inside one process and one thread: `hot_path PATH COUNT`.
//!
//! Does the same each time it runs, so that its instructions can be counted: `cargo xtask bench --instructions`.

use bench::{
    generated::bench::v1::{BenchClient, BenchServer, Chunk, EchoRequest, Order, OrderLine, PullRequest},
    measured_server,
    service::Service,
};
use polywire::{Channel, Server, Status};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls in flight at a time in the unary paths.
const IN_FLIGHT: u32 = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, count] = arguments.as_slice() else { panic!("usage: PATH COUNT") };
    let count: u32 = count.parse().expect("COUNT is a number");
    measured_server::on_one_thread(async {
        let server = Server::new().add(BenchServer::new(Service)).start().expect("the default limits are valid");
        let channel = Channel::in_memory(&server.handle()).build().expect("no TLS, nothing to go wrong");
        let client = BenchClient::new(channel);
        let played = match path.as_str() {
            "unary" => unary(&client, count).await,
            "order" => order(&client, count).await,
            "server-stream" => server_stream(&client, count).await,
            "client-stream" => client_stream(&client, count).await,
            "ping-pong" => ping_pong(&client, count).await,
            other => panic!("there is no path {other:?}"),
        };
        played.expect("every call succeeds");
    });
}

async fn unary(client: &BenchClient, count: u32) -> Result<(), Status> {
    at_a_time(count, |_| {
        let client = client.clone();
        async move {
            let request = EchoRequest { payload: vec![7; 16].into(), ..EchoRequest::default() };
            let answer = client.echo(&request).await?;
            assert_eq!(answer.payload, request.payload);
            Ok(())
        }
    })
    .await
}

async fn order(client: &BenchClient, count: u32) -> Result<(), Status> {
    let line = |number: u32| OrderLine {
        sku: format!("SKU-{number:06}"),
        title: format!("Article number {number:02} of a kind"),
        quantity: 1 + number % 4,
        options: vec!["size-7".into(), "colour-blue".into()],
        weight_kg: 0.25,
        ..OrderLine::default()
    };
    let order =
        std::sync::Arc::new(Order { id: "ord-1".into(), lines: (0..20).map(line).collect(), ..Order::default() });
    at_a_time(count, |_| {
        let (client, order) = (client.clone(), std::sync::Arc::clone(&order));
        async move {
            assert_eq!(client.total(&*order).await?.lines, 20);
            Ok(())
        }
    })
    .await
}

async fn server_stream(client: &BenchClient, count: u32) -> Result<(), Status> {
    let mut chunks = client.pull(PullRequest { count, size: 64, ..PullRequest::default() }).await?;
    let mut received = 0;
    while let Some(chunk) = chunks.next().await? {
        assert_eq!(chunk.payload.len(), 64);
        received += 1;
    }
    assert_eq!(received, count);
    Ok(())
}

async fn client_stream(client: &BenchClient, count: u32) -> Result<(), Status> {
    let (mut out, summary) = client.push().await?;
    let chunk = Chunk { payload: vec![b'x'; 64].into(), ..Chunk::default() };
    for _ in 0..count {
        out.send(&chunk).await?;
    }
    out.close();
    assert_eq!(summary.await?.chunks, u64::from(count));
    Ok(())
}

async fn ping_pong(client: &BenchClient, count: u32) -> Result<(), Status> {
    let (mut out, mut chunks) = client.ping_pong().await?;
    let chunk = Chunk { payload: vec![b'x'; 16].into(), ..Chunk::default() };
    for _ in 0..count {
        out.send(&chunk).await?;
        assert_eq!(chunks.next().await?.as_ref(), Some(&chunk));
    }
    out.close();
    assert_eq!(chunks.next().await?, None);
    Ok(())
}

/// Runs `count` calls, so many at a time.
async fn at_a_time<F>(count: u32, call: impl Fn(u32) -> F) -> Result<(), Status>
where
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    for first in (0..count).step_by(IN_FLIGHT as usize) {
        let calls: Vec<_> = (first..count.min(first + IN_FLIGHT)).map(|number| tokio::spawn(call(number))).collect();
        for call in calls {
            call.await.expect("no call panics")?;
        }
    }
    Ok(())
}
