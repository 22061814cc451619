//! The forecast of a fill state: what control saw watched, day by day, becomes tomorrow's bytes of
//! every object at every site. Reads no clock and decides no placement.
//!
//! ```text
//! history by title, site, height, day -> rungs (what a play reads)   outlook/rungs.rs
//!                                     -> whole days, launches        outlook/days.rs
//!                                     -> forecast of each rung       forecast.rs
//!                                     -> bytes of each object, and what they are made of
//!                                                                    outlook/makings.rs
//! ```
//!
//! A fleet that has no day behind it keeps the demand that its state came with: what was watched
//! lately, and what launches usually bring.

mod days;
mod makings;
mod rungs;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use control_types::fill::{FillState, PlaceableObject, SiteDemand, TitleHistory};
use control_types::fleet::Role;
use control_types::ids::SiteId;
use control_types::time::UnixMillis;

use crate::forecast::{Forecast, TitleShape, Tuning};

use days::{Days, hours};
use rungs::Rungs;

pub use days::day_ahead;
pub use makings::{Makings, makings};

/// Plays a day that any title is expected to have at any site, so that spare room is used.
const FLOOR_PLAYS: f64 = 0.05;
/// A site that nobody watched at yet expects this share of what the others do on average.
const NEW_SITE_SHARE: f64 = 0.5;
/// Sites times objects up to which each is told of every one; beyond, a site is told of titles
/// that were watched there, and expects of the others what sites do on average.
const CELLS_MAX: usize = 2_000_000;

/// A forecast that is made once an hour, and when titles, objects or sites come or go: so that a
/// play at one site does not set every site's plan moving.
#[derive(Debug, Default)]
pub struct Outlook {
    key: Option<u64>,
    demand: Vec<(Vec<SiteDemand>, f64)>,
}

impl Outlook {
    /// As [`forecast_demand`], from the forecast of this hour when there is one.
    pub fn forecast_demand(&mut self, state: &mut FillState, now: UnixMillis) -> bool {
        let key = key(state, now);
        if self.key == Some(key) {
            for (object, known) in state.objects.iter_mut().zip(&self.demand) {
                (object.demand_bytes, object.demand_bytes_elsewhere) = known.clone();
            }
            return true;
        }
        let is_forecast = forecast_demand(state, now);
        // Demand that is not forecast is control's: it is believed anew at every look.
        self.key = is_forecast.then_some(key);
        let told = state.objects.iter().filter(|_| is_forecast);
        self.demand =
            told.map(|one| (one.demand_bytes.clone(), one.demand_bytes_elsewhere)).collect();
        is_forecast
    }
}

/// The hour, and what there is to forecast.
fn key(state: &FillState, now: UnixMillis) -> u64 {
    let mut hasher = DefaultHasher::new();
    hours(now).hash(&mut hasher);
    sites(state).hash(&mut hasher);
    for one in &state.objects {
        (one.object, one.bytes, &one.title, one.height).hash(&mut hasher);
    }
    state.history.iter().for_each(|one| (&one.title, one.published_at).hash(&mut hasher));
    hasher.finish()
}

/// Replaces the demand of every object of `state` by the forecast from its history for the day
/// that a night at `now` is for. False when it was left as it is: the fleet has no day behind it.
pub fn forecast_demand(state: &mut FillState, now: UnixMillis) -> bool {
    let Some(seen) = Seen::new(state, now) else { return false };
    let expected = seen.expected(&state.history);
    let tells_all = seen.sites.len() * state.objects.len() <= CELLS_MAX;
    let told: Vec<Option<(Vec<SiteDemand>, f64)>> = state
        .objects
        .iter()
        .map(|object| {
            let title = seen.rungs.title(&object.title)?;
            let all = seen.bytes(title, object, &expected);
            let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
            let watched = &state.history[title].watched;
            let is_told = |site: &SiteId| tells_all || watched.iter().any(|day| day.site == *site);
            let known = seen.sites.iter().zip(all).filter(|(site, _)| is_told(site));
            let demand = known.map(|(site, bytes)| SiteDemand { site: site.clone(), bytes });
            Some((demand.collect(), mean.max(floor(object))))
        })
        .collect();
    for (object, told) in state.objects.iter_mut().zip(told) {
        if let Some(told) = told {
            (object.demand_bytes, object.demand_bytes_elsewhere) = told;
        }
    }
    true
}

fn floor(object: &PlaceableObject) -> f64 {
    FLOOR_PLAYS * object.bytes as f64
}

/// Sites with members: where edges stand, and where something was watched.
fn sites(state: &FillState) -> Vec<SiteId> {
    let edges = state.appliances.iter().filter(|one| one.role == Role::Edge);
    let watched = state.history.iter().flat_map(|one| &one.watched);
    let all: BTreeSet<&SiteId> =
        edges.map(|one| &one.site).chain(watched.map(|day| &day.site)).collect();
    all.into_iter().cloned().collect()
}

/// A history that was read, day by day.
struct Seen {
    /// Sorted.
    sites: Vec<SiteId>,
    rungs: Rungs,
    days: Days,
    forecast: Forecast,
}

impl Seen {
    /// None when there is no day to learn from.
    fn new(state: &FillState, now: UnixMillis) -> Option<Self> {
        let days = Days::new(&state.history, now)?;
        let (sites, rungs) = (sites(state), Rungs::new(state));
        let forecast = observed(&state.history, &rungs, &sites, &days);
        Some(Self { sites, rungs, days, forecast })
    }

    /// Bytes of every rung at every site; a site that nobody watched at yet borrows from others.
    fn expected(&self, history: &[TitleHistory]) -> Vec<Vec<f32>> {
        let mut expected: Vec<Vec<f32>> =
            (0..self.sites.len()).map(|at| self.forecast.tomorrow(at)).collect();
        let known = self.known(history);
        let count = known.iter().filter(|known| **known).count();
        if count == 0 || count == known.len() {
            return expected;
        }
        let mut mean = vec![0.0_f32; self.rungs.len()];
        for (row, _) in expected.iter().zip(&known).filter(|(_, known)| **known) {
            mean.iter_mut().zip(row).for_each(|(mean, bytes)| *mean += bytes / count as f32);
        }
        mean.iter_mut().for_each(|bytes| *bytes *= NEW_SITE_SHARE as f32);
        for (row, _) in expected.iter_mut().zip(&known).filter(|(_, known)| !**known) {
            row.clone_from(&mean);
        }
        expected
    }

    /// Sites where anything was watched.
    fn known(&self, history: &[TitleHistory]) -> Vec<bool> {
        let mut known = vec![false; self.sites.len()];
        for day in history.iter().flat_map(|one| &one.watched) {
            if let Ok(site) = self.sites.binary_search(&day.site) {
                known[site] = true;
            }
        }
        known
    }

    /// Tomorrow's bytes of `object` at every site.
    fn bytes(&self, title: usize, object: &PlaceableObject, expected: &[Vec<f32>]) -> Vec<f64> {
        let parts = self.rungs.of_object(title, object);
        let of_site = |row: &Vec<f32>| {
            let of = |(rung, share): &(usize, f64)| f64::from(row[*rung]) * share;
            parts.iter().map(of).sum::<f64>() + floor(object)
        };
        expected.iter().map(of_site).collect()
    }
}

/// The forecast after all days told.
fn observed(history: &[TitleHistory], rungs: &Rungs, sites: &[SiteId], days: &Days) -> Forecast {
    let signed = |day: u32| i32::try_from(day).unwrap_or(i32::MAX);
    let shape = |(at, one): (usize, &TitleHistory)| {
        let object = |rung: &usize| (*rung as u32, rungs.kind(*rung), rungs.rung(*rung).bytes);
        TitleShape {
            published_day: signed(days.published_day(one)),
            genre: 0,
            objects: rungs.of_title(at).iter().map(object).collect(),
        }
    };
    let shapes: Vec<TitleShape> = history.iter().enumerate().map(shape).collect();
    let usual = Tuning::default();
    let tuning = Tuning { usual_plays: usual_plays(history, rungs, days, &usual), ..usual };
    let first = signed(days.first);
    let mut forecast = Forecast::new(shapes, rungs.len(), 1, sites.len(), first, tuning);
    let mut watched = vec![Vec::new(); days.count()];
    for (title, one) in history.iter().enumerate() {
        for day in &one.watched {
            if let Some(at) = days.position(day) {
                watched[at].push((title, day));
            }
        }
    }
    let mut bytes = vec![vec![0.0_f32; rungs.len()]; sites.len()];
    for (position, of_day) in watched.iter().enumerate() {
        bytes.iter_mut().for_each(|site| site.fill(0.0));
        for (title, day) in of_day {
            let Ok(site) = sites.binary_search(&day.site) else { continue };
            let pace = days.pace(&history[*title], position);
            for (rung, watched) in rungs.spread(*title, day) {
                bytes[site][rung] += (watched * pace) as f32;
            }
        }
        forecast.observe(&bytes);
    }
    forecast
}

/// Plays a day, over all sites, of a title that is watched at all: what a launch is expected to
/// settle to until there were launches to learn from. Never below the usual one.
fn usual_plays(history: &[TitleHistory], rungs: &Rungs, days: &Days, usual: &Tuning) -> f64 {
    let (mut plays, mut titles) = (0.0, 0_u32);
    for (title, one) in history.iter().enumerate() {
        let read = one.watched.iter().filter(|day| days.position(day).is_some());
        let of_title: f64 = read.map(|day| rungs.plays(title, day, usual.play_share)).sum();
        if of_title > 0.0 {
            titles += 1;
            plays += of_title;
        }
    }
    (plays / f64::from(titles.max(1)) / days.count().max(1) as f64).max(usual.usual_plays)
}
