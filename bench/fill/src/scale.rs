//! The planner with a million objects and a thousand boxes on one core. Measures time and memory;
//! says nothing about how good the plan is.
//!
//! The fleet: sites of four boxes, two sites an ISP, eight regions with a taste of their own, a
//! hundred objects a site that it wants more than its region does. Boxes of a site hold a tenth of
//! the catalog together. Planned twice: empty, and holding what another day's demand asked for.

use std::time::Instant;

use control_types::fleet::DiskClass;
use fill_plan::fleet::{FleetBox, FleetPlanner, FleetSite, Ranking, Way};
use fill_plan::{Knobs, Library, Room, name_key};

use crate::machine::{cpu_seconds, peak_bytes};
use crate::row::{Reach, Row};

const BOXES: usize = 4;
const REGIONS: usize = 8;

/// Plans for `objects` and `appliances`, whole and after one box died.
pub fn measure(objects: usize, appliances: usize) -> Vec<Row> {
    let drawn = |what: &str, at: usize| name_key(&format!("{what}-{at}"));
    // 100 MB to 10 GB, most of them small.
    let size = |at: usize| 100_000_000 * (1 + 99 / (1 + drawn("size", at) % 99));
    let sizes: Vec<u64> = (0..objects).map(size).collect();
    let catalog: u64 = sizes.iter().sum();
    let demand = |region: usize, day: usize, at: usize| {
        let share = |what: String| (drawn(&what, at) % 1_000) as f64 / 1_000.0;
        let rank = 1.0 + share("rank".to_owned()) * objects as f64;
        let taste = 0.5 + share(format!("taste-{region}"));
        let today = 0.8 + 0.4 * share(format!("day-{day}"));
        (1e4 * rank.powf(-0.84) * taste * today * sizes[at] as f64) as f32
    };
    let keys = (0..objects).map(|at| drawn("object", at)).collect();
    let library = Library::of_objects(sizes.clone(), keys);
    let per_box = catalog / 10 / BOXES as u64;
    let room = Room { ssd: per_box / 10, hdd: per_box - per_box / 10 };
    let site = |at: usize| FleetSite {
        isp: (at / 2) as u32,
        ranking: at % REGIONS,
        own: (0..100).map(|own| ((own * 7_919 + at) as u32 % objects as u32, 1e12)).collect(),
        boxes: (0..BOXES)
            .map(|one| FleetBox {
                key: drawn("box", at * BOXES + one),
                room,
                held: Vec::new(),
                healthy: true,
            })
            .collect(),
    };
    let mut sites: Vec<FleetSite> = (0..appliances.div_ceil(BOXES)).map(site).collect();
    let mut seconds = Vec::new();
    let mut again = 0.0;
    for day in 0..2 {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let rank = |region| {
            let day = (0..objects).map(|at| demand(region, day, at)).collect();
            Ranking::new(&library, day)
        };
        let rankings: Vec<Ranking> = (0..REGIONS).map(rank).collect();
        let ranked = begun.elapsed().as_secs_f64();
        let mut fleet = FleetPlanner::new(library.clone(), rankings, sites, Knobs::default());
        fleet.plan_all();
        // One thread: its CPU seconds are what an idle core would take, whoever else is here.
        seconds.push(cpu_seconds() - cpu);
        let all = || (0..fleet.sites().len()).flat_map(|site| fleet.plan(site).iter().flatten());
        let crossing = all().filter(|fetch| fetch.way == Way::Border).count();
        eprintln!(
            "day {day}: {} fetches, {crossing} across borders; {:.1} s of which {ranked:.1} s to \
             draw and rank demand, {:.1} s of CPU",
            all().count(),
            begun.elapsed().as_secs_f64(),
            cpu_seconds() - cpu,
        );
        let cpu = cpu_seconds();
        fleet.set_healthy(0, 0, false);
        again = cpu_seconds() - cpu;
        fleet.set_healthy(0, 0, true);
        sites = filled(&fleet);
    }
    let name = format!("plan, {objects} objects x {appliances} appliances");
    vec![
        Row::new(&format!("{name}: empty fleet, CPU s"), Reach::AtMost(60.0), vec![seconds[0]]),
        Row::new(&format!("{name}: next day, CPU s"), Reach::AtMost(60.0), vec![seconds[1]]),
        Row::new(&format!("{name}: after one box died, CPU s"), Reach::AtMost(2.0), vec![again]),
        Row::new(
            &format!("{name}: most memory, GiB"),
            Reach::AtMost(4.0),
            vec![peak_bytes() as f64 / (1_u64 << 30) as f64],
        ),
    ]
}

/// The fleet once every plan was carried out.
fn filled(fleet: &FleetPlanner) -> Vec<FleetSite> {
    let mut sites = fleet.sites().to_vec();
    for (at, site) in sites.iter_mut().enumerate() {
        for (one, fetches) in site.boxes.iter_mut().zip(fleet.plan(at)) {
            let mut held: Vec<(u32, DiskClass)> =
                fetches.iter().map(|fetch| (fetch.object, fetch.class)).collect();
            held.sort_unstable_by_key(|(object, _)| *object);
            held.dedup_by_key(|(object, _)| *object);
            one.held = held;
        }
    }
    sites
}
