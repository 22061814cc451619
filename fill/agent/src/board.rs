//! The board: every object to pull, in order, and what each is up to. Hands out the next piece of
//! work and takes in what came of it. Does no I/O and reads no clock; times are arguments.
//!
//! ```text
//! Todo -> Starting -> Running -> Publishing -> Done
//!           |            |            |
//!           `-> Waiting <-'-> Failed <-'        both come back to Todo when their time is up
//! ```

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use control_types::fill::{FillFailure, Pull, Source};
use control_types::ids::{ApplianceId, ObjectId};

use crate::ladder::{Fault, Ladder, Reputation, Then, doubled};
use crate::limits::{FAILURES_MAX, ROOM_AGAIN_MS, RUN_CHUNKS_MAX, TRY_AGAIN_MS};

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

/// What one object is up to.
#[derive(Debug)]
enum State {
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
struct Running {
    open: VecDeque<Range<u32>>,
    /// Lanes at work on it.
    lanes: usize,
    /// Set when it is to be put down as soon as no lane is at work on it.
    put_down: Option<PutDown>,
    left_bytes: u64,
}

#[derive(Clone, Debug)]
enum PutDown {
    Wait(u64),
    Fail(String),
    /// Nobody wants it any more.
    Forget,
}

#[derive(Debug)]
struct Item {
    pull: Rc<Pull>,
    repair: bool,
    state: State,
    ladder: Ladder,
    failed: u32,
}

/// All objects to pull.
#[derive(Default)]
pub(crate) struct Board {
    /// Repairs first, then the plan in its order.
    items: Vec<Item>,
    at: HashMap<ObjectId, usize>,
    pub(crate) reputation: Reputation,
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
            let state = match before.remove(&pull.object).map(|item| item.state.wanted_again()) {
                Some(state @ (State::Starting | State::Running(_) | State::Publishing)) => state,
                _ if held(&pull.object) => State::Done,
                _ => State::Todo,
            };
            self.at.insert(pull.object, self.items.len());
            let ladder = Ladder::new(&pull.sources);
            self.items.push(Item { pull: Rc::new(pull.clone()), repair, state, ladder, failed: 0 });
        }
        // A lane may still be at work on something no longer wanted: it is kept until that lane is
        // done with it, and then forgotten with everything else at the next change of work.
        for (object, mut item) in before {
            if let State::Running(running) = &mut item.state
                && running.lanes > 0
            {
                running.open.clear();
                running.put_down = Some(PutDown::Forget);
                self.at.insert(object, self.items.len());
                item.repair = true;
                self.items.push(item);
            }
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
                    let Some(source) = item.ladder.pick(&self.reputation, now).cloned() else {
                        item.fail(now, "no source is known".to_owned());
                        continue;
                    };
                    item.state = State::Starting;
                    return Some(Job::Start { pull, repair, source });
                }
                State::Running(running) if running.put_down.is_none() => {
                    let Some(chunks) = running.take_run(lanes) else { continue };
                    let Some(source) = item.ladder.pick(&self.reputation, now).cloned() else {
                        running.open.push_front(chunks);
                        continue;
                    };
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
            (State::Starting, Some(PutDown::Forget)) => item.state = State::Done,
            (State::Running(running), Some(put_down)) => {
                running.put_down.get_or_insert(put_down);
            }
            _ => {}
        }
    }

    /// The disk, not a source, stopped `object`: no room, or an error of its own.
    pub(crate) fn disk_failed(&mut self, object: &ObjectId, why: String, now: u64) {
        let Some(item) = self.item(object) else { return };
        if let State::Running(running) = &mut item.state {
            running.put_down.get_or_insert(PutDown::Fail(why));
        } else {
            item.state = State::Failed { until: now + ROOM_AGAIN_MS, why };
        }
    }

    /// A job was given back untouched: the window closed under it.
    pub(crate) fn give_back(&mut self, job: &Job, now: u64) -> After {
        match job {
            Job::Start { pull, .. } => {
                if let Some(item) = self.item(&pull.object) {
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
            tally.planned_bytes += item.pull.bytes;
            match &item.state {
                State::Done => {
                    tally.done += 1;
                    tally.done_bytes += item.pull.bytes;
                }
                State::Running(running) => {
                    tally.done_bytes += item.pull.bytes.saturating_sub(running.left_bytes);
                }
                State::Failed { .. } => tally.failed += 1,
                _ => {}
            }
        }
        tally
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

impl Item {
    fn fail(&mut self, now: u64, why: String) {
        let until = now + doubled(TRY_AGAIN_MS, self.failed);
        self.failed += 1;
        self.state = State::Failed { until, why };
    }
}

impl State {
    /// The state of an object that orders name again after others did not: what was to be forgotten
    /// begins anew as soon as the lanes at work on it are done.
    fn wanted_again(mut self) -> Self {
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
    fn take_run(&mut self, lanes: usize) -> Option<Range<u32>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use control_types::fill::SourceKind;
    use control_types::fleet::DiskClass;

    fn pull(tag: u8, names: &[&str]) -> Pull {
        let sources = names.iter().map(|name| Source {
            kind: SourceKind::Origin,
            appliance: name.parse().unwrap(),
            media_url: String::new(),
            pending: false,
        });
        Pull {
            object: ObjectId([tag; 32]),
            bytes: 1 << 20,
            title: "t".parse().unwrap(),
            class: DiskClass::Ssd,
            sources: sources.collect(),
            why: String::new(),
        }
    }

    fn board(pulls: &[Pull]) -> Board {
        let mut board = Board::default();
        board.set(&[], pulls, |_| false);
        board
    }

    #[test]
    fn lanes_share_the_first_object_before_they_begin_the_second() {
        let pulls = [pull(1, &["a"]), pull(2, &["a"])];
        let mut board = board(&pulls);
        let first = board.next(0, true, 2, 4).unwrap();
        assert!(matches!(&first, Job::Start { .. }) && first.object() == pulls[0].object);
        // While its seal is on the way another lane begins the second.
        assert_eq!(board.next(0, true, 2, 4).unwrap().object(), pulls[1].object);
        assert_eq!(board.began(&pulls[0].object, vec![0..1, 2..4], 3 << 18), After::Go);
        let runs: Vec<Range<u32>> = std::iter::from_fn(|| match board.next(0, true, 2, 4)? {
            Job::Chunks { chunks, .. } => Some(chunks),
            Job::Start { .. } => None,
        })
        .collect();
        assert_eq!(runs, [0..1, 2..3, 3..4]);
        assert_eq!(board.run_ended(&pulls[0].object, 0..0, 0), After::Go);
        assert_eq!(board.run_ended(&pulls[0].object, 2..3, 0), After::Go);
        assert_eq!(board.run_ended(&pulls[0].object, 0..0, 0), After::Go);
        let again = board.next(0, true, 2, 4);
        assert!(matches!(again, Some(Job::Chunks { chunks, .. }) if chunks == (2..3)));
        assert_eq!(board.run_ended(&pulls[0].object, 0..0, 0), After::Publish);
        board.published(&pulls[0].object);
        assert_eq!(board.tally().done, 1);
    }

    #[test]
    fn an_object_without_sources_left_fails_with_every_reason_and_comes_back() {
        let pulls = [pull(1, &["a", "b"])];
        let mut board = board(&pulls);
        let object = pulls[0].object;
        for name in ["a", "b"] {
            let job = board.next(0, true, 1, 2).unwrap();
            assert_eq!(job.source().appliance.as_str(), name);
            board.fault(&object, &job.source().appliance.clone(), Fault::NotThere, 0, 0);
        }
        let tally = board.tally();
        assert_eq!(tally.failed, 1);
        assert!(tally.failures[0].why.contains("a does not have it, b does not"), "{tally:?}");
        assert!(board.next(TRY_AGAIN_MS.0 - 1, true, 1, 2).is_none());
        assert!(board.next(TRY_AGAIN_MS.0, true, 1, 2).is_some());
    }

    #[test]
    fn outside_windows_only_repairs_run_and_new_orders_keep_what_is_under_way() {
        let (repair, plan) = (pull(1, &["a"]), pull(2, &["a"]));
        let mut board = Board::default();
        board.set(std::slice::from_ref(&repair), std::slice::from_ref(&plan), |_| false);
        assert_eq!(board.next(0, false, 1, 2).unwrap().object(), repair.object);
        assert!(board.next(0, false, 1, 2).is_none());
        assert_eq!(board.next(0, true, 1, 2).unwrap().object(), plan.object);
        board.began(&plan.object, vec![0..2, 2..4], 1 << 20);
        let Some(Job::Chunks { .. }) = board.next(0, true, 4, 2) else { panic!() };
        board.set(&[], &[plan.clone(), pull(3, &["a"])], |_| false);
        assert_eq!(board.run_ended(&plan.object, 0..0, 0), After::Go);
        assert!(matches!(board.next(0, true, 4, 2), Some(Job::Chunks { .. })));
        // Orders that no longer want it: the lane at work ends it, and nothing of it is handed out.
        board.set(&[], &[], |_| false);
        assert_eq!(board.run_ended(&plan.object, 1..2, 0), After::LetGo);
        assert!(board.next(1 << 40, true, 4, 2).is_none() && !board.wants(&plan.object));
    }

    #[test]
    fn orders_that_change_their_mind_leave_nothing_done_that_is_not_and_nothing_open() {
        let plan = pull(2, &["a"]);
        let mut board = board(std::slice::from_ref(&plan));
        assert!(board.next(0, true, 1, 2).is_some());
        board.began(&plan.object, std::iter::once(0..20).collect(), 20 << 18);
        let Some(Job::Chunks { chunks, .. }) = board.next(0, true, 1, 2) else { panic!() };
        board.set(&[], &[], |_| false);
        assert!(board.is_begun(&plan.object), "a lane is at work on it");
        board.set(&[], std::slice::from_ref(&plan), |_| false);
        assert_eq!(board.run_ended(&plan.object, chunks.end..chunks.end, 0), After::LetGo);
        assert_eq!(board.tally().done, 0, "twelve chunks are missing");
        assert!(matches!(board.next(1, true, 1, 2), Some(Job::Start { .. })));
        // No lane is at work on it when it is no longer wanted: its files must be let go.
        board.began(&plan.object, std::iter::once(8..20).collect(), 12 << 18);
        board.set(&[], &[], |_| false);
        assert!(!board.is_begun(&plan.object));
    }
}
