//! The real server under any mix of faults, many seeds over. `NIGHTFILL_SIM_SEEDS` says how many
//! and `NIGHTFILL_SIM_FIRST` from which on; `NIGHTFILL_SIM_SEED` replays one, and
//! `NIGHTFILL_SIM_TRACE` narrates it. A failure prints its seed and the command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use oca_sim::{Shelf, Summary, run};

/// Seeds of a run that nobody asked more of; CI asks for ten thousand.
const SEEDS: u64 = 1000;
/// Threads at most: each has a machine of some megabytes.
const THREADS_MAX: usize = 8;

fn shelf() -> &'static Arc<Shelf> {
    static SHELF: OnceLock<Arc<Shelf>> = OnceLock::new();
    SHELF.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        Arc::new(Shelf::build(dir.path()).expect("a shelf"))
    })
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_or_report(seed: u64) -> Summary {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(shelf(), seed)));
    let replay = format!("NIGHTFILL_SIM_SEED={seed} cargo test -p oca-sim --test seeds");
    match outcome {
        Ok(Ok(summary)) => summary,
        Ok(Err(broken)) => panic!("seed {seed}: {broken}\nreplay: {replay}"),
        Err(reason) => {
            eprintln!("seed {seed} panicked\nreplay: {replay}");
            std::panic::resume_unwind(reason)
        }
    }
}

/// Runs seeds until there are none left or another thread met a broken promise.
fn run_some(next: &AtomicU64, end: u64, failed: &AtomicBool) -> (usize, usize) {
    let (mut answers, mut excused) = (0, 0);
    while !failed.load(Ordering::Relaxed) {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            break;
        }
        let ran = catch_unwind(AssertUnwindSafe(|| run_or_report(seed)));
        let summary = ran.unwrap_or_else(|reason| {
            failed.store(true, Ordering::Relaxed);
            std::panic::resume_unwind(reason)
        });
        answers += summary.answers;
        excused += summary.excused;
    }
    (answers, excused)
}

#[test]
fn the_server_keeps_its_promises_in_any_weather() {
    if let Some(seed) = number_from("NIGHTFILL_SIM_SEED") {
        println!("{:?}", run_or_report(seed));
        return;
    }
    let seeds = number_from("NIGHTFILL_SIM_SEEDS").unwrap_or(SEEDS);
    let first = number_from("NIGHTFILL_SIM_FIRST").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let began = Instant::now();
    let sums: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let work = || run_some(&next, first + seeds, &failed);
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|why| std::panic::resume_unwind(why)))
            .collect()
    });
    let answers: usize = sums.iter().map(|(answers, _)| answers).sum();
    let excused: usize = sums.iter().map(|(_, excused)| excused).sum();
    let took = began.elapsed();
    println!("{seeds} seeds in {took:?}, {answers} answers, {excused} excused");
    assert!(answers as u64 > seeds * 5, "hardly anything was asked");
    assert!(excused < answers / 4, "{excused} of {answers} answers had an excuse");
}

#[test]
fn a_seed_replays_exactly() {
    // Clear ones: TLS brings real randomness along.
    for seed in [4, 77, 1_000_002] {
        assert_eq!(run_or_report(seed), run_or_report(seed), "seed {seed}");
    }
}
