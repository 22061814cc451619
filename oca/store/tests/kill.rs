//! A writer killed again and again while it does everything a writer does. Goal: what it said it
//! published is there, whole; what it said it took away is gone; nothing torn is ever listed; and
//! the journal does not grow for ever.
//!
//! The writer is this test program again, told by an environment variable where to work.
//! `NIGHTFILL_KILLS` is the number of kills, `NIGHTFILL_SEED` the seed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod kit;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use control_types::ObjectId;
use kit::{CHUNK, open, payload, publish, seal, volume};
use oca_store::{Depth, Index, Verdict, Writer, check};

const CHILD_DIR: &str = "OCA_STORE_KILL_DIR";
const CHILD_SEED: &str = "OCA_STORE_KILL_SEED";
/// Kinds of objects; small, so that a round does many deeds.
const OBJECTS: u64 = 12;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn object_bytes(which: u64) -> Vec<u8> {
    payload(1000 + which, 700 + (which as usize % 4) * CHUNK)
}

/// A stream of numbers that depends on its seed and on nothing else.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    }
}

/// The child: deeds without end. Says `will X N` before and `did X N` after each.
#[test]
fn child_does_deeds_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR).map(PathBuf::from) else { return };
    let mut dice = Dice::new(number(CHILD_SEED, 0));
    let writer = Writer::open(&volume(&dir), "child").unwrap();
    loop {
        let which = dice.below(OBJECTS);
        let bytes = object_bytes(which);
        let object = seal(&bytes).object();
        if !writer.holds(&object) {
            println!("\nwill publish {which}");
            publish(&writer, &bytes).unwrap();
            println!("\ndid publish {which}");
            continue;
        }
        let deed = ["remove", "quarantine", "retire"][dice.below(3) as usize];
        println!("\nwill {deed} {which}");
        match deed {
            "remove" => writer.remove(&object).unwrap(),
            "quarantine" => writer.quarantine(&object).unwrap(),
            _ => {
                let retired = writer.retire(&object).unwrap();
                writer.finish(retired).unwrap();
            }
        }
        println!("\ndid {deed} {which}");
    }
}

/// What must be true of one object.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Truth {
    There,
    Gone,
    /// A deed was under way: either.
    Open,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_torn_is_listed() {
    let (kills, seed) = (number("NIGHTFILL_KILLS", 25), number("NIGHTFILL_SEED", 7));
    println!("seed {seed}, {kills} kills");
    let dir = tempfile::tempdir().unwrap();
    let objects: Vec<ObjectId> =
        (0..OBJECTS).map(|which| seal(&object_bytes(which)).object()).collect();
    let mut dice = Dice::new(seed);
    let mut truth: BTreeMap<u64, Truth> = BTreeMap::new();
    let mut deeds = 0;
    for round in 0..kills {
        deeds += run_and_kill(dir.path(), seed ^ round << 8, &mut dice, &mut truth);
        let at = format!("seed {seed}, kill {round}");
        let volume = volume(dir.path());
        // A reader that starts before any writer sees nothing that is not there.
        let index = Index::load(std::slice::from_ref(&volume)).index;
        for entry in index.entries() {
            assert!(
                entry.path().exists() || !truth_is(&truth, &objects, &entry.object, Truth::There)
            );
        }
        let writer = Writer::open(&volume, "parent").unwrap();
        for (which, object) in (0..).zip(&objects) {
            match truth.get(&which).copied().unwrap_or(Truth::Gone) {
                Truth::There => assert!(writer.holds(object), "{at}: {which} is lost"),
                Truth::Gone => assert!(!writer.holds(object), "{at}: {which} came back"),
                Truth::Open => {}
            }
            let now = if writer.holds(object) { Truth::There } else { Truth::Gone };
            truth.insert(which, now);
        }
        let report = check(&volume, Depth::Payload).unwrap();
        let bad: Vec<_> = report.bad.iter().filter(|bad| bad.verdict != Verdict::Orphan).collect();
        assert!(bad.is_empty() && report.journal_fault.is_none(), "{at}: {bad:?}");
        assert!(report.bad.is_empty(), "{at}: room is lost to {:?}", report.bad);
    }
    assert!(deeds >= kills, "{deeds} deeds in {kills} rounds: the child was killed too early");
}

fn truth_is(
    truth: &BTreeMap<u64, Truth>,
    objects: &[ObjectId],
    object: &ObjectId,
    wanted: Truth,
) -> bool {
    let which = objects.iter().position(|other| other == object).unwrap() as u64;
    truth.get(&which) == Some(&wanted)
}

/// Runs the child for a random moment and kills it; counts deeds done.
fn run_and_kill(
    dir: &Path,
    child_seed: u64,
    dice: &mut Dice,
    truth: &mut BTreeMap<u64, Truth>,
) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_does_deeds_until_killed", "--exact", "--nocapture"])
        .env(CHILD_DIR, dir)
        .env(CHILD_SEED, child_seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    // At least a few deeds, then anywhere inside the next one.
    let least = 2 + dice.below(12);
    let (mut deeds, mut killed) = (0, false);
    while let Some(Ok(line)) = said.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let [verb, deed, which] = words[..] else { continue };
        let Ok(which) = which.parse::<u64>() else { continue };
        let outcome = if deed == "publish" { Truth::There } else { Truth::Gone };
        match verb {
            "will" => drop(truth.insert(which, Truth::Open)),
            "did" => {
                truth.insert(which, outcome);
                deeds += 1;
            }
            _ => continue,
        }
        if deeds >= least && !killed {
            std::thread::sleep(Duration::from_micros(dice.below(6000)));
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    deeds
}

#[test]
fn a_journal_of_dead_lines_is_written_anew_while_the_writer_runs() {
    let dir = tempfile::tempdir().unwrap();
    let volume = volume(dir.path());
    // The lines of a long life, without its fsyncs: removed and published again and again.
    let writer = open(&volume);
    let kept = publish(&writer, &payload(1, 10)).unwrap().object();
    drop(writer);
    let journal = dir.path().join("journal");
    let whole = std::fs::read(&journal).unwrap();
    let mut long = whole.clone();
    let line = &whole[128..256];
    for slot in 1..4090u64 {
        let mut line = line.to_vec();
        line[112..120].copy_from_slice(&slot.to_le_bytes());
        let crc = crc32c::crc32c(&line[4..]);
        line[0..4].copy_from_slice(&crc.to_le_bytes());
        long.extend_from_slice(&line);
    }
    std::fs::write(&journal, &long).unwrap();
    let mut loaded = Index::load(std::slice::from_ref(&volume));
    let writer = open(&volume);
    let mut longest = 0;
    for seed in 0..20 {
        let object = publish(&writer, &payload(seed + 2, 10)).unwrap().object();
        writer.remove(&object).unwrap();
        longest = longest.max(std::fs::metadata(&journal).unwrap().len());
        loaded.tail.poll().changes.iter().for_each(|change| loaded.index.apply(change));
    }
    let now = std::fs::metadata(&journal).unwrap().len();
    assert!(longest > 4090 * 128 && now < 128 * 128, "{longest} bytes, then {now}");
    assert_eq!(loaded.index.entries().map(|entry| entry.object).collect::<Vec<_>>(), [kept]);
}
