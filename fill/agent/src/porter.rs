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
use std::rc::Rc;

use control_types::fill::ClassMove;
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::{Incoming, ObjectReader, Retired, StoreError, Writer, report_bad};

use crate::limits::{
    ERRANDS_MS, HEAT_FILE_BYTES_MAX, MOVE_REST_MS, MOVED_MAX, RETIRE_MS, STEP_CHUNKS, TICK_MS,
};
use crate::mover::{Errand, HeatFile, Tier, errands};
use crate::night::Night;
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
}

/// Works until the night is stopped.
pub(crate) async fn porter(night: Rc<Night>) {
    let mut porter = Porter::default();
    while !night.stopping() {
        porter.put_doubles_in_order(&night);
        porter.finish_retired(night.clock.ticks());
        if night.config.moves && night.may_move() {
            porter.refresh(&night).await;
            while let Some(errand) = porter.errands.pop_front() {
                if night.stopping() || !night.may_move() {
                    porter.errands.push_front(errand);
                    break;
                }
                porter.carry(&night, errand).await;
                porter.finish_retired(night.clock.ticks());
            }
        }
        night.pause(ERRANDS_MS).await;
    }
}

impl Porter {
    /// An object on two disks is a move that was cut short, or was brought back while its disk was
    /// lost: the copy on flash stays, as readers prefer it, unless the plan wants the object on the
    /// other kind. Not while one is in doubt. Looked for at the start and when a disk went or came.
    fn put_doubles_in_order(&mut self, night: &Night) {
        let changes = night.vault.borrow().changes();
        if self.ordered_at.replace(changes) == Some(changes) {
            return;
        }
        let now = night.clock.ticks();
        let shelves = night.vault.borrow().shelves(now);
        let hints: HashMap<ObjectId, DiskClass> =
            night.plan_moves().iter().map(|hint| (hint.object, hint.class)).collect();
        for (at, shelf) in shelves.iter().enumerate() {
            for entry in shelf.index.entries() {
                let object = entry.object;
                let other = shelves[at + 1..].iter().find(|other| other.index.has_copy(0, &object));
                let Some(other) = other else { continue };
                if [shelf, other].iter().any(|one| one.writer.is_suspect(&object)) {
                    // The nurse takes the bad one away; the other may be the last sound copy.
                    continue;
                }
                let keep = hints.get(&object).copied().unwrap_or(DiskClass::Ssd);
                let (leaves, stays) =
                    if shelf.class == keep { (other, shelf) } else { (shelf, other) };
                self.retire(&leaves.writer, &stays.writer, &object, now);
            }
        }
    }

    /// Takes `object` off one disk's list once the disk that keeps it is sure to have it.
    fn retire(&mut self, writer: &Writer, stays: &Writer, object: &ObjectId, now: u64) {
        match stays.settle().and_then(|()| writer.retire(object)) {
            Ok(retired) => {
                self.retired.push_back((now + RETIRE_MS, writer.clone(), retired));
            }
            Err(error) => tracing::error!(%object, %error, "the old copy stays"),
        }
    }

    fn finish_retired(&mut self, now: u64) {
        while self.retired.front().is_some_and(|(until, _, _)| *until <= now) {
            let Some((_, writer, retired)) = self.retired.pop_front() else { return };
            if let Err(error) = writer.finish(retired) {
                tracing::warn!(%error, "the file of a moved object stays until the next start");
            }
        }
    }

    /// Works the errands out anew when heat or plan changed.
    async fn refresh(&mut self, night: &Night) {
        let heat = match &night.config.heat_file {
            Some(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || heat_of(&path)).await.unwrap_or_default()
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
        if from.writer.is_suspect(&object) || to.is_suspect(&object) {
            tracing::debug!(%object, "not moved: a copy of it is in doubt");
            return;
        }
        let now = night.clock.ticks();
        self.retire(&from.writer, &to, &object, now);
        if self.moved.len() < MOVED_MAX {
            self.moved.insert(object, now);
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

/// What `oca` wrote last; nothing when it wrote nothing or it cannot be read.
fn heat_of(path: &std::path::Path) -> HeatFile {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > HEAT_FILE_BYTES_MAX) {
        tracing::warn!(path = %path.display(), "the heat file is too large to read");
        return HeatFile::default();
    }
    let Ok(bytes) = std::fs::read(path) else { return HeatFile::default() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "not a heat file");
        HeatFile::default()
    })
}

#[cfg(test)]
mod tests {
    use oca_store::{MediaType, seal_reader};

    use super::*;
    use crate::limits::LOST_LOOK_MS;

    fn publish(writer: &Writer, payload: &[u8]) -> ObjectId {
        let seal = seal_reader(payload, "t".parse().unwrap(), MediaType::VideoMp4).unwrap();
        let object = seal.object();
        let mut incoming = writer.begin(seal).unwrap();
        incoming.write_chunk(0, payload).unwrap();
        incoming.publish().unwrap();
        object
    }

    /// Goal: what was brought back while its disk was lost takes no room twice once the disk is
    /// there again, without a restart. Method: a disk's folder goes and comes back.
    #[test]
    fn a_disk_that_comes_back_leaves_no_object_on_two() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let other = folder.path().join("hdd");
            std::fs::create_dir(&other).unwrap();
            let class = DiskClass::Hdd;
            let both = [(folder.path().join("ssd"), DiskClass::Ssd), (other.clone(), class)];
            // The night's own lock goes first.
            let spare = folder.path().join("spare");
            std::fs::create_dir(&spare).unwrap();
            let free = crate::vault::Vault::open(&[(spare, class)], None, 0).unwrap();
            drop(night.vault.replace(free));
            let vault = crate::vault::Vault::open(&both, None, 0).unwrap();
            drop(night.vault.replace(vault));
            let writers: Vec<Writer> = night.vault.borrow().writers().cloned().collect();
            let object = publish(&writers[1], &[3; 9_000]);
            drop(writers);
            let mut porter = Porter::default();
            porter.put_doubles_in_order(&night);

            let aside = folder.path().join("aside");
            std::fs::rename(&other, &aside).unwrap();
            assert!(night.vault.borrow_mut().look_after(1));
            assert!(!night.vault.borrow().holds(&object));
            let writer = night.vault.borrow().writers().next().unwrap().clone();
            assert_eq!(publish(&writer, &[3; 9_000]), object);
            porter.put_doubles_in_order(&night);
            std::fs::rename(&aside, &other).unwrap();
            assert!(night.vault.borrow_mut().look_after(1 + LOST_LOOK_MS));
            let copies = || {
                let vault = night.vault.borrow();
                vault.writers().filter(|writer| writer.holds(&object)).count()
            };
            assert_eq!(copies(), 2);
            porter.put_doubles_in_order(&night);
            assert_eq!(copies(), 1);
            porter.finish_retired(u64::MAX);
            assert!(night.vault.borrow().holds(&object));
        });
    }
}
