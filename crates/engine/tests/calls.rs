//! The call layer: two connections back to back, in virtual time.

#![allow(clippy::disallowed_methods, reason = "a base for the virtual clock has to come from somewhere")]

use std::time::Instant;

use bytes::{BufMut, Bytes};
use polywire_core::{Code, Codec, Compression, CompressionSet, Metadata};
use polywire_engine::{
    Config, Connection, Event, Limits, OpenCall, Transmit,
    drain::{Due, drain},
    protocol::{RequestOptions, RequestTemplate},
    wire::Role,
};

/// Moves bytes both ways until nothing is due; gives what each side reported.
fn settle(now: Instant, client: &mut Connection, server: &mut Connection) -> (Vec<Event>, Vec<Event>) {
    let (mut of_client, mut of_server) = (Vec::new(), Vec::new());
    loop {
        let to_server = step(now, client, &mut of_client);
        let to_client = step(now, server, &mut of_server);
        if to_server.is_empty() && to_client.is_empty() {
            return (of_client, of_server);
        }
        if !to_server.is_empty() {
            server.handle_bytes(now, to_server);
        }
        if !to_client.is_empty() {
            client.handle_bytes(now, to_client);
        }
    }
}

fn step(now: Instant, connection: &mut Connection, events: &mut Vec<Event>) -> Bytes {
    let mut out = Transmit::default();
    let mut bytes = Vec::new();
    while drain(connection, now, &mut out, |_, event| events.push(event)) == Due::Write {
        out.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
        out.clear();
    }
    bytes.into()
}

#[test]
fn messages_that_came_in_part_are_bounded_over_all_calls() {
    let now = Instant::now();
    let limits = Limits { message_bytes_max: 1000, gathered_bytes_max: 3000, ..Limits::default() };
    let config = Config::new(limits, CompressionSet::NONE);
    let mut client = Connection::new(Role::Client, &config, now, 1);
    let mut server = Connection::new(Role::Server, &config, now, 2);
    settle(now, &mut client, &mut server);
    let template = RequestTemplate::new(RequestOptions {
        authority: "test".to_owned(),
        path: "/a.B/C".to_owned(),
        user_agent: "test".to_owned(),
        codec: Codec::Proto,
        compression: Compression::Identity,
        accepts: CompressionSet::NONE,
        ..RequestOptions::default()
    });
    let mut part = vec![0];
    part.put_u32(1000);
    part.put_bytes(7, 900);
    let mut keys = Vec::new();
    for _ in 0..4 {
        let message = Some(Bytes::from(part.clone()));
        let metadata = Metadata::new();
        let call = OpenCall { template: &template, metadata: &metadata, deadline: None, message, last: false };
        keys.push(client.open(now, call).unwrap());
    }
    let (of_client, of_server) = settle(now, &mut client, &mut server);
    let cancelled: Vec<_> = of_server.iter().filter(|event| matches!(event, Event::Cancelled { .. })).collect();
    assert_eq!(cancelled.len(), 1, "{of_server:?}");
    let ended = of_client.iter().find_map(|event| match event {
        Event::Ended { key, status, .. } => Some((*key, status.code())),
        _ => None,
    });
    assert_eq!(ended, Some((keys[3], Code::ResourceExhausted)));
    // What the refused call held is free again, and the others complete.
    for key in &keys[..3] {
        client.send(*key, Bytes::from(vec![7; 100]));
    }
    let (_, of_server) = settle(now, &mut client, &mut server);
    let complete =
        of_server.iter().filter(|event| matches!(event, Event::Message { message, .. } if message.bytes.len() == 1000));
    assert_eq!(complete.count(), 3);
}
