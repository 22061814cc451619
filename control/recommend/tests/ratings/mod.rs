//! Real ratings for the quality test, or made-up ones of known structure where there are none.
//! `NIGHTFILL_SHARED` names a directory with `data/ratings/ml-latest-small/ratings.csv` (MovieLens,
//! research use only, never part of this repository); the default is `../shared` beside it.

use std::path::PathBuf;

use control_recommend::Watch;
use control_types::{ProfileId, TitleId, UnixMillis};
use uuid::Uuid;

/// Ratings from here on count as "watched and liked".
const LIKED: f32 = 3.5;

pub struct Ratings {
    /// Where they are from, for the printed result.
    pub source: &'static str,
    pub watches: Vec<Watch>,
}

pub fn load() -> Ratings {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared =
        std::env::var_os("NIGHTFILL_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let path = shared.join("data/ratings/ml-latest-small/ratings.csv");
    match std::fs::read_to_string(path) {
        Ok(text) => Ratings { source: "MovieLens small", watches: parse(&text) },
        Err(_) => Ratings { source: "made up", watches: made_up() },
    }
}

fn parse(text: &str) -> Vec<Watch> {
    let line = |line: &str| {
        let mut fields = line.split(',');
        let (user, movie) = (fields.next()?.parse::<u128>().ok()?, fields.next()?);
        let (rating, at) = (fields.next()?.parse::<f32>().ok()?, fields.next()?.trim());
        let at = at.parse::<u64>().ok()?;
        (rating >= LIKED).then(|| watch(user, &format!("m{movie}"), at * 1_000))
    };
    text.lines().filter_map(line).collect()
}

fn watch(user: u128, title: &str, at_ms: u64) -> Watch {
    Watch {
        profile: ProfileId(Uuid::from_u128(user)),
        title: title.parse::<TitleId>().unwrap(),
        watched_at: UnixMillis(at_ms),
    }
}

/// 600 members of eight tastes; three in four of what one watches is of the own taste, some titles
/// of each are watched far more than others.
fn made_up() -> Vec<Watch> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut watches = Vec::new();
    for user in 0..600u128 {
        let own = random.usize(0..8);
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..random.u64(20..120) {
            let taste = if random.usize(0..4) < 3 { own } else { random.usize(0..8) };
            let number = (random.f64().powi(3) * 150.0) as usize;
            if seen.insert((taste, number)) {
                watches.push(watch(user, &format!("t{taste}-{number}"), at * 1_000));
            }
        }
    }
    watches
}
