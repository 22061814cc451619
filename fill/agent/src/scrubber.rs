//! The scrubber: reads every byte of every disk again and again while nothing else needs it, and
//! leaves a marker for what is not what it was. Quarantines nothing itself; the nurse does.
//!
//! It goes by object id, so its place is one id a disk, kept in `scrub.json`: a restart goes on
//! there. It reads no faster than `store.scrub_bytes_per_s`, only while disks are idle and no
//! window is being filled, and leaves nothing in the page cache.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;

use control_types::ids::ObjectId;
use oca_store::{ObjectReader, StoreError, Swept, Writer, report_bad};
use serde::{Deserialize, Serialize};

use crate::limits::{SCRUB_AGAIN_MS, SCRUB_KEEP_MS, STEP_CHUNKS, TICK_MS};
use crate::night::Night;
use crate::said::Said;

/// Its file in the state directory.
const NAME: &str = "scrub";

/// How far one disk is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    /// The last object looked at; none at the beginning of a round.
    after: Option<ObjectId>,
    /// Whole rounds.
    rounds: u64,
    /// Objects found bad in all rounds.
    bad: u64,
}

/// Works until the night is stopped.
pub(crate) async fn scrubber(night: Rc<Night>) {
    let mut places: BTreeMap<PathBuf, Place> =
        night.state.load(NAME, "the places of scrubs").ok().flatten().unwrap_or_default();
    let (mut kept_at, unkept) = (0, Said::default());
    let mut again_at = 0;
    while !night.stopping() {
        if night.config.scrub_bytes_per_s == 0 || night.clock.ticks() < again_at {
            night.pause(1_000).await;
            continue;
        }
        let writers: Vec<Writer> = night.vault.borrow().writers().cloned().collect();
        let mut rested = true;
        for writer in writers {
            let place = places.entry(writer.volume().path().to_owned()).or_default();
            let next = writer.index().entries_after(place.after).next().map(|next| next.object);
            let Some(object) = next else {
                if place.after.take().is_some() {
                    place.rounds += 1;
                    sweep(&night, writer).await;
                }
                continue;
            };
            rested = false;
            if !scrub(&night, &writer, &object, place).await {
                break;
            }
            place.after = Some(object);
        }
        if rested {
            again_at = night.clock.ticks() + SCRUB_AGAIN_MS;
        }
        if rested || night.clock.ticks() >= kept_at + SCRUB_KEEP_MS {
            kept_at = night.clock.ticks();
            keep(&night, &places, &unkept);
        }
    }
    keep(&night, &places, &unkept);
}

fn keep(night: &Night, places: &BTreeMap<PathBuf, Place>, unkept: &Said) {
    let Err(error) = night.state.store(NAME, places) else { return };
    let error = error.in_full();
    if unkept.is_due(&error, night.clock.ticks()) {
        tracing::warn!(error, "the place of the scrub is not kept");
    }
}

/// Looks at one object; false when the agent stops before its end.
async fn scrub(night: &Night, writer: &Writer, object: &ObjectId, place: &mut Place) -> bool {
    let (volume, name) = (writer.volume().clone(), *object);
    let opened = tokio::task::spawn_blocking(move || ObjectReader::of(&volume, &name)).await;
    let mut next = 0;
    let mut verdict = match opened {
        Ok(Ok(reader)) => Ok(Some(reader)),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(None),
    };
    while let Ok(Some(reader)) = verdict {
        let began = night.clock.ticks();
        while !night.may_scrub() {
            if night.stopping() {
                return false;
            }
            night.pause(TICK_MS).await;
        }
        let chunks = next..reader.seal().chunks().min(next + STEP_CHUNKS);
        if chunks.is_empty() {
            reader.forget_cached();
            return true;
        }
        next = chunks.end;
        let step = tokio::task::spawn_blocking(move || {
            let (mut chunk, mut bytes) = (Vec::new(), 0);
            for index in chunks {
                reader.read_chunk(index, &mut chunk)?;
                bytes += chunk.len() as u64;
            }
            Ok((reader, bytes))
        });
        verdict = match step.await {
            Ok(Ok((reader, bytes))) => {
                let due_ms = bytes * 1_000 / night.config.scrub_bytes_per_s;
                let took_ms = night.clock.ticks() - began;
                if due_ms > took_ms {
                    night.pause(due_ms - took_ms).await;
                }
                Ok(Some(reader))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(None),
        };
    }
    if let Err(error) = verdict {
        found_bad(writer, object, &error, place);
    }
    true
}

/// Once a round: files that nobody lists are listed again if they are whole.
async fn sweep(night: &Night, writer: Writer) {
    while !night.may_scrub() {
        if night.stopping() {
            return;
        }
        night.pause(TICK_MS).await;
    }
    let folder = writer.volume().path().to_owned();
    match tokio::task::spawn_blocking(move || writer.sweep()).await {
        Ok(Ok(swept)) if swept != Swept::default() => {
            let (listed, quarantined) = (swept.listed, swept.quarantined);
            let (volume, left) = (folder.display(), swept.left.len());
            tracing::warn!(%volume, listed, quarantined, left, "swept what nobody listed");
        }
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the volume was not swept"),
    }
}

/// Whether `error` says that the object's bytes are not there to be had. An agent that is out of
/// files or memory, or may not read, has learnt nothing of the object.
pub(crate) fn is_proof(error: &StoreError) -> bool {
    let StoreError::Io { source, .. } = error else { return true };
    let short = [ErrorKind::NotFound, ErrorKind::UnexpectedEof].contains(&source.kind());
    let broken = [nix::libc::EIO, nix::libc::EBADMSG, nix::libc::EUCLEAN, nix::libc::EILSEQ];
    short || source.raw_os_error().is_some_and(|errno| broken.contains(&errno))
}

fn found_bad(writer: &Writer, object: &ObjectId, error: &StoreError, place: &mut Place) {
    if !is_proof(error) {
        tracing::warn!(%object, %error, "not looked at by the scrub");
        return;
    }
    if !writer.holds(object) {
        // Pruned or moved while it was being read.
        return;
    }
    place.bad += 1;
    tracing::error!(%object, %error, "found bad by the scrub");
    if let Err(error) = report_bad(writer.volume(), object) {
        tracing::error!(%object, %error, "cannot mark a bad object");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_kept_is_not_told_of_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            std::fs::remove_dir_all(folder.path().join("state")).unwrap();
            let (places, unkept) = (BTreeMap::new(), Said::default());
            let told = || (0..5).for_each(|_| keep(&night, &places, &unkept));
            assert_eq!(crate::said::lines_of(told).len(), 1);
        });
    }

    #[test]
    fn a_disk_that_cannot_read_is_proof_and_an_agent_that_cannot_open_is_none() {
        let error = |errno| StoreError::Io {
            path: PathBuf::new(),
            doing: "read",
            source: std::io::Error::from_raw_os_error(errno),
        };
        use nix::libc::{EACCES, EBADMSG, EIO, EMFILE, ENFILE, ENOENT, ENOMEM};
        assert!([EIO, EBADMSG, ENOENT].map(|errno| is_proof(&error(errno))) == [true; 3]);
        let ours = [EMFILE, ENFILE, ENOMEM, EACCES].map(|errno| is_proof(&error(errno)));
        assert!(ours == [false; 4], "good objects would be thrown into quarantine");
        assert!(is_proof(&StoreError::BadChunk { object: ObjectId([0; 32]), chunk: 0 }));
    }
}
