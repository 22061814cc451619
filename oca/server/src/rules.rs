//! What all workers hold clients to: limits, pacing, and the count of each client's connections.
//! Fixed at boot; never decides anything itself.

use crate::clients::Clients;
use crate::config::PacingConfig;
use crate::limits::Bounds;

/// Shared by all workers.
pub struct Rules {
    /// Time and places.
    pub bounds: Bounds,
    /// How fast answers go.
    pub pacing: PacingConfig,
    /// Connections by client.
    pub clients: Clients,
}

impl Rules {
    /// Rules with nobody counted yet.
    #[must_use]
    pub fn new(bounds: Bounds, pacing: PacingConfig) -> Self {
        Self { bounds, pacing, clients: Clients::new(&bounds) }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Bounds::default(), PacingConfig::default())
    }
}
