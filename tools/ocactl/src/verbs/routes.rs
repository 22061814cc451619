//! `ocactl routes`: what ISPs announce, what they may, and what is wrong with it.
//! Talks to no router; control holds the routes.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Subcommand;
use control_client::ControlClient;
use control_types::routes::{IspNetworks, RouteChangeKind, RouteFeed, RoutesReport};
use control_types::{IspId, SiteId};
use serde_json::json;

use crate::connect;
use crate::failure::Failure;
use crate::quantities::show_moment;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Routes {
    /// The table and who feeds it: routers' sessions, files, sites' own records.
    Status,
    /// The prefixes that hold an address, longest first.
    Lookup {
        /// The address.
        ip: IpAddr,
    },
    /// Routes that are held and not honoured, with the reason.
    Refused,
    /// What an ISP's engineer should look at, worst first. Exit code 1 when there is something.
    Doctor {
        /// Whose routes.
        isp: IspId,
    },
    /// Register what an ISP may announce beyond its sites' own prefixes; with neither option,
    /// forget it.
    Register {
        /// Which.
        isp: IspId,
        /// A network, CIDR; may be given several times.
        #[arg(long)]
        network: Vec<String>,
        /// An ASN of its routers; may be given several times; none: any.
        #[arg(long)]
        asn: Vec<u32>,
    },
    /// Every ISP's registration.
    Registered,
    /// Who registered networks or took files in, and when; newest first.
    Changes,
    /// Take in a file for a site, in place of the last one: MRT, CSV or JSON lines, plain, gzip or
    /// bzip2, at most 8 MiB (a larger one goes to state_dir/routes/SITE.routes before control
    /// starts).
    Import {
        /// The file.
        file: PathBuf,
        /// The site its routes are announced to.
        #[arg(long)]
        site: SiteId,
    },
    /// Forget the file taken in for a site.
    Forget {
        /// Which.
        site: SiteId,
    },
}

/// Runs one verb.
///
/// # Errors
/// What control said, or a file that cannot be read.
pub async fn run(verb: &Routes, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Routes::Status => status(control).await,
        Routes::Lookup { ip } => lookup(control, *ip).await,
        Routes::Refused => refused(control).await,
        Routes::Doctor { isp } => Ok(doctor(&control.examine_routes(isp).await?)),
        Routes::Register { isp, network, asn } => {
            let (isp, asns, networks) = (isp.clone(), asn.clone(), network.clone());
            let body = IspNetworks { isp, asns, networks };
            control.register_networks(&body).await?;
            let done =
                if network.is_empty() && asn.is_empty() { "forgotten" } else { "registered" };
            Ok(Shown::new(&body, format!("networks of {} are {done}", body.isp)))
        }
        Routes::Registered => {
            let all = control.registered_networks().await?;
            let rows = all.iter().map(|one| {
                let asns: Vec<String> = one.asns.iter().map(|asn| format!("AS{asn}")).collect();
                vec![one.isp.to_string(), asns.join(" "), one.networks.join(" ")]
            });
            let nothing =
                "no ISP has networks beyond its sites' prefixes: `ocactl routes register`";
            Ok(Shown::table(&all, &["isp", "asns", "networks"], rows.collect(), nothing))
        }
        Routes::Changes => changes(control).await,
        Routes::Import { file, site } => {
            let bytes = connect::read(file)?;
            let done = control.import_routes(site, bytes).await?;
            let text = format!(
                "{} routes of {} peers, {} honoured at {site}",
                done.routes, done.peers, done.honoured
            );
            Ok(Shown::new(&done, text))
        }
        Routes::Forget { site } => {
            control.forget_routes(site).await?;
            let text = format!("the file of {site} is forgotten");
            Ok(Shown::new(&json!({ "forgotten": site }), text))
        }
    }
}

async fn changes(control: &ControlClient) -> Result<Shown, Failure> {
    let changes = control.route_changes().await?;
    let rows = changes.iter().map(|one| {
        let what = match one.what {
            RouteChangeKind::Registered => "registered",
            RouteChangeKind::Unregistered => "unregistered",
            RouteChangeKind::FileTaken => "file taken",
            RouteChangeKind::FileForgotten => "file forgotten",
        };
        let (at, subject) = (show_moment(one.at), one.subject.clone());
        vec![at, what.to_owned(), subject, one.detail.clone(), one.by.clone()]
    });
    let head = ["when", "what", "of", "how much", "by"];
    Ok(Shown::table(&changes, &head, rows.collect(), "nobody changed anything yet"))
}

async fn status(control: &ControlClient) -> Result<Shown, Failure> {
    let status = control.routes().await?;
    let rows = status.feeds.iter().map(|feed| {
        let RouteFeed { name, peer, site, source, prefixes, lost_total, .. } = feed;
        let state = if feed.stale_until.is_some() { "lost, held" } else { "up" };
        let place = match &feed.appliance {
            Some(appliance) => format!("{site}/{appliance}"),
            None => site.to_string(),
        };
        let count = |number: u64| number.to_string();
        let state = state.to_owned();
        let (prefixes, lost) = (count(*prefixes), count((*lost_total).into()));
        vec![name.clone(), peer.clone(), place, source.clone(), state, prefixes, lost]
    });
    let head = ["feed", "peer", "announced to", "source", "state", "prefixes", "lost"];
    let nothing = "nobody feeds the table: register a site, or connect a router by BMP";
    let mut shown = Shown::table(&status, &head, rows.collect(), nothing);
    let mut total = format!(
        "{} prefixes, {} routes honoured, {} refused",
        status.prefixes, status.routes, status.refused
    );
    for (reason, count) in &status.refused_total {
        // Writing to a String cannot fail.
        let _ = write!(total, ", {reason} {count} times");
    }
    shown.text = format!("{total}\n{}", shown.text);
    Ok(shown)
}

async fn lookup(control: &ControlClient, ip: IpAddr) -> Result<Shown, Failure> {
    let covers = control.lookup_route(ip).await?;
    let mut rows = Vec::new();
    for cover in &covers {
        for offer in &cover.choices {
            let place = match &offer.appliance {
                Some(appliance) => format!("{}/{appliance}", offer.site),
                None => offer.site.to_string(),
            };
            let path = offer.as_path_len.to_string();
            let stale = if offer.stale { "stale" } else { "" }.to_owned();
            rows.push(vec![
                cover.prefix.clone(),
                place,
                offer.isp.to_string(),
                path,
                offer.origin.clone(),
                offer.med.to_string(),
                offer.source.clone(),
                stale,
            ]);
        }
    }
    let head = ["prefix", "announced to", "isp", "as path", "origin", "med", "source", ""];
    let nothing = format!("no announced prefix holds {ip}");
    Ok(Shown::table(&covers, &head, rows, &nothing))
}

async fn refused(control: &ControlClient) -> Result<Shown, Failure> {
    let refused = control.refused_routes().await?;
    let rows = refused.iter().map(|route| {
        let (isp, site) = (route.isp.to_string(), route.site.to_string());
        let first = format!("AS{}", route.first_as);
        let (name, peer) = (route.name.clone(), route.peer.clone());
        vec![route.prefix.clone(), route.reason.clone(), isp, site, name, peer, first]
    });
    let head = ["prefix", "reason", "isp", "site", "feed", "peer", "first AS"];
    Ok(Shown::table(&refused, &head, rows.collect(), "no route is refused"))
}

/// Findings as paragraphs: sentences do not fit a table.
fn doctor(report: &RoutesReport) -> Shown {
    let RoutesReport { isp, prefixes, findings } = report;
    if findings.is_empty() {
        return Shown::new(report, format!("{isp}: {prefixes} prefixes, nothing wrong"));
    }
    let mut text = format!("{isp}: {prefixes} prefixes, {} findings\n", findings.len());
    for finding in findings {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n[{}] {}\n  cure: {}\n", finding.kind, finding.what, finding.cure);
        if !finding.prefixes.is_empty() {
            let more = finding.count.saturating_sub(finding.prefixes.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(text, "  {}{more}", finding.prefixes.join(" "));
        }
    }
    Shown { exit: 1, ..Shown::new(report, text) }
}
