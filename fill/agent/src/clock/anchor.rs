//! What a start may believe of the time before control has answered: the last word of control, kept
//! beside the machine's clocks of that moment. Pure; reads no clock and no file.
//!
//! ```text
//! same boot   control's time goes on by CLOCK_BOOTTIME, which nobody can set, whatever the wall
//!             clock says now
//! other boot  the wall clock, corrected by what it was wrong then; but control's time then is a
//!             floor, and what is before it, or far ahead of it, is in doubt until control answers
//! ```
//!
//! While the time is in doubt no window is open: fill that rests a night too long costs little,
//! fill at noon costs the ISP's month.

use serde::{Deserialize, Serialize};

use crate::limits::{AHEAD_MS_MAX, BEHIND_MS_MAX, WALL_MOVED_MS_MAX};

/// The machine's clocks at one moment, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Since the machine booted, sleep included.
    pub(crate) boot_ms: u64,
    /// Since 1970, as the machine believes.
    pub(crate) wall_ms: u64,
}

/// What is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    /// The kernel's name for this boot; empty for none that could be.
    pub(crate) boot_id: String,
    /// The machine's clocks when this was written, milliseconds.
    pub(crate) boot_ms: u64,
    /// See [`Reading::wall_ms`].
    pub(crate) wall_ms: u64,
    /// Control's time at that moment, milliseconds since 1970.
    pub(crate) control_ms: u64,
    /// The last time that control signed, which is no later.
    pub(crate) signed_ms: u64,
}

/// Why the time is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The machine says that this many milliseconds went by since control's last word.
    Ahead(u64),
    /// The machine says that it is this many milliseconds before control's last word.
    Behind(u64),
}

impl Doubt {
    /// For the log and the report.
    pub(crate) fn why(self) -> String {
        let (Self::Ahead(off_ms) | Self::Behind(off_ms)) = self;
        let side = if matches!(self, Self::Ahead(_)) { "after" } else { "before" };
        format!(
            "the machine booted anew and its clock stands {} min {side} what control said last: no \
             window is open until control answers; set the clock (NTP), look after its battery",
            off_ms / 60_000
        )
    }
}

/// What a start believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Belief {
    /// Control's time now, milliseconds since 1970.
    pub(crate) control_ms: u64,
    /// Set when windows must not be opened by it.
    pub(crate) doubt: Option<Doubt>,
    /// The wall clock was set by this much in this boot, milliseconds; it is not gone by.
    pub(crate) wall_set_ms: Option<i64>,
}

impl Belief {
    /// Nothing is known: the machine's clock is all there is.
    pub(crate) fn without(now: Reading) -> Self {
        Self { control_ms: now.wall_ms, doubt: None, wall_set_ms: None }
    }

    /// What `anchor` and the machine's clocks in the boot `boot_id` come to.
    pub(crate) fn of(anchor: &Anchor, boot_id: &str, now: Reading) -> Self {
        let same_boot = !boot_id.is_empty() && anchor.boot_id == boot_id;
        if same_boot && now.boot_ms >= anchor.boot_ms {
            let went_ms = now.boot_ms - anchor.boot_ms;
            let set_ms = signed(now.wall_ms) - signed(anchor.wall_ms.saturating_add(went_ms));
            return Self {
                control_ms: anchor.control_ms.saturating_add(went_ms),
                doubt: None,
                wall_set_ms: (set_ms.unsigned_abs() > WALL_MOVED_MS_MAX).then_some(set_ms),
            };
        }
        let wrong_ms = signed(anchor.control_ms) - signed(anchor.wall_ms);
        let claimed = now.wall_ms.saturating_add_signed(wrong_ms);
        let floor = anchor.control_ms.max(anchor.signed_ms);
        let (ahead, behind) = (claimed.saturating_sub(floor), floor.saturating_sub(claimed));
        let doubt = if ahead > AHEAD_MS_MAX {
            Some(Doubt::Ahead(ahead))
        } else if behind > BEHIND_MS_MAX {
            Some(Doubt::Behind(behind))
        } else {
            None
        };
        let control_ms = if doubt.is_some() { floor } else { claimed.max(floor) };
        Self { control_ms, doubt, wall_set_ms: None }
    }
}

/// Milliseconds that may be subtracted; no clock reaches where this ends.
fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX / 2).min(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 500_000 * HOUR;

    /// Control's clock is ten minutes ahead of this machine's, which has been up for a day.
    fn anchor() -> Anchor {
        Anchor {
            boot_id: "this".to_owned(),
            boot_ms: 24 * HOUR,
            wall_ms: NOW - 600_000,
            control_ms: NOW,
            signed_ms: NOW - HOUR,
        }
    }

    fn believed(boot_id: &str, boot_ms: u64, wall_ms: u64) -> Belief {
        Belief::of(&anchor(), boot_id, Reading { boot_ms, wall_ms })
    }

    #[test]
    fn in_the_same_boot_no_setting_of_the_clock_counts() {
        let well = believed("this", 27 * HOUR, NOW + 3 * HOUR - 600_000);
        let wanted = Belief { control_ms: NOW + 3 * HOUR, doubt: None, wall_set_ms: None };
        assert_eq!(well, wanted);
        // NTP goes a little faster or slower than the machine.
        let near = believed("this", 27 * HOUR, NOW + 3 * HOUR - 600_000 + WALL_MOVED_MS_MAX);
        assert_eq!(near, wanted);
        for set_ms in [100 * 24 * HOUR as i64, -100 * 24 * HOUR as i64] {
            let wall_ms = (NOW + 3 * HOUR - 600_000).saturating_add_signed(set_ms);
            let set = believed("this", 27 * HOUR, wall_ms);
            assert_eq!(set, Belief { wall_set_ms: Some(set_ms), ..wanted });
        }
    }

    #[test]
    fn in_another_boot_the_clock_counts_near_what_control_said() {
        for (wall_ms, control_ms) in [
            (NOW - 600_000 + 60_000, NOW + 60_000),
            (NOW - 600_000 + AHEAD_MS_MAX, NOW + AHEAD_MS_MAX),
            // A little before: control's word is the floor.
            (NOW - 600_000 - BEHIND_MS_MAX, NOW),
        ] {
            let belief = believed("next", 10_000, wall_ms);
            assert_eq!(belief, Belief { control_ms, doubt: None, wall_set_ms: None });
        }
    }

    #[test]
    fn in_another_boot_a_clock_far_from_what_control_said_opens_no_window() {
        let off_ms = AHEAD_MS_MAX + 1;
        let belief = believed("next", 10_000, NOW - 600_000 + off_ms);
        assert_eq!(belief.doubt, Some(Doubt::Ahead(off_ms)));
        assert_eq!(belief.control_ms, NOW, "the floor");
        // A battery that is flat.
        let belief = believed("next", 10_000, 0);
        assert!(matches!(belief.doubt, Some(Doubt::Behind(_))) && belief.control_ms == NOW);
        // The same name, and less time since the boot than there was: a clock of another kind.
        assert!(believed("this", HOUR, NOW + 100 * HOUR).doubt.is_some());
        // A machine that does not name its boots.
        let nameless = Anchor { boot_id: String::new(), ..anchor() };
        let now = Reading { boot_ms: 30 * HOUR, wall_ms: NOW + 100 * HOUR };
        assert!(Belief::of(&nameless, "", now).doubt.is_some());
    }

    #[test]
    fn numbers_from_a_spoilt_file_overflow_nothing() {
        let most = Anchor {
            boot_id: "this".to_owned(),
            boot_ms: 0,
            wall_ms: u64::MAX,
            control_ms: u64::MAX,
            signed_ms: u64::MAX,
        };
        let ends = [0, u64::MAX];
        for boot_ms in ends {
            for wall_ms in ends {
                for boot_id in ["this", "next"] {
                    let now = Reading { boot_ms, wall_ms };
                    let of = |anchor| Belief::of(anchor, boot_id, now).control_ms;
                    assert_eq!(of(&most), u64::MAX);
                    let least = Anchor { wall_ms: 0, control_ms: 0, ..most.clone() };
                    let wanted = if boot_id == "this" { boot_ms } else { u64::MAX };
                    assert_eq!(of(&least), wanted, "{now:?}");
                }
            }
        }
    }
}
