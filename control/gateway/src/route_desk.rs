//! Routes as the operator handles them: registrations and imported files kept over a restart, the
//! table shown, an ISP's routes examined. Decides nothing; steering reads the table.
//!
//! On disk, below one directory: `networks.json` (every ISP's registration) and `SITE.routes` (the
//! file last imported for a site, as it came). Both are written beside and renamed, so a crash
//! leaves the old one or the new one.

mod counters;
mod shown;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use control_routes::{Feed, Geo, Routes, RoutesError, Source, WireError};
use control_types::fleet::Site;
use control_types::routes::{IspNetworks, RoutesImported};
use control_types::{IspId, SiteId, UnixMillis};
use ipnet::IpNet;

pub use counters::{BmpCounters, BmpEnd};

/// What the desk could not do.
#[derive(Debug, thiserror::Error)]
pub enum RouteDeskError {
    /// What was asked contradicts what is registered, or a bound.
    #[error(transparent)]
    Refused(#[from] RoutesError),
    /// The file is no file of routes.
    #[error("the file has no routes that can be read: {0}")]
    Unreadable(#[from] WireError),
    /// A network of a registration.
    #[error("{0:?} is not a network: write 203.0.113.0/24")]
    BadNetwork(String),
    /// The desk's own files.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The desk; shared by all handlers and the listener.
#[derive(Debug)]
pub struct RouteDesk {
    routes: Arc<Routes>,
    dir: PathBuf,
    /// Where addresses are; absent: nobody said.
    geo: Option<Geo>,
    /// What routers' sessions count.
    pub bmp: BmpCounters,
    kept: Mutex<Kept>,
}

/// What is in force, to tell what changed. Held over a change and its writing down.
#[derive(Debug, Default)]
struct Kept {
    networks: BTreeMap<IspId, IspNetworks>,
    sites: BTreeMap<SiteId, (IspId, Vec<IpNet>)>,
}

impl RouteDesk {
    /// A desk over these routes that keeps its files in `dir`.
    #[must_use]
    pub fn new(routes: Arc<Routes>, dir: PathBuf) -> Self {
        Self { routes, dir, geo: None, bmp: BmpCounters::default(), kept: Mutex::default() }
    }

    /// The same with a GeoIP database.
    #[must_use]
    pub fn with_geo(self, geo: Geo) -> Self {
        Self { geo: Some(geo), ..self }
    }

    /// Where an address probably is: latitude and longitude, degrees. Waits for nobody.
    #[must_use]
    pub fn whereabouts(&self, address: IpAddr) -> Option<(f64, f64)> {
        let place = self.geo.as_ref()?.locate(address)?;
        Some((place.latitude, place.longitude))
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Brings back what was kept, for these sites; says what could not be brought back. Blocks.
    #[must_use]
    pub fn load(&self, sites: &[Site], now: UnixMillis) -> Vec<RouteDeskError> {
        let mut failed = self.follow_sites(sites, now);
        match self.load_networks() {
            Ok(all) => {
                for networks in all {
                    failed.extend(self.register_now(&networks).err());
                }
            }
            Err(error) => failed.push(error),
        }
        for site in sites {
            let path = self.import_path(&site.id);
            if path.exists() {
                failed.extend(self.load_import(site, &path, now).err());
            }
        }
        self.routes.publish();
        failed
    }

    fn load_networks(&self) -> Result<Vec<IspNetworks>, RouteDeskError> {
        let path = self.networks_path();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(RouteDeskError::Disk { path, source }),
        };
        serde_json::from_slice(&text)
            .map_err(|error| RouteDeskError::Disk { path, source: error.into() })
    }

    fn load_import(&self, site: &Site, path: &Path, now: UnixMillis) -> Result<(), RouteDeskError> {
        let file = std::fs::File::open(path).map_err(disk(path))?;
        let loaded = control_routes::load(file)?;
        self.announce(site, &loaded, now).map(|_| ())
    }

    /// Registers and announces sites' own prefixes as their records stand; forgets sites that are
    /// gone. Running twice is running once. Says what could not be. Blocks.
    #[must_use]
    pub fn follow_sites(&self, sites: &[Site], now: UnixMillis) -> Vec<RouteDeskError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<SiteId> = kept
            .sites
            .keys()
            .filter(|id| !sites.iter().any(|site| site.id == **id))
            .cloned()
            .collect();
        for site in gone {
            self.routes.with(|rib| rib.remove_site(&site));
            kept.sites.remove(&site);
        }
        let mut failed = Vec::new();
        for site in sites {
            // A text that is no prefix was refused on its way into the record.
            let prefixes: Vec<IpNet> =
                site.prefixes.iter().filter_map(|text| text.parse().ok()).collect();
            if kept
                .sites
                .get(&site.id)
                .is_some_and(|(isp, held)| *isp == site.isp && *held == prefixes)
            {
                continue;
            }
            match self.routes.with(|rib| rib.put_site(&site.id, &site.isp, &prefixes, now)) {
                Ok(()) => {
                    kept.sites.insert(site.id.clone(), (site.isp.clone(), prefixes));
                }
                Err(error) => failed.push(error.into()),
            }
        }
        failed
    }

    /// Registers an ISP's networks and ASNs; empty lists forget it. Blocks.
    ///
    /// # Errors
    /// [`RouteDeskError`]; what was registered stays then.
    pub fn register(&self, networks: &IspNetworks) -> Result<(), RouteDeskError> {
        self.register_now(networks)?;
        self.routes.publish();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<&IspNetworks> = kept.networks.values().collect();
        let text = serde_json::to_vec_pretty(&all).expect("registrations are texts and numbers");
        self.write(&self.networks_path(), &text)
    }

    fn register_now(&self, networks: &IspNetworks) -> Result<(), RouteDeskError> {
        let parse = |text: &String| {
            text.parse::<IpNet>().map_err(|_| RouteDeskError::BadNetwork(text.clone()))
        };
        let parsed: Vec<IpNet> = networks.networks.iter().map(parse).collect::<Result<_, _>>()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.is_empty() && networks.asns.is_empty() {
            self.routes.with(|rib| rib.remove_isp(&networks.isp));
            kept.networks.remove(&networks.isp);
            return Ok(());
        }
        let isp = networks.isp.clone();
        let asns = networks.asns.clone();
        let registration = control_routes::IspNetworks { isp, asns, networks: parsed };
        self.routes.with(|rib| rib.put_isp(&registration))?;
        kept.networks.insert(networks.isp.clone(), networks.clone());
        Ok(())
    }

    /// Every ISP's registration, by ISP.
    #[must_use]
    pub fn registrations(&self) -> Vec<IspNetworks> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.networks.values().cloned().collect()
    }

    /// Takes a file of routes in for a site, in place of the last one. Blocks.
    ///
    /// # Errors
    /// [`RouteDeskError`]; the last file's routes stay then.
    pub fn import(
        &self,
        site: &Site,
        file: &[u8],
        now: UnixMillis,
    ) -> Result<RoutesImported, RouteDeskError> {
        let loaded = control_routes::load(file)?;
        // One after the other: two files of a site would be written into one.
        let _importing = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&self.import_path(&site.id), file)?;
        let imported = self.announce(site, &loaded, now)?;
        self.routes.publish();
        Ok(imported)
    }

    /// Forgets the file imported for a site; false when there was none. Blocks.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_import(&self, site: &SiteId) -> Result<bool, RouteDeskError> {
        let path = self.import_path(site);
        let _importing = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(RouteDeskError::Disk { path, source }),
        }
        let name = import_name(site);
        self.routes.with(|rib| rib.forget_feeds(&name));
        self.routes.publish();
        Ok(true)
    }

    fn announce(
        &self,
        site: &Site,
        loaded: &control_routes::Loaded,
        now: UnixMillis,
    ) -> Result<RoutesImported, RouteDeskError> {
        let name = import_name(&site.id);
        let base = Feed {
            name: name.clone(),
            source: Source::Mrt,
            ..Feed::site_record(&site.id, &site.isp)
        };
        self.routes.with(|rib| {
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

    fn networks_path(&self) -> PathBuf {
        self.dir.join("networks.json")
    }

    /// A site's id is a slug, so it is a file's name as it is.
    fn import_path(&self, site: &SiteId) -> PathBuf {
        self.dir.join(format!("{site}.routes"))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RouteDeskError> {
        std::fs::create_dir_all(&self.dir).map_err(disk(&self.dir))?;
        let beside = path.with_extension("new");
        let mut file = std::fs::File::create(&beside).map_err(disk(&beside))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk(&beside))?;
        std::fs::rename(&beside, path).map_err(disk(path))
    }
}

fn import_name(site: &SiteId) -> String {
    format!("import {site}")
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> RouteDeskError {
    move |source| RouteDeskError::Disk { path: path.to_owned(), source }
}
