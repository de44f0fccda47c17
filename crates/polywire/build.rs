//! Generates the services this crate offers itself, and one for its tests.

fn main() -> Result<(), polywire_proto::Error> {
    polywire_proto::Build::new().include("../../proto").file("polywire/test/v1/echo.proto").compile()
}
