//! Generates the messages of server reflection, and the services that the tests call.

fn main() -> Result<(), polywire_proto::Error> {
    polywire_proto::Build::new()
        .include("../../proto")
        .file("grpc/reflection/v1/reflection.proto")
        .file("polywire/test/v1/echo.proto")
        .file("polywire/test/v1/shelf.proto")
        .compile()
}
