//! The planner's table of contents: group the boxes, place, route, write the plan down.
//! Whether a new plan is worth sending is decided in `settled.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use control_types::UnixMillis;
use control_types::fill::{
    AppliancePlan, ClassMove, FillAppliance, FillState, NightPlan, PlaceableObject, Pull,
};
use control_types::fleet::{DiskClass, HeldObject, Role};
use control_types::ids::{ObjectId, PlanId, SiteId};

use crate::chance::with_a_chance;
use crate::copies::copies;
use crate::hash::name_key;
use crate::knobs::Knobs;
use crate::library::Library;
use crate::parcel::{self, Parcel, Titles};
use crate::place;
use crate::planner::Planner;
use crate::room::{Budget, budget, footprint};
use crate::route::{Routes, bring_first};
use crate::seat::{Candidate, Holdings, Seat, Shelf};
use crate::shorten::{BOX_PULLS_MAX, drop_hopeless};
use crate::tier;
use crate::wishes::Wishes;
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
    /// Shared by all objects of its parcel.
    why: Arc<str>,
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

/// Places of objects in `FillState::objects`.
type Index = HashMap<ObjectId, u32, ahash::RandomState>;

/// The state with its look-ups.
pub(crate) struct Fleet<'a> {
    pub(crate) state: &'a FillState,
    knobs: &'a Knobs,
    pub(crate) previous: Option<&'a NightPlan>,
    /// Boxes that may give and take: healthy, and their address is known.
    pub(crate) active: Vec<usize>,
    /// Objects somebody holds, each once; the others cannot be had tonight.
    pub(crate) candidates: Vec<u32>,
    /// The same by title.
    titles: Titles<'a>,
    /// What each site expects of them.
    pub(crate) wishes: Wishes<'a>,
    /// Disk each object takes, bytes.
    footprints: Vec<u64>,
    /// Where each object is in `FillState::objects`.
    index: Index,
    /// What each box that may give holds of them; by its place in the state.
    held: Vec<Vec<(u32, DiskClass)>>,
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
        let index = first_of_each(&state.objects);
        let mut held = vec![Vec::new(); state.appliances.len()];
        let mut is_held = vec![false; state.objects.len()];
        for at in &active {
            let known = |held: &HeldObject| Some((*index.get(&held.object)?, held.class));
            held[*at] = state.appliances[*at].holds.iter().filter_map(known).collect();
            held[*at].iter().for_each(|(object, _)| is_held[*object as usize] = true);
        }
        let mut candidates: Vec<u32> =
            (0_u32..).zip(&is_held).filter(|(_, held)| **held).map(|(at, _)| at).collect();
        candidates.sort_unstable_by_key(|at| state.objects[*at as usize].object);
        let titles = parcel::titles(&state.objects, &candidates);
        let wishes = Wishes::new(&state.objects);
        let footprints = state.objects.iter().map(|one| footprint(one.bytes)).collect();
        Self { state, knobs, previous, active, candidates, titles, wishes, footprints, index, held }
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

    /// Fills `errands` for boxes that share a copy set; `demand` is what is expected of each object
    /// where they serve.
    pub(crate) fn place_group(
        &self,
        members: &[usize],
        demand: &[f64],
        errands: &mut BTreeMap<usize, Errand>,
    ) {
        let objects = &self.state.objects;
        let rooms: Vec<u64> = members.iter().map(|at| self.budget(*at).room.total()).collect();
        let (bytes, bytes_max) = (rooms.iter().sum(), rooms.iter().copied().max().unwrap_or(0));
        let parcels = parcel::parcels(objects, &self.titles, demand, bytes_max);
        let mut worth = vec![-1.0; objects.len()];
        for (parcel, index) in members_of(&parcels) {
            worth[index] = parcels[parcel].density();
        }
        let begun: Vec<Vec<bool>> = members.iter().map(|at| self.begun(*at)).collect();
        let mut kept = vec![false; objects.len()];
        begun
            .iter()
            .for_each(|begun| kept.iter_mut().zip(begun).for_each(|(all, one)| *all |= one));
        let held = members.iter().flat_map(|at| &self.held[*at]);
        held.for_each(|(object, _)| kept[*object as usize] = true);
        let (parcels, unlisted) = with_a_chance(parcels, bytes, bytes_max, &kept);
        let mut library = Library::new(self.footprints.clone());
        let mut candidates = Vec::with_capacity(parcels.len());
        for (parcel, core) in parcels.iter().zip(parcel::cores(&parcels)) {
            // By title: its parts draw the same boxes in the same order.
            let index = library.push(name_key(parcel.title.as_str()), &parcel.objects);
            candidates.push(Candidate { parcel: index, demand: parcel.demand, core });
        }
        let heat = |object: u32| demand[object as usize] / self.footprints[object as usize] as f64;
        let seats: Vec<Seat> =
            members.iter().zip(&begun).map(|(at, begun)| self.seat(*at, begun, &parcels)).collect();
        let counts = copies(&candidates, unlisted, members.len(), self.knobs);
        let shelves = place::place_settled(&library, &candidates, unlisted, &seats, self.knobs);
        for ((at, seat), shelf) in members.iter().zip(&seats).zip(&shelves) {
            let mut errand = self.errand(seat, shelf, &parcels, &counts);
            if self.role(*at) == Role::Edge {
                errand.prunes = self.prunes(*at, shelf, &worth);
            }
            let moves = tier::moves(&library, seat, shelf, heat, self.knobs.moves_bytes_max);
            errand.moves = moves.into_iter().map(|one| self.class_move(one)).collect();
            errands.insert(*at, errand);
        }
    }

    fn class_move(&self, one: tier::Move) -> ClassMove {
        ClassMove { object: self.state.objects[one.object as usize].object, class: one.class }
    }

    /// Objects that the previous plan made the box at `at` begin, by index.
    fn begun(&self, at: usize) -> Vec<bool> {
        let one = &self.state.appliances[at];
        let plans = self.previous.iter().flat_map(|plan| &plan.appliances);
        let mine = plans.filter(|entry| entry.appliance == one.appliance);
        let mut begun = vec![false; self.state.objects.len()];
        for pull in mine.flat_map(|entry| &entry.pulls) {
            if let Some(index) = self.index.get(&pull.object) {
                begun[*index as usize] = true;
            }
        }
        begun
    }

    fn seat(&self, at: usize, begun: &[bool], parcels: &[Parcel<'_>]) -> Seat {
        let one = &self.state.appliances[at];
        let leaning = parcels
            .iter()
            .enumerate()
            .filter(|(_, parcel)| parcel.objects.iter().any(|at| begun[*at as usize]));
        let mut held = Holdings::none(self.state.objects.len());
        self.held[at].iter().for_each(|(object, class)| held.put(*object, *class));
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

    /// What a box lacks of what its shelf says.
    fn errand(
        &self,
        seat: &Seat,
        shelf: &Shelf,
        parcels: &[Parcel<'_>],
        counts: &[(u32, u32)],
    ) -> Errand {
        let mut lacking: BTreeMap<usize, Vec<(usize, DiskClass)>> = BTreeMap::new();
        for spot in shelf.iter().filter(|spot| seat.held.class(spot.object).is_none()) {
            let parcel = lacking.entry(spot.candidate as usize).or_default();
            parcel.push((spot.object as usize, spot.class));
        }
        // Words for no more than a plan may have: an empty box lacks a hundred times as much.
        let mut lacking: Vec<(usize, Vec<(usize, DiskClass)>)> = lacking.into_iter().collect();
        if lacking.iter().map(|(_, members)| members.len()).sum::<usize>() > BOX_PULLS_MAX {
            lacking
                .sort_by(|(a, _), (b, _)| parcels[*b].density().total_cmp(&parcels[*a].density()));
        }
        let mut wants = Vec::new();
        // Parcels are numbered by worth; inside one, smallest first makes it playable soonest.
        for (index, mut members) in lacking {
            members.sort_by_key(|(object, _)| (self.state.objects[*object].bytes, *object));
            let why: Arc<str> = why(&parcels[index], &self.state.objects, counts[index].1).into();
            wants.extend(members.into_iter().map(|(object, class)| Want {
                object,
                class,
                density: parcels[index].density(),
                why: Arc::clone(&why),
            }));
            if wants.len() >= BOX_PULLS_MAX {
                break;
            }
        }
        wants.truncate(BOX_PULLS_MAX);
        Errand { wants, prunes: Vec::new(), moves: Vec::new() }
    }

    /// Held and not on its shelf, least valuable first: unknown objects, then by `worth`.
    fn prunes(&self, at: usize, shelf: &Shelf, worth: &[f64]) -> Vec<ObjectId> {
        let mut wanted = vec![false; worth.len()];
        shelf.iter().for_each(|spot| wanted[spot.object as usize] = true);
        let object = |at: u32| self.state.objects[at as usize].object;
        let known = self.held[at].iter().filter(|(at, _)| !wanted[*at as usize]);
        let mut prunes: Vec<(f64, ObjectId)> =
            known.map(|(at, _)| (worth[*at as usize], object(*at))).collect();
        if self.held[at].len() < self.state.appliances[at].holds.len() {
            let holds = self.state.appliances[at].holds.iter().map(|held| held.object);
            let unknown = holds.filter(|held| !self.index.contains_key(held));
            prunes.extend(unknown.map(|held| (-1.0, held)));
        }
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
        let nobody = self.wishes.at(&[]);
        let parcels = parcel::parcels(&self.state.objects, &self.titles, &nobody, u64::MAX);
        let mut wants = Vec::new();
        let why: Arc<str> = "an origin holds every object".into();
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
            let why = Arc::clone(&why);
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

/// Where each object is. Two titles may share one; it is stored once, under the first of them.
fn first_of_each(objects: &[PlaceableObject]) -> Index {
    let mut index = Index::with_capacity_and_hasher(objects.len(), ahash::RandomState::default());
    for (at, one) in (0_u32..).zip(objects) {
        let known = index.entry(one.object).or_insert(at);
        if one.title < objects[*known as usize].title {
            *known = at;
        }
    }
    index
}

/// Each object of `parcels` by index, with the position of its parcel.
fn members_of(parcels: &[Parcel<'_>]) -> impl Iterator<Item = (usize, usize)> {
    let members = parcels.iter().map(|parcel| parcel.objects.iter().map(|at| *at as usize));
    members.enumerate().flat_map(|(parcel, members)| members.map(move |at| (parcel, at)))
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
