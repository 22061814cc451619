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
//!    most of it already, then by draw.
//! 3. Room that is left takes further copies, densest first, and pushes nothing out for them: a
//!    copy costs bytes inside the site only, and lets a box fail without a trip to the origin.
//! 4. What is held stays on the kind of disk it is on. New objects go to flash while it lasts,
//!    densest first. Which held objects should change disks is said apart, in `tier.rs`.
//!
//! Copies of a parcel: its share of the site's demand times the boxes of the site, rounded up; at
//! least two for the hot ones where there are two boxes. A copy beyond those is worth its demand
//! divided by its number: it adds room for load, not variety.
//!
//! Planning what a plan led to adds nothing: everything placed is then held and bids higher in the
//! same order, so whoever found no room finds none again.

use std::collections::HashSet;

use control_types::fleet::DiskClass;

use crate::hash::draw;
use crate::knobs::Knobs;
use crate::library::Library;
use crate::room::Room;

/// Most boxes placed together; a larger site is placed in groups of this many. A copy set is kept
/// as one bit a box.
pub const SEATS_MAX: usize = 128;

/// Share of its room that a box holds when it is settled.
const SETTLED_SHARE: f64 = 0.85;

/// Most walks for one group. A second one is due when what fits neither kind of disk alone, while
/// it fits both together, comes to more than a thousandth of the room.
const ROUNDS_MAX: usize = 8;

/// One box of the group.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    /// Its name, as [`crate::name_key`].
    pub key: u64,
    /// All healthy volumes together, headroom and bytes of unknown origin taken off.
    pub room: Room,
    /// The largest single volume of each kind: an object cannot be spread over two.
    pub largest: Room,
    /// What it holds, by object.
    pub held: Holdings,
    /// What is on its disks although it is not counted as held; empty but between two walks.
    pub found: Holdings,
    /// Parcels the previous plan sent here, sorted: half a download is not thrown away.
    pub leaning: Vec<u32>,
    /// Never pushed out: what a tier holds, its edges may be counting on.
    pub lasting: bool,
}

/// Which objects a box holds, and on which kind of disk; one byte an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings(Vec<u8>);

impl Holdings {
    /// Holds none of `objects`.
    #[must_use]
    pub fn none(objects: usize) -> Self {
        Self(vec![0; objects])
    }

    /// Notes that `object` is on a disk of `class`.
    pub fn put(&mut self, object: u32, class: DiskClass) {
        self.0[object as usize] = match class {
            DiskClass::Ssd => 1,
            DiskClass::Hdd => 2,
        };
    }

    /// Notes that `object` is gone.
    pub fn remove(&mut self, object: u32) {
        self.0[object as usize] = 0;
    }

    /// Where `object` is, if it is.
    #[must_use]
    pub fn class(&self, object: u32) -> Option<DiskClass> {
        match self.0.get(object as usize) {
            Some(1) => Some(DiskClass::Ssd),
            Some(2) => Some(DiskClass::Hdd),
            _ => None,
        }
    }

    /// Every object held.
    pub fn iter(&self) -> impl Iterator<Item = (u32, DiskClass)> + '_ {
        (0..u32::try_from(self.0.len()).unwrap_or(u32::MAX))
            .filter_map(|object| Some((object, self.class(object)?)))
    }
}

/// A parcel that may be placed, with what is expected of it in this group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Index into the library.
    pub parcel: u32,
    /// Bytes expected tomorrow; finite and not negative.
    pub demand: f64,
}

/// Where one object is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Which.
    pub object: u32,
    /// Kind of disk.
    pub class: DiskClass,
    /// Position of its parcel among the candidates.
    pub candidate: u32,
}

/// What one box holds tomorrow, by worth: bids highest first.
pub type Shelf = Vec<Spot>;

/// Copies each candidate should have in a group of `seats` boxes: (at any price, in all).
#[must_use]
pub fn copies(candidates: &[Candidate], seats: usize, knobs: &Knobs) -> Vec<(u32, u32)> {
    let mut counts = vec![(1, 1); candidates.len()];
    if seats < 2 {
        return counts;
    }
    let total: f64 = candidates.iter().map(|candidate| candidate.demand).sum();
    let mut by_demand: Vec<u32> = (0..counts.len() as u32).collect();
    by_demand.sort_unstable_by(|a, b| {
        let demand = |at: &u32| candidates[*at as usize].demand;
        demand(b).total_cmp(&demand(a)).then(a.cmp(b))
    });
    let (mut before, seats) = (0.0, seats as u32);
    for at in by_demand {
        let demand = candidates[at as usize].demand;
        if demand <= 0.0 {
            break;
        }
        let least = if before < total * knobs.hot_share { 2 } else { 1 };
        let fair = (demand / total * f64::from(seats) * knobs.copy_spread).ceil() as u32;
        if least == 1 && fair <= 1 {
            // By demand: nobody after this one asks for more.
            break;
        }
        counts[at as usize] = (least, fair.clamp(least, seats));
        before += demand;
    }
    counts
}

/// Places `candidates` on `seats`; one shelf for each seat. Candidates that compare equal in worth
/// are taken in the order given.
#[must_use]
pub fn place(
    library: &Library,
    candidates: &[Candidate],
    seats: &[Seat],
    knobs: &Knobs,
) -> Vec<Shelf> {
    let seats = &seats[..seats.len().min(SEATS_MAX)];
    let counts = copies(candidates, seats.len(), knobs);
    let room: u64 = seats.iter().map(|seat| seat.room.total()).sum();
    let mut misfits = HashSet::new();
    let mut shelves = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let mut table = Table::new(library, candidates, seats, knobs, &misfits);
        table.fill(|at| (1, counts[at].0, counts[at].1));
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
/// the few parcels it is about do not matter.
#[must_use]
pub fn place_settled(
    library: &Library,
    candidates: &[Candidate],
    seats: &[Seat],
    knobs: &Knobs,
) -> Vec<Shelf> {
    let mut shelves = place(library, candidates, seats, knobs);
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
        let next = place(library, candidates, &then, knobs);
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

/// What a copy of a parcel offers for its place.
#[derive(Clone, Copy)]
struct Bid {
    value: f64,
    candidate: u32,
    copy: u32,
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
        for bid in self.bids(terms) {
            self.take(bid);
            if self.is_full() {
                return;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.free.iter().all(|free| *free < self.smallest)
    }

    /// Bids of all candidates, highest first; `terms` answers (first copy, copies at full worth,
    /// last copy).
    fn bids(&self, terms: impl Fn(usize) -> (u32, u32, u32)) -> Vec<Bid> {
        let hurdle = self.knobs.hurdle();
        let mut bids = Vec::with_capacity(self.candidates.len());
        let mut fractions = Vec::with_capacity(self.seats.len());
        for (at, candidate) in self.candidates.iter().enumerate() {
            let (first, full, last) = terms(at);
            if first > last {
                continue;
            }
            let density = candidate.demand / self.library.bytes(candidate.parcel).max(1) as f64;
            fractions.clear();
            fractions.extend((0..self.seats.len()).map(|seat| self.held_share(seat, *candidate)));
            fractions.sort_unstable_by(|a, b| b.total_cmp(a));
            for copy in first..=last {
                let worth = if copy <= full { density } else { density / f64::from(copy) };
                let held = fractions[copy as usize - 1];
                if worth < hurdle * (1.0 - held) {
                    continue;
                }
                // What is held is pushed out only by what pays for its own fetch and is clearly
                // better; the part of a parcel that is there counts for as much.
                let stays = (worth * self.knobs.sticky).max(worth + hurdle);
                let value = worth + held * (stays - worth);
                bids.push(Bid { value, candidate: at as u32, copy });
            }
        }
        bids.sort_unstable_by(|a, b| {
            let order = b.value.total_cmp(&a.value);
            order.then(a.candidate.cmp(&b.candidate)).then(a.copy.cmp(&b.copy))
        });
        bids
    }

    /// Gives the bid a place, if there is one.
    fn take(&mut self, bid: Bid) {
        let at = bid.candidate as usize;
        if self.placed[at].count_ones() >= bid.copy {
            return;
        }
        let Some(seat) = self.seat_for(at) else { return };
        self.free[seat] -= self.lacking(seat, self.candidates[at]);
        self.placed[at] |= 1 << seat;
        self.taken[seat].push(bid.candidate);
    }

    fn seat_for(&self, at: usize) -> Option<usize> {
        let candidate = self.candidates[at];
        let open = |seat: &usize| self.placed[at] & (1 << *seat) == 0;
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

/// Finds each object its kind of disk; the second answer is the candidates that fit in the sum and
/// on neither kind.
fn shelve(
    library: &Library,
    candidates: &[Candidate],
    seat: &Seat,
    taken: &[u32],
) -> (Shelf, Vec<u32>) {
    let mut room = seat.room;
    let mut keep = |object: u32| {
        if let Some(class) = seat.held.class(object) {
            let left = room.of(class);
            *left = left.saturating_sub(library.size(object));
        }
    };
    if seat.lasting {
        seat.held.iter().for_each(|(object, _)| keep(object));
    } else {
        let members = |at: &u32| library.members(candidates[*at as usize].parcel);
        taken.iter().flat_map(members).for_each(|object| keep(*object));
    }
    let (mut shelf, mut out) = (Vec::with_capacity(taken.len()), Vec::new());
    for candidate in taken {
        let (before, room_before) = (shelf.len(), room);
        for object in library.members(candidates[*candidate as usize].parcel) {
            let class = seat.held.class(*object).or_else(|| {
                let bytes = library.size(*object);
                let found = seat.found.class(*object);
                let class = [DiskClass::Ssd, DiskClass::Hdd].into_iter().find(|class| {
                    let mut largest = seat.largest;
                    let is_there = found.is_none_or(|found| found == *class);
                    is_there && bytes <= *room.of(*class) && bytes <= *largest.of(*class)
                })?;
                *room.of(class) -= bytes;
                Some(class)
            });
            let Some(class) = class else {
                shelf.truncate(before);
                room = room_before;
                out.push(*candidate);
                break;
            };
            shelf.push(Spot { object: *object, class, candidate: *candidate });
        }
    }
    (shelf, out)
}
