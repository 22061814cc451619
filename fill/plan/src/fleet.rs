//! Plans for a whole fleet by index: a million objects, a thousand boxes, one core. Every site's
//! plan is kept, so that a box that dies costs its own site's planning and its ISP's routing only.
//! The same placement as `plan.rs` makes from names; knows no name itself.

use std::collections::HashMap;

use control_types::fleet::DiskClass;

use crate::hash::draw;
use crate::knobs::Knobs;
use crate::library::Library;
use crate::place::place;
use crate::room::Room;
use crate::seat::{Candidate, Holdings, Seat};

/// How much more than a site's room is looked at: what does not fit or is held already must not
/// leave the site short of candidates.
const LOOK_AHEAD: f64 = 1.25;

/// Demand of a region, sorted once for all its sites.
#[derive(Clone, Debug)]
pub struct Ranking {
    demand: Vec<f32>,
    /// Parcels by bytes expected per byte stored, highest first.
    order: Vec<u32>,
}

impl Ranking {
    /// Ranks parcels by `demand`, bytes expected tomorrow at one site.
    #[must_use]
    pub fn new(library: &Library, demand: Vec<f32>) -> Self {
        let density =
            |parcel: u32| f64::from(demand[parcel as usize]) / library.bytes(parcel).max(1) as f64;
        let mut keyed: Vec<(f64, u32)> =
            (0..demand.len() as u32).map(|parcel| (density(parcel), parcel)).collect();
        keyed.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let order = keyed.into_iter().map(|(_, parcel)| parcel).collect();
        Self { demand, order }
    }

    /// What is worth looking at for `seats`: the best of the region, what is held, and what is
    /// known of the site itself.
    fn candidates(&self, library: &Library, seats: &[Seat], own: &[(u32, f32)]) -> Vec<Candidate> {
        let room: u64 = seats.iter().map(|seat| seat.room.total()).sum();
        let bytes_max = (room as f64 * LOOK_AHEAD) as u64;
        let mut seen = vec![false; self.demand.len()];
        let mut bytes = 0;
        let mut candidates = Vec::new();
        let mut push = |parcel: u32, demand: f32, seen: &mut Vec<bool>| {
            if !std::mem::replace(&mut seen[parcel as usize], true) {
                candidates.push(Candidate {
                    parcel,
                    demand: f64::from(demand.max(0.0)),
                    core: None,
                });
            }
        };
        own.iter().for_each(|(parcel, demand)| push(*parcel, *demand, &mut seen));
        for parcel in &self.order {
            if bytes >= bytes_max {
                break;
            }
            bytes += library.bytes(*parcel);
            push(*parcel, self.demand[*parcel as usize], &mut seen);
        }
        for (object, _) in seats.iter().flat_map(|seat| seat.held.iter()) {
            // Parcels of one object only: the library of a fleet is made of them.
            push(object, self.demand[object as usize], &mut seen);
        }
        candidates.sort_unstable_by_key(|one| one.parcel);
        candidates
    }
}

/// One box.
#[derive(Clone, Debug)]
pub struct FleetBox {
    /// See [`Seat::key`].
    pub key: u64,
    /// See [`Seat::room`].
    pub room: Room,
    /// What it holds, sorted by object.
    pub held: Vec<(u32, DiskClass)>,
    /// May give and take.
    pub healthy: bool,
}

/// One site.
#[derive(Clone, Debug)]
pub struct FleetSite {
    /// Number of its ISP.
    pub isp: u32,
    /// Which of the rankings is its region's.
    pub ranking: usize,
    /// What is known of the site itself, in place of the region's demand: parcel and bytes.
    pub own: Vec<(u32, f32)>,
    /// Its boxes, at most [`crate::SEATS_MAX`].
    pub boxes: Vec<FleetBox>,
}

/// Where a box gets an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a box of its site that has it or is to get it tonight: index of the box.
    Peer(u16),
    /// From another site of its ISP, which has it or is to get it: index of the site.
    Site(u32),
    /// Across the ISP's border: it is the fill master.
    Border,
}

/// One object for one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Which.
    pub object: u32,
    /// Kind of disk.
    pub class: DiskClass,
    /// Where from.
    pub way: Way,
}

/// A site's plan: fetches of each box, most worth first.
pub type SitePlan = Vec<Vec<Fetch>>;

/// The fleet and the plans in force.
#[derive(Debug)]
pub struct FleetPlanner {
    library: Library,
    rankings: Vec<Ranking>,
    sites: Vec<FleetSite>,
    knobs: Knobs,
    plans: Vec<SitePlan>,
}

impl FleetPlanner {
    /// A fleet without plans. Every parcel of `library` is one object.
    #[must_use]
    pub fn new(
        library: Library,
        rankings: Vec<Ranking>,
        sites: Vec<FleetSite>,
        knobs: Knobs,
    ) -> Self {
        let plans = vec![SitePlan::new(); sites.len()];
        Self { library, rankings, sites, knobs, plans }
    }

    /// The plan of one site; empty before it was planned.
    #[must_use]
    pub fn plan(&self, site: usize) -> &SitePlan {
        &self.plans[site]
    }

    /// The fleet as it is.
    #[must_use]
    pub fn sites(&self) -> &[FleetSite] {
        &self.sites
    }

    /// Plans every site.
    pub fn plan_all(&mut self) {
        for site in 0..self.sites.len() {
            self.plans[site] = self.place_site(site);
        }
        let mut isps: Vec<u32> = self.sites.iter().map(|site| site.isp).collect();
        isps.sort_unstable();
        isps.dedup();
        isps.into_iter().for_each(|isp| self.route_isp(isp));
    }

    /// Notes that a box is down, or up again, and plans its site again; other sites keep theirs.
    pub fn set_healthy(&mut self, site: usize, at: usize, healthy: bool) {
        self.sites[site].boxes[at].healthy = healthy;
        self.plans[site] = self.place_site(site);
        self.route_isp(self.sites[site].isp);
    }

    /// What each box of a site lacks, without a way yet.
    fn place_site(&self, site: usize) -> SitePlan {
        let site = &self.sites[site];
        let up: Vec<usize> = (0..site.boxes.len()).filter(|at| site.boxes[*at].healthy).collect();
        let seats: Vec<Seat> = up.iter().map(|at| self.seat(&site.boxes[*at])).collect();
        let ranking = &self.rankings[site.ranking];
        let candidates = ranking.candidates(&self.library, &seats, &site.own);
        let shelves = place(&self.library, &candidates, &seats, &self.knobs);
        let mut plan = vec![Vec::new(); site.boxes.len()];
        for ((at, seat), shelf) in up.iter().zip(&seats).zip(shelves) {
            let lacking = shelf.iter().filter(|spot| seat.held.class(spot.object).is_none());
            plan[*at] = lacking
                .map(|spot| Fetch { object: spot.object, class: spot.class, way: Way::Border })
                .collect();
        }
        plan
    }

    fn seat(&self, one: &FleetBox) -> Seat {
        let mut held = Holdings::none(self.library.objects());
        one.held.iter().for_each(|(object, class)| held.put(*object, *class));
        Seat { key: one.key, room: one.room, largest: one.room, held, ..Seat::default() }
    }

    /// Finds every fetch of an ISP its way: one box brings a byte across the border, one box of
    /// each other site brings it from there, the rest of a site waits for its neighbour.
    fn route_isp(&mut self, isp: u32) {
        let of_isp: Vec<usize> =
            (0..self.sites.len()).filter(|site| self.sites[*site].isp == isp).collect();
        let up = |site: usize| {
            let boxes = self.sites[site].boxes.iter().enumerate();
            boxes.filter(|(_, one)| one.healthy)
        };
        // Per site and object: the box that has it, or else that is to bring it to the site.
        let mut first: Vec<HashMap<u32, (u16, bool)>> = Vec::with_capacity(of_isp.len());
        for site in &of_isp {
            let wanted: usize = self.plans[*site].iter().map(Vec::len).sum();
            let mut masters: HashMap<u32, (u16, bool)> = HashMap::with_capacity(wanted);
            for (at, fetches) in self.plans[*site].iter().enumerate() {
                for fetch in fetches {
                    let entry = masters.entry(fetch.object).or_insert((at as u16, false));
                    let drawn = |at: u16| {
                        let key = u64::from(fetch.object);
                        draw(key, self.sites[*site].boxes[usize::from(at)].key)
                    };
                    if drawn(at as u16) > drawn(entry.0) {
                        entry.0 = at as u16;
                    }
                }
            }
            for (at, one) in up(*site) {
                for (object, _) in &one.held {
                    if let Some(entry) = masters.get_mut(object) {
                        *entry = (at as u16, true);
                    }
                }
            }
            first.push(masters);
        }
        let isp_master = |object: u32| -> Option<(usize, bool)> {
            let mut best: Option<(usize, bool)> = None;
            for (index, site) in of_isp.iter().enumerate() {
                let holds = || up(*site).any(|(_, one)| one.holds(object));
                let known = first[index].get(&object);
                let has = known.map_or_else(holds, |(_, has)| *has);
                if !has && known.is_none() {
                    continue;
                }
                let draws = |site: usize| draw(u64::from(object), site as u64);
                let wish = |(site, has): (usize, bool)| (has, draws(site));
                if best.is_none_or(|best| wish((*site, has)) > wish(best)) {
                    best = Some((*site, has));
                }
            }
            best
        };
        let mut ways: Vec<Vec<Vec<Way>>> = Vec::with_capacity(of_isp.len());
        for (index, site) in of_isp.iter().enumerate() {
            let way = |at: usize, fetch: &Fetch| {
                let (master, has) = first[index][&fetch.object];
                if has || usize::from(master) != at {
                    return Way::Peer(master);
                }
                match isp_master(fetch.object) {
                    Some((other, _)) if other != *site => Way::Site(other as u32),
                    _ => Way::Border,
                }
            };
            let of_box = |(at, fetches): (usize, &Vec<Fetch>)| {
                fetches.iter().map(|one| way(at, one)).collect()
            };
            ways.push(self.plans[*site].iter().enumerate().map(of_box).collect());
        }
        for (site, ways) in of_isp.iter().zip(ways) {
            for (fetches, ways) in self.plans[*site].iter_mut().zip(ways) {
                fetches.iter_mut().zip(ways).for_each(|(fetch, way)| fetch.way = way);
            }
        }
    }
}

impl FleetBox {
    fn holds(&self, object: u32) -> bool {
        self.held.binary_search_by_key(&object, |(held, _)| *held).is_ok()
    }
}
