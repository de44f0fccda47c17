//! The program itself: flags, signals, exit codes, TLS.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use orders::proto::orders::v1::{ListOrdersRequest, OrdersClient, WatchAllOrdersRequest};
use orders::proto::stock::v1::{ListItemsRequest, StockClient};
use polywire::transport::tls::{CertificateSource, ClientTls, Roots};
use polywire::{Channel, Code};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_says_where_and_drains_on_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = Program::start(directory.path(), &["--listen", "127.0.0.1:0"]);
    let orders = OrdersClient::new(Channel::to(&program.address).unwrap());
    let stock = StockClient::new(Channel::to(&program.address).unwrap());
    assert_eq!(stock.list_items(ListItemsRequest::default()).await.unwrap().items.len(), 24);
    assert!(directory.path().join("data/orders.db").is_file());

    // A stream that would never end by itself does not keep it from ending.
    let mut events = orders.watch_all(WatchAllOrdersRequest::default()).await.unwrap();
    events.leading().await;
    program.signal("TERM");
    assert_eq!(events.next().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(program.exit_code(), Some(0));
    let log = program.log();
    assert!(log.contains("draining") && log.contains("ended"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_there_again_after_a_restart_and_the_catalogue_is_not_doubled() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let mut program = Program::start(directory.path(), &["--listen", "127.0.0.1:0", "--data", "here"]);
        let orders = OrdersClient::new(Channel::to(&program.address).unwrap());
        let list = orders.list(ListOrdersRequest::default()).await.unwrap();
        assert_eq!(list.orders.len(), round);
        let line = orders::proto::orders::v1::create_order_request::Line {
            item: "items/espresso".to_owned(),
            quantity: 1,
            ..Default::default()
        };
        let request = orders::proto::orders::v1::CreateOrderRequest {
            customer: "Ada".to_owned(),
            lines: vec![line],
            ..Default::default()
        };
        orders.create(request).await.unwrap();
        program.signal("INT");
        assert_eq!(program.exit_code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_tls_a_caller_shows_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let (certificate, key) = authority.issue();
    file("ca.pem", &authority.certificate.pem());
    file("cert.pem", &certificate);
    file("key.pem", &key);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--client-ca", "ca.pem"];
    let mut program =
        Program::start(directory.path(), &[&["--listen", "127.0.0.1:0", "--ephemeral"][..], &flags].concat());
    let target = format!("https://{}", program.address.replace("127.0.0.1", "localhost"));

    let known = || ClientTls::new(Roots::pem(authority.certificate.pem()));
    let (certificate, key) = authority.issue();
    let ours = known().certificate(CertificateSource::pem(certificate, key));
    let orders = OrdersClient::new(Channel::builder(&target).unwrap().tls(ours).build().unwrap());
    assert!(orders.list(ListOrdersRequest::default()).await.is_ok());

    let nobody = OrdersClient::new(Channel::builder(&target).unwrap().tls(known()).build().unwrap());
    let error = nobody.list(ListOrdersRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    program.signal("TERM");
    assert_eq!(program.exit_code(), Some(0));
}

#[test]
fn an_address_in_use_is_said_and_has_an_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, log) = run(&["--listen", &address, "--ephemeral"]);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")), "{log}");
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let (code, log) = run(&["--database", "sqlite:/nowhere/at/all/orders.db", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("unable to open database file"), "{log}");
    let (code, log) =
        run(&["--ephemeral", "--tls-cert", "nowhere.pem", "--tls-key", "nowhere.pem", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("nowhere.pem"), "{log}");
    let (code, log) = run(&["--hold", "soon"]);
    assert_eq!(code, Some(2), "{log}");
}

#[test]
fn machines_get_json_and_no_welcome() {
    let directory = tempfile::tempdir().unwrap();
    let mut program = command(directory.path(), &["--listen", "127.0.0.1:0", "--ephemeral", "--log-format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let listening = lines.find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        (line["message"] == "listening").then_some(line)
    });
    assert_eq!(listening.unwrap()["level"], "INFO");
    program.kill().unwrap();
    program.wait().unwrap();
    let mut said = String::new();
    program.stdout.unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn the_page_is_at_the_root_and_is_sent_once_and_the_counts_are_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &["--listen", "127.0.0.1:0", "--ephemeral"]);
    let ask = |path: &str, more: &str| {
        let mut stream = TcpStream::connect(&program.address).unwrap();
        let host = &program.address;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let page = ask("/", "");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<title>"), "{page}");
    for (path, content_type) in [("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        assert!(page.contains(&path[1..]), "{page}");
        let file = ask(path, "");
        assert!(file.starts_with("HTTP/1.1 200 ") && file.contains(content_type), "{path}");
    }
    let metrics = ask("/metrics", "");
    for name in ["polywire_calls_started_total{wire=", "orders_created_total"] {
        assert!(metrics.contains(name), "{metrics}");
    }
    let tag = page.lines().find(|line| line.starts_with("etag: ")).unwrap();
    let again = ask("/", &format!("if-none-match: {}\r\n", &tag["etag: ".len()..]));
    assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
}

/// The program, running, until it is told to end or dropped.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start(directory: &Path, flags: &[&str]) -> Self {
        let mut child = command(directory, flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let address = line.trim().strip_prefix("listening on")?.trim().split(' ').next()?.to_owned();
            Some(address)
        });
        let Some(address) = address else {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("it did not start: {log}");
        };
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    fn log(&mut self) -> String {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(directory: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.args(flags).current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ORDERS_")) {
        command.env_remove(name);
    }
    command
}

/// Runs it where it cannot start; exit code and log.
fn run(flags: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let output = command(directory.path(), flags).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// An authority that issues certificates for `localhost`.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    fn issue(&self) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}
