//! Bodies of a press of play and of what the player says while it plays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ApplianceId, ObjectId, PlayId, ProfileId, SiteId, TitleId};
use crate::time::UnixMillis;

/// `POST /v1/plays`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PressPlay {
    /// Who on the account is watching.
    pub profile: ProfileId,
    /// What.
    pub title: TitleId,
}

/// Everything a player needs; from here on the control plane may be away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlayAnswer {
    /// This play; names it in events.
    pub play: PlayId,
    /// HLS multivariant playlist (RFC 8216bis), one pathway an appliance, steering declared.
    pub hls_url: String,
    /// DASH MPD (ISO/IEC 23009-1), one BaseURL an appliance, ContentSteering declared.
    pub dash_url: String,
    /// Content Steering manifest, for a player that wants to poll it itself.
    pub steering_url: String,
    /// Appliances, best first, at most `RANKED_MAX`.
    pub ranked: Vec<RankedAppliance>,
    /// The play ticket (Common Access Token, base64url): already inside every URL above.
    pub ticket: String,
    /// When the ticket ends.
    pub ticket_expires_at: UnixMillis,
    /// When to fetch a fresh one from `/v1/plays/{play}/ticket`; absent when there will be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_renew_at: Option<UnixMillis>,
    /// Where this profile left off, milliseconds; 0 to start at the beginning.
    pub resume_ms: u64,
    /// Length of the title, milliseconds.
    pub duration_ms: u64,
    /// How often to send `PlayEvents`, milliseconds.
    pub report_ms: u64,
}

/// `GET /v1/plays/{play}/ticket`: sent to appliances in the header `CTA-Common-Access-Token`,
/// beside URLs that keep the ticket they were written with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlayTicket {
    /// Common Access Token, base64url without padding.
    pub ticket: String,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When to fetch the next; absent when there will be none: press play again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<UnixMillis>,
}

/// One place to stream from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RankedAppliance {
    /// Which box; also the HLS PATHWAY-ID and DASH serviceLocation.
    pub appliance: ApplianceId,
    /// Where it stands.
    pub site: SiteId,
    /// `https://host:port/t/TICKET/v/TITLE/`: an object's name appended to it is its URL.
    pub base_url: String,
    /// Why it stands here, a compact code; `ocactl steer explain` spells it out.
    pub reason: String,
}

/// `GET /v1/plays/{play}/steering`: RFC 8216bis section 7.1, and its DASH-IF twin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SteeringManifest {
    /// Always 1.
    #[serde(rename = "VERSION")]
    pub version: u32,
    /// Seconds until the player asks again.
    #[serde(rename = "TTL")]
    pub ttl: u32,
    /// Where to ask again.
    #[serde(rename = "RELOAD-URI")]
    pub reload_uri: String,
    /// Pathway ids, best first.
    #[serde(rename = "PATHWAY-PRIORITY")]
    pub pathway_priority: Vec<String>,
    /// Pathways of the list above that the player's manifest did not have.
    #[serde(rename = "PATHWAY-CLONES", default, skip_serializing_if = "Vec::is_empty")]
    pub pathway_clones: Vec<PathwayClone>,
}

/// How a player makes a pathway out of one it has (RFC 8216bis 7.2; DASH-IF Content Steering 6.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PathwayClone {
    /// The pathway it has.
    #[serde(rename = "BASE-ID")]
    pub base_id: String,
    /// The pathway it gets.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is replaced in the URIs.
    #[serde(rename = "URI-REPLACEMENT")]
    pub uri_replacement: UriReplacement,
}

/// What differs between a cloned pathway's URIs and its base's. Players disagree on HOST: to hls.js
/// and Shaka Player it is a host name without a port, to dash.js host and port. So HLS gets whole
/// URIs too, which hls.js prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UriReplacement {
    /// `host[:port]`.
    #[serde(rename = "HOST", default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Query parameters that every URI of the clone has: in DASH, where a clone keeps its base's
    /// path, they bring a fresh ticket.
    #[serde(rename = "PARAMS", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Media playlists of variants, by STABLE-VARIANT-ID.
    #[serde(rename = "PER-VARIANT-URIS", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_variant_uris: BTreeMap<String, String>,
    /// Media playlists of renditions, by STABLE-RENDITION-ID.
    #[serde(rename = "PER-RENDITION-URIS", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_rendition_uris: BTreeMap<String, String>,
}

/// `POST /v1/plays/{play}/events`: what the player did since the last report. No credentials beyond
/// the play id, so that a page being closed can still send it as a beacon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlayEvents {
    /// In order; at most 64 a report.
    pub events: Vec<PlayEvent>,
}

/// One state of the player.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlayEvent {
    /// What happened.
    pub kind: PlayEventKind,
    /// Position in the title, milliseconds.
    pub position_ms: u64,
    /// Milliseconds since play was pressed, by the player's own monotonic clock.
    pub since_press_ms: u64,
    /// Pathway the last segment came from.
    #[serde(default)]
    pub appliance: Option<ApplianceId>,
    /// Height of the picture, pixels; 0 before the first frame.
    #[serde(default)]
    pub height: u32,
    /// Media buffered ahead, milliseconds.
    #[serde(default)]
    pub buffer_ms: u64,
    /// Bytes fetched since the last event, by appliance URL.
    #[serde(default)]
    pub bytes: u64,
    /// Total time spent stalled so far, milliseconds (start-up not counted).
    #[serde(default)]
    pub stall_ms: u64,
    /// For `error`: what the player said.
    #[serde(default)]
    pub detail: String,
    /// For `error`: what `appliance` did wrong, if it did.
    #[serde(default)]
    pub trouble: Option<PlayTrouble>,
    /// Longest time to the first byte since the last event, milliseconds; absent when not measured.
    #[serde(default)]
    pub first_byte_ms: Option<u32>,
}

/// What an appliance did wrong, as a player met it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlayTrouble {
    /// What.
    pub kind: TroubleKind,
    /// Asked for which object, when the player knows.
    #[serde(default)]
    pub object: Option<ObjectId>,
}

/// Closed set of what an appliance may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// No connection: refused, reset, or no such host.
    Refused,
    /// Nothing came in time.
    Timeout,
    /// 404: it does not hold what control said it holds.
    NotFound,
    /// 5xx.
    Failed,
    /// Bytes that are not the object's.
    Corrupt,
}

/// Closed set of player events (CTA-2066 states, CMCD v2 `e`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlayEventKind {
    /// First frame shown; `since_press_ms` is the start-up time.
    Started,
    /// Regular report while playing.
    Heartbeat,
    /// Picture stopped for want of media.
    Stalled,
    /// Picture moves again after a stall.
    Resumed,
    /// The member paused.
    Paused,
    /// The member jumped.
    Seeked,
    /// Now streaming from `appliance`.
    Switched,
    /// The player met an error; fatal ones are followed by `stopped`.
    Error,
    /// Reached the end.
    Ended,
    /// The member left.
    Stopped,
}

/// `POST /v1/operator/tickets`: a ticket for tests, support and machines that do not press play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewTicket {
    /// What it opens.
    pub opens: TicketScope,
    /// How long from now, milliseconds, 1 s to 24 h.
    pub ttl_ms: u64,
}

/// What a ticket opens on an appliance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TicketScope {
    /// One title's objects, below `/v/{title}/`.
    Title(TitleId),
    /// Every object, below `/o/`, as one appliance fills from another.
    Fill,
}

/// Answer of `POST /v1/operator/tickets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// Common Access Token, base64url without padding.
    pub ticket: String,
    /// When it ends.
    pub expires_at: UnixMillis,
}
