use std::sync::Arc;

use polywire::transport::tls::{ClientCertificates, ClientTls, ServerTls};
use polywire_core::TlsIdentity;
use rcgen::{CertificateParams, DnType, SanType, SerialNumber, date_time_ymd};

use crate::certificates::{Authority, SERVER, connected};

#[tokio::test]
async fn an_identity_says_what_the_certificate_says() {
    let authority = Authority::new("authority");
    let issued = authority.issue_with("kitchen.example", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "Polywire");
        params.distinguished_name.push(DnType::CountryName, "CH");
        params.serial_number = Some(SerialNumber::from_slice(&[0x12, 0x34, 0x56]));
        params.not_after = date_time_ymd(2090, 2, 3);
        params.subject_alt_names.extend([
            SanType::DnsName("*.kitchen.example".try_into().unwrap()),
            SanType::URI("spiffe://example/kitchen".try_into().unwrap()),
            SanType::Rfc822Name("cook@kitchen.example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ]);
    });
    let der = issued.der.clone();
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Required(authority.roots()))
        .build()
        .unwrap();
    let client = ClientTls::new(authority.roots()).certificate(issued.source()).build().unwrap();
    let (_, server) = connected(&client, &server).await;
    assert_eq!(
        **server.identity().unwrap(),
        TlsIdentity {
            subject: "C=CH,O=Polywire,CN=kitchen.example".into(),
            dns_names: vec!["kitchen.example".into(), "*.kitchen.example".into()],
            uris: vec!["spiffe://example/kitchen".into()],
            emails: vec!["cook@kitchen.example".into()],
            ip_addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            serial: vec![0x12, 0x34, 0x56],
            not_after_unix_seconds: date_time_ymd(2090, 2, 3).unix_timestamp(),
            der: der.into(),
        }
    );
}

#[tokio::test]
async fn a_subject_cannot_pretend_to_be_another() {
    for (name, subject) in [
        ("cook,CN=admin", r"CN=cook\,CN=admin"),
        (r#"a+b "c" <d>; e\"#, r#"CN=a\+b \"c\" \<d\>\; e\\"#),
        (" spaces ", r"CN=\ spaces\ "),
        ("#04", r"CN=\#04"),
        ("Zoë", "CN=Zoë"),
    ] {
        assert_eq!(subject_of(|params| params.distinguished_name.push(DnType::CommonName, name)).await, subject);
    }
    // emailAddress has no short name in RFC 4514: the value is written as its DER, an UTF8String (12) of one byte.
    let custom = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "x");
    };
    assert_eq!(subject_of(custom).await, "1.2.840.113549.1.9.1=#0c0178,CN=kitchen.example");
}

async fn subject_of(change: impl FnOnce(&mut CertificateParams)) -> String {
    let authority = Authority::new("authority");
    let issued = authority.issue_with("kitchen.example", change);
    let server = ServerTls::new(authority.issue(SERVER).source())
        .client_certificates(ClientCertificates::Required(authority.roots()))
        .build()
        .unwrap();
    let client = ClientTls::new(authority.roots()).certificate(issued.source()).build().unwrap();
    let (_, server) = connected(&client, &server).await;
    Arc::clone(server.identity().unwrap()).subject.clone()
}
