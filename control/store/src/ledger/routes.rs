//! Ledger of what operators said about routes: networks of ISPs, files of sites, and who changed
//! them. Not what routers announce: that lives in memory. Judges no network.

use async_trait::async_trait;
use control_types::routes::{IspNetworks, RouteChange};
use control_types::{IspId, SiteId, UnixMillis};

use crate::StoreError;

/// Everything said and in force, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesSaid {
    /// The number of the last change; 0 before the first.
    pub generation: u64,
    /// By ISP.
    pub networks: Vec<IspNetworks>,
    /// Which sites have a file, by site, each with the number of the change that brought it.
    pub files: Vec<(SiteId, u64)>,
}

/// One change, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteEdit {
    /// Replaces what an ISP registered.
    Register(IspNetworks),
    /// Forgets what an ISP registered.
    Unregister(IspId),
    /// Replaces a site's file.
    Take {
        /// Whose.
        site: SiteId,
        /// As it came; at most [`crate::limits::ROUTE_FILE_BYTES_MAX`].
        file: Vec<u8>,
    },
    /// Forgets a site's file.
    Forget(SiteId),
}

/// Who asks for a change, and when.
#[derive(Clone, Copy, Debug)]
pub struct AskedBy<'a> {
    /// In words.
    pub who: &'a str,
    /// Now.
    pub at: UnixMillis,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// It is the newest.
    Done {
        /// Its number.
        generation: u64,
    },
    /// Others came since the caller looked; nothing changed. Look again.
    Stale {
        /// The last one's number.
        generation: u64,
    },
    /// There was nothing to forget.
    Absent,
}

/// Networks, files, changes.
#[async_trait]
pub trait RoutesLedger: Send + Sync {
    /// The number of the last change: cheap enough to ask every second.
    async fn routes_generation(&self) -> Result<u64, StoreError>;

    /// Everything in force but the files' bytes.
    async fn routes_said(&self) -> Result<RoutesSaid, StoreError>;

    /// A site's file, with the number of the change that brought it.
    async fn route_file(&self, site: &SiteId) -> Result<Option<(u64, Vec<u8>)>, StoreError>;

    /// Makes one change if none came after `seen`, so that what the caller judged by is still true;
    /// notes who asked. `Missing` when a file's site is unknown, `Refused` when a file is too long.
    async fn edit_routes(
        &self,
        edit: &RouteEdit,
        by: AskedBy<'_>,
        seen: u64,
    ) -> Result<Edited, StoreError>;

    /// The last changes, newest first, at most `limit`.
    async fn route_changes(&self, limit: usize) -> Result<Vec<RouteChange>, StoreError>;
}
