//! Every deed of a writer on a disk that fails at every operation: it is killed, the power goes,
//! the disk errs, is full, turns read-only, loses what it said it would keep. Goal: what was
//! acknowledged is there and whole, nothing half written is ever listed, a refusal can be tried
//! again, the journal says what the files say, and no file is left that nobody answers for.
//!
//! Method: a short script is run again and again with one fault at each operation of the disk,
//! until it ends before the fault; long scripts are drawn by chance with a fault somewhere. A
//! failure names the seed, the script, the fault and the operation. `NIGHTFILL_SEED` is the seed of
//! everything (1 otherwise), `NIGHTFILL_ROUNDS` the number of long scripts, and
//! `NIGHTFILL_ALL_FAULTS=1` tries all faults at each operation in one go.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod bytes;
mod dice;
mod fault;
mod full;
mod handle;
#[path = "../kit/mod.rs"]
mod kit;
mod lost;
mod made;
mod world;

use std::path::Path;

use dice::Dice;
use fault::Fault;
use made::{MadeDisk, Stop};
use world::{Deed, OBJECTS, Truth, World, blank, in_full};

use Deed::{Adopt, Begin, Clear, Evict, Fill, Import, Move, Reopen, Scrub};

/// Deeds before a fault is given up: each is tried again once the disk is well.
const TRIES: usize = 3;

const STOPS: [Stop; 3] = [Stop::Kill, Stop::Cut, Stop::CutInOrder];

const CUTS: [Fault; 2] = [Fault::Stop(Stop::Cut), Fault::Stop(Stop::CutInOrder)];

const OTHERS: [Fault; 8] = [
    Fault::Fails,
    Fault::Dies,
    Fault::Full(1),
    Fault::Full(4),
    Fault::ReadOnly,
    Fault::LosesPages,
    Fault::Short,
    Fault::Interrupted,
];

/// A disk to begin with, and what is true of it.
struct Image {
    disk: MadeDisk,
    truth: [Truth; OBJECTS],
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// One run of `script` with `fault` at the `at`-th operation. Answers whether it happened.
fn run(image: &Image, script: &[Deed], seed: u64, at: u64, fault: Fault) -> bool {
    let told = format!("seed {seed}, {fault:?} at operation {at} of {script:?}");
    let volumes = if script.iter().any(|deed| matches!(deed, Move(_))) { 2 } else { 1 };
    let mut world = World::new(image.disk.copy(seed ^ at << 20), volumes);
    world.truth = image.truth;
    world.disk.arm(at, fault);
    let (mut happened, mut dice) = (false, Dice::new(seed ^ at));
    for (number, deed) in script.iter().enumerate() {
        let told = format!("{told}, deed {number}");
        for tried in 0..=TRIES {
            let done = world.act(*deed);
            if world.disk.is_stopped() {
                happened = true;
                world.start_again(Stop::Kill);
                world.check_reader(&told);
                // It stops once more, while it finishes what the first stop cut short.
                world.disk.arm(dice.below(60), Fault::Stop(STOPS[dice.below(3) as usize]));
                let _ = world.act(Reopen);
                world.disk.heal();
                if world.disk.is_stopped() {
                    world.start_again(Stop::Kill);
                }
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
    let stop = STOPS[dice.below(3) as usize];
    let told = format!("{told}, then {stop:?}");
    world.start_again(stop);
    world.check_reader(&told);
    world.check_truth(&told);
    world.check_no_leak(&told);
    happened
}

/// A fault at every operation of `script`: a kill, a power cut, and two of the others in turn, so
/// that eight seeds in a row are every fault at every operation; or all, when asked for.
fn at_every_operation(script: &[Deed]) {
    let seed = number("NIGHTFILL_SEED", 1);
    at_every_operation_on(
        &Image { disk: blank(seed), truth: [Truth::Gone; OBJECTS] },
        script,
        seed,
    );
}

fn at_every_operation_on(image: &Image, script: &[Deed], seed: u64) {
    let all = number("NIGHTFILL_ALL_FAULTS", 0) == 1;
    let (mut runs, mut at) = (0, 0);
    while run(image, script, seed, at, Fault::Stop(Stop::Kill)) {
        let turn = (seed + at) as usize;
        let some = [CUTS[turn % 2], OTHERS[turn % 8], OTHERS[(turn + 4) % 8]];
        let faults = if all { [&CUTS[..], &OTHERS[..]].concat() } else { some.to_vec() };
        for fault in &faults {
            run(image, script, seed, at, *fault);
        }
        runs += 1 + faults.len();
        at += 1;
    }
    println!("seed {seed}: {runs} runs, {at} operations of {script:?}");
    assert!(at > 30, "{at} operations: the kill did not happen at each of them");
}

#[test]
fn a_fill_meets_every_fault_at_every_operation() {
    at_every_operation(&[Fill(0), Fill(1)]);
}

#[test]
fn an_unfinished_pull_meets_every_fault_at_every_operation() {
    at_every_operation(&[Begin(2), Fill(2)]);
}

#[test]
fn what_is_taken_away_meets_every_fault_at_every_operation() {
    at_every_operation(&[Fill(0), Evict(0), Fill(0), Fill(4), Scrub(4), Clear]);
}

#[test]
fn a_move_meets_every_fault_at_every_operation() {
    at_every_operation(&[Fill(5), Move(5), Reopen, Move(5)]);
}

#[test]
fn an_import_meets_every_fault_at_every_operation() {
    at_every_operation(&[Adopt(1), Import(3), Evict(1), Adopt(1)]);
}

/// Goal: a journal that is written anew loses no line. Method: one of so many dead lines that the
/// next writer writes it anew when it opens.
#[test]
fn a_journal_being_written_anew_meets_every_fault_at_every_operation() {
    let seed = number("NIGHTFILL_SEED", 1);
    let mut world = World::new(blank(seed), 1);
    for deed in [Fill(0), Fill(1), Evict(0)] {
        world.act(deed).unwrap();
    }
    let truth = world.truth;
    let disk = world.disk.copy(seed);
    let journal = Path::new("/ssd/journal");
    let mut lines = disk.get(journal).unwrap();
    let published = lines[256..384].to_vec();
    for slot in 3..4106u64 {
        let mut line = published.clone();
        line[112..120].copy_from_slice(&slot.to_le_bytes());
        let crc = crc32c::crc32c(&line[4..]);
        line[..4].copy_from_slice(&crc.to_le_bytes());
        lines.extend_from_slice(&line);
    }
    disk.put(journal, &lines);
    at_every_operation_on(&Image { disk, truth }, &[Reopen, Fill(0)], seed);
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
    let (seed, rounds) = (number("NIGHTFILL_SEED", 1), number("NIGHTFILL_ROUNDS", 100));
    println!("seed {seed}, {rounds} rounds");
    let image = Image { disk: blank(seed), truth: [Truth::Gone; OBJECTS] };
    for round in 0..rounds {
        let mut dice = Dice::new(seed << 32 ^ round);
        let script = script(&mut dice);
        let faults = [&[Fault::Stop(Stop::Kill)][..], &CUTS[..], &OTHERS[..]].concat();
        let fault = faults[dice.below(faults.len() as u64) as usize];
        run(&image, &script, seed ^ round << 8, dice.below(900), fault);
    }
}
