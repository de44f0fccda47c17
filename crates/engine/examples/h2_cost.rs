//! What the engine costs: plays unary calls through a client and a server back to back and prints ns per call, and
//! what an idle connection holds after one of them. `h2_cost [CALLS] [IN_FLIGHT] [MESSAGE_BYTES]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::wire::{Headers, Role, StreamEvent as Event, http2::Connection};
use polywire_engine::{Limits, Transmit};

#[allow(clippy::disallowed_methods)] // an example has a clock
fn main() {
    let argument = |n, default| std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let calls: usize = argument(1, 1_000_000);
    let in_flight: usize = argument(2, 100);
    let message_bytes: usize = argument(3, 21);

    let mut calls_left = calls;
    let mut pair = Pair::connected();
    let message = Bytes::from(vec![7; message_bytes]);
    let start = Instant::now();
    while calls_left > 0 {
        pair.call(&message, in_flight);
        calls_left = calls_left.saturating_sub(in_flight);
    }
    let total = start.elapsed();
    let done = calls.div_ceil(in_flight) * in_flight;
    let per_call = |time: Duration| time.as_nanos() as f64 / done as f64;
    println!(
        "{done} calls, {in_flight} in flight, {message_bytes} bytes: server {:.0} ns, client {:.0} ns a call",
        per_call(pair.server_time),
        per_call(total - pair.server_time),
    );

    if let Some(before) = resident_bytes() {
        let idle: Vec<Connection> = (0..IDLE_CONNECTIONS)
            .map(|_| {
                let mut pair = Pair::connected();
                pair.call(&message, 1);
                pair.server.handle_timeout(pair.now + Duration::from_secs(2));
                pair.server
            })
            .collect();
        let after = resident_bytes().unwrap_or(before);
        println!(
            "an idle server connection after one call: {} bytes, {} of them its own",
            after.saturating_sub(before) / idle.len(),
            size_of::<Connection>(),
        );
    }
}

const IDLE_CONNECTIONS: usize = 20_000;

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

/// A client and a server with what they say.
struct Pair {
    now: Instant,
    client: Connection,
    server: Connection,
    server_time: Duration,
    transmit: Transmit,
    request: Arc<Headers>,
    response: Arc<Headers>,
    trailers: Arc<Headers>,
}

#[allow(clippy::disallowed_methods)] // an example has a clock
impl Pair {
    fn connected() -> Self {
        let limits = Arc::new(Limits::default());
        let now = Instant::now();
        let mut pair = Pair {
            now,
            client: Connection::new(Role::Client, &limits, now, 1),
            server: Connection::new(Role::Server, &limits, now, 2),
            server_time: Duration::ZERO,
            transmit: Transmit::default(),
            request: headers(&[
                (":method", "POST"),
                (":scheme", "http"),
                (":path", "/echo.v1.Echo/Echo"),
                (":authority", "127.0.0.1:8080"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "polywire/0.1"),
            ]),
            response: headers(&[(":status", "200"), ("content-type", "application/grpc")]),
            trailers: headers(&[("grpc-status", "0")]),
        };
        for bytes in take(&mut pair.client, now, &mut pair.transmit) {
            pair.server.handle_bytes(now, bytes);
        }
        for bytes in take(&mut pair.server, now, &mut pair.transmit) {
            pair.client.handle_bytes(now, bytes);
        }
        for bytes in take(&mut pair.client, now, &mut pair.transmit) {
            pair.server.handle_bytes(now, bytes);
        }
        while pair.client.poll_event().is_some() {}
        while pair.server.poll_event().is_some() {}
        pair
    }

    /// So many unary calls at once, there and back.
    fn call(&mut self, message: &Bytes, in_flight: usize) {
        let now = self.now;
        for _ in 0..in_flight {
            let key = self.client.open(now, &self.request, None, false).expect("the limit is above in_flight");
            self.client.send_data(key, message.clone(), true);
        }
        let input = take(&mut self.client, now, &mut self.transmit);
        let begun = Instant::now();
        for bytes in input {
            self.server.handle_bytes(now, bytes);
        }
        while let Some(event) = self.server.poll_event() {
            if let Event::Data { key, data, end, flow_bytes } = event {
                self.server.release(key, flow_bytes);
                if end {
                    self.server.send_headers(key, &self.response, None, false);
                    self.server.send_data(key, data, false);
                    self.server.send_headers(key, &self.trailers, None, true);
                }
            }
        }
        let output = take(&mut self.server, now, &mut self.transmit);
        self.server_time += begun.elapsed();
        for bytes in output {
            self.client.handle_bytes(now, bytes);
        }
        let mut done = 0;
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Data { key, flow_bytes, .. } => self.client.release(key, flow_bytes),
                Event::Trailers { .. } => done += 1,
                Event::Headers { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(done, in_flight);
        // What is due after the last answer.
        for bytes in take(&mut self.client, now, &mut self.transmit) {
            self.server.handle_bytes(now, bytes);
        }
    }
}

/// Moves output to input, as a transport would, with reads of up to 64 KiB.
fn take(from: &mut Connection, now: Instant, transmit: &mut Transmit) -> Vec<Bytes> {
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

fn headers(fields: &[(&str, &str)]) -> Arc<Headers> {
    Arc::new(fields.iter().copied().collect())
}
