//! How far control may trust its own ears: a count of the time it has listened, and the sight of
//! the fleet that follows from it. Pure; never judges one appliance, that is `health.rs`.
//!
//! Mechanics: every report carries the wall clock's time to here. Time between two reports of
//! *anybody* counts as listened to if it is at most `silent_ms`. A longer gap is control's own: its
//! clock jumped, it was paused, or it was cut off; nobody ages over it. A clock set back ages
//! nobody either, and keeps nobody fresh for longer than until the next report.
//!
//! Policy, for whom members are sent to and whom the night fills:
//! - *Deaf* after `silent_ms` without a report of anybody: the fleet is judged as it was when the
//!   last report came, for as long as it takes.
//! - Of those who were heard within `SILENCE_BELIEVED_MS`, at most `SILENT_PERCENT_MAX` (but always
//!   `SILENT_ALWAYS`) may be left out for silence. When more fell silent, control has rather lost
//!   sight of a part of the network, and those heard last are offered as before.
//! - What an operator is shown is never softened: silent is silent.

use control_types::UnixMillis;
use control_types::fleet::Health;

use crate::fleet::{Fleet, Registered, Seen};
use crate::health::health;
use crate::limits::{SILENCE_BELIEVED_MS, SILENT_ALWAYS, SILENT_PERCENT_MAX};

/// One moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The machine's clock, which may jump: for people.
    pub wall: UnixMillis,
    /// Milliseconds listened, which only rise: for ages.
    pub steady_ms: u64,
}

/// When anybody was heard last, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ear {
    /// The wall clock then; 0 before the first report.
    pub heard_at: UnixMillis,
    /// Milliseconds listened until then.
    pub steady_ms: u64,
}

impl Ear {
    /// The ear after a report of anybody at `now`.
    #[must_use]
    pub fn heard(self, silent_ms: u64, now: UnixMillis) -> Self {
        let gap_ms = now.millis_since(self.heard_at);
        let back_ms = self.heard_at.millis_since(now);
        if back_ms > 0 && back_ms <= silent_ms {
            // Two reports that overtook each other: following them would count the time twice.
            return self;
        }
        let listened_ms = if gap_ms <= silent_ms { gap_ms } else { 0 };
        Self { heard_at: now, steady_ms: self.steady_ms.saturating_add(listened_ms) }
    }

    /// This moment by both clocks, right after `heard`.
    #[must_use]
    pub fn moment(self, now: UnixMillis) -> Moment {
        Moment { wall: now, steady_ms: self.steady_ms }
    }

    /// Milliseconds listened, as an operator counts them: silence of everybody counts too.
    #[must_use]
    pub fn listened_ms(self, now: UnixMillis) -> u64 {
        self.steady_ms.saturating_add(now.millis_since(self.heard_at))
    }
}

/// What is believed of the fleet at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Nobody at all was heard for longer than `silent_ms`.
    pub is_deaf: bool,
    silent_ms: u64,
    listened_ms: u64,
    /// Silence up to this long is doubted; 0 when none is.
    doubted_ms: u64,
}

impl Sight {
    /// Of `fleet` at `now`.
    #[must_use]
    pub fn of(fleet: &Fleet, silent_ms: u64, now: UnixMillis) -> Self {
        let is_deaf = now.millis_since(fleet.ear.heard_at) > silent_ms;
        let listened_ms = if is_deaf { fleet.ear.steady_ms } else { fleet.ear.listened_ms(now) };
        let mut heard = 0usize;
        let mut silent: Vec<u64> = Vec::new();
        for (id, registered) in &fleet.registry.appliances {
            let Some(seen) = fleet.seen.get(id) else { continue };
            let age_ms = listened_ms.saturating_sub(seen.steady_ms);
            // One that was taken out on purpose is not missed.
            if registered.drain || seen.report.draining || age_ms > SILENCE_BELIEVED_MS {
                continue;
            }
            heard += 1;
            if age_ms > silent_ms {
                silent.push(age_ms);
            }
        }
        let silent_max = (heard * SILENT_PERCENT_MAX / 100).max(SILENT_ALWAYS);
        silent.sort_unstable_by(|a, b| b.cmp(a));
        let doubted_ms = silent.get(silent_max).copied().unwrap_or(0);
        Self { is_deaf, silent_ms, listened_ms, doubted_ms }
    }

    /// Whether an appliance may be offered, as far as is believed; and whether that is in spite of
    /// its silence.
    #[must_use]
    pub fn judge(&self, registered: &Registered, seen: Option<&Seen>) -> (Health, bool) {
        let drain = registered.drain;
        let plain = health(seen, drain, self.silent_ms, self.listened_ms);
        if plain != Health::Silent {
            return (plain, false);
        }
        let trusted_ms = self.silent_ms.max(self.doubted_ms);
        let believed = health(seen, drain, trusted_ms, self.listened_ms);
        (believed, believed != Health::Silent)
    }
}
