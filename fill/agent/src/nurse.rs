//! The nurse: what readers, scrubs and moves marked as bad is quarantined, fetched again and
//! forgotten once it is whole. Looks at no byte itself.

use std::rc::Rc;

use crate::limits::SUSPECTS_MS;
use crate::night::Night;
use crate::vault::Suspect;

/// Works until the night is stopped.
pub(crate) async fn nurse(night: Rc<Night>) {
    while !night.stopping() {
        if look(&night) {
            night.lay_out();
        }
        night.pause(SUSPECTS_MS).await;
    }
}

/// One look at all suspects; true when the work must be laid out anew.
fn look(night: &Night) -> bool {
    let suspects = night.vault.borrow().suspects();
    let mut changed = false;
    for suspect in &suspects {
        changed |= treat(night, suspect);
    }
    {
        let (vault, mut ledger) = (night.vault.borrow(), night.ledger.borrow_mut());
        let before = ledger.repairs().len();
        if let Err(error) = ledger.close_repairs(|repair| vault.holds_sound(&repair.object)) {
            tracing::error!(error = error.in_full(), "cannot close repairs");
        }
        changed |= ledger.repairs().len() != before;
    }
    changed
}

/// Notes the repair, then quarantines; true when the copy is off its disk. A disk that refuses is
/// asked again each second, and nothing else begins anew for that. Whoever is killed in between
/// finds the marker again, and the note already made. The other way round nobody would know that
/// the object is to come back.
fn treat(night: &Night, suspect: &Suspect) -> bool {
    let object = suspect.object;
    if let Some(repair) = &suspect.repair {
        match night.ledger.borrow_mut().add_repair(repair.clone()) {
            Ok(true) => {}
            Ok(false) => tracing::error!(%object, "too many repairs: is a disk dying?"),
            Err(error) => {
                // Nobody is served the bad copy, as it is marked; the next look tries again.
                tracing::error!(%object, error = error.in_full(), "cannot note a repair");
                return false;
            }
        }
    }
    suspect.quarantine()
}

#[cfg(test)]
mod tests {
    use control_types::fill::Pull;
    use oca_store::{MediaType, seal_reader};

    use super::*;

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
            assert!(look(&night), "it is off its disk");
            for _ in 0..3 {
                assert!(!look(&night), "nothing changed");
            }
            assert!(!night.vault.borrow().holds(&object));
            let ledger = night.ledger.borrow();
            let repairs: Vec<_> = ledger.repairs().iter().map(|one: &Pull| one.object).collect();
            assert_eq!(repairs, [object], "it is still to be fetched");
        });
    }
}
