//! What all workers hold clients to: limits, pacing, and the count of each client's connections.
//! Fixed at boot; never decides anything itself.

use crate::clients::Clients;
use crate::cmcd::Player;
use crate::config::PacingConfig;
use crate::limits::{Bounds, CLAIMED_BPS_MIN, CLAIMED_TIMES_SLOW};
use crate::pacing;

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

    /// How fast a player wants its answer, bits a second; `None`: as fast as it goes. Nobody can
    /// say anything of himself that makes him slower than a slow reader.
    #[must_use]
    pub fn wanted_bps(&self, player: &Player) -> Option<u64> {
        let least = self.bounds.slow_reader_bps.saturating_mul(CLAIMED_TIMES_SLOW);
        let least = least.max(CLAIMED_BPS_MIN);
        pacing::wanted_bps(player, &self.pacing).map(|bps| bps.max(least))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Bounds::default(), PacingConfig::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_never_slower_than_a_slow_reader() {
        let claims = [
            Player { requested_kbps: Some(1), ..Player::default() },
            Player { bitrate_kbps: Some(1), buffer_ms: Some(u64::MAX), ..Player::default() },
        ];
        for slow_reader_bps in [0, 32_000, 400_000] {
            let bounds = Bounds { slow_reader_bps, ..Bounds::default() };
            let rules = Rules::new(bounds, PacingConfig::default());
            for claim in &claims {
                let wanted = rules.wanted_bps(claim).expect("a pace");
                assert!(wanted >= CLAIMED_BPS_MIN, "{claim:?}: {wanted}");
                assert!(wanted >= slow_reader_bps * 4, "{claim:?}: {wanted}");
            }
            let fair = Player { requested_kbps: Some(4_000), ..Player::default() };
            assert_eq!(rules.wanted_bps(&fair), Some(4_000_000));
            assert_eq!(rules.wanted_bps(&Player::default()), None);
        }
    }
}
