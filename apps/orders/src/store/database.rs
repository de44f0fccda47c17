//! Opening either database, and the few points in which they differ.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::sql::{StoreError, Transaction, sql};
use crate::domain::Timestamp;

/// A database, opened and of the current version. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Database {
    pools: Pools,
}

#[derive(Debug, Clone)]
enum Pools {
    /// One connection writes, because SQLite lets only one; asking for it in our queue is fairer than SQLite's busy waiting.
    /// In memory, `readers` is the same pool, because such a database belongs to its one connection.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// Which database to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite::memory:`: inside this process, gone with it.
    Memory,
    /// `sqlite:PATH`: a file, made if it does not exist.
    File(PathBuf),
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`, with everything else that PostgreSQL's own programs take there.
    Postgres(String),
}

/// Not the URL of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrlError(String);

impl Database {
    /// Readers of a SQLite file. They never wait for the writer, only for processors.
    const SQLITE_READERS: u32 = 4;
    /// Connections to PostgreSQL. A server takes 100 by default; several of us should fit.
    const POSTGRES_CONNECTIONS_MAX: u32 = 16;
    /// How long a call waits for a connection: beyond this the database is not keeping up, and it is kinder to say so.
    const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

    /// Opens the database and brings its tables up to date. `now` is noted beside migrations.
    pub async fn open(url: &DatabaseUrl, now: Timestamp) -> Result<Self, StoreError> {
        let pools = match url {
            DatabaseUrl::Memory => {
                let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
                // The connection is the database: it must never be closed for having been idle or old.
                let only = SqlitePoolOptions::new()
                    .max_connections(1)
                    .min_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None);
                let pool = only.acquire_timeout(Self::ACQUIRE_TIMEOUT).connect_with(options).await?;
                Pools::Sqlite { writer: pool.clone(), readers: pool }
            }
            DatabaseUrl::File(path) => {
                // With a write-ahead log, readers see the last commit while the next is being written, and NORMAL loses
                // nothing when the process dies; the last commits can be lost when the machine does.
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .busy_timeout(Self::ACQUIRE_TIMEOUT)
                    .foreign_keys(true);
                let pool = SqlitePoolOptions::new().acquire_timeout(Self::ACQUIRE_TIMEOUT);
                let writer = pool.clone().max_connections(1).connect_with(options.clone()).await?;
                let readers = pool.max_connections(Self::SQLITE_READERS).connect_lazy_with(options.read_only(true));
                Pools::Sqlite { writer, readers }
            }
            DatabaseUrl::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)?.application_name("polywire-orders");
                let pool = PgPoolOptions::new()
                    .max_connections(Self::POSTGRES_CONNECTIONS_MAX)
                    .acquire_timeout(Self::ACQUIRE_TIMEOUT);
                Pools::Postgres(pool.connect_with(options).await?)
            }
        };
        let database = Self { pools };
        database.migrate(now).await?;
        Ok(database)
    }

    /// Says whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read().await?.row(sql("SELECT 1 AS one")).await.map(drop)
    }

    /// Closes all connections, after what is under way on them.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// Begins a transaction that writes.
    ///
    /// SQLite takes the lock at once: a transaction that began by reading and then wants to write may be refused. PostgreSQL
    /// locks row by row; statements that depend on a row check it while changing it.
    pub(super) async fn write(&self) -> Result<Transaction, StoreError> {
        match self.pools.clone() {
            Pools::Sqlite { writer, .. } => Transaction::begin_sqlite(writer, "BEGIN IMMEDIATE").await,
            Pools::Postgres(pool) => Transaction::begin_postgres(pool, "BEGIN").await,
        }
    }

    /// Begins a transaction that only reads: all of its statements see the same moment.
    pub(super) async fn read(&self) -> Result<Transaction, StoreError> {
        match self.pools.clone() {
            Pools::Sqlite { readers, .. } => Transaction::begin_sqlite(readers, "BEGIN DEFERRED").await,
            Pools::Postgres(pool) => {
                Transaction::begin_postgres(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
            }
        }
    }

    /// What PostgreSQL needs before the migrations, which SQLite has without asking.
    ///
    /// The lock lets only one of several processes that start together do the work. The type is text that sorts byte
    /// by byte, whatever language the database was made for; SQLite takes any name with TEXT in it for text and sorts so anyway.
    const POSTGRES_PREAMBLE: &str = "
        SELECT pg_advisory_xact_lock(7274489310);
        DO $$ BEGIN
            CREATE DOMAIN sorted_text AS TEXT COLLATE \"C\";
        EXCEPTION WHEN duplicate_object THEN NULL;
        END $$;";

    /// Each is executed once per database, in this order. One that was published is never changed, only followed.
    const MIGRATIONS: &[(&str, &str)] = &[
        ("0001 stock", include_str!("migrations/0001_stock.sql")),
        ("0002 orders", include_str!("migrations/0002_orders.sql")),
    ];

    async fn migrate(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if let Pools::Postgres(_) = self.pools {
            tx.run_script(Self::POSTGRES_PREAMBLE).await?;
        }
        tx.run_script("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL)")
            .await?;
        for &(name, script) in Self::MIGRATIONS {
            let note = sql("INSERT INTO migrations (name, applied_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            if tx.run(note.bind(name).bind(now.micros())).await? == 1 {
                tx.run_script(script).await?;
            }
        }
        tx.commit().await
    }
}

impl DatabaseUrl {
    /// The URL of a file.
    pub fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return match PgConnectOptions::from_str(url) {
                Ok(_) => Ok(Self::Postgres(url.to_owned())),
                Err(error) => Err(DatabaseUrlError(error.to_string())),
            };
        }
        match url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some(":memory:") => Ok(Self::Memory),
            Some(path) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(DatabaseUrlError("expected sqlite:PATH, sqlite::memory: or postgres://…".to_owned())),
        }
    }
}

/// Without passwords: it is made for logs.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("SQLite in memory"),
            Self::File(path) => write!(f, "SQLite in {}", path.display()),
            Self::Postgres(url) => match PgConnectOptions::from_str(url) {
                Ok(options) => {
                    let (host, port) = (options.get_host(), options.get_port());
                    write!(f, "PostgreSQL at {host}:{port}/{}", options.get_database().unwrap_or_default())
                }
                Err(_) => f.write_str("PostgreSQL"),
            },
        }
    }
}

impl fmt::Display for DatabaseUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DatabaseUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_their_database() {
        assert_eq!("sqlite::memory:".parse(), Ok(DatabaseUrl::Memory));
        assert_eq!("sqlite:data/orders.db".parse(), Ok(DatabaseUrl::File("data/orders.db".into())));
        assert_eq!("sqlite:///var/orders.db".parse(), Ok(DatabaseUrl::File("/var/orders.db".into())));
        assert!(matches!("postgres://u:p@h/db".parse(), Ok(DatabaseUrl::Postgres(_))));
        for wrong in ["", "sqlite:", "mysql://h/db", "orders.db", "postgres://h:notaport/db"] {
            assert!(wrong.parse::<DatabaseUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_shown_url_hides_its_password() {
        let url: DatabaseUrl = "postgres://u:hush@db.example:5433/shop".parse().unwrap();
        assert_eq!(url.to_string(), "PostgreSQL at db.example:5433/shop");
    }
}
