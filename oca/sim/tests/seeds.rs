//! The real server under any mix of faults, many seeds over. `NIGHTFILL_SIM_SEEDS` says how many
//! and `NIGHTFILL_SIM_FIRST` from which on; `NIGHTFILL_SIM_SEED` replays one, and
//! `NIGHTFILL_SIM_TRACE` narrates it. A failure prints its seed and the command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use oca_sim::{Shelf, Summary, run};

const SEEDS: u64 = 300;

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

#[test]
fn the_server_keeps_its_promises_in_any_weather() {
    if let Some(seed) = number_from("NIGHTFILL_SIM_SEED") {
        println!("{:?}", run_or_report(seed));
        return;
    }
    let seeds = number_from("NIGHTFILL_SIM_SEEDS").unwrap_or(SEEDS);
    let (mut answers, mut excused) = (0, 0);
    let first = number_from("NIGHTFILL_SIM_FIRST").unwrap_or(0);
    for seed in first..first + seeds {
        let summary = run_or_report(seed);
        answers += summary.answers;
        excused += summary.excused;
    }
    println!("{seeds} seeds, {answers} answers, {excused} excused");
    assert!(answers as u64 > seeds * 5, "hardly anything was asked");
    assert!(excused < answers / 5, "{excused} of {answers} answers had an excuse");
}

#[test]
fn a_seed_replays_exactly() {
    // Clear ones: TLS brings real randomness along.
    for seed in [4, 77, 1_000_002] {
        assert_eq!(run_or_report(seed), run_or_report(seed), "seed {seed}");
    }
}
