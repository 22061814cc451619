//! Placement: which boxes of one site hold which parcels tomorrow. Decides what, never from where.
//!
//! Policy, for one group of boxes (the edges of a site, or its tiers):
//! 1. What is held stays, up to the copies its demand asks for.
//! 2. Parcels are looked at densest first (bytes expected per byte stored). One that lacks a copy
//!    and is above break-even goes to the box that already holds most of it, then to the one the
//!    last plan chose, then by rendezvous weight; flash first, so that flash gets the densest.
//! 3. Where there is no room it may push out parcels it beats by `sticky`, least dense first.
//! 4. Rounds are repeated on their own result until nothing is added, so that planning the planned
//!    state changes nothing.
//!
//! 5. Room that is left over takes further copies, densest first, and pushes nothing out for them:
//!    a copy costs bytes inside the site only, and lets a box fail or drain without a trip to the
//!    origin.
//!
//! Copies of a parcel: its share of the site's demand times the boxes of the site, rounded up; at
//! least two for the hot ones where there are two boxes. A copy beyond those is worth its demand
//! divided by its number: it adds room for load, not variety.

use std::collections::{BTreeMap, HashMap, HashSet};

use control_types::fill::PlaceableObject;
use control_types::fleet::DiskClass;
use control_types::ids::{ObjectId, TitleId};

use crate::hash::weight;
use crate::knobs::Knobs;
use crate::parcel::Parcel;
use crate::room::{Budget, Room, footprint};

/// Most rounds to a standstill; two are the rule, and what remains is left for the next plan.
const ROUNDS_MAX: usize = 8;

/// One box of the group.
pub(crate) struct Seat<'a> {
    /// Name, for rendezvous.
    pub(crate) name: &'a str,
    /// What there is for objects.
    pub(crate) budget: Budget,
    /// What it holds, or will by the end of a round.
    pub(crate) held: HashMap<ObjectId, DiskClass>,
    /// What it held before the first round. An object a round let go is still there until its room
    /// is needed, so a later round can have it back only where it is.
    pub(crate) found: HashMap<ObjectId, DiskClass>,
    /// Titles the previous plan sent here: half a download is not thrown away.
    pub(crate) leaning: HashSet<&'a TitleId>,
    /// Never pushed out: what a tier holds, its edges may be counting on.
    pub(crate) lasting: bool,
}

/// Where one object is to be on a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Kind of disk.
    pub(crate) class: DiskClass,
    /// Index of its parcel.
    pub(crate) parcel: usize,
}

/// What one box holds tomorrow: object index to spot.
pub(crate) type Shelf = BTreeMap<usize, Spot>;

/// Copies each parcel should have in a group of `seats` boxes: (at any price, in all).
pub(crate) fn copies(parcels: &[Parcel<'_>], seats: usize, knobs: &Knobs) -> Vec<(usize, usize)> {
    let total: f64 = parcels.iter().map(|parcel| parcel.demand).sum();
    let mut by_demand: Vec<usize> = (0..parcels.len()).collect();
    by_demand.sort_by(|a, b| parcels[*b].demand.total_cmp(&parcels[*a].demand).then(a.cmp(b)));
    let mut counts = vec![(1, 1); parcels.len()];
    let mut before = 0.0;
    for index in by_demand {
        let demand = parcels[index].demand;
        if demand <= 0.0 {
            break;
        }
        let least = if before < total * knobs.hot_share { seats.min(2) } else { 1 };
        let fair = (demand / total * seats as f64 * knobs.copy_spread).ceil() as usize;
        counts[index] = (least, fair.clamp(least, seats.max(least)));
        before += demand;
    }
    counts
}

/// Places `parcels` (densest first) on `seats`; one shelf for each seat.
pub(crate) fn place(
    objects: &[PlaceableObject],
    parcels: &[Parcel<'_>],
    mut seats: Vec<Seat<'_>>,
    knobs: &Knobs,
) -> Vec<Shelf> {
    let counts = copies(parcels, seats.len(), knobs);
    let mut shelves = Vec::new();
    for _ in 0..ROUNDS_MAX {
        shelves = round(objects, parcels, &counts, &seats, knobs);
        let mut added = false;
        for (seat, shelf) in seats.iter_mut().zip(&shelves) {
            let next: HashMap<ObjectId, DiskClass> =
                shelf.iter().map(|(index, spot)| (objects[*index].object, spot.class)).collect();
            added |= next.keys().any(|object| !seat.held.contains_key(object));
            seat.held = next;
        }
        if !added {
            break;
        }
    }
    shelves
}

/// One parcel on one box while a round is going on.
struct Unit {
    room: Room,
    members: Vec<(usize, DiskClass)>,
    whole: bool,
}

/// One box while a round is going on.
struct Desk<'a> {
    seat: &'a Seat<'a>,
    free: Room,
    units: BTreeMap<usize, Unit>,
}

fn round(
    objects: &[PlaceableObject],
    parcels: &[Parcel<'_>],
    counts: &[(usize, usize)],
    seats: &[Seat<'_>],
    knobs: &Knobs,
) -> Vec<Shelf> {
    let mut desks: Vec<Desk<'_>> = seats
        .iter()
        .map(|seat| Desk { seat, free: seat.budget.room, units: BTreeMap::new() })
        .collect();
    keep(objects, parcels, counts, &mut desks);
    for (value, index) in candidates(parcels, counts, knobs) {
        let (copy, value) = value;
        let have = desks.iter().filter(|desk| desk.holds_whole(index)).count();
        if have >= copy {
            continue;
        }
        for seat in preference(&parcels[index], index, objects, &desks) {
            if desks[seat].try_place(objects, parcels, index, value, knobs.sticky) {
                break;
            }
        }
    }
    spare(objects, parcels, knobs, &mut desks);
    desks
        .into_iter()
        .map(|desk| {
            let units = desk.units.into_iter();
            units
                .flat_map(|(parcel, unit)| {
                    unit.members
                        .into_iter()
                        .map(move |(object, class)| (object, Spot { class, parcel }))
                })
                .collect()
        })
        .collect()
}

/// Step 1: what is held, densest first, up to the copies asked for; the rest may go.
fn keep(
    objects: &[PlaceableObject],
    parcels: &[Parcel<'_>],
    counts: &[(usize, usize)],
    desks: &mut [Desk<'_>],
) {
    for (index, parcel) in parcels.iter().enumerate() {
        let mut holding: Vec<(usize, Unit)> = desks
            .iter()
            .enumerate()
            .filter_map(|(at, desk)| Some((at, desk.held_of(objects, parcel)?)))
            .collect();
        holding.sort_by_key(|(at, unit)| {
            let name = desks[*at].seat.name;
            std::cmp::Reverse((unit.room.total(), weight(parcel.title.as_str(), name)))
        });
        for (rank, (at, mut unit)) in holding.into_iter().enumerate() {
            let desk = &mut desks[at];
            if desk.seat.lasting {
                // It stays even where it eats the headroom; the account then ends at nothing left.
                unit.room.ssd = unit.room.ssd.min(desk.free.ssd);
                unit.room.hdd = unit.room.hdd.min(desk.free.hdd);
            }
            if (rank < counts[index].1 || desk.seat.lasting) && desk.free.take(unit.room) {
                desk.units.insert(index, unit);
            }
        }
    }
}

/// Step 2: (copy number, value), parcel; most valuable first.
fn candidates(
    parcels: &[Parcel<'_>],
    counts: &[(usize, usize)],
    knobs: &Knobs,
) -> Vec<((usize, f64), usize)> {
    let mut all = Vec::new();
    for (index, parcel) in parcels.iter().enumerate() {
        let density = parcel.density();
        let (least, most) = counts[index];
        for copy in 1..=most {
            let value = if copy <= least { density } else { density / copy as f64 };
            if value >= knobs.break_even {
                all.push(((copy, value), index));
            }
        }
    }
    all.sort_by(|((copy_a, a), index_a), ((copy_b, b), index_b)| {
        b.total_cmp(a).then(index_a.cmp(index_b)).then(copy_a.cmp(copy_b))
    });
    all
}

/// Step 5: copies beyond those asked for, where there is room; what is there already goes first.
fn spare(
    objects: &[PlaceableObject],
    parcels: &[Parcel<'_>],
    knobs: &Knobs,
    desks: &mut [Desk<'_>],
) {
    for (index, parcel) in parcels.iter().enumerate() {
        for desk in desks.iter_mut().filter(|desk| !desk.units.contains_key(&index)) {
            let Some(unit) = desk.held_of(objects, parcel) else { continue };
            if unit.whole && desk.free.take(unit.room) {
                desk.units.insert(index, unit);
            }
        }
    }
    let further = vec![(1, desks.len()); parcels.len()];
    for ((copy, _), index) in candidates(parcels, &further, knobs) {
        if desks.iter().filter(|desk| desk.holds_whole(index)).count() >= copy {
            continue;
        }
        for seat in preference(&parcels[index], index, objects, desks) {
            // Worth nothing, it beats nothing.
            if desks[seat].try_place(objects, parcels, index, 0.0, knobs.sticky) {
                break;
            }
        }
    }
}

/// Boxes without the whole parcel, best first.
fn preference(
    parcel: &Parcel<'_>,
    index: usize,
    objects: &[PlaceableObject],
    desks: &[Desk<'_>],
) -> Vec<usize> {
    let mut open: Vec<usize> =
        (0..desks.len()).filter(|at| !desks[*at].holds_whole(index)).collect();
    open.sort_by_key(|at| {
        let seat = desks[*at].seat;
        let held: u64 = parcel
            .objects
            .iter()
            .filter(|index| seat.held.contains_key(&objects[**index].object))
            .map(|index| footprint(objects[*index].bytes))
            .sum();
        let leaning = seat.leaning.contains(parcel.title);
        std::cmp::Reverse((held, leaning, weight(parcel.title.as_str(), seat.name)))
    });
    open
}

impl Desk<'_> {
    fn holds_whole(&self, parcel: usize) -> bool {
        self.units.get(&parcel).is_some_and(|unit| unit.whole)
    }

    /// What the box holds of `parcel` now, wanted or not.
    fn held_of(&self, objects: &[PlaceableObject], parcel: &Parcel<'_>) -> Option<Unit> {
        let mut unit = Unit { room: Room::default(), members: Vec::new(), whole: false };
        for index in &parcel.objects {
            if let Some(class) = self.seat.held.get(&objects[*index].object) {
                *unit.room.of(*class) += footprint(objects[*index].bytes);
                unit.members.push((*index, *class));
            }
        }
        unit.whole = unit.members.len() == parcel.objects.len();
        (!unit.members.is_empty()).then_some(unit)
    }

    /// Step 3: gives `parcel` a place here, pushing out what it clearly beats; false and no change
    /// when that does not make room for all of it.
    fn try_place(
        &mut self,
        objects: &[PlaceableObject],
        parcels: &[Parcel<'_>],
        index: usize,
        value: f64,
        sticky: f64,
    ) -> bool {
        let parcel = &parcels[index];
        let own = self.units.remove(&index);
        if let Some(own) = &own {
            self.free.give(own.room);
        }
        let mut room = self.free;
        let mut unit = self.fit(objects, parcel, room);
        let mut victims = Vec::new();
        if unit.is_none() && !self.seat.lasting {
            // Parcels are numbered densest first, so the last ones are worth least.
            for (victim, held) in self.units.iter().rev() {
                if parcels[*victim].density() * sticky >= value {
                    break;
                }
                victims.push((*victim, held.room));
                room.give(held.room);
                unit = self.fit(objects, parcel, room);
                if unit.is_some() {
                    break;
                }
            }
        }
        let Some(mut unit) = unit else {
            if let Some(own) = own {
                // It was taken from `free` a moment ago, so it fits there again.
                self.free.take(own.room);
                self.units.insert(index, own);
            }
            return false;
        };
        // The last one pushed may have made an earlier one's leaving needless: densest stay first.
        for (victim, freed) in victims.into_iter().rev() {
            let mut without = room;
            if without.take(freed)
                && let Some(tighter) = self.fit(objects, parcel, without)
            {
                (room, unit) = (without, tighter);
            } else {
                self.units.remove(&victim);
            }
        }
        // `fit` only answers with what `room` can give.
        room.take(unit.room);
        self.free = room;
        self.units.insert(index, unit);
        true
    }

    /// The parcel in `room`: held objects where they are, others on flash while it lasts. Because
    /// objects come smallest first, more room never turns a fit into a misfit.
    fn fit(
        &self,
        objects: &[PlaceableObject],
        parcel: &Parcel<'_>,
        mut room: Room,
    ) -> Option<Unit> {
        let mut unit = Unit { room: Room::default(), members: Vec::new(), whole: true };
        let largest = self.seat.budget.largest;
        for index in &parcel.objects {
            let bytes = footprint(objects[*index].bytes);
            let object = &objects[*index].object;
            let class = match self.seat.held.get(object).or_else(|| self.seat.found.get(object)) {
                Some(class) => *class,
                None if bytes <= room.ssd && bytes <= largest.ssd => DiskClass::Ssd,
                None if bytes <= largest.hdd => DiskClass::Hdd,
                None => return None,
            };
            let left = room.of(class);
            *left = left.checked_sub(bytes)?;
            *unit.room.of(class) += bytes;
            unit.members.push((*index, class));
        }
        Some(unit)
    }
}
