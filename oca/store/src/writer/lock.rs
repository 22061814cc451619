//! The lock of a volume: whoever holds it is its writer. Protects against a second process, not
//! against readers, who need none.

use crate::disk::{OpenFile, Opening};
use crate::error::StoreError;
use crate::volume::Volume;

/// Longest name of a holder that is read back, bytes.
const HOLDER_BYTES_MAX: usize = 4096;

/// Takes the lock of `volume` and writes `holder` and our process id into it.
pub(super) fn open_lock(volume: &Volume, holder: &str) -> Result<OpenFile, StoreError> {
    let path = volume.lock_path();
    let io = |doing| StoreError::io(&path, doing);
    let lock = volume.disk().open(&path, Opening::Keep).map_err(io("open the lock"))?;
    if !lock.try_lock().map_err(io("lock"))? {
        let mut said = vec![0; HOLDER_BYTES_MAX];
        // The name is for the message only: a lock without one is still a lock.
        let got = lock.fill_at(&mut said, 0).unwrap_or(0);
        let holder = match String::from_utf8_lossy(&said[..got]).trim() {
            "" => "another process".to_owned(),
            name => name.to_owned(),
        };
        return Err(StoreError::Locked { path: volume.path().to_owned(), holder });
    }
    lock.set_len(0).map_err(io("name the holder in"))?;
    let name = format!("{holder} (process {})\n", std::process::id());
    lock.write_all_at(name.as_bytes(), 0).map_err(io("name the holder in"))?;
    Ok(lock)
}
