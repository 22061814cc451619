//! Many kills: the agent is killed at random moments, stopped, and started again, while its sources
//! change their mood. Goal: whatever is listed is whole, what was reported done stays, a kill costs
//! at most a chunk a lane, and in the end everything is there.
//!
//! `NIGHTFILL_KILLS` is the number of kills, `NIGHTFILL_SEED` the seed.

use std::time::Duration;

use control_types::fill::FillStateWord;
use control_types::limits::CHUNK_BYTES;
use oca_store::{Depth, Verdict, Volume, check};

use crate::bench::{Bench, pull, wide_open};
use crate::source::{Mood, Sealed, sealed};

const CHUNK: usize = CHUNK_BYTES as usize;
const MOODS: [Mood; 6] =
    [Mood::Good, Mood::Good, Mood::Lies, Mood::Truncates, Mood::Stalls, Mood::Busy];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
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
    // A new set every so often, so that there is always something to do.
    let objects: Vec<Sealed> =
        (0..6).map(|n| sealed(seed + 80 + n, (1 + n as usize % 4) * CHUNK + n as usize)).collect();
    let all: Vec<&Sealed> = objects.iter().collect();
    let doubtful = bench.source(Mood::Good, &all).await;
    let good = bench.source(Mood::Good, &all).await;
    let from = [("doubtful", &doubtful), ("origin", &good)];
    let pulls: Vec<_> = objects.iter().map(|object| pull(object, &from)).collect();
    let mut done = 0;
    for round in 0..kills {
        let at = format!("seed {seed}, kill {round}");
        *doubtful.shelf.mood.lock().unwrap() = MOODS[roll(MOODS.len() as u64) as usize];
        if round % 10 == 0 {
            // The plan lets everything go: the next rounds begin with empty disks.
            for volume in [&ssd, &hdd] {
                for name in ["objects", "incoming", "journal"] {
                    let path = volume.join(name);
                    let _ = std::fs::remove_dir_all(&path);
                    let _ = std::fs::remove_file(&path);
                }
            }
            done = 0;
        }
        bench.order(pulls.clone(), Vec::new(), wide_open());
        let rate = 20_000_000 + roll(80_000_000);
        bench.amend(|orders| orders.windows[0].rate_bps_max = Some(rate));
        let agent = bench.start();
        // The random moment is what is tested; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(roll(400))).await;
        agent.kill();
        let reported = bench.last_report().map_or(0, |report| report.objects_done);
        let mut held = 0;
        for volume in [&ssd, &hdd] {
            let volume = Volume::open(volume, control_types::fleet::DiskClass::Ssd).unwrap();
            let report = check(&volume, Depth::Payload).unwrap();
            let torn = report.bad.iter().filter(|bad| bad.verdict != Verdict::Orphan);
            assert_eq!(torn.count(), 0, "{at}: {:?}", report.bad);
            held += report.objects;
        }
        assert!(held >= done, "{at}: {held} objects where {done} were");
        assert!(held >= reported.min(done), "{at}: {reported} were reported, {held} are there");
        done = held;
    }
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
