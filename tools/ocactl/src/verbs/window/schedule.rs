//! Schedules on the command line: add, show, and the nights they come to. Works nights out with the
//! same function as control, so a dry run tells what control would do without asking it.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use control_client::ControlClient;
use control_types::fill::Window;
use control_types::schedule::{ScheduleStatus, WindowSchedule};
use control_types::{UnixMillis, WindowId};
use fill_plan::{Night, Schedule};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{HEAD, Scope, cap_text, row, scope_text};
use crate::connect::Connection;
use crate::failure::Failure;
use crate::quantities::{
    date, rate_bps, show_bytes, show_days, show_duration, show_moment, show_rate, size_bytes,
};
use crate::shown::Shown;
use crate::verbs::times::{Times, cells};

/// Nights that are shown.
const NIGHTS_SHOWN: usize = 7;

#[derive(Args)]
pub struct Add {
    /// Name of the schedule; its nights are called this and their date.
    schedule: WindowId,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    times: Times,
    /// Cap for each appliance: 800kbit, 500Mbit, 1.2Gbit.
    #[arg(long, value_parser = rate_bps, value_name = "RATE")]
    rate: Option<u64>,
    /// Cap for each appliance over one night: 200MB, 2TB.
    #[arg(long, value_parser = size_bytes, value_name = "SIZE")]
    max_bytes: Option<u64>,
    /// Replace the schedule of this name, if there is one.
    #[arg(long)]
    replace: bool,
    /// Print the next seven nights and ask nothing of control.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: the nights from this date on, such as those of a change of the clock.
    #[arg(long, value_parser = date, value_name = "DATE", requires = "dry_run")]
    from: Option<Date>,
}

impl Add {
    fn on_the_wire(&self) -> WindowSchedule {
        WindowSchedule {
            id: self.schedule.clone(),
            scope: self.scope.on_the_wire(),
            start: self.times.start.clone(),
            length_ms: self.times.length,
            days: self.times.days.0.clone(),
            time_zone: self.times.tz.clone(),
            except: self.times.except.clone(),
            rate_bps_max: self.rate,
            bytes_max: self.max_bytes,
        }
    }
}

/// Adds or replaces a schedule, or says what it would come to.
///
/// # Errors
/// When it makes no sense, its name is taken, or control refuses it.
pub async fn add(add: &Add, at: &Connection) -> Result<Shown, Failure> {
    let id = &add.schedule;
    let sound = Schedule::check(add.on_the_wire())
        .map_err(|error| Failure(format!("schedule {id} is refused: {error}")))?;
    if add.dry_run {
        let nights = nights_shown(&sound, &[], add.from);
        return Ok(Shown {
            text: format!("{id}: {}\n{}", rule_text(sound.rule()), nights.text),
            ..nights
        });
    }
    let control = at.operator()?;
    let taken = control.schedules().await?.iter().any(|status| status.schedule.id == *id);
    if taken && !add.replace {
        let cure = "--replace changes it, `ocactl window rm` removes it";
        return Err(Failure(format!("there is a schedule {id} already: {cure}")));
    }
    let status = control.put_schedule(sound.rule()).await?;
    let next = match &status.next {
        None => "it has no night to come".to_owned(),
        Some(next) => {
            let (opens, closes) = (sound.local(next.opens_at), sound.local(next.closes_at));
            format!("next night {}: {opens} to {closes}", next.id)
        }
    };
    Ok(Shown::new(&status, format!("{id}: {}\n{next}", rule_text(sound.rule()))))
}

/// A schedule with its next nights, or a window.
///
/// # Errors
/// When there is neither.
pub async fn show(
    id: &WindowId,
    from: Option<Date>,
    control: &ControlClient,
) -> Result<Shown, Failure> {
    let schedules = control.schedules().await?;
    let windows = control.windows().await?;
    if let Some(status) = schedules.iter().find(|status| status.schedule.id == *id) {
        return show_schedule(status, &windows, from);
    }
    let Some(window) = windows.iter().find(|window| window.id == *id) else {
        let cure = "`ocactl window ls` lists them";
        return Err(Failure(format!("there is no window or schedule {id}: {cure}")));
    };
    Ok(Shown::table(window, &HEAD, vec![row(window)], ""))
}

fn show_schedule(
    status: &ScheduleStatus,
    windows: &[Window],
    from: Option<Date>,
) -> Result<Shown, Failure> {
    let rule = &status.schedule;
    let sound = Schedule::check(rule.clone()).map_err(|error| Failure(error.to_string()))?;
    let nights = nights_shown(&sound, windows, from);
    let except = if rule.except.is_empty() { "-".to_owned() } else { rule.except.join(" ") };
    let text = format!("{}: {}\nexcept: {except}\n\n{}", rule.id, rule_text(rule), nights.text);
    Ok(Shown::new(&json!({ "schedule": rule, "nights": nights.value }), text))
}

/// One line a schedule.
pub fn table(schedules: &[ScheduleStatus]) -> Shown {
    let line = |status: &ScheduleStatus| {
        let rule = &status.schedule;
        let next = |at: fn(&Window) -> UnixMillis| {
            status.next.as_ref().map_or_else(|| "-".to_owned(), |next| show_moment(at(next)))
        };
        let [when, length] = cells(&rule.days, &rule.start, &rule.time_zone, rule.length_ms);
        vec![
            rule.id.to_string(),
            scope_text(&rule.scope),
            when,
            length,
            cap_text(rule.rate_bps_max, show_rate),
            cap_text(rule.bytes_max, show_bytes),
            next(|window| window.opens_at),
            next(|window| window.closes_at),
        ]
    };
    let head = ["schedule", "for", "when", "length", "rate", "bytes", "next night opens", "closes"];
    Shown::table(&schedules, &head, schedules.iter().map(line).collect(), "no schedules")
}

fn rule_text(rule: &WindowSchedule) -> String {
    format!(
        "{}, {} at {} {}, for {}, rate {}, bytes {}",
        scope_text(&rule.scope),
        show_days(&rule.days),
        rule.start,
        rule.time_zone,
        show_duration(rule.length_ms),
        cap_text(rule.rate_bps_max, show_rate),
        cap_text(rule.bytes_max, show_bytes),
    )
}

/// The nights from now or `from` on, local and UTC; `windows` knows which of them were closed.
fn nights_shown(sound: &Schedule, windows: &[Window], from: Option<Date>) -> Shown {
    let begun = |night: &Night| from.is_none_or(|from| night.date >= from);
    let nights = sound.nights(from.map_or_else(now, days_before)).filter(begun);
    let nights: Vec<Night> = nights.take(NIGHTS_SHOWN).collect();
    let closed = |night: &Night| {
        let id = sound.window(night).id;
        windows.iter().any(|window| window.id == id && window.closed)
    };
    let line = |night: &Night| {
        vec![
            sound.window(night).id.to_string(),
            sound.local(night.opens_at),
            sound.local(night.closes_at),
            show_moment(night.opens_at),
            show_moment(night.closes_at),
            if closed(night) { "yes" } else { "" }.to_owned(),
        ]
    };
    let value: Vec<Value> = nights
        .iter()
        .map(|night| {
            json!({
                "id": sound.window(night).id,
                "opens_at": night.opens_at,
                "closes_at": night.closes_at,
                "opens_local": sound.local(night.opens_at),
                "closes_local": sound.local(night.closes_at),
                "closed": closed(night),
            })
        })
        .collect();
    let head =
        ["night", "opens (local)", "closes (local)", "opens (UTC)", "closes (UTC)", "closed"];
    Shown::table(&value, &head, nights.iter().map(line).collect(), "no night to come")
}

/// A moment before `date` in every time zone.
fn days_before(date: Date) -> UnixMillis {
    let midnight = date.to_zoned(TimeZone::UTC).map(|at| at.timestamp().as_millisecond());
    let millis = midnight.ok().and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0);
    UnixMillis(millis.saturating_sub(2 * 86_400_000))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
