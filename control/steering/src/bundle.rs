//! What an ISP's appliances need to steer by themselves: one bundle an ISP, made of the fleet that
//! decisions are made of and by the rules they are made by. Never knows a member; signs nothing
//! itself (`desk.rs` has it signed).
//!
//! Mechanics: [`Survey`] is made once for all ISPs (whose networks are whose, which objects a title
//! wants); [`Survey::draft`] makes one ISP's bundle of it. Policy, when a bound is reached: the
//! longest prefixes go first, so that their members fall back to the network around them; titles
//! with the fewest holders go first, so that theirs fall back to tiers and origins; of an area the
//! last edges go first. What was cut is counted in [`BundleCut`].

mod areas;
mod desk;
mod fit;
mod glance;
mod holders;
pub mod limits;
mod made;
mod networks;
mod serials;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ahash::{AHashMap, RandomState};
use control_types::bundle::{BundleAppliance, BundleCut, SteeringBundle};
use control_types::fleet::{Health, Role, TicketKeys};
use control_types::limits::{BUNDLE_APPLIANCES_MAX, BUNDLE_BYTES_MAX};
use control_types::{ApplianceId, IspId, TitleId, UnixMillis};

use self::areas::{Areas, Ground};
pub use self::desk::{BundleDesk, BundleSettings, Bundles, Step, Totals};
use self::limits::{APPLIANCE_BYTES, NETWORK_PERCENT};
pub use self::made::Made;
use self::networks::Networks;
use crate::decide::Ranked;
use crate::desks::desk_for;
use crate::fleet::{Fleet, State};
use crate::library::WantedSet;
use crate::policy::Policy;
use crate::rank::share_of;
use crate::service::Steering;

/// The form of bundles made here.
pub const VERSION: u32 = 1;

/// What the bundles of all ISPs are made from, beside the fleet.
#[derive(Debug, Default)]
pub struct Survey {
    networks: Networks,
    wants: Vec<(TitleId, WantedSet)>,
}

/// Loads by the fleet's numbers of appliances, thousandths of capacity.
pub type Loads = AHashMap<u32, u32>;

/// What one bundle is to say, beside what the fleet says.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whose.
    pub isp: &'a IspId,
    /// Seconds between a player's questions.
    pub ttl_s: u32,
    /// Keys that verify tickets.
    pub keys: &'a TicketKeys,
    /// By which rules.
    pub policy: &'a Policy,
    /// Where players reach control; absent: it does not know.
    pub control_url: Option<&'a str>,
    /// Loads to tell instead of the fleet's, by its numbers, thousandths.
    pub loads: &'a Loads,
}

/// A bundle without serial and time, and what did not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// `serial` and `made_at` are 0.
    pub bundle: SteeringBundle,
    /// What did not fit.
    pub cut: BundleCut,
}

impl Survey {
    /// Of this fleet. Walks all routes and titles.
    #[must_use]
    pub fn of(fleet: &Fleet) -> Self {
        Self::hashed(fleet, &RandomState::new())
    }

    /// The same; digests of surveys hashed by one `state` can be compared.
    fn hashed(fleet: &Fleet, state: &RandomState) -> Self {
        Self { networks: Networks::of(fleet, state), wants: fleet.library.wants() }
    }

    /// The bundle of one ISP; `fleet` is the one that the survey is of, or one with the same
    /// registry, routes and library.
    #[must_use]
    pub fn draft(&self, fleet: &Fleet, terms: &Terms<'_>) -> Draft {
        let is_named = named(fleet, terms.isp);
        let ground = Ground { fleet, policy: terms.policy, is_named: &is_named };
        let areas = Areas::of(&ground, &self.networks.of_isp(terms.isp).prefixes);
        let mut cut = BundleCut { places: areas.places_cut, ..BundleCut::default() };
        let numbers = numbers(fleet, terms.isp, &is_named, &areas, &mut cut);
        let places: AHashMap<u32, u32> = numbers.iter().copied().zip(0..).collect();
        let mut draft = Draft {
            bundle: SteeringBundle {
                v: VERSION,
                serial: 0,
                isp: terms.isp.clone(),
                made_at: UnixMillis(0),
                ttl_s: terms.ttl_s,
                control_url: terms.control_url.map(str::to_owned),
                drain_spread_ms: terms.policy.drain_spread_ms,
                appliances: appliances(fleet, &numbers, terms),
                areas: Vec::new(),
                classes: Vec::new(),
                load_rule: terms.policy.load_rule(),
                prefixes: Vec::new(),
                anywhere: 0,
                titles: BTreeMap::new(),
                ticket_keys: terms.keys.clone(),
            },
            cut,
        };
        let bytes = |one: &BundleAppliance| {
            APPLIANCE_BYTES + one.id.as_str().len() + one.site.as_str().len() + one.media_url.len()
        };
        let keys = terms.keys.keys.iter().map(|key| key.kid.len() + key.public.len() + 30);
        let taken =
            400 + draft.bundle.appliances.iter().map(bytes).sum::<usize>() + keys.sum::<usize>();
        let left = BUNDLE_BYTES_MAX.saturating_sub(taken);
        let network_bytes = draft.fill_networks(&areas, &places, left * NETWORK_PERCENT / 100);
        let listed = holders::listed(fleet, &numbers, &self.wants);
        draft.fill_titles(listed, left - network_bytes);
        draft
    }
}

impl Steering {
    /// The media URL of the appliance that a player whose list is `ranked` asks for steering from
    /// the start; absent: none is fit to be asked, and control answers.
    #[must_use]
    pub fn desk_for(
        &self,
        ip: IpAddr,
        title: &TitleId,
        ranked: &[Ranked],
        now: UnixMillis,
    ) -> Option<String> {
        desk_for(&self.fleet_at(now), ip, title, ranked)
    }

    /// The ISP at whose site an appliance stands.
    #[must_use]
    pub fn isp_of(&self, id: &ApplianceId) -> Option<IspId> {
        let fleet = self.fleet();
        let site = &fleet.registry.appliances.get(id)?.record.site;
        Some(fleet.registry.sites.get(site)?.isp.clone())
    }
}

/// Who may stand in this ISP's bundle at all: its own, and every tier and origin; and a player must
/// be told where it is.
fn named(fleet: &Fleet, isp: &IspId) -> Vec<bool> {
    let sites = &fleet.registry.sites;
    let is_own: Vec<bool> = sites.values().map(|site| site.isp == *isp).collect();
    let boxes = fleet.brief.iter().zip(&fleet.states);
    boxes
        .map(|(one, state)| {
            let own = is_own.get(one.site as usize).copied().unwrap_or(false);
            let seen = state.seen.as_ref().filter(|_| state.health != Health::Unheard);
            (own || one.role != Role::Edge)
                && seen.is_some_and(|seen| is_plain_url(&seen.report.media_url))
        })
        .collect()
}

/// `http[s]://host[:port]` and nothing else: appliances refuse a bundle with any other.
fn is_plain_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest.filter(|_| url.len() <= 300) else { return false };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (rest, "1"),
    };
    let is_address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = !host.is_empty() && host.bytes().all(plain);
    (is_address || is_name)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The fleet's numbers of the bundle's appliances, in order: the ISP's own, and those that an area
/// names, which are kept first when they are too many.
fn numbers(
    fleet: &Fleet,
    isp: &IspId,
    is_named: &[bool],
    areas: &Areas,
    cut: &mut BundleCut,
) -> Vec<u32> {
    let mut in_area = vec![false; fleet.brief.len()];
    for number in areas.areas.iter().flat_map(|area| &area.groups).flatten() {
        in_area[*number as usize] = true;
    }
    let own = |number: u32| {
        let site = fleet.brief[number as usize].site;
        let id = fleet.registry.index.sites.get(site as usize).and_then(|site| site.id.as_ref());
        id.and_then(|id| fleet.registry.sites.get(id)).is_some_and(|site| site.isp == *isp)
    };
    let mut numbers: Vec<u32> = (0..fleet.brief.len() as u32)
        .filter(|number| is_named[*number as usize])
        .filter(|number| in_area[*number as usize] || own(*number))
        .collect();
    if numbers.len() > BUNDLE_APPLIANCES_MAX {
        cut.appliances = (numbers.len() - BUNDLE_APPLIANCES_MAX) as u64;
        let is_edge = |number: u32| fleet.brief[number as usize].role == Role::Edge;
        numbers.sort_by_key(|number| (!in_area[*number as usize], is_edge(*number)));
        numbers.truncate(BUNDLE_APPLIANCES_MAX);
        numbers.sort_unstable();
    }
    numbers
}

fn appliances(fleet: &Fleet, numbers: &[u32], terms: &Terms<'_>) -> Vec<BundleAppliance> {
    let index = &fleet.registry.index;
    // Numbered anew: the fleet's numbers move when anybody's box is registered.
    let mut domains: AHashMap<u32, u32> = AHashMap::new();
    let lines = numbers.iter().filter_map(|number| {
        let (one, brief) = (&index.boxes[*number as usize], &fleet.brief[*number as usize]);
        let state = &fleet.states[*number as usize];
        let report = &state.seen.as_ref()?.report;
        let next = domains.len() as u32;
        let weight = terms.policy.weights.get(&one.id).map_or(1.0, |weight| *weight as f32);
        Some(BundleAppliance {
            id: one.id.clone(),
            site: index.sites.get(one.site as usize)?.id.clone()?,
            role: one.role,
            media_url: report.media_url.clone(),
            domain: *domains.entry(one.domain).or_insert(next),
            health: state.health,
            draining: state.health == Health::Draining
                || state.drains_since.0 != 0
                || report.draining,
            drains_since: drains_since(state),
            shunned: state.is_shunned,
            load_per_mille: terms.loads.get(number).copied().unwrap_or(brief.load_per_mille),
            share: share_of(one.capacity_mbps, weight),
            capacity_mbps: (weight != 1.0).then_some(one.capacity_mbps),
        })
    });
    lines.collect()
}

/// Since when sessions leave it one by one; absent: they leave at once, or not at all.
fn drains_since(state: &State) -> Option<UnixMillis> {
    let is_asked = state.health == Health::Draining && state.drains_since.0 != 0;
    is_asked.then_some(state.drains_since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_perhaps_a_port() {
        for url in [
            "https://a.example",
            "http://127.0.0.1:80",
            "https://[2001:db8::1]:8443",
            "https://[::1]",
        ] {
            assert!(is_plain_url(url), "{url}");
        }
        for url in [
            "",
            "https://",
            "ftp://a",
            "https://a/",
            "https://a:",
            "https://a:0",
            "https://a:65536",
            "https://a:b:1",
            "https://2001:db8::1",
            "https://[]",
            "https://[x]",
            "https://a b",
            "https://a\"",
            "https://a:+1",
        ] {
            assert!(!is_plain_url(url), "{url}");
        }
    }
}
