//! Goal: members the model never saw get better titles than "what everybody watches". Method:
//! strong generalization — every fifth member is kept out of the model; a random four fifths of
//! that member's titles are folded in, the rest is to be found again. The split has a fixed seed.
//! Recall@20 is found / min(20, hidden), averaged over members; popularity ranks by the same
//! members' plays.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod ratings;

use std::collections::{BTreeMap, HashMap, HashSet};

use control_recommend::{Model, Watch};
use control_types::{ProfileId, TitleId, UnixMillis};

const SEED: u64 = 20_261_123;
const TOP: usize = 20;
/// What we promise: recall at least this many times that of popularity.
const FACTOR_MIN: f64 = 1.4;

struct Split {
    learned: Vec<Watch>,
    /// Newest first, and what is to be found.
    hidden: Vec<(Vec<TitleId>, HashSet<TitleId>)>,
}

fn split(watches: Vec<Watch>) -> Split {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut members: BTreeMap<ProfileId, Vec<Watch>> = BTreeMap::new();
    for watch in watches {
        members.entry(watch.profile).or_default().push(watch);
    }
    let mut split = Split { learned: Vec::new(), hidden: Vec::new() };
    for (number, (_, mut own)) in members.into_iter().enumerate() {
        if number % 5 != 0 {
            split.learned.append(&mut own);
            continue;
        }
        if own.len() < 10 {
            continue;
        }
        own.sort_by(|a, b| a.title.cmp(&b.title));
        random.shuffle(&mut own);
        let mut known = own.split_off(own.len() / 5);
        known.sort_by_key(|watch| std::cmp::Reverse(watch.watched_at));
        let hidden = own.into_iter().map(|watch| watch.title).collect();
        split.hidden.push((known.into_iter().map(|watch| watch.title).collect(), hidden));
    }
    split
}

fn recall(found: &[TitleId], hidden: &HashSet<TitleId>) -> f64 {
    let hits = found.iter().filter(|title| hidden.contains(title)).count();
    hits as f64 / hidden.len().min(TOP) as f64
}

#[test]
fn unseen_members_get_better_titles_than_what_everybody_watches() {
    let ratings = ratings::load();
    let count = ratings.watches.len();
    let split = split(ratings.watches);
    let began = std::time::Instant::now();
    let model = Model::learn(&split.learned, 1, UnixMillis(0));
    let learn_ms = began.elapsed().as_millis();

    let mut plays: HashMap<&TitleId, usize> = HashMap::new();
    split.learned.iter().for_each(|watch| *plays.entry(&watch.title).or_default() += 1);
    let mut popular: Vec<&TitleId> = plays.keys().copied().collect();
    popular.sort_by_key(|title| (std::cmp::Reverse(plays[title]), *title));

    let (mut ours, mut theirs) = (0.0, 0.0);
    for (known, hidden) in &split.hidden {
        let ranked = model.rank(known, &|_| true, TOP);
        assert!(ranked.iter().all(|(title, _)| !known.contains(title)), "offers what was watched");
        let ranked: Vec<TitleId> = ranked.into_iter().map(|(title, _)| title).collect();
        ours += recall(&ranked, hidden);
        let unseen = popular.iter().filter(|title| !known.contains(title)).take(TOP);
        theirs += recall(&unseen.map(|title| (*title).clone()).collect::<Vec<_>>(), hidden);
    }
    let members = split.hidden.len() as f64;
    let (ours, theirs) = (ours / members, theirs / members);
    println!(
        "{}: {count} watches, {} titles, {members} members kept out (seed {SEED}); Recall@{TOP} \
         {ours:.3}, popularity {theirs:.3}, factor {:.2}; learned in {learn_ms} ms",
        ratings.source,
        model.titles().len(),
        ours / theirs,
    );
    assert!(members > 50.0, "too few members to say anything");
    assert!(ours >= FACTOR_MIN * theirs, "Recall@{TOP} {ours:.3} against {theirs:.3}");
}
