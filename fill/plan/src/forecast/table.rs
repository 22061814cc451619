//! The forecast of a whole catalog at all sites: days in, tomorrow out. Dense, by index; holds 12
//! bytes for each title and site, and 4 for each object.

use super::{Launches, Level, Tuning, Week, posterior_shares};
use crate::forecast::launch::YOUNG_DAYS;

/// One title as the forecast sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct TitleShape {
    /// Day it appears, counted as the days observed are.
    pub published_day: i32,
    /// Index of its genre.
    pub genre: usize,
    /// Its objects: index among all objects, kind of rung (0 to 15) and size in bytes.
    pub objects: Vec<(u32, u8, u64)>,
}

/// Kinds of rungs told apart.
const RUNGS: usize = 16;
/// Weight of the newest day in the mixes of rungs and genres.
const NEWEST: f64 = 0.1;
/// Age at which a launch is taken as an example for others, days.
const EXAMPLE_DAYS: usize = 7;

/// One site's part.
#[derive(Clone, Debug)]
struct SiteBook {
    levels: Vec<Level>,
    week: Week,
    rungs: [f64; RUNGS],
    genres: Vec<f64>,
}

/// What is known after the days so far.
#[derive(Clone, Debug)]
pub struct Forecast {
    tuning: Tuning,
    titles: Vec<TitleShape>,
    sites: Vec<SiteBook>,
    /// All sites together, by title.
    levels: Vec<Level>,
    yesterday: Vec<f32>,
    /// Plays seen of each object, over all sites, fading.
    rung_plays: Vec<f32>,
    genres: Vec<f64>,
    launches: Launches,
    /// Days observed end before this one.
    next_day: i32,
}

impl Forecast {
    /// Knows nothing yet. `objects` and `genres` are how many there are; `first_day` is the day
    /// that will be observed first.
    #[must_use]
    pub fn new(
        titles: Vec<TitleShape>,
        objects: usize,
        genres: usize,
        sites: usize,
        first_day: i32,
        tuning: Tuning,
    ) -> Self {
        let site = SiteBook {
            levels: vec![Level::default(); titles.len()],
            week: Week::default(),
            rungs: [0.0; RUNGS],
            genres: vec![0.0; genres],
        };
        Self {
            tuning,
            sites: vec![site; sites],
            levels: vec![Level::default(); titles.len()],
            yesterday: vec![0.0; titles.len()],
            rung_plays: vec![0.0; objects],
            genres: vec![0.0; genres],
            launches: Launches::new(genres, 1.0),
            titles,
            next_day: first_day,
        }
    }

    /// The day that is forecast, and would be observed next.
    #[must_use]
    pub fn next_day(&self) -> i32 {
        self.next_day
    }

    /// Takes in one day: bytes served or asked, `bytes[site][object]`.
    pub fn observe(&mut self, bytes: &[Vec<f32>]) {
        let day = self.next_day;
        let weekday = day.rem_euclid(7) as usize;
        let plays = |object: u32, size: u64, site: &[f32], tuning: &Tuning| {
            f64::from(site[object as usize]) / (size.max(1) as f64 * tuning.play_share)
        };
        self.observe_totals(weekday, bytes, &plays);
        let curve = self.launches.curve();
        let factors: Vec<f64> = self.sites.iter().map(|site| site.week.factor(weekday)).collect();
        for (at, title) in self.titles.iter().enumerate() {
            let Ok(age) = usize::try_from(day - title.published_day) else { continue };
            let lift = curve[age.min(YOUNG_DAYS)];
            let mut all = 0.0;
            for (site, (book, day)) in self.sites.iter_mut().zip(bytes).enumerate() {
                let of = |one: &(u32, u8, u64)| plays(one.0, one.2, day, &self.tuning);
                let sum: f64 = title.objects.iter().map(of).sum();
                let usual = sum / factors[site];
                book.levels[at].observe(usual / lift, &self.tuning);
                all += usual;
            }
            self.launches.observe_pair(age, f64::from(self.yesterday[at]), all);
            self.yesterday[at] = all as f32;
            self.levels[at].observe(all / lift, &self.tuning);
            if age == EXAMPLE_DAYS {
                let strength = self.levels[at].tomorrow(&self.tuning);
                self.launches.observe_strength(title.genre, strength);
            }
        }
        self.next_day += 1;
    }

    /// Mixes of weekdays, genres and rungs.
    fn observe_totals(
        &mut self,
        weekday: usize,
        bytes: &[Vec<f32>],
        plays: &impl Fn(u32, u64, &[f32], &Tuning) -> f64,
    ) {
        self.genres.iter_mut().for_each(|genre| *genre *= 1.0 - NEWEST);
        self.rung_plays.iter_mut().for_each(|plays| *plays *= 1.0 - NEWEST as f32);
        for (book, day) in self.sites.iter_mut().zip(bytes) {
            book.genres.iter_mut().for_each(|genre| *genre *= 1.0 - NEWEST);
            book.rungs.iter_mut().for_each(|rung| *rung *= 1.0 - NEWEST);
            let mut total = 0.0;
            for title in &self.titles {
                for (object, kind, size) in &title.objects {
                    let plays = plays(*object, *size, day, &self.tuning);
                    if plays > 0.0 {
                        total += plays;
                        book.genres[title.genre] += plays;
                        book.rungs[usize::from(*kind) % RUNGS] += plays;
                        self.genres[title.genre] += plays;
                        self.rung_plays[*object as usize] += plays as f32;
                    }
                }
            }
            book.week.observe(weekday, total);
        }
    }

    /// Bytes expected at `site` on the next day, by object. A title that appears later is expected
    /// to bring nothing yet.
    #[must_use]
    pub fn tomorrow(&self, site: usize) -> Vec<f32> {
        let mut bytes = vec![0.0; self.rung_plays.len()];
        let book = &self.sites[site];
        let weekday = self.next_day.rem_euclid(7) as usize;
        let (curve, factor) = (self.launches.curve(), book.week.factor(weekday));
        for (at, title) in self.titles.iter().enumerate() {
            let Ok(age) = usize::try_from(self.next_day - title.published_day) else { continue };
            let lift = curve[age.min(YOUNG_DAYS)];
            let plays = self.plays(site, at) * factor * lift;
            let of = |one: &(u32, u8, u64)| f64::from(self.rung_plays[one.0 as usize]);
            let seen: Vec<f64> = title.objects.iter().map(of).collect();
            let usual = |one: &(u32, u8, u64)| book.rungs[usize::from(one.1) % RUNGS];
            let prior: Vec<f64> = title.objects.iter().map(usual).collect();
            let shares = posterior_shares(&seen, &prior, self.tuning.rung_plays);
            for ((object, _, size), share) in title.objects.iter().zip(shares) {
                let play = *size as f64 * self.tuning.play_share;
                bytes[*object as usize] = (plays * share * play) as f32;
            }
        }
        bytes
    }

    /// Settled plays a day of a title at a site.
    fn plays(&self, site: usize, title: usize) -> f64 {
        let (book, genre) = (&self.sites[site], self.titles[title].genre);
        let tuning = &self.tuning;
        let blend = |prior_plays: f64, mean: f64, level: &Level| {
            let days = level.evidence_days(tuning);
            let mean = mean.max(1e-9);
            (prior_plays + days * level.tomorrow(tuning)) / (prior_plays / mean + days)
        };
        let all = blend(tuning.launch_plays, self.launches.strength(genre), &self.levels[title]);
        let here = if self.genres[genre] > 0.0 {
            book.genres[genre] / self.genres[genre]
        } else {
            1.0 / self.sites.len().max(1) as f64
        };
        if self.sites.len() == 1 {
            return all;
        }
        blend(tuning.region_plays, all * here, &book.levels[title])
    }
}
