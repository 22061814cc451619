//! Windows, schedules and the plan in SQLite. Knows no clock: whether a window is open is the
//! caller's sum.

use async_trait::async_trait;
use control_types::fill::{AppliancePlan, NightPlan, Window};
use control_types::schedule::WindowSchedule;
use control_types::{UnixMillis, WindowId};
use sqlx::sqlite::SqliteRow;

use super::SqliteLedger;
use crate::StoreError;
use crate::embedded::sqlite::{Columns, away, clash, json_of, to_sql};
use crate::ledger::{FillLedger, PlanPut};

const WINDOW: &str = "change a window";
const SCHEDULE: &str = "change a schedule";
const PLAN: &str = "change the plan";
const READING: &str = "read windows, schedules and the plan";

#[async_trait]
impl FillLedger for SqliteLedger {
    async fn add_window(&self, window: &Window) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO windows (id, scope, opens_at, closes_at, rate_bps_max, bytes_max, closed) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(window.id.as_str())
        .bind(json_of("the scope", &window.scope)?)
        .bind(to_sql(window.opens_at.0))
        .bind(to_sql(window.closes_at.0))
        .bind(window.rate_bps_max.map(to_sql))
        .bind(window.bytes_max.map(to_sql))
        .bind(i64::from(window.closed))
        .execute(&self.file.writer)
        .await
        .map_err(|error| clash(WINDOW, format!("window {}", window.id), error))?;
        Ok(())
    }

    async fn windows(&self, after: UnixMillis) -> Result<Vec<Window>, StoreError> {
        let rows = sqlx::query("SELECT * FROM windows WHERE closes_at > ? ORDER BY opens_at, id")
            .bind(to_sql(after.0))
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        rows.iter().map(window_of).collect()
    }

    async fn close_window(&self, window: &WindowId) -> Result<Option<Window>, StoreError> {
        let row = sqlx::query("UPDATE windows SET closed = 1 WHERE id = ? RETURNING *")
            .bind(window.as_str())
            .fetch_optional(&self.file.writer)
            .await
            .map_err(|error| away(WINDOW, error))?;
        row.as_ref().map(window_of).transpose()
    }

    async fn put_schedule(&self, schedule: &WindowSchedule) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO schedules (id, body) VALUES (?, ?) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        )
        .bind(schedule.id.as_str())
        .bind(json_of("a schedule", schedule)?)
        .execute(&self.file.writer)
        .await
        .map_err(|error| away(SCHEDULE, error))?;
        Ok(())
    }

    async fn remove_schedule(&self, schedule: &WindowId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM schedules WHERE id = ?")
            .bind(schedule.as_str())
            .execute(&self.file.writer)
            .await
            .map_err(|error| away(SCHEDULE, error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn schedules(&self) -> Result<Vec<WindowSchedule>, StoreError> {
        let rows = sqlx::query("SELECT body FROM schedules ORDER BY id")
            .fetch_all(&self.file.readers)
            .await
            .map_err(|error| away(READING, error))?;
        rows.iter().map(|row| Columns::of(row, "schedules").json("body")).collect()
    }

    async fn put_plan(&self, plan: &NightPlan) -> Result<PlanPut, StoreError> {
        let mut work = self.file.begin(PLAN).await?;
        let present = sqlx::query("SELECT serial FROM plan")
            .fetch_optional(&mut *work)
            .await
            .map_err(|error| away(PLAN, error))?;
        let present: Option<u64> =
            present.map(|row| Columns::of(&row, "plan").number("serial")).transpose()?;
        let follows_another =
            plan.follows.is_some_and(|follows| follows != present.unwrap_or_default());
        if follows_another || present.is_some_and(|serial| serial >= plan.serial) {
            return Ok(PlanPut::Stale { serial: present.unwrap_or_default() });
        }
        sqlx::query(
            "INSERT INTO plan (only_row, id, serial, made_at) VALUES (0, ?, ?, ?) \
             ON CONFLICT (only_row) DO UPDATE SET \
             id = excluded.id, serial = excluded.serial, made_at = excluded.made_at",
        )
        .bind(plan.id.to_string())
        .bind(to_sql(plan.serial))
        .bind(to_sql(plan.made_at.0))
        .execute(&mut *work)
        .await
        .map_err(|error| away(PLAN, error))?;
        sqlx::query("DELETE FROM plan_parts")
            .execute(&mut *work)
            .await
            .map_err(|error| away(PLAN, error))?;
        for (position, part) in plan.appliances.iter().enumerate() {
            sqlx::query("INSERT INTO plan_parts (position, body) VALUES (?, ?)")
                .bind(to_sql(position as u64))
                .bind(json_of("a part of the plan", part)?)
                .execute(&mut *work)
                .await
                .map_err(|error| away(PLAN, error))?;
        }
        work.commit().await.map_err(|error| away(PLAN, error))?;
        Ok(PlanPut::Stored)
    }

    async fn plan(&self) -> Result<Option<NightPlan>, StoreError> {
        // One statement, so that the head and the parts are of the same plan.
        let rows = sqlx::query(
            "SELECT p.id, p.serial, p.made_at, part.body FROM plan p \
             LEFT JOIN plan_parts part ON true ORDER BY part.position",
        )
        .fetch_all(&self.file.readers)
        .await
        .map_err(|error| away(READING, error))?;
        let Some(first) = rows.first() else { return Ok(None) };
        let head = Columns::of(first, "plan");
        let mut appliances = Vec::with_capacity(rows.len());
        for row in &rows {
            let columns = Columns::of(row, "plan_parts");
            let body: Option<&str> = columns.plain("body")?;
            if body.is_some() {
                appliances.push(columns.json::<AppliancePlan>("body")?);
            }
        }
        Ok(Some(NightPlan {
            id: head.parsed("id")?,
            serial: head.number("serial")?,
            made_at: UnixMillis(head.number("made_at")?),
            follows: None,
            appliances,
        }))
    }
}

fn window_of(row: &SqliteRow) -> Result<Window, StoreError> {
    let columns = Columns::of(row, "windows");
    Ok(Window {
        id: columns.parsed("id")?,
        scope: columns.json("scope")?,
        opens_at: UnixMillis(columns.number("opens_at")?),
        closes_at: UnixMillis(columns.number("closes_at")?),
        rate_bps_max: columns.optional_number("rate_bps_max")?,
        bytes_max: columns.optional_number("bytes_max")?,
        closed: columns.number("closed")? != 0,
    })
}
