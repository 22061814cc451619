//! What any search index must do; run on tantivy.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

use control_store::embedded::TantivyIndex;
use control_store::{SearchEntry, SearchIndex, StoreError};
use control_types::TitleId;

fn entry(id: &str, name: &str, people: &[&str], genres: &[&str], year: u16) -> SearchEntry {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    SearchEntry {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        people: owned(people),
        genres: owned(genres),
        year,
    }
}

fn library() -> Vec<SearchEntry> {
    vec![
        entry("north-lights", "The Northern Lights", &["Mara Okonkwo"], &["Drama"], 2019),
        entry("night-garden", "Night Garden", &["Jiří Novák"], &["Thriller"], 2021),
        entry("night-train", "Night Train to Porto", &["Ana Sousa"], &["Thriller"], 2020),
        entry("river", "A River Runs Slowly", &["Mara Okonkwo"], &["Documentary"], 2015),
        entry("star-harbour", "Star Harbour", &["Lee Tan"], &["Science Fiction"], 2022),
        entry("amelia", "Amélia", &["Ana Sousa"], &["Comedy"], 2011),
        entry("two", "2", &[], &["Short"], 2003),
    ]
}

async fn found(index: &dyn SearchIndex, query: &str) -> Vec<String> {
    let hits = index.query(query, 10).await.unwrap();
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score), "{query}: {hits:?}");
    assert!(hits.iter().all(|hit| hit.score > 0.0 && hit.score <= 1.0), "{query}: {hits:?}");
    hits.into_iter().map(|hit| hit.title.to_string()).collect()
}

/// The suite, on an empty index.
async fn conforms(index: &dyn SearchIndex) {
    assert!(found(index, "night").await.is_empty());
    index.upsert(&library()).await.unwrap();
    let ids: Vec<TitleId> = index.titles().await.unwrap();
    assert_eq!(ids.len(), library().len());

    for (query, first) in [
        ("night garden", "night-garden"),
        ("NIGHT GARDEN", "night-garden"),
        ("nihgt graden", "night-garden"),
        ("nigth garden", "night-garden"),
        ("night gar", "night-garden"),
        ("night t", "night-train"),
        ("porto", "night-train"),
        ("nightgarden", "night-garden"),
        ("starharbor", "star-harbour"),
        ("nor", "north-lights"),
        ("northen lights", "north-lights"),
        ("the nothern light", "north-lights"),
        ("amelia", "amelia"),
        ("amélia", "amelia"),
        ("novak", "night-garden"),
        ("jiri novak", "night-garden"),
        ("lee tan", "star-harbour"),
        ("science fiction", "star-harbour"),
        ("river slowly", "river"),
        ("2", "two"),
    ] {
        let titles = found(index, query).await;
        assert_eq!(titles.first().map(String::as_str), Some(first), "{query}: {titles:?}");
    }
    let both = found(index, "mara okonkwo").await;
    assert_eq!(both.len(), 2, "{both:?}");
    for nothing in ["", "   ", "!?", "zzzzqqqq", "xylophone orchestra"] {
        assert!(found(index, nothing).await.is_empty(), "{nothing:?}");
    }
    assert_eq!(index.query("night", 1).await.unwrap().len(), 1);
    assert!(index.query("night", 0).await.unwrap().is_empty());
    // Whatever is typed is an answer, never an error.
    for hostile in ["a".repeat(10_000), "\"AND (OR NOT:*?".to_owned(), "\0\u{202e}".to_owned()] {
        index.query(&hostile, 10).await.unwrap();
    }
    replaces_and_removes(index).await;
}

async fn replaces_and_removes(index: &dyn SearchIndex) {
    index.upsert(&[entry("river", "Quiet Water", &[], &[], 2015)]).await.unwrap();
    assert_eq!(found(index, "quiet water").await, ["river"]);
    assert!(!found(index, "a river runs slowly").await.contains(&"river".to_owned()));
    assert_eq!(index.titles().await.unwrap().len(), library().len(), "replaced, not added");
    let gone: Vec<TitleId> = vec!["river".parse().unwrap(), "never-there".parse().unwrap()];
    index.remove(&gone).await.unwrap();
    assert!(found(index, "quiet water").await.is_empty());
    assert_eq!(index.titles().await.unwrap().len(), library().len() - 1);
}

#[tokio::test]
async fn tantivy_conforms_and_remembers() {
    let directory = tempfile::tempdir().unwrap();
    let index = TantivyIndex::open(directory.path()).unwrap();
    conforms(&index).await;
    drop(index);
    let index = TantivyIndex::open(directory.path()).unwrap();
    assert_eq!(found(&index, "night garden").await[0], "night-garden");
}

#[tokio::test]
async fn a_second_writer_is_refused_with_the_cure() {
    let directory = tempfile::tempdir().unwrap();
    let _index = TantivyIndex::open(directory.path()).unwrap();
    let Err(error) = TantivyIndex::open(directory.path()) else { panic!("two writers") };
    assert!(matches!(&error, StoreError::Refused { why, .. } if why.contains("another process")));
}

#[tokio::test]
async fn a_damaged_index_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let index = TantivyIndex::open(directory.path()).unwrap();
    index.upsert(&library()).await.unwrap();
    drop(index);
    std::fs::write(directory.path().join("v1/meta.json"), b"{ not json").unwrap();
    let index = TantivyIndex::open(directory.path()).unwrap();
    assert!(index.titles().await.unwrap().is_empty());
    index.upsert(&library()).await.unwrap();
    assert_eq!(found(&index, "night garden").await[0], "night-garden");
}

/// A library of thousands whose names share their words: the title meant is still the first one.
#[tokio::test]
async fn the_title_meant_is_found_among_thousands_alike() {
    const FIRST: [&str; 12] = [
        "Silent",
        "Broken",
        "Golden",
        "Hidden",
        "Distant",
        "Burning",
        "Frozen",
        "Crimson",
        "Hollow",
        "Wandering",
        "Restless",
        "Forgotten",
    ];
    const SECOND: [&str; 16] = [
        "Harbour", "Mountain", "Orchard", "Mirror", "Station", "Garden", "Winter", "Lantern",
        "Voyage", "Kingdom", "Shadow", "Bridge", "Island", "Window", "Castle", "Desert",
    ];
    const THIRD: [&str; 16] = [
        "Returns", "Tonight", "Forever", "Rising", "Falling", "Alone", "Awake", "Below", "Beyond",
        "Burns", "Calling", "Dreams", "Ending", "Listens", "Sleeps", "Whispers",
    ];
    let mut entries = Vec::new();
    for (a, first) in FIRST.iter().enumerate() {
        for (b, second) in SECOND.iter().enumerate() {
            for (c, third) in THIRD.iter().enumerate() {
                let id = format!("t-{a}-{b}-{c}");
                entries.push(entry(
                    &id,
                    &format!("{first} {second} {third}"),
                    &[],
                    &["Drama"],
                    2000,
                ));
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let index = TantivyIndex::open(directory.path()).unwrap();
    index.upsert(&entries).await.unwrap();
    let seed = 20_240_229;
    let mut next: u64 = seed;
    let mut random = |below: usize| {
        // The numbers of a 64-bit linear congruence are random enough to misspell a word.
        next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (next >> 33) as usize % below
    };
    let (mut first, rounds) = (0, 60);
    for _ in 0..rounds {
        let meant = &entries[random(entries.len())];
        let mut typed: Vec<char> = meant.name.to_lowercase().chars().collect();
        let place = random(typed.len() - 1);
        typed.swap(place, place + 1);
        let typed: String = typed.into_iter().collect();
        first += usize::from(found(&index, &typed).await.first() == Some(&meant.id.to_string()));
    }
    // A swap across a gap moves a letter into the next word: two words are off, and a neighbour
    // may read more alike.
    assert!(first * 100 >= rounds * 90, "seed {seed}: {first} of {rounds} came first");
}
