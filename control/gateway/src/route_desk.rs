//! Routes as the operator handles them: registrations and imported files, the table shown, an ISP's
//! routes examined. Decides nothing; steering reads the table.
//!
//! What operators said is the ledger's. A desk follows it: it remembers the number of the last
//! change that is in force here, asks for the newest every second, and reads again what differs. A
//! change is judged by what is in force and made only if nothing came in between, so that of two
//! processes that register overlapping networks one is refused.

mod counters;
mod followed;
mod moved;
mod shown;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use control_routes::{Geo, Rib, Routes, RoutesError, WireError};
use control_store::StoreError;
use control_store::ledger::{AskedBy, Edited, RouteEdit, RoutesLedger};
use control_types::fleet::Site;
use control_types::routes::{IspNetworks, RouteChange, RoutesImported};
use control_types::{SiteId, UnixMillis};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::limits::{ROUTE_CHANGES_SHOWN_MAX, ROUTE_EDIT_TRIES_MAX};
use followed::{Followed, import_name, registration};

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
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else changed routes each time we looked.
    #[error("routes are being changed by others at the same time; try again")]
    Busy,
    /// Work under way was given up.
    #[error("a change of routes was interrupted: {0}")]
    Interrupted(String),
    /// A file of an earlier version's.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The desk; shared by all handlers and the listener.
pub struct RouteDesk {
    routes: Arc<Routes>,
    ledger: Arc<dyn RoutesLedger>,
    /// Where addresses are; absent: nobody said.
    geo: Option<Geo>,
    /// What routers' sessions count.
    pub bmp: BmpCounters,
    /// Changes take turns, and so does following.
    followed: Arc<Mutex<Followed>>,
}

/// A turn at changing routes.
type Turn = OwnedMutexGuard<Followed>;

impl std::fmt::Debug for RouteDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteDesk").field("bmp", &self.bmp).finish_non_exhaustive()
    }
}

impl RouteDesk {
    /// A desk over these routes that follows the ledger; nothing is in force before
    /// [`Self::follow`].
    #[must_use]
    pub fn new(routes: Arc<Routes>, ledger: Arc<dyn RoutesLedger>) -> Self {
        let (geo, bmp, followed) = (None, BmpCounters::default(), Arc::default());
        Self { routes, ledger, geo, bmp, followed }
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

    /// Brings what is in force here up to these sites' records and to what the ledger says; answers
    /// what cannot be in force. Running twice is running once, and costs one read of the ledger.
    ///
    /// Here and below `sites` answers the records as they are when the turn has come: of a list
    /// made before, a site that was registered meanwhile would be missing, and all its routes go.
    pub async fn follow(
        &self,
        sites: impl Fn() -> Vec<Site>,
        now: UnixMillis,
    ) -> Vec<RouteDeskError> {
        let turn = self.turn().await;
        let sites = sites().into();
        match self.follow_in(turn, &sites, now).await {
            Ok((_, failed)) => failed,
            Err(error) => vec![error],
        }
    }

    async fn turn(&self) -> Turn {
        Arc::clone(&self.followed).lock_owned().await
    }

    async fn follow_in(
        &self,
        mut turn: Turn,
        sites: &Arc<[Site]>,
        now: UnixMillis,
    ) -> Result<(Turn, Vec<RouteDeskError>), RouteDeskError> {
        let (routes, of) = (self.routes.clone(), sites.clone());
        let (mut turn, mut failed, moved) = aside(move || {
            let (failed, moved) = turn.follow_sites(&routes, &of, now);
            routes.publish();
            (turn, failed, moved)
        })
        .await?;
        let newest = self.ledger.routes_generation().await?;
        if !turn.is_behind(newest, moved) {
            return Ok((turn, failed));
        }
        let said = self.ledger.routes_said().await?;
        let (routes, generation) = (self.routes.clone(), said.generation);
        let (networks, files) = (said.networks, said.files);
        let (back, refused, wanted) = aside(move || {
            let refused = turn.follow_networks(&routes, networks);
            let wanted = turn.forget_files(&routes, files);
            (turn, refused, wanted)
        })
        .await?;
        turn = back;
        let mut settled = refused.is_empty();
        failed.extend(refused);
        for id in wanted {
            let Some(site) = sites.iter().find(|site| site.id == id).cloned() else {
                // Its record has not arrived here yet.
                settled = false;
                continue;
            };
            let Some((version, file)) = self.ledger.route_file(&id).await? else { continue };
            let routes = self.routes.clone();
            let (back, taken) = aside(move || {
                let taken = turn.take_file(&routes, &site, version, &file, now);
                (turn, taken)
            })
            .await?;
            turn = back;
            failed.extend(taken.err());
        }
        turn.note(generation, settled);
        let routes = self.routes.clone();
        aside(move || routes.publish()).await?;
        Ok((turn, failed))
    }

    /// Registers an ISP's networks and ASNs; empty lists forget it. In force here at once, and in
    /// other processes when they follow.
    ///
    /// # Errors
    /// [`RouteDeskError`]; what was registered stays then.
    pub async fn register(
        &self,
        networks: &IspNetworks,
        sites: impl Fn() -> Vec<Site>,
        by: AskedBy<'_>,
    ) -> Result<(), RouteDeskError> {
        let parsed = registration(networks)?;
        let edit = match &parsed {
            Some(_) => RouteEdit::Register(networks.clone()),
            None => RouteEdit::Unregister(networks.isp.clone()),
        };
        let checked = parsed.clone();
        let may = move |rib: &mut Rib| checked.as_ref().map_or(Ok(()), |said| rib.check_isp(said));
        let Some((mut turn, generation)) = self.edit(&edit, sites, by, may).await? else {
            return Ok(());
        };
        let (routes, networks) = (self.routes.clone(), networks.clone());
        aside(move || {
            turn.put_networks(&routes, &networks, parsed.as_ref())?;
            turn.note_next(generation);
            routes.publish();
            Ok(())
        })
        .await?
    }

    /// Every ISP's registration, by ISP.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn registrations(&self) -> Result<Vec<IspNetworks>, RouteDeskError> {
        Ok(self.ledger.routes_said().await?.networks)
    }

    /// Who changed what, newest first.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn changes(&self) -> Result<Vec<RouteChange>, RouteDeskError> {
        Ok(self.ledger.route_changes(ROUTE_CHANGES_SHOWN_MAX).await?)
    }

    /// Takes a file of routes in for a site, in place of the last one.
    ///
    /// # Errors
    /// [`RouteDeskError`]; the last file's routes stay then.
    pub async fn import(
        &self,
        site: &Site,
        file: Vec<u8>,
        sites: impl Fn() -> Vec<Site>,
        by: AskedBy<'_>,
    ) -> Result<RoutesImported, RouteDeskError> {
        let (file, loaded) =
            aside(move || control_routes::load(&file[..]).map(|loaded| (file, loaded))).await??;
        let edit = RouteEdit::Take { site: site.id.clone(), file };
        let (name, feeds) = (import_name(&site.id), loaded.peers.len());
        let made = self.edit(&edit, sites, by, move |rib| rib.check_feeds(&name, feeds)).await?;
        let Some((mut turn, generation)) = made else { return Err(RouteDeskError::Busy) };
        let (routes, site, now) = (self.routes.clone(), site.clone(), by.at);
        aside(move || {
            let imported = turn.announce(&routes, &site, generation, &loaded, now)?;
            turn.note_next(generation);
            routes.publish();
            Ok(imported)
        })
        .await?
    }

    /// Forgets the file imported for a site; false when there was none.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn forget_import(
        &self,
        site: &SiteId,
        sites: impl Fn() -> Vec<Site>,
        by: AskedBy<'_>,
    ) -> Result<bool, RouteDeskError> {
        let edit = RouteEdit::Forget(site.clone());
        let Some((mut turn, generation)) = self.edit(&edit, sites, by, |_| Ok(())).await? else {
            return Ok(false);
        };
        let (routes, site) = (self.routes.clone(), site.clone());
        aside(move || {
            turn.forget_file(&routes, &site);
            turn.note_next(generation);
            routes.publish();
        })
        .await?;
        Ok(true)
    }

    /// Makes one change in the ledger, judged by everything said before it; `None` when there was
    /// nothing to forget. The turn is still the caller's, to put the change in force.
    async fn edit(
        &self,
        edit: &RouteEdit,
        sites: impl Fn() -> Vec<Site>,
        by: AskedBy<'_>,
        may: impl Fn(&mut Rib) -> Result<(), RoutesError> + Clone + Send + 'static,
    ) -> Result<Option<(Turn, u64)>, RouteDeskError> {
        let mut turn = self.turn().await;
        for _ in 0..ROUTE_EDIT_TRIES_MAX {
            let sites: Arc<[Site]> = sites().into();
            // What cannot be in force is told by whoever follows on a timer.
            (turn, _) = self.follow_in(turn, &sites, by.at).await?;
            let (routes, judge) = (self.routes.clone(), may.clone());
            aside(move || routes.with(judge)).await??;
            match self.ledger.edit_routes(edit, by, turn.generation()).await? {
                Edited::Done { generation } => return Ok(Some((turn, generation))),
                Edited::Absent => return Ok(None),
                Edited::Stale { .. } => {}
            }
        }
        Err(RouteDeskError::Busy)
    }
}

/// The table is behind a lock that a large change holds for a while: not on a thread that answers
/// members.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RouteDeskError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| RouteDeskError::Interrupted(error.to_string()))
}
