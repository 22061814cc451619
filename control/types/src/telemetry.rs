//! Bodies of what the operator sees of live plays.

use serde::{Deserialize, Serialize};

use crate::ids::{ApplianceId, PlayId, TitleId};
use crate::time::UnixMillis;

/// `GET /v1/operator/live`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Live {
    /// Plays heard of in the last 30 s, newest first, at most 200.
    pub sessions: Vec<LiveSession>,
    /// Plays that began since control started.
    pub plays_total: u64,
    /// Median start-up over the last 1,000 plays, milliseconds.
    pub startup_ms_p50: u64,
    /// 95th percentile of the same.
    pub startup_ms_p95: u64,
    /// Stalled time / watched time over the last 1,000 plays, 0 to 1 (CTA-2066).
    pub stalled_ratio: f64,
}

/// One play under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveSession {
    /// Which.
    pub play: PlayId,
    /// What.
    pub title: TitleId,
    /// `playing`, `paused`, `stalled`, `starting`.
    pub state: String,
    /// Where it streams from.
    pub appliance: Option<ApplianceId>,
    /// Position, milliseconds.
    pub position_ms: u64,
    /// Height of the picture, pixels.
    pub height: u32,
    /// Media buffered ahead, milliseconds.
    pub buffer_ms: u64,
    /// Start-up time, milliseconds; absent before the first frame.
    pub startup_ms: Option<u64>,
    /// Stalled so far, milliseconds.
    pub stall_ms: u64,
    /// When play was pressed.
    pub began_at: UnixMillis,
    /// Last report.
    pub heard_at: UnixMillis,
}
