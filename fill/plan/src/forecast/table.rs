//! The forecast of a whole catalog at all sites: days in, tomorrow out. Dense, by index; holds 12
//! bytes for each title and site, 72 for each title, and 4 for each object.

use super::{Launches, Level, TitleWeek, Tuning, Week, posterior_shares};
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
    week: Week,
    weeks: Vec<TitleWeek>,
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
            week: Week::default(),
            weeks: vec![TitleWeek::default(); titles.len()],
            yesterday: vec![0.0; titles.len()],
            rung_plays: vec![0.0; objects],
            genres: vec![0.0; genres],
            launches: Launches::new(genres, tuning.usual_plays),
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
                let due = self.weeks[at].factor(weekday, factors[site], &self.tuning);
                book.levels[at].observe_part(sum / lift, due, lift, &self.tuning);
                all += sum;
            }
            let due = self.weeks[at].factor(weekday, self.week.factor(weekday), &self.tuning);
            self.levels[at].observe_part(all / lift, due, lift, &self.tuning);
            self.weeks[at].observe(weekday, all / lift);
            let all = all / due;
            self.launches.observe_pair(age, f64::from(self.yesterday[at]), all);
            self.yesterday[at] = all as f32;
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
        let mut all = 0.0;
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
            all += total;
        }
        self.week.observe(weekday, all);
    }

    /// Bytes expected at `site` on the next day, by object. A title that appears later is expected
    /// to bring nothing yet.
    #[must_use]
    pub fn tomorrow(&self, site: usize) -> Vec<f32> {
        let mut bytes = vec![0.0; self.rung_plays.len()];
        let curve = self.launches.curve();
        for (at, title) in self.titles.iter().enumerate() {
            let Some(parts) = self.parts_under(site, at, &curve) else { continue };
            let plays = parts.plays_tomorrow();
            for ((object, _, size), share) in title.objects.iter().zip(&parts.shares) {
                let play = *size as f64 * self.tuning.play_share;
                bytes[*object as usize] = (plays * share * play) as f32;
            }
        }
        bytes
    }

    /// What [`Self::tomorrow`] is made of for one title; none when it appears later.
    #[must_use]
    pub fn parts(&self, site: usize, title: usize) -> Option<Parts> {
        self.parts_under(site, title, &self.launches.curve())
    }

    fn parts_under(&self, site: usize, at: usize, curve: &[f64; YOUNG_DAYS + 1]) -> Option<Parts> {
        let (book, title) = (&self.sites[site], &self.titles[at]);
        let age = usize::try_from(self.next_day - title.published_day).ok()?;
        let weekday = self.next_day.rem_euclid(7) as usize;
        let of = |one: &(u32, u8, u64)| f64::from(self.rung_plays[one.0 as usize]);
        let seen: Vec<f64> = title.objects.iter().map(of).collect();
        let usual = |one: &(u32, u8, u64)| book.rungs[usize::from(one.1) % RUNGS];
        let prior: Vec<f64> = title.objects.iter().map(usual).collect();
        let (everywhere, busy) = (self.everywhere(at), book.week.factor(weekday));
        Some(Parts {
            plays: self.plays(site, at, everywhere),
            everywhere,
            days: book.levels[at].evidence_days(&self.tuning),
            weekday: busy,
            own_weekday: self.weeks[at].factor(weekday, busy, &self.tuning) / busy,
            lift: curve[age.min(YOUNG_DAYS)],
            age_days: age,
            shares: posterior_shares(&seen, &prior, self.tuning.rung_plays),
            play_share: self.tuning.play_share,
        })
    }

    /// Settled plays a day of a title at all sites together.
    fn everywhere(&self, title: usize) -> f64 {
        let usual = self.launches.strength(self.titles[title].genre);
        self.blend(self.tuning.launch_plays, usual, &self.levels[title])
    }

    /// Settled plays a day of a title at a site, of `everywhere` at all.
    fn plays(&self, site: usize, title: usize, everywhere: f64) -> f64 {
        if self.sites.len() == 1 {
            return everywhere;
        }
        let (book, genre) = (&self.sites[site], self.titles[title].genre);
        let here = if self.genres[genre] > 0.0 {
            book.genres[genre] / self.genres[genre]
        } else {
            1.0 / self.sites.len().max(1) as f64
        };
        self.blend(self.tuning.region_plays, everywhere * here, &book.levels[title])
    }

    /// Posterior mean of a gamma prior worth `prior_plays` around `mean`.
    fn blend(&self, prior_plays: f64, mean: f64, level: &Level) -> f64 {
        let days = level.evidence_days(&self.tuning);
        let seen = days * level.tomorrow(&self.tuning);
        (prior_plays + seen) / (prior_plays / mean.max(1e-9) + days)
    }
}

/// What tomorrow's bytes of one title at one site are made of; factors are 1 for "as usual".
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Settled plays a day at the site: no weekday and no launch in them.
    pub plays: f64,
    /// The same over all sites.
    pub everywhere: f64,
    /// Days of watching at the site behind them; 0 for a title nobody could watch yet.
    pub days: f64,
    /// How busy the site is on the day.
    pub weekday: f64,
    /// How much of the title's own week is on the day.
    pub own_weekday: f64,
    /// Launch: how far above what it settles to a title of this age is.
    pub lift: f64,
    /// Days since it appeared.
    pub age_days: usize,
    /// Shares of its objects, in the order of the shape; they sum to 1.
    pub shares: Vec<f64>,
    /// Share of an object that one play takes.
    pub play_share: f64,
}

impl Parts {
    /// Plays expected on the day.
    #[must_use]
    pub fn plays_tomorrow(&self) -> f64 {
        self.plays * self.weekday * self.own_weekday * self.lift
    }
}
