//! Which networks are whose: the whole table of routes and all site records, dealt out to ISPs in
//! one walk, because a bundle is of one ISP and must not look at everybody's prefixes. Decides
//! nothing.

use ahash::{AHashMap, RandomState};
use control_types::IspId;
use ipnet::IpNet;

use crate::fleet::Fleet;

/// Every ISP's networks at one moment.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    by_isp: AHashMap<IspId, Network>,
    nobody: Network,
}

/// The networks of one ISP.
#[derive(Debug, Default)]
pub(crate) struct Network {
    /// In order, IPv4 first, each before those inside it.
    pub prefixes: Vec<IpNet>,
    /// Equal digests: equal networks, announced alike. Of this process only.
    pub digest: u64,
}

impl Networks {
    /// Of the fleet's routes and site records. `state` hashes alike for as long as digests are
    /// compared.
    pub fn of(fleet: &Fleet, state: &RandomState) -> Self {
        let mut networks = Self::default();
        for site in fleet.registry.sites.values() {
            let prefixes = site.prefixes.iter().filter_map(|text| text.parse::<IpNet>().ok());
            for prefix in prefixes {
                let network = networks.of_mut(&site.isp);
                let prefix = prefix.trunc();
                network.prefixes.push(prefix);
                network.digest = network.digest.wrapping_add(state.hash_one((prefix, &site.id)));
            }
        }
        let names = fleet.routes.names();
        fleet.routes.all(|cover| {
            let mut last = None;
            for choice in cover.choices {
                let Some(isp) = names.isp(choice.isp) else { continue };
                let network = networks.of_mut(isp);
                if last != Some(choice.isp) {
                    network.prefixes.push(cover.prefix);
                    last = Some(choice.isp);
                }
                let (site, only) = (choice.site.0, choice.appliance.map(|key| key.0));
                let way = (choice.as_path_len, choice.origin, choice.med);
                network.digest =
                    network.digest.wrapping_add(state.hash_one((cover.prefix, site, only, way)));
            }
            true
        });
        for network in networks.by_isp.values_mut() {
            network.prefixes.sort_unstable();
            network.prefixes.dedup();
        }
        networks
    }

    /// The networks of `isp`.
    pub fn of_isp(&self, isp: &IspId) -> &Network {
        self.by_isp.get(isp).unwrap_or(&self.nobody)
    }

    fn of_mut(&mut self, isp: &IspId) -> &mut Network {
        // Not `entry`: it would copy the name of an ISP a million times.
        if !self.by_isp.contains_key(isp) {
            self.by_isp.insert(isp.clone(), Network::default());
        }
        self.by_isp.get_mut(isp).expect("it was put in above")
    }
}
