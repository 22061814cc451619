//! The planner's table of contents: group the boxes, place, route, write the plan down.
//! Whether a new plan is worth sending is decided in `settled.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use control_types::UnixMillis;
use control_types::fill::{
    AppliancePlan, ClassMove, FillAppliance, FillState, NightPlan, PlaceableObject, Pull,
};
use control_types::fleet::{DiskClass, Role};
use control_types::ids::{ObjectId, PlanId, SiteId};

use crate::copies::copies;
use crate::hash::name_key;
use crate::knobs::Knobs;
use crate::library::Library;
use crate::parcel::{self, Parcel};
use crate::place;
use crate::planner::Planner;
use crate::room::{Budget, budget, footprint};
use crate::route::{Routes, bring_first};
use crate::seat::{Candidate, Holdings, Seat, Shelf};
use crate::shorten::drop_hopeless;
use crate::tier;
use crate::words;

/// What one box lacks and what it may do without.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) wants: Vec<Want>,
    /// Least valuable first.
    pub(crate) prunes: Vec<ObjectId>,
    /// Objects on the wrong kind of disk.
    pub(crate) moves: Vec<ClassMove>,
}

/// One object a box lacks.
#[derive(Clone)]
pub(crate) struct Want {
    /// Index into `FillState::objects`.
    object: usize,
    class: DiskClass,
    /// Bytes expected for each byte stored, of the parcel.
    pub(crate) density: f64,
    why: String,
}

/// Plans one night for the fleet in `state`. `previous` is the plan in force, if any: downloads it
/// began keep their box. `now`, `id` and `serial` are only written into the plan.
#[must_use]
pub fn plan(
    state: &FillState,
    knobs: &Knobs,
    previous: Option<&NightPlan>,
    now: UnixMillis,
    id: PlanId,
    serial: u64,
) -> NightPlan {
    Planner::default().plan(state, knobs, previous, now, id, serial)
}

/// The state with its look-ups.
pub(crate) struct Fleet<'a> {
    pub(crate) state: &'a FillState,
    knobs: &'a Knobs,
    pub(crate) previous: Option<&'a NightPlan>,
    /// Boxes that may give and take: healthy, and their address is known.
    pub(crate) active: Vec<usize>,
    /// Objects somebody holds, each once; the others cannot be had tonight.
    pub(crate) candidates: Vec<u32>,
    /// Where each candidate is in `FillState::objects`.
    index: HashMap<ObjectId, u32>,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(
        state: &'a FillState,
        knobs: &'a Knobs,
        previous: Option<&'a NightPlan>,
    ) -> Self {
        let mut active: Vec<usize> = (0..state.appliances.len())
            .filter(|at| {
                let one = &state.appliances[*at];
                one.healthy && !one.media_url.is_empty()
            })
            .collect();
        // By name, so that the order of the answer does not matter.
        active.sort_by_key(|at| &state.appliances[*at].appliance);
        let held: HashSet<ObjectId> = active
            .iter()
            .flat_map(|at| state.appliances[*at].holds.iter().map(|held| held.object))
            .collect();
        let object = |index: &u32| &state.objects[*index as usize];
        let mut candidates: Vec<u32> = (0..state.objects.len() as u32)
            .filter(|index| held.contains(&object(index).object))
            .collect();
        // Two titles may share an object; it is stored once, under the first of them.
        candidates.sort_by_key(|index| (object(index).object, &object(index).title));
        candidates.dedup_by_key(|index| object(index).object);
        let index = candidates.iter().map(|index| (object(index).object, *index)).collect();
        Self { state, knobs, previous, active, candidates, index }
    }

    pub(crate) fn role(&self, at: usize) -> Role {
        self.state.appliances[at].role
    }

    /// Boxes that share a copy set, with the sites whose members they serve.
    pub(crate) fn groups(&self) -> Vec<(Vec<usize>, Vec<&'a SiteId>)> {
        let mut groups: BTreeMap<(&SiteId, Role), Vec<usize>> = BTreeMap::new();
        for at in &self.active {
            let one = &self.state.appliances[*at];
            if one.role != Role::Origin {
                groups.entry((&one.site, one.role)).or_default().push(*at);
            }
        }
        groups
            .into_iter()
            .map(|((site, role), members)| {
                let sites = match role {
                    Role::Tier => self.sites_behind(members[0]),
                    Role::Edge | Role::Origin => vec![site],
                };
                (members, sites)
            })
            .collect()
    }

    /// Sites with edges in the tier's ISP; all sites with edges for a tier of an ISP without any.
    fn sites_behind(&self, tier: usize) -> Vec<&'a SiteId> {
        let isp = &self.state.appliances[tier].isp;
        let sites_of = |wanted: &dyn Fn(&FillAppliance) -> bool| {
            let edges = self.state.appliances.iter();
            let mut sites: Vec<&SiteId> = edges
                .filter(|one| one.role == Role::Edge && wanted(one))
                .map(|one| &one.site)
                .collect();
            sites.sort();
            sites.dedup();
            sites
        };
        let own = sites_of(&|one| one.isp == *isp);
        if own.is_empty() { sites_of(&|_| true) } else { own }
    }

    pub(crate) fn place_group(
        &self,
        members: &[usize],
        sites: &[&SiteId],
        errands: &mut BTreeMap<usize, Errand>,
    ) {
        let objects = &self.state.objects;
        let rooms = members.iter().map(|at| self.budget(*at).room.total());
        let bytes_max = rooms.max().unwrap_or(0);
        let parcels = parcel::parcels(objects, &self.candidates, sites, bytes_max);
        let mut library = Library::new(objects.iter().map(|one| footprint(one.bytes)).collect());
        let mut candidates = Vec::with_capacity(parcels.len());
        for (parcel, core) in parcels.iter().zip(parcel::cores(&parcels)) {
            // By title: its parts draw the same boxes in the same order.
            let index = library.push(name_key(parcel.title.as_str()), &parcel.objects);
            candidates.push(Candidate { parcel: index, demand: parcel.demand, core });
        }
        let heat = |object: u32| {
            let one = &objects[object as usize];
            parcel::demand(one, sites) / footprint(one.bytes) as f64
        };
        let seats: Vec<Seat> = members.iter().map(|at| self.seat(*at, &parcels)).collect();
        let counts = copies(&candidates, members.len(), self.knobs);
        let shelves = place::place_settled(&library, &candidates, &seats, self.knobs);
        for ((at, seat), shelf) in members.iter().zip(&seats).zip(&shelves) {
            let mut errand = self.errand(*at, shelf, &parcels, &counts);
            let moves = tier::moves(&library, seat, shelf, heat, self.knobs.moves_bytes_max);
            errand.moves = moves.into_iter().map(|one| self.class_move(one)).collect();
            errands.insert(*at, errand);
        }
    }

    fn class_move(&self, one: tier::Move) -> ClassMove {
        ClassMove { object: self.state.objects[one.object as usize].object, class: one.class }
    }

    fn seat(&self, at: usize, parcels: &[Parcel<'_>]) -> Seat {
        let one = &self.state.appliances[at];
        let begun: HashSet<ObjectId> = self
            .previous
            .iter()
            .flat_map(|plan| &plan.appliances)
            .filter(|entry| entry.appliance == one.appliance)
            .flat_map(|entry| entry.pulls.iter().map(|pull| pull.object))
            .collect();
        let is_begun = |at: &u32| begun.contains(&self.state.objects[*at as usize].object);
        let leaning =
            parcels.iter().enumerate().filter(|(_, parcel)| parcel.objects.iter().any(is_begun));
        let mut held = Holdings::none(self.state.objects.len());
        for object in &one.holds {
            if let Some(index) = self.index.get(&object.object) {
                held.put(*index, object.class);
            }
        }
        let Budget { room, largest } = self.budget(at);
        Seat {
            key: name_key(one.appliance.as_str()),
            room,
            largest,
            held,
            found: Holdings::default(),
            leaning: leaning.map(|(index, _)| index as u32).collect(),
            lasting: one.role != Role::Edge,
        }
    }

    fn budget(&self, at: usize) -> Budget {
        let one = &self.state.appliances[at];
        let mut budget = budget(one, self.knobs.headroom);
        if one.role != Role::Edge {
            // Nothing here is ever pruned, so what no title claims takes its room for good.
            for held in one.holds.iter().filter(|held| !self.index.contains_key(&held.object)) {
                let left = budget.room.of(held.class);
                *left = left.saturating_sub(footprint(held.bytes));
            }
        }
        budget
    }

    /// The difference between what a box holds and what its shelf says.
    fn errand(
        &self,
        at: usize,
        shelf: &Shelf,
        parcels: &[Parcel<'_>],
        counts: &[(u32, u32)],
    ) -> Errand {
        let one = &self.state.appliances[at];
        let held: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
        let mut wanted = HashSet::new();
        let mut lacking: BTreeMap<usize, Vec<(usize, DiskClass)>> = BTreeMap::new();
        for spot in shelf {
            let object = spot.object as usize;
            let id = self.state.objects[object].object;
            wanted.insert(id);
            if !held.contains(&id) {
                lacking.entry(spot.candidate as usize).or_default().push((object, spot.class));
            }
        }
        let mut wants = Vec::new();
        // Parcels are numbered by worth; inside one, smallest first makes it playable soonest.
        for (index, mut members) in lacking {
            members.sort_by_key(|(object, _)| (self.state.objects[*object].bytes, *object));
            let why = why(&parcels[index], &self.state.objects, counts[index].1);
            wants.extend(members.into_iter().map(|(object, class)| Want {
                object,
                class,
                density: parcels[index].density(),
                why: why.clone(),
            }));
        }
        let prunes =
            if one.role == Role::Edge { self.prunes(one, &wanted, parcels) } else { Vec::new() };
        Errand { wants, prunes, moves: Vec::new() }
    }

    /// Held and not wanted, least valuable first: unknown objects, then by density.
    fn prunes(
        &self,
        one: &FillAppliance,
        wanted: &HashSet<ObjectId>,
        parcels: &[Parcel<'_>],
    ) -> Vec<ObjectId> {
        let mut worth: HashMap<ObjectId, f64> = HashMap::new();
        for parcel in parcels {
            for index in &parcel.objects {
                worth.insert(self.state.objects[*index as usize].object, parcel.density());
            }
        }
        let mut prunes: Vec<(f64, ObjectId)> = one
            .holds
            .iter()
            .filter(|held| !wanted.contains(&held.object))
            .map(|held| (worth.get(&held.object).copied().unwrap_or(-1.0), held.object))
            .collect();
        prunes.sort_by(|(a, object_a), (b, object_b)| a.total_cmp(b).then(object_a.cmp(object_b)));
        prunes.into_iter().map(|(_, object)| object).collect()
    }

    /// An origin holds everything, as far as it has room.
    pub(crate) fn complete(&self, at: usize) -> Errand {
        let one = &self.state.appliances[at];
        let held: HashSet<ObjectId> = one.holds.iter().map(|held| held.object).collect();
        let Budget { mut room, largest } = budget(one, self.knobs.headroom);
        for object in &one.holds {
            let left = room.of(object.class);
            *left = left.saturating_sub(footprint(object.bytes));
        }
        let everywhere: Vec<&SiteId> = Vec::new();
        let parcels = parcel::parcels(&self.state.objects, &self.candidates, &everywhere, u64::MAX);
        let mut wants = Vec::new();
        for object in parcels.iter().flat_map(|parcel| &parcel.objects) {
            let object = &(*object as usize);
            let bytes = footprint(self.state.objects[*object].bytes);
            if held.contains(&self.state.objects[*object].object) {
                continue;
            }
            let class = if bytes <= room.ssd.min(largest.ssd) {
                DiskClass::Ssd
            } else if bytes <= room.hdd.min(largest.hdd) {
                DiskClass::Hdd
            } else {
                continue;
            };
            *room.of(class) -= bytes;
            let why = "an origin holds every object".to_owned();
            wants.push(Want { object: *object, class, density: 0.0, why });
        }
        Errand { wants, prunes: Vec::new(), moves: Vec::new() }
    }

    pub(crate) fn written(&self, errands: &BTreeMap<usize, Errand>) -> Vec<AppliancePlan> {
        let objects = &self.state.objects;
        let wanted: BTreeMap<usize, Vec<ObjectId>> = errands
            .iter()
            .map(|(at, errand)| {
                (*at, errand.wants.iter().map(|want| objects[want.object].object).collect())
            })
            .collect();
        let boxes = &self.state.appliances;
        let routes = Routes::new(boxes, &self.active, &wanted, self.previous, self.knobs);
        let mut entries: Vec<AppliancePlan> = errands
            .iter()
            .filter(|(_, errand)| !errand.wants.is_empty() || !errand.moves.is_empty())
            .map(|(at, errand)| AppliancePlan {
                appliance: self.state.appliances[*at].appliance.clone(),
                pulls: errand.wants.iter().map(|want| self.pull(*at, want, &routes)).collect(),
                prunes: errand.prunes.clone(),
                moves: errand.moves.clone(),
                rate: None,
                border: None,
            })
            .collect();
        drop_hopeless(&mut entries);
        bring_first(&mut entries);
        entries.sort_by(|a, b| a.appliance.cmp(&b.appliance));
        entries
    }

    fn pull(&self, at: usize, want: &Want, routes: &Routes<'_>) -> Pull {
        let object = &self.state.objects[want.object];
        let route = routes.route(at, object);
        Pull {
            object: object.object,
            bytes: object.bytes,
            title: object.title.clone(),
            class: want.class,
            sources: route.sources,
            why: format!("{}; {}", want.why, route.part),
        }
    }
}

fn why(parcel: &Parcel<'_>, objects: &[PlaceableObject], copies: u32) -> String {
    let copies = if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") };
    format!(
        "{}: {} expected tomorrow for {} stored ({:.2} per byte), {copies} due in the site",
        parcel.name(objects),
        words::bytes(parcel.demand),
        words::bytes(parcel.bytes as f64),
        parcel.density(),
    )
}
