//! `ocactl appliance`: the boxes. Talks to control only, never to a box.

mod keys;
mod maintenance;

use clap::{Subcommand, ValueEnum};
use control_client::ControlClient;
use control_types::fleet::{
    ApplianceDetail, ApplianceRecord, ApplianceStatus, Drains, Link, Maintenance, Role,
};
use control_types::{ApplianceId, RegistrationKeyId, SiteId};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::quantities::{moment, rate_bps, show_bytes, show_moment, show_rate};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Appliance {
    /// All appliances: health, load, disks.
    Ls,
    /// One appliance with everything it last said.
    Status {
        /// Which.
        appliance: ApplianceId,
    },
    /// Register or replace an appliance; prints its bearer key when it is new.
    Put {
        /// Its id.
        appliance: ApplianceId,
        /// Where it stands.
        #[arg(long)]
        site: SiteId,
        /// What it is for.
        #[arg(long, value_enum, default_value = "edge")]
        role: RoleName,
        /// How members reach it.
        #[arg(long, value_enum, default_value = "embedded")]
        link: LinkName,
        /// What it may send to members at once.
        #[arg(long, value_parser = rate_bps, default_value = "10Gbit", value_name = "RATE")]
        capacity: u64,
        /// What it shares power or an uplink with, a name inside its site such as rack7.
        #[arg(long, value_name = "NAME")]
        failure_domain: Option<String>,
        /// Members it may serve at once.
        #[arg(long, value_name = "COUNT")]
        connections: Option<u64>,
        /// A time at which it takes nothing new, FROM/UNTIL in RFC 3339; may be given several
        /// times, in order.
        #[arg(long, value_parser = maintenance, value_name = "FROM/UNTIL")]
        maintenance: Vec<Maintenance>,
    },
    /// Stop offering it to players; those on it move away, nobody is cut off.
    Drain {
        /// Which.
        appliance: ApplianceId,
    },
    /// Take back your own wish to drain it; it is offered again when nobody else's stands.
    Undrain {
        /// Which.
        appliance: ApplianceId,
    },
    /// Make a registration key, which makes a box this appliance, or one of a site.
    KeyFor(keys::KeyFor),
    /// Registration keys that may still be used.
    Keys,
    /// End a registration key.
    KeyRm {
        /// Which, by its name.
        key: RegistrationKeyId,
    },
    /// End its certificates at once: it was stolen, or is to register anew.
    Void {
        /// Whose.
        appliance: ApplianceId,
    },
    /// Times that come again at which appliances take nothing new.
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceVerb),
    /// Forget it; its key and certificates stop working.
    Rm {
        /// Which.
        appliance: ApplianceId,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    /// Serves the members of its site's prefixes.
    Edge,
    /// Serves edges that miss, and fills them.
    Tier,
    /// Holds every object.
    Origin,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LinkName {
    /// Inside the ISP's network.
    Embedded,
    /// Over a private interconnect.
    PrivatePeering,
    /// Over an exchange.
    PublicPeering,
    /// Over paid transit.
    Transit,
}

/// Runs one verb.
///
/// # Errors
/// What control said.
pub async fn run(verb: &Appliance, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Appliance::Ls => {
            let fleet = control.appliances().await?;
            let rows = fleet.iter().map(row).collect();
            let head =
                ["appliance", "site", "role", "health", "members", "sending", "objects", "held"];
            Ok(Shown::table(&fleet, &head, rows, "no appliances yet: `ocactl appliance put`"))
        }
        Appliance::Status { appliance } => status(appliance, control).await,
        Appliance::Put {
            appliance,
            site,
            role,
            link,
            capacity,
            failure_domain,
            connections,
            maintenance,
        } => {
            let record = ApplianceRecord {
                id: appliance.clone(),
                site: site.clone(),
                role: wire_role(*role),
                link: wire_link(*link),
                capacity_bps: *capacity,
                detail: ApplianceDetail {
                    failure_domain: failure_domain.clone(),
                    connections_max: *connections,
                    maintenance: maintenance.clone(),
                },
            };
            let answer = control.put_appliance(&record).await?;
            let text = match &answer.key {
                Some(key) => format!("{appliance} is registered; its key, shown this once:\n{key}"),
                None => format!("{appliance} is replaced; its key is the one it had"),
            };
            Ok(Shown::new(&json!({ "appliance": record, "key": answer.key }), text))
        }
        Appliance::Drain { appliance } => {
            control.drain(appliance).await?;
            Ok(done(appliance, "drain", "drains: no new plays are sent there"))
        }
        Appliance::Undrain { appliance } => {
            control.undrain(appliance).await?;
            let fleet = control.appliances().await?;
            let left = fleet.iter().find(|status| status.record.id == *appliance);
            let what = match left.map(|status| status.drains) {
                Some(Drains { isp: true, .. }) => "still drains: its ISP asked for it too",
                Some(Drains { operator: true, .. }) => {
                    "still drains: the operator asked for it too"
                }
                _ => "is offered again",
            };
            Ok(done(appliance, "undrain", what))
        }
        Appliance::KeyFor(new) => keys::key_for(new, control).await,
        Appliance::Keys => keys::list(control).await,
        Appliance::KeyRm { key } => keys::remove(key, control).await,
        Appliance::Void { appliance } => keys::void(appliance, control).await,
        Appliance::Maintenance(verb) => maintenance::run(verb, control).await,
        Appliance::Rm { appliance } => {
            control.remove_appliance(appliance).await?;
            Ok(done(appliance, "removed", "is forgotten"))
        }
    }
}

fn maintenance(text: &str) -> Result<Maintenance, String> {
    let refuse =
        || format!("{text:?} is not FROM/UNTIL, two RFC 3339 moments with a slash between");
    let (from, until) = text.split_once('/').ok_or_else(refuse)?;
    Ok(Maintenance { from: moment(from)?, until: moment(until)? })
}

fn wire_role(role: RoleName) -> Role {
    match role {
        RoleName::Edge => Role::Edge,
        RoleName::Tier => Role::Tier,
        RoleName::Origin => Role::Origin,
    }
}

fn wire_link(link: LinkName) -> Link {
    match link {
        LinkName::Embedded => Link::Embedded,
        LinkName::PrivatePeering => Link::PrivatePeering,
        LinkName::PublicPeering => Link::PublicPeering,
        LinkName::Transit => Link::Transit,
    }
}

fn done(appliance: &ApplianceId, word: &str, what: &str) -> Shown {
    Shown::new(&json!({ "appliance": appliance, "done": word }), format!("{appliance} {what}"))
}

/// A wire enum's own word.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

fn row(status: &ApplianceStatus) -> Vec<String> {
    let report = status.report.as_ref();
    vec![
        status.record.id.to_string(),
        status.record.site.to_string(),
        word(&status.record.role),
        word(&status.health),
        report.map_or_else(|| "-".to_owned(), |report| report.connections.to_string()),
        report.map_or_else(|| "-".to_owned(), |report| show_rate(report.sending_bps)),
        status.objects.to_string(),
        show_bytes(status.held_bytes),
    ]
}

async fn status(appliance: &ApplianceId, control: &ControlClient) -> Result<Shown, Failure> {
    let fleet = control.appliances().await?;
    let found = fleet.iter().find(|status| status.record.id == *appliance);
    let cure = "`ocactl appliance ls` lists them";
    let status =
        found.ok_or_else(|| Failure(format!("no appliance is called {appliance}: {cure}")))?;
    let mut rows = vec![
        vec!["site".to_owned(), status.record.site.to_string()],
        vec!["role".to_owned(), word(&status.record.role)],
        vec!["link".to_owned(), word(&status.record.link)],
        vec!["health".to_owned(), word(&status.health)],
        vec![
            "held".to_owned(),
            format!("{} objects, {}", status.objects, show_bytes(status.held_bytes)),
        ],
    ];
    for (who, asks) in [("operator", status.drains.operator), ("ISP", status.drains.isp)] {
        if asks {
            rows.push(vec!["asked to drain by".to_owned(), who.to_owned()]);
        }
    }
    if let Some(until) = status.maintained_until {
        rows.push(vec!["under maintenance".to_owned(), format!("until {}", show_moment(until))]);
    }
    for one in &status.certificates {
        let (made, ends) = (show_moment(one.made_at), show_moment(one.expires_at));
        rows.push(vec!["certificate".to_owned(), format!("{}, {made} to {ends}", one.fingerprint)]);
    }
    if let Some(domain) = &status.record.detail.failure_domain {
        rows.push(vec!["fails with".to_owned(), domain.clone()]);
    }
    for window in &status.record.detail.maintenance {
        let (from, until) = (show_moment(window.from), show_moment(window.until));
        rows.push(vec!["maintenance".to_owned(), format!("{from} to {until}")]);
    }
    if let Some(report) = &status.report {
        rows.push(vec!["members reach it at".to_owned(), report.media_url.clone()]);
        rows.push(vec!["connections".to_owned(), report.connections.to_string()]);
        rows.push(vec!["sending".to_owned(), show_rate(report.sending_bps)]);
        let answered = format!("{}, of them {} errors", report.requests_total, report.errors_total);
        rows.push(vec!["answered".to_owned(), answered]);
        if let Some(machine) = &report.more.machine {
            let percent = |per_mille: u32| format!("{} %", per_mille / 10);
            rows.push(vec!["processor".to_owned(), percent(machine.cpu_per_mille)]);
            rows.push(vec!["port".to_owned(), percent(machine.nic_per_mille)]);
            rows.push(vec!["from memory".to_owned(), percent(machine.hot_per_mille)]);
            let first_byte = format!("{} ms", machine.first_byte_ms);
            rows.push(vec!["time to first byte".to_owned(), first_byte]);
        }
        for volume in &report.volumes {
            let used = show_bytes(volume.used_bytes);
            let all = show_bytes(volume.capacity_bytes);
            let sick = if volume.healthy { "" } else { ", SICK" };
            let name = format!("{} {}", word(&volume.class), volume.path);
            rows.push(vec![name, format!("{used} of {all}{sick}")]);
        }
    }
    Ok(Shown::table(status, &[appliance.as_str(), ""], rows, ""))
}
