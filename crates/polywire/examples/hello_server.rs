//! A server of one method. Try it with `cargo run -p polywire --example hello_client`, or with grpcurl:
//! `grpcurl -plaintext -d '{"name":"Ada"}' 127.0.0.1:50051 polywire.examples.v1.Greeter/Hello`

use polywire::{Call, ListenError, Receiver, Sender, Server, Status, health::Health};

polywire::include_proto!("polywire.examples.v1");

struct Greeter;

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

#[tokio::main]
async fn main() -> Result<(), ListenError> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50051".to_owned());
    println!("listening on {address}");
    Server::new().add(GreeterServer::new(Greeter)).add(Health::new().0).with_reflection().listen(address).await
}
