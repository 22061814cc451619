//! The books of room: what was promised to objects on their way in and is not taken on the disk
//! yet. Writes nothing down: after a kill there is nobody left whom anything was promised.
//!
//! Whoever asks for room gets a [`Claim`] at once, before anything is written, so that two who ask
//! in the same moment never get the same bytes. What a claim still holds is its size less what its
//! unfinished file takes already: nothing once it is begun, where the file system takes room before
//! it is written, and the rest of the object where it cannot. Two volumes on one file system share
//! its room, so claims go by file system.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use control_types::ids::ObjectId;
use oca_store::Volume;

use crate::limits::ROOM_LOOKS_MAX;

/// All promises of one vault. A clone is the same books.
#[derive(Clone, Default)]
pub(super) struct Books(Rc<Lines>);

#[derive(Default)]
struct Lines {
    next: Cell<u64>,
    /// By number: who asked first comes first.
    lines: RefCell<BTreeMap<u64, Line>>,
}

struct Line {
    /// Number of the file system.
    device: u64,
    volume: Volume,
    object: ObjectId,
    bytes: u64,
}

impl Line {
    fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.volume.unfinished_bytes(&self.object))
    }
}

/// Room that is one object's until this is dropped.
#[must_use = "the room is handed back when this is dropped"]
pub(crate) struct Claim {
    books: Books,
    number: u64,
}

impl Books {
    /// Promises `bytes` on the file system `device` to `object`, whose unfinished file is or will
    /// be on `volume`.
    pub(super) fn claim(
        &self,
        device: u64,
        volume: &Volume,
        object: ObjectId,
        bytes: u64,
    ) -> Claim {
        let number = self.0.next.replace(self.0.next.get() + 1);
        let line = Line { device, volume: volume.clone(), object, bytes };
        self.0.lines.borrow_mut().insert(number, line);
        Claim { books: self.clone(), number }
    }

    /// What is free on `device` beyond what is promised: `free` asks the disk. Files grow while
    /// this looks, so it looks again until nothing did: a byte that was just taken counts once.
    pub(super) fn unpromised(&self, device: u64, free: impl Fn() -> u64) -> u64 {
        self.unpromised_before(device, u64::MAX, free)
    }

    fn unpromised_before(&self, device: u64, number: u64, free: impl Fn() -> u64) -> u64 {
        let mut promised = self.promised(device, number);
        for _ in 0..ROOM_LOOKS_MAX {
            let free = free();
            let again = self.promised(device, number);
            if again == promised {
                return free.saturating_sub(promised);
            }
            promised = again;
        }
        // What was taken since counts twice: too little is safe, too much is not.
        free().saturating_sub(promised)
    }

    /// What is promised on `device` by claims before `number` and not taken yet.
    fn promised(&self, device: u64, number: u64) -> u64 {
        let lines = self.0.lines.borrow();
        let before = lines.range(..number).map(|(_, line)| line);
        before.filter(|line| line.device == device).map(Line::left).sum()
    }
}

impl Claim {
    /// Whether the disk has this room by now: what was let go for it may have been held by a
    /// reader. Who asked earlier goes first.
    pub(super) fn has_come(&self, free: impl Fn() -> u64) -> bool {
        let (device, left) = {
            let lines = self.books.0.lines.borrow();
            let Some(line) = lines.get(&self.number) else { return false };
            (line.device, line.left())
        };
        self.books.unpromised_before(device, self.number, free) >= left
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.books.0.lines.borrow_mut().remove(&self.number);
    }
}
