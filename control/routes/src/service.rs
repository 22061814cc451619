//! The routes of one control process: writers take turns, readers load a snapshot and never wait.
//! Runs nothing by itself; whoever feeds it publishes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use control_types::{IspId, SiteId, UnixMillis};
use ipnet::IpNet;

use crate::error::RoutesError;
use crate::registry::IspNetworks;
use crate::rib::{Rib, RibSettings};
use crate::table::RouteTable;

/// Routes, shared between who feeds them and who decides by them.
#[derive(Debug)]
pub struct Routes {
    rib: Mutex<Rib>,
    table: ArcSwap<RouteTable>,
}

impl Default for Routes {
    fn default() -> Self {
        Self::new(RibSettings::default())
    }
}

impl Routes {
    /// Empty routes.
    #[must_use]
    pub fn new(settings: RibSettings) -> Self {
        Self { rib: Mutex::new(Rib::new(settings)), table: ArcSwap::default() }
    }

    /// The routes as last published: an immutable snapshot.
    #[must_use]
    pub fn table(&self) -> Arc<RouteTable> {
        self.table.load_full()
    }

    /// Changes or reads what was announced. Decisions see changes after [`Self::publish`]. Do not
    /// call from inside `with`.
    pub fn with<T>(&self, with: impl FnOnce(&mut Rib) -> T) -> T {
        with(&mut self.rib())
    }

    /// Makes every change so far visible to decisions; true when there was one.
    pub fn publish(&self) -> bool {
        let mut rib = self.rib();
        // Cloning copies three pointers; the nodes that change are copied as they change.
        let mut table = RouteTable::clone(&self.table.load());
        let changed = rib.publish(&mut table);
        if changed {
            self.table.store(Arc::new(table));
        }
        changed
    }

    /// Registers and announces a site's own prefixes, visible at once.
    ///
    /// # Errors
    /// As [`Rib::put_site`].
    pub fn put_site(
        &self,
        site: &SiteId,
        isp: &IspId,
        prefixes: &[IpNet],
        now: UnixMillis,
    ) -> Result<(), RoutesError> {
        self.with(|rib| rib.put_site(site, isp, prefixes, now))?;
        self.publish();
        Ok(())
    }

    /// Forgets a site and every route that was announced to it, visible at once.
    pub fn remove_site(&self, site: &SiteId) {
        self.with(|rib| rib.remove_site(site));
        self.publish();
    }

    /// Registers an ISP's networks and ASNs, visible at once.
    ///
    /// # Errors
    /// As [`Rib::put_isp`].
    pub fn put_isp(&self, networks: &IspNetworks) -> Result<(), RoutesError> {
        self.with(|rib| rib.put_isp(networks))?;
        self.publish();
        Ok(())
    }

    fn rib(&self) -> MutexGuard<'_, Rib> {
        // Each change of the table is whole or not begun, so another writer's panic costs at most
        // the routes it was about to change.
        self.rib.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
