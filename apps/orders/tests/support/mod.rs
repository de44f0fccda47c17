//! What the tests of the order system share: databases of every kind, and a shop's clock.
#![allow(
    dead_code,
    unreachable_pub,
    unused_macros,
    unused_imports,
    reason = "each test program uses its own part of this"
)]

pub mod postgres;
pub mod shop;

use std::time::Duration;

use orders::clock::Clock;
use orders::domain::{Currency, ItemId, Line, Money, Order, OrderId, Quantity, Status, Text, Timestamp};
use orders::store::{Database, DatabaseUrl};

/// The databases that every test of a store runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SqliteFile,
    SqliteMemory,
    Postgres,
}

/// An empty database of some kind. It goes away with this value.
pub struct TestDatabase {
    pub database: Database,
    pub url: DatabaseUrl,
    pub clock: Clock,
    _directory: Option<tempfile::TempDir>,
}

impl TestDatabase {
    /// Makes one, or says why there can be none here.
    pub async fn create(kind: Kind) -> Result<Self, postgres::Skipped> {
        let directory = (kind == Kind::SqliteFile).then(|| tempfile::tempdir().unwrap());
        let url = match kind {
            Kind::SqliteFile => DatabaseUrl::File(directory.as_ref().unwrap().path().join("orders.db")),
            Kind::SqliteMemory => DatabaseUrl::Memory,
            Kind::Postgres => DatabaseUrl::Postgres(postgres::fresh_database()?),
        };
        let clock = Clock::by_hand(Timestamp::from_parts(1_764_000_000, 0).unwrap());
        let database = Database::open(&url, clock.now()).await.unwrap();
        Ok(Self { database, url, clock, _directory: directory })
    }
}

/// How long the goods of a test's orders are held.
pub const HOLD: Duration = Duration::from_secs(900);

/// An order as it is when it was just taken.
pub fn order(clock: &Clock, chance: u64, customer: &str) -> Order {
    let now = clock.now();
    let line = |item: &str, cents, quantity, note: &str| Line {
        item: ItemId::from_name("item", item).unwrap(),
        title: format!("{item} «ä»"),
        quantity: Quantity::new("quantity", quantity, 10).unwrap(),
        unit_price: Money::from_cents(Currency::EUR, cents),
        note: text(note),
    };
    Order {
        id: OrderId::new(now, chance),
        customer: text(customer),
        status: Status::Confirmed,
        lines: vec![line("items/scone", 330, 2, ""), line("items/espresso", 240, 1, "it's \"short\"")],
        total: Money::from_cents(Currency::EUR, 900),
        note: text("by the window"),
        created_at: now,
        updated_at: now,
        hold_until: now.plus(HOLD),
        kitchen: None,
        expected_at: None,
        reason: Text::default(),
        sequence: 0,
    }
}

/// Lets time pass until it is so; a minute at most.
pub async fn until(condition: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came to that");
}

/// Text, unchecked.
pub fn text(text: &str) -> Text {
    Text::new("text", text, 100).unwrap()
}

/// Makes a test of each function for each kind of database.
macro_rules! on_every_database {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            use super::support::{Kind, TestDatabase, postgres};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_file() {
                super::$test(TestDatabase::create(Kind::SqliteFile).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_memory() {
                super::$test(TestDatabase::create(Kind::SqliteMemory).await.unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                match TestDatabase::create(Kind::Postgres).await {
                    Ok(database) => super::$test(database).await,
                    Err(skipped) => postgres::report(stringify!($test), &skipped),
                }
            }
        }
    )*};
}
pub(crate) use on_every_database;
