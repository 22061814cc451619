//! Golden reports: synthetic announcements in, what an ISP's engineer reads out.
//! `NIGHTFILL_WRITE=1` writes `tests/golden/*.txt` anew.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use std::fmt::Write;
use std::path::Path;

use control_routes::{
    Feed, IspNetworks, PrefixPath, RibSettings, Routes, SiteBox, SiteBoxes, Source, examine,
};
use control_types::UnixMillis;
use control_types::fleet::Link;
use control_types::routes::RoutesReport;

struct Case {
    routes: Routes,
    sites: Vec<SiteBoxes>,
}

fn case() -> Case {
    let routes = Routes::new(RibSettings { stale_ms: 60_000 });
    for (isp, asns, networks) in [
        ("tejo", vec![65_001], ["11.0.0.0/8", "2a00:1::/32"]),
        ("douro", vec![], ["12.0.0.0/8", "2a00:2::/32"]),
    ] {
        let networks = networks.map(|text| text.parse().unwrap()).to_vec();
        routes.put_isp(&IspNetworks { isp: isp.parse().unwrap(), asns, networks }).unwrap();
    }
    let site = |site: &str, link: Link, boxes: &[&str], gbps: u64| SiteBoxes {
        site: site.parse().unwrap(),
        boxes: boxes
            .iter()
            .map(|id| SiteBox {
                appliance: id.parse().unwrap(),
                link,
                capacity_bps: gbps * 1_000_000_000,
            })
            .collect(),
    };
    let sites = vec![
        site("lisbon", Link::Embedded, &["edge-a1", "edge-a2", "edge-a3"], 100),
        site("porto", Link::Embedded, &["edge-b1", "edge-b2"], 10),
        site("exchange", Link::PublicPeering, &["edge-c1", "edge-c2"], 400),
        site("faro", Link::Embedded, &["edge-d1"], 10),
    ];
    Case { routes, sites }
}

impl Case {
    /// A session that announces; `appliance` empty: to the whole site.
    fn says(&self, site: &str, appliance: &str, announced: &[(&str, u16)]) -> &Self {
        let feed = Feed {
            name: format!("router of {site}"),
            peer: format!("peer {appliance}"),
            peer_as: 65_001,
            site: site.parse().unwrap(),
            appliance: (!appliance.is_empty()).then(|| appliance.parse().unwrap()),
            isp: "tejo".parse().unwrap(),
            source: Source::Bmp,
        };
        self.routes.with(|rib| {
            let key = rib.up(&feed, UnixMillis(0)).unwrap();
            for (prefix, as_path_len) in announced {
                let path = PrefixPath::own(prefix.parse().unwrap());
                rib.announce(key, &PrefixPath { as_path_len: *as_path_len, ..path });
            }
        });
        self
    }

    fn loses(&self, site: &str) {
        self.routes.with(|rib| {
            let key = rib.peer(&format!("router of {site}"), "peer ").unwrap();
            rib.lost(key, UnixMillis(7));
        });
    }

    fn check(&self, name: &str) -> RoutesReport {
        self.routes.publish();
        let table = self.routes.table();
        let isp = "tejo".parse().unwrap();
        let report = self.routes.with(|rib| examine(rib, &table, &isp, &self.sites));
        let text = shown(&report);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
        if std::env::var_os("NIGHTFILL_WRITE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{name}: not what {} says", path.display());
        report
    }
}

fn shown(report: &RoutesReport) -> String {
    let mut text = format!("{}: {} prefixes\n", report.isp, report.prefixes);
    for finding in &report.findings {
        writeln!(text, "\n[{}] {} x {}", finding.kind, finding.count, finding.what).unwrap();
        writeln!(text, "  cure: {}\n  {}", finding.cure, finding.prefixes.join(" ")).unwrap();
    }
    text
}

#[test]
fn a_clean_isp_has_no_findings() {
    let case = case();
    case.says("lisbon", "", &[("11.0.0.0/9", 1), ("2a00:1::/32", 1)]);
    case.says("porto", "", &[("11.0.0.0/9", 2), ("11.128.0.0/9", 1), ("2a00:1::/32", 2)]);
    assert!(case.check("clean").findings.is_empty());
}

#[test]
fn uneven_sites_and_single_boxes() {
    let case = case();
    case.says("lisbon", "edge-a1", &[("11.1.0.0/16", 1), ("11.2.0.0/16", 1), ("11.3.0.0/16", 1)]);
    case.says("lisbon", "edge-a2", &[("11.1.0.0/16", 1), ("11.2.0.0/16", 1)]);
    case.says("lisbon", "edge-a3", &[("11.1.0.0/16", 1)]);
    case.says("faro", "", &[("11.9.0.0/16", 1), ("11.10.0.0/16", 1)]);
    // A whole-site announcement beside those of single boxes makes it even.
    case.says("lisbon", "", &[("11.4.0.0/16", 1)]).says("lisbon", "edge-a1", &[("11.4.0.0/16", 1)]);
    case.check("uneven");
}

#[test]
fn leaks_of_every_kind() {
    let case = case();
    let many: Vec<String> = (0..40).map(|at| format!("13.{at}.0.0/16")).collect();
    let many: Vec<(&str, u16)> = many.iter().map(|text| (text.as_str(), 1)).collect();
    case.says("lisbon", "", &many);
    case.says(
        "porto",
        "",
        &[
            ("0.0.0.0/0", 1),
            ("::/0", 1),
            ("11.0.0.0/7", 1),
            ("10.0.0.0/8", 1),
            ("12.1.0.0/16", 1),
            ("2a00:2:3::/48", 1),
            ("11.1.0.0/16", 1),
        ],
    );
    case.check("leaks");
}

#[test]
fn more_specifics_that_pull_the_wrong_way() {
    let case = case();
    case.says("lisbon", "", &[("11.0.0.0/8", 1), ("11.5.0.0/16", 1), ("11.7.0.0/16", 1)]);
    // Worse by link, by the way, by room; and two that are right: also at the better site, and at
    // a better site than the covering one.
    case.says("exchange", "", &[("11.1.0.0/16", 1), ("11.5.0.0/16", 1)]);
    case.says("porto", "", &[("11.2.0.0/16", 4), ("11.3.0.0/16", 1)]);
    case.says("exchange", "", &[("2a00:1::/32", 1)]).says("porto", "", &[("2a00:1:5::/48", 1)]);
    // The next covering prefix is asked, not the widest.
    case.says("porto", "", &[("11.7.8.0/24", 1)]);
    case.check("wrong-way");
}

#[test]
fn lost_sessions_are_told_before_their_routes_go() {
    let case = case();
    case.says("lisbon", "", &[("11.1.0.0/16", 1), ("11.2.0.0/16", 1)]);
    case.says("porto", "", &[("11.1.0.0/16", 1), ("11.2.0.0/16", 1)]);
    case.loses("lisbon");
    case.check("stale");
    case.routes.with(|rib| rib.expire(UnixMillis(100_000)));
    assert!(case.check("expired").findings.is_empty());
}
