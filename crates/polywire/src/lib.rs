//! Services written once, called over every wire.
//!
//! A service is a `.proto` file and an `impl`; [`Server`] answers calls of it and [`Channel`] makes them.

// Generated code names this crate by its public name, also in here.
#[allow(unused_extern_crates, reason = "the services offered here are generated too")]
extern crate self as polywire;

pub mod any;
mod broadcast;
mod client;
#[doc(hidden)]
pub mod codegen;
pub mod compression;
mod context;
mod date;
mod driver;
pub mod error_details;
pub mod health;
pub mod http;
mod inbox;
mod json;
mod message;
#[cfg(feature = "http")]
pub mod mount;
pub mod openapi;
pub mod reflection;
mod server;
mod streams;
pub mod transport;

pub use buffa::{EnumValue, MessageField};
pub use buffa_types::google::protobuf as well_known;
pub use polywire_core::*;
pub use polywire_engine::{
    Limits, limits,
    protocol::cors::{CorsPolicy, InvalidOrigin},
    wire::websocket::handshake::Origins,
};

pub use crate::{
    broadcast::{Broadcast, Subscription},
    client::{
        BidiStreamingCall, Channel, ChannelBuilder, ChannelError, ChannelState, ClientStreamingCall, InvalidTarget,
        Outcome, Response, ResponseFuture, ServerStreamingCall, TlsAgreed, UnaryCall, raw,
    },
    context::current_deadline,
    server::{Bound, ListenAddress, ListenError, Server, ServerHandle},
    streams::{Receiver, Sender, SharedMessage},
};

/// Takes in the modules that the build script generated: all packages, or one alone.
///
/// ```ignore
/// polywire::include_proto!();            // mod orders { pub mod v1 { … } } and all others
/// polywire::include_proto!("orders.v1"); // the content of one package
/// ```
#[macro_export]
macro_rules! include_proto {
    () => {
        include!(concat!(env!("OUT_DIR"), "/mod.rs"));
    };
    ($package:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, "-package.rs"));
    };
}
