//! Keeps a body under its ticket's rate. Reads no clock.

use oca_sys::Nanos;

/// Keeps a body under its ticket's rate, with one second's worth of burst.
pub struct Pace {
    bps_max: u64,
    began: Nanos,
    /// Bytes handed over so far.
    pub sent: u64,
    /// When to go on; absent while nothing has to wait.
    pub paused_until: Option<Nanos>,
}

impl Pace {
    /// A body that begins at `began`.
    pub fn new(bps_max: u64, began: Nanos) -> Self {
        Self { bps_max, began, sent: 0, paused_until: None }
    }

    /// How long to wait before more than `sent` bytes may go.
    pub fn pause(&mut self, now: Nanos) {
        let beyond = self.sent.saturating_sub(self.bps_max / 8);
        let nanos = u128::from(beyond) * 8 * 1_000_000_000 / u128::from(self.bps_max.max(1));
        let due = Nanos(self.began.0.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)));
        self.paused_until = (due > now).then_some(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_body_waits_exactly_as_long_as_its_rate_says() {
        let mut pace = Pace::new(8_000, Nanos(0));
        pace.sent = 1_000;
        pace.pause(Nanos(0));
        assert_eq!(pace.paused_until, None, "one second's worth goes at once");
        pace.sent = 3_000;
        pace.pause(Nanos(0));
        assert_eq!(pace.paused_until, Some(Nanos(2_000_000_000)));
        pace.pause(Nanos(2_000_000_000));
        assert_eq!(pace.paused_until, None);
    }
}
