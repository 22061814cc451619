//! Placement: which boxes of one group hold which parcels tomorrow, and on which kind of disk.
//! Decides what, never from where.
//!
//! Policy, for one group of boxes (the edges of a site, or its tiers):
//! 1. Each copy of a parcel bids with its density: bytes expected tomorrow per byte stored. What is
//!    held bids more, by `sticky` and by the bytes a fetch would cost, so that a fetch happens only
//!    where it pays back before what it brings is pushed out again (the break-even rule).
//! 2. Bids are taken highest first while there is room. A parcel goes to the box that draws highest
//!    for it (rendezvous, weighted by room), so that a box that joins or leaves moves its own share
//!    only; where that box is full, or settled and a neighbour has the parcel, to the one that has
//!    most of it already, then by draw. What is held and was pushed off its own box bids again
//!    without what being held was worth, so that it does not push others off theirs in turn.
//! 3. Room that is left takes further copies, densest first, those that are there before any that
//!    would be fetched, and pushes nothing out for them: a copy costs bytes inside the site only,
//!    and lets a box fail without a trip to the origin.
//! 4. A rung goes only where the core of its title goes (see `ladder.rs`), and never before it: its
//!    bid is cut to what that copy of the core offers.
//! 5. What is held stays on the kind of disk it is on. New objects go to flash while it lasts,
//!    densest first. Which held objects should change disks is said apart, in `tier.rs`.
//!
//! How many copies a parcel should have is said in `copies.rs`. A copy beyond those is worth its
//! demand divided by its number: it adds room for load, not variety.
//!
//! Planning what a plan led to adds nothing: everything placed is then held and bids higher in the
//! same order, so whoever found no room finds none again.

mod bids;

use std::collections::HashSet;

use crate::copies::copies;
use crate::hash::draw;
use crate::knobs::Knobs;
use crate::library::Library;
use crate::seat::{Candidate, Holdings, Seat, Shelf};
use crate::shelf::shelve;

use bids::{Bid, Bids, Terms};

/// Most boxes placed together; a larger site is placed in groups of this many. A copy set is kept
/// as one bit a box.
pub const SEATS_MAX: usize = 128;

/// Share of its room that a box holds when it is settled.
const SETTLED_SHARE: f64 = 0.85;

/// Most walks for one group. A second one is due when what fits neither kind of disk alone, while
/// it fits both together, comes to more than a thousandth of the room.
const ROUNDS_MAX: usize = 8;

/// Places `candidates` on `seats`; one shelf for each seat. Candidates that compare equal in worth
/// are taken in the order given.
#[must_use]
pub fn place(
    library: &Library,
    candidates: &[Candidate],
    seats: &[Seat],
    knobs: &Knobs,
) -> Vec<Shelf> {
    place_of(library, candidates, 0.0, seats, knobs)
}

fn place_of(
    library: &Library,
    candidates: &[Candidate],
    unlisted: f64,
    seats: &[Seat],
    knobs: &Knobs,
) -> Vec<Shelf> {
    let seats = &seats[..seats.len().min(SEATS_MAX)];
    let counts = copies(candidates, unlisted, seats.len(), knobs);
    let room: u64 = seats.iter().map(|seat| seat.room.total()).sum();
    let mut misfits = HashSet::new();
    let mut shelves = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let mut table = Table::new(library, candidates, seats, knobs, &misfits);
        table.fill(|at| (1, counts[at].0, counts[at].1));
        table.keep();
        let most = seats.len() as u32;
        table.fill(|at| (counts[at].1 + 1, 1, most));
        let taken = std::mem::take(&mut table.taken);
        let mut dropped = Vec::new();
        shelves = (taken.iter().zip(seats).enumerate())
            .map(|(at, (taken, seat))| {
                let (shelf, out) = shelve(library, candidates, seat, taken);
                dropped.extend(out.into_iter().map(|candidate| (candidate, at)));
                shelf
            })
            .collect();
        let bytes = dropped.iter().map(|(at, _)| library.bytes(candidates[*at as usize].parcel));
        if bytes.sum::<u64>() <= room / 1000 {
            break;
        }
        misfits.extend(dropped);
    }
    shelves
}

/// [`place`], repeated on its own result until that adds nothing, so that planning the planned
/// state changes nothing. For groups small enough that a second walk costs nothing; in large ones
/// the few parcels it is about do not matter. `unlisted` is what is expected of all that is no
/// candidate, bytes: what has no chance of room need not be listed.
#[must_use]
pub fn place_settled(
    library: &Library,
    candidates: &[Candidate],
    unlisted: f64,
    seats: &[Seat],
    knobs: &Knobs,
) -> Vec<Shelf> {
    let mut shelves = place_of(library, candidates, unlisted, seats, knobs);
    for _ in 0..ROUNDS_MAX {
        let mut then = seats.to_vec();
        for (seat, shelf) in then.iter_mut().zip(&shelves) {
            // What a round lets go is still there, and can be had back only where it is.
            seat.found = seat.held.clone();
            if !seat.lasting {
                seat.held = Holdings::none(library.objects());
            }
            shelf.iter().for_each(|spot| seat.held.put(spot.object, spot.class));
        }
        let next = place_of(library, candidates, unlisted, &then, knobs);
        let mut adds = then.iter().zip(&next).flat_map(|(seat, shelf)| {
            shelf.iter().filter(|spot| seat.held.class(spot.object).is_none())
        });
        let added = adds.next().is_some();
        shelves = next;
        if !added {
            break;
        }
    }
    shelves
}

/// The group while it is being placed.
struct Table<'a> {
    library: &'a Library,
    candidates: &'a [Candidate],
    seats: &'a [Seat],
    knobs: &'a Knobs,
    /// Candidates that an earlier walk found to fit neither kind of disk of a box.
    misfits: &'a HashSet<(u32, usize)>,
    /// Bytes left on each box, whatever the kind of disk.
    free: Vec<u64>,
    /// Below this no parcel fits, bytes. 0 for tiers, whose parcels may be there already.
    smallest: u64,
    /// Boxes that have each candidate, a bit each.
    placed: Vec<u128>,
    /// Candidates of each box in the order they were taken.
    taken: Vec<Vec<u32>>,
    /// Boxes that are full already, or nearly so.
    settled: Vec<bool>,
    /// All boxes are equally large: draws need no weighing.
    even: bool,
}

impl<'a> Table<'a> {
    fn new(
        library: &'a Library,
        candidates: &'a [Candidate],
        seats: &'a [Seat],
        knobs: &'a Knobs,
        misfits: &'a HashSet<(u32, usize)>,
    ) -> Self {
        let free = seats.iter().map(|seat| {
            let kept: u64 = if seat.lasting {
                seat.held.iter().map(|(object, _)| library.size(object)).sum()
            } else {
                0
            };
            seat.room.total().saturating_sub(kept)
        });
        let settled = seats.iter().map(|seat| {
            let held: u64 = seat.held.iter().map(|(object, _)| library.size(object)).sum();
            held as f64 >= SETTLED_SHARE * seat.room.total() as f64
        });
        Self {
            settled: settled.collect(),
            library,
            candidates,
            seats,
            knobs,
            misfits,
            free: free.collect(),
            smallest: if seats.iter().any(|seat| seat.lasting) { 0 } else { library.smallest() },
            placed: vec![0; candidates.len()],
            taken: vec![Vec::new(); seats.len()],
            even: seats.windows(2).all(|two| two[0].room.total() == two[1].room.total()),
        }
    }

    /// Takes the bids of `terms` while there is room for any.
    fn fill(&mut self, terms: impl Fn(usize) -> (u32, u32, u32)) {
        if self.is_full() {
            return;
        }
        let mut bids = Bids::new(self.bids(&terms));
        while let Some(bid) = bids.next() {
            self.take(bid, &mut bids, &terms);
            if self.is_full() {
                return;
            }
        }
    }

    /// Leaves further copies where they are while there is room, densest first, before any is
    /// fetched: two copies to spare must not take turns.
    fn keep(&mut self) {
        if self.is_full() {
            return;
        }
        let mut kept: Vec<(f64, u32, usize)> = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            let core = candidate.core.map_or(f64::INFINITY, |core| self.density(core as usize));
            let seats = (0..self.seats.len()).filter(|seat| self.placed[at] & (1 << *seat) == 0);
            let held = seats.filter(|seat| self.held_share(*seat, *candidate) >= 1.0);
            kept.extend(held.map(|seat| (self.density(at).min(core), at as u32, seat)));
        }
        kept.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        for (_, candidate, seat) in kept {
            let at = candidate as usize;
            if self.is_open(seat, at) && self.fits(seat, at) {
                self.seat(seat, candidate);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.free.iter().all(|free| *free < self.smallest)
    }

    /// Gives the bid a place, if there is one, or puts it off.
    fn take(&mut self, bid: Bid, bids: &mut Bids, terms: &Terms<'_>) {
        let at = bid.candidate as usize;
        if self.placed[at].count_ones() >= bid.copy {
            return;
        }
        match self.seat_for(at) {
            None => bids.wait_for_core(bid, self.candidates[at].core),
            Some(seat) if bid.is_late || !self.is_pushed(seat, &bid) => {
                self.seat(seat, bid.candidate);
            }
            Some(seat) => {
                let share = self.held_share(seat, self.candidates[at]);
                let (_, full, _) = terms(at);
                bids.put_off(bid, self.offer_of(at, bid.copy, full, share));
            }
        }
    }

    /// Whether a bid was made for a place that is gone and would now move to `seat`, which is full
    /// of its own: only a box that is new, or has lost a disk, draws its share to itself.
    fn is_pushed(&self, seat: usize, bid: &Bid) -> bool {
        let share = self.held_share(seat, self.candidates[bid.candidate as usize]);
        if !self.settled[seat] || share >= 1.0 {
            return false;
        }
        let mut shares = Vec::with_capacity(self.seats.len());
        self.held_shares(bid.candidate as usize, &mut shares);
        share < shares[bid.copy as usize - 1]
    }

    fn seat(&mut self, seat: usize, candidate: u32) {
        let at = candidate as usize;
        self.free[seat] -= self.lacking(seat, self.candidates[at]);
        self.placed[at] |= 1 << seat;
        self.taken[seat].push(candidate);
    }

    /// Whether a box does not have the candidate yet, and has its core.
    fn is_open(&self, seat: usize, at: usize) -> bool {
        let core = self.candidates[at].core;
        let cores = core.map_or(u128::MAX, |core| self.placed[core as usize]);
        cores & !self.placed[at] & (1 << seat) != 0
    }

    /// Bytes expected for each byte stored.
    fn density(&self, at: usize) -> f64 {
        let candidate = self.candidates[at];
        candidate.demand / self.library.bytes(candidate.parcel).max(1) as f64
    }

    fn seat_for(&self, at: usize) -> Option<usize> {
        let candidate = self.candidates[at];
        let open = |seat: &usize| self.is_open(*seat, at);
        let home = (0..self.seats.len())
            .filter(open)
            .max_by(|a, b| self.weighed(*a, candidate).total_cmp(&self.weighed(*b, candidate)))?;
        // A box that is full of its own takes nothing off a neighbour that has it: only one that is
        // new, or has lost a disk, draws its share to itself.
        let stays = |seat: usize| {
            seat != home && self.held_share(seat, candidate) > 0.5 && self.fits(seat, at)
        };
        let is_kept = self.settled[home] && (0..self.seats.len()).filter(open).any(stays);
        if self.fits(home, at) && (!is_kept || self.held_share(home, candidate) > 0.5) {
            return Some(home);
        }
        let others = (0..self.seats.len()).filter(open).filter(|seat| *seat != home);
        let fitting = others.filter(|seat| self.fits(*seat, at));
        fitting.max_by(|a, b| {
            let wish = |seat: usize| {
                let leans = self.seats[seat].leaning.binary_search(&candidate.parcel).is_ok();
                (self.held_share(seat, candidate), leans, self.weighed(seat, candidate))
            };
            let (one, two) = (wish(*a), wish(*b));
            one.0.total_cmp(&two.0).then(one.1.cmp(&two.1)).then(one.2.total_cmp(&two.2))
        })
    }

    fn fits(&self, seat: usize, at: usize) -> bool {
        let candidate = self.candidates[at];
        let largest = self.seats[seat].largest;
        self.lacking(seat, candidate) <= self.free[seat]
            && self.library.largest(candidate.parcel) <= largest.ssd.max(largest.hdd)
            && (self.misfits.is_empty() || !self.misfits.contains(&(at as u32, seat)))
    }

    /// Bytes of room a candidate takes from a box.
    fn lacking(&self, seat: usize, candidate: Candidate) -> u64 {
        let seat = &self.seats[seat];
        if !seat.lasting {
            return self.library.bytes(candidate.parcel);
        }
        let members = self.library.members(candidate.parcel).iter();
        let lacking = members.filter(|object| seat.held.class(**object).is_none());
        lacking.map(|object| self.library.size(*object)).sum()
    }

    /// Share of a candidate's bytes that a box holds, 0 to 1.
    fn held_share(&self, seat: usize, candidate: Candidate) -> f64 {
        let held = &self.seats[seat].held;
        match self.library.members(candidate.parcel) {
            [object] => f64::from(u8::from(held.class(*object).is_some())),
            members => {
                let there = members.iter().filter(|object| held.class(**object).is_some());
                let bytes: u64 = there.map(|object| self.library.size(*object)).sum();
                bytes as f64 / self.library.bytes(candidate.parcel).max(1) as f64
            }
        }
    }

    /// Weighted rendezvous: among boxes of unequal room each draws in proportion to it.
    fn weighed(&self, seat: usize, candidate: Candidate) -> f64 {
        let drawn = draw(self.library.key(candidate.parcel), self.seats[seat].key);
        let drawn = (drawn >> 11) as f64;
        if self.even {
            return drawn;
        }
        let share = (drawn + 1.0) / (1_u64 << 53) as f64;
        share.ln() / self.seats[seat].room.total().max(1) as f64
    }
}
