//! The orders in force: from control when it answers, from disk when it does not. Decides which of
//! two orders counts; acts on none.
//!
//! Orders are believed when the key that signed them is the one this agent pinned: the configured
//! `control.orders_key`, or else the first it ever saw, kept beside the orders. Control changes its
//! key by announcing the next one in orders that the pinned key signed: what the announced key
//! signs is believed then, and from the first such orders on it is the pinned one, and what the one
//! before it signs is believed no more. Nobody but the pinned key can announce. Orders are taken
//! when they are for this appliance and later than what is kept: a higher plan serial, or the same
//! and issued no earlier. Anything else is refused, counted and reported, and the last good orders
//! go on.

use std::rc::Rc;

use control_token::are_signed;
use control_types::fill::{Orders, SignedOrders};
use control_types::ids::ApplianceId;
use serde::{Deserialize, Serialize};

use crate::clock::Anchor;
use crate::error::AgentError;
use crate::state_dir::StateDir;

/// Their file in the state directory.
const NAME: &str = "orders";
/// Fresh tickets alone are written this often at most, milliseconds; they live for hours.
const TICKET_KEPT_MS: u64 = 600_000;

/// What is on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    signed: SignedOrders,
    /// The key believed.
    pinned: String,
    /// The key that it announced, if it did.
    #[serde(default)]
    announced: Option<String>,
    /// The configured key that `pinned` came from, by announcements; none for the first key seen.
    #[serde(default)]
    configured: Option<String>,
    /// Control's clock minus ours when they came, milliseconds.
    skew_ms: i64,
}

/// The orders and where they are kept.
pub(crate) struct Standing {
    state: Rc<StateDir>,
    appliance: ApplianceId,
    configured: Option<String>,
    pinned: Option<String>,
    announced: Option<String>,
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
                "not signed with the pinned key, nor with one that it announced; if control has a new \
                 one, set control.orders_key or remove orders.json"
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
        state: Rc<StateDir>,
        appliance: ApplianceId,
        configured: Option<String>,
    ) -> Result<(Self, i64), AgentError> {
        let kept: Option<Kept> = state.load(NAME, "fill orders")?;
        let skew_ms = kept.as_ref().map_or(0, |kept| kept.skew_ms);
        let mut standing = Self {
            state,
            appliance,
            pinned: configured.clone(),
            configured,
            announced: None,
            orders: None,
            kept_at: 0,
            refused: 0,
        };
        if let Some(kept) = kept {
            // A key that the operator changed is believed at once, and nothing that came of the one
            // before; one that stands as it was may have been followed by others since.
            let is_changed = standing.configured.is_some()
                && kept.configured != standing.configured
                && standing.configured.as_ref() != Some(&kept.pinned);
            if !is_changed {
                (standing.pinned, standing.announced) = (Some(kept.pinned), kept.announced);
            }
            match standing.believed(&kept.signed) {
                Ok((orders, _)) => standing.orders = Some(orders),
                Err(refused) => tracing::error!("the kept orders are {}", refused.why()),
            }
        }
        Ok((standing, skew_ms))
    }

    /// The orders in force; none before the first answer ever.
    pub(crate) fn orders(&self) -> Option<&Orders> {
        self.orders.as_ref()
    }

    /// What the orders say of the time, for a start that finds no anchor: they came when control's
    /// clock was `skew_ms` ahead of this machine's. The boot was any.
    pub(crate) fn anchor(&self, skew_ms: i64) -> Option<Anchor> {
        let signed_ms = self.orders.as_ref()?.now.0;
        let wall_ms = signed_ms.saturating_add_signed(skew_ms.saturating_neg());
        let boot_id = String::new();
        Some(Anchor { boot_id, boot_ms: 0, wall_ms, control_ms: signed_ms, signed_ms })
    }

    /// How many orders were refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Checks an answer of control against the pinned key, or the one that key announced; without
    /// any, its own key is pinned once the orders are taken. Answers the orders and their key.
    fn believed(&self, signed: &SignedOrders) -> Result<(Orders, String), Refused> {
        let pinned = self.pinned.as_ref().unwrap_or(&signed.key);
        let known = [Some(pinned), self.announced.as_ref()];
        let is_signed = |key: &&String| are_signed(&signed.orders, &signed.signature, key);
        let key = known.into_iter().flatten().find(is_signed).ok_or(Refused::Forged)?.clone();
        let orders: Orders = serde_json::from_str(&signed.orders).map_err(|_| Refused::Garbled)?;
        if orders.appliance != self.appliance {
            return Err(Refused::NotOurs);
        }
        let is_older = |old: &Orders| (orders.serial, orders.now) < (old.serial, old.now);
        if self.orders.as_ref().is_some_and(is_older) {
            return Err(Refused::Older);
        }
        Ok((orders, key))
    }

    /// Takes in an answer of control and keeps what changed on disk before anything is done with
    /// it. `skew` is worked out from the orders' own time once they are believed.
    pub(crate) fn take(
        &mut self,
        signed: SignedOrders,
        skew: impl FnOnce(&Orders) -> i64,
        ticks: u64,
    ) -> Result<Took, AgentError> {
        let (new, key) = match self.believed(&signed) {
            Ok(believed) => believed,
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
        let followed = self.pinned.as_ref().is_some_and(|pinned| *pinned != key);
        // Silence withdraws nothing: a process of control may not have read the next key yet.
        let own = new.next_key.clone().filter(|next| *next != key);
        let announced = if followed { own } else { own.or_else(|| self.announced.clone()) };
        let is_news = followed || announced != self.announced;
        if took == Took::New || !windows_same || stale_ticket || is_news {
            if self.pinned.is_none() || followed {
                tracing::info!(key, followed, "orders are believed when signed with this key");
            }
            let (pinned, configured) = (key, self.configured.clone());
            let kept = Kept { signed, pinned, announced, configured, skew_ms };
            if let Err(error) = self.state.store(NAME, &kept) {
                // Work that cannot be kept is not begun, but a window that was closed is closed.
                if let Some(old) = &mut self.orders {
                    old.windows = new.windows;
                }
                return Err(error);
            }
            (self.pinned, self.announced) = (Some(kept.pinned), kept.announced);
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

    fn open(state: &Rc<StateDir>, key: Option<String>) -> Standing {
        Standing::open(Rc::clone(state), "edge-a1".parse().unwrap(), key).unwrap().0
    }

    #[test]
    fn older_or_forged_orders_are_refused_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
        let control = OrdersSigner::generate().unwrap();
        let mut standing = open(&state, None);
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
            standing = open(&state, None);
        }
        // A new plan counts however the clock stands.
        assert_eq!(take(&mut standing, signed(&control, &orders(8, 1))), Took::New);
    }

    #[test]
    fn the_same_orders_sent_again_do_not_set_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let control = OrdersSigner::generate().unwrap();
        let mut standing = open(&Rc::new(StateDir::open(dir.path(), None).unwrap()), None);
        let again = signed(&control, &orders(7, 100));
        standing.take(again.clone(), |_| 0, 0).unwrap();
        let took = standing.take(again, |_| panic!("a replay set the clock"), 0).unwrap();
        assert_eq!(took, Took::Same);
    }

    #[test]
    fn a_closed_window_is_closed_though_the_orders_cannot_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        let state = Rc::new(StateDir::open(&folder, None).unwrap());
        let control = OrdersSigner::generate().unwrap();
        let mut standing = open(&state, None);
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
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(standing.take(signed(&control, &orders(7, 200)), |_| 0, 0).is_err());
        assert!(standing.orders().unwrap().windows.is_empty());
    }

    #[test]
    fn a_configured_key_is_believed_and_no_other_ever() {
        let dir = tempfile::tempdir().unwrap();
        let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
        let (control, thief) =
            (OrdersSigner::generate().unwrap(), OrdersSigner::generate().unwrap());
        let mut standing = open(&state, Some(control.public_key()));
        let first = standing.take(signed(&thief, &orders(1, 1)), |_| 0, 0).unwrap();
        assert_eq!(first, Took::Refused(Refused::Forged));
        standing.take(signed(&control, &orders(1, 1)), |_| 0, 0).unwrap();
        // The operator changes the key: what the old one signed is no longer believed.
        let standing = open(&state, Some(thief.public_key()));
        assert!(standing.orders().is_none());
    }

    #[test]
    fn an_announced_key_is_followed_and_the_one_before_it_is_believed_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let state = Rc::new(StateDir::open(dir.path(), None).unwrap());
        let keys: Vec<OrdersSigner> = (0..4).map(|_| OrdersSigner::generate().unwrap()).collect();
        let announcing = |now: u64, next: Option<&OrdersSigner>| {
            let next_key = next.map(OrdersSigner::public_key);
            Orders { next_key, ..orders(1, now) }
        };
        let forged = Took::Refused(Refused::Forged);
        let [first, second, third, thief] = &keys[..] else { unreachable!("four were made") };
        let configured = Some(first.public_key());
        let mut standing = open(&state, configured.clone());
        standing.take(signed(first, &announcing(1, None)), |_| 0, 0).unwrap();
        // A thief announces itself, and then signs as if it had been believed.
        let claims = signed(thief, &announcing(2, Some(thief)));
        assert_eq!(standing.take(claims.clone(), |_| 0, 0).unwrap(), forged);
        let borrowed = SignedOrders { signature: claims.signature, ..signed(first, &orders(1, 2)) };
        assert_eq!(standing.take(borrowed, |_| 0, 0).unwrap(), forged);
        let thiefs = SignedOrders { key: first.public_key(), ..signed(thief, &orders(1, 3)) };
        assert_eq!(standing.take(thiefs, |_| 0, 0).unwrap(), forged);
        // Nor is the true next key believed before it was announced.
        assert_eq!(standing.take(signed(second, &orders(1, 4)), |_| 0, 0).unwrap(), forged);

        standing.take(signed(first, &announcing(5, Some(second))), |_| 0, 0).unwrap();
        // Kept across a restart, and not forgotten when a process of control says nothing of it.
        let mut standing = open(&state, configured.clone());
        assert_eq!(standing.take(signed(first, &orders(1, 6)), |_| 0, 0).unwrap(), Took::Same);
        assert_eq!(standing.take(signed(second, &orders(1, 7)), |_| 0, 0).unwrap(), Took::Same);
        assert_eq!(standing.take(signed(first, &orders(1, 8)), |_| 0, 0).unwrap(), forged);
        // The file still names the first key; what followed it stays believed after a restart.
        let mut standing = open(&state, configured);
        assert!(standing.orders().is_some());
        standing.take(signed(second, &announcing(9, Some(third))), |_| 0, 0).unwrap();
        assert_eq!(standing.take(signed(third, &orders(1, 10)), |_| 0, 0).unwrap(), Took::Same);
        // The operator names another: nothing of the old line is believed.
        let mut standing = open(&state, Some(thief.public_key()));
        assert!(standing.orders().is_none());
        assert_eq!(standing.take(signed(third, &orders(1, 11)), |_| 0, 0).unwrap(), forged);
    }
}
