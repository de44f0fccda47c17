//! The shop as plain HTTP and JSON, without a client of ours: what `curl` and a browser's `EventSource` send and get.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use orders::proto::stock::v1::AdjustItemRequest;
use serde_json::{Value, json};
use support::shop::{TestShop, Wire};
use support::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_are_listed_by_query() {
    let shop = open().await;
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        // A field is known by either of its names.
        let page = get(&shop, &format!("/v1/items?pageSize=10&page_token={token}"), "").await.ok();
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 24);
    let item = get(&shop, "/v1/items/birthday-cake", "").await.ok();
    assert_eq!((&item["title"], &item["onHand"]), (&json!("Birthday cake, whole"), &json!("3")));

    let refused = get(&shop, "/v1/items?pageSise=10", "").await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(3)), "{refused:?}");
    assert!(refused.body.contains("pageSize"), "{refused:?}");
    let refused = get(&shop, "/v1/items?pageSize=ten", "").await;
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_listed_by_a_filter_in_the_query() {
    let shop = open().await;
    for customer in ["Ada", "Bob", "Ada"] {
        shop.place(customer, &[("espresso", 1)]).await;
    }
    let list = async |query: &str| {
        let page = get(&shop, &format!("/v1/orders?{query}"), "").await.ok();
        page["orders"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(list("").await, 3);
    assert_eq!(list("filter.customer=Ada").await, 2);
    assert_eq!(list("filter.customer=Ada&filter.statuses=CONFIRMED&filter.statuses=2").await, 2);
    assert_eq!(list("filter.statuses=CANCELLED").await, 0);
    assert_eq!(
        list("filter.createTimeFrom=2000-01-01T00:00:00Z&filter.createTimeUntil=2001-01-01T00%3A00%3A00Z").await,
        0
    );
    let refused = get(&shop, "/v1/orders?filter.statuses=EATEN", "").await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(3)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_placed_by_a_body_and_found_by_its_path() {
    let shop = open().await;
    let body = json!({
        "customer": "Ada",
        "lines": [{"item": "items/flat-white", "quantity": 2, "note": "oat milk"}],
        "idempotencyKey": "till-1:7",
    });
    let placed = post(&shop, "/v1/orders", &body).await.ok();
    assert_eq!((&placed["status"], &placed["lines"][0]["title"]), (&json!("CONFIRMED"), &json!("Flat white")));
    let name = placed["name"].as_str().unwrap();
    assert_eq!(get(&shop, &format!("/v1/{name}"), "").await.ok(), placed);
    assert_eq!(shop.shelf("flat-white").await.reserved, 2);
    assert_eq!(post(&shop, "/v1/orders", &body).await.ok(), placed);

    let mut other = body.clone();
    other["customer"] = json!("Bob");
    let refused = post(&shop, "/v1/orders", &other).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.detail("google.rpc.ErrorInfo")["reason"], "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_a_status_with_its_details() {
    let shop = open().await;
    let name = "orders/01k00000000000000000";
    let missing = get(&shop, &format!("/v1/{name}"), "").await;
    assert_eq!((missing.status, &missing.json()["code"]), (404, &json!(5)), "{missing:?}");
    assert_eq!(missing.header("content-type"), Some("application/json"));
    assert_eq!(missing.detail("google.rpc.ResourceInfo")["resourceName"], name);

    let wrong = json!({"lines": [{"item": "Espresso"}]});
    let refused = post(&shop, "/v1/orders", &wrong).await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(3)), "{refused:?}");
    let violations = refused.detail("google.rpc.BadRequest")["fieldViolations"].clone();
    let fields: Vec<_> = violations.as_array().unwrap().iter().map(|violation| violation["field"].clone()).collect();
    assert_eq!(fields, ["customer", "lines[0].item", "lines[0].quantity"]);

    let much = json!({"customer": "Ada", "lines": [{"item": "items/last-slice", "quantity": 2}]});
    let refused = post(&shop, "/v1/orders", &much).await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(9)), "{refused:?}");
    assert_eq!(refused.detail("google.rpc.PreconditionFailure")["violations"][0]["subject"], "items/last-slice");

    for broken in ["{", "[]", r#"{"customer": 1}"#] {
        let refused = ask(&shop, "POST", "/v1/orders", "content-type: application/json\r\n", broken).await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(3)), "{broken}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbs_behind_a_name_do_something_with_it() {
    let shop = open().await;
    let name = shop.place("Ada", &[("last-slice", 1)]).await.name;
    let cancelled = post(&shop, &format!("/v1/{name}:cancel"), &json!({"reason": "changed my mind"})).await.ok();
    assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("CANCELLED"), &json!("changed my mind")));
    let refused = post(&shop, &format!("/v1/{name}:complete"), &json!({})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(9)), "{refused:?}");
    // A verb that no rule has is a part of the name, which then is none.
    for refused in
        [get(&shop, &format!("/v1/{name}:cancel"), "").await, get(&shop, &format!("/v1/{name}:eat"), "").await]
    {
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(3)), "{refused:?}");
    }
    let refused = ask(&shop, "DELETE", &format!("/v1/{name}"), "", "").await;
    assert_eq!(refused.json()["code"], 12, "{refused:?}");
    assert!(refused.body.contains("by GET"), "{refused:?}");
    assert_eq!(get(&shop, "/v1/cups", "").await.status, 404);

    let adjust = json!({"change": "5", "reason": "delivery"});
    let item = post(&shop, "/v1/items/scone:adjust", &adjust).await.ok();
    assert_eq!(item["onHand"], "45");

    let lines = json!([{"item": "items/scone", "quantity": 3}]);
    for (id, verb, state) in [("used", "commit", "COMMITTED"), ("unused", "release", "RELEASED")] {
        let request = json!({"reservationId": id, "lines": lines, "hold": "60s"});
        let held = post(&shop, "/v1/reservations", &request).await.ok();
        assert_eq!(held["state"], "HELD");
        let path = format!("/v1/reservations/{id}");
        assert_eq!(post(&shop, &format!("{path}:{verb}"), &json!({})).await.ok()["state"], state);
        assert_eq!(get(&shop, &path, "").await.ok()["state"], state);
    }
    assert_eq!(shop.shelf("scone").await.on_hand, 42);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_a_line_for_each_order() {
    let shop = open().await;
    let line = |customer: &str, item: &str| json!({"customer": customer, "lines": [{"item": item, "quantity": 1}]});
    let lines =
        format!("{}\n\n{}\r\n{}", line("Ada", "items/scone"), line("", "items/scone"), line("Bob", "items/brownie"));
    let summary = ask(&shop, "POST", "/v1/orders:import", "content-type: application/x-ndjson\r\n", &lines).await.ok();
    assert_eq!((&summary["created"], &summary["refused"]), (&json!(2), &json!(1)), "{summary}");
    assert_eq!(summary["results"][1]["code"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_watched_as_events_that_bear_its_sequence_numbers() {
    let shop = open().await;
    let name = shop.place("Ada", &[("espresso", 1)]).await.name;
    shop.place("Bob", &[("espresso", 1)]).await;
    post(&shop, &format!("/v1/{name}:cancel"), &json!({})).await.ok();

    let path = format!("/v1/{name}:watch?afterSequence=0");
    let all = get(&shop, &path, "accept: text/event-stream\r\n").await;
    assert_eq!((all.status, all.header("content-type")), (200, Some("text/event-stream")), "{all:?}");
    let events = events(&all.body);
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["1", "3", ""], "{all:?}");
    assert_eq!(events[1].json()["order"]["status"], "CANCELLED");
    assert_eq!(events[1].json()["sequence"], "3");
    assert_eq!(events[2].kind, "end");

    // A browser that lost the stream asks for the same, and says what it had last.
    let rest = get(&shop, &path, "accept: text/event-stream\r\nlast-event-id: 1\r\n").await;
    let rest = self::events(&rest.body);
    assert_eq!(rest.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["3", ""]);
    let none = get(&shop, &path, "accept: text/event-stream\r\nlast-event-id: 3\r\n").await;
    assert_eq!(self::events(&none.body).iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["end"]);
    let far = get(&shop, &path, "accept: text/event-stream\r\nlast-event-id: 4\r\n").await;
    assert!(far.body.contains("the last event has the number 3"), "{far:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_orders_are_watched_while_they_come() {
    let shop = open().await;
    shop.place("Ada", &[("espresso", 1)]).await;
    let headers = "accept: text/event-stream\r\n";
    let mut stream = Stream::open(&shop, &format!("GET /v1/orders:watch HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
    let head = stream.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("orders-sequence: 1\r\n"), "{head}");
    shop.place("Bob", &[("espresso", 1)]).await;
    let event = stream.until("\n\n").await;
    assert!(event.contains("id: 2\n") && event.contains("Bob"), "{event}");
    assert_eq!(shop.app.counters().watchers.value(), 1);
    drop(stream);
    until(|| shop.app.counters().watchers.value() == 0 && shop.server.calls_open() == 0).await;

    // What happened meanwhile is not lost.
    shop.place("Eve", &[("espresso", 1)]).await;
    let headers = "accept: text/event-stream\r\nlast-event-id: 2\r\n";
    let mut stream = Stream::open(&shop, &format!("GET /v1/orders:watch HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
    stream.until("\r\n\r\n").await;
    let event = stream.until("\n\n").await;
    assert!(event.contains("id: 3\n") && event.contains("Eve"), "{event}");

    // The server ends: whoever watches learns it as an event.
    shop.app.hang_up();
    let event = stream.until("\n\n").await;
    assert!(event.contains("event: error\n") && event.contains(r#""code":14"#), "{event}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_lines_or_an_array_for_those_who_are_no_browser() {
    let shop = open().await;
    let name = shop.place("Ada", &[("espresso", 1)]).await.name;
    post(&shop, &format!("/v1/{name}:cancel"), &json!({})).await.ok();
    let path = format!("/v1/{name}:watch?after_sequence=0");
    for accept in ["", "accept: application/x-ndjson\r\n"] {
        let answer = get(&shop, &path, accept).await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        let lines: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|event| &event["sequence"]).collect::<Vec<_>>(), ["1", "2"], "{answer:?}");
    }
    let array = get(&shop, &path, "accept: application/json\r\n").await.ok();
    assert_eq!(array.as_array().unwrap().len(), 2);

    // What goes wrong before the first message has its own HTTP status.
    let missing = get(&shop, "/v1/orders/01k00000000000000000:watch", "").await;
    assert_eq!((missing.status, &missing.json()["code"]), (404, &json!(5)), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_the_deadline_of_a_caller_who_does_not() {
    let shop = open().await;
    shop.place("Ada", &[("espresso", 1)]).await;
    for timeout in ["x-timeout-ms: 100\r\n", "grpc-timeout: 100m\r\n"] {
        let answer = get(&shop, "/v1/orders:watch?afterSequence=0", timeout).await;
        let last: Value = serde_json::from_str(answer.body.lines().last().unwrap()).unwrap();
        let status = last.get("error").unwrap_or(&last);
        assert_eq!(status["code"], 4, "{answer:?}");
        until(|| shop.server.calls_open() == 0 && shop.app.counters().watchers.value() == 0).await;
    }
    let held = get(&shop, "/v1/items", "test-hold: 1\r\nx-timeout-ms: 50\r\n").await;
    assert_eq!((held.status, &held.json()["code"]), (504, &json!(4)), "{held:?}");
    assert_eq!(shop.server.calls_open(), 0);
}

/// Far more is there to be said than anything between holds, and the browser reads nothing for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_reads_late_misses_no_event() {
    const ORDERS: usize = 150;
    let shop = open().await;
    let change = 1_000_000;
    let name = "items/espresso".to_owned();
    shop.stock.adjust_item(AdjustItemRequest { name, change, ..Default::default() }).await.unwrap();
    let headers = "accept: text/event-stream\r\n";
    let request = format!("GET /v1/orders:watch?afterSequence=0 HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let mut stream = Stream::open(&shop, &request).await;
    let lines: Vec<_> = (0..100).map(|_| ("espresso", 1)).collect();
    for _ in 0..ORDERS {
        shop.place("Ada", &lines).await;
    }
    stream.until("\r\n\r\n").await;
    for sequence in 1..=ORDERS {
        let event = stream.until("\n\n").await;
        assert!(event.contains(&format!("id: {sequence}\n")), "{event}");
    }
}

async fn open() -> TestShop {
    TestShop::open(Wire::REST).await.unwrap()
}

async fn get(shop: &TestShop, path: &str, headers: &str) -> Answer {
    ask(shop, "GET", path, headers, "").await
}

async fn post(shop: &TestShop, path: &str, body: &Value) -> Answer {
    ask(shop, "POST", path, "content-type: application/json\r\n", &body.to_string()).await
}

async fn ask(shop: &TestShop, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let len = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len}\r\n{headers}\r\n{body}"
    );
    let mut transport = TcpStream::connect(shop.address.unwrap()).await.unwrap();
    transport.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    transport.read_to_end(&mut answer).await.unwrap();
    Answer::read(&String::from_utf8(answer).unwrap())
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if head.contains("transfer-encoding: chunked") { whole(body) } else { body.to_owned() };
        Self { status, head: head.to_owned(), body }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer that is no error.
    fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        self.json()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The detail of a type in an error.
    fn detail(&self, name: &str) -> Value {
        let json = self.json();
        let url = format!("type.googleapis.com/{name}");
        let detail = json["details"].as_array().unwrap().iter().find(|detail| detail["@type"] == *url);
        detail.unwrap_or_else(|| panic!("{self:?} has no {name}")).clone()
    }
}

/// A body without its chunks' lengths.
fn whole(mut chunks: &str) -> String {
    let mut body = String::new();
    loop {
        let (len, rest) = chunks.split_once("\r\n").unwrap();
        match usize::from_str_radix(len, 16).unwrap() {
            0 => return body,
            len => {
                body.push_str(&rest[..len]);
                chunks = rest[len..].strip_prefix("\r\n").unwrap();
            }
        }
    }
}

/// One server-sent event.
#[derive(Debug, Default)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

/// The events of a body that has ended.
fn events(body: &str) -> Vec<Event> {
    let blocks = body.split("\n\n").filter(|block| !block.is_empty());
    let events = blocks.map(|block| {
        let mut event = Event::default();
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                _ => {}
            }
        }
        event
    });
    events.collect()
}

/// An answer that is read as it comes.
struct Stream {
    transport: TcpStream,
    /// What came and was not taken, without the lengths of chunks once the head is over.
    text: String,
    raw: Vec<u8>,
    in_body: bool,
}

impl Stream {
    async fn open(shop: &TestShop, request: &str) -> Self {
        let address: SocketAddr = shop.address.unwrap();
        let mut transport = TcpStream::connect(address).await.unwrap();
        transport.write_all(request.as_bytes()).await.unwrap();
        Self { transport, text: String::new(), raw: Vec::new(), in_body: false }
    }

    /// Takes everything up to a mark and the mark. The first is the end of the head.
    async fn until(&mut self, mark: &str) -> String {
        loop {
            self.take_chunks();
            if let Some(at) = self.text.find(mark) {
                let rest = self.text.split_off(at + mark.len());
                let taken = std::mem::replace(&mut self.text, rest);
                if !self.in_body {
                    self.in_body = true;
                    self.raw = std::mem::take(&mut self.text).into_bytes();
                }
                return taken;
            }
            let read = tokio::time::timeout(Duration::from_secs(60), self.transport.read_buf(&mut self.raw));
            let len = read.await.expect("it goes on within a minute").unwrap();
            assert!(len > 0, "it ended with {:?}", self.text);
        }
    }

    /// Moves what is complete from `raw` to `text`.
    fn take_chunks(&mut self) {
        if !self.in_body {
            self.text.push_str(&String::from_utf8(std::mem::take(&mut self.raw)).unwrap());
            return;
        }
        while let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let len = usize::from_str_radix(std::str::from_utf8(&self.raw[..line]).unwrap(), 16).unwrap();
            let end = line + 2 + len;
            if self.raw.len() < end + 2 {
                return;
            }
            self.text.push_str(std::str::from_utf8(&self.raw[line + 2..end]).unwrap());
            self.raw.drain(..end + 2);
        }
    }
}
