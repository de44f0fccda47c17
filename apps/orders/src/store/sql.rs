//! The thin layer over sqlx: statements, values and rows of either database.

use std::fmt;

use sqlx::postgres::{PgArguments, PgDatabaseError, PgPool, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Row as _, SqlSafeStr as _, SqlStr, Type};

/// A statement with its values. Placeholders are `$1`, `$2`, …, which both databases understand.
#[derive(Debug)]
pub(super) struct Statement {
    text: SqlStr,
    values: Vec<Value>,
}

/// A statement without values yet.
pub(super) fn sql(text: &'static str) -> Statement {
    Statement { text: text.into_sql_str(), values: Vec::new() }
}

impl Statement {
    /// Gives the next placeholder its value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    fn for_sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
            Value::Int(int) => query.bind(int),
            Value::Text(text) => query.bind(text),
        })
    }

    fn for_postgres(self) -> Query<'static, Postgres, PgArguments> {
        self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
            Value::Int(int) => query.bind(int),
            Value::Text(text) => query.bind(text),
        })
    }
}

/// Puts together a statement whose shape depends on what is asked for. Its text comes from the program only; what callers
/// send goes into values.
#[derive(Debug)]
pub(super) struct StatementBuilder {
    text: String,
    values: Vec<Value>,
}

impl StatementBuilder {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Adds text.
    pub(super) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a placeholder with its value.
    pub(super) fn push_value(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Adds a list of placeholders in parentheses, as `IN` wants it. The list must not be empty.
    pub(super) fn push_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.text.push('(');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            self.push_value(value);
        }
        self.text.push(')');
        self
    }

    pub(super) fn build(self) -> Statement {
        Statement { text: AssertSqlSafe(self.text).into_sql_str(), values: self.values }
    }
}

/// A value for a placeholder: the stores need no more than these two.
#[derive(Debug)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(Some(i64::from(int)))
    }
}

impl From<Option<i64>> for Value {
    fn from(int: Option<i64>) -> Self {
        Self::Int(int)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

/// A row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column: an `i64`, a `String`, or an `Option` of them.
    pub(super) fn value<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => Ok(row.try_get(column)?),
            Self::Postgres(row) => Ok(row.try_get(column)?),
        }
    }

    /// The value of a column, as a type of the domain makes it out.
    pub(super) fn parsed<T>(&self, column: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        let text: String = self.value(column)?;
        parse(&text).ok_or_else(|| StoreError::corrupt(format!("column {column} holds {text:?}")))
    }
}

/// A transaction. Dropped without [`Transaction::commit`], it has never happened.
///
/// Whoever called may go away at any moment, and then the future that awaits a statement is dropped. sqlx leaves a connection
/// in a transaction of its own if that happens while it begins (as of 0.9.0), and the next to get it would find himself
/// inside. So what has been handed to the database is waited for by a task of its own: it is the
/// [`Transaction`] that ends early, between two statements, never a statement.
pub(super) struct Transaction {
    /// With the statement while one is under way.
    open: Option<Open>,
}

enum Open {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    /// Begins one that is awaited for to begin.
    pub(super) async fn begin_sqlite(pool: SqlitePool, begin: &'static str) -> Result<Self, StoreError> {
        let transaction = to_its_end(async move { pool.begin_with(begin).await }).await??;
        Ok(Self { open: Some(Open::Sqlite(transaction)) })
    }

    /// Begins one that is awaited for to begin.
    pub(super) async fn begin_postgres(pool: PgPool, begin: &'static str) -> Result<Self, StoreError> {
        let transaction = to_its_end(async move { pool.begin_with(begin).await }).await??;
        Ok(Self { open: Some(Open::Postgres(transaction)) })
    }

    /// Executes a statement; how many rows it changed.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<u64, StoreError> {
        self.step(async move |open| match open {
            Open::Sqlite(mut tx) => {
                let done = statement.for_sqlite().execute(&mut *tx).await;
                (Open::Sqlite(tx), done.map(|done| done.rows_affected()))
            }
            Open::Postgres(mut tx) => {
                let done = statement.for_postgres().execute(&mut *tx).await;
                (Open::Postgres(tx), done.map(|done| done.rows_affected()))
            }
        })
        .await
    }

    /// Executes several statements without values.
    pub(super) async fn run_script(&mut self, script: &'static str) -> Result<(), StoreError> {
        self.step(async move |open| match open {
            Open::Sqlite(mut tx) => {
                let done = sqlx::raw_sql(script).execute(&mut *tx).await;
                (Open::Sqlite(tx), done.map(drop))
            }
            Open::Postgres(mut tx) => {
                let done = sqlx::raw_sql(script).execute(&mut *tx).await;
                (Open::Postgres(tx), done.map(drop))
            }
        })
        .await
    }

    /// Executes a statement which gives rows.
    pub(super) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        self.step(async move |open| match open {
            Open::Sqlite(mut tx) => {
                let rows = statement.for_sqlite().fetch_all(&mut *tx).await;
                (Open::Sqlite(tx), rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect()))
            }
            Open::Postgres(mut tx) => {
                let rows = statement.for_postgres().fetch_all(&mut *tx).await;
                (Open::Postgres(tx), rows.map(|rows| rows.into_iter().map(Row::Postgres).collect()))
            }
        })
        .await
    }

    /// Executes a statement which gives one row or none.
    pub(super) async fn row(&mut self, statement: Statement) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Makes it true.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        let open = self.open.take().ok_or_else(StoreError::abandoned)?;
        to_its_end(async move {
            match open {
                Open::Sqlite(tx) => tx.commit().await,
                Open::Postgres(tx) => tx.commit().await,
            }
        })
        .await??;
        Ok(())
    }

    async fn step<T, Step>(&mut self, step: impl FnOnce(Open) -> Step) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Step: Future<Output = (Open, Result<T, sqlx::Error>)> + Send + 'static,
    {
        let open = self.open.take().ok_or_else(StoreError::abandoned)?;
        let (open, result) = to_its_end(step(open)).await?;
        self.open = Some(open);
        Ok(result?)
    }
}

/// Does something to its end, even if nobody waits for it any more.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::abandoned()),
    }
}

/// The database failed us: nobody who called did anything wrong.
#[derive(Debug)]
pub struct StoreError {
    unavailable: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    pub(super) fn corrupt(what: String) -> Self {
        Self { unavailable: false, source: what.into() }
    }

    /// The process is about to end, or somebody went on with a transaction after a statement of it was dropped.
    fn abandoned() -> Self {
        Self { unavailable: true, source: "the transaction was abandoned".into() }
    }

    /// The same may well succeed a little later: the database was busy, restarting or out of reach.
    pub fn is_unavailable(&self) -> bool {
        self.unavailable
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // SQLSTATE classes: 08 connection, 40 rolled back (deadlock, serialization), 53 resources, 57 operator
        // intervention. Primary result codes of SQLite: 5 busy, 6 locked.
        let unavailable = match &error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                true
            }
            sqlx::Error::Database(database) => database.code().is_some_and(|code| {
                if database.try_downcast_ref::<PgDatabaseError>().is_some() {
                    ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
                } else {
                    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
                }
            }),
            _ => false,
        };
        Self { unavailable, source: error.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.unavailable { "is not available" } else { "failed" };
        write!(f, "the database {state}: {}", self.source)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
