//! Tells the programs under test how they are built.

fn main() {
    for name in ["OPT_LEVEL", "PROFILE"] {
        let value = std::env::var(name).expect("cargo sets it for build scripts");
        println!("cargo:rustc-env=BENCH_{name}={value}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
