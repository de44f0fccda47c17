//! Following events, on every database.
#![allow(clippy::unwrap_used, reason = "this is a test, through and through")]

mod support;

use std::time::Duration;

use orders::domain::{Action, Order, Status};
use orders::feed::{Feed, FollowError};
use orders::store::{Change, OrderStore};
use support::{TestDatabase, order};

support::on_every_database! {
    a_feed_that_closes_ends_its_followers,
    a_follower_gets_every_event_once_and_in_order,
    a_follower_of_one_order_gets_nothing_else,
    a_follower_that_fell_behind_catches_up,
    events_of_another_process_are_shown,
    only_so_many_may_follow,
}

async fn a_follower_gets_every_event_once_and_in_order(test: TestDatabase) {
    let (store, feed) = running(&test).await;
    for chance in 0..50 {
        place(&test, &store, chance).await;
    }
    // One begins at the beginning, one in the middle, one with what comes; more comes while they read.
    let followers = [0, 30, 50].map(|after| (after, feed.follow(None, after).unwrap()));
    let writer = tokio::spawn({
        let orders: Vec<_> = (50..100).map(|chance| order(&test.clock, chance, "Ada")).collect();
        async move {
            for order in orders {
                store.insert(order).await.unwrap();
            }
        }
    });
    for (after, mut follower) in followers {
        for expected in after + 1..=100 {
            assert_eq!(follower.next().await.unwrap().unwrap().order.sequence, expected);
        }
    }
    writer.await.unwrap();
}

async fn a_follower_of_one_order_gets_nothing_else(test: TestDatabase) {
    let (store, feed) = running(&test).await;
    let ours = place(&test, &store, 1).await;
    let mut follower = feed.follow(Some(ours.id.clone()), 0).unwrap();
    assert_eq!(follower.next().await.unwrap().unwrap().order, ours);
    for chance in 2..6 {
        place(&test, &store, chance).await;
    }
    store.act(&ours.id, Action::Cancel, &Change::default(), test.clock.now()).await.unwrap();
    let event = follower.next().await.unwrap().unwrap();
    assert_eq!((event.order.sequence, event.order.status), (6, Status::Cancelled));
}

async fn a_follower_that_fell_behind_catches_up(test: TestDatabase) {
    let (store, feed) = running(&test).await;
    let mut slow = feed.follow(None, 0).unwrap();
    place(&test, &store, 0).await;
    assert_eq!(slow.next().await.unwrap().unwrap().order.sequence, 1);
    // A quick one shows that all of these have gone past the slow one, and that many do not fit the tail.
    let mut quick = feed.follow(None, 1).unwrap();
    for chance in 1..400 {
        place(&test, &store, chance).await;
        assert_eq!(quick.next().await.unwrap().unwrap().order.sequence, i64::try_from(chance).unwrap() + 1);
    }
    for expected in 2..=400 {
        assert_eq!(slow.next().await.unwrap().unwrap().order.sequence, expected);
    }
}

async fn events_of_another_process_are_shown(test: TestDatabase) {
    let (_, feed) = running(&test).await;
    let mut follower = feed.follow(None, 0).unwrap();
    let theirs = OrderStore::new(test.database.clone()).await.unwrap();
    place(&test, &theirs, 1).await;
    let event = tokio::spawn(async move { follower.next().await.unwrap().unwrap().order.sequence });
    // The feed looks once a second; whether it is waiting already is not for us to know.
    while !event.is_finished() {
        test.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(event.await.unwrap(), 1);
}

async fn a_feed_that_closes_ends_its_followers(test: TestDatabase) {
    let (store, feed) = running(&test).await;
    place(&test, &store, 1).await;
    let mut follower = feed.follow(None, 0).unwrap();
    assert!(follower.next().await.unwrap().is_some());
    feed.close();
    assert!(follower.next().await.unwrap().is_none());
    assert_eq!(feed.follow(None, 0).unwrap_err(), FollowError::Closed);
}

async fn only_so_many_may_follow(test: TestDatabase) {
    let feed = Feed::new(OrderStore::new(test.database.clone()).await.unwrap(), 2);
    let first = feed.follow(None, 0).unwrap();
    let _second = feed.follow(None, 0).unwrap();
    assert_eq!(feed.follow(None, 0).unwrap_err(), FollowError::Full);
    drop(first);
    assert!(feed.follow(None, 0).is_ok());
}

async fn running(test: &TestDatabase) -> (OrderStore, Feed) {
    let store = OrderStore::new(test.database.clone()).await.unwrap();
    let feed = Feed::new(store.clone(), 10);
    tokio::spawn(feed.clone().run(test.clock.clone()));
    (store, feed)
}

async fn place(test: &TestDatabase, store: &OrderStore, chance: u64) -> Order {
    store.insert(order(&test.clock, chance, "Ada")).await.unwrap().0
}
