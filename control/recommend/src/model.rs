//! Which titles are watched by the same people: an item-item model on implicit feedback. Pure.
//!
//! Mechanics: for two titles, `co` profiles watched both; a long history says less about each pair
//! in it, so each profile counts `1 / ln(e + titles)`. Likeness is
//! `co / (a × b)^AUDIENCE_EXPONENT × co / (co + SHRINKAGE)` with `a`, `b` the audiences. Each title
//! keeps its `NEIGHBOURS_MAX` most alike. A profile is folded in from its history alone, so a
//! member who began a minute ago needs no rebuild.
//!
//! Rejected: EASE, which ranks a little better and needs gigabytes at catalog size; matrix
//! factorization, which needs a solve for every new member.

use ahash::{AHashMap, AHashSet};
use control_types::{ProfileId, TitleId, UnixMillis};

use crate::limits::{
    AUDIENCE_EXPONENT, HISTORY_LEARNED_MAX, NEIGHBOURS_MAX, SHRINKAGE, TRENDING_HALF_LIFE_MS,
};

/// One profile watched one title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Who.
    pub profile: ProfileId,
    /// What.
    pub title: TitleId,
    /// When last.
    pub watched_at: UnixMillis,
}

/// The model at one moment; immutable.
#[derive(Debug, Default)]
pub struct Model {
    /// Rises with every rebuild; 0 for the empty model.
    pub version: u64,
    /// When it was built.
    pub built_at: UnixMillis,
    /// Profiles learned from.
    pub profiles: usize,
    titles: Vec<TitleId>,
    places: AHashMap<TitleId, u32>,
    neighbours: Vec<Vec<Neighbour>>,
    /// By place in `titles`: plays, each halved every `TRENDING_HALF_LIFE_MS`, at `built_at`.
    trending: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Neighbour {
    place: u32,
    likeness: f32,
}

impl Model {
    /// Learns from `watches`, in any order; of one profile and title only the newest should be in
    /// it.
    #[must_use]
    pub fn learn(watches: &[Watch], version: u64, now: UnixMillis) -> Self {
        let mut model = Self { version, built_at: now, ..Self::default() };
        let histories = model.learn_places(watches, now);
        model.profiles = histories.len();
        model.learn_neighbours(&histories);
        model
    }

    /// Numbers the titles, sums what is trending, and collects each profile's newest titles.
    fn learn_places(&mut self, watches: &[Watch], now: UnixMillis) -> Vec<Vec<u32>> {
        let mut profiles: AHashMap<ProfileId, Vec<(UnixMillis, u32)>> = AHashMap::new();
        for watch in watches {
            let place = match self.places.get(&watch.title) {
                Some(place) => *place,
                None => {
                    let Ok(place) = u32::try_from(self.titles.len()) else { continue };
                    self.titles.push(watch.title.clone());
                    self.trending.push(0.0);
                    self.places.insert(watch.title.clone(), place);
                    place
                }
            };
            self.trending[place as usize] += halved(now.millis_since(watch.watched_at));
            profiles.entry(watch.profile).or_default().push((watch.watched_at, place));
        }
        let newest = |mut history: Vec<(UnixMillis, u32)>| {
            history.sort_unstable_by(|a, b| b.cmp(a));
            history.truncate(HISTORY_LEARNED_MAX);
            let mut places: Vec<u32> = history.into_iter().map(|(_, place)| place).collect();
            places.sort_unstable();
            places.dedup();
            places
        };
        let mut histories: Vec<Vec<u32>> = profiles.into_values().map(newest).collect();
        // The hash map's order must not reach the sums: one set of watches, one model.
        histories.sort_unstable();
        histories
    }

    fn learn_neighbours(&mut self, histories: &[Vec<u32>]) {
        let count = self.titles.len();
        let mut watchers: Vec<Vec<u32>> = vec![Vec::new(); count];
        let mut audience = vec![0f32; count];
        let weights: Vec<f32> = histories
            .iter()
            .map(|history| 1.0 / (std::f32::consts::E + history.len() as f32).ln())
            .collect();
        for (profile, history) in histories.iter().enumerate() {
            for place in history {
                watchers[*place as usize].push(profile as u32);
                audience[*place as usize] += weights[profile];
            }
        }
        // One row of the matrix at a time: memory stays one row however many titles there are.
        let mut together = vec![0f32; count];
        let mut touched: Vec<u32> = Vec::new();
        self.neighbours = Vec::with_capacity(count);
        for (own, profiles) in watchers.iter().enumerate() {
            for profile in profiles {
                let weight = weights[*profile as usize];
                for other in &histories[*profile as usize] {
                    let cell = &mut together[*other as usize];
                    if *cell == 0.0 {
                        touched.push(*other);
                    }
                    *cell += weight;
                }
            }
            self.neighbours.push(nearest(own, &touched, &together, &audience));
            touched.drain(..).for_each(|other| together[other as usize] = 0.0);
        }
    }

    /// Titles learned about.
    #[must_use]
    pub fn titles(&self) -> &[TitleId] {
        &self.titles
    }

    /// The best titles for a profile with this history, that `allowed` lets through, best first, at
    /// most `count_max`. `history` is weighted by its order: the first counts most.
    #[must_use]
    pub fn rank(
        &self,
        history: &[TitleId],
        allowed: &dyn Fn(&TitleId) -> bool,
        count_max: usize,
    ) -> Vec<(TitleId, f32)> {
        let mut scores: AHashMap<u32, f32> = AHashMap::new();
        for (age, title) in history.iter().enumerate() {
            let Some(place) = self.places.get(title) else { continue };
            let weight = recency(age);
            for near in &self.neighbours[*place as usize] {
                *scores.entry(near.place).or_default() += weight * near.likeness;
            }
        }
        let watched: AHashSet<&TitleId> = history.iter().collect();
        let candidates = scores.into_iter().filter(|(place, _)| {
            let title = &self.titles[*place as usize];
            !watched.contains(title) && allowed(title)
        });
        self.best(candidates.collect(), count_max)
    }

    /// Titles watched by those who watched `title`, best first.
    #[must_use]
    pub fn near(
        &self,
        title: &TitleId,
        allowed: &dyn Fn(&TitleId) -> bool,
        count_max: usize,
    ) -> Vec<(TitleId, f32)> {
        let Some(place) = self.places.get(title) else { return Vec::new() };
        let near = self.neighbours[*place as usize].iter();
        let near = near.map(|near| (near.place, near.likeness));
        let candidates = near.filter(|(place, _)| allowed(&self.titles[*place as usize]));
        self.best(candidates.collect(), count_max)
    }

    fn best(&self, mut scores: Vec<(u32, f32)>, count_max: usize) -> Vec<(TitleId, f32)> {
        let order = |a: &(u32, f32), b: &(u32, f32)| {
            let titles = (&self.titles[a.0 as usize], &self.titles[b.0 as usize]);
            b.1.total_cmp(&a.1).then_with(|| titles.0.cmp(titles.1))
        };
        scores.sort_unstable_by(order);
        scores.truncate(count_max);
        scores
            .into_iter()
            .map(|(place, score)| (self.titles[place as usize].clone(), score))
            .collect()
    }

    /// Plays of a title, each fading with its age, as they stand at `now`.
    #[must_use]
    pub fn trending(&self, title: &TitleId, now: UnixMillis) -> f64 {
        let plays = self.places.get(title).map_or(0.0, |place| self.trending[*place as usize]);
        plays * halved(now.millis_since(self.built_at))
    }
}

/// Weight of one play of this age.
pub(crate) fn halved(age_ms: u64) -> f64 {
    (-(age_ms as f64) / TRENDING_HALF_LIFE_MS).exp2()
}

/// What was watched last says most about tonight, and the rest still says much.
fn recency(age: usize) -> f32 {
    0.3 + 0.7 * (-(age as f32) / 20.0).exp2()
}

fn nearest(own: usize, touched: &[u32], together: &[f32], audience: &[f32]) -> Vec<Neighbour> {
    let mut near: Vec<Neighbour> = touched
        .iter()
        .filter(|other| **other as usize != own)
        .map(|other| {
            let co = together[*other as usize];
            let audiences = audience[own] * audience[*other as usize];
            let likeness = co / audiences.powf(AUDIENCE_EXPONENT) * co / (co + SHRINKAGE);
            Neighbour { place: *other, likeness }
        })
        .collect();
    let order = |a: &Neighbour, b: &Neighbour| {
        b.likeness.total_cmp(&a.likeness).then_with(|| a.place.cmp(&b.place))
    };
    if near.len() > NEIGHBOURS_MAX {
        near.select_nth_unstable_by(NEIGHBOURS_MAX, order);
        near.truncate(NEIGHBOURS_MAX);
    }
    near.sort_unstable_by(order);
    near
}
