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
        let own = format!("(process {})", std::process::id());
        let holder = match String::from_utf8_lossy(&said[..got]).trim() {
            "" => "another process".to_owned(),
            name if name.ends_with(&own) => format!("{name}, this one: is it given twice?"),
            name => name.to_owned(),
        };
        return Err(StoreError::Locked { path: volume.path().to_owned(), holder });
    }
    let name = format!("{holder} (process {})\n", std::process::id());
    // A disk may be too full for a name, and must be opened all the same: only its writer can make
    // room.
    let named = lock.set_len(0).and_then(|()| lock.write_all_at(name.as_bytes(), 0));
    if let Err(error) = named {
        tracing::warn!(path = %path.display(), %error, "the lock does not say who holds it");
    }
    Ok(lock)
}
