//! `ocactl window`: when fill may run, how fast and how much. Schedules have a file of their own,
//! `window/schedule.rs`.

mod reaching;
mod schedule;

use clap::{Args, Subcommand};
use control_client::ControlClient;
use control_types::fill::{NewWindow, Window, WindowScope};
use control_types::{ApplianceId, IspId, SiteId, UnixMillis, WindowId};
use fill_plan::Schedule;
use jiff::civil::Date;
use reaching::Reaching;
use serde_json::json;

use crate::connect::Connection;
use crate::failure::Failure;
use crate::quantities::{
    date, duration_ms, moment, rate_bps, show_bytes, show_moment, show_rate, size_bytes,
};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum WindowVerb {
    /// Open a window, now or at a given moment.
    Open(Open),
    /// Add a schedule: a window that comes again, night after night.
    Add(schedule::Add),
    /// One schedule with its next seven nights, or one window.
    Show {
        /// Which.
        window: WindowId,
        /// A schedule's nights from this date on, such as those of a change of the clock.
        #[arg(long, value_parser = date, value_name = "DATE")]
        from: Option<Date>,
    },
    /// Remove a schedule; a night under way ends at the agents' next poll.
    Rm {
        /// Which.
        schedule: WindowId,
    },
    /// All schedules with their next night, and all other windows of the last 30 days and to come;
    /// or only those that reach an appliance, a site or an ISP.
    Ls(reaching::Reaching),
    /// Close a window before its time; agents stop within a second of their next poll. A schedule's
    /// name closes its night under way, or else its next one, and no other.
    Close {
        /// Which: a window, a schedule, or one night of it (nightly-2026-12-24).
        window: WindowId,
    },
}

#[derive(Args)]
pub struct Open {
    /// Name of the window; must be new.
    window: WindowId,
    #[command(flatten)]
    scope: Scope,
    /// How long it stays open: 90s, 30m, 5h, 2h30m.
    #[arg(long = "for", value_parser = duration_ms, value_name = "DURATION")]
    length: u64,
    /// When it opens, RFC 3339; now if not given.
    #[arg(long, value_parser = moment, value_name = "MOMENT")]
    at: Option<UnixMillis>,
    /// Cap for each appliance: 800kbit, 500Mbit, 1.2Gbit.
    #[arg(long, value_parser = rate_bps, value_name = "RATE")]
    rate: Option<u64>,
    /// Cap for each appliance over the whole window: 200MB, 2TB.
    #[arg(long, value_parser = size_bytes, value_name = "SIZE")]
    max_bytes: Option<u64>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// For one appliance.
    #[arg(long)]
    appliance: Option<ApplianceId>,
    /// For all appliances of a site.
    #[arg(long)]
    site: Option<SiteId>,
    /// For all sites of an ISP.
    #[arg(long)]
    isp: Option<IspId>,
    /// For the whole fleet; where a narrower window is open too, that one's caps hold.
    #[arg(long)]
    everyone: bool,
}

impl Scope {
    fn on_the_wire(&self) -> WindowScope {
        let appliance = self.appliance.clone().map(WindowScope::Appliance);
        let site = self.site.clone().map(WindowScope::Site);
        let isp = self.isp.clone().map(WindowScope::Isp);
        // Clap lets exactly one of the four through.
        appliance.or(site).or(isp).unwrap_or(WindowScope::Everyone)
    }
}

/// Runs one verb.
///
/// # Errors
/// What control said, or what is wrong with a schedule.
pub async fn run(verb: &WindowVerb, at: &Connection) -> Result<Shown, Failure> {
    match verb {
        WindowVerb::Open(open) => run_open(open, &at.operator()?).await,
        WindowVerb::Add(add) => schedule::add(add, at).await,
        WindowVerb::Show { window, from } => schedule::show(window, *from, &at.operator()?).await,
        WindowVerb::Rm { schedule } => {
            at.operator()?.remove_schedule(schedule).await?;
            Ok(Shown::new(&json!({ "removed": schedule }), format!("{schedule} is removed")))
        }
        WindowVerb::Ls(reaching) => run_ls(reaching, &at.operator()?).await,
        WindowVerb::Close { window } => run_close(window, &at.operator()?).await,
    }
}

async fn run_open(open: &Open, control: &ControlClient) -> Result<Shown, Failure> {
    let body = NewWindow {
        id: open.window.clone(),
        scope: open.scope.on_the_wire(),
        opens_at: open.at,
        length_ms: open.length,
        rate_bps_max: open.rate,
        bytes_max: open.max_bytes,
    };
    let window = control.open_window(&body).await?;
    let (opens, closes) = (show_moment(window.opens_at), show_moment(window.closes_at));
    let text = format!("{} for {}: {opens} to {closes}", window.id, scope_text(&window.scope));
    Ok(Shown::new(&window, text))
}

async fn run_ls(asked: &Reaching, control: &ControlClient) -> Result<Shown, Failure> {
    let mut schedules = control.schedules().await?;
    let mut windows = control.windows().await?;
    if let Some(places) = asked.places(control).await? {
        schedules.retain(|one| places.reached_by(&one.schedule.scope));
        windows.retain(|one| places.reached_by(&one.scope));
    }
    let value = json!({ "schedules": schedules, "windows": windows });
    let mut tables = Vec::new();
    if !schedules.is_empty() {
        tables.push(schedule::table(&schedules).text);
    }
    // A schedule's coming nights are one line of the first table, not eight of the second.
    let sound = schedules.iter().filter_map(|one| Schedule::check(one.schedule.clone()).ok());
    let sound: Vec<Schedule> = sound.collect();
    let alone = |window: &&Window| window.closed || !sound.iter().any(|one| one.names(&window.id));
    let rows: Vec<Vec<String>> = windows.iter().filter(alone).map(row).collect();
    if !rows.is_empty() || tables.is_empty() {
        let nothing = "no windows: fill waits; `ocactl window open` or `ocactl window add`";
        tables.push(Shown::table(&windows, &HEAD, rows, nothing).text);
    }
    Ok(Shown::new(&value, tables.join("\n\n")))
}

async fn run_close(asked: &WindowId, control: &ControlClient) -> Result<Shown, Failure> {
    let window = control.close_window(asked).await?;
    let text = if window.id == *asked {
        format!("{asked} is closed")
    } else {
        let (opens, closes) = (show_moment(window.opens_at), show_moment(window.closes_at));
        format!("{} ({opens} to {closes}) is closed; {asked}'s other nights stay", window.id)
    };
    Ok(Shown::new(&window, text))
}

const HEAD: [&str; 7] = ["window", "for", "opens", "closes", "rate", "bytes", "closed"];

fn row(window: &Window) -> Vec<String> {
    vec![
        window.id.to_string(),
        scope_text(&window.scope),
        show_moment(window.opens_at),
        show_moment(window.closes_at),
        cap_text(window.rate_bps_max, show_rate),
        cap_text(window.bytes_max, show_bytes),
        if window.closed { "yes" } else { "" }.to_owned(),
    ]
}

fn cap_text(cap: Option<u64>, show: fn(u64) -> String) -> String {
    cap.map_or_else(|| "no cap".to_owned(), show)
}

/// Whom something is for, as listings say it.
pub fn scope_text(scope: &WindowScope) -> String {
    match scope {
        WindowScope::Appliance(id) => format!("appliance {id}"),
        WindowScope::Site(id) => format!("site {id}"),
        WindowScope::Isp(id) => format!("ISP {id}"),
        WindowScope::Everyone => "everyone".to_owned(),
    }
}
