//! A service for tests, and servers that offer it.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its own part, and may fail loudly"
)]

use std::time::Duration;

use polywire::{Bound, Call, Channel, Code, Receiver, Sender, Server, ServerHandle, Status};

polywire::include_proto!("polywire.test.v1");

/// Says back what it hears.
pub struct Echoer;

impl EchoService for Echoer {
    async fn unary(&self, call: &mut Call, request: EchoRequestView<'_>) -> Result<EchoReply, Status> {
        if let Some(value) = call.metadata().get("x-echo").map(str::to_owned) {
            call.append_leading("x-echo", &value).unwrap();
            call.trailing_mut().append_bin("x-echo-bin", value.as_bytes()).unwrap();
        }
        assert!(!request.panic, "asked to");
        if request.wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(u64::from(request.wait_ms))).await;
        }
        if request.code > 0 {
            return Err(Status::new(Code::from_number(request.code), request.text.to_owned()));
        }
        Ok(EchoReply { text: request.text.repeat(request.times.max(1) as usize), ..Default::default() })
    }

    async fn expand(
        &self,
        call: &mut Call,
        request: EchoRequestView<'_>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        call.append_leading("x-kind", "expand").unwrap();
        call.trailing_mut().append("x-times", &request.times.to_string()).unwrap();
        for _ in 0..request.times {
            out.send(EchoReply { text: request.text.to_owned(), ..Default::default() }).await?;
        }
        if request.code > 0 {
            return Err(Status::new(Code::from_number(request.code), "as asked"));
        }
        Ok(())
    }

    async fn collect(&self, _call: &mut Call, mut requests: Receiver<EchoRequest>) -> Result<EchoReply, Status> {
        let mut text = String::new();
        while let Some(request) = requests.next().await? {
            text.push_str(&request.text);
        }
        Ok(EchoReply { text, ..Default::default() })
    }

    async fn chat(
        &self,
        _call: &mut Call,
        mut requests: Receiver<EchoRequest>,
        mut out: Sender<EchoReply>,
    ) -> Result<(), Status> {
        while let Some(request) = requests.next().await? {
            if request.code > 0 {
                return Err(Status::new(Code::from_number(request.code), request.text));
            }
            out.send(EchoReply { text: request.text, ..Default::default() }).await?;
        }
        Ok(())
    }
}

/// A request with that text.
pub fn say(text: &str) -> EchoRequest {
    EchoRequest { text: text.to_owned(), ..Default::default() }
}

/// A running server and a client of it, connected in memory.
pub fn in_memory(server: Server) -> (ServerHandle, EchoClient) {
    let bound = server.add(EchoServer::new(Echoer)).start().unwrap();
    let handle = bound.handle();
    tokio::spawn(bound.serve());
    let channel = Channel::in_memory(&handle).build().unwrap();
    (handle, EchoClient::new(channel))
}

/// A server on a free port of this machine, running.
pub async fn on_tcp(server: Server) -> (ServerHandle, String) {
    let bound: Bound = server.add(EchoServer::new(Echoer)).bind("127.0.0.1:0").await.unwrap();
    let address = bound.address().unwrap().to_string();
    let handle = bound.handle();
    tokio::spawn(bound.serve());
    (handle, address)
}
