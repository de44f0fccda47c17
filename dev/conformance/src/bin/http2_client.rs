//! Makes one gRPC call to the server of a URL and gives up soon, for h2specd to judge: `http2_client http://HOST:PORT/`.
//!
//! How the call ends says nothing about the client: only what it writes on the wire counts.

use std::{process::ExitCode, time::Duration};

use conformance::grpc::testing::{Empty, TestClient};
use polywire::Channel;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: http2_client http://HOST:PORT/");
        return ExitCode::from(2);
    };
    let channel = match Channel::to(url.trim_end_matches('/')) {
        Ok(channel) => channel,
        Err(problem) => {
            eprintln!("{url}: {problem}");
            return ExitCode::from(2);
        }
    };
    let result = TestClient::new(channel).empty_call(Empty::default()).timeout(Duration::from_millis(700)).await;
    println!("{result:?}");
    ExitCode::SUCCESS
}
