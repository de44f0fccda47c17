//! What a small call costs in the engine: the same unary calls over native frames and over gRPC, client and server back to
//! back, in ns per call; and what an idle native connection holds. `native_cost [CALLS] [IN_FLIGHT] [MESSAGE_BYTES]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_core::{Codec, Compression, CompressionSet, Metadata};
use polywire_engine::drain::Machine;
use polywire_engine::protocol::{RequestOptions, RequestTemplate};
use polywire_engine::wire::{Role, native};
use polywire_engine::{CallKey, Config, Connection, Event, Limits, OpenCall, Transmit, envelope};

#[allow(clippy::disallowed_methods)] // an example has a clock
fn main() {
    let argument = |n, default| std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let calls: usize = argument(1, 1_000_000);
    let in_flight: usize = argument(2, 100);
    let message_bytes: usize = argument(3, 21);
    let config = Config::new(Limits::default(), CompressionSet::ALL);
    let message = envelope::envelope(false, &vec![7; message_bytes]);
    for timeout in [None, Some(Duration::from_secs(30))] {
        let mut costs = [[f64::MAX; 2]; 2];
        // In turns, and the best of each, so that a noisy machine disturbs both alike.
        for _ in 0..5 {
            let mut grpc = Pair::<Connection>::connected(&config);
            let mut native = Pair::<native::Connection>::connected(&config);
            let found = [
                grpc.measure(&message, calls / 5, in_flight, timeout),
                native.measure(&message, calls / 5, in_flight, timeout),
            ];
            for (cost, found) in costs.iter_mut().flatten().zip(found.into_iter().flatten()) {
                *cost = cost.min(found);
            }
        }
        let [[grpc_client, grpc_server], [client, server]] = costs;
        println!("{in_flight} in flight, {message_bytes} bytes, timeout {timeout:?}");
        println!("  gRPC    server {grpc_server:.0} ns, client {grpc_client:.0} ns a call");
        println!("  native  server {server:.0} ns, client {client:.0} ns a call");
        let ratio = (server + client) / (grpc_server + grpc_client);
        println!(
            "  native / gRPC: server {:.2}, client {:.2}, both {ratio:.2}",
            server / grpc_server,
            client / grpc_client
        );
    }
    if let Some(before) = resident_bytes() {
        let idle: Vec<native::Connection> = (0..IDLE_CONNECTIONS)
            .map(|_| {
                let mut pair = Pair::<native::Connection>::connected(&config);
                pair.call(&message, 1, None);
                pair.server.handle_timeout(pair.now + Duration::from_secs(2));
                pair.server
            })
            .collect();
        let after = resident_bytes().unwrap_or(before);
        println!(
            "an idle native server connection after one call: {} bytes, {} of them its own",
            after.saturating_sub(before) / idle.len(),
            size_of::<native::Connection>(),
        );
    }
}

const IDLE_CONNECTIONS: usize = 20_000;

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

/// The call level, of whichever wire.
trait Calls: Machine<Event = Event> {
    fn begin(role: Role, config: &Arc<Config>, now: Instant) -> Self;
    fn receive(&mut self, now: Instant, bytes: Bytes);
    fn call(&mut self, now: Instant, call: OpenCall<'_>) -> CallKey;
    fn consume(&mut self, key: CallKey, bytes: usize);
    fn answer(&mut self, key: CallKey, message: Bytes);
}

macro_rules! calls {
    ($connection:ty) => {
        impl Calls for $connection {
            fn begin(role: Role, config: &Arc<Config>, now: Instant) -> Self {
                <$connection>::new(role, config, now, 1)
            }
            fn receive(&mut self, now: Instant, bytes: Bytes) {
                self.handle_bytes(now, bytes);
            }
            fn call(&mut self, now: Instant, call: OpenCall<'_>) -> CallKey {
                self.open(now, call).expect("the limit is above in_flight")
            }
            fn consume(&mut self, key: CallKey, bytes: usize) {
                self.consumed(key, bytes);
            }
            fn answer(&mut self, key: CallKey, message: Bytes) {
                let none = Metadata::new();
                self.respond(key, &none, message, &none);
            }
        }
    };
}

calls!(Connection);
calls!(native::Connection);

/// A client and a server with what they say.
struct Pair<C> {
    now: Instant,
    client: C,
    server: C,
    client_time: Duration,
    server_time: Duration,
    transmit: Transmit,
    template: RequestTemplate,
    metadata: Metadata,
}

#[allow(clippy::disallowed_methods)] // an example has a clock
impl<C: Calls> Pair<C> {
    fn connected(config: &Arc<Config>) -> Self {
        let now = Instant::now();
        let mut pair = Pair {
            now,
            client: C::begin(Role::Client, config, now),
            server: C::begin(Role::Server, config, now),
            client_time: Duration::ZERO,
            server_time: Duration::ZERO,
            transmit: Transmit::default(),
            template: RequestTemplate::new(RequestOptions {
                authority: "127.0.0.1:8080".into(),
                path: "/echo.v1.Echo/Echo".into(),
                user_agent: "polywire/0.1".into(),
                codec: Codec::Proto,
                compression: Compression::Identity,
                accepts: CompressionSet::ALL,
                ..RequestOptions::default()
            }),
            metadata: Metadata::new(),
        };
        for _ in 0..3 {
            carry(&mut pair.client, &mut pair.server, now, &mut pair.transmit);
            carry(&mut pair.server, &mut pair.client, now, &mut pair.transmit);
            while pair.client.poll_event().is_some() {}
            while pair.server.poll_event().is_some() {}
        }
        pair
    }

    /// ns per call of client and server.
    fn measure(&mut self, message: &Bytes, calls: usize, in_flight: usize, timeout: Option<Duration>) -> [f64; 2] {
        self.call(message, in_flight, timeout);
        (self.client_time, self.server_time) = Default::default();
        let mut done = 0;
        while done < calls {
            self.call(message, in_flight, timeout);
            done += in_flight;
        }
        [self.client_time, self.server_time].map(|time| time.as_nanos() as f64 / done as f64)
    }

    /// So many unary calls at once, there and back.
    fn call(&mut self, message: &Bytes, in_flight: usize, timeout: Option<Duration>) {
        let now = self.now;
        let begun = Instant::now();
        for n in 0..in_flight {
            let (template, metadata) = (&self.template, &self.metadata);
            // No two deadlines are the same.
            let deadline = timeout.map(|timeout| now + timeout + Duration::from_micros(n as u64));
            let call = OpenCall { template, metadata, deadline, message: Some(message.clone()), last: true };
            self.client.call(now, call);
        }
        let input = take(&mut self.client, now, &mut self.transmit);
        self.client_time += begun.elapsed();
        let begun = Instant::now();
        for bytes in input {
            self.server.receive(now, bytes);
        }
        while let Some(event) = self.server.poll_event() {
            if let Event::Message { key, message: request, .. } = event {
                self.server.consume(key, request.bytes.len());
                self.server.answer(key, message.clone());
            }
        }
        let output = take(&mut self.server, now, &mut self.transmit);
        self.server_time += begun.elapsed();
        let begun = Instant::now();
        for bytes in output {
            self.client.receive(now, bytes);
        }
        let mut done = 0;
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Message { key, message, .. } => self.client.consume(key, message.bytes.len()),
                Event::Ended { status, .. } => done += usize::from(status.is_ok()),
                _ => {}
            }
        }
        self.client_time += begun.elapsed();
        assert_eq!(done, in_flight);
        // What is due after the last answer.
        carry(&mut self.client, &mut self.server, now, &mut self.transmit);
        carry(&mut self.server, &mut self.client, now, &mut self.transmit);
    }
}

fn carry<C: Calls>(from: &mut C, to: &mut C, now: Instant, transmit: &mut Transmit) {
    for bytes in take(from, now, transmit) {
        to.receive(now, bytes);
    }
}

/// Moves output to input, as a transport would, with reads of up to 64 KiB.
fn take<C: Calls>(from: &mut C, now: Instant, transmit: &mut Transmit) -> Vec<Bytes> {
    let mut reads = Vec::new();
    while from.poll_transmit(now, transmit) {
        let mut flat = Vec::with_capacity(transmit.len());
        for chunk in transmit.chunks() {
            flat.extend_from_slice(chunk);
        }
        transmit.clear();
        let mut flat = Bytes::from(flat);
        while flat.len() > 65_536 {
            reads.push(flat.split_to(65_536));
        }
        reads.push(flat);
    }
    reads
}
