//! Story: the same announcements through a real FRR router, which writes BMP in its own way: the
//! same routes, the same lengths, and a flap that loses nothing.

#[allow(dead_code, reason = "the story of the other router uses all of it")]
mod bgp_lab;

use bgp_lab::{BgpLab, RouterKind, missing};
use nightfill_harness::Trouble;

#[tokio::test(flavor = "multi_thread")]
async fn another_routers_words_mean_the_same() -> Result<(), Trouble> {
    if let Some(why) = missing(RouterKind::Frr) {
        eprintln!("NOT RUN: the FRR story: {why}");
        return Ok(());
    }
    let mut lab = BgpLab::start(RouterKind::Frr).await?;
    lab.announcer("add 11.1.0.0/16 origin igp med 50").await?;
    lab.announcer("add 11.2.0.0/16").await?;
    lab.announcer("add 12.5.0.0/16").await?;
    lab.announcer("add -a ipv6 2a00:1:2::/48 nexthop fd98::2").await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await?;
    lab.will_see("11.2.0.1", &["11.2.0.0/16 lisbon/1"]).await?;
    lab.will_see("2a00:1:2::9", &["2a00:1:2::/48 lisbon/1"]).await?;
    assert_eq!(lab.sees("12.5.0.1")?, ["12.0.0.0/8 braga/0"]);
    assert_eq!(lab.refused()?, ["12.5.0.0/16 foreign"]);

    lab.announcer("del 11.2.0.0/16").await?;
    lab.will_see("11.2.0.1", &[]).await?;

    // A flap: down and up again before the hold ends; what is not repeated goes.
    lab.kill_announcer();
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1~"]).await?;
    lab.start_announcer()?;
    lab.announcer("add 11.1.0.0/16").await?;
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1"]).await?;
    lab.will_see("2a00:1:2::9", &[]).await?;

    lab.kill_router();
    lab.will_see("11.1.2.3", &["11.1.0.0/16 lisbon/1~"]).await?;
    lab.will_see("11.1.2.3", &[]).await
}
