//! Which objects belong on the other kind of disk, and in which order to move them. Pure: looks at
//! what the disks hold, the plan's hints and the heat that `oca` measured; moves nothing itself.
//!
//! Policy, in this order:
//! 1. The plan's moves, in the plan's order: it sees the whole site.
//! 2. Objects on rotating disks that are hot (at least `PROMOTE_HEAT_MIN` of their size served
//!    within the heat's half-life) go to flash, hottest first, while there is room above the
//!    headroom.
//! 3. When there is none, the coldest objects on flash make room, if each is less than half as hot
//!    as what comes: two objects of like heat never change places.
//!
//! An object that was moved rests for six hours before heat moves it again; what the plan wants on
//! flash is not taken from there.

use std::collections::{HashMap, HashSet};

use control_types::fill::ClassMove;
use control_types::fleet::DiskClass;
use control_types::ids::ObjectId;
use oca_store::Index;
use serde::Deserialize;

use crate::limits::{ERRANDS_MAX, HEAT_OBJECTS_MAX, HYSTERESIS, PROMOTE_HEAT_MIN};

/// `heat.json` as `oca` writes it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct HeatFile {
    /// When it was written, Unix milliseconds.
    pub(crate) at: u64,
    objects: Vec<Hot>,
}

#[derive(Clone, Debug, Deserialize)]
struct Hot {
    object: ObjectId,
    heat: f64,
}

/// One object to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errand {
    pub(crate) object: ObjectId,
    pub(crate) to: DiskClass,
}

/// What the disks of one kind hold.
pub(crate) struct Tier {
    pub(crate) class: DiskClass,
    pub(crate) indices: Vec<Index>,
    /// Above the headroom.
    pub(crate) free_bytes: u64,
}

impl Tier {
    fn file_bytes(&self, object: &ObjectId) -> Option<u64> {
        self.indices.iter().find_map(|index| index.find(object).map(|entry| entry.file_bytes()))
    }
}

/// The errands that these facts make, in order; `rests` says which objects were moved lately.
pub(crate) fn errands(
    tiers: &[Tier],
    plan: &[ClassMove],
    heat: &HeatFile,
    rests: impl Fn(&ObjectId) -> bool,
) -> Vec<Errand> {
    let tier = |class| tiers.iter().find(|tier| tier.class == class && !tier.indices.is_empty());
    let (Some(flash), Some(rotating)) = (tier(DiskClass::Ssd), tier(DiskClass::Hdd)) else {
        return Vec::new();
    };
    let mut errands = Vec::new();
    let (mut flash_free, mut moved) = (flash.free_bytes, HashSet::new());
    for hint in plan.iter().take(ERRANDS_MAX) {
        let to = hint.class;
        let (from, at) = match to {
            DiskClass::Ssd => (rotating, flash),
            DiskClass::Hdd => (flash, rotating),
        };
        let Some(bytes) = from.file_bytes(&hint.object) else { continue };
        if at.file_bytes(&hint.object).is_some() || !moved.insert(hint.object) {
            continue;
        }
        flash_free = match to {
            DiskClass::Ssd => flash_free.saturating_sub(bytes),
            DiskClass::Hdd => flash_free.saturating_add(bytes),
        };
        errands.push(Errand { object: hint.object, to });
    }
    by_heat(flash, rotating, flash_free, heat, |object| moved.contains(object) || rests(object))
        .into_iter()
        .for_each(|errand| errands.push(errand));
    errands.truncate(ERRANDS_MAX);
    errands
}

fn by_heat(
    flash: &Tier,
    rotating: &Tier,
    mut free: u64,
    heat: &HeatFile,
    fixed: impl Fn(&ObjectId) -> bool,
) -> Vec<Errand> {
    let known = &heat.objects[..heat.objects.len().min(HEAT_OBJECTS_MAX)];
    let mut hot: Vec<(f64, ObjectId, u64)> = Vec::new();
    for Hot { object, heat } in known.iter().filter(|hot| hot.heat >= PROMOTE_HEAT_MIN) {
        if fixed(object) || flash.file_bytes(object).is_some() {
            continue;
        }
        hot.extend(rotating.file_bytes(object).map(|bytes| (*heat, *object, bytes)));
    }
    if hot.is_empty() {
        return Vec::new();
    }
    hot.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let heats: HashMap<ObjectId, f64> = known.iter().map(|hot| (hot.object, hot.heat)).collect();
    let entries = flash.indices.iter().flat_map(Index::entries);
    let mut cold: Vec<(f64, ObjectId, u64)> = entries
        .filter(|entry| !fixed(&entry.object))
        .map(|entry| {
            let heat = heats.get(&entry.object).copied().unwrap_or(0.0);
            (heat, entry.object, entry.file_bytes())
        })
        .collect();
    // The coldest last, so that it is popped first.
    cold.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    let mut errands = Vec::new();
    for (heat, object, bytes) in hot {
        let mut leaving = Vec::new();
        while free < bytes
            && let Some((_, object, bytes)) = cold.pop_if(|(cold, _, _)| *cold * HYSTERESIS < heat)
        {
            leaving.push(Errand { object, to: DiskClass::Hdd });
            free += bytes;
        }
        if free < bytes || errands.len() >= ERRANDS_MAX {
            // What would have left stays: there is no point in half an exchange.
            break;
        }
        free -= bytes;
        errands.append(&mut leaving);
        errands.push(Errand { object, to: DiskClass::Ssd });
    }
    errands
}

#[cfg(test)]
mod tests {
    use super::*;
    use oca_store::{Change, Kind, MediaType, Record, Volume};

    const MB: u64 = 1 << 20;

    fn id(tag: u8) -> ObjectId {
        ObjectId([tag; 32])
    }

    fn tier(class: DiskClass, objects: &[(u8, u64)], free_bytes: u64) -> Tier {
        let dir = tempfile::tempdir().unwrap();
        let volume = Volume::open(dir.path(), class).unwrap();
        let mut index = Index::load(&[volume]).index;
        for (tag, bytes) in objects {
            let record = Record {
                kind: Kind::Published,
                object: id(*tag),
                bytes: *bytes,
                title: "night".parse().unwrap(),
                media_type: MediaType::VideoMp4,
            };
            index.apply(&Change::Published { volume: 0, record });
        }
        Tier { class, indices: vec![index], free_bytes }
    }

    fn heat(objects: &[(u8, f64)]) -> HeatFile {
        let hot = |(tag, heat): &(u8, f64)| Hot { object: id(*tag), heat: *heat };
        HeatFile { at: 1, objects: objects.iter().map(hot).collect() }
    }

    fn told(errands: &[Errand]) -> Vec<(u8, DiskClass)> {
        errands.iter().map(|errand| (errand.object.0[0], errand.to)).collect()
    }

    #[test]
    fn hot_goes_up_while_there_is_room_and_then_only_for_what_is_half_as_hot() {
        use DiskClass::{Hdd, Ssd};
        let flash = tier(Ssd, &[(1, MB), (2, MB), (3, MB)], MB + MB / 2);
        let rotating = tier(Hdd, &[(10, MB), (11, MB), (12, MB), (13, MB)], 100 * MB);
        let tiers = [rotating, flash];
        let heat =
            heat(&[(10, 9.0), (11, 4.0), (12, 3.0), (13, 0.1), (1, 5.0), (2, 1.9), (3, 0.0)]);
        let made = errands(&tiers, &[], &heat, |_| false);
        // 10 fits; 11 needs a place: 3 is cold and leaves. 12 is not twice as hot as 2.
        assert_eq!(told(&made), [(10, Ssd), (3, Hdd), (11, Ssd)]);
        assert!(errands(&tiers, &[], &heat, |_| true).is_empty(), "what was moved lately rests");
        assert!(errands(&tiers[..1], &[], &heat, |_| false).is_empty(), "one kind of disk only");
    }

    #[test]
    fn the_plan_goes_first_and_heat_does_not_undo_it() {
        use DiskClass::{Hdd, Ssd};
        let tiers = [
            tier(Ssd, &[(1, MB), (2, MB), (5, MB)], 0),
            tier(Hdd, &[(10, MB), (11, MB), (5, MB)], 100 * MB),
        ];
        let hint = |tag, class| ClassMove { object: id(tag), class };
        let plan = [hint(1, Hdd), hint(10, Ssd), hint(2, Ssd), hint(99, Ssd), hint(5, Hdd)];
        let heat = heat(&[(11, 50.0), (1, 60.0)]);
        let made = errands(&tiers, &plan, &heat, |_| false);
        assert_eq!(told(&made[..2]), [(1, Hdd), (10, Ssd)]);
        assert!(!told(&made).contains(&(1, Ssd)), "heat does not take back what the plan moved");
        assert!(told(&made).contains(&(11, Ssd)));
    }
}
