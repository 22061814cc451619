//! Bodies of sites, appliances and what appliances say of themselves.

use serde::{Deserialize, Serialize};

use crate::content::HeldKeys;
use crate::ids::{ApplianceId, IspId, IspKeyId, ObjectId, SiteId};
use crate::time::UnixMillis;

/// `PUT /v1/operator/sites/{site}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Same as in the path.
    pub id: SiteId,
    /// Who racks it.
    pub isp: IspId,
    /// What people call it.
    pub name: String,
    /// WGS 84 degrees, for distance as the last tie-break.
    pub latitude: f64,
    /// See `latitude`.
    pub longitude: f64,
    /// Member networks the ISP asked this site to serve, CIDR, IPv4 or IPv6.
    pub prefixes: Vec<String>,
    /// All boxes of the site fail together (one power feed, one uplink): no two of them stand in
    /// the first two places. Otherwise each box, or its `failure_domain`, fails alone.
    #[serde(default)]
    pub fails_as_one: bool,
}

/// `PUT /v1/operator/appliances/{appliance}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplianceRecord {
    /// Same as in the path.
    pub id: ApplianceId,
    /// Where it stands; the site must exist.
    pub site: SiteId,
    /// What it is for.
    pub role: Role,
    /// How members reach it.
    pub link: Link,
    /// Members it may serve at once, bits per second together.
    pub capacity_bps: u64,
    /// What most boxes leave at its default.
    #[serde(default)]
    pub detail: ApplianceDetail,
}

/// What an operator may say of an appliance beyond the least.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplianceDetail {
    /// What it shares power or an uplink with, a name inside its site such as `rack7`; absent: it
    /// fails alone.
    #[serde(default)]
    pub failure_domain: Option<String>,
    /// Members it may serve at once; absent: as many as its bits per second allow.
    #[serde(default)]
    pub connections_max: Option<u64>,
    /// Times at which it takes nothing new, at most 16, each over before the next begins.
    #[serde(default)]
    pub maintenance: Vec<Maintenance>,
}

/// A time at which somebody works on an appliance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// From when on it is drained.
    pub from: UnixMillis,
    /// When it may be offered again.
    pub until: UnixMillis,
}

/// What an appliance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves the members of its site's prefixes.
    Edge,
    /// Serves edges that miss, and fills them.
    Tier,
    /// Holds every object.
    Origin,
}

/// How members reach an appliance, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Inside the ISP's network.
    Embedded,
    /// Over a private interconnect.
    PrivatePeering,
    /// Over an exchange.
    PublicPeering,
    /// Over paid transit.
    Transit,
}

/// Answer of `PUT /v1/operator/appliances/{appliance}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceKey {
    /// Bearer key for the appliance's own reports, shown once when the appliance is first made;
    /// absent when an existing record was replaced.
    pub key: Option<String>,
}

/// Which kind of disk a volume is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiskClass {
    /// Flash: many small reads.
    Ssd,
    /// Rotating: few large reads.
    Hdd,
}

/// One volume as its appliance sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VolumeReport {
    /// Directory on the appliance.
    pub path: String,
    /// Flash or rotating.
    pub class: DiskClass,
    /// Room for objects, bytes, filled or not.
    pub capacity_bytes: u64,
    /// Bytes that objects take now.
    pub used_bytes: u64,
    /// Whether reads work.
    pub healthy: bool,
}

/// `POST /v1/appliance/report`, sent by `oca` every `report_ms` with the appliance's bearer key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceReport {
    /// Who; must match the key.
    pub appliance: ApplianceId,
    /// `https://host:port` that members and peers reach it at, without a trailing slash.
    pub media_url: String,
    /// Rises with every report of one run of the process; a lower one is ignored.
    pub sequence: u64,
    /// Changes when the process restarts.
    pub run: uuid::Uuid,
    /// True from SIGTERM or `drain` until the end: take no new plays here.
    pub draining: bool,
    /// Established media connections.
    pub connections: u64,
    /// Bytes of media sent since the process started.
    pub sent_bytes_total: u64,
    /// Bytes sent per second over the last interval, bits per second.
    pub sending_bps: u64,
    /// Requests answered since the start, and how many of them with 5xx.
    pub requests_total: u64,
    /// See `requests_total`.
    pub errors_total: u64,
    /// Disks.
    pub volumes: Vec<VolumeReport>,
    /// Digest of the set of objects held; equal digests mean equal sets.
    pub content_digest: String,
    /// The whole set, sent only when the last answer's `want_content` was true or it changed.
    #[serde(default)]
    pub content: Option<Vec<HeldObject>>,
    /// Objects found corrupt and quarantined since the last report.
    #[serde(default)]
    pub quarantined: Vec<ObjectId>,
    /// What came into reports later.
    #[serde(default)]
    pub more: ReportDetail,
}

/// What came into reports after the first version of them; every field may be absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportDetail {
    /// The set of objects as keys, whole or as a change; its digest is `content_digest`.
    #[serde(default)]
    pub held: Option<HeldUpdate>,
    /// Objects whose keys the last answer did not know, at most `NAMED_MAX`.
    #[serde(default)]
    pub named: Vec<HeldObject>,
    /// The process is ending: sessions must move at once. A drain that was asked for has time.
    #[serde(default)]
    pub leaving: bool,
    /// Milliseconds until the next report, at most; 0 when it does not say.
    #[serde(default)]
    pub next_report_ms: u64,
    /// How busy the machine is; absent when it does not measure.
    #[serde(default)]
    pub machine: Option<MachineReport>,
    /// Digest of the revocations it holds; absent before the first list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_digest: Option<String>,
    /// Serial of the steering bundle that it answers players from; absent while it has none, and
    /// then no player is sent to it for steering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steering_serial: Option<u64>,
}

/// A content set, whole or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldUpdate {
    /// Digest of the set that changed; empty: `added` is the whole set.
    #[serde(default)]
    pub base: String,
    /// Keys that are new.
    pub added: HeldKeys,
    /// Keys that are gone.
    #[serde(default)]
    pub removed: HeldKeys,
    /// Objects and bytes held after the change.
    pub objects: u64,
    /// See `objects`.
    pub bytes: u64,
}

/// How busy a machine is, over the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MachineReport {
    /// Of all cores together, per mille.
    pub cpu_per_mille: u32,
    /// Of the fastest port's speed, per mille; 0 when the speed is not known.
    pub nic_per_mille: u32,
    /// Media requests answered from memory, per mille; 0 without requests.
    pub hot_per_mille: u32,
    /// Mean time to the first byte, milliseconds; 0 without requests.
    pub first_byte_ms: u32,
}

/// Most objects named in one report.
pub const NAMED_MAX: usize = 2_000;

/// One object on an appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldObject {
    /// Which.
    pub object: ObjectId,
    /// Size, bytes.
    pub bytes: u64,
    /// On which kind of disk.
    pub class: DiskClass,
}

/// Answer to a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportAnswer {
    /// Send `content` next time: control does not hold the set with this digest.
    pub want_content: bool,
    /// The operator or ISP asked this appliance to drain (or to come back).
    pub drain: bool,
    /// Keys that control has no name for: name their objects in the next report.
    #[serde(default)]
    pub unnamed: HeldKeys,
    /// Keys that verify tickets; the appliance keeps them on disk for when control is away.
    pub ticket_keys: TicketKeys,
    /// Tickets taken back, when the appliance does not hold the list of this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocations>,
    /// Serial of the newest steering bundle of the appliance's ISP; fetch it when it is above the
    /// one held. Absent: control has made none yet, or is older than bundles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steering_serial: Option<u64>,
}

/// Subjects whose tickets are refused though they have not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revocations {
    /// Names the list: equal lists have equal digests. Empty for the empty list.
    pub digest: String,
    /// `sub` of the refused tickets, sorted; at most `limits::REVOCATIONS_MAX`.
    pub subjects: Vec<String>,
}

impl Revocations {
    /// The list of `subjects`, which are sorted, under its digest: FNV-1a (64 bits) of each with a
    /// line end behind it, in hex. It tells one list from the next; it proves nothing.
    #[must_use]
    pub fn of(subjects: Vec<String>) -> Self {
        if subjects.is_empty() {
            return Self::default();
        }
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        for byte in subjects.iter().flat_map(|subject| subject.bytes().chain([b'\n'])) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self { digest: format!("{digest:016x}"), subjects }
    }
}

/// `GET /v1/keys/tickets`, public: ES256 keys that verify tickets, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketKeys {
    /// All keys still valid; an appliance accepts a ticket signed by any of them.
    pub keys: Vec<TicketKey>,
}

/// One verification key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketKey {
    /// COSE `kid`, ASCII.
    pub kid: String,
    /// Uncompressed P-256 point (65 bytes, `04 x y`), base64url without padding.
    pub public: String,
}

/// `GET /v1/operator/appliances`: one line of the fleet page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplianceStatus {
    /// As registered.
    pub record: ApplianceRecord,
    /// As judged now.
    pub health: Health,
    /// Asked to drain by operator or ISP.
    pub drain: bool,
    /// By which of them.
    #[serde(default)]
    pub drains: Drains,
    /// A maintenance time is under way, until then.
    #[serde(default)]
    pub maintained_until: Option<UnixMillis>,
    /// Certificates that it may call with: one, or two around a renewal.
    #[serde(default)]
    pub certificates: Vec<CertificateListed>,
    /// Last report, without its content set; absent before the first.
    pub report: Option<ApplianceReport>,
    /// When it was heard last.
    pub heard_at: Option<UnixMillis>,
    /// Objects held.
    pub objects: u64,
    /// Bytes held.
    pub held_bytes: u64,
}

/// Who asked an appliance to drain. Each takes back its own wish only; it drains while either
/// stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drains {
    /// The operator.
    pub operator: bool,
    /// The ISP whose site it stands in.
    pub isp: bool,
}

impl Drains {
    /// Whether anybody did.
    #[must_use]
    pub fn any(self) -> bool {
        self.operator || self.isp
    }
}

/// One certificate of an appliance, as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateListed {
    /// First 16 hex digits of its SHA-256.
    pub fingerprint: String,
    /// When it was issued.
    pub made_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// Whether an appliance may be offered to players.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Reports arrive and say all is well.
    Healthy,
    /// Registered and never heard of.
    Unheard,
    /// Reports stopped.
    Silent,
    /// Reports arrive and disks or errors are bad.
    Sick,
    /// Serves what it has begun, takes nothing new.
    Draining,
}

/// `GET /v1/operator/steer/explain?ip=…&title=…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SteerExplanation {
    /// The member address asked about.
    pub ip: String,
    /// The title asked about.
    pub title: String,
    /// Longest registered prefix that holds `ip`, if any.
    pub matched_prefix: Option<String>,
    /// Why the first place is not the nearest appliance of the longest prefix: `hit`, `content`,
    /// `health`, `route` or `policy`.
    #[serde(default)]
    pub outcome: String,
    /// When this was decided, if not now: a decision of the log, made again.
    #[serde(default)]
    pub decided_at: Option<UnixMillis>,
    /// Every appliance that could be offered, ranked ones first and in order.
    pub candidates: Vec<SteerCandidate>,
}

/// What steering thought of one appliance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SteerCandidate {
    /// Which.
    pub appliance: ApplianceId,
    /// Where.
    pub site: SiteId,
    /// 1 for the first choice; absent when excluded.
    pub rank: Option<u32>,
    /// Compact code, the same as in `RankedAppliance::reason`.
    pub reason: String,
    /// The rule in words: which one placed or excluded it, with the values it looked at.
    pub because: String,
}

/// `POST /v1/operator/isps/{isp}/keys`: a new key, shown this once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IspKey {
    /// Names it in listings and for revocation.
    pub id: IspKeyId,
    /// Whose sites it reaches.
    pub isp: IspId,
    /// The bearer key. The ledger keeps its SHA-256 only.
    pub key: String,
}

/// `GET /v1/operator/isp-keys`: one key that counts, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IspKeyListed {
    /// Name.
    pub id: IspKeyId,
    /// Whose sites it reaches.
    pub isp: IspId,
    /// When it was made.
    pub made_at: UnixMillis,
}
