//! `ocactl appliance maintenance`: times that come again at which appliances take nothing new.
//! Works them out with the same function as control, before control is asked.

use clap::{ArgGroup, Args, Subcommand};
use control_client::ControlClient;
use control_types::fill::WindowScope;
use control_types::schedule::{MaintenanceSchedule, MaintenanceStatus};
use control_types::{ApplianceId, IspId, SiteId, WindowId};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{Days, days, duration_ms, show_days, show_duration, show_moment};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum MaintenanceVerb {
    /// Add or, with --replace, change one.
    Add(Box<Add>),
    /// All of it, with the time under way or to come.
    Ls,
    /// Remove one; what it drains is offered again.
    Rm {
        /// Which.
        name: WindowId,
    },
}

#[derive(Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["appliance", "site", "isp"])))]
pub struct Add {
    /// What it is called.
    name: WindowId,
    /// One box.
    #[arg(long)]
    appliance: Option<ApplianceId>,
    /// All boxes of a site.
    #[arg(long)]
    site: Option<SiteId>,
    /// All boxes of an ISP.
    #[arg(long)]
    isp: Option<IspId>,
    /// Wall time at which the work begins: 02:00, 23:30.
    #[arg(long, value_name = "HH:MM")]
    start: String,
    /// How long it takes, in elapsed time: 2h, 90m; at most 24h.
    #[arg(long, value_parser = duration_ms, value_name = "DURATION")]
    length: u64,
    /// On which days it begins: daily, mon-fri, sun.
    #[arg(long, value_parser = days, value_name = "DAYS")]
    days: Days,
    /// Time zone of --start by its IANA name: Europe/Lisbon.
    #[arg(long, value_name = "ZONE")]
    tz: String,
    /// Dates without it: 2026-12-24 2026-12-31.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "DATE")]
    except: Vec<String>,
    /// Replace the one of this name, if there is one.
    #[arg(long)]
    replace: bool,
}

impl Add {
    fn on_the_wire(&self) -> MaintenanceSchedule {
        let scope = match (&self.appliance, &self.site, &self.isp) {
            (Some(id), _, _) => WindowScope::Appliance(id.clone()),
            (None, Some(id), _) => WindowScope::Site(id.clone()),
            (None, None, Some(id)) => WindowScope::Isp(id.clone()),
            // Refused by the command line, and by control.
            (None, None, None) => WindowScope::Everyone,
        };
        MaintenanceSchedule {
            id: self.name.clone(),
            scope,
            start: self.start.clone(),
            length_ms: self.length,
            days: self.days.0.clone(),
            time_zone: self.tz.clone(),
            except: self.except.clone(),
        }
    }
}

/// Runs one verb.
///
/// # Errors
/// What control said, or a name that is taken.
pub async fn run(verb: &MaintenanceVerb, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        MaintenanceVerb::Add(new) => {
            let name = &new.name;
            let known = control.maintenance().await?;
            if !new.replace && known.iter().any(|status| status.schedule.id == *name) {
                let cure = "give --replace to change it";
                return Err(Failure(format!("there is maintenance {name} already: {cure}")));
            }
            let status = control.put_maintenance(&new.on_the_wire()).await?;
            let text = format!("{name}: {}", next_text(&status));
            Ok(Shown::new(&status, text))
        }
        MaintenanceVerb::Ls => {
            let all = control.maintenance().await?;
            let head = ["maintenance", "for", "made by", "when", "length", "next"];
            let none = "no maintenance that comes again: `ocactl appliance maintenance add`";
            Ok(Shown::table(&all, &head, all.iter().map(row).collect(), none))
        }
        MaintenanceVerb::Rm { name } => {
            control.remove_maintenance(name).await?;
            let value = json!({ "maintenance": name, "done": "removed" });
            Ok(Shown::new(&value, format!("{name} is removed")))
        }
    }
}

fn row(status: &MaintenanceStatus) -> Vec<String> {
    let rule = &status.schedule;
    let scope = match &rule.scope {
        WindowScope::Appliance(id) => format!("appliance {id}"),
        WindowScope::Site(id) => format!("site {id}"),
        WindowScope::Isp(id) => format!("ISP {id}"),
        WindowScope::Everyone => "everyone".to_owned(),
    };
    vec![
        rule.id.to_string(),
        scope,
        status.by.as_ref().map_or_else(|| "operator".to_owned(), ToString::to_string),
        format!("{} {} {}", show_days(&rule.days), rule.start, rule.time_zone),
        show_duration(rule.length_ms),
        next_text(status),
    ]
}

fn next_text(status: &MaintenanceStatus) -> String {
    status.next.as_ref().map_or_else(
        || "never again".to_owned(),
        |next| format!("{} to {}", show_moment(next.from), show_moment(next.until)),
    )
}
