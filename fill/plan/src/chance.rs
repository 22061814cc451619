//! Which parcels may find room in a group at all. Places none: it spares the walk those that would
//! be asked after all room is taken, nine tenths of a large catalog.

use crate::parcel::Parcel;

/// How many times the room of a group is looked at, densest first: copies that take the same room
/// twice, and what fits no disk, must not leave it short of candidates.
const LOOK_AHEAD: f64 = 1.5;

/// Of `parcels`, worth most first, those among the first bytes that could fill `room`, those of
/// which a box has or began an object (`kept`, by object), and their cores; in the same order.
/// `largest` is the most bytes that one box can take. The second answer is what is expected of all
/// others, bytes.
pub(crate) fn with_a_chance<'a>(
    parcels: Vec<Parcel<'a>>,
    room: u64,
    largest: u64,
    kept: &[bool],
) -> (Vec<Parcel<'a>>, f64) {
    let bytes_max = room as f64 * LOOK_AHEAD;
    let is_kept = |parcel: &Parcel<'_>| parcel.objects.iter().any(|at| kept[*at as usize]);
    let mut titles =
        vec![false; parcels.iter().map(|one| one.title_at + 1).max().unwrap_or(0) as usize];
    for one in parcels.iter().filter(|one| is_kept(one)) {
        titles[one.title_at as usize] = true;
    }
    let (mut bytes, mut unlisted) = (0.0, 0.0);
    let mut listed = Vec::new();
    for parcel in parcels {
        let is_near = bytes < bytes_max;
        if is_near && parcel.bytes <= largest {
            bytes += parcel.bytes as f64;
        }
        if is_near || is_kept(&parcel) || (parcel.part == 0 && titles[parcel.title_at as usize]) {
            listed.push(parcel);
        } else {
            unlisted += parcel.demand;
        }
    }
    (listed, unlisted)
}

#[cfg(test)]
mod tests {
    use control_types::ids::TitleId;

    use super::*;

    #[test]
    fn what_is_far_beyond_the_room_is_left_out_unless_a_box_has_some_of_it() {
        let titles: Vec<TitleId> = (0..10).map(|at| format!("t{at}").parse().unwrap()).collect();
        let parcel = |(at, title)| Parcel {
            title,
            title_at: at,
            part: 0,
            parts: 2,
            objects: vec![2 * at, 2 * at + 1],
            bytes: if at == 0 { 5_000 } else { 100 },
            demand: 1_000.0 - f64::from(at),
            worth: 1_000.0 - f64::from(at),
        };
        let mut parcels: Vec<Parcel<'_>> = (0_u32..).zip(&titles).map(parcel).collect();
        // The last title's rung, of which a box has one object.
        let rung =
            Parcel { part: 1, objects: vec![20], demand: 1.0, worth: 1.0, ..parcels[9].clone() };
        parcels.push(rung);
        let mut kept = vec![false; 21];
        kept[20] = true;
        let parts = |listed: &[Parcel<'_>]| -> Vec<(String, u32)> {
            listed.iter().map(|one| (one.title.to_string(), one.part)).collect()
        };
        // Room for two, so three are looked at; what no box can take is none of them.
        let (listed, unlisted) = with_a_chance(parcels.clone(), 200, 1_000, &kept);
        let expected = [("t0", 0), ("t1", 0), ("t2", 0), ("t3", 0), ("t9", 0), ("t9", 1)];
        assert_eq!(parts(&listed), expected.map(|(title, part)| (title.to_owned(), part)));
        assert_eq!(unlisted, 996.0 + 995.0 + 994.0 + 993.0 + 992.0);
        let (listed, unlisted) = with_a_chance(parcels.clone(), 1_000, 1_000, &kept);
        assert_eq!((listed.len(), unlisted), (parcels.len(), 0.0), "room for all");
    }
}
