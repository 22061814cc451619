//! What of sites' records and of the ledger is in force in this process's routes.
//! Reads no ledger; whoever calls brings what it says.

use std::collections::BTreeMap;

use control_routes::{Feed, Loaded, Routes, Source};
use control_types::fleet::Site;
use control_types::routes::{IspNetworks, RoutesImported};
use control_types::{IspId, SiteId, UnixMillis};
use ipnet::IpNet;

use super::RouteDeskError;

/// What is in force, to tell what changed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// The number of the last change in force.
    generation: u64,
    /// Everything up to there is in force; otherwise a site's record may yet let it.
    settled: bool,
    networks: BTreeMap<IspId, IspNetworks>,
    /// With the number of the change that brought it.
    files: BTreeMap<SiteId, u64>,
    /// Absent inside: its record is not in force as it stands.
    sites: BTreeMap<SiteId, Option<(IspId, Vec<IpNet>)>>,
}

/// A registration as routes take it; `None` when it says nothing.
pub(super) fn registration(
    said: &IspNetworks,
) -> Result<Option<control_routes::IspNetworks>, RouteDeskError> {
    let parse = |text: &String| text.parse().map_err(|_| RouteDeskError::BadNetwork(text.clone()));
    let networks: Vec<IpNet> = said.networks.iter().map(parse).collect::<Result<_, _>>()?;
    if networks.is_empty() && said.asns.is_empty() {
        return Ok(None);
    }
    let (isp, asns) = (said.isp.clone(), said.asns.clone());
    Ok(Some(control_routes::IspNetworks { isp, asns, networks }))
}

impl Followed {
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the ledger must be read again. `moved`: a site's record changed here.
    pub(super) fn is_behind(&self, newest: u64, moved: bool) -> bool {
        newest != self.generation || (moved && !self.settled)
    }

    pub(super) fn note(&mut self, generation: u64, settled: bool) {
        (self.generation, self.settled) = (generation, settled);
    }

    /// Notes a change made here, which followed the last one in force.
    pub(super) fn note_next(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(super) fn has_networks_of(&self, isp: &IspId) -> bool {
        self.networks.contains_key(isp)
    }

    /// Registers and announces sites' own prefixes as their records stand; forgets sites that are
    /// gone. Says what could not be, and whether anything changed. Blocks.
    pub(super) fn follow_sites(
        &mut self,
        routes: &Routes,
        sites: &[Site],
        now: UnixMillis,
    ) -> (Vec<RouteDeskError>, bool) {
        let (mut failed, mut moved) = (Vec::new(), false);
        let is_gone = |id: &&SiteId| !sites.iter().any(|site| site.id == **id);
        let gone: Vec<SiteId> = self.sites.keys().filter(is_gone).cloned().collect();
        for site in gone {
            routes.with(|rib| rib.remove_site(&site));
            self.sites.remove(&site);
            // A file that went with its site is read again when the site comes back.
            self.settled &= self.files.remove(&site).is_none();
            moved = true;
        }
        let record = |site| (site, own_prefixes(site));
        let changed: Vec<(&Site, Vec<IpNet>)> = sites.iter().map(record).collect();
        let is_new = |(site, prefixes): &(&Site, Vec<IpNet>)| !self.has_in_force(site, prefixes);
        let changed: Vec<_> = changed.into_iter().filter(is_new).collect();
        // All that is over goes first: prefixes may have passed from one site to another.
        for (site, prefixes) in &changed {
            let Some(Some((isp, held))) = self.sites.get_mut(&site.id).map(Option::take) else {
                continue;
            };
            let stays = |prefix: &IpNet| isp == site.isp && prefixes.contains(prefix);
            let kept: Vec<IpNet> = held.iter().copied().filter(stays).collect();
            if kept.len() < held.len() {
                let put = routes.with(|rib| rib.put_site(&site.id, &site.isp, &kept, now));
                failed.extend(put.err().map(RouteDeskError::from));
            }
        }
        for (site, prefixes) in changed {
            match routes.with(|rib| rib.put_site(&site.id, &site.isp, &prefixes, now)) {
                Ok(()) => {
                    self.sites.insert(site.id.clone(), Some((site.isp.clone(), prefixes)));
                    moved = true;
                }
                Err(error) => {
                    // Known, so that it can go; not in force, so that it is tried again, also when
                    // the record turns back to what it was.
                    self.sites.insert(site.id.clone(), None);
                    failed.push(error.into());
                }
            }
        }
        (failed, moved)
    }

    fn has_in_force(&self, site: &Site, prefixes: &[IpNet]) -> bool {
        let held = self.sites.get(&site.id).and_then(Option::as_ref);
        held.is_some_and(|(isp, held)| *isp == site.isp && held == prefixes)
    }

    /// Puts these registrations in force and forgets all others. Blocks.
    pub(super) fn follow_networks(
        &mut self,
        routes: &Routes,
        said: Vec<IspNetworks>,
    ) -> Vec<RouteDeskError> {
        let said: BTreeMap<IspId, IspNetworks> =
            said.into_iter().map(|one| (one.isp.clone(), one)).collect();
        let differs = |isp: &IspId, held: &IspNetworks| said.get(isp) != Some(held);
        let old = self.networks.iter().filter(|(isp, held)| differs(isp, held));
        let old: Vec<IspId> = old.map(|(isp, _)| isp.clone()).collect();
        // All that is over goes first: a network may have passed from one ISP to another.
        routes.with(|rib| old.iter().for_each(|isp| rib.remove_isp(isp)));
        old.iter().for_each(|isp| drop(self.networks.remove(isp)));
        let mut failed = Vec::new();
        for (isp, one) in said {
            if self.networks.contains_key(&isp) {
                continue;
            }
            let put = registration(&one)
                .and_then(|parsed| self.put_networks(routes, &one, parsed.as_ref()));
            failed.extend(put.err());
        }
        failed
    }

    pub(super) fn put_networks(
        &mut self,
        routes: &Routes,
        said: &IspNetworks,
        parsed: Option<&control_routes::IspNetworks>,
    ) -> Result<(), RouteDeskError> {
        match parsed {
            Some(parsed) => {
                routes.with(|rib| rib.put_isp(parsed))?;
                self.networks.insert(said.isp.clone(), said.clone());
            }
            None => {
                routes.with(|rib| rib.remove_isp(&said.isp));
                self.networks.remove(&said.isp);
            }
        }
        Ok(())
    }

    /// Forgets files that are not among these; answers which of these must be read. Blocks.
    pub(super) fn forget_files(
        &mut self,
        routes: &Routes,
        said: Vec<(SiteId, u64)>,
    ) -> Vec<SiteId> {
        let is_over = |id: &&SiteId| !said.iter().any(|(site, _)| site == *id);
        let over: Vec<SiteId> = self.files.keys().filter(is_over).cloned().collect();
        over.iter().for_each(|site| self.forget_file(routes, site));
        let is_new = |(site, version): &(SiteId, u64)| self.files.get(site) != Some(version);
        said.into_iter().filter(is_new).map(|(site, _)| site).collect()
    }

    pub(super) fn forget_file(&mut self, routes: &Routes, site: &SiteId) {
        routes.with(|rib| rib.forget_feeds(&import_name(site)));
        self.files.remove(site);
    }

    /// Puts a file in force, in place of the site's last one. One that cannot be read is not read
    /// again. Blocks.
    pub(super) fn take_file(
        &mut self,
        routes: &Routes,
        site: &Site,
        version: u64,
        file: &[u8],
        now: UnixMillis,
    ) -> Result<(), RouteDeskError> {
        self.files.insert(site.id.clone(), version);
        let loaded = control_routes::load(file)?;
        self.announce(routes, site, version, &loaded, now).map(|_| ())
    }

    pub(super) fn announce(
        &mut self,
        routes: &Routes,
        site: &Site,
        version: u64,
        loaded: &Loaded,
        now: UnixMillis,
    ) -> Result<RoutesImported, RouteDeskError> {
        self.files.insert(site.id.clone(), version);
        let name = import_name(&site.id);
        let base = Feed {
            name: name.clone(),
            source: Source::Mrt,
            ..Feed::site_record(&site.id, &site.isp)
        };
        routes.with(|rib| {
            rib.forget_feeds(&name);
            let before = rib.counts().routes;
            for peer in &loaded.peers {
                rib.replace(&loaded.feed(peer, &base), &peer.paths, now)?;
            }
            let honoured = rib.counts().routes.saturating_sub(before);
            Ok(RoutesImported {
                routes: loaded.routes() as u64,
                honoured,
                peers: loaded.peers.len() as u64,
                passed: loaded.passed,
            })
        })
    }
}

/// A text that is no prefix was refused on its way into the record.
fn own_prefixes(site: &Site) -> Vec<IpNet> {
    site.prefixes.iter().filter_map(|text| text.parse().ok()).collect()
}

/// What a site's file is called among feeds.
pub(super) fn import_name(site: &SiteId) -> String {
    format!("import {site}")
}
