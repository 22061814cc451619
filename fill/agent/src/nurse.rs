//! The nurse: what readers, scrubs and moves marked as bad is quarantined, fetched again and
//! forgotten once it is whole. Looks at no byte itself.

use std::collections::BTreeSet;
use std::rc::Rc;

use control_types::ids::ObjectId;

use crate::error::AgentError;
use crate::limits::SUSPECTS_MS;
use crate::night::Night;
use crate::vault::{Quarantined, Suspect};

/// Works until the night is stopped.
pub(crate) async fn nurse(night: Rc<Night>) {
    let mut refused = Refused::default();
    while !night.stopping() {
        if look(&night, &mut refused) {
            night.lay_out();
        }
        night.pause(SUSPECTS_MS).await;
    }
}

/// What disks refused at the last look: it is tried again at each, and said when it begins.
#[derive(Default)]
struct Refused {
    /// The state disk took no note.
    notes: bool,
    /// Copies that their disk keeps in their place, or whose markers it keeps.
    copies: BTreeSet<ObjectId>,
}

/// One look at all suspects; true when the work must be laid out anew. A state disk that refuses a
/// note is asked once a look and no more, as each refusal may take it seconds.
fn look(night: &Night, refused: &mut Refused) -> bool {
    let suspects = night.vault.borrow().suspects();
    let mut changed = false;
    let before = std::mem::take(&mut refused.copies);
    let looked = suspects.iter().try_for_each(|suspect| {
        let is_first = !before.contains(&suspect.object);
        let treated = treat(night, suspect, is_first)?;
        changed |= treated.is_off;
        if let Some(error) = treated.refused {
            let object = suspect.object;
            if is_first {
                tracing::error!(%object, error = error.in_full(), "cannot quarantine");
            }
            refused.copies.insert(object);
        }
        Ok(())
    });
    let looked = looked.and_then(|()| {
        let (vault, mut ledger) = (night.vault.borrow(), night.ledger.borrow_mut());
        let before = ledger.repairs().len();
        ledger.close_repairs(|repair| vault.holds_sound(&repair.object))?;
        changed |= ledger.repairs().len() != before;
        Ok::<_, AgentError>(())
    });
    let unnoted_before = std::mem::replace(&mut refused.notes, looked.is_err());
    if let (Err(error), false) = (looked, unnoted_before) {
        // Nobody is served a bad copy, as it is marked; the next look tries again.
        tracing::error!(error = error.in_full(), "cannot note repairs: bad copies stay marked");
    }
    changed
}

/// Notes the repair, then quarantines. A disk that refuses is asked again each second, and nothing
/// else begins anew for that. Whoever is killed in between finds the marker again, and the note
/// already made. The other way round nobody would know that the object is to come back; so an error
/// means that nothing was done. `is_first` is whether it is to be told.
fn treat(night: &Night, suspect: &Suspect, is_first: bool) -> Result<Quarantined, AgentError> {
    let object = &suspect.object;
    if let Some(repair) = &suspect.repair
        && !night.ledger.borrow_mut().add_repair(repair.clone())?
        && is_first
    {
        tracing::error!(%object, "too many repairs: is a disk dying?");
    }
    if is_first && suspect.is_held() {
        tracing::warn!(%object, "goes to quarantine: its bytes are not the object's");
    }
    Ok(suspect.quarantine())
}

#[cfg(test)]
mod tests {
    use control_types::fill::Pull;
    use oca_store::{MediaType, report_bad, seal_reader};

    use super::*;

    /// Goal: a state disk that refuses is asked once a look, not for every bad copy, and bad copies
    /// stay where they are until it takes a note. Method: its folder goes and comes back.
    #[test]
    fn a_state_disk_that_refuses_leaves_bad_copies_marked_until_it_is_well() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let writer = night.vault.borrow().writers().next().unwrap().clone();
            let mut objects = Vec::new();
            for tag in 1..4 {
                let payload = vec![tag; 5_000];
                let title = "t".parse().unwrap();
                let seal = seal_reader(payload.as_slice(), title, MediaType::VideoMp4).unwrap();
                objects.push(seal.object());
                let mut incoming = writer.begin(seal).unwrap();
                incoming.write_chunk(0, &payload).unwrap();
                incoming.publish().unwrap();
                report_bad(writer.volume(), objects.last().unwrap()).unwrap();
            }
            let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
            std::fs::rename(&state, &aside).unwrap();
            let mut refused = Refused::default();
            assert!(!look(&night, &mut refused) && refused.notes);
            assert!(objects.iter().all(|object| writer.holds(object)));
            std::fs::rename(&aside, &state).unwrap();
            assert!(look(&night, &mut refused) && !refused.notes);
            assert!(!objects.iter().any(|object| writer.holds(object)));
            assert_eq!(night.ledger.borrow().repairs().len(), objects.len());
        });
    }

    /// Goal: a marker that the disk does not let go is no news after the first look: whatever waits
    /// for its sources would begin anew each second, and never go on to the next. Method: the
    /// marker is a directory.
    #[test]
    fn a_marker_that_cannot_be_taken_away_disturbs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        tokio_uring::start(async {
            let night = crate::night::on_folder(folder.path());
            let payload = vec![7; 5_000];
            let title = "t".parse().unwrap();
            let seal = seal_reader(payload.as_slice(), title, MediaType::VideoMp4).unwrap();
            let object = seal.object();
            let writer = night.vault.borrow().writers().next().unwrap().clone();
            let mut incoming = writer.begin(seal).unwrap();
            incoming.write_chunk(0, &payload).unwrap();
            incoming.publish().unwrap();
            let marker = folder.path().join("ssd/suspect").join(object.to_string());
            std::fs::create_dir_all(&marker).unwrap();
            let mut refused = Refused::default();
            let lines = crate::said::lines_of(|| {
                assert!(look(&night, &mut refused), "it is off its disk");
                for _ in 0..3 {
                    assert!(!look(&night, &mut refused), "nothing changed");
                }
            });
            assert_eq!(lines.len(), 2, "once each: {lines:#?}");
            assert!(!night.vault.borrow().holds(&object));
            let ledger = night.ledger.borrow();
            let repairs: Vec<_> = ledger.repairs().iter().map(|one: &Pull| one.object).collect();
            assert_eq!(repairs, [object], "it is still to be fetched");
        });
    }
}
