//! Registration keys and certificates in SQLite.

use async_trait::async_trait;
use control_types::{ApplianceId, RegistrationKeyId, UnixMillis};
use sqlx::sqlite::SqliteRow;

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, json_of, to_sql};
use crate::ledger::{
    CertificateRow, Fingerprint, IdentityLedger, KeyHash, Registered, RegistrationKeyRow,
};

const KEY: &str = "change registration keys";
const REGISTERING: &str = "register an appliance";
const RENEWING: &str = "renew a certificate";
const VOIDING: &str = "void certificates";
const CLAIMING: &str = "note who signed certificates";
const READING: &str = "read registrations";

#[async_trait]
impl IdentityLedger for SqliteLedger {
    async fn add_registration_key(&self, key: &RegistrationKeyRow) -> Result<(), StoreError> {
        let mut work = self.file.begin(KEY).await?;
        sqlx::query("DELETE FROM registration_keys WHERE expires_at <= ? OR uses_left = 0")
            .bind(to_sql(key.made_at.0))
            .execute(&mut *work)
            .await
            .map_err(|error| away(KEY, error))?;
        sqlx::query(
            "INSERT INTO registration_keys \
             (id, scope, isp, key_hash, uses_left, made_at, expires_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(key.id.as_str())
        .bind(json_of("the scope of a registration key", &key.scope)?)
        .bind(key.isp.as_ref().map(|isp| isp.as_str()))
        .bind(key.key_hash.as_slice())
        .bind(i64::from(key.uses_left))
        .bind(to_sql(key.made_at.0))
        .bind(to_sql(key.expires_at.0))
        .execute(&mut *work)
        .await
        .map_err(|error| clash(KEY, format!("registration key {}", key.id), error))?;
        work.commit().await.map_err(|error| away(KEY, error))
    }

    async fn remove_registration_key(&self, key: &RegistrationKeyId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM registration_keys WHERE id = ?")
            .bind(key.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(KEY, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn registration_keys(&self) -> Result<Vec<RegistrationKeyRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM registration_keys ORDER BY id")
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        rows.iter().map(key_of).collect()
    }

    async fn registration_key(
        &self,
        key_hash: &KeyHash,
    ) -> Result<Option<RegistrationKeyRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM registration_keys WHERE key_hash = ?")
            .bind(key_hash.as_slice())
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        row.as_ref().map(key_of).transpose()
    }

    async fn register_certificate(
        &self,
        key: &RegistrationKeyId,
        certificate: &CertificateRow,
        only_first: bool,
    ) -> Result<Registered, StoreError> {
        let now = to_sql(certificate.made_at.0);
        // Dropping the transaction on the way out undoes all of it.
        let mut work = self.file.begin(REGISTERING).await?;
        let used = sqlx::query(
            "UPDATE registration_keys SET uses_left = uses_left - 1 \
             WHERE id = ? AND uses_left > 0 AND expires_at > ?",
        )
        .bind(key.as_str())
        .bind(now)
        .execute(&mut *work)
        .await
        .map_err(|error| away(REGISTERING, error))?;
        if used.rows_affected() == 0 {
            return Ok(Registered::Spent);
        }
        if only_first {
            let held = sqlx::query(
                "SELECT 1 FROM appliance_certificates WHERE appliance = ? AND expires_at > ?",
            )
            .bind(certificate.appliance.as_str())
            .bind(now)
            .fetch_optional(&mut *work)
            .await
            .map_err(|error| away(REGISTERING, error))?;
            if held.is_some() {
                return Ok(Registered::Taken);
            }
        }
        sqlx::query("DELETE FROM appliance_certificates WHERE appliance = ?")
            .bind(certificate.appliance.as_str())
            .execute(&mut *work)
            .await
            .map_err(|error| away(REGISTERING, error))?;
        insert(&mut work, REGISTERING, certificate).await?;
        work.commit().await.map_err(|error| away(REGISTERING, error))?;
        Ok(Registered::Done)
    }

    async fn renew_certificate(
        &self,
        presented: &Fingerprint,
        certificate: &CertificateRow,
    ) -> Result<bool, StoreError> {
        let mut work = self.file.begin(RENEWING).await?;
        let counts = sqlx::query(
            "SELECT 1 FROM appliance_certificates \
             WHERE fingerprint = ? AND appliance = ? AND expires_at > ?",
        )
        .bind(presented.as_slice())
        .bind(certificate.appliance.as_str())
        .bind(to_sql(certificate.made_at.0))
        .fetch_optional(&mut *work)
        .await
        .map_err(|error| away(RENEWING, error))?;
        if counts.is_none() {
            return Ok(false);
        }
        sqlx::query("DELETE FROM appliance_certificates WHERE appliance = ? AND fingerprint <> ?")
            .bind(certificate.appliance.as_str())
            .bind(presented.as_slice())
            .execute(&mut *work)
            .await
            .map_err(|error| away(RENEWING, error))?;
        insert(&mut work, RENEWING, certificate).await?;
        work.commit().await.map_err(|error| away(RENEWING, error))?;
        Ok(true)
    }

    async fn void_certificates(&self, appliance: &ApplianceId) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM appliance_certificates WHERE appliance = ?")
            .bind(appliance.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(VOIDING, error))?;
        Ok(done.rows_affected())
    }

    async fn claim_certificates(&self, authority: &Fingerprint) -> Result<u64, StoreError> {
        let done =
            sqlx::query("UPDATE appliance_certificates SET authority = ? WHERE authority IS NULL")
                .bind(authority.as_slice())
                .execute(&self.file.writer)
                .await
                .map_err(|error| away(CLAIMING, error))?;
        Ok(done.rows_affected())
    }

    async fn certificates(&self) -> Result<Vec<CertificateRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM appliance_certificates ORDER BY appliance, made_at, fingerprint",
        )
        .fetch_all(&self.file.readers)
        .await
        .map_err(|error| away(READING, error))?;
        let row = |row| {
            let columns = Columns::of(row, "appliance_certificates");
            Ok(CertificateRow {
                fingerprint: columns.hash("fingerprint")?,
                appliance: columns.parsed("appliance")?,
                made_at: UnixMillis(columns.number("made_at")?),
                expires_at: UnixMillis(columns.number("expires_at")?),
                authority: columns
                    .plain::<Option<&[u8]>>("authority")?
                    .map(|_| columns.hash("authority"))
                    .transpose()?,
            })
        };
        rows.iter().map(row).collect()
    }
}

async fn insert(
    work: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    doing: &'static str,
    certificate: &CertificateRow,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO appliance_certificates (fingerprint, appliance, made_at, expires_at, authority) \
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(certificate.fingerprint.as_slice())
    .bind(certificate.appliance.as_str())
    .bind(to_sql(certificate.made_at.0))
    .bind(to_sql(certificate.expires_at.0))
    .bind(certificate.authority.as_ref().map(<[u8; 32]>::as_slice))
    .execute(&mut **work)
    .await
    .map_err(|error| clash(doing, "this certificate", error))?;
    Ok(())
}

fn key_of(row: &SqliteRow) -> Result<RegistrationKeyRow, StoreError> {
    let columns = Columns::of(row, "registration_keys");
    let isp: Option<String> = columns.plain("isp")?;
    Ok(RegistrationKeyRow {
        id: columns.parsed("id")?,
        scope: columns.json("scope")?,
        isp: isp.map(|_| columns.parsed("isp")).transpose()?,
        key_hash: columns.hash("key_hash")?,
        uses_left: u32::try_from(columns.number("uses_left")?).unwrap_or(u32::MAX),
        made_at: UnixMillis(columns.number("made_at")?),
        expires_at: UnixMillis(columns.number("expires_at")?),
    })
}
