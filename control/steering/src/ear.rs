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
//! - Of those who were heard within `SILENCE_BELIEVED_MS`, at most `silent_percent_max` (but always
//!   `SILENT_ALWAYS`) may be left out for silence. When more fell silent, control has rather lost
//!   sight of a part of the network, and those heard last are offered as before.
//! - *Late* when a report is overdue by half of its interval, and at least by `late_ms`: a late box
//!   stands behind all others at once, long before it is silent, because being wrong costs little.
//!   When more are late than may be left out, nobody is.
//! - What an operator is shown is never softened: silent is silent.

use std::sync::Arc;

use control_types::UnixMillis;
use control_types::fleet::Health;

use crate::fleet::{Registry, Seen};
use crate::health::health;
use crate::limits::{
    LATE_PERCENT, NEXT_REPORT_MS_MAX, OVERDUE_MS_MIN, OVERDUE_PERCENT, SILENCE_BELIEVED_MS,
    SILENT_ALWAYS, SILENT_PERCENT,
};
use crate::service::Settings;

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
    /// Interval that the last reporter announced, milliseconds; 0: none.
    pub interval_ms: u64,
}

impl Ear {
    /// The ear after a report of anybody at `now`.
    #[must_use]
    pub fn heard(self, silent_ms: u64, next_report_ms: u64, now: UnixMillis) -> Self {
        let silent_ms = self.patience(silent_ms);
        let gap_ms = now.millis_since(self.heard_at);
        let back_ms = self.heard_at.millis_since(now);
        if back_ms > 0 && back_ms <= silent_ms {
            // Two reports that overtook each other: following them would count the time twice.
            return self;
        }
        let listened_ms = if gap_ms <= silent_ms { gap_ms } else { 0 };
        let steady_ms = self.steady_ms.saturating_add(listened_ms);
        Self { heard_at: now, steady_ms, interval_ms: interval_ms(next_report_ms) }
    }

    /// Longest gap between two reports of anybody that is nobody's silence.
    fn patience(self, silent_ms: u64) -> u64 {
        silent_ms.max(self.interval_ms * SILENT_PERCENT / 100)
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
    late_ms: u64,
    listened_ms: u64,
    /// Silence up to this long is doubted; 0 when none is.
    doubted_ms: u64,
    /// So many are late that lateness says nothing.
    is_late_ignored: bool,
    left_out_percent: usize,
}

/// What is believed of one appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Whether it may be offered.
    pub health: Health,
    /// It is offered in spite of its silence.
    pub is_doubted: bool,
    /// Its report is overdue.
    pub is_late: bool,
}

impl Sight {
    /// Of the fleet at `now`; `heard` is by the registry's order.
    #[must_use]
    pub fn of(
        registry: &Registry,
        heard: &[Option<Arc<Seen>>],
        ear: Ear,
        settings: &Settings,
        now: UnixMillis,
    ) -> Self {
        let is_deaf = now.millis_since(ear.heard_at) > ear.patience(settings.silent_ms);
        let listened_ms = if is_deaf { ear.steady_ms } else { ear.listened_ms(now) };
        let mut sight = Self {
            is_deaf,
            silent_ms: settings.silent_ms,
            late_ms: settings.late_ms,
            listened_ms,
            doubted_ms: 0,
            is_late_ignored: false,
            left_out_percent: settings.silent_percent_max,
        };
        let (mut known, mut late) = (0usize, 0usize);
        let mut silent: Vec<u64> = Vec::new();
        for (registered, seen) in registry.appliances.values().zip(heard) {
            let Some(seen) = seen else { continue };
            let age_ms = listened_ms.saturating_sub(seen.steady_ms);
            // One that was taken out on purpose is not missed.
            if registered.drains.any() || seen.report.draining || age_ms > SILENCE_BELIEVED_MS {
                continue;
            }
            known += 1;
            if age_ms > silent_ms_of(seen, settings.silent_ms) {
                silent.push(age_ms);
            } else if age_ms > late_ms_of(seen, settings.late_ms) {
                late += 1;
            }
        }
        silent.sort_unstable_by(|a, b| b.cmp(a));
        let left_out_max = sight.left_out_max(known);
        sight.doubted_ms = silent.get(left_out_max).copied().unwrap_or(0);
        sight.is_late_ignored = late + silent.len() > left_out_max;
        sight
    }

    /// How many of `known` appliances may be left out at once.
    #[must_use]
    pub fn left_out_max(&self, known: usize) -> usize {
        (known * self.left_out_percent / 100).max(SILENT_ALWAYS)
    }

    /// What is believed of an appliance; `drain` says that it was asked to drain.
    #[must_use]
    pub fn judge(&self, drain: bool, seen: Option<&Seen>) -> Belief {
        let Some(seen) = seen else {
            return Belief { health: Health::Unheard, is_doubted: false, is_late: false };
        };
        let silent_ms = silent_ms_of(seen, self.silent_ms);
        let plain = health(Some(seen), drain, silent_ms, self.listened_ms);
        let age_ms = self.listened_ms.saturating_sub(seen.steady_ms);
        let is_late = age_ms > late_ms_of(seen, self.late_ms) && !self.is_late_ignored;
        if plain != Health::Silent {
            return Belief { health: plain, is_doubted: false, is_late };
        }
        let trusted_ms = silent_ms.max(self.doubted_ms);
        let believed = health(Some(seen), drain, trusted_ms, self.listened_ms);
        let is_doubted = believed != Health::Silent;
        Belief { health: believed, is_doubted, is_late: is_late && !is_doubted }
    }
}

/// Silence of one appliance begins after this, by the interval it announced.
#[must_use]
pub fn silent_ms_of(seen: &Seen, silent_ms: u64) -> u64 {
    silent_ms.max(interval_ms(seen.report.more.next_report_ms) * SILENT_PERCENT / 100)
}

fn late_ms_of(seen: &Seen, late_ms: u64) -> u64 {
    late_ms.max(interval_ms(seen.report.more.next_report_ms) * LATE_PERCENT / 100)
}

/// Whether one report has not come when it was announced: enough to believe one player that could
/// not connect.
#[must_use]
pub fn late_by(seen: &Seen, ear: Ear, now: UnixMillis) -> bool {
    let interval_ms = interval_ms(seen.report.more.next_report_ms).max(OVERDUE_MS_MIN);
    ear.listened_ms(now).saturating_sub(seen.steady_ms) > interval_ms * OVERDUE_PERCENT / 100
}

fn interval_ms(announced_ms: u64) -> u64 {
    announced_ms.min(NEXT_REPORT_MS_MAX)
}
