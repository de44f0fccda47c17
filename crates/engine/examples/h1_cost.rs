//! What HTTP/1.1 costs: plays unary requests through a client and a server back to back and prints ns per request, and
//! what an idle connection holds after one of them. `h1_cost [REQUESTS] [MESSAGE_BYTES]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use polywire_engine::wire::{Headers, Role, StreamEvent as Event, http1::Connection};
use polywire_engine::{Limits, Transmit};

#[allow(clippy::disallowed_methods)] // an example has a clock
fn main() {
    let argument = |n, default| std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let requests: usize = argument(1, 1_000_000);
    let message_bytes: usize = argument(2, 21);
    let message = Bytes::from(vec![7; message_bytes]);
    let mut pair = Pair::new();
    let start = Instant::now();
    for _ in 0..requests {
        pair.exchange(&message);
    }
    let total = start.elapsed();
    let each = |time: Duration| time.as_nanos() as f64 / requests as f64;
    println!(
        "{requests} requests, {message_bytes} bytes: server {:.0} ns, client {:.0} ns a request",
        each(pair.server_time),
        each(total - pair.server_time),
    );
    if let Some(before) = resident_bytes() {
        let idle: Vec<Connection> = (0..IDLE_CONNECTIONS)
            .map(|_| {
                let mut pair = Pair::new();
                pair.exchange(&message);
                pair.server.handle_timeout(pair.now + Duration::from_secs(2));
                pair.server
            })
            .collect();
        let after = resident_bytes().unwrap_or(before);
        println!(
            "an idle server connection after one request: {} bytes, {} of them its own",
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

struct Pair {
    now: Instant,
    client: Connection,
    server: Connection,
    request: Arc<Headers>,
    response: Arc<Headers>,
    out: Transmit,
    server_time: Duration,
}

impl Pair {
    #[allow(clippy::disallowed_methods)] // an example has a clock
    fn new() -> Self {
        let now = Instant::now();
        let limits = Arc::new(Limits::default());
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/orders.v1.Orders/Get"),
            (":authority", "localhost:8080"),
            ("content-type", "application/proto"),
            ("connect-protocol-version", "1"),
            ("user-agent", "polywire"),
        ];
        Pair {
            now,
            client: Connection::new(Role::Client, &limits, now, 1),
            server: Connection::new(Role::Server, &limits, now, 2),
            request: Arc::new(fields.into_iter().collect()),
            response: Arc::new([(":status", "200"), ("content-type", "application/proto")].into_iter().collect()),
            out: Transmit::default(),
            server_time: Duration::ZERO,
        }
    }

    #[allow(clippy::disallowed_methods)] // an example has a clock
    fn exchange(&mut self, message: &Bytes) {
        let Ok(key) = self.client.open(self.now, &self.request, None, false) else { panic!("no room") };
        self.client.send_data(key, message.clone(), true);
        let bytes = take(&mut self.client, self.now, &mut self.out);
        let start = Instant::now();
        self.server.handle_bytes(self.now, bytes);
        while let Some(event) = self.server.poll_event() {
            if let Event::Data { key, flow_bytes, end: true, .. } = event {
                self.server.release(key, flow_bytes);
                self.server.send_headers(key, &self.response, None, false);
                self.server.send_data(key, message.clone(), true);
            }
        }
        let bytes = take(&mut self.server, self.now, &mut self.out);
        self.server_time += start.elapsed();
        self.client.handle_bytes(self.now, bytes);
        while let Some(event) = self.client.poll_event() {
            if let Event::Data { key, flow_bytes, .. } = event {
                self.client.release(key, flow_bytes);
            }
        }
        take(&mut self.client, self.now, &mut self.out);
    }
}

/// What a machine wants written, as it would arrive.
fn take(machine: &mut Connection, now: Instant, out: &mut Transmit) -> Bytes {
    let mut bytes = Vec::new();
    while machine.poll_transmit(now, out) {
        out.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
        out.clear();
    }
    bytes.into()
}
