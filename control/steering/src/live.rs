//! What changes all the time: reports, players' words, the library, routes, and the snapshot that
//! is composed of them. Decides nothing.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use control_routes::RouteTable;
use control_types::content::fingerprint;
use control_types::fleet::{ApplianceReport, NAMED_MAX};
use control_types::play::{PlayEvent, PlayEventKind, TroubleKind};
use control_types::{ApplianceId, ObjectId, UnixMillis};

use crate::checks::report_check;
use crate::complaints::Word;
use crate::decide::{hash_address, is_candidate};
use crate::ear::{Ear, late_by, silent_ms_of};
use crate::error::SteeringError;
use crate::fleet::{Fleet, Parts, Registry};
use crate::health::{Folded, Yardstick, believe, fold};
use crate::library::{Library, LibraryTitle, Renumbered};
use crate::limits::{FIRST_BYTE_MS_BAD, LIBRARY_OBJECTS_MAX, SNAPSHOT_MS_PER_100};
use crate::service::{Heard, Steering};
use crate::unproven::Unproven;

impl Steering {
    /// Takes in what an appliance says of itself; the caller has matched its key.
    ///
    /// # Errors
    /// `UnknownAppliance` when it was removed meanwhile, `BadAppliance` when it says more than is
    /// kept of anybody, `Unproven` when it was heard before or is not the one that reports now.
    pub fn report(&self, report: ApplianceReport, now: UnixMillis) -> Result<Heard, SteeringError> {
        report_check(&report)?;
        let registry = Arc::clone(&self.fleet.load().registry);
        let id = report.appliance.clone();
        let registered = registry.appliances.get(&id).zip(registry.index.number_of(&id));
        let (registered, number) = registered.ok_or(SteeringError::UnknownAppliance(id))?;
        let cell = &registry.index.boxes[number as usize].cell;
        let drain = registered.drains.any() || registry.maintained(registered, now).is_some();
        // One after the other for one box; a panic of another leaves what it had folded.
        let _folding = cell.folding.lock().unwrap_or_else(PoisonError::into_inner);
        let library = self.library.read().unwrap_or_else(PoisonError::into_inner);
        let before = cell.seen.load_full();
        // Before anything else: what is not believed must not even count as having been heard.
        let is_silent = before.as_deref().is_some_and(|before| {
            let ear = *self.ear.lock().unwrap_or_else(PoisonError::into_inner);
            let age_ms = ear.listened_ms(now).saturating_sub(before.steady_ms);
            age_ms > silent_ms_of(before, self.settings.silent_ms)
        });
        let unproven = |why| {
            self.tallies.unproven(why);
            Err(SteeringError::Unproven { appliance: registered.record.id.clone(), why })
        };
        if let Err(why) = believe(before.as_deref(), &report, is_silent) {
            return unproven(why);
        }
        let moment = {
            let mut ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
            *ear = ear.heard(self.settings.silent_ms, report.more.next_report_ms, now);
            ear.moment(now)
        };
        let yardstick = Yardstick {
            library: &library,
            record: &registered.record,
            settings: &self.settings,
            now: moment,
        };
        match fold(before.as_deref(), report, &yardstick) {
            Folded::Stale => unproven(Unproven::ReportStale),
            Folded::Heard { seen, want_content } => {
                let unnamed = seen.held.unnamed(NAMED_MAX);
                cell.seen.store(Some(Arc::new(*seen)));
                self.changes.fetch_add(1, Ordering::Release);
                let is_doubted = cell.complaints(|one| {
                    one.reported();
                    one.take_resync()
                });
                let want_content = is_doubted || want_content;
                Ok(Heard { want_content, drain, unnamed })
            }
        }
    }

    /// Takes in what a player at `from` says of the appliance it streams from. `offered` are the
    /// objects of its title: it cannot deny what it was not offered.
    pub fn hear_player(
        &self,
        from: IpAddr,
        event: &PlayEvent,
        offered: &[ObjectId],
        now: UnixMillis,
    ) {
        let Some(id) = &event.appliance else { return };
        let fleet = self.fleet.load();
        let Some(number) = fleet.registry.index.number_of(id) else { return };
        // Whom no list from there would name is nothing a member there can speak of.
        if !is_candidate(&fleet, from, number) {
            return;
        }
        let cell = &fleet.registry.index.boxes[number as usize].cell;
        let voice = hash_address(from);
        let is_slow = event.first_byte_ms.is_some_and(|ms| ms >= FIRST_BYTE_MS_BAD);
        let (word, denied) = match (&event.trouble, event.kind) {
            (Some(trouble), PlayEventKind::Error) => match trouble.kind {
                TroubleKind::Refused => (Word::Refused, None),
                TroubleKind::NotFound => {
                    let object = trouble.object.filter(|object| offered.contains(object));
                    let Some(object) = object else { return };
                    (Word::Good, Some(fingerprint(&object)))
                }
                TroubleKind::Timeout | TroubleKind::Failed | TroubleKind::Corrupt => {
                    (Word::Bad, None)
                }
            },
            _ if is_slow => (Word::Bad, None),
            (None, PlayEventKind::Heartbeat) if event.bytes > 0 => (Word::Good, None),
            _ => return,
        };
        let seen = cell.seen.load_full();
        let ear = *self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        let is_overdue = seen.is_none_or(|seen| late_by(&seen, ear, now));
        cell.complaints(|complaints| match denied {
            Some(fingerprint) => complaints.deny(fingerprint, voice, now),
            None => complaints.hear(word, voice, is_overdue, now),
        });
        if word != Word::Good || denied.is_some() {
            self.tallies.complained(word == Word::Refused, denied.is_some());
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// The catalog is now `titles`: what appliances hold is kept by these.
    ///
    /// # Errors
    /// `LibraryFull` when they have more objects together than are kept.
    pub fn learn(&self, titles: &[LibraryTitle]) -> Result<(), SteeringError> {
        let count: usize = titles.iter().map(|title| title.objects.len()).sum();
        if count > LIBRARY_OBJECTS_MAX {
            return Err(SteeringError::LibraryFull { objects: count, max: LIBRARY_OBJECTS_MAX });
        }
        {
            // Held to the end: no report may be read under the old numbers after this has looked.
            let mut library = self.library.write().unwrap_or_else(PoisonError::into_inner);
            let (next, renumbered) = library.learned(titles);
            let next = Arc::new(next);
            let registry = Arc::clone(&self.fleet.load().registry);
            self.renumber(&registry, &library, &next, renumbered);
            *library = next;
        }
        self.changes.fetch_add(1, Ordering::Release);
        self.compose(None, self.fleet.load().at);
        Ok(())
    }

    fn renumber(&self, registry: &Registry, old: &Library, new: &Library, how: Renumbered) {
        for one in &registry.index.boxes {
            let Some(seen) = one.cell.seen.load_full() else { continue };
            if how == Renumbered::Yes || seen.held.is_behind(new) {
                let mut next = crate::fleet::Seen::clone(&seen);
                next.held = Arc::new(seen.held.under(old, new));
                one.cell.seen.store(Some(Arc::new(next)));
            }
        }
    }

    /// From now on networks announce these.
    pub fn set_routes(&self, routes: RouteTable) {
        self.routes.store(Arc::new(routes));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The fleet as of the last snapshot: registered sites and appliances are up to date in it,
    /// what they report may be of a moment ago.
    #[must_use]
    pub fn fleet(&self) -> Arc<Fleet> {
        self.fleet.load_full()
    }

    /// The fleet as of `now`, or a little before: one of fewer than a hundred appliances is of this
    /// very moment, a larger one is at most as old as `SNAPSHOT_MS_PER_100` says.
    #[must_use]
    pub fn fleet_at(&self, now: UnixMillis) -> Arc<Fleet> {
        let fleet = self.fleet.load_full();
        let old_max = fleet.states.len() as u64 / 100 * SNAPSHOT_MS_PER_100;
        let age_ms = now.0.abs_diff(fleet.at.0);
        let is_same = fleet.version == self.changes.load(Ordering::Acquire);
        if (age_ms == 0 && is_same) || age_ms < old_max {
            return fleet;
        }
        self.compose(None, now)
    }

    pub(crate) fn compose(&self, registry: Option<Arc<Registry>>, now: UnixMillis) -> Arc<Fleet> {
        // A panic of another writer leaves the snapshot whole, so its poison means nothing here.
        let _writing = self.swap.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.fleet.load_full();
        let version = self.changes.load(Ordering::Acquire);
        // Both under one lock: a set read under the next library would be asked by the last one's
        // numbers.
        let library = self.library.read().unwrap_or_else(PoisonError::into_inner);
        let ear: Ear = *self.ear.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = Parts {
            registry: registry.as_ref().unwrap_or(&before.registry),
            library: &library,
            routes: &self.routes.load(),
            ear,
            settings: &self.settings,
        };
        let mut fleet = Fleet::compose(&parts, Some(&before), now);
        fleet.version = version;
        let fleet = Arc::new(fleet);
        self.fleet.store(Arc::clone(&fleet));
        fleet
    }

    /// Notes since when appliances are asked to drain.
    pub(crate) fn note_drains(&self, before: &Registry, after: &Registry) {
        let now = self.fleet.load().at.0;
        for (one, registered) in after.index.boxes.iter().zip(after.appliances.values()) {
            let was = before.appliances.get(&one.id).is_some_and(|before| before.drains.any());
            match (was, registered.drains.any()) {
                // A drain found at the start has been going on: nobody streams from there.
                (false, true) if now > 0 => one.cell.drains_since.store(now, Ordering::Relaxed),
                (_, false) => one.cell.drains_since.store(0, Ordering::Relaxed),
                (true, true) | (false, true) => {}
            }
        }
    }

    /// Where an appliance stands.
    #[must_use]
    pub fn site_of(&self, id: &ApplianceId) -> Option<control_types::SiteId> {
        let fleet = self.fleet.load();
        fleet.registry.appliances.get(id).map(|registered| registered.record.site.clone())
    }
}
