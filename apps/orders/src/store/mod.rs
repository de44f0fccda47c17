//! Keeping orders and goods in a database: SQLite inside the process, or PostgreSQL.
//!
//! The two services have a store each and share nothing but the [`Database`]: no query touches the tables of both, so Stock can
//! move to another process with another database at any time.
//!
//! Both stores are written once. The SQL in them is what SQLite and PostgreSQL have in common, and it is executed by the thin
//! layer in `sql`, the only place that knows which of the two it talks to. There are three differences between them
//! altogether, and they stand in `database`: how a transaction that writes begins, how one that only reads begins, and what the
//! migrations need beforehand.

mod database;
mod order;
mod seed;
mod sql;
mod stock;

pub use database::{Database, DatabaseUrl, DatabaseUrlError};
pub use order::{ActError, Change, Claim, OrderStore};
pub use seed::catalogue;
pub use sql::StoreError;
pub use stock::{AdjustError, ReserveError, SettleError, StockStore};
