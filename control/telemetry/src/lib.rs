//! Telemetry: which plays are under way, how well they go, and how many bytes each site will want
//! of each title.
//!
//! *Owns* live play sessions and the demand forecast, both in memory. *Needs* the events port, to
//! append what players report and to learn demand again after a restart, and a [`SiteDirectory`].
//! *Never* fails a play: what it cannot record it counts and logs.

#![forbid(unsafe_code)]

pub mod demand;
mod error;
mod history;
pub mod limits;
mod service;
pub mod sessions;

use control_types::{ApplianceId, SiteId};

pub use demand::{ObjectShape, TitleObjects};
pub use error::TelemetryError;
pub use service::Telemetry;
pub use sessions::{PlaySubject, Press, Recorded};

/// What telemetry needs of the fleet: where an appliance stands. `control/server` plugs it in.
pub trait SiteDirectory: Send + Sync {
    /// The appliance's site, if it is registered. Called for each play event: memory only.
    fn site_of(&self, appliance: &ApplianceId) -> Option<SiteId>;
}
