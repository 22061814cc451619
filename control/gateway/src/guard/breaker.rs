//! Whether a dependency is asked. Pure: the time is an argument; never asks by itself.

use std::time::{Duration, Instant};

use crate::limits::{MISSES_MAX, PROBE_EVERY_MS};

/// Closed at first.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    misses: u32,
    /// When the next question may be asked; absent: it is closed.
    open_until: Option<Instant>,
}

/// What the next caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Ask and wait.
    Ask,
    /// Ask and not wait.
    Probe,
    /// Do without.
    Not,
}

impl Breaker {
    /// While it is open, one caller in `PROBE_EVERY_MS` asks.
    pub fn may(&mut self, now: Instant) -> May {
        match self.open_until {
            None => May::Ask,
            Some(until) if until <= now => {
                self.open_until = Some(now + Duration::from_millis(PROBE_EVERY_MS));
                May::Probe
            }
            Some(_) => May::Not,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// An answer in time. Says whether that closed it.
    pub fn note_answer(&mut self) -> bool {
        self.misses = 0;
        self.open_until.take().is_some()
    }

    /// None. Says whether that opened it.
    pub fn note_miss(&mut self, now: Instant) -> bool {
        self.misses = self.misses.saturating_add(1);
        if self.misses < MISSES_MAX || self.is_open() {
            return false;
        }
        self.open(now)
    }

    /// Answered, but not in time: no reason to close it, and none to open it.
    pub fn note_slow(&mut self) {
        self.misses = 0;
    }

    /// Says whether it was closed.
    pub fn open(&mut self, now: Instant) -> bool {
        let was_open = self.is_open();
        if !was_open {
            self.open_until = Some(now + Duration::from_millis(PROBE_EVERY_MS));
        }
        !was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_at_misses_in_a_row_asks_now_and_then_and_closes_at_an_answer() {
        let mut breaker = Breaker::default();
        let began = Instant::now();
        for _ in 0..3 {
            (1..MISSES_MAX).for_each(|_| assert!(!breaker.note_miss(began)));
            assert!(!breaker.note_answer(), "it was closed");
        }
        (1..MISSES_MAX).for_each(|_| assert!(!breaker.note_miss(began)));
        assert_eq!(breaker.may(began), May::Ask);
        assert!(breaker.note_miss(began));
        let after = |ms: u64| began + Duration::from_millis(ms);
        assert_eq!(breaker.may(after(PROBE_EVERY_MS - 1)), May::Not);
        assert_eq!(breaker.may(after(PROBE_EVERY_MS)), May::Probe);
        assert_eq!(breaker.may(after(PROBE_EVERY_MS)), May::Not, "one at a time");
        assert!(!breaker.note_miss(after(PROBE_EVERY_MS + 50)), "it was open");
        assert_eq!(breaker.may(after(2 * PROBE_EVERY_MS)), May::Probe);
        breaker.note_slow();
        assert!(breaker.is_open(), "an answer that is late closes nothing");
        assert!(breaker.note_answer());
        assert_eq!(breaker.may(after(2 * PROBE_EVERY_MS)), May::Ask);
    }
}
