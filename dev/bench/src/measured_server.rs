//! What the measured servers share, polywire's and the peers' alike: how they start, say so, and end.
//!
//! The peers' workspace includes this very file.

use std::{io::Write, net::SocketAddr, os::fd::AsFd};

use tokio::{io::AsyncReadExt, net::unix::pipe};

/// Tells the runner, in one line of JSON, that the server is up and what it is.
pub fn announce(name: &str, version: &str, address: SocketAddr) {
    let line = format!(
        r#"{{"name":"{name}","version":"{version}","address":"{address}","opt_level":"{}","profile":"{}"}}"#,
        env!("BENCH_OPT_LEVEL"),
        env!("BENCH_PROFILE"),
    );
    let mut out = std::io::stdout().lock();
    // A runner that is gone is noticed by `stdin_closed`.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Returns when the runner closes our standard input, so that no server outlives it. Uses no
/// thread, which would spoil the count of threads.
pub async fn stdin_closed() {
    let pipe = std::io::stdin().as_fd().try_clone_to_owned().and_then(pipe::Receiver::from_owned_fd);
    match pipe {
        Ok(mut pipe) => while pipe.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {},
        // Started by hand from a terminal: until it is interrupted.
        Err(_) => std::future::pending().await,
    }
}

/// The address to listen on: the first argument, or a free port on loopback.
///
/// # Panics
///
/// When the argument is no address; only the runner starts these programs.
pub fn listen_address() -> SocketAddr {
    let text = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    text.parse().unwrap_or_else(|error| panic!("{text:?} is no address: {error}"))
}

/// Runs `main` on a runtime of one thread, the same for every program under test.
///
/// # Panics
///
/// When the operating system refuses what a runtime needs.
pub fn on_one_thread(main: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs little more than an epoll descriptor")
        .block_on(main);
}
