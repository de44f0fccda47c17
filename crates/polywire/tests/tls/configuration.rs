use std::fs;

use polywire::transport::tls::{CertificateSource, ClientCertificates, ClientTls, Roots, ServerTls};
use rcgen::{KeyPair, date_time_ymd};

use crate::certificates::{Authority, SERVER};

#[test]
fn a_pair_in_files_is_as_good_as_one_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let issued = Authority::new("authority").issue(SERVER);
    let both = directory.path().join("both.pem");
    fs::write(&both, format!("{}{}", issued.key, issued.pem)).unwrap();
    let server = ServerTls::new(CertificateSource::files(&both, &both)).build().unwrap();
    assert_eq!(server.certificate_state().not_after_unix_seconds, Some(date_time_ymd(4095, 1, 1).unix_timestamp()));
}

#[test]
fn an_error_says_which_file_is_wrong_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority");
    let good = authority.issue(SERVER);
    let expired = authority.issue_with(SERVER, |params| params.not_after = date_time_ymd(2021, 1, 1)).pem;
    let future = authority.issue_with(SERVER, |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
    });
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let endless = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let (pem, key) = (&good.pem[..], &good.key[..]);

    let cases = [
        ("", key, "certificate file C: no PEM certificate found; expected -----BEGIN CERTIFICATE-----"),
        (
            key,
            key,
            "certificate file C: no PEM certificate found, but PRIVATE KEY; expected -----BEGIN CERTIFICATE-----",
        ),
        (hollow, key, "certificate file C: not a usable X.509 certificate: "),
        (endless, key, "certificate file C: broken PEM: "),
        (
            &expired,
            key,
            "certificate file C: the certificate expired at Jan  1 00:00:00 2021 +00:00; renew it (and check this machine's clock)",
        ),
        (
            &future.pem,
            key,
            "certificate file C: the certificate is not valid before Jan  1 00:00:00 4000 +00:00; check this machine's clock",
        ),
        (
            pem,
            &other_key,
            "key file K does not belong to the first certificate of certificate file C; give the key that certificate was \
             issued for",
        ),
        (
            pem,
            pem,
            "key file K: no PEM private key found, but CERTIFICATE; expected -----BEGIN PRIVATE KEY----- (or EC PRIVATE KEY, \
             or RSA PRIVATE KEY)",
        ),
        (
            pem,
            encrypted,
            "key file K: the private key is encrypted; decrypt it first (openssl pkey -in ENCRYPTED -out PLAIN)",
        ),
        (
            pem,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "key file K: the private key cannot be used: ",
        ),
    ];
    for (certificate, key, message) in cases {
        let (at, key_at) = (directory.path().join("server.pem"), directory.path().join("server.key"));
        fs::write(&at, certificate).unwrap();
        fs::write(&key_at, key).unwrap();
        let error = ServerTls::new(CertificateSource::files(&at, &key_at)).build().unwrap_err().to_string();
        let error = error.replace(at.to_str().unwrap(), "C").replace(key_at.to_str().unwrap(), "K");
        assert!(error.starts_with(message) && !message.is_empty(), "\n got {error}\nwant {message}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let issued = Authority::new("authority").issue(SERVER);
    let error = ServerTls::new(CertificateSource::files("/nowhere/server.pem", "/nowhere/server.key")).build();
    assert_eq!(
        error.unwrap_err().to_string(),
        "certificate file /nowhere/server.pem: cannot be read: No such file or directory (os error 2); check the path and its \
         permissions"
    );
    let error = ServerTls::new(issued.source())
        .client_certificates(ClientCertificates::Required(Roots::file("/nowhere/ca.pem")))
        .build();
    assert!(error.unwrap_err().to_string().starts_with("root certificate file /nowhere/ca.pem: cannot be read: "));
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.pem");
    fs::write(&path, vec![b'-'; (1 << 20) + 1]).unwrap();
    let error = ClientTls::new(Roots::file(&path)).build().unwrap_err().to_string();
    assert!(error.contains("it is larger than 1 MiB"), "{error}");
}

#[test]
fn a_root_that_cannot_be_used_is_passed_over_unless_it_is_the_only_one() {
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let good = Authority::new("authority").pem();
    ClientTls::new(Roots::pem(format!("{hollow}{good}"))).build().unwrap();
    let error = ClientTls::new(Roots::pem(hollow).and(Roots::pem(good))).build().unwrap_err().to_string();
    assert!(error.starts_with("root certificate given in memory: not a usable X.509 certificate: "), "{error}");
}

#[test]
fn pem_in_memory_is_named_as_such() {
    let error = ClientTls::new(Roots::pem("nothing")).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "root certificate given in memory: no PEM certificate found; expected -----BEGIN CERTIFICATE-----"
    );
}

#[test]
fn a_name_that_cannot_be_verified_is_refused_when_building() {
    let error = ClientTls::new(Authority::new("authority").roots()).server_name("no name").build().unwrap_err();
    assert!(error.to_string().contains("\"no name\" is neither a DNS name nor an IP address"), "{error}");
}

#[test]
fn a_key_is_never_shown() {
    let issued = Authority::new("authority").issue(SERVER);
    let server = ServerTls::new(issued.source());
    let shown = format!("{server:?} {:?}", server.clone().build().unwrap());
    assert!(!shown.contains("PRIVATE KEY") && shown.contains("Memory"), "{shown}");
}
