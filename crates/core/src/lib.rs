//! The words of polywire: what a call is, on every wire.
//!
//! Nothing here does anything by itself: no runtime, no socket, no clock. Generated code, interceptors and handlers
//! speak in these types; the engine turns them into bytes and the `polywire` crate runs them.

mod call;
mod codec;
mod compression;
mod handler;
pub mod http_rule;
mod metadata;
mod method;
mod path_template;
mod peer;
mod status;
mod stream;

pub use call::{Call, Extensions, Protocol, RequestHead, Wire};
pub use codec::Codec;
pub use compression::{Compression, CompressionSet};
pub use handler::{AnyInterceptor, BoxFuture, Exchange, Handler, Interceptor, Next, Reply, Service};
pub use http_rule::HttpRule;
pub use metadata::{Entries, InvalidMetadata, Metadata, MetadataValue};
pub use method::{Idempotency, Method, MethodKind};
pub use path_template::{PathTemplate, Segment, TemplateError, Variable};
pub use peer::{Address, Peer, TlsIdentity};
pub use status::{Code, Detail, Status};
pub use stream::{
    ENVELOPE_BYTES, Incoming, IncomingQueue, Inspect, Message, Outgoing, OutgoingQueue, QUEUE_HIGH_WATER_BYTES,
    SlowConsumer, Taken,
};
