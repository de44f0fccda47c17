//! The client of `clients/python` against a server of ours: the native protocol, written twice from one specification.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shared;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use polywire::{
    Server,
    transport::tls::{CertificateSource, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use shared::on_tcp;

/// Runs one class of the client's tests with these variables.
async fn run_python(class: &str, variables: Vec<(&'static str, String)>) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../clients/python");
    let mut command = Command::new("python3");
    command.args(["-B", "-m", "unittest", "-v"]).arg(format!("test_polywire_native.{class}"));
    command.current_dir(directory).envs(variables);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    match output {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            assert!(!said.contains("skipped"), "{said}");
        }
        Err(error) => println!("skipped: there is no python3: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_calls_all_shapes_in_the_clear_and_under_tls() {
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority.pem");
    let tls = ServerTls::new(certificate_by(&authority));
    let (_plain, plain_address) = on_tcp(Server::new()).await;
    let (_secret, secret_address) = on_tcp(Server::new().tls(tls)).await;
    let variables = vec![
        ("ECHO_TARGET", plain_address),
        ("ECHO_TLS_TARGET", secret_address),
        ("ECHO_TLS_CACERT", authority.to_str().unwrap().to_owned()),
    ];
    run_python("Echo", variables).await;
}

/// A certificate for `localhost`, by an authority whose own is written there.
fn certificate_by(authority_file: &Path) -> CertificateSource {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Two certificates of one name would be taken for one that vouches for itself.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(authority_file, authority.pem()).unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    // Newer versions of Python want to be told which key of the authority it is by.
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    CertificateSource::pem(certificate.pem(), key.serialize_pem())
}
