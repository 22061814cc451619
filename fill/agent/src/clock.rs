//! The agent's two clocks: one that only rises, for waits, and control's, for windows.
//! Nothing else in the crate asks the machine for the time.
//!
//! Control's time runs on the time since boot, from the last answer on: a wall clock that is set,
//! while the agent runs or while it is down, moves no window. It is kept on disk (`anchor.rs` says
//! what a start makes of it); only a boot between two starts makes us ask the wall clock, and then
//! not for much.

mod anchor;

use std::cell::Cell;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use control_types::UnixMillis;
use nix::time::{ClockId, clock_gettime};

pub(crate) use anchor::{Anchor, Doubt, Reading};

use crate::error::AgentError;
use crate::limits::{ANCHOR_KEEP_MS, BOOT_ID_BYTES_MAX};
use crate::state_dir::StateDir;
use anchor::Belief;

/// Where the kernel names this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where control's time is in the state directory.
const NAME: &str = "clock";

/// Both clocks.
pub(crate) struct Clock {
    start: Instant,
    machine: fn() -> Reading,
    boot_id: String,
    /// Control's time when the machine booted, as known now, milliseconds since 1970: a box whose
    /// clock is an hour off must still keep to its window.
    booted_at: Cell<u64>,
    /// The last time that control signed; none before it is known.
    signed_ms: Cell<Option<u64>>,
    doubt: Cell<Option<Doubt>>,
    /// By how much the wall clock was set while we were down.
    wall_set_ms: Cell<Option<i64>>,
    /// When the anchor was kept, ticks; none when it must be.
    kept_at: Cell<Option<u64>>,
    /// It could not be kept the last time.
    is_unkept: Cell<bool>,
}

impl Clock {
    /// On this machine, which has nothing kept.
    pub(crate) fn new() -> Self {
        let boot_id = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
        let boot_id = boot_id.trim().chars().take(BOOT_ID_BYTES_MAX).collect();
        Self::on(machine, boot_id)
    }

    /// On a machine whose clocks say what `machine` answers, in the boot `boot_id`.
    fn on(machine: fn() -> Reading, boot_id: String) -> Self {
        let now = machine();
        Self {
            start: Instant::now(),
            machine,
            boot_id,
            booted_at: Cell::new(now.wall_ms.saturating_sub(now.boot_ms)),
            signed_ms: Cell::new(None),
            doubt: Cell::new(None),
            wall_set_ms: Cell::new(None),
            kept_at: Cell::new(None),
            is_unkept: Cell::new(false),
        }
    }

    /// Milliseconds since the process began.
    pub(crate) fn ticks(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time at control, as well as we know it.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(self.booted_at.get().saturating_add((self.machine)().boot_ms))
    }

    /// Why no window may be opened by [`Self::now`]; none when it is believed.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.doubt.get()
    }

    /// By how much the wall clock was set while the agent was down in this boot, milliseconds;
    /// none once control has answered.
    pub(crate) fn wall_set_ms(&self) -> Option<i64> {
        self.wall_set_ms.get()
    }

    /// Takes over control's time from an answer that was asked for at `asked_at` ticks and came
    /// this moment: control wrote it in between, so its clock is now at that time, or later by as
    /// long as the answer took. An answer that took long moves the clock no more than it proves: a
    /// slow line must not make a window longer. Answers how far control's clock is from the
    /// machine's, milliseconds, for releases that know no anchor.
    pub(crate) fn learn(&self, control: UnixMillis, asked_at: u64) -> i64 {
        let took_ms = self.ticks().saturating_sub(asked_at);
        let reading = (self.machine)();
        let before = self.booted_at.get();
        let now = before.saturating_add(reading.boot_ms);
        let now = now.clamp(control.0, control.0.saturating_add(took_ms));
        let booted_at = now.saturating_sub(reading.boot_ms);
        self.booted_at.set(booted_at);
        let is_first = self.signed_ms.replace(Some(control.0)).is_none();
        let was_doubted = self.doubt.replace(None).is_some();
        self.wall_set_ms.set(None);
        if is_first || was_doubted || booted_at.abs_diff(before) > 1_000 {
            self.kept_at.set(None);
        }
        let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        signed(now).saturating_sub(signed(reading.wall_ms))
    }

    /// Begins with what an earlier run knew.
    pub(crate) fn begin(&self, anchor: Option<&Anchor>) {
        let reading = (self.machine)();
        let belief = anchor.map_or_else(
            || Belief::without(reading),
            |anchor| Belief::of(anchor, &self.boot_id, reading),
        );
        self.booted_at.set(belief.control_ms.saturating_sub(reading.boot_ms));
        self.signed_ms.set(anchor.map(|anchor| anchor.signed_ms));
        self.doubt.set(belief.doubt);
        self.wall_set_ms.set(belief.wall_set_ms);
        if let Some(doubt) = belief.doubt {
            tracing::error!("{}", doubt.why());
        }
        if let Some(set_ms) = belief.wall_set_ms {
            let set_s = set_ms / 1_000;
            tracing::warn!(set_s, "the machine's clock was set; control's time goes on regardless");
        }
    }

    /// What to keep for the next start; none while there is nothing sure to keep.
    fn anchor(&self) -> Option<Anchor> {
        let signed_ms = self.signed_ms.get().filter(|_| self.doubt.get().is_none())?;
        let Reading { boot_ms, wall_ms } = (self.machine)();
        let control_ms = self.booted_at.get().saturating_add(boot_ms);
        Some(Anchor { boot_id: self.boot_id.clone(), boot_ms, wall_ms, control_ms, signed_ms })
    }

    /// Writes the anchor down at the next turn: it says until when control was heard where orders
    /// could not be kept, and is small enough for a disk that is nearly full.
    pub(crate) fn keep_soon(&self) {
        self.kept_at.set(None);
    }

    /// Writes the anchor down when it is time to.
    pub(crate) fn keep(&self, state: &StateDir) {
        let now = self.ticks();
        if self.kept_at.get().is_some_and(|at| now < at + ANCHOR_KEEP_MS) {
            return;
        }
        let Some(anchor) = self.anchor() else { return };
        // A disk that refuses is asked again at the next turn, not at each tick.
        self.kept_at.set(Some(now));
        let stored = state.store(NAME, &anchor);
        let was_unkept = self.is_unkept.replace(stored.is_err());
        // Said when it begins; the report says it for as long as it lasts.
        if let (Err(error), false) = (stored, was_unkept) {
            tracing::warn!(error = error.in_full(), "control's time is not kept");
        }
    }
}

/// What an earlier run kept; a file that cannot be read is as good as none.
pub(crate) fn kept(state: &StateDir) -> Option<Anchor> {
    state.load(NAME, "control's time").unwrap_or_else(|error: AgentError| {
        tracing::warn!(error = error.in_full(), "control's time of the last run is not known");
        None
    })
}

fn machine() -> Reading {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    // Every Linux has it; without it the wall clock is as good as nothing to go by.
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(std::time::Duration::from);
    let boot_ms = boot.map_or(wall_ms, |boot| u64::try_from(boot.as_millis()).unwrap_or(u64::MAX));
    Reading { boot_ms, wall_ms }
}

#[cfg(test)]
mod tests {
    use control_types::fill::{Window, WindowScope};

    use super::*;
    use crate::gate::Gate;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const NOW: u64 = 20_000 * DAY;

    #[test]
    fn a_slow_answer_moves_the_clock_no_more_than_it_proves() {
        let clock = Clock::new();
        // Later than any machine has been up.
        clock.learn(UnixMillis(NOW), clock.ticks());
        assert!((NOW..NOW + 60_000).contains(&clock.now().0));
        // Written when this clock was begun with, as far as anybody can tell: no reason to go back.
        std::thread::sleep(std::time::Duration::from_millis(30));
        clock.learn(UnixMillis(NOW), 0);
        assert!(clock.now().0 >= NOW + 29, "{:?}", clock.now());
        // Answered at once: control says what time it is.
        clock.learn(UnixMillis(NOW - DAY), clock.ticks());
        assert!((NOW - DAY..NOW - DAY + 60_000).contains(&clock.now().0));
    }

    thread_local! {
        /// What the machine's clocks say on this test's thread.
        static MACHINE: Cell<Reading> = const { Cell::new(Reading { boot_ms: 0, wall_ms: 0 }) };
    }

    fn start(boot_id: &str, anchor: Option<&Anchor>) -> Clock {
        let clock = Clock::on(|| MACHINE.get(), boot_id.to_owned());
        clock.begin(anchor);
        clock
    }

    fn tonight(from: u64) -> Window {
        Window {
            id: format!("w{from}").parse().unwrap(),
            scope: WindowScope::Everyone,
            opens_at: UnixMillis(from),
            closes_at: UnixMillis(from + 120_000),
            rate_bps_max: None,
            bytes_max: None,
            closed: false,
        }
    }

    /// Which of three windows, one a day, is open.
    fn open_at(clock: &Clock) -> Option<String> {
        let windows = [NOW - DAY, NOW, NOW + DAY].map(|at| tonight(at - 60_000));
        Gate::at(&windows, clock.now()).window.map(|id| id.to_string())
    }

    /// Goal: a wall clock that is set by a day opens and closes no window, whether the agent runs
    /// or is down. Method: the machine's clocks are numbers.
    #[test]
    fn a_day_forward_or_back_in_one_boot_moves_no_window() {
        let boot_ms = 5 * DAY;
        let now = Some(format!("w{}", NOW - 60_000));
        for set in [NOW + DAY, NOW - DAY] {
            MACHINE.set(Reading { boot_ms, wall_ms: NOW });
            let clock = start("this", None);
            clock.learn(UnixMillis(NOW), clock.ticks());
            let kept = clock.anchor().unwrap();
            // While it runs, control away and back.
            MACHINE.set(Reading { boot_ms: boot_ms + 1_000, wall_ms: set });
            assert_eq!(open_at(&clock), now, "{set}");
            clock.learn(UnixMillis(NOW + 1_000), clock.ticks());
            assert_eq!(open_at(&clock), now, "{set}");
            // While it is down; control is away and says nothing.
            let clock = start("this", Some(&kept));
            assert_eq!((open_at(&clock), clock.doubt()), (now.clone(), None), "{set}");
            assert!(clock.wall_set_ms().is_some_and(|by| by.unsigned_abs() > DAY / 2));
            // An hour on the window is over, whatever the clock says.
            MACHINE.set(Reading { boot_ms: boot_ms + HOUR, wall_ms: NOW });
            assert_eq!(open_at(&clock), None);
            clock.learn(UnixMillis(NOW + HOUR), clock.ticks());
            assert_eq!(clock.wall_set_ms(), None);
        }
    }

    #[test]
    fn after_a_boot_a_clock_far_off_is_in_doubt_until_control_answers() {
        MACHINE.set(Reading { boot_ms: 5 * DAY, wall_ms: NOW });
        let clock = start("this", None);
        assert_eq!(clock.anchor(), None, "control never said a word");
        clock.learn(UnixMillis(NOW), clock.ticks());
        let kept = clock.anchor().unwrap();
        for wall_ms in [NOW + DAY, NOW - DAY] {
            MACHINE.set(Reading { boot_ms: 20_000, wall_ms });
            let clock = start("next", Some(&kept));
            assert!(clock.doubt().is_some(), "{wall_ms}");
            // What is doubted is not kept, or the next start would take it for control's word.
            assert_eq!(clock.anchor(), None);
            clock.learn(UnixMillis(NOW + 60_000), clock.ticks());
            assert_eq!((clock.doubt(), clock.now()), (None, UnixMillis(NOW + 60_000)));
            assert_eq!(clock.anchor().unwrap().signed_ms, NOW + 60_000);
        }
        // Two minutes for a boot, and the clock right.
        MACHINE.set(Reading { boot_ms: 20_000, wall_ms: NOW + 120_000 });
        let clock = start("next", Some(&kept));
        assert_eq!((clock.doubt(), clock.now()), (None, UnixMillis(NOW + 120_000)));
    }

    #[test]
    fn what_is_kept_is_found_again_and_a_spoilt_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path(), None).unwrap();
        MACHINE.set(Reading { boot_ms: DAY, wall_ms: NOW });
        let clock = start("this", None);
        clock.keep(&state);
        assert_eq!(kept(&state), None);
        clock.learn(UnixMillis(NOW + 5), clock.ticks());
        clock.keep(&state);
        assert_eq!(kept(&state), clock.anchor());
        // Not again at each tick, and at once when control says something else.
        MACHINE.set(Reading { boot_ms: DAY + 7, wall_ms: NOW });
        clock.keep(&state);
        assert_ne!(kept(&state), clock.anchor());
        clock.learn(UnixMillis(NOW + HOUR), clock.ticks());
        clock.keep(&state);
        assert_eq!(kept(&state), clock.anchor());
        std::fs::write(dir.path().join("clock.json"), b"{").unwrap();
        assert_eq!(kept(&state), None);
    }
}
