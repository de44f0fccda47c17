//! Generates the services this crate offers itself, and those of its examples and tests.

fn main() -> Result<(), polywire_proto::Error> {
    let options = polywire_proto::Options::new()
        .bytes("grpc.reflection.v1.FileDescriptorResponse")
        .bytes("grpc.reflection.v1alpha.FileDescriptorResponse");
    polywire_proto::Build::new()
        .include("../../proto")
        .file("google/rpc/error_details.proto")
        .file("grpc/health/v1/health.proto")
        .file("grpc/reflection/v1/reflection.proto")
        .file("grpc/reflection/v1alpha/reflection.proto")
        .file("polywire/examples/v1/greeter.proto")
        .file("polywire/test/v1/echo.proto")
        .file("polywire/test/v1/rest_echo.proto")
        .options(options)
        .compile()
}
