//! What the director asks of the planner at each look: a fleet by names, as control tells of it.
//! Measures time and memory; says nothing about how good the plan is.
//!
//! The fleet is that of `scale.rs`: sites of four boxes, two sites an ISP, eight regions. Titles
//! have seven files (sound and six heights); a title is watched at one site in twenty by name, and
//! a little elsewhere. Boxes hold what a plan for the day before would have given them, by halves.

use control_types::UnixMillis;
use control_types::fill::{FillAppliance, FillState, NightPlan, PlaceableObject, SiteDemand};
use control_types::fleet::{DiskClass, HeldObject, Role, VolumeReport};
use control_types::ids::{ObjectId, PlanId, SiteId};
use fill_plan::{Knobs, Planner, name_key};

use crate::machine::{cpu_seconds, peak_bytes};
use crate::row::{Reach, Row};

const BOXES: usize = 4;
const FILES: usize = 7;

/// Plans for `objects` and `appliances`: a first plan, the same again, and after one box died.
pub fn measure(objects: usize, appliances: usize) -> Vec<Row> {
    let mut state = fleet(objects, appliances);
    let knobs = Knobs::default();
    let mut planner = Planner::default();
    let mut seconds = Vec::new();
    let mut plan: Option<NightPlan> = None;
    for look in 0..4_u64 {
        if look == 3 {
            state.appliances[1].healthy = false;
        }
        let cpu = cpu_seconds();
        let next =
            planner.plan(&state, &knobs, plan.as_ref(), UnixMillis(look), id(look), look + 1);
        seconds.push(cpu_seconds() - cpu);
        let pulls: usize = next.appliances.iter().map(|one| one.pulls.len()).sum();
        let prunes: usize = next.appliances.iter().map(|one| one.prunes.len()).sum();
        eprintln!(
            "look {look}: {pulls} pulls, {prunes} prunes, {} sites placed, {:.2} CPU s",
            planner.placed().len(),
            seconds[look as usize],
        );
        plan = Some(next);
    }
    let name = format!("director, {objects} objects x {appliances} appliances");
    let shown = |what: &str, at: usize| {
        Row::new(&format!("{name}: {what}, CPU s"), Reach::Shown, vec![seconds[at]])
    };
    vec![
        shown("first plan", 0),
        shown("the look after it", 1),
        shown("nothing changed", 2),
        shown("after one box died", 3),
        Row::new(
            &format!("{name}: most memory, GiB"),
            Reach::Shown,
            vec![peak_bytes() as f64 / (1_u64 << 30) as f64],
        ),
    ]
}

fn id(look: u64) -> PlanId {
    serde_json::from_value(serde_json::json!(format!("{look:032x}"))).expect("a plan id")
}

fn drawn(what: &str, at: usize) -> u64 {
    name_key(&format!("{what}-{at}"))
}

fn site_name(site: usize) -> SiteId {
    format!("site-{site}").parse().expect("a slug")
}

fn fleet(objects: usize, appliances: usize) -> FillState {
    let sites = appliances.div_ceil(BOXES);
    let objects: Vec<PlaceableObject> = (0..objects).map(|at| object(at, objects, sites)).collect();
    let catalog: u64 = objects.iter().map(|one| one.bytes).sum();
    let per_box = catalog / 10 / BOXES as u64;
    let one = |at: usize| appliance(at, &objects, per_box);
    let mut appliances: Vec<FillAppliance> = (0..appliances).map(one).collect();
    let mut origin = appliance(0, &[], catalog * 2);
    origin.appliance = "origin".parse().expect("a slug");
    origin.isp = "core".parse().expect("a slug");
    origin.site = "core".parse().expect("a slug");
    origin.role = Role::Origin;
    origin.holds = objects.iter().map(|one| held(one, DiskClass::Hdd)).collect();
    appliances.push(origin);
    FillState { now: UnixMillis(0), objects, appliances, windows: Vec::new(), history: Vec::new() }
}

fn object(at: usize, objects: usize, sites: usize) -> PlaceableObject {
    let (title, file) = (at / FILES, at % FILES);
    let mut id = [0; 32];
    for (part, bytes) in id.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&drawn("object", at * 4 + part).to_le_bytes());
    }
    let bytes = [40, 100, 200, 400, 800, 1_600, 3_200][file] * 1_000_000;
    let rank = 1.0 + (drawn("rank", title) % 100_000) as f64 / 1e5 * (objects / FILES) as f64;
    let wanted = 1e4 * rank.powf(-0.84) * bytes as f64 / (1.0 + file as f64);
    let named = |site: usize| {
        let taste = 0.5 + (drawn("taste", title * 8 + site % 8) % 1_000) as f64 / 1_000.0;
        SiteDemand { site: site_name(site), bytes: wanted * taste }
    };
    let listed = (0..sites).filter(|site| (title + site).is_multiple_of(20));
    PlaceableObject {
        object: ObjectId(id),
        bytes,
        title: format!("title-{title}").parse().expect("a slug"),
        height: (file > 0).then_some(180 * file as u32),
        demand_bytes: listed.map(named).collect(),
        demand_bytes_elsewhere: wanted,
    }
}

fn held(one: &PlaceableObject, class: DiskClass) -> HeldObject {
    HeldObject { object: one.object, bytes: one.bytes, class }
}

fn appliance(at: usize, objects: &[PlaceableObject], room: u64) -> FillAppliance {
    let (site, mine) = (at / BOXES, at % BOXES);
    let demand = |one: &PlaceableObject| one.demand_bytes_elsewhere / one.bytes as f64;
    let mut ranked: Vec<&PlaceableObject> = objects
        .iter()
        .filter(|one| name_key(one.title.as_str()) as usize % BOXES == mine)
        .collect();
    ranked.sort_by(|a, b| demand(b).total_cmp(&demand(a)));
    let mut left = room * 9 / 10;
    let mut holds = Vec::new();
    for one in ranked {
        if one.bytes > left {
            break;
        }
        left -= one.bytes;
        holds.push(held(one, DiskClass::Hdd));
    }
    let volume = |path: &str, class, capacity_bytes, used_bytes| VolumeReport {
        path: path.to_owned(),
        class,
        capacity_bytes,
        used_bytes,
        healthy: true,
    };
    let used = holds.iter().map(|one| one.bytes).sum();
    FillAppliance {
        appliance: format!("box-{at}").parse().expect("a slug"),
        site: site_name(site),
        isp: format!("isp-{}", site / 2).parse().expect("a slug"),
        role: Role::Edge,
        healthy: true,
        media_url: format!("https://box-{at}.example"),
        volumes: vec![
            volume("/ssd", DiskClass::Ssd, room / 10, 0),
            volume("/hdd", DiskClass::Hdd, room, used),
        ],
        holds,
    }
}
