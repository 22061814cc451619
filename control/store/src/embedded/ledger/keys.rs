//! Signing keys in SQLite. In clear: the file's mode and its directory's keep them.

use async_trait::async_trait;
use control_types::UnixMillis;
use sqlx::sqlite::SqliteRow;

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, to_sql};
use crate::ledger::{KeyPurpose, KeysLedger, RevocationRow, SigningKeyRow};

const KEYS: &str = "change signing keys";
const READING: &str = "read signing keys";
const REVOKING: &str = "revoke a ticket";
const REVOKED: &str = "read revocations";

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

    async fn revoke(&self, revoked: &RevocationRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO revocations (subject, until) VALUES (?, ?) \
             ON CONFLICT (subject) DO UPDATE SET until = max(until, excluded.until)",
        )
        .bind(&revoked.subject)
        .bind(to_sql(revoked.until.0))
        .execute(&self.file.writer)
        .await
        .map_err(|error| away(REVOKING, error))?;
        Ok(())
    }

    async fn revocations(
        &self,
        now: UnixMillis,
        limit: usize,
    ) -> Result<Vec<RevocationRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM (SELECT * FROM revocations WHERE until > ? \
             ORDER BY until DESC, subject LIMIT ?) ORDER BY subject",
        )
        .bind(to_sql(now.0))
        .bind(to_sql(limit as u64))
        .fetch_all(&self.file.readers)
        .await
        .map_err(|error| away(REVOKED, error))?;
        let row_of = |row: &SqliteRow| {
            let columns = Columns::of(row, "revocations");
            let until = UnixMillis(columns.number("until")?);
            Ok(RevocationRow { subject: columns.plain("subject")?, until })
        };
        rows.iter().map(row_of).collect()
    }

    async fn sweep_revocations(&self, now: UnixMillis) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM revocations WHERE until <= ?")
            .bind(to_sql(now.0))
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(REVOKING, error))?;
        Ok(done.rows_affected())
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
