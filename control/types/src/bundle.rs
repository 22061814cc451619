//! Body of the steering bundle: what an appliance steers by when control does not answer. Signed,
//! monotonic, one for each ISP. Holds no member and no secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fleet::{Health, Role, TicketKeys};
use crate::ids::{ApplianceId, IspId, SiteId, TitleId};
use crate::spread::LoadRule;
use crate::time::UnixMillis;

/// Media type of a [`BundleChange`]; who names it in `Accept`, and in `If-None-Match` what he
/// holds, may be given one.
pub const BUNDLE_CHANGE_TYPE: &str = "application/vnd.nightfill.bundle-change+json";

/// `GET /v1/appliance/steering`: [`SteeringBundle`] as the very bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedBundle {
    /// JSON of [`SteeringBundle`].
    pub bundle: String,
    /// Ed25519 signature of `bundle`, base64url.
    pub signature: String,
    /// Public key that signed, base64url. An appliance believes the one it was given or saw first,
    /// and those that it was handed over to.
    pub key: String,
    /// From every earlier key to its successor, oldest first, and from `key` to the one that will
    /// sign next: who was away while keys changed finds its way from the one it believes. At most
    /// `BUNDLE_HANDOVERS_MAX`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handovers: Vec<KeyHandover>,
}

/// One key's word that another signs steering bundles after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyHandover {
    /// Public key that hands over, base64url.
    pub key: String,
    /// Public key that it hands over to, base64url.
    pub next: String,
    /// Ed25519 signature of `next` by `key`, in a domain of its own, base64url.
    pub signature: String,
}

/// The same bundle to who holds an earlier one: what of its text is another. Unsigned: the text
/// that it leads to is what `signature` is of, and where that does not come out the whole is
/// fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleChange {
    /// Serial of the bundle that it starts from.
    pub since: u64,
    /// Names of all members of the new text, in their order.
    pub members: Vec<String>,
    /// JSON of those that are new or other; the rest is as it was.
    pub set: BTreeMap<String, String>,
    /// Of `titles`, where that is in both: JSON of those that are new or other; absent: gone.
    pub titles: BTreeMap<String, Option<String>>,
    /// As in [`SignedBundle`].
    pub signature: String,
    /// As in [`SignedBundle`].
    pub key: String,
    /// As in [`SignedBundle`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handovers: Vec<KeyHandover>,
}

/// What `GET /v1/appliance/steering` gives to who takes changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OfferedBundle {
    /// Control remembers the bundle that the caller holds.
    Change(BundleChange),
    /// It does not, or a change would be no shorter.
    Whole(SignedBundle),
}

/// What one ISP's appliances need to answer `/steering` by themselves. It names the ISP's own
/// boxes and the tiers and origins that its members fall back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SteeringBundle {
    /// Version of this form: 1.
    pub v: u32,
    /// Rises with every bundle; an appliance never goes back to a lower one, also not after its
    /// restart.
    pub serial: u64,
    /// Whose appliances it is for.
    pub isp: IspId,
    /// When control made it.
    pub made_at: UnixMillis,
    /// Seconds between a player's questions.
    pub ttl_s: u32,
    /// `scheme://host[:port]` that players reach control at: who is there to give fresh tickets.
    /// Absent: control does not know it, and nobody is sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_url: Option<String>,
    /// Over this time a drain that was asked for moves sessions, milliseconds; 0: all at their next
    /// question.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drain_spread_ms: u64,
    /// Everybody named below, by position.
    pub appliances: Vec<BundleAppliance>,
    /// Ranked lists that prefixes share, by position: groups of equals, best first, each group the
    /// positions of appliances. Routes and links made the order; health, load and content did not:
    /// they are applied when a question is answered.
    pub areas: Vec<Vec<Vec<u32>>>,
    /// For each area the class of each of its groups: groups of one class differ by what counts
    /// less than load does, such as distance. Absent, or empty for an area: each group is a class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Vec<u16>>,
    /// How loads count; absent: as usual.
    #[serde(default, skip_serializing_if = "LoadRule::is_usual")]
    pub load_rule: LoadRule,
    /// Member networks (CIDR) and the area of each; the longest that holds an address decides.
    pub prefixes: Vec<(String, u32)>,
    /// Area of an address that no prefix holds.
    pub anywhere: u32,
    /// Who holds what. A title that is not listed is held by no edge, and by all tiers and origins
    /// as a whole; of a listed one the bits say it all, of tiers and origins too.
    pub titles: BTreeMap<TitleId, TitleHolders>,
    /// Keys that verify tickets, as in a report's answer.
    pub ticket_keys: TicketKeys,
}

/// One appliance as control saw it when it made the bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleAppliance {
    /// Which box; also its pathway id.
    pub id: ApplianceId,
    /// Where it stands.
    pub site: SiteId,
    /// What for.
    pub role: Role,
    /// `https://host:port`, without a trailing slash.
    pub media_url: String,
    /// Boxes of one number fail together.
    pub domain: u32,
    /// As believed then.
    pub health: Health,
    /// It takes nothing new.
    pub draining: bool,
    /// Since when it drains because it was asked to: the sessions that stream from it leave one by
    /// one. Absent: it does not, or all leave at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drains_since: Option<UnixMillis>,
    /// Players complain of it: it stands behind all of whom they do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shunned: bool,
    /// Load of its capacity then, thousandths, in steps: a bundle is not made anew for a little.
    pub load_per_mille: u32,
    /// Its part among equals, for [`crate::spread::rendezvous`]: megabits a second it may send,
    /// times what a policy weighs it with.
    #[serde(default = "one_share")]
    pub share: f64,
    /// Megabits a second it may send, where that is another number than `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_mbps: Option<u32>,
}

fn one_share() -> f64 {
    1.0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Which of the bundle's appliances hold a title: one bit each, the first appliance the lowest bit
/// of the first byte, base64url, trailing zero bytes left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TitleHolders {
    /// Its core, see [`crate::presence`]: these may be offered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub full: String,
    /// All of its objects, so that a request for one that another box lacks may be sent there;
    /// absent where that is `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
    /// Some objects, and not the core.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
}

/// `GET /v1/operator/steer/bundles`: the newest bundle of one ISP, without its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleListed {
    /// Whose.
    pub isp: IspId,
    /// Rises with every bundle.
    pub serial: u64,
    /// When it was made.
    pub made_at: UnixMillis,
    /// Appliances it names.
    pub appliances: u64,
    /// Ranked lists that its networks share.
    pub areas: u64,
    /// Member networks it names.
    pub prefixes: u64,
    /// Titles whose holders it lists.
    pub titles: u64,
    /// Its JSON, bytes.
    pub bytes: u64,
    /// Time it took to make, microseconds.
    pub build_us: u64,
    /// What did not fit into it.
    pub cut: BundleCut,
}

/// What did not fit into a bundle; all zero for one that is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleCut {
    /// Appliances: members are not sent there without control.
    pub appliances: u64,
    /// Networks, the longest first: their members go where those of the network around them go.
    pub prefixes: u64,
    /// Places of areas, the last first; tiers and origins stay.
    pub places: u64,
    /// Titles, those with the fewest holders first: their members go to tiers and origins.
    pub titles: u64,
}

impl BundleCut {
    /// Whether anything was left out.
    #[must_use]
    pub fn is_some(&self) -> bool {
        *self != Self::default()
    }
}
