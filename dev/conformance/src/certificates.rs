//! Certificates of our own making for the time of a run, by the names that the test programs expect.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Where the files lie.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes an authority and a server certificate and writes them into `folder`.
    ///
    /// grpc-java's programs read `/certs/…` from their class path and have no flag for another file, so the files have the
    /// names that they look for: with `folder` first in the class path they find ours.
    pub(crate) fn make(folder: &Path) -> Result<Self, String> {
        let written = Self { folder: folder.to_owned() };
        written.write().map_err(|e| format!("certificates: {e}"))?;
        Ok(written)
    }

    pub(crate) fn class_path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("certs/ca.pem")
    }

    pub(crate) fn server(&self) -> PathBuf {
        self.folder.join("certs/server1.pem")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.folder.join("certs/server1.key")
    }

    fn write(&self) -> Result<(), Box<dyn std::error::Error>> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "polywire interop authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names = ["*.test.google.fr", "foo.test.google.fr", "waterzooi.test.google.be", "localhost", "127.0.0.1"];
        let mut server = CertificateParams::new(names.map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, SERVER_NAME);
        let key = KeyPair::generate()?;
        let server = server.signed_by(&key, &authority)?;

        fs::create_dir_all(self.folder.join("certs"))?;
        fs::write(self.authority(), authority.pem())?;
        fs::write(self.server(), server.pem())?;
        fs::write(self.server_key(), key.serialize_pem())?;
        Ok(())
    }
}

/// The name that clients are told to expect.
pub(crate) const SERVER_NAME: &str = "foo.test.google.fr";
