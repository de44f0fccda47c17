//! Orders' store, on every database.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::domain::{Action, IdempotencyKey, OrderFilter, OrderId, Settlement, Status, Timestamp};
use orders::store::{ActError, Change, Claim, Database, OrderStore};
use support::{HOLD, TestDatabase, order, text};

support::on_every_database! {
    a_caller_that_goes_away_leaves_no_transaction_behind,
    a_filter_narrows_a_list_down,
    a_key_means_the_order_it_meant_first,
    a_kitchen_may_not_go_on_with_anothers_order,
    a_list_goes_on_where_it_ended_while_orders_come,
    a_refused_action_leaves_no_event,
    an_order_comes_back_as_it_was_written,
    an_order_is_not_accepted_when_its_hold_is_over,
    another_process_on_the_same_database_is_seen_after_a_refresh,
    events_show_the_order_as_it_was_then,
    events_written_at_once_are_numbered_without_gaps_and_seen_in_order,
    keys_are_forgotten_when_they_are_old,
    what_stock_must_be_told_is_kept_until_it_was,
}

/// Callers leave at every point of a call: while it waits for a connection, begins, reads, writes, commits.
async fn a_caller_that_goes_away_leaves_no_transaction_behind(test: TestDatabase) {
    let store = store(&test).await;
    for patience in 0..200 {
        let (new, now) = (order(&test.clock, patience, "Ada"), test.clock.now());
        let call = async {
            let (order, _) = store.insert(new).await.unwrap();
            store.act(&order.id, Action::Cancel, &Change::default(), now).await.unwrap();
            store.events(None, 0, 10).await.unwrap();
        };
        let leave = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = call => {}
            () = leave => {}
        }
    }
    // Whatever came of them, the events are whole.
    let last = store.insert(order(&test.clock, 1_000, "Bob")).await.unwrap().0.sequence;
    let mut seen = 0;
    while seen < last {
        for event in store.events(None, seen, 100).await.unwrap() {
            assert_eq!(event.order.sequence, seen + 1);
            seen += 1;
        }
    }
}

async fn an_order_comes_back_as_it_was_written(test: TestDatabase) {
    let store = store(&test).await;
    let (written, new) = store.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    assert!(new);
    assert_eq!(written.sequence, 1);
    assert_eq!(store.order(&written.id).await.unwrap(), Some(written.clone()));

    let (again, new) = store.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    assert!(!new);
    assert_eq!(again, written);
    assert_eq!(store.refresh().await.unwrap(), 1);
    assert_eq!(store.order(&OrderId::new(test.clock.now(), 9)).await.unwrap(), None);
}

async fn a_key_means_the_order_it_meant_first(test: TestDatabase) {
    let store = store(&test).await;
    let now = test.clock.now();
    let key = IdempotencyKey::new("key", "k1").unwrap().unwrap();
    let claims: Vec<_> = (0..10)
        .map(|caller| {
            let (store, key) = (store.clone(), key.clone());
            let claim = Claim { order: OrderId::new(now, caller), fingerprint: format!("request {caller}") };
            tokio::spawn(async move { store.claim(&key, claim, now).await.unwrap() })
        })
        .collect();
    let mut meanings = Vec::new();
    for claim in claims {
        meanings.push(claim.await.unwrap());
    }
    meanings.dedup();
    assert_eq!(meanings.len(), 1, "{meanings:?}");
}

async fn keys_are_forgotten_when_they_are_old(test: TestDatabase) {
    let store = store(&test).await;
    let key = IdempotencyKey::new("key", "k1").unwrap().unwrap();
    let claim = |chance| Claim { order: OrderId::new(test.clock.now(), chance), fingerprint: String::new() };
    let first = store.claim(&key, claim(1), test.clock.now()).await.unwrap();
    assert_eq!(store.forget_keys(test.clock.now()).await.unwrap(), 0);
    assert_eq!(store.claim(&key, claim(2), test.clock.now()).await.unwrap(), first);
    test.clock.advance(Duration::from_micros(1));
    assert_eq!(store.forget_keys(test.clock.now()).await.unwrap(), 1);
    assert_ne!(store.claim(&key, claim(3), test.clock.now()).await.unwrap(), first);
}

async fn a_refused_action_leaves_no_event(test: TestDatabase) {
    let store = store(&test).await;
    let (order, _) = store.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    for action in [Action::Delay, Action::Finish, Action::HandOver] {
        let refused = store.act(&order.id, action, &Change::default(), test.clock.now()).await;
        assert!(matches!(refused, Err(ActError::Refused(_))), "{refused:?}");
    }
    let unknown =
        store.act(&OrderId::new(test.clock.now(), 9), Action::Cancel, &Change::default(), test.clock.now()).await;
    assert!(matches!(unknown, Err(ActError::NotFound)), "{unknown:?}");
    assert_eq!(store.refresh().await.unwrap(), 1);
    assert_eq!(store.events(None, 0, 10).await.unwrap().len(), 1);
}

async fn a_kitchen_may_not_go_on_with_anothers_order(test: TestDatabase) {
    let store = store(&test).await;
    let (order, _) = store.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    let accepted = store.act(&order.id, Action::Accept, &by("upstairs"), test.clock.now()).await.unwrap();
    assert_eq!(accepted.order.kitchen, Some(text("upstairs")));
    let taken = store.act(&order.id, Action::Finish, &by("downstairs"), test.clock.now()).await;
    assert!(matches!(&taken, Err(ActError::OtherKitchen(kitchen)) if kitchen.as_str() == "upstairs"), "{taken:?}");
    let finished = store.act(&order.id, Action::Finish, &by("upstairs"), test.clock.now()).await.unwrap();
    assert_eq!((finished.previous, finished.order.status), (Some(Status::Preparing), Status::Ready));
    assert_eq!(store.in_kitchen(&text("upstairs"), 10).await.unwrap(), []);
}

async fn an_order_is_not_accepted_when_its_hold_is_over(test: TestDatabase) {
    let store = store(&test).await;
    let (order, _) = store.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    test.clock.advance(HOLD - Duration::from_micros(1));
    assert_eq!(store.waiting(test.clock.now(), 10).await.unwrap(), std::slice::from_ref(&order));
    assert_eq!(store.waiting_count(test.clock.now()).await.unwrap(), 1);
    assert_eq!(store.overdue(test.clock.now(), 10).await.unwrap(), []);
    test.clock.advance(Duration::from_micros(1));
    assert_eq!(store.waiting(test.clock.now(), 10).await.unwrap(), []);
    assert_eq!(store.overdue(test.clock.now(), 10).await.unwrap(), std::slice::from_ref(&order.id));
    let late = store.act(&order.id, Action::Accept, &by("upstairs"), test.clock.now()).await;
    assert!(matches!(late, Err(ActError::HoldOver)), "{late:?}");
    store.act(&order.id, Action::Expire, &Change::default(), test.clock.now()).await.unwrap();
    assert_eq!(store.overdue(test.clock.now(), 10).await.unwrap(), []);
}

async fn events_show_the_order_as_it_was_then(test: TestDatabase) {
    let store = store(&test).await;
    let (first, _) = store.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    store.insert(order(&test.clock, 2, "Bob")).await.unwrap();
    test.clock.advance(Duration::from_secs(1));
    let expected_at = Some(test.clock.now().plus(Duration::from_secs(600)));
    let accept = Change { expected_at, ..by("upstairs") };
    let accepted = store.act(&first.id, Action::Accept, &accept, test.clock.now()).await.unwrap();
    test.clock.advance(Duration::from_secs(1));
    let delay = Change { reason: text("the oven is cold"), ..by("upstairs") };
    let delayed = store.act(&first.id, Action::Delay, &delay, test.clock.now()).await.unwrap();
    assert_eq!(delayed.order.expected_at, expected_at);

    let of_first = store.events(Some(&first.id), 0, 10).await.unwrap();
    assert_eq!(of_first.iter().map(|event| event.order.sequence).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!((of_first[0].previous, &of_first[0].order), (None, &first));
    assert_eq!(of_first[1..], [accepted, delayed.clone()]);
    assert_eq!(store.order(&first.id).await.unwrap(), Some(delayed.order));
    let rest = store.events(None, 1, 2).await.unwrap();
    assert_eq!(rest.iter().map(|event| event.order.sequence).collect::<Vec<_>>(), [2, 3]);
}

async fn events_written_at_once_are_numbered_without_gaps_and_seen_in_order(test: TestDatabase) {
    let store = store(&test).await;
    let writers: Vec<_> = (0..40)
        .map(|chance| {
            let (store, new, now) = (store.clone(), order(&test.clock, chance, "Ada"), test.clock.now());
            tokio::spawn(async move {
                let (order, _) = store.insert(new).await.unwrap();
                // One in three is refused and must leave no gap.
                let action = [Action::Cancel, Action::Accept, Action::Finish][chance as usize % 3];
                drop(store.act(&order.id, action, &by("upstairs"), now).await);
            })
        })
        .collect();
    // A reader that follows while they write never sees a number before all of those below it.
    let mut seen = 0;
    let mut grown = store.watch_head();
    while seen < 40 + 27 {
        for event in store.events(None, seen, 7).await.unwrap() {
            assert_eq!(event.order.sequence, seen + 1);
            seen = event.order.sequence;
        }
        if *grown.borrow_and_update() == seen && seen < 40 + 27 {
            grown.changed().await.unwrap();
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.refresh().await.unwrap(), 40 + 27);
}

async fn another_process_on_the_same_database_is_seen_after_a_refresh(test: TestDatabase) {
    let ours = store(&test).await;
    let theirs = OrderStore::new(test.database.clone()).await.unwrap();
    theirs.insert(order(&test.clock, 1, "Ada")).await.unwrap();
    assert_eq!((theirs.head(), ours.head()), (1, 0));
    assert_eq!(ours.refresh().await.unwrap(), 1);
    assert_eq!(ours.head(), 1);
}

async fn what_stock_must_be_told_is_kept_until_it_was(test: TestDatabase) {
    let store = store(&test).await;
    let now = test.clock.now();
    let mut ids = Vec::new();
    for (chance, action) in [(1, Action::Accept), (2, Action::Cancel), (3, Action::Expire)] {
        let (order, _) = store.insert(order(&test.clock, chance, "Ada")).await.unwrap();
        store.act(&order.id, action, &by("upstairs"), now).await.unwrap();
        ids.push(order.id);
    }
    // What is due survives whatever else happens to the order.
    store.act(&ids[0], Action::Delay, &by("upstairs"), now).await.unwrap();
    store.act(&ids[0], Action::Finish, &by("upstairs"), now).await.unwrap();
    let due = [Settlement::Commit, Settlement::Release, Settlement::Release];
    let due: Vec<_> = ids.iter().cloned().zip(due).collect();
    assert_eq!(store.unsettled(10).await.unwrap(), due);

    store.settled(&ids[1], Settlement::Commit).await.unwrap();
    assert_eq!(store.unsettled(10).await.unwrap(), due, "another settlement is not crossed out");
    store.settled(&ids[1], Settlement::Release).await.unwrap();
    assert_eq!(store.unsettled(10).await.unwrap(), [due[0].clone(), due[2].clone()]);
}

async fn a_filter_narrows_a_list_down(test: TestDatabase) {
    let store = store(&test).await;
    let mut times = Vec::new();
    for (chance, customer) in [(1, "Ada"), (2, "Bob"), (3, "Ada"), (4, "ada")] {
        test.clock.advance(Duration::from_secs(1));
        times.push(test.clock.now());
        let (order, _) = store.insert(order(&test.clock, chance, customer)).await.unwrap();
        if chance == 3 {
            store.act(&order.id, Action::Cancel, &Change::default(), test.clock.now()).await.unwrap();
        }
    }
    let ada = Some(text("Ada"));
    let filters = [
        (OrderFilter::default(), vec![3, 2, 1, 0]),
        (OrderFilter { customer: ada.clone(), ..OrderFilter::default() }, vec![2, 0]),
        (OrderFilter { statuses: [Status::Confirmed].into(), ..OrderFilter::default() }, vec![3, 1, 0]),
        (
            OrderFilter {
                statuses: [Status::Confirmed, Status::Cancelled].into(),
                customer: ada,
                ..OrderFilter::default()
            },
            vec![2, 0],
        ),
        (OrderFilter { statuses: [Status::Ready].into(), ..OrderFilter::default() }, vec![]),
        (OrderFilter { created_from: Some(times[1]), ..OrderFilter::default() }, vec![3, 2, 1]),
        (OrderFilter { created_until: Some(times[1]), ..OrderFilter::default() }, vec![0]),
        (
            OrderFilter { created_from: Some(times[1]), created_until: Some(times[3]), ..OrderFilter::default() },
            vec![2, 1],
        ),
    ];
    for (filter, expected) in filters {
        let (listed, sequence) = store.orders(&filter, None, 10).await.unwrap();
        let expected: Vec<Timestamp> = expected.into_iter().map(|index: usize| times[index]).collect();
        assert_eq!(listed.iter().map(|order| order.created_at).collect::<Vec<_>>(), expected, "{filter:?}");
        assert!(listed.iter().all(|order| filter.passes(order)), "{filter:?}");
        assert_eq!(sequence, 5);
    }
}

async fn a_list_goes_on_where_it_ended_while_orders_come(test: TestDatabase) {
    let store = store(&test).await;
    for chance in 0..10 {
        test.clock.advance(Duration::from_millis(1));
        store.insert(order(&test.clock, chance, "Ada")).await.unwrap();
    }
    let filter = OrderFilter::default();
    let (mut listed, _) = store.orders(&filter, None, 4).await.unwrap();
    test.clock.advance(Duration::from_millis(1));
    store.insert(order(&test.clock, 99, "Bob")).await.unwrap();
    while let (page, _) = store.orders(&filter, listed.last().map(|order| order.id.as_str()), 4).await.unwrap()
        && !page.is_empty()
    {
        listed.extend(page);
    }
    assert_eq!(listed.len(), 10);
    assert!(listed.is_sorted_by(|newer, older| newer.created_at > older.created_at));
}

async fn store(test: &TestDatabase) -> OrderStore {
    let database: Database = test.database.clone();
    OrderStore::new(database).await.unwrap()
}

fn by(kitchen: &str) -> Change {
    Change { kitchen: Some(text(kitchen)), ..Change::default() }
}
