//! Real titles for the quality test, or made-up ones where there are none. `NIGHTFILL_SHARED` names
//! a directory with `data/ratings/ml-latest-titles/titles.csv` (MovieLens, research use only, never
//! part of this repository); the default is `../shared` beside it.

#![allow(dead_code)] // Each test file uses the part it needs.

use std::path::PathBuf;

use control_types::catalog::TitleRecord;

pub struct Titles {
    /// Where they are from, for the printed result.
    pub source: &'static str,
    pub records: Vec<TitleRecord>,
}

/// `count` titles, spread over the whole list.
pub fn load(count: usize) -> Titles {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared =
        std::env::var_os("NIGHTFILL_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let path = shared.join("data/ratings/ml-latest-titles/titles.csv");
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let all: Vec<TitleRecord> = text.lines().filter_map(parse).collect();
            let step = all.len().div_ceil(count).max(1);
            Titles { source: "MovieLens titles", records: all.into_iter().step_by(step).collect() }
        }
        Err(_) => Titles { source: "made up", records: made_up(count) },
    }
}

/// `id,"Name, The (1999)",Drama|Comedy`
fn parse(line: &str) -> Option<TitleRecord> {
    let (number, rest) = line.split_once(',')?;
    let number: u32 = number.parse().ok()?;
    let (name, genres) = rest.rsplit_once(',')?;
    let name = name.trim_matches('"').replace("\"\"", "\"");
    let (name, year) = name.trim().rsplit_once(" (")?;
    let year: u16 = year.trim_end_matches(')').parse().ok()?;
    // "Matrix, The" is how the list sorts, not what people read.
    let name = match name.rsplit_once(", ") {
        Some((rest, article @ ("The" | "A" | "An"))) => format!("{article} {rest}"),
        _ => name.to_owned(),
    };
    let genres = genres.split('|').filter(|genre| !genre.starts_with('('));
    Some(record(&format!("m{number}"), &name, year, genres.map(str::to_owned).collect()))
}

pub fn record(id: &str, name: &str, year: u16, genres: Vec<String>) -> TitleRecord {
    TitleRecord {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        synopsis: String::new(),
        year,
        genres,
        people: Vec::new(),
        credit: String::new(),
        regions: Vec::new(),
        duration_ms: 60_000,
        artwork: Vec::new(),
        renditions: Vec::new(),
    }
}

/// Names of two to four words of two to three syllables.
fn made_up(count: usize) -> Vec<TitleRecord> {
    const SYLLABLES: [&str; 24] = [
        "ba", "cor", "del", "fin", "gra", "hol", "jun", "kes", "lim", "mar", "nor", "pel", "qui",
        "ras", "sto", "tam", "ul", "ver", "wis", "yar", "zen", "bri", "cla", "dro",
    ];
    let mut random = fastrand::Rng::with_seed(11);
    let mut word = || -> String {
        (0..random.usize(2..4)).map(|_| SYLLABLES[random.usize(0..SYLLABLES.len())]).collect()
    };
    let mut random = fastrand::Rng::with_seed(12);
    (0..count)
        .map(|number| {
            let words: Vec<String> = (0..random.usize(2..5)).map(|_| word()).collect();
            let year = 1950 + (number % 70) as u16;
            record(&format!("t{number}"), &words.join(" "), year, vec!["Drama".into()])
        })
        .collect()
}
