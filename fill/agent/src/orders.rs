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
//!
//! What is not on disk is not acted on: after a restart nobody would know of it, and what was sent
//! before it would be taken. Where newer orders cannot be kept, fill goes on under the last ones
//! that were, and of the newer ones counts only what takes away: a window that they close or
//! narrow, or put a slower one of a narrower scope beside, is so for as long as this process lives.
//! Their fresh ticket is used as well; it opens nothing that is not ordered. They are tried again
//! with each answer of control.

use std::rc::Rc;

use control_token::are_signed;
use control_types::UnixMillis;
use control_types::fill::{Orders, SignedOrders, Window};
use control_types::ids::{ApplianceId, WindowId};
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
    /// Serial and time of the newest orders believed, kept or not; none before there were any. What
    /// is older is refused. Never before those in force.
    newest: Option<(u64, UnixMillis)>,
    /// Control's clock minus ours by the orders that told the time last, milliseconds.
    skew_ms: i64,
    /// The newest orders could not be kept: others are in force.
    is_behind: bool,
    kept_at: u64,
    refused: u64,
    unkept: u64,
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
            newest: None,
            skew_ms,
            is_behind: false,
            kept_at: 0,
            refused: 0,
            unkept: 0,
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
                Ok((orders, _)) => {
                    standing.newest = Some((orders.serial, orders.now));
                    standing.orders = Some(orders);
                }
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

    /// Control is known to have signed something at `signed_ms`, Unix milliseconds: orders of the
    /// plan in force from before that are a replay, though they are newer than those on disk, which
    /// are not written for every fresh ticket.
    pub(crate) fn heard(&mut self, signed_ms: u64) {
        if let Some((_, now)) = &mut self.newest {
            now.0 = now.0.max(signed_ms);
        }
    }

    /// How many times newer orders could not be kept since the start.
    pub(crate) fn unkept(&self) -> u64 {
        self.unkept
    }

    /// Whether the newest orders could not be kept, and others are in force.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
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
        if self.newest.is_some_and(|newest| (orders.serial, orders.now) < newest) {
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
        // Nor do those that could not be kept, sent again.
        if self.newest != Some((new.serial, new.now)) {
            self.skew_ms = skew(&new);
        }
        let skew_ms = self.skew_ms;
        let stale_ticket = ticks.saturating_sub(self.kept_at) >= TICKET_KEPT_MS;
        let windows_same = old.is_some_and(|old| old.windows == new.windows);
        let followed = self.pinned.as_ref().is_some_and(|pinned| *pinned != key);
        // Silence withdraws nothing: a process of control may not have read the next key yet.
        let own = new.next_key.clone().filter(|next| *next != key);
        let announced = if followed { own } else { own.or_else(|| self.announced.clone()) };
        let is_news = followed || announced != self.announced;
        if took == Took::New || !windows_same || stale_ticket || is_news || self.is_behind {
            if self.pinned.is_none() || followed {
                tracing::info!(key, followed, "orders are believed when signed with this key");
            }
            let (pinned, configured) = (key, self.configured.clone());
            let kept = Kept { signed, pinned, announced, configured, skew_ms };
            if let Err(error) = self.state.store(NAME, &kept) {
                self.stay_with_kept(new);
                return Err(error);
            }
            (self.pinned, self.announced) = (Some(kept.pinned), kept.announced);
            self.kept_at = ticks;
            self.is_behind = false;
        }
        self.newest = Some((new.serial, new.now));
        self.orders = Some(new);
        Ok(took)
    }

    /// `newer` cannot be kept: what is in force stays, less what they take away.
    fn stay_with_kept(&mut self, newer: Orders) {
        self.unkept += 1;
        // Before a key is pinned anybody's orders are believed, and must not end all others.
        let (Some(old), Some(_)) = (&mut self.orders, &self.pinned) else { return };
        self.is_behind = true;
        self.newest = Some((newer.serial, newer.now));
        old.fill_ticket = newer.fill_ticket;
        let known: Vec<WindowId> = old.windows.iter().map(|window| window.id.clone()).collect();
        old.windows.retain_mut(|window| {
            let Some(now) = newer.windows.iter().find(|newer| newer.id == window.id) else {
                return false;
            };
            narrow(window, now);
            // What is new and of a narrower scope counts before it where both are open. It opens
            // nothing, and its cap and its budget hold for all of the wider one: too little is
            // safe.
            let is_new = |other: &&Window| !known.contains(&other.id);
            for other in newer.windows.iter().filter(is_new) {
                if counts_before(other, window) {
                    cap(window, other);
                }
            }
            true
        });
    }
}

/// Whether `other` counts at some time at which `window` would without it.
fn counts_before(other: &Window, window: &Window) -> bool {
    !other.closed
        && other.scope.breadth() < window.scope.breadth()
        && other.opens_at < window.closes_at
        && window.opens_at < other.closes_at
}

/// Leaves of `window` what `newer` allows as well.
fn narrow(window: &mut Window, newer: &Window) {
    window.opens_at = window.opens_at.max(newer.opens_at);
    window.closes_at = window.closes_at.min(newer.closes_at);
    window.closed |= newer.closed;
    cap(window, newer);
}

/// Leaves `window` no more rate and no more bytes than `other` has.
fn cap(window: &mut Window, other: &Window) {
    let lower = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
    window.rate_bps_max = lower(window.rate_bps_max, other.rate_bps_max);
    window.bytes_max = lower(window.bytes_max, other.bytes_max);
}

#[cfg(test)]
#[path = "orders/tests.rs"]
mod tests;
