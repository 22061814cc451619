//! Which sites were asked to serve an address: longest-prefix match over what ISPs announced, IPv4
//! and IPv6. Pure and immutable; never knows an appliance.
//!
//! Policy. A prefix belongs to the ISP that announced it first, with all inside it and around it;
//! other sites of that ISP may announce any part of it too. A *more specific* prefix of another ISP
//! is refused, because the longer match wins: it would take the first ISP's members away. So is a
//! *less specific* one, or the order of two announcements would decide whether both stand. A
//! customer's network inside its carrier's is either a site of the carrier, or the carrier
//! announces what is left of its own. Default routes, and halves of the Internet that add up to
//! one, are refused, because a site that claims everyone is a mistake with consequences for
//! everyone.

use std::net::IpAddr;

use control_types::SiteId;
use control_types::fleet::Site;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::error::SteeringError;
use crate::limits::{PREFIX_BITS_MIN_V4, PREFIX_BITS_MIN_V6, PREFIXES_PER_SITE_MAX};

/// All announced prefixes.
#[derive(Clone, Debug, Default)]
pub struct Prefixes {
    v4: PrefixMap<Ipv4Net, Vec<SiteId>>,
    v6: PrefixMap<Ipv6Net, Vec<SiteId>>,
}

/// One prefix that holds an address, and the sites it was announced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover<'a> {
    /// The prefix.
    pub prefix: IpNet,
    /// Sites, by id.
    pub sites: &'a [SiteId],
}

impl Prefixes {
    /// The table of `sites`; a text that is not a prefix is left out (it was refused on its way
    /// in).
    pub fn of<'a>(sites: impl Iterator<Item = &'a Site>) -> Self {
        let mut table = Self::default();
        for site in sites {
            for prefix in site.prefixes.iter().filter_map(|text| text.parse::<IpNet>().ok()) {
                table.add(prefix.trunc(), &site.id);
            }
        }
        table
    }

    fn add(&mut self, prefix: IpNet, site: &SiteId) {
        let sites = match prefix {
            IpNet::V4(prefix) => self.v4.entry(prefix).or_default(),
            IpNet::V6(prefix) => self.v6.entry(prefix).or_default(),
        };
        if let Err(at) = sites.binary_search(site) {
            sites.insert(at, site.clone());
        }
    }

    /// Every prefix that holds `address`, longest first. IPv4 inside IPv6 is looked up as IPv4.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> Vec<Cover<'_>> {
        let mut found: Vec<Cover<'_>> = match address.to_canonical() {
            IpAddr::V4(address) => self
                .v4
                .cover(&Ipv4Net::from(address))
                .map(|(prefix, sites)| Cover { prefix: IpNet::V4(prefix), sites })
                .collect(),
            IpAddr::V6(address) => self
                .v6
                .cover(&Ipv6Net::from(address))
                .map(|(prefix, sites)| Cover { prefix: IpNet::V6(prefix), sites })
                .collect(),
        };
        found.reverse();
        found
    }

    /// Calls `each` for every prefix that holds `address`, shortest first; takes no memory.
    pub(crate) fn each_cover(&self, address: IpAddr, mut each: impl FnMut(IpNet, &[SiteId])) {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let covers = self.v4.cover(&Ipv4Net::from(address));
                covers.for_each(|(prefix, sites)| each(IpNet::V4(prefix), sites));
            }
            IpAddr::V6(address) => {
                let covers = self.v6.cover(&Ipv6Net::from(address));
                covers.for_each(|(prefix, sites)| each(IpNet::V6(prefix), sites));
            }
        }
    }

    /// Every announced prefix that holds `prefix`, is it, or is inside it.
    #[must_use]
    pub fn overlapping(&self, prefix: &IpNet) -> Vec<Cover<'_>> {
        match prefix {
            IpNet::V4(prefix) => {
                let around = self.v4.cover(prefix).filter(|(held, _)| *held != *prefix);
                around
                    .chain(self.v4.children(prefix))
                    .map(|(held, sites)| Cover { prefix: IpNet::V4(held), sites })
                    .collect()
            }
            IpNet::V6(prefix) => {
                let around = self.v6.cover(prefix).filter(|(held, _)| *held != *prefix);
                around
                    .chain(self.v6.children(prefix))
                    .map(|(held, sites)| Cover { prefix: IpNet::V6(held), sites })
                    .collect()
            }
        }
    }

    /// Sites that announced exactly this prefix.
    #[must_use]
    pub fn exactly(&self, prefix: &IpNet) -> &[SiteId] {
        let sites = match prefix {
            IpNet::V4(prefix) => self.v4.get(prefix),
            IpNet::V6(prefix) => self.v6.get(prefix),
        };
        sites.map_or(&[], Vec::as_slice)
    }
}

/// The prefixes of `site`, each in its only spelling.
///
/// # Errors
/// Names the first prefix that is malformed, has bits set after its length, or is a default route.
pub fn parse_announced(site: &Site) -> Result<Vec<IpNet>, SteeringError> {
    let refused = |why: String| SteeringError::BadSite { site: site.id.clone(), why };
    if site.prefixes.len() > PREFIXES_PER_SITE_MAX {
        let count = site.prefixes.len();
        return Err(refused(format!("{count} prefixes are more than {PREFIXES_PER_SITE_MAX}")));
    }
    let mut announced = Vec::with_capacity(site.prefixes.len());
    for text in &site.prefixes {
        let prefix: IpNet = text
            .parse()
            .map_err(|_| refused(format!("{text:?} is not a prefix: write 203.0.113.0/24")))?;
        let whole = prefix.trunc();
        if whole != prefix {
            return Err(refused(format!("{text} has host bits set: write {whole}")));
        }
        if let Some(why) = parse_announced_reach(&prefix) {
            return Err(refused(format!("{text} {why}")));
        }
        announced.push(prefix);
    }
    Ok(announced)
}

/// Why a well-formed prefix may not be announced by anybody.
fn parse_announced_reach(prefix: &IpNet) -> Option<String> {
    let cure = "announce the ISP's own networks";
    let bits_min = match prefix {
        IpNet::V4(_) => PREFIX_BITS_MIN_V4,
        IpNet::V6(_) => PREFIX_BITS_MIN_V6,
    };
    if prefix.prefix_len() == 0 {
        return Some(format!("is a default route: {cure}"));
    }
    if prefix.prefix_len() < bits_min {
        return Some(format!("is wider than /{bits_min}, more than any ISP has: {cure}"));
    }
    match prefix {
        // Members' addresses are looked up as IPv4, so it would never match.
        IpNet::V6(mapped) if mapped.network().to_ipv4_mapped().is_some() => {
            Some("is IPv4 inside IPv6: write it as IPv4".to_owned())
        }
        IpNet::V4(_) | IpNet::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(id: &str, prefixes: &[&str]) -> Site {
        Site {
            id: id.parse().unwrap(),
            isp: "isp".parse().unwrap(),
            name: id.to_owned(),
            latitude: 0.0,
            longitude: 0.0,
            prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
            fails_as_one: false,
        }
    }

    fn check(address: &str, wanted: &[&str]) {
        let sites = [
            site("wide", &["10.0.0.0/8", "2001:db8::/32"]),
            site("near", &["10.1.0.0/16", "10.1.2.0/24"]),
            site("twin", &["10.1.2.0/24", "2001:db8:1::/48"]),
        ];
        let table = Prefixes::of(sites.iter());
        let found: Vec<String> = table
            .covers(address.parse().unwrap())
            .iter()
            .map(|cover| {
                let sites: Vec<&str> = cover.sites.iter().map(SiteId::as_str).collect();
                format!("{} {}", cover.prefix, sites.join("+"))
            })
            .collect();
        assert_eq!(found, wanted, "{address}");
    }

    #[test]
    fn the_longest_prefix_comes_first() {
        check("10.1.2.3", &["10.1.2.0/24 near+twin", "10.1.0.0/16 near", "10.0.0.0/8 wide"]);
        check("10.9.9.9", &["10.0.0.0/8 wide"]);
        check("::ffff:10.9.9.9", &["10.0.0.0/8 wide"]);
        check("2001:db8:1::7", &["2001:db8:1::/48 twin", "2001:db8::/32 wide"]);
        check("192.0.2.1", &[]);
        check("::1", &[]);
    }

    #[test]
    fn mistakes_name_themselves_and_the_cure() {
        let why = |text: &str| parse_announced(&site("s", &[text])).unwrap_err().to_string();
        assert!(why("10.1.2.3/24").contains("write 10.1.2.0/24"), "{}", why("10.1.2.3/24"));
        assert!(why("0.0.0.0/0").contains("default route"));
        assert!(why("::/0").contains("default route"));
        assert!(why("0.0.0.0/1").contains("wider than /8"));
        assert!(why("128.0.0.0/1").contains("wider than /8"));
        assert!(why("2000::/3").contains("wider than /16"));
        assert!(why("::ffff:10.0.0.0/104").contains("write it as IPv4"));
        assert!(why("10.1.2.0").contains("not a prefix"));
        assert!(parse_announced(&site("s", &["10.1.2.0/24", "2001:db8::/32"])).is_ok());
    }
}
