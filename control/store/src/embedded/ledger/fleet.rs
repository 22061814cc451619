//! Sites, prefixes and appliances in SQLite. Does not read prefixes as networks: steering does.

use async_trait::async_trait;
use control_types::fleet::{ApplianceRecord, Drains, Site};
use control_types::{ApplianceId, IspKeyId, SiteId, UnixMillis, WindowId};
use sqlx::sqlite::SqliteRow;

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, json_of, to_sql, word_of};
use crate::ledger::{
    ApplianceMade, ApplianceRow, DrainBy, FleetLedger, IspKeyRow, KeyHash, MaintenanceRow,
};

const SITE: &str = "change a site";
const APPLIANCE: &str = "change an appliance";
const MAINTENANCE: &str = "change maintenance";
const ISP_KEY: &str = "change an ISP's keys";
const READING: &str = "read the fleet";

#[async_trait]
impl FleetLedger for SqliteLedger {
    async fn put_site(&self, site: &Site) -> Result<(), StoreError> {
        let mut work = self.file.begin(SITE).await?;
        sqlx::query(
            "INSERT INTO sites (id, isp, name, latitude, longitude, fails_as_one) \
             VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET isp = excluded.isp, name = excluded.name, \
             latitude = excluded.latitude, longitude = excluded.longitude, \
             fails_as_one = excluded.fails_as_one",
        )
        .bind(site.id.as_str())
        .bind(site.isp.as_str())
        .bind(&site.name)
        .bind(site.latitude)
        .bind(site.longitude)
        .bind(i64::from(site.fails_as_one))
        .execute(&mut *work)
        .await
        .map_err(|error| away(SITE, error))?;
        sqlx::query("DELETE FROM prefixes WHERE site = ?")
            .bind(site.id.as_str())
            .execute(&mut *work)
            .await
            .map_err(|error| away(SITE, error))?;
        for (position, prefix) in site.prefixes.iter().enumerate() {
            sqlx::query("INSERT INTO prefixes (site, position, prefix) VALUES (?, ?, ?)")
                .bind(site.id.as_str())
                .bind(to_sql(position as u64))
                .bind(prefix)
                .execute(&mut *work)
                .await
                .map_err(|error| away(SITE, error))?;
        }
        work.commit().await.map_err(|error| away(SITE, error))
    }

    async fn remove_site(&self, site: &SiteId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM sites WHERE id = ?")
            .bind(site.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| match error.as_database_error() {
                Some(cause) if cause.is_foreign_key_violation() => StoreError::Refused {
                    what: format!("removing site {site}"),
                    why: "appliances stand in it; remove them first".to_owned(),
                },
                _ => away(SITE, error),
            })?;
        Ok(done.rows_affected() > 0)
    }

    async fn sites(&self) -> Result<Vec<Site>, StoreError> {
        // One statement: sites and prefixes of the same moment.
        let rows = sqlx::query(
            "SELECT s.id, s.isp, s.name, s.latitude, s.longitude, s.fails_as_one, p.prefix \
             FROM sites s LEFT JOIN prefixes p ON p.site = s.id ORDER BY s.id, p.position",
        )
        .fetch_all(&self.file.readers)
        .await
        .map_err(|error| away(READING, error))?;
        let mut sites: Vec<Site> = Vec::new();
        for row in &rows {
            let columns = Columns::of(row, "sites");
            let id: SiteId = columns.parsed("id")?;
            if sites.last().is_none_or(|last| last.id != id) {
                sites.push(Site {
                    id,
                    isp: columns.parsed("isp")?,
                    name: columns.plain("name")?,
                    latitude: columns.plain("latitude")?,
                    longitude: columns.plain("longitude")?,
                    prefixes: Vec::new(),
                    fails_as_one: columns.number("fails_as_one")? != 0,
                });
            }
            let prefix: Option<String> = columns.plain("prefix")?;
            if let (Some(site), Some(prefix)) = (sites.last_mut(), prefix) {
                site.prefixes.push(prefix);
            }
        }
        Ok(sites)
    }

    async fn put_appliance(
        &self,
        record: &ApplianceRecord,
        key_hash: &KeyHash,
        now: UnixMillis,
    ) -> Result<ApplianceMade, StoreError> {
        let mut work = self.file.begin(APPLIANCE).await?;
        let detail = json_of("an appliance's detail", &record.detail)?;
        let present = sqlx::query("SELECT 1 FROM appliances WHERE id = ?")
            .bind(record.id.as_str())
            .fetch_optional(&mut *work)
            .await
            .map_err(|error| away(APPLIANCE, error))?;
        sqlx::query(
            "INSERT INTO appliances \
             (id, site, role, link, capacity_bps, detail, key_hash, drain, made_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET \
             site = excluded.site, role = excluded.role, link = excluded.link, \
             capacity_bps = excluded.capacity_bps, detail = excluded.detail",
        )
        .bind(record.id.as_str())
        .bind(record.site.as_str())
        .bind(word_of("the role", &record.role)?)
        .bind(word_of("the link", &record.link)?)
        .bind(to_sql(record.capacity_bps))
        .bind(detail)
        .bind(key_hash.as_slice())
        .bind(to_sql(now.0))
        .execute(&mut *work)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(cause) if cause.is_foreign_key_violation() => {
                StoreError::Missing(format!("site {}", record.site))
            }
            _ => clash(APPLIANCE, format!("appliance {}", record.id), error),
        })?;
        work.commit().await.map_err(|error| away(APPLIANCE, error))?;
        Ok(if present.is_some() { ApplianceMade::Replaced } else { ApplianceMade::New })
    }

    async fn set_appliance_key(
        &self,
        appliance: &ApplianceId,
        key_hash: &KeyHash,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE appliances SET key_hash = ? WHERE id = ?")
            .bind(key_hash.as_slice())
            .bind(appliance.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(APPLIANCE, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn remove_appliance(&self, appliance: &ApplianceId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM appliances WHERE id = ?")
            .bind(appliance.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(APPLIANCE, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn appliances(&self) -> Result<Vec<ApplianceRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM appliances ORDER BY id")
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        rows.iter().map(appliance_of).collect()
    }

    async fn set_drain(
        &self,
        appliance: &ApplianceId,
        by: DrainBy,
        drain: bool,
    ) -> Result<bool, StoreError> {
        let change = match by {
            DrainBy::Operator => "UPDATE appliances SET drain = ? WHERE id = ?",
            DrainBy::Isp => "UPDATE appliances SET drain_isp = ? WHERE id = ?",
        };
        let done = sqlx::query(change)
            .bind(i64::from(drain))
            .bind(appliance.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(APPLIANCE, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn put_maintenance(&self, row: &MaintenanceRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO maintenance (id, isp, body) VALUES (?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET isp = excluded.isp, body = excluded.body",
        )
        .bind(row.schedule.id.as_str())
        .bind(row.isp.as_ref().map(|isp| isp.as_str()))
        .bind(json_of("a maintenance schedule", &row.schedule)?)
        .execute(&self.file.writer)
        .await
        .map_err(|error| away(MAINTENANCE, error))?;
        Ok(())
    }

    async fn remove_maintenance(&self, id: &WindowId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM maintenance WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(MAINTENANCE, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn maintenance(&self) -> Result<Vec<MaintenanceRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM maintenance ORDER BY id")
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        let row = |row| {
            let columns = Columns::of(row, "maintenance");
            let isp: Option<String> = columns.plain("isp")?;
            let isp = isp.map(|_| columns.parsed("isp")).transpose()?;
            Ok(MaintenanceRow { schedule: columns.json("body")?, isp })
        };
        rows.iter().map(row).collect()
    }

    async fn add_isp_key(&self, key: &IspKeyRow) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO isp_keys (id, isp, key_hash, made_at) VALUES (?, ?, ?, ?)")
            .bind(key.id.as_str())
            .bind(key.isp.as_str())
            .bind(key.key_hash.as_slice())
            .bind(to_sql(key.made_at.0))
            .execute(&self.file.writer)
            .await
            .map_err(|error| clash(ISP_KEY, format!("ISP key {}", key.id), error))?;
        Ok(())
    }

    async fn remove_isp_key(&self, key: &IspKeyId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM isp_keys WHERE id = ?")
            .bind(key.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(ISP_KEY, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn isp_keys(&self) -> Result<Vec<IspKeyRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM isp_keys ORDER BY isp, id")
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        let row = |row| {
            let columns = Columns::of(row, "isp_keys");
            Ok(IspKeyRow {
                id: columns.parsed("id")?,
                isp: columns.parsed("isp")?,
                key_hash: columns.hash("key_hash")?,
                made_at: UnixMillis(columns.number("made_at")?),
            })
        };
        rows.iter().map(row).collect()
    }
}

fn appliance_of(row: &SqliteRow) -> Result<ApplianceRow, StoreError> {
    let columns = Columns::of(row, "appliances");
    let record = ApplianceRecord {
        id: columns.parsed("id")?,
        site: columns.parsed("site")?,
        role: columns.word("role")?,
        link: columns.word("link")?,
        capacity_bps: columns.number("capacity_bps")?,
        detail: columns.json("detail")?,
    };
    Ok(ApplianceRow {
        record,
        key_hash: columns.hash("key_hash")?,
        drains: Drains {
            operator: columns.number("drain")? != 0,
            isp: columns.number("drain_isp")? != 0,
        },
        made_at: UnixMillis(columns.number("made_at")?),
    })
}
