//! `ocactl site`: where appliances stand.

use clap::Subcommand;
use control_client::ControlClient;
use control_types::{IspId, SiteId, fleet};

use crate::failure::Failure;
use crate::shown::Shown;

#[derive(Subcommand)]
pub enum Site {
    /// All sites.
    Ls,
    /// Register or replace a site.
    Put {
        /// Its id.
        site: SiteId,
        /// Who racks it.
        #[arg(long)]
        isp: IspId,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// Latitude and longitude, degrees, for example 52.37,4.90.
        #[arg(long, value_parser = degrees, default_value = "0,0", allow_hyphen_values = true)]
        at: (f64, f64),
        /// A member network the site serves, CIDR; may be given several times.
        #[arg(long)]
        prefix: Vec<String>,
        /// All its boxes fail together: no two of them are a member's first two choices.
        #[arg(long)]
        fails_as_one: bool,
    },
}

fn degrees(text: &str) -> Result<(f64, f64), String> {
    let refuse = || format!("{text:?} is not a place: write latitude,longitude such as 52.37,4.90");
    let (latitude, longitude) = text.split_once(',').ok_or_else(refuse)?;
    let number = |text: &str, max: f64| {
        let value: f64 = text.trim().parse().ok()?;
        (value.abs() <= max).then_some(value)
    };
    let place = number(latitude, 90.0).zip(number(longitude, 180.0));
    place.ok_or_else(refuse)
}

/// Runs one verb.
///
/// # Errors
/// What control said.
pub async fn run(verb: &Site, control: &ControlClient) -> Result<Shown, Failure> {
    match verb {
        Site::Ls => {
            let sites = control.sites().await?;
            let rows = sites.iter().map(|site| {
                let place = format!("{:.2},{:.2}", site.latitude, site.longitude);
                let prefixes = site.prefixes.join(" ");
                vec![site.id.to_string(), site.isp.to_string(), site.name.clone(), place, prefixes]
            });
            let head = ["site", "isp", "name", "at", "prefixes"];
            Ok(Shown::table(&sites, &head, rows.collect(), "no sites yet: `ocactl site put`"))
        }
        Site::Put { site, isp, name, at, prefix, fails_as_one } => {
            let record = fleet::Site {
                id: site.clone(),
                isp: isp.clone(),
                name: name.clone().unwrap_or_else(|| site.to_string()),
                latitude: at.0,
                longitude: at.1,
                prefixes: prefix.clone(),
                fails_as_one: *fails_as_one,
            };
            control.put_site(&record).await?;
            Ok(Shown::new(&record, format!("{site} is registered")))
        }
    }
}
