//! Sites and appliances by number, so that a decision compares numbers and follows no name. Made
//! once for each registry; knows nothing that changes without an operator.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ahash::AHashMap;
use control_routes::{ApplianceKey, Names, SiteKey};
use control_types::fleet::{Role, Site};
use control_types::spread::hash_name;
use control_types::{ApplianceId, SiteId};

use crate::fleet::{Boxed, Cell, Registered};
use crate::limits::{NEAR_ORIGINS_MAX, NEAR_TIERS_MAX};

/// No site, no appliance.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// By number.
#[derive(Debug, Default)]
pub struct Index {
    /// In the order of the registry's appliances.
    pub boxes: Vec<Boxed>,
    /// In the order of the registry's sites.
    pub(crate) sites: Vec<SiteNumbers>,
    by_id: AHashMap<ApplianceId, u32>,
    by_site: AHashMap<SiteId, u32>,
    /// Tiers and origins.
    spares: Vec<u32>,
    /// Spares for a member whom nobody announced.
    anywhere: OnceLock<Near>,
}

#[derive(Debug, Default)]
pub(crate) struct SiteNumbers {
    pub id: Option<SiteId>,
    pub members: Vec<u32>,
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
    near: OnceLock<Near>,
}

/// Appliances by number, each behind its distance in kilometres.
pub(crate) type Near = Box<[(u16, u32)]>;

impl Index {
    /// The numbers of these; cells begin empty.
    #[must_use]
    pub fn of(
        sites: &BTreeMap<SiteId, Site>,
        appliances: &BTreeMap<ApplianceId, Registered>,
    ) -> Self {
        let mut index = Self::default();
        for (number, (id, site)) in sites.iter().enumerate() {
            index.by_site.insert(id.clone(), number as u32);
            index.sites.push(SiteNumbers {
                id: Some(id.clone()),
                latitude: site.latitude,
                longitude: site.longitude,
                ..SiteNumbers::default()
            });
        }
        let mut domains: AHashMap<String, u32> = AHashMap::new();
        for (number, (id, registered)) in appliances.iter().enumerate() {
            let (number, record) = (number as u32, &registered.record);
            let site = index.by_site.get(&record.site).copied().unwrap_or(NOWHERE);
            if let Some(site) = index.sites.get_mut(site as usize) {
                site.members.push(number);
            }
            if record.role != Role::Edge {
                index.spares.push(number);
            }
            let fails_as_one = sites.get(&record.site).is_some_and(|site| site.fails_as_one);
            let domain = match &record.detail.failure_domain {
                _ if fails_as_one => format!("{}/", record.site),
                Some(domain) => format!("{}/{domain}", record.site),
                None => id.to_string(),
            };
            let next = domains.len() as u32;
            let mbps = (record.capacity_bps / 1_000_000).max(1);
            index.by_id.insert(id.clone(), number);
            index.boxes.push(Boxed {
                id: id.clone(),
                site,
                role: record.role,
                link: record.link,
                domain: *domains.entry(domain).or_insert(next),
                capacity_mbps: u32::try_from(mbps).unwrap_or(u32::MAX),
                hash: hash_name(id.as_str()),
                cell: Arc::new(Cell::default()),
            });
        }
        index
    }

    /// Takes the cells of an earlier registry, so that no report is forgotten.
    pub fn adopt(&mut self, before: &Self) {
        for one in &mut self.boxes {
            if let Some(number) = before.number_of(&one.id) {
                one.cell = Arc::clone(&before.boxes[number as usize].cell);
            }
        }
    }

    /// The number of an appliance.
    #[must_use]
    pub fn number_of(&self, id: &ApplianceId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The number of a site.
    #[must_use]
    pub fn site_number(&self, id: &SiteId) -> Option<u32> {
        self.by_site.get(id).copied()
    }

    /// The routes' numbers of sites and appliances as ours.
    pub(crate) fn of_routes(&self, names: &Names) -> (Arc<[u32]>, Arc<[u32]>) {
        let sites = (0..).map_while(|key| names.site(SiteKey(key)));
        let boxes = (0..).map_while(|key| names.appliance(ApplianceKey(key)));
        (
            sites.map(|id| self.site_number(id).unwrap_or(NOWHERE)).collect(),
            boxes.map(|id| self.number_of(id).unwrap_or(NOWHERE)).collect(),
        )
    }

    /// Tiers and origins nearest to a site, or the first by name without one.
    pub(crate) fn spares_near(&self, site: Option<u32>) -> &[(u16, u32)] {
        match site.and_then(|site| Some((site, self.sites.get(site as usize)?))) {
            Some((number, site)) => site.near.get_or_init(|| self.nearest(Some(number))),
            None => self.anywhere.get_or_init(|| self.nearest(None)),
        }
    }

    fn nearest(&self, site: Option<u32>) -> Near {
        let mut spares: Vec<(u16, u32)> = self
            .spares
            .iter()
            .map(|spare| {
                let there = self.boxes[*spare as usize].site;
                (site.map_or(u16::MAX, |site| self.distance_km(site, there)), *spare)
            })
            .collect();
        spares.sort_unstable();
        let (mut tiers, mut origins) = (0, 0);
        spares.retain(|(_, spare)| {
            let (count, max) = match self.boxes[*spare as usize].role {
                Role::Origin => (&mut origins, NEAR_ORIGINS_MAX),
                Role::Edge | Role::Tier => (&mut tiers, NEAR_TIERS_MAX),
            };
            *count += 1;
            *count <= max
        });
        spares.into()
    }

    /// Kilometres between two sites; `u16::MAX` when one is none.
    pub(crate) fn distance_km(&self, from: u32, to: u32) -> u16 {
        if from == to && from != NOWHERE {
            return 0;
        }
        let place =
            |site: u32| self.sites.get(site as usize).map(|site| (site.latitude, site.longitude));
        match (place(from), place(to)) {
            (Some(from), Some(to)) => great_circle_km(from, to),
            _ => u16::MAX,
        }
    }

    /// Kilometres from a place to a site.
    pub(crate) fn distance_from_km(&self, from: (f64, f64), to: u32) -> u16 {
        let to = self.sites.get(to as usize);
        to.map_or(u16::MAX, |to| great_circle_km(from, (to.latitude, to.longitude)))
    }
}

/// Great-circle kilometres between two places in degrees.
fn great_circle_km(from: (f64, f64), to: (f64, f64)) -> u16 {
    const EARTH_RADIUS_KM: f64 = 6_371.0;
    let (lat_a, lat_b) = (from.0.to_radians(), to.0.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((to.1 - from.1).to_radians() / 2.0).sin();
    let chord = half_lat.powi(2) + lat_a.cos() * lat_b.cos() * half_lon.powi(2);
    // Half the equator is 20,038 km.
    (2.0 * EARTH_RADIUS_KM * chord.clamp(0.0, 1.0).sqrt().asin()) as u16
}
