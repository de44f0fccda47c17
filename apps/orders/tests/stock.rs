//! The service Stock, called as a client calls it.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::proto::google::rpc::{BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo};
use orders::proto::stock::v1::reservation::State;
use orders::proto::stock::v1::{
    AdjustItemRequest, CommitRequest, GetItemRequest, GetReservationRequest, ListItemsRequest, ReleaseRequest,
    Reservation, ReservationLine, ReserveRequest,
};
use polywire::{Code, Status};
use support::shop::{TestShop, detail};

support::shop::on_every_wire! {
    a_delivery_counts_once_under_its_key,
    a_reservation_goes_one_way_or_the_other,
    a_reservation_that_is_short_names_every_line,
    a_wrong_reservation_is_told_everything_that_is_wrong,
    an_expired_reservation_is_not_committed,
    items_are_paged_and_found,
    what_is_reserved_stays_on_the_shelf,
}

async fn items_are_paged_and_found(shop: TestShop) {
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListItemsRequest { page_size: 10, page_token, ..Default::default() };
        let page = shop.stock.list_items(request).await.unwrap();
        names.extend(page.items.into_iter().map(|item| item.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 24);
    assert!(names.is_sorted());
    let item = shop.shelf("birthday-cake").await;
    assert_eq!((item.title.as_str(), item.on_hand, item.available), ("Birthday cake, whole", 3, 3));
    assert_eq!((item.unit_price.units, item.unit_price.nanos), (39, 0));

    let request = GetItemRequest { name: "items/unicorn".to_owned(), ..Default::default() };
    let error = shop.stock.get_item(request).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(detail::<ResourceInfo>(&error).resource_type, "stock.v1.Item");
    // A token of another list is not one of this.
    let orders = shop.orders.list(orders::proto::orders::v1::ListOrdersRequest { page_size: 1, ..Default::default() });
    assert!(orders.await.unwrap().next_page_token.is_empty());
    let request = ListItemsRequest { page_token: "0123456789abcespresso".to_owned(), ..Default::default() };
    assert_eq!(shop.stock.list_items(request).await.unwrap_err().code(), Code::InvalidArgument);
}

async fn a_reservation_goes_one_way_or_the_other(shop: TestShop) {
    for name in ["used", "unused"] {
        let reserved = reserve(&shop, name, &[("scone", 3), ("brownie", 1)]).await.unwrap();
        assert_eq!((reserved.name, reserved.state), (format!("reservations/{name}"), State::HELD.into()));
        assert_eq!(reserved.lines[0].title, "Scone with jam");
        assert_eq!(reserved.expire_time.seconds - reserved.create_time.seconds, 300);
    }
    assert_eq!(shop.shelf("scone").await.reserved, 6);
    for _ in 0..2 {
        assert_eq!(commit(&shop, "used").await.unwrap().state, State::COMMITTED);
        assert_eq!(release(&shop, "unused").await.unwrap().state, State::RELEASED);
    }
    let shelf = shop.shelf("scone").await;
    assert_eq!((shelf.on_hand, shelf.reserved, shelf.available), (37, 0, 37));

    for error in [release(&shop, "used").await.unwrap_err(), commit(&shop, "unused").await.unwrap_err()] {
        assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
        assert_eq!(detail::<PreconditionFailure>(&error).violations[0].r#type, "RESERVATION_STATE");
    }
    assert_eq!(commit(&shop, "nobodys").await.unwrap_err().code(), Code::NotFound);
    let error = reserve(&shop, "used", &[("scone", 4)]).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists, "{error}");
    assert_eq!(detail::<ErrorInfo>(&error).reason, "RESERVATION_ID_REUSED");
    let request = GetReservationRequest { name: "reservations/used".to_owned(), ..Default::default() };
    assert_eq!(shop.stock.get_reservation(request).await.unwrap().state, State::COMMITTED);
}

async fn an_expired_reservation_is_not_committed(shop: TestShop) {
    reserve(&shop, "slow", &[("last-slice", 1)]).await.unwrap();
    shop.clock.advance(Duration::from_secs(300));
    let error = commit(&shop, "slow").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(detail::<ErrorInfo>(&error).metadata["state"], "expired");
    assert_eq!(shop.shelf("last-slice").await.available, 1);
    // Asking again for the same revives it.
    assert_eq!(reserve(&shop, "slow", &[("last-slice", 1)]).await.unwrap().state, State::HELD);
    assert_eq!(commit(&shop, "slow").await.unwrap().state, State::COMMITTED);
}

async fn a_reservation_that_is_short_names_every_line(shop: TestShop) {
    let error = reserve(&shop, "much", &[("last-slice", 2), ("espresso", 1), ("birthday-cake", 9)]).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    let violations = detail::<PreconditionFailure>(&error).violations;
    let subjects: Vec<_> = violations.iter().map(|violation| violation.subject.as_str()).collect();
    assert_eq!(subjects, ["items/birthday-cake", "items/last-slice"]);
    assert_eq!(shop.shelf("espresso").await.reserved, 0);
    assert_eq!(shop.app.counters().reservations.value_at("short"), 1);
}

async fn a_wrong_reservation_is_told_everything_that_is_wrong(shop: TestShop) {
    let hold = buffa_types::google::protobuf::Duration { seconds: -1, ..Default::default() };
    let request = ReserveRequest { reservation_id: "r".to_owned(), hold: hold.into(), ..Default::default() };
    assert_eq!(shop.stock.reserve(request).await.unwrap_err().code(), Code::InvalidArgument);
    let error = reserve(&shop, "Not An Id", &[("scone", 0), ("scone", 1), ("scone", 1)]).await.unwrap_err();
    let violations = detail::<BadRequest>(&error).field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["reservation_id", "lines[0].quantity", "lines[2].item"]);
}

async fn what_is_reserved_stays_on_the_shelf(shop: TestShop) {
    reserve(&shop, "r", &[("scone", 30)]).await.unwrap();
    let error = adjust(&shop, -11, "").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(error.message(), "40 are on the shelf and 30 of them are reserved");
    assert_eq!(adjust(&shop, -10, "").await.unwrap(), 30);
    assert_eq!(adjust(&shop, 0, "").await.unwrap_err().code(), Code::InvalidArgument);
}

async fn a_delivery_counts_once_under_its_key(shop: TestShop) {
    for _ in 0..3 {
        assert_eq!(adjust(&shop, 10, "delivery-7").await.unwrap(), 50);
    }
    let error = adjust(&shop, 11, "delivery-7").await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists, "{error}");
    assert_eq!(detail::<ErrorInfo>(&error).reason, "IDEMPOTENCY_KEY_REUSED");
}

async fn reserve(shop: &TestShop, id: &str, lines: &[(&str, i32)]) -> Result<Reservation, Status> {
    let lines = lines.iter().map(|&(item, quantity)| ReservationLine {
        item: format!("items/{item}"),
        quantity,
        ..Default::default()
    });
    let request = ReserveRequest { reservation_id: id.to_owned(), lines: lines.collect(), ..Default::default() };
    shop.stock.reserve(request).await
}

async fn commit(shop: &TestShop, id: &str) -> Result<Reservation, Status> {
    shop.stock.commit(CommitRequest { name: format!("reservations/{id}"), ..Default::default() }).await
}

async fn release(shop: &TestShop, id: &str) -> Result<Reservation, Status> {
    shop.stock.release(ReleaseRequest { name: format!("reservations/{id}"), ..Default::default() }).await
}

async fn adjust(shop: &TestShop, change: i64, key: &str) -> Result<i64, Status> {
    let (name, idempotency_key) = ("items/scone".to_owned(), key.to_owned());
    let request = AdjustItemRequest { name, change, idempotency_key, ..Default::default() };
    shop.stock.adjust_item(request).await.map(|item| item.on_hand)
}
