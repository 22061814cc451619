//! Goal: the decision that follows numbers and packs rules is the decision of the plain reference.
//! Method: random worlds and questions, both asked, lists compared. `bench/steering` asks a
//! million.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod reference;

use control_steering::Policy;
use control_steering::decide::decide;
use reference::build::{asked, fleet, random_question, random_world};

#[test]
fn the_reference_agrees() {
    let policy = Policy::default();
    for seed in 0..300u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = random_world(&mut random);
        let fleet = fleet(&world);
        for _ in 0..40 {
            let plain = random_question(&mut random, &world);
            let wanted = reference::ranked(&world, &plain);
            let given = asked(&world, &plain, |question| {
                let ranked = decide(&fleet, question, &policy).ranked();
                ranked.into_iter().map(|place| place.appliance.to_string()).collect::<Vec<_>>()
            });
            assert_eq!(given, wanted, "seed {seed}: {plain:?}");
        }
    }
}
