//! Signing keys in SQLite. In clear: the file's mode and its directory's keep them.

use async_trait::async_trait;
use control_types::UnixMillis;
use sqlx::sqlite::SqliteRow;

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, to_sql};
use crate::ledger::{KeyPurpose, KeysLedger, SigningKeyRow};

const KEYS: &str = "change signing keys";
const READING: &str = "read signing keys";

#[async_trait]
impl KeysLedger for SqliteLedger {
    async fn signing_keys(&self, purpose: KeyPurpose) -> Result<Vec<SigningKeyRow>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM signing_keys WHERE purpose = ? ORDER BY made_at DESC, kid")
                .bind(purpose.as_word())
                .fetch_all(&self.file.readers)
                .await
                .map_err(|error| away(READING, error))?;
        rows.iter().map(|row| key_of(row, purpose)).collect()
    }

    async fn first_signing_key(&self, key: &SigningKeyRow) -> Result<SigningKeyRow, StoreError> {
        let mut work = self.file.begin(KEYS).await?;
        let present = sqlx::query(
            "SELECT * FROM signing_keys WHERE purpose = ? ORDER BY made_at DESC, kid LIMIT 1",
        )
        .bind(key.purpose.as_word())
        .fetch_optional(&mut *work)
        .await
        .map_err(|error| away(KEYS, error))?;
        if let Some(row) = present {
            return key_of(&row, key.purpose);
        }
        insert(&mut work, key).await?;
        work.commit().await.map_err(|error| away(KEYS, error))?;
        Ok(key.clone())
    }

    async fn add_signing_key(&self, key: &SigningKeyRow) -> Result<(), StoreError> {
        let mut work = self.file.begin(KEYS).await?;
        insert(&mut work, key).await?;
        work.commit().await.map_err(|error| away(KEYS, error))
    }

    async fn remove_signing_key(&self, purpose: KeyPurpose, kid: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM signing_keys WHERE purpose = ? AND kid = ?")
            .bind(purpose.as_word())
            .bind(kid)
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(KEYS, error))?;
        Ok(done.rows_affected() > 0)
    }
}

async fn insert(
    work: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    key: &SigningKeyRow,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO signing_keys (purpose, kid, pkcs8, made_at) VALUES (?, ?, ?, ?)")
        .bind(key.purpose.as_word())
        .bind(&key.kid)
        .bind(&key.pkcs8)
        .bind(to_sql(key.made_at.0))
        .execute(&mut **work)
        .await
        .map_err(|error| clash(KEYS, format!("signing key {}", key.kid), error))?;
    Ok(())
}

fn key_of(row: &SqliteRow, purpose: KeyPurpose) -> Result<SigningKeyRow, StoreError> {
    let columns = Columns::of(row, "signing_keys");
    Ok(SigningKeyRow {
        purpose,
        kid: columns.plain("kid")?,
        pkcs8: columns.plain("pkcs8")?,
        made_at: UnixMillis(columns.number("made_at")?),
    })
}
