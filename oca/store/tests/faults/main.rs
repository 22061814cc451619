//! Every deed of a writer on a disk that fails at every operation: it is killed, the power goes, the
//! disk errs, is full, turns read-only, loses what it said it would keep. Goal: what was
//! acknowledged is there and whole, nothing half written is ever listed, a refusal can be tried
//! again, the journal says what the files say, and no file is left that nobody answers for.
//!
//! Method: a short script is run once to count the operations of the disk, then again and again with
//! one fault at each of them; long scripts are drawn by chance with a fault somewhere.
//! `NIGHTFILL_SEED` is the seed of everything (1 otherwise), `NIGHTFILL_ROUNDS` the number of long
//! scripts; a failure names the seed, the script, the fault and the operation.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod bytes;
mod dice;
mod fault;
#[path = "../kit/mod.rs"]
mod kit;
mod made;
mod world;

use dice::Dice;
use fault::Fault;
use made::{MadeDisk, Stop};
use world::{Deed, OBJECTS, World, blank, in_full};

use Deed::{Adopt, Begin, Clear, Evict, Fill, Import, Move, Reopen, Scrub};

/// Deeds before a fault is given up: each is tried again once the disk is well.
const TRIES: usize = 3;

const FAULTS: [Fault; 10] = [
    Fault::Stop(Stop::Kill),
    Fault::Stop(Stop::Cut),
    Fault::Stop(Stop::CutInOrder),
    Fault::Fails,
    Fault::Dies,
    Fault::Full(1),
    Fault::Full(4),
    Fault::ReadOnly,
    Fault::LosesPages,
    Fault::Short,
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// One run of `script` with `fault` at the `at`-th operation. Answers whether it happened.
fn run(image: &MadeDisk, script: &[Deed], seed: u64, at: u64, fault: Fault) -> bool {
    let told = format!("seed {seed}, {fault:?} at operation {at} of {script:?}");
    let mut world = World::new(image.copy(seed ^ at << 20));
    world.disk.arm(at, fault);
    let mut happened = false;
    for (number, deed) in script.iter().enumerate() {
        let told = format!("{told}, deed {number}");
        for tried in 0..=TRIES {
            let done = world.act(*deed);
            if world.disk.is_stopped() {
                happened = true;
                world.start_again(Stop::Kill);
                world.check_reader(&told);
                world.check_writer(&told);
                continue;
            }
            let Err(error) = done else { break };
            happened |= world.disk.heal();
            assert!(happened && tried < TRIES, "{told}: refused again: {}", in_full(&error));
            // The refusal itself took nothing away. Readers may have seen what was refused, until
            // the next line is written.
            world.check_truth(&told);
        }
        world.follow();
    }
    happened |= world.disk.heal();
    if world.disk.is_stopped() {
        world.start_again(Stop::Kill);
    }
    world.check_truth(&told);
    // Whatever was said before the power goes must hold after it.
    let mut dice = Dice::new(seed ^ at);
    for stop in [Stop::Kill, if dice.coin() { Stop::Cut } else { Stop::CutInOrder }] {
        let told = format!("{told}, then {stop:?}");
        world.start_again(stop);
        world.check_reader(&told);
        world.check_writer(&told);
        world.check_no_leak(&told);
    }
    happened
}

/// Every fault at every operation of `script`, `stride` apart.
fn at_every_operation(script: &[Deed], stride: u64) {
    let seed = number("NIGHTFILL_SEED", 1);
    let image = blank(seed);
    let (mut runs, began) = (0, std::time::Instant::now());
    for fault in FAULTS.into_iter().chain([Fault::Interrupted]) {
        let mut at = seed % stride;
        while run(&image, script, seed, at, fault) {
            at += stride;
            runs += 1;
        }
    }
    println!("seed {seed}: {runs} runs of {script:?} in {:?}", began.elapsed());
    assert!(runs > 100, "{runs} runs: the faults did not happen");
}

#[test]
fn a_fill_meets_every_fault_at_every_operation() {
    at_every_operation(&[Fill(0), Fill(1)], 1);
}

#[test]
fn an_unfinished_pull_meets_every_fault_at_every_operation() {
    at_every_operation(&[Begin(2), Fill(2)], 1);
}

#[test]
fn what_is_taken_away_meets_every_fault_at_every_operation() {
    at_every_operation(&[Fill(0), Evict(0), Fill(0), Fill(4), Scrub(4), Clear], 2);
}

#[test]
fn a_move_meets_every_fault_at_every_operation() {
    at_every_operation(&[Fill(5), Move(5), Reopen, Move(5)], 2);
}

#[test]
fn an_import_meets_every_fault_at_every_operation() {
    at_every_operation(&[Adopt(1), Import(3), Evict(1), Adopt(1)], 2);
}

fn script(dice: &mut Dice) -> Vec<Deed> {
    let deed = |dice: &mut Dice| {
        let which = dice.below(OBJECTS as u64) as usize;
        match dice.below(16) {
            0..=3 => Fill(which),
            4 => Begin(which),
            5 => Import(which),
            6..=7 => Adopt(which),
            8..=9 => Evict(which),
            10..=11 => Move(which),
            12..=13 => Scrub(which),
            14 => Clear,
            _ => Reopen,
        }
    };
    let length = 10 + dice.below(30);
    (0..length).map(|_| deed(dice)).collect()
}

#[test]
fn long_lives_meet_faults_by_chance() {
    let (seed, rounds) = (number("NIGHTFILL_SEED", 1), number("NIGHTFILL_ROUNDS", 150));
    println!("seed {seed}, {rounds} rounds");
    let image = blank(seed);
    for round in 0..rounds {
        let mut dice = Dice::new(seed << 32 ^ round);
        let script = script(&mut dice);
        let fault = FAULTS[dice.below(FAULTS.len() as u64) as usize];
        run(&image, &script, seed ^ round << 8, dice.below(900), fault);
    }
}
