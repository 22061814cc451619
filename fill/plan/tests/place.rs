//! Goal: placement fits, is worth what it takes, spreads load, and moves little when a box comes or
//! goes. Method: random catalogs and sites, placed before and after.

// A panic is the report.
#![allow(clippy::unwrap_used)]

use control_types::fleet::DiskClass;
use fill_plan::fleet::{FleetBox, FleetPlanner, FleetSite, Ranking, Way};
use fill_plan::{Candidate, Holdings, Knobs, Library, Room, Seat, Shelf, name_key, place};
use proptest::prelude::*;

const GB: u64 = 1 << 30;

/// `count` objects of 1 to 8 GB whose demand falls with their rank.
fn catalog(count: usize, seed: u64) -> (Library, Vec<Candidate>) {
    let drawn = |at: usize| name_key(&format!("{seed}-{at}"));
    let sizes: Vec<u64> = (0..count).map(|at| GB * (1 + drawn(at) % 8)).collect();
    let keys = (0..count).map(drawn).collect();
    let demand = |at: usize| 2_000.0 * sizes[at] as f64 / (at as f64 + 1.0).powf(0.84);
    let candidates = (0..count)
        .map(|at| Candidate { parcel: at as u32, demand: demand(at), core: None })
        .collect();
    (Library::of_objects(sizes.clone(), keys), candidates)
}

fn seat(name: &str, objects: usize, bytes: u64) -> Seat {
    let room = Room { ssd: bytes / 10, hdd: bytes - bytes / 10 };
    let key = name_key(name);
    Seat { key, room, largest: room, held: Holdings::none(objects), ..Seat::default() }
}

fn settle(seats: &mut [Seat], shelves: &[Shelf]) {
    for (seat, shelf) in seats.iter_mut().zip(shelves) {
        let mut held = Holdings::none(2_000);
        shelf.iter().for_each(|spot| held.put(spot.object, spot.class));
        seat.held = held;
    }
}

fn bytes(library: &Library, objects: impl Iterator<Item = u32>) -> u64 {
    objects.map(|object| library.size(object)).sum()
}

fn single_copies() -> Knobs {
    Knobs { hot_share: 0.0, copy_spread: 0.0, ..Knobs::default() }
}

#[test]
fn a_full_site_holds_what_a_knapsack_would() {
    let (library, candidates) = catalog(2_000, 7);
    let seats: Vec<Seat> = ["a", "b", "c"].map(|name| seat(name, 2_000, 300 * GB)).to_vec();
    let shelves = place(&library, &candidates, &seats, &single_copies());
    let held: Vec<u32> = shelves.iter().flatten().map(|spot| spot.object).collect();
    let worth: f64 = held.iter().map(|object| candidates[*object as usize].demand).sum();
    // Fractional, densest first: nobody can have more.
    let (mut left, mut best) = (900.0 * GB as f64, 0.0);
    for one in &candidates {
        let size = library.size(one.parcel) as f64;
        best += one.demand * (left / size).clamp(0.0, 1.0);
        left -= size;
    }
    assert!(worth >= 0.98 * best, "{worth} of {best}");
}

#[test]
fn the_hottest_are_on_flash_and_on_several_boxes() {
    let (library, candidates) = catalog(500, 3);
    let seats: Vec<Seat> = ["a", "b", "c", "d"].map(|name| seat(name, 500, 400 * GB)).to_vec();
    let shelves = place(&library, &candidates, &seats, &Knobs::default());
    let copies =
        |object: u32| shelves.iter().flatten().filter(|spot| spot.object == object).count();
    assert!(copies(0) >= 2 && copies(1) >= 2);
    let on_flash = |object: u32| {
        let mut spots = shelves.iter().flatten().filter(|spot| spot.object == object);
        spots.any(|spot| spot.class == DiskClass::Ssd)
    };
    assert!((0..10).all(on_flash));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_box_that_comes_or_goes_moves_its_own_share(
        boxes in 3_usize..9,
        seed in 0_u64..1_000,
        even in any::<bool>(),
        leaves in 0_usize..9,
    ) {
        let (library, candidates) = catalog(2_000, seed);
        let room = |at: usize| if even || at.is_multiple_of(2) { 300 * GB } else { 400 * GB };
        let mut seats: Vec<Seat> =
            (0..=boxes).map(|at| seat(&format!("box-{seed}-{at}"), 2_000, room(at))).collect();
        let extra = seats.remove(leaves % (boxes + 1));
        let knobs = single_copies();
        let small = place(&library, &candidates, &seats, &knobs);
        let whole = bytes(&library, small.iter().flatten().map(|spot| spot.object));
        let total: u64 = seats.iter().map(|seat| seat.room.total()).sum();
        let share = extra.room.total() as f64 / total as f64;

        // It joins: what was in the site and is now elsewhere in it.
        settle(&mut seats, &small);
        let mut more = seats.clone();
        more.push(extra);
        let large = place(&library, &candidates, &more, &knobs);
        let holds = |shelf: &Shelf, object: u32| shelf.iter().any(|spot| spot.object == object);
        let was_on = |object: u32| small.iter().position(|shelf| holds(shelf, object));
        let moved = large.iter().enumerate().flat_map(|(at, shelf)| {
            let elsewhere = move |object: &u32| was_on(*object).is_some_and(|was| was != at);
            shelf.iter().map(|spot| spot.object).filter(elsewhere)
        });
        let moved = bytes(&library, moved) as f64 / whole as f64;
        prop_assert!(moved <= 1.1 * share, "joining moved {moved} of 1/N = {share}");

        // It leaves again: what the others fetch that they did not have.
        settle(&mut more, &large);
        let full = bytes(&library, large.iter().flatten().map(|spot| spot.object));
        let gone = more.pop().unwrap();
        let share = gone.room.total() as f64 / (total + gone.room.total()) as f64;
        let left = place(&library, &candidates, &more, &knobs);
        let fetched = left.iter().zip(&more).flat_map(|(shelf, seat)| {
            let lacking = |spot: &&fill_plan::Spot| seat.held.class(spot.object).is_none();
            shelf.iter().filter(lacking).map(|spot| spot.object)
        });
        let fetched = bytes(&library, fetched) as f64 / full as f64;
        prop_assert!(fetched <= 1.1 * share, "leaving moved {fetched} of 1/N = {share}");
    }

    #[test]
    fn a_fleet_brings_each_byte_across_each_border_once(
        seed in 0_u64..1_000,
        boxes in 1_usize..5,
        dies in any::<bool>(),
    ) {
        let (library, candidates) = catalog(300, seed);
        let demand: Vec<f32> = candidates.iter().map(|one| one.demand as f32).collect();
        let rankings = vec![Ranking::new(&library, demand)];
        let site = |site: u32| FleetSite {
            isp: site / 2,
            ranking: 0,
            own: vec![(299 - site, 1e15)],
            boxes: (0..boxes)
                .map(|at| FleetBox {
                    key: name_key(&format!("{site}-{at}")),
                    room: Room { ssd: 20 * GB, hdd: 100 * GB },
                    held: (0..20).map(|held| (held * (site + 1), DiskClass::Hdd)).collect(),
                    healthy: true,
                })
                .collect(),
        };
        let sites: Vec<FleetSite> = (0..4).map(site).collect();
        let mut fleet = FleetPlanner::new(library, rankings, sites, Knobs::default());
        fleet.plan_all();
        if dies && boxes > 1 {
            let others = fleet.plan(3).clone();
            fleet.set_healthy(0, 0, false);
            prop_assert!(fleet.plan(0)[0].is_empty());
            prop_assert_eq!(fleet.plan(3), &others, "another ISP's plan was touched");
        }
        for isp in 0..2 {
            let own = [2 * isp, 2 * isp + 1];
            let holds = |object: u32| own.iter().any(|site| {
                let boxes = fleet.sites()[*site].boxes.iter().filter(|one| one.healthy);
                boxes.into_iter().any(|one| one.held.iter().any(|(held, _)| *held == object))
            });
            let all = own.iter().flat_map(|site| fleet.plan(*site).iter().flatten());
            let mut crossed: Vec<u32> =
                all.clone().filter(|one| one.way == Way::Border).map(|one| one.object).collect();
            prop_assert!(crossed.iter().all(|object| !holds(*object)), "it was inside already");
            let count = crossed.len();
            crossed.sort_unstable();
            crossed.dedup();
            prop_assert_eq!(crossed.len(), count, "crossed twice");
            for fetch in all {
                prop_assert!(holds(fetch.object) || crossed.binary_search(&fetch.object).is_ok());
            }
        }
    }
}
