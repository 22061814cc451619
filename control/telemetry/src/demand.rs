//! How many bytes each site will want of each object tomorrow, from what its members watched.
//! Pure: time is an argument; never knows what is placed where.
//!
//! Mechanics: watched bytes are kept per title, site and picture height, and halve every
//! `HALF_LIFE_MS`. Under a steady rate such a sum stands at `rate × half-life / ln 2`, so the rate
//! is read back from the sum without day boundaries.
//!
//! Policy:
//! - Most of a title's bytes go to the rung that was watched, with its share of audio; the rest
//!   (`ALL_RUNGS_SHARE`) to all objects alike, because an appliance that holds only some rungs of a
//!   title serves it badly.
//! - A site where a title was never watched expects `ELSEWHERE_SHARE` of the mean of all sites.
//! - A new title is expected to be watched before anyone has: `LAUNCH_PLAYS` a day at each site,
//!   halving every `LAUNCH_HALF_LIFE_MS`. Any title keeps `FLOOR_PLAYS`, so that spare room is
//!   used.

use ahash::AHashMap;
use control_types::fill::{PlaceableObject, SiteDemand, TitleHistory};
use control_types::{ObjectId, SiteId, TitleId, UnixMillis};

use crate::history::History;
use crate::limits::{DEMAND_CELLS_MAX, EVENT_BYTES_MAX, HEIGHTS_PER_SITE_MAX};

const DAY_MS: f64 = 86_400_000.0;
const HALF_LIFE_MS: f64 = 2.0 * DAY_MS;
const LAUNCH_HALF_LIFE_MS: f64 = 3.0 * DAY_MS;
const LAUNCH_PLAYS: f64 = 10.0;
const FLOOR_PLAYS: f64 = 0.05;
const ALL_RUNGS_SHARE: f64 = 0.3;
const ELSEWHERE_SHARE: f64 = 0.5;

/// One title's objects, as the catalog knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitleObjects {
    /// Which.
    pub title: TitleId,
    /// When members could first see it.
    pub published_at: UnixMillis,
    /// Media and playlists of all renditions.
    pub objects: Vec<ObjectShape>,
}

/// One object of a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectShape {
    /// Which.
    pub object: ObjectId,
    /// Size, bytes.
    pub bytes: u64,
    /// Height of its picture, pixels; absent for what goes with every rung (audio, its playlist).
    pub height: Option<u32>,
}

/// Bytes watched, fading.
#[derive(Debug, Default)]
pub struct Demand {
    titles: AHashMap<TitleId, AHashMap<SiteId, Heights>>,
    cells: usize,
    history: History,
}

/// By height of the picture, pixels; few, so a list.
type Heights = Vec<(u32, Fading)>;

/// A sum that halves every `HALF_LIFE_MS`.
#[derive(Clone, Copy, Debug)]
struct Fading {
    bytes: f64,
    at: UnixMillis,
}

impl Fading {
    fn bytes_at(&self, now: UnixMillis) -> f64 {
        self.bytes * halved(now.millis_since(self.at), HALF_LIFE_MS)
    }

    fn add(&mut self, bytes: f64, now: UnixMillis) {
        // An event older than the newest fades to the same age before it is added.
        let late = halved(self.at.millis_since(now), HALF_LIFE_MS);
        self.bytes = self.bytes_at(now) + bytes * late;
        self.at = self.at.max(now);
    }

    fn bytes_a_day(&self, now: UnixMillis) -> f64 {
        self.bytes_at(now) * std::f64::consts::LN_2 * DAY_MS / HALF_LIFE_MS
    }
}

fn halved(age_ms: u64, half_life_ms: f64) -> f64 {
    (-(age_ms as f64) / half_life_ms).exp2()
}

impl Demand {
    /// `bytes` of `title` were watched at `height` by a member of `site`.
    pub fn watch(
        &mut self,
        title: &TitleId,
        site: &SiteId,
        height: u32,
        bytes: u64,
        now: UnixMillis,
    ) {
        if bytes == 0 {
            return;
        }
        self.history.watch(title, site, height, bytes, now);
        if self.cells >= DEMAND_CELLS_MAX {
            self.watch_make_room(now);
        }
        let bytes = bytes.min(EVENT_BYTES_MAX) as f64;
        let sites = self.titles.entry(title.clone()).or_default();
        let heights = sites.entry(site.clone()).or_default();
        let is_full = heights.len() >= HEIGHTS_PER_SITE_MAX;
        let nearest = heights.iter_mut().min_by_key(|(known, _)| known.abs_diff(height));
        match nearest.filter(|(known, _)| is_full || *known == height) {
            Some((_, fading)) => fading.add(bytes, now),
            None => {
                heights.push((height, Fading { bytes, at: now }));
                self.cells += 1;
            }
        }
    }

    /// Drops the smaller half of the table: cells that faded away come first, and a table of live
    /// cells loses those that matter least.
    fn watch_make_room(&mut self, now: UnixMillis) {
        let mut sizes: Vec<f64> = self.cells().map(|fading| fading.bytes_at(now)).collect();
        let middle = sizes.len() / 2;
        let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
        let median = *median;
        for sites in self.titles.values_mut() {
            for heights in sites.values_mut() {
                heights.retain(|(_, fading)| fading.bytes_at(now) > median);
            }
            sites.retain(|_, heights| !heights.is_empty());
        }
        self.titles.retain(|_, sites| !sites.is_empty());
        self.cells = self.cells().count();
    }

    fn cells(&self) -> impl Iterator<Item = &Fading> {
        let heights = self.titles.values().flat_map(|sites| sites.values()).flatten();
        heights.map(|(_, fading)| fading)
    }

    /// The same watching day by day, of each of `titles`.
    #[must_use]
    pub fn history(&self, titles: &[TitleObjects], now: UnixMillis) -> Vec<TitleHistory> {
        let of_title = |title: &TitleObjects| TitleHistory {
            title: title.title.clone(),
            published_at: title.published_at,
            watched: self.history.of_title(&title.title, now),
        };
        titles.iter().map(of_title).collect()
    }

    /// Tomorrow's bytes of every object of `titles`, at each of `sites`.
    #[must_use]
    pub fn placeable(
        &self,
        titles: &[TitleObjects],
        sites: &[SiteId],
        now: UnixMillis,
    ) -> Vec<PlaceableObject> {
        titles.iter().flat_map(|title| self.placeable_title(title, sites, now)).collect()
    }

    fn placeable_title(
        &self,
        title: &TitleObjects,
        sites: &[SiteId],
        now: UnixMillis,
    ) -> Vec<PlaceableObject> {
        let watched = self.titles.get(&title.title);
        let mut site_rows: Vec<(&SiteId, Vec<f64>)> = Vec::new();
        let mut sum = vec![0.0; title.objects.len()];
        for site in sites {
            let Some(heights) = watched.and_then(|watched| watched.get(site)) else { continue };
            let row = split(&title.objects, heights, now);
            sum.iter_mut().zip(&row).for_each(|(sum, bytes)| *sum += bytes);
            site_rows.push((site, row));
        }
        let expected = expected_plays(title.published_at, now);
        let site_count = sites.len().max(1) as f64;
        let objects = title.objects.iter().enumerate().map(|(at, shape)| {
            let unseen = expected * shape.bytes as f64;
            let demand_bytes = site_rows
                .iter()
                .map(|(site, row)| SiteDemand { site: (*site).clone(), bytes: row[at] + unseen });
            PlaceableObject {
                object: shape.object,
                bytes: shape.bytes,
                title: title.title.clone(),
                height: shape.height,
                demand_bytes: demand_bytes.collect(),
                demand_bytes_elsewhere: ELSEWHERE_SHARE * sum[at] / site_count + unseen,
            }
        });
        objects.collect()
    }
}

/// Whole plays a day that nobody has made yet.
fn expected_plays(published_at: UnixMillis, now: UnixMillis) -> f64 {
    LAUNCH_PLAYS * halved(now.millis_since(published_at), LAUNCH_HALF_LIFE_MS) + FLOOR_PLAYS
}

/// Shares what was watched of a title among its objects, bytes a day each.
fn split(objects: &[ObjectShape], heights: &Heights, now: UnixMillis) -> Vec<f64> {
    let sum_of = |wanted: &dyn Fn(&ObjectShape) -> bool| -> f64 {
        objects.iter().filter(|shape| wanted(shape)).map(|shape| shape.bytes as f64).sum()
    };
    let all = sum_of(&|_| true).max(1.0);
    let mut shares = vec![0.0; objects.len()];
    for (height, fading) in heights {
        let rate = fading.bytes_a_day(now);
        // The rung and what goes with it; a rung the title no longer has counts for all of it.
        let is_rung = |shape: &ObjectShape| shape.height.is_none_or(|own| own == *height);
        let has_rung = objects.iter().any(|shape| shape.height == Some(*height));
        let rung = sum_of(&is_rung).max(1.0);
        for (share, shape) in shares.iter_mut().zip(objects) {
            let bytes = shape.bytes as f64;
            let evenly = rate * bytes / all;
            let by_rung = if is_rung(shape) { rate * bytes / rung } else { 0.0 };
            *share += if has_rung {
                ALL_RUNGS_SHARE * evenly + (1.0 - ALL_RUNGS_SHARE) * by_rung
            } else {
                evenly
            };
        }
    }
    shares
}
