//! Generates the code of the test services that the foreign suites want.

fn main() -> Result<(), polywire_proto::Error> {
    let options = polywire_proto::Options::default().bytes(".").owned("*");
    polywire_proto::Build::new()
        .include("../../proto")
        .file("connectrpc/conformance/v1/client_compat.proto")
        .file("connectrpc/conformance/v1/config.proto")
        .file("connectrpc/conformance/v1/server_compat.proto")
        .file("connectrpc/conformance/v1/service.proto")
        .file("grpc/testing/messages.proto")
        .file("grpc/testing/test.proto")
        .file("polywire/test/v1/rest.proto")
        .file("xds/data/orca/v3/orca_load_report.proto")
        .file("xds/service/orca/v3/orca.proto")
        .options(options)
        .compile()
}
