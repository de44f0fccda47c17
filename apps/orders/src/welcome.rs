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
    let body = match address.strip_prefix("unix:") {
        Some(path) => on_unix_socket(path.strip_prefix("//").unwrap_or(path)),
        None => on_tcp(flags, address),
    };
    // A Unix socket is never under TLS.
    let secure = flags.tls().is_some() && !address.starts_with("unix:");
    let wire = if secure { "every wire, under TLS" } else { "every wire, in the clear" };
    format!(
        "\nThe café is open.\n\n  listening on  {address} ({wire})\n  orders        {database}\n  stock         {stock}\n{body}\n\
         Ctrl-C ends it when everything that has begun is finished.\n\n"
    )
}

/// Commands for a server that is reached over the network.
fn on_tcp(flags: &Flags, address: &str) -> String {
    let secure = flags.tls().is_some();
    // Who listens on all addresses is reached on one.
    let target = address.replacen("0.0.0.0:", "127.0.0.1:", 1).replacen("[::]:", "[::1]:", 1);
    let url = if secure { format!("https://{target}") } else { target.clone() };
    let page = format!("{}://{target}/", if secure { "https" } else { "http" });
    let ca = if secure { " --cacert CA.pem" } else { "" };
    // Whoever is asked for a certificate of his own has to name it too.
    let known = flags.asks_for_certificates();
    let (pair, grpcurl_pair) =
        if known { (" --cert CERT.pem --key KEY.pem", " -cert CERT.pem -key KEY.pem") } else { ("", "") };
    let tls = format!("{ca}{pair}");
    let native = if secure { format!("--tls{tls} ") } else { String::new() };
    let grpcurl =
        if secure { format!("grpcurl -cacert CA.pem{grpcurl_pair}") } else { "grpcurl -plaintext".to_owned() };
    let websocket = match (secure, known) {
        (false, _) => format!("  websocat --protocol polywire.json ws://{target}/\n{IN_WEBSOCKET}"),
        // It has no flag for an authority of one's own, but believes those of a file that the environment names.
        (true, false) => {
            format!(
                "  SSL_CERT_FILE=CA.pem websocat --protocol polywire.json wss://{target}/   # or websocat -k …\n{IN_WEBSOCKET}"
            )
        }
        (true, true) => String::new(),
    };
    // The example in Python does not speak TLS.
    let python =
        if secure { "with grpcurl\n" } else { "with grpcurl, and with Python (pip install grpcio grpcio-tools)\n" };
    let place_order =
        if secure { String::new() } else { format!("  python3 apps/orders/examples/place_order.py {target}\n") };
    let certificates = match (secure, known) {
        (false, _) => "",
        (true, false) => "  # CA.pem: the authority that issued the server's certificate\n",
        (true, true) => {
            "  # CA.pem: the authority that issued the server's certificate; CERT.pem and KEY.pem: the caller's own, from --client-ca\n"
        }
    };
    let polywire = POLYWIRE;
    format!(
        r#"  page          {page}   (OpenAPI: {page}docs)

Paste into another terminal:

{certificates}  # what is on offer
  {polywire} list {url}{tls}
  {polywire} call {url} stock.v1.Stock/ListItems{tls}

  # follow all orders as they change
  {polywire} call {url} orders.v1.Orders/WatchAll{tls}

  # place one
  {polywire} call {url} orders.v1.Orders/Create{tls} -d '{ORDER}'

  # be the kitchen: type {{"accepted": {{"order": "orders/…"}}}}, later {{"ready": {{"order": "orders/…"}}}}
  {polywire} call {url} orders.v1.Orders/Kitchen{tls} -d @
  {{"announce": {{"kitchen": "upstairs"}}}}

  # the same port by other wires: Connect, REST, server-sent events, our own frames (standard Python only), WebSocket
  curl{tls} {page}stock.v1.Stock/ListItems -H 'content-type: application/json' -d '{{"pageSize": 3}}'
  curl{tls} {page}v1/orders -H 'content-type: application/json' -d '{ORDER}'
  curl{tls} -N {page}v1/orders:watch -H 'accept: text/event-stream'
  python3 clients/python/polywire_native.py {native}{target} stock.v1.Stock/ListItems '{{"pageSize": 3}}'
  {polywire} call {ws}://{target} stock.v1.Stock/ListItems{tls} -v
{websocket}
  # the same {python}  {grpcurl} -d '{ORDER}' {target} orders.v1.Orders/Create
{place_order}"#,
        ws = if secure { "wss" } else { "ws" },
    )
}

/// Commands for a server that is reached by a socket of this machine.
fn on_unix_socket(path: &str) -> String {
    let (polywire, curl) = (POLYWIRE, format!("curl --unix-socket {path}"));
    format!(
        r#"
Paste into another terminal:

  # what is on offer
  {polywire} list unix:{path}
  {polywire} call unix:{path} stock.v1.Stock/ListItems

  # follow all orders as they change
  {polywire} call unix:{path} orders.v1.Orders/WatchAll

  # place one
  {polywire} call unix:{path} orders.v1.Orders/Create -d '{ORDER}'

  # be the kitchen: type {{"accepted": {{"order": "orders/…"}}}}, later {{"ready": {{"order": "orders/…"}}}}
  {polywire} call unix:{path} orders.v1.Orders/Kitchen -d @
  {{"announce": {{"kitchen": "upstairs"}}}}

  # the same socket by other wires: Connect, REST, server-sent events, our own frames (standard Python only)
  {curl} http://localhost/stock.v1.Stock/ListItems -H 'content-type: application/json' -d '{{"pageSize": 3}}'
  {curl} http://localhost/v1/orders -H 'content-type: application/json' -d '{ORDER}'
  {curl} -N http://localhost/v1/orders:watch -H 'accept: text/event-stream'
  python3 clients/python/polywire_native.py unix:{path} stock.v1.Stock/ListItems '{{"pageSize": 3}}'
"#
    )
}

/// The command, from the sources.
const POLYWIRE: &str = "cargo run --release -q -p polywire-cli --";

/// What to type into a WebSocket.
const IN_WEBSOCKET: &str = "  {\"call\": \"stock.v1.Stock/ListItems\", \"message\": {\"pageSize\": 3}}\n";

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
        assert!(!text.contains("plaintext") && !text.contains("place_order"), "{text}");
        assert!(text.contains("curl --cacert CA.pem https://127.0.0.1:8080/v1/orders"), "{text}");
        assert!(text.contains("SSL_CERT_FILE=CA.pem websocat"), "{text}");
    }

    #[test]
    fn who_asks_for_certificates_says_which_flags_take_them() {
        let tls = ["orders", "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--client-ca", "clients.pem"];
        let text = text(&Flags::parse_from(tls), "127.0.0.1:8080", "");
        let pair = "--cacert CA.pem --cert CERT.pem --key KEY.pem";
        for line in [
            format!("list https://127.0.0.1:8080 {pair}\n"),
            format!("curl {pair} -N https://127.0.0.1:8080/v1/orders:watch"),
            format!("polywire_native.py --tls {pair} 127.0.0.1:8080"),
            "grpcurl -cacert CA.pem -cert CERT.pem -key KEY.pem -d".to_owned(),
        ] {
            assert!(text.contains(&line), "{line:?} is missing in {text}");
        }
        assert!(!text.contains("websocat"), "{text}");
    }

    #[test]
    fn on_a_unix_socket_only_what_can_reach_it_is_named() {
        let text =
            text(&Flags::parse_from(["orders", "--listen", "unix:/run/orders.sock"]), "unix:/run/orders.sock", "");
        assert!(text.contains("listening on  unix:/run/orders.sock (every wire, in the clear)"), "{text}");
        assert!(text.contains("curl --unix-socket /run/orders.sock http://localhost/v1/orders -H"), "{text}");
        assert!(text.contains("call unix:/run/orders.sock orders.v1.Orders/WatchAll\n"), "{text}");
        for word in ["http://unix", "websocat", "grpcurl", "  page "] {
            assert!(!text.contains(word), "{word:?} is in {text}");
        }
    }
}
