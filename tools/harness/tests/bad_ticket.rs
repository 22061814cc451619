//! Story: tickets that are absent, forged, expired, taken back or for another title open nothing.
//! Each refusal says its word; a good ticket beside them still works.

use std::time::Duration;

use control_types::fleet::Role;
use control_types::play::{NewTicket, TicketScope};
use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan, sources};

#[tokio::test(flavor = "multi_thread")]
async fn only_a_good_ticket_opens_a_title() -> Result<(), Trouble> {
    let world = World::start(WorldPlan { boxes: vec![], ..WorldPlan::default() }).await?;
    assert_eq!(world.origin.spec.role, Role::Origin);
    let clip = sources::clip(&world.folder, 4)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    let state = world.control.client.fill_state().await?;
    let object = state.objects.first().expect("a title has objects").object;
    let path = format!("/v/harbour/{object}.mp4");
    let issue = |title: &str, ttl: &str| {
        let line = world.ocactl(&["ticket", "issue", "--title", title, "--ttl", ttl, "--json"])?;
        let value: serde_json::Value = serde_json::from_str(&line)?;
        let ticket = value["ticket"].as_str().map(str::to_owned);
        ticket.ok_or_else(|| Trouble(format!("no ticket in {line}")))
    };
    let good = issue("harbour", "1h")?;
    let brief = issue("harbour", "1s")?;
    assert!(issue("lighthouse", "1h").is_err(), "by hand, no ticket for a title nobody knows");
    let opens = TicketScope::Title("lighthouse".parse()?);
    let asked = NewTicket { opens, ttl_ms: 3_600_000 };
    let other = world.control.client.issue_ticket(&asked).await?.ticket;
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8_lossy(&forged).into_owned();

    let status =
        async |prefix: &str| world.get_path(&world.origin, &format!("{prefix}{path}")).await;
    assert_eq!(status(&format!("/t/{good}")).await?, 200);
    assert_eq!(status("").await?, 403, "no ticket");
    assert_eq!(status(&format!("/t/{forged}")).await?, 403, "forged");
    assert_eq!(status(&format!("/t/{other}")).await?, 403, "another title's");
    assert_eq!(status("/t/garbage").await?, 403, "garbage");
    eventually("the brief ticket ends", Duration::from_secs(10), async || {
        match status(&format!("/t/{brief}")).await? {
            403 => Ok(()),
            status => Err(Trouble(format!("still {status}"))),
        }
    })
    .await?;
    assert_eq!(status(&format!("/t/{good}")).await?, 200, "the good one still works");

    // What `ticket issue` made has one subject; the appliance hears of it with its next report.
    world.ocactl(&["ticket", "revoke", "operator"])?;
    eventually("a ticket that was taken back is refused", Duration::from_secs(20), async || {
        match status(&format!("/t/{good}")).await? {
            403 => Ok(()),
            status => Err(Trouble(format!("still {status}"))),
        }
    })
    .await?;

    let borrowed = format!("/t/{other}/v/lighthouse/{object}.mp4");
    let status = world.get_path(&world.origin, &borrowed).await?;
    assert_ne!(status, 200, "an object does not answer under a title it does not belong to");
    Ok(())
}
