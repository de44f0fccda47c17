use std::{fs, path::PathBuf, time::Duration};

use polywire::transport::tls::{
    CertificateSource, CertificateState, ClientCertificates, ClientHandshake, ClientTls, Roots, ServerHandshake,
    ServerTls, TlsError,
};
use rcgen::{KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::time::advance;

use crate::certificates::{Authority, Issued, SERVER, connected, handshake};

const INTERVAL: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_new_certificate_is_used_after_the_interval() {
    let (authority, files) = (Authority::new("authority"), Files::new());
    let (first, second) = (authority.issue(SERVER), authority.issue(SERVER));
    files.write(&first);
    let server = ServerTls::new(files.source()).reload_interval(INTERVAL).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    assert_eq!(shown(&client, &server).await, first.der);

    files.write(&second);
    advance(INTERVAL - Duration::from_millis(1)).await;
    assert_eq!(shown(&client, &server).await, first.der, "nobody has looked yet");
    advance(Duration::from_millis(1)).await;
    assert_eq!(shown(&client, &server).await, second.der);
    assert_eq!(counts(&server), (1, 0));

    // Nothing changed: nothing happens.
    advance(INTERVAL).await;
    assert_eq!(shown(&client, &server).await, second.der);
    assert_eq!(counts(&server), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_broken_pair_never_replaces_one_that_works() {
    let (authority, files) = (Authority::new("authority"), Files::new());
    let (good, better) = (authority.issue(SERVER), authority.issue(SERVER));
    let expired = authority.issue_with(SERVER, |params| params.not_after = date_time_ymd(2021, 1, 1));
    files.write(&good);
    let server = ServerTls::new(files.source()).reload_interval(INTERVAL).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();

    let mut refused = 0;
    for broken in [
        // Half of the new pair is there.
        Issued { key: good.key.clone(), ..better.clone() },
        Issued { key: KeyPair::generate().unwrap().serialize_pem(), ..good.clone() },
        Issued { pem: better.pem[..better.pem.len() / 2].to_owned(), ..better.clone() },
        Issued { pem: String::new(), ..better.clone() },
        expired,
    ] {
        files.write(&broken);
        advance(INTERVAL).await;
        assert_eq!(shown(&client, &server).await, good.der);
        refused += 1;
        assert_eq!(counts(&server), (0, refused));
    }
    fs::remove_file(&files.key).unwrap();
    assert!(server.reload().unwrap_err().to_string().contains("cannot be read"));
    assert_eq!(counts(&server), (0, refused + 1));

    files.write(&better);
    advance(INTERVAL).await;
    assert_eq!(shown(&client, &server).await, better.der);
    assert_eq!(counts(&server), (1, refused + 1));
}

#[tokio::test(start_paused = true)]
async fn going_back_to_the_old_files_is_no_change() {
    let (authority, files) = (Authority::new("authority"), Files::new());
    let good = authority.issue(SERVER);
    files.write(&good);
    let server = ServerTls::new(files.source()).reload_interval(INTERVAL).build().unwrap();
    files.write(&Issued { pem: "nothing".into(), ..good.clone() });
    assert!(server.reload().is_err());
    files.write(&good);
    assert_eq!(server.reload(), Ok(false));
    assert_eq!(counts(&server), (0, 1));
}

#[tokio::test]
async fn a_reload_can_be_asked_for_at_once() {
    let (authority, files) = (Authority::new("authority"), Files::new());
    files.write(&authority.issue(SERVER));
    let server = ServerTls::new(files.source()).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    let renewed = authority.issue_with(SERVER, |params| params.not_after = date_time_ymd(2099, 1, 1));
    files.write(&renewed);
    assert_eq!(server.reload(), Ok(true));
    assert_eq!(shown(&client, &server).await, renewed.der);
    assert_eq!(
        server.certificate_state(),
        CertificateState {
            not_after_unix_seconds: Some(date_time_ymd(2099, 1, 1).unix_timestamp()),
            refused: 0,
            replaced: 1
        }
    );
}

#[tokio::test(start_paused = true)]
async fn roots_that_are_taken_away_shut_out_even_resumed_sessions() {
    let (authority, old, new) = (Authority::new("authority"), Authority::new("old"), Authority::new("new"));
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("clients.pem");
    fs::write(&roots, old.pem()).unwrap();
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Required(Roots::file(&roots)))
        .reload_interval(INTERVAL)
        .build()
        .unwrap();
    let client = |issuer: &Authority| {
        ClientTls::new(authority.roots()).certificate(issuer.issue("kitchen.example").source()).build().unwrap()
    };
    let (old_client, new_client) = (client(&old), client(&new));
    connected(&old_client, &server).await;
    let (resumed, _) = connected(&old_client, &server).await;
    assert!(resumed.is_resumed());

    fs::write(&roots, new.pem()).unwrap();
    advance(INTERVAL).await;
    let (_, refused) = handshake(&old_client, &server).await;
    assert!(matches!(refused, Err(TlsError::UntrustedCertificate { .. })), "{refused:?}");
    connected(&new_client, &server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_follows_its_certificate_and_its_roots() {
    let (first, second, files) = (Authority::new("first"), Authority::new("second"), Files::new());
    let roots = files.certificates.with_file_name("roots.pem");
    fs::write(&roots, first.pem()).unwrap();
    files.write(&first.issue("kitchen.example"));
    let client =
        ClientTls::new(Roots::file(&roots)).certificate(files.source()).reload_interval(INTERVAL).build().unwrap();
    let server = |authority: &Authority| {
        ServerTls::new(authority.issue(SERVER).source())
            .client_certificates(ClientCertificates::Required(authority.roots()))
            .build()
            .unwrap()
    };
    connected(&client, &server(&first)).await;

    fs::write(&roots, second.pem()).unwrap();
    files.write(&second.issue("kitchen.example"));
    advance(INTERVAL).await;
    connected(&client, &server(&second)).await;
    assert!(handshake(&client, &server(&first)).await.0.is_err());
    assert_eq!(client.certificate_state().replaced, 1);
}

#[tokio::test(start_paused = true)]
async fn connections_that_exist_are_left_alone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (authority, files) = (Authority::new("authority"), Files::new());
    files.write(&authority.issue(SERVER));
    let server = ServerTls::new(files.source()).reload_interval(INTERVAL).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    let (mut near, mut far) = connected(&client, &server).await;
    files.write(&authority.issue(SERVER));
    advance(INTERVAL).await;
    connected(&client, &server).await;
    assert_eq!(counts(&server), (1, 0));
    near.write_all(b"still here").await.unwrap();
    near.flush().await.unwrap();
    let mut word = [0; 10];
    far.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"still here");
}

#[tokio::test(start_paused = true)]
async fn many_handshakes_at_once_look_once() {
    let (authority, files) = (Authority::new("authority"), Files::new());
    files.write(&authority.issue(SERVER));
    let server = ServerTls::new(files.source()).reload_interval(INTERVAL).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    files.write(&Issued { pem: "nothing".into(), ..authority.issue(SERVER) });
    advance(INTERVAL).await;
    tokio::join!(connected(&client, &server), connected(&client, &server), connected(&client, &server));
    assert_eq!(counts(&server), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_given_up_while_looking_does_not_stop_later_looks() {
    use std::{future::poll_fn, pin::pin, task::Poll};

    let (authority, files) = (Authority::new("authority"), Files::new());
    files.write(&authority.issue(SERVER));
    let server = ServerTls::new(files.source()).reload_interval(INTERVAL).build().unwrap();
    let client = ClientTls::new(authority.roots()).build().unwrap();
    advance(INTERVAL).await;
    {
        let (_near, far) = tokio::io::duplex(16);
        let mut given_up = pin!(server.accept(far));
        assert!(poll_fn(|cx| Poll::Ready(given_up.as_mut().poll(cx).is_pending())).await);
    }
    let renewed = authority.issue(SERVER);
    files.write(&renewed);
    // The look that was begun ends on its own thread; this one waits for it.
    server.reload().unwrap();
    advance(INTERVAL).await;
    assert_eq!(shown(&client, &server).await, renewed.der);
}

/// The certificate the server shows.
async fn shown(client: &ClientHandshake, server: &ServerHandshake) -> Vec<u8> {
    connected(client, server).await.0.identity().unwrap().der.to_vec()
}

/// Times replaced and refused.
fn counts(server: &ServerHandshake) -> (u64, u64) {
    let state = server.certificate_state();
    (state.replaced, state.refused)
}

struct Files {
    certificates: PathBuf,
    key: PathBuf,
    _directory: TempDir,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (certificates, key) = (directory.path().join("tls.pem"), directory.path().join("tls.key"));
        Self { certificates, key, _directory: directory }
    }

    fn write(&self, issued: &Issued) {
        fs::write(&self.certificates, &issued.pem).unwrap();
        fs::write(&self.key, &issued.key).unwrap();
    }

    fn source(&self) -> CertificateSource {
        CertificateSource::files(&self.certificates, &self.key)
    }
}
