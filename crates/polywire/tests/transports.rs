//! Ways to a server: Unix sockets, TLS, mutual TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{fs, path::Path, time::Duration};

use polywire::{
    Address, Call, Channel, Code, Interceptor, Next, Reply, Server, Status, Wire,
    transport::tls::{CertificateSource, ClientCertificates, ClientTls, Roots, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use shared::{EchoClient, EchoServer, Echoer, on_tcp, say};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Issues certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: Roots,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let roots = Roots::pem(params.self_signed(&key).unwrap().pem());
        Self { issuer: Issuer::new(params, key), roots }
    }

    /// Certificate and key, both PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn source(&self, name: &str) -> CertificateSource {
        let (certificate, key) = self.issue(name);
        CertificateSource::pem(certificate, key)
    }
}

/// Answers with who called.
struct WhoCalls;

impl Interceptor for WhoCalls {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        let identity = call.peer().identity.as_ref().map(|identity| identity.dns_names.join(","));
        call.append_leading("x-identity", identity.as_deref().unwrap_or("none")).unwrap();
        call.append_leading("x-address", &call.address().to_string()).unwrap();
        next.run(call).await
    }
}

fn secure(address: &str, tls: ClientTls) -> EchoClient {
    let port = address.rsplit(':').next().unwrap();
    EchoClient::new(Channel::builder(format!("https://localhost:{port}")).unwrap().tls(tls).build().unwrap())
}

#[tokio::test]
async fn calls_go_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let target = format!("unix:{}", directory.path().join("echo.sock").display());
    let bound = Server::new().intercept(WhoCalls).add(EchoServer::new(Echoer)).bind(&target).await.unwrap();
    let handle = bound.handle();
    let serving = tokio::spawn(bound.serve());
    let echo = EchoClient::new(Channel::to(&target).unwrap());
    let response = echo.unary(say("a")).with_metadata().await.unwrap();
    assert_eq!(response.leading.get("x-address"), Some(&*Address::Unix(None).to_string()));
    handle.drain(Duration::from_secs(5)).await;
    serving.await.unwrap();
    assert!(!directory.path().join("echo.sock").exists());
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_unavailable() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (_server, address) = on_tcp(Server::new().tls(ServerTls::new(authority.source("localhost")))).await;
    assert_eq!(secure(&address, ClientTls::new(authority.roots)).unary(say("a")).await.unwrap().text, "a");
    let error = secure(&address, ClientTls::new(stranger.roots)).unary(say("a")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    // Nor does a server under TLS answer in the clear.
    let error = EchoClient::new(Channel::to(&address).unwrap()).unary(say("a")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
}

/// What a server says at once to these bytes, and what was agreed on by ALPN.
async fn told(authority: &Authority, server: Server, offered: &[&str], bytes: &[u8]) -> (String, Vec<u8>) {
    let server = server.tls(ServerTls::new(authority.source("localhost")));
    let (_server, address) = on_tcp(server).await;
    let transport = TcpStream::connect(address.strip_prefix("http://").unwrap_or(&address)).await.unwrap();
    let client = ClientTls::new(authority.roots.clone()).alpn(offered.iter().copied()).build().unwrap();
    let mut transport = client.connect("localhost", transport).await.unwrap();
    let agreed = String::from_utf8(transport.alpn().unwrap_or_default().to_vec()).unwrap();
    transport.write_all(bytes).await.unwrap();
    let mut answer = [0; 8];
    transport.read_exact(&mut answer).await.unwrap();
    (agreed, answer.to_vec())
}

#[tokio::test]
async fn what_tls_has_agreed_on_is_what_is_spoken() {
    let authority = Authority::new();
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let (agreed, answer) = told(&authority, Server::new(), &["http/1.1", "h2"], request).await;
    assert_eq!((&*agreed, answer[3]), ("h2", 4), "SETTINGS come first in {answer:?}");
    let (agreed, answer) = told(&authority, Server::new(), &["http/1.1"], request).await;
    assert_eq!((&*agreed, &*answer), ("http/1.1", &b"HTTP/1.1"[..]));
    // Nothing is agreed on: the bytes tell.
    let (agreed, answer) = told(&authority, Server::new(), &[], request).await;
    assert_eq!((&*agreed, &*answer), ("", &b"HTTP/1.1"[..]));
}

#[tokio::test]
async fn a_request_under_tls_is_https_whether_alpn_or_its_bytes_tell_what_it_is() {
    async fn scheme(request: polywire::http::Request) -> polywire::http::Response {
        polywire::http::Response::text(request.scheme().to_owned())
    }
    let authority = Authority::new();
    let server = Server::new().route("/", scheme).tls(ServerTls::new(authority.source("localhost")));
    let (_server, address) = on_tcp(server).await;
    for offered in [&["http/1.1"][..], &[]] {
        let client = ClientTls::new(authority.roots.clone()).alpn(offered.iter().copied()).build().unwrap();
        let transport = TcpStream::connect(&address).await.unwrap();
        let mut transport = client.connect("localhost", transport).await.unwrap();
        transport.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        transport.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\nhttps"), "{answer}");
    }
}

#[tokio::test]
async fn tls_agrees_on_no_wire_that_is_switched_off() {
    let authority = Authority::new();
    let server = Server::new().without_wire(Wire::Native).without_wire(Wire::Http2);
    let offered = ["polywire/1", "h2", "http/1.1"];
    let (agreed, answer) = told(&authority, server, &offered, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!((&*agreed, &*answer), ("http/1.1", &b"HTTP/1.1"[..]));
}

#[tokio::test]
async fn the_identity_of_a_client_is_on_its_calls() {
    let authority = Authority::new();
    let tls = ServerTls::new(authority.source("localhost"))
        .client_certificates(ClientCertificates::Required(authority.roots.clone()));
    let (_server, address) = on_tcp(Server::new().intercept(WhoCalls).tls(tls)).await;
    let known = ClientTls::new(authority.roots.clone()).certificate(authority.source("shop.example"));
    let response = secure(&address, known).unary(say("a")).with_metadata().await.unwrap();
    assert_eq!(response.leading.get("x-identity"), Some("shop.example"));
    let error = secure(&address, ClientTls::new(authority.roots)).unary(say("a")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
}

#[tokio::test]
async fn a_certificate_that_changes_on_disk_is_used_for_new_connections() {
    fn write(directory: &Path, (certificate, key): (String, String)) {
        fs::write(directory.join("certificate.pem"), certificate).unwrap();
        fs::write(directory.join("key.pem"), key).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    write(directory.path(), old.issue("localhost"));
    let source = CertificateSource::files(directory.path().join("certificate.pem"), directory.path().join("key.pem"));
    let tls = ServerTls::new(source).reload_interval(Duration::ZERO);
    let (server, address) = on_tcp(Server::new().tls(tls)).await;
    let before = secure(&address, ClientTls::new(old.roots));
    assert_eq!(before.unary(say("a")).await.unwrap().text, "a");
    write(directory.path(), new.issue("localhost"));
    let after = secure(&address, ClientTls::new(new.roots));
    assert_eq!(after.unary(say("b")).wait_for_ready(true).timeout(Duration::from_secs(20)).await.unwrap().text, "b");
    // The old connection goes on.
    assert_eq!(before.unary(say("c")).await.unwrap().text, "c");
    assert_eq!(server.connections_open(), 2);
}
