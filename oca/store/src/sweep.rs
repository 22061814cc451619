//! Files that nobody answers for: whole ones are listed again, others go to quarantine. Throws
//! nothing away and looks at nothing that is listed.
//!
//! A power cut may bring a file back whose removal was not durable yet, or keep a file and lose
//! the line that lists it. Which of the two it was cannot be told, and bytes that prove themselves
//! are worth more than the room they take: the plan lets them go if it does not want them.

use std::io;
use std::path::PathBuf;

use control_types::ObjectId;

use crate::error::StoreError;
use crate::journal::Record;
use crate::scan::seal_on;
use crate::scrub::{Depth, ObjectReader, Scrub, Verdict};
use crate::seal::Seal;
use crate::writer::{State, Writer};

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Whole objects that are listed again.
    pub listed: u64,
    /// Files that claim an object's name and are not it, now in quarantine.
    pub quarantined: u64,
    /// Files that are no objects, or that cannot be read: left where they are.
    pub left: Vec<PathBuf>,
}

impl Writer {
    /// Lists or quarantines every file in `objects/` that is not listed, after it has finished what
    /// was cut short of publishing. Reads such files whole, and the directories: for idle hours.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        self.finish_publishes()?;
        let mut swept = Swept::default();
        for finding in Scrub::new(self.volume(), Depth::Names)? {
            if finding.object.is_none() && matches!(finding.verdict, Verdict::Unreadable(_)) {
                swept.left.push(finding.path);
                continue;
            }
            if finding.verdict != Verdict::Orphan {
                continue;
            }
            let own = finding.object.filter(|own| self.volume().object_path(own) == finding.path);
            let Some(object) = own else {
                swept.left.push(finding.path);
                continue;
            };
            match self.proved(&object) {
                Ok(seal) => swept.listed += u64::from(self.list_again(&seal)?),
                Err(StoreError::Io { source, .. })
                    if source.kind() != io::ErrorKind::UnexpectedEof =>
                {
                    swept.left.push(finding.path);
                }
                Err(error) => {
                    tracing::warn!(%object, %error, "an unlisted file goes to quarantine");
                    swept.quarantined += u64::from(self.put_away(&object)?);
                }
            }
        }
        Ok(swept)
    }

    /// The seal of a file, after every byte was checked.
    pub(crate) fn proved(&self, object: &ObjectId) -> Result<Seal, StoreError> {
        let seal = seal_on(self.volume().disk(), &self.volume().object_path(object))?;
        let reader = ObjectReader::of(self.volume(), object)?;
        let mut chunk = Vec::new();
        for index in 0..seal.chunks() {
            reader.read_chunk(index, &mut chunk)?;
        }
        reader.forget_cached();
        Ok(seal)
    }

    fn list_again(&self, seal: &Seal) -> Result<bool, StoreError> {
        let object = seal.object();
        let mut state = self.shared.state();
        if !self.is_orphan(&state, &object) {
            return Ok(false);
        }
        self.shared.keep_place(&object)?;
        state.append(self.volume(), &Record::published(seal))?;
        tracing::warn!(%object, "was whole and not listed: it is listed again");
        Ok(true)
    }

    fn put_away(&self, object: &ObjectId) -> Result<bool, StoreError> {
        let state = self.shared.state();
        if !self.is_orphan(&state, object) {
            return Ok(false);
        }
        let from = self.volume().object_path(object);
        let to = self.volume().quarantine_dir().join(object.to_string());
        let renamed = self.volume().disk().rename(&from, &to);
        renamed.map_err(StoreError::io(&from, "move the file to quarantine"))?;
        Ok(true)
    }

    /// Asked under the lock: nothing lists `object`, nobody writes it, and no deed on it is left
    /// to be finished.
    fn is_orphan(&self, state: &State, object: &ObjectId) -> bool {
        let is_marked =
            [".remove", ".quarantine"].iter().any(|end| self.volume().has(&self.mark(object, end)));
        !state.lists(object)
            && !state.busy.contains(object)
            && !is_marked
            && self.volume().has(&self.volume().object_path(object))
    }
}
