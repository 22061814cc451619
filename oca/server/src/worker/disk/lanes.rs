//! One lane for each device: what a worker has under way on it, and who waits for a turn there.
//! Reads nothing and tells nobody; it says who may begin, what is late and which device is silent.
//!
//! Every lane has its own bounds, so that a device that hangs fills its own lane: it holds no
//! buffer, no place and no turn of another's. Two things are watched:
//!
//! * silence: operations are under way and none of them was answered for the device's `silent_ms`.
//!   A busy disk answers somebody all the time; one that answers nobody is out of order;
//! * lateness: one operation is `LATE_FACTOR` times as old, though others are answered. It is given
//!   up alone, as a bad spot on a good disk.
//!
//! Neither is believed at the first look. A worker that was busy for half a second, or did not get
//! its core, would else blame the device for an operation that it handed over a moment ago: so an
//! answer must have been missing at `OVERDUE_LOOKS` looks, apart from one another, each behind all
//! that had come in by then.
//!
//! An operation that is given up stays in its lane until the device answers: its buffer is still
//! the kernel's.

use std::collections::VecDeque;

use ahash::HashMap;
use oca_sys::{Nanos, Token};

use super::super::Seat;
use super::super::station::OverBudget;
use super::work::Work;
use crate::limits::{
    DEVICE_OPENS_MAX, DEVICE_WAITERS_MAX, LATE_FACTOR, OVERDUE_LOOK_MS, OVERDUE_LOOKS,
};

/// Bounds of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Silence that is too long, milliseconds.
    pub silent_ms: u64,
    /// Time from one answer to the next while it is busy, microseconds: of a device in order.
    pub spacing_us: u64,
    /// Operations under way.
    pub operations_max: usize,
    /// Chunk buffers in them.
    pub buffers_max: usize,
}

/// One operation under way.
#[derive(Debug)]
pub struct Operation {
    /// On which device.
    pub lane: usize,
    /// When it was submitted.
    pub began: Nanos,
    /// Chunk buffers it holds.
    pub buffers: usize,
    /// What it is for.
    pub work: Work,
    /// Nobody waits for it any more.
    pub given_up: bool,
}

/// What is wrong with a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The device answers nothing.
    Silent(usize),
    /// This one operation is not answered.
    Late(Token),
}

struct Lane {
    bounds: Bounds,
    operations: usize,
    opens: usize,
    buffers: usize,
    /// Operations in the order they began; those that ended since are left over until they come
    /// to the front.
    order: VecDeque<(Nanos, Token)>,
    answered_at: Nanos,
    waiting: VecDeque<Seat>,
    silence: Doubt,
    lateness: Doubt,
}

/// What has been missing at how many looks.
#[derive(Default)]
struct Doubt {
    /// From when on it has been missing: another moment is another doubt.
    since: Nanos,
    looks: u64,
    next_at: Nanos,
}

impl Doubt {
    /// One look at something that was due at `due_at`. When to look again; absent when it is
    /// overdue beyond doubt. The looks end at `due_at` if none of them comes late.
    fn look(&mut self, since: Nanos, due_at: Nanos, now: Nanos) -> Option<Nanos> {
        if self.looks == 0 || self.since != since {
            let before_ns = (OVERDUE_LOOKS - 1) * OVERDUE_LOOK_MS * 1_000_000;
            *self = Self { since, looks: 0, next_at: Nanos(due_at.0.saturating_sub(before_ns)) };
        }
        if self.next_at > now {
            return Some(self.next_at);
        }
        self.looks += 1;
        self.next_at = now.plus_millis(OVERDUE_LOOK_MS);
        (self.looks < OVERDUE_LOOKS || due_at > now).then_some(self.next_at)
    }
}

/// All lanes of a worker.
pub struct Lanes {
    lanes: Vec<Lane>,
    under_way: HashMap<Token, Operation>,
    /// Seats in all lanes: none means that there is nobody to wake.
    waiting: usize,
    /// No lane can be overdue before this; it may be early.
    look_at: Option<Nanos>,
}

impl Lanes {
    /// A lane for each of `bounds`.
    #[must_use]
    pub fn new(bounds: &[Bounds]) -> Self {
        let lane = |bounds: &Bounds| Lane {
            bounds: *bounds,
            operations: 0,
            opens: 0,
            buffers: 0,
            order: VecDeque::new(),
            answered_at: Nanos(0),
            waiting: VecDeque::new(),
            silence: Doubt::default(),
            lateness: Doubt::default(),
        };
        Self {
            lanes: bounds.iter().map(lane).collect(),
            under_way: HashMap::default(),
            waiting: 0,
            look_at: None,
        }
    }

    /// Whether one more operation may begin.
    #[must_use]
    pub fn has_turn(&self, lane: usize) -> bool {
        let lane = &self.lanes[lane];
        lane.operations < lane.bounds.operations_max && lane.buffers < lane.bounds.buffers_max
    }

    /// Whether a file may be opened.
    #[must_use]
    pub fn has_open_turn(&self, lane: usize) -> bool {
        self.has_turn(lane) && self.lanes[lane].opens < DEVICE_OPENS_MAX
    }

    /// Chunk buffers that one more operation may hold.
    #[must_use]
    pub fn buffers_free(&self, lane: usize) -> usize {
        let lane = &self.lanes[lane];
        lane.bounds.buffers_max.saturating_sub(lane.buffers)
    }

    /// Whether so little is under way that reading ahead takes nothing from anybody.
    #[must_use]
    pub fn is_calm(&self, lane: usize) -> bool {
        let lane = &self.lanes[lane];
        lane.waiting.is_empty()
            && lane.buffers * 2 < lane.bounds.buffers_max
            && lane.operations * 2 < lane.bounds.operations_max
    }

    /// An operation with `buffers` chunk buffers begins.
    pub fn begin(&mut self, lane: usize, token: Token, now: Nanos, buffers: usize, work: Work) {
        let entry = &mut self.lanes[lane];
        entry.operations += 1;
        entry.buffers += buffers;
        entry.opens += usize::from(work.is_open());
        if entry.order.len() >= entry.bounds.operations_max * 4 {
            // One that hangs keeps those behind it from leaving at the front.
            let under_way = &self.under_way;
            entry.order.retain(|(_, token)| under_way.get(token).is_some_and(|op| !op.given_up));
        }
        entry.order.push_back((now, token));
        let looks_ms = (OVERDUE_LOOKS - 1) * OVERDUE_LOOK_MS;
        let look_at = now.plus_millis(entry.bounds.silent_ms.saturating_sub(looks_ms));
        self.look_at = Some(self.look_at.map_or(look_at, |at| at.min(look_at)));
        let operation = Operation { lane, began: now, buffers, work, given_up: false };
        let before = self.under_way.insert(token, operation);
        debug_assert!(before.is_none(), "a token names one operation at a time");
    }

    /// The device answered an operation.
    pub fn end(&mut self, token: Token, now: Nanos) -> Option<Operation> {
        let operation = self.under_way.remove(&token)?;
        let lane = &mut self.lanes[operation.lane];
        lane.operations -= 1;
        lane.buffers -= operation.buffers;
        lane.opens -= usize::from(operation.work.is_open());
        lane.answered_at = now;
        Some(operation)
    }

    /// What is under way as `token`.
    pub fn get_mut(&mut self, token: Token) -> Option<&mut Operation> {
        self.under_way.get_mut(&token)
    }

    /// `seat` waits for a turn, for as long as it takes or for `wait_ns_max`.
    ///
    /// # Errors
    /// Too many do: its turn would come too late.
    pub fn wait(
        &mut self,
        lane: usize,
        seat: Seat,
        wait_ns_max: Option<u64>,
    ) -> Result<(), OverBudget> {
        let lane = &mut self.lanes[lane];
        let turns = lane.waiting.len() as u64 + 1;
        let is_late = wait_ns_max.is_some_and(|most| turns * lane.bounds.spacing_us * 1000 > most);
        if is_late || lane.waiting.len() >= DEVICE_WAITERS_MAX {
            return Err(OverBudget);
        }
        lane.waiting.push_back(seat);
        self.waiting += 1;
        Ok(())
    }

    /// Whether somebody waits for a turn that is there.
    #[must_use]
    pub fn is_idle_with_waiters(&self) -> bool {
        let lanes = || (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].waiting.is_empty());
        self.waiting > 0 && lanes().any(|lane| self.has_turn(lane))
    }

    /// Whether a seat waits for its turn on a device.
    #[must_use]
    pub fn has_waiters(&self) -> bool {
        self.waiting > 0
    }

    /// Hands out those whose turn has come: as many as there are turns. A woken seat may need none,
    /// so this is called again as long as somebody waits.
    pub fn wake(&mut self, told: &mut impl FnMut(Seat)) {
        if self.waiting == 0 {
            return;
        }
        for at in 0..self.lanes.len() {
            if !self.has_turn(at) {
                continue;
            }
            let lane = &mut self.lanes[at];
            let turns = (lane.bounds.operations_max - lane.operations)
                .min(lane.bounds.buffers_max - lane.buffers)
                .min(lane.waiting.len());
            lane.waiting.drain(..turns).for_each(&mut *told);
            self.waiting -= turns;
        }
    }

    /// Hands out everybody who waits for a turn on this device.
    pub fn wake_all(&mut self, lane: usize, told: &mut impl FnMut(Seat)) {
        let lane = &mut self.lanes[lane];
        self.waiting -= lane.waiting.len();
        lane.waiting.drain(..).for_each(told);
    }

    /// When to ask `overdue` at the latest; it may be early.
    #[must_use]
    pub fn look_at(&self) -> Option<Nanos> {
        self.look_at
    }

    /// Something overdue, if anything is. The caller gives it up and asks again.
    pub fn overdue(&mut self, now: Nanos) -> Option<Overdue> {
        if self.look_at.is_none_or(|at| at > now) {
            return None;
        }
        let mut look_at: Option<Nanos> = None;
        for at in 0..self.lanes.len() {
            let Some((began, token)) = self.oldest(at) else { continue };
            let lane = &mut self.lanes[at];
            let (silent_ms, heard_at) = (lane.bounds.silent_ms, began.max(lane.answered_at));
            let silent_at = heard_at.plus_millis(silent_ms);
            let Some(silence) = lane.silence.look(heard_at, silent_at, now) else {
                return Some(Overdue::Silent(at));
            };
            let late_at = began.plus_millis(silent_ms * LATE_FACTOR);
            let Some(lateness) = lane.lateness.look(began, late_at, now) else {
                return Some(Overdue::Late(token));
            };
            let next = silence.min(lateness);
            look_at = Some(look_at.map_or(next, |at| at.min(next)));
        }
        self.look_at = look_at;
        None
    }

    /// Tokens of all operations of a lane that somebody may wait for.
    #[must_use]
    pub fn expected(&self, lane: usize) -> Vec<Token> {
        let expected = |token: &Token| self.under_way.get(token).is_some_and(|op| !op.given_up);
        self.lanes[lane].order.iter().map(|(_, token)| *token).filter(expected).collect()
    }

    /// The oldest operation that is not given up.
    fn oldest(&mut self, lane: usize) -> Option<(Nanos, Token)> {
        let lane = &mut self.lanes[lane];
        while let Some((began, token)) = lane.order.front().copied() {
            let operation = self.under_way.get(&token);
            // A token may be used again; then its older entry is a left-over too.
            if operation.is_some_and(|op| !op.given_up && op.began == began) {
                return Some((began, token));
            }
            lane.order.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const BOUNDS: Bounds =
        Bounds { silent_ms: 400, spacing_us: 1000, operations_max: 3, buffers_max: 8 };

    fn lanes() -> Lanes {
        Lanes::new(&[BOUNDS, BOUNDS])
    }

    fn begin(lanes: &mut Lanes, lane: usize, number: u64, at_ms: u64) {
        lanes.begin(lane, Token(number), Nanos(at_ms * MS), 1, Work::ProbeOpen);
    }

    fn overdue(lanes: &mut Lanes, at_ms: u64) -> Option<Overdue> {
        lanes.overdue(Nanos(at_ms * MS))
    }

    /// Looks whenever it is time to, from `from_ms` on: what is overdue first, and when.
    fn watch(lanes: &mut Lanes, from_ms: u64) -> Option<(u64, Overdue)> {
        let mut now = Nanos(from_ms * MS);
        loop {
            if let Some(overdue) = lanes.overdue(now) {
                return Some((now.0 / MS, overdue));
            }
            now = now.max(lanes.look_at()?);
        }
    }

    #[test]
    fn a_device_that_answers_somebody_is_not_silent() {
        let mut lanes = lanes();
        begin(&mut lanes, 0, 1, 0);
        for at_ms in (100..1500).step_by(100) {
            begin(&mut lanes, 0, at_ms, at_ms);
            assert!(lanes.end(Token(at_ms), Nanos((at_ms + 50) * MS)).is_some());
            assert_eq!(overdue(&mut lanes, at_ms + 90), None, "at {at_ms}");
        }
        assert_eq!(watch(&mut lanes, 1490), Some((1600, Overdue::Late(Token(1)))), "a bad spot");
        lanes.get_mut(Token(1)).unwrap().given_up = true;
        assert_eq!(overdue(&mut lanes, 9000), None, "it is expected no more");
    }

    #[test]
    fn silence_is_noticed_in_time_and_on_its_own_lane() {
        let mut lanes = lanes();
        begin(&mut lanes, 1, 7, 1000);
        assert!(lanes.look_at().is_some_and(|at| at < Nanos(1400 * MS)));
        assert_eq!(watch(&mut lanes, 1000), Some((1400, Overdue::Silent(1))));
        assert_eq!(lanes.expected(1), vec![Token(7)]);
        lanes.get_mut(Token(7)).unwrap().given_up = true;
        assert_eq!(overdue(&mut lanes, 1400), None);
        assert_eq!(lanes.look_at(), None);
    }

    /// Goal: a worker that was away does not blame the device for it. Method: the next look comes
    /// seconds after the operation began, as after a turn with much to send, or without a core.
    #[test]
    fn a_worker_that_did_not_look_blames_nobody() {
        for answers in [true, false] {
            let mut lanes = lanes();
            begin(&mut lanes, 0, 1, 1000);
            assert_eq!(overdue(&mut lanes, 5000), None, "it was away");
            assert_eq!(lanes.look_at(), Some(Nanos(5025 * MS)));
            if answers {
                assert!(lanes.end(Token(1), Nanos(5010 * MS)).is_some());
                assert_eq!(watch(&mut lanes, 5010), None);
            } else {
                let at = Some((5075, Overdue::Silent(0)));
                assert_eq!(watch(&mut lanes, 5025), at, "nothing came while it looked");
            }
        }
    }

    #[test]
    fn an_operation_is_not_late_for_its_worker_either() {
        let mut lanes = lanes();
        begin(&mut lanes, 0, 1, 0);
        begin(&mut lanes, 0, 2, 0);
        // Away for two seconds; then one of the two is brought first.
        assert!(lanes.end(Token(2), Nanos(2000 * MS)).is_some());
        assert_eq!(overdue(&mut lanes, 2000), None);
        assert_eq!(overdue(&mut lanes, 2025), None);
        assert!(lanes.end(Token(1), Nanos(2030 * MS)).is_some());
        assert_eq!(watch(&mut lanes, 2030), None);
    }

    #[test]
    fn a_full_lane_takes_no_turn_of_another() {
        let mut lanes = lanes();
        (0..3).for_each(|number| begin(&mut lanes, 0, number, 0));
        assert!(!lanes.has_turn(0) && lanes.has_turn(1) && lanes.is_calm(1));
        let seat = |slot| Seat { slot, generation: 1 };
        (0..4).for_each(|slot| lanes.wait(0, seat(slot), None).unwrap());
        let mut told = Vec::new();
        lanes.wake(&mut |seat| told.push(seat.slot));
        assert!(told.is_empty() && !lanes.is_idle_with_waiters());
        lanes.end(Token(1), Nanos(1));
        assert!(lanes.is_idle_with_waiters());
        lanes.wake(&mut |seat| told.push(seat.slot));
        assert_eq!(told, [0], "one turn, one seat");
        lanes.wake_all(0, &mut |seat| told.push(seat.slot));
        assert_eq!((told, lanes.waiting), (vec![0, 1, 2, 3], 0));
    }

    /// Goal: whoever can be answered in time waits, however many they are; the next hears at once
    /// that it is too late; a body under way waits in any case. Method: a device that gives an
    /// answer each millisecond.
    #[test]
    fn who_can_be_answered_in_time_waits_and_nobody_else() {
        let mut lanes = lanes();
        (0..3).for_each(|number| begin(&mut lanes, 0, number, 0));
        let seat = |slot| Seat { slot, generation: 1 };
        let wait = |lanes: &mut Lanes| lanes.wait(0, seat(0), Some(2_000 * MS));
        for number in 0..2_000 {
            assert_eq!(wait(&mut lanes), Ok(()), "{number}");
        }
        assert_eq!(wait(&mut lanes), Err(OverBudget), "two seconds later than it asked");
        assert_eq!(lanes.wait(0, seat(0), None), Ok(()), "in the middle of a body");
        let mut told = 0;
        lanes.end(Token(0), Nanos(MS));
        lanes.wake(&mut |_| told += 1);
        assert_eq!(told, 1);
        assert_eq!(wait(&mut lanes), Err(OverBudget), "as many are before it as before");
        lanes.end(Token(1), Nanos(2 * MS));
        lanes.wake(&mut |_| told += 1);
        assert_eq!(told, 3, "two turns are free");
        assert_eq!([(); 3].map(|()| wait(&mut lanes).is_ok()), [true, true, false]);
    }

    #[test]
    fn one_that_hangs_does_not_let_the_order_grow() {
        let mut lanes = lanes();
        begin(&mut lanes, 0, 0, 0);
        for number in 1..10_000 {
            begin(&mut lanes, 0, number, number);
            lanes.end(Token(number), Nanos(number));
        }
        assert!(lanes.lanes[0].order.len() <= 12, "{}", lanes.lanes[0].order.len());
    }
}
