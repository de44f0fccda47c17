//! TLS both ways: the server proves who it is, and so does the client.

mod shared;

use polywire::{
    Call, Channel, Interceptor, Next, Reply, Server, Status,
    transport::tls::{CertificateSource, ClientCertificates, ClientTls, Roots, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use shared::{Greeter, GreeterClient, GreeterServer, named};

/// Says who calls: what the certificate proved.
struct WhoCalls;

impl Interceptor for WhoCalls {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        let identity = call.peer().identity.as_ref().ok_or_else(|| Status::unauthenticated("show a certificate"))?;
        println!("{} called by {:?}", call.method(), identity.dns_names);
        next.run(call).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let authority = Authority::new()?;
    let tls = ServerTls::new(authority.issue("localhost")?)
        .client_certificates(ClientCertificates::Required(Roots::pem(authority.pem.clone())));
    let server =
        Server::new().tls(tls).intercept(WhoCalls).add(GreeterServer::new(Greeter)).bind("127.0.0.1:0").await?;
    let port = server.address().ok_or("the server listens on TCP")?.port();
    tokio::spawn(server.serve());

    let tls = ClientTls::new(Roots::pem(authority.pem.clone())).certificate(authority.issue("client.example")?);
    let channel = Channel::builder(format!("https://localhost:{port}"))?.tls(tls).build()?;
    println!("{}", GreeterClient::new(channel).hello(named("Ada")).await?.text);
    Ok(())
}

/// Issues certificates for this one run; elsewhere they come from files, by [`CertificateSource::files`].
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    fn issue(&self, name: &str) -> Result<CertificateSource, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok(CertificateSource::pem(certificate.pem(), key.serialize_pem()))
    }
}
