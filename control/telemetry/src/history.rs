//! What was watched of each title, at each site and picture height, on each day in UTC. Pure: time
//! is an argument; forecasts nothing, which is the planner's.

use ahash::AHashMap;
use control_types::fill::WatchedDay;
use control_types::{SiteId, TitleId, UnixMillis};

use crate::limits::{EVENT_BYTES_MAX, HEIGHTS_PER_SITE_MAX, HISTORY_CELLS_MAX, HISTORY_DAYS};

const DAY_MS: u64 = 86_400_000;

/// Bytes watched, by day. At most `HISTORY_CELLS_MAX` cells; those out of date leave first, then
/// the smallest.
#[derive(Debug, Default)]
pub struct History {
    titles: AHashMap<TitleId, AHashMap<SiteId, Vec<Cell>>>,
    cells: usize,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    day: u32,
    height: u32,
    bytes: u64,
}

impl History {
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
        if self.cells >= HISTORY_CELLS_MAX {
            self.make_room(now);
        }
        let (day, bytes) = (day_of(now), bytes.min(EVENT_BYTES_MAX));
        let cells = self.titles.entry(title.clone()).or_default().entry(site.clone()).or_default();
        // A player that invents heights must not crowd out what others watch.
        let is_full = cells.iter().filter(|cell| cell.day == day).count() >= HEIGHTS_PER_SITE_MAX;
        let of_day = cells.iter_mut().filter(|cell| cell.day == day);
        let nearest = of_day.min_by_key(|cell| cell.height.abs_diff(height));
        match nearest.filter(|cell| is_full || cell.height == height) {
            Some(cell) => cell.bytes = cell.bytes.saturating_add(bytes),
            None => {
                cells.push(Cell { day, height, bytes });
                self.cells += 1;
            }
        }
    }

    /// The days of `title` that still count at `now`; in no order.
    #[must_use]
    pub fn of_title(&self, title: &TitleId, now: UnixMillis) -> Vec<WatchedDay> {
        let sites = self.titles.get(title).into_iter().flatten();
        let days = sites.flat_map(|(site, cells)| {
            let current = cells.iter().filter(|cell| is_current(cell, now));
            current.map(|cell| {
                let Cell { day, height, bytes } = *cell;
                WatchedDay { day, site: site.clone(), height, bytes }
            })
        });
        days.collect()
    }

    /// Drops what is out of date; when that is too little, the smaller half as well.
    fn make_room(&mut self, now: UnixMillis) {
        self.retain(|cell| is_current(cell, now));
        if self.cells > HISTORY_CELLS_MAX / 2 {
            let all = self.titles.values().flat_map(|sites| sites.values()).flatten();
            let mut sizes: Vec<u64> = all.map(|cell| cell.bytes).collect();
            let middle = sizes.len() / 2;
            let median = *sizes.select_nth_unstable(middle).1;
            self.retain(|cell| cell.bytes > median);
        }
    }

    fn retain(&mut self, keeps: impl Fn(&Cell) -> bool) {
        let mut left = 0;
        self.titles.retain(|_, sites| {
            sites.retain(|_, cells| {
                cells.retain(&keeps);
                left += cells.len();
                !cells.is_empty()
            });
            !sites.is_empty()
        });
        self.cells = left;
    }
}

/// Days since 1970-01-01, in UTC.
fn day_of(now: UnixMillis) -> u32 {
    u32::try_from(now.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// Today, or one of the `HISTORY_DAYS` before it.
fn is_current(cell: &Cell, now: UnixMillis) -> bool {
    let today = day_of(now);
    cell.day <= today && cell.day.saturating_add(HISTORY_DAYS) >= today
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn days_ago(days: u32) -> UnixMillis {
        UnixMillis(NOW.0 - u64::from(days) * DAY_MS)
    }

    #[test]
    fn days_sites_and_heights_are_kept_apart_and_old_days_are_not_told() {
        let mut history = History::default();
        let (title, here, there) =
            ("t".parse().unwrap(), "here".parse().unwrap(), "there".parse().unwrap());
        for (site, height, ago) in
            [(&here, 720, 0), (&here, 720, 0), (&here, 360, 0), (&there, 720, 7), (&here, 720, 29)]
        {
            history.watch(&title, site, height, 10, days_ago(ago));
        }
        let mut told = history.of_title(&title, NOW);
        told.sort_by_key(|one| (one.day, one.height));
        let told: Vec<(u32, &str, u32, u64)> = told
            .iter()
            .map(|one| (day_of(NOW) - one.day, one.site.as_str(), one.height, one.bytes))
            .collect();
        assert_eq!(told, [(7, "there", 720, 10), (0, "here", 360, 10), (0, "here", 720, 20)]);
        assert!(history.of_title(&"other".parse().unwrap(), NOW).is_empty());
    }

    #[test]
    fn a_full_table_loses_what_is_out_of_date_and_then_the_smallest() {
        let mut history = History::default();
        let site: SiteId = "here".parse().unwrap();
        let hit: TitleId = "hit".parse().unwrap();
        history.watch(&hit, &site, 720, 1 << 33, NOW);
        history.watch(&"gone".parse().unwrap(), &site, 720, 1 << 33, days_ago(60));
        for number in 0..HISTORY_CELLS_MAX {
            let title = format!("t{number}").parse().unwrap();
            history.watch(&title, &site, 0, 1 + number as u64, NOW);
        }
        assert!(history.cells <= HISTORY_CELLS_MAX);
        assert_eq!(history.of_title(&hit, NOW)[0].bytes, 1 << 33);
        assert!(!history.titles.contains_key(&"gone".parse::<TitleId>().unwrap()));
        assert!(history.of_title(&"t0".parse().unwrap(), NOW).is_empty());
    }

    #[test]
    fn invented_heights_share_sixteen_cells_a_day() {
        let mut history = History::default();
        let (title, site) = ("t".parse().unwrap(), "here".parse().unwrap());
        (0..1_000).for_each(|height| history.watch(&title, &site, height, 1, NOW));
        let told = history.of_title(&title, NOW);
        assert_eq!(told.len(), HEIGHTS_PER_SITE_MAX);
        assert_eq!(told.iter().map(|one| one.bytes).sum::<u64>(), 1_000);
    }
}
