//! What operators said about routes, in SQLite.

use async_trait::async_trait;
use control_types::routes::{RouteChange, RouteChangeKind};
use control_types::{SiteId, UnixMillis};
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, json_of, to_sql, word_of};
use crate::ledger::{AskedBy, Edited, RouteEdit, RoutesLedger, RoutesSaid};
use crate::limits::{ROUTE_CHANGES_MAX, ROUTE_FILE_BYTES_MAX};

const CHANGING: &str = "change routes";
const READING: &str = "read routes";
const LAST: &str = "SELECT COALESCE(MAX(generation), 0) AS generation FROM route_changes";

#[async_trait]
impl RoutesLedger for SqliteLedger {
    async fn routes_generation(&self) -> Result<u64, StoreError> {
        let row = sqlx::query(LAST)
            .fetch_one(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        Columns::of(&row, "route_changes").number("generation")
    }

    async fn routes_said(&self) -> Result<RoutesSaid, StoreError> {
        // One transaction: all of it is of one generation.
        let failed = |error| away(READING, error);
        let mut work = self.file.readers.begin().await.map_err(failed)?;
        let last = sqlx::query(LAST).fetch_one(&mut *work).await.map_err(failed)?;
        let networks = sqlx::query("SELECT body FROM isp_networks ORDER BY isp")
            .fetch_all(&mut *work)
            .await
            .map_err(failed)?;
        let files = sqlx::query("SELECT site, generation FROM route_files ORDER BY site")
            .fetch_all(&mut *work)
            .await
            .map_err(failed)?;
        let file = |row: &SqliteRow| {
            let columns = Columns::of(row, "route_files");
            Ok((columns.parsed("site")?, columns.number("generation")?))
        };
        let body = |row| Columns::of(row, "isp_networks").json("body");
        Ok(RoutesSaid {
            generation: Columns::of(&last, "route_changes").number("generation")?,
            networks: networks.iter().map(body).collect::<Result<_, StoreError>>()?,
            files: files.iter().map(file).collect::<Result<_, StoreError>>()?,
        })
    }

    async fn route_file(&self, site: &SiteId) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let row = sqlx::query("SELECT generation, file FROM route_files WHERE site = ?")
            .bind(site.as_str())
            .fetch_optional(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns::of(&row, "route_files");
        Ok(Some((columns.number("generation")?, columns.plain("file")?)))
    }

    async fn edit_routes(
        &self,
        edit: &RouteEdit,
        by: AskedBy<'_>,
        seen: u64,
    ) -> Result<Edited, StoreError> {
        // Dropping the transaction on the way out undoes all of it.
        let mut work = self.file.begin(CHANGING).await?;
        let last =
            sqlx::query(LAST).fetch_one(&mut *work).await.map_err(|error| away(CHANGING, error))?;
        let last: u64 = Columns::of(&last, "route_changes").number("generation")?;
        if last != seen {
            return Ok(Edited::Stale { generation: last });
        }
        let generation = last + 1;
        let Some(note) = write(&mut work, edit, generation).await? else {
            return Ok(Edited::Absent);
        };
        sqlx::query(
            "INSERT INTO route_changes (generation, at, by, what, subject, detail) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(to_sql(generation))
        .bind(to_sql(by.at.0))
        .bind(by.who)
        .bind(word_of("the kind of a change", &note.what)?)
        .bind(note.subject)
        .bind(note.detail)
        .execute(&mut *work)
        .await
        .map_err(|error| away(CHANGING, error))?;
        sqlx::query("DELETE FROM route_changes WHERE generation <= ?")
            .bind(to_sql(generation.saturating_sub(ROUTE_CHANGES_MAX)))
            .execute(&mut *work)
            .await
            .map_err(|error| away(CHANGING, error))?;
        work.commit().await.map_err(|error| away(CHANGING, error))?;
        Ok(Edited::Done { generation })
    }

    async fn route_changes(&self, limit: usize) -> Result<Vec<RouteChange>, StoreError> {
        let rows = sqlx::query("SELECT * FROM route_changes ORDER BY generation DESC LIMIT ?")
            .bind(to_sql(limit as u64))
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        let change = |row| {
            let columns = Columns::of(row, "route_changes");
            Ok(RouteChange {
                generation: columns.number("generation")?,
                at: UnixMillis(columns.number("at")?),
                by: columns.plain("by")?,
                what: columns.word("what")?,
                subject: columns.plain("subject")?,
                detail: columns.plain("detail")?,
            })
        };
        rows.iter().map(change).collect()
    }
}

/// What is noted of a change.
struct Note {
    what: RouteChangeKind,
    subject: String,
    detail: String,
}

/// `None` when there was nothing to forget.
async fn write(
    work: &mut Transaction<'_, Sqlite>,
    edit: &RouteEdit,
    generation: u64,
) -> Result<Option<Note>, StoreError> {
    let (query, what, subject, detail) = match edit {
        RouteEdit::Register(said) => {
            let query = sqlx::query(
                "INSERT INTO isp_networks (isp, body, generation) VALUES (?, ?, ?) \
                 ON CONFLICT (isp) DO UPDATE SET body = excluded.body, \
                 generation = excluded.generation",
            );
            let body = json_of("an ISP's networks", said)?;
            let query =
                query.bind(said.isp.as_str().to_owned()).bind(body).bind(to_sql(generation));
            let detail = format!("{} networks, {} ASNs", said.networks.len(), said.asns.len());
            (query, RouteChangeKind::Registered, said.isp.to_string(), detail)
        }
        RouteEdit::Unregister(isp) => {
            let query = sqlx::query("DELETE FROM isp_networks WHERE isp = ?");
            let query = query.bind(isp.as_str().to_owned());
            (query, RouteChangeKind::Unregistered, isp.to_string(), String::new())
        }
        RouteEdit::Take { site, file } => {
            if file.len() > ROUTE_FILE_BYTES_MAX {
                let why = format!("it is longer than {ROUTE_FILE_BYTES_MAX} bytes");
                return Err(StoreError::Refused { what: format!("the file of {site}"), why });
            }
            let query = sqlx::query(
                "INSERT INTO route_files (site, generation, file) VALUES (?, ?, ?) \
                 ON CONFLICT (site) DO UPDATE SET generation = excluded.generation, \
                 file = excluded.file",
            );
            let query = query.bind(site.as_str().to_owned()).bind(to_sql(generation));
            let query = query.bind(file.as_slice());
            (query, RouteChangeKind::FileTaken, site.to_string(), format!("{} bytes", file.len()))
        }
        RouteEdit::Forget(site) => {
            let query = sqlx::query("DELETE FROM route_files WHERE site = ?");
            let query = query.bind(site.as_str().to_owned());
            (query, RouteChangeKind::FileForgotten, site.to_string(), String::new())
        }
    };
    let thing = || format!("what is said of {subject}");
    let done = query.execute(&mut **work).await.map_err(|error| clash(CHANGING, thing(), error))?;
    Ok((done.rows_affected() > 0).then_some(Note { what, subject, detail }))
}
