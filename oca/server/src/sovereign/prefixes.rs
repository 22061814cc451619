//! Member networks and their areas: the longest that holds an address. Immutable, a few binary
//! searches a question; it knows no appliance.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks of one length, by their bits.
#[derive(Debug, Default)]
struct Length<T> {
    bits: u8,
    /// Sorted by the first; each once.
    networks: Vec<(T, u32)>,
}

/// All networks, the longest first.
#[derive(Debug, Default)]
pub struct Prefixes {
    v4: Vec<Length<u32>>,
    v6: Vec<Length<u128>>,
}

impl Prefixes {
    /// Of these networks; of one that comes twice the first counts.
    #[must_use]
    pub fn new(networks: &[(IpNet, u32)]) -> Self {
        let mut prefixes = Self::default();
        for (network, area) in networks {
            match network {
                IpNet::V4(v4) => {
                    let bits = u32::from(v4.network());
                    put(&mut prefixes.v4, v4.prefix_len(), bits, *area);
                }
                IpNet::V6(v6) => {
                    let bits = u128::from(v6.network());
                    put(&mut prefixes.v6, v6.prefix_len(), bits, *area);
                }
            }
        }
        prefixes.v4.iter_mut().for_each(|length| sort(&mut length.networks));
        prefixes.v6.iter_mut().for_each(|length| sort(&mut length.networks));
        prefixes.v4.sort_unstable_by_key(|length| u8::MAX - length.bits);
        prefixes.v6.sort_unstable_by_key(|length| u8::MAX - length.bits);
        prefixes
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let v4: usize = self.v4.iter().map(|length| length.networks.len()).sum();
        v4 + self.v6.iter().map(|length| length.networks.len()).sum::<usize>()
    }

    /// The area of the longest network that holds `address`.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<u32> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.iter().find_map(|length| {
                let mask = u32::MAX.checked_shl(32 - u32::from(length.bits)).unwrap_or(0);
                look(&length.networks, u32::from(v4) & mask)
            }),
            IpAddr::V6(v6) => self.v6.iter().find_map(|length| {
                let mask = u128::MAX.checked_shl(128 - u32::from(length.bits)).unwrap_or(0);
                look(&length.networks, u128::from(v6) & mask)
            }),
        }
    }
}

fn put<T>(lengths: &mut Vec<Length<T>>, bits: u8, network: T, area: u32) {
    match lengths.iter_mut().find(|length| length.bits == bits) {
        Some(length) => length.networks.push((network, area)),
        None => lengths.push(Length { bits, networks: vec![(network, area)] }),
    }
}

fn sort<T: Ord + Copy>(networks: &mut Vec<(T, u32)>) {
    networks.sort_by_key(|(network, _)| *network);
    networks.dedup_by_key(|(network, _)| *network);
    networks.shrink_to_fit();
}

fn look<T: Ord + Copy>(networks: &[(T, u32)], wanted: T) -> Option<u32> {
    let at = networks.binary_search_by_key(&wanted, |(network, _)| *network).ok()?;
    networks.get(at).map(|(_, area)| *area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_network_decides_in_both_families() {
        let networks = [
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.3/32", 3),
            ("10.1.0.0/16", 9),
            ("2001:db8::/32", 4),
            ("2001:db8:1::/48", 5),
        ];
        let networks = networks.map(|(text, area)| (text.parse::<IpNet>().unwrap(), area));
        let prefixes = Prefixes::new(&networks);
        for (address, area) in [
            ("10.2.3.4", Some(1)),
            ("10.1.3.4", Some(2)),
            ("10.1.2.3", Some(3)),
            ("::ffff:10.1.2.3", Some(3)),
            ("11.0.0.1", None),
            ("2001:db8:2::1", Some(4)),
            ("2001:db8:1::1", Some(5)),
            ("2001:db9::1", None),
        ] {
            assert_eq!(prefixes.find(address.parse().unwrap()), area, "{address}");
        }
        assert_eq!(prefixes.count(), 5);
        let all = Prefixes::new(&[("0.0.0.0/0".parse().unwrap(), 7), ("::/0".parse().unwrap(), 8)]);
        assert_eq!(all.find("198.51.100.1".parse().unwrap()), Some(7));
        assert_eq!(all.find("2001:db8::1".parse().unwrap()), Some(8));
    }

    /// Goal: equal to looking at every network, on random ones.
    #[test]
    fn it_agrees_with_looking_at_all_of_them() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut networks = Vec::new();
        for area in 0..400 {
            let bits = random.u8(0..=32);
            // Few first bytes, so that networks nest.
            let address = std::net::Ipv4Addr::from(random.u32(..) & 0x07ff_ffff);
            let network = IpNet::new(address.into(), bits).unwrap().trunc();
            if !networks.iter().any(|(known, _)| *known == network) {
                networks.push((network, area));
            }
        }
        let prefixes = Prefixes::new(&networks);
        for _ in 0..20_000 {
            let address: IpAddr = std::net::Ipv4Addr::from(random.u32(..) & 0x07ff_ffff).into();
            let holding = networks.iter().filter(|(network, _)| network.contains(&address));
            let longest = holding.max_by_key(|(network, _)| network.prefix_len());
            assert_eq!(prefixes.find(address), longest.map(|(_, area)| *area), "{address}");
        }
    }
}
