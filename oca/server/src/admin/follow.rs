//! Keeps what is served like what is on disk: journals, bad chunks, a lab's files, certificates.
//! Woken by a timer; takes no input but the troubles of workers, and may be stopped anywhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use ahash::HashSet;
use control_types::ObjectId;
use oca_store::{Change, Index, Tail, report_bad};

use super::Admin;
use crate::library::{Library, Sealed};
use crate::worker::{Command, Trouble};

/// How often journals and troubles are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks between two looks at slower things: certificates, a lab's directory.
const SLOW_EVERY: u32 = 5;
/// A lab's directory is listed again after so many times as long as that took last: it may take a
/// thousandth of a core, not a tenth of what the answers cost.
const LIST_REST_TIMES: u32 = 1000;
/// New files of a lab are found within this, however many there are.
const LIST_REST_MAX: Duration = Duration::from_secs(30);
/// The same where the kernel tells of changes and tells of none: on a network file system it does
/// not know of those that others make.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Copies found bad that are kept for the next report.
const FOUND_BAD_MAX: usize = 1024;

/// Copies whose files workers must close; kept until every worker had room for the order.
type Copies = Vec<(u16, ObjectId)>;

/// Looks again and again.
pub(super) async fn run(admin: Arc<Admin>, mut tail: Option<Tail>, troubles: Receiver<Trouble>) {
    // A lab has nothing but slower things.
    let slow_every = if matches!(&*admin.library, Library::Lab(_)) { 1 } else { SLOW_EVERY };
    let mut timer = tokio::time::interval(LOOK_EVERY * (SLOW_EVERY / slow_every));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut gone = Copies::new();
    let mut said = String::new();
    let mut looks = 0u32;
    let mut listing = Listing::just_made();
    if let Library::Sealed(sealed) = &*admin.library {
        note_used(&admin, &sealed.index());
    }
    loop {
        timer.tick().await;
        if let Library::Sealed(sealed) = &*admin.library {
            take_troubles(&admin, sealed, &troubles);
            if let Some(tail) = &mut tail {
                follow(&admin, sealed, tail, &mut gone, &mut said);
            }
        } else {
            while troubles.try_recv().is_ok() {}
        }
        forget(&admin, &mut gone);
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(slow_every) {
            look_slowly(&admin);
            listing.look(&admin);
        }
    }
}

/// Markers for the fill agent, and another copy into the place of a bad one.
fn take_troubles(admin: &Admin, sealed: &Sealed, troubles: &Receiver<Trouble>) {
    let mut index: Option<Index> = None;
    while let Ok(trouble) = troubles.try_recv() {
        let (volume, object) = match trouble {
            Trouble::DiskError { volume } => {
                admin.volume_failed(volume);
                continue;
            }
            Trouble::DeviceOut { device } => {
                let device = sealed_device(sealed, device);
                tracing::error!(device, "silent or failing: not read until it has proved well");
                continue;
            }
            Trouble::DeviceBack { device } => {
                tracing::info!(device = sealed_device(sealed, device), "in rotation again");
                continue;
            }
            Trouble::BadObject { volume, object } => (volume, object),
        };
        tracing::error!(%object, volume, "bytes on disk are not the object's: not served any more");
        if let Some(at) = sealed.volumes().get(usize::from(volume))
            && let Err(error) = report_bad(at, &object)
        {
            tracing::error!(%error, "the fill agent cannot be told");
        }
        let mut found_bad = admin.found_bad.lock().expect("no holder of this lock panics");
        if found_bad.len() < FOUND_BAD_MAX && !found_bad.contains(&object) {
            found_bad.push(object);
        }
        let next = index.get_or_insert_with(|| Index::clone(&sealed.index()));
        next.forget(usize::from(volume), &object);
    }
    if let Some(index) = index {
        note_used(admin, &index);
        sealed.swap(index);
    }
}

fn sealed_device(sealed: &Sealed, device: usize) -> &str {
    sealed.devices().list().get(device).map_or("?", |device| &device.name)
}

/// What the journals say since the last look.
fn follow(admin: &Admin, sealed: &Sealed, tail: &mut Tail, gone: &mut Copies, said: &mut String) {
    let polled = tail.poll();
    let problems: Vec<String> = polled.problems.iter().map(ToString::to_string).collect();
    let problems = problems.join("; ");
    if problems != *said {
        // Said once when it begins and once when it ends, not five times a second.
        tracing::warn!(problems, "journals");
        *said = problems;
    }
    if polled.changes.is_empty() {
        return;
    }
    let before = sealed.index();
    let mut index = Index::clone(&before);
    for change in &polled.changes {
        index.apply(change);
        absolve(sealed, change);
        if let Change::Removed { volume, object } | Change::Quarantined { volume, object } = change
            && let Ok(volume) = u16::try_from(*volume)
        {
            gone.push((volume, *object));
        }
    }
    if polled.changes.iter().any(|change| matches!(change, Change::Rebuilt { .. })) {
        gone.extend(no_longer_held(&before, &index));
    }
    tracing::info!(changes = polled.changes.len(), objects = index.len(), "index");
    note_used(admin, &index);
    sealed.swap(index);
}

/// Copies of `before` that are not in `now`. A journal written anew does not say what it left out.
fn no_longer_held(before: &Index, now: &Index) -> Copies {
    let copies = |index: &Index| -> Vec<(usize, ObjectId)> {
        index.entries().map(|entry| (entry.volume, entry.object)).collect()
    };
    let held: HashSet<(usize, ObjectId)> = copies(now).into_iter().collect();
    let gone = copies(before).into_iter().filter(|copy| !held.contains(copy));
    gone.filter_map(|(volume, object)| Some((u16::try_from(volume).ok()?, object))).collect()
}

/// A copy that was found bad is good again when the journal says something new of it.
fn absolve(sealed: &Sealed, change: &Change) {
    let (volume, object) = match change {
        Change::Published { volume, record } => (*volume, record.object),
        Change::Removed { volume, object } | Change::Quarantined { volume, object } => {
            (*volume, *object)
        }
        // The agent rewrote its list; that is no news of any one object.
        Change::Rebuilt { .. } => return,
    };
    if let Ok(volume) = u16::try_from(volume) {
        sealed.absolve(volume, &object);
    }
}

/// Workers close the files of copies that are gone, so that their room is free.
fn forget(admin: &Admin, gone: &mut Copies) {
    if gone.is_empty() {
        return;
    }
    let copies: Arc<[(u16, ObjectId)]> = gone.as_slice().into();
    if admin.order(|| Command::Forget(Arc::clone(&copies))) {
        gone.clear();
    }
}

fn look_slowly(admin: &Admin) {
    if let Some(keeper) = &admin.keeper {
        let (renewed, wrong) = keeper.refresh();
        if renewed > 0 {
            tracing::info!(renewed, "new certificates or session secrets");
        }
        for error in &wrong {
            tracing::error!(%error, "what was in use before stays in use");
        }
        admin.keys_renewed.fetch_add(renewed, Ordering::Relaxed);
        admin.keys_refused.fetch_add(wrong.len() as u64, Ordering::Relaxed);
    }
}

/// When a lab's directory is listed again.
struct Listing {
    /// Not before this, whatever changed.
    rests_until: Instant,
    listed: Instant,
    /// Heard of since it was listed, or it could not be.
    changed: bool,
}

impl Listing {
    fn just_made() -> Self {
        let now = Instant::now();
        Self { rests_until: now, listed: now, changed: false }
    }

    /// Finds new files, if there may be any.
    fn look(&mut self, admin: &Admin) {
        let Library::Lab(lab) = &*admin.library else { return };
        let began = Instant::now();
        let told = lab.changed();
        self.changed |= told.unwrap_or(true);
        let is_due = self.changed || began.duration_since(self.listed) > SILENCE_MAX;
        if !is_due || began < self.rests_until {
            return;
        }
        let listed = lab.rescan();
        if let Err(error) = &listed {
            tracing::warn!(%error, "the old list of files stays in use");
        }
        let rest = (began.elapsed() * LIST_REST_TIMES).min(LIST_REST_MAX);
        // A directory that is not there has no watch that would tell of its return.
        *self = Self { rests_until: began + rest, listed: began, changed: listed.is_err() };
    }
}

fn note_used(admin: &Admin, index: &Index) {
    let used = (0..index.volumes().len()).map(|volume| index.used_bytes(volume)).collect();
    *admin.used_bytes.lock().expect("no holder of this lock panics") = used;
}
