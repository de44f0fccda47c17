//! What polywire's own test programs share: the generated test services, and a look at the wire from outside.

pub mod connect_suite;
pub mod tap;

::polywire::include_proto!();

/// The interoperability test services as a `FileDescriptorSet`.
pub const TEST_DESCRIPTORS: &[u8] = grpc::testing::__polywire::DESCRIPTORS;
/// Metadata that a test server sends back before the first message.
pub const ECHO_INITIAL: &str = "x-grpc-test-echo-initial";
/// Metadata that a test server sends back with the status.
pub const ECHO_TRAILING: &str = "x-grpc-test-echo-trailing-bin";
/// Metadata in which a load report travels with the status (gRFC A51).
pub const LOAD_REPORT: &str = "endpoint-load-metrics-bin";
