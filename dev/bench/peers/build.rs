//! Generates the code of both peers from the one `bench.proto`, without a protoc.

use std::path::{Path, PathBuf};

use prost::Message;

fn main() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../proto");
    // Where google/api/annotations.proto is, which says how REST calls the service.
    let annotations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/proto/include");
    let file = include.join("bench/v1/bench.proto");
    println!("cargo:rerun-if-changed={}", file.display());
    // What the binaries say about themselves when they start.
    for name in ["OPT_LEVEL", "PROFILE"] {
        let value = std::env::var(name).expect("cargo sets it for build scripts");
        println!("cargo:rustc-env=BENCH_{name}={value}");
    }

    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it for build scripts"));
    let descriptors = protox::compile([&file], [&include, &annotations]).expect("bench.proto compiles");
    let set = out.join("bench.binpb");
    std::fs::write(&set, descriptors.encode_to_vec()).expect("OUT_DIR can be written");

    for dir in ["tonic", "connectrpc"] {
        std::fs::create_dir_all(out.join(dir)).expect("OUT_DIR can be written");
    }
    tonic_prost_build::configure()
        .out_dir(out.join("tonic"))
        .bytes(".")
        .compile_fds(descriptors)
        .expect("tonic generates its code");

    let mut buffa = connectrpc_build::CodeGenConfig::default();
    buffa.bytes_fields = vec![(".".into(), buffa_codegen::BytesRepr::Bytes)];
    connectrpc_build::Config::new()
        .descriptor_set(&set)
        .files(&["bench/v1/bench.proto"])
        .buffa_config(buffa)
        .generate_json(false)
        .out_dir(out.join("connectrpc"))
        .include_file("_connectrpc.rs")
        .compile()
        .expect("connectrpc generates its code");
}
