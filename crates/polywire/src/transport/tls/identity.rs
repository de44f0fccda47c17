use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use bytes::Bytes;
use polywire_core::TlsIdentity;
use rustls::pki_types::CertificateDer;
use x509_parser::{
    asn1_rs::{Any, Oid, ToDer},
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry,
    prelude::FromDer,
    x509::X509Name,
};

use super::{error::TlsError, reload::unix_seconds};

/// What the first of these certificates says. They have been verified, perhaps at an earlier handshake whose session is now
/// resumed, so the time is looked at once more.
pub(super) fn verified_identity(
    certificates: Option<&[CertificateDer<'_>]>,
) -> Result<Option<Arc<TlsIdentity>>, TlsError> {
    let Some(der) = certificates.and_then(<[_]>::first) else { return Ok(None) };
    let untrusted = |reason: String| TlsError::UntrustedCertificate { reason };
    let identity = read(der).map_err(|reason| untrusted(format!("it cannot be read: {reason}")))?;
    if identity.not_after_unix_seconds < unix_seconds() {
        return Err(untrusted("it has expired since it was verified".into()));
    }
    Ok(Some(Arc::new(identity)))
}

fn read(der: &[u8]) -> Result<TlsIdentity, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let mut identity = TlsIdentity {
        subject: distinguished_name(certificate.subject()),
        serial: certificate.raw_serial().to_vec(),
        not_after_unix_seconds: certificate.validity().not_after.timestamp(),
        der: Bytes::copy_from_slice(der),
        ..TlsIdentity::default()
    };
    let alternative = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => identity.dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => identity.ip_addresses.extend(ip_address(bytes)),
            GeneralName::RFC822Name(name) => identity.emails.push((*name).to_owned()),
            GeneralName::URI(name) => identity.uris.push((*name).to_owned()),
            _ => (),
        }
    }
    Ok(identity)
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from).map(IpAddr::V4);
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from).map(IpAddr::V6);
    v4().or_else(v6)
}

/// RFC 4514: the last component first, everything escaped that could be mistaken for the writing itself, so that
/// comparing with a string is safe.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let components: Vec<_> = name.iter_rdn().collect();
    for (i, component) in components.into_iter().rev().enumerate() {
        for (j, attribute) in component.iter().enumerate() {
            text.push_str(match (i, j) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            });
            let value = attribute.attr_value();
            match (short_name(attribute.attr_type()), attribute.as_str()) {
                (Some(short), Ok(string)) => {
                    text.push_str(short);
                    text.push('=');
                    push_escaped(&mut text, string);
                }
                (short, _) => {
                    text.push_str(&short.map_or_else(|| attribute.attr_type().to_id_string(), str::to_owned));
                    push_hex(&mut text, value);
                }
            }
        }
    }
    text
}

/// The table of RFC 4514 §3.
fn short_name(kind: &Oid<'_>) -> Option<&'static str> {
    let table = [
        (oid_registry::OID_X509_COMMON_NAME, "CN"),
        (oid_registry::OID_X509_LOCALITY_NAME, "L"),
        (oid_registry::OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (oid_registry::OID_X509_ORGANIZATION_NAME, "O"),
        (oid_registry::OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (oid_registry::OID_X509_COUNTRY_NAME, "C"),
        (oid_registry::OID_X509_STREET_ADDRESS, "STREET"),
        (oid_registry::OID_DOMAIN_COMPONENT, "DC"),
        (oid_registry::OID_USERID, "UID"),
    ];
    table.into_iter().find_map(|(oid, name)| (oid == *kind).then_some(name))
}

fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        match c {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '#' if i == 0 => text.push_str("\\#"),
            ' ' if i == 0 || i == last => text.push_str("\\ "),
            c => text.push(c),
        }
    }
}

fn push_hex(text: &mut String, value: &Any<'_>) {
    text.push_str("=#");
    for byte in value.to_der_vec().unwrap_or_default() {
        let _ = write!(text, "{byte:02x}");
    }
}
