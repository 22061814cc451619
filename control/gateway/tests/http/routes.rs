//! Routes over HTTP: what an ISP may announce, files taken in, the table, an ISP examined.

use control_client::Credential;
use control_gateway::{RouteDesk, RouteDeskError};
use control_store::ledger::AskedBy;
use control_types::ErrorWord;
use control_types::fleet::Site;
use control_types::routes::{IspNetworks, RouteChangeKind, RoutesReport};

use crate::lab::{Lab, now};

async fn lab() -> Lab {
    let lab = Lab::start().await;
    lab.site("lisbon", "tejo", &["11.1.0.0/16"]).await;
    lab.site("porto", "tejo", &[]).await;
    lab.site("braga", "douro", &["12.0.0.0/8"]).await;
    let failed = lab.services.routes.follow(|| lab.services.steering.sites(), now()).await;
    assert!(failed.is_empty(), "{failed:?}");
    lab
}

fn networks(isp: &str, asns: &[u32], networks: &[&str]) -> IspNetworks {
    let networks = networks.iter().map(|text| (*text).to_owned()).collect();
    IspNetworks { isp: isp.parse().unwrap(), asns: asns.to_vec(), networks }
}

/// `prefix site+site`, longest first.
async fn covers(lab: &Lab, ip: &str) -> Vec<String> {
    let covers = lab.operator().lookup_route(ip.parse().unwrap()).await.unwrap();
    covers
        .iter()
        .map(|cover| {
            let sites: Vec<&str> = cover.choices.iter().map(|offer| offer.site.as_str()).collect();
            format!("{} {}", cover.prefix, sites.join("+"))
        })
        .collect()
}

fn kinds(report: &RoutesReport) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.kind.as_str()).collect()
}

#[tokio::test]
async fn a_file_counts_where_its_isp_is_registered() {
    let lab = lab().await;
    let operator = lab.operator();
    operator
        .register_networks(&networks("tejo", &[], &["11.0.0.0/8", "2a00:1::/32"]))
        .await
        .unwrap();
    let file = b"prefix,as_path_len,origin,med\n11.1.0.0/16,2,igp,10\n11.7.0.0/16\n12.5.0.0/16\n\
                 {\"prefix\": \"2a00:1:2::/48\", \"as_path_len\": 3}\n0.0.0.0/0\n";
    let done = operator.import_routes(&"porto".parse().unwrap(), file.to_vec()).await.unwrap();
    assert_eq!((done.routes, done.honoured), (5, 3));
    assert_eq!(covers(&lab, "11.1.2.3").await, ["11.1.0.0/16 lisbon+porto"]);
    assert_eq!(covers(&lab, "2a00:1:2::9").await, ["2a00:1:2::/48 porto"]);
    assert_eq!(covers(&lab, "12.5.0.1").await, ["12.0.0.0/8 braga"]);

    let refused = operator.refused_routes().await.unwrap();
    let shown: Vec<_> = refused.iter().map(|one| (&*one.prefix, &*one.reason)).collect();
    assert_eq!(shown, [("0.0.0.0/0", "default_route"), ("12.5.0.0/16", "foreign")]);
    let status = operator.routes().await.unwrap();
    assert_eq!((status.routes, status.refused, status.prefixes), (5, 2, 4));
    let report = operator.examine_routes(&"tejo".parse().unwrap()).await.unwrap();
    assert!(kinds(&report).starts_with(&["leak", "leak"]), "{report:?}");

    let metrics = reqwest::get(format!("{}/metrics", lab.url)).await.unwrap().text().await.unwrap();
    for line in [
        "control_routes_prefixes 4",
        "control_routes_held{verdict=\"refused\"} 2",
        "control_routes_refused_total{reason=\"foreign\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in:\n{metrics}");
    }
    operator.forget_routes(&"porto".parse().unwrap()).await.unwrap();
    assert!(covers(&lab, "2a00:1:2::9").await.is_empty());
    let of_isp = async |isp: &str| operator.make_isp_key(&isp.parse().unwrap()).await;
    let tejo = Credential::Operator(of_isp("tejo").await.unwrap().key);
    let douro = Credential::Operator(of_isp("douro").await.unwrap().key);
    let isp = "tejo".parse().unwrap();
    assert!(lab.nobody().with_credential(tejo).examine_routes(&isp).await.is_ok());
    let error = lab.nobody().with_credential(douro).examine_routes(&isp).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Forbidden));
    let again = operator.forget_routes(&"porto".parse().unwrap()).await.unwrap_err();
    assert_eq!(again.word(), Some(ErrorWord::NotFound));
}

#[tokio::test]
async fn registrations_and_files_survive_a_restart() {
    let mut lab = lab().await;
    let operator = lab.operator();
    let own = networks("tejo", &[65_001], &["11.0.0.0/8"]);
    operator.register_networks(&own).await.unwrap();
    let site = "porto".parse().unwrap();
    operator.import_routes(&site, b"11.9.0.0/16\n".to_vec()).await.unwrap();
    lab.restart().await;
    let failed = lab.services.routes.follow(|| lab.services.steering.sites(), now()).await;
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(lab.operator().registered_networks().await.unwrap(), [own]);
    // A text file names no AS, and the ISP registered one: an AS is asked of routers' words only.
    let refused = lab.operator().refused_routes().await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(covers(&lab, "11.9.0.1").await, ["11.9.0.0/16 porto"]);
}

/// Whether a desk sees any prefix at an address.
fn desk_sees(desk: &RouteDesk, address: &str) -> bool {
    desk.routes().table().lookup(address.parse().unwrap()).longest().is_some()
}

#[tokio::test]
async fn another_process_follows_and_is_refused_what_the_first_one_gave_away() {
    let lab = lab().await;
    let operator = lab.operator();
    let sites = || lab.services.steering.sites();
    let other = lab.other_route_desk().await;
    assert!(other.follow(sites, now()).await.is_empty());
    operator.register_networks(&networks("tejo", &[], &["11.0.0.0/8"])).await.unwrap();
    let porto = "porto".parse().unwrap();
    operator.import_routes(&porto, b"11.9.0.0/16\n".to_vec()).await.unwrap();
    assert!(!desk_sees(&other, "11.9.0.1"));
    assert!(other.follow(sites, now()).await.is_empty());
    assert!(desk_sees(&other, "11.9.0.1"));

    // The other process has not looked since; the ledger makes it look before it gives away twice.
    operator
        .register_networks(&networks("tejo", &[], &["11.0.0.0/8", "13.0.0.0/8"]))
        .await
        .unwrap();
    let by = AskedBy { who: "somebody", at: now() };
    let claim = networks("douro", &[], &["13.4.0.0/16"]);
    let refused = other.register(&claim, sites, by).await.unwrap_err();
    assert!(matches!(refused, RouteDeskError::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("registered to tejo"), "{refused}");

    // A network may pass from one ISP to another while a process is not looking.
    operator.register_networks(&networks("tejo", &[], &["11.0.0.0/8"])).await.unwrap();
    let given = networks("douro", &[], &["13.0.0.0/8"]);
    operator.register_networks(&given).await.unwrap();
    operator.forget_routes(&porto).await.unwrap();
    assert!(other.follow(sites, now()).await.is_empty());
    assert!(!desk_sees(&other, "11.9.0.1"));
    assert_eq!(
        other.registrations().await.unwrap(),
        [given, networks("tejo", &[], &["11.0.0.0/8"])]
    );

    let changes = operator.route_changes().await.unwrap();
    let told: Vec<_> = changes.iter().map(|one| (one.what, one.subject.as_str())).collect();
    let registered = RouteChangeKind::Registered;
    assert_eq!(
        told,
        [
            (RouteChangeKind::FileForgotten, "porto"),
            (registered, "douro"),
            (registered, "tejo"),
            (registered, "tejo"),
            (RouteChangeKind::FileTaken, "porto"),
            (registered, "tejo"),
        ]
    );
    assert_eq!(changes[0].by, "the operator, from 127.0.0.1");
    assert!(changes[0].at <= now() && changes[0].at >= changes[5].at);
}

#[tokio::test]
async fn files_of_an_earlier_version_are_taken_over_once() {
    let lab = lab().await;
    let (desk, dir) = (&lab.services.routes, lab.routes_dir());
    std::fs::create_dir_all(dir).unwrap();
    let kept = [networks("tejo", &[], &["11.0.0.0/8"])];
    std::fs::write(dir.join("networks.json"), serde_json::to_vec(&kept).unwrap()).unwrap();
    std::fs::write(dir.join("porto.routes"), b"11.9.0.0/16\n").unwrap();
    std::fs::write(dir.join("braga.routes"), b"no routes\n").unwrap();
    std::fs::write(dir.join("nowhere.routes"), b"11.8.0.0/16\n").unwrap();
    let sites = || lab.services.steering.sites();
    let failed = desk.take_over(dir, sites, now()).await;
    assert!(matches!(failed[..], [RouteDeskError::Unreadable(_)]), "{failed:?}");
    assert!(desk_sees(desk, "11.9.0.1"));
    assert_eq!(desk.registrations().await.unwrap(), kept);
    let mut left: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let (aside, stays) =
        (["networks.json.in-ledger", "porto.routes.in-ledger"], ["braga.routes", "nowhere.routes"]);
    assert_eq!(left, [stays[0], aside[0], stays[1], aside[1]]);
    let generation = desk.changes().await.unwrap()[0].generation;
    let again = desk.take_over(dir, sites, now()).await;
    assert!(matches!(again[..], [RouteDeskError::Unreadable(_)]), "{again:?}");
    assert_eq!(desk.changes().await.unwrap()[0].generation, generation, "nothing is taken twice");
}

#[tokio::test]
async fn a_site_that_changes_hands_is_judged_at_once() {
    let lab = lab().await;
    let operator = lab.operator();
    operator.register_networks(&networks("tejo", &[], &["11.0.0.0/8"])).await.unwrap();
    let porto = "porto".parse().unwrap();
    let file = b"11.9.0.0/16\n12.9.0.0/16\n".to_vec();
    operator.import_routes(&porto, file).await.unwrap();
    assert_eq!(covers(&lab, "11.9.0.1").await, ["11.9.0.0/16 porto"]);
    lab.site("porto", "douro", &[]).await;
    assert!(covers(&lab, "11.9.0.1").await.is_empty());
    assert_eq!(covers(&lab, "12.9.0.1").await, ["12.9.0.0/16 porto", "12.0.0.0/8 braga"]);
}

/// The lab's sites with one record told anew.
fn told_anew(lab: &Lab, id: &str, isp: &str, prefixes: &[&str]) -> Vec<Site> {
    let mut sites = lab.services.steering.sites();
    let site = sites.iter_mut().find(|site| site.id.as_str() == id).unwrap();
    site.isp = isp.parse().unwrap();
    site.prefixes = prefixes.iter().map(|text| (*text).to_owned()).collect();
    sites
}

#[tokio::test]
async fn a_file_that_takes_long_costs_no_site_that_was_registered_meanwhile() {
    let lab = lab().await;
    let desk = lab.other_route_desk().await;
    let sites = || lab.services.steering.sites();
    let (porto, by) = (sites().remove(2), AskedBy { who: "somebody", at: now() });
    assert_eq!(porto.id.as_str(), "porto");
    // Begun with the sites as they are, and not read to its end before there is another one.
    let importing = desk.import(&porto, b"11.1.9.0/24\n".to_vec(), sites, by);
    lab.site("faro", "algarve", &["13.0.0.0/8"]).await;
    assert!(desk.follow(sites, now()).await.is_empty());
    importing.await.unwrap();
    assert!(desk_sees(&desk, "13.0.0.1"), "its routes stay");
}

#[tokio::test]
async fn prefixes_pass_between_sites_while_a_process_is_not_looking() {
    let lab = lab().await;
    let desk = lab.other_route_desk().await;
    assert!(desk.follow(|| lab.services.steering.sites(), now()).await.is_empty());
    let mut sites = told_anew(&lab, "lisbon", "tejo", &["12.0.0.0/8"]);
    sites[0].prefixes = vec!["11.1.0.0/16".to_owned()];
    assert_eq!(sites[0].id.as_str(), "braga");
    let failed = desk.follow(|| sites.clone(), now()).await;
    assert!(failed.is_empty(), "{failed:?}");
    let site_at = |address: &str| {
        let table = desk.routes().table();
        let site = table.lookup(address.parse().unwrap()).longest().unwrap().choices[0].site;
        table.names().site(site).unwrap().to_string()
    };
    assert_eq!((&*site_at("11.1.0.1"), &*site_at("12.0.0.1")), ("braga", "lisbon"));
}

#[tokio::test]
async fn a_record_that_could_not_be_in_force_leaves_no_trace_when_it_turns_back() {
    let lab = lab().await;
    let desk = lab.other_route_desk().await;
    let before = told_anew(&lab, "porto", "tejo", &["14.0.0.0/8"]);
    assert!(desk.follow(|| before.clone(), now()).await.is_empty());
    let wrong = told_anew(&lab, "porto", "douro", &["11.1.5.0/24"]);
    for _ in 0..2 {
        let failed = desk.follow(|| wrong.clone(), now()).await;
        assert!(matches!(failed[..], [RouteDeskError::Refused(_)]), "{failed:?}");
    }
    assert!(!desk_sees(&desk, "14.0.0.1"));
    assert!(desk.follow(|| before.clone(), now()).await.is_empty());
    assert!(desk_sees(&desk, "14.0.0.1"));
}

#[tokio::test]
async fn mistakes_are_told_and_change_nothing() {
    let lab = lab().await;
    let operator = lab.operator();
    let claimed = networks("tejo", &[], &["12.1.0.0/16"]);
    let error = operator.register_networks(&claimed).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Conflict));
    assert!(error.to_string().contains("registered to douro"), "{error}");
    for bad in ["11.0.0.0", "0.0.0.0/0", "11.1.2.3/8"] {
        let error = operator.register_networks(&networks("tejo", &[], &[bad])).await.unwrap_err();
        assert_eq!(error.word(), Some(ErrorWord::BadRequest), "{bad}");
    }
    let site = "porto".parse().unwrap();
    operator.import_routes(&site, b"11.1.9.0/24\n".to_vec()).await.unwrap();
    let file = b"11.1.0.0/16\n11.1.0.0/40\n11.2.0.1/16\nx\n".to_vec();
    let error = operator.import_routes(&site, file).await.unwrap_err().to_string();
    for part in ["line 2", "line 3 11.2.0.1/16 has bits", "line 4"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(covers(&lab, "11.1.9.1").await[0], "11.1.9.0/24 porto", "the last file stays");
    let error = operator.import_routes(&"nowhere".parse().unwrap(), vec![]).await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::NotFound));
    let error = lab.nobody().routes().await.unwrap_err();
    assert_eq!(error.word(), Some(ErrorWord::Unauthenticated));
}
