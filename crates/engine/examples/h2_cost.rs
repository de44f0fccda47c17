//! What the engine costs: plays unary calls through a client and a server back to back and prints ns per call.
//! `h2_cost [CALLS] [IN_FLIGHT] [MESSAGE_BYTES]`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use polywire_engine::wire::http2::{Connection, Event, Headers, Role};
use polywire_engine::{Limits, Transmit};

#[allow(clippy::disallowed_methods)] // an example has a clock
fn main() {
    let argument = |n, default| {
        std::env::args()
            .nth(n)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let calls: usize = argument(1, 1_000_000);
    let in_flight: usize = argument(2, 100);
    let message_bytes: usize = argument(3, 21);

    let limits = Arc::new(Limits::default());
    let now = Instant::now();
    let mut client = Connection::new(Role::Client, &limits, now, 1);
    let mut server = Connection::new(Role::Server, &limits, now, 2);
    let request = headers(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/echo.v1.Echo/Echo"),
        (":authority", "127.0.0.1:8080"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "polywire/0.1"),
    ]);
    let response = headers(&[(":status", "200"), ("content-type", "application/grpc")]);
    let trailers = headers(&[("grpc-status", "0")]);
    let message = Bytes::from(vec![7; message_bytes]);

    let mut wire = Wire::default();
    wire.carry(&mut client, &mut server, now);
    wire.carry(&mut server, &mut client, now);
    while client.poll_event().is_some() {}
    while server.poll_event().is_some() {}

    let mut done = 0;
    let mut server_time = std::time::Duration::ZERO;
    let start = Instant::now();
    while done < calls {
        for _ in 0..in_flight {
            let key = client
                .open(now, &request, None, false)
                .expect("the limit is above in_flight");
            client.send_data(key, message.clone(), true);
        }
        let input = wire.take(&mut client, now);
        let begun = Instant::now();
        for bytes in input {
            server.handle_bytes(now, bytes);
        }
        while let Some(event) = server.poll_event() {
            if let Event::Data {
                key,
                data,
                end,
                flow_bytes,
            } = event
            {
                server.release(key, flow_bytes);
                if end {
                    server.send_headers(key, &response, None, false);
                    server.send_data(key, data, false);
                    server.send_headers(key, &trailers, None, true);
                }
            }
        }
        let output = wire.take(&mut server, now);
        server_time += begun.elapsed();
        for bytes in output {
            client.handle_bytes(now, bytes);
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Data {
                    key, flow_bytes, ..
                } => client.release(key, flow_bytes),
                Event::Trailers { .. } => done += 1,
                Event::Headers { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let total = start.elapsed();
    let per_call = |time: std::time::Duration| time.as_nanos() as f64 / done as f64;
    println!(
        "{done} calls, {in_flight} in flight, {message_bytes} bytes: server {:.0} ns, client {:.0} ns a call",
        per_call(server_time),
        per_call(total - server_time),
    );
}

fn headers(fields: &[(&str, &str)]) -> Arc<Headers> {
    Arc::new(fields.iter().copied().collect())
}

/// Moves output to input, as a transport would, with reads of up to 64 KiB.
#[derive(Default)]
struct Wire {
    transmit: Transmit,
}

impl Wire {
    fn take(&mut self, from: &mut Connection, now: Instant) -> Vec<Bytes> {
        let mut reads = Vec::new();
        while from.poll_transmit(now, &mut self.transmit) {
            let mut flat = Vec::with_capacity(self.transmit.len());
            for chunk in self.transmit.chunks() {
                flat.extend_from_slice(chunk);
            }
            self.transmit.clear();
            let mut flat = Bytes::from(flat);
            while flat.len() > 65_536 {
                reads.push(flat.split_to(65_536));
            }
            reads.push(flat);
        }
        reads
    }

    fn carry(&mut self, from: &mut Connection, to: &mut Connection, now: Instant) {
        for bytes in self.take(from, now) {
            to.handle_bytes(now, bytes);
        }
    }
}
