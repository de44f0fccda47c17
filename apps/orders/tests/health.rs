//! What callers can ask about the server itself.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use polywire::Code;
use polywire::health::ServingStatus;
use polywire::health::v1::{HealthCheckRequest, HealthClient};
use support::shop::TestShop;

support::shop::on_every_wire! {
    without a rule:
    a_server_without_its_database_is_not_serving,
    each_service_tells_how_it_is,
}

async fn each_service_tells_how_it_is(shop: TestShop) {
    let health = HealthClient::new(shop.orders.channel().clone());
    for service in ["", "orders.v1.Orders", "stock.v1.Stock"] {
        let request = HealthCheckRequest { service: service.to_owned(), ..Default::default() };
        assert_eq!(health.check(request).await.unwrap().status, ServingStatus::SERVING, "{service}");
    }
    let unknown = HealthCheckRequest { service: "orders.v1.Waiters".to_owned(), ..Default::default() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
}

async fn a_server_without_its_database_is_not_serving(shop: TestShop) {
    let health = HealthClient::new(shop.orders.channel().clone());
    let request = HealthCheckRequest { service: "orders.v1.Orders".to_owned(), ..Default::default() };
    let mut statuses = health.watch(request).await.unwrap();
    let mut next = async || statuses.next().await.unwrap().unwrap().status;
    assert_eq!(next().await, ServingStatus::SERVING);
    shop.app.database().close().await;
    shop.clock.advance(Duration::from_secs(5));
    assert_eq!(next().await, ServingStatus::NOT_SERVING);
}
