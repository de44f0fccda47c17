//! Generates the code of `bench.proto`, and tells the programs under test how they are built.

fn main() -> Result<(), polywire_proto::Error> {
    for name in ["OPT_LEVEL", "PROFILE"] {
        let value = std::env::var(name).expect("cargo sets it for build scripts");
        println!("cargo:rustc-env=BENCH_{name}={value}");
    }
    // As for the peers: `bytes` fields share the receive buffer.
    let options = polywire_proto::Options::default().bytes(".").owned("/bench.v1.Bench/Echo");
    polywire_proto::Build::new().include("../../proto").file("bench/v1/bench.proto").options(options).compile()
}
