//! Decisions: whether they equal the plain reference, and how fast they are in a network of full
//! size. One thread.

use std::time::Instant;

use control_steering::decide::decide;
use control_steering::{Policy, Question};
use serde_json::{Value, json};

use crate::machine;
use crate::network::{Network, Size};
use crate::reference::build::{asked, fleet, random_question, random_world};
use crate::reference::ranked;

/// Questions put to one random world.
const QUESTIONS_PER_WORLD: u64 = 400;
/// Decisions timed one by one, and in a row.
const TIMED: usize = 400_000;

/// Random worlds and questions, decided by the crate and by the reference.
pub fn equal(seed: u64, questions: u64) -> Result<Value, String> {
    let policy = Policy::default();
    let (mut places, mut empty, mut differences) = (0u64, 0u64, 0u64);
    let worlds = questions.div_ceil(QUESTIONS_PER_WORLD);
    for world_seed in 0..worlds {
        let mut random = fastrand::Rng::with_seed(seed ^ world_seed.wrapping_mul(0x9e37_79b9));
        let world = random_world(&mut random);
        let fleet = fleet(&world);
        for _ in 0..QUESTIONS_PER_WORLD {
            let plain = random_question(&mut random, &world);
            let wanted = ranked(&world, &plain);
            let given =
                asked(&world, &plain, |question| decide(&fleet, question, &policy).ranked());
            places += given.len() as u64;
            empty += u64::from(given.is_empty());
            let same = given.len() == wanted.len()
                && given.iter().zip(&wanted).all(|(given, id)| given.appliance.as_str() == id);
            if !same {
                differences += 1;
                eprintln!("world {world_seed}: {plain:?}: {given:?} and not {wanted:?}");
            }
        }
    }
    if differences > 0 {
        return Err(format!("{differences} decisions differ from the reference"));
    }
    let asked = worlds * QUESTIONS_PER_WORLD;
    Ok(json!({
        "questions": asked, "worlds": worlds, "differences": differences,
        "empty_lists": empty, "places": places,
    }))
}

/// Time and memory of decisions at full size.
pub fn speed(size: &Size, seed: u64) -> Value {
    let began = Instant::now();
    let network = Network::build(size, seed);
    let built_s = began.elapsed().as_secs_f64();
    let mut random = fastrand::Rng::with_seed(seed);
    let asks: Vec<_> = (0..TIMED).map(|_| network.question(&mut random)).collect();
    let policy = Policy::default();
    let question = |at: usize| {
        let (ip, title, session) = asks[at];
        let (title, objects) = network.title(title);
        Question::new(ip, title, objects).of_session(session, None)
    };
    for at in 0..TIMED / 10 {
        std::hint::black_box(decide(&network.fleet, &question(at), &policy));
    }
    let mut nanos: Vec<u64> = Vec::with_capacity(TIMED);
    let (mut places, mut candidates) = (0usize, 0usize);
    for at in 0..TIMED {
        let question = question(at);
        let began = Instant::now();
        let decision = decide(&network.fleet, &question, &policy);
        nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        places += decision.ranking.len;
        candidates += decision.verdicts.len();
    }
    // Both ways: the second is what the first would be on a machine that has nothing else to do.
    let rate = |run: &dyn Fn(usize)| {
        let (began, on_cpu) = (Instant::now(), machine::on_cpu_nanos());
        (0..TIMED).for_each(run);
        let cpu_s = machine::on_cpu_nanos().saturating_sub(on_cpu).max(1) as f64 / 1e9;
        let rates = [began.elapsed().as_secs_f64(), cpu_s].map(|s| (TIMED as f64 / s) as u64);
        json!({ "by_the_clock": rates[0], "by_processor_time": rates[1] })
    };
    let decided = rate(&|at| {
        std::hint::black_box(decide(&network.fleet, &question(at), &policy));
    });
    let listed = rate(&|at| {
        std::hint::black_box(decide(&network.fleet, &question(at), &policy).ranked());
    });
    nanos.sort_unstable();
    let at = |share: f64| nanos[((TIMED - 1) as f64 * share) as usize] as f64 / 1_000.0;
    json!({
        "prefixes": network.fleet.routes.len(), "appliances": network.fleet.states.len(),
        "titles": size.titles, "objects": network.fleet.library.len(),
        "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999),
        "decisions_per_second": decided,
        "with_names_and_urls_per_second": listed,
        "candidates_mean": candidates as f64 / TIMED as f64,
        "places_mean": places as f64 / TIMED as f64,
        "resident_bytes": machine::resident_bytes(),
        "peak_bytes": machine::peak_bytes(),
        "built_in_s": built_s,
        "timed": TIMED,
    })
}
