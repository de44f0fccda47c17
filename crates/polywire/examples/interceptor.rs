//! One type of interceptor on both sides: the client adds a token, the server asks for it and writes down each call.

mod shared;

use std::time::Instant;

use polywire::{Call, Channel, Interceptor, Next, Reply, Server, Status};
use shared::{Greeter, GreeterClient, GreeterServer, named};

struct AddToken;

impl Interceptor for AddToken {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        call.metadata_mut().append("authorization", "Bearer secret").map_err(|e| Status::internal(e.to_string()))?;
        next.run(call).await
    }
}

struct RequireToken;

impl Interceptor for RequireToken {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        if call.metadata().get("authorization") != Some("Bearer secret") {
            return Err(Status::unauthenticated("send a token in `authorization`"));
        }
        next.run(call).await
    }
}

struct WriteDown;

impl Interceptor for WriteDown {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        let start = Instant::now();
        let result = next.run(call).await;
        let end = result.as_ref().map_or_else(ToString::to_string, |_| "OK".to_owned());
        println!("{} from {}: {end} after {:?}", call.method(), call.address(), start.elapsed());
        result
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The first interceptor is the outermost.
    let server = Server::new().intercept(WriteDown).intercept(RequireToken).add(GreeterServer::new(Greeter)).start()?;
    let handle = server.handle();
    tokio::spawn(server.serve());

    let greeter = GreeterClient::new(Channel::in_memory(&handle).intercept(AddToken).build()?);
    println!("{}", greeter.hello(named("Ada")).await?.text);

    let stranger = GreeterClient::new(Channel::in_memory(&handle).build()?);
    println!("without a token: {:?}", stranger.hello(named("Eve")).await);
    Ok(())
}
