//! The porter: carries objects between kinds of disk inside the box, by `mover`'s errands. Runs in
//! an open window or while disks are idle, and never while members wait for a disk.
//!
//! ```text
//! copy + verify each chunk -> publish on the new disk -> (both are listed) -> take the old one off
//! its list -> wait until readers have followed -> take its file away
//! ```
//!
//! Killed anywhere, the object is on one disk or on both: a copy begun is gone on with or discarded
//! like any pull, and one that is on both is put in order at the next start. A reader never misses
//! it: each list it may still go by names a file that is there.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use control_types::config_file;
use control_types::fill::ClassMove;
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::{Incoming, ObjectReader, Retired, StoreError, Writer, report_bad};

use crate::limits::{
    ERRANDS_MS, HEAT_FILE_BYTES_MAX, MOVE_REST_MS, MOVED_MAX, RETIRE_MS, STEP_CHUNKS, TICK_MS,
};
use crate::mover::{Errand, HeatFile, Tier, errands};
use crate::night::Night;
use crate::said::Said;
use crate::scrubber::is_proof;
use crate::vault::{Placed, Shelf};

/// What the porter remembers between errands.
#[derive(Default)]
struct Porter {
    errands: VecDeque<Errand>,
    /// What the errands were made from: the heat's time and the plan's serial.
    made_from: Option<(u64, u64)>,
    /// How often disks had gone or come when doubles were looked for.
    ordered_at: Option<u64>,
    /// When each object was moved.
    moved: HashMap<ObjectId, u64>,
    /// Off the list, their files still there, and until when.
    retired: VecDeque<(u64, Writer, Retired)>,
    /// What was said of a heat file that cannot be read.
    unheated: Said,
}

/// An object on two disks.
struct Double {
    object: ObjectId,
    /// Whose copy is to go.
    leaves: Writer,
    stays: Writer,
}

/// A disk refused; it was said.
struct Refused;

/// Works until the night is stopped.
pub(crate) async fn porter(night: Rc<Night>) {
    let mut porter = Porter::default();
    while !night.stopping() {
        porter.put_doubles_in_order(&night).await;
        porter.finish_retired(night.clock.ticks()).await;
        if night.config.moves && night.may_move() {
            porter.refresh(&night).await;
            while let Some(errand) = porter.errands.pop_front() {
                if night.stopping() || !night.may_move() {
                    porter.errands.push_front(errand);
                    break;
                }
                porter.carry(&night, errand).await;
                porter.finish_retired(night.clock.ticks()).await;
            }
        }
        night.pause(ERRANDS_MS).await;
    }
}

impl Porter {
    /// An object on two disks is a move that was cut short, or was brought back while its disk was
    /// lost: the copy on flash stays, as readers prefer it, unless the plan wants the object on the
    /// other kind. Not while one is in doubt. Looked for at the start and when a disk went or came.
    async fn put_doubles_in_order(&mut self, night: &Night) {
        let changes = night.vault.borrow().changes();
        if self.ordered_at.replace(changes) == Some(changes) {
            return;
        }
        let shelves = night.vault.borrow().shelves(night.clock.ticks());
        let hints: HashMap<ObjectId, DiskClass> =
            night.plan_moves().iter().map(|hint| (hint.object, hint.class)).collect();
        let found = blocking(move || doubles(&shelves, &hints)).await.unwrap_or_default();
        // A disk that refuses one refuses them all.
        let mut refusing: Vec<PathBuf> = Vec::new();
        for double in found {
            let folder = double.leaves.volume().path().to_owned();
            if night.stopping() || night.vault.borrow().changes() != changes {
                // Begun anew where disks went or came: what is to stay may have gone with one.
                return;
            }
            if refusing.contains(&folder) {
                continue;
            }
            if self.retire(night, double).await.is_err() {
                refusing.push(folder);
            }
            self.finish_retired(night.clock.ticks()).await;
        }
    }

    /// Takes a copy off its disk's list once the disk that keeps the object is sure to have it;
    /// false when one of the two is gone or in doubt by now: the nurse takes the bad one away, and
    /// the other may be the last sound copy. On a thread of its own, as every line waits for the
    /// disk and there may be thousands of them.
    ///
    /// # Errors
    /// A disk refuses; said here.
    async fn retire(&mut self, night: &Night, double: Double) -> Result<bool, Refused> {
        let Double { object, leaves, stays } = double;
        let writer = leaves.clone();
        let retired = blocking(move || {
            let is_sound = |one: &Writer| one.holds(&object) && !one.is_suspect(&object);
            if !is_sound(&leaves) || !is_sound(&stays) {
                return Ok(None);
            }
            // A disk that has just gone lists what it listed.
            stays.is_there()?;
            stays.settle()?;
            leaves.retire(&object).map(Some)
        });
        let why = match retired.await {
            Ok(Ok(retired)) => {
                let is_off = retired.is_some();
                let until = night.clock.ticks() + RETIRE_MS;
                self.retired.extend(retired.map(|retired| (until, writer, retired)));
                return Ok(is_off);
            }
            Ok(Err(error)) => error.to_string(),
            Err(why) => why,
        };
        tracing::error!(%object, why, "the old copy stays");
        Err(Refused)
    }

    /// Takes the files of copies away that readers have had time to leave. On a thread of its own,
    /// like [`Self::retire`].
    async fn finish_retired(&mut self, now: u64) {
        let is_due = |(until, _, _): &&(u64, Writer, Retired)| *until <= now;
        let due = self.retired.iter().take_while(is_due).count();
        if due == 0 {
            return;
        }
        let due: Vec<_> = self.retired.drain(..due).collect();
        let finished = blocking(move || {
            let finish =
                |(_, writer, retired): (u64, Writer, Retired)| writer.finish(retired).err();
            due.into_iter().filter_map(finish).last()
        });
        if let Ok(Some(error)) = finished.await {
            tracing::warn!(%error, "files of moved objects stay until the next start");
        }
    }

    /// Works the errands out anew when heat or plan changed.
    async fn refresh(&mut self, night: &Night) {
        let heat = match &night.config.heat_file {
            Some(path) => {
                let path = path.clone();
                let read = blocking(move || heat_of(&path)).await.and_then(|read| read);
                read.unwrap_or_else(|why| {
                    // Looked at every few seconds.
                    if self.unheated.is_due(&why, night.clock.ticks()) {
                        tracing::warn!(why, "no heat to go by");
                    }
                    HeatFile::default()
                })
            }
            None => HeatFile::default(),
        };
        let from = (heat.at, night.serial());
        if self.made_from == Some(from) {
            return;
        }
        let now = night.clock.ticks();
        self.moved.retain(|_, at| *at + MOVE_REST_MS > now);
        let plan = night.plan_moves();
        let shelves = night.vault.borrow().shelves(now);
        let rested: Vec<ObjectId> = self.moved.keys().copied().collect();
        let made = tokio::task::spawn_blocking(move || made(&shelves, &plan, &heat, &rested)).await;
        self.errands = made.unwrap_or_default().into();
        self.made_from = Some(from);
        if !self.errands.is_empty() {
            tracing::info!(errands = self.errands.len(), "objects to move between kinds of disk");
        }
    }

    async fn carry(&mut self, night: &Rc<Night>, errand: Errand) {
        let object = errand.object;
        let shelves = night.vault.borrow().shelves(night.clock.ticks());
        let from = shelves
            .iter()
            .find(|shelf| shelf.class != errand.to && shelf.index.has_copy(0, &object));
        let Some(from) = from else { return };
        let Some(entry) = from.index.find(&object) else { return };
        let bytes = entry.file_bytes();
        let is_there =
            |shelf: &&Shelf| shelf.class == errand.to && shelf.index.has_copy(0, &object);
        let to = match shelves.iter().find(is_there) {
            Some(shelf) => shelf.writer.clone(),
            None => match copy(night, from, errand, bytes).await {
                Some(writer) => writer,
                None => return,
            },
        };
        let double = Double { object, leaves: from.writer.clone(), stays: to };
        if !matches!(self.retire(night, double).await, Ok(true)) {
            tracing::debug!(%object, "not moved: its old copy stays for now");
            return;
        }
        if self.moved.len() < MOVED_MAX {
            self.moved.insert(object, night.clock.ticks());
        }
        tracing::info!(%object, bytes, to = ?errand.to, "moved");
    }
}

/// Copies `errand`'s object to a disk that has room for it, and answers with that disk.
async fn copy(night: &Rc<Night>, from: &Shelf, errand: Errand, file_bytes: u64) -> Option<Writer> {
    let Errand { object, to } = errand;
    if from.writer.is_suspect(&object) {
        tracing::debug!(%object, "not moved: a copy of it is in doubt");
        return None;
    }
    if night.board.borrow().wants(&object) {
        tracing::debug!(%object, "not moved: it is being pulled");
        return None;
    }
    let now = night.clock.ticks();
    let Some(placed) = night.vault.borrow().place_copy(object, file_bytes, to, now) else {
        tracing::debug!(%object, "not moved: no room");
        return None;
    };
    let writer = placed.writer.clone();
    if writer.is_suspect(&object) {
        tracing::debug!(%object, "not moved: a copy of it is in doubt");
        return None;
    }
    match carry_copy(night, from, placed, &object).await {
        Ok(true) => Some(writer),
        Ok(false) => None,
        Err(why) => {
            tracing::warn!(%object, why, "not moved");
            None
        }
    }
}

/// Copies and publishes; false when it was put down before its end.
async fn carry_copy(
    night: &Rc<Night>,
    from: &Shelf,
    to: Placed,
    object: &ObjectId,
) -> Result<bool, String> {
    let (volume, name) = (from.writer.volume().clone(), *object);
    let opened = blocking(move || ObjectReader::of(&volume, &name)).await?;
    let reader = match opened {
        Ok(reader) => reader,
        Err(error) => return Err(condemn(from, object, &error)),
    };
    let (Placed { writer, claim }, seal) = (to, reader.seal().clone());
    let folder = &writer.volume().path().to_owned();
    let begun = blocking(move || writer.begin(seal)).await?;
    let mut both = (reader, begun.map_err(|error| night.disk_refused(folder, error))?);
    while let Some(next) = both.1.missing().first().cloned() {
        while !night.may_move() {
            if night.stopping() {
                return Ok(false);
            }
            night.pause(TICK_MS).await;
        }
        let chunks = next.start..next.end.min(next.start + STEP_CHUNKS);
        let (back, copied) = blocking(move || {
            let copied = copy_step(&both.0, &mut both.1, chunks);
            (both, copied)
        })
        .await?;
        both = back;
        if let Err(error) = copied {
            let incoming = both.1;
            let of_source = from.writer.volume().path();
            let is_read =
                matches!(&error, StoreError::Io { path, .. } if path.starts_with(of_source));
            if is_read || matches!(error, StoreError::BadChunk { .. }) {
                let _ = incoming.discard();
                return Err(condemn(from, object, &error));
            }
            let path = incoming.path().to_owned();
            return Err(night.disk_refused(&path, error));
        }
    }
    let (reader, incoming) = both;
    // All of it is written: from here on it is its file's room.
    drop(claim);
    blocking(move || {
        reader.forget_cached();
        incoming.publish()
    })
    .await?
    .map_err(|error| night.disk_refused(folder, error))?;
    Ok(true)
}

fn copy_step(
    reader: &ObjectReader,
    incoming: &mut Incoming,
    chunks: std::ops::Range<u32>,
) -> Result<(), StoreError> {
    let mut chunk = Vec::new();
    for index in chunks {
        reader.read_chunk(index, &mut chunk)?;
        incoming.write_chunk(index, &chunk)?;
    }
    Ok(())
}

/// A copy that cannot be read as what it is named after is bad wherever it was to go.
fn condemn(from: &Shelf, object: &ObjectId, error: &StoreError) -> String {
    if is_proof(error)
        && let Err(unmarked) = report_bad(from.writer.volume(), object)
    {
        tracing::error!(%object, error = %unmarked, "cannot mark a bad object");
    }
    error.to_string()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

fn made(
    shelves: &[Shelf],
    plan: &[ClassMove],
    heat: &HeatFile,
    rested: &[ObjectId],
) -> Vec<Errand> {
    let tier = |class| {
        let of_class = || shelves.iter().filter(move |shelf| shelf.class == class);
        Tier {
            class,
            indices: of_class().map(|shelf| shelf.index.clone()).collect(),
            free_bytes: of_class().map(|shelf| shelf.free_bytes).sum(),
        }
    };
    let tiers = [tier(DiskClass::Ssd), tier(DiskClass::Hdd)];
    let rested: std::collections::HashSet<&ObjectId> = rested.iter().collect();
    errands(&tiers, plan, heat, |object| rested.contains(object))
}

/// What `oca` wrote last; nothing when it wrote nothing yet.
fn heat_of(path: &Path) -> Result<HeatFile, String> {
    let told = |why: &dyn std::fmt::Display| format!("the heat file {}: {why}", path.display());
    let bytes = match config_file::read_at_most(path, HEAT_FILE_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HeatFile::default()),
        read => read.map_err(|error| told(&error))?,
    };
    serde_json::from_slice(&bytes).map_err(|error| told(&error))
}

/// Every object that is on two disks, and which copy goes: `hints` is where the plan wants it.
fn doubles(shelves: &[Shelf], hints: &HashMap<ObjectId, DiskClass>) -> Vec<Double> {
    let mut found = Vec::new();
    for (at, shelf) in shelves.iter().enumerate() {
        for entry in shelf.index.entries() {
            let object = entry.object;
            let other = shelves[at + 1..].iter().find(|other| other.index.has_copy(0, &object));
            let Some(other) = other else { continue };
            let keep = hints.get(&object).copied().unwrap_or(DiskClass::Ssd);
            let (leaves, stays) = if shelf.class == keep { (other, shelf) } else { (shelf, other) };
            let (leaves, stays) = (leaves.writer.clone(), stays.writer.clone());
            found.push(Double { object, leaves, stays });
        }
    }
    found
}

#[cfg(test)]
#[path = "porter/tests.rs"]
mod tests;
