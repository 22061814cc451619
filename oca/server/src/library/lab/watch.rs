//! Hears from the kernel that something below a lab's directories is another, so that they need not
//! be listed again and again. Says that something changed, never what.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// What changes a list: names that come and go, and files whose bytes or rights are other ones.
const CHANGES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);
/// Only the directory itself, not what a link in its place points to.
const THIS_ONE: AddWatchFlags = AddWatchFlags::IN_ONLYDIR.union(AddWatchFlags::IN_DONT_FOLLOW);

/// An ear at directories.
pub(super) struct Watch {
    /// Absent where the kernel gives none.
    ear: Option<Inotify>,
    /// A directory could not be watched: silence means nothing.
    is_deaf: AtomicBool,
}

impl Watch {
    /// One that hears nothing yet.
    pub(super) fn new() -> Self {
        let ear = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok();
        Self { is_deaf: AtomicBool::new(ear.is_none()), ear }
    }

    /// Listens at `directory` from now on, to be called before it is listed; again is no harm.
    pub(super) fn add(&self, directory: &Path) {
        let Some(ear) = &self.ear else { return };
        match ear.add_watch(directory, CHANGES | THIS_ONE) {
            // Gone since its parent was listed, or another has its place: the parent's ear heard.
            Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            // No rights, or as many watches as this user may have.
            Err(_) => self.is_deaf.store(true, Ordering::Relaxed),
        }
    }

    /// Whether silence can be believed, as far as this machine's own changes go: what others change
    /// on a network file system is not heard.
    pub(super) fn hears(&self) -> bool {
        !self.is_deaf.load(Ordering::Relaxed)
    }

    /// Whether anything changed since the last call.
    pub(super) fn heard(&self) -> bool {
        let Some(ear) = &self.ear else { return false };
        let mut heard = false;
        loop {
            match ear.read_events() {
                Ok(events) if events.is_empty() => return heard,
                Ok(_) => heard = true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return heard,
                Err(_) => {
                    self.is_deaf.store(true, Ordering::Relaxed);
                    return true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_changes_is_heard_once_and_what_is_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.mp4");
        let watch = Watch::new();
        watch.add(dir.path());
        assert!(watch.hears() && !watch.heard());
        let check = |what: &str, change: &dyn Fn()| {
            change();
            assert!(watch.heard(), "{what}");
            assert!(!watch.heard(), "{what}: once");
        };
        check("a new file", &|| fs::write(&file, b"1").unwrap());
        check("other bytes, the same length", &|| fs::write(&file, b"2").unwrap());
        check("a new folder", &|| fs::create_dir(dir.path().join("sub")).unwrap());
        check("another name", &|| fs::rename(&file, dir.path().join("b.mp4")).unwrap());
        assert_eq!(fs::read(dir.path().join("b.mp4")).unwrap(), b"2");
        assert!(!watch.heard(), "reading changes nothing");
        check("gone", &|| fs::remove_file(dir.path().join("b.mp4")).unwrap());
    }

    #[test]
    fn a_directory_that_cannot_be_watched_makes_silence_worthless() {
        let watch = Watch::new();
        watch.add(Path::new("/no/such/folder"));
        assert!(watch.hears(), "what is not there has no changes");
        // A path too long to name.
        watch.add(Path::new(&format!("/{}", "d/".repeat(4000))));
        assert!(!watch.hears());
    }
}
