//! Story: an ISP's announcements reach decisions through a real GoBGP router and BMP, change as
//! the ISP changes them, outlive a lost session for a while, and are refused where they are not its
//! own.

mod bgp_lab;

use bgp_lab::{BgpLab, RouterKind, missing};
use nightfill_harness::Trouble;

#[tokio::test(flavor = "multi_thread")]
async fn routes_come_change_outlive_and_go() -> Result<(), Trouble> {
    if let Some(why) = missing(RouterKind::GoBgp) {
        eprintln!("NOT RUN: the GoBGP story: {why}");
        return Ok(());
    }
    let mut lab = BgpLab::start(RouterKind::GoBgp).await?;
    lab.announcer("add 11.1.0.0/16 origin igp med 50").await?;
    lab.announcer("add 11.2.0.0/16").await?;
    lab.announcer("add -a ipv6 2a00:1:2::/48 nexthop fd98::2").await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await?;
    lab.will_see("11.2.0.1", &["11.2.0.0/16 lisbon/1"]).await?;
    lab.will_see("2a00:1:2::9", &["2a00:1:2::/48 lisbon/1"]).await?;

    // What is not the ISP's own is refused, told, and takes nobody's members away.
    lab.announcer("add 12.5.0.0/16").await?;
    lab.announcer("add 0.0.0.0/0").await?;
    lab.announcer("add 11.1.9.0/24").await?;
    lab.will_see("11.1.9.1", &["11.1.9.0/24 lisbon/1", "11.1.0.0/16 lisbon/1"]).await?;
    assert_eq!(lab.refused()?, ["0.0.0.0/0 default_route", "12.5.0.0/16 foreign"]);
    assert_eq!(lab.sees("12.5.0.1")?, ["12.0.0.0/8 braga/0"]);
    assert!(lab.sees("8.8.8.8")?.is_empty());
    let report = lab.ocactl(&["routes", "doctor", "tejo"])?;
    assert_eq!(report["findings"][0]["kind"], "leak", "{report}");

    lab.announcer("del 11.2.0.0/16").await?;
    lab.will_see("11.2.0.1", &[]).await?;

    // The ISP's router dies: its routes are held, told as stale, and then dropped.
    lab.kill_announcer();
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1~"]).await?;
    let report = lab.ocactl(&["routes", "doctor", "tejo"])?;
    let kinds = report["findings"].as_array().into_iter().flatten();
    assert!(kinds.into_iter().any(|one| one["kind"] == "stale"), "{report}");
    lab.will_see("11.1.2.3", &[]).await?;
    lab.will_see("2a00:1:2::9", &[]).await?;
    assert!(lab.metric("control_routes_expired_total ")? >= 1);

    // It comes back.
    lab.start_announcer()?;
    lab.announcer("add 11.1.0.0/16").await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await?;

    // The router that monitors dies: the same through BMP itself.
    lab.kill_router();
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1~"]).await?;
    lab.start_router()?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_changes_hands_while_its_router_speaks() -> Result<(), Trouble> {
    if let Some(why) = missing(RouterKind::GoBgp) {
        eprintln!("NOT RUN: the story of a site that changes hands: {why}");
        return Ok(());
    }
    let lab = BgpLab::start(RouterKind::GoBgp).await?;
    lab.announcer("add 11.1.0.0/16").await?;
    lab.announcer("add 12.5.0.0/16").await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await?;
    lab.will_count("control_routes_held{verdict=\"refused\"} ", 1).await?;
    assert_eq!(lab.refused()?, ["12.5.0.0/16 foreign"]);

    lab.ocactl(&["site", "put", "lisbon", "--isp", "douro"])?;
    // Judged when the command is answered; the session never ended.
    assert!(lab.sees("11.1.2.3")?.is_empty());
    assert_eq!(lab.sees("12.5.0.1")?, ["12.5.0.0/16 lisbon/1", "12.0.0.0/8 braga/0"]);
    assert_eq!(lab.refused()?, ["11.1.0.0/16 foreign"]);
    // What the router says from now on is douro's too.
    lab.announcer("add 12.6.0.0/16").await?;
    lab.will_see("12.6.0.1", &["12.6.0.0/16 lisbon/1", "12.0.0.0/8 braga/0"]).await?;
    assert_eq!(lab.metric("control_bmp_sessions ")?, 1);
    assert_eq!(lab.metric("control_routes_lost_total ")?, 0);

    lab.ocactl(&["site", "put", "lisbon", "--isp", "tejo"])?;
    assert_eq!(lab.sees("11.1.2.3")?, ["11.1.0.0/16 lisbon/1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_its_own_session_only() -> Result<(), Trouble> {
    if let Some(why) = missing(RouterKind::GoBgp) {
        eprintln!("NOT RUN: the garbage story: {why}");
        return Ok(());
    }
    let mut lab = BgpLab::start(RouterKind::GoBgp).await?;
    lab.announcer("add 11.1.0.0/16").await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await?;
    // From an address that is nobody's router.
    lab.send_bmp("c", "hello")?;
    lab.will_count("control_bmp_ended_total{reason=\"unknown_router\"} ", 1).await?;
    assert_eq!(lab.sees("11.1.2.3")?, ["11.1.0.0/16 lisbon/1"]);
    // From the router's own address: it replaces the router's session, and ends by itself. What
    // the router said is held, and fresh again when the router is back.
    lab.kill_router();
    lab.send_bmp("r", "GET / HTTP/1.1\\r\\n\\r\\n")?;
    lab.will_count("control_bmp_ended_total{reason=\"garbage\"} ", 1).await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1~"]).await?;
    lab.start_router()?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await
}
