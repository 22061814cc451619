//! The lock of a volume: whoever holds it is its writer. Protects against a second process, not
//! against readers, who need none.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use crate::error::StoreError;
use crate::volume::Volume;

pub(super) fn open_lock(volume: &Volume, holder: &str) -> Result<File, StoreError> {
    let path = volume.lock_path();
    let io = |doing| StoreError::io(&path, doing);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io("open the lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The name is for the message only: a lock without one is still a lock.
            let _ = lock.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                name => name.to_owned(),
            };
            return Err(StoreError::Locked { path: volume.path().to_owned(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(io("lock")(e)),
    }
    lock.set_len(0).map_err(io("name the holder in"))?;
    let name = format!("{holder} (process {})\n", std::process::id());
    lock.write_all_at(name.as_bytes(), 0).map_err(io("name the holder in"))?;
    lock.flush().map_err(io("name the holder in"))?;
    Ok(lock)
}
