//! The board: every object to pull, in order, and what each is up to. Hands out the next piece of
//! work and takes in what came of it. Does no I/O and reads no clock; times are arguments.
//!
//! ```text
//! Todo -> Starting -> Running -> Publishing -> Done
//!           |            |            |
//!           `-> Waiting <-'-> Failed <-'        both come back to Todo when their time is up
//! ```

mod item;

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use control_types::fill::{FillFailure, Pull, Source};
use control_types::ids::{ApplianceId, ObjectId};

use crate::ladder::{Fault, Ladder, Pick, Reputation, Then};
use crate::limits::FAILURES_MAX;
use item::{Item, PutDown, Running, State};

/// One piece of work for a lane.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Fetch the seal from `source` and begin the object.
    Start { pull: Rc<Pull>, repair: bool, source: Source },
    /// Fetch these chunks from `source`.
    Chunks { pull: Rc<Pull>, repair: bool, source: Source, chunks: Range<u32> },
}

impl Job {
    pub(crate) fn object(&self) -> ObjectId {
        match self {
            Self::Start { pull, .. } | Self::Chunks { pull, .. } => pull.object,
        }
    }

    #[cfg(test)]
    fn source(&self) -> &Source {
        match self {
            Self::Start { source, .. } | Self::Chunks { source, .. } => source,
        }
    }

    pub(crate) fn is_repair(&self) -> bool {
        match self {
            Self::Start { repair, .. } | Self::Chunks { repair, .. } => *repair,
        }
    }
}

/// All objects to pull.
#[derive(Default)]
pub(crate) struct Board {
    /// Repairs first, then the plan in its order.
    items: Vec<Item>,
    at: HashMap<ObjectId, usize>,
    pub(crate) reputation: Reputation,
    /// How long a peer that is away is waited for, milliseconds.
    peer_wait_ms: u64,
}

/// How far the plan is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) planned: u64,
    pub(crate) done: u64,
    pub(crate) planned_bytes: u64,
    pub(crate) done_bytes: u64,
    /// Objects of the plan that no source gave.
    pub(crate) failed: u64,
    pub(crate) failures: Vec<FillFailure>,
}

/// What a lane is to do with an object after a job on it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Look for the next job.
    Go,
    /// All chunks are there and no lane is at work on it: publish it.
    Publish,
    /// Nobody is at work on it and nobody will be for a while: let its files go.
    LetGo,
}

impl Board {
    /// Without work; peers that are away are waited for `peer_wait_ms`.
    pub(crate) fn new(peer_wait_ms: u64) -> Self {
        Self { peer_wait_ms, ..Self::default() }
    }

    /// Replaces the work. What is under way and still wanted stays under way; `held` says what is
    /// published already.
    pub(crate) fn set(
        &mut self,
        repairs: &[Pull],
        plan: &[Pull],
        held: impl Fn(&ObjectId) -> bool,
    ) {
        let mut before: HashMap<ObjectId, Item> = std::mem::take(&mut self.items)
            .into_iter()
            .map(|item| (item.pull.object, item))
            .collect();
        self.at.clear();
        let wanted = repairs.iter().map(|pull| (pull, true)).chain(plan.iter().map(|p| (p, false)));
        for (pull, repair) in wanted {
            if self.at.contains_key(&pull.object) {
                continue;
            }
            let known = before.remove(&pull.object);
            self.at.insert(pull.object, self.items.len());
            let is_held = || held(&pull.object);
            self.items.push(Item::again(known, pull, repair, is_held));
        }
        // A lane may still be at work on something no longer wanted: it is kept until that lane is
        // done with it, and then forgotten with everything else at the next change of work. Not
        // known any more it would be begun beside that lane as soon as it is wanted again.
        for (object, mut item) in before {
            match &mut item.state {
                State::Running(running) if running.lanes > 0 => {
                    running.open.clear();
                    running.put_down = Some(PutDown::Forget);
                }
                State::Starting => item.is_unwanted = true,
                _ => continue,
            }
            self.at.insert(object, self.items.len());
            item.repair = true;
            self.items.push(item);
        }
    }

    /// The next piece of work at `now`; `plan_too` is false outside windows, when only repairs run.
    /// `running_max` bounds how many objects are begun at once.
    pub(crate) fn next(
        &mut self,
        now: u64,
        plan_too: bool,
        lanes: usize,
        running_max: usize,
    ) -> Option<Job> {
        if !plan_too && !self.items.first().is_some_and(|item| item.repair) {
            // Every lane asks ten times a second, all day, of plans of a million objects.
            return None;
        }
        let begun = self.items.iter().filter(|item| {
            matches!(item.state, State::Starting | State::Running(_) | State::Publishing)
        });
        let may_begin = begun.count() < running_max;
        for item in &mut self.items {
            if !plan_too && !item.repair {
                break;
            }
            if let State::Waiting { until } | State::Failed { until, .. } = &item.state
                && *until <= now
            {
                if matches!(item.state, State::Failed { .. }) {
                    item.ladder = Ladder::new(&item.pull.sources);
                }
                item.state = State::Todo;
            }
            let (pull, repair) = (Rc::clone(&item.pull), item.repair);
            match &mut item.state {
                State::Todo if may_begin => {
                    let wait_ms = self.peer_wait_ms;
                    match item.ladder.pick_to_begin(&self.reputation, now, wait_ms) {
                        Pick::Ask(source) => {
                            let source = source.clone();
                            item.state = State::Starting;
                            return Some(Job::Start { pull, repair, source });
                        }
                        Pick::Later => {}
                        Pick::Nobody => item.fail(now, item.ladder.told()),
                    }
                }
                State::Running(running) if running.put_down.is_none() => {
                    let Pick::Ask(source) = item.ladder.pick(&self.reputation, now) else {
                        continue;
                    };
                    let Some(chunks) = running.take_run(lanes) else { continue };
                    let source = source.clone();
                    running.lanes += 1;
                    return Some(Job::Chunks { pull, repair, source, chunks });
                }
                _ => {}
            }
        }
        None
    }

    /// The object was begun; `missing` is what it lacks.
    pub(crate) fn began(
        &mut self,
        object: &ObjectId,
        missing: Vec<Range<u32>>,
        left_bytes: u64,
    ) -> After {
        let Some(item) = self.item(object) else { return After::LetGo };
        if item.forget_if_unwanted() {
            return After::LetGo;
        }
        if missing.is_empty() {
            item.state = State::Publishing;
            return After::Publish;
        }
        let open = missing.into();
        item.state = State::Running(Running { open, lanes: 0, put_down: None, left_bytes });
        After::Go
    }

    /// One chunk is verified and on disk.
    pub(crate) fn chunk_done(
        &mut self,
        object: &ObjectId,
        source: &ApplianceId,
        bytes: u64,
        now: u64,
    ) {
        self.reputation.good(source, now);
        if let Some(Item { state: State::Running(running), .. }) = self.item(object) {
            running.left_bytes = running.left_bytes.saturating_sub(bytes);
        }
    }

    /// A lane ended its run; `rest` is what it did not get to.
    pub(crate) fn run_ended(&mut self, object: &ObjectId, rest: Range<u32>, now: u64) -> After {
        let Some(item) = self.item(object) else { return After::LetGo };
        let State::Running(running) = &mut item.state else { return After::Go };
        running.lanes -= 1;
        if rest.start < rest.end {
            running.open.push_front(rest);
        }
        if running.lanes > 0 {
            return After::Go;
        }
        match running.put_down.take() {
            Some(PutDown::Wait(until)) => {
                item.state = State::Waiting { until };
                After::LetGo
            }
            Some(PutDown::Fail(why)) => {
                item.fail(now, why);
                After::LetGo
            }
            Some(PutDown::Rest(until, why)) => {
                item.state = State::Failed { until, why };
                After::LetGo
            }
            Some(PutDown::Forget) => {
                item.state = State::Done;
                After::LetGo
            }
            None if running.open.is_empty() => {
                item.state = State::Publishing;
                After::Publish
            }
            None => After::Go,
        }
    }

    /// A source failed a job on `object`. For a run, `run_ended` must follow.
    pub(crate) fn fault(
        &mut self,
        object: &ObjectId,
        source: &ApplianceId,
        fault: Fault,
        now: u64,
        peer_wait_ms: u64,
    ) {
        let Some(at) = self.at.get(object) else { return };
        let item = &mut self.items[*at];
        if item.forget_if_unwanted() {
            return;
        }
        let then = item.ladder.fault(source, fault, &mut self.reputation, now, peer_wait_ms);
        let put_down = match then {
            Then::Next => None,
            Then::WaitUntil(until) => Some(PutDown::Wait(until)),
            Then::GiveUp => Some(PutDown::Fail(item.ladder.told())),
        };
        match (&mut item.state, put_down) {
            (State::Starting, None) => item.state = State::Todo,
            (State::Starting, Some(PutDown::Wait(until))) => item.state = State::Waiting { until },
            (State::Starting, Some(PutDown::Fail(why))) => item.fail(now, why),
            (State::Starting, Some(PutDown::Rest(until, why))) => {
                item.state = State::Failed { until, why };
            }
            (State::Starting, Some(PutDown::Forget)) => item.state = State::Done,
            (State::Running(running), Some(put_down)) => {
                running.put_down.get_or_insert(put_down);
            }
            _ => {}
        }
    }

    /// The disk, not a source, stopped `object`: no room, or an error of its own. It begins anew
    /// at `until`, and not before its lanes have ended.
    pub(crate) fn disk_failed(&mut self, object: &ObjectId, why: String, until: u64) {
        let Some(item) = self.item(object) else { return };
        if item.forget_if_unwanted() {
            return;
        }
        if let State::Running(running) = &mut item.state {
            running.put_down.get_or_insert(PutDown::Rest(until, why));
        } else {
            item.state = State::Failed { until, why };
        }
    }

    /// A job was given back untouched: the window closed under it.
    pub(crate) fn give_back(&mut self, job: &Job, now: u64) -> After {
        match job {
            Job::Start { pull, .. } => {
                if let Some(item) = self.item(&pull.object)
                    && !item.forget_if_unwanted()
                {
                    item.state = State::Todo;
                }
                After::Go
            }
            Job::Chunks { pull, chunks, .. } => self.run_ended(&pull.object, chunks.clone(), now),
        }
    }

    pub(crate) fn published(&mut self, object: &ObjectId) {
        if let Some(item) = self.item(object) {
            item.state = State::Done;
        }
    }

    /// The plan's progress; repairs do not count.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for item in &self.items {
            if let State::Failed { why, .. } = &item.state
                && tally.failures.len() < FAILURES_MAX
            {
                tally.failures.push(FillFailure { object: item.pull.object, why: why.clone() });
            }
            if item.repair {
                continue;
            }
            tally.planned += 1;
            // A plan may say what it likes of a size; it is not begun, and must not end the agent.
            tally.planned_bytes = tally.planned_bytes.saturating_add(item.pull.bytes);
            match &item.state {
                State::Done => {
                    tally.done += 1;
                    tally.done_bytes = tally.done_bytes.saturating_add(item.pull.bytes);
                }
                State::Running(running) => {
                    let there = item.pull.bytes.saturating_sub(running.left_bytes);
                    tally.done_bytes = tally.done_bytes.saturating_add(there);
                }
                State::Failed { .. } => tally.failed += 1,
                _ => {}
            }
        }
        tally
    }

    /// Whether a repair is still to be made and may be made now.
    pub(crate) fn is_mending(&self) -> bool {
        let mut repairs = self.items.iter().filter(|item| item.repair);
        repairs.any(|item| !matches!(item.state, State::Done | State::Failed { .. }))
    }

    /// Whether `object` is on the board and not done.
    pub(crate) fn wants(&self, object: &ObjectId) -> bool {
        self.at.get(object).is_some_and(|at| !matches!(self.items[*at].state, State::Done))
    }

    /// Whether the files of `object` are in use or will be: it is begun and not put down.
    pub(crate) fn is_begun(&self, object: &ObjectId) -> bool {
        self.at.get(object).is_some_and(|at| matches!(self.items[*at].state, State::Running(_)))
    }

    fn item(&mut self, object: &ObjectId) -> Option<&mut Item> {
        self.at.get(object).map(|at| &mut self.items[*at])
    }
}

#[cfg(test)]
#[path = "board/tests.rs"]
mod tests;
