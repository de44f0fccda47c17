//! How a call is written on a stream: one file for each protocol.

pub mod grpc;
mod rich_status;
