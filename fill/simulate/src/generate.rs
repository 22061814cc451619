//! A trace made from a seed: who would press play on what, where and when. Every parameter says
//! where its default comes from; none is fitted to what a policy does with it.
//!
//! * popularity of old titles: (rank + 105) to the power of -1.4, a Zipf law with a flat head. The
//!   first hundredth of titles has 15.7 % of plays, the first tenth 61 %, the first 23 % have 78 %.
//!   MovieLens ml-latest-small has 15.7, 60 and 80 % of its ratings there; Yu, Zheng, Zhao and
//!   Zheng
//!   (EuroSys 2006) counted 60 and 80 % of the plays of a service. A straight Zipf law through
//!   the middle ranks (0.84) would give one old title 6 % of all plays for good; MovieLens' first
//!   has 0.3 %.
//! * drift: a step of 3 % a day in the logarithm, 28 % in a quarter (a judgement; ratings of old
//!   titles in the same MovieLens set show no drift from year to year that chance would not).
//! * launches: 20 a week, Thursday and Friday, 08:00 (a large service's weekly slate, for 4,000
//!   titles).
//! * launch strength: drawn as an old title's, times 2 (a slate is chosen to be watched).
//! * launch boost: 20 at first, lognormal 0.5, halving in 4 to 10 days. So a launch has three
//!   quarters of its month in its first fifteen days (Samba TV 2023, of popular shows: 75 %), loses
//!   three to five tenths from one week to the next (Netflix' weekly lists), begins where old
//!   titles of rank 40 are (over 60 % of the launches of early 2023 were on one of those lists),
//!   and titles up to four weeks old are about a quarter of all plays.
//! * taste of a region: lognormal 0.35 by genre, 0.35 by title (a judgement: about as much as
//!   genres differ between countries' top tens).
//! * length: 70 % episodes of 42 min, 30 % films of 105 min, lognormal 0.2 (usual catalogs).
//! * ladder: 0.4, 1, 2.5, 5, 12 Mbit/s, audio counted in (usual ladders up to 2160 lines).
//! * rung of a play: 5, 10, 20, 45, 20 %, tilted by title (screens: half televisions, a fifth of
//!   all in 4K).
//! * watched: 25 % leave at 2 to 20 %, the others stay 70 to 100 % (usual abandonment).
//! * day: lowest at 05:00, highest at 21:00, eight to one (residential evening peak).
//! * week: Mon to Thu 0.94, Fri 1, Sat 1.13, Sun 1.11 (the same).

use crate::chance::Chance;
use crate::error::SimulateError;
use crate::trace::{DAYS_MAX, Object, Play, Title, Trace};

/// Mbit/s and height of each rung.
const LADDER: [(f64, u32); 5] = [(0.4, 360), (1.0, 480), (2.5, 720), (5.0, 1080), (12.0, 2160)];
/// Share of plays on each rung.
const RUNG_SHARES: [f64; 5] = [0.05, 0.10, 0.20, 0.45, 0.20];
/// Deviation of a title's tilt towards some rungs.
const RUNG_TILT: f64 = 0.3;
/// Demand by hour, from midnight.
const HOURS: [f64; 24] = [
    0.50, 0.33, 0.22, 0.16, 0.13, 0.125, 0.14, 0.18, 0.22, 0.26, 0.30, 0.34, 0.38, 0.40, 0.41,
    0.43, 0.48, 0.56, 0.68, 0.84, 0.96, 1.00, 0.92, 0.72,
];
/// Demand by weekday, from Monday.
const WEEK: [f64; 7] = [0.94, 0.94, 0.94, 0.94, 1.0, 1.13, 1.11];
const GENRES: [&str; 8] =
    ["action", "animation", "comedy", "crime", "documentary", "drama", "family", "thriller"];
const SLOT_SECONDS: u32 = 300;
/// Share of an object that a play takes, the mean of what `press` draws.
const WATCHED: f64 = 0.25 * 0.11 + 0.75 * 0.85;

/// What the trace is to be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    /// Same seed, same trace.
    pub seed: u64,
    /// Length, days.
    pub days: u32,
    /// Titles there are on day 0.
    pub titles: u32,
    /// Titles that appear each week.
    pub launches_a_week: u32,
    /// Zipf exponent of the old titles.
    pub zipf: f64,
    /// Ranks by which the head of the law is flattened; 0 for a straight one.
    pub flat_ranks: f64,
    /// Deviation of a title's step from one day to the next, in the logarithm.
    pub drift: f64,
    /// How many times its settled demand a launch has on top of it on its first day; the median.
    pub launch_boost: f64,
    /// Sites.
    pub regions: Vec<Region>,
}

/// One site's members.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Name of the site.
    pub site: String,
    /// Bits per second in the busiest 5 minutes of a usual Friday.
    pub peak_bps: f64,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            seed: 1,
            days: 56,
            titles: 4_000,
            launches_a_week: 20,
            zipf: 1.4,
            flat_ranks: 105.0,
            drift: 0.03,
            launch_boost: 20.0,
            regions: vec![Region { site: "metro".to_owned(), peak_bps: 10e9 }],
        }
    }
}

/// One title while the trace is made.
struct Work {
    strength: f64,
    genre: usize,
    length_s: f64,
    /// Day it appears; launches before day 0 have faded.
    published_day: i32,
    boost: f64,
    half_days: f64,
    /// Cumulative shares of plays by rung.
    rungs: [f64; LADDER.len()],
}

impl Generator {
    fn check(&self) -> Result<(), SimulateError> {
        let refused = |why: String| Err(SimulateError::Generator(why));
        if !(1..=DAYS_MAX).contains(&self.days) {
            return refused(format!("{} days: use 1 to {DAYS_MAX}", self.days));
        }
        if !(1..=1_000_000).contains(&self.titles) || self.launches_a_week > 10_000 {
            return refused("use 1 to 1,000,000 titles and at most 10,000 launches".to_owned());
        }
        if !(0.0..=3.0).contains(&self.zipf) {
            return refused(format!("an exponent of {}: use 0 to 3", self.zipf));
        }
        if !(0.0..=100_000.0).contains(&self.flat_ranks) {
            return refused(format!("a head of {} ranks: use 0 to 100,000", self.flat_ranks));
        }
        if !(0.0..=1.0).contains(&self.drift) || !(0.0..=1_000.0).contains(&self.launch_boost) {
            return refused("use a drift of 0 to 1 and a launch boost of 0 to 1,000".to_owned());
        }
        let peaks = self.regions.iter().all(|one| (1e6..=1e13).contains(&one.peak_bps));
        if self.regions.is_empty() || self.regions.len() > 1_000 || !peaks {
            return refused("use 1 to 1,000 sites of 1 Mbit/s to 10 Tbit/s".to_owned());
        }
        Ok(())
    }
}

/// What chance was told when it drew a trace: bytes each object was expected to bring, by day, site
/// and object. The best forecast there is; only who made the trace can have it.
#[derive(Clone, Debug, Default)]
pub struct Known(pub(crate) Vec<Vec<Vec<f32>>>);

/// Makes the trace. `progress` is told each day made.
///
/// # Errors
/// [`SimulateError::Generator`] for parameters out of range.
pub fn generate(generator: &Generator, progress: impl FnMut(u32)) -> Result<Trace, SimulateError> {
    Ok(generate_known(generator, progress)?.0)
}

/// Makes the same trace, and says what was expected of each day.
///
/// # Errors
/// As [`generate`].
pub fn generate_known(
    generator: &Generator,
    mut progress: impl FnMut(u32),
) -> Result<(Trace, Known), SimulateError> {
    generator.check()?;
    let mut known = Known::default();
    let mut chance = Chance::new(generator.seed, 1);
    let mut works = works(generator, &mut chance);
    let mut trace = catalog(&works, generator);
    let taste: Vec<Vec<f64>> = (0..generator.regions.len())
        .map(|region| taste(&works, &mut Chance::new(generator.seed, 100 + region as u64)))
        .collect();
    let play_bytes = mean_play_bytes(&works);
    let mut chance = Chance::new(generator.seed, 2);
    for day in 0..generator.days {
        for work in &mut works {
            work.strength *= chance.lognormal(generator.drift);
        }
        let mut plays = Vec::new();
        let mut expected = Vec::new();
        for (site, region) in generator.regions.iter().enumerate() {
            let scale = region.peak_bps / 8.0 * f64::from(SLOT_SECONDS) / play_bytes;
            let mut pressed = Pressed { plays: &mut plays, site: site as u16, day };
            pressed.day(&works, &taste[site], scale, &mut chance);
            expected.push(pressed.expected(&works, &taste[site], scale));
        }
        plays.sort_unstable_by_key(|play: &Play| (play.at, play.site, play.object));
        trace.plays.extend(plays);
        known.0.push(expected);
        progress(day);
    }
    Ok((trace, known))
}

fn works(generator: &Generator, chance: &mut Chance) -> Vec<Work> {
    let count = generator.titles as usize;
    // Scaled so that the first rank is 1, whatever the law.
    let law = |rank: f64| (rank + generator.flat_ranks).powf(-generator.zipf);
    let strength = |rank: usize| law(rank as f64) / law(1.0);
    let work = |strength: f64, published_day: i32, chance: &mut Chance| {
        let film = chance.share() < 0.3;
        let length_s = if film { 6_300.0 } else { 2_520.0 } * chance.lognormal(0.2);
        let mut sum = 0.0;
        let rungs = RUNG_SHARES.map(|share| {
            sum += share * chance.lognormal(RUNG_TILT);
            sum
        });
        let boost = generator.launch_boost * chance.lognormal(0.5);
        let half_days = chance.between(4.0, 10.0);
        let genre = chance.below(GENRES.len());
        Work { strength, genre, length_s, published_day, boost, half_days, rungs }
    };
    let mut works: Vec<Work> =
        (1..=count).map(|rank| work(strength(rank), -1_000, chance)).collect();
    for week in 0..generator.days.div_ceil(7) {
        for launch in 0..generator.launches_a_week {
            // Thursdays and Fridays, turn about.
            let day = week * 7 + 3 + launch % 2;
            if day < generator.days {
                // The most watched title of all is not matched every week: ranks from 10 on.
                let rank = 10 + chance.below(count.saturating_sub(10).max(1));
                works.push(work(2.0 * strength(rank), day as i32, chance));
            }
        }
    }
    works
}

fn catalog(works: &[Work], generator: &Generator) -> Trace {
    let mut trace = Trace {
        genres: GENRES.map(str::to_owned).to_vec(),
        sites: generator.regions.iter().map(|region| region.site.clone()).collect(),
        ..Trace::default()
    };
    for (at, work) in works.iter().enumerate() {
        let name = format!("t{at}");
        for (mbps, height) in LADDER {
            trace.objects.push(Object {
                name: format!("{name}-{height}"),
                title: at as u32,
                height,
                bytes: (work.length_s * mbps * 1e6 / 8.0) as u64,
            });
        }
        let genre = work.genre as u16;
        trace.titles.push(Title { name, genre, published_day: work.published_day });
    }
    trace
}

/// How much more a region likes each title than others do.
fn taste(works: &[Work], chance: &mut Chance) -> Vec<f64> {
    let genres = GENRES.map(|_| chance.lognormal(0.35));
    works.iter().map(|work| genres[work.genre] * chance.lognormal(0.35)).collect()
}

/// Bytes of a usual play, so that a peak in bits comes to a number of presses.
fn mean_play_bytes(works: &[Work]) -> f64 {
    let strength: f64 = works.iter().map(|work| work.strength).sum();
    let length: f64 = works.iter().map(|work| work.strength * work.length_s).sum();
    let rungs = LADDER.iter().zip(RUNG_SHARES);
    let mbps: f64 = rungs.map(|((mbps, _), share)| mbps * share).sum();
    length / strength * mbps * 1e6 / 8.0 * WATCHED
}

/// One site's plays of one day.
struct Pressed<'a> {
    plays: &'a mut Vec<Play>,
    site: u16,
    day: u32,
}

impl Pressed<'_> {
    /// Running sums of the titles' weights, before or after the day's launches at 08:00.
    fn weights(&self, works: &[Work], taste: &[f64], released: bool) -> Vec<f64> {
        let today = self.day as i32;
        let mut sum = 0.0;
        let cumulative = works.iter().zip(taste).map(|(work, taste)| {
            let age = today - work.published_day;
            if age > 0 || (age == 0 && released) {
                let boost = work.boost * (-f64::from(age) / work.half_days).exp2();
                sum += work.strength * taste * (1.0 + boost);
            }
            sum
        });
        cumulative.collect()
    }

    /// Bytes that the day is expected to bring, by object. The hours before 08:00, a tenth of the
    /// day, are counted as the others.
    fn expected(&self, works: &[Work], taste: &[f64], scale: f64) -> Vec<f32> {
        let hours: f64 = HOURS.iter().sum();
        let presses = scale * WEEK[self.day as usize % 7] * hours * 12.0;
        let cumulative = self.weights(works, taste, true);
        let total = cumulative.last().copied().unwrap_or(0.0).max(f64::MIN_POSITIVE);
        let mut before = 0.0;
        let mut bytes = Vec::with_capacity(works.len() * LADDER.len());
        for (work, sum) in works.iter().zip(&cumulative) {
            let plays = presses * (sum - before) / total;
            before = *sum;
            let (all, mut below) = (work.rungs[LADDER.len() - 1], 0.0);
            for ((mbps, _), up_to) in LADDER.iter().zip(work.rungs) {
                let share = (up_to - below) / all;
                below = up_to;
                bytes.push((plays * share * work.length_s * mbps * 1e6 / 8.0 * WATCHED) as f32);
            }
        }
        bytes
    }

    /// `scale` is presses in the busiest 5 minutes of a Friday.
    fn day(&mut self, works: &[Work], taste: &[f64], scale: f64, chance: &mut Chance) {
        let early = self.weights(works, taste, false);
        let late = self.weights(works, taste, true);
        let busy = WEEK[self.day as usize % 7];
        for slot in 0..86_400 / SLOT_SECONDS {
            let hour = f64::from(slot) / 12.0;
            let (this, next) = (HOURS[hour as usize % 24], HOURS[(hour as usize + 1) % 24]);
            let level = this + (next - this) * hour.fract();
            let presses = chance.poisson(scale * level * busy);
            let cumulative = if hour < 8.0 { &early } else { &late };
            for _ in 0..presses {
                self.press(slot * SLOT_SECONDS, works, cumulative, chance);
            }
        }
    }

    fn press(&mut self, slot_at: u32, works: &[Work], cumulative: &[f64], chance: &mut Chance) {
        let title = chance.index(cumulative);
        let work = &works[title];
        let rung = chance.index(&work.rungs);
        let watched = if chance.share() < 0.25 {
            chance.between(0.02, 0.2)
        } else {
            chance.between(0.7, 1.0)
        };
        let bytes = (work.length_s * LADDER[rung].0 * 1e6 / 8.0) as u64;
        self.plays.push(Play {
            at: self.day * 86_400 + slot_at + chance.below(SLOT_SECONDS as usize) as u32,
            seconds: (work.length_s * watched).max(1.0) as u32,
            object: (title * LADDER.len() + rung) as u32,
            site: self.site,
            bytes: ((bytes as f64 * watched) as u64).clamp(1, bytes),
        });
    }
}
