//! Which objects a box already holds should change disks: heat belongs on flash. Plans work for
//! idle disks; never moves an object to or from another box.
//!
//! Policy: hottest rotating objects against coldest flash ones, pair by pair, while the one is at
//! least `MOVE_GAIN` times as hot as the other; flash that is free takes without giving. What is
//! between is left alone: a move reads and writes the object once, on the disk that is busy.

use std::collections::HashSet;

use control_types::fleet::DiskClass;

use crate::library::Library;
use crate::seat::{Seat, Spot};

/// How many times hotter an object must be than what makes room for it on flash.
const MOVE_GAIN: f64 = 1.25;

/// One move, in the order to make them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub object: u32,
    /// Where to.
    pub class: DiskClass,
}

/// Moves for `seat`, whose shelf tomorrow is `shelf`. `heat` is bytes expected tomorrow per byte
/// stored, by object. Moves no more than `bytes_max` bytes.
pub fn moves(
    library: &Library,
    seat: &Seat,
    shelf: &[Spot],
    heat: impl Fn(u32) -> f64,
    bytes_max: u64,
) -> Vec<Move> {
    if seat.room.ssd == 0 || seat.room.hdd == 0 {
        return Vec::new();
    }
    let mut free = seat.room;
    for spot in shelf {
        let left = free.of(spot.class);
        *left = left.saturating_sub(library.size(spot.object));
    }
    if seat.lasting {
        // What has no place tomorrow stays all the same.
        let shelved: HashSet<u32> = shelf.iter().map(|spot| spot.object).collect();
        for (object, class) in seat.held.iter().filter(|(object, _)| !shelved.contains(object)) {
            let left = free.of(class);
            *left = left.saturating_sub(library.size(object));
        }
    }
    let held = |class: DiskClass| {
        let spots = shelf.iter().filter(move |spot| spot.class == class);
        let held = spots.filter(|spot| seat.held.class(spot.object).is_some());
        let mut held: Vec<(f64, u32)> = held.map(|spot| (heat(spot.object), spot.object)).collect();
        held.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        held
    };
    let (hot, mut cold) = (held(DiskClass::Hdd), held(DiskClass::Ssd));
    let (mut moves, mut bytes_left) = (Vec::new(), bytes_max);
    for (heat, object) in hot {
        let bytes = library.size(object);
        if heat <= 0.0 || bytes > seat.largest.ssd {
            continue;
        }
        let (mut room, mut leaving) = (free, Vec::new());
        while room.ssd < bytes {
            let Some((colder, victim)) = cold.get(cold.len().wrapping_sub(leaving.len() + 1))
            else {
                break;
            };
            let victim_bytes = library.size(*victim);
            if colder * MOVE_GAIN > heat || victim_bytes > room.hdd.min(seat.largest.hdd) {
                break;
            }
            room.ssd += victim_bytes;
            room.hdd -= victim_bytes;
            leaving.push(*victim);
        }
        let cost = bytes + leaving.iter().map(|victim| library.size(*victim)).sum::<u64>();
        if room.ssd < bytes || cost > bytes_left {
            // The coldest of flash is not cold enough for this one, nor for any after it.
            break;
        }
        cold.truncate(cold.len() - leaving.len());
        moves.extend(leaving.into_iter().map(|object| Move { object, class: DiskClass::Hdd }));
        moves.push(Move { object, class: DiskClass::Ssd });
        room.ssd -= bytes;
        room.hdd += bytes;
        (free, bytes_left) = (room, bytes_left - cost);
    }
    moves
}
