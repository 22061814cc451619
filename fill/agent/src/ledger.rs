//! What must survive a kill beside the orders: bytes spent of a window, boxes known as sources,
//! repairs not yet made. Small, so that writing it often costs nothing.
//!
//! Bytes are noted for every window, with a budget or without: it may be given one while it is
//! open, and what came before counts under it. Noted ahead is a part of what was spent where
//! nothing bounds it, so that a fast line does not wait for the disk, and little where a budget
//! does: a kill loses that much of it.

use std::rc::Rc;

use control_types::fill::{BytesFrom, Pull, Source, SourceKind};
use control_types::ids::WindowId;
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::limits::{
    EARLIER_WINDOWS_MAX, KNOWN_SOURCES_MAX, REPAIRS_MAX, SET_ASIDE_BYTES, SET_ASIDE_ONE_IN,
    SET_ASIDE_OPEN_BYTES,
};
use crate::state_dir::StateDir;

/// Its file in the state directory.
const NAME: &str = "ledger";

#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    window: Option<WindowId>,
    /// At least what was spent of that window: rounded up, so that a kill errs on the ISP's side.
    set_aside_bytes: u64,
    /// The windows before it and what was spent of them, newest first: one that is open beside
    /// another may come to count again.
    #[serde(default)]
    earlier: Vec<(WindowId, u64)>,
    /// Newest first.
    known: Vec<Source>,
    repairs: Vec<Pull>,
}

/// The ledger and where it is kept.
pub(crate) struct Ledger {
    state: Rc<StateDir>,
    kept: Kept,
    spent_bytes: u64,
    from: BytesFrom,
}

impl Ledger {
    pub(crate) fn open(state: Rc<StateDir>) -> Result<Self, AgentError> {
        let kept: Kept = state.load(NAME, "the agent's ledger")?.unwrap_or_default();
        let spent_bytes = kept.set_aside_bytes;
        Ok(Self { state, kept, spent_bytes, from: BytesFrom::default() })
    }

    /// Says which window counts from now on; a new one begins at nothing spent.
    pub(crate) fn enter(&mut self, window: &WindowId) -> Result<(), AgentError> {
        if self.kept.window.as_ref() == Some(window) {
            return Ok(());
        }
        let mut next = self.kept.clone();
        let known = next.earlier.iter().position(|(earlier, _)| earlier == window);
        let spent = known.map_or(0, |at| next.earlier.remove(at).1);
        if let Some(before) = next.window.replace(window.clone()) {
            next.earlier.insert(0, (before, self.spent_bytes));
            next.earlier.truncate(EARLIER_WINDOWS_MAX);
        }
        next.set_aside_bytes = spent;
        self.change(next)?;
        self.spent_bytes = spent;
        self.from = BytesFrom::default();
        Ok(())
    }

    /// Takes `bytes` off the window's budget; false when that is more than is left.
    ///
    /// # Errors
    /// It cannot be noted, and nothing was taken.
    pub(crate) fn spend(&mut self, bytes: u64, bytes_max: Option<u64>) -> Result<bool, AgentError> {
        let spent = self.spent_bytes.saturating_add(bytes);
        let ahead = match bytes_max {
            Some(bytes_max) if spent > bytes_max => return Ok(false),
            Some(_) => SET_ASIDE_BYTES,
            None => {
                let (least, most) = SET_ASIDE_OPEN_BYTES;
                (spent / SET_ASIDE_ONE_IN).clamp(least, most)
            }
        };
        if spent > self.kept.set_aside_bytes {
            let most = bytes_max.unwrap_or(u64::MAX);
            let set_aside_bytes = spent.saturating_add(ahead).min(most);
            self.change(Kept { set_aside_bytes, ..self.kept.clone() })?;
        }
        self.spent_bytes = spent;
        Ok(true)
    }

    /// Takes bytes off a window without a budget though that cannot be noted now: a budget that
    /// comes while this process lives counts them, and the next that is noted notes them too.
    pub(crate) fn spend_unnoted(&mut self, bytes: u64) {
        self.spent_bytes = self.spent_bytes.saturating_add(bytes);
    }

    /// Notes bytes that came.
    pub(crate) fn came(&mut self, kind: SourceKind, bytes: u64) {
        match kind {
            SourceKind::Peer => self.from.peer += bytes,
            SourceKind::Tier => self.from.tier += bytes,
            SourceKind::Origin => self.from.origin += bytes,
        }
    }

    /// Bytes of this window by kind of source, since this process began.
    pub(crate) fn from(&self) -> BytesFrom {
        self.from
    }

    /// Remembers the boxes of `pulls` for repairs when a plan no longer names them.
    pub(crate) fn learn(&mut self, pulls: &[Pull]) -> Result<(), AgentError> {
        let mut known: Vec<Source> = Vec::new();
        let sources = pulls.iter().flat_map(|pull| &pull.sources).cloned();
        for mut source in sources.chain(self.kept.known.iter().cloned()) {
            source.pending = false;
            if known.len() < KNOWN_SOURCES_MAX
                && known.iter().all(|other| other.appliance != source.appliance)
            {
                known.push(source);
            }
        }
        if known == self.kept.known {
            return Ok(());
        }
        self.change(Kept { known, ..self.kept.clone() })
    }

    /// Boxes to ask for an object no plan speaks of: nearest first.
    pub(crate) fn known(&self) -> Vec<Source> {
        let mut known = self.kept.known.clone();
        known.sort_by_key(|source| source.kind);
        known
    }

    pub(crate) fn repairs(&self) -> &[Pull] {
        &self.kept.repairs
    }

    /// Notes a repair to make; false when there are too many.
    pub(crate) fn add_repair(&mut self, repair: Pull) -> Result<bool, AgentError> {
        if self.kept.repairs.len() >= REPAIRS_MAX {
            return Ok(false);
        }
        if self.kept.repairs.contains(&repair) {
            return Ok(true);
        }
        let mut next = self.kept.clone();
        next.repairs.retain(|other| other.object != repair.object);
        next.repairs.push(repair);
        self.change(next).map(|()| true)
    }

    /// Forgets repairs that `made` says are made.
    pub(crate) fn close_repairs(&mut self, made: impl Fn(&Pull) -> bool) -> Result<(), AgentError> {
        if !self.kept.repairs.iter().any(&made) {
            return Ok(());
        }
        let mut next = self.kept.clone();
        next.repairs.retain(|repair| !made(repair));
        self.change(next)
    }

    /// Disk first: what could not be kept was not said, or the next time would find it said already
    /// and go on as if it were kept.
    fn change(&mut self, next: Kept) -> Result<(), AgentError> {
        self.state.store(NAME, &next)?;
        self.kept = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_never_overspent_even_across_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
        let night: WindowId = "night".parse().unwrap();
        let budget = Some(3 * SET_ASIDE_BYTES);
        let mut spent = 0;
        for _ in 0..4 {
            // Each turn is a process that is killed after a few pieces.
            let mut ledger = Ledger::open(Rc::clone(&state)).unwrap();
            ledger.enter(&night).unwrap();
            for _ in 0..3 {
                if ledger.spend(SET_ASIDE_BYTES / 2, budget).unwrap() {
                    spent += SET_ASIDE_BYTES / 2;
                }
            }
        }
        assert!((SET_ASIDE_BYTES..=3 * SET_ASIDE_BYTES).contains(&spent), "{spent}");
        let mut ledger = Ledger::open(state).unwrap();
        ledger.enter(&"next".parse().unwrap()).unwrap();
        assert!(ledger.spend(SET_ASIDE_BYTES, budget).unwrap());
        // A faster window was open beside it for a while: nothing is given back by that.
        ledger.enter(&night).unwrap();
        assert!(!ledger.spend(3 * SET_ASIDE_BYTES - spent + 1, budget).unwrap());
    }

    /// Goal: a budget that a window is given while it is open counts what came before, whatever was
    /// killed meanwhile, and loses little by that. Method: each turn is a process that is killed.
    #[test]
    fn bytes_spent_before_there_was_a_budget_count_under_it_even_across_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
        let night: WindowId = "night".parse().unwrap();
        let mut spent = 0;
        for turn in 0..3 {
            let mut ledger = Ledger::open(Rc::clone(&state)).unwrap();
            ledger.enter(&night).unwrap();
            for _ in 0..100 {
                assert!(ledger.spend(SET_ASIDE_BYTES / 2, None).unwrap());
                spent += SET_ASIDE_BYTES / 2;
            }
            let noted = ledger.kept.set_aside_bytes;
            assert!(noted >= spent, "turn {turn}: {noted} of {spent} would survive a kill");
        }
        let mut ledger = Ledger::open(state).unwrap();
        ledger.enter(&night).unwrap();
        assert!(!ledger.spend(SET_ASIDE_BYTES, Some(spent)).unwrap(), "{spent} are forgotten");
        let lost = ledger.spent_bytes - spent;
        let most = spent / 4 + 3 * SET_ASIDE_OPEN_BYTES.0;
        assert!(lost <= most, "three kills lost {lost} of {spent}");
        assert!(ledger.spend(SET_ASIDE_BYTES, Some(2 * spent)).unwrap());
    }

    /// Goal: what could not be kept is not believed kept the next time it is asked for. Method: the
    /// folder goes, as a full or failing disk would refuse, and comes back.
    #[test]
    fn what_could_not_be_kept_is_not_gone_by() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let state = Rc::new(StateDir::open(&folder, None).unwrap());
        let mut ledger = Ledger::open(Rc::clone(&state)).unwrap();
        ledger.enter(&"yesterday".parse().unwrap()).unwrap();
        let budget = Some(4 * SET_ASIDE_BYTES);
        assert!(ledger.spend(3 * SET_ASIDE_BYTES, budget).unwrap());
        std::fs::remove_dir_all(&folder).unwrap();
        let night: WindowId = "night".parse().unwrap();
        for _ in 0..2 {
            assert!(ledger.enter(&night).is_err(), "fill would go on unnoted");
        }
        std::fs::create_dir(&folder).unwrap();
        ledger.enter(&night).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        for _ in 0..2 {
            assert!(ledger.spend(1, budget).is_err(), "a kill would give it back");
        }
        std::fs::create_dir(&folder).unwrap();
        assert!(ledger.spend(1, budget).unwrap());
        let mut again = Ledger::open(state).unwrap();
        again.enter(&night).unwrap();
        assert!(!again.spend(4 * SET_ASIDE_BYTES, budget).unwrap());
    }
}
