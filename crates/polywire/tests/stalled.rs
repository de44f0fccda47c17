//! A peer that stops reading is given up, and nothing of it stays.

mod shared;

use std::time::Duration;

use polywire::{Limits, Server, codegen::buffa::Message};
use shared::{EchoRequest, on_tcp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A preface, SETTINGS, and a call of Expand for which the window is as large as it may be.
fn hungry_client(request: &[u8]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let frame = |bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&[kind, flags]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        bytes.extend_from_slice(payload);
    };
    frame(&mut bytes, 4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    frame(&mut bytes, 8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    let mut head = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/polywire.test.v1.Echo/Expand"),
        (":authority", "test"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        head.extend_from_slice(&[0, name.len() as u8]);
        head.extend_from_slice(name.as_bytes());
        head.push(value.len() as u8);
        head.extend_from_slice(value.as_bytes());
    }
    frame(&mut bytes, 1, 4, 1, &head);
    frame(&mut bytes, 0, 1, 1, request);
    bytes
}

#[tokio::test]
async fn a_peer_that_never_reads_is_closed_after_the_write_timeout() {
    let limits = Limits { write_timeout: Duration::from_millis(200), ..Limits::default() };
    let (server, address) = on_tcp(Server::new().limits(limits)).await;
    let message =
        Message::encode_to_vec(&EchoRequest { text: "x".repeat(60_000), times: 100_000, ..Default::default() });
    let mut request = vec![0];
    request.extend_from_slice(&(message.len() as u32).to_be_bytes());
    request.extend_from_slice(&message);
    // DATA frames have a limit: send the request in pieces of its own.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let first = request.split_off(0);
    let mut bytes = hungry_client(&[]);
    // The empty DATA frame that ends the stream goes last.
    let end = bytes.split_off(bytes.len() - 9);
    for piece in first.chunks(16_000) {
        bytes.extend_from_slice(&(piece.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 1]);
        bytes.extend_from_slice(piece);
    }
    bytes.extend_from_slice(&end);
    stream.write_all(&bytes).await.unwrap();
    stream.read_exact(&mut [0; 9]).await.unwrap();
    while server.connections_open() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(30), async {
        while server.connections_open() > 0 || server.calls_open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the connection is given up");
}
