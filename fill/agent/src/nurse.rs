//! The nurse: what readers, scrubs and moves marked as bad is quarantined, fetched again and
//! forgotten once it is whole. Looks at no byte itself.

use std::rc::Rc;

use crate::limits::SUSPECTS_MS;
use crate::night::Night;

/// Works until the night is stopped.
pub(crate) async fn nurse(night: Rc<Night>) {
    while !night.stopping() {
        let lost = night.vault.borrow().quarantine_suspects();
        let mut changed = !lost.is_empty();
        {
            let mut ledger = night.ledger.borrow_mut();
            for repair in lost {
                let object = repair.object;
                match ledger.add_repair(repair) {
                    Ok(true) => {}
                    Ok(false) => tracing::error!(%object, "too many repairs: is a disk dying?"),
                    Err(error) => tracing::error!(%object, error = error.in_full(), "repair lost"),
                }
            }
            let vault = night.vault.borrow();
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
