//! Bodies of schedules: fill windows that come again. A schedule is a rule in the ISP's own wall
//! time; the nights it yields are [`Window`]s, which is all that agents and the director ever see.

use serde::{Deserialize, Serialize};

use crate::fill::{Window, WindowScope};
use crate::fleet::Maintenance;
use crate::ids::{IspId, WindowId};

/// A day of the week, by its first three letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// `PUT /v1/operator/schedules/{schedule}`: makes or replaces a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WindowSchedule {
    /// Same as in the path; at most 53 bytes, because a night is called this and its date.
    pub id: WindowId,
    /// For whom.
    pub scope: WindowScope,
    /// Wall time at which a night opens, `HH:MM` of 24 hours.
    pub start: String,
    /// How long a night stays open, milliseconds of elapsed time, 1 min to 24 h.
    pub length_ms: u64,
    /// Local days on which a night opens; at least one.
    pub days: Vec<Weekday>,
    /// IANA name of the zone of `start`, such as `Europe/Lisbon`.
    pub time_zone: String,
    /// Local dates without a night, `YYYY-MM-DD`.
    #[serde(default)]
    pub except: Vec<String>,
    /// Cap for each appliance, bits per second; absent means none.
    #[serde(default)]
    pub rate_bps_max: Option<u64>,
    /// Cap for each appliance over one night, bytes; absent means none.
    #[serde(default)]
    pub bytes_max: Option<u64>,
}

/// `GET /v1/operator/schedules`: one schedule and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleStatus {
    /// The rule.
    pub schedule: WindowSchedule,
    /// The night that is open, or else the next one, that nobody has closed; none when there is no
    /// more.
    pub next: Option<Window>,
}

/// `PUT /v1/operator/maintenance/{schedule}`: times that come again at which appliances take
/// nothing new. Read exactly as a [`WindowSchedule`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintenanceSchedule {
    /// Same as in the path; at most 53 bytes.
    pub id: WindowId,
    /// Which appliances: one, a site's, or an ISP's.
    pub scope: WindowScope,
    /// Wall time at which the work begins, `HH:MM` of 24 hours.
    pub start: String,
    /// How long it takes, milliseconds of elapsed time, 1 min to 24 h.
    pub length_ms: u64,
    /// Local days on which it begins; at least one.
    pub days: Vec<Weekday>,
    /// IANA name of the zone of `start`.
    pub time_zone: String,
    /// Local dates without it, `YYYY-MM-DD`.
    #[serde(default)]
    pub except: Vec<String>,
}

/// `GET /v1/operator/maintenance`: one schedule and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MaintenanceStatus {
    /// The rule.
    pub schedule: MaintenanceSchedule,
    /// The ISP that made it, which may change it; absent: the operator, and nobody else may.
    pub by: Option<IspId>,
    /// The time under way, or else the next one.
    pub next: Option<Maintenance>,
}
