//! Titles in SQLite, each one JSON document. Checks nothing: the catalog service did.

use async_trait::async_trait;
use control_types::catalog::TitleRecord;
use control_types::{TitleId, UnixMillis};

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, json_of, to_sql};
use crate::ledger::{CatalogLedger, TitleRow};

const WRITING: &str = "change a title";
const READING: &str = "read titles";

#[async_trait]
impl CatalogLedger for SqliteLedger {
    async fn put_title(
        &self,
        record: &TitleRecord,
        now: UnixMillis,
    ) -> Result<TitleRow, StoreError> {
        let body = json_of("the title", record)?;
        let mut work = self.file.begin(WRITING).await?;
        let row = sqlx::query(
            "INSERT INTO titles (id, body, registered_at, changed_at) VALUES (?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body, changed_at = excluded.changed_at \
             RETURNING registered_at",
        )
        .bind(record.id.as_str())
        .bind(body)
        .bind(to_sql(now.0))
        .bind(to_sql(now.0))
        .fetch_one(&mut *work)
        .await
        .map_err(|error| away(WRITING, error))?;
        let registered_at = UnixMillis(Columns::of(&row, "titles").number("registered_at")?);
        raise_version(&mut work).await?;
        work.commit().await.map_err(|error| away(WRITING, error))?;
        Ok(TitleRow { record: record.clone(), registered_at, changed_at: now })
    }

    async fn remove_title(&self, title: &TitleId) -> Result<bool, StoreError> {
        let mut work = self.file.begin(WRITING).await?;
        let done = sqlx::query("DELETE FROM titles WHERE id = ?")
            .bind(title.as_str())
            .execute(&mut *work)
            .await
            .map_err(|error| away(WRITING, error))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        raise_version(&mut work).await?;
        work.commit().await.map_err(|error| away(WRITING, error))?;
        Ok(true)
    }

    async fn titles(&self) -> Result<Vec<TitleRow>, StoreError> {
        let rows = sqlx::query("SELECT body, registered_at, changed_at FROM titles ORDER BY id")
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        let read = |row| {
            let columns = Columns::of(row, "titles");
            Ok(TitleRow {
                record: columns.json("body")?,
                registered_at: UnixMillis(columns.number("registered_at")?),
                changed_at: UnixMillis(columns.number("changed_at")?),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn titles_version(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT version FROM titles_version")
            .fetch_one(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        Columns::of(&row, "titles_version").number("version")
    }
}

async fn raise_version(work: &mut sqlx::Transaction<'_, sqlx::Sqlite>) -> Result<(), StoreError> {
    sqlx::query("UPDATE titles_version SET version = version + 1")
        .execute(&mut **work)
        .await
        .map_err(|error| away(WRITING, error))?;
    Ok(())
}
