//! One route as decisions see it, and the names behind its keys.
//! Compares nothing: the ranking does.

use std::sync::Arc;

use ahash::AHashMap;
use control_types::{ApplianceId, IspId, SiteId};
use serde::{Deserialize, Serialize};

use crate::error::RoutesError;
use crate::limits::NAMES_MAX;

/// A site, as a small number that is never reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteKey(pub u32);

/// An appliance, as a small number that is never reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplianceKey(pub u32);

/// An ISP, as a small number that is never reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IspKey(pub u32);

/// How a route came into BGP; the smaller is preferred.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From the network's own configuration.
    #[default]
    Igp,
    /// From EGP, of historic use.
    Egp,
    /// By other means, usually redistribution.
    Incomplete,
}

/// Who told us; the smaller is preferred for one site and prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A router, live.
    Bmp,
    /// A dump of a router's table.
    Mrt,
    /// A file or the site's own record.
    Static,
}

/// The best announcement of one prefix to one site (or to one of its appliances).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteChoice {
    /// Where it was announced to.
    pub site: SiteKey,
    /// The only box it was announced to; absent: all of the site.
    pub appliance: Option<ApplianceKey>,
    /// Whose network.
    pub isp: IspKey,
    /// ASNs on the way, a set counts as one, confederations as none; 0 for a static route.
    pub as_path_len: u16,
    /// How it came into BGP.
    pub origin: Origin,
    /// Multi-exit discriminator, 0 when absent (RFC 4271 9.1.2.2).
    pub med: u32,
    /// Who told us.
    pub source: Source,
    /// The session it came by is lost; it will be dropped when its hold ends.
    pub stale: bool,
}

/// The names behind keys. Grows only, so a key means the same in every snapshot.
#[derive(Clone, Debug, Default)]
pub struct Names {
    sites: Interned<SiteId>,
    appliances: Interned<ApplianceId>,
    isps: Interned<IspId>,
}

#[derive(Clone, Debug)]
struct Interned<T> {
    names: Vec<T>,
    keys: AHashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { names: Vec::new(), keys: AHashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn key(&mut self, name: &T, what: &'static str) -> Result<u32, RoutesError> {
        if let Some(key) = self.keys.get(name) {
            return Ok(*key);
        }
        if self.names.len() >= NAMES_MAX {
            return Err(RoutesError::Full { what, max: NAMES_MAX });
        }
        // NAMES_MAX is far inside u32.
        let key = self.names.len() as u32;
        self.names.push(name.clone());
        self.keys.insert(name.clone(), key);
        Ok(key)
    }
}

impl Names {
    /// The site behind a key; absent only for a key of another `Routes`.
    #[must_use]
    pub fn site(&self, key: SiteKey) -> Option<&SiteId> {
        self.sites.names.get(key.0 as usize)
    }

    /// The appliance behind a key.
    #[must_use]
    pub fn appliance(&self, key: ApplianceKey) -> Option<&ApplianceId> {
        self.appliances.names.get(key.0 as usize)
    }

    /// The ISP behind a key.
    #[must_use]
    pub fn isp(&self, key: IspKey) -> Option<&IspId> {
        self.isps.names.get(key.0 as usize)
    }

    /// The key of a site; absent when no route ever named it.
    #[must_use]
    pub fn site_key(&self, site: &SiteId) -> Option<SiteKey> {
        self.sites.keys.get(site).copied().map(SiteKey)
    }

    /// The key of an appliance; absent when no route ever named it.
    #[must_use]
    pub fn appliance_key(&self, appliance: &ApplianceId) -> Option<ApplianceKey> {
        self.appliances.keys.get(appliance).copied().map(ApplianceKey)
    }

    /// The key of an ISP; absent when no route or registration ever named it.
    #[must_use]
    pub fn isp_key(&self, isp: &IspId) -> Option<IspKey> {
        self.isps.keys.get(isp).copied().map(IspKey)
    }
}

/// Makes keys; the only writer of [`Names`].
pub(crate) fn key_site(names: &mut Arc<Names>, site: &SiteId) -> Result<SiteKey, RoutesError> {
    match names.site_key(site) {
        Some(key) => Ok(key),
        None => Arc::make_mut(names).sites.key(site, "sites in routes").map(SiteKey),
    }
}

pub(crate) fn key_appliance(
    names: &mut Arc<Names>,
    appliance: &ApplianceId,
) -> Result<ApplianceKey, RoutesError> {
    match names.appliance_key(appliance) {
        Some(key) => Ok(key),
        None => {
            let made = Arc::make_mut(names).appliances.key(appliance, "appliances in routes");
            made.map(ApplianceKey)
        }
    }
}

pub(crate) fn key_isp(names: &mut Arc<Names>, isp: &IspId) -> Result<IspKey, RoutesError> {
    match names.isp_key(isp) {
        Some(key) => Ok(key),
        None => Arc::make_mut(names).isps.key(isp, "ISPs in routes").map(IspKey),
    }
}
