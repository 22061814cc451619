//! Parcels: the objects of a title that travel together, so that what arrives can be played.
//! Knows sizes and demand; knows no appliance.
//!
//! A title is one parcel: a manifest offers every rung, and a box that lacks one answers 404 in the
//! middle of a play. Only a title that no box of a site could hold whole is cut, smallest objects
//! first (playlists, audio, low rungs, then up), at the points where the bytes expected per byte
//! stored of what comes first are highest. Each piece is then worth no more than the one before it,
//! so that taking pieces by worth never takes an upper rung before a lower one.

use std::collections::BTreeMap;

use control_types::fill::PlaceableObject;
use control_types::ids::{SiteId, TitleId};

use crate::room::footprint;

/// Objects that go to the same boxes.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<'a> {
    /// Whose.
    pub(crate) title: &'a TitleId,
    /// Indices into `FillState::objects`, smallest object first.
    pub(crate) objects: Vec<u32>,
    /// Disk they take, bytes.
    pub(crate) bytes: u64,
    /// Bytes expected to be asked of them tomorrow where they are to be placed.
    pub(crate) demand: f64,
}

impl Parcel<'_> {
    /// Bytes expected to be served for each byte stored.
    pub(crate) fn density(&self) -> f64 {
        self.demand / (self.bytes.max(1) as f64)
    }
}

/// Tomorrow's bytes of `object` at all of `sites` together.
pub(crate) fn demand(object: &PlaceableObject, sites: &[&SiteId]) -> f64 {
    sites
        .iter()
        .map(|site| {
            let listed = object.demand_bytes.iter().find(|demand| demand.site == **site);
            let bytes = listed.map_or(object.demand_bytes_elsewhere, |demand| demand.bytes);
            // A forecast gone wrong must not order the whole fleet: no bytes is the safe reading.
            if bytes.is_finite() { bytes.max(0.0) } else { 0.0 }
        })
        .sum()
}

/// Groups `candidates` (indices into `objects`) into parcels no larger than `bytes_max` where that
/// can be, densest first; ties by title, so that equal inputs give equal plans.
pub(crate) fn parcels<'a>(
    objects: &'a [PlaceableObject],
    candidates: &[u32],
    sites: &[&SiteId],
    bytes_max: u64,
) -> Vec<Parcel<'a>> {
    let mut titles: BTreeMap<&TitleId, Vec<u32>> = BTreeMap::new();
    for index in candidates {
        titles.entry(&objects[*index as usize].title).or_default().push(*index);
    }
    let mut all = Vec::with_capacity(titles.len());
    for (title, mut members) in titles {
        members.sort_by_key(|index| {
            let object = &objects[*index as usize];
            (object.bytes, object.object)
        });
        let whole = parcel(objects, title, members, sites);
        if whole.bytes <= bytes_max {
            all.push(whole);
        } else {
            cut(objects, whole, sites, &mut all);
        }
    }
    all.sort_by(|a, b| {
        b.density().total_cmp(&a.density()).then_with(|| a.title.cmp(b.title)).then_with(|| {
            let first = |parcel: &Parcel<'_>| objects[parcel.objects[0] as usize].bytes;
            first(a).cmp(&first(b))
        })
    });
    all
}

fn parcel<'a>(
    objects: &[PlaceableObject],
    title: &'a TitleId,
    members: Vec<u32>,
    sites: &[&SiteId],
) -> Parcel<'a> {
    let bytes = members.iter().map(|index| footprint(objects[*index as usize].bytes)).sum();
    let demand = members.iter().map(|index| demand(&objects[*index as usize], sites)).sum();
    Parcel { title, objects: members, bytes, demand }
}

/// Cuts `whole` behind its densest head, then the rest behind its densest head, and so on.
fn cut<'a>(
    objects: &[PlaceableObject],
    whole: Parcel<'a>,
    sites: &[&SiteId],
    all: &mut Vec<Parcel<'a>>,
) {
    let mut rest = whole.objects.as_slice();
    while !rest.is_empty() {
        let (mut bytes, mut asked) = (0_u64, 0.0_f64);
        let (mut best_length, mut best_density) = (1, f64::NEG_INFINITY);
        for (at, index) in rest.iter().enumerate() {
            let object = &objects[*index as usize];
            bytes += footprint(object.bytes);
            asked += demand(object, sites);
            let density = asked / bytes as f64;
            if density > best_density {
                (best_length, best_density) = (at + 1, density);
            }
        }
        let (head, tail) = rest.split_at(best_length);
        all.push(parcel(objects, whole.title, head.to_vec(), sites));
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
        let whole = parcels(&objects, &[0, 1, 2, 3], &[&site], 1 << 40);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].objects, [1, 2, 0, 3]);
        let pieces = parcels(&objects, &[0, 1, 2, 3], &[&site], 100 * MIB);
        assert!(pieces.len() > 1);
        assert_eq!(pieces.iter().flat_map(|p| p.objects.clone()).collect::<Vec<_>>(), [1, 2, 0, 3]);
        assert!(pieces.windows(2).all(|pair| pair[0].density() >= pair[1].density()));
    }
}
