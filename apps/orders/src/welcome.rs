//! What is said once the server listens: where, and commands to paste into another terminal.

use std::io::{self, Write as _};

use crate::flags::{Flags, LogFormat};

/// Says where the server listens and how it can be called. With JSON logs nobody is there to read it, and it says nothing.
pub(crate) fn print(flags: &Flags, address: &str, database: &str) {
    if flags.log_format == LogFormat::Json {
        return;
    }
    // Nobody may be reading standard output; that is no reason not to serve.
    drop(io::stdout().write_all(text(flags, address, database).as_bytes()));
}

fn text(flags: &Flags, address: &str, database: &str) -> String {
    let stock = flags.stock_target().unwrap_or("in this process");
    let secure = flags.tls().is_some();
    let wire = if secure { "every wire, under TLS" } else { "every wire, in the clear" };
    // Who listens on all addresses is reached on one.
    let target = address.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    let (url, grpcurl) = if secure {
        (format!("https://{target}"), "grpcurl -cacert CA.pem")
    } else {
        (target.clone(), "grpcurl -plaintext")
    };
    let curl = if secure { "curl --cacert CA.pem" } else { "curl" };
    let native = if secure { "--tls --cacert CA.pem " } else { "" };
    let websocket = format!("{}://{target}/", if secure { "wss" } else { "ws" });
    let page = format!("{}://{target}/", if secure { "https" } else { "http" });
    let polywire = "cargo run --release -q -p polywire-cli --";
    let tls = if secure { " --cacert CA.pem" } else { "" };
    format!(
        r#"
The café is open.

  listening on  {address} ({wire})
  orders        {database}
  stock         {stock}
  page          {page}   (OpenAPI: {page}docs)

Paste into another terminal:

  # what is on offer
  {polywire} list {url}{tls}
  {polywire} call {url} stock.v1.Stock/ListItems{tls}

  # follow all orders as they change
  {polywire} call {url} orders.v1.Orders/WatchAll{tls}

  # place one
  {polywire} call {url} orders.v1.Orders/Create{tls} -d '{ORDER}'

  # be the kitchen: type {{"accepted": {{"order": "orders/…"}}}}, later {{"ready": {{"order": "orders/…"}}}}
  {polywire} call {url} orders.v1.Orders/Kitchen{tls} -d @
  {{"announce": {{"kitchen": "upstairs"}}}}

  # the same port by other wires: Connect, REST, server-sent events, our own frames (standard Python only)
  {curl} {page}stock.v1.Stock/ListItems -H 'content-type: application/json' -d '{{"pageSize": 3}}'
  {curl} {page}v1/orders -H 'content-type: application/json' -d '{ORDER}'
  {curl} -N {page}v1/orders:watch -H 'accept: text/event-stream'
  python3 clients/python/polywire_native.py {native}{target} stock.v1.Stock/ListItems '{{"pageSize": 3}}'
  websocat --protocol polywire.json {websocket}
  {{"call": "stock.v1.Stock/ListItems", "message": {{"pageSize": 3}}}}

  # the same with grpcurl, and with Python (pip install grpcio grpcio-tools)
  {grpcurl} -d '{ORDER}' {target} orders.v1.Orders/Create
  python3 apps/orders/examples/place_order.py {target}

Ctrl-C ends it when everything that has begun is finished.

"#
    )
}

/// The order in the examples.
const ORDER: &str = r#"{"customer": "Ada", "lines": [{"item": "items/flat-white", "quantity": 2}]}"#;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_commands_name_the_address_in_use() {
        let flags = Flags::parse_from(["orders", "--ephemeral"]);
        let text = text(&flags, "0.0.0.0:5000", "SQLite in memory");
        assert!(text.contains("listening on  0.0.0.0:5000 (every wire, in the clear)"), "{text}");
        assert!(text.contains("page          http://127.0.0.1:5000/"), "{text}");
        assert!(text.contains("grpcurl -plaintext -d '{\"customer\""), "{text}");
        assert!(text.contains("127.0.0.1:5000 orders.v1.Orders/Create"), "{text}");
        assert!(text.contains("{\"announce\": {\"kitchen\": \"upstairs\"}}"), "{text}");
    }

    #[test]
    fn under_tls_the_commands_say_so() {
        let flags = Flags::parse_from(["orders", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
        let text = text(&flags, "127.0.0.1:8080", "");
        assert!(text.contains("call https://127.0.0.1:8080 orders.v1.Orders/WatchAll --cacert CA.pem"), "{text}");
        assert!(!text.contains("plaintext"), "{text}");
    }
}
