//! What a writer does before anything else: believes the journal or the files, and finishes what a
//! crash cut short. Throws nothing away that is whole.

use std::io::ErrorKind;

use ahash::AHashSet;
use control_types::ObjectId;

use super::Writer;
use super::state::{State, compacted, is_slack};
use crate::error::StoreError;
use crate::index::{Known, load_known};
use crate::journal::{Journal, Kind, Record};
use crate::scan::{files_below, object_dirs};
use crate::volume::{Volume, ids_in};

impl Writer {
    pub(super) fn finish_cut_short(&self) -> Result<(), StoreError> {
        let dir = self.volume().incoming_dir();
        for (suffix, kind) in [(".remove", Kind::Removed), (".quarantine", Kind::Quarantined)] {
            for object in ids_in(self.volume(), &dir, suffix)? {
                // What the journal lists was never said to be gone: either the deed ended at its
                // mark, or the object came anew and a power cut brought the mark back.
                if !self.holds(&object) {
                    self.take_away_file(&object, kind)?;
                }
                self.volume().unlink(&self.mark(&object, suffix))?;
            }
        }
        self.finish_publishes()
    }

    /// Lists what was given its place and not listed. A disk that is too full for a line is opened
    /// all the same, as nobody else can make room on it: the mark stays, and whoever begins the
    /// object again finishes it.
    pub(crate) fn finish_publishes(&self) -> Result<(), StoreError> {
        for object in ids_in(self.volume(), &self.volume().incoming_dir(), ".part.done")? {
            match self.adopt(&object) {
                Err(StoreError::Io { source, .. }) if is_full(&source) => {
                    tracing::warn!(%object, "is whole and not listed: the disk is full");
                }
                adopted => adopted?,
            }
        }
        Ok(())
    }

    /// If a publish of `object` was cut short between the rename and the journal, finishes it.
    pub(super) fn adopt(&self, object: &ObjectId) -> Result<(), StoreError> {
        let (done, part) = (self.mark(object, ".part.done"), self.mark(object, ".part"));
        let (volume, place) = (self.volume(), self.volume().object_path(object));
        let is_cut_short =
            |state: &State| !state.busy.contains(object) && volume.has(&done) && !volume.has(&part);
        let state = self.shared.state();
        if !is_cut_short(&state) {
            return Ok(());
        }
        let is_listed = state.lists(object);
        // All of it is read: whoever asks what is held must not wait for that.
        drop(state);
        let proved = if is_listed { None } else { self.proved(object).ok() };
        let mut state = self.shared.state();
        // Somebody else may have finished it by now, begun it anew, or let it go.
        if !is_cut_short(&state) {
            return Ok(());
        }
        if let Some(seal) = proved.filter(|_| !state.lists(object) && volume.has(&place)) {
            // The rename may be all there is of it.
            self.shared.keep_place(object)?;
            state.append(volume, &Record::published(&seal))?;
        }
        self.volume().unlink(&done)
    }

    /// The journal has a torn end: an append that a crash tore, or a line that rotted. What it said
    /// is in the files: whole objects that are not listed are listed again, and those listed whose
    /// file is gone are not. The journal is written anew with all of it or stays as it is, so that
    /// a crash on the way does not leave a sound journal that lacks a line.
    pub(super) fn believe_files(&self) -> Result<(), StoreError> {
        let mut state = self.shared.state();
        let mut files: AHashSet<ObjectId> = AHashSet::new();
        for dir in object_dirs(self.volume())? {
            for path in files_below(self.volume(), &dir)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let Some(object) = ObjectId::from_hex(name.as_bytes()) else { continue };
                files.insert(object);
                if state.index.has_copy(0, &object) {
                    continue;
                }
                match self.proved(&object) {
                    Ok(seal) => {
                        tracing::warn!(%object, "was not listed any more: the journal had a torn end");
                        self.shared.keep_place(&object)?;
                        state.index.insert(0, &Record::published(&seal));
                    }
                    Err(error) => tracing::warn!(%object, %error, "left where it is, not listed"),
                }
            }
        }
        let listed = state.index.clone();
        for entry in listed.entries().filter(|entry| !files.contains(&entry.object)) {
            state.index.forget(0, &entry.object);
        }
        match compacted(self.volume(), &state.index) {
            Ok(journal) => state.journal = journal,
            // Too full a disk must be opened all the same. What is torn takes nothing more before
            // it is written anew, and the next writer comes here again.
            Err(error) => tracing::error!(%error, "the journal keeps its torn end for now"),
        }
        Ok(())
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The journal and what it lists; and whether it had a torn end.
pub(super) fn open_journal(volume: &Volume) -> Result<(State, bool), StoreError> {
    let (mut loaded, mut known) = load_known(std::slice::from_ref(volume));
    let index = loaded.index;
    let (journal, is_torn) = match known.pop() {
        Some(Known::Journal(place)) if !place.is_torn && is_slack(place.records, &index) => {
            let short = compacted(volume, &index);
            // A long one is as good, and a disk that is too full for another must be opened.
            (short.or_else(|_| Journal::resume(volume, &place))?, false)
        }
        Some(Known::Journal(place)) => (Journal::resume(volume, &place)?, place.is_torn),
        Some(Known::Scan) => {
            if !index.is_empty() || !loaded.problems.is_empty() {
                let (objects, path) = (index.len(), volume.path().display());
                tracing::warn!(volume = %path, objects, "rebuilt from the seals");
            }
            for problem in &loaded.problems {
                tracing::warn!(error = %problem, "left where it is, not listed");
            }
            (Journal::create(volume, index.entries().map(|entry| entry.record()))?, false)
        }
        Some(Known::Sick) | None => {
            let none = || StoreError::NoVolume { path: volume.path().to_owned() };
            return Err(loaded.problems.pop().unwrap_or_else(none));
        }
    };
    Ok((State { journal, index, busy: AHashSet::new() }, is_torn))
}
