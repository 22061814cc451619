//! `ocactl window`: when fill may run, how fast and how much.

use clap::{Args, Subcommand};
use control_client::ControlClient;
use control_types::fill::{NewWindow, Window, WindowScope};
use control_types::{ApplianceId, IspId, SiteId, UnixMillis, WindowId};

use crate::failure::Failure;
use crate::quantities::{
    duration_ms, moment, rate_bps, show_bytes, show_moment, show_rate, size_bytes,
};
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum WindowVerb {
    /// Open a window, now or at a given moment.
    Open(Open),
    /// All windows that are not over.
    Ls,
    /// Close a window before its time; agents stop within a second of their next poll.
    Close {
        /// Which.
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
    /// For the whole fleet.
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
/// What control said.
pub async fn run(verb: &WindowVerb, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        WindowVerb::Open(open) => {
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
            let text =
                format!("{} for {}: {opens} to {closes}", window.id, scope_text(&window.scope));
            Ok(Shown::new(&window, text))
        }
        WindowVerb::Ls => {
            let windows = control.windows().await?;
            let rows = windows.iter().map(row).collect();
            let head = ["window", "for", "opens", "closes", "rate", "bytes", "closed"];
            Ok(Shown::table(&windows, &head, rows, "no windows: fill waits; `ocactl window open`"))
        }
        WindowVerb::Close { window } => {
            let window = control.close_window(window).await?;
            Ok(Shown::new(&window, format!("{} is closed", window.id)))
        }
    }
}

fn row(window: &Window) -> Vec<String> {
    vec![
        window.id.to_string(),
        scope_text(&window.scope),
        show_moment(window.opens_at),
        show_moment(window.closes_at),
        window.rate_bps_max.map_or_else(|| "no cap".to_owned(), show_rate),
        window.bytes_max.map_or_else(|| "no cap".to_owned(), show_bytes),
        if window.closed { "yes" } else { "" }.to_owned(),
    ]
}

fn scope_text(scope: &WindowScope) -> String {
    match scope {
        WindowScope::Appliance(id) => format!("appliance {id}"),
        WindowScope::Site(id) => format!("site {id}"),
        WindowScope::Isp(id) => format!("ISP {id}"),
        WindowScope::Everyone => "everyone".to_owned(),
    }
}
