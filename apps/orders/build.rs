//! Compiles the services' `.proto` files.

fn main() -> Result<(), polywire_proto::Error> {
    polywire_proto::Build::new()
        .include("../../proto")
        .file("money/v1/money.proto")
        .file("stock/v1/stock.proto")
        .file("orders/v1/orders.proto")
        .file("orders/v1/kitchen.proto")
        .file("google/rpc/error_details.proto")
        .compile()
}
