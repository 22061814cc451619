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
    machine: fn() -> u64,
    /// Control's time when the process began, as known now, milliseconds: a box whose clock is an
    /// hour off must still keep to its window.
    began_at: Cell<u64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self::on(machine_millis)
    }

    /// On a machine whose clock says what `machine` answers.
    fn on(machine: fn() -> u64) -> Self {
        Self { start: Instant::now(), machine, began_at: Cell::new(machine()) }
    }

    /// Milliseconds since the process began.
    pub(crate) fn ticks(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time at control, as well as we know it.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.began_at.get().saturating_add(self.ticks()))
    }

    /// Takes over control's time from an answer that was asked for at `asked_at` ticks and came
    /// this moment: control wrote it in between, so its clock is now at that time, or later by as
    /// long as the answer took. An answer that took long moves the clock no more than it proves: a
    /// slow line must not make a window longer. Answers how far control's clock is from the
    /// machine's, milliseconds, for the next start.
    pub(crate) fn learn(&self, control: UnixMillis, asked_at: u64) -> i64 {
        let took_ms = self.ticks().saturating_sub(asked_at);
        let now = self.now().0.clamp(control.0, control.0.saturating_add(took_ms));
        self.began_at.set(now.saturating_sub(self.ticks()));
        let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        signed(now).saturating_sub(signed((self.machine)()))
    }

    /// It is at least `control`, whatever the machine's clock says: a machine that was set back
    /// while the agent was down must not fall into a window that is over.
    pub(crate) fn not_before(&self, control: UnixMillis) {
        let least = control.0.saturating_sub(self.ticks());
        self.began_at.set(self.began_at.get().max(least));
    }

    /// Begins with what an earlier run knew of control's clock.
    pub(crate) fn set_skew_ms(&self, skew_ms: i64) {
        let control = (self.machine)().saturating_add_signed(skew_ms);
        self.began_at.set(control.saturating_sub(self.ticks()));
    }
}

fn machine_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use control_types::fill::{Window, WindowScope};

    use super::*;
    use crate::gate::Gate;

    #[test]
    fn a_slow_answer_moves_the_clock_no_more_than_it_proves() {
        let clock = Clock::new();
        clock.learn(UnixMillis(1_000_000), clock.ticks());
        assert!((1_000_000..1_060_000).contains(&clock.now().0));
        // Written when this clock was begun with, as far as anybody can tell: no reason to go back.
        std::thread::sleep(std::time::Duration::from_millis(30));
        clock.learn(UnixMillis(1_000_000), 0);
        assert!(clock.now().0 >= 1_000_030, "{:?}", clock.now());
        // Answered at once: control says what time it is.
        clock.learn(UnixMillis(5_000), clock.ticks());
        assert!((5_000..65_000).contains(&clock.now().0));
    }

    thread_local! {
        /// What the machine's clock says on this test's thread.
        static MACHINE: Cell<u64> = const { Cell::new(0) };
    }

    /// Goal: a machine clock that jumps a day during a window opens and closes none, and the next
    /// start knows control's time all the same. Method: the machine's clock is a number, control's
    /// window is around control's time, and a minute of it is more than this test may take.
    #[test]
    fn a_day_forward_or_back_during_a_window_moves_no_window() {
        const DAY: u64 = 86_400_000;
        const NOW: u64 = 100 * DAY;
        let windows = [
            window(NOW - 60_000, NOW + 60_000),
            window(NOW + DAY - 60_000, NOW + DAY + 60_000),
            window(NOW - DAY - 60_000, NOW - DAY + 60_000),
        ];
        let open_at = |clock: &Clock| {
            let at = Gate::at(&windows, clock.now()).window;
            at.map(|id| id.to_string())
        };
        let tonight = Some(format!("w{}", NOW - 60_000));
        for jumped in [NOW + DAY, NOW - DAY] {
            MACHINE.set(NOW);
            let clock = Clock::on(|| MACHINE.get());
            clock.learn(UnixMillis(NOW), clock.ticks());
            assert_eq!(open_at(&clock), tonight);
            MACHINE.set(jumped);
            assert_eq!(open_at(&clock), tonight, "{jumped}");
            // Control is away: nothing but the clock that rises is asked. Then it answers.
            let skew_ms = clock.learn(UnixMillis(NOW + 1_000), clock.ticks());
            assert_eq!(open_at(&clock), tonight, "{jumped}");
            // The next start, on the same machine: what was kept says how wrong it is.
            let clock = Clock::on(|| MACHINE.get());
            clock.set_skew_ms(skew_ms);
            clock.not_before(UnixMillis(NOW + 1_000));
            assert_eq!(open_at(&clock), tonight, "{jumped}");
        }
    }

    fn window(from: u64, to: u64) -> Window {
        Window {
            id: format!("w{from}").parse().unwrap(),
            scope: WindowScope::Everyone,
            opens_at: UnixMillis(from),
            closes_at: UnixMillis(to),
            rate_bps_max: None,
            bytes_max: None,
            closed: false,
        }
    }

    #[test]
    fn a_machine_that_was_set_back_is_not_believed() {
        let clock = Clock::new();
        clock.set_skew_ms(-1_000_000_000);
        let kept = UnixMillis(machine_millis());
        clock.not_before(kept);
        assert!(clock.now() >= kept);
    }
}
