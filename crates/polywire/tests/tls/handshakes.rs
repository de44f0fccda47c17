use std::{io::ErrorKind, sync::Arc, time::Duration};

use polywire::transport::tls::{ClientCertificates, ClientTls, Roots, ServerTls, TlsError, TlsVersion};
use rcgen::date_time_ymd;
use rustls::{
    ClientConfig, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::{Authority, Issued, SERVER, connected, handshake};

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as crypto;

#[tokio::test]
async fn client_and_server_agree_on_h2_over_tls_1_3() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    let (client, server) = connected(&client, &server).await;
    for side in [&client, &server] {
        assert_eq!(side.alpn(), Some(&b"h2"[..]));
        assert_eq!(side.version(), TlsVersion::Tls13);
        assert!(side.cipher_suite().unwrap().starts_with("TLS13_"));
    }
    assert_eq!(server.server_name(), Some(SERVER));
    assert_eq!(client.identity().unwrap().dns_names, [SERVER]);
    assert!(server.identity().is_none(), "nobody asked the client for a certificate");
    assert_eq!(CryptoProvider::get_default().map(|_| ()), None, "the process's default is not ours to set");
}

#[tokio::test]
async fn a_required_client_certificate_is_verified() {
    let (authority, clients) = (Authority::new("authority"), Authority::new("clients"));
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Required(clients.roots()))
        .build()
        .unwrap();
    let client =
        ClientTls::new(authority.roots()).certificate(clients.issue("kitchen.example").source()).build().unwrap();
    let (_, server) = connected(&client, &server).await;
    assert_eq!(server.identity().unwrap().dns_names, ["kitchen.example"]);
}

#[tokio::test]
async fn a_client_without_the_required_certificate_is_refused_and_told_why() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Required(authority.roots()))
        .build()
        .unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    let (client, server) = handshake(&client, &server).await;
    assert_eq!(server.unwrap_err().to_string(), "the peer showed no certificate, and one is required");
    // By then a client of TLS 1.3 believes to be through.
    let error = client.unwrap().read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(
        error.to_string(),
        "the peer refused TLS with us: CertificateRequired (it wants a client certificate: give one)"
    );
    assert!(error.get_ref().unwrap().is::<TlsError>());
}

#[tokio::test]
async fn an_optional_client_certificate_may_be_missing_but_not_wrong() {
    let (authority, strangers) = (Authority::new("authority"), Authority::new("strangers"));
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Optional(authority.roots()))
        .build()
        .unwrap();
    let client = ClientTls::new(authority.roots());

    let nobody = client.clone().build().unwrap();
    assert!(connected(&nobody, &server).await.1.identity().is_none());

    let somebody = client.clone().certificate(authority.issue("kitchen.example").source()).build().unwrap();
    assert!(connected(&somebody, &server).await.1.identity().is_some());

    let stranger = client.certificate(strangers.issue("kitchen.example").source()).build().unwrap();
    let (_, server) = handshake(&stranger, &server).await;
    assert!(matches!(server, Err(TlsError::UntrustedCertificate { .. })), "{server:?}");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_believed() {
    let server = ServerTls::new(Authority::new("strangers").issue(SERVER).source()).build().unwrap();
    let client = ClientTls::new(Authority::new("authority").roots()).build().unwrap();
    let (client, server) = handshake(&client, &server).await;
    assert_eq!(
        client.unwrap_err().to_string(),
        "the peer's certificate is not trusted: UnknownIssuer; none of the given roots issued it (does the peer send its \
         intermediate certificates?)"
    );
    assert_eq!(
        server.unwrap_err().to_string(),
        "the peer refused TLS with us: UnknownCA (it does not know who issued our certificate: its roots lack our authority)"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_believed() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue("stock.example").source()).build().unwrap();
    let client = ClientTls::new(authority.roots());
    let (error, _) = handshake(&client.clone().build().unwrap(), &server).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("not valid for name") && text.contains("stock.example"), "{text}");

    let (_, server) = connected(&client.server_name("stock.example").build().unwrap(), &server).await;
    assert_eq!(server.server_name(), Some("stock.example"));
}

#[tokio::test]
async fn a_server_can_be_known_by_its_ip_address() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue("::1").source()).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    for (host, fine) in [("::1", true), ("[::1]", true), ("127.0.0.1", false)] {
        let (near, far) = duplex(64 * 1024);
        let (client, _) = tokio::join!(client.connect(host, near), server.accept(far));
        assert_eq!(client.is_ok(), fine, "{host}");
    }
}

#[tokio::test]
async fn a_host_that_is_no_name_is_refused_before_anything_is_sent() {
    let client = ClientTls::new(Authority::new("authority").roots()).build().unwrap();
    let (near, _far) = duplex(1024);
    let error = client.connect("not a name", near).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"not a name\" is neither a DNS name nor an IP address, so no certificate can be for it"
    );
}

#[tokio::test]
async fn an_expired_server_is_not_believed() {
    let authority = Authority::new("authority");
    let expired = authority.issue_with(SERVER, |params| params.not_after = date_time_ymd(2021, 1, 1));
    let acceptor = bare_server(&expired, &[b"h2"]);
    let client = ClientTls::new(authority.roots()).build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let (client, _) = tokio::join!(client.connect(SERVER, near), acceptor.accept(far));
    let text = client.unwrap_err().to_string();
    assert!(text.contains("expired") && text.ends_with("it has to be renewed"), "{text}");
}

#[tokio::test]
async fn without_verification_anybody_is_believed_and_nobody_has_an_identity() {
    let expired = Authority::new("strangers").issue_with("elsewhere.example", |params| {
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let acceptor = bare_server(&expired, &[b"h2"]);
    let client = ClientTls::dangerous_without_verification().build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let (client, server) = tokio::join!(client.connect(SERVER, near), acceptor.accept(far));
    server.unwrap();
    assert!(client.unwrap().identity().is_none());
}

#[tokio::test]
async fn protocols_that_do_not_meet_end_the_handshake() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).alpn(["h2"]).build().unwrap();
    let client = ClientTls::new(authority.roots()).alpn(["http/1.1", "polywire/1"]).build().unwrap();
    let (client, server) = handshake(&client, &server).await;
    for (error, offered) in [(client.unwrap_err(), "http/1.1, polywire/1"), (server.unwrap_err(), "h2")] {
        assert_eq!(
            error.to_string(),
            format!("no common protocol by ALPN: we offer {offered}; HTTP/2 over TLS needs a peer that negotiates h2")
        );
    }
}

#[tokio::test]
async fn the_servers_first_protocol_that_both_speak_is_taken() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).alpn(["polywire/1", "h2"]).build().unwrap();
    let client = ClientTls::new(authority.roots()).alpn(["http/1.1", "h2", "polywire/1"]).build().unwrap();
    assert_eq!(connected(&client, &server).await.0.alpn(), Some(&b"polywire/1"[..]));
}

#[tokio::test]
async fn a_client_without_alpn_can_only_mean_http_1() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source());
    let connector = bare_client(&authority, &[&TLS13], &[]);
    for (server, fine) in
        [(server.clone().alpn(["h2"]), false), (server.clone(), true), (server.alpn::<&str>([]), true)]
    {
        let server = server.build().unwrap();
        let (near, far) = duplex(64 * 1024);
        let (_client, server) = tokio::join!(connector.connect(server_name(), near), server.accept(far));
        match server {
            Ok(server) => assert!(fine && server.alpn().is_none()),
            Err(error) => assert!(!fine && matches!(error, TlsError::NoApplicationProtocol { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_alpn_is_refused() {
    let authority = Authority::new("authority");
    let acceptor = bare_server(&authority.issue(SERVER), &[]);
    let client = ClientTls::new(authority.roots()).build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let (client, _server) = tokio::join!(client.connect(SERVER, near), acceptor.accept(far));
    assert!(matches!(client, Err(TlsError::NoApplicationProtocol { .. })), "{client:?}");
}

#[tokio::test]
async fn a_client_of_tls_1_2_is_served_unless_the_least_version_is_1_3() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Optional(authority.roots()));
    let connector = bare_client(&authority, &[&TLS12], &[b"h2"]);

    let both = server.clone().build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let (client, accepted) = tokio::join!(connector.connect(server_name(), near), both.accept(far));
    client.unwrap();
    assert_eq!(accepted.unwrap().version(), TlsVersion::Tls12);

    let newest = server.version_min(TlsVersion::Tls13).build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let (_client, refused) = tokio::join!(connector.connect(server_name(), near), newest.accept(far));
    assert!(matches!(refused, Err(TlsError::PeerIncompatible { .. })), "{refused:?}");
}

#[tokio::test]
async fn plaintext_is_recognized_as_such() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).build().unwrap();
    for preface in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nhost: orders\r\n\r\n"] {
        let (mut near, far) = duplex(1024);
        near.write_all(preface.as_bytes()).await.unwrap();
        let error = server.accept(far).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the peer does not speak TLS; is this a plaintext port, or the wrong one?",
            "{preface}"
        );
    }

    let client = ClientTls::new(authority.roots()).build().unwrap();
    let (near, mut far) = duplex(4096);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = client.connect(SERVER, near).await.unwrap_err();
    assert!(matches!(error, TlsError::NotTls), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_leaves_during_the_handshake_is_an_error_of_the_transport() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).build().unwrap();
    let (near, far) = duplex(1024);
    drop(near);
    let error = server.accept(far).await.unwrap_err();
    assert!(matches!(error, TlsError::Transport(_)), "{error:?}");
    assert_eq!(error.to_string(), "the peer closed the connection in the middle of TLS");
}

#[tokio::test(start_paused = true)]
async fn giving_up_on_a_silent_peer_closes_the_transport() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).build().unwrap();
    let (mut near, far) = duplex(1024);
    assert!(timeout(Duration::from_secs(10), server.accept(far)).await.is_err());
    assert_eq!(near.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn bytes_that_are_no_handshake_do_no_harm() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source()).build().unwrap();
    let mut random = 1_u64;
    for round in 0..300 {
        let (mut near, far) = duplex(4096);
        let mut bytes = vec![0x16, 3, 1, 0, 200];
        bytes.extend((0..round % 256).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as u8
        }));
        near.write_all(&bytes).await.unwrap();
        near.shutdown().await.unwrap();
        assert!(server.accept(far).await.is_err());
    }
}

#[tokio::test]
async fn a_resumed_session_has_its_identities_too() {
    let authority = Authority::new("authority");
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Required(authority.roots()))
        .build()
        .unwrap();
    let client =
        ClientTls::new(authority.roots()).certificate(authority.issue("kitchen.example").source()).build().unwrap();
    let mut written = Vec::new();
    for _ in 0..2 {
        let (client, server) = connected(&client, &server).await;
        assert_eq!(client.identity().unwrap().dns_names, [SERVER]);
        assert_eq!(server.identity().unwrap().dns_names, ["kitchen.example"]);
        written.push(client.is_resumed());
        assert_eq!(client.is_resumed(), server.is_resumed());
    }
    assert_eq!(written, [false, true]);
}

#[test]
fn no_roots_are_no_configuration() {
    let error = ClientTls::new(Roots::default()).build().unwrap_err();
    assert_eq!(error.to_string(), "no root certificates are given; without any no peer can be verified");
}

fn server_name() -> ServerName<'static> {
    ServerName::try_from(SERVER).unwrap()
}

/// A server that checks nothing of its own certificate.
fn bare_server(issued: &Issued, alpn: &[&[u8]]) -> TlsAcceptor {
    let chain = vec![CertificateDer::from(issued.der.clone())];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A client with just these versions.
fn bare_client(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}
