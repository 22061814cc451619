//! A bundle, checked and made ready to answer from. Immutable; knows no clock and nobody's state.

use std::net::IpAddr;

use ahash::HashMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_types::bundle::{BundleAppliance, SteeringBundle, TitleHolders};
use control_types::fleet::{Health, Role, TicketKeys};
use control_types::limits::{
    BUNDLE_APPLIANCES_MAX, BUNDLE_AREA_PLACES_MAX, BUNDLE_AREAS_MAX, BUNDLE_PLACES_MAX,
    BUNDLE_PREFIXES_MAX, BUNDLE_TITLES_MAX,
};
use control_types::spread::{LoadRule, hash_name};
use control_types::{ApplianceId, IspId, SiteId, TitleId, UnixMillis};
use ipnet::IpNet;

use super::prefixes::Prefixes;
use super::refused::Refused;
use crate::limits::{DRAIN_SPREAD_MS_MAX, STEERING_TTL_S_MAX};

/// The version of bundles that we read.
pub const VERSION: u32 = 1;

/// A share outside of these is taken for the nearer of them.
const SHARE_MIN: f64 = 1e-6;
const SHARE_MAX: f64 = 1e12;

/// Longest URL of an appliance, bytes.
const URL_BYTES_MAX: usize = 300;

/// One appliance, as control saw it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Also its pathway id.
    pub id: ApplianceId,
    /// Where it stands.
    pub site: SiteId,
    /// What for.
    pub role: Role,
    /// `https://host:port`
    pub media_url: String,
    /// Of `media_url`: `http` or `https`.
    pub scheme: &'static str,
    /// Of `media_url`, without a port; an IPv6 address in brackets.
    pub host: String,
    /// Of `media_url`, the scheme's own where it names none.
    pub port: u16,
    /// Boxes of one number fail together.
    pub domain: u32,
    /// As believed when the bundle was made.
    pub health: Health,
    /// It takes nothing new.
    pub draining: bool,
    /// Since when it was asked to: sessions leave it one by one.
    pub drains_since: Option<UnixMillis>,
    /// Players complain of it.
    pub shunned: bool,
    /// Load of its capacity then, thousandths.
    pub load_per_mille: u32,
    /// Its part among equals, above 0.
    pub share: f64,
    /// Megabits a second it may send, at least 1.
    pub capacity_mbps: u32,
    /// Of its name.
    pub hash: u64,
}

impl Candidate {
    /// `host` or `host:port`, as `media_url` spells it.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.media_url.split_once("://").map_or(self.media_url.as_str(), |(_, rest)| rest)
    }
}

/// A place of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position in `Table::candidates`.
    pub at: u32,
    /// Boxes of one group are equals as far as routes and links go; lower is better.
    pub group: u16,
    /// Groups of one class differ by what counts less than load does; lower is better.
    pub class: u16,
}

/// How much of a title a box holds, see `control_types::presence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holding {
    /// Its core at least.
    Full,
    /// Less than its core.
    Part,
    /// Nothing.
    Nothing,
}

/// Who holds one title.
#[derive(Debug, Default)]
pub struct Holders {
    full: Box<[u8]>,
    /// Absent where it is `full`.
    whole: Option<Box<[u8]>>,
    part: Box<[u8]>,
}

/// What questions are answered from.
#[derive(Debug)]
pub struct Table {
    /// Of the bundle.
    pub serial: u64,
    /// Whose appliances it is for.
    pub isp: IspId,
    /// When control made it.
    pub made_at: UnixMillis,
    /// Seconds between a player's questions.
    pub ttl_s: u32,
    /// `scheme://host[:port]` that players reach control at.
    pub control_url: Option<String>,
    /// A drain that was asked for moves sessions over this time, milliseconds.
    pub drain_spread_ms: u64,
    /// Everybody named.
    pub candidates: Vec<Candidate>,
    /// Position of this box, if the bundle names it.
    pub own: Option<u32>,
    /// Keys that verify tickets.
    pub ticket_keys: TicketKeys,
    /// How loads count.
    pub load_rule: LoadRule,
    areas: Vec<Box<[Place]>>,
    anywhere: u32,
    prefixes: Prefixes,
    titles: HashMap<TitleId, Holders>,
    positions: HashMap<ApplianceId, u32>,
}

impl Table {
    /// The table of `bundle` as `own` needs it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(bundle: SteeringBundle, own: &ApplianceId) -> Result<Self, Refused> {
        if bundle.v != VERSION {
            return Err(Refused::OtherVersion);
        }
        let is_too_much = bundle.appliances.len() > BUNDLE_APPLIANCES_MAX
            || bundle.areas.len() > BUNDLE_AREAS_MAX
            || bundle.prefixes.len() > BUNDLE_PREFIXES_MAX
            || bundle.titles.len() > BUNDLE_TITLES_MAX;
        if is_too_much {
            return Err(Refused::TooMany);
        }
        if !(1..=STEERING_TTL_S_MAX).contains(&bundle.ttl_s) {
            return Err(Refused::BadTtl);
        }
        let candidates: Vec<Candidate> =
            bundle.appliances.into_iter().map(candidate).collect::<Result<_, _>>()?;
        let names = candidates.iter().map(|one| one.id.clone());
        let positions: HashMap<ApplianceId, u32> = names.zip(0..).collect();
        if positions.len() != candidates.len() {
            return Err(Refused::TwoOfOneName);
        }
        let areas = areas(&bundle.areas, &bundle.classes, candidates.len())?;
        let has_area = |area: u32| (area as usize) < areas.len();
        if !has_area(bundle.anywhere) || bundle.prefixes.iter().any(|(_, area)| !has_area(*area)) {
            return Err(Refused::BadPlace);
        }
        let networks = bundle.prefixes.iter().map(|(text, area)| {
            text.parse::<IpNet>().map(|network| (network, *area)).map_err(|_| Refused::BadPrefix)
        });
        let prefixes = Prefixes::new(&networks.collect::<Result<Vec<_>, _>>()?);
        let titles = bundle.titles.into_iter().map(|(title, held)| {
            Ok((title, holders(&held, candidates.len()).ok_or(Refused::BadHolders)?))
        });
        Ok(Self {
            titles: titles.collect::<Result<_, _>>()?,
            serial: bundle.serial,
            isp: bundle.isp,
            made_at: bundle.made_at,
            ttl_s: bundle.ttl_s,
            // One that is no URL is no reason to steer by yesterday's bundle: nobody is sent there.
            control_url: bundle.control_url.filter(|url| parts(url).is_some()),
            drain_spread_ms: bundle.drain_spread_ms.min(DRAIN_SPREAD_MS_MAX),
            own: positions.get(own).copied(),
            positions,
            candidates,
            ticket_keys: bundle.ticket_keys,
            load_rule: bundle.load_rule,
            areas,
            anywhere: bundle.anywhere,
            prefixes,
        })
    }

    /// Who could serve a member at `address`.
    #[must_use]
    pub fn places(&self, address: IpAddr) -> &[Place] {
        let area = self.prefixes.find(address).unwrap_or(self.anywhere);
        self.areas.get(area as usize).map_or(&[], |places| places)
    }

    /// Who holds `title`; absent where the bundle does not list it.
    #[must_use]
    pub fn holders(&self, title: &TitleId) -> Option<&Holders> {
        self.titles.get(title)
    }

    /// Position of the appliance called `id`.
    #[must_use]
    pub fn position(&self, id: &ApplianceId) -> Option<u32> {
        self.positions.get(id).copied()
    }

    /// How many networks it names.
    #[must_use]
    pub fn prefixes(&self) -> usize {
        self.prefixes.count()
    }

    /// How many areas it has.
    #[must_use]
    pub fn areas(&self) -> usize {
        self.areas.len()
    }

    /// How many titles it lists.
    #[must_use]
    pub fn titles(&self) -> usize {
        self.titles.len()
    }
}

/// How much of the title that `holders` hold the candidate at `at` has, whose role is `role`. Of a
/// title that the bundle does not list, tiers and origins hold all.
#[must_use]
pub fn holding(holders: Option<&Holders>, at: u32, role: Role) -> Holding {
    match holders {
        Some(holders) if has_bit(&holders.full, at) => Holding::Full,
        Some(holders) if has_bit(&holders.part, at) => Holding::Part,
        None if role != Role::Edge => Holding::Full,
        _ => Holding::Nothing,
    }
}

/// Whether the candidate at `at` has every object of the title, not its core only.
#[must_use]
pub fn is_whole(holders: Option<&Holders>, at: u32, role: Role) -> bool {
    match holders {
        Some(holders) => has_bit(holders.whole.as_ref().unwrap_or(&holders.full), at),
        None => role != Role::Edge,
    }
}

fn candidate(box_: BundleAppliance) -> Result<Candidate, Refused> {
    let (scheme, host, port) = parts(&box_.media_url).ok_or(Refused::BadUrl)?;
    Ok(Candidate {
        scheme,
        host: host.to_owned(),
        port,
        hash: hash_name(box_.id.as_str()),
        id: box_.id,
        site: box_.site,
        role: box_.role,
        media_url: box_.media_url,
        domain: box_.domain,
        health: box_.health,
        draining: box_.draining,
        drains_since: box_.drains_since,
        shunned: box_.shunned,
        load_per_mille: box_.load_per_mille,
        share: box_.share.clamp(SHARE_MIN, SHARE_MAX),
        // A float that is too great becomes the greatest number there is.
        capacity_mbps: box_.capacity_mbps.unwrap_or(box_.share as u32).max(1),
    })
}

/// Scheme, host and port of `scheme://host[:port]` and nothing else: it is written into answers.
fn parts(url: &str) -> Option<(&'static str, &str, u16)> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let (scheme, own_port, rest) = match url.split_once("://")? {
        ("https", rest) => ("https", 443, rest),
        ("http", rest) => ("http", 80, rest),
        _ => return None,
    };
    if url.len() > URL_BYTES_MAX || !rest.bytes().all(is_plain) {
        return None;
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, own_port),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let is_name = !host.is_empty() && !host.contains([':', '[', ']']);
    (is_bracketed || is_name).then_some((scheme, host, port))
}

fn areas(
    given: &[Vec<Vec<u32>>],
    classes: &[Vec<u16>],
    candidates: usize,
) -> Result<Vec<Box<[Place]>>, Refused> {
    if !classes.is_empty() && classes.len() != given.len() {
        return Err(Refused::BadPlace);
    }
    let mut areas = Vec::with_capacity(given.len());
    let mut all = 0;
    for (number, groups) in given.iter().enumerate() {
        let classes = classes.get(number).filter(|classes| !classes.is_empty());
        if classes.is_some_and(|classes| classes.len() != groups.len()) {
            return Err(Refused::BadPlace);
        }
        let places: usize = groups.iter().map(Vec::len).sum();
        all += places;
        if places > BUNDLE_AREA_PLACES_MAX
            || groups.len() > BUNDLE_AREA_PLACES_MAX
            || all > BUNDLE_PLACES_MAX
        {
            return Err(Refused::TooMany);
        }
        let mut area: Vec<Place> = Vec::with_capacity(places);
        for (group, members) in groups.iter().enumerate() {
            let class = classes.map(|classes| classes[group]);
            let group = u16::try_from(group).map_err(|_| Refused::TooMany)?;
            let class = class.unwrap_or(group);
            for at in members {
                if *at as usize >= candidates || area.iter().any(|place| place.at == *at) {
                    return Err(Refused::BadPlace);
                }
                area.push(Place { at: *at, group, class });
            }
        }
        areas.push(area.into_boxed_slice());
    }
    Ok(areas)
}

fn holders(held: &TitleHolders, candidates: usize) -> Option<Holders> {
    let bits = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() <= candidates.div_ceil(8)).then(|| bytes.into_boxed_slice())
    };
    let whole = match &held.whole {
        Some(whole) => Some(bits(whole)?),
        None => None,
    };
    Some(Holders { full: bits(&held.full)?, whole, part: bits(&held.part)? })
}

fn has_bit(bits: &[u8], at: u32) -> bool {
    bits.get(at as usize / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_scheme_a_host_and_perhaps_a_port() {
        for (url, wanted) in [
            ("https://a.example", Some(("https", "a.example", 443))),
            ("http://a.example", Some(("http", "a.example", 80))),
            ("https://a.example:8443", Some(("https", "a.example", 8443))),
            ("https://[2001:db8::1]:8443", Some(("https", "[2001:db8::1]", 8443))),
            ("https://[2001:db8::1]", Some(("https", "[2001:db8::1]", 443))),
            ("https://2001:db8::1", None),
            ("https://a.example/", None),
            ("https://a\".example", None),
            ("https://a.example:", None),
            ("https://a.example:99999", None),
            ("https://:443", None),
            ("https://", None),
            ("ftp://a.example", None),
            ("a.example", None),
        ] {
            assert_eq!(parts(url), wanted, "{url}");
        }
    }

    #[test]
    fn bits_are_read_from_the_lowest() {
        let bits = [0b0000_0101, 0b1000_0000];
        let held: Vec<u32> = (0..32).filter(|at| has_bit(&bits, *at)).collect();
        assert_eq!(held, [0, 2, 15]);
    }
}
