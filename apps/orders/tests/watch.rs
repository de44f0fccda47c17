//! Watching orders, as a client does it.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use orders::proto::google::rpc::BadRequest;
use orders::proto::orders::v1::{
    CancelOrderRequest, ListOrdersRequest, OrderEvent, OrderFilter, OrderStatus, WatchAllOrdersRequest,
    WatchOrderRequest,
};
use polywire::{Code, Receiver};
use support::shop::{TestShop, Wire, detail};

support::shop::on_every_wire! {
    a_broken_stream_goes_on_where_it_ended,
    a_filtered_stream_shows_what_passes,
    a_list_and_a_stream_after_it_miss_nothing,
    a_sequence_that_has_not_come_is_out_of_range,
    a_slow_watcher_misses_nothing_and_stops_nobody,
    a_stream_says_where_it_begins_before_anything_happens,
    a_watcher_that_leaves_is_forgotten,
    an_order_is_watched_to_its_end,
    watchers_are_told_to_come_back_when_the_server_ends,
}

async fn an_order_is_watched_to_its_end(shop: TestShop) {
    let order = shop.place("Ada", &[("espresso", 1)]).await;
    shop.place("Bob", &[("espresso", 1)]).await;
    let mut events = shop.orders.watch(watch(&order.name, None)).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((first.sequence, first.previous_status), (1, OrderStatus::ORDER_STATUS_UNSPECIFIED.into()));
    assert_eq!(*first.order, order);

    cancel(&shop, &order.name).await;
    let last = events.next().await.unwrap().unwrap();
    assert_eq!((last.sequence, last.previous_status), (3, OrderStatus::CONFIRMED.into()));
    assert_eq!(last.order.status, OrderStatus::CANCELLED);
    assert_eq!(events.next().await.unwrap(), None);

    // Who comes later sees the end, and who has seen it sees nothing more.
    let mut late = shop.orders.watch(watch(&order.name, None)).await.unwrap();
    assert_eq!(late.next().await.unwrap(), Some(last));
    assert_eq!(late.next().await.unwrap(), None);
    let mut done = shop.orders.watch(watch(&order.name, Some(3))).await.unwrap();
    assert_eq!(done.next().await.unwrap(), None);
    let mut all = shop.orders.watch(watch(&order.name, Some(0))).await.unwrap();
    assert_eq!(sequences(&mut all, 2).await, [1, 3]);

    let mut nobodys = shop.orders.watch(watch("orders/01k00000000000000000", None)).await.unwrap();
    assert_eq!(nobodys.next().await.unwrap_err().code(), Code::NotFound);
}

async fn a_broken_stream_goes_on_where_it_ended(shop: TestShop) {
    for number in 0..10 {
        shop.place(&format!("Customer {number}"), &[("espresso", 1)]).await;
    }
    let mut events = shop.orders.watch_all(watch_all(Some(0))).await.unwrap();
    assert_eq!(sequences(&mut events, 4).await, [1, 2, 3, 4]);
    drop(events);
    let mut events = shop.orders.watch_all(watch_all(Some(4))).await.unwrap();
    assert_eq!(sequences(&mut events, 6).await, [5, 6, 7, 8, 9, 10]);
    shop.place("One more", &[("espresso", 1)]).await;
    assert_eq!(sequences(&mut events, 1).await, [11]);
}

async fn a_stream_says_where_it_begins_before_anything_happens(shop: TestShop) {
    shop.place("Ada", &[("espresso", 1)]).await;
    let mut events = shop.orders.watch_all(watch_all(None)).await.unwrap();
    let leading = events.leading().await;
    assert_eq!(leading.get("orders-sequence"), Some("1"));
    // From now on nothing escapes.
    shop.place("Bob", &[("espresso", 1)]).await;
    assert_eq!(sequences(&mut events, 1).await, [2]);
}

async fn a_list_and_a_stream_after_it_miss_nothing(shop: TestShop) {
    let writer = tokio::spawn({
        let orders = shop.orders.clone();
        async move {
            for number in 0..40 {
                let request = support::shop::request(&format!("Customer {number}"), &[("espresso", 1)], "");
                orders.create(request).await.unwrap();
            }
        }
    });
    tokio::task::yield_now().await;
    let list = shop.orders.list(ListOrdersRequest { page_size: 500, ..Default::default() }).await.unwrap();
    let mut names: Vec<_> = list.orders.into_iter().map(|order| order.name).collect();
    let mut events = shop.orders.watch_all(watch_all(Some(list.sequence))).await.unwrap();
    while names.len() < 40 {
        names.push(events.next().await.unwrap().unwrap().order.name.clone());
    }
    writer.await.unwrap();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 40);
}

async fn a_filtered_stream_shows_what_passes(shop: TestShop) {
    let filter =
        OrderFilter { customer: "Ada".to_owned(), statuses: vec![OrderStatus::CANCELLED.into()], ..Default::default() };
    let request = WatchAllOrdersRequest { after_sequence: Some(0), filter: filter.into(), ..Default::default() };
    let mut events = shop.orders.watch_all(request).await.unwrap();
    for customer in ["Ada", "Bob", "Ada"] {
        let order = shop.place(customer, &[("espresso", 1)]).await;
        cancel(&shop, &order.name).await;
    }
    assert_eq!(sequences(&mut events, 2).await, [2, 6]);
}

async fn a_sequence_that_has_not_come_is_out_of_range(shop: TestShop) {
    let order = shop.place("Ada", &[("espresso", 1)]).await;
    for mut events in [
        shop.orders.watch(watch(&order.name, Some(2))).await.unwrap(),
        shop.orders.watch_all(watch_all(Some(2))).await.unwrap(),
    ] {
        let error = events.next().await.unwrap_err();
        assert_eq!(error.code(), Code::OutOfRange, "{error}");
        assert_eq!(detail::<BadRequest>(&error).field_violations[0].field, "after_sequence");
    }
    let mut events = shop.orders.watch_all(watch_all(Some(-1))).await.unwrap();
    assert_eq!(events.next().await.unwrap_err().code(), Code::InvalidArgument);
}

/// One watcher reads nothing while far more happens than any buffer between would hold; the others go on meanwhile.
async fn a_slow_watcher_misses_nothing_and_stops_nobody(shop: TestShop) {
    const ORDERS: i64 = 300;
    let mut slow = shop.orders.watch_all(watch_all(Some(0))).await.unwrap();
    let mut quick = shop.orders.watch_all(watch_all(Some(0))).await.unwrap();
    let (mut sender, summary) = shop.orders.import().await.unwrap();
    let lines: Vec<_> = (0..40).map(|_| ("sparkling-water", 1)).collect();
    let restock = orders::proto::stock::v1::AdjustItemRequest {
        name: "items/sparkling-water".to_owned(),
        change: 100_000,
        ..Default::default()
    };
    shop.stock.adjust_item(restock).await.unwrap();
    for _ in 0..ORDERS {
        let mut request = support::shop::request("Ada", &lines, "");
        request.lines.iter_mut().for_each(|line| line.note = "n".repeat(200));
        sender.send(request).await.unwrap();
        quick.next().await.unwrap().unwrap();
    }
    sender.close();
    assert_eq!(i64::from(summary.await.unwrap().created), ORDERS);
    let expected: Vec<_> = (1..=ORDERS).collect();
    assert_eq!(sequences(&mut slow, expected.len()).await, expected);
}

async fn a_watcher_that_leaves_is_forgotten(shop: TestShop) {
    let mut events = shop.orders.watch_all(watch_all(None)).await.unwrap();
    events.leading().await;
    assert_eq!(shop.app.counters().watchers.value(), 1);
    drop(events);
    while shop.app.counters().watchers.value() > 0 {
        tokio::task::yield_now().await;
    }
}

async fn watchers_are_told_to_come_back_when_the_server_ends(shop: TestShop) {
    shop.place("Ada", &[("espresso", 1)]).await;
    let mut events = shop.orders.watch_all(watch_all(Some(0))).await.unwrap();
    assert_eq!(sequences(&mut events, 1).await, [1]);
    shop.app.hang_up();
    let error = events.next().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    shop.server.drain(std::time::Duration::from_secs(10)).await;
    assert_eq!(shop.server.calls_open(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_so_many_may_watch() {
    let shop = TestShop::open_with(Wire::GRPC_IN_MEMORY, |settings| settings.followers_max = 2);
    let shop = shop.await.unwrap();
    let mut first = shop.orders.watch_all(watch_all(None)).await.unwrap();
    first.leading().await;
    let mut second = shop.orders.watch_all(watch_all(None)).await.unwrap();
    second.leading().await;
    let mut third = shop.orders.watch_all(watch_all(None)).await.unwrap();
    let error = third.next().await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
}

fn watch(name: &str, after_sequence: Option<i64>) -> WatchOrderRequest {
    WatchOrderRequest { name: name.to_owned(), after_sequence, ..Default::default() }
}

fn watch_all(after_sequence: Option<i64>) -> WatchAllOrdersRequest {
    WatchAllOrdersRequest { after_sequence, ..Default::default() }
}

async fn sequences(events: &mut Receiver<OrderEvent>, count: usize) -> Vec<i64> {
    let mut sequences = Vec::new();
    while sequences.len() < count {
        sequences.push(events.next().await.unwrap().unwrap().sequence);
    }
    sequences
}

async fn cancel(shop: &TestShop, name: &str) {
    shop.orders.cancel(CancelOrderRequest { name: name.to_owned(), ..Default::default() }).await.unwrap();
}
