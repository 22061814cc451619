//! What outlives the process: the last bundle that was believed, whose bundles are believed, and
//! when control was heard last. Written whole and renamed into place; never judged here.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use control_types::UnixMillis;
use control_types::bundle::SignedBundle;
use control_types::limits::BUNDLE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::bundle::Pin;

const BUNDLE_NAME: &str = "steering-bundle.json";
const PIN_NAME: &str = "steering-pin.json";
const CONTACT_NAME: &str = "control-contact.json";

/// Longest file that is read: a bundle as text in JSON, which escapes its quotes.
const FILE_BYTES_MAX: u64 = 2 * BUNDLE_BYTES_MAX as u64 + 4096;

/// The state directory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Heard {
    heard_at: UnixMillis,
}

impl Store {
    /// In `dir`, which exists.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Whose bundles are believed; nobody's in particular where nothing was written.
    ///
    /// # Errors
    /// The file is there and cannot be read: believing whoever comes next would be worse.
    pub fn pin(&self) -> io::Result<Pin> {
        match self.read(PIN_NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Pin::default()),
            text => Ok(serde_json::from_slice(&text?)?),
        }
    }

    /// The bundle that was believed last; `None` where none was, or its file is not one.
    #[must_use]
    pub fn bundle(&self) -> Option<SignedBundle> {
        serde_json::from_slice(&self.read(BUNDLE_NAME).ok()?).ok()
    }

    /// Writes down a bundle and whose it is. The bundle goes first: a crash between the two leaves
    /// a newer one than was noted, which is believed at the next start.
    ///
    /// # Errors
    /// The disk's own; the old files stay.
    pub fn keep(&self, signed: &SignedBundle, pin: &Pin) -> io::Result<()> {
        self.write(BUNDLE_NAME, &serde_json::to_vec(signed)?)?;
        self.write(PIN_NAME, &serde_json::to_vec_pretty(pin)?)
    }

    /// When control was heard last, as far as was written down.
    #[must_use]
    pub fn heard_at(&self) -> Option<UnixMillis> {
        let heard: Heard = serde_json::from_slice(&self.read(CONTACT_NAME).ok()?).ok()?;
        Some(heard.heard_at)
    }

    /// Writes down when control was heard last.
    ///
    /// # Errors
    /// The disk's own; the old file stays.
    pub fn note_heard(&self, heard_at: UnixMillis) -> io::Result<()> {
        self.write(CONTACT_NAME, &serde_json::to_vec(&Heard { heard_at })?)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let file = File::open(self.dir.join(name))?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(text)
    }

    fn write(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let new = self.dir.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&new, self.dir.join(name))?;
        File::open(&self.dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use control_token::BundleSigner;

    use super::*;

    #[test]
    fn what_was_kept_is_there_and_half_a_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!((store.pin().unwrap(), store.bundle()), (Pin::default(), None));
        assert_eq!(store.heard_at(), None);
        let signed = BundleSigner::generate().unwrap().seal("{}".into());
        let pin = Pin { key: Some("k".into()), serial: 3, ..Pin::default() };
        store.keep(&signed, &pin).unwrap();
        store.note_heard(UnixMillis(5)).unwrap();
        assert_eq!((store.pin().unwrap(), store.bundle()), (pin, Some(signed)));
        assert_eq!(store.heard_at(), Some(UnixMillis(5)));
        for name in [BUNDLE_NAME, PIN_NAME, CONTACT_NAME] {
            let text = fs::read(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name), &text[..text.len() / 2]).unwrap();
        }
        assert!(store.pin().is_err(), "not the same as never having seen one");
        assert_eq!((store.bundle(), store.heard_at()), (None, None));
    }
}
