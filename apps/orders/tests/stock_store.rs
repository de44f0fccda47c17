//! Stock's store, on every database.

#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::domain::{Adjustment, Item, ItemId, NewReservation, Reservation, ReservationId, ReservationState};
use orders::store::{AdjustError, ReserveError, SettleError, StockStore, catalogue};
use support::TestDatabase;

support::on_every_database! {
    a_catalogue_is_stocked_once,
    a_reservation_holds_all_of_its_lines_or_none,
    an_adjustment_with_a_key_counts_once,
    a_shelf_keeps_what_is_reserved,
    an_expired_reservation_can_be_made_again,
    commit_and_release_may_be_repeated,
    goods_come_back_when_their_time_is_over,
    items_are_listed_in_the_order_of_their_ids,
    many_at_once_never_oversell,
    one_id_reserves_once_however_many_ask,
    opposite_orders_of_lines_do_not_block_each_other,
}

async fn a_catalogue_is_stocked_once(test: TestDatabase) {
    let stock = StockStore::new(test.database.clone());
    let items = catalogue(test.clock.now());
    assert_eq!(stock.stock(&items).await.unwrap(), items.len());
    stock.adjust(&adjustment("espresso", -100, ""), test.clock.now()).await.unwrap();
    assert_eq!(stock.stock(&items).await.unwrap(), 0);
    assert_eq!(item(&stock, "espresso").await.on_hand, 400);
}

async fn a_reservation_holds_all_of_its_lines_or_none(test: TestDatabase) {
    let stock = stocked(&test).await;
    let (now, hold) = (test.clock.now(), Duration::from_secs(60));
    let reserved = stock.reserve(&reservation("r1", &[("scone", 2), ("birthday-cake", 3)], hold), now).await.unwrap();
    assert_eq!(reserved.state, ReservationState::Held);
    assert_eq!(reserved.expires_at, now.plus(hold));
    assert_eq!(reserved.lines[1].title, "Birthday cake, whole");
    assert_eq!(stock.reservation(&reserved.id).await.unwrap(), Some(reserved));

    let short =
        stock.reserve(&reservation("r2", &[("scone", 2), ("birthday-cake", 1), ("unicorn", 1)], hold), now).await;
    let Err(ReserveError::Short(short)) = short else { panic!("{short:?}") };
    let short: Vec<_> = short.iter().map(ToString::to_string).collect();
    assert_eq!(short, ["items/birthday-cake: 1 wanted, 0 available", "items/unicorn: there is no such item"]);
    assert_eq!(item(&stock, "scone").await.reserved, 2);
    assert_eq!(stock.reservation(&id("r2")).await.unwrap(), None);
}

async fn one_id_reserves_once_however_many_ask(test: TestDatabase) {
    let stock = stocked(&test).await;
    let now = test.clock.now();
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let stock = stock.clone();
            tokio::spawn(
                async move { stock.reserve(&reservation("same", &[("scone", 5)], MINUTE), now).await.unwrap() },
            )
        })
        .collect();
    for reserved in asked {
        assert_eq!(reserved.await.unwrap().state, ReservationState::Held);
    }
    assert_eq!(item(&stock, "scone").await.reserved, 5);
    let other = stock.reserve(&reservation("same", &[("scone", 6)], MINUTE), now).await;
    assert!(matches!(other, Err(ReserveError::IdReused)), "{other:?}");
}

async fn commit_and_release_may_be_repeated(test: TestDatabase) {
    let stock = stocked(&test).await;
    let now = test.clock.now();
    for name in ["used", "unused"] {
        stock.reserve(&reservation(name, &[("scone", 4)], MINUTE), now).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(stock.commit(&id("used"), now).await.unwrap().state, ReservationState::Committed);
        assert_eq!(stock.release(&id("unused"), now).await.unwrap().state, ReservationState::Released);
    }
    let scone = item(&stock, "scone").await;
    assert_eq!((scone.on_hand, scone.reserved), (36, 0));

    assert!(matches!(stock.release(&id("used"), now).await, Err(SettleError::Settled(ReservationState::Committed))));
    assert!(matches!(stock.commit(&id("unused"), now).await, Err(SettleError::Settled(ReservationState::Released))));
    assert!(matches!(stock.commit(&id("nobodys"), now).await, Err(SettleError::NotFound)));
    let again = stock.reserve(&reservation("unused", &[("scone", 4)], MINUTE), now).await;
    assert!(matches!(again, Err(ReserveError::Released)), "{again:?}");
}

async fn goods_come_back_when_their_time_is_over(test: TestDatabase) {
    let stock = stocked(&test).await;
    stock.reserve(&reservation("early", &[("scone", 40)], MINUTE), test.clock.now()).await.unwrap();
    stock.reserve(&reservation("late", &[("brownie", 1)], 2 * MINUTE), test.clock.now()).await.unwrap();

    test.clock.advance(MINUTE - Duration::from_micros(1));
    assert_eq!(stock.expire_due(test.clock.now(), 100).await.unwrap(), 0);
    test.clock.advance(Duration::from_micros(1));
    // Nobody has swept yet, and still it is too late.
    let late = stock.commit(&id("early"), test.clock.now()).await;
    assert!(matches!(late, Err(SettleError::Settled(ReservationState::Expired))), "{late:?}");
    assert_eq!(item(&stock, "scone").await.reserved, 0);
    assert_eq!(stock.expire_due(test.clock.now(), 100).await.unwrap(), 0);

    test.clock.advance(MINUTE);
    assert_eq!(stock.expire_due(test.clock.now(), 100).await.unwrap(), 1);
    assert_eq!(stock.reservation(&id("late")).await.unwrap().unwrap().state, ReservationState::Expired);
    assert_eq!(item(&stock, "brownie").await.reserved, 0);
}

async fn an_expired_reservation_can_be_made_again(test: TestDatabase) {
    let stock = stocked(&test).await;
    let wanted = reservation("again", &[("last-slice", 1)], MINUTE);
    stock.reserve(&wanted, test.clock.now()).await.unwrap();
    test.clock.advance(2 * MINUTE);
    let revived = stock.reserve(&wanted, test.clock.now()).await.unwrap();
    assert_eq!(revived.expires_at, test.clock.now().plus(MINUTE));
    assert_eq!(item(&stock, "last-slice").await.reserved, 1);

    // Released after it expired, it is not revived any more.
    test.clock.advance(2 * MINUTE);
    assert_eq!(stock.expire_due(test.clock.now(), 100).await.unwrap(), 1);
    stock.release(&wanted.id, test.clock.now()).await.unwrap();
    assert!(matches!(stock.reserve(&wanted, test.clock.now()).await, Err(ReserveError::Released)));
}

async fn a_shelf_keeps_what_is_reserved(test: TestDatabase) {
    let stock = stocked(&test).await;
    let now = test.clock.now();
    stock.reserve(&reservation("r", &[("scone", 30)], MINUTE), now).await.unwrap();
    let refused = stock.adjust(&adjustment("scone", -11, ""), now).await;
    assert!(matches!(&refused, Err(AdjustError::Reserved(item)) if item.available() == 10), "{refused:?}");
    assert_eq!(stock.adjust(&adjustment("scone", -10, ""), now).await.unwrap().available(), 0);
    assert!(matches!(stock.adjust(&adjustment("unicorn", 1, ""), now).await, Err(AdjustError::NotFound)));
}

async fn an_adjustment_with_a_key_counts_once(test: TestDatabase) {
    let stock = stocked(&test).await;
    let now = test.clock.now();
    for _ in 0..3 {
        assert_eq!(stock.adjust(&adjustment("scone", 10, "delivery-7"), now).await.unwrap().on_hand, 50);
    }
    let other = stock.adjust(&adjustment("scone", 11, "delivery-7"), now).await;
    assert!(matches!(other, Err(AdjustError::KeyReused)), "{other:?}");
    // A refused adjustment does not use up its key.
    assert!(stock.adjust(&adjustment("scone", -60, "breakage-1"), now).await.is_err());
    stock.adjust(&adjustment("scone", 10, ""), now).await.unwrap();
    assert_eq!(stock.adjust(&adjustment("scone", -60, "breakage-1"), now).await.unwrap().on_hand, 0);
}

async fn items_are_listed_in_the_order_of_their_ids(test: TestDatabase) {
    let stock = stocked(&test).await;
    let mut listed: Vec<Item> = Vec::new();
    loop {
        let page = stock.items(listed.last().map(|item| item.id.as_str()), 7).await.unwrap();
        let last = page.len() < 7;
        listed.extend(page);
        if last {
            break;
        }
    }
    let mut expected = catalogue(test.clock.now());
    expected.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(listed, expected);
}

/// Two hundred callers want what thirty-six pieces cannot give all of them; some commit, some release, some forget. Whatever
/// the order, the shelf and the reservations agree afterwards and nobody has got what was not there.
async fn many_at_once_never_oversell(test: TestDatabase) {
    let stock = stocked(&test).await;
    let now = test.clock.now();
    let callers: Vec<_> = (0..200_i64)
        .map(|caller| {
            let stock = stock.clone();
            tokio::spawn(async move {
                let name = format!("caller-{caller}");
                let wanted = [("brownie", 1 + caller % 3), ("scone", 1 + caller % 2)];
                match stock.reserve(&reservation(&name, &wanted, MINUTE), now).await {
                    Err(ReserveError::Short(_)) => return 0,
                    other => drop(other.unwrap()),
                }
                match caller % 4 {
                    0 => drop(stock.release(&id(&name), now).await.unwrap()),
                    1 => {}
                    _ => drop(stock.commit(&id(&name), now).await.unwrap()),
                }
                1
            })
        })
        .collect();
    let mut succeeded = 0;
    for caller in callers {
        succeeded += caller.await.unwrap();
    }
    assert!(succeeded >= 12, "only {succeeded} got anything");

    let (mut held, mut committed) = ((0, 0), (0, 0));
    for caller in 0..200 {
        let Some(reserved) = stock.reservation(&id(&format!("caller-{caller}"))).await.unwrap() else {
            continue;
        };
        let (brownies, scones) = (quantity(&reserved, 0), quantity(&reserved, 1));
        match reserved.state {
            ReservationState::Held => {
                held = (held.0 + brownies, held.1 + scones);
            }
            ReservationState::Committed => {
                committed = (committed.0 + brownies, committed.1 + scones);
            }
            ReservationState::Released | ReservationState::Expired => {}
        }
    }
    for (name, held, committed, stocked) in [("brownie", held.0, committed.0, 36), ("scone", held.1, committed.1, 40)] {
        let shelf = item(&stock, name).await;
        assert_eq!(shelf.reserved, held, "{name}");
        assert_eq!(shelf.on_hand, stocked - committed, "{name}");
        assert!(shelf.available() >= 0, "{name}");
    }
}

async fn opposite_orders_of_lines_do_not_block_each_other(test: TestDatabase) {
    let stock = stocked(&test).await;
    let now = test.clock.now();
    let callers: Vec<_> = (0..60)
        .map(|caller| {
            let stock = stock.clone();
            tokio::spawn(async move {
                let mut wanted = [("americano", 1), ("cortado", 1), ("espresso", 1), ("flat-white", 1)];
                if caller % 2 == 0 {
                    wanted.reverse();
                }
                let name = format!("caller-{caller}");
                stock.reserve(&reservation(&name, &wanted, MINUTE), now).await.unwrap();
                stock.commit(&id(&name), now).await.unwrap();
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(item(&stock, "espresso").await.on_hand, 440);
}

const MINUTE: Duration = Duration::from_secs(60);

async fn stocked(test: &TestDatabase) -> StockStore {
    let stock = StockStore::new(test.database.clone());
    stock.stock(&catalogue(test.clock.now())).await.unwrap();
    stock
}

async fn item(stock: &StockStore, name: &str) -> Item {
    stock.item(&ItemId::from_name("item", &format!("items/{name}")).unwrap()).await.unwrap().unwrap()
}

fn id(name: &str) -> ReservationId {
    ReservationId::new("id", name).unwrap()
}

fn reservation(name: &str, lines: &[(&str, i64)], hold: Duration) -> NewReservation {
    let lines: Vec<_> = lines.iter().map(|(item, quantity)| (format!("items/{item}"), *quantity)).collect();
    NewReservation::new(name, lines.iter().map(|(item, quantity)| (item.as_str(), *quantity)), Some(hold)).unwrap()
}

fn adjustment(name: &str, change: i64, key: &str) -> Adjustment {
    Adjustment::new(&format!("items/{name}"), change, "a test", key).unwrap()
}

fn quantity(reserved: &Reservation, line: usize) -> i64 {
    reserved.lines[line].quantity.get().into()
}
