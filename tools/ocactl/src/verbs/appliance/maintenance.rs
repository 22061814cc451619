//! `ocactl appliance maintenance`: times that come again at which appliances take nothing new.
//! Works them out with the same function as control, before control is asked.

use clap::{ArgGroup, Args, Subcommand};
use control_client::ControlClient;
use control_types::fill::WindowScope;
use control_types::schedule::{MaintenanceSchedule, MaintenanceStatus};
use control_types::{ApplianceId, IspId, SiteId, WindowId};
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::show_moment;
use crate::shown::Shown;
use crate::verbs::times::{Times, cells};
use crate::verbs::window::scope_text;

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
    #[command(flatten)]
    times: Times,
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
            start: self.times.start.clone(),
            length_ms: self.times.length,
            days: self.times.days.0.clone(),
            time_zone: self.times.tz.clone(),
            except: self.times.except.clone(),
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
    let [when, length] = cells(&rule.days, &rule.start, &rule.time_zone, rule.length_ms);
    vec![
        rule.id.to_string(),
        scope_text(&rule.scope),
        status.by.as_ref().map_or_else(|| "operator".to_owned(), ToString::to_string),
        when,
        length,
        next_text(status),
    ]
}

fn next_text(status: &MaintenanceStatus) -> String {
    status.next.as_ref().map_or_else(
        || "never again".to_owned(),
        |next| format!("{} to {}", show_moment(next.from), show_moment(next.until)),
    )
}
