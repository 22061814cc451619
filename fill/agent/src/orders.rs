//! The orders in force: from control when it answers, from disk when it does not.
//! Decides which of two orders counts; acts on none.

use std::path::PathBuf;

use control_types::fill::Orders;
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::state_file;

/// Fresh tickets alone are written this often at most, milliseconds; they live for hours.
const TICKET_KEPT_MS: u64 = 600_000;

/// What is on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    orders: Orders,
    /// Control's clock minus ours when they came, milliseconds.
    skew_ms: i64,
}

/// The orders and where they are kept.
pub(crate) struct Standing {
    path: PathBuf,
    orders: Option<Orders>,
    kept_at: u64,
}

/// What came of new orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// The work is another.
    New,
    /// Same work; windows and ticket were taken over.
    Same,
    /// An older plan than ours: its windows and ticket were taken over, its work was not.
    Older {
        /// Its serial.
        offered: u64,
    },
}

impl Standing {
    /// Reads what an earlier run kept; the second value is the clock skew of that time.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, i64), AgentError> {
        let kept: Option<Kept> = state_file::load(&path, "fill orders")?;
        let skew_ms = kept.as_ref().map_or(0, |kept| kept.skew_ms);
        let orders = kept.map(|kept| kept.orders);
        Ok((Self { path, orders, kept_at: 0 }, skew_ms))
    }

    /// The orders in force; none before the first answer ever.
    pub(crate) fn orders(&self) -> Option<&Orders> {
        self.orders.as_ref()
    }

    /// Takes in an answer of control and keeps what changed on disk before anything is done with
    /// it.
    pub(crate) fn take(
        &mut self,
        mut new: Orders,
        skew_ms: i64,
        ticks: u64,
    ) -> Result<Took, AgentError> {
        let took = match &self.orders {
            Some(old) if new.serial < old.serial => {
                let offered = new.serial;
                (new.serial, new.plan, new.work) = (old.serial, old.plan, old.work.clone());
                Took::Older { offered }
            }
            Some(old) if new.serial == old.serial && new.work == old.work => Took::Same,
            _ => Took::New,
        };
        let stale_ticket = ticks.saturating_sub(self.kept_at) >= TICKET_KEPT_MS;
        let windows_same = self.orders.as_ref().is_some_and(|old| old.windows == new.windows);
        if took == Took::New || !windows_same || stale_ticket {
            let kept = Kept { orders: new, skew_ms };
            state_file::store(&self.path, &kept)?;
            self.kept_at = ticks;
            self.orders = Some(kept.orders);
        } else {
            self.orders = Some(new);
        }
        Ok(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_types::UnixMillis;

    fn orders(serial: u64, ticket: &str) -> Orders {
        Orders {
            now: UnixMillis(1),
            serial,
            plan: None,
            windows: Vec::new(),
            work: None,
            fill_ticket: ticket.to_owned(),
        }
    }

    #[test]
    fn an_older_plan_is_refused_even_after_a_restart_but_its_ticket_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.json");
        let (mut standing, _) = Standing::open(path.clone()).unwrap();
        assert_eq!(standing.take(orders(7, "a"), 5, 0).unwrap(), Took::New);
        assert_eq!(standing.take(orders(7, "b"), 5, 1).unwrap(), Took::Same);
        let (mut standing, skew_ms) = Standing::open(path).unwrap();
        assert_eq!(skew_ms, 5);
        let took = standing.take(orders(6, "c"), 5, 2).unwrap();
        assert_eq!(took, Took::Older { offered: 6 });
        let orders = standing.orders().unwrap();
        assert_eq!((orders.serial, orders.fill_ticket.as_str()), (7, "c"));
    }
}
