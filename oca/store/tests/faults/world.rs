//! Two volumes on one made-up disk, the deeds that may be done to them, and what must be true of
//! every object afterwards. Chooses neither deeds nor faults.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use control_types::ObjectId;
use control_types::fleet::DiskClass;
use oca_store::{
    Depth, Entry, Index, Loaded, ObjectReader, QuarantineBound, Seal, StoreError, Verdict, Volume,
    Writer, check, report_bad,
};

use super::made::{MadeDisk, Stop};
use crate::kit::{CHUNK, chunk_of, payload, seal};

pub const OBJECTS: usize = 6;
const PATHS: [&str; 2] = ["/ssd", "/hdd"];

/// One thing done to one object; the volume is the first unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Pulled chunk by chunk and published.
    Fill(usize),
    /// Begun, one chunk written, and put down.
    Begin(usize),
    /// A plain file brought in.
    Import(usize),
    /// A sealed file of the same disk linked in.
    Adopt(usize),
    /// Taken away at once.
    Evict(usize),
    /// Copied to the other volume, then retired from where it was.
    Move(usize),
    /// A byte of it rots; a reader leaves a marker; the scrub has it quarantined.
    Scrub(usize),
    /// What is unfinished is thrown away, quarantines are emptied.
    Clear,
    /// The writers end and are opened again.
    Reopen,
}

/// What must be true of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Acknowledged.
    There,
    /// Its end was acknowledged.
    Gone,
    /// A deed on it was under way.
    Open,
}

pub struct Object {
    pub bytes: Vec<u8>,
    pub seal: Seal,
}

/// The objects of all worlds: of no chunk, of one, of two.
pub fn objects() -> &'static [Object; OBJECTS] {
    static OBJECTS_MADE: OnceLock<[Object; OBJECTS]> = OnceLock::new();
    OBJECTS_MADE.get_or_init(|| {
        [700, 5000, CHUNK + 700, 0, 4096, 900].map(|length| {
            let bytes = payload(length as u64, length);
            Object { seal: seal(&bytes), bytes }
        })
    })
}

fn id(which: usize) -> ObjectId {
    objects()[which].seal.object()
}

pub struct World {
    pub disk: MadeDisk,
    volumes: Vec<Volume>,
    writers: Option<Vec<Writer>>,
    /// What a reader that has been there since the start knows.
    follower: Loaded,
    pub truth: [Truth; OBJECTS],
    /// Rotten on purpose, and not yet in quarantine.
    rotten: Option<usize>,
    /// A power cut may bring a file back whose end was not durable.
    pub was_cut: bool,
}

/// A disk with the files that imports come from, and two empty volumes.
pub fn blank(seed: u64) -> MadeDisk {
    let disk = MadeDisk::new(seed);
    for (which, object) in objects().iter().enumerate() {
        disk.put(Path::new(&format!("/from/plain-{which}")), &object.bytes);
        let sealed = [object.seal.encode(), object.bytes.clone()].concat();
        disk.put(&sealed_path(which), &sealed);
    }
    for path in PATHS {
        disk.put(&Path::new(path).join("lost+found/x"), b"");
    }
    disk
}

fn sealed_path(which: usize) -> PathBuf {
    Path::new("/from").join(id(which).to_string())
}

impl World {
    /// With the first one or two of the volumes.
    pub fn new(disk: MadeDisk, volumes: usize) -> Self {
        let classes = [DiskClass::Ssd, DiskClass::Hdd];
        let volume = |(path, class)| Volume::on(Arc::new(disk.clone()), path, class).unwrap();
        let volumes: Vec<Volume> =
            PATHS.into_iter().zip(classes).take(volumes).map(volume).collect();
        let follower = Index::load(&volumes);
        let truth = [Truth::Gone; OBJECTS];
        Self { disk, volumes, writers: None, follower, truth, rotten: None, was_cut: false }
    }

    fn writers(&mut self) -> Result<&[Writer], StoreError> {
        if self.writers.is_none() {
            let opened = self.volumes.iter().map(|volume| Writer::open(volume, "test"));
            self.writers = Some(opened.collect::<Result<_, _>>()?);
        }
        Ok(self.writers.as_ref().expect("just opened"))
    }

    /// Does one deed and notes what must be true after it; the error is what the store said.
    pub fn act(&mut self, deed: Deed) -> Result<(), StoreError> {
        let (which, after) = match deed {
            Deed::Fill(which) | Deed::Import(which) | Deed::Adopt(which) => (which, Truth::There),
            Deed::Evict(which) | Deed::Scrub(which) => (which, Truth::Gone),
            Deed::Begin(_) | Deed::Move(_) | Deed::Clear | Deed::Reopen => {
                // What these leave undone changes nothing that was acknowledged.
                return self.deed(deed);
            }
        };
        let before = self.truth[which];
        if before != after {
            self.truth[which] = Truth::Open;
        }
        if matches!(deed, Deed::Scrub(_)) {
            self.rotten = Some(which);
        }
        self.deed(deed)?;
        self.rotten = None;
        self.truth[which] = after;
        self.was_cut &= after != Truth::Gone;
        Ok(())
    }

    fn deed(&mut self, deed: Deed) -> Result<(), StoreError> {
        if deed == Deed::Reopen {
            self.writers = None;
        }
        let disk = self.disk.clone();
        let writers = self.writers()?;
        let holder = |which| writers.iter().position(|writer| writer.holds(&id(which)));
        match deed {
            Deed::Fill(which) if holder(which).is_none() => {
                let Object { bytes, seal } = &objects()[which];
                let mut incoming = match writers[0].begin(seal.clone()) {
                    Err(StoreError::AlreadyHeld { .. }) => return Ok(()),
                    begun => begun?,
                };
                for index in incoming.missing().into_iter().flatten() {
                    incoming.write_chunk(index, chunk_of(bytes, index))?;
                }
                incoming.publish().map(drop)
            }
            Deed::Begin(which) if holder(which).is_none() => {
                let Object { bytes, seal } = &objects()[which];
                let mut incoming = match writers[0].begin(seal.clone()) {
                    Err(StoreError::AlreadyHeld { .. }) => return Ok(()),
                    begun => begun?,
                };
                let first = incoming.missing().first().map(|range| range.start);
                first.map_or(Ok(()), |at| incoming.write_chunk(at, chunk_of(bytes, at)))
            }
            Deed::Import(which) if holder(which).is_none() => {
                let plain = PathBuf::from(format!("/from/plain-{which}"));
                writers[0].adopt_plain(&plain, objects()[which].seal.clone()).map(drop)
            }
            Deed::Adopt(which) if holder(which).is_none() => {
                writers[0].adopt_sealed(&sealed_path(which)).map(drop)
            }
            Deed::Evict(which) => {
                let mut held = writers.iter().filter(|writer| writer.holds(&id(which)));
                held.try_for_each(|writer| writer.remove(&id(which)))
            }
            Deed::Move(which) => move_object(writers, which),
            Deed::Scrub(which) => scrub(&disk, writers, which),
            Deed::Clear => clear(writers),
            Deed::Fill(_) | Deed::Begin(_) | Deed::Import(_) | Deed::Adopt(_) | Deed::Reopen => {
                Ok(())
            }
        }
    }

    /// The machine stops, if it has not yet, and starts again.
    pub fn start_again(&mut self, stop: Stop) {
        self.writers = None;
        self.was_cut |= self.disk.start_again(stop) != Stop::Kill;
    }

    /// Before any writer has come: whatever is listed is whole.
    pub fn check_reader(&self, at: &str) {
        let index = Index::load(&self.volumes).index;
        for entry in index.entries() {
            let sound = is_whole(&self.volumes[entry.volume], &entry.object);
            assert!(
                sound || self.is_rotten(&entry.object),
                "{at}: {} is listed and not whole",
                entry.object
            );
        }
    }

    fn is_rotten(&self, object: &ObjectId) -> bool {
        self.rotten.is_some_and(|which| id(which) == *object)
    }

    /// What was acknowledged is held.
    pub fn check_truth(&mut self, at: &str) {
        let truth = self.truth;
        let was_cut = self.was_cut;
        let writers = self.writers().unwrap_or_else(|e| panic!("{at}: {}", in_full(&e))).to_vec();
        for (which, truth) in truth.into_iter().enumerate() {
            let held = writers.iter().any(|writer| writer.holds(&id(which)));
            match truth {
                Truth::There => assert!(held, "{at}: object {which} is lost"),
                Truth::Gone => assert!(!held || was_cut, "{at}: object {which} came back"),
                Truth::Open => {}
            }
        }
    }

    /// Everything that must be true while nothing is refused.
    pub fn check_writer(&mut self, at: &str) {
        self.check_truth(at);
        let writers = self.writers().expect("they are open").to_vec();
        let loaded = Index::load(&self.volumes);
        assert!(loaded.problems.is_empty(), "{at}: {:?}", loaded.problems);
        for (number, writer) in writers.iter().enumerate() {
            let own: Vec<ObjectId> = writer.index().entries().map(|entry| entry.object).collect();
            let has = |object: &ObjectId| loaded.index.has_copy(number, object);
            let listed = loaded.index.entries().filter(|entry| entry.volume == number).count();
            assert!(own.len() == listed && own.iter().all(has), "{at}: the writer knows otherwise");
            let report = check(writer.volume(), Depth::Payload).unwrap();
            let mut bad = report.bad.iter().filter(|bad| bad.verdict != Verdict::Orphan);
            let is_known = |object: &ObjectId| self.is_rotten(object);
            assert!(
                bad.all(|bad| bad.object.as_ref().is_some_and(is_known)),
                "{at}: {:?}",
                report.bad
            );
        }
        self.follow();
        let digests = [&self.follower.index, &loaded.index].map(Index::content_digest);
        assert_eq!(digests[0], digests[1], "{at}: a reader that followed knows otherwise");
    }

    pub fn follow(&mut self) {
        let polled = self.follower.tail.poll();
        polled.changes.iter().for_each(|change| self.follower.index.apply(change));
    }

    /// Everything is put in order, and then no file is left that nobody answers for.
    pub fn check_no_leak(&mut self, at: &str) {
        let writers = self.writers().unwrap_or_else(|e| panic!("{at}: {}", in_full(&e))).to_vec();
        for writer in &writers {
            writer.sweep().unwrap_or_else(|e| panic!("{at}: {}", in_full(&e)));
        }
        clear(&writers).unwrap_or_else(|e| panic!("{at}: {}", in_full(&e)));
        let mut known: BTreeMap<PathBuf, ()> = BTreeMap::new();
        for writer in &writers {
            let root = writer.volume().path();
            let kept = ["lock", "journal", "lost+found/x"].map(|name| (root.join(name), ()));
            known.extend(kept);
            let index = writer.index();
            known.extend(index.entries().map(|entry| (entry.path(), ())));
            // A marker at what is held is for the next look.
            let marker = |entry: Entry<'_>| root.join("suspect").join(entry.object.to_string());
            known.extend(index.entries().map(|entry| (marker(entry), ())));
        }
        let is_ours = |path: &PathBuf| self.volumes.iter().any(|own| path.starts_with(own.path()));
        let foreign = |path: &PathBuf| is_ours(path) && !known.contains_key(path);
        let left: Vec<PathBuf> = self.disk.files().into_iter().filter(foreign).collect();
        assert!(left.is_empty(), "{at}: nobody answers for {left:?}");
        self.was_cut = true;
        self.check_writer(at);
    }
}

fn move_object(writers: &[Writer], which: usize) -> Result<(), StoreError> {
    let object = id(which);
    let [ssd, hdd] = writers else { return Ok(()) };
    let (from, to) = if ssd.holds(&object) { (ssd, hdd) } else { (hdd, ssd) };
    if !from.holds(&object) {
        return Ok(());
    }
    if !to.holds(&object) {
        let reader = ObjectReader::of(from.volume(), &object)?;
        match to.begin(reader.seal().clone()) {
            Err(StoreError::AlreadyHeld { .. }) => {}
            Err(error) => return Err(error),
            Ok(mut incoming) => {
                let mut chunk = Vec::new();
                for index in incoming.missing().into_iter().flatten() {
                    reader.read_chunk(index, &mut chunk)?;
                    incoming.write_chunk(index, &chunk)?;
                }
                incoming.publish()?;
            }
        }
    }
    // No copy is let go while the other may be in doubt.
    to.settle()?;
    let retired = from.retire(&object)?;
    from.finish(retired)
}

/// One bit rots, the scrub finds it, and the writer does what the nurse of the agent would.
fn scrub(disk: &MadeDisk, writers: &[Writer], which: usize) -> Result<(), StoreError> {
    let object = id(which);
    for writer in writers.iter().filter(|writer| writer.holds(&object)) {
        let file = writer.volume().object_path(&object);
        if objects()[which].bytes.is_empty() {
            // Nothing of it can rot but its seal, which is caught likewise.
            return writer.quarantine(&object);
        }
        if is_whole(writer.volume(), &object) {
            disk.rot(&file, objects()[which].seal.payload_offset() as usize);
        }
        report_bad(writer.volume(), &object)?;
        for suspect in writer.suspects()? {
            if writer.holds(&suspect) {
                writer.quarantine(&suspect)?;
            } else {
                writer.clear_suspect(&suspect)?;
            }
        }
    }
    Ok(())
}

fn clear(writers: &[Writer]) -> Result<(), StoreError> {
    for writer in writers {
        for object in writer.unfinished()? {
            writer.discard_unfinished(&object)?;
        }
        for object in writer.suspects()? {
            if !writer.holds(&object) {
                writer.clear_suspect(&object)?;
            }
        }
        let bound = QuarantineBound { age_max: Duration::ZERO, bytes_max: 0 };
        writer.empty_quarantine(&bound, SystemTime::now())?;
    }
    Ok(())
}

fn is_whole(volume: &Volume, object: &ObjectId) -> bool {
    let Ok(reader) = ObjectReader::of(volume, object) else { return false };
    let mut chunk = Vec::new();
    reader.seal().object() == *object
        && (0..reader.seal().chunks()).all(|index| reader.read_chunk(index, &mut chunk).is_ok())
}

/// An error with its causes.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}
