//! `[bgp]`: where routers' BMP sessions come in, and which router speaks for which site.
//! Knows no site; whether one is registered shows when its router connects.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use control_routes::View;
use control_routes::limits::STALE_MS_DEFAULT;
use control_types::{ApplianceId, SiteId};

use super::section::Section;
use crate::limits::ROUTERS_MAX;

/// What an operator may choose about routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BgpConfig {
    /// Where routers connect with BMP; absent: no listener. Danger: BMP has no keys, a router is
    /// known by its address; listen where only routers reach.
    pub bmp_listen: Option<SocketAddr>,
    /// How long routes of a lost session stay, milliseconds, 0 to 24 h. Default 5 min.
    pub stale_ms: u64,
    /// GeoIP database in MaxMind's format, the last tie-break; absent: none.
    pub geo_file: Option<PathBuf>,
    /// Every router that may connect.
    pub routers: Vec<RouterConfig>,
}

/// One `[[bgp.router]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    /// Address it connects from.
    pub address: IpAddr,
    /// The site its routes are announced to.
    pub site: SiteId,
    /// The only box they are announced to; absent: all of the site.
    pub appliance: Option<ApplianceId>,
    /// Peers of it that are boxes: `"10.0.0.5=edge-a1"`.
    pub boxes: Vec<(IpAddr, ApplianceId)>,
    /// The only view taken: `in_pre`, `in_post`, `out_pre`, `out_post` or `loc_rib`; absent: all
    /// that come.
    pub view: Option<View>,
}

impl Default for BgpConfig {
    fn default() -> Self {
        let (bmp_listen, geo_file, routers) = (None, None, Vec::new());
        Self { bmp_listen, stale_ms: STALE_MS_DEFAULT, geo_file, routers }
    }
}

pub(super) fn parse_bgp(top: &mut Section) -> BgpConfig {
    let Some(mut bgp) = top.optional_section("bgp") else { return BgpConfig::default() };
    let bmp_listen = bgp.optional_text("bmp_listen").and_then(|text| {
        let parsed = text.parse::<SocketAddr>();
        if parsed.is_err() {
            bgp.mistake("bmp_listen", format!("{text:?} is not an address; write 10.0.0.1:11019"));
        }
        parsed.ok()
    });
    let stale_ms = bgp.number("stale_ms", 0..=86_400_000, STALE_MS_DEFAULT);
    let geo_file = bgp.optional_text("geo_file").map(PathBuf::from);
    let tables = bgp.sections("router");
    if tables.len() > ROUTERS_MAX {
        bgp.mistake("router", format!("{} routers are more than {ROUTERS_MAX}", tables.len()));
    }
    let mut routers: Vec<RouterConfig> = Vec::new();
    for mut table in tables {
        if let Some(router) = parse_router(&mut table) {
            if routers.iter().any(|other| other.address == router.address) {
                table.mistake("address", format!("{} is given twice", router.address));
            }
            routers.push(router);
        }
        bgp.close(table);
    }
    if bmp_listen.is_none() && !routers.is_empty() {
        bgp.mistake("bmp_listen", "is missing, and routers are given; write 10.0.0.1:11019");
    }
    top.close(bgp);
    BgpConfig { bmp_listen, stale_ms, geo_file, routers }
}

fn parse_router(table: &mut Section) -> Option<RouterConfig> {
    let address = table.text("address").and_then(|text| {
        let parsed = text.parse::<IpAddr>();
        if parsed.is_err() {
            table.mistake("address", format!("{text:?} is not an address; write 192.0.2.1"));
        }
        parsed.ok().map(|address| address.to_canonical())
    });
    let site = table
        .text("site")
        .and_then(|text| text.parse().map_err(|error| table.mistake("site", error)).ok());
    let appliance = table
        .optional_text("appliance")
        .and_then(|text| text.parse().map_err(|error| table.mistake("appliance", error)).ok());
    let mut boxes = Vec::new();
    for text in table.texts("boxes") {
        let parts = text.split_once('=').and_then(|(address, appliance)| {
            Some((address.trim().parse().ok()?, appliance.trim().parse().ok()?))
        });
        match parts {
            Some(named) => boxes.push(named),
            None => table.mistake("boxes", format!("{text:?}: write \"10.0.0.5=edge-a1\"")),
        }
    }
    let view = table.optional_text("view").and_then(|text| {
        let view = View::of(&text);
        if view.is_none() {
            let all = "in_pre, in_post, out_pre, out_post or loc_rib";
            table.mistake("view", format!("{text:?} is no view: {all}"));
        }
        view
    });
    Some(RouterConfig { address: address?, site: site?, appliance, boxes, view })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const LEAST: &str = "state_dir = \"/s\"\n[listen]\naddr = \"127.0.0.1:0\"\n\
                         [operator]\nkey_file = \"/k\"\n";

    #[test]
    fn routers_are_read() {
        let text = format!(
            "{LEAST}[bgp]\nbmp_listen = \"127.0.0.1:0\"\nstale_ms = 7\n[[bgp.router]]\n\
             address = \"192.0.2.1\"\nsite = \"lisbon\"\nview = \"in_post\"\n\
             boxes = [\"10.0.0.5=edge-a1\"]\n"
        );
        let bgp = Config::parse(&text).unwrap().bgp;
        assert_eq!((bgp.stale_ms, bgp.routers.len()), (7, 1));
        assert_eq!(bgp.routers[0].boxes[0].1.as_str(), "edge-a1");
        assert!(Config::parse(LEAST).unwrap().bgp.bmp_listen.is_none());
    }

    #[test]
    fn every_mistake_about_routers_is_said() {
        let text = format!(
            "{LEAST}[bgp]\nstale_ms = -1\n[[bgp.router]]\naddress = \"here\"\nsite = \"A B\"\n\
             view = \"sideways\"\nboxes = [\"x\"]\ncolour = 1\n[[bgp.router]]\n\
             address = \"192.0.2.1\"\nsite = \"a\"\n[[bgp.router]]\naddress = \"192.0.2.1\"\n\
             site = \"a\"\n"
        );
        let all = Config::parse(&text).unwrap_err().join("\n");
        for part in [
            "bgp.stale_ms",
            "\"here\" is not an address",
            "bgp.router[0].site",
            "sideways",
            "10.0.0.5=edge-a1",
            "bgp.router[0].colour",
            "192.0.2.1 is given twice",
            "bgp.bmp_listen",
        ] {
            assert!(all.contains(part), "{part} is missing in:\n{all}");
        }
    }
}
