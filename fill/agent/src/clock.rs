//! The agent's two clocks: one that only rises, for waits, and control's, for windows.
//! Nothing else in the crate asks the machine for the time.
//!
//! Control's time runs on the clock that only rises, from the last answer on: a machine clock that
//! jumps while the agent runs moves no window. Only at start, before control answers, is it asked.

use std::cell::Cell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use control_types::UnixMillis;

/// Both clocks.
pub(crate) struct Clock {
    start: Instant,
    /// Control's time when the process began, as known now, milliseconds: a box whose clock is an
    /// hour off must still keep to its window.
    began_at: Cell<u64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), began_at: Cell::new(machine_millis()) }
    }

    /// Milliseconds since the process began.
    pub(crate) fn ticks(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time at control, as well as we know it.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.began_at.get().saturating_add(self.ticks()))
    }

    /// Takes over control's time from an answer that came this moment; answers how far control's
    /// clock is from the machine's, milliseconds, for the next start.
    pub(crate) fn learn(&self, control: UnixMillis) -> i64 {
        self.began_at.set(control.0.saturating_sub(self.ticks()));
        let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        signed(control.0).saturating_sub(signed(machine_millis()))
    }

    /// Begins with what an earlier run knew of control's clock.
    pub(crate) fn set_skew_ms(&self, skew_ms: i64) {
        let control = machine_millis().saturating_add_signed(skew_ms);
        self.began_at.set(control.saturating_sub(self.ticks()));
    }
}

fn machine_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
