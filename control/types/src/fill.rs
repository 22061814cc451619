//! Bodies of fill windows, plans, orders and what agents report.

use serde::{Deserialize, Serialize};

pub use crate::border::{BorderShare, RateProfile, RateStep};
use crate::fleet::{DiskClass, HeldObject, Role, VolumeReport};
use crate::ids::{ApplianceId, IspId, ObjectId, PlanId, SiteId, TitleId, WindowId};
use crate::time::UnixMillis;

/// Which appliances a window is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WindowScope {
    /// One box.
    Appliance(ApplianceId),
    /// All boxes of a site.
    Site(SiteId),
    /// All sites of an ISP.
    Isp(IspId),
    /// The whole fleet.
    Everyone,
}

impl WindowScope {
    /// How wide it is: 0 for one box, 3 for everyone. Of windows that are open at once the
    /// narrowest counts: a fleet's window must not lift the cap that an ISP has set.
    #[must_use]
    pub fn breadth(&self) -> u8 {
        match self {
            Self::Appliance(_) => 0,
            Self::Site(_) => 1,
            Self::Isp(_) => 2,
            Self::Everyone => 3,
        }
    }
}

/// `POST /v1/operator/windows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWindow {
    /// Name of the window; must be new.
    pub id: WindowId,
    /// For whom.
    pub scope: WindowScope,
    /// When it opens; absent means now.
    #[serde(default)]
    pub opens_at: Option<UnixMillis>,
    /// How long it stays open, milliseconds, 1 s to 24 h.
    pub length_ms: u64,
    /// Cap for each appliance, bits per second; absent means none.
    #[serde(default)]
    pub rate_bps_max: Option<u64>,
    /// Cap for each appliance over the whole window, bytes; absent means none.
    #[serde(default)]
    pub bytes_max: Option<u64>,
}

/// `GET /v1/operator/windows`: one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Window {
    /// Name.
    pub id: WindowId,
    /// For whom.
    pub scope: WindowScope,
    /// First moment of the window.
    pub opens_at: UnixMillis,
    /// First moment after it.
    pub closes_at: UnixMillis,
    /// Cap for each appliance, bits per second.
    pub rate_bps_max: Option<u64>,
    /// Cap for each appliance, bytes.
    pub bytes_max: Option<u64>,
    /// Closed before its time, by `ocactl window close`.
    pub closed: bool,
}

impl Window {
    /// Whether fill may run at `now`.
    #[must_use]
    pub fn is_open(&self, now: UnixMillis) -> bool {
        !self.closed && self.opens_at <= now && now < self.closes_at
    }
}

/// `GET /v1/operator/fill-state`: all that the director looks at, in one consistent answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillState {
    /// Control's clock.
    pub now: UnixMillis,
    /// Everything that could be placed.
    pub objects: Vec<PlaceableObject>,
    /// Everything it could be placed on.
    pub appliances: Vec<FillAppliance>,
    /// Windows not yet over.
    pub windows: Vec<Window>,
    /// What was watched of each published title, day by day; empty from a control that keeps none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<TitleHistory>,
}

/// What was watched of one title on the days that control remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TitleHistory {
    /// Which.
    pub title: TitleId,
    /// When members could first see it.
    pub published_at: UnixMillis,
    /// One entry for each day, site and picture height that had any; in no order.
    pub watched: Vec<WatchedDay>,
}

/// Bytes of one title watched at one site, at one picture height, on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WatchedDay {
    /// Days since 1970-01-01, in UTC.
    pub day: u32,
    /// Whose members watched.
    pub site: SiteId,
    /// Height of the picture, pixels; 0 when the player did not say.
    pub height: u32,
    /// Bytes.
    pub bytes: u64,
}

/// One object of a published title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlaceableObject {
    /// Which.
    pub object: ObjectId,
    /// Size, bytes.
    pub bytes: u64,
    /// Whose.
    pub title: TitleId,
    /// Height of its picture, pixels; absent for what goes with every rung.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Bytes expected to be asked of it tomorrow, by site (regional taste); a site not listed
    /// expects `demand_bytes_elsewhere`.
    pub demand_bytes: Vec<SiteDemand>,
    /// See `demand_bytes`.
    pub demand_bytes_elsewhere: f64,
}

/// Tomorrow's bytes of one object at one site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteDemand {
    /// Where.
    pub site: SiteId,
    /// Bytes.
    pub bytes: f64,
}

/// One appliance as the planner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillAppliance {
    /// Which.
    pub appliance: ApplianceId,
    /// Where.
    pub site: SiteId,
    /// Whose.
    pub isp: IspId,
    /// What for.
    pub role: Role,
    /// May serve and be filled now.
    pub healthy: bool,
    /// Where its port is; empty before its first report.
    pub media_url: String,
    /// Its disks.
    pub volumes: Vec<VolumeReport>,
    /// What it holds.
    pub holds: Vec<HeldObject>,
}

/// `PUT /v1/operator/plan`: one night for the whole fleet. A list of intents: stopping anywhere
/// leaves valid appliances, and running it twice is running it once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NightPlan {
    /// Which.
    pub id: PlanId,
    /// Rises with every plan; an agent refuses a lower one than it has seen.
    pub serial: u64,
    /// When it was made.
    pub made_at: UnixMillis,
    /// Serial of the plan in force when this one was made, 0 before the first: it takes that one's
    /// place and no other's, because it knows nothing of what another lent. Absent from directors
    /// of an earlier release: it takes the place of any with a lower serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<u64>,
    /// One entry for every appliance that is to change.
    pub appliances: Vec<AppliancePlan>,
}

/// What one appliance should do tonight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliancePlan {
    /// Who.
    pub appliance: ApplianceId,
    /// Pulls: what other boxes wait for, then all else, most valuable first.
    pub pulls: Vec<Pull>,
    /// May be removed, least valuable first, and only when room is needed for a pull
    /// or a move.
    pub prunes: Vec<ObjectId>,
    /// Objects it holds that deserve the other kind of disk, in the order to move them: what makes
    /// room comes before what needs it. Work for idle disks; a plan is whole without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<ClassMove>,
    /// How fast it may take bytes at each moment of the coming nights, below the window's own cap;
    /// absent means that only the window's cap holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateProfile>,
    /// What `rate` rests on where it is part of a border's rate: control lends it for a while at
    /// each poll and leaves the floor for after that. Absent: `rate` holds as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub border: Option<BorderShare>,
}

/// One object that belongs on the other kind of disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClassMove {
    /// Which.
    pub object: ObjectId,
    /// The kind it deserves.
    pub class: DiskClass,
}

/// One object to pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pull {
    /// Which.
    pub object: ObjectId,
    /// Size, bytes.
    pub bytes: u64,
    /// Whose; kept in the object's seal, checked against play tickets.
    pub title: TitleId,
    /// Which kind of disk it deserves.
    pub class: DiskClass,
    /// Where to get it, in the order to try.
    pub sources: Vec<Source>,
    /// Why it is worth its bytes, one line for `ocactl plan explain`.
    pub why: String,
}

/// Where a copy can be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Source {
    /// How far away it is.
    pub kind: SourceKind,
    /// Whose copy.
    pub appliance: ApplianceId,
    /// `https://host:port`.
    pub media_url: String,
    /// True when the copy will exist only after that appliance's own pull tonight: ask again later
    /// rather than go further away, for at most the agent's `peer_wait_ms`.
    pub pending: bool,
}

/// How far away a source is, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Another box of the same site.
    Peer,
    /// Another site of the same ISP, or a tier appliance.
    Tier,
    /// The whole library.
    Origin,
}

/// `GET /v1/appliance/orders`: [`Orders`] as the very bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedOrders {
    /// JSON of [`Orders`].
    pub orders: String,
    /// Ed25519 signature of `orders`, base64url.
    pub signature: String,
    /// Public key that signed, base64url. An agent believes the one it was given or saw first.
    pub key: String,
}

/// What an agent works from. It keeps the last one on disk and works on from it when control is
/// away, inside the windows it names. Later orders have a higher serial, or the same and a later
/// `now`: anything else is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Orders {
    /// For whom: orders for another appliance are refused.
    pub appliance: ApplianceId,
    /// Control's clock when it answered.
    pub now: UnixMillis,
    /// `NightPlan::serial`; 0 when there is no plan yet.
    pub serial: u64,
    /// The plan these are from.
    pub plan: Option<PlanId>,
    /// The appliance's windows that are not yet over.
    pub windows: Vec<Window>,
    /// Its part of the plan.
    pub work: Option<AppliancePlan>,
    /// Opens `/o/…` on every appliance (Common Access Token, base64url).
    pub fill_ticket: String,
    /// Public key that will sign after the one that signed these, base64url: the agent believes it
    /// because these are signed. Absent while no change is ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<String>,
}

/// `POST /v1/appliance/fill-report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillReport {
    /// Who; must match the key.
    pub appliance: ApplianceId,
    /// The plan worked on.
    pub plan: Option<PlanId>,
    /// What the agent is doing.
    pub state: FillStateWord,
    /// Pulls of the plan.
    pub objects_planned: u64,
    /// Of these, on disk and verified.
    pub objects_done: u64,
    /// Bytes of the plan.
    pub bytes_planned: u64,
    /// Of these, on disk and verified.
    pub bytes_done: u64,
    /// Bytes taken over the network in this window, by kind of source.
    pub bytes_from: BytesFrom,
    /// Current rate, bits per second.
    pub rate_bps: u64,
    /// Objects given up on, with why; at most 100.
    pub failures: Vec<FillFailure>,
    /// Orders refused since the agent began: forged, older than what it has, or for another.
    #[serde(default)]
    pub orders_refused: u64,
    /// What an operator should look at: a lost disk, a quarantine that fills; at most 100.
    #[serde(default)]
    pub troubles: Vec<String>,
}

/// Bytes by how far they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BytesFrom {
    /// From boxes of the same site.
    pub peer: u64,
    /// From other sites of the ISP and tiers.
    pub tier: u64,
    /// From the origin.
    pub origin: u64,
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FillStateWord {
    /// No window is open.
    Waiting,
    /// Pulling.
    Filling,
    /// The plan is done.
    Done,
    /// Cannot go on; `failures` say why.
    Stuck,
}

/// One object that could not be pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillFailure {
    /// Which.
    pub object: ObjectId,
    /// What happened, with the source's name.
    pub why: String,
}

/// `GET /v1/operator/fills`: the night so far, one line an appliance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FillProgress {
    /// Last report.
    pub report: FillReport,
    /// When it came.
    pub heard_at: UnixMillis,
}
