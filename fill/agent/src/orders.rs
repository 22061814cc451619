//! The orders in force: from control when it answers, from disk when it does not. Decides which of
//! two orders counts; acts on none.
//!
//! Orders are believed when the key that signed them is the one this agent pinned: the configured
//! `control.orders_key`, or else the first it ever saw, kept beside the orders. They are taken when
//! they are for this appliance and later than what is kept: a higher plan serial, or the same and
//! issued no earlier. Anything else is refused, counted and reported, and the last good orders go
//! on.

use std::path::PathBuf;

use control_token::are_signed;
use control_types::fill::{Orders, SignedOrders};
use control_types::ids::ApplianceId;
use serde::{Deserialize, Serialize};

use crate::error::AgentError;
use crate::state_file;

/// Fresh tickets alone are written this often at most, milliseconds; they live for hours.
const TICKET_KEPT_MS: u64 = 600_000;

/// What is on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    signed: SignedOrders,
    /// The key believed.
    pinned: String,
    /// Control's clock minus ours when they came, milliseconds.
    skew_ms: i64,
}

/// The orders and where they are kept.
pub(crate) struct Standing {
    path: PathBuf,
    appliance: ApplianceId,
    pinned: Option<String>,
    orders: Option<Orders>,
    kept_at: u64,
    refused: u64,
}

/// What came of new orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    /// The work is another.
    New,
    /// Same work; windows and ticket were taken over.
    Same,
    /// Refused; what was in force stays so.
    Refused(Refused),
}

/// Why orders were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not signed by the pinned key, or not what was signed.
    Forged,
    /// Signed, and not orders as this release knows them.
    Garbled,
    /// Signed for another appliance.
    NotOurs,
    /// Older than those in force.
    Older,
}

impl Refused {
    /// For the log and the report.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Forged => {
                "not signed with the pinned key; if control has a new one, set \
                 control.orders_key or remove orders.json"
            }
            Self::Garbled => "signed and not readable: is control of a later release?",
            Self::NotOurs => "signed for another appliance",
            Self::Older => {
                "older than those in force: a replay, or control's clock or ledger went back; \
                 remove orders.json to accept them"
            }
        }
    }
}

impl Standing {
    /// Reads what an earlier run kept, for the appliance `appliance`; `configured` is the key to
    /// believe, if the operator gave one. The second value is the clock skew of that time.
    pub(crate) fn open(
        path: PathBuf,
        appliance: ApplianceId,
        configured: Option<String>,
    ) -> Result<(Self, i64), AgentError> {
        let kept: Option<Kept> = state_file::load(&path, "fill orders")?;
        let skew_ms = kept.as_ref().map_or(0, |kept| kept.skew_ms);
        let mut standing =
            Self { path, appliance, pinned: configured, orders: None, kept_at: 0, refused: 0 };
        if let Some(kept) = kept {
            standing.pinned.get_or_insert(kept.pinned);
            match standing.believed(&kept.signed) {
                Ok(orders) => standing.orders = Some(orders),
                Err(refused) => tracing::error!("the kept orders are {}", refused.why()),
            }
        }
        Ok((standing, skew_ms))
    }

    /// The orders in force; none before the first answer ever.
    pub(crate) fn orders(&self) -> Option<&Orders> {
        self.orders.as_ref()
    }

    /// How many orders were refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Checks an answer of control against the pinned key; without one, its own key is pinned once
    /// the orders are taken.
    fn believed(&self, signed: &SignedOrders) -> Result<Orders, Refused> {
        let key = self.pinned.as_ref().unwrap_or(&signed.key);
        if !are_signed(&signed.orders, &signed.signature, key) {
            return Err(Refused::Forged);
        }
        let orders: Orders = serde_json::from_str(&signed.orders).map_err(|_| Refused::Garbled)?;
        if orders.appliance != self.appliance {
            return Err(Refused::NotOurs);
        }
        let is_older = |old: &Orders| (orders.serial, orders.now) < (old.serial, old.now);
        if self.orders.as_ref().is_some_and(is_older) {
            return Err(Refused::Older);
        }
        Ok(orders)
    }

    /// Takes in an answer of control and keeps what changed on disk before anything is done with
    /// it. `skew` is worked out from the orders' own time once they are believed.
    pub(crate) fn take(
        &mut self,
        signed: SignedOrders,
        skew: impl FnOnce(&Orders) -> i64,
        ticks: u64,
    ) -> Result<Took, AgentError> {
        let new = match self.believed(&signed) {
            Ok(new) => new,
            Err(refused) => {
                self.refused += 1;
                return Ok(Took::Refused(refused));
            }
        };
        let old = self.orders.as_ref();
        let same = old.is_some_and(|old| new.serial == old.serial && new.work == old.work);
        let took = if same { Took::Same } else { Took::New };
        // The very orders in force, sent again, say nothing about the time: a clock that went by
        // them would never reach a window's end.
        let is_replay = old.is_some_and(|old| (old.serial, old.now) == (new.serial, new.now));
        if is_replay && same {
            return Ok(Took::Same);
        }
        let skew_ms = skew(&new);
        let stale_ticket = ticks.saturating_sub(self.kept_at) >= TICKET_KEPT_MS;
        let windows_same = old.is_some_and(|old| old.windows == new.windows);
        if took == Took::New || !windows_same || stale_ticket {
            let pinned = self.pinned.clone().unwrap_or_else(|| signed.key.clone());
            if self.pinned.is_none() {
                tracing::info!(key = pinned, "orders are believed when signed with this key");
            }
            let kept = Kept { signed, pinned, skew_ms };
            if let Err(error) = state_file::store(&self.path, &kept) {
                // Work that cannot be kept is not begun, but a window that was closed is closed.
                if let Some(old) = &mut self.orders {
                    old.windows = new.windows;
                }
                return Err(error);
            }
            self.pinned = Some(kept.pinned);
            self.kept_at = ticks;
        }
        self.orders = Some(new);
        Ok(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_token::OrdersSigner;
    use control_types::UnixMillis;

    fn orders(serial: u64, now: u64) -> Orders {
        Orders {
            appliance: "edge-a1".parse().unwrap(),
            now: UnixMillis(now),
            serial,
            plan: None,
            windows: Vec::new(),
            work: None,
            fill_ticket: format!("ticket-{serial}-{now}"),
            next_key: None,
        }
    }

    fn signed(signer: &OrdersSigner, orders: &Orders) -> SignedOrders {
        let orders = serde_json::to_string(orders).unwrap();
        let signature = signer.sign(&orders);
        SignedOrders { orders, signature, key: signer.public_key() }
    }

    fn open(path: &std::path::Path, key: Option<String>) -> Standing {
        Standing::open(path.to_owned(), "edge-a1".parse().unwrap(), key).unwrap().0
    }

    #[test]
    fn older_or_forged_orders_are_refused_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.json");
        let control = OrdersSigner::generate().unwrap();
        let mut standing = open(&path, None);
        let take = |standing: &mut Standing, signed| standing.take(signed, |_| 5, 0).unwrap();
        assert_eq!(take(&mut standing, signed(&control, &orders(7, 100))), Took::New);
        assert_eq!(take(&mut standing, signed(&control, &orders(7, 200))), Took::Same);
        for again in 0..2 {
            let refused = |standing: &mut Standing, signed, why| {
                assert_eq!(take(standing, signed), Took::Refused(why), "round {again}");
            };
            // A replay of the same plan's earlier orders could open a window that was closed. What
            // was only a fresh ticket is not on disk, so a restart may accept that one again.
            let earlier = 99;
            refused(&mut standing, signed(&control, &orders(7, earlier)), Refused::Older);
            refused(&mut standing, signed(&control, &orders(6, 900)), Refused::Older);
            let mut forged = signed(&control, &orders(8, 300));
            forged.orders = forged.orders.replace("\"serial\":8", "\"serial\":9");
            refused(&mut standing, forged, Refused::Forged);
            let thief = OrdersSigner::generate().unwrap();
            refused(&mut standing, signed(&thief, &orders(8, 300)), Refused::Forged);
            let mut others = orders(8, 300);
            others.appliance = "edge-a2".parse().unwrap();
            refused(&mut standing, signed(&control, &others), Refused::NotOurs);
            assert_eq!(standing.refused(), 5);
            assert_eq!(standing.orders().unwrap().serial, 7);
            standing = open(&path, None);
        }
        // A new plan counts however the clock stands.
        assert_eq!(take(&mut standing, signed(&control, &orders(8, 1))), Took::New);
    }

    #[test]
    fn the_same_orders_sent_again_do_not_set_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let control = OrdersSigner::generate().unwrap();
        let mut standing = open(&dir.path().join("orders.json"), None);
        let again = signed(&control, &orders(7, 100));
        standing.take(again.clone(), |_| 0, 0).unwrap();
        let took = standing.take(again, |_| panic!("a replay set the clock"), 0).unwrap();
        assert_eq!(took, Took::Same);
    }

    #[test]
    fn a_closed_window_is_closed_though_the_orders_cannot_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let control = OrdersSigner::generate().unwrap();
        let mut standing = open(&state.join("orders.json"), None);
        let mut first = orders(7, 100);
        first.windows.push(control_types::fill::Window {
            id: "night".parse().unwrap(),
            scope: control_types::fill::WindowScope::Everyone,
            opens_at: UnixMillis(0),
            closes_at: UnixMillis(1_000),
            rate_bps_max: None,
            bytes_max: None,
            closed: false,
        });
        standing.take(signed(&control, &first), |_| 0, 0).unwrap();
        std::fs::remove_dir_all(&state).unwrap();
        assert!(standing.take(signed(&control, &orders(7, 200)), |_| 0, 0).is_err());
        assert!(standing.orders().unwrap().windows.is_empty());
    }

    #[test]
    fn a_configured_key_is_believed_and_no_other_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.json");
        let (control, thief) =
            (OrdersSigner::generate().unwrap(), OrdersSigner::generate().unwrap());
        let mut standing = open(&path, Some(control.public_key()));
        let first = standing.take(signed(&thief, &orders(1, 1)), |_| 0, 0).unwrap();
        assert_eq!(first, Took::Refused(Refused::Forged));
        standing.take(signed(&control, &orders(1, 1)), |_| 0, 0).unwrap();
        // The operator changes the key: what the old one signed is no longer believed.
        let standing = open(&path, Some(thief.public_key()));
        assert!(standing.orders().is_none());
    }
}
