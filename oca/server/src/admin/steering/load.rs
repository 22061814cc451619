//! How loaded this box is, from what it has sent: what others are told who look, and what its own
//! answers are made by. Never asks a clock; reads no counter.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is sent is averaged over this: a segment is sent at once, and a load is no segment.
const OVER: Duration = Duration::from_secs(4);

/// Looks sooner than this after the last one are answered as that was.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Follows one counter of bytes.
#[derive(Debug, Default)]
pub(in crate::admin) struct Meter {
    last: Mutex<Option<Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    sent_bytes: u64,
    at: Instant,
    bps: f64,
}

impl Meter {
    /// Bits a second of late, `sent_bytes` being all that was sent until `now`.
    pub fn bps(&self, sent_bytes: u64, now: Instant) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = *last else {
            *last = Some(Last { sent_bytes, at: now, bps: 0.0 });
            return 0.0;
        };
        let passed = now.saturating_duration_since(before.at);
        if passed < AGAIN_AFTER {
            return before.bps;
        }
        let bits = sent_bytes.saturating_sub(before.sent_bytes) as f64 * 8.0;
        let part = (passed.as_secs_f64() / OVER.as_secs_f64()).min(1.0);
        let bps = before.bps + (bits / passed.as_secs_f64() - before.bps) * part;
        *last = Some(Last { sent_bytes, at: now, bps });
        bps
    }
}

/// The greater of two shares, thousandths: bits of what the box may send, where that is known, and
/// connections of its places.
pub(in crate::admin) fn per_mille(
    bps: f64,
    capacity_mbps: Option<u32>,
    (connections, places): (u64, u64),
) -> u32 {
    let bits = capacity_mbps.map_or(0.0, |mbps| bps / (f64::from(mbps.max(1)) * 1_000.0));
    let places = connections.saturating_mul(1_000) / places.max(1);
    // A float that is too great becomes the greatest number there is.
    (bits as u32).max(u32::try_from(places).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_rises_and_falls_within_seconds_and_a_burst_is_none() {
        let (meter, start) = (Meter::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut sent, mut bps) = (0, 0.0);
        assert_eq!(meter.bps(sent, at(0)) as u64, 0);
        for second in 1..=30 {
            sent += 125_000_000;
            bps = meter.bps(sent, at(second * 1_000));
        }
        assert!((990e6..=1_000e6).contains(&bps), "{bps}");
        assert_eq!(per_mille(bps, Some(2_000), (0, 9)) / 10, 49);
        assert_eq!(meter.bps(sent * 2, at(30_100)) as u64, bps as u64, "too soon to tell");
        for second in 31..=60 {
            bps = meter.bps(sent, at(second * 1_000));
        }
        assert!(bps < 1e6, "{bps}");
        let burst = meter.bps(sent + 125_000_000, at(61_000));
        assert!((200e6..300e6).contains(&burst), "a quarter of what one second says: {burst}");
        assert_eq!(per_mille(burst, None, (30, 40)), 750, "places count where capacity is unknown");
        assert_eq!(per_mille(f64::MAX, Some(0), (u64::MAX, 0)), u32::MAX);
    }
}
