//! Story: the box that brings a title into its ISP dies in the middle of the night, and control
//! with it. One box takes over and the others wait for that one: what died crosses the border once
//! more, and nothing else does.

use std::collections::HashSet;
use std::time::Duration;

use control_types::limits::CHUNK_BYTES;
use nightfill_harness::process::eventually;
use nightfill_harness::{Trouble, World, WorldPlan, sources};

const WAIT: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn one_box_takes_over_from_a_dead_master() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan { boxes: vec![3], ..WorldPlan::default() }).await?;
    let clip = sources::clip(&world.folder, 20)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    let objects = world.control.client.fill_state().await?.objects;
    let all: u64 = objects.iter().map(|object| object.bytes).sum();
    // What may be in flight, and seals.
    let little = 4 * CHUNK_BYTES + 16 * 1024 * objects.len() as u64;
    assert!(all > 2 * little, "the film is too short to tell: {all} bytes");

    // Slow enough that the death falls into the middle of it.
    world.ocactl(&["window", "open", "slow", "--everyone", "--for", "1h", "--rate", "8Mbit"])?;
    world.start_night_shift()?;
    let edges = &world.edges;
    let wanted = edges.len() * objects.len();
    let plan = eventually("all boxes are planned for", WAIT, async || {
        let plan = world.control.client.plan().await?;
        let pulls: usize = plan.appliances.iter().map(|part| part.pulls.len()).sum();
        if pulls == wanted { Ok(plan) } else { Err(Trouble(format!("{pulls} pulls"))) }
    })
    .await?;
    let masters: HashSet<&str> = plan
        .appliances
        .iter()
        .filter(|part| part.pulls.iter().any(|pull| !pull.sources[0].pending))
        .map(|part| part.appliance.as_str())
        .collect();
    assert_eq!(masters.len(), 1, "one box brings a title in: {masters:?}");
    let at = edges.iter().position(|edge| masters.contains(edge.spec.id.as_str()));
    let at = at.ok_or_else(|| Trouble("the master is no edge".to_owned()))?;
    let fill_bytes = "nightfill_oca_fill_bytes_total";
    eventually("the master is in the middle of it, and all have their orders", WAIT, async || {
        let sent = world.origin.counter(fill_bytes).await?;
        let have = edges.iter().filter(|edge| {
            let orders = std::fs::read_to_string(edge.folder.join("agent-state/orders.json"));
            orders.is_ok_and(|orders| orders.contains(&plan.id.to_string()))
        });
        let have = have.count();
        match sent > 2 * CHUNK_BYTES && have == edges.len() {
            true => Ok(()),
            false => Err(Trouble(format!("{sent} bytes sent, {have} have orders"))),
        }
    })
    .await?;

    world.control.kill();
    world.edges[at].kill_agent();
    world.edges[at].kill_server();
    let before = world.origin.counter(fill_bytes).await?;
    let others: Vec<usize> = (0..world.edges.len()).filter(|other| *other != at).collect();
    eventually("the others have all of it", WAIT, async || {
        for other in &others {
            let held = world.edges[*other].published()?;
            let lacks = objects.iter().filter(|object| !held.contains(&object.object)).count();
            if lacks > 0 {
                return Err(Trouble(format!("{} lacks {lacks}", world.edges[*other].spec.id)));
            }
        }
        Ok(())
    })
    .await?;
    let more = world.origin.counter(fill_bytes).await? - before;
    assert!(more <= all + little, "{more} bytes crossed the border again, of {all}");
    Ok(())
}
