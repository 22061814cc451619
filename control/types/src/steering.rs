//! Bodies of steering's log, of policies it is replayed under, and of what a replay comes to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ApplianceId, TitleId};
use crate::time::UnixMillis;

/// A rule of the ranking that compares two appliances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    /// Holds something of the title.
    Absent,
    /// Its reports come in time.
    Late,
    /// Players do not complain of it.
    Shunned,
    /// Is not the origin.
    Fallback,
    /// Holds all of the title.
    Partial,
    /// Has room.
    Full,
    /// Edge, tier, origin.
    Role,
    /// Longer prefix.
    Prefix,
    /// Shorter AS path.
    AsPath,
    /// BGP origin.
    Origin,
    /// Multi-exit discriminator.
    Med,
    /// Embedded, private peering, public peering, transit.
    Link,
    /// Load step.
    Headroom,
    /// Kilometres, in steps.
    Distance,
}

/// A policy as a file writes it: what it does not name stays as control has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Rules in their order; one left out is not asked.
    #[serde(default)]
    pub order: Option<Vec<RuleName>>,
    /// Load at which a box is busy, per cent of capacity.
    #[serde(default)]
    pub busy_percent: Option<u64>,
    /// Load at which it is high.
    #[serde(default)]
    pub high_percent: Option<u64>,
    /// Load at which it stands behind all that have room.
    #[serde(default)]
    pub full_percent: Option<u64>,
    /// Load from which equals share by load as well as by title.
    #[serde(default)]
    pub spill_percent: Option<u64>,
    /// How steeply.
    #[serde(default)]
    pub spill_power: Option<u32>,
    /// Distances in one step count as equal.
    #[serde(default)]
    pub distance_step_km: Option<u16>,
    /// Multiplies the share of titles that a box gets among its equals.
    #[serde(default)]
    pub weights: BTreeMap<ApplianceId, f64>,
}

/// One line of the steering log: the questions of about a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SteerRecord {
    /// Version of this form: 1.
    pub v: u32,
    /// When the first question was asked.
    pub at: UnixMillis,
    /// Appliances that the candidates' numbers stand for.
    pub ids: Vec<ApplianceId>,
    /// The questions, in order.
    pub asks: Vec<SteerAsk>,
    /// Questions of that second that were not recorded because there were too many.
    #[serde(default)]
    pub skipped: u64,
}

/// One question and all that it was decided by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SteerAsk {
    /// Milliseconds after the record's `at`.
    pub after_ms: u32,
    /// The member's network: the address with its last 8 bits (IPv4) or 80 bits (IPv6) cleared.
    pub net: String,
    /// Longest prefix announced that holds the address.
    #[serde(default)]
    pub prefix: Option<String>,
    /// What was asked for.
    pub title: TitleId,
    /// Hash of the session.
    pub session: u64,
    /// Number of the appliance the session streamed from.
    #[serde(default)]
    pub current: Option<u32>,
    /// Code of the first place, and how it came about: `prefix/hit`.
    pub code: String,
    /// 24 bytes a candidate, base64url: see `control/steering/README.md`.
    pub candidates: String,
}

/// `POST /v1/operator/steer/replay`: decides again what is in `records`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Under this policy.
    pub policy: PolicyFile,
    /// Lines of the log.
    pub records: Vec<SteerRecord>,
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayAnswer {
    /// Questions decided again.
    pub asks: u64,
    /// Questions whose first place is another one.
    pub moved: u64,
    /// Under the policy control has.
    pub before: ReplayTally,
    /// Under the policy asked about.
    pub after: ReplayTally,
}

/// Decisions, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayTally {
    /// First places, by appliance.
    pub firsts: BTreeMap<ApplianceId, u64>,
    /// Decisions by how they came about: `hit`, `content`, `health`, `route`, `policy`.
    pub outcomes: BTreeMap<String, u64>,
    /// Kilometres to the first place, together.
    pub distance_km: u64,
    /// Decisions whose distance is known.
    pub distances: u64,
    /// Questions that nobody could be offered for.
    pub nobody: u64,
}

impl ReplayAnswer {
    /// Adds what another part of the log came to.
    pub fn add(&mut self, other: &Self) {
        self.asks += other.asks;
        self.moved += other.moved;
        self.before.add(&other.before);
        self.after.add(&other.after);
    }
}

impl ReplayTally {
    fn add(&mut self, other: &Self) {
        for (id, count) in &other.firsts {
            *self.firsts.entry(id.clone()).or_default() += count;
        }
        for (word, count) in &other.outcomes {
            *self.outcomes.entry(word.clone()).or_default() += count;
        }
        self.distance_km += other.distance_km;
        self.distances += other.distances;
        self.nobody += other.nobody;
    }
}
