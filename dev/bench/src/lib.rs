//! What the programs under test share; the comparison itself is the binary `bench`.
//!
//! The peers are a workspace of their own and include these files by path.

pub mod measured_client;
pub mod measured_server;
pub mod settings;
