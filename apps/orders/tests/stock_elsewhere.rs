//! Orders with a Stock elsewhere, which may be out of reach.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use orders::proto::google::rpc::RetryInfo;
use orders::proto::orders::v1::{CancelOrderRequest, CreateOrderRequest, OrderStatus};
use orders::proto::stock::v1::GetItemRequest;
use polywire::{Call, Channel, Code, Interceptor, Next, Reply, Server, Status};
use support::shop::{TestShop, Wire, detail, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_are_reserved_where_the_stock_is() {
    let (stock, shop, _) = stock_and_shop().await;
    shop.place("Ada", &[("scone", 2)]).await;
    assert_eq!(stock.shelf("scone").await.reserved, 2);
    let here = shop.stock.get_item(GetItemRequest { name: "items/scone".to_owned(), ..Default::default() }).await;
    assert_eq!(here.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_for_the_stock_to_come_back_under_its_key() {
    let (stock, shop, reach) = stock_and_shop().await;
    for state in [Reach::REFUSES, Reach::HANGS, Reach::FORGETS_TO_ANSWER] {
        reach.set(state);
        let error = create(&shop, "till-1").await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(detail::<RetryInfo>(&error).retry_delay.is_set());
    }
    // The last attempt has reserved the goods although its answer was lost. There is one order and one reservation.
    reach.set(Reach::ANSWERS);
    let placed = create(&shop, "till-1").await.unwrap();
    assert_eq!(create(&shop, "till-1").await.unwrap(), placed);
    assert_eq!(stock.shelf("scone").await.reserved, 2);
    assert_eq!(shop.app.counters().stock_calls.value_at("DEADLINE_EXCEEDED"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_reserved_for_an_order_that_never_was_come_back() {
    let (stock, shop, reach) = stock_and_shop().await;
    reach.set(Reach::FORGETS_TO_ANSWER);
    assert_eq!(create(&shop, "").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(stock.shelf("scone").await.reserved, 2);
    stock.clock.advance(Duration::from_secs(17 * 60));
    // Whoever comes next finds them, whether or not the task that looks every second has been there yet.
    while stock.shelf("scone").await.reserved > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_holds_while_the_stock_is_away_and_is_settled_later() {
    let (stock, shop, reach) = stock_and_shop().await;
    let placed = create(&shop, "").await.unwrap();
    reach.set(Reach::REFUSES);
    let request = CancelOrderRequest { name: placed.name, ..Default::default() };
    assert_eq!(shop.orders.cancel(request).await.unwrap().status, OrderStatus::CANCELLED);
    shop.app.shop().settle_all().await.unwrap();
    assert_eq!(stock.shelf("scone").await.reserved, 2);
    reach.set(Reach::ANSWERS);
    shop.app.shop().settle_all().await.unwrap();
    assert_eq!(stock.shelf("scone").await.reserved, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_stops_when_the_stock_is_away() {
    let (_stock, shop, reach) = stock_and_shop().await;
    reach.set(Reach::REFUSES);
    let (mut lines, summary) = shop.orders.import().await.unwrap();
    lines.send(request("Ada", &[("scone", 1)], "")).await.unwrap();
    let error = summary.await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().starts_with("line 1: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_in_a_hurry_does_not_wait_for_the_stock() {
    let (_stock, shop, reach) = stock_and_shop().await;
    reach.set(Reach::HANGS);
    let order: CreateOrderRequest = request("Ada", &[("scone", 1)], "");
    let error = shop.orders.create(order).timeout(Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
}

/// A Stock, a shop that uses it, and how the one reaches the other.
async fn stock_and_shop() -> (TestShop, TestShop, Reach) {
    let stock = TestShop::open(Wire::GRPC_IN_MEMORY).await.unwrap();
    let reach = Reach(Arc::new(AtomicU8::new(Reach::ANSWERS)));
    let server = stock.app.mount(Server::new().intercept(reach.clone())).start().unwrap();
    let channel = Channel::in_memory(&server.handle()).build().unwrap();
    let shop = TestShop::open_with(Wire::GRPC_IN_MEMORY, |settings| {
        settings.stock = Some(channel);
        settings.stock_timeout = Duration::from_millis(100);
    });
    (stock, shop.await.unwrap(), reach)
}

async fn create(shop: &TestShop, key: &str) -> Result<orders::proto::orders::v1::Order, Status> {
    shop.orders.create(request("Ada", &[("scone", 2)], key)).await
}

/// Stands in front of a Stock and decides how it is reached.
#[derive(Clone)]
struct Reach(Arc<AtomicU8>);

impl Reach {
    const ANSWERS: u8 = 0;
    const REFUSES: u8 = 1;
    const HANGS: u8 = 2;
    const FORGETS_TO_ANSWER: u8 = 3;

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }
}

impl Interceptor for Reach {
    async fn intercept(&self, call: &mut Call, next: Next<'_>) -> Result<Reply, Status> {
        match self.0.load(Ordering::Relaxed) {
            Self::REFUSES => Err(Status::unavailable("out of reach")),
            Self::HANGS => std::future::pending().await,
            Self::FORGETS_TO_ANSWER => {
                drop(next.run(call).await);
                std::future::pending().await
            }
            _ => next.run(call).await,
        }
    }
}
