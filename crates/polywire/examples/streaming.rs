//! Both sides talk at once, on one call.

mod shared;

use polywire::{Channel, Server};
use shared::{Greeter, GreeterClient, GreeterServer, named};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::new().add(GreeterServer::new(Greeter)).bind("127.0.0.1:0").await?;
    let address = server.address().ok_or("the server listens on TCP")?;
    tokio::spawn(server.serve());

    let greeter = GreeterClient::new(Channel::to(address.to_string())?);
    let (mut guests, mut greetings) = greeter.welcome().await?;
    let arriving = async move {
        for name in ["Ada", "Grace", "Barbara"] {
            guests.send(named(name)).await?;
        }
        // Dropping `guests` tells the server that nobody else comes.
        Ok::<_, polywire::Status>(())
    };
    let greeting = async {
        while let Some(greeting) = greetings.next().await? {
            println!("{}", greeting.text);
        }
        Ok(())
    };
    tokio::try_join!(arriving, greeting)?;
    Ok(())
}
