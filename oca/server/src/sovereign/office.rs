//! Keeps what steering needs, on the admin thread: takes bundles in, remembers whom control's word
//! came from and when, and lays a fresh outlook on the desk. Asks nobody itself: fetching and
//! looking are the admin thread's, their results come in here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use control_token::changed_bundle;
use control_types::bundle::{BundleChange, SignedBundle};
use control_types::{ApplianceId, UnixMillis};

use super::bundle::{Believed, Pin, open};
use super::decide::load;
use super::desk::{Desk, Outlook, Own};
use super::neighbours::{Look, Watch};
use super::refused::Refused;
use super::store::Store;
use super::table::Table;
use crate::limits::{
    BUNDLE_AGAIN_MS, BUNDLE_LOADS_MS, CONTACT_NOTE_MS, HEARTBEATS_MISSED, SILENT_MS_MIN,
};

/// Everything kept; shared by the tasks of the admin thread and never by a worker.
#[derive(Debug)]
pub struct Office {
    appliance: ApplianceId,
    store: Store,
    desk: Arc<Desk>,
    /// Between two reports to control.
    every: Duration,
    kept: Mutex<Kept>,
}

impl Kept {
    /// Steps of everybody's load, with what they were before: one that hovers around a threshold
    /// does not flip at every look.
    fn step(&mut self, outlook: &mut Outlook) {
        let table = Arc::clone(&outlook.table);
        let mut steps = Vec::with_capacity(table.candidates.len());
        for (at, one) in (0u32..).zip(&table.candidates) {
            let was = self.steps.get(&one.id).copied().unwrap_or(0);
            let load = load(outlook, at).unwrap_or(0);
            steps.push(table.load_rule.step_after(was, load));
        }
        let loaded = table.candidates.iter().zip(&steps).filter(|(_, step)| **step > 0);
        self.steps = loaded.map(|(one, step)| (one.id.clone(), *step)).collect();
        outlook.steps = steps;
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// Absent when its file cannot be read: then nobody is believed.
    pin: Option<Pin>,
    table: Option<Arc<Table>>,
    /// Control has said to this process that the table is its newest, or has given it.
    is_confirmed: bool,
    watch: Watch,
    own: Own,
    /// Of loads as last laid out, of those who are loaded at all.
    steps: BTreeMap<ApplianceId, u8>,
    asked_at: Option<Instant>,
    is_asking: bool,
    /// When control answered this process last.
    heard: Option<Instant>,
    /// The same by the wall clock, or what the process before wrote down.
    heard_at: Option<UnixMillis>,
    noted_at: Option<Instant>,
    tally: Tally,
}

/// What became of bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Believed since the start.
    pub taken: u64,
    /// Could not be had.
    pub failed: u64,
    /// Refused, in the order of `Refused::ALL`.
    pub refused: [u64; Refused::ALL.len()],
    /// Why the last one was.
    pub last: Option<Refused>,
}

/// What people and metrics are shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// In use.
    pub table: Option<Arc<Table>>,
    /// Whose bundles are believed.
    pub pin: Option<Pin>,
    /// Who is looked at.
    pub watch: Watch,
    /// This box.
    pub own: Own,
    /// See [`Office::is_alone`].
    pub is_alone: bool,
    /// When control was heard last, if ever.
    pub heard_at: Option<UnixMillis>,
    /// What became of bundles.
    pub tally: Tally,
}

impl Office {
    /// What `state_dir` remembers; `key` is the operator's, which goes before the one remembered.
    /// Control is asked `every` so often.
    #[must_use]
    pub fn load(
        state_dir: &Path,
        appliance: &ApplianceId,
        key: Option<&str>,
        every: Duration,
    ) -> Self {
        let store = Store::new(state_dir);
        let mut kept = Kept { heard_at: store.heard_at(), ..Kept::default() };
        match store.pin() {
            Ok(pin) => kept.pin = Some(pin.given(key)),
            Err(error) => tracing::error!(
                %error,
                "steering-pin.json cannot be read, so no bundle is believed: remove it to believe \
                 the next one that control gives"
            ),
        }
        let (appliance, desk) = (appliance.clone(), Arc::default());
        let office = Self { appliance, store, desk, every, kept: kept.into() };
        if let Some(signed) = office.store.bundle() {
            // One that is not believed any more has been counted and logged.
            let _ = office.take(&signed, Instant::now());
        }
        office.lay(Own::default());
        office
    }

    /// Where workers look.
    #[must_use]
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// Serial of the bundle in use.
    #[must_use]
    pub fn serial(&self) -> Option<u64> {
        self.kept().table.as_ref().map(|table| table.serial)
    }

    /// Serial of the bundle that players are answered from, once control has given it to this
    /// process or called it its newest: before that a box that was away would be asked by players
    /// who start, and tell them of the day it left.
    #[must_use]
    pub fn confirmed_serial(&self) -> Option<u64> {
        let is_confirmed = self.kept().is_confirmed;
        self.desk.outlook().filter(|_| is_confirmed).map(|outlook| outlook.table.serial)
    }

    /// Whether a bundle should be asked for, now that control's newest is `newest`. True once;
    /// then one of `take` and `failed` is awaited.
    #[must_use]
    pub fn wants(&self, newest: u64, now: Instant) -> bool {
        let mut kept = self.kept();
        let again = Duration::from_millis(BUNDLE_AGAIN_MS);
        let is_soon = kept.asked_at.is_some_and(|at| now.duration_since(at) < again);
        let is_held = kept.table.as_ref().is_some_and(|table| table.serial == newest);
        kept.is_confirmed |= is_held;
        let wants = kept.pin.is_some() && !kept.is_asking && !is_held && !is_soon;
        kept.is_asking |= wants;
        wants
    }

    /// No bundle came, or none that is newer.
    pub fn failed(&self, is_error: bool, now: Instant) {
        let mut kept = self.kept();
        kept.is_asking = false;
        kept.asked_at = Some(now);
        kept.tally.failed += u64::from(is_error);
    }

    /// Takes in what control gave, or what was kept of it.
    ///
    /// # Errors
    /// Why it is not believed; the bundle in use stays.
    pub fn take(&self, signed: &SignedBundle, now: Instant) -> Result<u64, Refused> {
        let (pin, again) = {
            let kept = self.kept();
            (kept.pin.clone().ok_or(Refused::OtherKey)?, kept.table.is_none())
        };
        let opened = open(signed, &pin, &self.appliance, again);
        let mut kept = self.kept();
        kept.is_asking = false;
        let Believed { table, pin } = match opened {
            Ok(believed) => believed,
            Err(refused) => {
                let row = Refused::ALL.iter().position(|one| *one == refused).unwrap_or(0);
                kept.tally.refused[row] += 1;
                kept.tally.last = Some(refused);
                kept.asked_at = Some(now);
                tracing::error!(why = refused.word(), "a steering bundle is refused: {refused}");
                return Err(refused);
            }
        };
        let serial = table.serial;
        if kept.pin.as_ref().is_some_and(|before| before.key.is_some() && before.key != pin.key) {
            tracing::info!(key = pin.key, "steering bundles have another key from here on");
        }
        tracing::info!(
            serial,
            appliances = table.candidates.len(),
            networks = table.prefixes(),
            titles = table.titles(),
            "steering by a new bundle"
        );
        kept.watch.follow(&table);
        kept.table = Some(Arc::new(table));
        kept.pin = Some(pin);
        // The next one may come at once.
        kept.asked_at = None;
        kept.tally.taken += 1;
        Ok(serial)
    }

    /// The bundle that `change` makes of the one that is kept on disk; `None` where it does not
    /// come out as control signed it.
    #[must_use]
    pub fn changed(&self, change: &BundleChange) -> Option<SignedBundle> {
        changed_bundle(&self.store.bundle()?, change)
    }

    /// Writes down a bundle that was taken.
    ///
    /// # Errors
    /// The disk's own: the bundle is in use, and not there after a restart.
    pub fn keep(&self, signed: &SignedBundle) -> io::Result<()> {
        let mut kept = self.kept();
        kept.is_confirmed = true;
        let pin = kept.pin.clone().unwrap_or_default();
        drop(kept);
        self.store.keep(signed, &pin)
    }

    /// Control answered at `wall`. True when that is worth being written down.
    #[must_use]
    pub fn heard(&self, wall: UnixMillis, now: Instant) -> bool {
        let mut kept = self.kept();
        kept.heard = Some(now);
        kept.heard_at = Some(wall);
        let every = Duration::from_millis(CONTACT_NOTE_MS);
        let is_due = kept.noted_at.is_none_or(|at| now.duration_since(at) >= every);
        if is_due {
            kept.noted_at = Some(now);
        }
        is_due
    }

    /// Writes down when control was heard last.
    ///
    /// # Errors
    /// The disk's own.
    pub fn note_heard(&self) -> io::Result<()> {
        let heard_at = self.kept().heard_at;
        heard_at.map_or(Ok(()), |at| self.store.note_heard(at))
    }

    /// When control was heard last, by this process or the one before.
    #[must_use]
    pub fn heard_at(&self) -> Option<UnixMillis> {
        self.kept().heard_at
    }

    /// Whether control has been silent for longer than two reports take; before its first word it
    /// is.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.is_silent(&self.kept(), self.every * (HEARTBEATS_MISSED + 1))
    }

    fn is_silent(&self, kept: &Kept, longer_than: Duration) -> bool {
        let longer_than = longer_than.max(Duration::from_millis(SILENT_MS_MIN));
        kept.heard.is_none_or(|at| at.elapsed() > longer_than)
    }

    /// Whether control asked this box to drain, as far as the bundle knows.
    #[must_use]
    pub fn was_draining(&self) -> bool {
        let kept = self.kept();
        let own = kept.table.as_ref().and_then(|table| table.candidates.get(table.own? as usize));
        own.is_some_and(|own| own.draining)
    }

    /// Megabits a second this box may send, as the bundle says.
    #[must_use]
    pub fn capacity_mbps(&self) -> Option<u32> {
        let kept = self.kept();
        let table = kept.table.as_ref()?;
        table.candidates.get(table.own? as usize).map(|own| own.capacity_mbps)
    }

    /// URLs to look at in this round.
    #[must_use]
    pub fn due(&self) -> Vec<String> {
        let is_alone = self.is_alone();
        self.kept().watch.due(is_alone)
    }

    /// A look at `url` has ended.
    pub fn seen(&self, url: &str, look: Look) {
        if self.kept().watch.note(url, look) {
            tracing::info!(
                url,
                look.has_answered,
                "a look at a neighbour ended otherwise than before"
            );
        }
    }

    /// Lays out what is known now.
    pub fn lay(&self, own: Own) {
        let is_alone = self.is_alone();
        let mut kept = self.kept();
        kept.own = own;
        let Some(table) = &kept.table else { return };
        let mut outlook = Outlook {
            table: Arc::clone(table),
            sightings: kept.watch.sightings(table, is_alone),
            hints: kept.watch.hints(table, is_alone),
            own,
            // Control makes another bundle when loads change, as long as it is there.
            loads_count: !self.is_silent(&kept, Duration::from_millis(BUNDLE_LOADS_MS)),
            control_is_there: !is_alone,
            steps: Vec::new(),
        };
        kept.step(&mut outlook);
        self.desk.lay(outlook);
    }

    /// Since when control asks this box to drain, now that it does: told by it, or noted here.
    #[must_use]
    pub fn asked_at(&self, now: UnixMillis) -> UnixMillis {
        self.kept().own.asked_at.unwrap_or(now)
    }

    /// For people and metrics.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let is_alone = self.is_alone();
        let kept = self.kept();
        Shown {
            table: kept.table.clone(),
            pin: kept.pin.clone(),
            watch: kept.watch.clone(),
            own: kept.own,
            is_alone,
            heard_at: kept.heard_at,
            tally: kept.tally.clone(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use control_token::BundleSigner;

    use super::super::tests::{bundle, own};
    use super::*;

    #[test]
    fn a_bundle_is_asked_for_once_and_after_a_failure_not_at_once_again() {
        let dir = tempfile::tempdir().unwrap();
        let load = || Office::load(dir.path(), &own(), None, Duration::from_millis(100));
        let office = load();
        let now = Instant::now();
        assert!(office.wants(7, now) && !office.wants(7, now), "one at a time");
        office.failed(true, now);
        assert!(!office.wants(7, now));
        let later = now + Duration::from_millis(crate::limits::BUNDLE_AGAIN_MS);
        assert!(office.wants(7, later));
        let signer = BundleSigner::generate().unwrap();
        let sealed = signer.seal(serde_json::to_string(&bundle()).unwrap());
        assert_eq!(office.take(&sealed, later), Ok(7));
        office.keep(&sealed).unwrap();
        assert_eq!(office.confirmed_serial(), None, "not laid out yet");
        assert!(!office.wants(7, later), "it is held");
        assert!(office.wants(8, later), "the next one at once");
        assert!(office.desk().outlook().is_none(), "not laid out yet");
        office.lay(Own::default());
        assert_eq!(office.desk().outlook().unwrap().table.serial, 7);
        assert_eq!(office.confirmed_serial(), Some(7));

        let office = load();
        assert_eq!(office.desk().outlook().unwrap().table.serial, 7, "after a restart, at once");
        assert_eq!(office.confirmed_serial(), None, "who asks is answered; nobody is sent");
        assert!(!office.wants(7, now));
        assert_eq!(office.confirmed_serial(), Some(7), "control called it its newest");
        let other = BundleSigner::generate().unwrap();
        let forged = other.seal(sealed.bundle.clone());
        assert_eq!(office.take(&forged, now), Err(Refused::OtherKey));
        let key = other.public_key();
        let office = Office::load(dir.path(), &own(), Some(&key), Duration::from_millis(100));
        assert_eq!(office.serial(), None, "the operator believes another key now");
        assert_eq!(office.shown().tally.last, Some(Refused::OtherKey));

        std::fs::write(dir.path().join("steering-pin.json"), "{").unwrap();
        let office = load();
        assert!(!office.wants(9, now), "whom to believe is not known any more");
        assert_eq!(office.take(&sealed, now), Err(Refused::OtherKey));
    }

    #[test]
    fn control_is_away_when_it_is_silent_and_loads_count_while_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let load = |every| Office::load(dir.path(), &own(), None, every);
        // Silence is counted in reports: of these none is missed while a test runs.
        let office = load(Duration::from_secs(3_600));
        let sealed =
            BundleSigner::generate().unwrap().seal(serde_json::to_string(&bundle()).unwrap());
        office.take(&sealed, Instant::now()).unwrap();
        let counts = |office: &Office| {
            office.lay(Own::default());
            office.desk().outlook().unwrap().loads_count
        };
        assert!(office.is_alone() && !counts(&office), "before its first word");
        assert!(office.heard(UnixMillis(5), Instant::now()), "the first is written down");
        assert!(!office.heard(UnixMillis(6), Instant::now()), "the next need not be");
        assert!(!office.is_alone() && counts(&office));
        office.note_heard().unwrap();
        let again = load(Duration::from_millis(100));
        assert_eq!(again.heard_at(), Some(UnixMillis(6)));
        again.take(&sealed, Instant::now()).unwrap();
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(5)) else { return };
        let _ = again.heard(UnixMillis(7), long_ago);
        assert!(again.is_alone(), "five seconds are fifty reports");
        assert!(!office.is_alone() && counts(&office), "and no report of another pace");
    }

    /// Goal: a load that hovers around a threshold is one step, as control has it.
    #[test]
    fn a_load_that_hovers_around_a_step_does_not_flip() {
        let dir = tempfile::tempdir().unwrap();
        let office = Office::load(dir.path(), &own(), None, Duration::from_secs(3_600));
        let sealed =
            BundleSigner::generate().unwrap().seal(serde_json::to_string(&bundle()).unwrap());
        office.take(&sealed, Instant::now()).unwrap();
        let step = |load_per_mille| {
            office.lay(Own { load_per_mille, ..Own::default() });
            let outlook = office.desk().outlook().unwrap();
            outlook.steps[outlook.table.own.unwrap() as usize]
        };
        let steps = [690, 710, 690, 720, 660, 640, 690, 960, 910, 890].map(step);
        assert_eq!(steps, [0, 1, 1, 1, 1, 0, 0, 3, 3, 2]);
    }
}
