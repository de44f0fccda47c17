//! What a server counts, in the text form that Prometheus reads.

use std::{
    fmt::Write as _,
    sync::{Arc, Weak, atomic::Ordering},
};

use polywire_core::{Protocol, Wire};

use super::listener::Shared;
use crate::http::{Request, Response, Routes};

/// What an application adds.
pub(super) type More = Arc<dyn Fn() -> String + Send + Sync>;

/// Where it is served.
const PATH: &str = "/metrics";

/// The version of the form.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const WIRES: [Wire; 5] = [Wire::Http1, Wire::Http2, Wire::Memory, Wire::Native, Wire::WebSocket];
const PROTOCOLS: [Protocol; 6] =
    [Protocol::Connect, Protocol::Grpc, Protocol::GrpcWeb, Protocol::Native, Protocol::Rest, Protocol::Text];

/// Serves what a server counts, and what is added to it.
pub(super) fn add_to(routes: &mut Routes, server: Weak<Shared>, more: More) {
    let handler = move |request: Request| {
        let response = match (request.method(), server.upgrade()) {
            ("GET" | "HEAD", Some(server)) => Response::of(CONTENT_TYPE, written(&server) + &more()),
            ("GET" | "HEAD", None) => Response::new(503),
            _ => Response::new(405).header("allow", "GET, HEAD"),
        };
        async move { response }
    };
    routes.add(PATH, Arc::new(handler));
}

/// The text.
pub(super) fn written(server: &Shared) -> String {
    let counters = &server.counters;
    let mut text = String::with_capacity(2048);
    head(&mut text, "polywire_calls_started_total", "counter", "Calls that have begun, by the way they came.");
    for (wire, protocol) in WIRES.into_iter().flat_map(|wire| PROTOCOLS.map(|protocol| (wire, protocol))) {
        let count = counters.calls_started_by(wire, protocol);
        // What can come is there from the beginning: the first of its kind must not be missed.
        if count > 0 || comes_by(protocol, wire) {
            let _ = writeln!(text, "polywire_calls_started_total{{wire=\"{wire}\",protocol=\"{protocol}\"}} {count}");
        }
    }
    let accepted = server.connections_accepted.load(Ordering::Relaxed);
    for (name, kind, help, value) in [
        (
            "polywire_http_requests_total",
            "counter",
            "Requests that are no calls and have a handler.",
            counters.http_requests(),
        ),
        ("polywire_calls_open", "gauge", "Calls and requests in progress.", counters.calls_open() as u64),
        (
            "polywire_connections_accepted_total",
            "counter",
            "Connections that have begun, WebSockets in HTTP/2 and requests of a mounted server among them.",
            accepted,
        ),
        ("polywire_connections_open", "gauge", "Connections that are open.", server.connections_open() as u64),
    ] {
        head(&mut text, name, kind, help);
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Whether there is such a call.
fn comes_by(protocol: Protocol, wire: Wire) -> bool {
    match wire {
        Wire::Http1 => matches!(protocol, Protocol::Connect | Protocol::GrpcWeb | Protocol::Rest),
        Wire::Http2 => !matches!(protocol, Protocol::Native | Protocol::Text),
        Wire::Memory => false,
        Wire::Native => protocol == Protocol::Native,
        Wire::WebSocket => matches!(protocol, Protocol::Native | Protocol::Text),
    }
}
