//! The whole agent, from control's orders to its report, on a disk that fails at every operation:
//! it is killed, the power goes, the disk errs, is full, turns read-only, loses what it said it
//! would keep, writes less than it was asked. Goal: what the agent reported is there and whole,
//! nothing half written is ever listed, and on a disk that is well again the night is finished,
//! with no file left that nobody answers for.
//!
//! Method: the agent runs in this process against a real control and a real source, all its volumes
//! on the made-up disk that the store is tested with; a fault waits at each operation in turn,
//! until a run ends before it. What an agent does at once on several threads is done in no fixed
//! order, so a number of an operation is not the same operation each time; a failure names it all
//! the same. `NIGHTFILL_SEED` is the seed of everything (1 otherwise), `NIGHTFILL_ROUNDS` the
//! number of runs with a fault somewhere, and `NIGHTFILL_ALL_FAULTS=1` tries all faults at each
//! operation.

// A panic is the report.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../agent/bench.rs"]
mod bench;
#[path = "../../../../oca/store/tests/faults/bytes.rs"]
mod bytes;
#[path = "../../../../oca/store/tests/faults/dice.rs"]
mod dice;
#[path = "../../../../oca/store/tests/faults/fault.rs"]
mod fault;
#[path = "../../../../oca/store/tests/faults/handle.rs"]
mod handle;
mod life;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../../oca/store/tests/faults/made.rs"]
mod made;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../agent/source.rs"]
mod source;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use control_types::PlanId;
use dice::Dice;
use fault::Fault;
use life::{OBJECTS, Place};
use made::Stop;

const STOPS: [Stop; 3] = [Stop::Kill, Stop::Cut, Stop::CutInOrder];

const FAULTS: [Fault; 11] = [
    Fault::Stop(Stop::Kill),
    Fault::Stop(Stop::Cut),
    Fault::Fails,
    Fault::Short,
    Fault::LosesPages,
    Fault::Full(1),
    Fault::Stop(Stop::CutInOrder),
    Fault::Dies,
    Fault::Interrupted,
    Fault::ReadOnly,
    Fault::Full(4),
];

/// Boxes at work at once: an agent's life is mostly waiting.
const BOXES: usize = 8;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// One night with `fault` at the `at`-th operation, and what follows. Answers whether it happened.
async fn night(place: &mut Place, seed: u64, at: u64, fault: Fault) -> bool {
    let told = format!("seed {seed}, {fault:?} at operation {at}");
    let mut dice = Dice::new(seed ^ at << 8);
    place.begin(seed ^ at << 20);
    place.disk.arm(at, fault);
    let (_, reported) = place.live(&told).await;
    let happened = place.disk.heal() || place.disk.is_stopped();
    if place.disk.is_stopped() {
        place.disk.start_again(Stop::Kill);
    }
    let held = place.check_listed(&told);
    assert!(held >= reported, "{told}: {reported} were reported, {held} are there");
    // Once more, while the next life puts in order what the first left.
    if dice.coin() {
        place.disk.arm(dice.below(80), Fault::Stop(STOPS[dice.below(3) as usize]));
        let (_, reported) = place.live(&told).await;
        place.disk.heal();
        place.disk.start_again(Stop::Kill);
        let held = place.check_listed(&told);
        assert!(held >= reported, "{told}: {reported} were reported then, {held} are there");
    }
    place.finish(&told).await;
    let stop = STOPS[dice.below(3) as usize];
    place.disk.start_again(stop);
    assert_eq!(place.check_listed(&told), OBJECTS, "{told}, then {stop:?}");
    place.check_no_leak(&told);
    happened
}

// Threads enough that looking through all boxes' disks at once keeps no source from answering.
#[tokio::test(flavor = "multi_thread", worker_threads = 12)]
async fn a_night_meets_every_fault_at_every_operation() {
    let seed = number("NIGHTFILL_SEED", 1);
    let all = number("NIGHTFILL_ALL_FAULTS", 0) == 1;
    let (next, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let runs = Arc::new(AtomicU64::new(0));
    let boxes = (0..BOXES).map(|_| {
        let (next, ended, runs) = (Arc::clone(&next), Arc::clone(&ended), Arc::clone(&runs));
        tokio::spawn(async move {
            let mut place = Place::new(1).await;
            while !ended.load(Ordering::SeqCst) {
                let at = next.fetch_add(1, Ordering::SeqCst);
                // Two of them in turn, so that eleven seeds in a row are all at each operation.
                let turn = (seed + at) as usize;
                let some = [FAULTS[turn % 11], FAULTS[(turn + 6) % 11]];
                let faults = if all { FAULTS.to_vec() } else { some.to_vec() };
                for fault in faults {
                    let happened = night(&mut place, seed, at, fault).await;
                    runs.fetch_add(1, Ordering::SeqCst);
                    if !happened && matches!(fault, Fault::Stop(_) | Fault::Fails | Fault::Dies) {
                        ended.store(true, Ordering::SeqCst);
                    }
                }
            }
        })
    });
    for done in boxes.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    let (operations, runs) = (next.load(Ordering::SeqCst), runs.load(Ordering::SeqCst));
    println!("seed {seed}: {runs} runs, {operations} operations");
    assert!(operations > 60, "{operations} operations: the faults did not happen at each of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 12)]
async fn nights_of_several_lanes_meet_faults_by_chance() {
    let (seed, rounds) = (number("NIGHTFILL_SEED", 1), number("NIGHTFILL_ROUNDS", 48));
    println!("seed {seed}, {rounds} rounds");
    let next = Arc::new(AtomicU64::new(0));
    let boxes = (0..BOXES).map(|_| {
        let next = Arc::clone(&next);
        tokio::spawn(async move {
            let mut place = Place::new(4).await;
            loop {
                let round = next.fetch_add(1, Ordering::SeqCst);
                if round >= rounds {
                    return;
                }
                let mut dice = Dice::new(seed << 32 ^ round);
                let fault = FAULTS[dice.below(11) as usize];
                night(&mut place, seed ^ round << 8, dice.below(150), fault).await;
            }
        })
    });
    for done in boxes.collect::<Vec<_>>() {
        done.await.unwrap();
    }
}

/// Goal: what was acted on is never taken back by a replay, whatever the disk that keeps the orders
/// did meanwhile, and whatever it kept of the clock can be read. Method: an agent that has nothing
/// to pull takes the orders of two serials, the second beside a fault at each operation in turn;
/// then the machine stops, and somebody sends the first again.
#[tokio::test(flavor = "multi_thread")]
async fn orders_that_were_acted_on_outlive_every_fault() {
    let seed = number("NIGHTFILL_SEED", 1);
    let plan =
        |number: u64| format!("00000000-0000-4000-8000-{number:012}").parse::<PlanId>().unwrap();
    let mut place = Place::new(1).await;
    let (mut at, mut runs) = (0, 0);
    loop {
        let turn = (seed + at) as usize;
        let mut is_over = false;
        for fault in [FAULTS[turn % 11], FAULTS[(turn + 6) % 11]] {
            let told = format!("seed {seed}, {fault:?} at operation {at}");
            let mut dice = Dice::new(seed ^ at << 8);
            place.begin(seed ^ at << 20);
            place.order_idle(plan(1));
            // Where there is no first life, the state directory itself is new to the second.
            if dice.below(3) > 0 {
                place.hear(&told, plan(1)).await;
                place.disk.start_again(STOPS[dice.below(3) as usize]);
            }
            place.order_idle(plan(2));
            place.disk.arm(at, fault);
            let plans = place.live_by_plans(&told).await;
            let happened = place.disk.heal() || place.disk.is_stopped();
            is_over |= !happened && matches!(fault, Fault::Stop(_) | Fault::Fails | Fault::Dies);
            place.disk.start_again(STOPS[dice.below(3) as usize]);
            let was_acted_on = plans.contains(&plan(2));
            let clock = place.kept_clock();
            place.replay(plan(1));
            let plans = place.hear(&told, plan(1)).await;
            let is_rolled_back = was_acted_on && plans.contains(&plan(1));
            assert!(!is_rolled_back, "{told}: rolled back: {plans:?}");
            if let (Some(before), Some(after)) = (clock, place.kept_clock()) {
                let signed = |clock: &serde_json::Value| clock["signed_ms"].as_u64().unwrap();
                assert!(signed(&after) >= signed(&before), "{told}: the clock went back");
            }
            runs += 1;
        }
        at += 1;
        if is_over {
            break;
        }
    }
    println!("seed {seed}: {runs} runs, {at} operations");
    assert!(at > 20, "{at} operations: the faults did not happen at each of them");
}

/// Goal: what a failed sync lost is written again even where the cache goes on showing it, so that
/// reading it back proves nothing. Method: each sync in turn fails and loses its pages, on a disk
/// that takes no hint to forget; the power goes once the night is finished.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_sync_lost_is_written_again() {
    let seed = number("NIGHTFILL_SEED", 1);
    let mut place = Place::new(1).await;
    for at in (0..200).step_by(3) {
        let told = format!("seed {seed}, LosesPages at operation {at}, no hint taken");
        place.begin(seed ^ at << 20);
        place.disk.deafen();
        place.disk.arm(at, Fault::LosesPages);
        let _ = place.live(&told).await;
        if !place.disk.heal() {
            return;
        }
        place.finish(&told).await;
        place.disk.start_again(Stop::Cut);
        assert_eq!(place.check_listed(&told), OBJECTS, "{told}");
    }
    panic!("two hundred operations were not all of a night");
}
