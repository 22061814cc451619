//! One SQLite file the way both SQLite adapters use it: WAL, one writer, a few readers. Knows no
//! table.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite, Transaction};

use crate::StoreError;
use crate::limits::{SQLITE_BUSY_MS_MAX, SQLITE_READERS_MAX};

/// A file with its two pools.
pub struct SqliteFile {
    /// Exactly one connection: SQLite has one writer, and queueing here is fair where its lock is
    /// not.
    pub writer: SqlitePool,
    /// WAL readers see the last commit and never wait for the writer.
    pub readers: SqlitePool,
}

impl SqliteFile {
    /// Opens or makes the file and brings its tables up to date.
    pub async fn open(
        path: &Path,
        migrator: &Migrator,
        synchronous: SqliteSynchronous,
    ) -> Result<Self, StoreError> {
        make_private_file(path).map_err(|error| opening(path, error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(SQLITE_BUSY_MS_MAX));
        let wait = Duration::from_millis(SQLITE_BUSY_MS_MAX);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(wait)
            .connect_with(options.clone())
            .await
            .map_err(|error| opening(path, error))?;
        migrator.run(&writer).await.map_err(|error| opening(path, error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(SQLITE_READERS_MAX)
            .acquire_timeout(wait)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(|error| opening(path, error))?;
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that holds the write lock from its first statement, so that what it
    /// reads cannot change before it writes.
    pub async fn begin(
        &self,
        doing: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| away(doing, error))
    }
}

/// Makes the file before SQLite does, for its owner only: a state directory that an operator or an
/// init system made may be open to all, and password hashes and signing keys are in here. SQLite
/// gives its other files (`-wal`, `-shm`) the same mode.
fn make_private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let made = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn opening(path: &Path, error: impl std::error::Error) -> StoreError {
    let words = format!("{}: {error}", path.display());
    StoreError::away("open a SQLite file", words)
}

/// The engine's error with what was being done.
pub fn away(doing: &'static str, error: sqlx::Error) -> StoreError {
    StoreError::away(doing, error)
}

/// Like [`away`], but a clash with a unique index is `Taken` and a missing parent is `Missing`.
pub fn clash(doing: &'static str, thing: impl Into<String>, error: sqlx::Error) -> StoreError {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => StoreError::Taken(thing.into()),
        Some(cause) if cause.is_foreign_key_violation() => {
            StoreError::Missing(format!("what {} belongs to", thing.into()))
        }
        _ => StoreError::away(doing, error),
    }
}

/// SQLite's integers are signed: what does not fit is kept as the largest, which for a time or a
/// size means "beyond all others" and keeps the order.
pub fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads one row of a table, naming it when a column is not what was written.
pub struct Columns<'a> {
    row: &'a SqliteRow,
    table: &'static str,
}

impl<'a> Columns<'a> {
    /// Of a row of `table`.
    pub fn of(row: &'a SqliteRow, table: &'static str) -> Self {
        Self { row, table }
    }

    /// A column as SQLite keeps it.
    pub fn plain<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'a, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|error| self.damaged(column, &error))
    }

    /// A number that was not negative when written.
    pub fn number(&self, column: &'static str) -> Result<u64, StoreError> {
        let value: i64 = self.plain(column)?;
        u64::try_from(value).map_err(|error| self.damaged(column, &error))
    }

    /// The same, when it may be absent.
    pub fn optional_number(&self, column: &'static str) -> Result<Option<u64>, StoreError> {
        let value: Option<i64> = self.plain(column)?;
        value.map(u64::try_from).transpose().map_err(|error| self.damaged(column, &error))
    }

    /// An id or another type that reads itself from text.
    pub fn parsed<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let text: &str = self.plain(column)?;
        text.parse().map_err(|error| self.damaged(column, &error))
    }

    /// A JSON document.
    pub fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: &str = self.plain(column)?;
        serde_json::from_str(text).map_err(|error| self.damaged(column, &error))
    }

    /// One word of a closed set, as serde writes it.
    pub fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: String = self.plain(column)?;
        serde_json::from_value(serde_json::Value::String(text))
            .map_err(|error| self.damaged(column, &error))
    }

    /// Exactly 32 bytes.
    pub fn hash(&self, column: &'static str) -> Result<[u8; 32], StoreError> {
        let bytes: &[u8] = self.plain(column)?;
        bytes.try_into().map_err(|error| self.damaged(column, &error))
    }

    fn damaged(&self, column: &'static str, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Damaged {
            what: format!("column {column} of table {}", self.table),
            why: error.to_string(),
        }
    }
}

/// A value as a JSON document.
pub fn json_of<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| refused(what, &error))
}

/// One word of a closed set, as serde writes it.
pub fn word_of<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(refused(what, &format!("{other} is not one word"))),
        Err(error) => Err(refused(what, &error)),
    }
}

fn refused(what: &str, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Refused { what: what.to_owned(), why: why.to_string() }
}
