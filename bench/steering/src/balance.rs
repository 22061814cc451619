//! Load over eight equal boxes under Zipf demand, simulated second by second: sessions come, ask
//! again every ten seconds, and go; boxes report every ten seconds. Compared with hashing alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use control_steering::Policy;
use control_steering::decide::decide;
use serde_json::{Value, json};

use crate::reference::build::{asked, fleet, objects_of};
use crate::reference::{PlainBox, PlainQuestion, PlainRoute, PlainSite, World};

const BOXES: usize = 8;
const TITLES: u32 = 15_000;
/// Presses in a second.
const PRESSES: u32 = 200;
/// Mean length of a session, seconds.
const SESSION_S: f64 = 120.0;
/// Seconds simulated, the first of them to come into balance.
const SECONDS: u32 = 600;
const WARM_UP_S: u32 = 300;
/// Seconds between two reports of a box, and two questions of a session.
const REPORT_S: u32 = 10;
const TTL_S: u32 = 10;
/// One session's rate, megabits a second.
const SESSION_MBPS: u64 = 5;
const CAPACITY_MBPS: u64 = 40_000;

/// Max over mean, with the usual policy and with hashing alone.
pub fn balance(seed: u64) -> Result<Value, String> {
    let usual = simulate(seed, &Policy::default());
    let hashed = simulate(seed, &Policy { spill_power: 0, ..Policy::default() });
    let value = |one: &Run| {
        json!({
            "max_over_mean": one.max_over_mean, "worst_second": one.worst_second,
            "moved_in_mid_play": one.moved, "sessions": one.sessions,
            "on_a_titles_first_two_boxes": one.at_home,
            "boxes_of_the_first_title": one.boxes_of_first,
        })
    };
    Ok(json!({
        "boxes": BOXES, "titles": TITLES, "zipf": 1.0, "presses_per_second": PRESSES,
        "session_s": SESSION_S, "report_s": REPORT_S,
        "steering": value(&usual), "hash_alone": value(&hashed),
    }))
}

struct Run {
    /// Of the loads' means over the time after the warm-up.
    max_over_mean: f64,
    worst_second: f64,
    /// Sessions that were sent elsewhere in mid-play.
    moved: u64,
    sessions: u64,
    /// Share of presses that went to the first or second box of their title by hash.
    at_home: f64,
    boxes_of_first: usize,
}

struct Session {
    title: u32,
    number: u64,
    at: usize,
    /// Of the seconds: when it asks again.
    phase: u32,
}

fn world() -> World {
    let boxes = (0..BOXES).map(|number| PlainBox {
        id: format!("edge-{number}"),
        site: 0,
        role: control_types::fleet::Role::Edge,
        link: control_types::fleet::Link::Embedded,
        domain: None,
        capacity_mbps: CAPACITY_MBPS,
        load_per_mille: 0,
        health: control_types::fleet::Health::Healthy,
        is_late: false,
        is_shunned: false,
        drained_for_ms: None,
        holds: objects_of(0).into_iter().collect(),
    });
    World {
        sites: vec![PlainSite { id: "here".into(), place: (0.0, 0.0), fails_as_one: false }],
        boxes: boxes.collect(),
        routes: vec![PlainRoute {
            prefix: "10.0.0.0/8".parse().expect("a prefix"),
            site: 0,
            only: None,
            as_path_len: 0,
            origin: 0,
            med: 0,
        }],
    }
}

fn simulate(seed: u64, policy: &Policy) -> Run {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = world();
    let mut snapshot = fleet(&world);
    let mut sum = 0.0;
    let zipf: Vec<f64> = (1..=TITLES)
        .map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    let mut sessions: Vec<Option<Session>> = Vec::new();
    let mut ends: BinaryHeap<Reverse<(u32, usize)>> = BinaryHeap::new();
    let mut live = [0u64; BOXES];
    let mut carried = [0u64; BOXES];
    let (mut moved, mut at_home, mut worst) = (0u64, 0u64, 0.0f64);
    let mut first_title = [false; BOXES];
    let mut presses = 0u64;
    for second in 0..SECONDS {
        while let Some(Reverse((end, slot))) = ends.peek().copied() {
            if end > second {
                break;
            }
            ends.pop();
            if let Some(session) = sessions[slot].take() {
                live[session.at] -= 1;
            }
        }
        if second % REPORT_S == 0 {
            for (one, live) in world.boxes.iter_mut().zip(live) {
                one.load_per_mille = live * SESSION_MBPS * 1_000 / CAPACITY_MBPS;
            }
            snapshot = fleet(&world);
        }
        for session in sessions.iter_mut().flatten() {
            if session.phase != second % TTL_S {
                continue;
            }
            let plain = question(session.title, session.number, Some(session.at));
            let to = first(&world, &snapshot, &plain, policy)[0];
            if to != session.at {
                live[session.at] -= 1;
                live[to] += 1;
                session.at = to;
                moved += 1;
            }
        }
        for _ in 0..PRESSES {
            let place = random.f64() * sum;
            let title = zipf.partition_point(|sum| *sum < place) as u32;
            let number = random.u64(..);
            let plain = question(title, number, None);
            let at = first(&world, &snapshot, &plain, policy)[0];
            let phase = random.u32(0..TTL_S);
            let length = (-random.f64().max(1e-12).ln() * SESSION_S).max(1.0) as u32 + 1;
            live[at] += 1;
            ends.push(Reverse((second + length, sessions.len())));
            sessions.push(Some(Session { title, number, at, phase }));
            if second >= WARM_UP_S {
                presses += 1;
                at_home += u64::from(home(title).contains(&at));
                first_title[at] |= title == 0;
            }
        }
        if second >= WARM_UP_S {
            let mean = live.iter().sum::<u64>() as f64 / BOXES as f64;
            let most = live.iter().max().copied().unwrap_or(0) as f64;
            worst = worst.max(most / mean);
            carried.iter_mut().zip(live).for_each(|(sum, live)| *sum += live);
        }
    }
    let mean = carried.iter().sum::<u64>() as f64 / BOXES as f64;
    let most = carried.iter().max().copied().unwrap_or(0) as f64;
    Run {
        max_over_mean: most / mean,
        worst_second: worst,
        moved,
        sessions: sessions.len() as u64,
        at_home: at_home as f64 / presses as f64,
        boxes_of_first: first_title.iter().filter(|has| **has).count(),
    }
}

fn question(title: u32, session: u64, current: Option<usize>) -> PlainQuestion {
    PlainQuestion {
        ip: "10.1.2.3".parse().expect("an address"),
        title: format!("title-{title}"),
        objects: objects_of(0),
        session,
        current,
    }
}

/// Numbers of the list's boxes.
fn first(
    world: &World,
    snapshot: &control_steering::fleet::Fleet,
    plain: &PlainQuestion,
    policy: &Policy,
) -> Vec<usize> {
    asked(world, plain, |question| {
        let decision = decide(snapshot, question, policy);
        decision.verdicts.iter().map(|verdict| verdict.standing.place as usize).collect()
    })
}

/// The first two boxes of a title when nobody carries anything.
fn home(title: u32) -> [usize; 2] {
    thread_local! {
        static IDLE: (World, control_steering::fleet::Fleet) = {
            let world = world();
            let fleet = fleet(&world);
            (world, fleet)
        };
    }
    IDLE.with(|(world, fleet)| {
        let list = first(world, fleet, &question(title, 1, None), &Policy::default());
        [list[0], list[1]]
    })
}
