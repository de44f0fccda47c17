//! The benchmark's service on polywire.

use bench::{generated::bench::v1::BenchServer, measured_server, service::Service, settings};
use polywire::{Limits, Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    measured_server::on_one_thread(serve());
}

async fn serve() {
    let limits = Limits {
        window_bytes: settings::STREAM_WINDOW_BYTES,
        connection_window_bytes: settings::CONNECTION_WINDOW_BYTES,
        // The peers' windows are fixed, so ours are.
        window_bytes_max: settings::STREAM_WINDOW_BYTES,
        frame_bytes_max: settings::FRAME_BYTES_MAX,
        frame_send_bytes_max: settings::FRAME_BYTES_MAX,
        streams_max: settings::STREAMS_MAX,
        ..Limits::default()
    };
    let server = Server::new().limits(limits).add(BenchServer::new(Service));
    let server = server.bind(measured_server::listen_address()).await.expect("the address can be bound");
    let address = server.address().expect("a TCP socket has an address");
    // The second argument is where to listen besides: `unix:PATH`.
    let server = match std::env::args().nth(2) {
        Some(besides) => server.and_bind(besides).await.expect("the second address can be bound"),
        None => server,
    };
    measured_server::announce("polywire", env!("CARGO_PKG_VERSION"), address);
    tokio::select! {
        () = server.serve() => {}
        () = measured_server::stdin_closed() => {}
    }
}
