//! The ledger in one SQLite file with `synchronous=FULL`: a commit that was answered survives a
//! power cut. One file for each sub-trait below.

mod accounts;
mod catalog;
mod fill;
mod fleet;
mod identity;
mod keys;
mod routes;

use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteSynchronous;

use crate::StoreError;
use crate::embedded::sqlite::SqliteFile;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/ledger");

/// The ledger adapter.
pub struct SqliteLedger {
    file: SqliteFile,
}

impl SqliteLedger {
    /// Opens or makes the file and brings its tables up to date.
    ///
    /// # Errors
    /// `Away`, naming the file.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = SqliteFile::open(path, &MIGRATIONS, SqliteSynchronous::Full).await?;
        Ok(Self { file })
    }
}
