//! The plug-in for protoc and buf: `protoc --polywire_out=src/gen orders.proto`.

use std::io::{Read as _, Write as _};

fn main() -> std::io::Result<()> {
    if std::env::args_os().len() > 1 {
        eprintln!(
            "protoc-gen-polywire {} is run by protoc or buf, which send it a request:\n  protoc --polywire_out=src/gen orders.proto",
            env!("CARGO_PKG_VERSION")
        );
        std::process::exit(if std::env::args().any(|arg| arg == "--version" || arg == "--help") { 0 } else { 2 });
    }
    let mut request = Vec::new();
    std::io::stdin().lock().read_to_end(&mut request)?;
    std::io::stdout().lock().write_all(&polywire_proto::run_plugin(&request))
}
