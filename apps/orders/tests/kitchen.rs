//! Talking to the kitchen, as a kitchen does it.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::proto::orders::v1::kitchen_recall::Cause;
use orders::proto::orders::v1::kitchen_reply::Said;
use orders::proto::orders::v1::{
    CancelOrderRequest, CompleteOrderRequest, GetOrderRequest, KitchenAccepted, KitchenAnnounce, KitchenDelayed,
    KitchenReady, KitchenReply, KitchenRequest, KitchenTicket, KitchenWelcome, Order, OrderStatus, kitchen_request,
};
use polywire::{Code, Receiver, Sender, Status};
use support::shop::TestShop;

support::shop::on_every_wire! {
    without a rule:
    a_board_holds_only_so_many_tickets,
    a_kitchen_must_announce_itself_first,
    a_kitchen_that_comes_back_is_reminded,
    a_report_that_cannot_be_honoured_is_refused_and_the_talk_goes_on,
    an_order_goes_through_the_kitchen,
    only_one_of_two_kitchens_gets_an_order,
    tickets_of_cancelled_and_expired_orders_are_recalled,
}

async fn an_order_goes_through_the_kitchen(shop: TestShop) {
    let waiting = shop.place("Ada", &[("flat-white", 2)]).await;
    let (mut kitchen, welcome) = Kitchen::connect(&shop, "upstairs", 0).await;
    assert_eq!((welcome.tickets_open_max, welcome.waiting), (8, 1));
    let ticket = kitchen.ticket().await;
    assert_eq!((ticket.order.as_str(), ticket.customer.as_str()), (waiting.name.as_str(), "Ada"));
    assert_eq!((ticket.lines[0].title.as_str(), ticket.lines[0].quantity), ("Flat white", 2));
    assert!(!ticket.accepted);

    // What is ordered while it listens comes as well.
    let other = shop.place("Bob", &[("scone", 1)]).await;
    assert_eq!(kitchen.ticket().await.order, other.name);

    kitchen.accept(&waiting.name, 300).await;
    let noted = kitchen.noted().await;
    let preparing = get(&shop, &waiting.name).await;
    assert_eq!((preparing.status, preparing.sequence), (OrderStatus::PREPARING.into(), noted));
    assert_eq!(
        (preparing.kitchen.as_str(), preparing.expect_time.seconds - preparing.update_time.seconds),
        ("upstairs", 300)
    );
    // The goods are used now, and the customer can not go back.
    let shelf = shop.shelf("flat-white").await;
    assert_eq!((shelf.on_hand, shelf.reserved), (398, 0));
    let refused = shop.orders.cancel(CancelOrderRequest { name: waiting.name.clone(), ..Default::default() }).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);

    kitchen.delay(&waiting.name, 900, "the machine is cold").await;
    kitchen.noted().await;
    assert_eq!(get(&shop, &waiting.name).await.reason, "the machine is cold");
    kitchen.ready(&waiting.name).await;
    kitchen.noted().await;
    let name = waiting.name.clone();
    let completed = shop.orders.complete(CompleteOrderRequest { name, ..Default::default() }).await.unwrap();
    assert_eq!(completed.status, OrderStatus::COMPLETED);
}

async fn only_one_of_two_kitchens_gets_an_order(shop: TestShop) {
    let (mut upstairs, _) = Kitchen::connect(&shop, "upstairs", 0).await;
    let (mut downstairs, _) = Kitchen::connect(&shop, "downstairs", 0).await;
    let order = shop.place("Ada", &[("espresso", 1)]).await.name;
    assert_eq!(upstairs.ticket().await.order, order);
    assert_eq!(downstairs.ticket().await.order, order);
    upstairs.accept(&order, 60).await;
    upstairs.noted().await;
    assert_eq!(downstairs.recall().await, (order.clone(), Cause::TAKEN));
    downstairs.accept(&order, 60).await;
    let (code, message) = downstairs.refusal().await;
    assert_eq!(code, Code::FailedPrecondition as i32, "{message}");
    downstairs.ready(&order).await;
    let (code, message) = downstairs.refusal().await;
    assert_eq!(code, Code::FailedPrecondition as i32, "{message}");
    assert_eq!(message, "the order was accepted by another kitchen: upstairs");
    assert_eq!(get(&shop, &order).await.kitchen, "upstairs");
}

async fn a_report_that_cannot_be_honoured_is_refused_and_the_talk_goes_on(shop: TestShop) {
    let (mut kitchen, _) = Kitchen::connect(&shop, "upstairs", 0).await;
    let order = shop.place("Ada", &[("espresso", 1)]).await.name;
    kitchen.ticket().await;
    kitchen.ready(&order).await;
    assert_eq!(kitchen.refusal().await.0, Code::FailedPrecondition as i32);
    kitchen.accept("orders/01k00000000000000000", 60).await;
    assert_eq!(kitchen.refusal().await.0, Code::NotFound as i32);
    kitchen.accept(&order, -1).await;
    assert_eq!(kitchen.refusal().await.0, Code::InvalidArgument as i32);
    kitchen.accept(&order, 25 * 60 * 60).await;
    assert_eq!(kitchen.refusal().await.0, Code::InvalidArgument as i32);
    kitchen.say(KitchenAnnounce { kitchen: "again".to_owned(), ..Default::default() }).await;
    assert_eq!(kitchen.refusal().await.0, Code::InvalidArgument as i32);
    for _ in 0..2 {
        kitchen.accept(&order, 60).await;
        assert_eq!(kitchen.noted().await, 2, "a repeated report is noted once");
    }
    assert_eq!(shop.shelf("espresso").await.on_hand, 499);
}

async fn tickets_of_cancelled_and_expired_orders_are_recalled(shop: TestShop) {
    let (mut kitchen, _) = Kitchen::connect(&shop, "upstairs", 0).await;
    let cancelled = shop.place("Ada", &[("espresso", 1)]).await.name;
    let expired = shop.place("Bob", &[("espresso", 1)]).await.name;
    kitchen.ticket().await;
    kitchen.ticket().await;
    shop.orders.cancel(CancelOrderRequest { name: cancelled.clone(), ..Default::default() }).await.unwrap();
    assert_eq!(kitchen.recall().await, (cancelled, Cause::CANCELLED));
    shop.clock.advance(Duration::from_secs(15 * 60));
    kitchen.accept(&expired, 60).await;
    shop.app.shop().expire_overdue().await.unwrap();
    // The recall and the answer to the late report may come in either order.
    for _ in 0..2 {
        match kitchen.hear().await {
            Said::Recall(recall) => assert_eq!((&recall.order, recall.cause), (&expired, Cause::EXPIRED.into())),
            Said::Refusal(refusal) => assert_eq!(refusal.code, Code::FailedPrecondition as i32),
            other => panic!("{other:?}"),
        }
    }
}

async fn a_board_holds_only_so_many_tickets(shop: TestShop) {
    let mut orders = Vec::new();
    for number in 0..5 {
        orders.push(shop.place(&format!("Customer {number}"), &[("espresso", 1)]).await.name);
    }
    let (mut kitchen, welcome) = Kitchen::connect(&shop, "upstairs", 2).await;
    assert_eq!((welcome.tickets_open_max, welcome.waiting), (2, 5));
    assert_eq!([kitchen.ticket().await.order, kitchen.ticket().await.order], orders[..2]);
    // A place on the board is free when a ticket is accepted or recalled, and only then.
    kitchen.accept(&orders[1], 60).await;
    kitchen.noted().await;
    assert_eq!(kitchen.ticket().await.order, orders[2]);
    shop.orders.cancel(CancelOrderRequest { name: orders[0].clone(), ..Default::default() }).await.unwrap();
    assert_eq!(kitchen.recall().await, (orders[0].clone(), Cause::CANCELLED));
    assert_eq!(kitchen.ticket().await.order, orders[3]);
    kitchen.ready(&orders[1]).await;
    kitchen.noted().await;
    assert_eq!(shop.app.counters().tickets.value(), 4);
}

async fn a_kitchen_that_comes_back_is_reminded(shop: TestShop) {
    let accepted = shop.place("Ada", &[("espresso", 1)]).await.name;
    let (mut kitchen, _) = Kitchen::connect(&shop, "upstairs", 0).await;
    kitchen.ticket().await;
    kitchen.accept(&accepted, 60).await;
    kitchen.noted().await;
    drop(kitchen);
    let open = shop.place("Bob", &[("espresso", 1)]).await.name;

    let (mut kitchen, welcome) = Kitchen::connect(&shop, "upstairs", 0).await;
    assert_eq!(welcome.waiting, 1);
    let (first, second) = (kitchen.ticket().await, kitchen.ticket().await);
    assert_eq!((first.order.as_str(), first.accepted), (accepted.as_str(), true));
    assert_eq!((second.order, second.accepted), (open, false));
    kitchen.ready(&accepted).await;
    kitchen.noted().await;

    let Kitchen { sender, mut replies } = kitchen;
    sender.close();
    assert_eq!(replies.next().await.unwrap(), None);
}

async fn a_kitchen_must_announce_itself_first(shop: TestShop) {
    for first in [
        kitchen_request::Said::from(KitchenReady::default()),
        KitchenAnnounce { kitchen: " ".to_owned(), ..Default::default() }.into(),
        KitchenAnnounce { kitchen: "upstairs".to_owned(), tickets_open_max: -1, ..Default::default() }.into(),
    ] {
        let (mut sender, mut replies) = shop.orders.kitchen().await.unwrap();
        sender.send(KitchenRequest { said: Some(first), ..Default::default() }).await.unwrap();
        assert_eq!(replies.next().await.unwrap_err().code(), Code::InvalidArgument);
    }
    let (sender, mut replies) = shop.orders.kitchen().await.unwrap();
    sender.close();
    assert_eq!(replies.next().await.unwrap_err().code(), Code::InvalidArgument);
}

struct Kitchen {
    sender: Sender<KitchenRequest>,
    replies: Receiver<KitchenReply>,
}

impl Kitchen {
    async fn connect(shop: &TestShop, name: &str, tickets_open_max: i32) -> (Self, KitchenWelcome) {
        let (sender, replies) = shop.orders.kitchen().await.unwrap();
        let mut kitchen = Self { sender, replies };
        kitchen.say(KitchenAnnounce { kitchen: name.to_owned(), tickets_open_max, ..Default::default() }).await;
        match kitchen.hear().await {
            Said::Welcome(welcome) => {
                assert_eq!(welcome.kitchen, name);
                (kitchen, *welcome)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn say(&mut self, said: impl Into<kitchen_request::Said>) {
        self.sender.send(KitchenRequest { said: Some(said.into()), ..Default::default() }).await.unwrap();
    }

    async fn accept(&mut self, order: &str, seconds: i64) {
        let ready_in = buffa_types::google::protobuf::Duration { seconds, ..Default::default() };
        self.say(KitchenAccepted { order: order.to_owned(), ready_in: ready_in.into(), ..Default::default() }).await;
    }

    async fn delay(&mut self, order: &str, seconds: i64, reason: &str) {
        let ready_in = buffa_types::google::protobuf::Duration { seconds, ..Default::default() };
        let (order, reason) = (order.to_owned(), reason.to_owned());
        self.say(KitchenDelayed { order, ready_in: ready_in.into(), reason, ..Default::default() }).await;
    }

    async fn ready(&mut self, order: &str) {
        self.say(KitchenReady { order: order.to_owned(), ..Default::default() }).await;
    }

    async fn hear(&mut self) -> Said {
        let reply: Result<_, Status> = self.replies.next().await;
        reply.unwrap().expect("the talk goes on").said.unwrap()
    }

    async fn ticket(&mut self) -> KitchenTicket {
        match self.hear().await {
            Said::Ticket(ticket) => *ticket,
            other => panic!("{other:?}"),
        }
    }

    async fn noted(&mut self) -> i64 {
        match self.hear().await {
            Said::Noted(noted) => noted.sequence,
            other => panic!("{other:?}"),
        }
    }

    async fn recall(&mut self) -> (String, Cause) {
        match self.hear().await {
            Said::Recall(recall) => (recall.order.clone(), recall.cause.as_known().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    async fn refusal(&mut self) -> (i32, String) {
        match self.hear().await {
            Said::Refusal(refusal) => (refusal.code, refusal.message.clone()),
            other => panic!("{other:?}"),
        }
    }
}

async fn get(shop: &TestShop, name: &str) -> Order {
    shop.orders.get(GetOrderRequest { name: name.to_owned(), ..Default::default() }).await.unwrap()
}
