//! What the programs under test share; the comparison itself is the binary `bench`.
//!
//! The peers are a workspace of their own and include the `measured_*` files and the settings by path.

pub mod measured_client;
pub mod measured_server;
pub mod service;
pub mod settings;

/// Code generated from `bench.proto`.
#[allow(missing_docs)]
pub mod generated {
    polywire::include_proto!();
}
