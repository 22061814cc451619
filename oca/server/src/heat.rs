//! How hot each object is: bytes served for each byte of its size, halved every day.
//! Never decides where an object belongs; the fill agent on the same box does, from `heat.json`.
//!
//! Each worker counts for itself, in a table with a bound (`HEAT_OBJECTS_MAX`): when it is full the
//! coldest quarter is forgotten. The admin thread asks for the tables once in a while, adds them to
//! what the last run left, and writes `state_dir/heat.json`, whole and renamed into place:
//!
//! ```json
//! {"at":1800000000000,"half_life_s":86400,"objects":[
//!   {"object":"<64 hex>","heat":3.25,"bytes":4194304,"class":"ssd"}]}
//! ```
//!
//! `heat` is as of `at` (Unix milliseconds), hottest first; `class` is where the object is served
//! from now. An object that is not in the file was not asked for lately.
//!
//! Counting looks forward: a byte served now weighs 2^(now/half life) of a byte served at the
//! table's birth, so nothing has to be halved until somebody looks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use ahash::HashMap;
use control_types::fleet::DiskClass;
use control_types::{ObjectId, UnixMillis};
use oca_sys::Nanos;
use serde::{Deserialize, Serialize};

use crate::limits::{HEAT_HALF_LIFE_S, HEAT_OBJECTS_MAX, HEAT_REPORT_OBJECTS_MAX};

const FILE_NAME: &str = "heat.json";
/// Half-lives after which all weights are brought down, long before a float runs out of room.
const HALF_LIVES_MAX: f64 = 64.0;
/// How often the weight of now is worked out: a second is nothing in a day.
const WEIGH_EVERY_NANOS: u64 = 1_000_000_000;

/// A worker's table.
pub struct HeatTable {
    heats: HashMap<ObjectId, f64>,
    born: Nanos,
    weighed_at: Nanos,
    /// What a byte served now counts, in bytes served when the table was born.
    weight: f64,
}

impl Default for HeatTable {
    fn default() -> Self {
        Self { heats: HashMap::default(), born: Nanos(0), weighed_at: Nanos(0), weight: 1.0 }
    }
}

impl HeatTable {
    /// `served` bytes of an object of `bytes` bytes went out.
    pub fn count(&mut self, object: &ObjectId, bytes: u64, served: u64, now: Nanos) {
        if served == 0 || bytes == 0 {
            return;
        }
        if now.since(self.weighed_at) >= WEIGH_EVERY_NANOS {
            self.weigh(now);
        }
        let heat = served as f64 / bytes as f64 * self.weight;
        if let Some(known) = self.heats.get_mut(object) {
            *known += heat;
            return;
        }
        if self.heats.len() >= HEAT_OBJECTS_MAX {
            self.forget_coldest();
        }
        self.heats.insert(*object, heat);
    }

    /// What the table knows, as of `now`.
    #[must_use]
    pub fn list(&mut self, now: Nanos) -> Vec<(ObjectId, f64)> {
        self.weigh(now);
        self.heats.iter().map(|(object, heat)| (*object, heat / self.weight)).collect()
    }

    fn weigh(&mut self, now: Nanos) {
        self.weighed_at = now;
        let half_lives = now.since(self.born) as f64 / (HEAT_HALF_LIFE_S as f64 * 1e9);
        if half_lives > HALF_LIVES_MAX {
            let down = half_lives.exp2();
            self.heats.values_mut().for_each(|heat| *heat /= down);
            self.heats.retain(|_, heat| *heat > f64::MIN_POSITIVE);
            self.born = now;
            self.weight = 1.0;
        } else {
            self.weight = half_lives.exp2();
        }
    }

    fn forget_coldest(&mut self) {
        let mut all: Vec<f64> = self.heats.values().copied().collect();
        let quarter = all.len() / 4;
        let (_, bound, _) = all.select_nth_unstable_by(quarter, f64::total_cmp);
        let bound = *bound;
        self.heats.retain(|_, heat| *heat > bound);
    }
}

/// One object in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatLine {
    /// Which.
    pub object: ObjectId,
    /// Bytes served for each byte of its size, decayed.
    pub heat: f64,
    /// Its size.
    pub bytes: u64,
    /// Where it is served from.
    pub class: DiskClass,
}

/// `heat.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatReport {
    /// When it was true.
    pub at: UnixMillis,
    /// Heat halves in this time, seconds.
    pub half_life_s: u64,
    /// Hottest first, at most `HEAT_REPORT_OBJECTS_MAX`.
    pub objects: Vec<HeatLine>,
}

impl HeatReport {
    /// What the last run left, or nothing.
    #[must_use]
    pub fn load(state_dir: &Path) -> Self {
        let nothing = || Self::new(UnixMillis(0), Vec::new());
        let Ok(text) = fs::read(state_dir.join(FILE_NAME)) else { return nothing() };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, "heat.json is not readable: heat begins anew");
            nothing()
        })
    }

    /// These objects, sorted and cut.
    #[must_use]
    pub fn new(at: UnixMillis, mut objects: Vec<HeatLine>) -> Self {
        objects.retain(|line| line.heat.is_finite() && line.heat > 0.0);
        objects.sort_by(|a, b| b.heat.total_cmp(&a.heat).then(a.object.cmp(&b.object)));
        objects.truncate(HEAT_REPORT_OBJECTS_MAX);
        Self { at, half_life_s: HEAT_HALF_LIFE_S, objects }
    }

    /// What was hot before this run, decayed to `at`, and what workers have counted in it. `find`
    /// says size and class; objects it does not know are gone.
    #[must_use]
    pub fn merged(
        before: &Self,
        tables: &[Vec<(ObjectId, f64)>],
        at: UnixMillis,
        find: impl Fn(&ObjectId) -> Option<(u64, DiskClass)>,
    ) -> Self {
        let age_s = at.0.saturating_sub(before.at.0) as f64 / 1000.0;
        // A clock that went back decays nothing, which is the lesser harm.
        let left = (-age_s / HEAT_HALF_LIFE_S as f64).exp2();
        let mut heats: HashMap<ObjectId, f64> = HashMap::default();
        for line in &before.objects {
            *heats.entry(line.object).or_default() += line.heat * left;
        }
        for (object, heat) in tables.iter().flatten() {
            *heats.entry(*object).or_default() += heat;
        }
        let line = |(object, heat): (ObjectId, f64)| {
            let (bytes, class) = find(&object)?;
            Some(HeatLine { object, heat, bytes, class })
        };
        Self::new(at, heats.into_iter().filter_map(line).collect())
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The disk's own; the old file stays.
    pub fn store(&self, state_dir: &Path) -> io::Result<()> {
        let new = state_dir.join(format!("{FILE_NAME}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, state_dir.join(FILE_NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = HEAT_HALF_LIFE_S * 1_000_000_000;

    fn object(number: u32) -> ObjectId {
        ObjectId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn heat_of(table: &mut HeatTable, number: u32, now: u64) -> f64 {
        let listed = table.list(Nanos(now));
        listed.iter().find(|(id, _)| *id == object(number)).map_or(0.0, |(_, heat)| *heat)
    }

    #[test]
    fn heat_is_bytes_for_bytes_and_halves_every_day() {
        let mut table = HeatTable::default();
        table.count(&object(1), 1000, 500, Nanos(0));
        table.count(&object(1), 1000, 1500, Nanos(0));
        table.count(&object(2), 4000, 4000, Nanos(DAY));
        assert!((heat_of(&mut table, 1, DAY) - 1.0).abs() < 1e-9);
        assert!((heat_of(&mut table, 2, DAY) - 1.0).abs() < 1e-9);
        assert!((heat_of(&mut table, 2, 3 * DAY) - 0.25).abs() < 1e-9);
        table.count(&object(3), 10, 10, Nanos(100 * DAY));
        assert!((heat_of(&mut table, 3, 100 * DAY) - 1.0).abs() < 1e-9, "after a long life");
        assert!(heat_of(&mut table, 1, 100 * DAY) < 1e-9);
    }

    #[test]
    fn a_full_table_forgets_the_coldest() {
        let mut table = HeatTable::default();
        for number in 0..HEAT_OBJECTS_MAX as u32 {
            table.count(&object(number), 1000, u64::from(number) + 1, Nanos(0));
        }
        table.count(&object(u32::MAX), 1000, 1, Nanos(0));
        let kept = table.heats.len();
        assert!(kept > HEAT_OBJECTS_MAX / 2 && kept < HEAT_OBJECTS_MAX, "{kept}");
        assert!(table.heats.contains_key(&object(HEAT_OBJECTS_MAX as u32 - 1)));
        assert!(!table.heats.contains_key(&object(0)));
    }

    #[test]
    fn a_report_survives_a_restart_and_keeps_what_is_still_held() {
        let dir = tempfile::tempdir().unwrap();
        let day_ms = HEAT_HALF_LIFE_S * 1000;
        let find = |id: &ObjectId| (*id != object(9)).then_some((1000, DiskClass::Hdd));
        let none = HeatReport::load(dir.path());
        let first = vec![vec![(object(1), 4.0), (object(9), 9.0)], vec![(object(2), 1.0)]];
        let report = HeatReport::merged(&none, &first, UnixMillis(day_ms), find);
        report.store(dir.path()).unwrap();
        let before = HeatReport::load(dir.path());
        assert_eq!(before, report);
        let later = vec![vec![(object(2), 5.0)]];
        let report = HeatReport::merged(&before, &later, UnixMillis(2 * day_ms), find);
        let heats: Vec<_> = report.objects.iter().map(|line| (line.object, line.heat)).collect();
        assert_eq!(heats, [(object(2), 5.5), (object(1), 2.0)]);
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        assert!(HeatReport::load(dir.path()).objects.is_empty());
    }
}
