//! The service Orders, called as a client calls it.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::proto::google::rpc::{BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo};
use orders::proto::orders::v1::{
    CancelOrderRequest, CompleteOrderRequest, GetOrderRequest, ListOrdersRequest, Order, OrderFilter, OrderStatus,
};
use orders::proto::stock::v1::{GetReservationRequest, reservation};
use polywire::{Code, Status};
use support::shop::{TestShop, detail, request};

support::shop::on_every_wire! {
    a_cancelled_order_gives_its_goods_back,
    a_caller_without_time_left_gets_deadline_exceeded,
    a_filter_and_its_page_tokens_belong_together,
    a_key_used_for_another_order_is_refused_with_the_difference,
    a_list_pages_through_all_orders_once,
    a_repeated_key_gives_the_same_order,
    a_wrong_request_is_told_everything_that_is_wrong,
    an_import_tells_what_became_of_each_line,
    an_order_nobody_accepts_expires_and_gives_its_goods_back,
    an_order_of_more_than_there_is_names_every_shortage,
    an_order_that_is_not_there_is_not_found,
    an_order_that_is_placed_can_be_found,
    many_customers_at_once_share_what_there_is,
}

async fn an_order_that_is_placed_can_be_found(shop: TestShop) {
    let mut request = request("Ada", &[("flat-white", 2), ("scone", 1), ("flat-white", 1)], "");
    request.lines[2].note = " oat milk ".to_owned();
    request.note = "by the window".to_owned();
    let placed = shop.orders.create(request).await.unwrap();
    assert!(placed.name.starts_with("orders/"), "{}", placed.name);
    assert_eq!(placed.status, OrderStatus::CONFIRMED);
    assert_eq!((placed.total.currency_code.as_str(), placed.total.units, placed.total.nanos), ("EUR", 14, 700_000_000));
    assert_eq!(placed.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!((placed.lines[2].title.as_str(), placed.lines[2].note.as_str()), ("Flat white", "oat milk"));
    assert_eq!(placed.hold_time.seconds - placed.create_time.seconds, 15 * 60);
    assert!(placed.expect_time.is_unset());
    assert_eq!(get(&shop, &placed.name).await.unwrap(), placed);
    assert_eq!((shop.shelf("flat-white").await.reserved, shop.shelf("scone").await.reserved), (3, 1));
}

async fn an_order_that_is_not_there_is_not_found(shop: TestShop) {
    let name = "orders/01k00000000000000000";
    for error in [
        get(&shop, name).await.unwrap_err(),
        cancel(&shop, name).await.unwrap_err(),
        shop.orders.complete(CompleteOrderRequest { name: name.to_owned(), ..Default::default() }).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::NotFound, "{error}");
        assert_eq!(detail::<ResourceInfo>(&error).resource_name, name);
    }
    let error = get(&shop, "order 7").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}

async fn a_wrong_request_is_told_everything_that_is_wrong(shop: TestShop) {
    let error = shop.orders.create(request("", &[("Espresso", 0)], "no spaces")).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let violations = detail::<BadRequest>(&error).field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["customer", "lines[0].item", "lines[0].quantity", "idempotency_key"]);
    for violation in violations {
        assert!(error.message().contains(&violation.description), "{error}");
    }
}

async fn a_repeated_key_gives_the_same_order(shop: TestShop) {
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let orders = shop.orders.clone();
            tokio::spawn(async move { orders.create(request("Ada", &[("espresso", 2)], "till-1:7")).await })
        })
        .collect();
    let mut names = Vec::new();
    for call in calls {
        names.push(call.await.unwrap().unwrap().name);
    }
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(shop.shelf("espresso").await.reserved, 2);

    // The order is given as it is by now.
    cancel(&shop, &names[0]).await.unwrap();
    let again = shop.orders.create(request("Ada", &[("espresso", 2)], "till-1:7")).await.unwrap();
    assert_eq!((again.name.as_str(), again.status), (names[0].as_str(), OrderStatus::CANCELLED.into()));
    assert_eq!(shop.app.counters().orders_created.value(), 1);
}

async fn a_key_used_for_another_order_is_refused_with_the_difference(shop: TestShop) {
    let first = shop.orders.create(request("Ada", &[("espresso", 2)], "k")).await.unwrap();
    let error = shop.orders.create(request("Bob", &[("espresso", 3)], "k")).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists, "{error}");
    let info = detail::<ErrorInfo>(&error);
    assert_eq!(info.reason, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(info.metadata["fields"], "customer, lines");
    assert_eq!(detail::<ResourceInfo>(&error).resource_name, first.name);
}

async fn an_order_of_more_than_there_is_names_every_shortage(shop: TestShop) {
    let wanted = [("birthday-cake", 4), ("espresso", 1), ("last-slice", 2), ("unicorn", 1)];
    let error = shop.orders.create(request("Ada", &wanted, "party")).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    let violations = detail::<PreconditionFailure>(&error).violations;
    let short: Vec<_> = violations.iter().map(|v| (v.r#type.as_str(), v.subject.as_str())).collect();
    assert_eq!(
        short,
        [
            ("STOCK_SHORT", "items/birthday-cake"),
            ("STOCK_SHORT", "items/last-slice"),
            ("STOCK_UNKNOWN", "items/unicorn")
        ]
    );
    assert_eq!(shop.shelf("espresso").await.reserved, 0);
    // The same key may try again with the same order; it is not used up by a refusal.
    let error = shop.orders.create(request("Ada", &wanted, "party")).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
}

async fn a_cancelled_order_gives_its_goods_back(shop: TestShop) {
    let placed = shop.place("Ada", &[("last-slice", 1)]).await;
    assert_eq!(shop.shelf("last-slice").await.available, 0);
    let cancelled = cancel(&shop, &placed.name).await.unwrap();
    assert_eq!((cancelled.status, cancelled.reason.as_str()), (OrderStatus::CANCELLED.into(), "changed my mind"));
    assert_eq!(shop.shelf("last-slice").await.available, 1);
    assert_eq!(cancel(&shop, &placed.name).await.unwrap(), cancelled);

    let error =
        shop.orders.complete(CompleteOrderRequest { name: placed.name, ..Default::default() }).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(error.message(), "cannot hand over an order that is cancelled, because the customer took it back");
    assert_eq!(detail::<PreconditionFailure>(&error).violations[0].r#type, "ORDER_STATUS");
    assert_eq!(detail::<ErrorInfo>(&error).metadata["action"], "hand over");
}

async fn an_order_nobody_accepts_expires_and_gives_its_goods_back(shop: TestShop) {
    let placed = shop.place("Ada", &[("last-slice", 1)]).await;
    shop.clock.advance(Duration::from_secs(15 * 60) - Duration::from_millis(1));
    assert_eq!(shop.app.shop().expire_overdue().await.unwrap(), 0);
    shop.clock.advance(Duration::from_millis(1));
    // By hand, or by the task that looks every second: whichever comes first.
    shop.app.shop().expire_overdue().await.unwrap();
    let expired = get(&shop, &placed.name).await.unwrap();
    assert_eq!(expired.status, OrderStatus::EXPIRED);
    let error = cancel(&shop, &placed.name).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");

    shop.app.shop().settle_all().await.unwrap();
    assert_eq!(shop.shelf("last-slice").await.available, 1);
    let name = placed.name.replace("orders/", "reservations/");
    let reserved = shop.stock.get_reservation(GetReservationRequest { name, ..Default::default() }).await.unwrap();
    assert_eq!(reserved.state, reservation::State::RELEASED);
}

async fn a_list_pages_through_all_orders_once(shop: TestShop) {
    let mut placed = Vec::new();
    for number in 0..7 {
        placed.insert(0, shop.place(&format!("Customer {number}"), &[("espresso", 1)]).await.name);
    }
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListOrdersRequest { page_size: 3, page_token, ..Default::default() };
        let page = shop.orders.list(request).await.unwrap();
        assert_eq!(page.sequence, 7);
        assert!(page.orders.len() <= 3);
        listed.extend(page.orders.into_iter().map(|order| order.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, placed);
}

async fn a_filter_and_its_page_tokens_belong_together(shop: TestShop) {
    for number in 0..6 {
        let order = shop.place(["Ada", "Bob"][number % 2], &[("espresso", 1)]).await;
        if number < 2 {
            cancel(&shop, &order.name).await.unwrap();
        }
    }
    let list = |customer: &str, status: Option<OrderStatus>, page_token: &str| {
        let filter = OrderFilter {
            customer: customer.to_owned(),
            statuses: status.into_iter().map(Into::into).collect(),
            ..Default::default()
        };
        let request = ListOrdersRequest {
            page_size: 1,
            page_token: page_token.to_owned(),
            filter: filter.into(),
            ..Default::default()
        };
        let orders = shop.orders.clone();
        async move { orders.list(request).await }
    };
    let first = list("Ada", Some(OrderStatus::CONFIRMED), "").await.unwrap();
    let second = list("Ada", Some(OrderStatus::CONFIRMED), &first.next_page_token).await.unwrap();
    assert!(second.next_page_token.is_empty());
    assert!(second.orders[0].name < first.orders[0].name);

    for (customer, status) in [("Bob", Some(OrderStatus::CONFIRMED)), ("Ada", None)] {
        let error = list(customer, status, &first.next_page_token).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert_eq!(detail::<BadRequest>(&error).field_violations[0].field, "page_token");
    }
    let unknown = OrderFilter { statuses: vec![99.into()], ..Default::default() };
    let error = shop.orders.list(ListOrdersRequest { filter: unknown.into(), ..Default::default() }).await.unwrap_err();
    assert_eq!(detail::<BadRequest>(&error).field_violations[0].field, "filter.statuses[0]");
    let error = shop.orders.list(ListOrdersRequest { page_size: -1, ..Default::default() }).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}

async fn an_import_tells_what_became_of_each_line(shop: TestShop) {
    let lines = [
        request("Ada", &[("espresso", 2)], "line-1"),
        request("", &[("espresso", 2)], "line-2"),
        request("Bob", &[("last-slice", 2)], "line-3"),
        request("Bob", &[("scone", 1)], ""),
        request("Ada", &[("espresso", 2)], "line-1"),
        request("Eve", &[("espresso", 9)], "line-1"),
    ];
    let (mut sender, summary) = shop.orders.import().await.unwrap();
    for line in &lines {
        sender.send(line).await.unwrap();
    }
    sender.close();
    let summary = summary.await.unwrap();
    assert_eq!((summary.created, summary.existing, summary.refused), (2, 1, 3));
    assert_eq!((summary.total.units, summary.total.nanos), (8, 100_000_000));
    let codes: Vec<_> = summary.results.iter().map(|result| (result.line, result.code)).collect();
    let [ok, invalid, short, exists] =
        [Code::Ok, Code::InvalidArgument, Code::FailedPrecondition, Code::AlreadyExists].map(|code| code as i32);
    assert_eq!(codes, [(1, ok), (2, invalid), (3, short), (4, ok), (5, ok), (6, exists)]);
    assert_eq!(summary.results[4].order, summary.results[0].order);
    assert!(summary.results[4].existing);
    assert!(summary.results[2].message.contains("last-slice"), "{:?}", summary.results[2]);
}

async fn many_customers_at_once_share_what_there_is(shop: TestShop) {
    let customers: Vec<_> = (0..60)
        .map(|number| {
            let orders = shop.orders.clone();
            tokio::spawn(async move {
                orders.create(request(&format!("Customer {number}"), &[("soup-of-the-day", 1)], "")).await
            })
        })
        .collect();
    let (mut served, mut sold_out) = (0, 0);
    for customer in customers {
        match customer.await.unwrap() {
            Ok(_) => served += 1,
            Err(error) if error.code() == Code::FailedPrecondition => sold_out += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((served, sold_out), (20, 40));
    assert_eq!(shop.shelf("soup-of-the-day").await.available, 0);
}

async fn a_caller_without_time_left_gets_deadline_exceeded(shop: TestShop) {
    let call = shop.orders.create(request("Ada", &[("espresso", 1)], "")).timeout(Duration::from_nanos(1));
    assert_eq!(call.await.unwrap_err().code(), Code::DeadlineExceeded);
}

async fn get(shop: &TestShop, name: &str) -> Result<Order, Status> {
    shop.orders.get(GetOrderRequest { name: name.to_owned(), ..Default::default() }).await
}

async fn cancel(shop: &TestShop, name: &str) -> Result<Order, Status> {
    let reason = "changed my mind".to_owned();
    shop.orders.cancel(CancelOrderRequest { name: name.to_owned(), reason, ..Default::default() }).await
}
