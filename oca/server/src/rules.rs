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
    /// Whether HTTP/2 is taken in the clear too, from clients that know beforehand. A lab does so
    /// in any case; members come with TLS.
    pub clear_h2: bool,
}

impl Rules {
    /// Rules with nobody counted yet.
    #[must_use]
    pub fn new(bounds: Bounds, pacing: PacingConfig) -> Self {
        Self { bounds, pacing, clients: Clients::new(&bounds), clear_h2: false }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Bounds::default(), PacingConfig::default())
    }
}
