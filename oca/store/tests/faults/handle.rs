//! An open file of a made-up disk. Knows its bytes and none of its names.

use std::io;
use std::sync::Mutex;

use nix::errno::Errno;
use oca_store::disk::DiskFile;

use super::bytes::Bytes;
use super::dice::Dice;
use super::fault::{Sort, Sought};
use super::made::{MadeDisk, State};

#[derive(Debug)]
pub struct Handle {
    disk: MadeDisk,
    file: u64,
    holds_lock: Mutex<bool>,
}

impl Handle {
    pub fn new(disk: MadeDisk, file: u64) -> Self {
        Self { disk, file, holds_lock: Mutex::new(false) }
    }

    fn on<T>(
        &self,
        sort: Sort,
        deed: impl FnOnce(&mut Bytes, &mut Dice, Sought) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        let State { plan, files, dice, in_order_until, next, .. } = &mut *state;
        // A file without a name lives as long as it is open: the machine that forgets it stopped.
        let bytes = files.get_mut(&self.file).ok_or(Errno::EIO)?;
        let sought = match plan.next(sort) {
            Ok(sought) => sought,
            Err(error) => {
                match sort {
                    // fsyncgate: told once, and what was not durable never will be.
                    Sort::Sync if plan.loses_pages() => bytes.lose(dice),
                    // A write that a kill meets may be half done.
                    Sort::Write if plan.stopped().is_some() => {
                        drop(deed(bytes, dice, Sought::Half));
                    }
                    _ => {}
                }
                return Err(error);
            }
        };
        if sort == Sort::Sync {
            *in_order_until = *next;
        }
        deed(bytes, dice, sought)
    }
}

impl DiskFile for Handle {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.on(Sort::Read, |bytes, dice, sought| {
            let at = (at as usize).min(bytes.seen().len());
            let got = sought.of(into.len().min(bytes.seen().len() - at), dice);
            into[..got].copy_from_slice(&bytes.seen()[at..at + got]);
            Ok(got)
        })
    }

    fn write_at(&self, from: &[u8], at: u64) -> io::Result<usize> {
        self.on(Sort::Write, |bytes, dice, sought| {
            let went = sought.of(from.len(), dice);
            bytes.write(at as usize, &from[..went]);
            Ok(went)
        })
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.on(Sort::Reserve, |bytes, _, _| {
            let length = bytes.seen().len().max(length as usize);
            bytes.set_len(length);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.on(Sort::Change, |bytes, _, _| {
            bytes.set_len(length as usize);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.on(Sort::Look, |bytes, _, _| Ok(bytes.seen().len() as u64))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.on(Sort::Sync, |bytes, _, _| {
            bytes.settle();
            Ok(())
        })
    }

    fn sync_contents(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.state();
        if state.locked.contains(&self.file) {
            return Ok(false);
        }
        state.locked.push(self.file);
        *self.holds_lock.lock().unwrap() = true;
        Ok(true)
    }

    fn forget_cached(&self) {
        let mut state = self.disk.state();
        if state.is_deaf {
            return;
        }
        if let Some(bytes) = state.files.get_mut(&self.file) {
            bytes.forget_cached();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if *self.holds_lock.lock().unwrap() {
            let file = self.file;
            self.disk.state().locked.retain(|locked| *locked != file);
        }
    }
}
