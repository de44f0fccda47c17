//! A service inside an axum application. Start it, then open `http://127.0.0.1:3000/`, or call it by Connect:
//! `curl -H 'content-type: application/json' -d '{"name":"Ada"}' http://127.0.0.1:3000/polywire.examples.v1.Greeter/Hello`
//! or by gRPC: `cargo run -p polywire --example hello_client http://127.0.0.1:3000`

mod shared;

use axum::{Router, routing::get};
use polywire::Server;
use shared::{Greeter, GreeterServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calls = Server::new().add(GreeterServer::new(Greeter)).with_reflection().start()?.into_service();
    let app = Router::new().route("/", get(async || "A page of axum's.\n")).fallback_service(calls);
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on {address}");
    axum::serve(listener, app).await?;
    Ok(())
}
