//! Bodies about routes: what is registered to an ISP, what its routers announced, and what is wrong
//! with that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ApplianceId, IspId, SiteId};
use crate::time::UnixMillis;

/// `PUT /v1/operator/isps/{isp}/networks`: what an ISP may announce beyond its sites' own prefixes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct IspNetworks {
    /// Same as in the path.
    pub isp: IspId,
    /// ASNs of its routers; empty: any may announce its networks.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Its networks, CIDR.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// `GET /v1/operator/routes`: the table and who feeds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoutesStatus {
    /// Prefixes that decisions see.
    pub prefixes: u64,
    /// Routes held and honoured.
    pub routes: u64,
    /// Routes held and refused.
    pub refused: u64,
    /// Announcements refused since the start, by reason.
    pub refused_total: BTreeMap<String, u64>,
    /// Rises with each change that decisions see.
    pub version: u64,
    /// Who feeds the table, by name.
    pub feeds: Vec<RouteFeed>,
}

/// One peer of a router, a file, or a site's own record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteFeed {
    /// The router's address, or what was loaded.
    pub name: String,
    /// Which of its peers, and which view; empty for a file.
    pub peer: String,
    /// ASN of the peer; 0 when there is none.
    pub peer_as: u32,
    /// Where its routes are announced to.
    pub site: SiteId,
    /// The only box they are announced to.
    pub appliance: Option<ApplianceId>,
    /// Whose routes.
    pub isp: IspId,
    /// `bmp`, `mrt` or `static`.
    pub source: String,
    /// When the held routes of a lost session are dropped; absent: it is up.
    pub stale_until: Option<UnixMillis>,
    /// When it came up or was lost.
    pub since: UnixMillis,
    /// Prefixes held of it, refused ones among them.
    pub prefixes: u64,
    /// How often its session was lost.
    pub lost_total: u32,
}

/// `GET /v1/operator/routes/lookup?ip=`: one prefix that holds the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteCover {
    /// CIDR.
    pub prefix: String,
    /// The best of each site, or of each box named by itself.
    pub choices: Vec<RouteOffer>,
}

/// One route as the ranking sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteOffer {
    /// Announced to.
    pub site: SiteId,
    /// The only box it is announced to.
    pub appliance: Option<ApplianceId>,
    /// Whose network.
    pub isp: IspId,
    /// ASNs on the way.
    pub as_path_len: u16,
    /// `igp`, `egp` or `incomplete`.
    pub origin: String,
    /// Multi-exit discriminator.
    pub med: u32,
    /// `bmp`, `mrt` or `static`.
    pub source: String,
    /// Its session is lost.
    pub stale: bool,
}

/// `GET /v1/operator/routes/refused`: a route held and not honoured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteRefused {
    /// CIDR.
    pub prefix: String,
    /// Why, in one word.
    pub reason: String,
    /// The path's first ASN; 0 for an empty path.
    pub first_as: u32,
    /// Whose session or file.
    pub isp: IspId,
    /// Announced to.
    pub site: SiteId,
    /// The router or file.
    pub name: String,
    /// Which peer of it.
    pub peer: String,
}

/// Answer of `POST /v1/operator/sites/{site}/routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoutesImported {
    /// Routes in the file.
    pub routes: u64,
    /// How many of them are honoured.
    pub honoured: u64,
    /// Peers the file has routes of.
    pub peers: u64,
    /// Records that say nothing about routes.
    pub passed: u64,
}

/// `GET /v1/operator/routes/doctor/{isp}`: what an ISP's engineer should look at, worst first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoutesReport {
    /// Whose routes.
    pub isp: IspId,
    /// Prefixes of it that decisions see.
    pub prefixes: u64,
    /// Findings, worst first; empty when all is well.
    pub findings: Vec<RouteFinding>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteFinding {
    /// `leak`, `stale`, `wrong_way`, `uneven` or `single`.
    pub kind: String,
    /// What is wrong, where, and what it costs.
    pub what: String,
    /// What to do.
    pub cure: String,
    /// Prefixes concerned.
    pub count: u64,
    /// Some of them.
    pub prefixes: Vec<String>,
}

/// What was changed by whom: one line of `GET /v1/operator/routes/changes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteChange {
    /// Rises by one with each change.
    pub generation: u64,
    /// When.
    pub at: UnixMillis,
    /// Who asked, in words.
    pub by: String,
    /// What was done.
    pub what: RouteChangeKind,
    /// To which ISP's registration, or which site's file.
    pub subject: String,
    /// How much of what, in words.
    pub detail: String,
}

/// Kinds of [`RouteChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RouteChangeKind {
    /// An ISP's networks were replaced.
    Registered,
    /// An ISP's networks were forgotten.
    Unregistered,
    /// A site's file was replaced.
    FileTaken,
    /// A site's file was forgotten.
    FileForgotten,
}
