//! What the night says of itself, for reports and for whoever waits for its end. Changes nothing.

use control_types::fill::{FillReport, FillStateWord};

use super::Night;
use crate::board::Tally;
use crate::limits::TROUBLES_MAX;

impl Night {
    pub(super) fn word(&self, tally: &Tally) -> FillStateWord {
        let standing = self.standing.borrow();
        if standing.orders().is_none() {
            FillStateWord::Waiting
        } else if tally.planned == tally.done {
            FillStateWord::Done
        } else if !self.gate.borrow().is_open() || self.spent.get() {
            FillStateWord::Waiting
        } else if tally.done + tally.failed == tally.planned {
            FillStateWord::Stuck
        } else {
            FillStateWord::Filling
        }
    }

    pub(crate) fn report(&self) -> FillReport {
        let tally = self.board.borrow().tally();
        let now = self.clock.ticks();
        let mut lately = self.lately.borrow_mut();
        while lately.front().is_some_and(|(at, _)| at + 1_000 <= now) {
            lately.pop_front();
        }
        let standing = self.standing.borrow();
        FillReport {
            appliance: self.config.appliance.clone(),
            plan: standing.orders().and_then(|orders| orders.plan),
            state: self.word(&tally),
            objects_planned: tally.planned,
            objects_done: tally.done,
            bytes_planned: tally.planned_bytes,
            bytes_done: tally.done_bytes,
            bytes_from: self.ledger.borrow().from(),
            rate_bps: lately.iter().map(|(_, bytes)| bytes).sum::<u64>() * 8,
            failures: tally.failures,
            orders_refused: standing.refused(),
            troubles: self.troubles(),
        }
    }

    fn troubles(&self) -> Vec<String> {
        let mut troubles = self.vault.borrow().troubles();
        let refused = self.refusing.get();
        troubles.extend(refused.map(|refused| format!("orders refused: {}", refused.why())));
        troubles.extend(self.state.troubles());
        if self.standing.borrow().is_behind() {
            troubles.push(
                "newer orders cannot be kept and are not taken: fill goes on under the last ones \
                 that were; what the newer ones close stays closed until fill-agent ends"
                    .to_owned(),
            );
        }
        if self.note_again_at.get().is_some() {
            let folder = self.config.state_dir.display();
            troubles.push(format!("the open window cannot be noted in {folder}: fill rests"));
        }
        troubles.extend(self.clock.doubt().map(|doubt| doubt.why()));
        troubles.extend(self.clock.wall_set_ms().map(|set_ms| {
            let set_s = set_ms / 1_000;
            format!(
                "the machine's clock was set by {set_s} s while fill-agent was down: windows go by \
                 the time since boot until control answers"
            )
        }));
        let silent_ms = self.foreground.borrow().silent_ms(self.clock.ticks());
        troubles.extend(silent_ms.map(|silent_ms| {
            let silent_s = silent_ms / 1_000;
            format!("oca is there and has answered nothing for {silent_s} s: it counts as busy")
        }));
        troubles.truncate(TROUBLES_MAX);
        troubles
    }
}
