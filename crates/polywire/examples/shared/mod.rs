//! The service of the examples that are not about services.

#![allow(dead_code, unreachable_pub, reason = "each example uses its own part")]

use polywire::{Call, Receiver, Sender, Status};

polywire::include_proto!("polywire.examples.v1");

/// Greets.
pub struct Greeter;

impl GreeterService for Greeter {
    async fn hello(&self, _call: &mut Call, request: HelloRequestView<'_>) -> Result<HelloReply, Status> {
        Ok(HelloReply { text: format!("Hello, {}!", request.name), ..Default::default() })
    }

    async fn welcome(
        &self,
        _call: &mut Call,
        mut requests: Receiver<HelloRequest>,
        mut out: Sender<HelloReply>,
    ) -> Result<(), Status> {
        while let Some(request) = requests.next().await? {
            out.send(HelloReply { text: format!("Welcome, {}!", request.name), ..Default::default() }).await?;
        }
        Ok(())
    }
}

/// A request for that name.
pub fn named(name: &str) -> HelloRequest {
    HelloRequest { name: name.to_owned(), ..Default::default() }
}
