//! Calls whose time is over while a handler still waits.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::proto::orders::v1::{KitchenAnnounce, KitchenRequest, WatchAllOrdersRequest};
use orders::proto::stock::v1::ListItemsRequest;
use polywire::{Code, Receiver};
use support::shop::TestShop;
use support::until;

support::shop::on_every_wire! {
    a_handler_that_does_not_come_to_an_answer_is_ended,
    a_stream_that_has_nothing_more_to_say_is_ended,
    an_import_whose_lines_do_not_come_is_ended,
    who_sets_no_deadline_has_none,
}

support::shop::on_every_wire! {
    without a rule:
    a_kitchen_that_falls_silent_is_ended,
}

async fn who_sets_no_deadline_has_none(shop: TestShop) {
    shop.stock.list_items(ListItemsRequest::default()).await.unwrap();
    assert_eq!(shop.deadlines.take(), [None]);
}

async fn a_handler_that_does_not_come_to_an_answer_is_ended(shop: TestShop) {
    ended(&shop, async |timeout| {
        let call = shop.stock.list_items(ListItemsRequest::default()).metadata("test-hold", "1").timeout(timeout);
        assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
    })
    .await;
}

async fn a_stream_that_has_nothing_more_to_say_is_ended(shop: TestShop) {
    shop.place("Ada", &[("espresso", 1)]).await;
    ended(&shop, async |timeout| {
        let request = WatchAllOrdersRequest { after_sequence: Some(0), ..Default::default() };
        let events = shop.orders.watch_all(request).timeout(timeout).await.unwrap();
        assert_eq!(code_at_the_end(events).await, Code::DeadlineExceeded);
    })
    .await;
    until(|| shop.app.counters().watchers.value() == 0).await;
}

async fn an_import_whose_lines_do_not_come_is_ended(shop: TestShop) {
    ended(&shop, async |timeout| {
        let (mut lines, summary) = shop.orders.import().timeout(timeout).await.unwrap();
        drop(lines.send(support::shop::request("Ada", &[("espresso", 1)], "once")).await);
        assert_eq!(summary.await.unwrap_err().code(), Code::DeadlineExceeded);
    })
    .await;
}

async fn a_kitchen_that_falls_silent_is_ended(shop: TestShop) {
    ended(&shop, async |timeout| {
        let (mut sender, replies) = shop.orders.kitchen().timeout(timeout).await.unwrap();
        let announce = KitchenAnnounce { kitchen: "upstairs".to_owned(), ..Default::default() };
        drop(sender.send(KitchenRequest { said: Some(announce.into()), ..Default::default() }).await);
        assert_eq!(code_at_the_end(replies).await, Code::DeadlineExceeded);
    })
    .await;
    until(|| shop.app.counters().kitchens.value() == 0).await;
}

/// Makes a call that gets a little time. The server must know of the deadline, and be rid of the call.
async fn ended(shop: &TestShop, call: impl AsyncFn(Duration)) {
    shop.stock.list_items(ListItemsRequest::default()).await.unwrap();
    // A machine that is busy may need longer than the first of them until a call has come to the server.
    for timeout in [100, 1_000, 10_000].map(Duration::from_millis) {
        shop.deadlines.take();
        call(timeout).await;
        until(|| shop.server.calls_open() == 0).await;
        match shop.deadlines.take()[..] {
            [] => {}
            [deadline] => return assert!(deadline.is_some(), "the server was not told"),
            ref calls => panic!("one call was made, {} came", calls.len()),
        }
    }
    panic!("no call has come");
}

async fn code_at_the_end<M: polywire::codegen::AnyMessage>(mut messages: Receiver<M>) -> Code {
    loop {
        match messages.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Ok,
            Err(error) => return error.code(),
        }
    }
}
