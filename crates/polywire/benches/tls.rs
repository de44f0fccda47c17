//! Microseconds of one TLS handshake, both sides together on one thread: `cargo bench -p polywire --bench tls`.

use std::time::{Duration, Instant};

use polywire::transport::tls::{
    CertificateSource, ClientCertificates, ClientHandshake, ClientTls, Roots, ServerHandshake, ServerTls,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const MEASURED_FOR: Duration = Duration::from_millis(500);
const NAME: &str = "orders.example";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let issued = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
        let source = || CertificateSource::pem(certificate.clone(), key.clone());
        let roots = || Roots::pem(certificate.clone());
        let plain = ServerTls::new(source()).build().expect("a server");
        let mutual = ServerTls::new(source())
            .client_certificates(ClientCertificates::Required(roots()))
            .build()
            .expect("a server");
        let client = || ClientTls::new(roots()).certificate(source()).build().expect("a client");

        println!("full handshake            {:7.0} µs", handshakes(&plain, client).await);
        println!("full, both certificates   {:7.0} µs", handshakes(&mutual, client).await);
        let again = client();
        println!("resumed                   {:7.0} µs", handshakes(&plain, || again.clone()).await);
        println!("resumed, both certificates{:7.0} µs", handshakes(&mutual, || again.clone()).await);
    });
}

/// The best of five rounds. Each new client has no session to resume; making it is not measured.
async fn handshakes(server: &ServerHandshake, client: impl Fn() -> ClientHandshake) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let (start, mut spent, mut runs) = (Instant::now(), Duration::ZERO, 0_u32);
        while start.elapsed() < MEASURED_FOR / 5 {
            let client = client();
            let begun = Instant::now();
            handshake(server, &client).await;
            spent += begun.elapsed();
            runs += 1;
        }
        best = best.min(spent.as_secs_f64() * 1e6 / f64::from(runs));
    }
    best
}

/// With a byte from the server, before which its tickets arrive.
async fn handshake(server: &ServerHandshake, client: &ClientHandshake) {
    let (near, far) = duplex(64 * 1024);
    let (client, server) = tokio::join!(client.connect(NAME, near), server.accept(far));
    let (mut client, mut server) = (client.expect("connects"), server.expect("accepts"));
    server.write_u8(1).await.expect("writes");
    server.flush().await.expect("flushes");
    client.read_u8().await.expect("reads");
}
