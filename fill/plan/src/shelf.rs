//! A box's shelf: each object that it was given finds its kind of disk. Never gives a box anything.

use control_types::fleet::DiskClass;

use crate::library::Library;
use crate::seat::{Candidate, Seat, Shelf, Spot};

/// Finds each object its kind of disk; the second answer is the candidates that fit in the sum and
/// on neither kind, and the rungs whose core is one of these.
pub(crate) fn shelve(
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
        let core = candidates[*candidate as usize].core;
        if core.is_some_and(|core| out.contains(&core)) {
            out.push(*candidate);
            continue;
        }
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
