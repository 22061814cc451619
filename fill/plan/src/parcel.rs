//! Parcels: the objects of a title that go to the same boxes. Knows sizes and demand; knows no
//! appliance.
//!
//! A title is cut into its core and its other rungs (`ladder.rs`); a rung goes only where its core
//! goes. A core that no box of a site could hold is cut further, smallest objects first (playlists,
//! audio, low rungs, then up), at the points where the bytes expected per byte stored of what comes
//! first are highest. No part is worth more than the one before it, so that taking parts by worth
//! never takes an upper one before a lower one.

use std::collections::BTreeMap;

use control_types::fill::PlaceableObject;
use control_types::ids::{SiteId, TitleId};

use crate::ladder::{self, File};
use crate::room::footprint;
use crate::wishes::Wishes;

/// Objects that go to the same boxes.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<'a> {
    /// Whose.
    pub(crate) title: &'a TitleId,
    /// Its place among the titles, which are in the order of their names.
    pub(crate) title_at: u32,
    /// Which part of the title: 0 is what the others need.
    pub(crate) part: u32,
    /// Parts the title has.
    pub(crate) parts: u32,
    /// Indices into `FillState::objects`, smallest object first.
    pub(crate) objects: Vec<u32>,
    /// Disk they take, bytes.
    pub(crate) bytes: u64,
    /// Bytes expected to be asked of them tomorrow where they are to be placed.
    pub(crate) demand: f64,
    /// Least density of the parts before it and its own.
    pub(crate) worth: f64,
}

impl Parcel<'_> {
    /// Bytes expected to be served for each byte stored.
    pub(crate) fn density(&self) -> f64 {
        self.demand / (self.bytes.max(1) as f64)
    }

    /// The part of the title, in words: the title alone when it is all of it.
    pub(crate) fn name(&self, objects: &[PlaceableObject]) -> String {
        let mut heights: Vec<u32> =
            self.objects.iter().filter_map(|at| objects[*at as usize].height).collect();
        heights.sort_unstable();
        heights.dedup();
        let heights: Vec<String> = heights.iter().map(|height| format!("{height}p")).collect();
        match (self.parts, self.part) {
            (1, _) => self.title.to_string(),
            (_, 0) if heights.is_empty() => format!("{}, core", self.title),
            (_, 0) => format!("{}, core with {}", self.title, heights.join(" and ")),
            _ if heights.is_empty() => format!("{}, part {}", self.title, self.part),
            _ => format!("{}, {}", self.title, heights.join(" and ")),
        }
    }
}

/// Titles with their objects (indices into `FillState::objects`), smallest first; by title.
pub(crate) type Titles<'a> = Vec<(&'a TitleId, Vec<u32>)>;

/// Groups `candidates` by title.
pub(crate) fn titles<'a>(objects: &'a [PlaceableObject], candidates: &[u32]) -> Titles<'a> {
    let mut titles: BTreeMap<&TitleId, Vec<u32>> = BTreeMap::new();
    for index in candidates {
        titles.entry(&objects[*index as usize].title).or_default().push(*index);
    }
    for members in titles.values_mut() {
        members.sort_by_key(|index| {
            let object = &objects[*index as usize];
            (object.bytes, object.object)
        });
    }
    titles.into_iter().collect()
}

/// Parcels of all objects for one site alone, no larger than `bytes_max` where that can be.
pub(crate) fn of_site<'a>(
    objects: &'a [PlaceableObject],
    site: &SiteId,
    bytes_max: u64,
) -> Vec<Parcel<'a>> {
    let all: Vec<u32> = (0..objects.len() as u32).collect();
    parcels(objects, &titles(objects, &all), &Wishes::new(objects).at(&[site]), bytes_max)
}

/// Cuts `titles` into parcels no larger than `bytes_max` where that can be, those worth most first,
/// a title's core before its rungs; ties by title, so that equal inputs give equal plans. `demand`
/// is tomorrow's bytes of each object.
pub(crate) fn parcels<'a>(
    objects: &[PlaceableObject],
    titles: &Titles<'a>,
    demand: &[f64],
    bytes_max: u64,
) -> Vec<Parcel<'a>> {
    let mut all = Vec::with_capacity(titles.len());
    for (title_at, (title, members)) in (0_u32..).zip(titles) {
        of_title(objects, (title, title_at), members, demand, bytes_max, &mut all);
    }
    all.sort_unstable_by(|a, b| {
        let by_worth = b.worth.total_cmp(&a.worth);
        by_worth.then((a.title_at, a.part).cmp(&(b.title_at, b.part)))
    });
    all
}

/// Where the core of each parcel is among `parcels`; none for a core itself.
pub(crate) fn cores(parcels: &[Parcel<'_>]) -> Vec<Option<u32>> {
    let titles = parcels.iter().map(|parcel| parcel.title_at as usize + 1).max().unwrap_or(0);
    let mut cores: Vec<Option<u32>> = vec![None; titles];
    for (at, parcel) in (0_u32..).zip(parcels).filter(|(_, parcel)| parcel.part == 0) {
        cores[parcel.title_at as usize] = Some(at);
    }
    let core = |parcel: &Parcel<'_>| cores[parcel.title_at as usize].filter(|_| parcel.part > 0);
    parcels.iter().map(core).collect()
}

fn of_title<'a>(
    objects: &[PlaceableObject],
    title: (&'a TitleId, u32),
    members: &[u32],
    demand: &[f64],
    bytes_max: u64,
    all: &mut Vec<Parcel<'a>>,
) {
    let file = |index: &u32| {
        let object = &objects[*index as usize];
        let bytes = footprint(object.bytes);
        File { bytes, demand: demand[*index as usize], height: object.height }
    };
    let files: Vec<File> = members.iter().map(file).collect();
    let first = all.len();
    for part in ladder::cut(&files) {
        let members = part.iter().map(|at| members[*at as usize]).collect();
        let whole = parcel(objects, title, members, demand);
        if whole.bytes <= bytes_max {
            all.push(whole);
        } else {
            cut(objects, whole, demand, all);
        }
    }
    let (parts, mut worth) = ((all.len() - first) as u32, f64::INFINITY);
    for (part, parcel) in (0_u32..).zip(&mut all[first..]) {
        worth = worth.min(parcel.density());
        (parcel.part, parcel.parts, parcel.worth) = (part, parts, worth);
    }
}

fn parcel<'a>(
    objects: &[PlaceableObject],
    (title, title_at): (&'a TitleId, u32),
    members: Vec<u32>,
    demand: &[f64],
) -> Parcel<'a> {
    let bytes = members.iter().map(|index| footprint(objects[*index as usize].bytes)).sum();
    let demand = members.iter().map(|index| demand[*index as usize]).sum();
    Parcel { title, title_at, part: 0, parts: 1, objects: members, bytes, demand, worth: 0.0 }
}

/// Cuts `whole` behind its densest head, then the rest behind its densest head, and so on.
fn cut<'a>(
    objects: &[PlaceableObject],
    whole: Parcel<'a>,
    demand: &[f64],
    all: &mut Vec<Parcel<'a>>,
) {
    let mut rest = whole.objects.as_slice();
    while !rest.is_empty() {
        let (mut bytes, mut asked) = (0_u64, 0.0_f64);
        let (mut best_length, mut best_density) = (1, f64::NEG_INFINITY);
        for (at, index) in rest.iter().enumerate() {
            let object = &objects[*index as usize];
            bytes += footprint(object.bytes);
            asked += demand[*index as usize];
            let density = asked / bytes as f64;
            if density > best_density {
                (best_length, best_density) = (at + 1, density);
            }
        }
        let (head, tail) = rest.split_at(best_length);
        all.push(parcel(objects, (whole.title, whole.title_at), head.to_vec(), demand));
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use control_types::ids::ObjectId;

    use super::*;

    fn object(tag: u8, bytes: u64, demand_bytes_elsewhere: f64) -> PlaceableObject {
        PlaceableObject {
            object: ObjectId([tag; 32]),
            bytes,
            title: "t".parse().unwrap(),
            height: None,
            demand_bytes: Vec::new(),
            demand_bytes_elsewhere,
        }
    }

    #[test]
    fn a_title_too_big_is_cut_from_the_bottom_up_and_never_gets_denser() {
        const MIB: u64 = 1 << 20;
        let objects = [
            object(1, 64 * MIB, 640.0e6),
            object(2, 4096, 0.0),
            object(3, 8 * MIB, 80.0e6),
            object(4, 256 * MIB, 100.0e6),
        ];
        let site = "a".parse().unwrap();
        let whole = of_site(&objects, &site, 1 << 40);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].objects, [1, 2, 0, 3]);
        let pieces = of_site(&objects, &site, 100 * MIB);
        assert!(pieces.len() > 1);
        assert_eq!(pieces.iter().flat_map(|p| p.objects.clone()).collect::<Vec<_>>(), [1, 2, 0, 3]);
        assert!(pieces.windows(2).all(|pair| pair[0].density() >= pair[1].density()));
    }
}
