//! Generates the files whose golden output is read in review.

fn main() -> Result<(), polywire_proto::Error> {
    polywire_proto::Build::new()
        .include("../../crates/proto/tests/golden/protos")
        .file("all/all.proto")
        .file("names/names.proto")
        .file("rest/rest.proto")
        .file("root.proto")
        .file("shop/v1/orders.proto")
        .owned("/shop.v1.Orders/Find")
        .owned("names.*/Generic")
        .compile()
}
