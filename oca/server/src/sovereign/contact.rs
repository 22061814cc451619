//! When control was heard last, and for how long it has been away. Pure: both clocks come in.
//!
//! The rule for tickets. Control renews tickets; while it is away nobody can. So a ticket that
//! ended after control was heard last is good for as long as control has not been away for longer
//! than `tickets.grace_without_control_s`. One that had ended when control was still there stays
//! refused: its member could have had another.
//!
//! Clocks. How long control has been away is measured by the monotonic clock from the first look
//! after the last word, plus what the wall clock says lay between the two. So once a worker has
//! looked, setting the wall clock forward ends nobody's grace early; setting it back makes nothing
//! longer than it was: where this process heard control itself, no moment before that is believed.
//! Over a restart only the wall clock can tell, and it is believed. The last word is written down
//! once a minute, so a crash forgets up to a minute of contact, which errs to the grace.

use control_types::UnixMillis;
use oca_sys::Nanos;

/// The last word from control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Rises with each word.
    pub number: u64,
    /// When, by the wall clock.
    pub at: UnixMillis,
    /// This process heard it; false: it was read from the file of the last one.
    pub heard: bool,
}

/// How long control has been away, as one worker follows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Away {
    /// The word that was looked at last, and when that was for the first time.
    seen: Option<(u64, Nanos)>,
    /// Between that word and that look, milliseconds.
    before_ms: u64,
}

impl Away {
    /// Milliseconds without control at `now`; `wall` is looked at when the word is a new one.
    pub fn millis(&mut self, contact: &Contact, wall: UnixMillis, now: Nanos) -> u64 {
        let since = match self.seen {
            Some((number, since)) if number == contact.number => since,
            _ => {
                self.seen = Some((contact.number, now));
                self.before_ms = wall.millis_since(contact.at);
                now
            }
        };
        self.before_ms.saturating_add(now.since(since) / 1_000_000)
    }

    /// The wall clock's time, or what it must at least be.
    pub fn believed(&mut self, contact: &Contact, wall: UnixMillis, now: Nanos) -> UnixMillis {
        let away_ms = self.millis(contact, wall, now);
        if contact.heard { wall.max(contact.at.plus_millis(away_ms)) } else { wall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    fn nanos(millis: u64) -> Nanos {
        Nanos(0).plus_millis(millis)
    }

    #[test]
    fn the_wall_clock_counts_up_to_the_first_look_and_the_monotonic_one_from_there() {
        let contact = Contact { number: 1, at: START, heard: true };
        let mut away = Away::default();
        assert_eq!(away.millis(&contact, START.plus_millis(2 * HOUR), nanos(5)), 2 * HOUR);
        // Set forward by a month, and back by a year: three more hours are three more hours.
        let forward = START.plus_millis(720 * HOUR);
        assert_eq!(away.millis(&contact, forward, nanos(5 + 3 * HOUR)), 5 * HOUR);
        let back = UnixMillis(START.0 - 8_000 * HOUR);
        assert_eq!(away.millis(&contact, back, nanos(5 + 3 * HOUR)), 5 * HOUR);
        assert_eq!(away.believed(&contact, back, nanos(5 + 3 * HOUR)), START.plus_millis(5 * HOUR));
        assert_eq!(away.believed(&contact, forward, nanos(5 + 3 * HOUR)), forward);
        // A new word begins anew.
        let again = Contact { number: 2, at: back, heard: true };
        assert_eq!(away.millis(&again, back, nanos(5 + 4 * HOUR)), 0);
        assert_eq!(away.believed(&again, back, nanos(5 + 4 * HOUR)), back);
    }

    #[test]
    fn a_moment_from_the_file_does_not_hold_the_clock() {
        let contact = Contact { number: 1, at: START, heard: false };
        let back = UnixMillis(START.0 - 9 * HOUR);
        let mut away = Away::default();
        assert_eq!(away.millis(&contact, back, nanos(1)), 0);
        assert_eq!(away.believed(&contact, back, nanos(1)), back);
    }
}
