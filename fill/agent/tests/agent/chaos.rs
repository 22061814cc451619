//! Many kills: the agent is killed at random moments, stopped, and started again, while its sources
//! change their mood. Goal: whatever is listed is whole, what was reported done stays, a kill costs
//! at most a chunk a lane, and in the end everything is there.
//!
//! `NIGHTFILL_KILLS` is the number of kills, `NIGHTFILL_SEED` the seed.

use std::path::Path;
use std::time::Duration;

use control_types::fill::FillStateWord;
use control_types::fleet::DiskClass;
use control_types::limits::CHUNK_BYTES;
use oca_store::{Depth, Verdict, Volume, Writer, check};

use crate::bench::{Bench, pull, wide_open};
use crate::source::{Mood, Sealed, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;
const MOODS: [Mood; 6] =
    [Mood::Good, Mood::Good, Mood::Lies, Mood::Truncates, Mood::Stalls, Mood::Busy];

/// Parallel requests of the agent.
const LANES: u64 = 2;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Bytes of `objects` that the disks have for good: published, or verified and marked as such.
fn had(volumes: [&Path; 2], objects: &[Sealed]) -> u64 {
    let writers = volumes.map(|path| {
        let volume = Volume::open(path, DiskClass::Ssd).unwrap();
        Writer::open(&volume, "test").unwrap()
    });
    let had = |object: &Sealed| {
        let id = object.seal.object();
        if writers.iter().any(|writer| writer.holds(&id)) {
            return object.seal.bytes();
        }
        let begun = writers.iter().find(|writer| writer.unfinished().unwrap().contains(&id));
        let Some(writer) = begun else { return 0 };
        let missing = writer.begin(object.seal.clone()).unwrap().missing();
        let chunks = missing.into_iter().flatten().filter_map(|at| object.seal.chunk_range(at));
        object.seal.bytes() - chunks.map(|range| range.end - range.start).sum::<u64>()
    };
    objects.iter().map(had).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_lists_nothing_torn_and_loses_nothing_it_reported() {
    let (kills, seed) = (number("NIGHTFILL_KILLS", 8), number("NIGHTFILL_SEED", 11));
    println!("seed {seed}, {kills} kills");
    let mut dice = seed | 1;
    let mut roll = move |bound: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % bound
    };
    let mut bench = Bench::new().await;
    let [ssd, hdd] = bench.configure_two("");
    let objects: Vec<Sealed> =
        (0..6).map(|n| sealed(seed + 80 + n, (1 + n as usize % 4) * CHUNK + n as usize)).collect();
    let all: Vec<&Sealed> = objects.iter().collect();
    let doubtful = bench.source(Mood::Good, &all).await;
    let good = bench.source(Mood::Good, &all).await;
    let from = [("doubtful", &doubtful), ("origin", &good)];
    let pulls: Vec<_> = objects.iter().map(|object| pull(object, &from)).collect();
    let (mut done, mut had_before) = (0, 0);
    // Kills by how much of the night was there: none, some of it, all of it.
    let (mut points, mut most) = ([0; 3], 0);
    for round in 0..kills {
        let at = format!("seed {seed}, kill {round}");
        let mood = MOODS[roll(MOODS.len() as u64) as usize];
        *doubtful.shelf.mood.lock().unwrap() = mood;
        if round % 10 == 0 || (done == objects.len() as u64 && roll(4) > 0) {
            // The next night begins with empty disks; now and then an agent with nothing to do is
            // killed as well.
            for volume in [&ssd, &hdd] {
                for name in ["objects", "incoming", "journal"] {
                    let path = volume.join(name);
                    let _ = std::fs::remove_dir_all(&path);
                    let _ = std::fs::remove_file(&path);
                }
            }
            (done, had_before) = (0, 0);
        }
        bench.reports();
        let sent = || good.sent() + if mood == Mood::Good { doubtful.sent() } else { 0 };
        let sent_before = sent();
        bench.order(pulls.clone(), Vec::new(), wide_open());
        let rate = 3_000_000 + roll(30_000_000);
        bench.amend(|orders| orders.windows[0].rate_bps_max = Some(rate));
        let agent = bench.start();
        // The random moment is what is tested; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(roll(600))).await;
        agent.kill();
        let reported = bench.reports().iter().map(|report| report.objects_done).max();
        let reported = reported.unwrap_or(0);
        let mut held = 0;
        for volume in [&ssd, &hdd] {
            let volume = Volume::open(volume, control_types::fleet::DiskClass::Ssd).unwrap();
            let report = check(&volume, Depth::Payload).unwrap();
            let torn = report.bad.iter().filter(|bad| bad.verdict != Verdict::Orphan);
            assert_eq!(torn.count(), 0, "{at}: {:?}", report.bad);
            held += report.objects;
        }
        assert!(held >= done, "{at}: {held} objects where {done} were");
        assert!(held >= reported, "{at}: {reported} were reported, {held} are there");
        done = held;
        let had_now = had([&ssd, &hdd], &objects);
        let (came, kept) = (sent() - sent_before, had_now.saturating_sub(had_before));
        let lost = came.saturating_sub(kept);
        assert!(had_now >= had_before, "{at}: {had_before} bytes were there, {had_now} are");
        assert!(lost <= LANES * CHUNK_BYTES, "{at}: {came} bytes came, {kept} are there");
        (had_before, most) = (had_now, most.max(lost));
        points[if had_now == 0 { 0 } else { 1 + usize::from(held as usize == objects.len()) }] += 1;
    }
    println!("kills with nothing, some and all of the night there: {points:?}");
    println!("most that a kill cost: {most} bytes, {LANES} lanes");
    *doubtful.shelf.mood.lock().unwrap() = Mood::Good;
    bench.order(pulls, Vec::new(), wide_open());
    let agent = bench.start();
    let report = bench.reported(FillStateWord::Done).await;
    assert_eq!(report.objects_done, 6, "{report:?}");
    for object in &objects {
        let id = object.seal.object();
        let payload = bench.published(&id).or_else(|| Bench::published_on(&hdd, &id));
        assert_eq!(payload.unwrap(), object.payload);
    }
    assert_eq!(agent.stop().await, Some(0));
}
