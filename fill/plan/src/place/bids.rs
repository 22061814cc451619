//! Bids: what each copy of a parcel offers for its place, and the order in which they are taken.
//! Seats nobody.
//!
//! A bid is made for the box that holds most of the parcel. One that would have to go elsewhere,
//! to a box that is full of its own, is put off: it comes again when what it offers there is due.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::Table;

/// Of a candidate: (first copy that bids, copies at full worth, last copy that bids).
pub(super) type Terms<'a> = dyn Fn(usize) -> (u32, u32, u32) + 'a;

/// What a copy of a parcel offers for its place. The greater one is taken first.
#[derive(Clone, Copy)]
pub(super) struct Bid {
    value: f64,
    pub(super) candidate: u32,
    pub(super) copy: u32,
    /// It was put off once, and takes what it gets.
    pub(super) is_late: bool,
}

impl Ord for Bid {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.value.total_cmp(&other.value);
        order.then(other.candidate.cmp(&self.candidate)).then(other.copy.cmp(&self.copy))
    }
}

impl PartialOrd for Bid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bid {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Bid {}

/// The bids of one walk.
pub(super) struct Bids {
    /// Greatest first.
    made: std::iter::Peekable<std::vec::IntoIter<Bid>>,
    late: BinaryHeap<Bid>,
    /// What candidates offer that were put off and did not come yet.
    waiting: HashMap<u32, f64>,
}

impl Bids {
    /// `made` has the greatest first.
    pub(super) fn new(made: Vec<Bid>) -> Self {
        let made = made.into_iter().peekable();
        Self { made, late: BinaryHeap::new(), waiting: HashMap::new() }
    }

    /// The greatest that is left.
    pub(super) fn next(&mut self) -> Option<Bid> {
        let is_late = match (self.made.peek(), self.late.peek()) {
            (Some(made), Some(late)) => late > made,
            (made, _) => made.is_none(),
        };
        if !is_late {
            return self.made.next();
        }
        let bid = self.late.pop()?;
        self.waiting.remove(&bid.candidate);
        Some(bid)
    }

    /// Puts `bid` off until `value` is due; none when it would not pay for its fetch there.
    pub(super) fn put_off(&mut self, bid: Bid, value: Option<f64>) {
        let Some(value) = value else { return };
        let value = value.min(bid.value);
        self.waiting.insert(bid.candidate, value);
        self.late.push(Bid { value, is_late: true, ..bid });
    }

    /// A rung that found no place comes again after its core, if that was put off.
    pub(super) fn wait_for_core(&mut self, bid: Bid, core: Option<u32>) {
        if let Some(value) = core.and_then(|core| self.waiting.get(&core)) {
            self.late.push(Bid { value: value.min(bid.value), ..bid });
        }
    }
}

impl Table<'_> {
    /// Bids of all candidates, highest first; `terms` answers (first copy, copies at full worth,
    /// last copy).
    pub(super) fn bids(&self, terms: &Terms<'_>) -> Vec<Bid> {
        let mut bids = Vec::with_capacity(self.candidates.len());
        let (mut own, mut of_core) = (Vec::new(), Vec::new());
        for at in 0..self.candidates.len() {
            let (first, full, last) = terms(at);
            if first > last {
                continue;
            }
            self.held_shares(at, &mut own);
            let core = self.candidates[at].core.map(|core| (core as usize, terms(core as usize)));
            if let Some((core, _)) = core {
                self.held_shares(core, &mut of_core);
            }
            for copy in first..=last {
                let Some(mut value) = self.offer(at, copy, full, &own) else { continue };
                // A copy of the core that no longer bids has its place, or found none.
                if let Some((core, (first, full, _))) = core
                    && copy >= first
                {
                    let Some(most) = self.offer(core, copy, full, &of_core) else { continue };
                    value = value.min(most);
                }
                bids.push(Bid { value, candidate: at as u32, copy, is_late: false });
            }
        }
        bids.sort_unstable_by(|a, b| b.cmp(a));
        bids
    }

    /// What a copy offers, when `full` copies are of full worth and the boxes hold `shares` of it,
    /// most first; none when it would not pay for its fetch.
    fn offer(&self, at: usize, copy: u32, full: u32, shares: &[f64]) -> Option<f64> {
        self.offer_of(at, copy, full, shares[copy as usize - 1])
    }

    /// The same of a box that holds the share `held` of it, 0 to 1.
    pub(super) fn offer_of(&self, at: usize, copy: u32, full: u32, held: f64) -> Option<f64> {
        let density = self.density(at);
        let worth = if copy <= full { density } else { density / f64::from(copy) };
        let hurdle = self.knobs.hurdle();
        if worth < hurdle * (1.0 - held) {
            return None;
        }
        // What is held is pushed out only by what pays for its own fetch and is clearly better; the
        // part of a parcel that is there counts for as much.
        let stays = (worth * self.knobs.sticky).max(worth + hurdle);
        Some(worth + held * (stays - worth))
    }

    /// Shares of a candidate that the boxes hold, most first.
    pub(super) fn held_shares(&self, at: usize, into: &mut Vec<f64>) {
        let candidate = self.candidates[at];
        into.clear();
        into.extend((0..self.seats.len()).map(|seat| self.held_share(seat, candidate)));
        into.sort_unstable_by(|a, b| b.total_cmp(a));
    }
}
