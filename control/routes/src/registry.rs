//! Which ISP may announce what: networks and ASNs registered to it, and the verdict on a route.
//! Learns nothing from BGP; only an operator's word registers.
//!
//! Policy. A network belongs to one ISP with all inside it; two ISPs' registrations never overlap.
//! A route is honoured when it is inside a network of the ISP that announced it. Special-purpose
//! ranges (private, shared, documentation, loopback) count only when registered by their own name:
//! members behind a carrier's NAT are real, a leak of 10.0.0.0/8 is not.

use ahash::AHashMap;
use control_types::IspId;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::choice::{IspKey, Names, SiteKey};
use crate::error::RoutesError;
use crate::limits::{
    ASNS_PER_ISP_MAX, NETWORKS_PER_ISP_MAX, PREFIX_BITS_MIN_V4, PREFIX_BITS_MIN_V6,
};
use crate::table::bits_of;
use crate::trie::Trie;

/// What is registered to one ISP beyond the prefixes of its sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IspNetworks {
    /// Whose.
    pub isp: IspId,
    /// Its routers' ASNs; empty: any may announce its networks.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Its networks.
    #[serde(default)]
    pub networks: Vec<IpNet>,
}

/// Why a route is not honoured. The word is the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// `0.0.0.0/0` or `::/0`.
    DefaultRoute,
    /// Shorter than any ISP's network.
    TooWide,
    /// Inside a special-purpose range that is not registered by its own name.
    Bogon,
    /// Nobody registered it.
    Unregistered,
    /// Inside a network of another ISP.
    Foreign,
    /// The ISP registered ASNs, and neither the peer nor the path's first is one of them.
    ForeignAs,
    /// A bound of the table is reached.
    Full,
}

impl Refused {
    /// Every reason, in order.
    pub const ALL: [Self; 7] = [
        Self::DefaultRoute,
        Self::TooWide,
        Self::Bogon,
        Self::Unregistered,
        Self::Foreign,
        Self::ForeignAs,
        Self::Full,
    ];

    /// The word in logs, listings and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DefaultRoute => "default_route",
            Self::TooWide => "too_wide",
            Self::Bogon => "bogon",
            Self::Unregistered => "unregistered",
            Self::Foreign => "foreign",
            Self::ForeignAs => "foreign_as",
            Self::Full => "full",
        }
    }
}

/// Whose word a registration is: replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Site(SiteKey),
    Isp(IspKey),
}

#[derive(Clone, Copy, Debug)]
struct Owned {
    isp: IspKey,
    /// Registrations of exactly this prefix: sites of one ISP may share it.
    count: u32,
}

/// All registrations.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    v4: Trie<Owned>,
    v6: Trie<Owned>,
    held: AHashMap<Holder, (IspKey, Vec<IpNet>)>,
    asns: AHashMap<IspKey, Vec<u32>>,
}

/// Special-purpose ranges (RFC 6890 and its successors).
const SPECIAL: [&str; 22] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/8",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe00::/7",
];

/// The special-purpose range a prefix is inside.
fn special(prefix: &IpNet) -> Option<IpNet> {
    static RANGES: std::sync::LazyLock<Vec<IpNet>> =
        std::sync::LazyLock::new(|| SPECIAL.iter().filter_map(|text| text.parse().ok()).collect());
    RANGES.iter().find(|range| range.contains(prefix)).copied()
}

/// Why nobody may own a well-formed prefix.
fn unregistrable(prefix: &IpNet) -> Option<&'static str> {
    match shape(prefix) {
        Some(Refused::DefaultRoute) => return Some("is a default route"),
        Some(_) => return Some("is wider than any ISP's network"),
        None => {}
    }
    if prefix.trunc() != *prefix {
        return Some("has bits set after its length");
    }
    let network = prefix.network();
    (network.is_multicast() || network.to_canonical() != network)
        .then_some("is no network that members are in")
}

/// What is wrong with a prefix, whoever announces it.
fn shape(prefix: &IpNet) -> Option<Refused> {
    let bits_min = match prefix {
        IpNet::V4(_) => PREFIX_BITS_MIN_V4,
        IpNet::V6(_) => PREFIX_BITS_MIN_V6,
    };
    match prefix.prefix_len() {
        0 => Some(Refused::DefaultRoute),
        len if len < bits_min => Some(Refused::TooWide),
        _ => None,
    }
}

/// A registration's networks as they are held; refused when they are too many.
fn sorted(networks: &[IpNet]) -> Result<Vec<IpNet>, RoutesError> {
    if networks.len() > NETWORKS_PER_ISP_MAX {
        let what = "networks of one registration";
        return Err(RoutesError::Full { what, max: NETWORKS_PER_ISP_MAX });
    }
    let mut networks = networks.to_vec();
    networks.sort_unstable();
    networks.dedup();
    Ok(networks)
}

impl Registry {
    /// The ISP whose network `prefix` is inside.
    #[must_use]
    pub fn owner(&self, prefix: &IpNet) -> Option<IspKey> {
        self.covering(prefix).map(|(_, owned)| owned.isp)
    }

    /// ASNs registered to an ISP; empty: any.
    #[must_use]
    pub fn asns(&self, isp: IspKey) -> &[u32] {
        self.asns.get(&isp).map_or(&[], Vec::as_slice)
    }

    /// Networks registered to an ISP, by itself or through its sites; unsorted, with repetitions.
    pub fn networks(&self, isp: IspKey) -> impl Iterator<Item = IpNet> + '_ {
        let own = self.held.values().filter(move |(owner, _)| *owner == isp);
        own.flat_map(|(_, networks)| networks.iter().copied())
    }

    /// The verdict on a route of `isp` whose session is with `peer_as` and whose path begins with
    /// `first_as` (0: empty path).
    ///
    /// # Errors
    /// The reason it is not honoured.
    pub fn judge(
        &self,
        prefix: &IpNet,
        isp: IspKey,
        peer_as: u32,
        first_as: u32,
    ) -> Result<(), Refused> {
        if let Some(refused) = shape(prefix) {
            return Err(refused);
        }
        let covering = self.covering(prefix);
        if let Some(range) = special(prefix)
            && covering.is_none_or(|(len, _)| len < range.prefix_len())
        {
            return Err(Refused::Bogon);
        }
        match covering {
            None => return Err(Refused::Unregistered),
            Some((_, owned)) if owned.isp != isp => return Err(Refused::Foreign),
            Some(_) => {}
        }
        let asns = self.asns(isp);
        let known = |asn: u32| asns.binary_search(&asn).is_ok();
        // A file or a site's record has no AS to ask about.
        let has_as = peer_as != 0 || first_as != 0;
        if has_as && !asns.is_empty() && !known(peer_as) && !known(first_as) {
            return Err(Refused::ForeignAs);
        }
        Ok(())
    }

    /// The longest registration that holds `prefix`.
    fn covering(&self, prefix: &IpNet) -> Option<(u8, Owned)> {
        let (bits, len) = bits_of(prefix);
        let mut found = None;
        self.trie(prefix).covers(bits, len, |len, owned| found = Some((len, *owned)));
        found
    }

    /// Replaces what one holder registered; says whether anything changed. On an error nothing did.
    pub(crate) fn put(
        &mut self,
        holder: Holder,
        isp: IspKey,
        networks: &[IpNet],
        names: &Names,
    ) -> Result<bool, RoutesError> {
        let networks = sorted(networks)?;
        let old = self.held.get(&holder).cloned();
        if old.as_ref().is_some_and(|(owner, held)| *owner == isp && *held == networks) {
            return Ok(false);
        }
        // Its own old networks must not stand in its way.
        self.take(holder);
        if let Err(error) = self.check(isp, &networks, names) {
            if let Some((isp, networks)) = old {
                self.give(holder, isp, networks);
            }
            return Err(error);
        }
        self.give(holder, isp, networks);
        Ok(true)
    }

    /// Whether [`Self::put`] would do; nothing changes.
    pub(crate) fn would_put(
        &mut self,
        holder: Holder,
        isp: IspKey,
        networks: &[IpNet],
        names: &Names,
    ) -> Result<(), RoutesError> {
        let networks = sorted(networks)?;
        let old = self.held.get(&holder).cloned();
        self.take(holder);
        let would = self.check(isp, &networks, names);
        if let Some((isp, networks)) = old {
            self.give(holder, isp, networks);
        }
        would
    }

    /// Forgets what one holder registered; says whether there was anything.
    pub(crate) fn take(&mut self, holder: Holder) -> bool {
        let Some((_, networks)) = self.held.remove(&holder) else { return false };
        for prefix in &networks {
            let (bits, len) = bits_of(prefix);
            let trie = self.trie_mut(prefix);
            let Some(owned) = trie.get(bits, len).copied() else { continue };
            if owned.count > 1 {
                trie.insert(bits, len, Owned { count: owned.count - 1, ..owned });
            } else {
                trie.remove(bits, len);
            }
        }
        true
    }

    /// Whether a list of ASNs may be registered.
    pub(crate) fn check_asns(asns: &[u32]) -> Result<(), RoutesError> {
        if asns.len() > ASNS_PER_ISP_MAX {
            return Err(RoutesError::Full { what: "ASNs of one ISP", max: ASNS_PER_ISP_MAX });
        }
        Ok(())
    }

    /// Sets the ASNs of an ISP, checked by [`Self::check_asns`].
    pub(crate) fn put_asns(&mut self, isp: IspKey, asns: &[u32]) {
        let mut asns = asns.to_vec();
        asns.sort_unstable();
        asns.dedup();
        self.asns.insert(isp, asns);
    }

    fn give(&mut self, holder: Holder, isp: IspKey, networks: Vec<IpNet>) {
        for prefix in &networks {
            let (bits, len) = bits_of(prefix);
            let trie = self.trie_mut(prefix);
            let count = trie.get(bits, len).map_or(0, |owned| owned.count);
            trie.insert(bits, len, Owned { isp, count: count + 1 });
        }
        self.held.insert(holder, (isp, networks));
    }

    fn check(&self, isp: IspKey, networks: &[IpNet], names: &Names) -> Result<(), RoutesError> {
        for prefix in networks {
            if let Some(why) = unregistrable(prefix) {
                return Err(RoutesError::Unregistrable { prefix: *prefix, why });
            }
            let Some((held, owner)) = self.check_overlap(isp, prefix) else { continue };
            // Keys in the registry were made by these names.
            let Some(owner) = names.isp(owner).cloned() else { continue };
            return Err(RoutesError::Claimed { prefix: *prefix, held, owner });
        }
        Ok(())
    }

    fn check_overlap(&self, isp: IspKey, prefix: &IpNet) -> Option<(IpNet, IspKey)> {
        let (bits, len) = bits_of(prefix);
        let trie = self.trie(prefix);
        let mut found = None;
        trie.covers(bits, len, |len, owned| {
            if owned.isp != isp {
                let held = IpNet::new_assert(prefix.network(), len).trunc();
                found = Some((held, owned.isp));
            }
        });
        if found.is_some() {
            return found;
        }
        trie.inside(bits, len, &mut |bits, len, owned| {
            if owned.isp != isp {
                let network = match prefix {
                    IpNet::V4(_) => std::net::IpAddr::V4(((bits >> 96) as u32).into()),
                    IpNet::V6(_) => std::net::IpAddr::V6(bits.into()),
                };
                found = Some((IpNet::new_assert(network, len), owned.isp));
            }
            found.is_none()
        });
        found
    }

    fn trie(&self, prefix: &IpNet) -> &Trie<Owned> {
        match prefix {
            IpNet::V4(_) => &self.v4,
            IpNet::V6(_) => &self.v6,
        }
    }

    fn trie_mut(&mut self, prefix: &IpNet) -> &mut Trie<Owned> {
        match prefix {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        }
    }
}
