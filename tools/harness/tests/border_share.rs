//! Story: two boxes fill over one border whose bill is to be spared, and one of them falls silent.
//! What it was lent comes back, what its last orders leave it is never given away, and the sum of
//! both never exceeds what the border has.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control_types::UnixMillis;
use control_types::fill::{NightPlan, Orders, RateProfile, SignedOrders};
use control_types::limits::RATE_LEASE_MS;
use nightfill_harness::process::{eventually, output};
use nightfill_harness::{Trouble, World, WorldPlan, sources};
use serde::Deserialize;

const SLOT_S: u64 = 300;
const WAIT: Duration = Duration::from_secs(40);

/// What an agent keeps on disk: what it would go by for ever if control stayed away.
#[derive(Deserialize)]
struct Kept {
    signed: SignedOrders,
}

fn orders(agent_state: &Path) -> Result<Orders, Trouble> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(agent_state.join("orders.json"))?)?;
    Ok(serde_json::from_str(&kept.signed.orders)?)
}

/// Three weeks of a border with 10 Gb/s for eight hours a day, none of them within six hours.
fn measure(file: &Path, now_s: u64) -> Result<(), Trouble> {
    let last = now_s / SLOT_S;
    let line = |slot: u64| {
        let busy = (72..168).contains(&((slot + 21 * 288 - last) % 288));
        format!("{},{}\n", slot * SLOT_S, if busy { 10_000_000_000_u64 } else { 1_000_000_000 })
    };
    Ok(std::fs::write(file, (last - 21 * 288..last).map(line).collect::<String>())?)
}

/// Looks once with the real director; answers what it said.
fn look(world: &World, config: &Path) -> Result<serde_json::Value, Trouble> {
    let mut command = Command::new(world.binaries.path("fill-director")?);
    command.args(["run", "--once", "--config"]).arg(config);
    Ok(serde_json::from_str(&output("fill-director", &mut command)?)?)
}

fn rate(profile: Option<&RateProfile>, at: UnixMillis) -> u64 {
    profile.and_then(|profile| profile.rate_bps_max(at)).unwrap_or(0)
}

fn planned<'a>(plan: &'a NightPlan, id: &str) -> Option<&'a RateProfile> {
    plan.appliances.iter().find(|part| part.appliance.as_str() == id)?.rate.as_ref()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_boxs_share_is_lent_again_and_its_floor_is_not() -> Result<(), Trouble> {
    let mut world = World::start(WorldPlan { boxes: vec![2], ..WorldPlan::default() }).await?;
    let clip = sources::clip(&world.folder, 4)?;
    world.ingest("harbour", "Harbour at Night", &clip).await?;
    let client = &world.control.client;
    let ids: Vec<String> = world.edges.iter().map(|edge| edge.spec.id.to_string()).collect();
    let states: Vec<_> = world.edges.iter().map(|edge| edge.folder.join("agent-state")).collect();
    let fleet = client.fill_state().await?.appliances;
    let isp = fleet.into_iter().find(|one| one.appliance.as_str() == ids[0]).map(|one| one.isp);
    let isp = isp.ok_or_else(|| Trouble("control does not know the edges".to_owned()))?;

    let (samples, config) = (world.folder.join("ingress.csv"), world.folder.join("director.toml"));
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| Trouble(e.to_string()))?;
    measure(&samples, now_s.as_secs())?;
    let text = format!(
        "[control]\nurl = \"{}\"\nkey_file = {:?}\n[[ingress]]\nisp = \"{isp}\"\nfile = {samples:?}\n",
        world.control.url(),
        world.control.operator_key
    );
    std::fs::write(&config, text)?;
    world.edges.iter_mut().try_for_each(|edge| edge.start_agent())?;
    let both_planned = async || {
        look(&world, &config)?;
        let plan = world.control.client.plan().await?;
        match ids.iter().all(|id| planned(&plan, id).is_some()) {
            true => Ok(plan),
            false => Err(Trouble("a box is missing".to_owned())),
        }
    };
    let first = eventually("both boxes are planned for", WAIT, both_planned).await?;
    for state in &states {
        let has_share = async || match orders(state)?.work {
            Some(work) if work.rate.is_some() => Ok(()),
            _ => Err(Trouble("no rate yet".to_owned())),
        };
        eventually("each box has its share", WAIT, has_share).await?;
    }

    world.edges[1].kill_agent();
    world.edges[1].kill_server();
    let client = &world.control.client;
    let silent = async || {
        let fleet = client.fill_state().await?.appliances;
        match fleet.iter().find(|one| one.appliance.as_str() == ids[1]) {
            Some(one) if one.healthy => Err(Trouble("it is believed to be there".to_owned())),
            _ => Ok(()),
        }
    };
    eventually("control misses it", WAIT, silent).await?;
    assert_eq!(look(&world, &config)?["posted"], true);
    let second = client.plan().await?;
    let taken = async || match orders(&states[0])?.serial {
        serial if serial == second.serial => Ok(()),
        serial => Err(Trouble(format!("it goes by {serial}"))),
    };
    eventually("the other box has new orders", WAIT, taken).await?;

    let (own, lost) = (orders(&states[0])?, orders(&states[1])?);
    let (own_work, lost_work) = (own.work.unwrap_or_else(|| panic!("work")), lost.work);
    let lost_rate = lost_work.as_ref().and_then(|work| work.rate.as_ref());
    assert_eq!(own_work.border, None, "the director's sums are in nobody's orders");
    let both = |at| rate(planned(&first, &ids[0]), at) + rate(planned(&first, &ids[1]), at);
    for after_s in 0..5 * 3_600 {
        let at = own.now.plus_millis(after_s * 1_000);
        // Shares begin late and end early by some seconds, so what the border has is their sum
        // within a minute.
        let near = (0..=12).map(|step| UnixMillis(at.0 - 60_000 + step * 10_000));
        let whole = near.map(both).max().unwrap_or(0) + 2;
        let lost = rate(lost_rate, at);
        for (which, rate) in [
            ("by its orders", rate(own_work.rate.as_ref(), at)),
            ("by the plan", rate(planned(&second, &ids[0]), at)),
        ] {
            assert!(rate + lost <= whole, "{rate} {which} and {lost} of {whole} at {after_s} s");
        }
    }
    // Control away: the silent one has less than it was lent, and something. Control there: the
    // other has more than its half.
    let later = own.now.plus_millis(2 * RATE_LEASE_MS + 3_600_000);
    let (half, floor) = (rate(planned(&first, &ids[1]), later), rate(lost_rate, later));
    assert!(0 < floor && floor < half, "{floor} of {half}");
    let more = rate(planned(&second, &ids[0]), later);
    assert!(more > half + half / 4, "{more} after {half}");
    Ok(())
}
