//! Step 6: an `Extent` becomes a `Turn`: at which pace, and whether there is room for it at all.
//! Never waits: over budget is an answer.

use oca_http::{Method, Outcome};
use oca_sys::Kernel;

use super::locate::Extent;
use super::read::{Refusal, Short};
use crate::limits::STARVED_MAX;
use crate::worker::Station;

/// An extent that may go out now.
pub struct Turn {
    /// What.
    pub extent: Extent,
    /// Fastest, bits per second; absent means as fast as it goes.
    pub rate_bps_max: Option<u64>,
    /// Whether every chunk so far was in memory.
    pub is_hot: bool,
}

impl Turn {
    /// Whether bytes of the extent follow the head.
    pub fn has_body(&self) -> bool {
        self.extent.note.method == Method::Get && self.extent.start < self.extent.end
    }
}

/// Lets the extent in, or says that too many wait already.
///
/// # Errors
/// 503 with `Retry-After`.
pub fn admit<K: Kernel>(extent: Extent, station: &Station<K>) -> Result<Turn, Box<Refusal>> {
    if station.waiting_for_buffers() >= STARVED_MAX {
        let answer = Short::Refused { outcome: Outcome::OverBudget, total: None };
        return Err(Box::new(Refusal { note: extent.note, answer, ticket: extent.ticket }));
    }
    let rate_bps_max = extent.ticket.as_ref().and_then(|ticket| ticket.claims.rate_bps_max);
    Ok(Turn { extent, rate_bps_max, is_hot: true })
}
