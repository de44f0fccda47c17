//! Calls the server of `hello_server`.

use polywire::Channel;

polywire::include_proto!("polywire.examples.v1");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let greeter = GreeterClient::new(Channel::to("127.0.0.1:50051")?);
    let reply = greeter.hello(HelloRequest { name: "Ada".to_owned(), ..Default::default() }).await?;
    println!("{}", reply.text);
    Ok(())
}
