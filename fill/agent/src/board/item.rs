//! One object on the board and what it is up to. Knows no other object and no source's name.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use control_types::fill::Pull;

use crate::ladder::{Ladder, doubled};
use crate::limits::{RUN_CHUNKS_MAX, TRY_AGAIN_MS};

/// What one object is up to.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing is under way.
    Todo,
    /// A lane fetches its seal.
    Starting,
    /// Chunks are being fetched.
    Running(Running),
    /// All chunks are there; a lane publishes it.
    Publishing,
    /// Its next source is asked again later.
    Waiting { until: u64 },
    /// No source gave it, or there is no room; begins anew later.
    Failed { until: u64, why: String },
    /// Published.
    Done,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) open: VecDeque<Range<u32>>,
    /// Lanes at work on it.
    pub(super) lanes: usize,
    /// Set when it is to be put down as soon as no lane is at work on it.
    pub(super) put_down: Option<PutDown>,
    pub(super) left_bytes: u64,
}

#[derive(Clone, Debug)]
pub(super) enum PutDown {
    Wait(u64),
    Fail(String),
    /// The disk failed it, and it may begin anew at this time.
    Rest(u64, String),
    /// Nobody wants it any more.
    Forget,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) pull: Rc<Pull>,
    pub(super) repair: bool,
    pub(super) state: State,
    pub(super) ladder: Ladder,
    pub(super) failed: u32,
    /// A lane fetches its seal, and nobody wants it any more.
    pub(super) is_unwanted: bool,
}

impl Item {
    /// The item of `pull` in new work, after `known` in the work before it. What was learnt of the
    /// same sources stays learnt: plans come more often than a peer is waited for, and a wait that
    /// begins anew with each would never end.
    pub(super) fn again(
        known: Option<Self>,
        pull: &Pull,
        repair: bool,
        is_held: impl Fn() -> bool,
    ) -> Self {
        let (mut ladder, mut failed) = (Ladder::new(&pull.sources), 0);
        let mut state = State::Todo;
        if let Some(known) = known {
            let is_same = known.pull.sources == pull.sources;
            // Whoever failed begins anew: new work may have made room or brought other disks.
            if is_same && !matches!(known.state, State::Failed { .. } | State::Done) {
                ladder = known.ladder;
            }
            failed = if is_same { known.failed } else { 0 };
            state = match known.state.wanted_again() {
                state @ (State::Starting | State::Running(_) | State::Publishing) => state,
                state @ State::Waiting { .. } if is_same => state,
                _ => State::Todo,
            };
        }
        if matches!(state, State::Todo | State::Waiting { .. }) && is_held() {
            state = State::Done;
        }
        let pull = Rc::new(pull.clone());
        Self { pull, repair, state, ladder, failed, is_unwanted: false }
    }

    /// Its lane is done with it; true when nobody wants it.
    pub(super) fn forget_if_unwanted(&mut self) -> bool {
        if self.is_unwanted {
            self.state = State::Done;
        }
        self.is_unwanted
    }

    pub(super) fn fail(&mut self, now: u64, why: String) {
        let until = now + doubled(TRY_AGAIN_MS, self.failed);
        self.failed += 1;
        self.state = State::Failed { until, why };
    }
}

impl State {
    /// The state of an object that orders name again after others did not: what was to be forgotten
    /// begins anew as soon as the lanes at work on it are done.
    pub(super) fn wanted_again(mut self) -> Self {
        if let Self::Running(running) = &mut self
            && matches!(running.put_down, Some(PutDown::Forget))
        {
            running.put_down = Some(PutDown::Wait(0));
        }
        self
    }
}

impl Running {
    /// The next run: as long as helps, and short enough that every lane has one.
    pub(super) fn take_run(&mut self, lanes: usize) -> Option<Range<u32>> {
        let missing: u32 = self.open.iter().map(|range| range.end - range.start).sum();
        let share = missing.div_ceil(u32::try_from(lanes.max(1)).unwrap_or(u32::MAX));
        let first = self.open.front_mut()?;
        let end = first.end.min(first.start + share.clamp(1, RUN_CHUNKS_MAX));
        let run = first.start..end;
        first.start = end;
        if first.start == first.end {
            self.open.pop_front();
        }
        Some(run)
    }
}
