//! What can be wrong with what routes are given; each message names the thing and the cure.

use control_types::IspId;
use ipnet::IpNet;

/// Why routes refused an input.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// Two ISPs cannot both own a network.
    #[error("{prefix} overlaps {held}, which is registered to {owner}: one ISP must leave it out")]
    Claimed {
        /// What was to be registered.
        prefix: IpNet,
        /// What stands in its way.
        held: IpNet,
        /// Whose that is.
        owner: IspId,
    },
    /// No ISP may have this network.
    #[error("{prefix} {why}: register the ISP's own networks")]
    Unregistrable {
        /// What was to be registered.
        prefix: IpNet,
        /// The reason.
        why: &'static str,
    },
    /// A table is at its bound.
    #[error("{what}: {max} are the most there may be")]
    Full {
        /// Which table.
        what: &'static str,
        /// Its bound.
        max: usize,
    },
}
