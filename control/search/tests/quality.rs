//! Goal: people who type badly find what they mean. Method: 5,000 titles in the real index, 240 of
//! them asked for by name with a mistake made by a fixed seed; MRR@10 (mean of 1 / place, 0 beyond
//! ten) printed and held above a floor for each kind of mistake.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod titles;

use control_search::Search;
use control_store::open_embedded;
use control_types::catalog::TitleRecord;

const SEED: u64 = 20_261_123;
const TITLES: usize = 5_000;
const QUERIES: usize = 30;
const TOP: usize = 10;

/// Makes a mistake in a name.
type Mistake = fn(&str, &mut fastrand::Rng) -> String;

/// One kind of mistake, and the MRR@10 we promise under it.
const MISTAKES: [(&str, Mistake, f64); 8] = [
    ("exact", exact, 0.97),
    ("letter swapped", swapped, 0.93),
    ("letter dropped", dropped, 0.93),
    ("letter wrong", wrong, 0.93),
    ("two mistakes", twice, 0.85),
    ("words joined", joined, 0.85),
    ("last word unfinished", unfinished, 0.93),
    ("longest word only, with a mistake", longest, 0.55),
];

fn exact(name: &str, _: &mut fastrand::Rng) -> String {
    name.to_lowercase()
}

/// A place inside a word of at least five letters, never its first letter: people get that right.
fn place(letters: &[char], random: &mut fastrand::Rng) -> Option<usize> {
    let long = |at: usize| {
        let is_letter = |at: usize| letters.get(at).is_some_and(|c| c.is_alphanumeric());
        let begin = (0..=at).rev().take_while(|at| is_letter(*at)).count();
        let end = (at + 1..letters.len()).take_while(|at| is_letter(*at)).count();
        begin >= 2 && end >= 1 && begin + end >= 5
    };
    let places: Vec<usize> = (0..letters.len()).filter(|at| long(*at)).collect();
    (!places.is_empty()).then(|| places[random.usize(0..places.len())])
}

fn swapped(name: &str, random: &mut fastrand::Rng) -> String {
    let mut letters: Vec<char> = name.to_lowercase().chars().collect();
    if let Some(at) = place(&letters, random) {
        letters.swap(at, at + 1);
    }
    letters.into_iter().collect()
}

fn dropped(name: &str, random: &mut fastrand::Rng) -> String {
    let mut letters: Vec<char> = name.to_lowercase().chars().collect();
    if let Some(at) = place(&letters, random) {
        letters.remove(at);
    }
    letters.into_iter().collect()
}

fn wrong(name: &str, random: &mut fastrand::Rng) -> String {
    let mut letters: Vec<char> = name.to_lowercase().chars().collect();
    if let Some(at) = place(&letters, random) {
        letters[at] = random.lowercase();
    }
    letters.into_iter().collect()
}

fn unfinished(name: &str, _: &mut fastrand::Rng) -> String {
    let name = name.to_lowercase();
    let last = name.rsplit(' ').next().map_or(0, |word| word.chars().count());
    let cut = if last > 4 { 2 } else { 0 };
    let kept = name.chars().count() - cut;
    name.chars().take(kept).collect()
}

fn twice(name: &str, random: &mut fastrand::Rng) -> String {
    let once = wrong(name, random);
    dropped(&once, random)
}

fn joined(name: &str, _: &mut fastrand::Rng) -> String {
    name.to_lowercase().replace(' ', "")
}

/// Several titles share most words, so no ranking can be perfect here.
fn longest(name: &str, random: &mut fastrand::Rng) -> String {
    let word = name.split(' ').max_by_key(|word| word.chars().count());
    swapped(word.unwrap_or(name), random)
}

/// A title with the same name is as good an answer: remakes carry it too.
fn place_of(found: &[&TitleRecord], wanted: &TitleRecord) -> Option<usize> {
    let same = |record: &&TitleRecord| record.name.eq_ignore_ascii_case(&wanted.name);
    found.iter().take(TOP).position(same)
}

#[tokio::test]
async fn typing_mistakes_still_find_the_title() {
    let titles = titles::load(TITLES);
    let directory = tempfile::tempdir().unwrap();
    let search = Search::new(open_embedded(directory.path()).await.unwrap().search);
    search.reconcile(&titles.records).await.unwrap();
    let by_id: std::collections::HashMap<_, _> =
        titles.records.iter().map(|record| (record.id.clone(), record)).collect();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut short = Vec::new();
    for (kind, mistake, floor) in MISTAKES {
        let mut sum = 0.0;
        let mut missed = Vec::new();
        let mut sample = String::new();
        for _ in 0..QUERIES {
            let wanted = &titles.records[random.usize(0..titles.records.len())];
            let query = mistake(&wanted.name, &mut random);
            let (_, found) = search.find(&query, |_| true).await.unwrap();
            sample.clone_from(&query);
            let found: Vec<&TitleRecord> = found.iter().map(|id| by_id[id]).collect();
            match place_of(&found, wanted) {
                Some(place) => sum += 1.0 / (place + 1) as f64,
                None => missed.push(query),
            }
        }
        let mrr = sum / QUERIES as f64;
        println!(
            "{} ({} titles, seed {SEED}), {kind} (as {sample:?}): MRR@{TOP} {mrr:.3}, floor {floor}; \
             missed {:?}",
            titles.source,
            titles.records.len(),
            missed.iter().take(5).collect::<Vec<_>>(),
        );
        if mrr < floor {
            short.push(format!("{kind}: {mrr:.3} is below {floor}"));
        }
    }
    assert!(short.is_empty(), "{short:?}");
}
