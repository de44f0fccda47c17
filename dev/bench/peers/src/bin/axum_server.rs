//! The unary methods of the benchmark's service on axum: as REST, and as JSON in WebSocket.
//!
//! It keeps the contract of `bench.proto` as JSON: `bytes` are base64, numbers of 64 bits are texts.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
    routing::{any, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use peers::measured_server;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    measured_server::on_one_thread(serve());
}

async fn serve() {
    let listener = TcpListener::bind(measured_server::listen_address()).await.expect("the address can be bound");
    let address = listener.local_addr().expect("a bound socket has an address");
    // It sets nothing on the sockets it accepts unless it is asked to.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a connected socket takes TCP_NODELAY"));
    let router = Router::new()
        .route("/v1/echo", post(echo))
        .route("/v1/total", post(total))
        .route("/json", any(async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(talk) }))
        .route("/unread", any(async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(send_back) }));
    measured_server::announce("axum", "0.8.9", address);
    let server = axum::serve(listener, router).with_graceful_shutdown(measured_server::stdin_closed());
    server.await.expect("the server runs until it is told to stop");
}

async fn echo(Json(request): Json<EchoRequest>) -> Json<EchoResponse> {
    Json(answer(request).await)
}

async fn total(Json(order): Json<Order>) -> Json<OrderTotal> {
    Json(add_up(&order))
}

/// A call in a text, its answer in another.
async fn talk(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let Ok(call) = serde_json::from_str::<Call>(&text) else { return };
        if call.call != "bench.v1.Bench/Echo" {
            return;
        }
        let reply = Reply { id: call.id, message: answer(call.message).await };
        let Ok(text) = serde_json::to_string(&reply) else { return };
        if socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
    }
}

/// What comes, as it came.
async fn send_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn answer(request: EchoRequest) -> EchoResponse {
    if request.sleep_us > 0 {
        tokio::time::sleep(Duration::from_micros(request.sleep_us.into())).await;
    }
    EchoResponse { payload: request.payload }
}

#[derive(Deserialize)]
struct Call {
    call: String,
    id: u64,
    message: EchoRequest,
}

#[derive(Serialize)]
struct Reply {
    id: u64,
    message: EchoResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct EchoRequest {
    #[serde(with = "in_base64")]
    payload: Bytes,
    sleep_us: u32,
}

#[derive(Serialize)]
struct EchoResponse {
    #[serde(with = "in_base64")]
    payload: Bytes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Order {
    id: String,
    customer: String,
    address: Option<Address>,
    lines: Vec<OrderLine>,
    /// Nobody asks for it, but a request where it is no number is refused.
    #[serde(with = "as_text")]
    #[allow(dead_code)]
    created_ms: i64,
    note: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Address {
    name: String,
    street: String,
    city: String,
    postal_code: String,
    country: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OrderLine {
    sku: String,
    title: String,
    quantity: u32,
    unit_price: Option<Money>,
    options: Vec<String>,
    gift: bool,
    weight_kg: f64,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Money {
    currency: String,
    #[serde(with = "as_text")]
    units: i64,
    nanos: i32,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderTotal {
    id: String,
    lines: u32,
    #[serde(with = "as_text")]
    quantity: u64,
    sum: Option<Money>,
    #[serde(with = "as_text")]
    text_bytes: u64,
    gifts: u32,
    weight_kg: f64,
}

/// Reads every field of the order.
fn add_up(order: &Order) -> OrderTotal {
    let mut total = OrderTotal {
        id: order.id.clone(),
        text_bytes: (order.id.len() + order.customer.len() + order.note.len()) as u64,
        ..OrderTotal::default()
    };
    if let Some(address) = &order.address {
        for text in [&address.name, &address.street, &address.city, &address.postal_code, &address.country] {
            total.text_bytes += text.len() as u64;
        }
    }
    let mut sum = Money::default();
    let mut nanos = 0;
    for line in &order.lines {
        total.lines += 1;
        total.quantity += u64::from(line.quantity);
        total.gifts += u32::from(line.gift);
        total.weight_kg += line.weight_kg * f64::from(line.quantity);
        total.text_bytes += (line.sku.len() + line.title.len()) as u64;
        total.text_bytes += line.options.iter().map(|option| option.len() as u64).sum::<u64>();
        if let Some(price) = &line.unit_price {
            if sum.currency.is_empty() {
                sum.currency.clone_from(&price.currency);
            }
            total.text_bytes += price.currency.len() as u64;
            sum.units += price.units * i64::from(line.quantity);
            nanos += i64::from(price.nanos) * i64::from(line.quantity);
        }
    }
    sum.units += nanos / 1_000_000_000;
    sum.nanos = (nanos % 1_000_000_000) as i32;
    total.sum = Some(sum);
    total
}

/// Bytes as base64.
mod in_base64 {
    use std::{borrow::Cow, fmt};

    use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(bytes, &BASE64_STANDARD) as &dyn fmt::Display)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(D::Error::custom)
    }
}

/// A number as its text, as JSON of Protobuf has those of 64 bits.
mod as_text {
    use std::{borrow::Cow, fmt, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, N>(deserializer: D) -> Result<N, D::Error>
    where
        N: FromStr<Err: fmt::Display>,
    {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
