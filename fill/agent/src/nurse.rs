//! The nurse: what readers, scrubs and moves marked as bad is quarantined, fetched again and
//! forgotten once it is whole. Looks at no byte itself.

use std::rc::Rc;

use crate::limits::SUSPECTS_MS;
use crate::night::Night;
use crate::vault::Suspect;

/// Works until the night is stopped.
pub(crate) async fn nurse(night: Rc<Night>) {
    while !night.stopping() {
        let suspects = night.vault.borrow().suspects();
        let mut changed = !suspects.is_empty();
        suspects.iter().for_each(|suspect| treat(&night, suspect));
        {
            let (vault, mut ledger) = (night.vault.borrow(), night.ledger.borrow_mut());
            let before = ledger.repairs().len();
            if let Err(error) = ledger.close_repairs(|repair| vault.holds(&repair.object)) {
                tracing::error!(error = error.in_full(), "cannot close repairs");
            }
            changed |= ledger.repairs().len() != before;
        }
        if changed {
            night.lay_out();
        }
        night.pause(SUSPECTS_MS).await;
    }
}

/// Notes the repair, then quarantines: whoever is killed in between finds the marker again, and the
/// note already made. The other way round nobody would know that the object is to come back.
fn treat(night: &Night, suspect: &Suspect) {
    let object = suspect.object;
    if let Some(repair) = &suspect.repair {
        match night.ledger.borrow_mut().add_repair(repair.clone()) {
            Ok(true) => {}
            Ok(false) => tracing::error!(%object, "too many repairs: is a disk dying?"),
            Err(error) => {
                // Nobody is served the bad copy, as it is marked; the next look tries again.
                tracing::error!(%object, error = error.in_full(), "cannot note a repair");
                return;
            }
        }
    }
    suspect.quarantine();
}
