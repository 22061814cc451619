//! Story: a box becomes an appliance with a key that its owner was given, is known by its
//! certificate from then on, renews that by itself before it ends, comes over to another authority
//! as it does, and is shut out the moment the operator takes it back, until it registers again.
//! Server and agent take each change up by themselves; no program is restarted.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use control_types::fleet::Health;
use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan};

/// A certificate of a minute is renewed after 40 s and asked about every few.
const RENEWED_WITHIN: Duration = Duration::from_secs(180);
const SEEN_WITHIN: Duration = Duration::from_secs(60);

async fn healthy(world: &World, wanted: bool) -> Result<(), Trouble> {
    let fleet = world.control.client.appliances().await?;
    let edge = fleet.iter().find(|one| one.record.id.as_str() == "edge-a1");
    let health = edge.ok_or_else(|| Trouble("no edge-a1".to_owned()))?.health;
    match (health == Health::Healthy) == wanted {
        true => Ok(()),
        false => Err(Trouble(format!("edge-a1 is {health:?}"))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_registers_renews_and_is_shut_out() -> Result<(), Trouble> {
    let plan = WorldPlan { boxes: vec![1], certificate_minutes: 1, ..WorldPlan::default() };
    let mut world = World::start(plan).await?;
    world.edge("edge-a1")?.start_agent()?;
    let identity = world.edge("edge-a1")?.identity();
    let mode = std::fs::metadata(&identity)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the private key");
    let first = std::fs::read_to_string(&identity)?;

    eventually(
        "the certificate is renewed",
        RENEWED_WITHIN,
        async || match std::fs::read_to_string(&identity)? != first {
            true => Ok(()),
            false => Err(Trouble("it is the first one".to_owned())),
        },
    )
    .await?;
    assert_eq!(std::fs::metadata(&identity)?.permissions().mode() & 0o777, 0o600);
    eventually("it reports with the new one", SEEN_WITHIN, async || healthy(&world, true).await)
        .await?;

    world.ocactl(&["appliance", "void", "edge-a1"])?;
    eventually("it is shut out", SEEN_WITHIN, async || healthy(&world, false).await).await?;
    eventually("and told why", SEEN_WITHIN, async || {
        let logs = world.edges[0].logs();
        match logs.contains("certificate_void") {
            true => Ok(()),
            false => Err(Trouble("its log does not say".to_owned())),
        }
    })
    .await?;
    let made = world.ocactl(&["appliance", "key-for", "edge-a1", "--json"])?;
    assert!(made.contains("nfr_"), "{made}");
    world.edges[0].register(&world.control).await?;
    eventually("it is back", SEEN_WITHIN, async || healthy(&world, true).await).await?;
    eventually("its agent is too", SEEN_WITHIN, async || {
        let fills = world.control.client.fills().await?;
        match fills.iter().any(|fill| fill.report.appliance.as_str() == "edge-a1") {
            true => Ok(()),
            false => Err(Trouble("no report of its agent".to_owned())),
        }
    })
    .await?;
    let shown = world.ocactl(&["appliance", "status", "edge-a1"])?;
    assert!(shown.contains("certificate"), "{shown}");
    Ok(())
}

/// Certificates of a minute: renewed after 40 s, over 20 s later.
const RETIRED_WITHIN: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_box_comes_over_to_a_new_authority_by_itself() -> Result<(), Trouble> {
    let plan = WorldPlan { boxes: vec![1], certificate_minutes: 1, ..WorldPlan::default() };
    let mut world = World::start(plan).await?;
    world.edge("edge-a1")?.start_agent()?;
    let identity = world.edge("edge-a1")?.identity();
    let root = |text: &str| text.rsplit_once("-----BEGIN").map(|(_, root)| root.to_owned());
    let first = root(&std::fs::read_to_string(&identity)?);
    eventually("it reports", SEEN_WITHIN, async || healthy(&world, true).await).await?;

    world.ocactl(&["fleet", "ca", "rotate"])?;
    let all = world.control.client.authorities().await?;
    let [new, old] = &all[..] else { return Err(Trouble(format!("{all:?}"))) };
    assert!(new.signs && old.certificates > 0, "{all:?}");
    let early = world.ocactl(&["fleet", "ca", "retire", &old.digest]);
    assert!(early.is_err(), "boxes hang on it: {early:?}");
    // The box renews when it would have anyway, and is retired from under nobody.
    eventually("the old authority is retired", RETIRED_WITHIN, async || {
        healthy(&world, true).await?;
        world.ocactl(&["fleet", "ca", "retire", &old.digest]).map(drop)
    })
    .await?;
    let second = root(&std::fs::read_to_string(&identity)?);
    assert!(second.is_some() && second != first, "it believes the new authority");
    assert_eq!(std::fs::metadata(&identity)?.permissions().mode() & 0o777, 0o600);
    let shown = world.ocactl(&["fleet", "ca", "show"])?;
    assert!(shown.contains(&new.digest) && !shown.contains(&old.digest), "{shown}");

    // Nothing of it hangs on connections that stand.
    world.edge("edge-a1")?.kill_server();
    eventually("it is missed", SEEN_WITHIN, async || healthy(&world, false).await).await?;
    world.edge("edge-a1")?.start_server()?;
    eventually("it is back", SEEN_WITHIN, async || healthy(&world, true).await).await?;
    let logs = world.edges[0].logs();
    assert!(!logs.contains("certificate_"), "it was refused on the way: {logs}");
    Ok(())
}
