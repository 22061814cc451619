//! The agent's two clocks: one that only rises, for waits, and control's, for windows.
//! Nothing else in the crate asks the machine for the time.

use std::cell::Cell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use control_types::UnixMillis;

/// Both clocks.
pub(crate) struct Clock {
    start: Instant,
    /// Control's clock minus ours, milliseconds: windows mean control's time, and a box whose clock
    /// is an hour off must still keep to its window.
    skew_ms: Cell<i64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), skew_ms: Cell::new(0) }
    }

    /// Milliseconds since the process began.
    pub(crate) fn ticks(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time at control, as well as we know it.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(machine_millis().saturating_add_signed(self.skew_ms.get()))
    }

    /// Takes over control's time from an answer that came this moment.
    pub(crate) fn learn(&self, control: UnixMillis) {
        let ours = i64::try_from(machine_millis()).unwrap_or(i64::MAX);
        self.set_skew_ms(i64::try_from(control.0).unwrap_or(i64::MAX).saturating_sub(ours));
    }

    pub(crate) fn skew_ms(&self) -> i64 {
        self.skew_ms.get()
    }

    pub(crate) fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.set(skew_ms);
    }
}

fn machine_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
